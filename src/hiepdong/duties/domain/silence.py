"""Silence between two bodies: how long nothing passed in one direction."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Silence:
    """No dispatch from the day after `after` to the day before `until` (both days had one, or are the window's ends).

    `days` is the number of whole local days in between. `open` says that it still lasted at the end of the window.
    """

    after: date
    until: date
    days: int
    open: bool


def silences(days_of_exchange: Iterable[date], *, first: date, last: date) -> list[Silence]:
    """Return every gap inside the window (both ends inclusive), longest first, then earliest.

    >>> silences([date(2020, 1, 10), date(2020, 3, 1)], first=date(2020, 1, 1), last=date(2020, 3, 31))[0].days
    50
    """
    marks = sorted({d for d in days_of_exchange if first <= d <= last})
    found: list[Silence] = []
    before = date.fromordinal(first.toordinal() - 1)
    for mark in marks:
        gap = (mark - before).days - 1
        if gap > 0:
            found.append(Silence(before, mark, gap, open=False))
        before = mark
    tail = (last - before).days
    if tail > 0:
        found.append(Silence(before, date.fromordinal(last.toordinal() + 1), tail, open=True))
    return sorted(found, key=lambda s: (-s.days, s.after))


def longest_silence(days_of_exchange: Iterable[date], *, first: date, last: date) -> Silence | None:
    """Return the longest gap in the window, or None when there was an exchange on every day."""
    return next(iter(silences(days_of_exchange, first=first, last=last)), None)


def current_silence(days_of_exchange: Iterable[date], *, first: date, last: date) -> Silence | None:
    """Return the silence that still lasts at the end of the window, or None when the last day had an exchange."""
    return next((s for s in silences(days_of_exchange, first=first, last=last) if s.open), None)
