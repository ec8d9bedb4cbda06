"""hiepdong regulation check|load|schema"""

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
from hiepdong.regulations import services
from hiepdong.regulations.domain.format import Problem, Regulation, examine, schema
from hiepdong.regulations.domain.overlap import Asked, asked_in_file, asked_twice
from hiepdong.regulations.queries import asked_twice_with
from hiepdong.shell.commands import PlainCommand, bytes_of


class Command(PlainCommand):
    help = (
        "Check regulation files, load one, or print the JSON Schema of the format. `check` reports every problem at "
        "once (file, place, found, accepted) and runs the worked examples through the deadline engine; it needs no "
        "database. Nothing is loaded from a file that has a problem. Exit code 0: done; 1: problems; 2: wrong call."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="check | load | schema")
        checking = actions.add_parser("check", help="check files and run their worked examples")
        checking.add_argument("file", nargs="+", type=Path, help="regulation file (TOML)")
        checking.add_argument("--json", action="store_true", help="print the result as JSON")
        loading = actions.add_parser("load", help="check one file and load it as a version; again changes nothing")
        loading.add_argument("file", type=Path, help="regulation file (TOML); its organisations must be known")
        loading.add_argument("--json", action="store_true", help="print the result as JSON")
        loading.add_argument("--dry-run", action="store_true", help="do everything, then take it back")
        actions.add_parser("schema", help="print the JSON Schema of the format, for an editor")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            match options["action"]:
                case "schema":
                    self.stdout.write(json.dumps(schema(), ensure_ascii=False, indent=2))
                case "check":
                    self._check(options)
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
                    instrument = services.load_instrument(file_bytes=file_bytes, name=str(path), actor=None, at=now)
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

    def _tell(self, problems: list[Problem]) -> None:
        for problem in problems:
            self.stdout.write(str(problem))


def checked(file_bytes: bytes, name: str) -> tuple[Regulation | None, list[Problem]]:
    """Return the regulation if its form is right, and every problem: of the form, of the rules and of the worked examples."""
    understood, problems = examine(file_bytes, name)
    regulation = None if problems else understood
    if understood is not None:
        problems = problems + run_examples(understood, national_calendar(), name)
    return regulation, problems
