"""Taking in what another node gives us: bytes first, verified, then read; whatever the order, however often, by any way.

`take_in` stores a list of items in one transaction and says what became of each. The answer may leave after its commit. An item
ends in one of three states: applied; held, because something it needs is not here yet (it is released by itself when that
comes, or by a person, with a record); refused, with a code, and kept as evidence unless it bears a secrecy mark.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Q

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require
from hiepdong.documents.models import File
from hiepdong.journal.models import Entry
from hiepdong.journal.services import entry, record, record_many
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.kernel.moments import local_day
from hiepdong.kernel.text import nfc
from hiepdong.organisations.models import Organisation

from . import links, outbox, recovery, sharing_policy, signing
from .domain.classified import ClassifiedContent, file_name_bears_mark, refuse_classified
from .domain.dispatch import State, contradicts
from .domain.envelope import FORMAT, RECEIPT_FORMAT, Content, InvalidContent, instant, read_content
from .domain.links import ArrivalState, Item, ItemKind, held_through
from .domain.sharing import HERE, share
from .keys import KeyRing
from .models import (
    Addressee,
    Arrival,
    Dispatch,
    LinkIncident,
    Node,
    NodeKey,
    Parcel,
    Peer,
    Receipt,
    ReceiptCode,
    Residence,
    SigningKey,
)
from .rows import addressees_of, attach, check_rows, dispatch_of, index, texts_of
from .services import make_receipt

MOST_HELD = 20_000  # of one peer: more than that is a flood, not a backlog


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


@dataclass
class _Batch:
    """Rows of papers that were judged good and are not stored yet."""

    dispatches: list[Dispatch] = field(default_factory=list)
    contents: list[Content] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    addressees: list[list[Addressee]] = field(default_factory=list)
    uuids: set[str] = field(default_factory=set)


@transaction.atomic
def take_in(*, peer_id: int, items: Sequence[Item], way: str, at: datetime) -> Taken:
    """Store, verify, apply and answer items of a linked peer, whatever their order; the same again changes nothing.

    Raises:
        NotLinked: the link is not open; nothing was stored. TooMuchHeld: the same.
    """
    peer = links.peer_for(peer_id, for_update=True)
    if peer.state != Peer.State.LINKED:
        raise NotLinked(name=peer.name)
    held = Arrival.objects.filter(peer=peer, state=ArrivalState.HELD).count()
    if held >= MOST_HELD:
        raise TooMuchHeld(count=held)
    return _Intake(peer, way, at).take(items)


@transaction.atomic
def settle_staged(*, bundle_id: int, at: datetime, limit: int = 500) -> int:
    """Apply items of a bundle that was stored whole, in the order of their positions; returns how many were settled."""
    staged = Arrival.objects.filter(bundle=bundle_id, state=ArrivalState.STAGED).order_by("position")
    first = staged.first()
    if first is None:
        return 0
    peer = links.peer_for(first.peer_id, for_update=True)
    if peer.state != Peer.State.LINKED:
        raise NotLinked(name=peer.name)
    rows = list(staged.select_for_update(of=("self",))[:limit])
    work = _Intake(peer, "bundle", at)
    work.judge(rows)
    work.finish()
    return len(rows)


class _Intake:
    """One transaction of taking in; the peer's row is locked by the caller."""

    def __init__(self, peer: Peer, way: str, at: datetime) -> None:
        self.peer, self.way, self.at = peer, way, at
        self.node = links.this_node()
        self.ring = KeyRing(at)
        self.batch = _Batch()
        self.entries: list[Entry] = []
        self.receipts: list[tuple[Receipt, int]] = []
        self.released: set[str] = set()
        self.given: dict[str, list[bytes]] = defaultdict(list)  # receipts that were made in this transaction, by paper
        self.kids: set[str] = set()
        self.names: set[str] = set()
        self.claims: dict[int, Mapping[str, Any]] = {}
        self.here: dict[str, Dispatch] = {}
        self.keys: dict[str, SigningKey] = {}
        self.bodies: dict[str, Organisation] = {}
        self.homes: dict[int, int | None] = {}

    # --- a list of items ---------------------------------------------------------------------------------------------------

    def take(self, items: Sequence[Item]) -> Taken:
        positions = {i.position for i in items}
        before = {a.position: a for a in Arrival.objects.filter(peer=self.peer, position__in=positions).defer("document")}
        fresh: list[Arrival] = []
        outcomes: dict[int, Outcome] = {}
        again: list[Arrival] = []
        for item in items:
            known = before.get(item.position)
            if known is None:
                row = Arrival(
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
        return Taken(self.peer.held_through, ordered, tuple(wanted_files(self.peer)))

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
        Arrival.objects.bulk_create([r for r in rows if r.pk is None], batch_size=1000)
        _save_settled(old)

    def _judge_one(self, row: Arrival, *, forced: bool = False) -> None:
        row.code, row.waits_for = "", ""
        document = bytes(row.document or b"")
        try:
            if row.kind == ItemKind.DISPATCH:
                self._dispatch(row, document, forced=forced)
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
            row.state, row.code, row.waits_for = ArrivalState.HELD, waits.code, waits.word[:120]
        except Refused as refused:
            self._refuse(row, refused)
        except signing.BadSignature as bad:
            self._refuse(row, Refused(bad.code, what=str(bad.facts.get("what", ""))))
        except ClassifiedContent as secret:
            self._refuse(row, Refused(secret.code, forget=True, incident=True, position=row.position))
        except DomainError as error:
            self._refuse(row, Refused(error.code, error=str(error)[:300]))

    def _settle(self, row: Arrival, state: ArrivalState) -> None:
        row.state, row.settled_at = state, self.at

    def _refuse(self, row: Arrival, refused: Refused) -> None:
        self._settle(row, ArrivalState.REFUSED)
        row.code, row.facts = refused.code, {k: str(v)[:300] for k, v in refused.facts.items()}
        if refused.forget:
            row.document = None
        if refused.incident:
            facts = {"digest": row.digest, **row.facts}
            links.note_incident(peer=self.peer, code=refused.code, facts=facts, at=self.at)

    def finish(self) -> None:
        """Release what waited for something that has come, write the journal, put receipts on their way, move the mark."""
        while self.released:
            words, self.released = self.released, set()
            waiting = Arrival.objects.filter(state=ArrivalState.HELD, waits_for__in=words).order_by("id")
            for row in waiting.select_related("peer"):
                self._again(row)
            self._flush()
        if self.receipts:
            outbox.enqueue_receipts(self.receipts, at=self.at, locked=self.peer)
        record_many(self.entries)
        self.receipts, self.entries = [], []
        ahead = Arrival.objects.filter(peer=self.peer, position__gt=self.peer.held_through).order_by("position")
        self.peer.held_through = held_through(self.peer.held_through, ahead.values_list("position", flat=True))
        self.peer.heard_at = self.at
        self.peer.save(update_fields=["held_through", "heard_at"])

    def _again(self, row: Arrival, *, forced: bool = False) -> None:
        """Judge a row that waited; it may have come from another peer than the one that speaks now."""
        speaking, self.peer = self.peer, (row.peer if row.peer_id != self.peer.pk else self.peer)
        try:
            self._foresee([row])
            self._judge_one(row, forced=forced)
            self._flush()
            row.save()
        finally:
            self.peer = speaking

    # --- papers ------------------------------------------------------------------------------------------------------------

    def _foresee(self, rows: Sequence[Arrival]) -> None:
        """Read once what judging these rows will ask for: keys, bodies, homes, papers that are here already."""
        kids, names, uuids = set(), set(), set()
        self.claims = {}
        for row in rows:
            try:
                document = bytes(row.document or b"")
                kids.add(signing.header_of(document)["kid"])
                claims = signing.claims_of(document)
            except signing.BadSignature:
                continue
            self.claims[row.position] = claims
            names.add(str(claims.get("sender", "") or claims.get("organisation", "")))
            recipients = claims.get("recipients")
            if isinstance(recipients, list):
                names |= {str(r.get("organisation", "")) for r in recipients if isinstance(r, Mapping)}
            uuids |= {str(claims[k]) for k in ("id", "replaces", "withdraws", "dispatch") if isinstance(claims.get(k), str)}
        self._read(kids - self.kids, names - self.names)
        good = {u for u in uuids if _is_uuid(u)}
        rows_here = Dispatch.objects.filter(uuid__in=good).only("id", "uuid", "digest", "sender_id", "kind", "key_id")
        self.here = {str(d.uuid): d for d in rows_here}

    def _read(self, kids: set[str], names: set[str]) -> None:
        self.kids |= kids
        self.names |= names
        if kids:
            self.keys |= {k.kid: k for k in SigningKey.objects.filter(kid__in=kids).select_related("organisation")}
        if names:
            fresh = {o.key: o for o in Organisation.objects.filter(key__in=names)}
            self.bodies |= fresh
            self.homes |= links.homes_among([o.pk for o in fresh.values()])

    def _key_of(self, document: bytes) -> SigningKey:
        header = signing.header_of(document)
        key = self.keys.get(header["kid"])
        if key is None:
            raise Waits("exchange.unknown_key", f"key:{header['kid']}")
        return key

    def _dispatch(self, row: Arrival, document: bytes, *, forced: bool) -> None:
        key = self._key_of(document)
        payload = signing.verify(document, public_jwk=key.public_jwk, kid=key.kid, typ=signing.DISPATCH_TYPE)
        claims = self.claims.get(row.position, {})
        if claims.get("format") != FORMAT:
            raise Waits("exchange.newer_format", "version")
        try:
            content = read_content(payload)
        except InvalidContent as error:
            if error.facts.get("path") == "kind":
                raise Waits("exchange.newer_kind", "version") from error
            raise
        check_rows(content)
        row.subject = content.id
        if not _is_uuid(content.id):
            raise Refused("exchange.invalid_content", path="id")
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
        self._check_classified(content)
        replaces, withdraws = (self._earlier(u, sender, forced=forced) for u in (content.replaces, content.withdraws))
        narrowed = self._narrowed(sender, content, forced=forced)
        if narrowed:
            row.code, row.facts = "exchange.recipient_narrowed", {"narrowed": narrowed}
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
            raise Waits("exchange.nothing_to_share", f"regulation:{sender.key}")
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

    def _check_classified(self, content: Content) -> None:
        refuse_classified(*texts_of(content))
        if any(file_name_bears_mark(str(a.get("name", ""))) for a in content.attachments):
            raise ClassifiedContent

    def _earlier(self, other: str, sender: Organisation, *, forced: bool) -> Dispatch | None:
        if not other:
            return None
        found = self.here.get(other)
        if found is None and _is_uuid(other):
            found = Dispatch.objects.filter(uuid=other).only("id", "uuid", "digest", "sender_id", "kind").first()
        if found is None:
            if forced:
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
        Dispatch.objects.bulk_create(dispatches, batch_size=500)
        Addressee.objects.bulk_create(addressees, batch_size=1000)
        attach(dispatches, contents, at=self.at)
        receipts = self._receipts_for(addressees)
        Receipt.objects.bulk_create(receipts, batch_size=1000)
        self.receipts += [(r, r.addressee.sender_id_copy) for r in receipts]
        for r in receipts:
            self.given[str(r.addressee.dispatch.uuid)].append(bytes(r.signed))
        index((d, c, batch.addressees[i]) for d, c, i in zip(dispatches, contents, good, strict=True))
        for d, c in zip(dispatches, contents, strict=True):
            self.here[str(d.uuid)] = d
            facts: dict[str, Any] = {"uuid": c.id, "answers": d.answers, "peer": self.peer.name, "way": self.way}
            if c.withdraws:
                facts["withdraws"] = c.withdraws
            name = f"{d.notation} {d.subject}"
            self.entries.append(entry("exchange.dispatch.received", subject=d, actor=None, at=self.at, name=name, facts=facts))
            self.released.add(f"dispatch:{c.id}")
        for i in good:
            batch.arrivals[i].document = None
        for d, c in zip(dispatches, contents, strict=True):
            if d.kind == "directory":
                self._directory(d, c)

    def _without_conflicts(self, batch: _Batch) -> list[int]:
        """Return the places in the batch that may be stored; two papers with one number are an incident of the link."""
        wanted = Q()
        by_sender: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for addressees in batch.addressees:
            for a in addressees:
                by_sender[a.sender_id_copy].add((a.organisation_id, a.sequence))
        taken: dict[tuple[int, int, int], str] = {}
        for sender, places in by_sender.items():
            organisations, sequences = {o for o, _ in places}, {s for _, s in places}
            wanted = Q(sender_id_copy=sender, organisation__in=organisations)
            wanted &= Q(sequence__gte=min(sequences), sequence__lte=max(sequences))
            rows = Addressee.objects.filter(wanted).values_list("organisation", "sequence", "dispatch__digest")
            taken |= {(sender, o, s): digest for o, s, digest in rows if (o, s) in places}
        numbers: dict[tuple[int, str, int, int], str] = {}
        wanted = Q()
        registers: dict[tuple[int, str, int], set[int]] = defaultdict(set)
        for d in batch.dispatches:
            registers[d.sender_id, d.register, d.register_year].add(d.register_number)
        for (sender, register, year), used in registers.items():
            same = Dispatch.objects.filter(sender=sender, register=register, register_year=year, register_number__in=used)
            numbers |= {(sender, register, year, n): digest for n, digest in same.values_list("register_number", "digest")}
        good = []
        for i, (d, addressees) in enumerate(zip(batch.dispatches, batch.addressees, strict=True)):
            own = [(a.sender_id_copy, a.organisation_id, a.sequence) for a in addressees]
            number = (d.sender_id, d.register, d.register_year, d.register_number)
            other = next((taken[p] for p in own if p in taken), "") or numbers.get(number, "")
            if other:
                refused = Refused("exchange.sequence_conflict", incident=True, dispatch=str(d.uuid), held=other)
                self._refuse(batch.arrivals[i], refused)
                continue
            taken |= dict.fromkeys(own, d.digest)
            numbers[number] = d.digest
            good.append(i)
        return good

    def _receipts_for(self, addressees: Sequence[Addressee]) -> list[Receipt]:
        """Return the receipts of those who live here; of a paper that was here before a restore, the very ones given then."""
        receipts = []
        for a in addressees:
            if a.arrived_at is None:
                continue
            found = self._given_before(a) if self.node.restored_at else []
            if not any(r.code == ReceiptCode.ARRIVED for r in found):
                found.append(make_receipt(a, a.organisation, ReceiptCode.ARRIVED, a.arrived_at, "", self.ring))
            receipts += found
        return receipts

    def _given_before(self, addressee: Addressee) -> list[Receipt]:
        found = []
        for document in recovery.earlier_receipts(addressee.dispatch.uuid):
            claims = signing.claims_of(document)
            key = SigningKey.objects.filter(kid=signing.header_of(document)["kid"], organisation=addressee.organisation).first()
            if key is None or claims.get("digest") != addressee.dispatch.digest:
                continue
            signing.verify(document, public_jwk=key.public_jwk, kid=key.kid, typ=signing.RECEIPT_TYPE)
            code, at = str(claims["code"]), datetime.fromisoformat(str(claims["at"]))
            setattr(addressee, f"{code}_at", at)
            if code == ReceiptCode.RETURNED:
                addressee.return_reason = str(claims.get("reason", ""))
            found.append(
                Receipt(
                    addressee=addressee,
                    code=code,
                    reason=str(claims.get("reason", "")),
                    at=at,
                    signed=document,
                    digest=signing.digest_of(document),
                    key=key,
                )
            )
        if found:
            addressee.save()
        return found

    def _relay(self, row: Arrival, document: bytes, content: Content) -> None:
        """Carry a paper on, unchanged, to nodes that are spoken to through this one; else it was sent to the wrong node."""
        known = [self.bodies[r.organisation].pk for r in content.recipients if r.organisation in self.bodies]
        peers = {h for h in (self.homes.get(i) for i in known) if h} - {self.peer.pk}
        onward = list(Peer.objects.filter(pk__in=peers, state__in=outbox.OPEN)) if self.peer.may_relay else []
        if not onward:
            unknown = next((r.organisation for r in content.recipients if r.organisation not in self.bodies), None)
            if unknown is not None:
                raise Waits("exchange.unknown_organisation", f"organisation:{unknown}")
            raise Refused("exchange.wrong_recipient", recipients=", ".join(r.organisation for r in content.recipients))
        for peer in onward:
            self._carry_on(peer, row, document)
        self._settle(row, ArrivalState.APPLIED)
        row.facts = {"relayed": ", ".join(p.name for p in onward)}
        self.released.add(f"dispatch:{content.id}")

    def _carry_on(self, peer: Peer, row: Arrival, document: bytes) -> None:
        hop = {"format": "hiepdong.hop/1", "node": str(self.node.node_id), "digest": row.digest, "at": instant(self.at)}
        stamp = links.sign_as_node(hop, typ=signing.HOP_TYPE, at=self.at).decode("ascii")
        outbox.enqueue_document(peer=peer, kind=row.kind, document=document, at=self.at, hops=[*row.hops, stamp])

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
        except (DomainError, KeyError, TypeError, ValueError) as error:
            code = error.code if isinstance(error, DomainError) else "exchange.invalid_content"
            facts = {"dispatch": content.id, "error": str(error)[:300]}
            links.note_incident(peer=self.peer, code=code, facts=facts, at=self.at)
            return
        self._learned(words)

    def _learned(self, words: Iterable[str]) -> None:
        """Read again what was asked for before it became known, and let what waited for it be judged again."""
        self.released |= set(words)
        self._read(self.kids, self.names)

    # --- receipts ----------------------------------------------------------------------------------------------------------

    def _receipt(self, row: Arrival, document: bytes) -> None:
        key = self._key_of(document)
        signing.verify(document, public_jwk=key.public_jwk, kid=key.kid, typ=signing.RECEIPT_TYPE)
        claims = self.claims.get(row.position, {})
        if claims.get("format") != RECEIPT_FORMAT:
            raise Waits("exchange.newer_format", "version")
        code, subject, organisation = (str(claims.get(k, "")) for k in ("code", "dispatch", "organisation"))
        row.subject = subject[:64]
        if code not in ReceiptCode.values:
            raise Waits("exchange.newer_kind", "version")
        if key.organisation.key != organisation:
            raise Refused("exchange.wrong_key", incident=True, organisation=organisation, owner=key.organisation.key)
        try:
            at, reason = datetime.fromisoformat(str(claims["at"])), str(claims.get("reason", ""))
        except (KeyError, ValueError) as error:
            raise Refused("exchange.invalid_content", path="at") from error
        self._may_sign(key, at)
        self._comes_from(key.organisation)
        refuse_classified(reason)
        dispatch = self.here.get(subject)
        if dispatch is None:
            self._relay_receipt(row, document, subject)
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
        if same is not None:
            if same.digest != row.digest:
                raise Refused("exchange.receipt_changed", incident=True, dispatch=subject, held=same.digest)
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
        facts = {"uuid": subject, "organisation": organisation, "reason": reason, "peer": self.peer.name}
        name = addressee.dispatch.notation
        code_of_fact = f"exchange.dispatch.{code}"
        self.entries.append(entry(code_of_fact, subject=addressee.dispatch, actor=None, at=self.at, name=name, facts=facts))

    def _relay_receipt(self, row: Arrival, document: bytes, subject: str) -> None:
        """A receipt for a paper that this node does not hold: of one it relayed, it goes back that way; else it waits."""
        came = Arrival.objects.filter(subject=subject, kind=ItemKind.DISPATCH, state=ArrivalState.APPLIED)
        source = came.exclude(peer=self.peer).select_related("peer").order_by("id").first()
        if source is None:
            raise Waits("exchange.dispatch_missing", f"dispatch:{subject}")
        self._carry_on(source.peer, row, document)
        row.facts = {"relayed": source.peer.name}

    # --- keys --------------------------------------------------------------------------------------------------------------

    def _key(self, row: Arrival, document: bytes) -> None:
        claims = self.claims.get(row.position, {})
        if claims.get("format") != links.KEY_FORMAT:
            raise Waits("exchange.newer_format", "version")
        owner, kid, action = (str(claims.get(k, "")) for k in ("owner", "kid", "action"))
        row.subject = kid[:64]
        signer = signing.header_of(document)["kid"]
        by_node = NodeKey.objects.filter(kid=signer, peer=self.peer, revoked_at__isnull=True).first()
        if by_node is not None:
            signing.verify(document, public_jwk=by_node.public_jwk, kid=signer, typ=signing.KEY_TYPE)
        else:
            key = self._key_of(document)
            if key.organisation.key != owner or key.revoked_at is not None:
                raise Refused("exchange.wrong_key", incident=True, owner=owner, signer=signer)
            signing.verify(document, public_jwk=key.public_jwk, kid=signer, typ=signing.KEY_TYPE)
        body = Organisation.objects.filter(key=owner, residence__peer=self.peer).first()
        if body is None:
            raise Refused("exchange.foreign_key", incident=True, owner=owner)
        if action == "revoke":
            self._revoke(body, kid, claims)
        elif action == "add":
            if by_node is not None and not row.forced_by:
                raise Waits("exchange.key_needs_comparison", f"person:{kid}")
            self._add_key(body, kid, signer, claims, forced=bool(row.forced_by))
        else:
            raise Waits("exchange.newer_kind", "version")

    def _revoke(self, body: Organisation, kid: str, claims: Mapping[str, Any]) -> None:
        key = SigningKey.objects.filter(kid=kid, organisation=body).first()
        if key is None:
            raise Waits("exchange.unknown_key", f"key:{kid}")
        if key.revoked_at is None:
            key.revoked_at, key.revoked_because = self.at, nfc(str(claims.get("reason", "")))[:300]
            key.save(update_fields=["revoked_at", "revoked_because"])
            record("exchange.key.revoked", subject=key, actor=None, at=self.at, name=body.name, facts={"kid": kid})
            self._learned([])

    def _add_key(self, body: Organisation, kid: str, signer: str, claims: Mapping[str, Any], *, forced: bool) -> None:
        jwk = claims.get("jwk")
        if not isinstance(jwk, Mapping) or signing.thumbprint_of(jwk) != kid:
            raise Refused("exchange.invalid_content", path="jwk")
        if not forced and claims.get("replaces") != signer:
            raise Refused("exchange.key_without_continuity", incident=True, owner=body.key, kid=kid)
        if SigningKey.objects.filter(kid=kid).exclude(organisation=body).exists():
            raise Refused("exchange.foreign_key", incident=True, owner=body.key, kid=kid)
        until = claims.get("valid_until")
        made, fresh = SigningKey.objects.get_or_create(
            kid=kid,
            defaults={
                "organisation": body,
                "public_jwk": {k: jwk[k] for k in ("crv", "kty", "x")},
                "private_encrypted": "",
                "valid_from": datetime.fromisoformat(str(claims["valid_from"])),
                "valid_until": datetime.fromisoformat(str(until)) if until else None,
            },
        )
        if fresh:
            old = SigningKey.objects.filter(organisation=body, kid=str(claims.get("replaces"))).first()
            if old is not None and (old.valid_until is None or old.valid_until > made.valid_from):
                old.valid_until = made.valid_from
                old.save(update_fields=["valid_until"])
            record("exchange.key.learned", subject=made, actor=None, at=self.at, name=body.name, facts={"kid": kid})
        self._learned([f"key:{kid}"])


def _save_settled(rows: Sequence[Arrival]) -> None:
    """Save what became of rows that were stored before; most were applied, and then only little of them changes."""
    plain = [r for r in rows if r.state == ArrivalState.APPLIED and r.document is None and not (r.code or r.facts)]
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


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


# --- files, held items, the mark -------------------------------------------------------------------------------------------


def wanted_files(peer: Peer, *, limit: int = 50) -> list[str]:
    """Return digests of files that papers of this peer's organisations name and that are not on this node yet."""
    rows = (
        File.objects.filter(attachments__dispatch__sender__residence__peer=peer, kept=False)
        .order_by("id")
        .values_list("digest", flat=True)
        .distinct()
    )
    return list(rows[:limit])


@transaction.atomic
def release(*, arrival_id: int, actor: Seat | None, at: datetime) -> Arrival:
    """Let a held item pass by a person's decision: a paper without the earlier one it names, a key after comparison.

    Raises:
        NotFound: no such item, or it does not wait. NotAllowed.
    """
    if actor is not None:
        require(actor, Action.MANAGE_NODE)
    row = Arrival.objects.select_for_update(of=("self",)).select_related("peer").filter(pk=arrival_id).first()
    if row is None or row.state != ArrivalState.HELD:
        raise NotFound
    peer = links.peer_for(row.peer_id, for_update=True)
    row.forced_by = actor.journal_name[:300] if actor is not None else "hiepdong"
    row.save(update_fields=["forced_by"])
    work = _Intake(peer, row.way, at)
    work._again(row, forced=True)
    work.finish()
    facts = {"digest": row.digest, "state": str(row.state), "code": row.code}
    record("exchange.item.released", subject=row, actor=actor, at=at, name=peer.name, facts=facts)
    return row


@transaction.atomic
def dismiss(*, arrival_id: int, reason: str, actor: Seat | None, at: datetime) -> Arrival:
    """Refuse a held item by a person's decision, with a reason; its bytes stay as evidence."""
    if actor is not None:
        require(actor, Action.MANAGE_NODE)
    row = Arrival.objects.select_for_update(of=("self",)).select_related("peer").filter(pk=arrival_id).first()
    if row is None or row.state != ArrivalState.HELD:
        raise NotFound
    row.state, row.code, row.settled_at = ArrivalState.REFUSED, "exchange.dismissed", at
    row.facts = {"reason": nfc(reason.strip())[:300]}
    row.forced_by = actor.journal_name[:300] if actor is not None else "hiepdong"
    row.save()
    record("exchange.item.dismissed", subject=row, actor=actor, at=at, name=row.peer.name, facts={"digest": row.digest})
    return row


@transaction.atomic
def confirmed(*, peer_id: int, held_through: int, outcomes: Sequence[Mapping[str, Any]] = (), at: datetime) -> Peer:
    """Note up to where a peer holds what was sent to it, and what it said about items that it did not simply take."""
    peer = links.peer_for(peer_id, for_update=True)
    if held_through > peer.sent_through:
        # It holds more than we know of having sent: our data is older than the peer's memory of us.
        _found_behind(peer, held_through, at)
    else:
        peer.confirmed_through = max(peer.confirmed_through, held_through)
    peer.reached_at = peer.heard_at = at
    peer.save(update_fields=["confirmed_through", "reached_at", "heard_at"])
    for outcome in outcomes:
        if outcome.get("state") in {"held", "refused"} or outcome.get("code"):
            said = f"{outcome['state']} {outcome.get('code', '')}"[:60]
            Parcel.objects.filter(peer=peer, position=int(outcome["position"])).update(outcome=said)
    return peer


def _found_behind(peer: Peer, theirs: int, at: datetime) -> None:
    node = Node.objects.select_for_update(of=("self",)).get()
    if node.state == Node.State.NORMAL:
        facts = {"held_there": theirs, "sent_from_here": peer.sent_through}
        links.note_incident(peer=peer, code="exchange.restored_from_backup", facts=facts, at=at)
        links.mark_restored(at=at)


def open_incidents(peer: Peer) -> int:
    """Return how many incidents of the link nobody has looked at."""
    return LinkIncident.objects.filter(peer=peer, seen_at__isnull=True).count()


def highest_of(sender_id: int) -> dict[int, int]:
    """Return, per recipient, the highest sequence number that is known here from a sender."""
    rows = Addressee.objects.filter(sender_id_copy=sender_id).values("organisation").annotate(top=Max("sequence"))
    return {r["organisation"]: r["top"] for r in rows}


def residents_of(peer: Peer) -> list[int]:
    """Return the organisations that live at a peer."""
    return list(Residence.objects.filter(peer=peer).values_list("organisation", flat=True))
