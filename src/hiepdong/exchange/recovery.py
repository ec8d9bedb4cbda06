"""After a restore from a backup: a node learns from its peers what it had sent and lost, and never uses a number twice.

The peer knows more of us than we do. It gives back our own items after the last position that we know to be confirmed; each
bears the signature of an organisation whose home is here, or of this node, so nobody else can have made it. What bears none is
a lie of the peer: noted, not taken, and no reason to wait for it.

A key that was made after the backup is lost with its private half. Papers under it are genuine all the same: the statement that
announced it comes back too, signed by the key before it. It signs nothing more; an incident asks for its revocation.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require_unless_command
from hiepdong.documents.models import Series
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError
from hiepdong.organisations.models import Organisation
from hiepdong.organisations.queries import organisations_by_keys

from . import links, outbox, signing
from .domain.dispatch import State, contradicts
from .domain.envelope import Content, read_content
from .domain.links import MOST_ITEMS, InvalidItem, Item, ItemKind
from .domain.told_back import ToldBack, told_back_from
from .keys import KeyRing
from .models import Addressee, Arrival, Dispatch, Node, NodeKey, Parcel, Peer, Receipt, ReceiptCode, SigningKey
from .rows import addressees_of, attach, check_rows, check_storable, dispatch_of, index
from .services import make_receipt


def read_greeting(said: Mapping[str, Any], peer: Peer) -> tuple[str, int, int]:
    """Return the incarnation of a peer, up to where it has sent, and up to where it holds what was sent to it.

    Raises:
        InvalidItem: it is no greeting, or of another node.
    """
    incarnation, sent, held = (said.get(k) for k in ("incarnation", "sent_through", "held_through"))
    if str(said.get("node")) != str(peer.node_id):
        raise InvalidItem(path="hello.node", found=str(said.get("node"))[:40], accepted=str(peer.node_id))
    if not isinstance(incarnation, str) or not 0 < len(incarnation) <= 32:
        raise InvalidItem(path="hello.incarnation", found=str(incarnation)[:40], accepted="1 … 32")
    for name, value in (("sent_through", sent), ("held_through", held)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
            raise InvalidItem(path=f"hello.{name}", found=str(value)[:40], accepted="0, 1, 2 …")
    try:
        if datetime.fromisoformat(str(said["at"])).tzinfo is None:
            raise ValueError
    except (KeyError, ValueError) as error:
        raise InvalidItem(path="hello.at", found=str(said.get("at"))[:40], accepted="2020-03-20T03:00:00Z") from error
    return incarnation, int(sent or 0), int(held or 0)


def held_digest(peer: Peer) -> str:
    """Return the digest of the last item up to which everything of a peer is held here; "" if there is none."""
    found = Arrival.objects.filter(peer=peer, position=peer.held_through).values_list("digest", flat=True).first()
    return found or ""


def disagrees(peer: Peer, held: int, digest: str) -> bool:
    """Say whether a peer holds other bytes in a position than this node remembers: it got them before a restore."""
    if not digest or not 0 < held <= peer.sent_through:
        return False
    ours = Parcel.objects.filter(peer=peer, position=held).values_list("digest", flat=True).first()
    return ours is not None and ours != digest


def is_open(peer: Peer) -> bool:
    """Say whether this node was restored and the peer has not told yet what it holds: till then its marks mean nothing."""
    return peer.recovered_at is None and Node.objects.filter(state=Node.State.RECOVERING).exists()


def held_of(peer: Peer, *, after: int, limit: int) -> list[Item]:
    """Return a peer's own items that this node holds, after a position, in order.

    Something that is not kept any more (it bore a secrecy mark, or was one refused item of too many) is left out.
    """
    listed = Arrival.objects.filter(peer=peer, position__gt=after).order_by("position")
    limit = max(1, min(limit, MOST_ITEMS))
    found: list[Item] = []
    size = 0
    while len(found) < limit:
        rows = list(listed[:limit])
        documents = _documents_of(rows)
        for row in rows:
            document = documents.get(row.pk)
            size += len(document or b"")
            if document is not None and (not found or (size <= MOST_BYTES and len(found) < limit)):
                found.append(Item(row.position, row.kind, document, tuple(row.hops)))
            elif document is not None:
                return found
        if len(rows) < limit:
            break
        listed = Arrival.objects.filter(peer=peer, position__gt=rows[-1].position).order_by("position")
    return found


MOST_BYTES = 4 * 1024 * 1024  # of one answer


def _documents_of(rows: Sequence[Arrival]) -> dict[int, bytes]:
    """Return the bytes of arrivals, found by the number of the paper: there is no index of digests, and none is needed."""
    settled = {r.pk: r for r in rows if r.document is None and r.subject}
    subjects = {r.subject for r in settled.values()}
    signed: dict[tuple[str, str], bytes] = {}
    papers = Dispatch.objects.filter(uuid__in=[u for u in subjects if len(u) == 36])
    for digest, document in papers.values_list("digest", "signed"):
        signed[ItemKind.DISPATCH, digest] = bytes(document)
    answered = [r.subject for r in settled.values() if r.kind == ItemKind.RECEIPT]
    receipts = Receipt.objects.filter(addressee__dispatch__uuid__in=answered)
    for digest, document in receipts.values_list("digest", "signed"):
        signed[ItemKind.RECEIPT, digest] = bytes(document)
    found = {r.pk: bytes(r.document) for r in rows if r.document is not None}
    return found | {pk: signed[r.kind, r.digest] for pk, r in settled.items() if (r.kind, r.digest) in signed}


MOST_HOLES = 100_000  # that are filled; more are no lost bundle, but a position that a peer made up
PARKED = 1 << 61  # positions of what was sent here after the backup, until it is known which positions are free


def told_back(peer: Peer) -> ToldBack:
    """Return how far a peer has told back, since this node was restored, what it holds of it."""
    return told_back_from(peer.told_back, confirmed=peer.confirmed_through)


def not_told() -> list[Peer]:
    """Return the peers that have not told yet what they hold of this node, which was restored; none when it was not."""
    if not Node.objects.filter(state=Node.State.RECOVERING).exists():
        return []
    return list(links.who_may_know().filter(recovered_at__isnull=True).order_by("pk"))


def all_known(peer: Peer, items: Sequence[Item]) -> bool:
    """Say whether each of these items is here as what was given to the peer in its position."""
    rows = Parcel.objects.filter(peer=peer, position__in=[i.position for i in items])
    here = dict(rows.values_list("position", "digest"))
    return all(here.get(i.position) == i.digest for i in items)


@transaction.atomic
def take_back(*, peer_id: int, items: Sequence[Item], at: datetime, alone: bool = False) -> int:
    """Take back own items that a peer held for us; returns how many were lost here and are here again.

    `alone`: what lies before them was not told yet; then one that cannot be verified may only wait for a key in there, and is
    no lie of the peer.

    Numbers in registers, sequences and positions go on after the highest that was given back. What was given a position
    here since the backup that another item had before gets a new one when the peer has told all (`peer_recovered`).
    """
    from . import intake

    peer = links.peer_for(peer_id, for_update=True)
    work = _Back(peer, at, alone)
    back = sum(work.take(item) for item in sorted(items, key=lambda i: i.position))
    peer.save(update_fields=["sent_through"])
    if work.words:
        intake.settle_words(peer_id=peer.pk, words=work.words, at=at)
    return back


def is_known(peer: Peer, item: Item) -> bool:
    """Say whether an item is what was given to the peer in that position, as far as this node remembers."""
    return Parcel.objects.filter(peer=peer, position=item.position, digest=item.digest).exists()


def is_ours(item: Item) -> bool:
    """Say whether an item bears the signature of this node or of an organisation whose home is here."""
    try:
        kid = signing.header_of(item.document)["kid"]
        typ = f"hiepdong.{item.kind}+json"
        for key in (
            NodeKey.objects.filter(kid=kid, peer__isnull=True).first(),
            SigningKey.objects.filter(kid=kid).first(),
        ):
            if key is not None and (isinstance(key, NodeKey) or links.is_at_home(key.organisation_id)):
                signing.verify(item.document, public_jwk=key.public_jwk, kid=kid, typ=typ)
                return True
        return _carried(item)
    except signing.BadSignature:
        return False


def _carried(item: Item) -> bool:
    """Say whether the last who carried an item was this node: then it is another's, and was given by us."""
    if not item.hops:
        return False
    last = item.hops[-1].encode("ascii")
    key = NodeKey.objects.filter(kid=signing.header_of(last)["kid"], peer__isnull=True).first()
    if key is None:
        return False
    signing.verify(last, public_jwk=key.public_jwk, kid=key.kid, typ=signing.HOP_TYPE)
    return bool(signing.claims_of(last).get("digest") == item.digest)


class _Back:
    """One transaction of taking back; the peer's row is locked by the caller."""

    def __init__(self, peer: Peer, at: datetime, alone: bool) -> None:
        self.peer, self.at, self.alone = peer, at, alone
        self.words: set[str] = set()

    def take(self, item: Item) -> bool:
        """Take one item; says whether it was lost."""
        known = Parcel.objects.filter(peer=self.peer, position=item.position).first()
        if known is not None and known.digest == item.digest:
            self._count(item)
            return False
        parcel = Parcel(peer=self.peer, position=item.position, kind=item.kind, digest=item.digest, made_at=self.at)
        parcel.document, parcel.hops = item.document, list(item.hops)
        try:
            with transaction.atomic():
                self._judge(item, parcel)
                if known is not None:
                    if known.kind == ItemKind.DISPATCH:  # what this node answered by itself meanwhile only moves on
                        facts = {"position": item.position, "here": known.digest, "there": item.digest}
                        links.note_incident(peer=self.peer, code="exchange.position_reused", facts=facts, at=self.at)
                    known.position += PARKED
                    known.save(update_fields=["position"])
                parcel.save()
        except (DomainError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            facts = {"position": item.position, "digest": item.digest, "error": str(error)[:200]}
            if not self.alone:
                links.note_incident(peer=self.peer, code="exchange.echo_false", facts=facts, at=self.at)
            return False
        self._count(item)
        return True

    def _count(self, item: Item) -> None:
        self.peer.sent_through = max(self.peer.sent_through, item.position)

    def _judge(self, item: Item, parcel: Parcel) -> None:
        """Verify an item and store what it stands for; the bytes stay with the parcel only where no row holds them.

        Raises:
            BadSignature: nobody here signed it, and nobody here carried it.
        """
        if item.kind not in {ItemKind.DISPATCH, ItemKind.RECEIPT, ItemKind.KEY}:
            self._own_node(item)
        elif _carried(item):
            return
        elif item.kind == ItemKind.DISPATCH:
            self._dispatch(item, parcel)
        elif item.kind == ItemKind.RECEIPT:
            self._receipt(item, parcel)
        else:
            self._key(item)

    def _own_node(self, item: Item) -> None:
        header = signing.header_of(item.document)
        key = NodeKey.objects.filter(kid=header["kid"], peer__isnull=True).first()
        if key is None:
            raise signing.BadSignature(what="kid")
        signing.verify(item.document, public_jwk=key.public_jwk, kid=key.kid, typ=f"hiepdong.{item.kind}+json")

    def _own_key(self, item: Item, typ: str) -> SigningKey:
        """Return the key of an organisation at home that signed the item; one that is not known any more is learned nowhere.

        Raises:
            BadSignature.
        """
        header = signing.header_of(item.document)
        key = SigningKey.objects.filter(kid=header["kid"]).select_related("organisation").first()
        if key is None or not links.is_at_home(key.organisation_id):
            raise signing.BadSignature(what="kid")
        signing.verify(item.document, public_jwk=key.public_jwk, kid=key.kid, typ=typ)
        check_storable(signing.claims_of(item.document), signing.payload_of(item.document))
        return key

    def _dispatch(self, item: Item, parcel: Parcel) -> None:
        key = self._own_key(item, signing.DISPATCH_TYPE)
        content = read_content(signing.payload_of(item.document))
        if content.sender != key.organisation.key:
            raise signing.BadSignature(what="sender")
        check_rows(content)
        same = Dispatch.objects.filter(uuid=content.id).first()
        if same is None:
            try:
                with transaction.atomic():
                    same = _dispatch_back(item, content, key, self.at)
            except IntegrityError:
                # Written here after the backup, the number was given out again: two genuine papers bear it.
                facts = {"dispatch": content.id, "digest": item.digest, "notation": content.notation}
                links.note_incident(peer=self.peer, code="exchange.number_given_twice", facts=facts, at=self.at)
        if same is not None and same.digest == item.digest:
            parcel.dispatch, parcel.document = same, None
            self.words.add(f"dispatch:{content.id}")

    def _receipt(self, item: Item, parcel: Parcel) -> None:
        key = self._own_key(item, signing.RECEIPT_TYPE)
        claims = signing.claims_of(item.document)
        if claims.get("organisation") != key.organisation.key:
            raise signing.BadSignature(what="organisation")
        subject = str(uuid.UUID(str(claims["dispatch"])))
        parcel.subject = subject
        addressee = (
            Addressee.objects.select_related("dispatch", "organisation")
            .filter(dispatch__uuid=subject, organisation=key.organisation)
            .first()
        )
        receipt = receipt_of(addressee, item.document) if addressee is not None else None
        if addressee is None or receipt is None:
            return  # the paper itself was lost too: given again when it comes
        held = {r.code: r for r in Receipt.objects.filter(addressee=addressee)}
        if contradicts({State(c) for c in held}, State(receipt.code)):
            facts = {"dispatch": subject, "came": receipt.code, "held": ", ".join(sorted(held))}
            links.note_incident(peer=self.peer, code="exchange.answered_twice", facts=facts, at=self.at)
        elif receipt.code not in held:
            receipt.save()
            answer(addressee, receipt)
            addressee.save()
            organisation = key.organisation.key
            said: dict[str, Any] = {
                "uuid": subject,
                "organisation": organisation,
                "reason": receipt.reason,
                "receipt": receipt.digest,
                "recovered": True,
            }
            name = addressee.dispatch.notation
            if receipt.code != ReceiptCode.ARRIVED:
                code = f"exchange.dispatch.{receipt.code}"
                record(code, subject=addressee.dispatch, actor=None, at=receipt.at, name=name, facts=said)
            parcel.receipt, parcel.document = receipt, None
        elif held[receipt.code].digest == item.digest:
            parcel.receipt, parcel.document = held[receipt.code], None

    def _own_node_key(self, item: Item, claims: Mapping[str, Any]) -> None:
        """Note that this node had another key of its own, whose private half the backup does not have: people renew it."""
        kid = str(claims["kid"])
        if claims["action"] == "add":
            NodeKey.objects.get_or_create(
                kid=kid,
                defaults={
                    "public_jwk": links.jwk_of(claims, kid),
                    "valid_from": datetime.fromisoformat(str(claims["valid_from"])),
                },
            )
        facts = {"kid": kid, "action": str(claims["action"])[:20]}
        links.note_incident(peer=self.peer, code="exchange.own_node_key_lost", facts=facts, at=self.at)

    def _key(self, item: Item) -> None:
        """Learn a key that was made after the backup: its statement bears the key before it, or this node's own."""
        header, claims = signing.header_of(item.document), signing.claims_of(item.document)
        check_storable(claims, signing.payload_of(item.document))
        by_node = NodeKey.objects.filter(kid=header["kid"], peer__isnull=True).first()
        signer = SigningKey.objects.filter(kid=header["kid"]).select_related("organisation").first()
        if by_node is not None:
            signing.verify(item.document, public_jwk=by_node.public_jwk, kid=by_node.kid, typ=signing.KEY_TYPE)
        elif signer is not None and signer.organisation.key == claims.get("owner"):
            signing.verify(item.document, public_jwk=signer.public_jwk, kid=signer.kid, typ=signing.KEY_TYPE)
        else:
            raise signing.BadSignature(what="kid")
        if claims.get("owner") == "":
            self._own_node_key(item, claims)
            return
        owner = Organisation.objects.filter(key=str(claims["owner"])).first()
        if owner is None or not links.is_at_home(owner.pk):
            raise signing.BadSignature(what="owner")
        kid = str(claims["kid"])
        if claims["action"] == "revoke":
            SigningKey.objects.filter(kid=kid, organisation=owner, revoked_at__isnull=True).update(
                revoked_at=datetime.fromisoformat(str(claims["at"])), revoked_because=str(claims.get("reason") or "")[:300]
            )
            return
        if claims["action"] != "add" or signing.thumbprint_of(claims["jwk"]) != kid:
            raise signing.BadSignature(what="jwk")
        begins = datetime.fromisoformat(str(claims["valid_from"]))
        ends = datetime.fromisoformat(str(claims["valid_until"])) if claims.get("valid_until") else None
        public = signing.public_half(claims["jwk"])
        values = {"organisation": owner, "public_jwk": public, "private_encrypted": "", "valid_from": begins}
        key, lost = SigningKey.objects.get_or_create(kid=kid, defaults=values | {"valid_until": ends})
        if lost:
            old = SigningKey.objects.filter(organisation=owner, kid=str(claims.get("replaces"))).first()
            if old is not None and (old.valid_until is None or old.valid_until > begins):
                old.valid_until = begins
                old.save(update_fields=["valid_until"])
            facts = {"owner": owner.key, "kid": kid}
            links.note_incident(peer=self.peer, code="exchange.own_key_lost", facts=facts, at=self.at)
            record("exchange.key.lost", subject=key, actor=None, at=self.at, name=owner.name, facts=facts)


def receipt_of(addressee: Addressee, document: bytes) -> Receipt | None:
    """Return the receipt that a signed document is, not stored; None if it is none of this addressee for this paper."""
    try:
        claims = signing.claims_of(document)
        kid = signing.header_of(document)["kid"]
        key = SigningKey.objects.filter(kid=kid, organisation=addressee.organisation).first()
        if key is None or claims.get("digest") != addressee.dispatch.digest or claims["code"] not in ReceiptCode.values:
            return None
        signing.verify(document, public_jwk=key.public_jwk, kid=key.kid, typ=signing.RECEIPT_TYPE)
        return Receipt(
            addressee=addressee,
            code=str(claims["code"]),
            reason=str(claims.get("reason") or ""),
            at=datetime.fromisoformat(str(claims["at"])),
            signed=document,
            digest=signing.digest_of(document),
            key=key,
        )
    except (signing.BadSignature, LookupError, ValueError, TypeError):
        return None


def answer(addressee: Addressee, receipt: Receipt) -> None:
    """Write into the row of an addressee, saved by the caller, what its receipt says."""
    setattr(addressee, f"{receipt.code}_at", receipt.at)
    if receipt.code == ReceiptCode.RETURNED:
        addressee.return_reason = receipt.reason


def _dispatch_back(item: Item, content: Content, key: SigningKey, at: datetime) -> Dispatch:
    named = [u for u in (content.replaces, content.withdraws) if u]
    earlier = {str(d.uuid): d for d in Dispatch.objects.filter(uuid__in=named, sender=key.organisation)}
    dispatch = dispatch_of(
        document=item.document,
        digest=item.digest,
        content=content,
        key=key,
        replaces=earlier.get(content.replaces),
        withdraws=earlier.get(content.withdraws),
        at=at,
    )
    dispatch.save()
    bodies = organisations_by_keys(r.organisation for r in content.recipients)
    homes = links.homes_of(o.pk for o in bodies.values())
    arrived = {k: content.sent_at for k, o in bodies.items() if homes[o.pk] == 0}
    addressees = addressees_of(dispatch, content, bodies, arrived)
    Addressee.objects.bulk_create(addressees)
    ring = KeyRing(at)
    Receipt.objects.bulk_create(
        make_receipt(a, a.organisation, ReceiptCode.ARRIVED, a.arrived_at, "", ring) for a in addressees if a.arrived_at
    )
    attach([dispatch], [content], at=at)
    index([(dispatch, content, addressees)])
    series, _ = Series.objects.get_or_create(
        organisation=key.organisation, register=dispatch.register, year=dispatch.register_year
    )
    if series.last_number < dispatch.register_number:
        series.last_number = dispatch.register_number
        series.save(update_fields=["last_number"])
    facts: dict[str, Any] = {"uuid": content.id, "digest": dispatch.digest, "answers": list(content.answers), "recovered": True}
    if content.withdraws:
        facts["withdraws"] = content.withdraws
    name = f"{dispatch.notation} {dispatch.subject}"
    record("exchange.dispatch.sent", subject=dispatch, actor=None, at=content.sent_at, name=name, facts=facts)
    return dispatch


def earlier_receipts(uuids: Collection[str]) -> dict[str, list[bytes]]:
    """Return receipts that this node had given for papers before it was restored, as peers told them back, by paper."""
    rows = Parcel.objects.filter(subject__in=uuids, kind=ItemKind.RECEIPT, receipt__isnull=True).exclude(subject="")
    found: dict[str, list[bytes]] = defaultdict(list)
    for subject, document in rows.order_by("position").values_list("subject", "document"):
        if document:
            found[subject].append(bytes(document))
    return found


@transaction.atomic
def note_told(*, peer_id: int, after: int, through: int, last: int | None, held: int, at: datetime) -> bool:
    """Note that a peer has told everything that it holds of us after a position up to another; returns whether that was all.

    `last` is the highest position that it says it holds, None while it has not said; `held` up to where it holds everything.
    """
    peer = links.peer_for(peer_id, for_update=True)
    told = told_back(peer).with_range(after, through, last)
    peer.told_back = told.as_json()
    peer.save(update_fields=["told_back"])
    whole = last is not None and told.is_whole
    if whole:
        peer_recovered(peer_id=peer_id, held=held, at=at)
    return whole


@transaction.atomic
def peer_recovered(*, peer_id: int, held: int, at: datetime) -> bool:
    """Note that a peer has told all it held of us, and up to where it holds all; returns whether the recovery is over."""
    peer = links.peer_for(peer_id, for_update=True)
    peer.confirmed_through = max(peer.confirmed_through, min(held, peer.sent_through))
    _fill_holes(peer, at)
    for parcel in Parcel.objects.filter(peer=peer, position__gt=PARKED).order_by("position"):
        peer.sent_through += 1
        parcel.position, parcel.outcome = peer.sent_through, ""
        parcel.save(update_fields=["position", "outcome"])
    peer.recovered_at = at
    peer.save(update_fields=["sent_through", "confirmed_through", "recovered_at"])
    return end_recovery(actor=None, at=at)


def _fill_holes(peer: Peer, at: datetime) -> None:
    """Give again, in places of which neither side knows what stood there, an item that stands in another place.

    A bundle with them was lost, and this node's memory of it too. The peer would wait for them for ever, and everything after
    them would be carried again and again. An item that it holds already changes nothing there.
    """
    after = peer.confirmed_through
    rows = Parcel.objects.filter(peer=peer, position__lte=peer.sent_through)
    behind = rows.filter(position__gt=after)
    if not 0 < peer.sent_through - after - behind.count() <= MOST_HOLES:
        return
    again = rows.filter(kind=ItemKind.DISPATCH).select_related("dispatch", "receipt").order_by("-position").first()
    if again is None:
        return
    held = set(behind.values_list("position", flat=True))
    holes = [p for p in range(after + 1, peer.sent_through + 1) if p not in held]
    document = outbox.document_of(again)
    Parcel.objects.bulk_create(
        Parcel(
            peer=peer,
            position=position,
            kind=again.kind,
            digest=again.digest,
            document=document,
            hops=again.hops,
            made_at=at,
        )
        for position in holes
    )
    links.note_incident(peer=peer, code="exchange.places_lost", facts={"count": len(holes), "first": holes[0]}, at=at)


@transaction.atomic
def end_recovery(*, actor: Seat | None, at: datetime, forced: bool = False) -> bool:
    """End the recovery when every linked peer has told what it holds, or by a person's decision, with a record.

    Raises:
        NotAllowed: only a node administrator decides so.
    """
    if forced:
        require_unless_command(actor, Action.MANAGE_NODE)
    node = Node.objects.select_for_update(of=("self",)).filter(state=Node.State.RECOVERING).first()
    if node is None:
        return False
    missing = list(links.who_may_know().filter(recovered_at__isnull=True).values_list("name", flat=True))
    if missing and not forced:
        return False
    node.state = Node.State.NORMAL
    node.save(update_fields=["state"])
    facts = {"forced": forced, "without": missing}
    record("exchange.node.recovered", subject=node, actor=actor, at=at, name=node.name, facts=facts)
    from . import intake

    intake.give_owed(at=at)
    return True
