"""Which version of a report counts: the figures of one occasion are counted once, whatever was sent about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Version:
    """One dispatch about an occasion; `returned` by every body it was addressed to."""

    key: int
    sent_at: datetime
    replaces: int | None = None
    returned: bool = False
    withdrawn: bool = False


def counting(versions: Iterable[Version]) -> int | None:
    """Return the key of the version whose figures count; None when none stands.

    A returned version never counts: the one before it stays, as it keeps the duty fulfilled. A withdrawn one takes those
    that it replaced with it. Of two that stand side by side the later counts.

    >>> from datetime import UTC
    >>> first, second = (Version(n, datetime(2020, 3, n, tzinfo=UTC)) for n in (1, 2))
    >>> counting([second, first])
    2
    """
    ordered = sorted(versions, key=lambda v: (v.sent_at, v.key))
    known = {v.key: v for v in ordered}
    followers: dict[int, list[Version]] = {}
    for version in ordered:
        before = known.get(version.replaces) if version.replaces is not None else None
        if before is not None and not version.returned and (before.sent_at, before.key) < (version.sent_at, version.key):
            followers.setdefault(before.key, []).append(version)

    def newest(version: Version) -> Version | None:
        while version.key in followers:
            version = followers[version.key][-1]
        return None if version.withdrawn or version.returned else version

    following = {v.key for after in followers.values() for v in after}
    roots = [v for v in ordered if v.key not in following]
    standing = [found for root in roots if (found := newest(root)) is not None]
    return max(standing, key=lambda v: (v.sent_at, v.key)).key if standing else None
