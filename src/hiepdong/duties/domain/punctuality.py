"""Counting duties: expected, received, on time, late, missing. It counts and grades nobody."""

from collections.abc import Iterable
from dataclasses import dataclass

from .status import Status


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of duties at one moment.

    `expected` are the duties that were to be fulfilled by now: received or overdue; waived and suspended ones and those
    still open are not expected. `received` = `on_time` + `late`; `missing` = `expected` − `received`; `nil` are the
    received ones that were a signed "no change". `open` may still come in time.
    """

    expected: int = 0
    on_time: int = 0
    late: int = 0
    missing: int = 0
    nil: int = 0
    open: int = 0
    waived: int = 0
    suspended: int = 0

    @property
    def received(self) -> int:
        """On time or late."""
        return self.on_time + self.late

    @property
    def total(self) -> int:
        """All duties counted, expected or not."""
        return self.expected + self.open + self.waived + self.suspended


def count(statuses: Iterable[tuple[Status, bool]]) -> Counts:
    """Count pairs of (status, nil).

    >>> count([(Status.FULFILLED, True), (Status.OVERDUE, False), (Status.DUE, False)])
    Counts(expected=2, on_time=1, late=0, missing=1, nil=1, open=1, waived=0, suspended=0)
    """
    found = dict.fromkeys(Status, 0)
    nil = 0
    for status, is_nil in statuses:
        found[status] += 1
        nil += is_nil and status in {Status.FULFILLED, Status.FULFILLED_LATE}
    on_time, late, missing = found[Status.FULFILLED], found[Status.FULFILLED_LATE], found[Status.OVERDUE]
    return Counts(
        expected=on_time + late + missing,
        on_time=on_time,
        late=late,
        missing=missing,
        nil=nil,
        open=found[Status.NOT_YET_DUE] + found[Status.DUE],
        waived=found[Status.WAIVED],
        suspended=found[Status.SUSPENDED],
    )
