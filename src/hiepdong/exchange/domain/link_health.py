"""How a link with another node is: quiet because nothing happened, quiet because nothing comes through, or disturbed.

Silence alone says nothing. Two nodes that have nothing to tell each other still greet each other; so a link is well while it
was heard not long ago and both marks are level, and it is quiet when nothing was heard for long, whatever the marks say.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hiepdong.kernel.errors import gettext_noop

BEHIND_AFTER = timedelta(hours=1)  # an item that waits longer than that is no longer simply on its way
CLOCK_TOLERANCE_S = 300


class Standing(StrEnum):
    """What a link is at a glance."""

    CLOSED = "closed"  # invited, paused or ended: nothing is expected of it
    STILL = "still"  # heard not long ago and nothing is under way: nothing happened
    MOVING = "moving"  # something is on its way, and not for long
    WATCH = "watch"  # something needs a person, in time
    DISTURBED = "disturbed"  # something needs a person now


class Trouble(StrEnum):
    """What disturbs a link, the heaviest first."""

    INCIDENT = "incident"
    QUIET = "quiet"
    NEVER_HEARD = "never_heard"
    GROWING = "growing"
    BEHIND = "behind"
    MISSING = "missing"
    HELD = "held"
    KEY_EXPIRED = "key_expired"
    KEY_EXPIRING = "key_expiring"
    CLOCK = "clock"


GRAVE = frozenset({Trouble.INCIDENT, Trouble.QUIET, Trouble.GROWING, Trouble.KEY_EXPIRED})

STANDING_NAMES = {
    Standing.CLOSED: gettext_noop("not open"),
    Standing.STILL: gettext_noop("nothing under way"),
    Standing.MOVING: gettext_noop("on its way"),
    Standing.WATCH: gettext_noop("needs attention"),
    Standing.DISTURBED: gettext_noop("disturbed"),
}
TROUBLE_NAMES = {
    Trouble.INCIDENT: gettext_noop("incident"),
    Trouble.QUIET: gettext_noop("quiet for too long"),
    Trouble.NEVER_HEARD: gettext_noop("not heard yet"),
    Trouble.GROWING: gettext_noop("backlog grows"),
    Trouble.BEHIND: gettext_noop("backlog"),
    Trouble.MISSING: gettext_noop("something is missing"),
    Trouble.HELD: gettext_noop("held items"),
    Trouble.KEY_EXPIRED: gettext_noop("a key has expired"),
    Trouble.KEY_EXPIRING: gettext_noop("a key expires soon"),
    Trouble.CLOCK: gettext_noop("the clocks differ"),
}
TROUBLE_MESSAGES = {
    Trouble.INCIDENT: gettext_noop("%(incidents)s incidents that nobody has looked at: something came that must not happen."),
    Trouble.QUIET: gettext_noop("Nothing was heard from this node for %(silent)s."),
    Trouble.NEVER_HEARD: gettext_noop("This node was never heard since the link was made."),
    Trouble.GROWING: gettext_noop(
        "%(out)s items wait to go out, the oldest for %(oldest)s; %(grown)s of them came since the last contact."
    ),
    Trouble.BEHIND: gettext_noop("%(out)s items wait to go out, the oldest for %(oldest)s."),
    Trouble.MISSING: gettext_noop("The other node has sent %(coming)s items that are not here yet."),
    Trouble.HELD: gettext_noop("%(held)s items are here and wait for something that is not here yet."),
    Trouble.KEY_EXPIRED: gettext_noop("A key has expired: what is signed with it from now on is refused."),
    Trouble.KEY_EXPIRING: gettext_noop("A key expires in less than %(key_days)s days."),
    Trouble.CLOCK: gettext_noop("The other node's clock differs from ours by %(clock_minutes)s minutes."),
}


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What is known of a link. Marks are positions; moments are aware instants."""

    state: str  # "invited", "linked", "paused", "ended"
    linked_at: datetime | None = None
    heard_at: datetime | None = None  # the last verified word from there, by any way
    reached_at: datetime | None = None  # the last time it answered us
    sent_through: int = 0
    confirmed_through: int = 0
    announced_through: int = 0
    held_through: int = 0
    oldest_waiting_at: datetime | None = None  # when the oldest item was made that the other side has not confirmed
    grown: int = 0  # items made since the other side was last in contact
    held: int = 0
    incidents: int = 0
    key_warning: int | None = None  # 30, 7, 1 (days), 0: expired; of the keys that count on this link
    clock_ahead_s: int | None = None


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """The judgement, with the numbers that its sentences name."""

    standing: Standing
    troubles: tuple[Trouble, ...]
    facts: dict[str, int]

    @property
    def nothing_happened(self) -> bool:
        """Say whether the link is silent only because there is nothing to tell."""
        return self.standing == Standing.STILL


class Wait(StrEnum):
    """Why what is written to a body at another node will not simply go."""

    NONE = ""
    PAUSED = "paused"
    CLOSED = "closed"  # not linked: ended, or its number was not compared yet
    QUIET = "quiet"
    NOWHERE = "nowhere"  # no node is its home


WAIT_MESSAGES = {
    Wait.PAUSED: gettext_noop("the link is paused: what is sent will wait"),
    Wait.CLOSED: gettext_noop("the nodes are not linked: what is sent will wait"),
    Wait.QUIET: gettext_noop("nothing was heard from there for %(silent)s: what is sent may wait"),
    Wait.NOWHERE: gettext_noop("no node is its home yet: what is sent will wait"),
}


def wait_on(state: str, heard_at: datetime | None, *, at: datetime, quiet_hours: int) -> tuple[Wait, int]:
    """Return why something written now to a node would wait, and for how many whole hours nothing was heard from there.

    Args:
        state: of the link.
        heard_at: the last word, or when it was linked; an aware instant, None where neither is known.
        at: now, an aware instant.
        quiet_hours: from how many hours without a word on a link is called quiet, at least 1.

    >>> noon = datetime.fromisoformat("2020-03-20T05:00:00+00:00")
    >>> wait_on("linked", noon - timedelta(hours=30), at=noon, quiet_hours=24)
    (<Wait.QUIET: 'quiet'>, 30)
    >>> wait_on("ended", None, at=noon, quiet_hours=24)
    (<Wait.CLOSED: 'closed'>, 0)
    """
    silent = _hours(max(timedelta(0), at - heard_at)) if heard_at else 0
    if state == "paused":
        return Wait.PAUSED, silent
    if state != "linked":
        return Wait.CLOSED, silent
    quiet = heard_at is not None and at - heard_at >= timedelta(hours=quiet_hours)
    return (Wait.QUIET if quiet else Wait.NONE), silent


def link_health(facts: LinkFacts, *, at: datetime, quiet_hours: int) -> LinkHealth:
    """Judge a link at a moment.

    Args:
        facts: what is known.
        at: now, an aware instant.
        quiet_hours: from how many hours without a word on a link is called quiet, at least 1.

    >>> noon = datetime.fromisoformat("2020-03-20T05:00:00+00:00")
    >>> calm = LinkFacts("linked", heard_at=noon - timedelta(hours=2), sent_through=7, confirmed_through=7)
    >>> link_health(calm, at=noon, quiet_hours=24).nothing_happened
    True
    >>> link_health(calm, at=noon + timedelta(days=2), quiet_hours=24).troubles
    (<Trouble.QUIET: 'quiet'>,)
    """
    out = max(0, facts.sent_through - facts.confirmed_through)
    coming = max(0, facts.announced_through - facts.held_through)
    waited = max(timedelta(0), at - facts.oldest_waiting_at) if out and facts.oldest_waiting_at else timedelta(0)
    numbers = {
        "out": out,
        "coming": coming,
        "grown": facts.grown,
        "held": facts.held,
        "incidents": facts.incidents,
        "oldest_hours": _hours(waited),
        "silent_hours": 0,
        "key_days": facts.key_warning or 0,
        "clock_minutes": abs(facts.clock_ahead_s or 0) // 60,
    }
    if facts.state != "linked":
        found = {Trouble.INCIDENT} if facts.incidents else set()
        standing = Standing.WATCH if found else Standing.CLOSED
        return LinkHealth(standing, tuple(found), numbers)
    heard = facts.heard_at or facts.linked_at
    silent = max(timedelta(0), at - heard) if heard else timedelta(0)
    numbers["silent_hours"] = _hours(silent)
    late = waited > BEHIND_AFTER
    signs = {
        Trouble.INCIDENT: facts.incidents > 0,
        Trouble.QUIET: silent >= timedelta(hours=quiet_hours),
        Trouble.NEVER_HEARD: facts.heard_at is None and silent < timedelta(hours=quiet_hours),
        Trouble.GROWING: late and facts.grown > 0,
        Trouble.BEHIND: late and not facts.grown,
        Trouble.MISSING: coming > 0,
        Trouble.HELD: facts.held > 0,
        Trouble.KEY_EXPIRED: facts.key_warning == 0,
        Trouble.KEY_EXPIRING: bool(facts.key_warning),
        Trouble.CLOCK: abs(facts.clock_ahead_s or 0) > CLOCK_TOLERANCE_S,
    }
    troubles = tuple(t for t in Trouble if signs[t])
    if any(t in GRAVE for t in troubles):
        standing = Standing.DISTURBED
    elif troubles:
        standing = Standing.WATCH
    else:
        standing = Standing.MOVING if out else Standing.STILL
    return LinkHealth(standing, troubles, numbers)


def _hours(span: timedelta) -> int:
    return int(span.total_seconds() // 3600)


def grouped(fingerprint: str, size: int = 4) -> str:
    """Return a fingerprint in groups, to be read out.

    >>> grouped("abcdefghij")
    'abcd efgh ij'
    """
    return " ".join(fingerprint[i : i + size] for i in range(0, len(fingerprint), size))
