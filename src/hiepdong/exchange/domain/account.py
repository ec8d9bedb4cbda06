"""Statements of account: what two organisations sent each other in a local month, as one of them knows it, and how two differ.

A month is that of Viet Nam, of `sent_at`, which stands inside the signature: both sides sort the same dispatch into the same
month. A statement says what its maker knew at its moment `at`; what happened after `at` is left out, so that the other side can
compute the same statement from its own rows later, and sign the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.moments import VIET_NAM, at_local

from .envelope import instant
from .joint import ACCOUNT_FORMAT

MOST_LISTED = 10_000  # numbers of one way in one month: what a statement can carry in one signed document


class AccountTooLong(DomainError):
    """More numbers than one statement can list."""

    code = "exchange.account_too_long"
    message = gettext_noop("From %(sender)s to %(recipient)s more than %(most)s numbers would have to be listed.")
    hint = gettext_noop("A number far beyond the others is most likely false: look at the incidents of the link.")


class NoMonth(DomainError):
    """What was given is no month."""

    code = "exchange.no_month"
    message = gettext_noop("“%(found)s” is not a month.")
    hint = gettext_noop("Write it like 2020-03.")


@dataclass(frozen=True, slots=True)
class Known:
    """One dispatch of a sequence as one side holds it; moments are aware."""

    sequence: int
    digest: str
    arrived_at: datetime | None
    verdict: str = ""  # "acknowledged", "returned" or ""
    verdict_at: datetime | None = None


def bounds_of(month: str) -> tuple[datetime, datetime]:
    """Return the first instant of a local month and the first one after it.

    Raises:
        NoMonth: it is not of the form "2020-03".

    >>> bounds_of("2020-02")[1].isoformat()
    '2020-02-29T17:00:00+00:00'
    """
    try:
        first = date.fromisoformat(f"{month}-01")
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    except ValueError as error:
        raise NoMonth(found=month[:20]) from error
    return at_local(first), at_local(after)


def month_before(at: datetime) -> str:
    """Return the local month before the one in which an instant lies.

    >>> month_before(datetime.fromisoformat("2020-12-31T18:00:00+00:00"))
    '2020-12'
    """
    local = at.astimezone(VIET_NAM)
    year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
    return f"{year}-{month:02}"


def gaps_between(before: int, held: Iterable[int], *, sender: str, recipient: str) -> list[int]:
    """Return the numbers after `before` that are not held, up to the highest that is.

    Raises:
        AccountTooLong: a number so far beyond the others that the list would not end.

    >>> gaps_between(2, [4, 7], sender="a", recipient="b")
    [3, 5, 6]
    """
    found: list[int] = []
    for number in sorted(set(held)):
        if number - before - 1 > MOST_LISTED - len(found):
            raise AccountTooLong(sender=sender, recipient=recipient, most=MOST_LISTED)
        found += range(before + 1, number)
        before = max(before, number)
    return found


def way_of(*, sender: str, recipient: str, known: Sequence[Known], missing: Sequence[int], as_of: datetime) -> dict[str, Any]:
    """Return one way of a statement; `first` and `last` are 0 when nothing was sent and nothing is missing.

    What was answered after `as_of` is not said: both sides can then say the same.

    Raises:
        AccountTooLong: more dispatches than one signed document carries.
    """
    if len(known) > MOST_LISTED:
        raise AccountTooLong(sender=sender, recipient=recipient, most=MOST_LISTED)
    until = instant(as_of)

    def told(at: datetime | None) -> str | None:
        return instant(at) if at is not None and instant(at) <= until else None

    numbers = [*(k.sequence for k in known), *missing]
    return {
        "from": sender,
        "to": recipient,
        "first": min(numbers, default=0),
        "last": max(numbers, default=0),
        "dispatches": [
            {
                "sequence": k.sequence,
                "digest": k.digest,
                "arrived": told(k.arrived_at),
                "verdict": k.verdict if told(k.verdict_at) else "",
            }
            for k in sorted(known, key=lambda k: k.sequence)
        ],
        "missing": sorted(missing),
    }


def statement(
    *, month: str, pair: Sequence[str], ways: Sequence[Mapping[str, Any]], made_by: str, at: datetime
) -> dict[str, Any]:
    """Return the payload of a statement; the pair is put in the order of its keys."""
    a, b = sorted(pair)
    listed = sorted((dict(w) for w in ways), key=lambda w: str(w["from"]))
    return {"format": ACCOUNT_FORMAT, "month": month, "a": a, "b": b, "sent": listed, "made_by": made_by, "at": instant(at)}


def is_nil(payload: Mapping[str, Any]) -> bool:
    """Say whether a statement lists nothing at all."""
    return not any(way["dispatches"] or way["missing"] for way in payload["sent"])


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two statements say differently, or that only one of them says.

    `code` is one of: only_ours, only_theirs (the other does not name that number), missing_here, missing_there (named as
    missing by one, held by the other or not named by it), digest (other bytes), arrived, verdict (another receipt, or none).
    """

    sender: str
    recipient: str
    sequence: int
    code: str
    ours: str = ""
    theirs: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "from": self.sender, "to": self.recipient, "sequence": self.sequence, "code": self.code,
            "ours": self.ours, "theirs": self.theirs,
        }  # fmt: skip


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """Return every difference between two statements of the same pair and month, by way and number; none: they agree."""
    mine, other = _cells(ours), _cells(theirs)
    found: list[Difference] = []
    for place in sorted(mine.keys() | other.keys()):
        found += _compared(place, mine.get(place), other.get(place))
    return found


@dataclass(frozen=True, slots=True)
class _Cell:
    """What a statement says of one number; all empty: that it is missing."""

    digest: str = ""
    arrived: str = ""
    verdict: str = ""


def _cells(payload: Mapping[str, Any]) -> dict[tuple[str, str, int], _Cell]:
    cells: dict[tuple[str, str, int], _Cell] = {}
    for way in payload["sent"]:
        for row in way["dispatches"]:
            cells[way["from"], way["to"], row["sequence"]] = _Cell(row["digest"], row["arrived"] or "", row["verdict"])
        for number in way["missing"]:
            cells[way["from"], way["to"], number] = _Cell()
    return cells


def _compared(place: tuple[str, str, int], ours: _Cell | None, theirs: _Cell | None) -> list[Difference]:
    held_here, held_there = (cell.digest if cell else "" for cell in (ours, theirs))
    if ours is None:
        return [Difference(*place, "only_theirs" if held_there else "missing_there", "", held_there)]
    if theirs is None:
        return [Difference(*place, "only_ours" if held_here else "missing_here", held_here, "")]
    if not held_here and not held_there:
        return []  # missing on both sides, and both say so
    if not held_here or not held_there:
        return [Difference(*place, "missing_there" if held_here else "missing_here", held_here, held_there)]
    if held_here != held_there:
        return [Difference(*place, "digest", held_here, held_there)]
    pairs = (("arrived", ours.arrived, theirs.arrived), ("verdict", ours.verdict, theirs.verdict))
    return [Difference(*place, code, one, other) for code, one, other in pairs if one != other]
