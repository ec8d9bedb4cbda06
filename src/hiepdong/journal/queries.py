"""Reading the journal, and checking that it is whole."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db import Error as DatabaseError
from django.db import connection, models, transaction
from django.db.models import Max

from hiepdong.kernel.errors import DomainError

from .domain import chain
from .domain.chain import Break, BreakKind, EntryFacts, Known, SealFacts, Unreadable, Walk
from .models import Entry, Seal, Stamp, StampFailure
from .timestamping import Root, read_token

HASHED = (
    "id",
    "code",
    "at",
    "subject_kind",
    "subject_id",
    "subject_name",
    "actor_kind",
    "actor_id",
    "actor_name",
    "organisation_id",
    "facts",
    "seal",
)
PAGE = 2_000
DAMAGED = (DatabaseError, ValueError, RecursionError, TypeError)  # what reading a row that was tampered with may raise
MOST_BREAKS = 100


@dataclass(frozen=True, slots=True)
class SealedState:
    """What a checkpoint says of the journal: `entries_total` counts the entries of all seals up to this one."""

    number: int
    digest: str
    entries_total: int
    made_at: datetime


@dataclass(frozen=True, slots=True)
class StampState:
    """The newest token: over which seal, which moment the authority gave, when this node asked."""

    seal: int
    authority: str
    generated_at: datetime
    made_at: datetime


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the chain found. `breaks`: the first of them in the order of the journal, at most MOST_BREAKS;
    `more`: there are others. `unsealed`: entries that no seal covers yet, which therefore nothing proves yet."""

    seals: int
    entries: int
    unsealed: int
    stamps: int
    stamps_unproven: int
    breaks: tuple[Break, ...]
    more: bool

    @property
    def is_whole(self) -> bool:
        return not self.breaks


def entries_about(subject: models.Model) -> models.QuerySet[Entry]:
    """Return the history of one object, oldest first. The caller has passed the gate for that object."""
    return Entry.objects.filter(subject_kind=subject._meta.label, subject_id=str(subject.pk)).order_by("id")


def open_entries(*, limit: int) -> models.QuerySet[Entry]:
    """Return entries whose reactions are not done yet, oldest first."""
    return Entry.objects.filter(reacted_at__isnull=True).order_by("id")[:limit]


def latest_seal() -> SealedState | None:
    """Return the newest seal, or None on a node that has sealed nothing yet."""
    return _state(Seal.objects.order_by("-number"))


def seal(number: int) -> SealedState | None:
    """Return a seal by its number, or None."""
    return _state(Seal.objects.filter(number=number))


def seal_text(number: int) -> bytes | None:
    """Return the lines of a seal, for a folder of evidence: their SHA-256 is its digest. None: there is no such seal."""
    found = Seal.objects.filter(number=number).first()
    if found is None:
        return None
    return chain.seal_text(number=number, previous_digest=found.previous_digest, lines=bytes(found.lines))


def stamped_seals() -> list[int]:
    """Return the numbers of the seals that a time-stamping authority stamped, in their order."""
    return list(Stamp.objects.order_by("seal").values_list("seal", flat=True))


def stamps_of(numbers: Collection[int]) -> Iterator[tuple[str, bytes]]:
    """Yield, for seals that were stamped, the digest of the seal and the authority's answer as received (DER)."""
    for digest, response in (
        Stamp.objects.filter(seal__in=numbers).order_by("seal").values_list("seal__digest", "response").iterator()
    ):
        yield digest, bytes(response)


def sealed_entry(pk: int) -> tuple[int, bytes] | None:
    """Return the number of the seal that covers an entry, and the bytes of the entry that were hashed for it. With the text
    of the seal they prove this one entry and show no other. None: no such entry, or not sealed yet."""
    rows = [row for row in _read(Entry.objects.filter(pk=pk, seal__isnull=False)) if isinstance(row, EntryFacts)]
    return (rows[0].seal or 0, chain.canonical(rows[0])) if rows else None


def sealed_entries_about(*, kind: str, pks: Iterable[int]) -> Iterator[tuple[int, bytes, EntryFacts]]:
    """Yield the sealed entries about some objects: the number of the seal, the bytes that were hashed for it, the entry.

    Damaged ones are passed over: the check of the chain names them.
    """
    about = Entry.objects.filter(subject_kind=kind, subject_id__in=[str(pk) for pk in pks], seal__isnull=False)
    for row in _read(about.order_by("id")):
        if isinstance(row, EntryFacts):
            yield row.seal or 0, chain.canonical(row), row


def facts_about(*, kind: str, pks: Iterable[int]) -> list[dict[str, object]]:
    """Return the facts of the entries about some objects, oldest first. The caller has passed the gate for them."""
    about = Entry.objects.filter(subject_kind=kind, subject_id__in=[str(pk) for pk in pks]).order_by("id")
    return [facts for facts in about.values_list("facts", flat=True) if isinstance(facts, dict)]


def latest_stamp() -> StampState | None:
    """Return the time-stamp over the newest seal that has one, or None."""
    found = Stamp.objects.order_by("-seal_id").values_list("seal_id", "authority", "generated_at", "made_at").first()
    return StampState(*found) if found else None


def stamp_failures() -> tuple[int, datetime | None, str]:
    """Return how many tries failed since the last token, when the last of them was, and why."""
    last = StampFailure.objects.order_by("-id").first()
    return (StampFailure.objects.count(), last.at, last.reason) if last else (0, None, "")


def oldest_unwitnessed_at(*, witnessed: int) -> datetime | None:
    """Return when the oldest seal was made that nobody vouches for yet, or None.

    Args:
        witnessed: number of the newest seal that a linked node holds a checkpoint of, 0 for none. A seal with a
            time-stamp counts as witnessed, and with it all before it.
    """
    stamped = Stamp.objects.aggregate(newest=Max("seal_id"))["newest"] or 0
    return Seal.objects.filter(number__gt=max(witnessed, stamped)).order_by("number").values_list("made_at", flat=True).first()


def unsealed_entries(*, limit: int) -> list[EntryFacts]:
    """Return up to `limit` entries that no seal covers yet, in the order of their ids, without those that are damaged."""
    rows = Entry.objects.filter(seal__isnull=True).order_by("id")[:limit]
    return [row for row in _read(rows) if isinstance(row, EntryFacts)]


def check_chain(
    *,
    first: int = 1,
    known: Iterable[Known] = (),
    roots: tuple[Root, ...] = (),
    progress: Callable[[int, int], None] | None = None,
) -> ChainReport:
    """Read all entries, seals and time-stamps and say where they are not as they were sealed.

    Memory does not grow with the journal, and nothing is locked: the node goes on working beside it.

    Args:
        first: number of the first seal to check; what lies before it is passed over.
        known: checkpoints that others hold; without one a journal that lost its whole end looks like a shorter one.
        roots: certificates that are trusted for time-stamps; without them only the presence of time-stamps is counted.
        progress: called now and then with (entries read, entries there were at the beginning).
    """
    # Both are read first and in this order: what the newest seal covers was there before it, and what is written while the
    # check runs does not make it longer.
    newest = _newest()
    end = Entry.objects.aggregate(largest=Max("id"))["largest"] or 0
    start = 0
    if first > 1:
        start = Seal.objects.filter(number__gte=first).aggregate(least=models.Min("first_entry"))["least"] or 0
    count = Entry.objects.filter(id__gte=start, id__lte=end).count() if progress else 0
    walk = Walk(_seals(first, newest), _entries(start, end, count, progress), first=first, known=known, newest=_newest)
    found = list(islice(walk.breaks(), MOST_BREAKS + 1))
    stamps, unproven = 0, 0
    for wrong in _wrong_stamps(first, roots):
        stamps += 1
        if wrong is not None:
            found.append(wrong)
        unproven += not roots
    return ChainReport(
        seals=walk.seals,
        entries=walk.entries,
        unsealed=walk.unsealed,
        stamps=stamps,
        stamps_unproven=unproven,
        breaks=tuple(found[:MOST_BREAKS]),
        more=len(found) > MOST_BREAKS,
    )


def _state(rows: models.QuerySet[Seal]) -> SealedState | None:
    found = rows.values_list("number", "digest", "total", "made_at").first()
    return SealedState(*found) if found else None


def _newest() -> int:
    return Seal.objects.aggregate(newest=Max("number"))["newest"] or 0


def _seals(first: int, newest: int) -> Iterator[SealFacts]:
    """Yield seals one by one in the order of their numbers; their lists are large, so few are held at once."""
    after = first - 1
    while page := list(Seal.objects.filter(number__gt=after, number__lte=newest).order_by("number")[:8]):
        for row in page:
            yield SealFacts(
                row.number,
                row.digest,
                row.previous_digest,
                row.entries,
                row.total,
                row.first_entry,
                row.last_entry,
                bytes(row.lines),
            )
        after = page[-1].number


def _entries(
    start: int, end: int, count: int, progress: Callable[[int, int], None] | None
) -> Iterator[EntryFacts | Unreadable]:
    """Yield the entries between two ids in their order, in pages, so that no cursor stays open for minutes."""
    after, done = start - 1, 0
    while page := _read(Entry.objects.filter(id__gt=after, id__lte=end).order_by("id")[:PAGE]):
        yield from page
        after, done = page[-1].id, done + len(page)
        if progress:
            progress(done, max(count, done))


def _read(rows: models.QuerySet[Entry]) -> list[EntryFacts | Unreadable]:
    """Return rows; where one of them is damaged so that reading fails, that one as Unreadable and the others all the same."""
    try:
        with _recoverable():
            return [EntryFacts(*values) for values in rows.values_list(*HASHED)]
    except DAMAGED:
        found: list[EntryFacts | Unreadable] = []
        for pk, number in list(rows.values_list("id", "seal")):
            try:
                with _recoverable():
                    found += [EntryFacts(*values) for values in Entry.objects.filter(pk=pk).values_list(*HASHED)]
            except DAMAGED:
                found.append(Unreadable(pk, number))
        return found


def _recoverable() -> AbstractContextManager[object]:
    """Guard a read that may fail inside somebody's transaction; outside of one nothing is begun, for on SQLite that would
    keep the writers out."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def _wrong_stamps(first: int, roots: tuple[Root, ...]) -> Iterator[Break | None]:
    """Yield one item a time-stamp: None, or what is wrong with it."""
    rows = Stamp.objects.filter(seal_id__gte=first).order_by("seal_id")
    for number, digest, response, generated_at in rows.values_list(
        "seal_id", "seal__digest", "response", "generated_at"
    ).iterator(chunk_size=200):
        if not roots:
            yield None
            continue
        try:
            token = read_token(bytes(response), digest=digest, roots=roots)
        except DomainError as error:
            yield Break(BreakKind.STAMP_DIFFERS, number, source=str(error.facts.get("found", error)))
            continue
        wrong = token.generated_at != generated_at
        yield Break(BreakKind.STAMP_DIFFERS, number, source=str(token.generated_at)) if wrong else None
