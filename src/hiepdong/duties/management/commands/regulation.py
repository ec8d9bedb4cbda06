"""hiepdong regulation check|load|propose|sign|schema"""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.examples import run_examples
from hiepdong.duties.services import rules_for_nobody
from hiepdong.exchange import joint
from hiepdong.exchange.models import JointDocument
from hiepdong.exchange.services import UnknownRecipient
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.organisations.queries import organisations_by_keys
from hiepdong.regulations import services
from hiepdong.regulations.domain.format import Problem, Regulation, examine, schema
from hiepdong.regulations.domain.overlap import Asked, asked_in_file, asked_twice
from hiepdong.regulations.queries import asked_twice_with
from hiepdong.shell.commands import PlainCommand, bytes_of


class Command(PlainCommand):
    help = (
        "Check regulation files, load one, have one signed by its parties, or print the JSON Schema of the format. `check` "
        "reports every problem at once (file, place, found, accepted) and runs the worked examples through the deadline "
        "engine; it needs no database. Nothing is loaded from a file that has a problem. `propose` and `sign` are for a "
        "regulation whose parties live at several nodes: it comes into force when all have signed. Exit code 0: done; 1: "
        "problems; 2: wrong call."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="check | load | propose | sign | schema")
        checking = actions.add_parser("check", help="check files and run their worked examples")
        checking.add_argument("file", nargs="+", type=Path, help="regulation file (TOML)")
        checking.add_argument("--json", action="store_true", help="print the result as JSON")
        loading = actions.add_parser("load", help="check one file and load it as a version; again changes nothing")
        loading.add_argument("file", type=Path, help="regulation file (TOML); its organisations must be known")
        loading.add_argument("--json", action="store_true", help="print the result as JSON")
        loading.add_argument("--dry-run", action="store_true", help="do everything, then take it back")
        loading.add_argument(
            "--skip",
            action="store_true",
            help="leave out version numbers that were proposed and given up; for a file all signed",
        )
        proposing = actions.add_parser("propose", help="lay a file before its parties for their signatures")
        proposing.add_argument("file", type=Path, help="regulation file (TOML); its organisations must be known")
        signing = actions.add_parser("sign", help="sign a proposed regulation for organisations that live at this node")
        signing.add_argument("regulation", metavar="KEY/VERSION", help="the regulation; or the first digits of its digest")
        who = signing.add_mutually_exclusive_group(required=True)
        who.add_argument("--organisation", action="append", metavar="KEY", help="for whom; may be given several times")
        who.add_argument("--all", action="store_true", help="for every party that lives here and has not signed")
        actions.add_parser("schema", help="print the JSON Schema of the format, for an editor")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            match options["action"]:
                case "schema":
                    self.stdout.write(json.dumps(schema(), ensure_ascii=False, indent=2))
                case "check":
                    self._check(options)
                case "propose":
                    self._propose(options)
                case "sign":
                    self._sign(options)
                case _:
                    self._load(options)

    def _check(self, options: dict[str, Any]) -> None:
        results, refused = [], False
        asked: list[Asked] = []
        for path in options["file"]:
            regulation, problems = checked(bytes_of(path), str(path))
            if regulation is not None:
                asked += asked_in_file(regulation)
            refused = refused or bool(problems)
            row: dict[str, Any] = {"file": str(path), "problems": [p.as_dict() for p in problems]}
            if regulation is not None:
                row |= {"key": regulation.key, "version": regulation.version}
                row |= {"duties": len(regulation.duties), "examples": len(regulation.examples)}
            results.append(row)
            if not options["json"]:
                self._tell(problems)
                if regulation is not None and not problems:
                    facts = {"file": path, "duties": len(regulation.duties), "examples": len(regulation.examples)}
                    self.stdout.write(_("%(file)s: no problem; %(duties)s duties, %(examples)s examples.") % facts)
        twice = [
            {"regulation": a.instrument, "duty": a.rule, "other_regulation": b.instrument, "other_duty": b.rule}
            for a, b in asked_twice(asked)
        ]
        if options["json"]:
            for row in results:
                row["asked_twice"] = [t for t in twice if row.get("key") in {t["regulation"], t["other_regulation"]}]
            self.stdout.write(json.dumps(results, ensure_ascii=False, indent=1))
        else:
            self._tell_twice(twice)
        if refused:
            sys.exit(1)

    def _tell_twice(self, twice: list[dict[str, str]]) -> None:
        text = _("Note: %(regulation)s %(duty)s and %(other_regulation)s %(other_duty)s may ask for the same thing twice.")
        for row in twice:
            self.stdout.write(text % row)

    def _load(self, options: dict[str, Any]) -> None:
        path, file_bytes = options["file"], bytes_of(options["file"])
        _regulation, problems = checked(file_bytes, str(path))
        instrument = None
        now = timezone.now()
        twice: list[dict[str, str]] = []
        nobody: list[str] = []
        if not problems:
            try:
                with transaction.atomic():
                    instrument = services.load_instrument(
                        file_bytes=file_bytes, name=str(path), actor=None, at=now, skip=options["skip"]
                    )
                    twice = [
                        {
                            "regulation": own.instrument.key,
                            "duty": own.key,
                            "other_regulation": other.instrument.key,
                            "other_duty": other.key,
                        }
                        for own, other in asked_twice_with(instrument)
                    ]
                    nobody = [r.key for r in rules_for_nobody(instrument, instrument.effective_from)]
                    if options["dry_run"]:
                        transaction.set_rollback(True)
            except services.InvalidRegulation as error:
                problems = error.problems
        result: dict[str, Any] = {"file": str(path), "problems": [p.as_dict() for p in problems]}
        if instrument is not None:
            result |= {
                "key": instrument.key,
                "version": instrument.version,
                "loaded": instrument.loaded_at == now and not options["dry_run"],
            }
            result |= {"asked_twice": twice, "for_nobody": nobody}
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False, indent=1))
        elif instrument is None:
            self._tell(problems)
        else:
            text = _("%(title)s, version %(version)s: loaded.")
            if instrument.loaded_at != now:
                text = _("%(title)s, version %(version)s: loaded before; nothing was changed.")
            elif options["dry_run"]:
                text = _("%(title)s, version %(version)s: may be loaded; nothing was changed.")
            self.stdout.write(text % {"title": instrument.title, "version": instrument.version})
            self._tell_twice(twice)
            for key in nobody:
                facts = {"duty": key, "on": f"{instrument.effective_from:%d/%m/%Y}"}
                self.stdout.write(
                    _("Note: the duty %(duty)s concerns no bodies on %(on)s; look at its debtor and creditor.") % facts
                )
        if instrument is None:
            sys.exit(1)

    def _propose(self, options: dict[str, Any]) -> None:
        path, file_bytes = options["file"], bytes_of(options["file"])
        _regulation, problems = checked(file_bytes, str(path))
        if not problems:
            try:
                document = services.propose(file_bytes=file_bytes, name=str(path), actor=None, at=timezone.now())
            except services.InvalidRegulation as error:
                problems = error.problems
        if problems:
            self._tell(problems)
            sys.exit(1)
        facts = {"name": document.name, "digest": document.digest}
        self.stdout.write(_("%(name)s: laid before its parties; what they sign has the digest %(digest)s.") % facts)
        self._tell_signatures(document)

    def _sign(self, options: dict[str, Any]) -> None:
        document = proposed(options["regulation"])
        keys = options["organisation"] or [s.key for s in joint.signatories(document) if s.at_home and s.at is None]
        known = organisations_by_keys(keys)
        missing = next((k for k in keys if k not in known), None)
        if missing is not None:
            raise UnknownRecipient(key=missing)
        try:
            with transaction.atomic():
                for key in keys:
                    document = services.sign(document=document, organisation=known[key], actor=None, at=timezone.now())
        except services.InvalidRegulation as error:
            self._tell(error.problems)
            sys.exit(1)
        services.bring_into_force(at=timezone.now())
        self._tell_signatures(document)

    def _tell_signatures(self, document: JointDocument) -> None:
        for s in joint.signatories(document):
            name = s.organisation.name if s.organisation is not None else s.key
            signed = _("signed %(at)s") % {"at": f"{timezone.localtime(s.at):%H:%M %d/%m/%Y}"} if s.at else _("not signed yet")
            self.stdout.write(f"  {name} ({s.key}): {signed}")
        if document.complete_at is not None:
            self.stdout.write(_("All parties have signed."))

    def _tell(self, problems: list[Problem]) -> None:
        for problem in problems:
            self.stdout.write(str(problem))


class NothingProposed(DomainError):
    """No proposal, or several, under that name."""

    code = "regulations.nothing_proposed"
    message = gettext_noop("%(count)s texts of %(name)s are laid before the parties.")
    hint = gettext_noop("Propose one, or name it by the first digits of its digest: %(digests)s.")


def proposed(name: str) -> JointDocument:
    """Return the one proposal of that KEY/VERSION, or whose digest begins so.

    Raises:
        NothingProposed: there is none, or there are several.
    """
    found = [d for d in joint.documents(kind="regulation") if d.name == name or (len(name) >= 6 and d.digest.startswith(name))]
    if len(found) != 1:
        raise NothingProposed(count=len(found), name=name, digests=", ".join(d.digest[:12] for d in found) or "–")
    return found[0]


def checked(file_bytes: bytes, name: str) -> tuple[Regulation | None, list[Problem]]:
    """Return the regulation if its form is right, and every problem: of the form, of the rules and of the worked examples."""
    understood, problems = examine(file_bytes, name)
    regulation = None if problems else understood
    if understood is not None:
        problems = problems + run_examples(understood, national_calendar(), name)
    return regulation, problems
