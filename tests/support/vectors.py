"""Signed documents and containers with fixed keys, good and bad, each with the answer that every verifier must give.

`python tests/support/vectors.py` writes tests/vectors/ anew: `index.json` names every vector, its files and its answer. A test
fails when the files there are not what this script makes. Keys come from fixed seeds: the same bytes every time, worth
nothing outside a test. docs/reference/protocol.md says what the answers are made of.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
NODE_A, NODE_B, NODE_C = (f"{c * 8}-{c * 4}-4{c * 3}-8{c * 3}-{c * 12}" for c in "abc")
STATION, COMMUNE, DISTRICT = "thu-nghiem.don-a", "thu-nghiem.xa-b", "thu-nghiem.huyen-c"
OWNERS = {  # name of the key: owner, node
    "node-a": ("", NODE_A),
    "node-b": ("", NODE_B),
    "node-c": ("", NODE_C),
    "station": (STATION, NODE_A),
    "station-expired": (STATION, NODE_A),
    "station-revoked": (STATION, NODE_A),
    "commune": (COMMUNE, NODE_B),
    "district": (DISTRICT, NODE_B),
}
FROM = "2020-01-01T00:00:00Z"
SENT = "2020-03-20T03:00:00Z"


# --- documents ----------------------------------------------------------------------------------------------------------


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha(data: bytes) -> str:
    """Return SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    """Return RFC 8785 for what stands here: ASCII member names, whole numbers."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def private(name: str) -> Ed25519PrivateKey:
    """Return the key of a name."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"hiepdong test vector {name}".encode()).digest())


def jwk(name: str) -> dict[str, str]:
    """Return the public half."""
    return {"crv": "Ed25519", "kty": "OKP", "x": b64(private(name).public_key().public_bytes_raw())}


def kid_of(key: dict[str, str]) -> str:
    """Return the thumbprint (RFC 7638)."""
    return b64(hashlib.sha256(canonical({k: key[k] for k in ("crv", "kty", "x")})).digest())


def kid(name: str) -> str:
    """Return the thumbprint of a name's key."""
    return kid_of(jwk(name))


def signed(payload: Any, by: str, *, typ: str = "", header: Any = None, raw: bytes | None = None) -> bytes:
    """Return a compact JWS; `typ` is the format's; `header` and `raw` (the payload's bytes) replace what would be right."""
    typ = typ or f"{payload['format'].split('/')[0]}+json"
    head = canonical({"alg": "Ed25519", "kid": kid(by), "typ": typ} if header is None else header)
    return signed_parts(head, canonical(payload) if raw is None else raw, by)


def signed_parts(header: bytes, payload: bytes, by: str) -> bytes:
    """Return a compact JWS over any bytes."""
    message = f"{b64(header)}.{b64(payload)}".encode()
    return message + b"." + b64(private(by).sign(message)).encode()


def several(payload: Any, by: Iterable[str], typ: str = "") -> dict[str, Any]:
    """Return a JWS in general JSON serialisation."""
    typ = typ or f"{payload['format'].split('/')[0]}+json"
    body, signatures = b64(canonical(payload)), []
    for name in by:
        head = b64(canonical({"alg": "Ed25519", "kid": kid(name), "typ": typ}))
        signatures.append({"protected": head, "signature": b64(private(name).sign(f"{head}.{body}".encode()))})
    return {"payload": body, "signatures": signatures}


def uuid(n: int) -> str:
    """Return a uuid with a number in it."""
    return f"00000000-0000-4000-8000-{n:012d}"


def dispatch(n: int = 1, previous: str = "", **more: Any) -> dict[str, Any]:
    """Return the payload of the n-th dispatch of the station to the commune."""
    found = {
        "format": "hiepdong.dispatch/1",
        "id": uuid(n),
        "kind": "notice",
        "sender": STATION,
        "signer": {"title": "Đồn trưởng"},
        "register": {"year": 2020, "number": n, "notation": f"Số: {n:02d}/TB-ĐBP"},
        "recipients": [{"organisation": COMMUNE, "role": "to", "sequence": n, "previous": previous}],
        "urgency": "ordinary",
        "subject": f"V/v thông báo tình hình số {n}",
        "sent_at": SENT,
        "event_at": None,
        "answers": [],
        "replaces": None,
        "withdraws": None,
        "reason": "",
        "body": {"text": "Không có tình hình đột xuất."},
        "attachments": [],
    }
    return found | more


def receipt(of: bytes, code: str = "arrived", *, n: int = 1, **more: Any) -> dict[str, Any]:
    """Return the payload of the commune's receipt for a dispatch."""
    found = {"format": "hiepdong.receipt/1", "dispatch": uuid(n), "digest": sha(of), "organisation": COMMUNE}
    return found | {"code": code, "at": "2020-03-20T03:00:05Z", "reason": ""} | more


def statement(action: str, name: str, **more: Any) -> dict[str, Any]:
    """Return the payload of a statement about a key of the station."""
    new = action == "add"
    return {
        "format": "hiepdong.key/1",
        "owner": STATION,
        "node": NODE_A,
        "action": action,
        "kid": kid(name),
        "jwk": jwk(name) if new else None,
        "valid_from": "2020-03-01T00:00:00Z" if new else None,
        "valid_until": None,
        "replaces": "",
        "reason": "",
        "at": "2020-03-01T00:00:00Z",
    } | more


def checkpoint(seal: int, digest: str, entries: int, **more: Any) -> dict[str, Any]:
    """Return the payload of a checkpoint of node A."""
    found = {"format": "hiepdong.checkpoint/1", "node": NODE_A, "seal": seal, "digest": digest, "entries": entries}
    return found | {"at": "2020-03-21T00:00:00Z"} | more


def witness(of: bytes, seal: int = 1, **more: Any) -> dict[str, Any]:
    """Return the payload of node B's witness of a checkpoint."""
    found = {"format": "hiepdong.witness/1", "node": NODE_B, "checkpoint": sha(of), "of": NODE_A, "seal": seal}
    return found | {"at": "2020-03-21T00:01:00Z"} | more


def hop(of: bytes, **more: Any) -> dict[str, Any]:
    """Return the payload of node C's hop."""
    return {"format": "hiepdong.hop/1", "node": NODE_C, "digest": sha(of), "at": "2020-03-20T04:00:00Z"} | more


def invitation(name: str = "node-a") -> dict[str, Any]:
    """Return the payload of an invitation of node A."""
    return {
        "format": "hiepdong.invitation/1",
        "node": {"id": NODE_A, "name": "Nút thử nghiệm A", "jwk": jwk(name)},
        "speaker": STATION,
        "address": "",
        "tls": [],
        "age": "",
        "protocol": [1],
        "organisations": [{"key": STATION, "kind": "border_station", "name": "Đồn thử nghiệm A"}],
        "keys": [{"owner": STATION, "jwk": jwk("station"), "valid_from": FROM, "valid_until": None}],
        "made_at": FROM,
        "expires_at": "2020-02-01T00:00:00Z",
    }


def key_row(name: str, **more: Any) -> dict[str, Any]:
    """Return a row of keys.json."""
    owner, node = OWNERS[name]
    return (
        {"owner": owner, "node": node, "jwk": jwk(name), "valid_from": FROM, "valid_until": None} | {"revoked_at": None} | more
    )


def keys_json(names: Iterable[str], **more: dict[str, Any]) -> dict[str, Any]:
    """Return a keys.json; `more` changes single rows, by the name with "_" for "-"."""
    rows = [key_row(n, **more.get(n.replace("-", "_"), {})) for n in names]
    nodes = [
        {"id": NODE_A, "name": "Nút thử nghiệm A", "speaker": STATION},
        {"id": NODE_B, "name": "Nút thử nghiệm B", "speaker": COMMUNE},
    ]
    return {"format": "hiepdong.keys/1", "nodes": nodes, "keys": rows}


# --- zip files, also those that no packer writes --------------------------------------------------------------------------


class Entry:
    """A file of a zip. What is not given is as it should be; `local` is the name in its own header, `before` hidden bytes."""

    def __init__(self, name: str, data: bytes = b"", **how: Any) -> None:
        self.name, self.data, self.how = name.encode(), data, how


def zip_of(entries: Iterable[Entry], *, comment: bytes = b"") -> bytes:
    """Return a zip, every file stored unless said otherwise; the same entries give the same bytes."""
    out, directory, count = bytearray(), bytearray(), 0
    for e in entries:
        packed, method = e.data, 0
        if e.how.get("deflate"):
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed, method = packer.compress(e.data) + packer.flush(), 8
        out += e.how.get("before", b"")
        crc = zlib.crc32(e.data) ^ e.how.get("crc", 0)
        same = struct.pack("<HHHHHLLL", 20, e.how.get("flags", 0), method, 0, 33, crc, len(packed), len(e.data))
        local = e.how.get("local", e.name.decode()).encode()
        start = len(out)
        out += b"PK\x03\x04" + same + struct.pack("<HH", len(local), 0) + local + packed
        mode = e.how.get("mode", 0o100644) << 16
        directory += b"PK\x01\x02" + struct.pack("<H", 0x0314) + same
        directory += struct.pack("<HHHHHLL", len(e.name), 0, 0, 0, 0, mode, start) + e.name
        count += 1
    end = struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), len(out), len(comment))
    return bytes(out + directory + b"PK\x05\x06" + end + comment)


TOP = "goi-thu"


def bag(
    items: list[dict[str, Any]],
    files: Iterable[bytes] = (),
    *,
    by: str = "node-a",
    head: dict[str, Any] | None = None,
    change: dict[str, bytes] | None = None,
    drop: Iterable[str] = (),
    unlisted: dict[str, bytes] | None = None,
    manifest: str = "",
    oxum: str = "",
    lines: bytes | None = None,
    echo: list[dict[str, Any]] | None = None,
) -> list[Entry]:
    """Return the entries of a bundle from node A to node B. `change`, `drop`, `unlisted` act after the lists were made."""
    body = lines if lines is not None else b"".join(canonical(i) + b"\n" for i in items)
    data = {"data/items/00001.jsonl": body} if body else {}
    data |= {f"data/files/{sha(f)}": f for f in files}
    data |= {"data/echo/00001.jsonl": b"".join(canonical(i) + b"\n" for i in echo)} if echo else {}
    payload = {
        "format": "hiepdong.bundle/1",
        "id": uuid(900),
        "from": NODE_A,
        "to": NODE_B,
        "incarnation": "1",
        "made_at": "2020-03-20T05:00:00Z",
        "first": items[0]["position"] if items else 0,
        "last": items[-1]["position"] if items else 0,
        "items": len(items),
        "held_through": 0,
        "payload": {name: sha(d) for name, d in data.items()},
        "wanted": [],
        "part": 1,
        "parts": 1,
        "missing": [],
    }
    data["data/bundle.jws"] = signed(payload | (head or {}), by)
    octets = sum(map(len, data.values()))
    tags = {
        "bag-info.txt": f"Bagging-Date: 2020-03-20\nPayload-Oxum: {oxum or f'{octets}.{len(data)}'}\n".encode(),
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "manifest-sha256.txt": ("".join(f"{sha(d)}  {n}\n" for n, d in sorted(data.items())) + manifest).encode(),
    }
    tags["tagmanifest-sha256.txt"] = "".join(f"{sha(d)}  {n}\n" for n, d in sorted(tags.items())).encode()
    whole = data | tags | (unlisted or {}) | (change or {})
    return [Entry(f"{TOP}/{n}", d) for n, d in whole.items() if n not in set(drop)]


def item(position: int, document: bytes, *hops: bytes) -> dict[str, Any]:
    """Return an item; its kind is the document's."""
    head = json.loads(base64.urlsafe_b64decode(document.split(b".")[0] + b"=="))
    found = {"position": position, "kind": head["typ"].split(".")[1].split("+")[0], "document": document.decode()}
    return found | ({"hops": [h.decode() for h in hops]} if hops else {})


def evidence(
    files: dict[str, bytes],
    complete: Iterable[tuple[str, str, int, int]] = (),
    *,
    keys: dict[str, Any] | None = None,
    change: dict[str, bytes] | None = None,
    drop: Iterable[str] = (),
    unlisted: dict[str, bytes] | None = None,
) -> list[Entry]:
    """Return the entries of an evidence folder; `change`, `drop` and `unlisted` act after the manifest was made."""
    claims = [dict(zip(("sender", "recipient", "first", "last"), c, strict=True)) for c in complete]
    about = {"format": "hiepdong.evidence/1", "about": "Vụ việc thử nghiệm", "made_at": "2020-04-01T00:00:00Z"}
    whole = files | {
        "README.txt": "Thư mục thử nghiệm.\n".encode(),
        "folder.json": canonical(about | {"made_by": NODE_A, "complete": claims}),
        "keys.json": canonical(keys if keys is not None else KEYS),
    }
    whole["manifest-sha256.txt"] = "".join(f"{sha(d)}  {n}\n" for n, d in sorted(whole.items())).encode()
    whole |= (unlisted or {}) | (change or {})
    return [Entry(f"ho-so/{n}", d) for n, d in whole.items() if n not in set(drop)]


# --- the vectors ------------------------------------------------------------------------------------------------------------

KEYS = keys_json(
    OWNERS,
    station_expired={"valid_until": "2020-02-01T00:00:00Z"},
    station_revoked={"revoked_at": "2020-03-25T00:00:00Z"},
)


class Vectors:
    """Collects vectors and their files."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"keys.json": _pretty(KEYS)}
        self.index: list[dict[str, Any]] = []

    def add(
        self, name: str, verdict: str, why: str, *parts: tuple[str, bytes], signing: bool | None = None, **options: str
    ) -> None:
        """Note a vector: its answer, the code of `hiepdong-verify` that must be among its reasons, its files.

        `signing` says whether the form and signature of its one compact document are good, for those who check only these.
        """
        named = [f"{name}{ending}" if ending.startswith(".") else f"{name}.{ending}" for ending, _ in parts]
        self.files |= dict(zip(named, (data for _, data in parts), strict=True))
        found: dict[str, Any] = {"name": name, "verdict": verdict, "why": why, "files": named}
        if signing is not None:
            found["signing"] = signing
        self.index.append(found | ({"options": options} if options else {}))

    def one(self, name: str, verdict: str, why: str, document: bytes, *, signing: bool, **options: str) -> None:
        """Note a vector of one compact document."""
        self.add(name, verdict, why, (".jws", document), signing=signing, **options)

    def zip(self, name: str, verdict: str, why: str, entries: Iterable[Entry], **options: str) -> None:
        """Note a vector of one zip."""
        self.add(name, verdict, why, (".zip", zip_of(entries)), **options)


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def make() -> Vectors:
    """Return all vectors."""
    v = Vectors()
    d1 = signed(dispatch(), "station")
    d2 = signed(dispatch(2, sha(d1)), "station")
    d3 = signed(dispatch(3, sha(d2)), "station")
    r1 = signed(receipt(d1), "commune")
    a1 = signed(receipt(d1, "acknowledged", at="2020-03-20T04:00:00Z"), "commune")
    _compact(v, d1)
    _receipts(v, d1, r1, a1)
    _chains(v, d1, d2, d3)
    _keys(v, d1)
    _several(v, d1, d2)
    _journal(v, d1)
    _bundles(v, d1, d2, r1)
    _folders(v, d1, d2, d3, r1)
    return v


def _flipped(document: bytes) -> bytes:
    """Return the document with another character in its signature."""
    return document[:-40] + (b"A" if document[-40:-39] != b"A" else b"B") + document[-39:]


def _compact(v: Vectors, d1: bytes) -> None:
    head, body, tail = d1.decode().split(".")
    v.one("dispatch-good", "good", "signature_good", d1, signing=True)
    v.one(
        "dispatch-unknown-member", "good", "signature_good", signed(dispatch(later={"a": [1.5, None]}), "station"), signing=True
    )
    text = 'Chữ có dấu "trích" \\ / \u2028 \U0001f6a9'
    v.one("dispatch-text", "good", "signature_good", signed(dispatch(subject=text), "station"), signing=True)
    v.one(
        "dispatch-signature-changed",
        "false",
        "signature_false",
        _flipped(d1),
        signing=False,
    )
    changed = b64(canonical(dispatch(subject="V/v việc khác")))
    v.one("dispatch-payload-changed", "false", "signature_false", f"{head}.{changed}.{tail}".encode(), signing=False)
    wrong = b64(canonical({"alg": "Ed25519", "kid": kid("commune"), "typ": "hiepdong.dispatch+json"}))
    v.one("dispatch-kid-of-another", "false", "signature_false", f"{wrong}.{body}.{tail}".encode(), signing=False)
    v.one("dispatch-kid-unknown", "missing", "key_unknown", signed(dispatch(), "nobody"), signing=True)
    v.one("dispatch-by-another", "false", "key_owner", signed(dispatch(), "commune"), signing=True)
    head_is = {"alg": "Ed25519", "kid": kid("station"), "typ": "hiepdong.dispatch+json"}
    none = b64(canonical(head_is | {"alg": "none"}))
    v.one("alg-none", "false", "alg", f"{none}.{body}.".encode(), signing=False)
    v.one("alg-eddsa", "false", "alg", signed(dispatch(), "station", header=head_is | {"alg": "EdDSA"}), signing=False)
    hs = f"{b64(canonical(head_is | {'alg': 'HS256'}))}.{body}"
    mac = hmac.new(private("station").public_key().public_bytes_raw(), hs.encode(), "sha256").digest()
    v.one("alg-hs256", "false", "alg", f"{hs}.{b64(mac)}".encode(), signing=False)
    for name, more in (("cty", {"cty": "JWT"}), ("jwk", {"jwk": jwk("station")}), ("crit", {"crit": ["b64"], "b64": False})):
        v.one(f"header-{name}", "false", "header_members", signed(dispatch(), "station", header=head_is | more), signing=False)
    less = {k: head_is[k] for k in ("alg", "kid")}
    v.one("header-without-typ", "false", "header_members", signed(dispatch(), "station", header=less), signing=False)
    twice = b'{"alg":"Ed25519","kid":"x","kid":"' + kid("station").encode() + b'","typ":"hiepdong.dispatch+json"}'
    v.one("header-member-twice", "false", "json_twice", signed_parts(twice, canonical(dispatch()), "station"), signing=False)
    v.one("base64-padded", "false", "base64", f"{head}.{body}.{tail}==".encode(), signing=False)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(tail[-1]) ^ 1]
    v.one("base64-last-character", "false", "base64", f"{head}.{body}.{tail[:-1]}{last}".encode(), signing=False)
    v.one("line-break-behind", "false", "not_signed_document", d1 + b"\n", signing=False)
    v.one("four-parts", "false", "not_signed_document", d1 + b".AAAA", signing=False)
    raw = canonical(dispatch())
    twice = raw[:-1] + b',"sender":"' + COMMUNE.encode() + b'"}'
    v.one("payload-member-twice", "false", "json_twice", signed(dispatch(), "station", raw=twice), signing=False)
    twice = raw[:-1] + b',"\\u0073ender":"' + COMMUNE.encode() + b'"}'
    v.one("payload-member-twice-escaped", "false", "json_twice", signed(dispatch(), "station", raw=twice), signing=False)
    twice = raw.replace(b'"body":{', b'"body":{"text":"",')
    v.one("payload-member-twice-inside", "false", "json_twice", signed(dispatch(), "station", raw=twice), signing=False)
    nan = raw.replace(b'"body":{', b'"body":{"n":NaN,')
    v.one("payload-nan", "false", "json", signed(dispatch(), "station", raw=nan), signing=False)
    v.one("payload-not-utf-8", "false", "json", signed(dispatch(), "station", raw=raw[:-2] + b'\xff"}'), signing=False)
    v.one("payload-byte-order-mark", "false", "json", signed(dispatch(), "station", raw=b"\xef\xbb\xbf" + raw), signing=False)
    v.one("payload-utf-16", "false", "json", signed(dispatch(), "station", raw=raw.decode().encode("utf-16")), signing=False)
    v.one("payload-too-deep", "false", "json", signed(dispatch(body={"a": _nested(200)}), "station"), signing=True)
    v.one("payload-a-list", "false", "json_object", signed(dispatch(), "station", raw=b"[]"), signing=False)
    as_receipt = signed(dispatch(), "station", typ="hiepdong.receipt+json")
    v.one("typ-of-another-format", "false", "typ_format", as_receipt, signing=True)
    v.one("typ-unknown", "false", "typ", signed(dispatch(), "station", typ="JWT"), signing=True)
    v.one("typ-newer", "missing", "newer_format", signed(dispatch(), "station", typ="hiepdong.poem+json"), signing=True)
    v.one("format-newer", "missing", "newer_format", signed(dispatch(format="hiepdong.dispatch/2"), "station"), signing=True)
    _shapes(v)
    small = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # the neutral point: R = sB fits every content
    key = {"crv": "Ed25519", "kty": "OKP", "x": small}
    rows = keys_json(["commune"])
    rows["keys"].append(key_row("station") | {"jwk": key})
    v.files["small-order-keys.json"] = _pretty(rows)
    empty = {"alg": "Ed25519", "kid": kid_of(key), "typ": "hiepdong.dispatch+json"}
    message = f"{b64(canonical(empty))}.{body}"
    forged = f"{message}.{b64(b'\x01' + bytes(63))}".encode()
    v.add("small-order-key", "refused", "keys_wrong", (".jws", forged), keys="small-order-keys.json")


def _nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


def _shapes(v: Vectors) -> None:
    one = dispatch()["recipients"][0]
    shapes: dict[str, dict[str, Any]] = {
        "moment-impossible": {"sent_at": "2021-02-29T00:00:00Z"},
        "moment-with-offset": {"sent_at": "2020-03-20T10:00:00+07:00"},
        "sequence-broken": {"recipients": [one | {"sequence": 1.5}]},
        "sequence-zero": {"recipients": [one | {"sequence": 0}]},
        "sequence-true": {"recipients": [one | {"sequence": True}]},
        "recipient-twice": {"recipients": [one, one]},
        "recipient-the-sender": {"recipients": [one | {"organisation": STATION}]},
        "recipient-only-copy": {"recipients": [one | {"role": "copy"}]},
        "kind-unknown": {"kind": "order"},
        "withdrawal-without-reason": {"kind": "withdrawal", "withdraws": uuid(7), "reason": " "},
        "digest-upper-case": {"recipients": [one | {"sequence": 2, "previous": "A" * 64}]},
        "id-no-uuid": {"id": "1"},
    }
    for name, more in shapes.items():
        v.one(name, "false", "shape", signed(dispatch(**more), "station"), signing=True)
    less = dispatch()
    del less["answers"]
    v.one("member-missing", "false", "shape", signed(less, "station"), signing=True)


def _receipts(v: Vectors, d1: bytes, r1: bytes, a1: bytes) -> None:
    back = signed(receipt(d1, "returned", reason="Sai nơi nhận.", at="2020-03-20T05:00:00Z"), "commune")
    v.one("receipt-good", "good", "signature_good", r1, signing=True)
    v.add("receipts-good", "good", "receipts_fit", (".jws", d1), ("arrived.jws", r1), ("acknowledged.jws", a1))
    v.add(
        "receipt-for-other-bytes",
        "false",
        "receipt_other_bytes",
        (".jws", signed(dispatch(subject="V/v khác"), "station")),
        ("arrived.jws", r1),
    )
    v.add(
        "receipt-for-other-id", "false", "receipt_other_id", (".jws", d1), ("arrived.jws", signed(receipt(d1, n=2), "commune"))
    )
    of_district = signed(receipt(d1, organisation=DISTRICT), "district")
    v.add("receipt-of-no-recipient", "false", "wrong_recipient", (".jws", d1), ("arrived.jws", of_district))
    v.one("receipt-by-another", "false", "key_owner", signed(receipt(d1), "station"), signing=True)
    v.one("receipt-code-unknown", "false", "shape", signed(receipt(d1, "lost"), "commune"), signing=True)
    v.one("receipt-returned-without-reason", "false", "shape", signed(receipt(d1, "returned"), "commune"), signing=True)
    v.add(
        "receipt-contradiction", "false", "receipt_contradiction", (".jws", d1), ("1.jws", r1), ("2.jws", a1), ("3.jws", back)
    )
    other = signed(receipt(d1, at="2020-03-20T03:00:06Z"), "commune")
    v.add("receipt-twice", "false", "receipt_twice", (".jws", d1), ("1.jws", r1), ("2.jws", other))
    v.add("receipt-same-twice", "good", "receipts_fit", (".jws", d1), ("1.jws", r1), ("2.jws", r1))


def _chains(v: Vectors, d1: bytes, d2: bytes, d3: bytes) -> None:
    v.add("chain-good", "good", "chain_good", ("1.jws", d1), ("2.jws", d2), ("3.jws", d3))
    v.add("chain-gap", "good", "chain_gap", ("1.jws", d1), ("3.jws", d3))
    broken = signed(dispatch(2, sha(d3)), "station")
    v.add("chain-broken", "false", "chain_broken", ("1.jws", d1), ("2.jws", broken))
    fork = signed(dispatch(2, sha(d1), id=uuid(22)), "station")
    v.add("chain-fork", "false", "fork", ("1.jws", d1), ("2.jws", d2), ("2b.jws", fork))
    same = signed(dispatch(2, sha(d1), id=uuid(1)), "station")
    v.add("same-id", "false", "same_id", ("1.jws", d1), ("2.jws", same))
    v.one("first-with-previous", "false", "previous_empty", signed(dispatch(1, sha(d1)), "station"), signing=True)
    v.one("second-without-previous", "false", "previous_empty", signed(dispatch(2), "station"), signing=True)
    back = {"sender": COMMUNE, "recipients": [{"organisation": STATION, "role": "to", "sequence": 1, "previous": ""}]}
    theirs = dispatch(1, id=uuid(50), kind="withdrawal", withdraws=uuid(1), reason="Nhầm.", **back)
    v.add("withdraws-of-another", "false", "other_sender", ("1.jws", d1), ("2.jws", signed(theirs, "commune")))
    ours = dispatch(2, sha(d1), kind="withdrawal", withdraws=uuid(1), reason="Nhầm số liệu.")
    v.add("withdrawal-good", "good", "chain_good", ("1.jws", d1), ("2.jws", signed(ours, "station")))
    paper = b"%PDF-1.7 thu nghiem\n"
    named = {"name": "bao-cao.pdf", "digest": sha(paper), "size": len(paper), "media_type": "application/pdf"}
    with_paper = signed(dispatch(attachments=[named]), "station")
    v.add("attachment-good", "good", "attachment_good", (".jws", with_paper), (".pdf", paper))
    v.add("attachment-changed", "missing", "file_of_nobody", (".jws", with_paper), (".pdf", paper + b"\n"))
    longer = signed(dispatch(attachments=[named | {"size": 3}]), "station")
    v.add("attachment-size", "false", "attachment_size", (".jws", longer), (".pdf", paper))
    v.add("hop-good", "good", "signature_good", (".jws", d1), ("hop.jws", signed(hop(d1), "node-c")))
    v.one("hop-by-another-node", "false", "key_owner", signed(hop(d1), "node-b"), signing=True)


def _keys(v: Vectors, d1: bytes) -> None:
    v.one("key-expired", "false", "key_expired", signed(dispatch(), "station-expired"), signing=True)
    v.one("key-not-yet-valid", "false", "key_early", signed(dispatch(sent_at="2019-12-31T23:59:59Z"), "station"), signing=True)
    old = signed(dispatch(sent_at="2020-01-20T03:00:00Z"), "station-expired")
    v.one("key-expired-later", "good", "signature_good", old, signing=True)
    by_revoked = signed(dispatch(), "station-revoked")
    v.one("key-revoked", "false", "key_revoked", by_revoked, signing=True)
    seen = signed(receipt(by_revoked), "commune")
    v.add("key-revoked-but-received-before", "good", "revoked_but_witnessed", (".jws", by_revoked), ("arrived.jws", seen))
    late = signed(receipt(by_revoked, at="2020-03-25T00:00:00Z"), "commune")
    v.add("key-revoked-received-after", "false", "key_revoked", (".jws", by_revoked), ("arrived.jws", late))
    carried = signed(hop(by_revoked), "node-c")
    v.add("key-revoked-but-carried-before", "good", "revoked_but_witnessed", (".jws", by_revoked), ("hop.jws", carried))
    revoke = signed(statement("revoke", "station", reason="Mất máy.", at="2020-03-18T00:00:00Z"), "node-a")
    v.add("revocation-by-the-node", "false", "key_revoked", (".jws", d1), ("key.jws", revoke))
    by_other = signed(statement("revoke", "station", at="2020-03-18T00:00:00Z"), "commune")
    v.one("revocation-by-another", "false", "key_statement_signer", by_other, signing=True)
    by_node_b = signed(statement("revoke", "station", at="2020-03-18T00:00:00Z"), "node-b")
    v.one("revocation-by-another-node", "false", "key_statement_signer", by_node_b, signing=True)
    usurped = signed(statement("revoke", "station", node=NODE_B, at="2020-03-18T00:00:00Z"), "node-b")
    v.one("revocation-of-a-key-of-another-node", "false", "owner_of_another_node", usurped, signing=True)
    new = signed(statement("add", "station-new", replaces=kid("station")), "station")
    by_new = signed(dispatch(), "station-new")
    v.add("rotation-good", "good", "key_added", (".jws", by_new), ("key.jws", new))
    v.add("rotation-ends-the-old-key", "false", "key_expired", (".jws", d1), ("key.jws", new))
    stolen = signed(statement("add", "station-new", replaces=kid("station-revoked")), "station-revoked")
    v.add("rotation-by-a-revoked-key", "false", "key_of_refused", (".jws", by_new), ("key.jws", stolen))
    carried = signed(hop(stolen, at="2020-03-02T00:00:00Z"), "node-c")
    v.add(
        "rotation-carried-before-revocation", "good", "key_added", (".jws", by_new), ("key.jws", stolen), ("hop.jws", carried)
    )
    alone = signed(statement("add", "station-new"), "station")
    v.one("rotation-without-continuity", "false", "key_statement_signer", alone, signing=True)
    recovered = signed(statement("add", "station-new", replaces=kid("station")), "node-a")
    v.add("rotation-by-the-node", "missing", "key_recovery", (".jws", by_new), ("key.jws", recovered))
    own = statement("add", "node-z", owner="", replaces=kid("node-a"))
    by_new_node = signed(hop(d1, node=NODE_A), "node-z")
    v.add(
        "node-rotation-good", "good", "key_added",
        (".jws", d1), ("key.jws", signed(own, "node-a")), ("hop.jws", by_new_node),
    )  # fmt: skip
    v.add(
        "node-rotation-ends-the-old-key", "false", "key_expired",
        (".jws", d1), ("key.jws", signed(own, "node-a")), ("hop.jws", signed(hop(d1, node=NODE_A), "node-a")),
    )  # fmt: skip
    v.add(
        "node-recovery-not-compared", "missing", "key_unknown",
        (".jws", d1), ("key.jws", signed(own, "node-z")), ("hop.jws", by_new_node),
    )  # fmt: skip
    taken = signed(statement("add", "commune", replaces=kid("station")), "station")
    v.one("rotation-to-a-key-of-another", "false", "key_two_owners", taken, signing=True)
    misnamed = signed(statement("add", "station-new", kid=kid("nobody"), replaces=kid("station")), "station")
    v.one("rotation-misnamed", "false", "key_kid", misnamed, signing=True)
    v.one("invitation-good", "good", "signature_good", signed(invitation(), "node-a"), signing=True)
    more = invitation()
    more["keys"].append(more["keys"][0] | {"jwk": jwk("station-new")})
    v.add("invitation-with-a-new-key", "missing", "key_recovery", (".jws", signed(more, "node-a")), ("2.jws", by_new))
    theirs = invitation("node-b") | {"node": {"id": NODE_B, "name": "Nút thử nghiệm B", "jwk": jwk("node-b")}}
    usurped = signed(theirs | {"keys": [more["keys"][1]]}, "node-b")
    v.one("invitation-takes-an-organisation", "false", "owner_of_another_node", usurped, signing=True)
    v.one("invitation-by-another-key", "false", "key_kid", signed(invitation(), "node-b"), signing=True)
    v.one("invitation-of-a-stranger", "good", "keys_of_others", signed(invitation("node-z"), "node-z"), signing=True)
    v.add("without-keys", "missing", "key_unknown", (".jws", d1), keys="")
    v.add(
        "without-keys-but-invitation",
        "good",
        "signature_good",
        (".jws", d1),
        ("invitation.jws", signed(invitation(), "node-a")),
        keys="",
    )
    directory = {"directory": {"organisations": [], "keys": []}}
    row = {"owner": "thu-nghiem.tram-d", "jwk": jwk("post"), "valid_from": FROM, "valid_until": None}
    directory["directory"]["keys"] = [row]
    told = signed(dispatch(kind="directory", body=directory), "station")
    theirs = dispatch(1, id=uuid(60), sender="thu-nghiem.tram-d")
    v.add("directory-names-a-key", "good", "signature_good", (".jws", told), ("2.jws", signed(theirs, "post")))
    directory["directory"]["keys"] = [row | {"owner": STATION}]
    told = signed(dispatch(kind="directory", body=directory), "station")
    v.add(
        "directory-replaces-a-key", "missing", "key_recovery", (".jws", told), ("2.jws", signed(dispatch(2, sha(told)), "post"))
    )


def _several(v: Vectors, d1: bytes, d2: bytes) -> None:
    toml = b'format = "hiepdong.regulation/1"\n'
    rules = {"format": "hiepdong.regulation/1", "key": "thu-nghiem.qcph", "version": 1, "digest": sha(toml)}
    rules |= {"parties": sorted([STATION, COMMUNE])}
    whole = several(rules, ["station", "commune"])
    v.add("regulation-good", "good", "signature_good", (".json", _pretty(whole)), (".toml", toml))
    v.add(
        "regulation-one-signature", "missing", "party_missing", (".json", _pretty(several(rules, ["station"]))), (".toml", toml)
    )
    third = several(rules, ["station", "commune", "district"])
    v.add("regulation-third-party", "false", "not_a_party", (".json", _pretty(third)), (".toml", toml))
    swapped = {
        "payload": whole["payload"],
        "signatures": [whole["signatures"][0], whole["signatures"][1] | {"signature": whole["signatures"][0]["signature"]}],
    }
    v.add("regulation-bad-signature", "false", "signature_false", (".json", _pretty(swapped)), (".toml", toml))
    v.add("regulation-same-key-twice", "false", "multi_headers", (".json", _pretty(several(rules, ["station", "station"]))))
    loose = {"payload": whole["payload"], "signatures": [s | {"header": {"kid": "x"}} for s in whole["signatures"]]}
    v.add("regulation-unprotected-header", "false", "multi_members", (".json", _pretty(loose)))
    raw = _pretty(whole).replace(b'"payload"', b'"payload": "e30",\n "payload"', 1)
    v.add("regulation-payload-twice", "false", "json_twice", (".json", raw))
    unsorted = several(
        rules | {"parties": [COMMUNE, STATION] if COMMUNE > STATION else [STATION, COMMUNE]}, ["station", "commune"]
    )
    v.add("regulation-parties-not-sorted", "false", "shape", (".json", _pretty(unsorted)))
    v.one("regulation-compact", "false", "multi_type", signed(rules, "station"), signing=True)
    v.add("dispatch-several", "false", "multi_type", (".json", _pretty(several(dispatch(), ["station"]))))
    sent = {"from": STATION, "to": COMMUNE, "first": 1, "last": 3, "missing": [3]}
    lines = [{"sequence": n, "digest": sha(d), "arrived": None, "verdict": ""} for n, d in ((1, d1), (2, d2))]
    month = {"format": "hiepdong.account/1", "month": "2020-03", "a": STATION, "b": COMMUNE, "made_by": STATION}
    month |= {"sent": [sent | {"dispatches": lines}], "at": "2020-04-02T00:00:00Z"}
    both = ["station", "commune"]
    v.add("account-good", "good", "signature_good", (".json", _pretty(several(month, both))), ("1.jws", d1), ("2.jws", d2))
    v.add(
        "account-one-signature",
        "good",
        "party_missing",
        (".json", _pretty(several(month, both[:1]))),
        ("1.jws", d1),
        ("2.jws", d2),
    )
    other = signed(dispatch(2, sha(d1), subject="V/v khác"), "station")
    v.add(
        "account-differs", "false", "account_differs", (".json", _pretty(several(month, both))), ("1.jws", d1), ("2.jws", other)
    )
    wrong = month | {"sent": [sent | {"dispatches": lines, "missing": [2]}]}
    v.add("account-number-twice", "false", "shape", (".json", _pretty(several(wrong, both))))


def seal(n: int, before: str, entries: Iterable[bytes]) -> bytes:
    """Return the lines of a seal."""
    return ("\n".join(["hiepdong.seal/1", str(n), before, *(sha(e) for e in entries)]) + "\n").encode()


def _journal(v: Vectors, d1: bytes) -> None:
    c1 = signed(checkpoint(1, "1" * 64, 5), "node-a")
    c2 = signed(checkpoint(2, "2" * 64, 9), "node-a")
    w1 = signed(witness(c1), "node-b")
    v.add("checkpoint-witnessed", "good", "witnessed", (".jws", c1), ("witness.jws", w1))
    v.add("checkpoints-good", "good", "signature_good", ("1.jws", c1), ("2.jws", c2))
    v.add("checkpoint-fork", "false", "checkpoint_fork", ("1.jws", c1), ("2.jws", signed(checkpoint(1, "3" * 64, 5), "node-a")))
    v.add(
        "checkpoint-shrinks", "false", "checkpoint_back", ("1.jws", c1), ("2.jws", signed(checkpoint(2, "2" * 64, 4), "node-a"))
    )
    v.one("checkpoint-by-another-node", "false", "key_owner", signed(checkpoint(1, "1" * 64, 5), "node-b"), signing=True)
    v.add("witness-of-another-seal", "false", "witness_other", (".jws", c1), ("witness.jws", signed(witness(c1, 2), "node-b")))
    self_seen = signed(witness(c1, node=NODE_A), "node-a")
    v.add("witness-of-itself", "false", "witness_self", (".jws", c1), ("witness.jws", self_seen))


def _bundles(v: Vectors, d1: bytes, d2: bytes, r1: bytes) -> None:
    paper = b"ban do khu vuc bien gioi thu nghiem\n"
    named = {"name": "ban-do.txt", "digest": sha(paper), "size": len(paper), "media_type": "text/plain"}
    d2 = signed(dispatch(2, sha(d1), attachments=[named]), "station")
    items = [item(18, d1), item(19, d2, signed(hop(d2), "node-c")), item(20, r1)]
    good = bag(items, [paper])
    v.zip("bundle-good", "good", "bundle_good", good, node=NODE_B)
    told = {"incarnation": "2", "after": 3, "through": 9, "last": 9, "items": 2}
    own = [item(4, r1), item(7, r1)]
    v.zip("bundle-echo-good", "good", "bundle_good", bag(items, [paper], echo=own, head={"echo": told}), node=NODE_B)
    v.zip("bundle-echo-of-nothing", "good", "bundle_good", bag([], head={"echo": told | {"through": 3, "last": 2, "items": 0}}))
    v.zip("bundle-echo-asked", "good", "bundle_good", bag([], head={"echo_after": 3}))
    v.zip("bundle-echo-asked-nowhere", "false", "shape", bag([], head={"echo_after": "3"}))
    v.zip("bundle-echo-not-named", "false", "shape", bag(items, [paper], echo=own))
    v.zip("bundle-echo-member-missing", "false", "shape", bag([], head={"echo": {"after": 0, "through": 0, "items": 0}}))
    v.zip("bundle-echo-through", "false", "shape", bag([], echo=own, head={"echo": told | {"through": 10}}))
    v.zip("bundle-echo-count", "false", "item_count", bag([], echo=own, head={"echo": told | {"items": 3}}))
    v.zip("bundle-echo-range", "false", "item_order", bag([], echo=own, head={"echo": told | {"after": 4}}))
    v.zip("bundle-echo-order", "false", "item_order", bag([], echo=own[::-1], head={"echo": told}))
    v.zip("bundle-empty", "good", "bundle_good", bag([]), node=NODE_B)
    v.zip(
        "bundle-folder-entries",
        "good",
        "bundle_good",
        [Entry(f"{TOP}/", mode=0o040755), Entry(f"{TOP}/data/", mode=0o040755), *good],
    )
    v.add(
        "bundle-deflated", "good", "bundle_good", (".zip", zip_of(Entry(e.name.decode(), e.data, deflate=True) for e in good))
    )
    v.zip("bundle-wrong-node", "false", "wrong_node", good, node=NODE_C)
    v.zip("bundle-signed-by-another", "false", "key_owner", bag(items, by="node-b"))
    v.zip("bundle-of-a-stranger", "missing", "key_unknown", bag(items, by="node-z"))
    v.zip("bundle-traversal", "false", "name_unsafe", [*good, Entry(f"{TOP}/../x.txt", b"x")])
    v.zip("bundle-absolute", "false", "name_unsafe", [*good, Entry("/etc/x.txt", b"x")])
    v.zip("bundle-backslash", "false", "name_unsafe", [*good, Entry(f"{TOP}\\..\\x.txt", b"x")])
    v.zip("bundle-drive", "false", "name_unsafe", [*good, Entry("C:/x.txt", b"x")])
    v.zip("bundle-control-character", "false", "name_unsafe", [*good, Entry(f"{TOP}/data/a\tb", b"x")])
    v.zip("bundle-name-twice", "false", "name_twice", [*good, good[0]])
    v.zip("bundle-symlink", "false", "link", [*good, Entry(f"{TOP}/data/files/{'0' * 64}", b"/etc/passwd", mode=0o120777)])
    v.zip("bundle-extra-file", "false", "file_extra", bag(items, [paper], unlisted={"data/x.txt": b"x"}))
    v.zip("bundle-extra-attachment", "false", "file_extra", bag(items, [paper], unlisted={f"data/files/{sha(b'x')}": b"x"}))
    v.zip("bundle-two-tops", "false", "one_folder", [*good, Entry("khac/x.txt", b"x")])
    v.zip("bundle-missing-file", "false", "file_missing", bag(items, [paper], drop=["data/items/00001.jsonl"]))
    v.zip("bundle-without-statement", "false", "file_missing", bag(items, [paper], drop=["data/bundle.jws"]))
    v.zip(
        "bundle-changed-file", "false", "file_digest", bag(items, [paper], change={f"data/files/{sha(paper)}": paper.upper()})
    )
    v.zip("bundle-two-hashes", "false", "two_hashes", bag(items, [paper], manifest=f"{'0' * 64}  data/bundle.jws\n"))
    v.zip("bundle-two-manifests", "false", "two_hashes", bag(items, [paper], unlisted={"manifest-md5.txt": b""}))
    v.zip("bundle-wrong-oxum", "false", "bag", bag(items, [paper], oxum="1.1"))
    v.zip("bundle-list-differs", "false", "payload_differs", bag(items, [paper], head={"payload": {}}))
    v.zip("bundle-item-count", "false", "item_count", bag(items, [paper], head={"items": 2}))
    v.zip("bundle-item-range", "false", "item_order", bag(items, [paper], head={"last": 21}))
    v.zip("bundle-item-order", "false", "item_order", bag([items[1], items[0]]))
    lines = canonical(items[0])[:-1] + b',"position":19}\n'
    v.zip("bundle-item-member-twice", "false", "item_bad", bag(items[:1], lines=lines))
    tampered = [items[0], item(19, _flipped(d2))]
    v.zip("bundle-item-bad-signature", "false", "signature_false", bag(tampered))
    v.zip("bundle-item-wrong-kind", "false", "typ", bag([items[0] | {"kind": "receipt"}]))
    v.zip("bundle-hop-of-other-bytes", "false", "hop_other", bag([item(18, d1, signed(hop(d2), "node-c"))]))
    whole = zip_of(good)
    v.add("bundle-truncated", "false", "zip_bad", (".zip", whole[: len(whole) // 2]))
    v.add("bundle-tail-cut", "false", "zip_bad", (".zip", whole[:-1]))
    v.add("bundle-comment", "false", "zip_bad", (".zip", zip_of(good, comment=b"x")))
    v.zip("bundle-hidden-bytes", "false", "zip_bad", [Entry(good[0].name.decode(), good[0].data, before=b"hidden"), *good[1:]])
    v.zip(
        "bundle-two-names", "false", "zip_bad", [Entry(good[0].name.decode(), good[0].data, local=f"{TOP}/data/z"), *good[1:]]
    )
    v.zip("bundle-wrong-crc", "false", "zip_bad", [Entry(good[0].name.decode(), good[0].data, crc=1), *good[1:]])
    v.zip("bundle-locked", "false", "zip_bad", [Entry(good[0].name.decode(), good[0].data, flags=1), *good[1:]])
    bomb = bytes(2_000_000)
    v.zip("bundle-bomb", "false", "bomb", [*good, Entry(f"{TOP}/data/files/{sha(bomb)}", bomb, deflate=True)])
    v.add("bundle-encrypted", "missing", "encrypted", (".zip.age", b"age-encryption.org/v1\n-> X25519 AAAA\n"))


def _folders(v: Vectors, d1: bytes, d2: bytes, d3: bytes, r1: bytes) -> None:
    documents = {"documents/1.jws": d1, "documents/2.jws": d2, "documents/3.jws": d3, "documents/r1.jws": r1}
    pair = (STATION, COMMUNE, 1, 3)
    v.zip("folder-good", "good", "folder_good", evidence(documents, [pair]))
    v.zip("folder-good-by-its-own-keys", "good", "chain_good", evidence(documents, [pair]), keys="")
    strange = keys_json(["commune", "node-a"])
    strange["keys"].append(key_row("station") | {"jwk": jwk("station-false")})
    forged = {"documents/1.jws": signed(dispatch(), "station-false")}
    v.zip("folder-with-keys-of-its-own", "missing", "not_trusted", evidence(forged, [(STATION, COMMUNE, 1, 1)], keys=strange))
    v.zip(
        "folder-consistent-but-untrusted",
        "good",
        "signature_good",
        evidence(forged, [(STATION, COMMUNE, 1, 1)], keys=strange),
        keys="",
    )
    gap = {n: d for n, d in documents.items() if n != "documents/2.jws"}
    v.zip("folder-gap", "missing", "chain_gap", evidence(gap, [pair]))
    v.zip("folder-gap-not-claimed", "good", "chain_gap", evidence(gap))
    v.zip("folder-end-missing", "missing", "chain_gap", evidence(documents, [(STATION, COMMUNE, 1, 5)]))
    v.zip("folder-changed-file", "false", "file_digest", evidence(documents, [pair], change={"documents/2.jws": d1}))
    v.zip("folder-missing-file", "missing", "file_missing", evidence(documents, [pair], drop=["documents/r1.jws"]))
    v.zip("folder-added-file", "false", "file_extra", evidence(documents, [pair], unlisted={"documents/4.jws": d1}))
    v.zip("folder-without-keys", "false", "folder_without", evidence(documents, drop=["keys.json"]))
    only = {"documents/r1.jws": r1}
    v.zip("folder-receipt-without-dispatch", "missing", "receipt_absent", evidence(only))
    paper = b"x"
    named = {"name": "x.txt", "digest": sha(paper), "size": 1, "media_type": "text/plain"}
    with_paper = {"documents/1.jws": signed(dispatch(attachments=[named]), "station")}
    v.zip("folder-attachment-missing", "missing", "attachment_absent", evidence(with_paper))
    v.zip("folder-attachment-good", "good", "attachment_good", evidence(with_paper | {f"files/{sha(paper)}": paper}))
    v.zip("folder-attachment-misnamed", "false", "file_name_digest", evidence(with_paper | {f"files/{sha(b'y')}": paper}))
    by_revoked = signed(dispatch(), "station-revoked")
    shown = canonical({"id": 7, "code": "exchange.dispatch.sent", "facts": {"digest": sha(by_revoked)}})
    s1 = seal(1, "", [b"an entry of others", shown])
    s2 = seal(2, sha(s1), [b"another"])
    c2 = signed(checkpoint(2, sha(s2), 3), "node-a")
    proof = {
        "documents/1.jws": by_revoked,
        "documents/c2.jws": c2,
        "documents/w2.jws": signed(witness(c2, 2), "node-b"),
        f"seals/{sha(s1)}": s1,
        f"seals/{sha(s2)}": s2,
        f"entries/{sha(shown)}.json": shown,
    }
    v.zip("folder-sealed-before-revocation", "good", "revoked_but_witnessed", evidence(proof))
    late = proof | {"documents/w2.jws": signed(witness(c2, 2, at="2020-03-26T00:00:00Z"), "node-b")}
    v.zip("folder-sealed-after-revocation", "false", "key_revoked", evidence(late))
    torn = {n: d for n, d in proof.items() if n != f"seals/{sha(s1)}"}
    v.zip("folder-seal-missing", "false", "key_revoked", evidence(torn))


def write(folder: Path) -> None:
    """Write the files and the index."""
    made = make()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in made.files.items():
        (folder / name).write_bytes(data)
    (folder / "index.json").write_bytes(_pretty({"format": "hiepdong.vectors/1", "keys": "keys.json", "vectors": made.index}))
    print(f"{len(made.index)} vectors, {len(made.files)} files")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
