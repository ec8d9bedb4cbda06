"""The one tree of refusals. A refusal is a code, a sentence, a hint and typed facts."""

from typing import Any


def gettext_noop(message: str) -> str:
    """Mark a message for translation and return it unchanged (so that `domain` needs no Django)."""
    return message


class DomainError(Exception):
    """A refusal that a user can understand and repair.

    Subclasses set `code` (never changes; tests and other nodes rely on it), `message` and `hint` (English, marked
    with `gettext_noop`, with %(name)s places for the facts). Facts are passed as keywords:

    >>> class TooLate(DomainError):
    ...     code = "duties.too_late"
    ...     message = gettext_noop("It was due on %(due_on)s.")
    >>> str(TooLate(due_on="06/03/2026"))
    'It was due on 06/03/2026.'
    """

    code = "kernel.error"
    message = gettext_noop("This cannot be done.")
    hint = ""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(self.message % facts if facts else self.message)


class NotFound(DomainError):
    """The object does not exist, or the seat may not see it: the two look alike."""

    code = "kernel.not_found"
    message = gettext_noop("There is nothing here that you may see.")
    hint = gettext_noop("Check the address, or ask the administrator of your node for the seat you need.")


class NotAllowed(DomainError):
    """The seat may see the object but not do this with it."""

    code = "kernel.not_allowed"
    message = gettext_noop("Your seat does not allow this.")
    hint = gettext_noop("Ask a colleague with the right role, or the administrator of your organisation.")
