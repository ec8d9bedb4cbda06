"""Moments: instants are aware and in UTC; legal days are local days of Viet Nam."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

VIET_NAM = ZoneInfo("Asia/Ho_Chi_Minh")


def local_day(at: datetime) -> date:
    """Return the local day (Viet Nam) of an aware instant.

    >>> local_day(datetime(2020, 12, 17, 18, 0, tzinfo=UTC))
    datetime.date(2020, 12, 18)
    """
    if at.tzinfo is None:
        raise ValueError("a moment must be aware")
    return at.astimezone(VIET_NAM).date()


def at_local(on: date, clock: time = time(0)) -> datetime:
    """Return the UTC instant of a local day and clock time in Viet Nam.

    >>> at_local(date(2020, 12, 18), time(17)).isoformat()
    '2020-12-18T10:00:00+00:00'
    """
    return datetime.combine(on, clock, tzinfo=VIET_NAM).astimezone(UTC)
