"""The reminder ladder of a rule: on which days a duty that is still open is called to mind.

Like the status, it is computed when read: on the desk of the day, in the history of the duty, as alarms of the calendar
feed. Nothing is sent and nothing stored, so a node that was switched off for a week has forgotten no reminder.
"""

from collections.abc import Iterable
from datetime import date, timedelta


def reminder_days(ladder: Iterable[int], *, last_day: date) -> list[date]:
    """Return the local days of the reminders, in order, each once.

    Args:
        ladder: days from the last day on time; negative before it, 0 on it, positive after it.
        last_day: the last local day on which the duty is on time.

    >>> [d.isoformat() for d in reminder_days([1, -3, 1], last_day=date(2020, 3, 17))]
    ['2020-03-14', '2020-03-18']
    """
    return sorted({last_day + timedelta(days=step) for step in ladder})
