"""States of a dispatch at one addressee, the moves between them, and what a signed answer from another node changes."""

from collections.abc import Collection
from enum import StrEnum

from hiepdong.kernel.errors import DomainError, gettext_noop

MADE_UP = "[Minh họa]"  # begins every subject of a demo, so that no list, search, file or review shows it as a real paper


class State(StrEnum):
    SENT = "sent"
    ARRIVED = "arrived"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    IN_WORK = "in_work"
    DONE = "done"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.SENT: frozenset({State.ARRIVED}),
    State.ARRIVED: frozenset({State.ACKNOWLEDGED, State.RETURNED}),
    State.ACKNOWLEDGED: frozenset({State.IN_WORK, State.DONE}),
    State.RETURNED: frozenset(),
    State.IN_WORK: frozenset({State.DONE}),
    State.DONE: frozenset(),
}


class AlreadyAnswered(DomainError):
    """A verdict contradicts an earlier one."""

    code = "exchange.already_answered"
    message = gettext_noop("This dispatch was already answered on %(at)s.")
    hint = gettext_noop("An answer is final; write a new dispatch if something has changed.")


class ReasonMissing(DomainError):
    """A return or a withdrawal needs a reason."""

    code = "exchange.reason_missing"
    message = gettext_noop("A reason is missing.")
    hint = gettext_noop("Write in one sentence why, so that the other side can act on it.")


def may_move(state: State, to: State) -> bool:
    """Say whether an addressee's state may move so."""
    return to in TRANSITIONS[state]


def contradicts(held: Collection[State], code: State) -> bool:
    """Say whether a receipt contradicts those that are held from the same organisation.

    Receipts may come in any order (a stick overtakes a line), so a lower one after a higher one is late, not false. Two
    verdicts exclude each other, and work on what was returned contradicts the return.

    >>> contradicts({State.DONE}, State.ARRIVED), contradicts({State.ACKNOWLEDGED}, State.RETURNED)
    (False, True)
    """
    accepted = {State.ACKNOWLEDGED, State.IN_WORK, State.DONE}
    if code == State.RETURNED:
        return any(h in accepted for h in held)
    return code in accepted and State.RETURNED in held
