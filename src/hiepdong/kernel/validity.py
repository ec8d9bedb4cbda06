"""Validity of a dated fact: from a day on, until a day (exclusive), or open."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Validity:
    """Local days from `valid_from` (inclusive) to `valid_until` (exclusive; None = still valid).

    >>> Validity(date(2020, 1, 1), date(2025, 7, 1)).holds_on(date(2025, 7, 1))
    False
    """

    valid_from: date
    valid_until: date | None = None

    def __post_init__(self) -> None:
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until must be after valid_from")

    def holds_on(self, on: date) -> bool:
        """Say whether the fact holds on the local day `on`."""
        return self.valid_from <= on and (self.valid_until is None or on < self.valid_until)

    def overlaps(self, other: "Validity") -> bool:
        """Say whether the two share at least one day."""
        return (self.valid_until is None or other.valid_from < self.valid_until) and (
            other.valid_until is None or self.valid_from < other.valid_until
        )
