"""Backup and restore of a whole node: the database in one state, the kept files, the secret; one encrypted file.

While the node runs. A backup that is cut off leaves nothing under its name. A restore that is cut off leaves a folder in
which every command refuses to work (`shell.commands.UNFINISHED`), and an empty database.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor

from hiepdong.exchange import links, search_index
from hiepdong.kernel.disk import sync_folder
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.shell.commands import UNFINISHED

from . import archive, dump, services

Tell = Callable[[str, int], None]
_DERIVED = ("sqlite_", "exchange_search")  # tables that a database makes for itself, the word index
_OF_THE_DISK = {
    *(errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG),
}
_UNWRITTEN_BY_SQLITE = ("database or disk is full", "disk I/O error")
_NAMED = 100  # missing files are named up to here, the rest is counted


class BackupExists(DomainError):
    """There is a file of this name already."""

    code = "web.backup_exists"
    message = gettext_noop("%(path)s is there already.")
    hint = gettext_noop("Name a new file for each backup, best with the day in its name.")


class BackupBusy(DomainError):
    """Another process is writing the same backup."""

    code = "web.backup_busy"
    message = gettext_noop("Another backup is being written to %(path)s.")
    hint = gettext_noop("Wait until it is done, or name another file.")


class BackupUnwritten(DomainError):
    """The backup could not be written."""

    code = "web.backup_unwritten"
    message = gettext_noop("The backup could not be written to %(folder)s (%(reason)s). Nothing of it was left there.")
    hint = gettext_noop("Look at the folder and its rights, or name another disk.")


class BackupDiskFull(BackupUnwritten):
    """No room for the backup."""

    code = "web.backup_disk_full"
    message = gettext_noop("There is not enough room in %(folder)s for the backup. Nothing of it was left there.")
    hint = gettext_noop("Make room there or name another disk.")


class BackupTooLarge(BackupUnwritten):
    """The file system takes no file of that size."""

    code = "web.backup_too_large"
    message = gettext_noop("The disk of %(folder)s takes no file as large as the backup. Nothing of it was left there.")
    hint = gettext_noop("A stick formatted as FAT takes at most 4 GB; format it as exFAT or name another disk.")


class NoSecret(DomainError):
    """There is nothing to back up yet."""

    code = "web.backup_no_secret"
    message = gettext_noop("This node has no secret yet.")
    hint = gettext_noop("Run `hiepdong setup` first, or look at HIEPDONG_DATA.")


class NodeNotEmpty(DomainError):
    """A restore never writes over a node."""

    code = "web.restore_not_empty"
    message = gettext_noop("There is something in %(place)s already.")
    hint = gettext_noop("Restore into an empty folder, and with PostgreSQL into an empty database.")


class OtherSecret(DomainError):
    """The environment names another secret than the one in the backup."""

    code = "web.restore_other_secret"
    message = gettext_noop(
        "HIEPDONG_SECRET_KEY is not the secret in the backup: the keys of the node could not be opened with it."
    )
    hint = gettext_noop("Take HIEPDONG_SECRET_KEY out of the settings; the secret is restored from the backup.")


class RestoreUnwritten(DomainError):
    """The node could not be written."""

    code = "web.restore_unwritten"
    message = gettext_noop("The node could not be written to %(folder)s (%(reason)s). What was begun there was taken away.")
    hint = gettext_noop("Look at the folder and its rights, and run it again; the backup is whole.")


class RestoreDiskFull(RestoreUnwritten):
    """No room for the node."""

    code = "web.restore_disk_full"
    message = gettext_noop("There is not enough room in %(folder)s for the node. What was begun there was taken away.")
    hint = gettext_noop("Make room there and run it again; the backup is whole.")


_FULL = {errno.ENOSPC: BackupDiskFull, errno.EDQUOT: BackupDiskFull, errno.EFBIG: BackupTooLarge}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a backup holds, or what was restored from it. `at` is when its state was taken (aware); sizes are in bytes."""

    at: datetime
    program: str
    database: str
    node: dict[str, str]
    rows: int
    files: int
    bytes_of_files: int
    damaged: list[str]  # files whose bytes do not fit their name: kept as they are
    missing: int  # files that the database speaks of and the disk has not
    missing_named: list[str]
    left_out: list[str]  # tables that are none of ours
    size: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"at": self.at.isoformat()}


# --- backup --------------------------------------------------------------------------------------------------------


def back_up(*, path: Path, key: archive.Key, at: datetime, tell: Tell) -> Facts:
    """Write the node to a new file, closed with the key; others may write to the node meanwhile.

    `tell` is called with what is being written and how much of it is done.

    Raises:
        BackupExists, BackupBusy, BackupUnwritten, NoSecret: as they say; nothing stands under the name.
        hiepdong.web.dump.NotThisProgram: the database is that of a newer program.
    """
    if not (settings.HIEPDONG_SECRET_KEY or (Path(settings.HIEPDONG_DATA) / "secret-key").is_file()):
        raise NoSecret
    with _new_file(path) as target, dump.snapshot() as taken:
        making = _Making(at=at, tell=tell, taken=taken)
        archive.close_with(key, making.pieces(), target)
    return making.facts(size=target.size, sha256=target.summed.hexdigest())


class _NewFile:
    """A file that is summed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.summed = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self._file.write(data)
        self.summed.update(data)
        self.size += len(data)
        return len(data)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[_NewFile]:
    """Give a file that gets its name only when it is whole and on the disk; else nothing of it is left.

    Only a process that was killed leaves `<name>.part`, and the next backup to that name writes over it.
    """
    part = path.with_name(path.name + ".part")
    if path.exists():
        raise BackupExists(path=path)
    mine = False
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = os.path.samestat(part.stat(), os.fstat(file.fileno())) and not path.exists()
            except (BlockingIOError, FileNotFoundError) as error:
                raise BackupBusy(path=path) from error
            if not mine:  # the other one was done between our look and our lock
                raise BackupBusy(path=path)
            file.truncate(0)
            made = _NewFile(file)
            yield made
            file.flush()
            os.fsync(file.fileno())
            os.rename(part, path)
            sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            if mine or part.stat().st_size == 0:  # empty: stopped before the lock
                part.unlink()
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            kind = _FULL.get(error.errno or 0, BackupUnwritten)
            raise kind(folder=path.parent, reason=error.strerror) from error
        raise


class _Making:
    """One backup while it is made: the pieces of the tar, one after the other, and what was seen on the way."""

    def __init__(self, *, at: datetime, tell: Tell, taken: dump.Snapshot) -> None:
        self._at, self._tell, self._taken = at, tell, taken
        self._manifest = archive.Manifest()
        migrations = taken.applied()
        tables = dump.tables_at(migrations)
        names = taken.names()
        mine = {t.name for t in tables} | dump.LEFT_OUT | {"django_migrations"}
        self._left_out = sorted(n for n in names - mine if not n.startswith(_DERIVED))
        self._head = archive.Head(
            program=metadata.version("hiepdong"),
            at=at,
            node=self._node(tables),
            database=connection.vendor,
            migrations=tuple(migrations),
            tables=tuple(tables),
            last=taken.last_numbers(tables),
        )

    def _node(self, tables: list[dump.Table]) -> dict[str, str]:
        known = {"name": settings.HIEPDONG_NODE_NAME, "machine": socket.gethostname()}
        for table in tables:
            if table.name == "exchange_node":
                row = dump.first_of(self._taken, table)
                known |= {k: row[k] for k in ("node_id", "name", "incarnation") if row.get(k)}
        return known

    def pieces(self) -> Iterator[bytes]:
        """Give the tar: tables in the state that was taken, then files, which are on the disk before any row of them."""
        yield from self._note("backup.json", _as_bytes(self._head.as_json()))
        for table in self._head.tables:
            self._manifest.rows[table.name] = 0
            for number, (data, rows) in enumerate(archive.parts_of(self._taken.rows(table)), 1):
                yield from self._note(f"tables/{table.name}/{number:05}.copy.gz", data)
                self._manifest.rows[table.name] += rows
                self._tell(table.name, self._manifest.rows[table.name])
            if table.name == "documents_file":
                self._look_for_files(table)
        yield from self._note("secret-key", f"{settings.SECRET_KEY}\n".encode())
        for digest in _kept():
            yield from self._file(digest)
        data = _as_bytes(self._manifest.as_json())
        yield from archive.member("manifest.json", len(data), [data], self._at)
        yield archive.end()

    def _look_for_files(self, table: dump.Table) -> None:
        for digest in self._taken.digests(table):
            if not _path_of(digest).is_file():
                self._manifest.missing += 1
                if self._manifest.missing <= _NAMED:
                    self._manifest.missing_named.append(digest)

    def _note(self, name: str, data: bytes) -> Iterator[bytes]:
        self._manifest.members[name] = (len(data), hashlib.sha256(data).hexdigest())
        return archive.member(name, len(data), [data], self._at)

    def _file(self, digest: str) -> Iterator[bytes]:
        try:
            file = _path_of(digest).open("rb")
        except OSError:  # a file that nobody can open is told as damaged; the rest of the node is worth a backup
            self._manifest.add_file(digest, 0, hashlib.sha256().hexdigest())
            yield from archive.member(f"files/{digest[:2]}/{digest}", 0, [], self._at)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            summed = hashlib.sha256()
            yield from archive.member(f"files/{digest[:2]}/{digest}", size, _all_of(file, size, summed), self._at)
        self._manifest.add_file(digest, size, summed.hexdigest())
        self._tell("files", self._manifest.files)

    def facts(self, *, size: int, sha256: str) -> Facts:
        return _facts(self._head, self._manifest, self._left_out, size, sha256)


def _all_of(file: BinaryIO, size: int, summed: Any) -> Iterator[bytes]:
    """Give exactly `size` bytes; what a bad disk does not give is filled with zeros, so that its digest tells of it."""
    left = size
    while left:
        try:
            piece = file.read(min(left, 1 << 18))
        except OSError:
            piece = b""
        piece = piece or b"\0" * min(left, 1 << 18)
        summed.update(piece)
        left -= len(piece)
        yield piece


def _kept() -> Iterator[str]:
    """Give the digests of the kept files in order; what is not called after a digest is half a file, or none of ours."""
    for first in (f"{n:02x}" for n in range(256)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(Path(settings.MEDIA_ROOT) / first) as found:
            yield from sorted(e.name for e in found if archive.FILE_NAME.fullmatch(f"files/{first}/{e.name}") and e.is_file())


def _path_of(digest: str) -> Path:
    return Path(settings.MEDIA_ROOT) / digest[:2] / digest


def _as_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _facts(head: archive.Head, manifest: archive.Manifest, left_out: list[str], size: int, sha256: str) -> Facts:
    return Facts(
        at=head.at,
        program=head.program,
        database=head.database,
        node=head.node,
        rows=sum(manifest.rows.values()),
        files=manifest.files,
        bytes_of_files=manifest.bytes_of_files,
        damaged=sorted(manifest.damaged),
        missing=manifest.missing,
        missing_named=manifest.missing_named,
        left_out=left_out,
        size=size,
        sha256=sha256,
    )


# --- check and restore ---------------------------------------------------------------------------------------------


def check(*, path: Path, key: archive.Key, tell: Tell) -> Facts:
    """Read a backup from end to end and check every digest, and that this program could restore it; nothing is written.

    Raises:
        NoBackup, NeedsPassphrase, NeedsIdentity, BackupAltered of `hiepdong.web.archive`.
        NotOpened, SealBroken of `hiepdong.exchange.signing`.
        hiepdong.web.dump.NotThisProgram: it was made by a newer program.
    """
    with path.open("rb") as source:
        return _check(source, archive.unlock(source, key), tell)[0]


def _check(source: BinaryIO, key: archive.Opening, tell: Tell) -> tuple[Facts, archive.Head, archive.Manifest, str]:
    secret = ""

    def keep(found: str) -> None:
        nonlocal secret
        secret = found

    head, manifest = _walk(source, key, archive.Visitor(head=_refuse_foreign, secret=keep), tell)
    if not secret:
        raise archive.BackupAltered(what="secret-key")
    source.seek(0)
    summed = hashlib.sha256()
    while piece := source.read(1 << 18):
        summed.update(piece)
    return _facts(head, manifest, [], source.tell(), summed.hexdigest()), head, manifest, secret


def _refuse_foreign(head: archive.Head) -> None:
    """Refuse tables that the migrations named in the backup do not make in this program."""
    if list(head.tables) != dump.tables_at(head.migrations):
        raise archive.BackupAltered(what="backup.json")


def _walk(
    source: BinaryIO, key: archive.Opening, visitor: archive.Visitor, tell: Tell
) -> tuple[archive.Head, archive.Manifest]:
    with archive.opened(source, key) as pipe:
        return archive.walk(pipe, visitor, lambda: tell("read", source.tell()))


def restore(*, path: Path, key: archive.Key, at: datetime, tell: Tell) -> Facts:
    """Make the node of a backup in the empty data folder and the empty database that the settings name.

    The whole backup is checked before anything is written. Then the tables are made as they were, filled, brought up to
    this program, and the node is marked as restored, so that it gives out no number a second time. Who was signed in then
    is not signed in now.

    Raises:
        as `check`; NodeNotEmpty, OtherSecret, RestoreUnwritten: nothing was changed.
        hiepdong.web.dump.UnfitRow: a row does not go into this kind of database; nothing was changed.
    """
    with path.open("rb") as source:
        opening = archive.unlock(source, key)
        facts, head, manifest, secret = _check(source, opening, tell)
        if settings.HIEPDONG_SECRET_KEY and secret != settings.HIEPDONG_SECRET_KEY:
            raise OtherSecret
        folder = Path(settings.HIEPDONG_DATA)
        with _empty_node(folder):
            settings.SECRET_KEY = secret
            if not settings.HIEPDONG_SECRET_KEY:
                _write_secret(folder / "secret-key", secret)
            tell("tables", 0)
            with _empty_database():
                _fill(source, opening, path, head, manifest, tell)
                tell("tables", len(head.tables))
                executor = MigrationExecutor(connection)
                if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                    call_command("migrate", verbosity=0, interactive=False)
                tell("search", search_index.rebuild())
                links.mark_restored(at=at)
                services.update_statistics()
                os.sync()  # what the database speaks of is on the disk before the database is
    return facts


def _write_secret(path: Path, secret: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")


@contextlib.contextmanager
def _empty_node(folder: Path) -> Iterator[None]:
    """Mark the folder as half restored while the work lasts; when it fails, leave the folder as it was found."""
    was_there = folder.exists()
    try:
        if was_there and any(folder.iterdir()):
            raise NodeNotEmpty(place=folder)
        if _used():
            raise NodeNotEmpty(place=connection.settings_dict["NAME"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = folder / UNFINISHED
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:  # another restore was a moment quicker
        raise NodeNotEmpty(place=folder) from error
    except OSError as error:
        raise RestoreUnwritten(folder=folder, reason=error.strerror) from error
    sync_folder(folder)
    try:
        yield
    except BaseException as error:
        for each in folder.iterdir():  # it was empty: all of it is ours
            if each.name != UNFINISHED:
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        mark.unlink()
        if not was_there:
            folder.rmdir()
        if isinstance(error, OSError) or any(words in str(error) for words in _UNWRITTEN_BY_SQLITE):
            full = error.errno in _FULL if isinstance(error, OSError) else str(error) == _UNWRITTEN_BY_SQLITE[0]
            reason = getattr(error, "strerror", None) or error
            raise (RestoreDiskFull if full else RestoreUnwritten)(folder=folder, reason=reason) from error
        raise
    mark.unlink()
    sync_folder(folder)


def _used() -> bool:
    if connection.vendor == "sqlite":
        place = Path(str(connection.settings_dict["NAME"]))
        return place.exists() and place.stat().st_size > 0
    return "django_migrations" in connection.introspection.table_names()


@contextlib.contextmanager
def _empty_database() -> Iterator[None]:
    """Give the database in which all is done or nothing.

    PostgreSQL: one transaction. SQLite: under another name, which becomes the right one when all of it is on the disk.
    """
    if connection.vendor != "sqlite":
        with transaction.atomic():
            yield
        return
    name = str(connection.settings_dict["NAME"])
    partial = f"{name}.restoring"
    connection.close()
    configured = connections.settings["default"]
    configured["NAME"] = connection.settings_dict["NAME"] = partial
    try:
        connection.ensure_connection()
        connection.connection.execute("PRAGMA synchronous=OFF")  # see the end
        yield
        connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.rename(partial, name)
        sync_folder(Path(name).parent)
    except BaseException:
        connection.close()
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(partial + ending).unlink(missing_ok=True)
        raise
    finally:
        configured["NAME"] = connection.settings_dict["NAME"] = name


def _fill(
    source: BinaryIO, key: archive.Opening, path: Path, head: archive.Head, manifest: archive.Manifest, tell: Tell
) -> None:
    """Make the tables as the backup had them, and read it a second time into them and into the folder of files."""
    MigrationExecutor(connection).migrate(dump.targets(head.migrations))
    loading = dump.loading(head.tables)
    loading.begin()
    visitor = archive.Visitor(part=loading.load, file=_keep)
    again = _walk(source, key, visitor, tell)
    if (again[0], again[1].as_json()) != (head, manifest.as_json()):
        raise archive.BackupAltered(what=path.name)
    loading.end(head.last)


def _keep(digest: str, body: Iterator[bytes]) -> None:
    place = _path_of(digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "xb") as file:
        for piece in body:
            file.write(piece)
