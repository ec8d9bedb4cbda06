"""Who owes whom: a rule's selectors applied to the parties of the instrument as they stood on a day."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from hiepdong.kernel.validity import Validity

BORDER_GUARD_SIDE = "border_guard"


@dataclass(frozen=True, slots=True)
class Body:
    """An organisation as a party: its side is empty when it is only named by key."""

    id: int
    key: str
    kind: str
    side: str
    validity: Validity


Relation = Callable[[Collection[int], Collection[int], date], set[tuple[int, int]]]
"""Gives (debtor, other) pairs that stand in the relation on the day."""


def selected(selector: Mapping[str, Any], bodies: Iterable[Body], on: date) -> list[Body]:
    """Return the bodies that exist on the day and meet every given key of the selector, in order of their keys.

    `organisation` names one body of the node; `kind` (one or a list) and `side` choose among the parties.
    """
    kinds = selector.get("kind")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds or ())
    found = [
        b
        for b in bodies
        if b.validity.holds_on(on)
        and (b.key == selector["organisation"] if selector.get("organisation") else bool(b.side))
        and (not kinds or b.kind in kinds)
        and (not selector.get("side") or b.side == selector["side"])
    ]
    return sorted(found, key=lambda b: b.key)


def paired(
    spec: Mapping[str, Any], bodies: Collection[Body], on: date, relations: Mapping[str, Relation]
) -> list[tuple[Body, Body]]:
    """Return (debtor, creditor) of every duty that the rule makes on the day; nobody owes himself."""
    debtors = selected(spec["debtor"], bodies, on)
    creditors = selected(spec["creditor"], bodies, on)
    relation = relations.get(spec["creditor"].get("relation", "any"))
    allowed = relation([d.id for d in debtors], [c.id for c in creditors], on) if relation else None
    return [(d, c) for d in debtors for c in creditors if d.id != c.id and (allowed is None or (d.id, c.id) in allowed)]


def in_order(debtor: Body, creditor: Body) -> tuple[Body, Body]:
    """Return the two as a pair: the Border Guard's side first, else in order of their keys."""
    if (debtor.side == BORDER_GUARD_SIDE) != (creditor.side == BORDER_GUARD_SIDE):
        return (debtor, creditor) if debtor.side == BORDER_GUARD_SIDE else (creditor, debtor)
    return (debtor, creditor) if debtor.key < creditor.key else (creditor, debtor)
