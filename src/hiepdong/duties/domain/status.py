"""The status of a duty, computed when it is read; nothing of it is ever stored.

The clock is anchored at the first valid version: a correction neither restarts nor backdates it. A version that was
returned is not valid; then the next one is the first. A withdrawal without replacement opens the duty again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    NOT_YET_DUE = "not_yet_due"  # the period still runs: nothing to send yet
    DUE = "due"  # may be fulfilled now, not late yet
    FULFILLED = "fulfilled"
    FULFILLED_LATE = "fulfilled_late"
    OVERDUE = "overdue"
    WAIVED = "waived"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status depends on; all moments are aware instants."""

    opens_at: datetime
    due_at: datetime
    fulfilled_at: datetime | None = None
    waived_at: datetime | None = None
    suspended_from: datetime | None = None
    suspended_until: datetime | None = None


def status_of(facts: Facts, at: datetime) -> Status:
    """Return the status at the instant `at`; facts later than `at` have not happened yet.

    A duty is overdue from the instant `due_at` on, not a moment earlier. A suspension stops only the reminder of an
    open duty; when it ends the due moment is the old one unless a person waived it.
    """
    if facts.fulfilled_at is not None and facts.fulfilled_at <= at:
        return Status.FULFILLED if facts.fulfilled_at < facts.due_at else Status.FULFILLED_LATE
    if facts.waived_at is not None and facts.waived_at <= at:
        return Status.WAIVED
    if facts.suspended_from is not None and facts.suspended_from <= at:
        if facts.suspended_until is None or at < facts.suspended_until:
            return Status.SUSPENDED
    if at < facts.opens_at:
        return Status.NOT_YET_DUE
    return Status.DUE if at < facts.due_at else Status.OVERDUE


@dataclass(frozen=True, slots=True)
class Version:
    """One dispatch that speaks to a duty."""

    sent_at: datetime
    nil: bool = False
    returned_at: datetime | None = None
    withdrawn_at: datetime | None = None
    replaced_at: datetime | None = None


def anchor_of(versions: Iterable[Version]) -> Version | None:
    """Return the first valid version, whose `sent_at` is when the duty was fulfilled; None while there is none.

    A returned version does not count. A version withdrawn and not replaced does not count; one that was replaced
    keeps its moment, for a correction neither restarts nor backdates the clock.
    """
    for version in sorted(versions, key=lambda v: v.sent_at):
        if version.returned_at is not None:
            continue
        if version.withdrawn_at is not None and version.replaced_at is None:
            continue
        return version
    return None
