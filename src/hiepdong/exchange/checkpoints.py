"""Checkpoints of the journals: ours go to every peer, theirs are witnessed here, so that each bounds the other's time.

Neither a checkpoint nor a witness is an entry of the journal: two nodes where nothing happens become quiet.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef

from hiepdong.journal import queries as journal
from hiepdong.kernel.errors import DomainError, gettext_noop

from . import links, outbox, signing
from .domain.envelope import instant
from .domain.links import ItemKind
from .models import LinkIncident, Node, Peer, PeerCheckpoint

FORMAT = "hiepdong.checkpoint/1"
WITNESS_FORMAT = "hiepdong.witness/1"


class InvalidCheckpoint(DomainError):
    """A checkpoint or a witness that says nothing of use."""

    code = "exchange.invalid_checkpoint"
    message = gettext_noop("The checkpoint cannot be read: %(found)s.")
    hint = gettext_noop("Ask the administrator of the other node which version it runs.")


@transaction.atomic
def announce(*, at: datetime, every: timedelta = timedelta(0)) -> bool:
    """Send the newest seal of this node's journal to every linked peer that was not told of it; returns whether one was.

    A peer is told at most once in `every`; one whose last checkpoint lies in the future (a clock was wrong) is told. A node
    restored from a backup waits until it has recovered, or it would give positions that it used before.
    """
    node = links.node_or_none()
    seal = journal.latest_seal()
    if node is None or seal is None or node.state != Node.State.NORMAL:
        return False
    ours = PeerCheckpoint.objects.filter(ours=True, peer=OuterRef("pk"))
    open_peers = Peer.objects.select_for_update(of=("self",)).filter(state=Peer.State.LINKED, via__isnull=True)
    recent = ours.filter(made_at__gt=at - every, made_at__lte=at)
    peers = list(open_peers.filter(~Exists(ours.filter(seal__gte=seal.number)), ~Exists(recent)).order_by("pk"))
    if not peers:
        return False
    payload = {
        "format": FORMAT,
        "node": str(node.node_id),
        "seal": seal.number,
        "digest": seal.digest,
        "entries": seal.entries_total,
        "at": instant(at),
    }
    document = links.sign_as_node(payload, typ=signing.CHECKPOINT_TYPE, at=at)
    for peer in peers:
        PeerCheckpoint.objects.create(
            peer=peer,
            ours=True,
            seal=seal.number,
            digest=signing.digest_of(document),
            document=document,
            made_at=at,
        )
        outbox.enqueue_document(peer=peer, kind=ItemKind.CHECKPOINT, document=document, at=at)
    return True


def take(kind: str, *, peer: Peer, document: bytes, at: datetime) -> None:
    """Take a checkpoint of a peer and witness it, or take a peer's witness of one of ours.

    A checkpoint that contradicts an earlier one is an incident of the link; it is kept as evidence and not witnessed. Where
    the peer has said since that it was restored from a backup, that is what a restore does: the incident says so, and what
    its journal holds from then on is witnessed.

    Raises:
        BadSignature, InvalidCheckpoint.
    """
    typ = signing.CHECKPOINT_TYPE if kind == ItemKind.CHECKPOINT else signing.WITNESS_TYPE
    claims, _ = links.verified_of_peer(document, typ=typ, peer=peer)
    try:
        if kind == ItemKind.CHECKPOINT:
            _checkpoint(claims, peer, document, at)
        else:
            _witness(claims, peer, document, at)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidCheckpoint(found=str(error)[:80]) from error


def _checkpoint(claims: Mapping[str, Any], peer: Peer, document: bytes, at: datetime) -> None:
    seal, entries, digest = int(claims["seal"]), int(claims["entries"]), str(claims["digest"])
    if claims["format"] != FORMAT or claims["node"] != str(peer.node_id) or len(digest) != 64 or not 0 < seal < 1 << 62:
        raise InvalidCheckpoint(found="format, node, seal, digest")
    restored_at = _restored_at(peer)
    lost: dict[str, Any] = {}
    taken = False
    for known in _near(peer, seal):
        before = signing.claims_of(bytes(known.document))
        same = known.seal == seal and before["digest"] != digest
        fewer = (known.seal < seal and before["entries"] > entries) or (known.seal > seal and before["entries"] < entries)
        # A journal that goes on never comes back to an earlier seal; a checkpoint that was late says so by its moment.
        back = known.seal > seal and str(claims["at"]) > str(before["at"])
        if not (same or fewer or back):
            continue
        facts = {"seal": seal, "digest": digest, "held_seal": known.seal, "held": before["digest"]}
        if restored_at is None or (known.witnessed_at or known.made_at) > restored_at:
            links.note_incident(peer=peer, code="exchange.journal_contradicts", facts=facts, at=at)
            return
        lost = lost or {"restored_at": instant(restored_at), "held_seal": known.seal, "held": before["digest"]}
        taken = taken or same
    if lost:
        links.note_incident(peer=peer, code="exchange.journal_after_restore", facts=lost, at=at)
    if taken:
        return  # the place of this seal is taken by the lost one; a later one is witnessed
    row, fresh = PeerCheckpoint.objects.get_or_create(
        peer=peer,
        ours=False,
        seal=seal,
        defaults={"digest": signing.digest_of(document), "document": document, "made_at": at, "witnessed_at": at},
    )
    if fresh:
        payload = {
            "format": WITNESS_FORMAT,
            "node": str(links.this_node().node_id),
            "checkpoint": row.digest,
            "of": str(peer.node_id),
            "seal": seal,
            "at": instant(at),
        }
        row.witness = links.sign_as_node(payload, typ=signing.WITNESS_TYPE, at=at)
        row.save(update_fields=["witness"])
        outbox.enqueue_document(peer=peer, kind=ItemKind.WITNESS, document=bytes(row.witness), at=at)


def _restored_at(peer: Peer) -> datetime | None:
    """Return when a peer last said that its data came from a backup."""
    told = LinkIncident.objects.filter(peer=peer, code="exchange.peer_restored")
    return told.aggregate(last=Max("at"))["last"]


def _near(peer: Peer, seal: int) -> list[PeerCheckpoint]:
    """Return the checkpoints of a peer that a new one could contradict: the newest ones and those beside its number."""
    held = PeerCheckpoint.objects.filter(peer=peer, ours=False)
    listed = [*held.order_by("-seal")[:50], *held.filter(seal__gte=seal).order_by("seal")[:2]]
    listed += held.filter(seal__lt=seal).order_by("-seal")[:1]
    return list({c.pk: c for c in listed}.values())


def _witness(claims: Mapping[str, Any], peer: Peer, document: bytes, at: datetime) -> None:
    row = PeerCheckpoint.objects.filter(peer=peer, ours=True, digest=str(claims["checkpoint"])).first()
    if row is None or claims["format"] != WITNESS_FORMAT or claims["node"] != str(peer.node_id):
        raise InvalidCheckpoint(found=f"checkpoint {str(claims['checkpoint'])[:64]}")
    if row.witness is None:
        row.witness, row.witnessed_at = document, at
        row.save(update_fields=["witness", "witnessed_at"])
