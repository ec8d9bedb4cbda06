"""hiepdong deadline --batch | --rule … --period … | --days-off YEAR"""

import json
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation
from django.utils.translation import gettext as _

from hiepdong.duties import queries
from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.batch import Batch


class Command(BaseCommand):
    help = (
        "Compute due moments with the deadline engine. With --batch: one JSON object per line in, one per line out "
        "(docs/reference/deadline-batch.md). Without: one due moment from the command line. Needs no database. "
        "Exit code 0: every line was answered; 1: at least one line was refused; 2: wrong call."
    )
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

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
        if options["days_off"]:
            self._days_off(options["days_off"], as_json=options["json"])
            return
        batch = Batch(national_calendar(), explain=not options["no_steps"])
        refused = self._batch(batch, options) if options["batch"] else self._one(batch, options)
        if refused:
            sys.exit(1)

    def _batch(self, batch: Batch, options: dict[str, Any]) -> bool:
        try:
            source: TextIO = options["input"].open(encoding="utf-8") if options["input"] else sys.stdin
        except OSError as error:
            raise CommandError(f"{options['input']}: {error.strerror}", returncode=2) from error
        refused = False
        with source:
            for answer in batch.answers(source):
                refused = refused or "error" in answer
                self.stdout.write(json.dumps(answer, ensure_ascii=False))
                if options["progress"] and answer["line"] % 100_000 == 0:
                    self.stderr.write(f"{answer['line']}")
        return refused

    def _one(self, batch: Batch, options: dict[str, Any]) -> bool:
        if not options["rule"]:
            raise CommandError("Give --batch, or --rule with --period, --cut-off or --event.", returncode=2)
        asked: dict[str, Any] = {"rule": _rule(options["rule"]), "debtor_kind": options["debtor_kind"]}
        if options["period"]:
            family, _slash, label = options["period"].partition("/")
            asked["period"] = {"family": family, "label": label}
        if options["cut_off"]:
            asked["cut_off"] = options["cut_off"]
        if options["event"]:
            asked["event_at"] = options["event"]
        answer = batch.answer(json.dumps(asked))
        if options["json"]:
            self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1))
            return "error" in answer
        with translation.override("vi"):
            for line in _said(answer):
                self.stdout.write(line)
        return "error" in answer

    def _days_off(self, year: int, *, as_json: bool) -> None:
        calendar = national_calendar()
        if not calendar.first.year <= year <= calendar.last.year:
            raise CommandError(f"{year}: {calendar.first.year} … {calendar.last.year}", returncode=1)
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
    except ValueError:
        pass
    inside = text.strip().removeprefix("{").removesuffix("}")
    try:
        return tomllib.loads(f"rule = {{{inside}}}")["rule"]
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f'--rule: {error}. Write: type="after", amount=2, unit="working_days"', returncode=2) from error


def _said(answer: dict[str, Any]) -> Iterator[str]:
    if "error" in answer:
        yield f"{answer['error']['message']} {answer['error']['hint']}"
        return
    for step in queries.shown_steps(answer.get("steps", ())):
        clause = f" ({step.clause})" if step.clause else ""
        yield f"{step.number}. {step.text}{clause}"
        for on, name in step.skipped:
            yield f"     {on:%d/%m/%Y}  {name}"
    last: date = date.fromisoformat(answer["last_day"])
    yield f"= {last:%d/%m/%Y}  {answer['due_at']}"
