"""Links between nodes: items and their positions, the pair number, what an item waits for, when to try again.

Positions are bookkeeping of two nodes about what is still to be carried; evidence stands in the signed documents alone.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from hiepdong.kernel.errors import DomainError, gettext_noop

LARGEST_DOCUMENT = 4 * 1024 * 1024  # bytes of one signed document; files travel apart
MOST_ITEMS = 500  # in one request
MOST_HOPS = 8
COMPACT = re.compile(r"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}")


class ItemKind(StrEnum):
    DISPATCH = "dispatch"
    RECEIPT = "receipt"
    KEY = "key"
    CHECKPOINT = "checkpoint"
    WITNESS = "witness"


class ArrivalState(StrEnum):
    STAGED = "staged"  # of a bundle that is not whole yet
    HELD = "held"  # waits for something
    APPLIED = "applied"
    REFUSED = "refused"


class InvalidItem(DomainError):
    """Something that came over a link is not an item."""

    code = "exchange.invalid_item"
    message = gettext_noop("What came from the other node is not an item: %(path)s: %(found)s.")
    hint = gettext_noop("Accepted: %(accepted)s. Ask the administrator of the other node which version it runs.")


@dataclass(frozen=True, slots=True)
class Item:
    """One signed document on its way: its place on this link, what it is, its bytes, and who carried it."""

    position: int
    kind: str
    document: bytes
    hops: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of the document, hex."""
        return hashlib.sha256(self.document).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return the item as it stands in a request and in a bundle."""
        found: dict[str, Any] = {"position": self.position, "kind": self.kind, "document": self.document.decode("ascii")}
        return found | ({"hops": list(self.hops)} if self.hops else {})


def read_item(data: Any, path: str = "items") -> Item:
    """Return an item from its JSON. The kind is not judged here: one that this version does not know is kept and held.

    Raises:
        InvalidItem: what is wrong, and where.
    """

    def refuse(where: str, found: object, accepted: str) -> InvalidItem:
        return InvalidItem(path=f"{path}.{where}", found=str(found)[:80], accepted=accepted)

    if not isinstance(data, Mapping):
        raise InvalidItem(path=path, found=type(data).__name__, accepted="{position, kind, document}")
    position, kind, document, hops = (data.get(k) for k in ("position", "kind", "document", "hops"))
    if not isinstance(position, int) or isinstance(position, bool) or not 0 < position < 1 << 62:
        raise refuse("position", position, "1, 2, 3 …")
    if not isinstance(kind, str) or not re.fullmatch(r"[a-z_]{1,20}", kind):
        raise refuse("kind", kind, "a-z, _")
    if not isinstance(document, str) or len(document) > LARGEST_DOCUMENT or not COMPACT.fullmatch(document):
        raise refuse("document", str(document)[:40], f"JWS, compact, ≤ {LARGEST_DOCUMENT} bytes")
    hops = [] if hops is None else hops
    if (
        not isinstance(hops, list)
        or len(hops) > MOST_HOPS
        or not all(isinstance(h, str) and COMPACT.fullmatch(h) for h in hops)
    ):
        raise refuse("hops", type(hops).__name__, f"≤ {MOST_HOPS} JWS")
    return Item(position, kind, document.encode("ascii"), tuple(hops))


def pair_number(kid: str, other: str) -> str:
    """Return the number that two administrators compare: six groups of five digits, the same on both sides.

    >>> pair_number("b", "a") == pair_number("a", "b"), len(pair_number("a", "b"))
    (True, 35)
    """
    first, second = sorted((kid, other))
    number = int(hashlib.sha256(f"hiepdong pair 1\n{first}\n{second}\n".encode()).hexdigest(), 16) % 10**30
    digits = f"{number:030d}"
    return " ".join(digits[i : i + 5] for i in range(0, 30, 5))


def held_through(before: int, positions: Iterable[int]) -> int:
    """Return up to which position everything is held, when it was `before` and `positions` beyond it are held too.

    >>> held_through(4, [6, 5, 8])
    6
    """
    reached = before
    for position in sorted(set(positions)):
        if position == reached + 1:
            reached = position
    return reached


FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)


def pause_after(failures: int, share: float) -> timedelta:
    """Return how long to wait after so many failures in a row: 5 s, 10 s, 20 s … 15 min, and up to a quarter more.

    `share` is a random number from 0 to 1, so that nodes that lost the same line do not come back at the same instant.

    >>> pause_after(1, 0.0), pause_after(30, 0.0)
    (datetime.timedelta(seconds=5), datetime.timedelta(seconds=900))
    """
    pause = LONGEST_PAUSE if failures > 8 else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** max(0, failures - 1))
    return pause * (1 + share / 4)


WARN_DAYS = (30, 7, 1)


def expiry_warning(valid_until: datetime | None, at: datetime) -> int | None:
    """Return which warning of an expiring key is due: 30, 7 or 1 (days), 0 when it has expired, None while all is well."""
    if valid_until is None:
        return None
    left = valid_until - at
    if left <= timedelta(0):
        return 0
    return next((days for days in sorted(WARN_DAYS) if left <= timedelta(days=days)), None)
