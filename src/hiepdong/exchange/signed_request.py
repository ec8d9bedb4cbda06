"""One HTTP request between nodes, signed by the node that asks: who asks whom for exactly this (protocol.md, section 8)."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from . import links, signing
from .domain.envelope import canonical, instant
from .keys import signed_with
from .models import Peer

FORMAT = "hiepdong.request/1"
NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a linked node signed: the peer's number here, and the SHA-256 (hex) that the body must have."""

    peer_id: int
    body: str


class Signer:
    """Signs requests of this node to one peer; the key is looked up once. Raises NodeNotFounded, KeyUnreadable."""

    def __init__(self, *, to: Peer, at: datetime) -> None:
        self._from, self._to = str(links.this_node().node_id), str(to.node_id)
        self._key = links.carrying_key(to, at)

    def sign(self, *, method: str, path: str, body: bytes, at: datetime) -> str:
        """Return the JWS for the header. `path` is what is asked for below the node's address, with its query."""
        payload = {
            "format": FORMAT,
            "method": method,
            "path": path,
            "body": hashlib.sha256(body).hexdigest(),
            "from": self._from,
            "to": self._to,
            "at": instant(at),
        }
        return signed_with(self._key, canonical(payload), typ=signing.REQUEST_TYPE).decode("ascii")


def read(document: bytes, *, method: str, path: str) -> SignedRequest:
    """Return who signed this request; the caller compares the digest of the body before it does anything.

    Its moment is not judged: clocks are compared, never trusted.

    Raises:
        BadSignature: of no node whose link is open, or it speaks of another request, or to another node.
        NodeNotFounded: this node has no identity, so nobody can ask it.
    """
    node = links.this_node()
    claims, peer = links.verified_of_peer(document, typ=signing.REQUEST_TYPE)
    expected = {
        "format": FORMAT,
        "method": method,
        "path": path,
        "from": str(peer.node_id),
        "to": str(node.node_id),
    }
    wrong = [name for name, value in expected.items() if claims.get(name) != value]
    if wrong or not isinstance(claims.get("body"), str) or not isinstance(claims.get("at"), str):
        raise signing.BadSignature(what=", ".join(wrong) or "body, at")
    if peer.state != Peer.State.LINKED:
        raise signing.BadSignature(what="link")
    return SignedRequest(peer.pk, claims["body"])
