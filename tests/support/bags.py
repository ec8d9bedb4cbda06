"""Bundles for tests: whole ones, and ones with a single fault, built byte by byte so that a fault can be anywhere."""

import base64
import hashlib
import json
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from hiepdong.exchange.bundle_file import DECLARATION

NODE, OTHER, BUNDLE = (f"00000000-0000-4000-8000-00000000000{i}" for i in (1, 2, 3))
TOP = "goi"


def statement(**changes):
    """Return what an export says of itself, without what is counted."""
    return {
        "format": "hiepdong.bundle/1",
        "id": BUNDLE,
        "from": NODE,
        "to": OTHER,
        "incarnation": "1",
        "made_at": "2020-03-20T03:00:00Z",
        "held_through": 512,
        "wanted": [],
        "part": 1,
        "parts": 1,
        "missing": [],
    } | changes


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def document(number, text="Báo cáo tình hình tháng 3"):
    """Return something of the shape of a signed document; nobody looks at the signature here."""
    body = json.dumps({"id": number, "subject": text}, ensure_ascii=False).encode()
    return ".".join((b64(b'{"alg":"Ed25519"}'), b64(body), b64(hashlib.sha512(body).digest())))


def item(position, **more):
    return {"position": position, "kind": "dispatch", "document": document(position)} | more


def sign(payload):
    """Sign so that `verify` finds out every changed byte."""
    return f"{b64(b'{}')}.{b64(payload)}.{b64(hashlib.sha256(b'key' + payload).digest())}".encode()


class NotSigned(Exception):
    """`verify` does not accept it."""


def verify(signed):
    payload = signed.split(b".")[1]
    found = base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
    if sign(found) != signed:
        raise NotSigned
    return json.loads(found)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def lines(items):
    return b"".join(json.dumps(i, ensure_ascii=False).encode() + b"\n" for i in items)


def data_files(items=3, files=(b"%PDF-1.7 bien ban",)):
    """Return what lies under data/ but the statement."""
    found = {"data/items/00001.jsonl": lines(item(i) for i in range(18, 18 + items))} if items else {}
    return found | {f"data/files/{sha256(f)}": f for f in files}


def bag(data=None, *, counted=None, signed=None, oxum=0, **changes):
    """Return every file of a bag, consistent but for what is said: `changes` of the statement, `oxum` more octets."""
    data = data_files() if data is None else dict(data)
    held = (
        [json.loads(line)["position"] for n in sorted(data) if "/items/" in n for line in data[n].splitlines()]
        if not counted
        else []
    )
    counted = counted or {"items": len(held), "first": held[0] if held else 0, "last": held[-1] if held else 0}
    payload = statement() | {"payload": {n: sha256(d) for n, d in data.items()}} | counted | changes
    payload = {k: v for k, v in payload.items() if v is not ...}
    data["data/bundle.jws"] = signed or sign(json.dumps(payload).encode())
    return tagged(data, more=oxum)


def tagged(data, *, more=0, **files):
    """Return the bag around these data; `files` (names with _ for - and .) replace a tag file, digests follow."""
    oxum = f"{sum(map(len, data.values())) + more}.{len(data)}"
    tags = {
        "bagit.txt": DECLARATION.encode(),
        "bag-info.txt": f"Bagging-Date: 2020-03-20\nPayload-Oxum: {oxum}\n".encode(),
        "manifest-sha256.txt": manifest(data),
    }
    tags |= {n: files[k] for n in tags if (k := n.replace("-", "_").replace(".", "_")) in files}
    return data | tags | {"tagmanifest-sha256.txt": manifest(tags)}


def manifest(files):
    return "".join(f"{sha256(d)}  {n}\n" for n, d in sorted(files.items())).encode()


@dataclass
class Entry:
    """A file of a zip, and what its headers say of it; `local` and `central` override single fields."""

    name: str | bytes
    data: bytes
    method: int = 8
    flags: int = 0
    external: int = 0o100644 << 16
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    packed: bytes | None = None
    before: bytes = b""
    descriptor: bytes | None = None
    local: dict = field(default_factory=dict)
    central: dict = field(default_factory=dict)


FIELDS = ("needed", "flags", "method", "time", "day", "crc", "packed", "size")


def zipped(entries, *, end=b"", between=b"", ending=None):
    """Return the bytes of a zip. `ending` overrides fields of the end record."""
    out, directory = bytearray(), bytearray()
    for e in entries:
        name = e.name if isinstance(e.name, bytes) else e.name.encode()
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = e.packed if e.packed is not None else deflate.compress(e.data) + deflate.flush() if e.method == 8 else e.data
        said = dict(zip(FIELDS, (20, e.flags, e.method, 0, 33, zlib.crc32(e.data), len(packed), len(e.data)), strict=True))
        out += e.before
        header = len(out)
        out += struct.pack("<4s5H3L2H", b"PK\x03\x04", *(said | e.local).values(), len(name), len(e.local_extra))
        out += name + e.local_extra + packed + (e.descriptor or b"")
        central = said | {"name": name, "header": header, "disk": 0} | e.central
        raw = central.pop("name")
        at, disk = central.pop("header"), central.pop("disk")
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 3 << 8 | 20, *central.values(),
            len(raw), len(e.extra), len(e.comment), disk, 0, e.external, at,
        )  # fmt: skip
        directory += raw + e.extra + e.comment
    out += between
    said = {
        "disk": 0,
        "first": 0,
        "here": len(entries),
        "count": len(entries),
        "length": len(directory),
        "start": len(out),
        "comment": 0,
    }
    return bytes(out + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", *(said | (ending or {})).values()) + end)


def entries(files=None, top=TOP, **changes):
    """Return the entries of a bag; `changes`: name of a file in the bag → fields of its entry."""
    return [Entry(f"{top}/{name}", data, **changes.get(name, {})) for name, data in (bag() if files is None else files).items()]


def put(folder: Path, raw: bytes) -> Path:
    path = folder / "goi.zip"
    path.write_bytes(raw)
    return path
