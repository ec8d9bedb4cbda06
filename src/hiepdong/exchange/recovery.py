"""After a restore from a backup: a node learns from its peers what it had sent and lost, and never uses a number twice.

The peer knows more of us than we do. It gives back our own items from the first position that we do not know; each bears the
signature of an organisation whose home is here, so nobody else can have made it.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from hiepdong.documents.models import Series
from hiepdong.journal.services import record
from hiepdong.organisations.queries import organisations_by_keys

from . import links, signing
from .domain.envelope import read_content
from .domain.links import MOST_ITEMS, InvalidItem, Item, ItemKind
from .keys import KeyRing
from .models import Addressee, Arrival, Dispatch, Parcel, Peer, Receipt, ReceiptCode, SigningKey
from .rows import addressees_of, attach, check_rows, dispatch_of, index
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


def held_of(peer: Peer, *, after: int, limit: int) -> list[Item]:
    """Return a peer's own items that this node holds, after a position, in order."""
    listed = Arrival.objects.filter(peer=peer, position__gt=after).order_by("position")
    rows = list(listed[: max(1, min(limit, MOST_ITEMS))])
    digests = {kind: [r.digest for r in rows if r.kind == kind] for kind in (ItemKind.DISPATCH, ItemKind.RECEIPT)}
    dispatches = dict(Dispatch.objects.filter(digest__in=digests[ItemKind.DISPATCH]).values_list("digest", "signed"))
    receipts = dict(Receipt.objects.filter(digest__in=digests[ItemKind.RECEIPT]).values_list("digest", "signed"))
    found = []
    for row in rows:
        document = row.document or dispatches.get(row.digest) or receipts.get(row.digest)
        if document is not None:
            found.append(Item(row.position, row.kind, bytes(document), tuple(row.hops)))
    return found


@transaction.atomic
def take_back(*, peer_id: int, items: Sequence[Item], at: datetime) -> int:
    """Take back own items that a peer held for us; returns how many were lost here and are here again.

    Numbers in registers, sequences and positions go on after the highest that was given back.

    Raises:
        BadSignature: an item does not bear the signature of an organisation whose home is here.
    """
    peer = links.peer_for(peer_id, for_update=True)
    back = 0
    for item in sorted(items, key=lambda i: i.position):
        known = Parcel.objects.filter(peer=peer, position=item.position).first()
        if known is not None:
            if known.digest != item.digest:
                facts = {"position": item.position, "here": known.digest, "there": item.digest}
                links.note_incident(peer=peer, code="exchange.position_reused", facts=facts, at=at)
            continue
        parcel = Parcel(peer=peer, position=item.position, kind=item.kind, digest=item.digest, made_at=at)
        if item.kind == ItemKind.DISPATCH:
            parcel.dispatch = _dispatch_back(item, at)
            back += 1
        else:
            parcel.document, parcel.hops = item.document, list(item.hops)
            if item.kind == ItemKind.RECEIPT:
                parcel.subject = str(signing.claims_of(item.document).get("dispatch", ""))[:64]
        parcel.save()
        peer.sent_through = max(peer.sent_through, item.position)
        peer.confirmed_through = max(peer.confirmed_through, item.position)
    peer.save(update_fields=["sent_through", "confirmed_through"])
    return back


def _dispatch_back(item: Item, at: datetime) -> Dispatch:
    existing = Dispatch.objects.filter(digest=item.digest).first()
    if existing is not None:
        return existing
    header = signing.header_of(item.document)
    key = SigningKey.objects.filter(kid=header["kid"]).exclude(private_encrypted="").select_related("organisation").first()
    if key is None:
        raise signing.BadSignature(what="kid")
    content = read_content(signing.verify(item.document, public_jwk=key.public_jwk, kid=key.kid, typ=signing.DISPATCH_TYPE))
    if content.sender != key.organisation.key:
        raise signing.BadSignature(what="sender")
    check_rows(content)
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
    facts: dict[str, Any] = {"uuid": content.id, "answers": list(content.answers), "recovered": True}
    if content.withdraws:
        facts["withdraws"] = content.withdraws
    name = f"{dispatch.notation} {dispatch.subject}"
    record("exchange.dispatch.sent", subject=dispatch, actor=None, at=content.sent_at, name=name, facts=facts)
    return dispatch


def earlier_receipts(dispatch_uuid: uuid.UUID) -> list[bytes]:
    """Return receipts that this node had given for a paper before it was restored, as a peer told them back."""
    rows = Parcel.objects.filter(kind=ItemKind.RECEIPT, receipt__isnull=True, subject=str(dispatch_uuid))
    return [bytes(document) for document in rows.order_by("position").values_list("document", flat=True) if document]


@transaction.atomic
def peer_recovered(*, peer_id: int, at: datetime) -> bool:
    """Note that a peer has told all it held of us; returns whether the recovery is over."""
    Peer.objects.filter(pk=peer_id).update(recovered_at=at)
    return links.end_recovery(actor=None, at=at)
