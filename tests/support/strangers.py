"""Another node as its papers show it: an identity, organisations, keys, and items signed by them, without a second database."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from hiepdong.exchange import intake, links, signing
from hiepdong.exchange.domain.envelope import Content, Recipient, as_json, canonical, instant
from hiepdong.exchange.domain.links import Item
from hiepdong.exchange.models import Peer
from hiepdong.organisations.models import Organisation

SECRET = "the secret of a stranger, fifty characters long, no more"
NAME = "Nút địa phương"


class Stranger:
    """A node that speaks for some bodies: `Stranger({"t.huyen": "Huyện ủy Kỳ Sơn"}, at=…)`; the first one is its speaker."""

    def __init__(self, bodies: dict[str, str], *, at: datetime, name: str = NAME, address: str = "https://xa.example") -> None:
        self.bodies, self.name, self.address, self.at = bodies, name, address, at
        self.node_id = str(uuid.uuid4())
        self.key = signing.new_key(SECRET)
        self.keys = {b: signing.new_key(SECRET) for b in bodies}
        self.position = 0
        self.sequences: dict[tuple[str, str], tuple[int, str]] = {}

    def _sign(self, payload: dict[str, Any], key: Any, typ: str) -> bytes:
        return signing.sign(canonical(payload), kid=key.kid, private_encrypted=key.private_encrypted, secret=SECRET, typ=typ)

    def invitation(self) -> bytes:
        bodies = [
            {
                "key": key, "kind": "party_district", "name": name, "short_name": "", "notation": "HU", "place": "",
                "valid_from": "2010-01-01", "valid_until": None, "superior": "", "territory": [], "source": "thử",
                "verified": False,
            }
            for key, name in self.bodies.items()
        ]  # fmt: skip
        keys = [
            {"owner": b, "jwk": k.public_jwk, "valid_from": instant(self.at - timedelta(days=1)), "valid_until": None}
            for b, k in self.keys.items()
        ]
        payload = {
            "format": links.INVITATION_FORMAT,
            "node": {"id": self.node_id, "name": self.name, "jwk": self.key.public_jwk},
            "speaker": next(iter(self.bodies)),
            "address": self.address,
            "tls": [],
            "age": "",
            "protocol": [1],
            "organisations": bodies,
            "keys": keys,
            "made_at": instant(self.at),
            "expires_at": instant(self.at + timedelta(days=30)),
        }
        return self._sign(payload, self.key, signing.INVITATION_TYPE)

    def link(self) -> Peer:
        """Link this node with the stranger, the number compared."""
        peer = links.accept_invitation(document=self.invitation(), actor=None, at=self.at)
        number = links.number_with(self.key.kid, self.at)
        return links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=self.at)

    def paper(self, sender: str, to: list[str], subject: str = "Thông báo", *, skip: int = 0, **more: Any) -> bytes:
        """Return a signed notice; `skip` leaves out numbers of its sequences, as if papers before it were lost."""
        recipients = []
        for key in to:
            number, previous = self.sequences.get((sender, key), (0, ""))
            number += 1 + skip
            recipients.append(Recipient(key, "to", number, previous if not skip else "0" * 64))
        content = Content(
            id=str(uuid.uuid4()),
            kind="notice",
            sender=sender,
            subject=subject,
            recipients=tuple(recipients),
            sent_at=self.at,
            body={"text": "Nội dung."},
            year=self.at.year,
            number=sum(n for n, _ in self.sequences.values()) + 1 + skip,
            notation="Số 01-TB/HU",
            **more,
        )
        document = self._sign(as_json(content), self.keys[sender], signing.DISPATCH_TYPE)
        for r in recipients:
            self.sequences[sender, r.organisation] = r.sequence, signing.digest_of(document)
        return document

    def gives(self, peer: Peer, *documents: bytes, kind: str = "dispatch", at: datetime | None = None) -> intake.Taken:
        """Give documents to this node in the next positions, as over a line."""
        items = []
        for document in documents:
            self.position += 1
            items.append(Item(self.position, kind, document))
        return intake.take_in(peer_id=peer.pk, items=items, way="https", at=at or self.at)


def at_home(*bodies: Organisation, at: datetime, name: str = "Nút biên phòng") -> None:
    """Give this node its identity; the first body speaks for it."""
    links.found_node(name=name, speaker=bodies[0], at_home=bodies, actor=None, at=at)
