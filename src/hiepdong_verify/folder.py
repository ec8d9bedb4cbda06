"""The files of an evidence folder (docs/reference/protocol.md, section 11), from signed documents that somebody collected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .verify import read_compact, read_json, read_several

README = """\
THƯ MỤC CHỨNG CỨ / EVIDENCE FOLDER

{about}
Lập lúc / made at: {made_at}    Do / by: {made_by}

Tiếng Việt
----------
documents  văn bản, biên nhận và tài liệu khác, đúng từng byte như lúc ký
files      tài liệu kèm theo; tên tệp là mã băm SHA-256 của nó
keys.json  các khóa công khai mà bên lập thư mục biết
verify.py  chương trình kiểm tra, chạy được với mọi Python từ 3.9, không cần mạng:

    python3 verify.py ĐƯỜNG-DẪN-THƯ-MỤC

Bản verify.py và keys.json trong thư mục là do bên lập thư mục đưa vào. Muốn kiểm tra độc lập: lấy verify.py từ nơi khác,
hỏi từng cơ quan mã khóa của họ qua điện thoại hoặc giấy, ghi các khóa đúng vào một tệp riêng, rồi chạy

    python3 verify.py ĐƯỜNG-DẪN-THƯ-MỤC --keys khoa-tin-cay.json

Thư mục không chứng minh rằng ngoài những gì ở đây không còn văn bản nào khác, trừ các chuỗi số ghi ở "complete" trong
folder.json.

English
-------
documents  dispatches, receipts and other documents, byte for byte as they were signed
files      attachments, each named by its SHA-256
keys.json  the public keys that the maker of this folder knows
verify.py  the verifier; runs with any Python from 3.9, needs no network:

    python3 verify.py PATH-OF-THIS-FOLDER --lang en

The verify.py and keys.json here come from the maker of the folder. To check independently take verify.py from elsewhere,
ask each organisation for the name of its key by telephone or on paper, write the right keys into a file of your own, and run

    python3 verify.py PATH-OF-THIS-FOLDER --lang en --keys trusted-keys.json

The folder does not prove that there is nothing besides, except for the sequences that "complete" in folder.json names.
"""


def lay_out(**parts: Any) -> dict[str, bytes]:
    """Return every file of the folder but the attachments, by its name inside the folder; arguments as `files_of` has them."""
    return dict(files_of(**parts))


def files_of(
    *,
    about: str,
    made_at: str,
    made_by: str,
    keys: Iterable[Mapping[str, Any]],
    nodes: Iterable[Mapping[str, Any]] = (),
    documents: Iterable[bytes],
    joint: Iterable[bytes] = (),
    attachments: Iterable[str] = (),
    complete: Iterable[tuple[str, str, int, int]] = (),
    reviews: Iterable[bytes] = (),
    seals: Iterable[bytes] = (),
    stamps: Iterable[tuple[str, bytes]] = (),
    entries: Iterable[bytes] = (),
) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the folder but the attachments: its name inside the folder and its bytes; the manifest comes last.

    What is given is read once, in the order of the arguments below, and not kept: a folder of any size needs little memory.

    Args:
        about: what the folder is about, in words.
        made_at: UTC to the second, "2020-03-20T03:00:00Z".
        made_by: who makes it: the id of the node, or words.
        documents: compact JWS; one that comes twice is written once.
        joint: documents that several sign, as JSON.
        reviews: approved reviews, the bytes of review.json.
        seals: the lines of seals. entries: canonical JSON of the entries to be shown.
        stamps: digest of a seal, the answer of a time-stamping authority over it (DER).
        complete: sender, recipient, first, last of sequences that are here without a gap.
        nodes: rows of keys.json: id, name, speaker.
        keys: rows of keys.json: owner ("" for a node's own key), node, jwk, valid_from, valid_until, revoked_at.
        attachments: SHA-256 of each file that the caller writes to files/<sha256>.

    Raises:
        verify.Refused: a document is not of the form that the protocol wants.
    """
    digests: dict[str, str] = {}

    def file(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
        if name not in digests:
            digests[name] = _sha(data)
            yield name, data

    for one in documents:
        yield from file(f"documents/{read_compact(one, '').kind}-{_sha(one)}.jws", one)
    for one in joint:
        yield from file(f"documents/{read_several(read_json(one, 'joint'), '').kind}-{_sha(one)}.json", one)
    for one in reviews:
        yield from file(f"reviews/{_sha(one)}.json", one)
    for one in seals:
        yield from file(f"seals/{_sha(one)}", one)
    for digest, one in stamps:
        yield from file(f"stamps/{digest}.tsr", one)
    for one in entries:
        yield from file(f"entries/{_sha(one)}.json", one)
    claims = [{"sender": s, "recipient": r, "first": first, "last": last} for s, r, first, last in complete]
    head = {"format": "hiepdong.evidence/1", "about": about, "made_at": made_at, "made_by": made_by, "complete": claims}
    yield from file("folder.json", _json(head))
    yield from file("keys.json", _json({"format": "hiepdong.keys/1", "nodes": list(nodes), "keys": list(keys)}))
    yield from file("README.txt", README.format(about=about, made_at=made_at, made_by=made_by).encode())
    yield from file("verify.py", Path(__file__).with_name("verify.py").read_bytes())
    digests |= {f"files/{digest}": digest for digest in attachments}
    yield "manifest-sha256.txt", "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
