"""The one place where this package learns which pairs a regulation binds; it lies beside `regulations` and cannot ask it.

`web` installs the answer when the node starts. Until then, and unless the node was told to share only what a regulation asks
for, nobody is left out.
"""

from collections.abc import Callable, Collection
from datetime import date

from django.conf import settings

from .domain.envelope import SERVICE_KINDS

Pairs = Collection[tuple[int, int]]
Bound = Callable[[Pairs, date], frozenset[tuple[int, int]]]


def _all_bound(pairs: Pairs, on: date) -> frozenset[tuple[int, int]]:
    return frozenset(pairs)


_installed: list[Bound] = [_all_bound]


def install(bound: Bound) -> None:
    """Set who answers which of some pairs (sender, recipient) a regulation binds on a local day."""
    _installed[0] = bound


def is_exempt(kind: str) -> bool:
    """Say whether a kind of paper is never narrowed: what nodes tell each other, and what takes an earlier paper back."""
    return kind == "withdrawal" or kind in SERVICE_KINDS


def bound_among(pairs: Pairs, on: date) -> frozenset[tuple[int, int]] | None:
    """Return the pairs that a regulation in force binds, or None where this node does not narrow."""
    if not settings.HIEPDONG_SHARE_ONLY_BOUND:
        return None
    return _installed[0](pairs, on) if pairs else frozenset()
