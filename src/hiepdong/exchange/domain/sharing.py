"""Who gets what: which of the recipients that a person named may get a paper that leaves this node, and why another may not.

The sender computes it before anything is numbered or signed, so that nobody outside learns of a paper by a hole in a
sequence; the receiver computes it again for what arrives. Both only ever narrow: neither adds a recipient.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from hiepdong.kernel.errors import DomainError, gettext_noop

HERE = 0  # where an organisation lives: 0 for this node, else the number of a linked node, None for nobody known


class Narrowing(StrEnum):
    """Why a recipient was left out."""

    NOT_BOUND = "not_bound"  # no regulation in force binds sender and recipient


NARROWING_MESSAGES = {
    Narrowing.NOT_BOUND: gettext_noop(
        "Not sent to %(name)s: no regulation in force binds it with the sender, and this node shares only what one asks for."
    ),
}


class NothingToShare(DomainError):
    """After the narrowing there is nobody left to whom the paper is addressed."""

    code = "exchange.nothing_to_share"
    message = gettext_noop("No regulation in force binds the sender with %(names)s, so this node does not send it to them.")
    hint = gettext_noop(
        "Choose other recipients, or ask the administrator: the node shares only what a regulation asks for "
        "(HIEPDONG_SHARE_ONLY_BOUND)."
    )


@dataclass(frozen=True, slots=True)
class Shared:
    """Who gets a paper, in the order given, and who was left out, each with the reason."""

    allowed: tuple[int, ...]
    narrowed: tuple[tuple[int, Narrowing], ...]


def share(
    *,
    sender: int,
    recipients: Iterable[int],
    homes: Mapping[int, int | None],
    bound: Collection[tuple[int, int]] | None,
    judged_here: bool = False,
) -> Shared:
    """Return who of the recipients gets a paper of the sender.

    Args:
        sender, recipients: numbers of organisations.
        homes: where each lives: 0 here, the number of a linked node, None for nobody known.
        bound: pairs (sender, recipient) that a regulation in force binds; None: this node does not narrow.
        judged_here: judge recipients that live here (a paper that arrives) instead of those that do not (one that leaves).

    >>> homes = {1: 0, 2: 0, 3: 5, 4: 5}
    >>> share(sender=1, recipients=[2, 3, 4], homes=homes, bound={(1, 3)})
    Shared(allowed=(2, 3), narrowed=((4, <Narrowing.NOT_BOUND: 'not_bound'>),))
    """
    if bound is None:
        return Shared(tuple(recipients), ())
    allowed: list[int] = []
    narrowed: list[tuple[int, Narrowing]] = []
    for recipient in recipients:
        judged = (homes.get(recipient) == HERE) == judged_here
        if judged and (sender, recipient) not in bound:
            narrowed.append((recipient, Narrowing.NOT_BOUND))
        else:
            allowed.append(recipient)
    return Shared(tuple(allowed), tuple(narrowed))
