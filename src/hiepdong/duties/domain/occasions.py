"""The occasions of a rule: for which periods and days duties arise."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from .periods import Family, custom_family, family_named, period_labelled, periods_between

OPENS_DAYS_BEFORE = 30  # a yearly day may be prepared this long before it, unless the rule says otherwise


@dataclass(frozen=True, slots=True)
class Occasion:
    """One period or day: inclusive local days, the label in the duty's reference, and the first day to fulfil it."""

    label: str
    first: date
    last: date
    opens_on: date


def families_of(declared: Iterable[Mapping[str, Any]]) -> dict[str, Family]:
    """Return the instrument's own period families by key, from its `[[period_family]]` tables."""
    return {f["key"]: custom_family(f["key"], f["ends"], f.get("names", ())) for f in declared}


def occasions(trigger: Mapping[str, Any], own: Mapping[str, Family], first: date, last: date) -> list[Occasion]:
    """Return the occasions whose last day lies from `first` to `last`, both inclusive; none for an event.

    A period opens on the day after its cut-off.
    """
    if trigger["type"] == "period":
        family = family_named(trigger["family"], dict(own))
        return [Occasion(p.label, p.first, p.last, p.last + timedelta(days=1)) for p in periods_between(family, first, last)]
    if trigger["type"] == "yearly":
        days = (date(year, trigger["month"], trigger["day"]) for year in range(first.year, last.year + 1))
        return [yearly(trigger, day) for day in days if first <= day <= last]
    return []


def yearly(trigger: Mapping[str, Any], day: date) -> Occasion:
    """Return the occasion of a yearly day."""
    before = int(trigger.get("opens_days_before", OPENS_DAYS_BEFORE))
    return Occasion(day.isoformat(), day, day, day - timedelta(days=before))


def occasion_labelled(trigger: Mapping[str, Any], own: Mapping[str, Family], label: str) -> Occasion | None:
    """Return the occasion with that label ("2020-03", "2020-03-03"), or None."""
    if trigger["type"] == "period":
        period = period_labelled(family_named(trigger["family"], dict(own)), label)
        return Occasion(label, period.first, period.last, period.last + timedelta(days=1)) if period else None
    try:
        return yearly(trigger, date.fromisoformat(label))
    except ValueError:
        return None
