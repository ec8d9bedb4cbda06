"""After a restore: how far a peer has told back what it holds of this node, when it does so in pieces and in any order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MOST_RANGES = 1000  # that lie apart; what is beyond them is told again


@dataclass(frozen=True, slots=True)
class ToldBack:
    """Positions of this node's own items that a peer has told back.

    `through`: everything up to it; `beyond`: ranges (first, last) behind a hole, growing; `last`: the highest position that the
    peer has said it holds, None while it has not said.
    """

    through: int
    beyond: tuple[tuple[int, int], ...] = ()
    last: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the peer has told everything that it said it holds."""
        return self.last is not None and self.through >= self.last

    def with_range(self, after: int, through: int, last: int | None = None) -> "ToldBack":
        """Return the same with everything after a position up to another; `last` is what the peer holds at most.

        >>> ToldBack(4).with_range(6, 8, 8)
        ToldBack(through=4, beyond=((7, 8),), last=8)
        >>> ToldBack(4).with_range(6, 8, 8).with_range(4, 6, 8)
        ToldBack(through=8, beyond=(), last=8)
        """
        reached = self.through
        apart: list[tuple[int, int]] = []
        for first, end in sorted((*self.beyond, (after + 1, through))):
            if first <= reached + 1:
                reached = max(reached, end)
            elif apart and first <= apart[-1][1] + 1:
                apart[-1] = (apart[-1][0], max(apart[-1][1], end))
            elif end >= first:
                apart.append((first, end))
        known = [n for n in (self.last, last) if n is not None]
        return replace(self, through=reached, beyond=tuple(apart[:MOST_RANGES]), last=max(known, default=None))

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {"through": self.through, "beyond": [list(r) for r in self.beyond], "last": self.last}


def told_back_from(kept: Mapping[str, Any], *, confirmed: int) -> ToldBack:
    """Return what was kept by `as_json`; before anything was told, all up to what the peer had confirmed needs no telling."""
    if not kept:
        return ToldBack(confirmed)
    return ToldBack(kept["through"], tuple((first, last) for first, last in kept["beyond"]), kept["last"])
