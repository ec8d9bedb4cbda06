"""The status of a duty, computed when it is read; nothing of it is ever stored.

The clock is anchored at the first valid version: a correction neither restarts nor backdates it. A version that was
returned is not valid; then the next one is the first. A withdrawal without replacement opens the duty again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    NOT_YET_DUE = "not_yet_due"  # the period still runs: nothing to send yet
    DUE = "due"  # may be fulfilled now, not late yet
    FULFILLED = "fulfilled"
    FULFILLED_LATE = "fulfilled_late"
    OVERDUE = "overdue"
    WAIVED = "waived"
    SUSPENDED = "suspended"


class Facts(NamedTuple):
    """What the status depends on; all moments are aware instants."""

    opens_at: datetime
    due_at: datetime
    fulfilled_at: datetime | None = None
    waived_at: datetime | None = None
    suspended_from: datetime | None = None
    suspended_until: datetime | None = None


def status_of(facts: Facts, at: datetime) -> Status:
    """Return the status at the instant `at`; facts later than `at` have not happened yet.

    A duty is overdue from the instant `due_at` on, not a moment earlier. A suspension (from inclusive, until exclusive)
    holds an open duty; when it ends the due moment is the old one, unless a person waives the duty.
    """
    if facts.fulfilled_at is not None and facts.fulfilled_at <= at:
        return Status.FULFILLED if facts.fulfilled_at < facts.due_at else Status.FULFILLED_LATE
    if facts.waived_at is not None and facts.waived_at <= at:
        return Status.WAIVED
    began = facts.suspended_from is not None and facts.suspended_from <= at
    if began and (facts.suspended_until is None or at < facts.suspended_until):
        return Status.SUSPENDED
    if at < facts.opens_at:
        return Status.NOT_YET_DUE
    return Status.DUE if at < facts.due_at else Status.OVERDUE


@dataclass(frozen=True, slots=True)
class Version:
    """One dispatch that speaks to a duty.

    `sent_at` is the moment inside the signature: the fact that counts. When the thing happened (event time) and when
    a node stored the dispatch (entry time) are other facts and move no clock.
    """

    key: int
    sent_at: datetime
    nil: bool = False
    returned: bool = False
    withdrawn: bool = False
    replaces: int | None = None


def anchor_of(versions: Iterable[Version]) -> Version | None:
    """Return the first valid version, whose `sent_at` is when the duty was fulfilled; None while there is none.

    A returned version never counts. A version that was withdrawn, or replaced by one that was withdrawn, counts only
    if a valid version replaces it in turn: then the first keeps its moment.
    """
    ordered = sorted(versions, key=lambda v: v.sent_at)
    followers: dict[int, list[Version]] = {}
    for version in ordered:
        if version.replaces is not None and not version.returned:
            followers.setdefault(version.replaces, []).append(version)

    def stands(version: Version) -> bool:
        after = [v for v in followers.get(version.key, ()) if v.sent_at >= version.sent_at and v.key != version.key]
        if after:
            return stands(after[-1])
        return not version.withdrawn

    return next((v for v in ordered if not v.returned and stands(v)), None)
