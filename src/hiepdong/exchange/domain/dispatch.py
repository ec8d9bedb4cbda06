"""States of a dispatch at one addressee, and the moves between them."""

from enum import StrEnum

from hiepdong.kernel.errors import DomainError, gettext_noop

MADE_UP = "[Minh họa]"  # begins every subject of a demo, so that no list, search, file or review shows it as a real paper


class State(StrEnum):
    SENT = "sent"
    ARRIVED = "arrived"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.SENT: frozenset({State.ARRIVED}),
    State.ARRIVED: frozenset({State.ACKNOWLEDGED, State.RETURNED}),
    State.ACKNOWLEDGED: frozenset(),
    State.RETURNED: frozenset(),
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
