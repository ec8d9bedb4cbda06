"""The backup file: a tar of ustar members in an age envelope, written and read as a stream, in little memory.

    backup.json                                what it is: format, program, moment, node, migrations, tables with their columns
    tables/<table>/00001.copy.gz …             rows as `dump` writes them, at most some MiB a part
    secret-key
    files/<first two>/<sha256>                 the kept files, in the order of their names
    manifest.json                              at last: size and SHA-256 of every member, one digest over the list of files

Closed to a recipient it is a plain age file. Closed with a passphrase it begins with some lines of text, a key that the
passphrase opens, and the age file for that key follows. Without this program: docs/how-to/back-up-and-restore.md.
"""

import contextlib
import gzip
import hashlib
import json
import queue
import re
import tarfile
import threading
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Protocol

from hiepdong.exchange import signing
from hiepdong.kernel.errors import DomainError, gettext_noop

from .dump import Column, Table

FORMAT = "hiepdong.backup/1"
PART = 4 * 1024 * 1024  # bytes of text of one part of a table
LARGEST_PART = 256 * 1024 * 1024  # one row may be larger than a part; more than this is no row of ours
LARGEST_NOTE = 64 * 1024 * 1024  # backup.json, manifest.json, secret-key
_PIECE = 256 * 1024
_BLOCK = tarfile.BLOCKSIZE
_AGE = b"age-encryption.org/v1\n"
_KEY_BEGINS, _KEY_ENDS = b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----END AGE ENCRYPTED FILE-----\n"
_PART_NAME = re.compile(r"tables/([a-z0-9_]{1,63})/(\d{5})\.copy\.gz")
FILE_NAME = re.compile(r"files/([0-9a-f]{2})/(\1[0-9a-f]{62})")
SHORTEST_PASSPHRASE = 10


class NoBackup(DomainError):
    """The file is no backup of a node."""

    code = "web.backup_unknown"
    message = gettext_noop("This file is no backup of a node, or of a form this program does not know.")
    hint = gettext_noop("Name the file that `hiepdong backup` made.")


class BackupAltered(DomainError):
    """What is in the envelope is not what its manifest says."""

    code = "web.backup_altered"
    message = gettext_noop("The backup is not whole: %(what)s.")
    hint = gettext_noop("Take another copy of it, or an earlier backup; nothing of this one is used.")


class NeedsPassphrase(DomainError):
    """A key was given for a backup that a passphrase opens."""

    code = "web.backup_needs_passphrase"
    message = gettext_noop("This backup was closed with a passphrase.")
    hint = gettext_noop("Name the file with the passphrase: --passphrase-file.")


class NeedsIdentity(DomainError):
    """A passphrase was given for a backup that a key opens."""

    code = "web.backup_needs_identity"
    message = gettext_noop("This backup was closed to an age key.")
    hint = gettext_noop("Name the file with the secret half of that key: --identity-file.")


class PassphraseTooShort(DomainError):
    """The passphrase does not protect anything."""

    code = "web.backup_passphrase_short"
    message = gettext_noop("The passphrase has %(length)s characters.")
    hint = gettext_noop("Take at least 10, best five or six words that nobody would put together.")


@dataclass(frozen=True, slots=True)
class Key:
    """What closes and opens a backup: a passphrase, or one half of an age pair."""

    passphrase: str = ""
    recipient: str = ""
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in backup.json. `last` holds the last number each counting table has given out; `at` is aware."""

    program: str
    at: datetime
    node: dict[str, str]
    database: str
    migrations: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    last: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        tables = [
            {"name": t.name, "counter": t.counter, "columns": [[c.name, c.shape, c.places] for c in t.columns]}
            for t in self.tables
        ]
        return {"format": FORMAT} | asdict(self) | {"at": self.at.isoformat(), "tables": tables}


def read_head(data: Any) -> Head:
    """Return the head of a backup.

    Raises:
        NoBackup: it has another form.
    """
    try:
        if data["format"] != FORMAT:
            raise NoBackup
        return Head(
            program=str(data["program"]),
            at=_aware(datetime.fromisoformat(data["at"])),
            node={str(k): str(v) for k, v in data["node"].items()},
            database=str(data["database"]),
            migrations=tuple((str(a), str(n)) for a, n in data["migrations"]),
            tables=tuple(
                Table(str(t["name"]), tuple(Column(str(n), str(s), int(p)) for n, s, p in t["columns"]), str(t["counter"]))
                for t in data["tables"]
            ),
            last={str(k): int(v) for k, v in data["last"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoBackup from error


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(at)
    return at


@dataclass(slots=True)
class Manifest:
    """What stands in manifest.json, gathered while members pass by, when writing as when reading."""

    rows: dict[str, int] = field(default_factory=dict)
    members: dict[str, tuple[int, str]] = field(default_factory=dict)  # all but the files and the manifest: size, SHA-256
    files: int = 0
    bytes_of_files: int = 0
    damaged: dict[str, str] = field(default_factory=dict)  # name of a file: the digest that its bytes have instead
    missing: int = 0  # files that the database speaks of and the disk has not
    missing_named: list[str] = field(default_factory=list)  # the first of them
    _list: Any = field(default_factory=hashlib.sha256)

    def add_file(self, digest: str, size: int, found: str) -> None:
        """Note a file that is called `digest` and whose bytes have the digest `found`."""
        self.files += 1
        self.bytes_of_files += size
        self._list.update(f"{digest} {size}\n".encode())
        if found != digest:
            self.damaged[digest] = found

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "rows": self.rows,
            "members": {name: list(facts) for name, facts in self.members.items()},
            "files": {"count": self.files, "bytes": self.bytes_of_files, "sha256": self._list.hexdigest()},
            "damaged": self.damaged,
            "missing": {"count": self.missing, "named": self.missing_named},
        }


# --- writing -------------------------------------------------------------------------------------------------------


def member(name: str, size: int, body: Iterable[bytes], at: datetime) -> Iterator[bytes]:
    """Give one member of the tar; `body` must have `size` bytes."""
    head = tarfile.TarInfo(name)
    head.size, head.mode, head.mtime = size, 0o600, int(at.timestamp())
    yield head.tobuf(tarfile.USTAR_FORMAT)
    yield from body
    yield b"\0" * (-size % _BLOCK)


def end() -> bytes:
    """Return what ends a tar."""
    return b"\0" * (2 * _BLOCK)


def parts_of(rows: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Give the rows in packed parts, each with the number of its rows."""
    waiting: list[bytes] = []
    size = 0
    for some in rows:
        waiting.append(some)
        size += len(some)
        if size >= PART:
            yield _packed(waiting)
            waiting, size = [], 0
    if waiting:
        yield _packed(waiting)


def _packed(waiting: list[bytes]) -> tuple[bytes, int]:
    text = b"".join(waiting)
    return gzip.compress(text, compresslevel=1, mtime=0), text.count(b"\n")


class _Pulled:
    """The pieces of a generator as something to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece, self._at = b"", 0

    def read(self, size: int = -1) -> bytes:
        while self._at >= len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._piece, self._at = piece, 0
        until = len(self._piece) if size < 0 else self._at + size
        found = self._piece[self._at : until]
        self._at += len(found)
        return found


class Target(Protocol):
    """Where the backup is written to."""

    def write(self, data: bytes, /) -> Any: ...


def close_with(key: Key, pieces: Iterator[bytes], target: Target) -> None:
    """Write the pieces, closed with the key, to `target`.

    Raises:
        PassphraseTooShort, hiepdong.exchange.signing.NoRecipient: the key is none.
    """
    recipient = key.recipient
    if key.passphrase or not recipient:
        if len(key.passphrase) < SHORTEST_PASSPHRASE:
            raise PassphraseTooShort(length=len(key.passphrase))
        identity, recipient = signing.new_stream_key()
        target.write(signing.encrypt_with_passphrase(identity.encode(), key.passphrase))
    signing.encrypt_stream(_Pulled(pieces), target, recipient=recipient)


# --- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens the age file in a backup, and where in the backup that begins."""

    identity: str
    start: int


def unlock(source: BinaryIO, key: Key) -> Opening:
    """Return how the backup in `source`, which is at its beginning, is opened. With a passphrase it takes a second.

    Raises:
        NoBackup, NeedsPassphrase, NeedsIdentity, hiepdong.exchange.signing.NotOpened, SealBroken: as they say.
    """
    start = source.read(4096)
    if start.startswith(_AGE):
        if not key.identity:
            raise NeedsIdentity
        return Opening(key.identity, 0)
    if not start.startswith(_KEY_BEGINS):
        raise NoBackup
    if not key.passphrase:
        raise NeedsPassphrase
    lines, mark, _rest = start.partition(_KEY_ENDS)
    if not mark:
        raise signing.SealBroken
    identity = signing.decrypt_with_passphrase(lines + mark, key.passphrase).decode("ascii", "replace")
    return Opening(identity, len(lines) + len(mark))


class _Pipe:
    """Between the thread that decrypts and the reader: holds some pieces and makes each side wait for the other."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=8)
        self._gathered: list[bytes] = []
        self._size = 0
        self._waiting, self._at = b"", 0
        self._over = False
        self.given_up = threading.Event()

    def write(self, data: bytes) -> int:
        if self.given_up.is_set():
            raise BrokenPipeError
        self._gathered.append(bytes(data))
        self._size += len(data)
        if self._size >= _PIECE:
            self._send()
        return len(data)

    def _send(self) -> None:
        self._queue.put(b"".join(self._gathered))
        self._gathered, self._size = [], 0

    def finish(self, error: BaseException | None) -> None:
        self._send()
        self._queue.put(error)

    def drain(self) -> None:
        """Take what comes until the other side has seen that nobody reads on."""
        self.given_up.set()
        while not self._over:
            self._over = not isinstance(self._queue.get(), bytes)

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end.

        Raises:
            DomainError: the bytes so far were genuine, and the next are not.
        """
        while self._at >= len(self._waiting) and not self._over:
            piece = self._queue.get()
            if not isinstance(piece, bytes):
                self._over = True
                if piece is not None:
                    raise piece
            else:
                self._waiting, self._at = piece, 0
        found = self._waiting[self._at : self._at + size]
        self._at += len(found)
        return found

    def exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self.read(min(size, _PIECE))
            if not piece:
                raise BackupAltered(what="manifest.json")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


@contextlib.contextmanager
def opened(source: BinaryIO, opening: Opening) -> Generator[_Pipe]:
    """Give the tar in the envelope as something to read from; reading raises what `signing.decrypt_stream` does."""
    source.seek(opening.start)
    pipe = _Pipe()

    def work() -> None:
        try:
            signing.decrypt_stream(source, pipe, identity=opening.identity)
        except BaseException as error:
            pipe.finish(error)
        else:
            pipe.finish(None)

    thread = threading.Thread(target=work, name="decrypt", daemon=True)
    thread.start()
    try:
        yield pipe
    finally:
        pipe.drain()
        thread.join()


@dataclass(slots=True)
class Visitor:
    """What is done with each member that was found to be right. The default does nothing: that is a check."""

    head: Callable[[Head], None] = lambda _head: None
    part: Callable[[Table, bytes], None] = lambda _table, _text: None
    secret: Callable[[str], None] = lambda _secret: None
    file: Callable[[str, Iterator[bytes]], None] | None = None


def walk(pipe: _Pipe, visitor: Visitor, after: Callable[[], None]) -> tuple[Head, Manifest]:
    """Read a backup from its first to its last byte and check everything that it says of itself.

    `after` is called after each member. A part and the secret are shown to the visitor after they were read whole, a file
    while it is read; whether all of them are the right ones is known only when this returns.

    Raises:
        NoBackup, BackupAltered, hiepdong.exchange.signing.SealBroken: as they say.
    """
    found = Manifest()
    head: Head | None = None
    said: dict[str, Any] | None = None
    tables: dict[str, Table] = {}
    previous = ""
    while (entry := _next(pipe)) is not None:
        name, size = entry
        if said is not None:
            raise BackupAltered(what=name)
        if head is None:
            if name != "backup.json":
                raise NoBackup
            data = _note(pipe, name, size, found)
            head = read_head(_json(data, name))
            tables = {t.name: t for t in head.tables}
            found.rows = dict.fromkeys(tables, 0)
            visitor.head(head)
        elif part := _PART_NAME.fullmatch(name):
            if part[1] not in tables or name in found.members:
                raise BackupAltered(what=name)
            text = _unpacked(_note(pipe, name, size, found, LARGEST_PART), name)
            rows = text.count(b"\n")
            if not text.endswith(b"\n") or text.count(b"\t") != rows * (len(tables[part[1]].columns) - 1):
                raise BackupAltered(what=name)
            found.rows[part[1]] += rows
            visitor.part(tables[part[1]], text)
        elif name == "secret-key" and name not in found.members:
            visitor.secret(_note(pipe, name, size, found).decode("utf-8", "replace").strip())
        elif (kept := FILE_NAME.fullmatch(name)) and kept[2] > previous:
            previous = kept[2]
            _file(pipe, previous, size, found, visitor)
        elif name == "manifest.json":
            said = _json(pipe.exactly(_bounded(name, size, LARGEST_NOTE)), name)
        else:
            raise BackupAltered(what=name[:120])
        pipe.exactly(-size % _BLOCK)
        after()
    while rest := pipe.read(_PIECE):  # to the end: only then the envelope says that nothing is missing
        if rest.strip(b"\0"):
            raise BackupAltered(what="manifest.json")
    if head is None or said is None:
        raise BackupAltered(what="manifest.json")
    _hear_of_missing(said, found)
    mine = json.loads(json.dumps(found.as_json()))
    for key in mine.keys() | said.keys():
        if mine.get(key) != said.get(key):
            raise BackupAltered(what=_difference(mine.get(key), said.get(key)) or key)
    return head, found


def _hear_of_missing(said: dict[str, Any], found: Manifest) -> None:
    """Take from the manifest what a reader cannot see: which files were not on the disk."""
    try:
        found.missing = int(said["missing"]["count"])
        found.missing_named = [str(n) for n in said["missing"]["named"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BackupAltered(what="manifest.json") from error


def _difference(mine: Any, said: Any) -> str:
    """Return the first name of which two lists say different things."""
    if isinstance(mine, dict) and isinstance(said, dict):
        return next((str(k) for k in sorted(mine.keys() | said.keys()) if mine.get(k) != said.get(k)), "")
    return ""


def _next(pipe: _Pipe) -> tuple[str, int] | None:
    block = pipe.exactly(_BLOCK)
    if not block.strip(b"\0"):
        return None
    try:
        head = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise BackupAltered(what="tar") from error
    if head.type != tarfile.REGTYPE or head.size < 0:
        raise BackupAltered(what=head.name[:120])
    return head.name, head.size


def _bounded(name: str, size: int, largest: int) -> int:
    if size > largest:
        raise BackupAltered(what=name)
    return size


def _note(pipe: _Pipe, name: str, size: int, found: Manifest, largest: int = LARGEST_NOTE) -> bytes:
    data = pipe.exactly(_bounded(name, size, largest))
    found.members[name] = (size, hashlib.sha256(data).hexdigest())
    return data


def _json(data: bytes, name: str) -> Any:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BackupAltered(what=name) from error
    if not isinstance(found, dict):
        raise BackupAltered(what=name)
    return found


def _unpacked(data: bytes, name: str) -> bytes:
    """Return the text of a part; one that would become larger than any part of ours is not unpacked further."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(data, LARGEST_PART)
    except zlib.error as error:
        raise BackupAltered(what=name) from error
    if not unpacking.eof or unpacking.unused_data:
        raise BackupAltered(what=name)
    return text


def _file(pipe: _Pipe, digest: str, size: int, found: Manifest, visitor: Visitor) -> None:
    summed = hashlib.sha256()
    left = size

    def pieces() -> Iterator[bytes]:
        nonlocal left
        while left:
            piece = pipe.exactly(min(left, _PIECE))
            summed.update(piece)
            left -= len(piece)
            yield piece

    body = pieces()
    if visitor.file is not None:
        visitor.file(digest, body)
    for _piece in body:
        pass
    found.add_file(digest, size, summed.hexdigest())
