"""Why a paper is not there yet: numbered steps from where the recipient lives to what it answered, each with where it stands.

Everything that a step names is a fact with its moment; the last step that is not done says what it waits for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from hiepdong.kernel.errors import gettext_noop

from .sharing import NARROWING_MESSAGES, Narrowing


class Mark(StrEnum):
    """Where a step stands."""

    DONE = "done"
    WAITS = "waits"  # it goes on by itself
    STOPS = "stops"  # a person must do something
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a sentence with places, the facts for them (moments are aware instants), and where it stands."""

    code: str
    mark: Mark
    message: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """The link over which the paper travels."""

    name: str  # of the node that is spoken to
    state: str  # "invited", "linked", "paused", "ended"
    has_address: bool
    confirmed_through: int
    reached_at: datetime | None = None
    heard_at: datetime | None = None
    failures: int = 0
    last_error: str = ""
    next_try_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The place of the signed bytes in the queue of a link; `outcome` is what the other node said, as "held CODE"."""

    position: int
    made_at: datetime
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """The moments of the receipts that are here, of one recipient."""

    arrived_at: datetime | None = None
    acknowledged_at: datetime | None = None
    returned_at: datetime | None = None
    in_work_at: datetime | None = None
    done_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """What is known of the way of one paper to one recipient."""

    name: str  # of the recipient
    sent_at: datetime
    answers: Answers
    is_here: bool  # the recipient lives at this node
    node: str = ""  # the node where it lives, "" while nobody has said so
    line: Line | None = None  # None while no node is linked for it
    place: Place | None = None
    recovering: bool = False  # this node was restored from a backup and sends nothing yet


def why(way: Way) -> tuple[Step, ...]:
    """Return the steps of a paper that was sent from here, in their order.

    >>> from datetime import UTC
    >>> noon = datetime(2020, 3, 20, 5, tzinfo=UTC)
    >>> [s.code for s in why(Way("Huyện ủy", noon, Answers(arrived_at=noon), is_here=True))]
    ['lives_here', 'arrived', 'no_answer']
    """
    name = {"name": way.name}
    if way.is_here:
        first = Step("lives_here", Mark.DONE, gettext_noop("%(name)s lives at this node."), name)
        return (first, *_answers(way))
    steps: list[Step] = []
    if not way.node:
        steps.append(
            Step(
                "lives_nowhere",
                Mark.STOPS,
                gettext_noop("No linked node has said that %(name)s lives there, so there is no way to it yet."),
                name,
            )
        )
        return tuple(steps)
    facts = name | {"node": way.node}
    steps.append(Step("lives_there", Mark.DONE, gettext_noop("%(name)s lives at the node %(node)s."), facts))
    line = way.line
    if line is not None:
        steps.append(_link(way, line))
        if way.place is not None:
            steps += _queue(way, line, way.place)
        elif way.answers.arrived_at is None:
            steps.append(
                Step(
                    "not_queued",
                    Mark.STOPS if line.state == "ended" else Mark.WAITS,
                    gettext_noop("It has no place in the queue yet: it gets one when the link is open."),
                    {},
                )
            )
    if way.place is None or line is None or line.confirmed_through >= way.place.position or way.answers.arrived_at:
        steps += _answers(way)
    return tuple(steps)


def _link(way: Way, line: Line) -> Step:
    facts = {"node": line.name}
    if way.recovering:
        message = gettext_noop("This node was restored from a backup and sends nothing before its neighbours have answered.")
        return Step("recovering", Mark.WAITS, message, {})
    if line.state == "paused":
        return Step("paused", Mark.STOPS, gettext_noop("The link with %(node)s was paused by an administrator."), facts)
    if line.state == "ended":
        return Step("ended", Mark.STOPS, gettext_noop("The link with %(node)s was ended."), facts)
    if line.state == "invited":
        message = gettext_noop("The link with %(node)s is not confirmed: the pair number was not compared yet.")
        return Step("invited", Mark.STOPS, message, facts)
    if line.name != way.node:
        return Step("relayed", Mark.DONE, gettext_noop("The link is open; %(node)s carries it on."), facts)
    return Step("linked", Mark.DONE, gettext_noop("The link with %(node)s is open."), facts)


def _queue(way: Way, line: Line, place: Place) -> list[Step]:
    steps: list[Step] = []
    held_there = line.confirmed_through >= place.position
    facts: dict[str, Any] = {"position": place.position, "at": place.made_at, "node": line.name}
    if held_there:
        message = gettext_noop("It had place %(position)s in the queue since %(at)s; %(node)s holds everything up to there.")
        steps.append(Step("taken", Mark.DONE, message, facts))
    else:
        ahead = place.position - line.confirmed_through - 1
        message = gettext_noop("It has place %(position)s in the queue since %(at)s; %(ahead)s before it are not taken yet.")
        steps.append(Step("queued", Mark.WAITS, message, facts | {"ahead": ahead}))
        steps.append(_last_try(line))
    if place.outcome and way.answers.arrived_at is None:
        state, _, code = place.outcome.partition(" ")
        said = {"node": line.name, "code": code}
        if state == "held":
            message = gettext_noop("%(node)s has it, but holds it back: %(code)s.")
            steps.append(Step("held_there", Mark.WAITS, message, said))
        elif state == "refused":
            steps.append(Step("refused_there", Mark.STOPS, gettext_noop("%(node)s refused it: %(code)s."), said))
        else:
            message = gettext_noop("%(node)s took it, but did not hand it to everyone: %(code)s.")
            steps.append(Step("narrowed_there", Mark.STOPS, message, said))
    return steps


def _last_try(line: Line) -> Step:
    last = max((m for m in (line.reached_at, line.heard_at) if m is not None), default=None)
    facts: dict[str, Any] = {"node": line.name, "at": last, "error": line.last_error, "next": line.next_try_at}
    if line.failures:
        facts["failures"] = line.failures
        if line.next_try_at is not None:
            message = gettext_noop("%(failures)s tries failed, the last one: %(error)s. The next try is at %(next)s.")
        else:
            message = gettext_noop("%(failures)s tries failed, the last one: %(error)s.")
        return Step("failing", Mark.WAITS, message, facts)
    if not line.has_address:
        if last is None:
            message = gettext_noop("%(node)s has no address: it must ask for it, or somebody carries a bundle on a USB stick.")
        else:
            message = gettext_noop(
                "%(node)s has no address: it must ask for it, or somebody carries a bundle. It was last heard at %(at)s."
            )
        return Step("asks_itself", Mark.WAITS, message, facts)
    if last is None:
        return Step("never_tried", Mark.WAITS, gettext_noop("%(node)s was not reached yet."), facts)
    return Step("in_turn", Mark.WAITS, gettext_noop("The last contact with %(node)s was at %(at)s."), facts)


def _answers(way: Way) -> list[Step]:
    got = way.answers
    name: dict[str, Any] = {"name": way.name}
    if got.arrived_at is None and got.acknowledged_at is None and got.returned_at is None:
        message = gettext_noop("No receipt of %(name)s has come back yet.")
        return [Step("no_receipt", Mark.WAITS, message, name)]
    steps: list[Step] = []
    if got.arrived_at is not None:
        message = gettext_noop("It arrived at %(name)s at %(at)s; the signed receipt is here.")
        steps.append(Step("arrived", Mark.DONE, message, name | {"at": got.arrived_at}))
    if got.returned_at is not None:
        message = gettext_noop("%(name)s returned it at %(at)s: %(reason)s")
        steps.append(Step("returned", Mark.STOPS, message, name | {"at": got.returned_at, "reason": got.reason}))
    elif got.acknowledged_at is not None:
        message = gettext_noop("%(name)s acknowledged it at %(at)s.")
        steps.append(Step("acknowledged", Mark.DONE, message, name | {"at": got.acknowledged_at}))
    else:
        message = gettext_noop("%(name)s has not acknowledged or returned it yet.")
        steps.append(Step("no_answer", Mark.WAITS, message, name))
    if got.in_work_at is not None:
        message = gettext_noop("%(name)s took it in work at %(at)s.")
        steps.append(Step("in_work", Mark.DONE, message, name | {"at": got.in_work_at}))
    if got.done_at is not None:
        message = gettext_noop("%(name)s reported it done at %(at)s.")
        steps.append(Step("done", Mark.DONE, message, name | {"at": got.done_at}))
    return steps


@dataclass(frozen=True, slots=True)
class Received:
    """What a recipient can know of a paper that came from another node."""

    sender: str
    node: str
    line: Line
    way: str  # "https", "bundle", …; "" where it is not known any more
    arrived_at: datetime | None
    missing: Sequence[int] = ()  # numbers of the sender's sequence to this recipient that are not here
    receipts: Sequence[tuple[str, Place]] = ()  # our receipts on their way back: code, place


WAYS = {
    "https": gettext_noop("over the line"),
    "bundle": gettext_noop("with a bundle"),
    "echo": gettext_noop("told back after a restore"),
    "memory": gettext_noop("inside one computer"),
}


def why_received(got: Received) -> tuple[Step, ...]:
    """Return the steps of a paper that came to a recipient here: how it came, what is missing, where our receipts are."""
    facts: dict[str, Any] = {"sender": got.sender, "node": got.node}
    steps = [Step("came_from", Mark.DONE, gettext_noop("%(sender)s lives at the node %(node)s."), facts)]
    if got.arrived_at is not None:
        steps.append(
            Step("came", Mark.DONE, gettext_noop("It arrived here at %(at)s, %(way)s."), {"at": got.arrived_at, "way": got.way})
        )
    if got.missing:
        shown = ", ".join(str(n) for n in got.missing[:20]) + (" …" if len(got.missing) > 20 else "")
        message = gettext_noop("Of what %(sender)s sent us, these numbers of the sequence are missing here: %(numbers)s.")
        steps.append(Step("gap", Mark.WAITS, message, facts | {"numbers": shown}))
    else:
        message = gettext_noop("Nothing that %(sender)s sent us before or after it is missing here.")
        steps.append(Step("no_gap", Mark.DONE, message, facts))
    for code, place in got.receipts:
        held_there = got.line.confirmed_through >= place.position
        said = {"node": got.line.name, "receipt": code, "position": place.position}
        if held_there:
            message = gettext_noop("Our receipt “%(receipt)s” is at %(node)s.")
        else:
            message = gettext_noop("Our receipt “%(receipt)s” waits at place %(position)s of the queue to %(node)s.")
        steps.append(Step("receipt_back", Mark.DONE if held_there else Mark.WAITS, message, said))
    return tuple(steps)


def why_narrowed(name: str, reason: Narrowing) -> Step:
    """Return why a recipient that a person named was left out."""
    return Step("narrowed", Mark.STOPS, NARROWING_MESSAGES[reason], {"name": name})


def is_open(steps: Sequence[Step]) -> bool:
    """Say whether the steps end before the recipient has answered, so that the question "why" stands."""
    return any(s.mark in {Mark.WAITS, Mark.STOPS} for s in steps)
