"""Which parts of the journal prove when a paper was known: the seals up to the first checkpoint that somebody else holds."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """What of the journal goes into a folder: `checkpoints` are numbers of witnessed seals; `seals` are stretches (first,
    last, both included) that lead from the entries to them; `open`: seals that nobody had witnessed yet."""

    checkpoints: tuple[int, ...]
    seals: tuple[tuple[int, int], ...]
    open: tuple[int, ...]


def proof_of(seals: Iterable[int], *, witnessed: Iterable[int]) -> Proof:
    """Return what proves the entries of these seals.

    Args:
        seals: numbers of the seals that cover the entries.
        witnessed: numbers of the seals of which another node holds a checkpoint.

    >>> proof_of([3, 4, 9, 20], witnessed=[1, 5, 9, 12])
    Proof(checkpoints=(5, 9), seals=((3, 5), (9, 9)), open=(20,))
    """
    known = sorted(set(witnessed))
    chosen: dict[int, int] = {}  # witnessed seal: the first seal that leads to it
    waiting: list[int] = []
    for number in sorted(set(seals)):
        place = bisect_left(known, number)
        if place < len(known):
            chosen.setdefault(known[place], number)
        else:
            waiting.append(number)
    return Proof(tuple(chosen), tuple((first, last) for last, first in chosen.items()), tuple(waiting))
