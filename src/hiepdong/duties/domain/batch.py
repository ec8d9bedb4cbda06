"""Due moments for machines: one JSON object in, one out. The format is docs/reference/deadline-batch.md."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any

from hiepdong.kernel.declared import FIRST_YEAR, LAST_YEAR
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.organisations.domain.kinds import ORGANISATION_KINDS

from .calendar import Calendar, DayOff, calendar_of
from .deadline import DeadlineRule, clipped, due_moment, read_deadline
from .occasions import Occasion, families_of, occasion_labelled
from .periods import Family

FORMAT = "hiepdong.deadline/1"
KEYS = frozenset(["id", "rule", "cut_off", "period", "event_at", "debtor_kind", "calendar", "explain", "accept_provisional"])
PERIOD_KEYS = frozenset(["family", "label", "key", "ends", "names"])
CALENDAR_KEYS = frozenset(["first", "last", "days_off", "working"])
REMEMBERED = 256  # rules seen lately; the memory does not grow with the number of lines
CALENDARS = 16  # the same for calendars, which are larger
DEEPEST = 32
A_DAY = f'"2026-02-14", year {FIRST_YEAR} to {LAST_YEAR}'
A_MOMENT = f'"2026-02-13T09:00+07:00", year {FIRST_YEAR} to {LAST_YEAR}'


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
        """Return the answer to one line, always as strict JSON in UTF-8; it never raises."""
        known: dict[str, Any] = {}
        try:
            asked = _object(line)
            known = {"id": asked["id"]} if "id" in asked else {}
            return known | self.due(asked)
        except DomainError as error:
            hint = error.hint % error.facts if error.facts else error.hint
            return known | {"error": {"code": error.code, "message": str(error), "hint": hint}}

    def due(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the due moment of one question.

        Raises:
            DomainError: it cannot be read, or cannot be counted.
        """
        _only(asked, KEYS, "")
        starts = [k for k in ("cut_off", "period", "event_at") if k in asked]
        if len(starts) != 1:
            raise BadLine(path="cut_off", found=", ".join(starts) or "-", accepted="cut_off | period | event_at")
        table = _table(asked.get("rule"), "rule")
        rule = _remembered(self._rules, table, lambda: read_deadline(table, path="rule"), REMEMBERED)
        tier = _text(asked.get("debtor_kind", ""), "debtor_kind")
        if tier and tier not in rule.tiers and tier not in ORGANISATION_KINDS:
            raise BadLine(path="debtor_kind", found=clipped(tier), accepted=", ".join(ORGANISATION_KINDS))
        start: dict[str, Any] = {}
        if "event_at" in asked:
            start["event_at"] = _moment(asked["event_at"], "event_at")
            if (kind := rule.for_tier(tier).type) != "after":  # a day of the month may lie before the event
                raise BadLine(path="rule.type", found=kind, accepted="after, where event_at is given")
        elif "cut_off" in asked:
            start["cut_off"] = _day(asked["cut_off"], "cut_off")
        else:
            occasion = _occasion(_table(asked["period"], "period"))
            start |= {"cut_off": occasion.last, "first": occasion.first, "label": occasion.label}
        due = due_moment(
            rule,
            calendar=self._calendar(asked.get("calendar", "vn")),
            tier=tier,
            explain=_flag(asked.get("explain", self.explain), "explain"),
            accept_provisional=_flag(asked.get("accept_provisional", True), "accept_provisional"),
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
        if not isinstance(asked, dict):
            raise BadLine(
                path="calendar", found=clipped(asked), accepted='"vn" | {"first": "2026-01-01", "last": "2026-12-31", …}'
            )
        found: Calendar = _remembered(self._calendars, asked, lambda: _read_calendar(asked), CALENDARS)
        return found


# --- reading one line ------------------------------------------------------------------------------------------------


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [k for k, _ in pairs]
        raise BadLine(path=clipped(next(k for k in keys if keys.count(k) > 1)), found="twice", accepted="each key once")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:40]} is no number of JSON")
    return number


_READER = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_finite, parse_constant=_finite)


def _object(line: str) -> dict[str, Any]:
    accepted = '{"rule": {…}, "cut_off": "2026-02-14"}'
    try:
        asked = _READER.decode(line)
    except ValueError as error:
        raise BadLine(path="JSON", found=str(error)[:200], accepted=accepted) from error
    except RecursionError:
        raise BadLine(path="JSON", found="…", accepted=f"at most {DEEPEST} levels") from None
    if line.count("{") + line.count("[") > DEEPEST and _deeper_than(asked, DEEPEST):
        raise BadLine(path="JSON", found="…", accepted=f"at most {DEEPEST} levels")
    try:
        line.encode()  # bytes that are no UTF-8 arrive as halves of pairs, and so may escapes
        if "\\ud" in line.lower():
            json.dumps(asked, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadLine(path="UTF-8", found=repr(error.object[error.start : error.start + 1]), accepted="text in UTF-8") from None
    if not isinstance(asked, dict):
        raise BadLine(path="JSON", found=clipped(asked), accepted=accepted)
    return asked


def _deeper_than(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [x for v in level if isinstance(v, dict | list) for x in (v.values() if isinstance(v, dict) else v)]
    return any(isinstance(v, dict | list) for v in level)


def _remembered(store: dict[str, Any], table: Mapping[str, Any], make: Any, most: int) -> Any:
    key = json.dumps(table, sort_keys=True)
    if key not in store:
        if len(store) >= most:
            store.clear()
        store[key] = make()
    return store[key]


def _occasion(period: dict[str, Any]) -> Occasion:
    _only(period, PERIOD_KEYS, "period.")
    label = _text(period.get("label", ""), "period.label")
    key = _text(period.get("family", period.get("key", "")), "period.family")
    own: dict[str, Family] = {}
    if "ends" in period:
        ends, names = (
            [_text(x, f"period.{k}[{i}]") for i, x in enumerate(_list(period.get(k, []), f"period.{k}"), 1)]
            for k in ("ends", "names")
        )
        own = families_of([{"key": key, "ends": ends, "names": names}])
    occasion = occasion_labelled({"type": "period", "family": key}, own, label)
    if occasion is None or not FIRST_YEAR <= occasion.last.year <= LAST_YEAR:
        example = f'"2026-02", "2026-Q1", …, year {FIRST_YEAR} to {LAST_YEAR}'
        raise BadLine(path="period.label", found=clipped(label), accepted=example)
    return occasion


def _read_calendar(table: dict[str, Any]) -> Calendar:
    _only(table, CALENDAR_KEYS, "calendar.")
    first, last = (_day(table.get(k), f"calendar.{k}") for k in ("first", "last"))
    if last < first:
        raise BadLine(path="calendar.last", found=last.isoformat(), accepted=f"{first.isoformat()} or later")
    off = []
    for i, row in enumerate(_list(table.get("days_off", []), "calendar.days_off"), 1):
        path = f"calendar.days_off[{i}]"
        _only(_table(row, path), frozenset(["on", "name"]), f"{path}.")
        off.append(DayOff(_day(row.get("on"), f"{path}.on"), _text(row.get("name", ""), f"{path}.name")))
    worked = _list(table.get("working", []), "calendar.working")
    working = [_day(d, f"calendar.working[{i}]") for i, d in enumerate(worked, 1)]
    return calendar_of(off, first=first, last=last, working=working)


def _only(table: Mapping[str, Any], keys: frozenset[str], path: str) -> None:
    unknown = sorted(set(table) - keys)
    if unknown:
        found = clipped(table[unknown[0]])
        raise BadLine(path=path + clipped(unknown[0]).strip("'"), found=found, accepted=", ".join(sorted(keys)))


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadLine(path=path, found=clipped(value), accepted="[…]")
    return value


def _table(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadLine(path=path, found=clipped(value), accepted="{…}")
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise BadLine(path=path, found=clipped(value), accepted='"…"')
    return value


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise BadLine(path=path, found=clipped(value), accepted="true, false")
    return value


def _day(value: Any, path: str) -> date:
    try:
        day = date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadLine(path=path, found=clipped(value), accepted=A_DAY) from error
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise BadLine(path=path, found=clipped(value), accepted=A_DAY)
    return day


def _moment(value: Any, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadLine(path=path, found=clipped(value), accepted=A_MOMENT) from error
    if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise BadLine(path=path, found=clipped(value), accepted=A_MOMENT)
    return moment
