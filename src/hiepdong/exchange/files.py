"""Attachments on their way: gathered piece by piece, resumed after a cut, kept only when the digest fits.

Most are named by papers that are here (`File`). Those of papers that only pass through (`RelayedFile`) are asked for from
the node that gave the paper, lie beside the others, go to the node that the paper goes to and to no other, and are let go
some time after they arrived there.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q

from hiepdong.documents.models import File
from hiepdong.documents.services import LARGEST, keep_file, path_of
from hiepdong.journal.services import record
from hiepdong.kernel.disk import sync_folder
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import nfc

from . import links, signing
from .domain.classified import ClassifiedContent, file_bears_mark
from .models import Attachment, Parcel, Peer, RelayedFile

PIECE = 1024 * 1024  # bytes in one request
SPARE = 256 * 1024 * 1024  # bytes of the disk that files on their way must leave free
# How long a relayed file stays after it was given and the paper answered: a stick that was damaged comes back within that.
KEPT_AFTER = timedelta(days=60)
AnyFile = File | RelayedFile


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


def gathered_path(file: AnyFile, peer: Peer) -> Path:
    """Return where the pieces of a file that a peer gives are gathered: one place per peer, so that none spoils another's."""
    return path_of(file.digest).parent / f"{file.digest}.{uuid.UUID(str(peer.node_id)).hex}.part"


def place_of(file: AnyFile) -> Path:
    """Return where the bytes are: of a relayed file one place per giver, so that nobody gives on what he never had."""
    if isinstance(file, File):
        return path_of(file.digest)
    return path_of(file.digest).parent / f"{file.digest}.{uuid.UUID(str(file.giver.node_id)).hex}.relayed"


def is_here(file: AnyFile) -> bool:
    """Say whether all bytes are on the disk; whether they are the same is checked by who reads them."""
    try:
        return file.kept and place_of(file).stat().st_size == file.size
    except OSError:
        return False


def size_from(file: AnyFile, peer: Peer) -> int:
    """Return how many bytes the papers of this peer say that a file has.

    Another peer may have named the same digest with another size first: its lie spoils only what it gives itself.
    """
    if isinstance(file, RelayedFile):
        return file.size
    named = Attachment.objects.filter(file=file).exclude(dispatch__sender__residence__peer__isnull=True)
    named = named.filter(Q(dispatch__sender__residence__peer=peer) | Q(dispatch__sender__residence__peer__via=peer))
    signed = named.order_by("id").values_list("dispatch__signed", flat=True).first()
    claims = signing.claims_of(bytes(signed)) if signed is not None else {}
    sizes = [a["size"] for a in claims.get("attachments", ()) if a["digest"] == file.digest]
    return int(sizes[0]) if sizes else file.size


def gathered(file: AnyFile, peer: Peer) -> int:
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


def gather(file: AnyFile, peer: Peer, *, piece: bytes, start: int, at: datetime) -> int:
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


def gather_all(file: AnyFile, peer: Peer, pieces: Iterable[bytes], *, at: datetime) -> int:
    """Add pieces that continue what is here, one after the other; what came before a cut stays for the next time."""
    have = gathered(file, peer)
    for piece in pieces:
        have = gather(file, peer, piece=piece, start=have, at=at)
    return have


def _keep(file: AnyFile, peer: Peer, path: Path, at: datetime) -> None:
    """Keep what a peer has given for all that waits for it: papers that are here, and those that only pass through."""
    data = path.read_bytes()
    waiting = RelayedFile.objects.filter(giver=peer, digest=file.digest, kept=False).select_related("giver")
    own = file if isinstance(file, File) else File.objects.filter(digest=file.digest, kept=False).first()
    try:
        if hashlib.sha256(data).hexdigest() != file.digest:
            raise FileWrong(name=file.name)
        names = [*Attachment.objects.filter(file__digest=file.digest).values_list("name", flat=True).distinct()[:5]]
        names += waiting.values_list("name", flat=True).distinct()[:5]
        if any(file_bears_mark(name, data) for name in names):
            with transaction.atomic():
                facts = {"digest": file.digest}
                links.note_incident(peer=peer, code="exchange.file_classified", facts=facts, at=at)
                record("exchange.file.refused", subject=file, actor=None, at=at, facts=facts)
                waiting.delete()
            raise ClassifiedContent
        with transaction.atomic():
            if own is not None:
                keep_file(data=data, name=own.name, media_type=own.media_type, at=at)
                record("exchange.file.arrived", subject=own, actor=None, at=at, facts={"digest": file.digest})
            passing = waiting.select_for_update(of=("self",)).first()
            if passing is not None:
                place = place_of(passing)
                os.replace(path, place)
                sync_folder(place.parent)
                waiting.update(kept=True)
                record("exchange.file.relayed", subject=passing, actor=None, at=at, facts={"digest": file.digest})
    except (FileWrong, ClassifiedContent):
        path.unlink(missing_ok=True)
        raise
    file.kept = True
    path.unlink(missing_ok=True)  # after the commit: a kill before it finds the pieces again


# --- files of papers that only pass through ---------------------------------------------------------------------------------


def pass_on(*, peer: Peer, giver: Peer, digest: str, attached: Sequence[Mapping[str, Any]]) -> None:
    """Note the files of a paper that is carried on to a peer, in the transaction that carries it: they are to follow it.

    Args:
        peer: to whom; where that node is spoken to through another one, to that other one.
        digest: of the paper.
        attached: as the paper names them, checked (`rows.check_rows`).
    """
    # An empty file needs nobody to bring it; one that is too large is taken by no node.
    named = {str(a["digest"]): a for a in attached if 0 < int(a["size"]) <= LARGEST}
    if not named:
        return
    parcel = Parcel.objects.filter(peer_id=peer.via_id or peer.pk, digest=digest).earliest("pk")
    here = set(RelayedFile.objects.filter(giver=giver, digest__in=named, kept=True).values_list("digest", flat=True))
    RelayedFile.objects.bulk_create(
        (
            RelayedFile(
                parcel=parcel,
                giver=giver,
                digest=each,
                size=int(a["size"]),
                name=nfc(str(a["name"]))[:200],
                kept=each in here,
            )
            for each, a in named.items()
        ),
        ignore_conflicts=True,
        batch_size=500,
    )


def relayed_to(peer: Peer) -> Any:
    """Return the relayed files that are given to a peer and to no other."""
    return RelayedFile.objects.filter(parcel__peer=peer).select_related("giver").order_by("-kept", "id")


def note_given(file: AnyFile, *, at: datetime) -> None:
    """Note that all of a relayed file was given onward; of others nothing needs to be noted."""
    if isinstance(file, RelayedFile):
        RelayedFile.objects.filter(pk=file.pk).update(given_at=at)


def note_answered(*, peer: Peer, digest: str, at: datetime) -> None:
    """Note that a receipt of a peer for a paper came through here: from now on it knows which files it misses."""
    RelayedFile.objects.filter(parcel__digest=digest, parcel__peer=peer, answered_at=None).update(answered_at=at)


def is_lost(file: RelayedFile) -> None:
    """Note that the bytes of a relayed file are gone (they are in no backup), so that they are asked for again."""
    RelayedFile.objects.filter(giver=file.giver, digest=file.digest).update(kept=False)


@transaction.atomic
def let_go(*, at: datetime, limit: int = 1000) -> int:
    """Forget relayed files that nobody waits for any more, and their bytes; returns how many.

    Those are files that were given onward `KEPT_AFTER` ago and not asked for since, of papers that the recipient answered as
    long ago; and those of papers that it refused, or on a link that has ended.
    """
    before = at - KEPT_AFTER
    over = Q(given_at__lte=before, answered_at__lte=before) | Q(parcel__outcome__startswith="refused ")
    over |= Q(parcel__peer__state=Peer.State.ENDED) | Q(giver__state=Peer.State.ENDED, kept=False)
    rows = RelayedFile.objects.filter(over).select_related("giver", "parcel__peer").order_by("id")
    gone = [row for row in rows[:limit] if row.digest not in row.parcel.peer.wanted]
    RelayedFile.objects.filter(pk__in=[row.pk for row in gone]).delete()
    for row in gone:
        record("exchange.file.let_go", subject=row, actor=None, at=at, facts={"digest": row.digest})
    transaction.on_commit(lambda: _unlink(gone))
    return len(gone)


def _unlink(gone: Iterable[RelayedFile]) -> None:
    for row in gone:
        if not RelayedFile.objects.filter(giver=row.giver, digest=row.digest).exists():
            for path in (place_of(row), gathered_path(row, row.giver)):
                path.unlink(missing_ok=True)
