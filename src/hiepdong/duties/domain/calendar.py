"""The working-day calendar: which local days are off, each with its name, and how far that is verified.

Built at the edge (`duties/calendar_source.py`) from the `holidays` package and the project's own table of swapped days;
here it is a plain value. A day off has a Vietnamese name, which the explanation of a due moment shows.

Sources: Labour Code 2019 art. 111–112; the yearly notices on swapped days stand in data/working-days-vn.toml.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.moments import at_local

SATURDAY = 5
WEEKEND = ("Thứ Bảy", "Chủ nhật")


class CalendarTooShort(DomainError):
    """The count leaves the days the calendar knows."""

    code = "duties.calendar_too_short"
    message = gettext_noop("The working-day calendar knows %(first)s to %(last)s; the count needs %(needed)s.")
    hint = gettext_noop("Add the years to the working-day table, or choose a day inside them.")


class CalendarNotVerified(DomainError):
    """The count rests on days off that are not verified, and a provisional result was not accepted."""

    code = "duties.calendar_not_verified"
    message = gettext_noop("The days off from %(first)s to %(last)s are not verified.")
    hint = gettext_noop("Enter the decided days off with their source, or accept a provisional result.")


@dataclass(frozen=True, slots=True)
class DayOff:
    """A day on which offices are closed, with the name shown to people."""

    on: date
    name: str


@dataclass(frozen=True)
class Calendar:
    """Days off from `first` to `last`, both local days and inclusive.

    Args:
        first, last: the days that are known at all; a count that leaves them is refused.
        named: days off with a name: holidays, compensatory and swapped days; also weekends that have a name.
        working: Saturdays and Sundays that are worked (swapped).
        verified_years: years whose list of days off was checked against an act; every other year is in doubt.
        doubtful: single days in doubt inside a verified year (a holiday whose act was not seen).
        digest: identifies the content; kept with every duty.

    Counting is one look-up in a table of one entry per day, made once: the cost of a due moment does not depend on
    the length of the count, and the memory only on the length of the calendar.
    """

    first: date
    last: date
    named: Mapping[date, str] = field(default_factory=dict)
    working: frozenset[date] = frozenset()
    verified_years: frozenset[int] = frozenset()
    doubtful: frozenset[date] = frozenset()
    digest: str = ""
    _base: int = field(init=False, repr=False, compare=False)
    _worked: list[date] = field(init=False, repr=False, compare=False)  # the working days, in order
    _upto: "array[int]" = field(init=False, repr=False, compare=False)  # per day: working days up to it, inclusive
    _doubt: "array[int]" = field(init=False, repr=False, compare=False)  # per day: doubtful days up to it, inclusive
    _ends: dict[date, datetime] = field(init=False, repr=False, compare=False)  # day -> first instant after it, UTC

    def __post_init__(self) -> None:
        base = self.first.toordinal()
        worked: list[date] = []
        upto, doubt = array("l"), array("l")
        doubts = 0
        for ordinal in range(base, self.last.toordinal() + 1):
            on = date.fromordinal(ordinal)
            if (on.weekday() < SATURDAY or on in self.working) and on not in self.named:
                worked.append(on)
            doubts += on.year not in self.verified_years or on in self.doubtful
            upto.append(len(worked))
            doubt.append(doubts)
        for name, value in {"_base": base, "_worked": worked, "_upto": upto, "_doubt": doubt, "_ends": {}}.items():
            object.__setattr__(self, name, value)

    def _index(self, on: date) -> int:
        index = on.toordinal() - self._base
        if not 0 <= index < len(self._upto):
            raise CalendarTooShort(first=self.first.isoformat(), last=self.last.isoformat(), needed=on.isoformat())
        return index

    def is_working(self, on: date) -> bool:
        """Say whether offices work on the local day."""
        index = self._index(on)
        return self._upto[index] > (self._upto[index - 1] if index else 0)

    def name_of(self, on: date) -> str:
        """Return why the day is off ("Tết Nguyên Đán", "Chủ nhật"); empty for a working day."""
        return "" if self.is_working(on) else self.named.get(on) or WEEKEND[on.weekday() - SATURDAY]

    def days_off(self, first: date, last: date) -> tuple[DayOff, ...]:
        """Return the days off from `first` to `last`, both inclusive."""
        days = (first + timedelta(days=i) for i in range((last - first).days + 1))
        return tuple(DayOff(d, name) for d in days if (name := self.name_of(d)))

    def add_working_days(self, start: date, count: int) -> date:
        """Return the `count`-th working day after `start`; the start itself is not counted; `count` is at least 1.

        Raises:
            CalendarTooShort: the start or the count lies outside the calendar.

        >>> c = Calendar(date(2026, 2, 1), date(2026, 2, 28), {date(2026, 2, d): "Tết" for d in range(16, 21)})
        >>> c.add_working_days(date(2026, 2, 13), 1)
        datetime.date(2026, 2, 23)
        """
        position = self._upto[self._index(start)] + count - 1
        if position >= len(self._worked):
            needed = (start + timedelta(days=count)).isoformat()
            raise CalendarTooShort(first=self.first.isoformat(), last=self.last.isoformat(), needed=needed)
        return self._worked[position]

    def counted(self, start: date, count: int) -> tuple[date, bool]:
        """Return `add_working_days` and whether any day from the start to it is in doubt; the engine's fastest path."""
        base = self._base
        index = start.toordinal() - base
        try:
            if index < 1:
                raise IndexError
            on = self._worked[self._upto[index] + count - 1]
            return on, self._doubt[on.toordinal() - base] != self._doubt[index - 1]
        except IndexError:
            on = self.add_working_days(start, count)  # says what is missing, or is the calendar's very first day
            return on, not self.is_verified(start, on)

    def at_or_after(self, on: date) -> date:
        """Return the day itself if it is worked, else the next working day."""
        return on if self.is_working(on) else self.add_working_days(on, 1)

    def at_or_before(self, on: date) -> date:
        """Return the day itself if it is worked, else the working day before."""
        position = self._upto[self._index(on)] - 1
        if position < 0:
            raise CalendarTooShort(first=self.first.isoformat(), last=self.last.isoformat(), needed=on.isoformat())
        return self._worked[position]

    def working_days_between(self, after: date, until: date) -> int:
        """Return the number of working days later than `after` up to `until`, inclusive."""
        return self._upto[self._index(until)] - self._upto[self._index(after)]

    def is_verified(self, first: date, last: date) -> bool:
        """Say whether every day from `first` to `last`, both inclusive, is beyond doubt."""
        before = self._index(first) - 1
        return self._doubt[self._index(last)] == (self._doubt[before] if before >= 0 else 0)

    def end_of(self, on: date) -> datetime:
        """Return the first instant (UTC) after the local day: 00:00 of the next day in Viet Nam."""
        end = self._ends.get(on)
        if end is None:
            end = at_local(on + timedelta(days=1))
            if 0 <= on.toordinal() - self._base < len(self._upto):  # bounded by the calendar, whatever is asked
                self._ends[on] = end
        return end


def calendar_of(
    days_off: Iterable[DayOff], *, first: date, last: date, working: Iterable[date] = (), digest: str = ""
) -> Calendar:
    """Return a wholly verified calendar from an explicit list; for the batch command and for tests."""
    years = frozenset(range(first.year, last.year + 1))
    return Calendar(first, last, {d.on: d.name for d in days_off}, frozenset(working), years, digest=digest)
