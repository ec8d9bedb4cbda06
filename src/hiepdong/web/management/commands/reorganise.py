"""hiepdong reorganise FILE: what becomes of units and bodies on one day, by one act."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.organisations import services
from hiepdong.organisations.models import Reorganisation
from hiepdong.shell.commands import PlainCommand, bytes_of
from hiepdong.web.surveys import SURVEYS


class Command(PlainCommand):
    help = (
        "Load a reorganisation from a TOML file: which units and bodies end on a day, which begin, what moves where, by which "
        "act. Prints what moves, what stays and what a person must decide. Nothing before that day is rewritten; the same file "
        "again changes nothing. With --preview everything is done and taken back. The format of the file: "
        "docs/reference/reorganisation-format.md. Exit code 0: done; 1: problems, nothing was loaded; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="reorganisation file (TOML)")
        parser.add_argument("--preview", action="store_true", help="show the report and change nothing")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        data = bytes_of(path)
        try:
            with transaction.atomic():
                made, new = services.load_reorganisation(
                    file_bytes=data, name=str(path), actor=None, at=timezone.now(), surveys=SURVEYS
                )
                if options["preview"]:
                    transaction.set_rollback(True)
        except services.InvalidFile as error:
            if options["json"]:
                refused = {"file": str(path), "problems": [p.as_dict() for p in error.problems]}
                self.stdout.write(json.dumps(refused, ensure_ascii=False, indent=1))
            else:
                for problem in error.problems:
                    self.stdout.write(str(problem))
            raise SystemExit(1) from error
        loaded = new and not options["preview"]
        if options["json"]:
            facts = {"file": str(path), "key": made.key, "effective_on": made.effective_on.isoformat(), "loaded": loaded}
            self.stdout.write(json.dumps(facts | made.report, ensure_ascii=False, indent=1))
            return
        with override("vi"):
            for line in told(made):
                self.stdout.write(line)
            if options["preview"]:
                self.stdout.write(_("Preview: nothing was changed."))
            else:
                self.stdout.write(_("Loaded.") if loaded else _("Loaded before; nothing was changed."))


def told(made: Reorganisation) -> list[str]:
    """Return the report as lines: the counts, what moves, what ends, what stays, what a person must decide."""
    report = made.report
    counts = report["counts"]
    lines = [f"{made.title} ({made.effective_on:%d/%m/%Y})", report["act"], ""]
    lines.append(
        _("Units: %(before)s → %(after)s; on the land border: %(land_before)s → %(land_after)s.")
        % {
            "before": counts["units_before"],
            "after": counts["units_after"],
            "land_before": counts["land_border_before"],
            "land_after": counts["land_border_after"],
        }
    )
    for unit in report["units"]:
        older = ", ".join(p["name"] + (f" ({_('a part')})" if p["share"] == "part" else "") for p in unit["from"])
        lines.append(f"  {older or '–'} → {unit['name']} [{unit['code']}]")
    lines += ["", _("Bodies that begin: %(count)s") % {"count": counts["founded"]}]
    lines += [f"  {row['name']} ← {_names([p['name'] for p in row['predecessors']])}" for row in report["founded"]]
    lines += ["", _("Bodies that end: %(count)s") % {"count": counts["ended"]}]
    lines += [f"  {row['name']} → {_names([p['name'] for p in row['successors']])}" for row in report["ended"]]
    lines += ["", _("Bodies that stay and change: %(count)s") % {"count": counts["changed"]}]
    for row in report["changed"]:
        lines.append(f"  {row['name']}")
        if "superior" in row:
            lines.append(f"    {_('superior')}: {_names(row['superior_before'])} → {row['superior']}")
        if "territory" in row:
            lines.append(f"    {_('territory')}: {_names(row['territory_before'])} → {_names(row['territory'])}")
    stays = {"names": _names([o["name"] for o in report["stays"]])}
    lines += ["", _("Bodies beside them that stay as they are: %(names)s") % stays]
    lines += ["", _("To be decided by a person: %(count)s") % {"count": counts["decisions"]}]
    lines += [f"  {i}. {_(d['message']) % d['facts']}" for i, d in enumerate(report["decisions"], 1)]
    return [*lines, ""]


def _names(names: list[str]) -> str:
    return ", ".join(names) or "–"
