"""Attachments on their way: gathered piece by piece, resumed after a cut, kept only when the digest fits."""

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models import Q

from hiepdong.documents.models import File
from hiepdong.documents.services import LARGEST, keep_file, path_of
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop

from . import links, signing
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


def size_from(file: File, peer: Peer) -> int:
    """Return how many bytes the papers of this peer say that a file has.

    Another peer may have named the same digest with another size first: its lie spoils only what it gives itself.
    """
    named = Attachment.objects.filter(file=file).exclude(dispatch__sender__residence__peer__isnull=True)
    named = named.filter(Q(dispatch__sender__residence__peer=peer) | Q(dispatch__sender__residence__peer__via=peer))
    signed = named.order_by("id").values_list("dispatch__signed", flat=True).first()
    claims = signing.claims_of(bytes(signed)) if signed is not None else {}
    sizes = [a["size"] for a in claims.get("attachments", ()) if a["digest"] == file.digest]
    return int(sizes[0]) if sizes else file.size


def gathered(file: File, peer: Peer) -> int:
    """Return how many bytes are here.

    All of them but not kept yet (the node was killed just then): one less, so that the giver comes once more.
    """
    if file.kept:
        return file.size
    try:
        have = gathered_path(file, peer).stat().st_size
    except OSError:
        return 0
    size = size_from(file, peer)
    return have if have < size else size - 1 if have == size else 0


def gather(file: File, peer: Peer, *, piece: bytes, start: int, at: datetime) -> int:
    """Add a piece that continues what is here, and keep the file when it is whole; returns how many bytes are here.

    Two pieces at once: the second finds what the first wrote, and is told where to continue.

    Raises:
        PieceUnusable, FileWrong, DiskFull. ClassifiedContent: the file bears a secrecy mark; nothing of it is kept.
    """
    if file.kept:
        return file.size
    path, size = gathered_path(file, peer), size_from(file, peer)
    if size > LARGEST or start + len(piece) > size:
        raise PieceUnusable(start=start, have=gathered(file, peer), size=size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free - len(piece) < SPARE:
            raise DiskFull
        with path.open("ab") as target:
            fcntl.flock(target, fcntl.LOCK_EX)
            have = os.fstat(target.fileno()).st_size
            if have > size:
                target.truncate(have := 0)  # more than there can be
            if have not in {start, size}:
                raise PieceUnusable(start=start, have=have, size=size)
            if have != size:
                target.write(piece)
                target.flush()
                os.fsync(target.fileno())
                have += len(piece)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise DiskFull from error  # what was written before it stays and is continued
        raise
    if have == size:
        _keep(file, peer, path, at)
    return have


def gather_all(file: File, peer: Peer, pieces: Iterable[bytes], *, at: datetime) -> int:
    """Add pieces that continue what is here, one after the other; what came before a cut stays for the next time."""
    have = gathered(file, peer)
    for piece in pieces:
        have = gather(file, peer, piece=piece, start=have, at=at)
    return have


def _keep(file: File, peer: Peer, path: Path, at: datetime) -> None:
    data = path.read_bytes()
    try:
        if hashlib.sha256(data).hexdigest() != file.digest:
            raise FileWrong(name=file.name)
        names = Attachment.objects.filter(file=file).values_list("name", flat=True).distinct()[:5]
        if any(file_bears_mark(name, data) for name in names):
            with transaction.atomic():
                facts = {"digest": file.digest}
                links.note_incident(peer=peer, code="exchange.file_classified", facts=facts, at=at)
                record("exchange.file.refused", subject=file, actor=None, at=at, facts=facts)
            raise ClassifiedContent
        with transaction.atomic():
            kept = keep_file(data=data, name=file.name, media_type=file.media_type, at=at)
            record("exchange.file.arrived", subject=file, actor=None, at=at, facts={"digest": file.digest})
    except (FileWrong, ClassifiedContent):
        path.unlink(missing_ok=True)
        raise
    file.kept = kept.kept
    path.unlink(missing_ok=True)  # after the commit: a kill before it finds the pieces again
