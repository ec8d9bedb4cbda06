"""Attachments on their way: gathered piece by piece, resumed after a cut, kept only when the digest fits."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from hiepdong.documents.models import File
from hiepdong.documents.services import LARGEST, keep_file, path_of
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop

from .domain.classified import ClassifiedContent, file_bears_mark
from .models import Attachment, Peer

PIECE = 1024 * 1024  # bytes in one request
SPARE = 256 * 1024 * 1024  # bytes of the disk that files on their way must leave free


class PieceUnusable(DomainError):
    """A piece that does not continue what is here, or is larger than the file."""

    code = "exchange.piece_unusable"
    message = gettext_noop("A piece of a file begins at byte %(start)s; %(have)s bytes are here of %(size)s.")
    hint = gettext_noop("Continue at the byte that this node names.")


class FileWrong(DomainError):
    """All bytes are here and they are not those that were signed."""

    code = "exchange.file_wrong"
    message = gettext_noop("The file %(name)s that came is not the one that was signed.")
    hint = gettext_noop("What came was thrown away and is asked for again.")


class DiskFull(DomainError):
    """There is no room for what comes."""

    code = "exchange.disk_full"
    message = gettext_noop("The disk of this node is nearly full; files are not taken for now.")
    hint = gettext_noop("Make room; papers are still taken, their files follow.")


def gathered_path(file: File, peer: Peer) -> Path:
    """Return where the pieces of a file that a peer gives are gathered: one place per peer, so that none spoils another's."""
    return path_of(file.digest).parent / f"{file.digest}.{uuid.UUID(str(peer.node_id)).hex}.part"


def gathered(file: File, peer: Peer) -> int:
    """Return how many bytes are here."""
    if file.kept:
        return file.size
    try:
        return gathered_path(file, peer).stat().st_size
    except OSError:
        return 0


def gather(file: File, peer: Peer, *, piece: bytes, start: int, at: datetime) -> int:
    """Add a piece that continues what is here, and keep the file when it is whole; returns how many bytes are here.

    Raises:
        PieceUnusable, FileWrong, DiskFull. ClassifiedContent: the file bears a secrecy mark; nothing of it is kept.
    """
    have = gathered(file, peer)
    if file.kept:
        return have
    if start != have or have + len(piece) > file.size or file.size > LARGEST:
        raise PieceUnusable(start=start, have=have, size=file.size)
    path = gathered_path(file, peer)
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free - len(piece) < SPARE:
        raise DiskFull
    with path.open("ab") as target:
        target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    have += len(piece)
    if have == file.size:
        _keep(file, path, at)
    return have


def gather_all(file: File, peer: Peer, pieces: Iterable[bytes], *, at: datetime) -> int:
    """Add pieces that continue what is here, one after the other; what came before a cut stays for the next time."""
    have = gathered(file, peer)
    for piece in pieces:
        have = gather(file, peer, piece=piece, start=have, at=at)
    return have


def _keep(file: File, path: Path, at: datetime) -> None:
    data = path.read_bytes()
    try:
        if hashlib.sha256(data).hexdigest() != file.digest:
            raise FileWrong(name=file.name)
        names = Attachment.objects.filter(file=file).values_list("name", flat=True).distinct()[:5]
        if any(file_bears_mark(name, data) for name in names):
            record("exchange.file.refused", subject=file, actor=None, at=at, facts={"digest": file.digest})
            raise ClassifiedContent
        kept = keep_file(data=data, name=file.name, media_type=file.media_type, at=at)
        file.kept = kept.kept
        record("exchange.file.arrived", subject=file, actor=None, at=at, facts={"digest": file.digest})
    finally:
        path.unlink(missing_ok=True)
