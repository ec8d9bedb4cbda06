"""hiepdong compare export KEY --year Y | hiepdong compare FILE FILE"""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.duties import comparing
from hiepdong.duties.domain.comparison import Comparison, compared
from hiepdong.shell.commands import PlainCommand, bytes_of

MOST_SHOWN = 200


class Command(PlainCommand):
    help = (
        "Hold the due moments that two nodes compute against each other. `compare export KEY --year Y` writes what this node "
        "computed, signed by it; `compare FILE FILE` says every difference of two such files and its cause, `compare FILE` "
        "compares one with this node as it is now. Exit code 0: the same; 1: they differ, or a file cannot be compared; 2: "
        "wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", nargs="+", metavar="export KEY | FILE [FILE]", help="`export` and a regulation, or files")
        parser.add_argument("--year", type=int, help="export: the local year in which the periods end")
        parser.add_argument("--out", type=Path, help="export: write here; else to the screen")
        parser.add_argument("--json", action="store_true", help="compare: print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        what, now = options["what"], timezone.now()
        with override("vi"):
            if what[0] == "export":
                if len(what) != 2 or not options["year"]:
                    raise CommandError(_("Write: hiepdong compare export KEY --year YEAR"), returncode=2)
                self._export(what[1], options["year"], options["out"], now)
                return
            if len(what) > 2:
                raise CommandError(_("Two files are compared at a time."), returncode=2)
            files = [comparing.read(bytes_of(Path(name)), name) for name in what]
            if len(files) == 1:
                here = comparing.computed_here(instrument_key=files[0].regulation, year=files[0].year, at=now)
                files.append(here)
            found = compared(files[0], files[1], (what[0], what[-1]))
            self._tell(found, as_json=options["json"])
        if not found.same:
            sys.exit(1)

    def _export(self, key: str, year: int, out: Path | None, now: Any) -> None:
        data = comparing.export(instrument_key=key, year=year, at=now)
        if out is None:
            self.stdout.write(data.decode(), ending="")
            return
        out.write_bytes(data)
        said = comparing.read(data, str(out))
        facts = {"file": out, "count": len(said.duties), "digest": said.duties_digest}
        self.stdout.write(_("%(file)s: %(count)s due moments, digest %(digest)s.") % facts)

    def _tell(self, found: Comparison, *, as_json: bool) -> None:
        if as_json:
            sides = [
                {"node": c.node, "program": c.program, "signed": c.signed, "duties": len(c.duties), "digest": c.duties_digest}
                for c in (found.first, found.second)
            ]
            result = {"same": found.same, "sides": sides, "versions": found.versions, "bodies": found.bodies}
            result |= {"by_cause": dict(found.by_cause), "differences": [d.as_json() for d in found.duties]}
            self.stdout.write(json.dumps(result, ensure_ascii=False, indent=1))
            return
        signed = {
            "good": _("signature good"),
            "unknown_key": _("the key of that node is not known here"),
            "": _("this node, now"),
        }
        for c in (found.first, found.second):
            facts = {"node": c.node, "count": len(c.duties), "digest": c.duties_digest, "signed": signed[c.signed]}
            self.stdout.write(_("%(node)s: %(count)s due moments, digest %(digest)s (%(signed)s).") % facts)
        if found.same:
            self.stdout.write(_("Both compute the same due moments."))
        for version in found.versions:
            self.stdout.write(_("Version %(version)s of the regulation is not the same on both.") % {"version": version})
        for key in found.bodies:
            self.stdout.write(_("The organisation %(key)s is not described the same on both.") % {"key": key})
        if found.calendars:
            self.stdout.write(_("Other days off were used."))
        causes = {
            "version": _("another version of the regulation"),
            "calendar": _("other days off"),
            "bodies": _("other organisations, superiors or territories"),
            "event": _("an event that only one side noted"),
            "program": _("another version of the program"),
            "": _("cause not told"),
        }
        for d in found.duties[:MOST_SHOWN]:
            facts = {"reference": d.reference, "first": d.first or "–", "second": d.second or "–", "cause": causes[d.cause]}
            self.stdout.write(_("%(reference)s: %(first)s / %(second)s (%(cause)s)") % facts)
        if len(found.duties) > MOST_SHOWN:
            more = {"count": len(found.duties) - MOST_SHOWN}
            self.stdout.write(_("… and %(count)s more; all of them with --json.") % more)
