"""What this node answers to a linked node that asks: the far end of every transport.

The caller has found out which peer asks (a signed request, a bundle's signature). Each function reads or writes in one
transaction; its answer may leave after the commit.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from hiepdong.kernel.errors import NotFound

from . import files, intake, links, outbox, recovery
from .domain.envelope import instant
from .domain.links import MOST_ITEMS, Item
from .models import Attachment, Peer, RelayedFile

PROTOCOL = 1


def open_peer(peer_id: int) -> Peer:
    """Return a linked peer.

    Raises:
        NotLinked: the link is not open.
    """
    peer = links.peer_for(peer_id)
    if peer.state != Peer.State.LINKED:
        raise intake.NotLinked(name=peer.name)
    return peer


def greeting(peer: Peer, *, at: datetime) -> dict[str, Any]:
    """Return what this node says of itself to a peer."""
    node = links.this_node()
    return {
        "node": str(node.node_id),
        "incarnation": node.incarnation,
        "protocol": [PROTOCOL],
        "at": instant(at),
        "sent_through": peer.sent_through,
        "held_through": peer.held_through,
        "held_digest": recovery.held_digest(peer),
        "recovering": node.state == node.State.RECOVERING,
    }


@transaction.atomic
def hello(*, peer_id: int, said: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Take what a peer says of itself and answer in kind.

    Raises:
        NotLinked. InvalidItem: what it says is not a greeting.
    """
    peer = open_peer(peer_id)
    take_greeting(peer_id=peer.pk, said=said, at=at)
    return greeting(links.peer_for(peer_id), at=at)


@transaction.atomic
def take_greeting(*, peer_id: int, said: Mapping[str, Any], at: datetime) -> Peer:
    """Note a peer's marks and clock. One that was restored from a backup holds less than before: what it lost goes again.

    Raises:
        InvalidItem: what it says is not a greeting, or it is another node.
    """
    peer = links.peer_for(peer_id, for_update=True)
    incarnation, sent, held = recovery.read_greeting(said, peer)
    note_incarnation(peer, incarnation, held, at)
    peer.announced_through = max(sent, 0) if sent < peer.held_through else max(peer.announced_through, sent)
    if said.get("recovering") is False:
        peer.echo_after, peer.echo_ended = None, incarnation  # it may have asked on a stick, and has its answer by now
    theirs = datetime.fromisoformat(str(said["at"]))
    peer.clock_ahead_s = round((theirs - at).total_seconds())
    peer.heard_at = at
    peer.save()
    return intake.confirmed(peer_id=peer.pk, held_through=held, held_digest=str(said.get("held_digest", "")), at=at)


def note_incarnation(peer: Peer, incarnation: str, held: int, at: datetime) -> None:
    """Note on a peer (saved by the caller) that its data came from a backup since; what it lost of ours goes again."""
    if peer.incarnation and incarnation != peer.incarnation:
        facts = {"before": peer.incarnation, "now": incarnation, "held": held, "held_before": peer.confirmed_through}
        links.note_incident(peer=peer, code="exchange.peer_restored", facts=facts, at=at)
        peer.confirmed_through = min(peer.confirmed_through, held)
        peer.earlier_incarnations = [*peer.earlier_incarnations, peer.incarnation][-20:]
    peer.incarnation = incarnation


def take(*, peer_id: int, items: Sequence[Item], way: str, at: datetime) -> dict[str, Any]:
    """Take items in; the answer says what became of each and which files are missing."""
    taken = intake.take_in(peer_id=peer_id, items=items, way=way, at=at)
    return {
        "held_through": taken.held_through,
        "results": [o.as_json() for o in taken.outcomes],
        "wanted": list(taken.wanted),
    }


def give(*, peer_id: int, after: int, limit: int) -> dict[str, Any]:
    """Return items for a peer that asks for them, after a position."""
    peer = open_peer(peer_id)
    items = outbox.items_after(peer, after, limit=max(1, min(limit, MOST_ITEMS - outbox.MOST_URGENT)))
    items = outbox.urgent_first(peer, after, items) if items else []
    return {
        "items": [i.as_json() for i in items],
        "sent_through": peer.sent_through,
        "wanted": intake.wanted_files(peer),
    }


def held(*, peer_id: int, through: int, at: datetime) -> dict[str, Any]:
    """Take a peer's word that it holds everything up to a position."""
    open_peer(peer_id)
    peer = intake.confirmed(peer_id=peer_id, held_through=through, at=at)
    return {"confirmed_through": peer.confirmed_through}


def echo(*, peer_id: int, after: int, limit: int) -> dict[str, Any]:
    """Return a peer's own items that this node holds, after a position of its own: for one restored from a backup."""
    peer = open_peer(peer_id)
    return {"items": [i.as_json() for i in recovery.held_of(peer, after=after, limit=limit)], "held_through": peer.held_through}


def file_for(*, peer_id: int, digest: str) -> files.AnyFile:
    """Return a file that a paper on its way to this peer, or one of its own papers, names, if its bytes are here.

    To name a digest proves nothing: a file that only its own papers name there came from it, and it may have lost it; one
    that a paper names which it was never given is another's, and is given to nobody for the asking.

    `files.place_of` says where they are.

    Raises:
        NotFound: no such file, or none of its papers goes to this peer: the two look alike.
    """
    peer = open_peer(peer_id)
    named = Attachment.objects.filter(file__digest=digest).select_related("file")
    found = named.filter(dispatch__parcels__peer=peer).first()
    if found is None:
        theirs = Q(dispatch__sender__residence__peer=peer)
        found = named.filter(theirs).first() if not named.exclude(theirs).exists() else None
    if found is not None and files.is_here(found.file):
        return found.file
    passing = files.relayed_to(peer).filter(digest=digest, kept=True).first()
    if passing is not None and files.is_here(passing):
        return passing
    if passing is not None:
        files.is_lost(passing)
    raise NotFound


def wants(*, peer_id: int, digest: str) -> files.AnyFile:
    """Return a file that `intake.wanted_files` asks this peer for, or has asked for: what is missing here comes first.

    Raises:
        NotFound: it is not wanted from this peer.
    """
    peer = open_peer(peer_id)
    found = Attachment.objects.filter(intake.asked_of(peer), file__digest=digest).select_related("file").first()
    if found is not None and not found.file.kept:
        return found.file
    passing = RelayedFile.objects.filter(giver=peer, digest=digest).select_related("giver").order_by("kept", "id").first()
    if passing is not None and (found is None or not passing.kept):
        return passing
    if found is None:
        raise NotFound
    return found.file
