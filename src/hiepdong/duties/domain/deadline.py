"""The deadline engine: a rule, a trigger and a calendar in; the due moment and its explanation out.

Everything is an argument: no clock, no database. What the law leaves open (what happens on a day off, which tier) is a
field of the rule. The due moment is the first instant that is too late: a duty due on a local day D may be fulfilled
until the last instant of D in Viet Nam, so `due_at` is 00:00 of D+1, given in UTC.

Source of the counting: the day of the trigger is not counted (Civil Code 2015 art. 147 cl. 2); the rules of the
reporting regime are those of Decree 09/2019/NĐ-CP art. 8, 12, 13. The clause behind a step is data of the rule.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.moments import local_day

from .calendar import Calendar, CalendarNotVerified, CalendarTooShort, DayOff

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
ON_DAY_OFF = ("stay", "previous", "next")
UNITS = ("hours", "days", "working_days", "weeks")
TYPES = ("day_of_period_end_month", "day_of_month_after", "after", "date")
BOUNDS = ("day", "days", "working_days")
LONGEST_SHOWN = 80
FIELDS = frozenset(
    [
        "type",
        "day",
        "amount",
        "unit",
        "on_day_off",
        "earliest",
        "latest",
        "earliest_working_days",
        "latest_day",
        "clause",
    ]
)


class BadDeadline(DomainError):
    """The deadline rule cannot be read."""

    code = "duties.bad_deadline"
    message = gettext_noop("The deadline rule cannot be read at %(path)s: found %(found)s.")
    hint = gettext_noop("Accepted here: %(accepted)s.")

    @property
    def accepted(self) -> str:
        """The accepted form, for the list of problems of a regulation file."""
        return str(self.facts["accepted"])


@dataclass(frozen=True, slots=True)
class Bound:
    """The earliest or latest day: `day` of the month the count leads to, or (`working_`)`days` after the cut-off."""

    kind: str
    amount: int

    def on(self, start: date, counted: date, calendar: Calendar) -> date:
        """Return the day that the bound names, for a cut-off and the day the count itself led to."""
        if self.kind == "working_days":
            return calendar.add_working_days(start, self.amount)
        return _day_in(counted.year, counted.month, self.amount) if self.kind == "day" else start + self.amount * DAY


@dataclass(frozen=True, slots=True)
class Deadline:
    """One deadline rule, as data.

    Args:
        type: one of TYPES. `day_of_period_end_month`: day `day` of the month in which the period ends;
            `day_of_month_after`: the same in the following month; `after`: `amount` of `unit` after the cut-off or
            the event; `date`: the day of the occasion itself.
        day: 1 to 31; a day the month lacks means its last day.
        amount, unit: length of the count; hours run from the instant, the others from the local day, not counting it.
        on_day_off: what happens when the day found is off: stay, previous or next working day.
        earliest: it may not be due before this day (R-DL-03: at least one working day after the cut-off).
        latest: it may not be due after this day (ignored where it is not after the cut-off). Where both cannot hold,
            `earliest` wins.
        clause: the clause of the regulation behind the count.
    """

    type: str
    day: int = 0
    amount: int = 0
    unit: str = ""
    on_day_off: str = "stay"
    earliest: Bound | None = None
    latest: Bound | None = None
    clause: str = ""

    @property
    def counts_hours(self) -> bool:
        """Say whether the count runs from an instant and not from a day."""
        return self.unit == "hours"


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    """The deadline of a duty: the common one and the ones of single tiers (by kind of debtor, R-DL-04)."""

    common: Deadline
    tiers: Mapping[str, Deadline]

    def for_tier(self, tier: str) -> Deadline:
        """Return the deadline for a kind of debtor."""
        return self.tiers.get(tier, self.common) if self.tiers else self.common


class Step(NamedTuple):
    """One step of the explanation: an English message with facts (dates ISO), its clause, the day, what was skipped."""

    message: str
    facts: Mapping[str, Any]
    clause: str
    result: str
    skipped: tuple[DayOff, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the step as JSON facts."""
        return {
            "message": self.message,
            "facts": dict(self.facts),
            "clause": self.clause,
            "result": self.result,
            "skipped": [{"on": d.on.isoformat(), "name": d.name} for d in self.skipped],
        }


class DueMoment(NamedTuple):
    """The result: `due_at` is the first instant (UTC) that is too late; `last_day` the last local day on time."""

    due_at: datetime
    last_day: date
    provisional: bool
    steps: tuple[Step, ...] = ()


# --- reading a rule --------------------------------------------------------------------------------------------------


def clipped(value: object) -> str:
    """Return a value as an error shows it: short, whatever it is."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def read_deadline(spec: Mapping[str, Any], *, clause: str = "", path: str = "deadline") -> DeadlineRule:
    """Return the rule from the `deadline` table of a duty.

    Raises:
        BadDeadline: names the path, what was found and what is accepted.
    """
    tiers = spec.get("tiers") or {}
    if not isinstance(tiers, Mapping):
        raise BadDeadline(path=f"{path}.tiers", found=clipped(tiers), accepted="{kind = {…}}")
    common = {k: v for k, v in spec.items() if k != "tiers"}
    read = {}
    for kind, own in tiers.items():
        if not isinstance(own, Mapping):
            raise BadDeadline(path=f"{path}.tiers.{str(kind)[:LONGEST_SHOWN]}", found=clipped(own), accepted="{type = …}")
        read[kind] = _read_one({**common, **own}, clause, f"{path}.tiers.{kind}")
    return DeadlineRule(_read_one(common, clause, path), read)


def _read_one(spec: Mapping[str, Any], clause: str, path: str) -> Deadline:
    unknown = sorted(set(spec) - FIELDS, key=str)
    if unknown:
        raise BadDeadline(
            path=f"{path}.{str(unknown[0])[:LONGEST_SHOWN]}",
            found=clipped(spec[unknown[0]]),
            accepted=", ".join(sorted(FIELDS)),
        )
    kind = spec.get("type")
    if kind not in TYPES:
        raise BadDeadline(path=f"{path}.type", found=clipped(kind), accepted=", ".join(TYPES))
    day, amount, unit = spec.get("day", 0), spec.get("amount", 0), spec.get("unit", "")
    if kind.startswith("day_of") and not _whole(day, 1, 31):
        raise BadDeadline(path=f"{path}.day", found=clipped(day), accepted="1 … 31")
    if kind == "after":
        if unit not in UNITS:
            raise BadDeadline(path=f"{path}.unit", found=clipped(unit), accepted=", ".join(UNITS))
        least = 0 if unit == "days" else 1
        if not _whole(amount, least, 10_000):
            raise BadDeadline(path=f"{path}.amount", found=clipped(amount), accepted=f"{least} … 10000")
    policy = spec.get("on_day_off", "stay")
    if policy not in ON_DAY_OFF:
        raise BadDeadline(path=f"{path}.on_day_off", found=clipped(policy), accepted=", ".join(ON_DAY_OFF))
    least_days, latest_day = spec.get("earliest_working_days", 0), spec.get("latest_day", 0)
    if not _whole(least_days, 0, 10_000):
        raise BadDeadline(path=f"{path}.earliest_working_days", found=clipped(least_days), accepted="0 … 10000")
    if not _whole(latest_day, 0, 31):
        raise BadDeadline(path=f"{path}.latest_day", found=clipped(latest_day), accepted="0 … 31")
    bounds = {name: _read_bound(spec.get(name), f"{path}.{name}") for name in ("earliest", "latest")}
    if least_days:  # the short forms of a regulation file
        bounds["earliest"] = Bound("working_days", least_days)
    if latest_day:
        bounds["latest"] = Bound("day", latest_day)
    if not isinstance(spec.get("clause", clause), str):
        raise BadDeadline(path=f"{path}.clause", found=clipped(spec["clause"]), accepted='"…"')
    if unit == "hours" and (policy != "stay" or any(bounds.values())):
        raise BadDeadline(path=path, found="unit = hours", accepted='on_day_off = "stay", no earliest, no latest')
    return Deadline(kind, day, amount, unit if kind == "after" else "", policy, clause=spec.get("clause", clause), **bounds)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _read_bound(value: Any, path: str) -> Bound | None:
    if value is None:
        return None
    accepted = "{working_days = 1}, {days = 3}, {day = 20}"
    if not isinstance(value, Mapping) or len(value) != 1:
        raise BadDeadline(path=path, found=clipped(value), accepted=accepted)
    ((kind, amount),) = value.items()
    if kind not in BOUNDS or not _whole(amount, 1, 31 if kind == "day" else 10_000):
        raise BadDeadline(path=f"{path}.{str(kind)[:LONGEST_SHOWN]}", found=clipped(amount), accepted=accepted)
    return Bound(kind, amount)


# --- counting --------------------------------------------------------------------------------------------------------


def _day_in(year: int, month: int, day: int) -> date:
    return date(year, month, day if day <= 28 else min(day, monthrange(year, month)[1]))


def _month_after(on: date) -> tuple[int, int]:
    return (on.year + 1, 1) if on.month == 12 else (on.year, on.month + 1)


def _counted(rule: Deadline, start: date, calendar: Calendar) -> date:
    """Return the day the count itself leads to, before bounds and days off."""
    kind = rule.type
    if kind == "after":
        if rule.unit == "working_days":
            return calendar.add_working_days(start, rule.amount)
        return start + timedelta(days=rule.amount if rule.unit == "days" else 7 * rule.amount)
    if kind == "day_of_period_end_month":
        return _day_in(start.year, start.month, rule.day)
    return _day_in(*_month_after(start), rule.day) if kind == "day_of_month_after" else start


def _limits(rule: Deadline, start: date, on: date, calendar: Calendar) -> tuple[date, date]:
    """Return the earliest and the latest day allowed, for the day the count led to."""
    earliest = rule.earliest.on(start, on, calendar) if rule.earliest is not None else date.min
    latest = rule.latest.on(start, on, calendar) if rule.latest is not None else date.max
    return earliest, max(latest, earliest) if latest > start else date.max


def _moved(policy: str, on: date, limits: tuple[date, date], calendar: Calendar) -> date:
    """Return the day after the policy for days off; it leaves the limits only if no working day lies inside them."""
    if calendar.is_working(on):
        return on
    after, before = calendar.at_or_after(on), calendar.at_or_before(on)
    if policy == "next":
        return after if after <= limits[1] or before < limits[0] else before
    return before if before >= limits[0] or after > limits[1] else after


def _last_day(rule: Deadline, start: date, calendar: Calendar) -> tuple[date, bool]:
    """Return the last local day on time and whether it rests on days off that are in doubt."""
    plain = rule.earliest is None and rule.latest is None
    if plain and rule.unit == "working_days":
        return calendar.counted(start, rule.amount)
    on = _counted(rule, start, calendar)
    if plain:
        if rule.on_day_off == "stay":
            return on, False  # fixed days and plain counts need no calendar at all
        last = _moved(rule.on_day_off, on, (date.min, date.max), calendar)
        return last, not calendar.is_verified(min(on, last), max(on, last))
    limits = _limits(rule, start, on, calendar)
    bounded = max(limits[0], min(on, limits[1]))
    last = bounded if rule.on_day_off == "stay" else _moved(rule.on_day_off, bounded, limits, calendar)
    counts = "working_days" in {rule.unit, rule.earliest and rule.earliest.kind, rule.latest and rule.latest.kind}
    if not counts and rule.on_day_off == "stay":
        return last, False
    touched = (start, on, bounded, last) if counts else (bounded, last)
    return last, not calendar.is_verified(min(touched), max(touched))


def due_moment(
    rule: DeadlineRule,
    *,
    calendar: Calendar,
    cut_off: date | None = None,
    event_at: datetime | None = None,
    tier: str = "",
    label: str = "",
    first: date | None = None,
    explain: bool = True,
    accept_provisional: bool = True,
) -> DueMoment:
    """Return the due moment of one duty.

    Exactly one of `cut_off` (last local day of the period, or the day of the occasion) and `event_at` (aware instant
    of the event) is given.

    Args:
        rule: from `read_deadline`.
        calendar: days off, far enough.
        tier: kind of the debtor, where the rule has tiers.
        label, first: label and first day of the period; only for the explanation.
        explain: whether the steps are wanted; without them the result is the same and cheaper.
        accept_provisional: False refuses a result that rests on days off in doubt.

    Raises:
        CalendarTooShort: the count leaves the calendar.
        CalendarNotVerified: it rests on days in doubt and a provisional result is not accepted.

    >>> tet = Calendar(date(2026, 1, 1), date(2026, 12, 31), {date(2026, 2, d): "Tết" for d in range(16, 21)})
    >>> rule = read_deadline({"type": "after", "amount": 2, "unit": "working_days"})
    >>> due_moment(rule, calendar=tet, cut_off=date(2026, 2, 14)).last_day
    datetime.date(2026, 2, 24)
    """
    deadline = rule.for_tier(tier)
    if event_at is not None:
        if cut_off is not None or event_at.tzinfo is None:
            raise ValueError("give either cut_off or an aware event_at")
        start = local_day(event_at)
    elif cut_off is not None:
        start = cut_off
    else:
        raise ValueError("give either cut_off or event_at")
    provisional = False
    if deadline.unit == "hours":
        begin = calendar.end_of(start) if event_at is None else event_at.astimezone(UTC)
        due_at = begin + timedelta(hours=deadline.amount)
        last = local_day(due_at - TICK)
    else:
        last, provisional = _last_day(deadline, start, calendar)
        due_at = calendar.end_of(last)
    if provisional and not accept_provisional:
        raise CalendarNotVerified(first=start.isoformat(), last=last.isoformat())
    found = DueMoment(due_at, last, provisional)
    if not explain:
        return found
    steps = _steps(deadline=deadline, start=start, event_at=event_at, found=found, calendar=calendar, label=label, first=first)
    return found._replace(steps=steps)


# --- explaining ------------------------------------------------------------------------------------------------------


def _steps(
    *,
    deadline: Deadline,
    start: date,
    event_at: datetime | None,
    found: DueMoment,
    calendar: Calendar,
    label: str,
    first: date | None,
) -> tuple[Step, ...]:
    due_at, last = found.due_at, found.last_day
    steps = [_start_step(deadline, start, event_at, label, first)]
    if deadline.counts_hours:
        text = gettext_noop("%(amount)s hours are counted from that instant, days off included.")
        steps.append(Step(text, {"amount": deadline.amount}, deadline.clause, due_at.isoformat()))
    else:
        _day_steps(steps, deadline, start, last, calendar)
    if found.provisional:
        text = gettext_noop("Some days off in this count are not verified: the result is provisional.")
        steps.append(Step(text, {}, "", last.isoformat()))
    if deadline.counts_hours:
        text = gettext_noop("On time before %(due_at)s (Viet Nam time); from that instant on it is late.")
        facts: dict[str, Any] = {"due_at": due_at.isoformat()}
    else:
        text = gettext_noop("On time until the end of %(last)s (Viet Nam time); from %(due_at)s on it is late.")
        facts = {"last": last.isoformat(), "due_at": due_at.isoformat()}
    steps.append(Step(text, facts, deadline.clause, due_at.isoformat()))
    return tuple(steps)


def _start_step(rule: Deadline, start: date, event_at: datetime | None, label: str, first: date | None) -> Step:
    iso = start.isoformat()
    if event_at is not None:
        text = gettext_noop("The count starts from the event at %(event_at)s.")
        moment = event_at.astimezone(UTC).isoformat()
        return Step(text, {"event_at": moment}, rule.clause, moment)
    if first is not None and first != start:
        text = gettext_noop("The period %(label)s runs from %(first)s to %(last)s; the cut-off is its last day.")
        return Step(text, {"label": label, "first": first.isoformat(), "last": iso}, rule.clause, iso)
    if rule.type == "date":
        return Step(gettext_noop("The day is fixed: %(on)s."), {"on": iso}, rule.clause, iso)
    return Step(gettext_noop("The count starts from %(on)s."), {"on": iso}, rule.clause, iso)


_COUNT_TEXTS = {
    "working_days": gettext_noop("%(amount)s working days are counted; the day %(start)s itself is not counted."),
    "days": gettext_noop("%(amount)s days are counted; the day %(start)s itself is not counted."),
    "weeks": gettext_noop("%(amount)s weeks are counted; the day %(start)s itself is not counted."),
    "day_of_period_end_month": gettext_noop("The deadline is day %(day)s of the month in which the period ends."),
    "day_of_month_after": gettext_noop("The deadline is day %(day)s of the month after the period."),
}


def _day_steps(steps: list[Step], rule: Deadline, start: date, last: date, calendar: Calendar) -> None:
    """Append how the last day was found; the arithmetic is that of `_last_day`, said in words."""
    clause = rule.clause
    on = _counted(rule, start, calendar)
    if rule.type == "after":
        facts: dict[str, Any] = {"amount": rule.amount, "start": start.isoformat()}
        skipped = calendar.days_off(start + DAY, on) if rule.unit == "working_days" else ()
        steps.append(Step(_COUNT_TEXTS[rule.unit], facts, clause, on.isoformat(), skipped))
    elif rule.type != "date":
        steps.append(Step(_COUNT_TEXTS[rule.type], {"day": rule.day}, clause, on.isoformat()))
    limits = _limits(rule, start, on, calendar)
    bounded = max(limits[0], min(on, limits[1]))
    if bounded != on:
        later = bounded > on
        bound = rule.earliest if later else rule.latest
        text = gettext_noop("The rule does not let it fall later than %(on)s.")
        if later:
            text = gettext_noop("The rule does not let it fall earlier than %(on)s.")
        counted = bound is not None and bound.kind == "working_days"
        skipped = calendar.days_off(start + DAY, bounded) if counted else ()
        steps.append(Step(text, {"on": bounded.isoformat()}, clause, bounded.isoformat(), skipped))
    name = _name_if_known(calendar, bounded)
    if not name:
        return
    facts = {"on": bounded.isoformat()}
    if last == bounded:
        text = gettext_noop("%(on)s is a day off; this rule leaves the deadline there.")
        skipped = (DayOff(bounded, name),)
    elif last > bounded:
        text = gettext_noop("%(on)s is a day off; the deadline moves to the next working day.")
        skipped = calendar.days_off(bounded, last)
    else:
        text = gettext_noop("%(on)s is a day off; the deadline moves back to the working day before.")
        skipped = calendar.days_off(last, bounded)
    steps.append(Step(text, facts, clause, last.isoformat(), skipped))


def _name_if_known(calendar: Calendar, on: date) -> str:
    try:
        return calendar.name_of(on)
    except CalendarTooShort:
        return ""
