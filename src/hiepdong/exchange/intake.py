"""Taking in what another node gives us: bytes first, verified, then read; whatever the order, however often, by any way.

`take_in` stores a list of items in one transaction and says what became of each. The answer may leave after its commit. An item
ends in one of three states: applied; held, because something it needs is not here yet (it is released by itself when that
comes, or by a person, with a record); refused, with a code, and kept as evidence unless it bears a secrecy mark.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError, InternalError, OperationalError, connection, transaction
from django.db.models import BigIntegerField, Case, CharField, Count, Exists, OuterRef, Q, Subquery, UUIDField, When

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require_unless_command
from hiepdong.documents.models import File
from hiepdong.journal.models import Entry
from hiepdong.journal.services import entry, record, record_many
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.kernel.moments import local_day
from hiepdong.kernel.text import nfc
from hiepdong.organisations.models import Organisation
from hiepdong.shell.bulk import fresh, insert, update
from hiepdong.shell.prepared import Prepared, among

from . import files, links, outbox, recovery, sharing_policy, signing
from .domain.classified import ClassifiedContent, file_name_bears_mark, refuse_classified
from .domain.dispatch import State, contradicts
from .domain.envelope import FORMAT, MOST_RECIPIENTS, RECEIPT_FORMAT, Content, InvalidContent, content_of, instant
from .domain.links import MOST_HOPS, ArrivalState, Item, ItemKind, held_through
from .domain.sharing import HERE, share
from .keys import KeyRing
from .models import (
    Addressee,
    Arrival,
    Attachment,
    Dispatch,
    LinkIncident,
    Node,
    NodeKey,
    Parcel,
    Peer,
    Receipt,
    ReceiptCode,
    RelayedFile,
    Residence,
    SigningKey,
)
from .rows import EARLIEST, LATEST, addressees_of, attach, check_rows, check_storable, dispatch_of, index, strings_in
from .services import make_receipt

MOST_HELD = 20_000  # of one peer: more than that is a flood, not a backlog
MOST_EVIDENCE = 1_000  # refused items of one peer whose bytes are kept; of more than that the digest is enough
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as it is written, and no other way
KID = re.compile(r"[A-Za-z0-9_-]{43}")
# What an item can do to this program that no rule foresaw: it is held alone, and the others are taken.
UNFORESEEN = (
    DatabaseError,
    ValidationError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class NotLinked(DomainError):
    """Nothing is taken from a node that is not linked, or whose link is paused."""

    code = "exchange.not_linked"
    message = gettext_noop("There is no open link with the node %(name)s.")
    hint = gettext_noop("Both administrators compare the pair number first, or take the link up again.")


class TooMuchHeld(DomainError):
    """A peer has so much waiting here that no more is taken until it is settled."""

    code = "exchange.too_much_held"
    message = gettext_noop("%(count)s items of this node are waiting to be settled; no more are taken for now.")
    hint = gettext_noop("The link page shows what they wait for.")


class NotUnderstood(DomainError):
    """An item makes this version of the program fail."""

    code = "exchange.not_understood"
    message = gettext_noop("This version of the program cannot read the item: %(error)s.")
    hint = gettext_noop("It is kept as it came. Upgrade this node, or dismiss the item with a reason.")


class Refused(Exception):
    """This item is refused: a code, what to write down, whether it is an incident of the link."""

    def __init__(self, code: str, *, incident: bool = False, forget: bool = False, **facts: Any) -> None:
        super().__init__(code)
        self.code, self.incident, self.forget, self.facts = code, incident, forget, facts


class Waits(Exception):
    """This item waits for something that is not here yet."""

    def __init__(self, code: str, word: str) -> None:
        super().__init__(code)
        self.code, self.word = code, word


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item: the state now, why, and the receipts that this node gave for it, as signed."""

    position: int
    digest: str
    state: str
    code: str = ""
    receipts: tuple[bytes, ...] = ()
    duplicate: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as it stands in an answer."""
        receipts = [r.decode("ascii") for r in self.receipts]
        return {
            "position": self.position, "digest": self.digest, "state": self.state, "code": self.code, "receipts": receipts
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a list of items, up to where everything is held now, and the files that are still missing."""

    held_through: int
    outcomes: tuple[Outcome, ...]
    wanted: tuple[str, ...]


Place = tuple[int, int, int]

# What is asked for every paper that comes alone.
_RELAYING = Exists(Peer.objects.filter(may_relay=True))
_LOCK = Prepared(
    lambda pk: Peer.objects.select_for_update(of=("self",)).filter(Q(pk=pk) | _RELAYING).order_by("pk"), pk=BigIntegerField()
)
_STANDING = Prepared(
    lambda peer: Node.objects.annotate(
        held=Subquery(
            Arrival.objects.filter(peer=peer, state=ArrivalState.HELD)
            .exclude(state=ArrivalState.APPLIED)
            .values("peer")
            .annotate(n=Count("id"))
            .values("n")
        ),
        waiting=Exists(Arrival.objects.filter(state=ArrivalState.HELD)),
        untied=Exists(Arrival.objects.filter(state=ArrivalState.APPLIED).exclude(waits_for="")),
        holes=Exists(File.objects.filter(kept=False)),
    ),
    peer=BigIntegerField(),
)
_AT_POSITIONS = Prepared(
    lambda peer, positions: Arrival.objects.filter(peer=peer, position__in=positions).defer("document"),
    peer=BigIntegerField(),
    positions=[BigIntegerField()],
)
_KEYS = Prepared(
    lambda kids: SigningKey.objects.filter(kid__in=kids).select_related("organisation__residence"), kids=[CharField()]
)
_BODIES = Prepared(lambda keys: Organisation.objects.filter(key__in=keys).select_related("residence"), keys=[CharField()])
_PAPERS = Prepared(
    lambda uuids: Dispatch.objects.filter(uuid__in=uuids).only("id", "uuid", "digest", "sender_id", "kind", "key_id"),
    uuids=[UUIDField()],
)
_BESIDE = Prepared(
    lambda sender, places, first, last: Addressee.objects.filter(
        among("organisation", places), sender_id_copy=sender, sequence__gte=first, sequence__lte=last
    ).values_list("organisation", "sequence", "dispatch__digest", "previous_digest"),
    sender=BigIntegerField(),
    places=[BigIntegerField()],
    first=BigIntegerField(),
    last=BigIntegerField(),
)
_NUMBERED = Prepared(
    lambda sender, register, year, numbers: Dispatch.objects.filter(
        sender=sender, register=register, register_year=year, register_number__in=numbers
    ).values_list("register_number", "digest"),
    sender=BigIntegerField(),
    register=CharField(),
    year=BigIntegerField(),
    numbers=[BigIntegerField()],
)
_AHEAD = Prepared(
    lambda peer, position: (
        Arrival.objects.filter(peer=peer, position__gt=position).order_by("position").values_list("position", flat=True)[:1000]
    ),
    peer=BigIntegerField(),
    position=BigIntegerField(),
)


@dataclass
class _Batch:
    """Rows of papers that were judged good and are not stored yet."""

    dispatches: list[Dispatch] = field(default_factory=list)
    contents: list[Content] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    addressees: list[list[Addressee]] = field(default_factory=list)
    uuids: set[str] = field(default_factory=set)


def take_in(*, peer_id: int, items: Sequence[Item], way: str, at: datetime) -> Taken:
    """Store, verify, apply and answer items of a linked peer, whatever their order; the same again changes nothing.

    An item that makes the program fail is held alone; the others are taken as if it had not come.

    Raises:
        NotLinked: the link is not open; nothing was stored. TooMuchHeld: the same.
    """
    try:
        with transaction.atomic():
            work = _Intake(_locked(peer_id), way, at)
            if work.held >= MOST_HELD:
                raise TooMuchHeld(count=work.held)
            return work.take(items)
    except UNFORESEEN as error:
        _raise_if_passing(error)
    return _take_each(peer_id, items, way, at)


@transaction.atomic
def _take_each(peer_id: int, items: Sequence[Item], way: str, at: datetime) -> Taken:
    peer = _locked(peer_id)
    outcomes: list[Outcome] = []
    for item in items:
        peer = _locked(peer_id)
        try:
            with transaction.atomic():
                outcomes += _Intake(peer, way, at).take([item]).outcomes
        except UNFORESEEN as error:
            _raise_if_passing(error)
            peer = _locked(peer_id)
            work = _Intake(peer, way, at)
            work.hold_alone(work.row_of(item), error)
            outcomes.append(Outcome(item.position, item.digest, "held", NotUnderstood.code))
            work.finish()
    peer.refresh_from_db(fields=["held_through"])
    return Taken(peer.held_through, tuple(outcomes), tuple(wanted_files(peer)))


@transaction.atomic
def settle_staged(*, bundle_id: int, at: datetime, limit: int = 500) -> int:
    """Apply items of a bundle that was stored whole, in the order of their positions; returns how many were settled."""
    staged = Arrival.objects.filter(bundle=bundle_id, state=ArrivalState.STAGED).order_by("position")
    first = staged.first()
    if first is None:
        return 0
    revoking = [a.pk for a in staged.filter(kind=ItemKind.KEY) if _revokes(bytes(a.document or b""))]
    if revoking:
        staged = staged.order_by(Case(When(pk__in=revoking, then=0), default=1), "position")  # as over a line
    peer = _locked(first.peer_id)
    rows = list(staged.select_for_update(of=("self",))[:limit])
    work = _Intake(peer, "bundle", at)
    work.judge_stored(rows)
    work.finish()
    return len(rows)


@transaction.atomic
def judge_anew(*, at: datetime, limit: int = 500) -> int:
    """Judge again what waits for a newer version of this program; to be called when it was started. Returns how many passed.

    An item that this version does not know either goes on waiting.
    """
    passed = 0
    for peer_id in Peer.objects.filter(state=Peer.State.LINKED).order_by("pk").values_list("pk", flat=True):
        waiting = Arrival.objects.filter(peer=peer_id, waits_for="version", state=ArrivalState.HELD)
        if not waiting.exists():
            continue
        work = _Intake(_locked(peer_id), "again", at)
        rows = list(waiting.order_by("position").select_for_update(of=("self",))[:limit])
        work.judge_stored(rows)
        work.finish()
        passed += sum(r.state != ArrivalState.HELD for r in rows)
    return passed


def judge_narrowed(entry: Entry | None, at: datetime) -> None:
    """Judge again what nobody here might get, of senders that a regulation binds by now.

    To be called when a regulation was loaded (with the entry that says so), and on each new day: one that was loaded before may
    have come into force.
    """
    waiting = Arrival.objects.filter(state=ArrivalState.HELD, waits_for__startswith=_REGULATION, peer__state=Peer.State.LINKED)
    if not waiting.exists():
        return
    here = list(Residence.objects.filter(peer__isnull=True).values_list("organisation", flat=True))
    for peer_id in list(waiting.order_by("peer").values_list("peer", flat=True).distinct()):
        words = set(waiting.filter(peer=peer_id).values_list("waits_for", flat=True).distinct())
        senders = Organisation.objects.filter(key__in=[w.removeprefix(_REGULATION) for w in words])
        pairs = {(sender.pk, pk) for sender in senders for pk in here}
        bound = sharing_policy.bound_among(pairs, local_day(at))
        told = {_REGULATION + s.key for s in senders if bound is None or any((s.pk, pk) in bound for pk in here)}
        with transaction.atomic():
            _locked_in_order(peer_id)
            settle_words(peer_id=peer_id, words=told, at=at)


_REGULATION = "regulation:"  # what an item waits for that nobody here might get, before the key of its sender


def settle_words(*, peer_id: int, words: Iterable[str], at: datetime) -> None:
    """Judge again what waits for these words ("dispatch:<uuid>", "key:<kid>"), in the caller's transaction."""
    work = _Intake(links.peer_for(peer_id, for_update=True), "again", at)
    work.released |= set(words)
    work.finish(spoke=False)


def give_owed(*, at: datetime) -> int:
    """Give the receipts for papers that were taken while this node was recovering, in the caller's transaction."""
    given = Receipt.objects.filter(addressee=OuterRef("pk"), code=ReceiptCode.ARRIVED)
    owed = Addressee.objects.filter(~Exists(given), arrived_at__isnull=False, organisation__residence__peer__isnull=True)
    owed = owed.filter(dispatch__sender__residence__peer__isnull=False)
    owed = owed.select_related("dispatch", "organisation", "dispatch__sender__residence")
    by_peer: dict[int, list[Addressee]] = defaultdict(list)
    for addressee in owed.order_by("id"):
        by_peer[addressee.dispatch.sender.residence.peer_id or 0].append(addressee)
    for peer_id, addressees in sorted(by_peer.items()):
        work = _Intake(links.peer_for(peer_id, for_update=True), "again", at)
        receipts = work._receipts_for(addressees)
        Receipt.objects.bulk_create(receipts, batch_size=1000)
        work.receipts += [(r, r.addressee.sender_id_copy) for r in receipts]
        work.finish(spoke=False)
    return sum(len(a) for a in by_peer.values())


def open_of(peer: Peer, state: str) -> Any:
    """Return the items of a peer in a state that is not the end; by the index of open items, however many are settled."""
    return Arrival.objects.filter(peer=peer, state=state).exclude(state=ArrivalState.APPLIED)


def _locked(peer_id: int) -> Peer:
    """Lock a peer's row; on a node that relays, those of all peers, in one order, since what one brings may go to another.

    Raises:
        NotFound. NotLinked: the link is not open.
    """
    peer = _locked_in_order(peer_id)
    if peer.state != Peer.State.LINKED:
        raise NotLinked(name=peer.name)
    return peer


def _locked_in_order(peer_id: int) -> Peer:
    peer = next((p for p in _LOCK(pk=peer_id) if p.pk == peer_id), None)
    if peer is None:
        raise NotFound
    return peer


def _raise_if_passing(error: BaseException) -> None:
    """Raise again what is no fault of an item: a lost connection, a full disk, a lock that was waited for too long.

    A statement that PostgreSQL calls too large (54) or whose data it cannot take (22, 23) is the item's.
    """
    sqlstate = str(getattr(getattr(error, "__cause__", None), "sqlstate", "") or "")
    passing = isinstance(error, OperationalError | InternalError) or type(error) is DatabaseError
    if passing and sqlstate[:2] not in {"22", "23", "54"}:
        raise error


class _Intake:
    """One transaction of taking in; the peer's row is locked by the caller."""

    def __init__(self, peer: Peer, way: str, at: datetime) -> None:
        self.peer, self.way, self.at = peer, way, at
        node = _STANDING.one(peer=peer.pk)
        if node is None:
            raise links.NodeNotFounded
        self.node = node
        self.held: int = node.held or 0  # of this peer, before
        self.waiting: bool = node.waiting  # whether anything is held at all; what is held meanwhile is added
        self.untied: bool = node.untied  # whether anything was let pass without the earlier paper that it names
        self.holes: bool = node.holes  # whether any file is missing
        self.unsaved: tuple[str, ...] = ()  # fields of the peer that are written with the next ones
        self.ring = KeyRing(at)
        self.batch = _Batch()
        self.entries: list[Entry] = []
        self.receipts: list[tuple[Receipt, int]] = []
        self.released: set[str] = set()
        self.answered: set[int] = set()  # papers of ours whose arrival was confirmed
        self.orphans: set[int] = set()  # positions of what names an earlier paper that cannot come
        self.forced = False
        self.given: dict[str, list[bytes]] = defaultdict(list)  # receipts that were made in this transaction, by paper
        self.kids: set[str] = set()
        self.names: set[str] = set()
        self.opened: dict[int, signing.Opened] = {}  # by position, as the claims
        self.claims: dict[int, Mapping[str, Any]] = {}
        self.unstorable: set[int] = set()  # positions whose text no database takes
        self.here: dict[str, Dispatch] = {}
        self.keys: dict[str, SigningKey] = {}
        self.bodies: dict[str, Organisation] = {}
        self.homes: dict[int, int | None] = {}

    # --- a list of items ---------------------------------------------------------------------------------------------------

    def take(self, items: Sequence[Item]) -> Taken:
        positions = {i.position for i in items}
        before = {a.position: a for a in _AT_POSITIONS(peer=self.peer.pk, positions=positions)}
        fresh: list[Arrival] = []
        outcomes: dict[int, Outcome] = {}
        again: list[Arrival] = []
        for item in items:
            known = before.get(item.position)
            if known is None:
                row = self.row_of(item)
                before[item.position] = row
                fresh.append(row)
            elif known.digest != item.digest:
                facts = {"position": item.position, "held": known.digest, "came": item.digest}
                links.note_incident(peer=self.peer, code="exchange.position_reused", facts=facts, at=self.at)
                outcomes[item.position] = Outcome(item.position, item.digest, "refused", "exchange.position_reused")
            elif known.state == ArrivalState.STAGED:
                fresh.append(known)  # a bundle brought it and was not applied so far yet; the line is here now
            elif known not in fresh:
                again.append(known)
        self.judge(fresh)
        self.finish()
        known_before = [a.subject for a in (*again, *fresh) if a.kind == ItemKind.DISPATCH and a.subject]
        given = self._receipts_given([u for u in known_before if u not in self.given]) | {
            u: tuple(receipts) for u, receipts in self.given.items()
        }
        for row in again:
            outcomes[row.position] = _outcome(row, given, duplicate=True)
        for row in fresh:
            outcomes.setdefault(row.position, _outcome(row, given))
        ordered = tuple(outcomes[i.position] for i in items)
        missing = self.holes or self.peer.may_relay
        return Taken(self.peer.held_through, ordered, tuple(wanted_files(self.peer)) if missing else ())

    def row_of(self, item: Item) -> Arrival:
        """Return the row of an item that came just now, not stored."""
        return fresh(
            Arrival,
            peer=self.peer,
            position=item.position,
            kind=item.kind,
            digest=item.digest,
            way=self.way,
            document=item.document,
            hops=list(item.hops),
            received_at=self.at,
            state=ArrivalState.HELD,
        )

    def hold_alone(self, row: Arrival, error: BaseException) -> None:
        """Store an item that makes the program fail, and say so."""
        row.state, row.code, row.waits_for = ArrivalState.HELD, NotUnderstood.code, "version"
        row.subject, row.facts = "", {"error": type(error).__name__}
        row.save()
        self.waiting = True
        facts = {"digest": row.digest, "position": row.position, "error": type(error).__name__}
        links.note_incident(peer=row.peer, code=NotUnderstood.code, facts=facts, at=self.at)

    def judge_stored(self, rows: Sequence[Arrival]) -> None:
        """Judge rows that are stored already; one that makes the program fail is held alone."""
        before = (list(self.entries), list(self.receipts), set(self.released), dict(self.given))
        try:
            with transaction.atomic():
                self.judge(rows)
            return
        except UNFORESEEN as error:
            _raise_if_passing(error)
            self.entries, self.receipts, self.released = before[:3]
            self.given, self.batch = defaultdict(list, before[3]), _Batch()
            self.peer.refresh_from_db()
            if len(rows) == 1:
                self.hold_alone(Arrival.objects.get(pk=rows[0].pk), error)
                return
        for row in Arrival.objects.filter(pk__in=[r.pk for r in rows]).select_related("peer").order_by("id"):
            self.judge_stored([row])

    def _receipts_given(self, uuids: Sequence[str]) -> dict[str, tuple[bytes, ...]]:
        if not uuids:
            return {}
        found: dict[str, list[bytes]] = defaultdict(list)
        rows = Receipt.objects.filter(addressee__dispatch__uuid__in=set(uuids)).exclude(key__private_encrypted="")
        for subject, signed in rows.order_by("id").values_list("addressee__dispatch__uuid", "signed"):
            found[str(subject)].append(bytes(signed))
        return {k: tuple(v) for k, v in found.items()}

    def judge(self, rows: Sequence[Arrival]) -> None:
        """Judge rows one after the other; papers are stored together, before anything that may need them is judged."""
        self._foresee(rows)
        for row in rows:
            self._judge_one(row)
        self._flush()
        old = [r for r in rows if r.pk is not None]
        insert(r for r in rows if r.pk is None)
        _save_settled(old)

    def _judge_one(self, row: Arrival) -> None:
        row.code, row.waits_for, row.facts = "", "", {}
        document = bytes(row.document or b"")
        try:
            self._readable(row, document)
            if row.kind == ItemKind.DISPATCH:
                self._dispatch(row, document)
                return  # stored with its batch
            self._flush()
            if row.kind == ItemKind.RECEIPT:
                self._receipt(row, document)
            elif row.kind == ItemKind.KEY:
                self._key(row, document)
            elif row.kind in {ItemKind.CHECKPOINT, ItemKind.WITNESS}:
                from . import checkpoints

                checkpoints.take(row.kind, peer=self.peer, document=document, at=self.at)
            else:
                raise Waits("exchange.unknown_kind", "version")
            self._settle(row, ArrivalState.APPLIED)
        except Waits as waits:
            self.waiting = True
            row.state, row.code, row.waits_for = ArrivalState.HELD, waits.code, waits.word[:120]
        except Refused as refused:
            self._refuse(row, refused)
        except signing.BadSignature as bad:
            self._refuse(row, Refused(bad.code, incident=True, what=str(bad.facts.get("what", ""))))
        except ClassifiedContent as secret:
            self._refuse(row, Refused(secret.code, forget=True, incident=True, position=row.position))
        except DomainError as error:
            self._refuse(row, Refused(error.code, error=str(error)[:300]))

    def _readable(self, row: Arrival, document: bytes) -> None:
        """Refuse what nobody could store or read, and forget what bears a secrecy mark, before anything is asked of it.

        A kind that this version does not know is not looked into: what it means is for the next version to say.
        """
        if row.kind not in set(ItemKind):
            return
        opened = self._opened(row, document)
        if not KID.fullmatch(opened.header["kid"]):
            raise signing.BadSignature(what="kid")
        claims = self.claims.get(row.position)
        if claims is None:
            raise signing.BadSignature(what="payload")
        if row.position in self.unstorable:
            check_storable(claims, opened.payload)
        if row.kind == ItemKind.DISPATCH:
            row.subject = str(claims.get("id", "")) if _is_uuid(str(claims.get("id", ""))) else ""
            self._check_classified(claims)
        elif row.kind == ItemKind.RECEIPT:
            refuse_classified(str(claims.get("reason", "")))

    def _settle(self, row: Arrival, state: ArrivalState) -> None:
        row.state, row.settled_at = state, self.at

    def _refuse(self, row: Arrival, refused: Refused) -> None:
        self._settle(row, ArrivalState.REFUSED)
        row.code, row.facts = refused.code, {k: str(v)[:300] for k, v in refused.facts.items()}
        if refused.forget or open_of(self.peer, ArrivalState.REFUSED)[:MOST_EVIDENCE].count() >= MOST_EVIDENCE:
            row.document = None
        if refused.incident:
            facts = {"digest": row.digest, **row.facts}
            links.note_incident(peer=self.peer, code=refused.code, facts=facts, at=self.at)

    def finish(self, *, spoke: bool = True) -> None:
        """Release what waited for something that has come, write the journal, put receipts on their way, move the mark."""
        self._release()
        if spoke:
            self._move_mark()
        if self.receipts:
            written = outbox.enqueue_receipts(
                self.receipts, at=self.at, locked=self.peer, known=self.homes, beside=self.unsaved
            )
            self.unsaved = () if written else self.unsaved
        self._save_marks()
        record_many(self.entries)
        if self.answered:
            said = Parcel.objects.filter(peer=self.peer, dispatch__in=self.answered, outcome__startswith="held ")
            said.update(outcome="")
        self.receipts, self.entries, self.answered = [], [], set()

    def _save_marks(self) -> None:
        if self.unsaved:
            update(self.peer, *self.unsaved)
        self.unsaved = ()

    def _release(self) -> None:
        if not self.waiting:
            self.released = set()
        while self.released:
            words, self.released = self.released, set()
            rows = Arrival.objects.filter(state=ArrivalState.HELD, waits_for__in=words).order_by("id")
            # What another peer's transaction is judging just now is left to it.
            rows = rows.select_related("peer").select_for_update(of=("self",), skip_locked=True)
            by_peer: dict[int, list[Arrival]] = defaultdict(list)
            for row in rows:
                by_peer[row.peer_id].append(row)
            for waiting in by_peer.values():
                for start in range(0, len(waiting), 500):
                    self._again(waiting[start : start + 500])

    def _move_mark(self) -> None:
        """Move the mark over what continues it without a hole, and let pass what waits for a paper that cannot come."""
        mark = self.peer.held_through
        moved = mark
        while True:
            found = _AHEAD(peer=self.peer.pk, position=moved)
            reached = held_through(moved, found)
            whole, moved = reached == moved + len(found), reached
            if not whole or len(found) < 1000:
                break
        self.peer.held_through, self.peer.heard_at = moved, self.at
        self.unsaved = ("held_through", "heard_at")
        if moved > mark and self.waiting:
            self._save_marks()
            self._pass_orphans()

    def _pass_orphans(self) -> None:
        """Let pass what replaces or withdraws a paper that was never given to this node: all that came before it is here.

        That is so when a paper's recipients were others than those of the paper before it.
        """
        while True:
            rows = open_of(self.peer, ArrivalState.HELD).filter(
                code="exchange.earlier_missing", position__lte=self.peer.held_through
            )
            named = {r: r.waits_for.removeprefix("dispatch:") for r in rows.order_by("position")[:500]}
            open_rows = Arrival.objects.exclude(state=ArrivalState.APPLIED).filter(
                state__in=[ArrivalState.HELD, ArrivalState.STAGED], subject__in=set(named.values())
            )
            coming = set(open_rows.values_list("subject", flat=True))
            orphans = [r for r, subject in named.items() if subject not in coming]
            if not orphans:
                return
            self.orphans |= {o.position for o in orphans}
            self._again(orphans)
            if all(o.code == "exchange.earlier_missing" and o.state == ArrivalState.HELD for o in orphans):
                return
            self._release()

    def _again(self, rows: Sequence[Arrival], *, forced: bool = False) -> None:
        """Judge stored rows of one peer once more; it may be another than the one that speaks now."""
        speaking, self.peer, self.forced = self.peer, (rows[0].peer if rows[0].peer_id != self.peer.pk else self.peer), forced
        try:
            self.judge_stored(rows)
        finally:
            self.peer, self.forced = speaking, False

    # --- papers ------------------------------------------------------------------------------------------------------------

    def _foresee(self, rows: Sequence[Arrival]) -> None:
        """Read once what judging these rows will ask for: keys, bodies, homes, papers that are here already."""
        kids, names, uuids = set(), set(), set()
        self.opened, self.claims, self.unstorable = {}, {}, set()
        for row in rows:
            try:
                opened = signing.opened(bytes(row.document or b""))
                kid = opened.header["kid"]
                self.opened[row.position] = opened
                claims = opened.claims()
            except signing.BadSignature:
                continue
            self.claims[row.position] = claims
            try:
                check_storable(claims, opened.payload)
            except InvalidContent:
                self.unstorable.add(row.position)  # refused when its turn comes
                continue
            kids |= {kid} if KID.fullmatch(kid) else set()
            names.add(str(claims.get("sender", "") or claims.get("organisation", "")))
            recipients = claims.get("recipients")
            if isinstance(recipients, list):
                names |= {str(r.get("organisation", "")) for r in recipients[:MOST_RECIPIENTS] if isinstance(r, Mapping)}
            uuids |= {str(claims[k]) for k in ("id", "replaces", "withdraws", "dispatch") if isinstance(claims.get(k), str)}
        self._read_keys(kids - self.kids)
        self._read_bodies(names - self.names - self.bodies.keys())
        good = {u for u in uuids if _is_uuid(u)}
        self.here = {str(d.uuid): d for d in _PAPERS(uuids=good)}

    def _read_keys(self, kids: set[str]) -> None:
        self.kids |= kids
        found = _KEYS(kids=kids)
        self.keys |= {k.kid: k for k in found}
        self._know(k.organisation for k in found)

    def _read_bodies(self, names: set[str]) -> None:
        self.names |= names
        self._know(_BODIES(keys=names))

    def _know(self, bodies: Iterable[Organisation]) -> None:
        for body in bodies:
            home = getattr(body, "residence", None)
            self.bodies[body.key] = body
            self.homes[body.pk] = (home.peer_id or 0) if home is not None else None

    def _opened(self, row: Arrival, document: bytes) -> signing.Opened:
        return self.opened.get(row.position) or signing.opened(document)

    def _key_of(self, document: signing.Opened) -> SigningKey:
        kid = document.header["kid"]
        key = self.keys.get(kid)
        if key is None:
            raise Waits("exchange.unknown_key", f"key:{kid}")
        return key

    def _dispatch(self, row: Arrival, document: bytes) -> None:
        opened = self._opened(row, document)
        key = self._key_of(opened)
        opened.verified(public_jwk=key.public_jwk, kid=key.kid, typ=signing.DISPATCH_TYPE)
        claims = self.claims[row.position]
        _check_format(claims, FORMAT)
        try:
            content = content_of(claims)
        except InvalidContent as error:
            if error.facts.get("path") == "kind":
                raise Waits("exchange.newer_kind", "version") from error
            raise
        check_rows(content)
        _check_kinds_of_value(claims)
        for name, value in (("id", content.id), ("replaces", content.replaces), ("withdraws", content.withdraws)):
            if not _is_uuid(value) and (value or name == "id"):
                raise Refused("exchange.invalid_content", path=name)
        if key.organisation.key != content.sender:
            raise Refused("exchange.wrong_key", incident=True, sender=content.sender, owner=key.organisation.key)
        self._may_sign(key, content.sent_at)
        sender = key.organisation
        self._comes_from(sender)
        if content.id in self.batch.uuids or content.replaces in self.batch.uuids or content.withdraws in self.batch.uuids:
            self._flush()
        known = self.here.get(content.id)
        if known is not None:
            if known.digest != row.digest:
                raise Refused("exchange.altered", incident=True, dispatch=content.id, held=known.digest)
            self._settle(row, ArrivalState.APPLIED)
            row.document = None
            return
        ours = [r for r in content.recipients if self.homes.get(self._id_of(r.organisation)) == 0]
        if not ours:
            self._relay(row, document, content)
            return
        named = [u for u in (content.replaces, content.withdraws) if u]
        replaces, withdraws = (self._earlier(row, u, sender) for u in (content.replaces, content.withdraws))
        narrowed = self._narrowed(sender, content, forced=self.forced)
        missing = [u for u in named if u not in {str(d.uuid) for d in (replaces, withdraws) if d is not None}]
        if missing:
            row.waits_for, self.untied = f"dispatch:{missing[0]}", True  # tied to it if it comes after all
        self._carry_to_others(row, document, content)
        if narrowed:
            row.code, row.facts = "exchange.recipient_narrowed", {**row.facts, "narrowed": narrowed}
        self._hold_in_batch(row, document, content, key, replaces, withdraws, narrowed)

    def _narrowed(self, sender: Organisation, content: Content, *, forced: bool) -> dict[str, str]:
        """Return which recipients here do not get a paper although it names them: key -> reason.

        The sender has narrowed already; what the regulation says here may be less.

        Raises:
            Waits: nobody here would get it; a person decides.
        """
        if forced or sharing_policy.is_exempt(content.kind):
            return {}
        ours = {r.organisation: self._id_of(r.organisation) for r in content.recipients}
        ours = {key: pk for key, pk in ours.items() if self.homes.get(pk) == HERE}
        bound = sharing_policy.bound_among({(sender.pk, pk) for pk in ours.values()}, local_day(self.at))
        shared = share(sender=sender.pk, recipients=ours.values(), homes=self.homes, bound=bound, judged_here=True)
        if not shared.allowed:
            raise Waits("exchange.nothing_to_share", f"{_REGULATION}{sender.key}")
        reasons = dict(shared.narrowed)
        return {key: reasons[pk].value for key, pk in ours.items() if pk in reasons}

    def _id_of(self, organisation: str) -> int:
        found = self.bodies.get(organisation)
        return found.pk if found is not None else 0

    def _may_sign(self, key: SigningKey, at: datetime) -> None:
        if key.revoked_at is not None:
            raise Refused("exchange.key_revoked", kid=key.kid, revoked_at=instant(key.revoked_at))
        if key.valid_until is not None and at > key.valid_until:
            raise Refused("exchange.key_expired", kid=key.kid, valid_until=instant(key.valid_until))

    def _comes_from(self, sender: Organisation) -> None:
        """Refuse papers of organisations that live here or elsewhere; a relay may bring those of others."""
        home = self.homes.get(sender.pk)
        if sender.pk not in self.homes:
            self.homes |= links.homes_among([sender.pk])
            home = self.homes[sender.pk]
        if home == self.peer.pk:
            return
        if home and self.peer.may_relay:
            return
        raise Refused("exchange.foreign_sender", incident=True, sender=sender.key)

    def _check_classified(self, claims: Mapping[str, Any]) -> None:
        """Refuse a secrecy mark wherever people would read it, whoever signed it, before the bytes are kept."""
        words = [claims.get(name) for name in ("subject", "reason", "signer", "body")]
        refuse_classified(*strings_in(words))
        attached = claims.get("attachments")
        names = [a.get("name") for a in attached if isinstance(a, Mapping)] if isinstance(attached, list) else []
        if any(file_name_bears_mark(name) for name in strings_in(names)):
            raise ClassifiedContent

    def _earlier(self, row: Arrival, other: str, sender: Organisation) -> Dispatch | None:
        if not other:
            return None
        found = self.here.get(other)
        if found is None and _is_uuid(other):
            found = Dispatch.objects.filter(uuid=other).only("id", "uuid", "digest", "sender_id", "kind").first()
        if found is None:
            if self.forced or row.position in self.orphans:
                return None
            raise Waits("exchange.earlier_missing", f"dispatch:{other}")
        if found.sender_id != sender.pk:
            raise Refused("exchange.foreign_record", incident=True, dispatch=other, sender=sender.key)
        return found

    def _hold_in_batch(
        self,
        row: Arrival,
        document: bytes,
        content: Content,
        key: SigningKey,
        replaces: Dispatch | None,
        withdraws: Dispatch | None,
        narrowed: Collection[str] = (),
    ) -> None:
        dispatch = dispatch_of(
            document=document,
            digest=row.digest,
            content=content,
            key=key,
            replaces=replaces,
            withdraws=withdraws,
            at=self.at,
        )
        now = self.at.replace(microsecond=0)
        here = {r.organisation: now for r in content.recipients if self.homes.get(self._id_of(r.organisation)) == 0}
        bodies = {k: o for k, o in self.bodies.items() if k not in narrowed}
        addressees = addressees_of(dispatch, content, bodies, here)
        self.batch.dispatches.append(dispatch)
        self.batch.contents.append(content)
        self.batch.arrivals.append(row)
        self.batch.addressees.append(addressees)
        self.batch.uuids.add(content.id)
        self._settle(row, ArrivalState.APPLIED)
        if content.kind == "directory" or len(self.batch.dispatches) >= 500:
            self._flush()

    def _flush(self) -> None:
        """Store the papers that were judged good, in a few statements, with receipts, journal and index."""
        batch, self.batch = self.batch, _Batch()
        if not batch.dispatches:
            return
        good = self._without_conflicts(batch)
        dispatches = [batch.dispatches[i] for i in good]
        contents = [batch.contents[i] for i in good]
        addressees = [a for i in good for a in batch.addressees[i]]
        insert(dispatches, keyed=True)
        insert(addressees, keyed=True)
        self.holes = attach(dispatches, contents, at=self.at) or self.holes
        receipts = self._receipts_for(addressees)
        insert(receipts, keyed=True)
        self.receipts += [(r, r.addressee.sender_id_copy) for r in receipts]
        for r in receipts:
            self.given[str(r.addressee.dispatch.uuid)].append(bytes(r.signed))
        index((d, c, batch.addressees[i]) for d, c, i in zip(dispatches, contents, good, strict=True))
        for d, c in zip(dispatches, contents, strict=True):
            self.here[str(d.uuid)] = d
            facts: dict[str, Any] = {"uuid": c.id, "digest": d.digest, "answers": d.answers}
            facts |= {"peer": self.peer.name, "way": self.way}
            if c.withdraws:
                facts["withdraws"] = c.withdraws
            name = f"{d.notation} {d.subject}"
            self.entries.append(entry("exchange.dispatch.received", subject=d, actor=None, at=self.at, name=name, facts=facts))
            self.released.add(f"dispatch:{c.id}")
        for i in good:
            batch.arrivals[i].document = None
        if self.untied:
            self._tie_late(dispatches)
        for d, c in zip(dispatches, contents, strict=True):
            if d.kind == "directory":
                self._directory(d, c)

    def _tie_late(self, dispatches: Sequence[Dispatch]) -> None:
        """Tie papers that were let pass without the earlier one they name to that one, now that it came after all."""
        words = {f"dispatch:{d.uuid}": d for d in dispatches}
        passed = Arrival.objects.filter(state=ArrivalState.APPLIED, waits_for__in=words).exclude(waits_for="")
        for row in passed.select_for_update(of=("self",)):
            earlier = words[row.waits_for]
            later = Dispatch.objects.filter(uuid=row.subject).first()
            if later is not None and later.sender_id == earlier.sender_id:
                claims = signing.claims_of(bytes(later.signed))
                for name in ("replaces", "withdraws"):
                    if claims.get(name) == str(earlier.uuid):
                        setattr(later, name, earlier)
                later.save(update_fields=["replaces", "withdraws"])
                facts = {"uuid": str(later.uuid), "earlier": str(earlier.uuid)}
                fact = "exchange.dispatch.tied"
                self.entries.append(entry(fact, subject=later, actor=None, at=self.at, name=later.notation, facts=facts))
            elif later is not None:
                facts = {"dispatch": str(earlier.uuid), "sender": earlier.sender.key, "named_by": str(later.uuid)}
                links.note_incident(peer=row.peer, code="exchange.foreign_record", facts=facts, at=self.at)
            row.waits_for = ""
            row.save(update_fields=["waits_for"])

    def _without_conflicts(self, batch: _Batch) -> list[int]:
        """Return the places in the batch that may be stored; two papers with one number are an incident of the link."""
        taken, previous = self._neighbours(batch)
        numbers: dict[tuple[int, str, int, int], str] = {}
        registers: dict[tuple[int, str, int], set[int]] = defaultdict(set)
        for d in batch.dispatches:
            registers[d.sender_id, d.register, d.register_year].add(d.register_number)
        for (sender, register, year), used in registers.items():
            same = _NUMBERED(sender=sender, register=register, year=year, numbers=used)
            numbers |= {(sender, register, year, n): digest for n, digest in same}
        good = []
        for i, (d, addressees) in enumerate(zip(batch.dispatches, batch.addressees, strict=True)):
            own = [(a.sender_id_copy, a.organisation_id, a.sequence) for a in addressees]
            number = (d.sender_id, d.register, d.register_year, d.register_number)
            other = next((taken[p] for p in own if p in taken), "") or numbers.get(number, "")
            if other:
                refused = Refused("exchange.sequence_conflict", incident=True, dispatch=str(d.uuid), held=other)
                self._refuse(batch.arrivals[i], refused)
                continue
            for a in addressees:
                self._check_chain(d, a, taken, previous)
            taken |= dict.fromkeys(own, d.digest)
            numbers[number] = d.digest
            good.append(i)
        return good

    def _neighbours(self, batch: _Batch) -> tuple[dict[Place, str], dict[Place, str]]:
        """Return what is held in the places of a batch and right beside them: digests, and the digests named as the one before.

        A place is (sender, recipient, sequence).
        """
        by_sender: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for addressees in batch.addressees:
            for a in addressees:
                by_sender[a.sender_id_copy][a.organisation_id] |= {a.sequence - 1, a.sequence, a.sequence + 1}
        digests: dict[Place, str] = {}
        previous: dict[Place, str] = {}
        for sender, places in by_sender.items():
            every = {s for sequences in places.values() for s in sequences}
            if max(every) - min(every) <= 10 * len(every):  # the usual case: they follow each other
                found = _BESIDE(sender=sender, places=list(places), first=min(every), last=max(every))
            else:  # a hostile one names far places so that all between them would be read
                found = []
                for o, sequences in places.items():
                    rows = Addressee.objects.filter(organisation=o, sequence__in=sequences, sender_id_copy=sender)
                    found += rows.values_list("organisation", "sequence", "dispatch__digest", "previous_digest")
            for o, s, digest, before in found:
                digests[sender, o, s], previous[sender, o, s] = digest, before
        return digests, previous

    def _check_chain(self, d: Dispatch, a: Addressee, digests: Mapping[Place, str], previous: dict[Place, str]) -> None:
        """Note when a paper names another one as the one before it than the one that is held: one of the two is a lie.

        Both are signed and both are kept: neither is lost because the sender contradicts itself.
        """
        place, before, after = ((a.sender_id_copy, a.organisation_id, a.sequence + step) for step in (0, -1, 1))
        said, held = a.previous_digest, digests.get(before, a.previous_digest)
        if said == held:
            said, held = previous.get(after, d.digest), d.digest
        if said != held:
            facts = {"dispatch": str(d.uuid), "sequence": a.sequence, "said": said, "held": held}
            links.note_incident(peer=self.peer, code="exchange.chain_broken", facts=facts, at=self.at)
        previous[place] = a.previous_digest

    def _receipts_for(self, addressees: Sequence[Addressee]) -> list[Receipt]:
        """Return the receipts of those who live here; of a paper that was here before a restore, the very ones given then.

        While this node does not know yet what it had answered, it answers nothing: `give_owed` does when it knows.
        """
        if self.node.state == Node.State.RECOVERING:
            return []
        receipts = []
        here = [a for a in addressees if a.arrived_at is not None]
        told: Mapping[str, list[bytes]] = {}
        if self.node.restored_at and here:
            told = recovery.earlier_receipts({str(a.dispatch.uuid) for a in here})
        for a in here:
            found = self._given_before(a, told.get(str(a.dispatch.uuid), []))
            if not any(r.code == ReceiptCode.ARRIVED for r in found):
                found.append(make_receipt(a, a.organisation, ReceiptCode.ARRIVED, a.arrived_at or self.at, "", self.ring))
            receipts += found
        return receipts

    def _given_before(self, addressee: Addressee, told: Iterable[bytes]) -> list[Receipt]:
        found: list[Receipt] = []
        for document in told:
            receipt = recovery.receipt_of(addressee, document)
            if receipt is not None and receipt.code not in {r.code for r in found}:
                recovery.answer(addressee, receipt)
                found.append(receipt)
        if found:
            addressee.save()
        return found

    def _relay(self, row: Arrival, document: bytes, content: Content) -> None:
        """Carry a paper on, unchanged, to nodes that are spoken to through this one; else it was sent to the wrong node."""
        if not self._carry_to_others(row, document, content):
            unknown = next((r.organisation for r in content.recipients if r.organisation not in self.bodies), None)
            if unknown is not None:
                raise Waits("exchange.unknown_organisation", f"organisation:{unknown}")
            named = ", ".join(r.organisation for r in content.recipients)
            raise Refused("exchange.wrong_recipient", incident=True, recipients=named)
        self._settle(row, ArrivalState.APPLIED)
        self.released.add(f"dispatch:{content.id}")

    def _carry_to_others(self, row: Arrival, document: bytes, content: Content) -> bool:
        """Carry a paper on to the nodes of its other recipients, if its giver may relay; says whether there are any."""
        if not self.peer.may_relay:
            return False
        homes = {self.homes.get(self._id_of(r.organisation)) for r in content.recipients}
        peers = {h for h in homes if h} - {self.peer.pk, self.homes.get(self._id_of(content.sender))}
        onward = Peer.objects.filter(pk__in=peers, state__in=outbox.OPEN).exclude(via=self.peer)
        return self._carry_on(onward, row, document)

    def _carry_on(self, peers: Iterable[Peer], row: Arrival, document: bytes) -> bool:
        onward = list(peers)
        if onward and len(row.hops) >= MOST_HOPS:
            facts = {"digest": row.digest, "hops": len(row.hops)}
            links.note_incident(peer=self.peer, code="exchange.too_many_hops", facts=facts, at=self.at)
            return True
        hop = {"format": "hiepdong.hop/1", "node": str(self.node.node_id), "digest": row.digest, "at": instant(self.at)}
        for peer in onward:
            stamp = links.sign_as_node(hop, typ=signing.HOP_TYPE, at=self.at).decode("ascii")
            outbox.enqueue_document(peer=peer, kind=row.kind, document=document, at=self.at, hops=[*row.hops, stamp])
            if row.kind == ItemKind.DISPATCH:
                attached = self.claims[row.position]["attachments"]
                files.pass_on(peer=peer, giver=self.peer, digest=row.digest, attached=attached)
        if row.kind == ItemKind.RECEIPT:
            files.note_answered(peer=self.peer, digest=str(self.claims[row.position].get("digest")), at=self.at)
        if onward:
            row.facts = {**row.facts, "relayed": ", ".join(p.name for p in onward)}
        return bool(onward)

    def _directory(self, dispatch: Dispatch, content: Content) -> None:
        """Take over what the speaker of a node says about its own organisations; a refusal is noted, the paper stays."""
        directory = content.body.get("directory")
        home = Peer.objects.filter(pk=self.homes.get(dispatch.sender_id) or 0).first()
        if home is None or home.speaker_id != dispatch.sender_id or not isinstance(directory, Mapping):
            facts = {"sender": dispatch.sender.key, "dispatch": content.id}
            links.note_incident(peer=self.peer, code="exchange.foreign_directory", facts=facts, at=self.at)
            return
        try:
            with transaction.atomic():
                words = links.take_directory(peer=home, directory=directory, at=self.at)
        except (DomainError, *UNFORESEEN) as error:
            _raise_if_passing(error)
            code = error.code if isinstance(error, DomainError) else "exchange.invalid_content"
            facts = {"dispatch": content.id, "error": str(error)[:300]}
            links.note_incident(peer=self.peer, code=code, facts=facts, at=self.at)
            return
        self._learned(words)

    def _learned(self, words: Iterable[str]) -> None:
        """Read again what was asked for before it became known, and let what waited for it be judged again."""
        self.released |= set(words)
        self._read_keys(self.kids)
        self._read_bodies(self.names)

    # --- receipts ----------------------------------------------------------------------------------------------------------

    def _receipt(self, row: Arrival, document: bytes) -> None:
        opened = self._opened(row, document)
        key = self._key_of(opened)
        opened.verified(public_jwk=key.public_jwk, kid=key.kid, typ=signing.RECEIPT_TYPE)
        claims = self.claims[row.position]
        _check_format(claims, RECEIPT_FORMAT)
        code, subject, organisation = (str(claims.get(k, "")) for k in ("code", "dispatch", "organisation"))
        if not _is_uuid(subject):
            raise Refused("exchange.invalid_content", path="dispatch")
        row.subject = subject
        if code not in ReceiptCode.values:
            raise Waits("exchange.newer_kind", "version")
        if key.organisation.key != organisation:
            raise Refused("exchange.wrong_key", incident=True, organisation=organisation, owner=key.organisation.key)
        at, reason = _moment(claims, "at"), str(claims.get("reason") or "")
        if code == ReceiptCode.RETURNED and not reason.strip():
            raise Refused("exchange.invalid_content", path="reason")
        self._may_sign(key, at)
        self._comes_from(key.organisation)
        dispatch = self.here.get(subject)
        if dispatch is None:
            self._relay_receipt(row, document, claims)
            return
        if dispatch.digest != claims.get("digest"):
            raise Refused("exchange.receipt_of_other_bytes", incident=True, dispatch=subject, named=claims.get("digest"))
        addressee = (
            Addressee.objects.select_for_update(of=("self",))
            .select_related("organisation", "dispatch")
            .filter(dispatch=dispatch, organisation=key.organisation)
            .first()
        )
        if addressee is None:
            raise Refused("exchange.not_addressed", incident=True, dispatch=subject, organisation=organisation)
        held = {r.code: r for r in Receipt.objects.filter(addressee=addressee)}
        same = held.get(code)
        if same is not None and same.digest != row.digest:
            raise Refused("exchange.receipt_changed", incident=True, dispatch=subject, held=same.digest)
        self._carry_receipt_back(row, document, dispatch)
        if same is not None:
            row.document = None
            return
        if contradicts({State(c) for c in held}, State(code)):
            answered = ", ".join(sorted(held))
            raise Refused("exchange.receipt_contradicts", incident=True, dispatch=subject, came=code, held=answered)
        Receipt.objects.create(
            addressee=addressee, code=code, reason=reason, at=at, signed=document, digest=row.digest, key=key
        )
        setattr(addressee, f"{code}_at", at)
        if code == ReceiptCode.RETURNED:
            addressee.return_reason = reason
        addressee.save(update_fields=[f"{code}_at", "return_reason"])
        row.document = None
        if code == ReceiptCode.ARRIVED:
            self.answered.add(dispatch.pk)
        facts = {"uuid": subject, "organisation": organisation, "reason": reason, "peer": self.peer.name}
        facts["receipt"] = row.digest
        name = addressee.dispatch.notation
        code_of_fact = f"exchange.dispatch.{code}"
        self.entries.append(entry(code_of_fact, subject=addressee.dispatch, actor=None, at=self.at, name=name, facts=facts))

    def _carry_receipt_back(self, row: Arrival, document: bytes, dispatch: Dispatch) -> None:
        """Carry a receipt on to the node of the sender, when the paper reached more nodes than this one through it."""
        if self.peer.may_relay:
            home = links.homes_among([dispatch.sender_id])[dispatch.sender_id]
            if home and home != self.peer.pk:
                self._carry_on(Peer.objects.filter(pk=home, state__in=outbox.OPEN).exclude(via=self.peer), row, document)

    def _relay_receipt(self, row: Arrival, document: bytes, claims: Mapping[str, Any]) -> None:
        """A receipt for a paper that this node does not hold: of one it relayed, it goes back that way; else it waits."""
        source = None
        if self.peer.may_relay:
            came = Arrival.objects.filter(digest=str(claims.get("digest")), kind=ItemKind.DISPATCH, state=ArrivalState.APPLIED)
            source = came.exclude(peer=self.peer).select_related("peer").order_by("id").first()
        if source is None:
            raise Waits("exchange.dispatch_missing", f"dispatch:{claims['dispatch']}")
        self._carry_on([source.peer], row, document)

    # --- keys --------------------------------------------------------------------------------------------------------------

    def _key(self, row: Arrival, document: bytes) -> None:
        claims = self.claims[row.position]
        _check_format(claims, links.KEY_FORMAT)
        owner, kid, action = (str(claims.get(k, "")) for k in ("owner", "kid", "action"))
        row.subject = kid[:64]
        signer = signing.header_of(document)["kid"]
        if not owner:
            self._node_key(row, document, claims)
            return
        body = Organisation.objects.filter(key=owner, residence__peer__isnull=False).select_related("residence").first()
        home = body.residence.peer_id if body is not None else None
        if body is None or not (home == self.peer.pk or self.peer.may_relay):
            raise Refused("exchange.foreign_key", incident=True, owner=owner)
        by_node = NodeKey.objects.filter(kid=signer, peer=home, revoked_at__isnull=True).first()
        if by_node is not None:
            signing.verify(document, public_jwk=by_node.public_jwk, kid=signer, typ=signing.KEY_TYPE)
        else:
            key = self._key_of(self._opened(row, document))
            if key.organisation.key != owner or key.revoked_at is not None:
                raise Refused("exchange.wrong_key", incident=True, owner=owner, signer=signer)
            signing.verify(document, public_jwk=key.public_jwk, kid=signer, typ=signing.KEY_TYPE)
        if action == "revoke":
            self._revoke(row, body, kid, claims)
        elif action == "add":
            known = SigningKey.objects.filter(kid=kid, organisation=body).exists()
            if by_node is not None and not row.forced_by and not known:
                self._carry_key(row, document, home)
                raise Waits("exchange.key_needs_comparison", f"person:{kid}")
            self._add_key(row, body, signer, claims, forced=bool(row.forced_by) or known)
        else:
            raise Waits("exchange.newer_kind", "version")
        self._carry_key(row, document, home)

    def _node_key(self, row: Arrival, document: bytes, claims: Mapping[str, Any]) -> None:
        """Take a statement about a node's own key; a new one that no earlier one signs for waits for a person's comparison."""
        kid, signer, said = str(claims.get("kid", "")), signing.header_of(document)["kid"], str(claims.get("node", ""))
        home = Peer.objects.filter(node_id=said).first() if _is_uuid(said) else None
        if home is None or not (home.pk == self.peer.pk or self.peer.may_relay):
            raise Refused("exchange.foreign_key", incident=True, node=said)
        by = NodeKey.objects.filter(kid=signer, peer=home).first()
        if by is None and (signer != kid or claims.get("action") != "add"):
            raise Waits("exchange.unknown_key", f"key:{signer}")
        jwk = by.public_jwk if by is not None else links.jwk_of(claims, kid)
        signing.verify(document, public_jwk=jwk, kid=signer, typ=signing.KEY_TYPE)
        at = _moment(claims, "at")
        if by is not None and by.revoked_at is not None and signer != kid:
            raise Refused("exchange.key_revoked", kid=signer, revoked_at=instant(by.revoked_at))
        if by is not None and by.valid_until is not None and at > by.valid_until:
            raise Refused("exchange.key_expired", kid=signer, valid_until=instant(by.valid_until))
        if claims.get("action") == "revoke":
            links.end_node_key(peer=home, kid=kid, reason=str(claims.get("reason") or ""), statement=row.digest, at=self.at)
        elif claims.get("action") == "add":
            known = NodeKey.objects.filter(kid=kid, peer=home).exists()
            if signer == kid and not row.forced_by and not known:
                self._carry_key(row, document, home.pk)
                raise Waits("exchange.key_needs_comparison", f"person:{kid}")
            if signer != kid and claims.get("replaces") != signer:
                raise Refused("exchange.key_without_continuity", incident=True, node=said, kid=kid)
            if NodeKey.objects.filter(kid=kid).exclude(peer=home).exists():
                raise Refused("exchange.foreign_key", incident=True, node=said, kid=kid)
            begins, until = _moment(claims, "valid_from"), claims.get("valid_until")
            ends = _moment(claims, "valid_until") if until else None
            links.learn_node_key(peer=home, claims=claims, begins=begins, ends=ends, statement=row.digest, at=self.at)
        else:
            raise Waits("exchange.newer_kind", "version")
        self._carry_key(row, document, home.pk)
        self._learned([f"key:{kid}", f"person:{kid}"])

    def _carry_key(self, row: Arrival, document: bytes, home: int | None) -> None:
        """Carry a statement on to the nodes that speak with its owner through this one."""
        if self.peer.may_relay:
            others = Peer.objects.filter(state__in=outbox.OPEN, via__isnull=True).exclude(pk__in=[self.peer.pk, home])
            self._carry_on(others, row, document)

    def _revoke(self, row: Arrival, body: Organisation, kid: str, claims: Mapping[str, Any]) -> None:
        key = SigningKey.objects.filter(kid=kid, organisation=body).first()
        learned = []
        if key is None:
            if claims.get("jwk") is None or claims.get("valid_from") is None:
                raise Waits("exchange.unknown_key", f"key:{kid}")
            # The revocation brings the key: of one revoked before the link, which our invitation may not have named.
            key, learned = self._new_key(body, claims), [f"key:{kid}"]
        if key.revoked_at is None:
            key.revoked_at, key.revoked_because = self.at, nfc(str(claims.get("reason", "")))[:300]
            key.save(update_fields=["revoked_at", "revoked_because"])
            facts = {"kid": kid, "statements": [row.digest]}
            record("exchange.key.revoked", subject=key, actor=None, at=self.at, name=body.name, facts=facts)
            self._learned(learned)

    def _new_key(self, body: Organisation, claims: Mapping[str, Any]) -> SigningKey:
        """Return the key that a statement brings, kept if it was not known."""
        kid, jwk, until = str(claims["kid"]), claims.get("jwk"), claims.get("valid_until")
        if not isinstance(jwk, Mapping) or signing.thumbprint_of(jwk) != kid:
            raise Refused("exchange.invalid_content", path="jwk")
        if SigningKey.objects.filter(kid=kid).exclude(organisation=body).exists():
            raise Refused("exchange.foreign_key", incident=True, owner=body.key, kid=kid)
        values = {
            "organisation": body,
            "public_jwk": signing.public_half(jwk),
            "private_encrypted": "",
            "valid_from": _moment(claims, "valid_from"),
            "valid_until": _moment(claims, "valid_until") if until else None,
        }
        return SigningKey.objects.get_or_create(kid=kid, defaults=values)[0]

    def _add_key(self, row: Arrival, body: Organisation, signer: str, claims: Mapping[str, Any], *, forced: bool) -> None:
        kid = str(claims["kid"])
        if not forced and claims.get("replaces") != signer:
            raise Refused("exchange.key_without_continuity", incident=True, owner=body.key, kid=kid)
        fresh = not SigningKey.objects.filter(kid=kid).exists()
        made = self._new_key(body, claims)
        # Also of a key that a revocation brought before its introduction came: the key before it ended all the same.
        old = SigningKey.objects.filter(organisation=body, kid=str(claims.get("replaces"))).first()
        if old is not None and (old.valid_until is None or old.valid_until > made.valid_from):
            old.valid_until = made.valid_from
            old.save(update_fields=["valid_until"])
        if fresh:
            facts = {"kid": kid, "statements": [row.digest]}
            record("exchange.key.learned", subject=made, actor=None, at=self.at, name=body.name, facts=facts)
        self._learned([f"key:{kid}", f"person:{kid}"])


def _save_settled(rows: Sequence[Arrival]) -> None:
    """Save what became of rows that were stored before; most were applied, and then only little of them changes."""
    plain = [r for r in rows if r.state == ArrivalState.APPLIED and not (r.document or r.code or r.facts or r.waits_for)]
    if plain:
        Arrival.objects.filter(pk__in=[r.pk for r in plain]).update(
            state=ArrivalState.APPLIED, code="", waits_for="", document=None, settled_at=plain[0].settled_at
        )
        named = [(r.subject, r.pk) for r in plain if r.subject]
        with connection.cursor() as cursor:
            cursor.executemany("update exchange_arrival set subject = %s where id = %s", named)
    done = {r.pk for r in plain}
    others = [r for r in rows if r.pk not in done]
    if others:
        columns = ["state", "code", "waits_for", "subject", "document", "facts", "settled_at"]
        Arrival.objects.bulk_update(others, columns, batch_size=200)


def _outcome(row: Arrival, given: Mapping[str, tuple[bytes, ...]], *, duplicate: bool = False) -> Outcome:
    receipts = given.get(row.subject, ()) if row.kind == ItemKind.DISPATCH and row.state == ArrivalState.APPLIED else ()
    return Outcome(row.position, row.digest, str(row.state), row.code, receipts, duplicate)


def _revokes(document: bytes) -> bool:
    try:
        return signing.claims_of(document).get("action") == "revoke"
    except signing.BadSignature:
        return False


def _check_format(claims: Mapping[str, Any], ours: str) -> None:
    """Let a newer format of the same document wait; refuse any other."""
    found = str(claims.get("format"))
    name, number = ours.rsplit("/", 1)
    if found != ours:
        if re.fullmatch(re.escape(name) + r"/[1-9][0-9]{0,5}", found) and int(found.rsplit("/", 1)[1]) > int(number):
            raise Waits("exchange.newer_format", "version")
        raise Refused("exchange.invalid_content", path="format", found=found[:60])


def _check_kinds_of_value(claims: Mapping[str, Any]) -> None:
    """Refuse what two programs could read as two: numbers as 1.5, "1" or true, a list where an object belongs."""
    register = claims["register"]
    expected: list[tuple[str, object, type]] = [
        *((name, claims[name], str) for name in ("id", "kind", "sender", "urgency", "subject", "sent_at")),
        ("body", claims["body"], dict),
        ("register.year", register["year"], int),
        ("register.number", register["number"], int),
        *(("answers", a, str) for a in claims["answers"]),
        *(("recipients.organisation", r["organisation"], str) for r in claims["recipients"]),
        *(("recipients.sequence", r["sequence"], int) for r in claims["recipients"]),
    ]
    for name, value, kind in expected:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Refused("exchange.invalid_content", path=name, found=str(value)[:40])


def _moment(claims: Mapping[str, Any], name: str) -> datetime:
    """Return a moment that every part of this program can store and show; a clock may be wrong, but not by millennia."""
    try:
        found = datetime.fromisoformat(str(claims[name]))
        if EARLIEST <= found <= LATEST:
            return found
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Refused("exchange.invalid_content", path=name) from error
    raise Refused("exchange.invalid_content", path=name, found=str(claims[name])[:40])


def _is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


# --- files, held items, the mark -------------------------------------------------------------------------------------------


def wanted_files(peer: Peer, *, limit: int = 50) -> list[str]:
    """Return digests of files that this node misses and this peer should have.

    Those are files of papers from it and from nodes behind it, of our own papers that it holds, lost in a restore, and of
    papers that it gave to be carried on.
    """
    # Only who may relay gives such papers.
    passing = RelayedFile.objects.filter(giver=peer, kept=False) if peer.may_relay else RelayedFile.objects.none()
    own = File.objects.filter(kept=False).exists()
    if not own and not passing.exists():
        return []  # as it nearly always is
    named = Attachment.objects.filter(asked_of(peer), file=OuterRef("pk"))
    missing = File.objects.none()
    if own:
        missing = File.objects.filter(Exists(named), kept=False).order_by("id")
    refused = LinkIncident.objects.filter(peer=peer, code=files_refused).values_list("facts__digest", flat=True)
    never = set(refused)
    most = limit + len(never)
    found = [digest for rows in (missing, passing.order_by("id")) for digest in rows.values_list("digest", flat=True)[:most]]
    return [digest for digest in dict.fromkeys(found) if digest not in never][:limit]


def asked_of(peer: Peer) -> Q:
    """Return which attachments of papers that are here this peer is asked for, or may give."""
    from_there = Q(dispatch__sender__residence__peer=peer) | Q(dispatch__sender__residence__peer__via=peer)
    lost_here = Q(dispatch__parcels__peer=peer, dispatch__key__private_encrypted__gt="")
    lost_here |= Q(dispatch__parcels__peer=peer, dispatch__sender__residence__peer__isnull=True)
    return from_there | lost_here


files_refused = "exchange.file_classified"  # such a file is never asked for again


@transaction.atomic
def release(*, arrival_id: int, actor: Seat | None, at: datetime) -> Arrival:
    """Let a held item pass by a person's decision: a paper without the earlier one it names, a key after comparison.

    Raises:
        NotFound: no such item, or it does not wait. NotAllowed. NotUnderstood: this version of the program cannot read it.
    """
    row = _held(arrival_id, actor)
    row.forced_by = actor.journal_name[:300] if actor is not None else "hiepdong"
    row.save(update_fields=["forced_by"])
    work = _Intake(row.peer, row.way, at)
    work._again([row], forced=True)
    work.finish(spoke=False)
    row.refresh_from_db()
    if row.code == NotUnderstood.code:
        raise NotUnderstood(error=str(row.facts.get("error", "")))
    facts = {"digest": row.digest, "state": str(row.state), "code": row.code}
    record("exchange.item.released", subject=row, actor=actor, at=at, name=row.peer.name, facts=facts)
    return row


@transaction.atomic
def dismiss(*, arrival_id: int, reason: str, actor: Seat | None, at: datetime) -> Arrival:
    """Refuse a held item by a person's decision, with a reason; its bytes stay as evidence."""
    row = _held(arrival_id, actor)
    row.state, row.code, row.settled_at = ArrivalState.REFUSED, "exchange.dismissed", at
    row.facts = {"reason": nfc(reason.strip())[:300]}
    row.forced_by = actor.journal_name[:300] if actor is not None else "hiepdong"
    row.save()
    record("exchange.item.dismissed", subject=row, actor=actor, at=at, name=row.peer.name, facts={"digest": row.digest})
    return row


def _held(arrival_id: int, actor: Seat | None) -> Arrival:
    """Return a held item, locked after its peer, as everybody locks them."""
    require_unless_command(actor, Action.MANAGE_NODE)
    peer_id = Arrival.objects.filter(pk=arrival_id).values_list("peer", flat=True).first()
    if peer_id is None:
        raise NotFound
    peer = _locked_in_order(peer_id)
    row = Arrival.objects.select_for_update(of=("self",)).filter(pk=arrival_id).first()
    if row is None or row.state != ArrivalState.HELD:
        raise NotFound
    row.peer = peer
    return row


@transaction.atomic
def confirmed(
    *,
    peer_id: int,
    held_through: int,
    held_digest: str = "",
    outcomes: Sequence[Mapping[str, Any]] = (),
    carried: bool = False,
    at: datetime,
) -> Peer:
    """Note up to where a peer holds what was sent to it, and what it said about items that it did not simply take.

    `held_digest` is that of the last item that it holds, if it says so: other bytes than ours were given it before a restore.
    `carried`: it said so on a stick.
    """
    peer = links.peer_for(peer_id, for_update=True)
    if held_through > peer.sent_through or recovery.disagrees(peer, held_through, held_digest):
        _found_behind(peer, held_through, carried, at)
    elif not recovery.is_open(peer):
        peer.confirmed_through = max(peer.confirmed_through, held_through)
    peer.reached_at = peer.heard_at = at
    peer.save(update_fields=["confirmed_through", "reached_at", "heard_at", "next_try_at"])
    for outcome in outcomes:
        state, code, position = (outcome.get(name) for name in ("state", "code", "position"))
        if state in ("held", "refused") or code:
            said = "".join(c for c in f"{state} {code}" if c.isprintable())[:60]
            Parcel.objects.filter(peer=peer, position=int(position or 0)).update(outcome=said)
    return peer


def _found_behind(peer: Peer, theirs: int, carried: bool, at: datetime) -> None:
    """A peer says that it holds more than we know of having sent: our data may be older than its memory of us.

    Where this node can ask it, it does so at once, and believes what bears its own signature (`courier`). The word of a peer
    that only ever asks us, or came on a stick while no line reaches it, is believed once: whoever repeats it after the recovery
    has nothing to show for it.
    """
    node = Node.objects.select_for_update(of=("self",)).get()
    facts = {"held_there": theirs, "sent_from_here": peer.sent_through}
    if node.state != Node.State.NORMAL:
        return
    if peer.address and not (carried and peer.failures):
        peer.next_try_at = None
        return
    told_before = LinkIncident.objects.filter(peer=peer, code="exchange.restored_from_backup", facts__held_there=theirs)
    if told_before.exists():
        links.note_incident(peer=peer, code="exchange.held_beyond_sent", facts=facts, at=at)
        return
    links.note_incident(peer=peer, code="exchange.restored_from_backup", facts=facts, at=at)
    links.mark_restored(at=at)
