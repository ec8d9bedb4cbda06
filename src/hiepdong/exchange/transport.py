"""How two nodes speak: one Protocol, whatever the line. A bundle is no transport: it goes one way at a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from hiepdong.kernel.errors import DomainError, gettext_noop


class Unreachable(DomainError):
    """The other node did not answer, or not as a node: tried again after a pause, nothing is lost."""

    code = "exchange.unreachable"
    message = gettext_noop("The node %(name)s cannot be reached: %(why)s.")
    hint = gettext_noop("What waits is sent when the line is back; in urgent cases carry a bundle on a USB stick.")

    retry_after_s: int | None = None


class PeerRefused(DomainError):
    """The other node answered that it does not take this."""

    code = "exchange.peer_refused"
    message = gettext_noop("The node %(name)s refuses: %(code)s %(detail)s.")
    hint = gettext_noop("Speak with the administrator of the other node.")

    retry_after_s: int | None = None


class Transport(Protocol):
    """One line to one peer. Every method answers what the far end of `answering.py` returned for this node.

    Raises, all of them: `Unreachable`, `PeerRefused`.
    """

    way: str  # "https", "memory": written beside what came this way

    def hello(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Greet; returns the greeting of the other side."""
        ...

    def push(self, items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Give items; returns held_through, results, wanted."""
        ...

    def pull(self, *, after: int, limit: int) -> Mapping[str, Any]:
        """Ask for items after a position; returns items, sent_through, wanted."""
        ...

    def held(self, through: int) -> Mapping[str, Any]:
        """Say up to where everything of the other side is held here."""
        ...

    def echo(self, *, after: int, limit: int) -> Mapping[str, Any]:
        """Ask for our own items that the other side holds, after a position of ours."""
        ...

    def fetch(self, digest: str, *, start: int) -> Iterator[bytes]:
        """Yield the bytes of a file of the other side, from a byte on."""
        ...

    def offered(self, digest: str) -> int:
        """Return how many bytes of a file of ours the other side has."""
        ...

    def put(self, digest: str, piece: bytes, *, start: int, size: int) -> int:
        """Give a piece of a file; returns how many bytes the other side has now."""
        ...
