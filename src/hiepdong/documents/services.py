"""Numbers and files."""

import hashlib
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from hiepdong.kernel.disk import sync_folder, whole_file
from hiepdong.kernel.errors import DomainError, gettext_noop

from .models import File, Series

LARGEST = 50 * 1024 * 1024


class FileTooLarge(DomainError):
    """The file is larger than a node keeps."""

    code = "documents.file_too_large"
    message = gettext_noop("The file %(name)s has %(size)s bytes.")
    hint = gettext_noop("A file may have at most 50 MB; split it or lower its resolution.")


class FileDamaged(DomainError):
    """The bytes on the disk are not those that were kept."""

    code = "documents.file_damaged"
    message = gettext_noop("The file %(name)s on this node is damaged.")
    hint = gettext_noop("Restore it from the backup, or ask the sender to send it again.")


@transaction.atomic
def take_number(*, organisation_id: int, register: str, year: int) -> int:
    """Return the next number of the series, starting at 1; it is given back if the caller's transaction fails.

    Two callers at once wait for each other (row lock on PostgreSQL, the write transaction itself on SQLite).
    """
    return take_numbers(organisation_id=organisation_id, register=register, year=year, count=1)


@transaction.atomic
def take_numbers(*, organisation_id: int, register: str, year: int, count: int) -> int:
    """Take `count` numbers in a row and return the first of them."""
    Series.objects.get_or_create(organisation_id=organisation_id, register=register, year=year)
    series = Series.objects.select_for_update().get(organisation_id=organisation_id, register=register, year=year)
    first = series.last_number + 1
    series.last_number += count
    series.save(update_fields=["last_number"])
    return first


def refuse_too_large(*, name: str, size: int) -> None:
    """Raise `FileTooLarge` if a file of that many bytes is not kept; to be asked before it is read."""
    if size > LARGEST:
        raise FileTooLarge(name=name[:200], size=size)


def path_of(digest: str) -> Path:
    """Return where the bytes with that SHA-256 are kept."""
    return Path(settings.MEDIA_ROOT) / digest[:2] / digest


@transaction.atomic
def keep_file(*, data: bytes, name: str, media_type: str, at: datetime) -> File:
    """Keep bytes once, under their digest; on the disk before the row is committed.

    Raises:
        FileTooLarge: more than 50 MB.
    """
    refuse_too_large(name=name, size=len(data))
    digest = hashlib.sha256(data).hexdigest()
    target = path_of(digest)
    if not _holds(target, data):  # also writes over a damaged one: whoever has the right bytes mends it
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as out:
            out.write(data)
        sync_folder(target.parent)
    found, _made = File.objects.get_or_create(
        digest=digest, defaults={"size": len(data), "media_type": media_type[:100], "name": name[:200], "added_at": at}
    )
    if not found.kept:
        found.kept, found.size = True, len(data)
        found.save(update_fields=["kept", "size"])
    return found


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def is_on_disk(file: File) -> bool:
    """Say whether there are as many bytes as were kept; whether they are the same is checked when they are read."""
    try:
        return path_of(file.digest).stat().st_size == file.size
    except OSError:
        return False


def read_file(file: File, *, name: str = "") -> bytes:
    """Return the bytes of a kept file, checked against their digest.

    `name` is what the reader knows the file by: the first who kept these bytes may have called them otherwise.

    Raises:
        FileDamaged: they are missing or changed.
    """
    try:
        data = path_of(file.digest).read_bytes()
    except OSError as error:
        raise FileDamaged(name=name or file.name) from error
    if hashlib.sha256(data).hexdigest() != file.digest:
        raise FileDamaged(name=name or file.name)
    return data
