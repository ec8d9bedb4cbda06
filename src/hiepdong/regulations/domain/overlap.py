"""Which duties ask the same bodies for the same thing twice, in one regulation or in two that bind the same pair."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from hiepdong.kernel.validity import Validity

from .format import Regulation

Chosen = frozenset[str | int]


@dataclass(frozen=True, slots=True)
class Asked:
    """One duty that returns: where it stands, for which period family or day of the year, and whom its selectors may choose.

    `debtors` and `creditors` are ids of organisations, or, where only a file is known, words such as "kind:border_station".
    """

    instrument: str
    version: int
    in_force: Validity
    rule: str
    title: str
    content: str
    family: str
    debtors: Chosen
    creditors: Chosen


def returning(trigger: Mapping[str, Any]) -> str:
    """Return the period family of a trigger, or its day of the year ("03-03"); empty for an event, which nobody can foresee."""
    if trigger["type"] == "yearly":
        return f"{trigger['month']:02}-{trigger['day']:02}"
    return str(trigger.get("family", ""))


def asked_in_file(regulation: Regulation) -> Iterator[Asked]:
    """Yield the duties of a file that return; bodies are known by key, and kinds only as words."""
    sides: dict[str, set[str]] = {}
    for organisation, side in regulation.parties:
        sides.setdefault(side, set()).add(f"organisation:{organisation}")
    for duty in regulation.duties:
        if returns := returning(duty["trigger"]):
            yield Asked(
                regulation.key,
                regulation.version,
                Validity(regulation.effective_from, regulation.effective_until),
                duty["key"],
                duty["title"],
                duty["content"]["type"],
                returns,
                _chosen(duty["debtor"], sides),
                _chosen(duty["creditor"], sides),
            )


def _chosen(selector: Mapping[str, Any], sides: Mapping[str, Collection[str]]) -> Chosen:
    if "organisation" in selector:
        return frozenset({f"organisation:{selector['organisation']}"})
    if "kind" in selector:
        kinds = selector["kind"]
        return frozenset(f"kind:{k}" for k in ([kinds] if isinstance(kinds, str) else kinds))
    return frozenset(sides.get(selector.get("side", ""), ()))


def asked_twice(duties: Sequence[Asked]) -> list[tuple[Asked, Asked]]:
    """Return the pairs of duties of the same content and family that may choose the same debtor and the same creditor.

    Two versions of one regulation do not meet: the later one closes the earlier. Nor do regulations in force at other times.
    """
    groups: dict[tuple[str, str], list[Asked]] = {}
    for duty in duties:
        groups.setdefault((duty.content, duty.family), []).append(duty)
    return [
        (a, b)
        for together in groups.values()
        for a, b in combinations(together, 2)
        if a.debtors & b.debtors
        and a.creditors & b.creditors
        and (a.instrument != b.instrument or a.version == b.version)
        and a.in_force.overlaps(b.in_force)
    ]
