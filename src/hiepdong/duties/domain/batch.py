"""Due moments for machines: one JSON object in, one out. The format is docs/reference/deadline-batch.md."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from hiepdong.kernel.errors import DomainError, gettext_noop

from .calendar import Calendar, DayOff, calendar_of
from .deadline import DeadlineRule, due_moment, read_deadline
from .occasions import families_of, occasion_labelled

FORMAT = "hiepdong.deadline/1"
KEYS = frozenset(["id", "rule", "cut_off", "period", "event_at", "debtor_kind", "calendar", "explain", "accept_provisional"])
REMEMBERED = 256  # rules and calendars seen lately; the memory does not grow with the number of lines


class BadLine(DomainError):
    """A line of the batch cannot be read."""

    code = "duties.bad_batch_line"
    message = gettext_noop("The line cannot be read at %(path)s: found %(found)s.")
    hint = gettext_noop("Accepted here: %(accepted)s.")


class Batch:
    """Answers lines one by one, remembering only the rules and calendars seen lately.

    Args:
        national: the calendar of lines that name none, or "vn".
        explain: whether steps are given where a line does not say.
    """

    def __init__(self, national: Calendar, *, explain: bool = True) -> None:
        self.national = national
        self.explain = explain
        self._rules: dict[str, DeadlineRule] = {}
        self._calendars: dict[str, Calendar] = {}

    def answers(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield one answer per line that is not empty, in order: a due moment or an error, with the line's number."""
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield {"line": number} | self.answer(line)

    def answer(self, line: str) -> dict[str, Any]:
        """Return the answer to one line; it never raises."""
        known: dict[str, Any] = {}
        try:
            asked = _object(line)
            known = {"id": asked["id"]} if "id" in asked else {}
            return known | self._due(asked)
        except DomainError as error:
            hint = error.hint % error.facts if error.facts else error.hint
            return known | {"error": {"code": error.code, "message": str(error), "hint": hint}}

    def _due(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(asked) - KEYS)
        if unknown:
            raise BadLine(path=unknown[0], found=repr(asked[unknown[0]]), accepted=", ".join(sorted(KEYS)))
        starts = [k for k in ("cut_off", "period", "event_at") if k in asked]
        if len(starts) != 1:
            raise BadLine(path="cut_off", found=", ".join(starts) or "-", accepted="cut_off | period | event_at")
        table = _table(asked.get("rule"), "rule")
        rule = _remembered(self._rules, table, lambda: read_deadline(table, path="rule"))
        start: dict[str, Any] = {}
        if "event_at" in asked:
            start["event_at"] = _moment(asked["event_at"], "event_at")
        elif "cut_off" in asked:
            start["cut_off"] = _day(asked["cut_off"], "cut_off")
        else:
            period = _table(asked["period"], "period")
            own = families_of([period] if "ends" in period else [])
            trigger = {"type": "period", "family": str(period.get("family", period.get("key", "")))}
            occasion = occasion_labelled(trigger, own, str(period.get("label", "")))
            if occasion is None:
                raise BadLine(path="period.label", found=repr(period.get("label")), accepted='"2026-02", "2026-Q1", …')
            start |= {"cut_off": occasion.last, "first": occasion.first, "label": occasion.label}
        due = due_moment(
            rule,
            calendar=self._calendar(asked.get("calendar", "vn")),
            tier=str(asked.get("debtor_kind", "")),
            explain=bool(asked.get("explain", self.explain)),
            accept_provisional=bool(asked.get("accept_provisional", True)),
            **start,
        )
        answer: dict[str, Any] = {
            "due_at": due.due_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "last_day": due.last_day.isoformat(),
            "provisional": due.provisional,
        }
        if due.steps:
            answer["steps"] = [step.as_dict() for step in due.steps]
        return answer

    def _calendar(self, asked: Any) -> Calendar:
        if asked == "vn":
            return self.national
        table = _table(asked, "calendar")
        found: Calendar = _remembered(self._calendars, table, lambda: _read_calendar(table))
        return found


def _object(line: str) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except ValueError as error:
        raise BadLine(path="JSON", found=str(error), accepted='{"rule": {…}, "cut_off": "2026-02-14"}') from error
    return _table(asked, "JSON")


def _remembered(store: dict[str, Any], table: Mapping[str, Any], make: Any) -> Any:
    key = json.dumps(table, sort_keys=True)
    if key not in store:
        if len(store) >= REMEMBERED:
            store.clear()
        store[key] = make()
    return store[key]


def _read_calendar(table: Mapping[str, Any]) -> Calendar:
    off = [_table(d, f"calendar.days_off[{i}]") for i, d in enumerate(_list(table.get("days_off", []), "days_off"), 1)]
    return calendar_of(
        [DayOff(_day(d.get("on"), "calendar.days_off.on"), str(d.get("name", ""))) for d in off],
        first=_day(table.get("first"), "calendar.first"),
        last=_day(table.get("last"), "calendar.last"),
        working=[_day(d, "calendar.working") for d in _list(table.get("working", []), "working")],
    )


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadLine(path=f"calendar.{name}", found=repr(value), accepted="[…]")
    return value


def _table(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadLine(path=path, found=repr(value), accepted="{…}")
    return value


def _day(value: Any, path: str) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadLine(path=path, found=repr(value), accepted='"2026-02-14"') from error


def _moment(value: Any, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadLine(path=path, found=repr(value), accepted='"2026-02-13T09:00+07:00"') from error
    if moment.tzinfo is None:
        raise BadLine(path=path, found=repr(value), accepted='"2026-02-13T09:00+07:00"')
    return moment
