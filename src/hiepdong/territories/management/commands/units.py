"""hiepdong units load|find: the administrative units of both pictures, and their codes."""

import json
from datetime import date
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.kernel.errors import NotFound
from hiepdong.shell.commands import PlainCommand
from hiepdong.territories import queries, services
from hiepdong.territories.models import Level, Unit


def day(text: str) -> date:
    """Return the day written as 2026-12-01."""
    return date.fromisoformat(text)


class Command(PlainCommand):
    help = (
        "Load all administrative units of Viet Nam, before 1 July 2025 and since, or find the code of a unit. `hiepdong setup` "
        "loads them too; loading again changes nothing. Exit code 0: done; 1: refused, or nothing found; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="load | find")
        loading = actions.add_parser("load", help="read the units from the installed data package")
        finding = actions.add_parser("find", help="find units by name, with or without marks, or by code")
        finding.add_argument(
            "text", nargs="?", default="", metavar="NAME", help="part of the name, or the code; all unless given"
        )
        finding.add_argument("--in", dest="within", default="", metavar="CODE", help="only inside this unit: province:44")
        finding.add_argument("--on", type=day, metavar="DAY", help="as they were on this day (default today)")
        finding.add_argument("--level", default="", choices=["", *Level.values], help="only this level")
        for each in (loading, finding):
            each.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "find":
            with override("vi"):
                self._find(options)
            return
        counts = services.load_units(actor=None, at=timezone.now(), progress=lambda line: self.stderr.write(line))
        self.stdout.write(json.dumps(counts) if options["json"] else ", ".join(f"{k}: {v}" for k, v in counts.items()))

    def _find(self, options: dict[str, Any]) -> None:
        on = options["on"] or timezone.localdate()
        facts = {"unit": options["within"] or options["text"], "on": f"{on:%d/%m/%Y}"}
        level, _colon, code = options["within"].partition(":")
        try:
            parent = queries.unit_for(code, level, on) if options["within"] else None
        except NotFound as error:
            raise CommandError(_("There is no unit %(unit)s on %(on)s.") % facts, returncode=1) from error
        found = queries.units_on(on, level=options["level"], parent=parent, search=options["text"])
        rows = [self._row(u) for u in found.select_related("parent__parent")]
        if options["json"]:
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1))
        else:
            for row in rows:
                self.stdout.write(f"{row['code']:<16} {', '.join([row['name'], *row['inside']])}  ({row['since']})")
        if not rows:
            raise CommandError(_("There is no unit %(unit)s on %(on)s.") % facts, returncode=1)

    def _row(self, unit: Unit) -> dict[str, Any]:
        above = [u for u in (unit.parent, unit.parent and unit.parent.parent) if u]
        return {
            "code": f"{unit.level}:{unit.code}",
            "name": unit.full_name,
            "inside": [u.full_name for u in above],
            "since": unit.valid_from.isoformat(),
            "until": unit.valid_until.isoformat() if unit.valid_until else None,
        }
