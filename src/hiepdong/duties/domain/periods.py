"""Period families: how a year is cut into reporting periods.

A family is data: the day of the month after which a new period begins, and how many months a period has. Both ends of
a period are local days and inclusive. Families tile the calendar without gap or overlap, except `nine-months` and
`r-rep-nine-months`, which cover only the first nine months of each reporting year (so a provincial decision wants it).

Sources: Decree 09/2019/NĐ-CP art. 12 for the 15th-to-14th family (R-REP-01…04); Khánh Hòa QĐ 01/2023/QĐ-UBND for its
nine months (R-REP-05, provincial only); CV 2618/BHXH-KHTC for the 25th with the December exception.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from hiepdong.kernel.errors import DomainError, gettext_noop

DAY = timedelta(days=1)


class UnknownFamily(DomainError):
    """A rule names a period family that does not exist."""

    code = "duties.unknown_period_family"
    message = gettext_noop("There is no period family %(family)s.")
    hint = gettext_noop("Use one of: %(known)s; or define it under [[period_family]] in the regulation.")


class BadFamily(DomainError):
    """A custom period family does not tile the year."""

    code = "duties.bad_period_family"
    message = gettext_noop("The period family %(family)s cannot be used: %(what)s.")
    hint = gettext_noop("Give the last day of each period of the year as MM-DD, in order, for example 03-14 and 12-14.")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One period: local days `first` to `last`, both inclusive, and its label, unique in the family."""

    first: date
    last: date
    label: str

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    @property
    def days(self) -> int:
        """Number of days, both ends counted."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Family:
    """A way to cut time.

    Either `weeks` is true (ISO weeks, Monday to Sunday), or `ends` holds the last day of every period of a reporting
    year as (month, day), in order; day 31 means the last day of the month. `names` holds the label of each, where
    {y} is the reporting year: the calendar year in which the period ends. `opens_after` is set only for a family that
    does not tile: the (month, day) of the year before after which its one period begins.
    """

    key: str
    ends: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    weeks: bool = False
    opens_after: tuple[int, int] | None = None
    source: str = ""

    @property
    def tiles(self) -> bool:
        """Say whether every day belongs to exactly one period."""
        return self.opens_after is None


def _clamped(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))


def _monthly(day: int, *, december: int | None = None) -> tuple[tuple[int, int], ...]:
    return tuple((m, december if m == 12 and december else day) for m in range(1, 13))


_MONTHS = tuple(f"{{y}}-{m:02}" for m in range(1, 13))
_QUARTERS = tuple(f"{{y}}-Q{q}" for q in range(1, 5))
_HALVES = ("{y}-H1", "{y}-H2")
_DECREE = "Nghị định 09/2019/NĐ-CP, Điều 12"

FAMILIES: dict[str, Family] = {
    f.key: f
    for f in (
        Family("week", weeks=True),
        Family("month", _monthly(31), _MONTHS),
        Family("quarter", ((3, 31), (6, 30), (9, 30), (12, 31)), _QUARTERS),
        Family("half", ((6, 30), (12, 31)), _HALVES),
        Family("nine-months", ((9, 30),), ("{y}-9M",), opens_after=(12, 31)),
        Family("year", ((12, 31),), ("{y}",)),
        Family("r-rep-month", _monthly(14), _MONTHS, source=_DECREE),
        Family("r-rep-quarter", ((3, 14), (6, 14), (9, 14), (12, 14)), _QUARTERS, source=_DECREE),
        Family("r-rep-half", ((6, 14), (12, 14)), _HALVES, source=_DECREE),
        Family("r-rep-year", ((12, 14),), ("{y}",), source=_DECREE),
        Family(
            "r-rep-nine-months",
            ((9, 14),),
            ("{y}-9M",),
            opens_after=(12, 14),
            source="Khánh Hòa QĐ 01/2023/QĐ-UBND (chỉ cấp tỉnh)",
        ),
        Family("month-25", _monthly(25, december=31), _MONTHS, source="CV 2618/BHXH-KHTC"),
    )
}


def custom_family(key: str, ends: Sequence[str], names: Sequence[str] = ()) -> Family:
    """Return a family from the last days of the periods of a year, each "MM-DD" ("02-31" = last day of February).

    Raises:
        BadFamily: a day is impossible, the list is empty or not in order, there are more or fewer names than ends, a name
            stands twice or cannot stand in a reference.
    """
    cut: list[tuple[int, int]] = []
    for text in ends:
        found = re.fullmatch(r"(\d{2})-(\d{2})", text)
        if not found or not 1 <= int(found[1]) <= 12 or not 1 <= int(found[2]) <= 31:
            raise BadFamily(family=key, what=repr(text[:20]))
        cut.append((int(found[1]), int(found[2])))
    if not cut:
        raise BadFamily(family=key, what="[]")
    days = [_clamped(2023, m, d) for m, d in cut]
    if any(a >= b for a, b in pairwise(days)):
        raise BadFamily(family=key, what=" ≥ ".join(ends))
    if names and len(names) != len(cut):
        raise BadFamily(family=key, what=f"{len(names)} / {len(cut)}")
    if len(set(names)) < len(names) or not all(re.fullmatch(r"[0-9A-Za-z.-]{1,20}", n) for n in names):
        raise BadFamily(family=key, what=", ".join(names)[:80])  # a name stands in the reference of a duty: one period each
    labels = tuple(f"{{y}}-{n}" for n in names) or tuple(f"{{y}}-P{i:02}" for i in range(1, len(cut) + 1))
    return Family(key, tuple(cut), labels)


def family_named(key: str, custom: dict[str, Family] | None = None) -> Family:
    """Return a family by its key, the regulation's own first.

    Raises:
        UnknownFamily: neither the regulation nor this module knows it.
    """
    found = (custom or {}).get(key) or FAMILIES.get(key) or FAMILIES.get(key.replace("_", "-"))
    if found is None:
        raise UnknownFamily(family=key, known=", ".join(sorted({*FAMILIES, *(custom or {})})))
    return found


def _of_year(family: Family, year: int) -> Iterator[Period]:
    """Yield the periods that end in the calendar year, in order."""
    before = _clamped(year - 1, *(family.opens_after or family.ends[-1]))
    for (month, day), name in zip(family.ends, family.names, strict=True):
        last = _clamped(year, month, day)
        yield Period(before + DAY, last, name.format(y=year))
        before = last


def _week(day: date) -> Period:
    monday = day - timedelta(days=day.weekday())
    iso = monday.isocalendar()
    return Period(monday, monday + timedelta(days=6), f"{iso.year}-W{iso.week:02}")


def period_containing(family: Family, day: date) -> Period | None:
    """Return the period that holds the local day; None only in a family that does not tile."""
    if family.weeks:
        return _week(day)
    return next((p for year in (day.year, day.year + 1) for p in _of_year(family, year) if day in p), None)


def periods_between(family: Family, first: date, last: date) -> list[Period]:
    """Return the periods whose last day lies from `first` to `last`, both inclusive, in order."""
    if family.weeks:
        found, period = [], _week(first)
        while period.last <= last:
            found.append(period)
            period = _week(period.last + DAY)
        return found
    years = range(first.year, last.year + 1)
    return [p for year in years for p in _of_year(family, year) if first <= p.last <= last]


def period_labelled(family: Family, label: str) -> Period | None:
    """Return the period with that label ("2020-03", "2020-Q1", "2020-W07"), or None."""
    head = re.match(r"[0-9]{4}", label)
    year = int(head[0]) if head else 0
    if not date.min.year < year < date.max.year:  # its periods could leave what a calendar can hold
        return None
    if family.weeks:
        found = re.fullmatch(r"[0-9]{4}-W([0-9]{2})", label)
        try:
            return _week(date.fromisocalendar(year, int(found[1]), 1)) if found else None
        except ValueError:
            return None
    return next((p for p in _of_year(family, year) if p.label == label), None)


def next_period(family: Family, period: Period) -> Period:
    """Return the period after this one."""
    if family.weeks:
        return _week(period.last + DAY)
    return periods_between(family, period.last + DAY, period.last + timedelta(days=800))[0]


def previous_period(family: Family, period: Period) -> Period:
    """Return the period before this one."""
    if family.weeks:
        return _week(period.first - DAY)
    return periods_between(family, period.last - timedelta(days=800), period.last - DAY)[-1]
