"""hiepdong work: what has to happen without a request."""

import json
import logging
import time
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import Error as DatabaseError
from django.utils import timezone

from hiepdong.duties import services as duties
from hiepdong.exchange import bundle_desk, bundles, checkpoints, courier, files, intake, key_tending, link_queries, statements
from hiepdong.exchange.http_line import HttpLine
from hiepdong.journal import services as journal
from hiepdong.kernel.errors import DomainError
from hiepdong.regulations.queries import instrument_keys
from hiepdong.shell.commands import PlainCommand, told
from hiepdong.web import services

AHEAD = timedelta(days=400)
PAUSE_SECONDS = 60
LOOK_SECONDS = 5
log = logging.getLogger("hiepdong.work")


class Command(PlainCommand):
    help = (
        "Do what is waiting: what the journal's new facts lead to, the duties of the coming 400 days, last month's statements "
        "of account, bundles that were asked for at the page or whose import was interrupted, the seal over the journal and "
        "its time-stamp. Runs until it is stopped (Ctrl+C), one round a minute; with --once it does one round and stops. "
        "Harmless to run twice or beside the server. Exit code 0: done; 1: something could not be done, with the reason."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do one round and stop")
        parser.add_argument("--json", action="store_true", help="print each round as one line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        made_on: date | None = None
        try:
            while True:
                now = timezone.now()
                reasons: list[str] = []
                walked = self._react(now, reasons)
                made = 0
                new_day = made_on != timezone.localdate(now)
                if new_day:
                    self._tend(now, reasons)
                    self._account(now, reasons)
                # Duties ahead are made once a day, and at once when something new was learnt (a regulation, perhaps).
                if walked or new_day:
                    made, made_on = self._make(now, reasons), timezone.localdate(now)
                carried = self._carry(reasons)
                rounds = self._exchange(reasons)
                sealed = self._seal(now, reasons)
                self._announce(now, reasons)
                done = {"reactions": walked, "duties": made, "sealed": sealed, "bundles": carried, "rounds": rounds}
                if options["json"]:
                    self.stdout.write(json.dumps(done))
                elif walked or made or sealed or carried or options["once"]:
                    self.stdout.write(f"work: {walked} reactions, {made} new duties, {sealed} entries sealed")
                self.stdout.flush()
                if options["once"] and reasons:
                    raise CommandError("\n".join(reasons), returncode=1)
                if options["once"]:
                    return
                for reason in reasons:
                    self.stderr.write(f"work: {reason}")
                self._rest()
        except KeyboardInterrupt:
            self.stderr.write("work: stopped")

    def _exchange(self, reasons: list[str]) -> int:
        """Do a round with every linked node that has an address and whose time has come; returns how many went well."""
        rounds = 0
        for peer in courier.due_peers(timezone.now()):
            try:
                with HttpLine(peer, clock=timezone.now) as line:
                    courier.run(peer_id=peer.pk, transport=line, clock=timezone.now)
                rounds += 1
                services.react(at=timezone.now(), limit=10_000)
            except (DomainError, DatabaseError) as error:
                reasons.append(f"{peer.name}: {told(error)}")
        for peer in link_queries.quiet_peers(at=timezone.now()):
            courier.note_silence(peer=peer, at=timezone.now())
        return rounds

    def _rest(self) -> None:
        """Wait until the next round; not so long when somebody at a page waits for a bundle."""
        until = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            if bundle_desk.waits() or courier.waits(timezone.now()):
                return

    def _carry(self, reasons: list[str]) -> int:
        """Do what was asked for at the page of bundles, and go on with imports that were interrupted; returns how many."""
        try:
            return bundle_desk.work(at=timezone.now()) + bool(bundles.finish_interrupted(at=timezone.now()))
        except (DomainError, DatabaseError, OSError) as error:
            log.exception("a bundle could not be worked on")
            reasons.append(told(error))
            return 0

    def _react(self, now: datetime, reasons: list[str]) -> int:
        """Walk the journal; a fact whose reaction fails stays open and is tried again in the next round."""
        try:
            return services.react(at=now, limit=10_000)
        except (DomainError, DatabaseError) as error:
            log.exception("a reaction failed")
            reasons.append(told(error))
            return 0

    def _seal(self, now: datetime, reasons: list[str]) -> int:
        """Seal what the journal gained, and have the seal time-stamped when it is time to and an authority is set."""
        sealed = 0
        try:
            sealed = journal.seal_entries(at=now)
            if settings.HIEPDONG_TSA_URL:
                every = timedelta(minutes=settings.HIEPDONG_TSA_MINUTES)
                address, roots = settings.HIEPDONG_TSA_URL, settings.HIEPDONG_TSA_CA
                journal.stamp_latest_seal(address=address, roots_path=roots, every=every, at=now)
        except (DomainError, DatabaseError) as error:
            reasons.append(told(error))
        return sealed

    def _announce(self, now: datetime, reasons: list[str]) -> None:
        """Tell linked nodes of the newest seal, so that they witness it; it leaves with the next round."""
        try:
            checkpoints.announce(at=now, every=timedelta(minutes=settings.HIEPDONG_CHECKPOINT_MINUTES))
        except (DomainError, DatabaseError) as error:
            reasons.append(told(error))

    def _tend(self, now: datetime, reasons: list[str]) -> None:
        """Do once a day what keeps the database quick, and see to keys that expire; what fails is tried tomorrow."""
        try:
            services.update_statistics()
            intake.judge_anew(at=now)  # what waited for this version of the program, if it is a newer one
            intake.judge_narrowed(None, now)  # a regulation may come into force today
            files.let_go(at=now)
        except (DomainError, DatabaseError) as error:
            reasons.append(told(error))
        try:
            key_tending.tend_keys(at=now, renew_days=settings.HIEPDONG_KEY_ROTATE_DAYS)
        except (DomainError, DatabaseError) as error:
            reasons.append(told(error))

    def _account(self, now: datetime, reasons: list[str]) -> None:
        """Make last month's statements of account that are due; nothing is signed by it."""
        try:
            statements.make_due(at=now)
        except (DomainError, DatabaseError) as error:
            reasons.append(told(error))

    def _make(self, now: datetime, reasons: list[str]) -> int:
        """Make the duties ahead of every instrument; one that cannot be counted does not keep the others back."""
        made = 0
        for key in instrument_keys():
            try:
                until = timezone.localdate(now) + AHEAD
                made += duties.make_duties(instrument_key=key, until=until, actor=None, at=now).made
            except DomainError as error:
                reasons.append(f"{key}: {told(error)}")
        return made
