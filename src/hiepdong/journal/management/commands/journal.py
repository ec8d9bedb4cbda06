"""hiepdong journal check: is the journal as it was sealed?"""

import argparse
import json
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.journal import queries
from hiepdong.journal.domain.chain import SENTENCES, Break, Known
from hiepdong.journal.timestamping import read_roots
from hiepdong.shell.commands import PlainCommand

EACH = 100_000  # entries between two lines of progress


def checkpoint(text: str) -> Known:
    """Return a checkpoint written as NUMBER:DIGEST."""
    number, _colon, digest = text.partition(":")
    if not number.isdigit() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NUMBER:DIGEST, the digest as 64 characters 0-9 a-f")
    return Known(int(number), digest, source=text)


class Command(PlainCommand):
    help = (
        "Check that the journal is as it was sealed: every entry against its seal, every seal against the one before it, "
        "every time-stamp. Names the entry or seal that was altered, removed or added. Changes nothing and runs beside a "
        "working node. Exit code 0: whole; 1: it is not, with the places and reasons; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="check")
        checking = actions.add_parser("check", help="check the whole chain of the journal")
        checking.add_argument(
            "--witnessed",
            action="append",
            type=checkpoint,
            metavar="NUMBER:DIGEST",
            help="a seal as somebody else holds it, once or more; a journal that lost its end is found by this only",
        )
        checking.add_argument("--first", type=int, default=1, metavar="NUMBER", help="begin with this seal")
        checking.add_argument("--json", action="store_true", help="print the result as JSON, without progress")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["first"] < 1:
            raise CommandError("--first: expected 1 or more", returncode=2)
        with override("vi"):
            roots = read_roots(settings.HIEPDONG_TSA_CA) if settings.HIEPDONG_TSA_CA else ()
            told = 0

            def progress(done: int, count: int) -> None:
                nonlocal told
                if done // EACH > told:
                    told = done // EACH
                    self.stderr.write(_("journal: %(done)s of %(count)s entries read") % {"done": done, "count": count})

            report = queries.check_chain(
                first=options["first"],
                known=options["witnessed"] or (),
                roots=roots,
                progress=None if options["json"] else progress,
            )
            if options["json"]:
                self.stdout.write(json.dumps(self._facts(report), ensure_ascii=False, indent=1))
            reasons = [self._sentence(each) for each in report.breaks]
            if report.more:
                reasons.append(_("There are more; these are the first %(count)s.") % {"count": len(report.breaks)})
            if reasons:
                raise CommandError("\n".join(reasons), returncode=1)
            if not options["json"]:
                self._tell_whole(report)

    def _sentence(self, each: Break) -> str:
        return _(SENTENCES[each.kind]) % each.facts

    def _facts(self, report: queries.ChainReport) -> dict[str, Any]:
        return {
            "whole": report.is_whole,
            "seals": report.seals,
            "entries": report.entries,
            "unsealed": report.unsealed,
            "stamps": report.stamps,
            "stamps_unproven": report.stamps_unproven,
            "breaks": [
                {
                    "kind": each.kind.value,
                    "seal": each.seal,
                    "entry": each.entry,
                    "after": each.after,
                    "before": each.before,
                    "source": each.source,
                    "told": self._sentence(each),
                }
                for each in report.breaks
            ],
            "more": report.more,
        }

    def _tell_whole(self, report: queries.ChainReport) -> None:
        facts = {"entries": report.entries, "seals": report.seals, "unsealed": report.unsealed, "stamps": report.stamps}
        self.stdout.write(
            _("The journal is whole: %(entries)s entries under %(seals)s seals; %(unsealed)s are not sealed yet.") % facts
        )
        if report.stamps and report.stamps_unproven:
            self.stdout.write(
                _("%(stamps)s time-stamps were not checked: HIEPDONG_TSA_CA names no certificate of the authority.") % facts
            )
        elif report.stamps:
            self.stdout.write(_("%(stamps)s time-stamps hold.") % facts)
