"""The chain of seals over the journal: what exactly is hashed, and where a chain breaks and why.

docs/reference/protocol.md, section 10, says the same for those who have only that page. Entries and seals are taken as
streams, so that a journal of any length is checked in the same memory.
"""

import hashlib
import heapq
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import rfc8785

from hiepdong.kernel.errors import gettext_noop

FORMAT = "hiepdong.seal/1"
WIDTH = 32  # bytes of one digest in `SealFacts.lines`
MOST_LATER = 1_000  # seals beyond the end that are remembered; more are made up in any case


@dataclass(slots=True)
class EntryFacts:
    """One entry as stored: the members that are hashed, and the number of the seal that covers it (None: not yet)."""

    id: int
    code: str
    at: datetime
    subject_kind: str
    subject_id: str
    subject_name: str
    actor_kind: str
    actor_id: str
    actor_name: str
    organisation_id: int | None
    facts: Any
    seal: int | None


@dataclass(slots=True)
class Unreadable:
    """An entry whose row the database or JSON cannot read any more."""

    id: int
    seal: int | None


@dataclass(frozen=True, slots=True)
class SealFacts:
    """One seal as stored. `lines` are the digests of its entries in the order of their ids, 32 bytes each; `total` counts
    the entries of all seals up to this one; `first_entry` and `last_entry` are the ids between which its entries lie."""

    number: int
    digest: str
    previous_digest: str
    entries: int
    total: int
    first_entry: int
    last_entry: int
    lines: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody else holds of our chain: a checkpoint that was witnessed. `total` None: he knows only the digest."""

    number: int
    digest: str
    source: str = ""
    total: int | None = None


class BreakKind(StrEnum):
    ENTRY_ALTERED = "entry_altered"
    ENTRY_REMOVED = "entry_removed"
    ENTRY_ADDED = "entry_added"
    ENTRY_UNREADABLE = "entry_unreadable"
    SEAL_ALTERED = "seal_altered"
    SEAL_MISSING = "seal_missing"
    SEAL_UNLINKED = "seal_unlinked"
    SEAL_UNKNOWN = "seal_unknown"
    END_MISSING = "end_missing"
    WITNESS_DIFFERS = "witness_differs"
    STAMP_DIFFERS = "stamp_differs"


SENTENCES = {
    BreakKind.ENTRY_ALTERED: gettext_noop("Entry %(entry)s was altered after seal %(seal)s."),
    BreakKind.ENTRY_REMOVED: gettext_noop(
        "An entry of seal %(seal)s was removed: after entry %(after)s, before entry %(before)s."
    ),
    BreakKind.ENTRY_ADDED: gettext_noop("Entry %(entry)s says that seal %(seal)s covers it; that seal was made without it."),
    BreakKind.ENTRY_UNREADABLE: gettext_noop("Entry %(entry)s cannot be read any more."),
    BreakKind.SEAL_ALTERED: gettext_noop("Seal %(seal)s was altered: what it lists does not give its digest or its counts."),
    BreakKind.SEAL_MISSING: gettext_noop("Seal %(seal)s is missing, and later ones are here."),
    BreakKind.SEAL_UNLINKED: gettext_noop("Seal %(seal)s does not follow on the seal before it: that one was replaced."),
    BreakKind.SEAL_UNKNOWN: gettext_noop("Entry %(entry)s says that seal %(seal)s covers it; there is no such seal."),
    BreakKind.END_MISSING: gettext_noop(
        "The end of the journal is missing: %(source)s holds seal %(seal)s, this node does not."
    ),
    BreakKind.WITNESS_DIFFERS: gettext_noop("Seal %(seal)s is not the one that %(source)s holds: the journal was rewritten."),
    BreakKind.STAMP_DIFFERS: gettext_noop("The time-stamp of seal %(seal)s does not fit it: %(source)s"),
}
"""One sentence a kind of break, with the facts of `Break.facts`."""


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the chain does not hold. `after` and `before`: the ids beside a removed entry, None at an end."""

    kind: BreakKind
    seal: int
    entry: int | None = None
    after: int | None = None
    before: int | None = None
    source: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts that the sentence of this kind names."""
        none = "–"
        return {
            "seal": self.seal,
            "entry": none if self.entry is None else self.entry,
            "after": none if self.after is None else self.after,
            "before": none if self.before is None else self.before,
            "source": self.source,
        }


def written(moment: datetime) -> str:
    """Return a moment as it stands in the canonical JSON: UTC, always six digits of a second.

    >>> written(datetime(2020, 3, 20, 3, 0, tzinfo=UTC))
    '2020-03-20T03:00:00.000000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def canonical(entry: EntryFacts) -> bytes:
    """Return the bytes of an entry that are hashed: RFC 8785 over the members of protocol.md, section 10.

    Raises:
        ValueError: another member than `facts` has no canonical form (an id beyond 2^53, say); no such row is made here.
    """
    members = {
        "id": entry.id,
        "code": entry.code,
        "at": written(entry.at),
        "subject_kind": entry.subject_kind,
        "subject_id": entry.subject_id,
        "subject_name": entry.subject_name,
        "actor_kind": entry.actor_kind,
        "actor_id": entry.actor_id,
        "actor_name": entry.actor_name,
        "organisation_id": entry.organisation_id,
        "facts": entry.facts,
    }
    try:
        return rfc8785.dumps(members)
    except ValueError:
        # A number beyond 2^53 or half a surrogate pair has no canonical form; the entry must be sealed all the same.
        text = json.dumps(entry.facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return rfc8785.dumps(members | {"facts": text})


def entry_digest(entry: EntryFacts) -> bytes:
    """Return the SHA-256 of an entry's canonical JSON, 32 bytes. Raises ValueError like `canonical`."""
    return hashlib.sha256(canonical(entry)).digest()


def digest_or_none(row: EntryFacts | Unreadable) -> bytes | None:
    """Return the digest of an entry, or None for a damaged row, which cannot have been written by this program."""
    if isinstance(row, Unreadable):
        return None
    try:
        return entry_digest(row)
    except (ValueError, OverflowError, RecursionError, TypeError, AttributeError):
        return None


def seal_text(*, number: int, previous_digest: str, lines: bytes) -> bytes:
    """Return the lines of a seal as a file: its SHA-256 is the digest of the seal. The arguments are those of `seal_digest`."""
    text = f"{FORMAT}\n{number}\n{previous_digest}\n".encode()
    return text + lines.hex("\n", WIDTH).encode() + b"\n" if lines else text


def seal_digest(*, number: int, previous_digest: str, lines: bytes) -> str:
    """Return the digest of a seal, 64 hex characters.

    Args:
        number: 1, 2, 3 …
        previous_digest: digest of the seal before it, "" for the first.
        lines: the digests of its entries in the order of their ids, 32 bytes each.
    """
    return hashlib.sha256(seal_text(number=number, previous_digest=previous_digest, lines=lines)).hexdigest()


@dataclass(slots=True)
class _Open:
    """A seal whose entries are still being read."""

    seal: SealFacts
    ids: array = field(default_factory=lambda: array("q"))
    lines: bytearray = field(default_factory=bytearray)
    told: set[int] = field(default_factory=set)  # entries already named as unreadable


class Walk:
    """One walk along a chain. `breaks` yields every place where it does not hold; the counts grow while it is read.

    Args:
        seals: in the order of their numbers, from `first` on; the newest one last.
        entries: in the order of their ids; those of earlier seals than `first` are passed over.
        known: checkpoints that others hold. Without one, a chain that lost its whole end looks like a shorter one.
        newest: the number of the newest seal now. Entries that were sealed while the walk went on are not missed in
            `seals`; an entry that names a seal beyond it is a break.
    """

    def __init__(
        self,
        seals: Iterable[SealFacts],
        entries: Iterable[EntryFacts | Unreadable],
        *,
        first: int = 1,
        known: Iterable[Known] = (),
        newest: Callable[[], int] | None = None,
    ) -> None:
        self.seals = 0
        self.entries = 0
        self.unsealed = 0
        self.last: SealFacts | None = None
        self._first = first
        self._seals = iter(seals)
        self._rows = entries
        self._newest = newest
        self._known: dict[int, list[Known]] = {}
        for each in known:
            if each.number >= first:
                self._known.setdefault(each.number, []).append(each)
        self._own = ""  # what the last seal's own content gives, whatever digest is written beside it
        self._total = 0  # and what the lists before it add up to
        self._ended = False
        self._gaps: list[tuple[int, int]] = []
        self._open: dict[int, _Open] = {}
        self._ends: list[tuple[int, int]] = []  # (last entry, number) of the open ones

    def breaks(self) -> Iterator[Break]:
        """Yield what does not hold, in the order in which it is found: by place in the journal."""
        later: dict[int, int] = {}
        for row in self._rows:
            while self._ends and self._ends[0][0] < row.id:
                yield from self._close(heapq.heappop(self._ends)[1])
            yield from self._take(row, later)
        yield from self._load(None)
        while self._ends:
            yield from self._close(heapq.heappop(self._ends)[1])
        yield from self._beyond_the_end(later)

    def _take(self, row: EntryFacts | Unreadable, later: dict[int, int]) -> Iterator[Break]:
        if row.seal is None:
            self.unsealed += 1
            if isinstance(row, Unreadable):
                yield Break(BreakKind.ENTRY_UNREADABLE, 0, row.id)
            return
        if row.seal < self._first:
            if row.seal < 1:
                yield Break(BreakKind.SEAL_UNKNOWN, row.seal, row.id)
            return
        yield from self._load(row.seal)
        if row.seal > (self.last.number if self.last else self._first - 1):
            if len(later) < MOST_LATER:
                later.setdefault(row.seal, row.id)
            return
        self.entries += 1
        line = digest_or_none(row)
        if line is None:
            yield Break(BreakKind.ENTRY_UNREADABLE, row.seal, row.id)
        found = self._open.get(row.seal)
        if found is None:
            # A seal that is missing is told once; its entries are not told one by one.
            if not any(low <= row.seal <= high for low, high in self._gaps):
                yield Break(BreakKind.ENTRY_ADDED, row.seal, row.id)
            return
        found.ids.append(row.id)
        found.lines += line or bytes(WIDTH)
        if line is None:
            found.told.add(row.id)

    def _load(self, through: int | None) -> Iterator[Break]:
        """Take seals from the stream up to a number (None: all), each checked in itself and against the one before."""
        while not self._ended and (through is None or self.last is None or self.last.number < through):
            seal = next(self._seals, None)
            if seal is None:
                self._ended = True
                return
            yield from self._chained(seal)
            self.seals += 1
            self._open[seal.number] = _Open(seal)
            heapq.heappush(self._ends, (seal.last_entry, seal.number))

    def _chained(self, seal: SealFacts) -> Iterator[Break]:
        expected = self.last.number + 1 if self.last else self._first
        if seal.number > expected:
            self._gaps.append((expected, seal.number - 1))
            yield Break(BreakKind.SEAL_MISSING, expected)
        elif self.last is None:
            if self._first == 1 and seal.previous_digest:
                yield Break(BreakKind.SEAL_UNLINKED, seal.number)
        elif seal.previous_digest not in {self.last.digest, self._own}:
            yield Break(BreakKind.SEAL_UNLINKED, seal.number)
        own = seal_digest(number=seal.number, previous_digest=seal.previous_digest, lines=seal.lines)
        counts = seal.entries >= 1 and len(seal.lines) == WIDTH * seal.entries
        listed = len(seal.lines) // WIDTH
        if seal.number == expected and (self.last is not None or self._first == 1):
            # Either way of counting will do, so that one altered seal does not put the next one in doubt.
            counts = counts and seal.total - listed in {self.last.total if self.last else 0, self._total}
            self._total += listed
        else:
            self._total = seal.total
        if own != seal.digest or not counts:
            yield Break(BreakKind.SEAL_ALTERED, seal.number)
        for known in self._known.pop(seal.number, ()):
            if known.digest != seal.digest or known.total not in {None, seal.total}:
                yield Break(BreakKind.WITNESS_DIFFERS, seal.number, source=known.source)
        self.last, self._own = seal, own

    def _close(self, number: int) -> Iterator[Break]:
        """Compare the entries that were found for a seal with those that it was made of."""
        found = self._open.pop(number)
        seal, lines = found.seal, bytes(found.lines)
        if lines == seal.lines:
            if found.ids and (found.ids[0], found.ids[-1]) != (seal.first_entry, seal.last_entry):
                yield Break(BreakKind.SEAL_ALTERED, number)
            return
        if seal_digest(number=number, previous_digest=seal.previous_digest, lines=lines) == seal.digest:
            return  # the entries are right, the list in the seal is not: told when the seal was read
        yield from _differences(found)

    def _beyond_the_end(self, later: dict[int, int]) -> Iterator[Break]:
        end = self.last.number if self.last else self._first - 1
        newest = max(end, self._newest()) if self._newest else end
        for number, entry in sorted(later.items()):
            if number > newest:
                yield Break(BreakKind.SEAL_UNKNOWN, number, entry)
        for number, holders in sorted(self._known.items()):
            if number > end:
                for known in holders:
                    yield Break(BreakKind.END_MISSING, number, source=known.source)


def _differences(found: _Open) -> Iterator[Break]:
    """Name the entries that make the difference, between the neighbours that are as they were."""
    seal, ids = found.seal, found.ids
    sealed = [seal.lines[n : n + WIDTH] for n in range(0, len(seal.lines), WIDTH)]
    present = [bytes(found.lines[n : n + WIDTH]) for n in range(0, len(found.lines), WIDTH)]
    place = {line: n for n, line in enumerate(present)}
    begin, lost, before_id = 0, 0, None
    for line in [*sealed, None]:
        at = len(present) if line is None else place.get(line, -1)
        if at < begin and line is not None:
            lost += 1
            continue
        after_id = ids[at] if at < len(present) else None
        extra = list(ids[begin:at])
        for entry in extra[:lost]:
            if entry not in found.told:
                yield Break(BreakKind.ENTRY_ALTERED, seal.number, entry)
        for entry in extra[lost:]:
            if entry not in found.told:
                yield Break(BreakKind.ENTRY_ADDED, seal.number, entry)
        for _ in range(lost - len(extra)):
            yield Break(BreakKind.ENTRY_REMOVED, seal.number, after=before_id, before=after_id)
        begin, lost, before_id = at + 1, 0, after_id
