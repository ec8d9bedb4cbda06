"""Bundles as files: one zip that is a bag of RFC 8493, written in one stream, read only after all of it was checked.

Docs: docs/reference/protocol.md, sections 7 and 9. This module knows files and nothing of the database: what goes in, whose
signature counts and what becomes of the items is said by the caller. Memory does not grow with the attachments, nor with the
items but for sixteen bytes each.
"""

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hiepdong.kernel.disk import sync_folder
from hiepdong.kernel.text import fold

from . import bundle_refusals as refusals
from . import signing
from .bundle_refusals import shown
from .domain.envelope import canonical, each_once
from .domain.links import InvalidItem, read_item
from .strict_zip import CHUNK, MOST_MEMBERS, Member, StrictZip, ZipWriter

FORMAT = "hiepdong.bundle/1"
LINES_PER_FILE = 1000
BYTES_PER_FILE = 4 * 1024 * 1024  # of a file of items that this node writes; so much is held in memory
LONGEST_LINE = 8 * 1024 * 1024
DEEPEST = 32
MOST_PARTS_OF_A_LINE = 10_000  # commas and brackets; more of them would fill the memory out of few bytes
AGE = b"age-encryption.org/v1\n"

DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TAG_FILES = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt")
STATEMENT = "data/bundle.jws"
FOLDERS = ("", "data/", "data/items/", "data/echo/", "data/files/")

_LINES = re.compile(r"data/(?:items|echo)/([0-9]{5,9})\.jsonl")
_FILE = re.compile(r"data/files/([0-9a-f]{64})")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,7}")
_OTHER_MANIFEST = re.compile(r"(?:tag)?manifest-.*\.txt")
_LINE_OF_MANIFEST = re.compile(r"([0-9a-f]{64})[ \t]+([!-~]+)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DEVICES = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')

Verify = Callable[[bytes], Mapping[str, Any]]
Progress = Callable[[int], None]
Source = Path | Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Limits:
    """What this node takes in one bundle: bytes unpacked, files, items, bytes of one list or statement, unpacked per packed."""

    unpacked: int = 8 * 1024**3
    members: int = MOST_MEMBERS
    items: int = 1_000_000
    tag_file: int = 16 * 1024 * 1024
    ratio: int = 200


# --- names ----------------------------------------------------------------------------------------------------------------


def safe_name(text: str) -> str:
    """Return a name for a file or the folder in it that every system and every stick takes.

    >>> safe_name("Gói: Đồn Nậm Cắn/1-40"), safe_name("../.."), safe_name("CON")
    ('goi-don-nam-can-1-40', 'bundle', '_con')
    """
    plain = re.sub(r"[^a-z0-9._]+", "-", fold(text).encode("ascii", "ignore").decode())
    plain = re.sub(r"\.{2,}", ".", plain).strip("-. ")[:80].rstrip("-. ") or "bundle"
    return f"_{plain}" if _DEVICES.fullmatch(plain) else plain


def bundle_name(*, sender: str, receiver: str, first: int, last: int, part: int = 1, parts: int = 1) -> str:
    """Return how the file of a bundle is called, without the ".age" of an encrypted one.

    >>> bundle_name(sender="Nghệ An", receiver="Kỳ Sơn", first=18, last=640, part=2, parts=3)
    'nghe-an_ky-son_18-640_2-3.zip'
    """
    ends = f"_{first}-{last}" + (f"_{part}-{parts}" if parts > 1 else "")
    return f"{safe_name(sender)[:40]}_{safe_name(receiver)[:40]}{ends}.zip"


def is_encrypted(path: Path) -> bool:
    """Say whether a file is encrypted with age.

    Raises:
        BundleUnreadable: it cannot be read.
    """
    with _opened(path) as handle:
        return _start_of(handle, path) == AGE


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, hex: what stands on the cover sheet.

    Raises:
        BundleUnreadable: it cannot be read.
    """
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as error:
        raise refusals.BundleUnreadable(file=shown(path.name), reason=error.strerror or str(error)) from error


# --- writing --------------------------------------------------------------------------------------------------------------


def write_bundle(
    path: Path,
    *,
    statement: Mapping[str, Any],
    items: Iterable[Mapping[str, Any]],
    files: Iterable[tuple[str, Source]],
    sign: Callable[[bytes], bytes],
    progress: Progress | None = None,
    source: str = "",
    echo: Iterable[Mapping[str, Any]] = (),
) -> str:
    """Write a bundle and return its SHA-256, hex. Until it is whole and on the disk nothing stands under its name.

    Args:
        path: the file; one that stands there is replaced. The folder inside is called like it.
        statement: the payload of bundle.jws without `payload`, `items`, `first`, `last`, which are counted here.
        items: in the order of their positions; read once, while writing.
        files: digest of each attachment, and where its bytes are; one that comes twice is written once.
        sign: makes the compact JWS of the payload.
        progress: is told how many items are written.
        source: who sends it, for people (Source-Organization); the id of the node if empty.
        echo: own items of the node that it is for, when `statement` has a member `echo`, of which `items` is counted here.

    The same arguments give the same bytes.

    Raises:
        BundleNotWritten: the disk or stick is full, read-only, gone.
        BundleFileChanged: an attachment is missing or damaged on this node.
        BundleTooLarge: more than one zip holds; see `domain.parts`.
        InvalidItem: an item is none, or its position is not higher than the one before.
        ValueError: the statement is not as the protocol says.
    """

    refuse = _not_written(path)
    with _partial(path, refuse) as out:
        writer = _BagWriter(ZipWriter(out, refuse), safe_name(path.name.removesuffix(".age").removesuffix(".zip")))
        writer.tag_file("bagit.txt", DECLARATION)
        count, first, last = _write_items(writer, "items", items, progress)
        echoed, _, _ = _write_items(writer, "echo", echo, None)
        for digest, bytes_of in files:
            writer.attachment(digest, bytes_of)
        counted = {"payload": dict(sorted(writer.manifest.items())), "items": count, "first": first, "last": last}
        payload = {**statement, **counted}
        if echoed or "echo" in payload:
            payload["echo"] = {**payload["echo"], "items": echoed}
        if fault := _fault_of(payload):
            raise ValueError(f"statement: {fault[0]}: {fault[1]}")
        writer.data(STATEMENT, sign(canonical(payload)))
        writer.close(payload, source or str(payload["from"]))
    return digest_of_file(path)


def _write_items(
    writer: "_BagWriter", folder: str, items: Iterable[Mapping[str, Any]], progress: Progress | None
) -> tuple[int, int, int]:
    """Write the items in files of at most so many lines and bytes; return how many, the first and the last position."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
    lines: list[bytes] = []
    count = first = last = held = number = 0

    def flush() -> None:
        nonlocal number, held
        number += 1
        writer.data(f"data/{folder}/{number:05d}.jsonl", b"".join(lines))
        lines.clear()
        held = 0
        if progress:
            progress(count)

    for item in items:
        line = encode(dict(item)).encode() + b"\n"
        position = _position_of(item, last)
        if lines and (len(lines) == LINES_PER_FILE or held + len(line) > BYTES_PER_FILE):
            flush()
        count, first, last = count + 1, first or position, position
        lines.append(line)
        held += len(line)
    if lines:
        flush()
    return count, first, last


class _BagWriter:
    """Keeps the lists of a bag while its files are written."""

    def __init__(self, out: ZipWriter, name: str) -> None:
        self._out, self._name = out, name
        self.manifest: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._octets = 0

    def data(self, name: str, data: bytes) -> None:
        self._out.add(f"{self._name}/{name}", data)
        self.manifest[name] = hashlib.sha256(data).hexdigest()
        self._octets += len(data)

    def tag_file(self, name: str, text: str) -> None:
        data = text.encode()
        self._out.add(f"{self._name}/{name}", data)
        self._tags[name] = hashlib.sha256(data).hexdigest()

    def attachment(self, digest: str, source: Source) -> None:
        name = f"data/files/{digest}"
        if not _FILE.fullmatch(name):
            raise ValueError(f"not a digest: {digest!r}")
        if name in self.manifest:
            return
        found, octets = hashlib.sha256(), 0

        def chunks() -> Iterator[bytes]:
            nonlocal octets
            try:
                with source.open("rb") if isinstance(source, Path) else source() as f:
                    while chunk := f.read(CHUNK):
                        found.update(chunk)
                        octets += len(chunk)
                        yield chunk
            except OSError as error:
                raise refusals.BundleFileChanged(digest=digest) from error

        self._out.add_stream(f"{self._name}/{name}", chunks())
        if found.hexdigest() != digest:
            raise refusals.BundleFileChanged(digest=digest)
        self.manifest[name] = digest
        self._octets += octets

    def close(self, payload: Mapping[str, Any], source: str) -> None:
        info = {
            "Bagging-Date": str(payload["made_at"])[:10],
            "External-Identifier": str(payload["id"]),
            "Payload-Oxum": f"{self._octets}.{len(self.manifest)}",
            "Source-Organization": " ".join(source.split()),
        }
        self.tag_file("bag-info.txt", "".join(f"{label}: {value}\n" for label, value in info.items()))
        self.tag_file("manifest-sha256.txt", _listed(self.manifest))
        self.tag_file("tagmanifest-sha256.txt", _listed(self._tags))
        self._out.close()


def _listed(digests: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


@contextmanager
def _partial(path: Path, refuse: Callable[[OSError], Exception]) -> Iterator[BinaryIO]:
    """Open a file beside `path` that takes its name when all went well, and vanishes when not.

    What a killed export left is removed by the next one: a living one holds a lock on its file.
    """
    try:
        for left in path.parent.glob(f".{safe_name(path.name)}.*.part"):
            _remove_if_left(left)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{safe_name(path.name)}.", suffix=".part")
    except OSError as error:
        raise refuse(error) from error
    partial, out = Path(name), os.fdopen(handle, "wb")
    try:
        with suppress(OSError):  # some network folders know no locks; there nobody removes either
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield out
        try:
            out.flush()
            os.fsync(out.fileno())
            partial.replace(path)
        except OSError as error:
            raise refuse(error) from error
        with suppress(OSError):  # not every file system can promise that the name survives a power cut
            sync_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        with suppress(OSError):  # on a full disk closing fails once more
            out.close()


def _remove_if_left(path: Path) -> None:
    with suppress(OSError), path.open("rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


# --- encrypting -----------------------------------------------------------------------------------------------------------


def encrypt_bundle(plain: Path, path: Path, *, recipient: str) -> str:
    """Encrypt a bundle as a whole to a node and return the SHA-256 of what is carried, hex.

    `recipient` is the age key (age1…) of the node it is for; `path` ends in ".zip.age". As with `write_bundle`, nothing
    stands under the name until it is whole.

    Raises:
        NoRecipient: it is no such key.
        BundleUnreadable, BundleNotWritten
    """
    with _opened(plain) as handle, _partial(path, _not_written(path)) as out:
        signing.encrypt_stream(_Side(handle, plain), _Side(out, path), recipient=recipient)
    return digest_of_file(path)


def decrypt_bundle(path: Path, plain: Path, *, recipient: str, identity_sealed: str, secret: str) -> None:
    """Decrypt a bundle that was made for this node; it is never larger than the encrypted one.

    `recipient` and `identity_sealed` are what `signing.new_age_identity` returned, `secret` is the secret of the node.

    Raises:
        NotOpened: it was made for another node.
        SealBroken: it was changed or cut.
        KeyUnreadable: the identity does not open with this secret.
        BundleUnreadable, BundleNotWritten
    """
    identity = signing.unseal(identity_sealed, name=recipient, secret=secret)
    with _opened(path) as handle, _partial(plain, _not_written(plain)) as out:
        signing.decrypt_stream(_Side(handle, path), _Side(out, plain), identity=identity)


class _Side:
    """A file as a stream whose faults are told in our words."""

    def __init__(self, file: int | BinaryIO, path: Path) -> None:
        self._file, self._path, self._at = file, path, 0

    def read(self, size: int) -> bytes:
        try:
            found = os.pread(self._file, size, self._at)  # type: ignore[arg-type]
        except OSError as error:
            raise refusals.BundleUnreadable(file=shown(self._path.name), reason=error.strerror or str(error)) from error
        self._at += len(found)
        return found

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)  # type: ignore[union-attr]
        except OSError as error:
            raise _not_written(self._path)(error) from error


def _not_written(path: Path) -> Callable[[OSError], Exception]:
    return lambda error: refusals.BundleNotWritten(file=shown(path.name), reason=error.strerror or str(error))


# --- reading --------------------------------------------------------------------------------------------------------------


class Bundle:
    """A bundle that was checked from its first byte to its last. Only inside `open_bundle`."""

    def __init__(self, bag: "_Bag", statement_jws: bytes, statement: Mapping[str, Any]) -> None:
        self.statement_jws, self.statement = statement_jws, statement
        self.name, self.size = bag.name, bag.zip.size
        self._bag = bag

    @property
    def files(self) -> dict[str, int]:
        """The attachments: digest → bytes."""
        return {n.removeprefix("data/files/"): m.size for n, m in self._bag.members.items() if _FILE.fullmatch(n)}

    def items(self) -> Iterator[dict[str, Any]]:
        """Yield the items as they stand in the bundle, in the order of their positions, unknown members included.

        Raises:
            BundleChanged: the medium gave other bytes than when it was checked; nothing of this bundle may be kept.
        """
        for name, number, line in self._bag.lines_again("items"):
            yield _object(line, name, number)

    def echo(self) -> Iterator[dict[str, Any]]:
        """Yield the reader's own items that stand in the bundle, in the same way.

        Raises:
            BundleChanged: as above.
        """
        for name, number, line in self._bag.lines_again("echo"):
            yield _object(line, name, number)

    def file(self, digest: str) -> Iterator[bytes]:
        """Yield an attachment in pieces; keep it only when the last step was made without an error.

        Raises:
            BundleMissingFile: it is not in this bundle.
            BundleChanged: the bytes do not have this digest.
        """
        member = self._bag.members.get(f"data/files/{digest}")
        if member is None:
            raise refusals.BundleMissingFile(entry=shown(f"data/files/{digest}"))
        found = hashlib.sha256()
        for chunk in self._bag.zip.chunks(member):
            found.update(chunk)
            yield chunk
        if found.hexdigest() != digest:
            raise refusals.BundleChanged(entry=f"data/files/{digest}")


@contextmanager
def open_bundle(
    path: Path, *, verify: Verify, limits: Limits | None = None, progress: Progress | None = None
) -> Iterator[Bundle]:
    """Check a bundle whole, and only then give what is in it. Nothing is written anywhere.

    Args:
        path: the zip file, decrypted.
        verify: gets bundle.jws, returns its payload, raises when it is not signed by a linked node or not for this one.
            It is asked before the contents are unpacked.
        limits: what this node takes.
        progress: is told how many items are checked.

    Raises:
        BundleRefused: one of its kinds: the first fault that was found.
        Whatever `verify` raises.
    """
    limits = limits or Limits()
    with _opened(path) as handle:
        if _start_of(handle, path) == AGE:
            raise refusals.BundleStillEncrypted(file=shown(path.name))
        bag = _Bag(
            StrictZip(handle, path.name, most_members=limits.members, largest=limits.unpacked, ratio=limits.ratio), limits
        )
        bag.check_lists()
        signed = bag.small(STATEMENT)
        if hashlib.sha256(signed).hexdigest() != bag.manifest[STATEMENT]:
            raise bag.wrong_digest(STATEMENT, hashlib.sha256(signed).hexdigest())
        statement = verify(signed)
        bag.check_statement(statement)
        bag.check_contents(statement, progress)
        yield Bundle(bag, signed, statement)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise refusals.BundleUnreadable(file=shown(path.name), reason=error.strerror or str(error)) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise refusals.BundleUnreadable(file=shown(path.name), reason="not a file")
        yield handle
    finally:
        os.close(handle)


def _start_of(handle: int, path: Path) -> bytes:
    try:
        return os.pread(handle, len(AGE), 0)
    except OSError as error:
        raise refusals.BundleUnreadable(file=shown(path.name), reason=error.strerror or str(error)) from error


class _Bag:
    """The bag in a zip: names first, then lists, then what was signed, then every byte."""

    def __init__(self, found: StrictZip, limits: Limits) -> None:
        self.zip, self._limits = found, limits
        self.name = _one_folder(found)
        self.members: dict[str, Member] = {}
        for full, member in found.members.items():
            self._place(full, full.removeprefix(f"{self.name}/"), member)
        for folder in found.folders:
            if folder.removeprefix(f"{self.name}/") not in FOLDERS:
                raise refusals.BundleExtraFile(entry=shown(folder))
        self.manifest: dict[str, str] = {}
        self._key = secrets.token_bytes(16)
        self._marks = {"items": bytearray(), "echo": bytearray()}

    def _place(self, full: str, name: str, member: Member) -> None:
        if name not in {*TAG_FILES, "tagmanifest-sha256.txt", STATEMENT} and not _LINES.fullmatch(name):
            if _OTHER_MANIFEST.fullmatch(name):
                raise refusals.BundleTwoHashes(entry=shown(full))
            if not _FILE.fullmatch(name):
                raise refusals.BundleExtraFile(entry=shown(full))
        self.members[name] = member

    def small(self, name: str) -> bytes:
        """Return a file that is read whole: a list or the statement.

        Raises:
            BundleMissingFile, BundleTooLarge
        """
        member = self.members.get(name)
        if member is None:
            raise refusals.BundleMissingFile(entry=name)
        if member.size > self._limits.tag_file:
            raise refusals.BundleTooLarge(what=name, found=member.size, accepted=self._limits.tag_file)
        return b"".join(self.zip.chunks(member))

    def wrong_digest(self, name: str, found: str, accepted: str = "") -> refusals.BundleWrongDigest:
        return refusals.BundleWrongDigest(entry=name, found=found, accepted=accepted or self.manifest[name])

    # --- lists ---

    def check_lists(self) -> None:
        """Check that the lists are as they have to be, and name exactly the files that are there."""
        tags = {name: self.small(name) for name in TAG_FILES}
        promised = self._list("tagmanifest-sha256.txt", self.small("tagmanifest-sha256.txt"))
        for name in sorted(promised.keys() ^ tags.keys()):
            raise refusals.BundleBadTagFile(entry="tagmanifest-sha256.txt", found=shown(name), accepted=", ".join(TAG_FILES))
        for name, data in tags.items():
            if (found := hashlib.sha256(data).hexdigest()) != promised[name]:
                raise self.wrong_digest(name, found, promised[name])
        if b"\n".join(tags["bagit.txt"].splitlines()) != DECLARATION.strip().encode():
            raise refusals.BundleBadTagFile(
                entry="bagit.txt", found=shown(tags["bagit.txt"][:80]), accepted=" | ".join(DECLARATION.split("\n")[:2])
            )
        self.manifest = self._list("manifest-sha256.txt", tags["manifest-sha256.txt"])
        there = {name for name in self.members if name.startswith("data/")}
        for name in sorted(self.manifest.keys() - there):
            raise refusals.BundleMissingFile(entry=shown(name))
        for name in sorted(there - self.manifest.keys()):
            raise refusals.BundleExtraFile(entry=shown(name))
        self._check_info(tags["bag-info.txt"])
        for name in there:
            if (named := _FILE.fullmatch(name)) and named[1] != self.manifest[name]:
                raise self.wrong_digest(name, self.manifest[name], named[1])
        for folder in self._marks:
            for number, name in enumerate(self._line_files(folder), 1):
                if name != f"data/{folder}/{number:05d}.jsonl":
                    raise refusals.BundleMissingFile(entry=f"data/{folder}/{number:05d}.jsonl")

    def _list(self, name: str, data: bytes) -> dict[str, str]:
        accepted = "<sha256>  <data/…>, UTF-8"
        found: dict[str, str] = {}
        try:
            lines = data.decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise refusals.BundleBadTagFile(entry=name, found=f"byte {error.start}", accepted=accepted) from error
        for line in lines:
            parts = _LINE_OF_MANIFEST.fullmatch(line)
            if parts is None:
                raise refusals.BundleBadTagFile(entry=name, found=shown(line), accepted=accepted)
            if parts[2] in found:
                raise refusals.BundleNameTwice(entry=shown(parts[2]))
            if not _PLAIN_NAME.fullmatch(f"{self.name}/{parts[2]}"):
                raise refusals.BundleBadName(entry=shown(parts[2]))
            found[parts[2]] = parts[1]
        return found

    def _check_info(self, data: bytes) -> None:
        octets = sum(m.size for n, m in self.members.items() if n.startswith("data/"))
        accepted = f"Payload-Oxum: {octets}.{len(self.manifest)}"
        found = [line.partition(b":")[2].strip() for line in data.splitlines() if line.lower().startswith(b"payload-oxum:")]
        if found != [accepted.partition(": ")[2].encode()]:
            told = "; ".join(shown(each) for each in found) or "∅"
            raise refusals.BundleBadTagFile(entry="bag-info.txt", found=told[:120], accepted=accepted)

    # --- what was signed ---

    def check_statement(self, statement: Mapping[str, Any]) -> None:
        """Check that the statement is whole, and that it is about these contents."""
        if fault := _fault_of(statement):
            path, found, accepted = fault
            raise refusals.BundleBadStatement(path=path, found=shown(found)[:80], accepted=accepted)
        signed, listed = statement["payload"], {n: d for n, d in self.manifest.items() if n != STATEMENT}
        for name in sorted(signed.keys() | listed.keys()):
            if signed.get(name) != listed.get(name):
                raise refusals.BundleDisagrees(entry=shown(name))
        items = statement["items"] + statement.get("echo", {}).get("items", 0)
        if items > self._limits.items:
            raise refusals.BundleTooLarge(what="items", found=items, accepted=self._limits.items)
        if "echo" not in statement and self._line_files("echo"):
            raise refusals.BundleBadStatement(path="echo", found="∅", accepted="{…}, data/echo/")

    # --- every byte ---

    def check_contents(self, statement: Mapping[str, Any], progress: Progress | None) -> None:
        """Check each file against its digest and each line of items; keep a mark of every line for the second reading."""
        for name, member in sorted(self.members.items()):
            if _FILE.fullmatch(name):
                found = hashlib.sha256()
                for chunk in self.zip.chunks(member):
                    found.update(chunk)
                if found.hexdigest() != self.manifest[name]:
                    raise self.wrong_digest(name, found.hexdigest())
        first, last = self._check_lines("items", statement["items"], progress)
        for path, at in (("first", first), ("last", last)):
            if statement[path] != at:
                raise refusals.BundleBadStatement(path=path, found=statement[path], accepted=at)
        if "echo" in statement:
            echo = statement["echo"]
            first, last = self._check_lines("echo", echo["items"], None)
            if echo["items"] and not echo["after"] < first <= last <= echo["through"]:
                accepted = f"{echo['after'] + 1} … {echo['through']}"
                raise refusals.BundleBadStatement(path="echo", found=f"{first} … {last}", accepted=accepted)

    def _check_lines(self, folder: str, said: int, progress: Progress | None) -> tuple[int, int]:
        """Check the lines of a folder and that they are as many as was said; returns the first and the last position."""
        count = first = last = 0
        for name in self._line_files(folder):
            found = hashlib.sha256()
            chunks = self._watched(self.members[name], found)
            try:
                for number, line in _lines(name, chunks):
                    last = _check_line(line, name, number, last)
                    first, count = first or last, count + 1
                    if count > said:
                        raise refusals.BundleWrongCount(found=f"≥ {count}", accepted=said)
                    self._marks[folder] += self._mark(line)
            except refusals.BundleBadItem:
                for _ in chunks:
                    pass  # damaged on the way, or made so? Only the digest of the whole file tells
                if found.hexdigest() == self.manifest[name]:
                    raise
            if found.hexdigest() != self.manifest[name]:
                raise self.wrong_digest(name, found.hexdigest())
            if progress:
                progress(count)
        if count != said:
            raise refusals.BundleWrongCount(found=count, accepted=said)
        return first, last

    def _line_files(self, folder: str) -> list[str]:
        return sorted(name for name in self.members if name.startswith(f"data/{folder}/") and _LINES.fullmatch(name))

    def _watched(self, member: Member, found: Any) -> Iterator[bytes]:
        for chunk in self.zip.chunks(member):
            found.update(chunk)
            yield chunk

    def _mark(self, line: bytes) -> bytes:
        """Return a short digest that the medium cannot know in advance."""
        return hashlib.blake2b(line, digest_size=16, key=self._key).digest()

    def lines_again(self, folder: str) -> Iterator[tuple[str, int, bytes]]:
        """Yield file, line number and line of every item in a folder, each compared with what was checked."""
        at = 0
        for name in self._line_files(folder):
            for number, line in _lines(name, self.zip.chunks(self.members[name])):
                if not hmac.compare_digest(self._mark(line), bytes(self._marks[folder][at : at + 16])):
                    raise refusals.BundleChanged(entry=name)
                at += 16
                yield name, number, line


def _one_folder(found: StrictZip) -> str:
    """Return the one folder that all of the zip lies in; refuse every name that is more than plain.

    Raises:
        BundleBadName, BundleMissingFile
    """
    for name in (*found.members, *found.folders):
        if not _PLAIN_NAME.fullmatch(name) and not (name.endswith("/") and _PLAIN_NAME.fullmatch(name + "x")):
            raise refusals.BundleBadName(entry=shown(name))
    tops = Counter(name.partition("/")[0] for name in (*found.members, *found.folders)).most_common()
    if not tops:
        raise refusals.BundleMissingFile(entry="bagit.txt")
    if len(tops) > 1:
        raise refusals.BundleExtraFile(entry=shown(tops[-1][0]))
    return tops[0][0]


def _fault_of(statement: Any) -> tuple[str, object, str] | None:
    """Return where a statement is not as the protocol says: path, what was found, what is accepted; None if it is."""

    def whole(least: int) -> Callable[[object], bool]:
        return lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v < 1 << 53

    def text(form: re.Pattern[str]) -> Callable[[object], bool]:
        return lambda v: isinstance(v, str) and form.fullmatch(v) is not None

    def digests(values: Iterable[object]) -> bool:
        return all(isinstance(v, str) and _DIGEST.fullmatch(v) for v in values)

    if not isinstance(statement, Mapping):
        return "", type(statement).__name__, "{…}"
    rules: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
        ("format", FORMAT, lambda v: v == FORMAT),
        ("id", "UUID", text(_UUID)),
        ("from", "UUID", text(_UUID)),
        ("to", "UUID", text(_UUID)),
        ("made_at", "2020-03-20T03:00:00Z", text(_MOMENT)),
        ("incarnation", "…", lambda v: isinstance(v, str)),
        ("items", "0, 1, 2 …", whole(0)),
        ("first", "0, 1, 2 …", whole(0)),
        ("last", "0, 1, 2 …", whole(0)),
        ("held_through", "0, 1, 2 …", whole(0)),
        ("part", "1, 2, 3 …", whole(1)),
        ("parts", "1, 2, 3 …", whole(1)),
        ("payload", '{"data/…": "<sha256>"}', lambda v: isinstance(v, dict) and digests(v.values())),
        ("wanted", '["<sha256>"]', lambda v: isinstance(v, list) and digests(v)),
        ("missing", "[{…}]", lambda v: isinstance(v, list) and all(isinstance(m, dict) for m in v)),
    )
    for path, accepted, fits in rules:
        if path not in statement:
            return path, "∅", accepted
        if not fits(statement[path]):
            return path, statement[path], accepted
    if statement["part"] > statement["parts"]:
        return "part", statement["part"], f"≤ {statement['parts']}"
    if "echo_after" in statement and not whole(0)(statement["echo_after"]):
        return "echo_after", statement["echo_after"], "0, 1, 2 …"
    return _fault_of_echo(statement["echo"], whole(0)) if "echo" in statement else None


def _fault_of_echo(echo: Any, whole: Callable[[object], bool]) -> tuple[str, object, str] | None:
    """Return where what a statement says of an echo is not as the protocol says; None if it is."""
    if not isinstance(echo, dict):
        return "echo", echo, "{…}"
    if not isinstance(echo.get("incarnation"), str):
        return "echo.incarnation", echo.get("incarnation", "∅"), "…"
    for name in ("after", "through", "last", "items"):
        if not whole(echo.get(name)):
            return f"echo.{name}", echo.get(name, "∅"), "0, 1, 2 …"
    if not echo["after"] <= echo["through"] <= max(echo["after"], echo["last"]):
        return "echo.through", echo["through"], f"{echo['after']} … {max(echo['after'], echo['last'])}"
    return None


# --- lines ----------------------------------------------------------------------------------------------------------------


def _lines(name: str, chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield number (from 1) and bytes of each line, without holding more than one line and one piece."""
    rest, number = b"", 0

    def line_of(line: bytes) -> tuple[int, bytes]:
        nonlocal number
        number += 1
        if len(line) > LONGEST_LINE:
            raise refusals.BundleBadItem(entry=name, line=number, found=f"> {LONGEST_LINE}", accepted=f"≤ {LONGEST_LINE} bytes")
        if number > LINES_PER_FILE:
            raise refusals.BundleBadItem(entry=name, line=number, found=number, accepted=f"≤ {LINES_PER_FILE}")
        return number, line

    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line_of(line)
        if len(rest) > LONGEST_LINE:
            line_of(rest)
    if rest:
        yield line_of(rest)


def _check_line(line: bytes, name: str, number: int, last: int) -> int:
    """Return the position of the item in a line, which is higher than `last`."""
    try:
        return _position_of(_object(line, name, number), last)
    except InvalidItem as error:
        found = f"{error.facts['path']}: {shown(error.facts['found'])}"
        raise refusals.BundleBadItem(entry=name, line=number, found=found, accepted=error.facts["accepted"]) from error


def _position_of(item: Mapping[str, Any], last: int) -> int:
    position = read_item(item, "item").position
    if position <= last:
        raise InvalidItem(path="item.position", found=position, accepted=f"> {last}")
    return position


def _object(line: bytes, name: str, number: int) -> Any:
    """Return the JSON of a line: no member twice, not deeper and not of more parts than an item needs."""
    try:
        brackets = line.count(b"[") + line.count(b"{")
        if brackets + line.count(b",") > MOST_PARTS_OF_A_LINE:
            raise ValueError(f"> {MOST_PARTS_OF_A_LINE} , [ {{")
        if brackets > DEEPEST and _depth_of(line) > DEEPEST:
            raise ValueError(f"depth > {DEEPEST}")
        found = json.loads(line.decode("utf-8"), object_pairs_hook=each_once, parse_constant=_no_number)
        if b"\\u" in line:
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a pair of surrogates is no text
    except (ValueError, RecursionError) as error:
        accepted = '{"position": 1, "kind": "…", "document": "…"}, JSON, UTF-8'
        raise refusals.BundleBadItem(entry=name, line=number, found=shown(error)[:80], accepted=accepted) from error
    return found


def _depth_of(line: bytes) -> int:
    deepest = depth = 0
    for sign in re.findall(rb"[\[\]{}]", _STRING.sub(b"", line)):
        depth += 1 if sign in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_number(word: str) -> None:
    raise ValueError(word)
