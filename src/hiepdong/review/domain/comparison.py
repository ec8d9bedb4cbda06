"""Setting a figure beside the one of the year before, and refusing where the two are counted differently."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Refusal(StrEnum):
    DEFINITION = "definition"  # the way of counting changed
    UNIT = "unit"
    SCOPE = "scope"  # another area or other bodies
    NUMBER = "number"  # one of the two has no number


@dataclass(frozen=True, slots=True)
class Known:
    """A figure with what must agree before it may be compared. `definition` is "<indicator>/<way of counting>"."""

    value: Decimal | None
    unit: str
    definition: str
    scope: str = ""
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """Either `refused`, or the difference now − before; `percent` (one decimal) is None where before was zero.

    `rough` says that at least one of the two was stated as about, over or nearly: the difference is no better.
    """

    refused: Refusal | None
    difference: Decimal | None = None
    percent: Decimal | None = None
    rough: bool = False


def compare(now: Known, before: Known) -> Comparison:
    """Return the difference of two figures, or why they must not be compared.

    >>> compare(Known(Decimal(84), "tổ", "groups/2020"), Known(Decimal(88), "tập thể", "groups/2023")).refused
    <Refusal.DEFINITION: 'definition'>
    >>> compare(Known(Decimal(110), "buổi", "talks/1"), Known(Decimal(100), "buổi", "talks/1")).percent
    Decimal('10.0')
    """
    if now.value is None or before.value is None:
        return Comparison(Refusal.NUMBER)
    for reason, a, b in (
        (Refusal.DEFINITION, now.definition, before.definition),
        (Refusal.UNIT, now.unit, before.unit),
        (Refusal.SCOPE, now.scope, before.scope),
    ):
        if a != b:
            return Comparison(reason)
    difference = now.value - before.value
    percent = (difference * 100 / before.value).quantize(Decimal("0.1")) if before.value else None
    return Comparison(None, difference, percent, rough=not (now.exact and before.exact))
