"""What two nodes hold in common: counted and put into one digest on each side, so that people can see that they are equal."""

import hashlib
from itertools import groupby
from typing import Any

from django.db.models import Exists, OuterRef, Q

from .models import Addressee, Dispatch, Peer, Receipt


def common_holdings(peer: Peer) -> dict[str, Any]:
    """Return what this node holds of the exchange with a peer: papers, receipts, and a digest over both.

    Counted are papers between a body that lives here and one that lives there, with the receipts of either side. The digest is
    the SHA-256 of the lines `<digest of the paper> <digests of its receipts, sorted>`, sorted; it is the same at both nodes
    when both hold the same.
    """
    there = Addressee.objects.filter(dispatch=OuterRef("pk"), organisation__residence__peer=peer)
    here = Addressee.objects.filter(dispatch=OuterRef("pk"), organisation__residence__peer__isnull=True)
    from_there = Q(sender__residence__peer=peer) & Exists(here)
    from_here = Q(sender__residence__isnull=False, sender__residence__peer__isnull=True) & Exists(there)
    papers = Dispatch.objects.filter(from_there | from_here).order_by("digest")
    receipts = (
        Receipt.objects.filter(addressee__dispatch__in=papers.order_by())
        .order_by("addressee__dispatch__digest", "digest")
        .values_list("addressee__dispatch__digest", "digest")
    )
    answered = {paper: [r for _, r in rows] for paper, rows in groupby(receipts.iterator(chunk_size=2000), key=lambda r: r[0])}
    found = hashlib.sha256()
    count = 0
    for digest in papers.values_list("digest", flat=True).iterator(chunk_size=2000):
        found.update(" ".join([digest, *answered.get(digest, [])]).encode() + b"\n")
        count += 1
    return {
        "peer": peer.name,
        "dispatches": count,
        "receipts": sum(len(r) for r in answered.values()),
        "digest": found.hexdigest(),
        "to_carry": peer.sent_through - peer.confirmed_through,
    }
