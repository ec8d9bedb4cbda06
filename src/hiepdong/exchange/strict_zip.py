"""Zip files as bundles use them: a writer, and a reader that accepts nothing that two programs could read differently.

Every byte of the file has to belong to one member, to its headers or to the directory; both descriptions of a member have to
agree. No ZIP64, no encryption, no comments, no second names, no links. So what this reader sees is what every other one
sees, and a member can hide neither behind another nor between two. Format: PKWARE APPNOTE 6.3.
"""

import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import bundle_refusals as refusals
from .bundle_refusals import shown

CHUNK = 256 * 1024
MOST_BYTES = 0xFFFF_FFFE  # of the whole file: what 32 bits can say, and what a FAT32 stick can hold
MOST_MEMBERS = 0xFFFE
END = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
LATER = 0x0008  # sizes stand behind the data
UTF8 = 0x0800
HARMLESS_FLAGS = 0x0006 | LATER | UTF8  # the two bits between say how hard the packer tried
STORED, DEFLATED = 0, 8
SECOND_MEANING = {0x0001: "ZIP64", 0x7075: "Unicode path", 0x6375: "Unicode comment", 0x9901: "AES"}
DOS_DAY = (1 << 5) | 1  # 1980-01-01, of every member: the same contents give the same bytes
PLAIN_FILE = (stat.S_IFREG | 0o644) << 16
NOT_A_FILE = 0x0008 | 0x0400  # DOS: volume label, reparse point
DOS_FOLDER = 0x0010


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a zip: where its packed bytes stand, how many they are, and what they are unpacked."""

    name: str
    header: int
    body: int
    packed: int
    size: int
    crc: int
    method: int


@dataclass(frozen=True, slots=True)
class _Described:
    """A member as the directory describes it."""

    raw: bytes
    how: tuple[int, int, int, int]  # flags, method, time, day
    crc: int
    packed: int
    size: int
    header: int


class StrictZip:
    """The members of a zip file, checked as far as can be without unpacking.

    `folders` says which folder entries (ending in "/") may stand there; they are empty and left out of `members`.

    Raises:
        BundleRefused: one of its kinds, the first fault.
    """

    def __init__(self, handle: int, name: str, *, most_members: int = MOST_MEMBERS, largest: int, ratio: int) -> None:
        self._handle, self.name, self._most = handle, name, min(most_members, MOST_MEMBERS)
        self.size = os.fstat(handle).st_size
        self.folders: list[str] = []
        self.members: dict[str, Member] = {}
        directory, described = self._directory()
        unpacked = sum(d.size for d in described)
        if unpacked > largest:
            raise refusals.BundleTooLarge(what="Σ", found=unpacked, accepted=largest)
        if unpacked > ratio * self.size:
            raise refusals.BundleBomb(packed=self.size, unpacked=unpacked, ratio=ratio)
        self._place(described, directory)

    # --- the directory ---

    def _read(self, count: int, offset: int) -> bytes:
        try:
            found = os.pread(self._handle, count, offset)
            while 0 < len(found) < count:
                more = os.pread(self._handle, count - len(found), offset + len(found))
                if not more:
                    break
                found += more
        except OSError as error:
            raise refusals.BundleUnreadable(file=shown(self.name), reason=error.strerror or str(error)) from error
        if len(found) < count:
            raise refusals.BundleNotWhole(file=shown(self.name))
        return found

    def _directory(self) -> tuple[int, list[_Described]]:
        """Return where the directory begins, and what it describes."""
        if self.size < END.size:
            raise refusals.BundleNotWhole(file=shown(self.name))
        end = self.size - END.size
        mark, disk, first_disk, here, count, length, start, comment = END.unpack(self._read(END.size, end))
        if mark != b"PK\x05\x06" or comment:
            raise refusals.BundleNotWhole(file=shown(self.name))
        if 0xFFFF in {disk, first_disk, here, count} or 0xFFFFFFFF in {length, start} or self.size > MOST_BYTES:
            raise refusals.BundleForeignZip(entry=shown(self.name), what="ZIP64")
        if disk or first_disk or here != count or start + length != end:
            raise refusals.BundleNotWhole(file=shown(self.name))
        if count > self._most:
            raise refusals.BundleTooLarge(what="n", found=count, accepted=self._most)
        described, at, names = [], start, set()
        for _ in range(count):
            found, at = self._described(at, end)
            if found.raw in names:
                raise refusals.BundleNameTwice(entry=shown(found.raw))
            names.add(found.raw)
            described.append(found)
        if at != end:
            raise refusals.BundleHiddenBytes(entry=shown(self.name), count=end - at)
        return start, described

    def _described(self, at: int, end: int) -> tuple[_Described, int]:
        (mark, _made_by, needed, flags, method, time, day, crc, packed, size, named, extra, comment, disk, _internal,
         external, header) = CENTRAL.unpack(self._read(CENTRAL.size, at))  # fmt: skip
        following = at + CENTRAL.size + named + extra + comment
        if mark != b"PK\x01\x02" or following > end:
            raise refusals.BundleNotWhole(file=shown(self.name))
        raw = self._read(named, at + CENTRAL.size)
        name = shown(raw)
        if flags & 0x2041:  # of the file, strong, of the directory
            raise refusals.BundleMemberLocked(entry=name)
        what = (
            f"flags {flags:#06x}" if flags & ~HARMLESS_FLAGS
            else f"method {method}" if method not in {STORED, DEFLATED}
            else f"version {needed}" if needed & 0xFF > 20
            else "comment" if comment
            else "disk" if disk
            else "ZIP64" if 0xFFFFFFFF in {packed, size, header}
            else _second_meaning(self._read(extra, at + CENTRAL.size + named))
        )  # fmt: skip
        if what:
            raise refusals.BundleForeignZip(entry=name, what=what)
        kind, is_folder = stat.S_IFMT(external >> 16), raw.endswith(b"/")
        if external & NOT_A_FILE or (external & DOS_FOLDER and not is_folder):
            raise refusals.BundleLink(entry=name)
        if kind not in ({0, stat.S_IFDIR} if is_folder else {0, stat.S_IFREG}):  # whatever system claims to have made it
            raise refusals.BundleLink(entry=name)
        if is_folder and (size or packed or method != STORED):
            raise refusals.BundleForeignZip(entry=name, what="folder")
        if method == STORED and size != packed:
            raise refusals.BundleDamaged(entry=name, what="size")
        return _Described(raw, (flags, method, time, day), crc, packed, size, header), following

    # --- the members ---

    def _place(self, described: list[_Described], directory: int) -> None:
        """Check that the members fill the file from its first byte to the directory, each byte once."""
        at = 0
        in_order = sorted(described, key=lambda d: d.header)
        ends = [*(d.header for d in in_order), directory][1:]
        for this, following in zip(in_order, ends, strict=True):
            name = shown(this.raw)
            if this.header != at:
                refuse = refusals.BundleOverlap(entry=name) if this.header < at else None
                raise refuse or refusals.BundleHiddenBytes(entry=name, count=this.header - at)
            body = self._body(this, directory)
            at = self._behind(this, body + this.packed, following)
            try:
                text = this.raw.decode("ascii")
            except UnicodeDecodeError as error:
                raise refusals.BundleBadName(entry=name) from error
            if text.endswith("/"):
                self.folders.append(text)
            else:
                self.members[text] = Member(text, this.header, body, this.packed, this.size, this.crc, this.how[1])
        if at != directory:
            raise refusals.BundleHiddenBytes(entry=shown(self.name), count=directory - at)

    def _body(self, this: _Described, directory: int) -> int:
        """Compare the member's own header with the directory; return where its data begin."""
        name = shown(this.raw)
        mark, _needed, flags, method, time, day, crc, packed, size, named, extra = LOCAL.unpack(
            self._read(LOCAL.size, this.header)
        )
        body = this.header + LOCAL.size + named + extra
        if mark != b"PK\x03\x04":
            raise refusals.BundleDamaged(entry=name, what="local header")
        if body + this.packed > directory:
            raise refusals.BundleOverlap(entry=name)
        if (flags, method, time, day) != this.how or self._read(named, this.header + LOCAL.size) != this.raw:
            raise refusals.BundleDamaged(entry=name, what="local header")
        said = (crc, packed, size)
        if said != (this.crc, this.packed, this.size) and not (flags & LATER and said == (0, 0, 0)):
            raise refusals.BundleDamaged(entry=name, what="local header")
        if what := _second_meaning(self._read(extra, this.header + LOCAL.size + named)):
            raise refusals.BundleForeignZip(entry=name, what=what)
        return body

    def _behind(self, this: _Described, end: int, following: int) -> int:
        """Return where the member ends, its sizes behind the data included."""
        if not this.how[0] & LATER:
            return end
        said = struct.pack("<3L", this.crc, this.packed, this.size)
        for form in (b"PK\x07\x08" + said, said):
            if following - end == len(form) and self._read(len(form), end) == form:
                return following
        raise refusals.BundleDamaged(entry=shown(this.raw), what="data descriptor")

    def chunks(self, member: Member) -> Iterator[bytes]:
        """Yield the bytes of a member in pieces of at most `CHUNK`; the last step checks size and CRC.

        Several members may be read at once.

        Raises:
            BundleDamaged: it cannot be unpacked, or is not what the directory says.
        """
        size, crc = 0, 0
        for piece in self._stored(member) if member.method == STORED else self._inflated(member):
            size += len(piece)
            if size > member.size:
                raise refusals.BundleDamaged(entry=member.name, what="size")
            crc = zlib.crc32(piece, crc)
            yield piece
        if (size, crc) != (member.size, member.crc):
            raise refusals.BundleDamaged(entry=member.name, what="CRC-32")

    def _stored(self, member: Member) -> Iterator[bytes]:
        for at in range(0, member.packed, CHUNK):
            yield self._read(min(CHUNK, member.packed - at), member.body + at)

    def _inflated(self, member: Member) -> Iterator[bytes]:
        unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for packed in self._stored(member):
                if unpack.eof:  # else zlib would hold all that follows
                    raise refusals.BundleDamaged(entry=member.name, what="deflate")
                piece = unpack.decompress(packed, CHUNK)
                while piece:
                    yield piece
                    piece = unpack.decompress(unpack.unconsumed_tail, CHUNK) if not unpack.eof else b""
        except zlib.error as error:
            raise refusals.BundleDamaged(entry=member.name, what="deflate") from error
        if not unpack.eof or unpack.unused_data:
            raise refusals.BundleDamaged(entry=member.name, what="deflate")


def _second_meaning(extra: bytes) -> str:
    """Return which extra field gives a member another size, name or encryption; "" if none does."""
    at = 0
    while at < len(extra):
        if at + 4 > len(extra):
            return "extra field"
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4 + length
        if kind in SECOND_MEANING:
            return SECOND_MEANING[kind]
    return "" if at == len(extra) else "extra field"


class ZipWriter:
    """Writes members one after the other; the same contents give the same bytes.

    `refuse` is called with every OSError of the disk and returns what to raise.
    """

    def __init__(self, out: BinaryIO, refuse: Callable[[OSError], Exception]) -> None:
        self._out, self._refuse, self._directory, self._at, self._count = out, refuse, bytearray(), 0, 0

    def _write(self, data: bytes) -> None:
        try:
            self._out.write(data)
        except OSError as error:
            raise self._refuse(error) from error
        self._at += len(data)

    def add(self, name: str, data: bytes) -> None:
        """Write a member whole, deflated if that helps.

        What shrinks to less than a hundredth is stored as it is: a reader takes a zip that unpacks to more than 200 times
        its size for a bomb, and a report of a hundred thousand blanks is none.
        """
        packer = zlib.compressobj(4, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(data) + packer.flush()
        method = DEFLATED if len(packed) < len(data) <= 100 * len(packed) else STORED
        packed = packed if method == DEFLATED else data
        self._room(len(packed))
        described = (method, 0, DOS_DAY, zlib.crc32(data), len(packed), len(data))
        start = self._at
        self._write(LOCAL.pack(b"PK\x03\x04", 20, 0, *described, len(name), 0) + name.encode("ascii"))
        self._write(packed)
        self._describe(name, start, described)

    def add_stream(self, name: str, chunks: Iterator[bytes]) -> None:
        """Write a member in pieces, stored."""
        self._room(0)
        start, size, crc = self._at, 0, 0
        self._write(LOCAL.pack(b"PK\x03\x04", 20, 0, STORED, 0, DOS_DAY, 0, 0, 0, len(name), 0) + name.encode("ascii"))
        for chunk in chunks:
            self._room(len(chunk))
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
            self._write(chunk)
        described = (STORED, 0, DOS_DAY, crc, size, size)
        try:
            self._out.seek(start)
            self._out.write(LOCAL.pack(b"PK\x03\x04", 20, 0, *described, len(name), 0))
            self._out.seek(self._at)
        except OSError as error:
            raise self._refuse(error) from error
        self._describe(name, start, described)

    def _room(self, more: int) -> None:
        """Refuse what 32 bits cannot say; room for the directory is kept."""
        if self._count >= MOST_MEMBERS:
            raise refusals.BundleTooLarge(what="n", found=self._count + 1, accepted=MOST_MEMBERS)
        size = self._at + len(self._directory) + more + 2 * CHUNK
        if size > MOST_BYTES:
            raise refusals.BundleTooLarge(what="Σ", found=size, accepted=MOST_BYTES)

    def _describe(self, name: str, start: int, described: tuple[int, ...]) -> None:
        made_by = (3 << 8) | 20  # unix: the attributes are a file mode
        self._directory += CENTRAL.pack(
            b"PK\x01\x02", made_by, 20, 0, *described, len(name), 0, 0, 0, 0, PLAIN_FILE, start
        ) + name.encode("ascii")
        self._count += 1

    def close(self) -> None:
        """Write the directory."""
        start = self._at
        self._write(bytes(self._directory))
        self._write(END.pack(b"PK\x05\x06", 0, 0, self._count, self._count, len(self._directory), start, 0))
