"""The deadline engine: a rule, a trigger and a calendar in; the due moment and its explanation out.

Everything is an argument: no clock, no database. What the law leaves open (what happens on a day off, which tier) is a
field of the rule. The due moment is the first instant that is too late: a duty due on a local day D may be fulfilled
until the last instant of D in Viet Nam, so `due_at` is 00:00 of D+1, given in UTC.

Source of the counting: the day of the trigger is not counted (Civil Code 2015 art. 147 cl. 2); the rules of the
reporting regime are those of Decree 09/2019/NĐ-CP art. 8, 12, 13. Which clause stands behind a step is data of the rule.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.moments import at_local, local_day

from .calendar import Calendar, CalendarNotVerified, CalendarTooShort, DayOff

DAY = timedelta(days=1)
ON_DAY_OFF = ("stay", "previous", "next")
UNITS = ("hours", "days", "working_days", "weeks")
TYPES = ("day_of_period_end_month", "day_of_month_after", "after", "date")


class BadDeadline(DomainError):
    """The deadline rule cannot be read."""

    code = "duties.bad_deadline"
    message = gettext_noop("The deadline rule cannot be read at %(path)s: found %(found)s.")
    hint = gettext_noop("Accepted here: %(accepted)s.")


@dataclass(frozen=True, slots=True)
class Deadline:
    """One deadline rule, as data.

    Args:
        type: one of TYPES. `day_of_period_end_month`: day `day` of the month in which the period ends;
            `day_of_month_after`: the same in the following month; `after`: `amount` of `unit` after the cut-off or
            the event; `date`: the day of the occasion itself.
        day: 1 to 31; 31 and any day the month lacks mean the last day of the month.
        amount, unit: length of the count; hours run from the instant, the others from the local day.
        on_day_off: what happens when the day found is off: stay, previous or next working day.
        earliest_working_days: the day is moved on to at least so many working days after the cut-off (R-DL-03).
        latest_day: the day of the month after which it may not fall, 0 for none (ignored when not after the cut-off).
        clause: the clause of the regulation behind the count.
    """

    type: str
    day: int = 0
    amount: int = 0
    unit: str = "days"
    on_day_off: str = "stay"
    earliest_working_days: int = 0
    latest_day: int = 0
    clause: str = ""


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    """The deadline of a duty: the common one and the ones of single tiers (by kind of debtor)."""

    common: Deadline
    tiers: Mapping[str, Deadline]

    def for_tier(self, tier: str) -> Deadline:
        """Return the deadline for a kind of debtor."""
        return self.tiers.get(tier, self.common)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the explanation: an English message with facts (dates ISO), its clause, where it led, what it skipped."""

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


@dataclass(frozen=True, slots=True)
class DueMoment:
    """The result: `due_at` is the first instant (UTC) that is too late; `last_day` the local day it still is on time."""

    due_at: datetime
    last_day: date
    provisional: bool
    steps: tuple[Step, ...] = ()


def read_deadline(spec: Mapping[str, Any], *, clause: str = "", path: str = "deadline") -> DeadlineRule:
    """Return the rule from the `deadline` table of a duty's spec.

    Raises:
        BadDeadline: names the path, what was found and what is accepted.
    """
    tiers = {k: _read_one({**spec, **v}, clause, f"{path}.tiers.{k}") for k, v in spec.get("tiers", {}).items()}
    return DeadlineRule(_read_one(spec, clause, path), tiers)


def _read_one(spec: Mapping[str, Any], clause: str, path: str) -> Deadline:
    kind = spec.get("type")
    if kind not in TYPES:
        raise BadDeadline(path=f"{path}.type", found=repr(kind), accepted=", ".join(TYPES))
    day, amount, unit = spec.get("day", 0), spec.get("amount", 0), spec.get("unit", "days")
    if kind.startswith("day_of") and not (isinstance(day, int) and 1 <= day <= 31):
        raise BadDeadline(path=f"{path}.day", found=repr(day), accepted="1 … 31")
    if kind == "after" and unit not in UNITS:
        raise BadDeadline(path=f"{path}.unit", found=repr(unit), accepted=", ".join(UNITS))
    least = 0 if unit in {"hours", "days"} else 1
    if kind == "after" and not (isinstance(amount, int) and not isinstance(amount, bool) and amount >= least):
        raise BadDeadline(path=f"{path}.amount", found=repr(amount), accepted=f"≥ {least}")
    policy = spec.get("on_day_off", "stay")
    if policy not in ON_DAY_OFF:
        raise BadDeadline(path=f"{path}.on_day_off", found=repr(policy), accepted=", ".join(ON_DAY_OFF))
    return Deadline(
        kind,
        day,
        amount,
        unit,
        policy,
        int(spec.get("earliest_working_days", 0)),
        int(spec.get("latest_day", 0)),
        str(spec.get("clause", clause)),
    )


def _day_in(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))


def _month_after(on: date) -> tuple[int, int]:
    return (on.year + 1, 1) if on.month == 12 else (on.year, on.month + 1)


def last_day_on_time(rule: Deadline, cut_off: date, calendar: Calendar) -> date:
    """Return the last local day on time; the fast path, without explanation. Not for a count of hours."""
    kind = rule.type
    if kind == "after":
        unit = rule.unit
        if unit == "working_days":
            on = calendar.add_working_days(cut_off, rule.amount)
        elif unit == "days":
            on = cut_off + timedelta(days=rule.amount)
        else:
            on = cut_off + timedelta(weeks=rule.amount)
    elif kind == "day_of_period_end_month":
        on = _day_in(cut_off.year, cut_off.month, rule.day)
    elif kind == "day_of_month_after":
        on = _day_in(*_month_after(cut_off), rule.day)
    else:
        on = cut_off
    if rule.on_day_off == "next":
        on = calendar.at_or_after(on)
    elif rule.on_day_off == "previous":
        on = calendar.at_or_before(on)
    if rule.earliest_working_days:
        on = max(on, calendar.add_working_days(cut_off, rule.earliest_working_days))
    if rule.latest_day and cut_off < (latest := _day_in(on.year, on.month, rule.latest_day)):
        on = min(on, latest)
    return on


def due_moment(
    rule: DeadlineRule,
    *,
    calendar: Calendar,
    cut_off: date | None = None,
    event_at: datetime | None = None,
    tier: str = "",
    period_label: str = "",
    period_first: date | None = None,
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
        period_label, period_first: only for the explanation.
        explain: whether the steps are wanted; without them the result is the same and cheaper.
        accept_provisional: False refuses a result that rests on days not yet decided.

    Raises:
        CalendarTooShort: the count leaves the calendar.
        CalendarNotVerified: it leaves the verified days and a provisional result is not accepted.

    >>> tet = Calendar(date(2026, 1, 1), date(2026, 12, 31), date(2026, 12, 31),
    ...                {date(2026, 2, d): "Tết Nguyên đán" for d in range(16, 21)})
    >>> rule = read_deadline({"type": "after", "amount": 2, "unit": "working_days"})
    >>> due_moment(rule, calendar=tet, cut_off=date(2026, 2, 14)).last_day
    datetime.date(2026, 2, 24)
    """
    if (cut_off is None) == (event_at is None):
        raise ValueError("give either cut_off or event_at")
    deadline = rule.for_tier(tier)
    if event_at is not None:
        if event_at.tzinfo is None:
            raise ValueError("event_at must be aware")
        start = local_day(event_at)
    else:
        assert cut_off is not None
        start = cut_off
    if deadline.type == "after" and deadline.unit == "hours":
        begin = event_at if event_at is not None else at_local(start + DAY)
        due_at = begin.astimezone(UTC) + timedelta(hours=deadline.amount)
        last = local_day(due_at - timedelta(microseconds=1)) if deadline.amount else start
        provisional = False
    else:
        last = last_day_on_time(deadline, start, calendar)
        due_at = at_local(last + DAY)
        provisional = _uses_calendar(deadline) and last > calendar.verified_until
    if provisional and not accept_provisional:
        raise CalendarNotVerified(verified_until=calendar.verified_until, needed=last)
    steps = ()
    if explain:
        steps = tuple(_steps(deadline, start, event_at, last, due_at, calendar, period_label, period_first, provisional))
    return DueMoment(due_at, last, provisional, steps)


def _uses_calendar(rule: Deadline) -> bool:
    return rule.unit == "working_days" or rule.on_day_off != "stay" or rule.earliest_working_days > 0


def _steps(
    rule: Deadline,
    start: date,
    event_at: datetime | None,
    last: date,
    due_at: datetime,
    calendar: Calendar,
    label: str,
    first: date | None,
    provisional: bool,
) -> list[Step]:
    clause = rule.clause
    steps: list[Step] = []
    if event_at is not None:
        text = gettext_noop("The count starts from the event at %(event_at)s.")
        steps.append(Step(text, {"event_at": event_at.isoformat()}, clause, event_at.isoformat()))
    elif rule.type == "date":
        steps.append(Step(gettext_noop("The day is fixed: %(on)s."), {"on": start.isoformat()}, clause, start.isoformat()))
    elif first is not None:
        text = gettext_noop("The period %(label)s runs from %(first)s to %(last)s; the cut-off is its last day.")
        facts = {"label": label, "first": first.isoformat(), "last": start.isoformat()}
        steps.append(Step(text, facts, clause, start.isoformat()))
    else:
        steps.append(Step(gettext_noop("The cut-off is %(on)s."), {"on": start.isoformat()}, clause, start.isoformat()))
    on = _counted_step(rule, start, event_at, due_at, calendar, steps)
    if on is not None:
        _moved_steps(rule, start, on, calendar, steps)
    if provisional:
        text = gettext_noop("The days off after %(until)s are not decided yet: this result is provisional.")
        steps.append(Step(text, {"until": calendar.verified_until.isoformat()}, "", last.isoformat()))
    text = gettext_noop("On time until %(last)s (end of the day, Viet Nam time); from %(due_at)s on it is late.")
    if rule.type == "after" and rule.unit == "hours":
        text = gettext_noop("On time before %(due_at)s (Viet Nam time); from then on it is late.")
    facts = {"last": last.isoformat(), "due_at": due_at.isoformat()}
    steps.append(Step(text, facts, clause, due_at.isoformat()))
    return steps


def _counted_step(
    rule: Deadline, start: date, event_at: datetime | None, due_at: datetime, calendar: Calendar, steps: list[Step]
) -> date | None:
    """Append the step of the count itself; return the day it led to, or None for hours and fixed dates' own day."""
    clause = rule.clause
    if rule.type == "after":
        facts: dict[str, Any] = {"amount": rule.amount, "start": start.isoformat()}
        if rule.unit == "hours":
            text = gettext_noop("%(amount)s hours are counted from that instant, days off included.")
            steps.append(Step(text, facts, clause, due_at.isoformat()))
            return None
        if rule.unit == "working_days":
            on = calendar.add_working_days(start, rule.amount)
            text = gettext_noop("%(amount)s working days are counted; the day %(start)s itself is not counted.")
            skipped = tuple(calendar.days_off(start + DAY, on))
            steps.append(Step(text, facts, clause, on.isoformat(), skipped))
            return on
        if rule.unit == "days":
            on = start + timedelta(days=rule.amount)
            text = gettext_noop("%(amount)s days are counted; the day %(start)s itself is not counted.")
        else:
            on = start + timedelta(weeks=rule.amount)
            text = gettext_noop("%(amount)s weeks are counted; the day %(start)s itself is not counted.")
        steps.append(Step(text, facts, clause, on.isoformat()))
        return on
    if rule.type == "date":
        return start
    if rule.type == "day_of_period_end_month":
        on = _day_in(start.year, start.month, rule.day)
        text = gettext_noop("The deadline is day %(day)s of the month in which the period ends.")
    else:
        on = _day_in(*_month_after(start), rule.day)
        text = gettext_noop("The deadline is day %(day)s of the month after the period.")
    steps.append(Step(text, {"day": rule.day}, clause, on.isoformat()))
    return on


def _moved_steps(rule: Deadline, start: date, on: date, calendar: Calendar, steps: list[Step]) -> None:
    clause = rule.clause
    off = _name_if_known(calendar, on)
    if off and rule.on_day_off == "stay" and not (rule.type == "after" and rule.unit == "working_days"):
        text = gettext_noop("%(on)s is a day off; this rule leaves the deadline there.")
        steps.append(Step(text, {"on": on.isoformat()}, clause, on.isoformat(), (DayOff(on, off),)))
    elif off and rule.on_day_off == "next":
        moved = calendar.at_or_after(on)
        text = gettext_noop("%(on)s is a day off; the deadline moves to the next working day.")
        skipped = tuple(calendar.days_off(on, moved))
        steps.append(Step(text, {"on": on.isoformat()}, clause, moved.isoformat(), skipped))
        on = moved
    elif off and rule.on_day_off == "previous":
        moved = calendar.at_or_before(on)
        text = gettext_noop("%(on)s is a day off; the deadline moves back to the working day before.")
        skipped = tuple(calendar.days_off(moved, on))
        steps.append(Step(text, {"on": on.isoformat()}, clause, moved.isoformat(), skipped))
        on = moved
    if rule.earliest_working_days:
        least = calendar.add_working_days(start, rule.earliest_working_days)
        if least > on:
            text = gettext_noop("At least %(amount)s working days must lie between cut-off and deadline.")
            skipped = tuple(calendar.days_off(start + DAY, least))
            steps.append(Step(text, {"amount": rule.earliest_working_days}, clause, least.isoformat(), skipped))
            on = least
    if rule.latest_day and start < (latest := _day_in(on.year, on.month, rule.latest_day)) < on:
        text = gettext_noop("It may not fall after day %(day)s of the month.")
        steps.append(Step(text, {"day": rule.latest_day}, clause, latest.isoformat()))


def _name_if_known(calendar: Calendar, on: date) -> str:
    try:
        return calendar.name_of(on)
    except CalendarTooShort:
        return ""
