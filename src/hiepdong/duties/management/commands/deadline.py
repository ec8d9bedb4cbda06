"""hiepdong deadline --batch | --rule … --period … | --days-off YEAR"""

import json
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser
from django.utils import translation
from django.utils.translation import gettext as _

from hiepdong.duties import queries
from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.batch import Batch
from hiepdong.duties.domain.calendar import CalendarTooShort
from hiepdong.kernel.errors import DomainError
from hiepdong.shell.commands import PlainCommand, told

EVERY = 100_000  # lines, between two words of progress


class Command(PlainCommand):
    help = (
        "Compute due moments with the deadline engine. With --batch: one JSON object per line in, one per line out "
        "(docs/reference/deadline-batch.md); a line that cannot be answered gets an error in its place. Without: one due "
        "moment from the command line. Needs no database. "
        "Exit code 0: every line was answered; 1: at least one line was refused; 2: wrong call."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", action="store_true", help="read JSON Lines, write JSON Lines, in order")
        parser.add_argument("--input", type=Path, metavar="FILE", help="with --batch: read this file, not the input")
        parser.add_argument("--no-steps", action="store_true", help="give no explanation (faster)")
        parser.add_argument("--progress", action="store_true", help="with --batch: tell every 100,000 lines on stderr")
        parser.add_argument("--rule", metavar="TABLE", help="deadline table in JSON or TOML: 'type=\"after\", amount=2, …'")
        parser.add_argument("--period", metavar="FAMILY/LABEL", help="for example r-rep-month/2026-02")
        parser.add_argument("--cut-off", metavar="DAY", help="last day of the period, for example 2026-02-14")
        parser.add_argument("--event", metavar="MOMENT", help="moment of the event, for example 2026-02-13T09:00+07:00")
        parser.add_argument("--debtor-kind", default="", metavar="KIND", help="kind of the debtor, where the rule has tiers")
        parser.add_argument("--days-off", type=int, metavar="YEAR", help="list the days off of a year and stop")
        parser.add_argument("--json", action="store_true", help="print one result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days_off"] is not None:
            self._days_off(options["days_off"], as_json=options["json"])
            return
        if options["batch"] and options["rule"]:
            raise CommandError("--batch, --rule: only one of the two.", returncode=2)
        if options["input"] and not options["batch"]:
            raise CommandError("--input goes with --batch.", returncode=2)
        batch = Batch(national_calendar(), explain=not options["no_steps"])
        if not options["batch"]:
            self._one(batch, options)
        elif self._batch(batch, options):
            sys.exit(1)

    def _batch(self, batch: Batch, options: dict[str, Any]) -> bool:
        refused = False
        with _lines(options["input"]) as source:
            for answer in batch.answers(source):
                refused = refused or "error" in answer
                self.stdout.write(json.dumps(answer, ensure_ascii=False))
                if options["progress"] and answer["line"] % EVERY == 0:
                    self.stderr.write(f"deadline: {answer['line']} lines")
        return refused

    def _one(self, batch: Batch, options: dict[str, Any]) -> None:
        starts = [k for k in ("period", "cut_off", "event") if options[k]]
        if not options["rule"] or len(starts) != 1:
            raise CommandError("Give --batch, or --rule with one of --period, --cut-off, --event.", returncode=2)
        asked: dict[str, Any] = {"rule": _rule(options["rule"]), "debtor_kind": options["debtor_kind"]}
        if options["period"]:
            family, _slash, label = options["period"].partition("/")
            asked["period"] = {"family": family, "label": label}
        if options["cut_off"]:
            asked["cut_off"] = options["cut_off"]
        if options["event"]:
            asked["event_at"] = options["event"]
        if options["json"]:
            answer = batch.answer(json.dumps(asked))
            self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1))
            if "error" in answer:
                sys.exit(1)
            return
        try:
            answer = batch.due(asked)
        except DomainError as error:
            raise CommandError(told(error), returncode=1) from error
        with translation.override("vi"):
            for line in _said(answer):
                self.stdout.write(line)

    def _days_off(self, year: int, *, as_json: bool) -> None:
        calendar = national_calendar()
        if not calendar.first.year <= year <= calendar.last.year:
            known = {"first": calendar.first.isoformat(), "last": calendar.last.isoformat(), "needed": str(year)}
            raise CommandError(told(CalendarTooShort(**known)), returncode=1)
        rows = [
            {"on": on.isoformat(), "name": name, "verified": calendar.is_verified(on, on)}
            for on, name in sorted(calendar.named.items())
            if on.year == year
        ]
        rows += [{"on": d.isoformat(), "works": True} for d in sorted(calendar.working) if d.year == year]
        if as_json:
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1))
            return
        with translation.override("vi"):
            for row in rows:
                mark = _("(not verified)") if not row.get("verified", True) else ""
                self.stdout.write(f"{row['on']}  {row.get('name') or _('worked')} {mark}".rstrip())


def _rule(text: str) -> Any:
    """Return the deadline table written as JSON, or as the inside of a TOML inline table."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    inside = text.strip().removeprefix("{").removesuffix("}")
    try:
        return tomllib.loads(f"rule = {{{inside}}}")["rule"]
    except (ValueError, RecursionError) as error:
        raise CommandError(f'--rule: {error}. Write: type="after", amount=2, unit="working_days"', returncode=2) from error


def _lines(path: Path | None) -> TextIO:
    """Return the input as text; bytes that are not UTF-8 are kept as halves of pairs, so that only their line is refused."""
    if path is None:
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
        return sys.stdin
    try:
        return path.open(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", returncode=2) from error


def _said(answer: dict[str, Any]) -> Iterator[str]:
    for step in queries.shown_steps(answer.get("steps", ())):
        clause = f" ({step.clause})" if step.clause else ""
        yield f"{step.number}. {step.text}{clause}"
        for on, name in step.skipped:
            yield f"     {on:%d/%m/%Y}  {name}"
    last: date = date.fromisoformat(answer["last_day"])
    yield f"= {last:%d/%m/%Y}  {answer['due_at']}"
