"""Several nodes in one process: each with a database, files and a secret of its own; and a line between them that can be bad.

with node: …           everything inside happens at that node
node.line_to(other)    a Transport that calls the far end in memory

A node's database is a copy of an empty, migrated one: a file, or on PostgreSQL a database made from a template. A test that
runs on PostgreSQL can have nodes on SQLite beside it (`Node(…, vendor="sqlite")`); `two_nodes` makes one of each.
"""

import fcntl
import hashlib
import itertools
import json
import os
import shutil
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import override_settings

from hiepdong.exchange import answering, courier, files, intake, links, services
from hiepdong.exchange.domain.links import read_item
from hiepdong.exchange.models import Dispatch, Peer
from hiepdong.exchange.transport import PeerRefused, Unreachable
from hiepdong.kernel.errors import DomainError
from hiepdong.organisations.models import Organisation
from hiepdong.web.services import react
from support.make import notice, organisation, seat

START = datetime.fromisoformat("2020-03-16T03:00:00+00:00")
_number = itertools.count(1)


class Clock:
    """A clock that a test moves; every look at it is one second later."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def pass_(self, **delta: float) -> None:
        self.at += timedelta(**delta)


class Node:
    """One node. Its database is a copy of an empty, migrated one (SQLite), or a database made from it (PostgreSQL).

    `durable` keeps the settings of a real node: every commit reaches the disk. Without it a commit survives a killed process
    but not a power cut, and costs a tenth. `clock` may be shared by several nodes.
    """

    def __init__(self, name: str, folder: Path, *, clock: Clock | None = None, vendor: str = "", durable: bool = False) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = clock or Clock()
        self.settings = {
            "MEDIA_ROOT": str(self.folder / "files"),
            "SECRET_KEY": f"secret of {name}, fifty characters long, nothing else",
        }
        self.vendor = vendor or connection.vendor
        _drop_others(folder)
        if self.vendor == "sqlite":
            self.database = str(self.folder / "node.sqlite3")
            shutil.copyfile(_empty_file(), self.database)
        else:
            self.database = _database_from_template(folder)
        self._settings = _settings_for(self.vendor, self.database, durable=durable)
        self._open: dict[int, Any] = {}  # by thread
        self._before: list[tuple[Any, Any, Any]] = []
        weakref.finalize(self, _close, self._open)

    def __enter__(self) -> "Node":
        before = connections.settings["default"], connections["default"]
        if before[0] is self._settings and self._before:
            self._before.append((*before, None))  # here already
            return self
        connections.settings["default"] = self._settings
        me = threading.get_ident()
        if me not in self._open:
            self._open[me] = connections.create_connection("default")
        connections["default"] = self._open[me]
        override = override_settings(**self.settings)
        override.enable()
        self._before.append((*before, override))
        return self

    def __exit__(self, *_: object) -> None:
        used, opened, override = self._before.pop()
        if override is not None:
            connections.settings["default"], connections["default"] = used, opened
            override.disable()

    def close(self) -> None:
        """Close the connections; the next use opens fresh ones, as a process that was started again would."""
        _close(self._open)

    def copy_database(self, to: Path) -> Path:
        """Copy the database as a backup would (SQLite)."""
        with self, connections["default"].cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()
        shutil.copyfile(self.database, to)
        return to

    def put_back(self, copy: Path) -> None:
        """Put an older copy of the database in the place of the present one (SQLite). Nobody is told."""
        self.close()
        for tail in ("-wal", "-shm"):
            Path(self.database + tail).unlink(missing_ok=True)
        shutil.copyfile(copy, self.database)

    def found(self, *bodies: tuple[str, str, str]) -> "Node":
        """Make the node's bodies (key, kind, name), all at home here; the first one speaks for the node."""
        with self:
            made = [organisation(key, kind, name, notation=key.rsplit(".", 1)[-1].upper()[:8]) for key, kind, name in bodies]
            links.found_node(name=self.name, speaker=made[0], at_home=made, actor=None, at=self.clock())
        return self

    def body(self, key: str) -> Organisation:
        return Organisation.objects.get(key=key)

    def seat(self, key: str, role: str = "signer") -> Any:
        return seat(self.body(key), role)

    def send(self, sender: str, to: Sequence[str], subject: str = "Thông báo", **more: Any) -> str:
        """Send a notice; returns its uuid."""
        with self:
            at = self.clock()
            item = notice(self.body(sender), [self.body(k) for k in to], subject, sent_at=at, **more)
            sent = services.send(item=item, actor=self.seat(sender), at=at)
            react(at=at)
            return str(sent.uuid)

    def peer(self, other: "Node") -> Peer:
        with other:
            node_id = links.this_node().node_id
        with self:
            return Peer.objects.get(node_id=node_id)

    def line_to(self, other: "Node", **faults: Any) -> "MemoryLine":
        return MemoryLine(self, other, **faults)

    def round(self, other: "Node", line: Any = None) -> courier.Round:
        """Do one round with another node over a line in memory."""
        peer = self.peer(other)
        line = line or self.line_to(other)
        with self:
            done = courier.run(peer_id=peer.pk, transport=line, clock=self.clock)
            react(at=self.clock())
        with other:
            react(at=other.clock())
        return done

    def state(self) -> dict[str, Any]:
        """Return what this node holds, in a form that two nodes can be compared by."""
        with self:
            rows = Dispatch.objects.order_by("digest").prefetch_related("addressees__receipts", "addressees__organisation")
            return {
                d.digest: sorted((a.organisation.key, r.code, r.digest) for a in d.addressees.all() for r in a.receipts.all())
                for d in rows
            }


def _close(opened: dict[int, Any]) -> None:
    for thread, wrapper in list(opened.items()):
        del opened[thread]
        if thread == threading.get_ident():
            wrapper.close()
        elif wrapper.connection is not None:
            with suppress(Exception):  # a connection of a thread that is gone
                wrapper.connection.close()


def _settings_for(vendor: str, name: str, *, durable: bool = True) -> dict[str, Any]:
    """Return database settings as a real node has them, for another database."""
    if vendor == connection.vendor and not (vendor == "sqlite" and durable):  # those of the tests forget durability
        found = connections.settings["default"] | {"NAME": name}
    else:
        from hiepdong.config import settings as real

        before, real.HIEPDONG_DATABASE_URL = real.HIEPDONG_DATABASE_URL, f"sqlite:///{name}"
        try:
            found = connections.configure_settings({"default": real._database()})["default"]
        finally:
            real.HIEPDONG_DATABASE_URL = before
    if vendor == "sqlite" and not durable:
        command = found["OPTIONS"]["init_command"].replace("synchronous=FULL", "synchronous=OFF")
        found["OPTIONS"] = found["OPTIONS"] | {"init_command": command}
    return found


def _empty_file() -> Path:
    """Return an empty, migrated SQLite file: made once for these migrations, whoever is first."""
    template = Path(settings.HIEPDONG_DATA) / f"empty-{_stamp()}.sqlite3"
    if not template.exists():
        with template.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of one run
            if not template.exists():
                partial = template.with_suffix(f".{os.getpid()}.partial")
                partial.unlink(missing_ok=True)
                with _only(_settings_for("sqlite", str(partial), durable=False)):
                    call_command("migrate", verbosity=0, interactive=False)
                    with connections["default"].cursor() as cursor:
                        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                        cursor.execute("PRAGMA journal_mode=WAL")
                partial.replace(template)
    return template


_made: dict[str, Path] = {}  # databases on PostgreSQL, and the folder of the test that made them


def _server() -> Any:
    """Return a cursor on the server itself, outside every transaction."""
    return connection._nodb_cursor()


def _database_from_template(folder: Path) -> str:
    template = f"hiepdong_empty_{_stamp()}"
    with _server() as cursor:
        cursor.execute("SELECT pg_advisory_lock(1941)")  # two processes of one run
        try:
            cursor.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [template])
            found = cursor.fetchone()
            if found is None or not found[0]:
                cursor.execute(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)")
                cursor.execute(f"CREATE DATABASE {template} TEMPLATE template0")
                with _only(_settings_for("postgresql", template)):
                    call_command("migrate", verbosity=0, interactive=False)
                cursor.execute(f"ALTER DATABASE {template} IS_TEMPLATE true ALLOW_CONNECTIONS false")
            name = f"hiepdong_node_{os.getpid()}_{next(_number)}"
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        finally:
            cursor.execute("SELECT pg_advisory_unlock(1941)")
    _made[name] = folder
    return name


def _drop_others(folder: Path) -> None:
    """Drop the databases of the tests before this one in this process."""
    old = [name for name, of in _made.items() if of != folder]
    if old:
        with _server() as cursor:
            for name in old:
                cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                del _made[name]


@cache
def _stamp() -> str:
    """Return a word that changes with the migrations."""
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    digest = hashlib.sha256()
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        digest.update(f"{app}.{name}\n".encode())
        if migration.__module__.startswith("hiepdong."):
            digest.update(Path(str(sys.modules[migration.__module__].__file__)).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _only(config: dict[str, Any]) -> Iterator[None]:
    before = connections.settings["default"], connections["default"]
    connections.settings["default"] = config
    connections["default"] = connections.create_connection("default")
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"], connections["default"] = before


def link(*nodes: Node) -> None:
    """Link every two nodes as their administrators would: invitations both ways, the number compared, a first round."""
    for a, b in itertools.combinations(nodes, 2):
        with a:
            from_a = links.make_invitation(actor=None, at=a.clock())
        with b:
            from_b = links.make_invitation(actor=None, at=b.clock())
        numbers = []
        for node, document in ((a, from_b), (b, from_a)):
            with node:
                links.accept_invitation(document=document, actor=None, at=node.clock())
                numbers.append(links.number_with(links.read_invitation(document).kid, node.clock()))
        for node, other, number in ((a, b, numbers[1]), (b, a, numbers[0])):
            peer = node.peer(other)
            with node:
                links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=node.clock())


class MemoryLine:
    """A line in memory from one node to another: everything passes through JSON, as over a real one.

    `before` and `after` are called with the name of the step and may raise `Unreachable`, to cut the line before the far end
    did anything or after it did everything.
    """

    way = "memory"

    def __init__(self, near: Node, far: Node, *, before: Any = None, after: Any = None) -> None:
        self.near, self.far = near, far
        self.before, self.after = before, after

    def _ask(self, step: str, work: Any) -> Any:
        if self.before:
            self.before(step)
        peer = self.far.peer(self.near)
        try:
            with self.far:
                answer = work(peer)
        except DomainError as error:
            raise PeerRefused(name=self.far.name, code=error.code, detail=str(error)) from error
        if self.after:
            self.after(step)
        return json.loads(json.dumps(answer)) if isinstance(answer, dict) else answer

    def hello(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        said = json.loads(json.dumps(said))
        return self._ask("hello", lambda p: answering.hello(peer_id=p.pk, said=said, at=self.far.clock()))

    def push(self, items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        read = [read_item(i) for i in json.loads(json.dumps(items))]
        return self._ask("push", lambda p: answering.take(peer_id=p.pk, items=read, way="memory", at=self.far.clock()))

    def pull(self, *, after: int, limit: int) -> Mapping[str, Any]:
        return self._ask("pull", lambda p: answering.give(peer_id=p.pk, after=after, limit=limit))

    def held(self, through: int) -> Mapping[str, Any]:
        return self._ask("held", lambda p: answering.held(peer_id=p.pk, through=through, at=self.far.clock()))

    def echo(self, *, after: int, limit: int) -> Mapping[str, Any]:
        return self._ask("echo", lambda p: answering.echo(peer_id=p.pk, after=after, limit=limit))

    def fetch(self, digest: str, *, start: int) -> Iterator[bytes]:
        def read(peer: Peer) -> bytes:
            file = answering.file_for(peer_id=peer.pk, digest=digest)
            files.note_given(file, at=self.far.clock())
            return files.place_of(file).read_bytes()[start:]

        data = self._ask("fetch", read)
        for place in range(0, len(data), files.PIECE):
            if self.after:
                self.after("fetched")
            yield data[place : place + files.PIECE]

    def offered(self, digest: str) -> int:
        return self._ask("offered", lambda p: files.gathered(answering.wants(peer_id=p.pk, digest=digest), p))

    def put(self, digest: str, piece: bytes, *, start: int, size: int) -> int:
        def work(peer: Peer) -> int:
            file = answering.wants(peer_id=peer.pk, digest=digest)
            return files.gather(file, peer, piece=piece, start=start, at=self.far.clock())

        return self._ask("put", work)


def two_nodes(folder: Path) -> tuple[Node, Node]:
    """Return the Border Guard's node and the localities', linked. On PostgreSQL the first is on SQLite all the same."""
    guard = Node("bien-phong", folder, vendor="sqlite").found(
        ("t.dang-uy-bdbp", "border_guard_party", "Đảng ủy BĐBP tỉnh"), ("t.don-my-ly", "border_station", "Đồn Biên phòng Mỹ Lý")
    )
    local = Node("dia-phuong", folder).found(
        ("t.huyen-uy", "party_district", "Huyện ủy Kỳ Sơn"), ("t.ubnd-xa", "peoples_committee_commune", "UBND xã Mỹ Lý")
    )
    link(guard, local)
    return guard, local


__all__ = ["START", "Clock", "MemoryLine", "Node", "Unreachable", "date", "intake", "link", "two_nodes"]
