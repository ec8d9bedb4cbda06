"""The working-day calendar: which local days are off, each with its name, as far as that is known.

Built at the edge (`duties/calendar_source.py`) from the `holidays` package and the project's own table of swapped days;
here it is a plain value. A day off has a Vietnamese name; an ordinary Saturday or Sunday needs none.

Sources: Labour Code 2019 art. 111–112; the yearly notices on swapped days stand in data/working-days-vn.toml.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from hiepdong.kernel.errors import DomainError, gettext_noop

SATURDAY = 5
WEEKEND = ("Thứ bảy", "Chủ nhật")


class CalendarTooShort(DomainError):
    """The count leaves the days the calendar knows."""

    code = "duties.calendar_too_short"
    message = gettext_noop("The working-day calendar knows %(first)s to %(last)s; the count needs %(needed)s.")
    hint = gettext_noop("Add the year to the working-day table, or ask for a provisional result.")


class CalendarNotVerified(DomainError):
    """The count leaves the verified days, and a provisional result was not accepted."""

    code = "duties.calendar_not_verified"
    message = gettext_noop("Days off after %(verified_until)s are not decided yet; the count needs %(needed)s.")
    hint = gettext_noop("Enter the decided days off, or accept a provisional result.")


@dataclass(frozen=True, slots=True)
class DayOff:
    """A day on which offices are closed, with the name shown to people."""

    on: date
    name: str


@dataclass(frozen=True)
class Calendar:
    """Days off from `first` to `last`, both inclusive; results beyond `verified_until` are provisional.

    Args:
        first, last: the local days that are known at all.
        verified_until: the last day up to which the days off are decided by an act that was seen.
        named: days off with a name (holidays, compensatory and swapped days), weekends only where they are named.
        working: Saturdays and Sundays that are worked (swapped).
        digest: identifies the content, kept with every duty.
    """

    first: date
    last: date
    verified_until: date
    named: Mapping[date, str] = field(default_factory=dict)
    working: frozenset[date] = frozenset()
    digest: str = ""
    _ordinals: list[int] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        day, stop, ordinals = self.first.toordinal(), self.last.toordinal(), self._ordinals
        weekday = self.first.weekday()
        named = {d.toordinal() for d in self.named}
        working = {d.toordinal() for d in self.working}
        while day <= stop:
            if (weekday < SATURDAY or day in working) and day not in named:
                ordinals.append(day)
            weekday = (weekday + 1) % 7
            day += 1

    def is_working(self, on: date) -> bool:
        """Say whether offices work on the local day."""
        self._need(on)
        return (on.weekday() < SATURDAY or on in self.working) and on not in self.named

    def name_of(self, on: date) -> str:
        """Return why the day is off ("Tết Nguyên đán", "Chủ nhật"); empty for a working day."""
        if self.is_working(on):
            return ""
        return self.named.get(on) or WEEKEND[on.weekday() - SATURDAY]

    def days_off(self, first: date, last: date) -> list[DayOff]:
        """Return the days off from `first` to `last`, both inclusive."""
        days = ((first + timedelta(days=i)) for i in range((last - first).days + 1))
        return [DayOff(d, name) for d in days if (name := self.name_of(d))]

    def add_working_days(self, start: date, count: int) -> date:
        """Return the `count`-th working day after `start`; the start itself is not counted; `count` ≥ 1.

        >>> c = Calendar(date(2026, 2, 1), date(2026, 2, 28), date(2026, 2, 28),
        ...              {date(2026, 2, d): "Tết" for d in range(16, 21)})
        >>> c.add_working_days(date(2026, 2, 13), 1)
        datetime.date(2026, 2, 23)
        """
        self._need(start)
        ordinals = self._ordinals
        index = bisect_right(ordinals, start.toordinal()) + count - 1
        if index >= len(ordinals):
            raise CalendarTooShort(first=self.first, last=self.last, needed=start + timedelta(days=count))
        return date.fromordinal(ordinals[index])

    def at_or_after(self, on: date) -> date:
        """Return the day itself if it is worked, else the next working day."""
        self._need(on)
        index = bisect_left(self._ordinals, on.toordinal())
        if index >= len(self._ordinals):
            raise CalendarTooShort(first=self.first, last=self.last, needed=on)
        return date.fromordinal(self._ordinals[index])

    def at_or_before(self, on: date) -> date:
        """Return the day itself if it is worked, else the working day before."""
        self._need(on)
        index = bisect_right(self._ordinals, on.toordinal()) - 1
        if index < 0:
            raise CalendarTooShort(first=self.first, last=self.last, needed=on)
        return date.fromordinal(self._ordinals[index])

    def working_days_between(self, after: date, until: date) -> int:
        """Return the number of working days later than `after` up to `until`, inclusive."""
        return bisect_right(self._ordinals, until.toordinal()) - bisect_right(self._ordinals, after.toordinal())

    def _need(self, on: date) -> None:
        if not self.first <= on <= self.last:
            raise CalendarTooShort(first=self.first, last=self.last, needed=on)


def calendar_of(days_off: Iterable[DayOff], *, first: date, last: date, working: Iterable[date] = ()) -> Calendar:
    """Return a wholly verified calendar; for worked examples and tests."""
    return Calendar(first, last, last, {d.on: d.name for d in days_off}, frozenset(working))
