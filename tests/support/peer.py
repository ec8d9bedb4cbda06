"""A node that is only simulated: it speaks the real format with keys of its own, and lies as it is told.

peer = SimulatedNode("la", ("t.huyen-uy", "party_district", "Huyện ủy")).link(node)
document = peer.dispatch("t.huyen-uy", ["t.don"])            a paper in its sequence, signed
document = peer.dispatch(…, changes={"id": "…"})             any member changed before it is signed
peer.give(node, document)                                    hands it over at the next position; returns the answer
peer.line(pull=[…])                                          a Transport for the node's own rounds, with answers as told
"""

import base64
import hashlib
import io
import json
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from hiepdong.exchange import answering, bundle_file, links, signing
from hiepdong.exchange.domain.envelope import canonical, instant
from hiepdong.exchange.domain.links import pair_number, read_item
from hiepdong.exchange.models import Arrival, LinkIncident, Peer
from support.nodes import Clock, Node

SECRET = "the secret of a simulated node, fifty characters or so"
TYPES = {
    "dispatch": signing.DISPATCH_TYPE,
    "receipt": signing.RECEIPT_TYPE,
    "key": signing.KEY_TYPE,
    "checkpoint": signing.CHECKPOINT_TYPE,
    "witness": signing.WITNESS_TYPE,
}


def part(data: bytes) -> bytes:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def digest(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()


def claims(document: bytes) -> dict[str, Any]:
    """Return what a document says, unverified."""
    return json.loads(base64.urlsafe_b64decode(document.split(b".")[1] + b"=="))


def with_payload(document: bytes, payload: bytes) -> bytes:
    """Return the document with another payload under the old signature."""
    header, _, signature = document.split(b".")
    return b".".join([header, part(payload), signature])


class SimulatedNode:
    """Keys, sequences and numbers of a node that has no database."""

    def __init__(self, name: str, *bodies: tuple[str, str, str], clock: Clock | None = None) -> None:
        self.name, self.bodies, self.clock = name, bodies, clock or Clock()
        self.id = str(uuid.uuid4())
        self.key = signing.new_key(SECRET)
        self.keys = {key: signing.new_key(SECRET) for key, *_ in bodies}
        self.position = 0
        self.incarnation = uuid.uuid4().hex[:16]
        self.numbers: dict[str, int] = defaultdict(int)
        self.chains: dict[tuple[str, str], tuple[int, str]] = {}

    # --- documents -----------------------------------------------------------------------------------------------------------

    def sign(self, payload: Mapping[str, Any] | bytes, typ: str, key: signing.NewKey | None = None) -> bytes:
        """Sign anything with any of the keys; bytes are signed as they are."""
        key = key or self.key
        data = payload if isinstance(payload, bytes) else canonical(payload)
        return signing.sign(data, kid=key.kid, private_encrypted=key.private_encrypted, secret=SECRET, typ=typ)

    def public(self, key: signing.NewKey) -> dict[str, str]:
        return {k: key.public_jwk[k] for k in ("crv", "kty", "x")}

    def directory(self) -> dict[str, Any]:
        at = instant(self.clock.at - timedelta(days=1))
        return {
            "organisations": [
                {
                    "key": key,
                    "kind": kind,
                    "name": name,
                    "short_name": "",
                    "notation": "VP",
                    "place": "",
                    "valid_from": "2000-01-01",
                    "valid_until": None,
                    "superior": "",
                    "territory": [],
                    "source": "thử",
                    "verified": False,
                }
                for key, kind, name in self.bodies
            ],
            "keys": [
                {"owner": owner, "jwk": self.public(key), "valid_from": at, "valid_until": None}
                for owner, key in self.keys.items()
            ],
        }

    def invitation(self, **changes: Any) -> bytes:
        payload = {
            "format": links.INVITATION_FORMAT,
            "node": {"id": self.id, "name": self.name, "jwk": self.public(self.key)},
            "speaker": self.bodies[0][0],
            "address": "",
            "tls": [],
            "age": "",
            "protocol": [1],
            **self.directory(),
            "made_at": instant(self.clock.at),
            "expires_at": instant(self.clock.at + timedelta(days=30)),
        }
        return self.sign(payload | changes, signing.INVITATION_TYPE)

    def link(self, node: Node, **changes: Any) -> "SimulatedNode":
        """Link as two administrators do: our invitation read there, the number compared."""
        with node:
            peer = links.accept_invitation(document=self.invitation(**changes), actor=None, at=node.clock())
            number = pair_number(links.node_key(node.clock()).kid, self.key.kid)
            links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=node.clock())
        return self

    def content(self, sender: str, to: Sequence[str], **more: Any) -> dict[str, Any]:
        """Return a paper's content at the next places of its sequences, and remember nothing."""
        number = self.numbers[sender] + 1
        recipients = []
        for key in to:
            sequence, previous = self.chains.get((sender, key), (0, ""))
            recipients.append({"organisation": key, "role": "to", "sequence": sequence + 1, "previous": previous})
        found = {
            "format": "hiepdong.dispatch/1",
            "id": str(uuid.uuid4()),
            "kind": "notice",
            "sender": sender,
            "signer": {"title": "Chánh văn phòng"},
            "register": {"year": 2020, "number": number, "notation": f"Số: {number}/TB-VP"},
            "recipients": recipients,
            "urgency": "ordinary",
            "subject": f"Thông báo {number}",
            "sent_at": instant(self.clock()),
            "event_at": None,
            "answers": [],
            "replaces": None,
            "withdraws": None,
            "reason": "",
            "body": {"text": "Nội dung."},
            "attachments": [],
        }
        return found | more

    def dispatch(
        self,
        sender: str,
        to: Sequence[str],
        *,
        key: signing.NewKey | None = None,
        changes: Mapping[str, Any] | None = None,
        raw: Any = None,
        **more: Any,
    ) -> bytes:
        """Sign a paper and go on in its sequences. `changes` replace members; `raw` turns the payload's bytes into others."""
        content = self.content(sender, to, **more)
        payload = canonical(content | dict(changes or {}))
        document = self.sign(raw(payload) if raw else payload, signing.DISPATCH_TYPE, key or self.keys.get(sender))
        self.numbers[sender] += 1
        for r in content["recipients"]:
            self.chains[sender, r["organisation"]] = (r["sequence"], digest(document))
        return document

    def forged_echo(self, own: str, theirs: str) -> list[dict[str, Any]]:
        """Return items in positions 2 to 6 that no body at the other node (`theirs`) has signed, one of each kind."""
        receipt = self.receipt(self.dispatch(own, [theirs]), theirs, key=self.keys[own])
        return [
            self.item(self.dispatch(own, [theirs]), position=2),
            self.item(self.sign(self.content(theirs, [own]), signing.DISPATCH_TYPE, self.keys[own]), position=3),
            self.item(receipt, kind="receipt", position=4),
            self.item(self.new_key(theirs, by=self.key, replaces="")[1], kind="key", position=5),
            self.item(self.checkpoint(1, "x", 1), kind="checkpoint", position=6),
        ]

    def receipt(self, document: bytes, organisation: str, code: str = "arrived", *, key: Any = None, **changes: Any) -> bytes:
        payload = {
            "format": "hiepdong.receipt/1",
            "dispatch": claims(document)["id"],
            "digest": digest(document),
            "organisation": organisation,
            "code": code,
            "at": instant(self.clock()),
            "reason": "",
        }
        return self.sign(payload | changes, signing.RECEIPT_TYPE, key or self.keys.get(organisation))

    def statement(self, owner: str, action: str, kid: str, *, by: signing.NewKey, **changes: Any) -> bytes:
        payload = {
            "format": links.KEY_FORMAT,
            "owner": owner,
            "node": self.id,
            "action": action,
            "kid": kid,
            "jwk": None,
            "valid_from": None,
            "valid_until": None,
            "replaces": "",
            "reason": "",
            "at": instant(self.clock()),
        }
        return self.sign(payload | changes, signing.KEY_TYPE, by)

    def new_key(self, owner: str, *, by: signing.NewKey, replaces: str) -> tuple[signing.NewKey, bytes]:
        """Return a fresh key and the statement that announces it; it signs nothing until it is put in `keys`."""
        fresh = signing.new_key(SECRET)
        more = {"jwk": self.public(fresh), "valid_from": instant(self.clock()), "replaces": replaces}
        return fresh, self.statement(owner, "add", fresh.kid, by=by, **more)

    def checkpoint(self, seal: int, text: str, entries: int, **changes: Any) -> bytes:
        payload = {
            "format": "hiepdong.checkpoint/1",
            "node": self.id,
            "seal": seal,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
            "entries": entries,
            "at": instant(self.clock()),
        }
        return self.sign(payload | changes, signing.CHECKPOINT_TYPE)

    # --- handing over --------------------------------------------------------------------------------------------------------

    def item(self, document: bytes, *, kind: str = "dispatch", position: int = 0, hops: Sequence[bytes] = ()) -> dict[str, Any]:
        """Return an item as it stands on the line, at the next position unless one is given."""
        if not position:
            self.position += 1
            position = self.position
        found: dict[str, Any] = {"position": position, "kind": kind, "document": document.decode()}
        return found | ({"hops": [h.decode() for h in hops]} if hops else {})

    def give(self, node: Node, *documents: bytes | Mapping[str, Any], kind: str = "dispatch") -> dict[str, Any]:
        """Push documents (or items) to the node in one request; returns the answer."""
        items = [d if isinstance(d, Mapping) else self.item(d, kind=kind) for d in documents]
        with node:
            read = [read_item(i) for i in json.loads(json.dumps(items))]
            return answering.take(peer_id=self.at(node).pk, items=read, way="memory", at=node.clock())

    def bundle(
        self, node: Node, path: Path, *items: Mapping[str, Any], files: Sequence[bytes] = (), echo: Any = None, **changes: Any
    ) -> Path:
        """Write a bundle of these items for the node.

        `echo`: own items of the node that it tells back (None: it tells nothing). `changes` are members of the statement,
        `told` those of its member `echo`.
        """
        with node:
            to, incarnation = str(links.this_node().node_id), links.this_node().incarnation
        told = {"incarnation": incarnation, "after": 0, "through": 9, "last": 9} | changes.pop("told", {})
        statement = {
            "format": bundle_file.FORMAT,
            "id": str(uuid.uuid4()),
            "from": self.id,
            "to": to,
            "incarnation": self.incarnation,
            "made_at": instant(self.clock()),
            "held_through": 0,
            "wanted": [],
            "part": 1,
            "parts": 1,
            "missing": [],
        } | ({} if echo is None else {"echo": told})
        sources = [(digest(f), lambda f=f: io.BytesIO(f)) for f in files]
        bundle_file.write_bundle(
            path,
            statement=statement | changes,
            items=items,
            files=sources,
            echo=echo or (),
            sign=lambda payload: self.sign(payload, signing.BUNDLE_TYPE),
        )
        return path

    def state_of(self, node: Node, *documents: bytes | Mapping[str, Any], kind: str = "dispatch") -> list[tuple[str, str]]:
        """Push, and return state and code of each."""
        return [(r["state"], r["code"]) for r in self.give(node, *documents, kind=kind)["results"]]

    def at(self, node: Node) -> Peer:
        with node:
            return Peer.objects.get(node_id=self.id)

    def incidents(self, node: Node) -> list[str]:
        """Return the codes of what was noted about us there, in order."""
        with node:
            rows = LinkIncident.objects.filter(peer__node_id=self.id).order_by("id")
            return list(rows.values_list("code", flat=True))

    def arrivals(self, node: Node) -> list[tuple[int, str, str]]:
        with node:
            rows = Arrival.objects.filter(peer__node_id=self.id).order_by("position")
            return list(rows.values_list("position", "state", "code"))

    def greeting(self, **changes: Any) -> dict[str, Any]:
        found = {
            "node": self.id,
            "incarnation": self.incarnation,
            "protocol": [1],
            "at": instant(self.clock()),
            "sent_through": self.position,
            "held_through": 0,
        }
        return found | changes

    def line(self, **answers: Any) -> "ToldLine":
        return ToldLine(self, **answers)


class ToldLine:
    """The far end of a node's own round: it answers as told, else as an honest node that holds all and gives nothing.

    An answer may be a list (one a call, the last one for ever), a function of what was asked, or an exception.
    """

    way = "memory"

    def __init__(self, peer: SimulatedNode, **answers: Any) -> None:
        self.peer, self.answers = peer, answers
        self.asked: list[tuple[str, Any]] = []
        self.held_of_theirs = 0

    def _say(self, name: str, asked: Any, else_: Any) -> Any:
        self.asked.append((name, asked))
        said = self.answers.get(name, else_)
        if isinstance(said, list) and name != "fetch":
            said = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(said, Exception):
            raise said
        return said(asked) if callable(said) else said

    def hello(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._say("hello", said, lambda _: self.peer.greeting(held_through=self.held_of_theirs))

    def push(self, items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        def take(items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
            self.held_of_theirs = max(i["position"] for i in items)
            return {"held_through": self.held_of_theirs, "results": [], "wanted": []}

        return self._say("push", items, take)

    def pull(self, *, after: int, limit: int) -> Mapping[str, Any]:
        return self._say("pull", after, {"items": [], "sent_through": self.peer.position, "wanted": []})

    def held(self, through: int) -> Mapping[str, Any]:
        return self._say("held", through, {"confirmed_through": through})

    def echo(self, *, after: int, limit: int) -> Mapping[str, Any]:
        return self._say("echo", after, {"items": [], "held_through": 0})

    def fetch(self, digest: str, *, start: int) -> Iterator[bytes]:
        return iter(self._say("fetch", (digest, start), []))

    def offered(self, digest: str) -> int:
        return self._say("offered", digest, 0)

    def put(self, digest: str, piece: bytes, *, start: int, size: int) -> int:
        return self._say("put", (digest, start, len(piece)), start + len(piece))
