"""What a role may do: one table, read by the gate and by the pages that show or hide a button."""

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    CLERK = "clerk"
    SIGNER = "signer"
    ORGANISATION_ADMINISTRATOR = "organisation_administrator"
    NODE_ADMINISTRATOR = "node_administrator"


class Action(StrEnum):
    READ = "read"
    DRAFT = "draft"
    ACKNOWLEDGE = "acknowledge"
    SEND = "send"
    RETURN = "return"
    WAIVE = "waive"
    EDIT_REVIEW = "edit_review"
    APPROVE_REVIEW = "approve_review"
    MANAGE_SEATS = "manage_seats"
    MANAGE_NODE = "manage_node"


_READ = {Action.READ}
_CLERK = _READ | {Action.DRAFT, Action.ACKNOWLEDGE, Action.EDIT_REVIEW}
_SIGNER = _CLERK | {Action.SEND, Action.RETURN, Action.WAIVE, Action.APPROVE_REVIEW}
MAY: dict[Role, frozenset[Action]] = {
    Role.VIEWER: frozenset(_READ),
    Role.CLERK: frozenset(_CLERK),
    Role.SIGNER: frozenset(_SIGNER),
    Role.ORGANISATION_ADMINISTRATOR: frozenset(_READ | {Action.MANAGE_SEATS}),
    Role.NODE_ADMINISTRATOR: frozenset({Action.MANAGE_SEATS, Action.MANAGE_NODE}),
}


def may(role: str, action: Action) -> bool:
    """Say whether the role allows the action inside the seat's own organisation.

    A node administrator runs the node and reads nobody's dispatches.
    """
    return action in MAY[Role(role)]
