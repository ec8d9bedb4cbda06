"""What waits for other nodes: each item in its place, kept until the other side says that it holds it.

Called inside the transaction that makes the item, so that a paper and its place on the way are committed together or not
at all. A peer's row is locked while places are given out: no hole, no double.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from django.db.models import Exists, OuterRef

from hiepdong.shell.bulk import fresh, insert, raise_by

from . import signing
from .domain.links import Item
from .models import Addressee, Dispatch, Parcel, Peer, Receipt, Residence

OPEN = (Peer.State.LINKED, Peer.State.PAUSED)


REVOKES = "revokes "  # subject of a parcel that revokes the key named after it
MOST_URGENT = 50


def _route(peer: Peer) -> int:
    """Return the peer that is spoken to: the node itself, or the one that relays for it."""
    return peer.via_id or peer.pk


def place(parcels: Mapping[int, Sequence[Parcel]], *, locked: Peer | None = None, beside: Sequence[str] = ()) -> None:
    """Give parcels their positions, by the peer they go to (locked in the order of their numbers), and store them.

    `locked` is a peer whose row the caller has locked; it is told its new mark, and what the caller changed `beside` it is
    written with it.
    """
    rows: list[Parcel] = []
    peers = [locked] if locked is not None and locked.pk in parcels else []
    peers += [Peer(pk=pk) for pk in sorted(parcels.keys() - {p.pk for p in peers})]
    for peer in peers:
        taken = parcels[peer.pk]
        # The statement that takes the places locks the row and says where they end: nobody gets the same ones.
        last = raise_by(peer, "sent_through", len(taken), *(beside if peer is locked else ()))
        for position, parcel in enumerate(taken, last - len(taken) + 1):
            parcel.peer_id, parcel.position = peer.pk, position
            rows.append(parcel)
    insert(rows)


def enqueue_dispatches(dispatches: Iterable[tuple[Dispatch, Iterable[int]]], *, at: datetime) -> None:
    """Put papers on their way: (dispatch, organisations that it is addressed to). Once per node, however many live there."""
    listed = [(d, set(ids)) for d, ids in dispatches]
    homes = _peers_of({i for _, ids in listed for i in ids})
    parcels: dict[int, list[Parcel]] = defaultdict(list)
    for dispatch, ids in listed:
        for route in sorted({_route(homes[i]) for i in ids if i in homes}):
            parcels[route].append(Parcel(kind="dispatch", digest=dispatch.digest, dispatch=dispatch, made_at=at))
    if parcels:
        place(parcels)


def enqueue_receipts(
    receipts: Iterable[tuple[Receipt, int]],
    *,
    at: datetime,
    locked: Peer | None = None,
    known: Mapping[int, int | None] = MappingProxyType({}),
    beside: Sequence[str] = (),
) -> bool:
    """Put receipts on their way to the node of the sender: (receipt, organisation that sent the paper).

    `locked` is the peer that speaks, as for `place`, and `known` the homes that the caller has read. Says whether the
    peer's row was written, with what the caller changed `beside` it.
    """
    listed = list(receipts)
    direct = locked.pk if locked is not None and locked.state in OPEN and locked.via_id is None else None
    routes = {sender: direct for _, sender in listed if direct is not None and known.get(sender) == direct}
    others = {sender for _, sender in listed} - routes.keys()
    if others:
        routes |= {sender: _route(peer) for sender, peer in _peers_of(others).items()}
    parcels: dict[int, list[Parcel]] = defaultdict(list)
    for receipt, sender in listed:
        if sender in routes:
            parcel = fresh(Parcel, kind="receipt", digest=receipt.digest, receipt_id=receipt.pk, made_at=at)
            parcels[routes[sender]].append(parcel)
    if parcels:
        place(parcels, locked=locked, beside=beside)
    return locked is not None and locked.pk in parcels


def _peers_of(organisation_ids: set[int]) -> dict[int, Peer]:
    rows = Residence.objects.filter(organisation__in=organisation_ids, peer__state__in=OPEN).select_related("peer")
    return {r.organisation_id: r.peer for r in rows if r.peer is not None}


def enqueue_document(*, peer: Peer, kind: str, document: bytes, at: datetime, hops: Sequence[str] = ()) -> None:
    """Put a signed document that is no row of ours on its way to one peer; what is on its way already is not doubled."""
    digest = signing.digest_of(document)
    route = _route(peer)
    if not Parcel.objects.filter(peer_id=route, digest=digest).exists():
        place({route: [Parcel(kind=kind, digest=digest, document=document, hops=list(hops), made_at=at)]})
        if route == peer.pk:
            peer.refresh_from_db(fields=["sent_through"])  # the caller may hold it locked and give places of its own


def enqueue_everywhere(*, kind: str, document: bytes, at: datetime, subject: str = "") -> None:
    """Put a signed document on its way to every linked peer; `subject`: which key it introduces or REVOKES."""
    digest = signing.digest_of(document)
    routes = {_route(peer) for peer in Peer.objects.filter(state__in=OPEN)}
    parcels = {pk: [Parcel(kind=kind, digest=digest, document=document, subject=subject, made_at=at)] for pk in routes}
    if parcels:
        place(parcels)


def enqueue_keys(*, peer: Peer, statements: Sequence[tuple[bytes, str]], at: datetime) -> list[str]:
    """Put statements of keys (document, subject as in `enqueue_everywhere`) on their way to one peer; returns their digests.

    What is in its queue already is not doubled.
    """
    route = _route(peer)
    listed = [(signing.digest_of(document), document, subject) for document, subject in statements]
    digests = [digest for digest, _, _ in listed]
    there = set(Parcel.objects.filter(peer_id=route, digest__in=digests).values_list("digest", flat=True))
    parcels = [
        Parcel(kind="key", digest=digest, document=document, subject=subject, made_at=at)
        for digest, document, subject in listed
        if digest not in there
    ]
    if parcels:
        place({route: parcels})
    return digests


def told_of(peer: Peer, *, kid: str) -> Parcel | None:
    """Return the parcel that introduces a key of this node to a peer; None where its invitation did."""
    return Parcel.objects.filter(subject=kid, peer=_route(peer), kind="key").defer("document").first()


def enqueue_waiting(*, peer: Peer, at: datetime) -> int:
    """Put on their way papers to organisations of a peer, and answers to theirs, of before it was linked; returns how many."""
    under_way = Parcel.objects.filter(dispatch=OuterRef("dispatch"), peer_id=_route(peer))
    waiting = Addressee.objects.filter(organisation__residence__peer=peer, arrived_at__isnull=True)
    waiting = waiting.filter(~Exists(under_way)).select_related("dispatch").order_by("dispatch_id")
    local = waiting.exclude(dispatch__sender__residence__peer__isnull=False)
    rows = {a.dispatch_id: a.dispatch for a in local.iterator(chunk_size=500)}
    parcels = [Parcel(kind="dispatch", digest=d.digest, dispatch=d, made_at=at) for d in rows.values()]
    answered = Parcel.objects.filter(receipt=OuterRef("pk"), peer_id=_route(peer))
    answers = Receipt.objects.filter(~Exists(answered), addressee__dispatch__sender__residence__peer=peer)
    answers = answers.filter(addressee__organisation__residence__peer__isnull=True).order_by("id")
    parcels += [Parcel(kind="receipt", digest=r.digest, receipt=r, made_at=at) for r in answers.iterator(chunk_size=500)]
    if parcels:
        place({_route(peer): parcels})
    return len(parcels)


def items_after(peer: Peer, after: int, *, limit: int, most_bytes: int = 4 * 1024 * 1024) -> list[Item]:
    """Return what is to be carried to a peer after a position, in order: the bytes as they were signed.

    At most `limit` items and about `most_bytes`, but always one.
    """
    rows = (
        Parcel.objects.filter(peer=peer, position__gt=after, position__lte=peer.sent_through)
        .order_by("position")
        .select_related("dispatch", "receipt")
        .only("position", "kind", "document", "hops", "dispatch__signed", "receipt__signed")[:limit]
    )
    found: list[Item] = []
    size = 0
    for row in rows:
        document = bytes(document_of(row))
        size += len(document)
        if found and size > most_bytes:
            break
        found.append(Item(row.position, row.kind, document, tuple(row.hops)))
    return found


def urgent_first(peer: Peer, after: int, items: Sequence[Item]) -> list[Item]:
    """Return the items with revocations of keys before them, also those that wait further behind.

    So what waits under such a key comes after its revocation and is refused. The receiver takes items in any order; what is
    given early comes again in its place, which changes nothing.
    """
    rows = Parcel.objects.filter(subject__startswith=REVOKES, peer=peer, kind="key", position__gt=after)
    rows = rows.filter(position__lte=peer.sent_through).order_by("position")[:MOST_URGENT]
    urgent = {row.position: Item(row.position, row.kind, bytes(row.document or b""), tuple(row.hops)) for row in rows}
    return [*urgent.values(), *(item for item in items if item.position not in urgent)]


def document_of(parcel: Parcel) -> bytes:
    """Return the signed bytes of a parcel."""
    if parcel.dispatch is not None:
        return bytes(parcel.dispatch.signed)
    if parcel.receipt is not None:
        return bytes(parcel.receipt.signed)
    return bytes(parcel.document or b"")
