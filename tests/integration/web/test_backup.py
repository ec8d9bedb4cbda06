"""A backup is one state of the whole node, whoever writes meanwhile; a restore gives the same node back, or nothing."""

import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
from datetime import UTC, datetime, timedelta

import pyrage
import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from hiepdong.documents.services import keep_file, path_of, read_file
from hiepdong.exchange import links, queries, search_index, services, signing
from hiepdong.exchange.models import Addressee, Attachment, Dispatch, Receipt
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import DomainError
from hiepdong.organisations.models import Organisation
from hiepdong.shell.commands import UNFINISHED, PlainCommand, RestoreInterrupted
from hiepdong.web import archive, backup, dump
from support.homes import KINDS, SECRET, Home
from support.make import SENT_AT, World, notice, organisation, send

AT = datetime(2026, 11, 24, 3, 0, 0, 500_000, tzinfo=UTC)
IDENTITY, RECIPIENT = signing.new_stream_key()
CLOSING, OPENING = archive.Key(recipient=RECIPIENT), archive.Key(identity=IDENTITY)
PASSPHRASE = "năm con vịt bơi qua sông"
HERE = "postgresql" if "postgresql" in KINDS else "sqlite"
ACROSS = [(a, b) for a in KINDS for b in KINDS if HERE in (a, b)]  # what the run on SQLite has tried is not tried again
once = pytest.mark.skipif(HERE != "sqlite", reason="the same on every database, and tried on SQLite")
ODD = "Một\tthẻ, một \\N, một \\ và\nmột dòng mới; Đ 🙂 \x0b \u2028"


ROOT = settings.BASE_DIR


def quiet(_what, _done):
    """Tell nobody."""


@pytest.fixture(autouse=True)
def _databases(django_db_blocker):
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def filled(tmp_path_factory, django_db_blocker):
    """A node of each kind with papers, a file, a half-written draft, somebody signed in; and a backup of it."""
    with django_db_blocker.unblock():
        homes = {}
        for kind in {k for k, _ in ACROSS}:
            homes[kind] = home = Home(tmp_path_factory.mktemp("filled") / "node", kind)
            home.folder.mkdir()
            (home.folder / "secret-key").write_text(SECRET + "\n")
            home.inside(fill)
            home.backup = home.folder.parent / "backup"
            home.facts = home.inside(lambda home=home: backup.back_up(path=home.backup, key=CLOSING, at=AT, tell=quiet))
        yield homes
        for home in homes.values():
            home.close()


@pytest.fixture
def home(filled):
    return filled[HERE]


@pytest.fixture(scope="module")
def back(filled, tmp_path_factory):
    """Nodes restored from the backup of another, by their kinds; only to be looked at."""
    made = {}

    def make(source=HERE, target=HERE):
        if (source, target) not in made:
            made[source, target] = into = Home(tmp_path_factory.mktemp("back") / "node", target)
            into.facts = restored(filled[source].backup, into)
        return made[source, target]

    yield make
    for each in made.values():
        each.close()


@pytest.fixture
def empty(tmp_path):
    """Nodes that are not there yet, or copies."""
    made = []

    def make(kind=HERE, like=None):
        made.append(Home(tmp_path / f"home{len(made)}", like.kind if like else kind, like))
        return made[-1]

    yield make
    for each in made:
        each.close()


def fill():
    call_command("migrate", verbosity=0)
    world = World()
    links.found_node(
        name="Nút thử", speaker=world.station, at_home=[world.district, world.province, world.outsider], actor=None, at=AT
    )
    world.duties()
    world.report(value="12.50")
    kept = keep_file(data=b"%PDF-1.7 " + os.urandom(300_000), name="sơ đồ.pdf", media_type="application/pdf", at=AT)
    sent = send(world.signer, [world.district, world.province], ODD, files=[("sơ đồ.pdf", kept)], body={"text": ODD})
    services.acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=AT)
    world.draft(subject=ODD)
    for code in ("t.bo-di", "t.o-lai"):
        organisation(code, name="Bỏ đi").delete()  # its number is not given out again
    Session.objects.create(session_key="k" * 32, session_data="x", expire_date=AT + timedelta(days=1))
    (path_of("ab" * 32).parent).mkdir(parents=True, exist_ok=True)
    (path_of("ab" * 32).parent / "tmpnửa-tệp").write_bytes(b"half")


def everything():
    """Return every row of every table as the program sees it, whatever the database."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        if model._meta.db_table not in dump.LEFT_OUT:
            rows = [
                {k: bytes(v) if isinstance(v, memoryview) else v for k, v in row.items()}
                for row in model._base_manager.order_by("pk").values(*[f.attname for f in model._meta.concrete_fields])
            ]
            found[model._meta.db_table] = rows
    return found


def restored(file, into, key=OPENING):
    return into.inside(lambda: backup.restore(path=file, key=key, at=AT, tell=quiet))


# --- the same node -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), ACROSS, ids=[f"{a}-to-{b}" for a, b in ACROSS])
def test_a_restored_node_is_the_same_on_either_kind_of_database(filled, back, source, target):
    before, after = filled[source], back(source, target)
    rows, found = before.inside(everything), after.inside(everything)
    assert sum(map(len, rows.values())) == after.facts.rows
    assert after.facts == before.facts
    assert found["journal_entry"].pop()["code"] == "exchange.node.restored"
    (was,), (now,) = rows.pop("exchange_node"), found.pop("exchange_node")
    assert was["node_id"] == now["node_id"]
    assert was["incarnation"] != now["incarnation"]
    assert now["restored_at"] == AT
    assert found == rows
    assert (after.folder / "secret-key").read_text().strip() == SECRET
    assert not (after.folder / UNFINISHED).exists()

    def works():
        paper = Dispatch.objects.select_related("key").get(subject=ODD)
        attached = Attachment.objects.select_related("file").get()
        found = search_index.matching("thẻ moi", [paper.sender_id], limit=5)
        return queries.verification_of(paper).good, len(read_file(attached.file)), found == [paper.pk], Session.objects.count()

    assert after.inside(works) == (True, 300_009, True, 0)


def test_everything_of_the_program_is_in_the_backup_but_sessions_and_the_word_index(home):
    tables = {t.name for t in home.inside(lambda: dump.tables_at(dump.applied()))}
    models = {m._meta.db_table for m in apps.get_models(include_auto_created=True)}
    assert models - tables == {"django_session"}
    assert home.facts.left_out == []


def test_no_number_of_a_row_is_given_out_again_that_was_given_out_before_the_backup(home, back, empty):
    new = [node.inside(lambda: organisation("t.sau", name="Sau").pk) for node in (empty(like=home), empty(like=back()))]
    assert new[0] == new[1]


def test_a_restored_node_goes_on_in_its_registers(back, empty):
    def next_one():
        paper = Dispatch.objects.get(subject=ODD)
        to = [Organisation.objects.get(key="t.huyen-uy")]
        actor = paper.sender.seats.filter(role="signer").get()
        return services.send(item=notice(paper.sender, to), actor=actor, at=SENT_AT).register_number - paper.register_number

    assert empty(like=back()).inside(next_one) == 1


# --- while others write --------------------------------------------------------------------------------------------

WRITER = """
import sys, django
django.setup()
from hiepdong.accounts.models import Seat
from hiepdong.exchange import services
from hiepdong.organisations.models import Organisation
from support.make import SENT_AT, notice
actor = Seat.objects.select_related("organisation").get(organisation__key="t.don-mot", role="signer")
to = list(Organisation.objects.filter(key__in=["t.huyen-uy", "t.dang-uy-bdbp"]))
print("ready", flush=True)
while True:
    services.send(item=notice(actor.organisation, to), actor=actor, at=SENT_AT)
    print("sent", flush=True)
"""


def program(home, text):
    environment = home.environment() | {
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}",
        "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings",
    }
    return subprocess.Popen([sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE, text=True)


def test_a_backup_taken_while_another_process_sends_holds_only_whole_papers(home, empty, tmp_path):
    """Every receipt has its dispatch, every dispatch its receipts; registers and sequences have no hole."""
    node = empty(like=home)
    writer = program(node, WRITER)
    try:
        assert writer.stdout.readline() == "ready\n"
        counts = []
        for n in range(2):
            for _ in range(3):
                assert writer.stdout.readline() == "sent\n"
            file = tmp_path / f"during-{n}"
            node.inside(lambda file=file: backup.back_up(path=file, key=CLOSING, at=AT, tell=quiet))
            counts.append(file)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()

    def whole():
        numbers = sorted(Dispatch.objects.filter(sender__key="t.don-mot").values_list("register_number", flat=True))
        ways = {}
        chain = Addressee.objects.filter(dispatch__sender__key="t.don-mot").order_by("sequence")
        for to, sequence, previous, digest in chain.values_list(
            "organisation", "sequence", "previous_digest", "dispatch__digest"
        ):
            ways.setdefault(to, []).append((sequence, previous, digest))
        for way in ways.values():
            assert [s for s, _, _ in way] == list(range(1, len(way) + 1))
            assert [p for _, p, _ in way] == ["", *(d for _, _, d in way[:-1])]
        assert numbers == list(range(1, len(numbers) + 1))
        assert Receipt.objects.filter(code="arrived").count() == Addressee.objects.count()
        sent = Entry.objects.filter(code="exchange.dispatch.sent").count()
        assert sent == Dispatch.objects.count()
        return len(numbers)

    papers = []
    for file in counts:
        into = empty()
        restored(file, into)
        papers.append(into.inside(whole))
    assert papers == sorted(set(papers))  # the other process did write between the backups
    assert papers[0] >= 2 + 3


# --- closed, whole, or refused -------------------------------------------------------------------------------------


def refused(work):
    with pytest.raises(DomainError) as told:
        work()
    return told.value.code


@once
def test_only_the_right_passphrase_opens_it_and_age_alone_is_enough_to_read_it(home, tmp_path):
    file = tmp_path / "b"
    home.inside(lambda: backup.back_up(path=file, key=archive.Key(passphrase=PASSPHRASE), at=AT, tell=quiet))
    assert file.stat().st_mode & 0o777 == 0o600
    assert refused(lambda: backup.check(path=file, key=archive.Key(passphrase="không phải câu này"), tell=quiet)) == (
        "exchange.not_opened"
    )
    assert refused(lambda: backup.check(path=file, key=OPENING, tell=quiet)) == "web.backup_needs_passphrase"
    assert refused(lambda: backup.check(path=home.backup, key=archive.Key(passphrase=PASSPHRASE), tell=quiet)) == (
        "web.backup_needs_identity"
    )
    assert SECRET.encode() not in file.read_bytes()
    # as the how-to says it: without this program
    lines, mark, rest = file.read_bytes().partition(b"-----END AGE ENCRYPTED FILE-----\n")
    identity = pyrage.x25519.Identity.from_str(pyrage.passphrase.decrypt(lines + mark, PASSPHRASE).decode())
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(rest, [identity]))) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        for name, (size, digest) in manifest["members"].items():
            data = tar.extractfile(name).read()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest)
        assert tar.extractfile("secret-key").read().decode().strip() == SECRET


@pytest.mark.parametrize("key", [archive.Key(), archive.Key(passphrase="ngắn"), archive.Key(recipient="age1khong")], ids=repr)
def test_a_backup_that_nothing_closes_is_not_made(home, tmp_path, key):
    code = refused(lambda: home.inside(lambda: backup.back_up(path=tmp_path / "b", key=key, at=AT, tell=quiet)))
    assert code in {"web.backup_passphrase_short", "exchange.no_recipient"}
    assert list(tmp_path.iterdir()) == []


@once
def test_a_backup_cut_off_anywhere_is_refused_and_nothing_is_made(home, empty, tmp_path):
    data = home.backup.read_bytes()
    into = empty()
    for length in [0, 10, 21, 100, 200, 5000, 65_536 + 216, len(data) // 2, len(data) - 65_536, len(data) - 17, len(data) - 1]:
        (tmp_path / "cut").write_bytes(data[:length])
        assert refused(lambda: restored(tmp_path / "cut", into)) in {"exchange.seal_broken", "web.backup_unknown"}
    assert not into.folder.exists()


@once
def test_a_backup_with_one_bit_turned_is_refused(home, tmp_path):
    data = home.backup.read_bytes()
    for place in [3, 60, 150, 190, 230, 10_000, len(data) // 2, len(data) - 1]:
        (tmp_path / "bad").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert refused(lambda: backup.check(path=tmp_path / "bad", key=OPENING, tell=quiet)) in {
            "exchange.seal_broken",
            "exchange.not_opened",
            "web.backup_unknown",
        }


def opened_members(file):
    with tarfile.open(
        fileobj=io.BytesIO(pyrage.decrypt(file.read_bytes(), [pyrage.x25519.Identity.from_str(IDENTITY)]))
    ) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar.getmembers()]


def closed(file, members, after=b""):
    """Close members as a backup; each is name and data, or a finished block of a tar."""
    pieces = []
    for each in members:
        pieces += [each] if isinstance(each, bytes) else [*archive.member(each[0], len(each[1]), [each[1]], AT)]
    with file.open("wb") as target:
        archive.close_with(CLOSING, iter([*pieces, archive.end(), after]), target)


def _link():
    head = tarfile.TarInfo("secret-key")
    head.type, head.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return head.tobuf(tarfile.USTAR_FORMAT)


def _place(members, name):
    return next(i for i, (n, _) in enumerate(members) if n.startswith(name))


def _changed(members, name, change):
    place = _place(members, name)
    return [*members[:place], (members[place][0], change(members[place][1])), *members[place + 1 :]]


HOSTILE = {
    "a part less": lambda m: [x for x in m if not x[0].startswith("tables/exchange_receipt/")],
    "a file less": lambda m: [x for x in m if not x[0].startswith("files/")],
    "a part twice": lambda m: [*m[:2], m[1], *m[2:]],
    "a part of no table": lambda m: [*m[:2], ("tables/sqlite_master/00001.copy.gz", m[1][1]), *m[2:]],
    "other rows": lambda m: _changed(
        m, "tables/exchange_dispatch/", lambda d: gzip.compress(gzip.decompress(d)[::-1][1:] + b"\n")
    ),
    "no text": lambda m: _changed(m, "tables/exchange_dispatch/", lambda _: b"no gzip"),
    "a bomb": lambda m: _changed(m, "tables/exchange_dispatch/", lambda _: gzip.compress(bytes(archive.LARGEST_PART + 2))),
    "another secret": lambda m: _changed(m, "secret-key", lambda _: b"x" * 54 + b"\n"),
    "no secret": lambda m: [x for x in m if x[0] != "secret-key"],
    "a path outside": lambda m: [*m[:-1], ("../../etc/cron.d/x", b"x"), m[-1]],
    "a file outside": lambda m: [*m[:-1], ("files/../" + "ab" * 32, b"x"), m[-1]],
    "another file": lambda m: _changed(m, "files/", lambda d: d[:-1] + b"?"),
    "a file more": lambda m: [*m[:-1], (f"files/ff/{'ff' * 32}", b"x"), m[-1]],
    "files in another order": lambda m: [*m[:-1], (f"files/00/{'00' * 32}", b"x"), m[-1]],
    "a link": lambda m: [*m[:-1], _link(), m[-1]],
    "more after the manifest": lambda m: [*m, ("secret-key", b"x")],
    "no manifest": lambda m: m[:-1],
    "nothing": lambda _m: [],
    "no tar": lambda _m: [b"x" * 512],
    "a manifest of another": lambda m: _changed(
        m, "manifest.json", lambda d: d.replace(b'"exchange_receipt":', b'"exchange_recei":')
    ),
    "a manifest that is a list": lambda m: _changed(m, "manifest.json", lambda _d: b"[]"),
    "deep JSON": lambda m: _changed(m, "manifest.json", lambda _d: b"[" * 200_000),
    "another form": lambda m: _changed(m, "backup.json", lambda d: d.replace(b"hiepdong.backup/1", b"hiepdong.backup/2")),
    "a table of theirs": lambda m: _changed(
        m, "backup.json", lambda d: d.replace(b'"name":"accounts_', b'"name":"x\\"; drop_')
    ),
    "a column more": lambda m: _changed(
        m, "backup.json", lambda d: d.replace(b'["kid","text",0]', b'["kid","text",0],["x","text",0]')
    ),
}


@once
@pytest.mark.parametrize("name", HOSTILE)
def test_a_well_closed_file_that_is_no_whole_backup_is_refused_and_nothing_is_made(home, empty, tmp_path, name):
    into, file = empty("sqlite"), tmp_path / "hostile"
    closed(file, HOSTILE[name](opened_members(home.backup)))
    assert refused(lambda: restored(file, into)) in {"web.backup_altered", "web.backup_unknown"}
    assert not into.folder.exists()


@once
def test_what_follows_the_end_is_refused(home, tmp_path):
    closed(tmp_path / "more", opened_members(home.backup), after=b"x" * 512)
    assert refused(lambda: backup.check(path=tmp_path / "more", key=OPENING, tell=quiet)) == "web.backup_altered"


def with_manifest(members):
    """Return the members with a manifest that fits them: what somebody who holds the recipient's key could make."""
    found = archive.Manifest()
    head = json.loads(members[0][1])
    found.rows = {t["name"]: 0 for t in head["tables"]}
    for name, data in members[:-1]:
        if name.startswith("files/"):
            found.add_file(name[-64:], len(data), hashlib.sha256(data).hexdigest())
        else:
            found.members[name] = (len(data), hashlib.sha256(data).hexdigest())
        if name.startswith("tables/"):
            found.rows[name.split("/")[1]] += gzip.decompress(data).count(b"\n")
    return [*members[:-1], ("manifest.json", json.dumps(found.as_json()).encode())]


def test_rows_that_the_database_refuses_leave_nothing_behind_and_nothing_in_the_way(home, empty, tmp_path):
    into, file = empty(), tmp_path / "unfit"
    rows = "tables/organisations_organisation/"
    twice = _changed(
        opened_members(home.backup), rows, lambda d: gzip.compress(gzip.decompress(d).replace(b"t.huyen-uy\t", b"t.don-mot\t"))
    )
    closed(file, with_manifest(twice))
    assert refused(lambda: restored(file, into)) == "web.backup_unfit_row"
    assert not into.folder.exists()
    assert not into.inside(backup._used)


@once
@pytest.mark.parametrize(
    ("shape", "cell"),
    [
        ("integer", "x"),
        ("boolean", "yes"),
        ("date", "hôm nay"),
        ("moment", "2026-11-24 03:00:00"),  # of no zone
        ("bytes", "00"),
        ("uuid", "x"),
        ("json", "{"),
        ("decimal", "một"),
        ("text", "\\q"),  # no escape that COPY writes
    ],
)
def test_a_cell_that_copy_does_not_write_is_not_read(shape, cell):
    with pytest.raises((ValueError, KeyError, ArithmeticError)):
        dump._READERS[shape](dump._meant(cell))


def test_a_row_that_refers_to_nothing_is_refused_at_the_end(home, empty, tmp_path):
    into, file = empty(), tmp_path / "loose"
    members = [m for m in opened_members(home.backup) if not m[0].startswith("tables/exchange_signingkey/")]
    closed(file, with_manifest(members))
    assert refused(lambda: restored(file, into)) == "web.backup_unfit_row"
    assert not into.folder.exists()


# --- where and from what -------------------------------------------------------------------------------------------


def test_a_restore_never_writes_over_anything(home, empty):
    into = empty()
    into.folder.mkdir()
    (into.folder / "của người khác").write_text("x")
    assert refused(lambda: restored(home.backup, into)) == "web.restore_not_empty"
    assert [p.name for p in into.folder.iterdir()] == ["của người khác"]
    (into.folder / "của người khác").unlink()
    into.inside(lambda: call_command("migrate", "contenttypes", verbosity=0))
    assert refused(lambda: restored(home.backup, into)) == "web.restore_not_empty"
    assert not (into.folder / UNFINISHED).exists()


@once
def test_a_backup_never_writes_over_a_file(home, tmp_path):
    (tmp_path / "b").write_text("x")
    code = refused(lambda: home.inside(lambda: backup.back_up(path=tmp_path / "b", key=CLOSING, at=AT, tell=quiet)))
    assert (code, (tmp_path / "b").read_text()) == ("web.backup_exists", "x")


@once
def test_a_secret_in_the_settings_that_is_not_the_backups_is_refused(home, empty, monkeypatch):
    into = empty()

    def work():
        settings.HIEPDONG_SECRET_KEY = "another secret of fifty characters, as long as it needs"
        return backup.restore(path=home.backup, key=OPENING, at=AT, tell=quiet)

    assert refused(lambda: into.inside(work)) == "web.restore_other_secret"
    assert not into.folder.exists()


@once
def test_a_backup_of_a_newer_program_is_refused(home, empty, tmp_path):
    into, file = empty(), tmp_path / "newer"
    newer = [["exchange", "0999_from_the_future"], ["zukunft", "0001_initial"]]

    def change(data):
        head = json.loads(data)
        return json.dumps(head | {"migrations": sorted(head["migrations"] + newer)}).encode()

    closed(file, with_manifest(_changed(opened_members(home.backup), "backup.json", change)))
    assert refused(lambda: restored(file, into)) == "web.backup_newer"
    assert not into.folder.exists()


def test_a_node_whose_database_is_older_than_its_program_is_backed_up_and_comes_back_up_to_date(empty, tmp_path):
    old, into, file = empty(), empty(), tmp_path / "old"
    old.folder.mkdir()
    (old.folder / "secret-key").write_text(SECRET)

    def earlier():
        executor = MigrationExecutor(connection)
        # documents 0001 knows of no file that is still to come; what needs later steps of it is not there yet
        executor.migrate([("documents", "0001_initial"), ("exchange", "0002_search"), ("reporting", "0001_initial")])
        state = executor.loader.project_state([("documents", "0001_initial"), ("exchange", "0002_search")]).apps
        state.get_model("documents", "File").objects.create(
            digest="ab" * 32, size=1, media_type="text/plain", name="cũ", added_at=AT
        )
        return backup.back_up(path=file, key=CLOSING, at=AT, tell=quiet)

    facts = old.inside(earlier)
    assert (facts.missing, facts.missing_named) == (1, ["ab" * 32])
    restored(file, into)

    def now():
        leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
        return MigrationExecutor(connection).migration_plan(leaves), apps.get_model("documents", "File").objects.get().name

    assert into.inside(now) == ([], "cũ")


@once
def test_a_damaged_and_a_missing_file_are_told_and_do_not_stop_the_backup(home, empty, tmp_path):
    node, into, file = empty(like=home), empty(), tmp_path / "b"

    def spoil():
        first = Attachment.objects.get().file.digest
        second = keep_file(data=b"second", name="hai", media_type="text/plain", at=AT).digest
        path_of(first).write_bytes(b"rotten")
        path_of(second).unlink()
        return first, second, backup.back_up(path=file, key=CLOSING, at=AT, tell=quiet)

    first, second, facts = node.inside(spoil)
    assert (facts.damaged, facts.missing_named) == ([first], [second])
    again = restored(file, into)
    assert (again.damaged, again.missing_named) == ([first], [second])
    assert into.inside(lambda: path_of(first).read_bytes()) == b"rotten"


# --- cut off -------------------------------------------------------------------------------------------------------

KILLED = """
import os, random, signal, sys, time, json, pathlib, shutil, django
django.setup()
from django.conf import settings
from django.core.management import load_command_class
from django.db import connections
from hiepdong.web import archive, backup
from datetime import UTC, datetime
what, file, key, step, most, how = sys.argv[1:]
AT = datetime(2026, 11, 24, tzinfo=UTC)
WATCHED = {"os.rename", "os.remove", "os.mkdir", "sqlite3.connect", "shutil.rmtree"}
count = 0

def run(at_event):
    # A child that dies at its n-th change of the disk (or after so many seconds), as a cut of power ends a process.
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    command = load_command_class("hiepdong.web", what)
    command.stdout._out = open(os.devnull, "w")
    def hook(event, given):
        global count
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
        if event in WATCHED or writes:
            count += 1
            if count == at_event:
                os.kill(os.getpid(), signal.SIGTERM if how == "TERM" else signal.SIGKILL)
                time.sleep(0.2)
    if isinstance(at_event, int):
        sys.addaudithook(hook)
    else:
        signal.setitimer(signal.ITIMER_REAL, at_event)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    code = 1
    try:
        options = {"recipient": key} if what == "backup" else {"identity_file": pathlib.Path(key), "into": None}
        none = {"passphrase_file": None, "check": False, "new_identity": False, "json": True}
        command.handle(**none | options | {"file": pathlib.Path(file)})
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    finally:
        os._exit(code)

def look():
    folder = pathlib.Path(settings.HIEPDONG_DATA)
    beside = sorted(p.name for p in pathlib.Path(file).parent.iterdir() if p.name.startswith(pathlib.Path(file).name))
    return {"folder": sorted(p.name for p in folder.iterdir()) if folder.exists() else None, "beside": beside}

n = 0
steps = range(1, int(most) + 1, int(step)) if how != "TIME" else [random.uniform(0.0, float(most)) for _ in range(int(step))]
for at_event in steps:
    status = run(at_event)
    signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
    print(json.dumps({"at": at_event, "signal": signalled, "code": code} | look()), flush=True)
    sys.stdin.readline()
"""


def killed(home, what, file, key, *, how="KILL", step=1, most=200):
    """Give what each killed child left behind; the caller looks and tidies, then the next one begins."""
    environment = home.environment() | {"PYTHONPATH": str(ROOT / "src"), "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings"}
    words = [what, str(file), str(key), str(step), str(most), how]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *words], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            for line in process.stdout:
                yield json.loads(line)
                process.stdin.write("\n")
                process.stdin.flush()
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["KILL", "TERM", "TIME"])
def test_a_backup_killed_at_any_moment_leaves_nothing_under_its_name_or_all_of_it(home, tmp_path, how):
    file = tmp_path / "b"
    limits = {"step": 8, "most": 0.6} if how == "TIME" else {}
    seen = set()
    for left in killed(home, "backup", file, RECIPIENT, how=how, **limits):
        if file.exists():
            assert backup.check(path=file, key=OPENING, tell=quiet).rows > 0
            file.unlink()
        elif how == "TERM":
            assert left["beside"] == []
        assert set(left["beside"]) <= {"b", "b.part"}
        seen.add((left["signal"], left["code"]))
        if left["code"] == 0:  # no such step any more: it was done, over what the others had left
            assert left["beside"] == ["b"]
            if how != "TIME":
                break
    if how == "KILL":
        assert seen == {(signal.SIGKILL, -1), (0, 0)}
    if how == "TERM":
        assert seen == {(0, 1), (0, 0)}


@pytest.mark.parametrize("how", ["KILL", "TIME"])
def test_a_restore_killed_at_any_moment_leaves_nothing_or_a_half_node_that_every_command_refuses(home, empty, tmp_path, how):
    into = empty()
    (tmp_path / "identity").write_text(IDENTITY)
    limits = {"step": 5, "most": 2.5} if how == "TIME" else {"step": 3}
    done = half = 0
    for left in killed(into, "restore", home.backup, tmp_path / "identity", how=how, **limits):
        names = left["folder"]
        if left["code"] == 0:
            done += 1
            assert UNFINISHED not in names
            assert into.inside(lambda: Dispatch.objects.count()) == 2
            break
        assert left["signal"] == signal.SIGKILL
        if names:
            half += 1
            assert UNFINISHED in names
            with pytest.raises(CommandError) as told:
                into.inside(lambda: call_command(PlainCommand(), skip_checks=True))
            assert isinstance(told.value.__cause__, RestoreInterrupted)
            assert refused(lambda: restored(home.backup, into)) == "web.restore_not_empty"
            assert "hiepdong.sqlite3" not in names or into.inside(lambda: Dispatch.objects.count()) == 2
            shutil.rmtree(into.folder)
        if into.kind == "postgresql":
            filled_up = into.inside(lambda: "django_migrations" in connection.introspection.table_names())
            if filled_up:  # after the commit: all of it
                assert into.inside(lambda: Dispatch.objects.count()) == 2
                into.close()
                into.__init__(into.folder, into.kind)
                break
    assert half or how == "TIME"
    assert done or how == "TIME" or into.kind == "postgresql"


@once
def test_a_half_node_is_served_by_no_way(empty):
    into = empty()
    into.folder.mkdir()
    (into.folder / UNFINISHED).touch()
    served = typed(into, "serve")
    assert (served.returncode, "hiepdong restore" in served.stderr, "Traceback" in served.stderr) == (1, True, False)
    with program(into, "import hiepdong.config.wsgi") as behind_a_front_server:
        assert behind_a_front_server.wait(timeout=60) == 1


# --- full disk -----------------------------------------------------------------------------------------------------


def limited(home, words, limit):
    """Run the command where no file may grow beyond `limit` bytes: the kernel refuses the write as a full disk does."""
    environment = home.environment() | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "-c", "from hiepdong.config.cli import main; main()", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )


@once
def test_a_disk_that_takes_no_more_is_one_sentence_and_leaves_nothing(home, empty, tmp_path):
    told = limited(home, ["backup", str(tmp_path / "b"), "--recipient", RECIPIENT], 100_000)
    assert (told.returncode, told.stdout) == (1, "")
    assert str(tmp_path) in told.stderr
    assert "Traceback" not in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1
    assert list(tmp_path.glob("b*")) == []
    into = empty()
    (tmp_path / "identity").write_text(IDENTITY)
    told = limited(into, ["restore", str(home.backup), "--identity-file", str(tmp_path / "identity")], 200_000)
    assert told.returncode == 1, told.stdout
    assert str(into.folder) in told.stderr
    assert "Traceback" not in told.stderr
    assert not into.folder.exists()


def on_a_small_disk(home, size, words, disk):
    """Run the command beside a disk of that size, which only it sees, and tell what is left on the disk."""
    environment = home.environment() | {"PYTHONPATH": str(ROOT / "src")}
    script = f'mount -t tmpfs -o size={size} small "$0" || exit 77; "$@" >&2; code=$?; ls -A "$0"; exit $code'
    program = [sys.executable, "-c", "from hiepdong.config.cli import main; main()"]
    command = [
        "unshare",
        *([] if os.geteuid() == 0 else ["-r"]),
        "-m",
        "sh",
        "-c",
        script,
        str(disk),
        *program,
        *map(str, words),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount a disk of his own")
    return done


@once
def test_a_full_disk_is_told_in_words_and_nothing_is_left_on_it(home, empty, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    told = on_a_small_disk(home, "256k", ["backup", disk / "b", "--recipient", RECIPIENT], disk)
    assert (told.returncode, told.stdout) == (1, "")
    assert len(told.stderr.strip().splitlines()) == 1
    assert str(disk) in told.stderr
    (tmp_path / "identity").write_text(IDENTITY)
    into = empty()
    into.folder = disk / "node"
    told = on_a_small_disk(into, "1m", ["restore", home.backup, "--identity-file", tmp_path / "identity"], disk)
    assert (told.returncode, told.stdout) == (1, "")
    assert len(told.stderr.strip().splitlines()) == 1
    assert str(disk) in told.stderr


# --- as an administrator types it ----------------------------------------------------------------------------------


def typed(home, *words):
    command = [sys.executable, "-c", "from hiepdong.config.cli import main; main()", *map(str, words)]
    environment = home.environment() | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@once
def test_a_backup_to_a_key_kept_apart_is_checked_and_restored_into_a_folder(home, empty, tmp_path):
    node = empty(like=home)
    key, file = tmp_path / "key", tmp_path / "b"
    made = typed(node, "backup", "--new-identity", key)
    assert (made.returncode, key.stat().st_mode & 0o777) == (0, 0o600), made.stderr
    recipient = made.stdout.strip()
    assert recipient.startswith("age1")
    assert typed(node, "backup", file, "--recipient", recipient).returncode == 0
    checked = typed(node, "backup", "--check", file, "--identity-file", key, "--json")
    assert json.loads(checked.stdout)["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    into = empty()
    # --into: of the node in use only the address of a PostgreSQL is taken, which is empty here
    node.url = into.url or f"sqlite:///{node.folder / 'hiepdong.sqlite3'}"
    there = typed(node, "restore", file, "--into", into.folder, "--identity-file", key)
    assert there.returncode == 0, there.stderr
    assert into.inside(lambda: Dispatch.objects.count()) == 2


def test_a_call_without_a_key_is_a_wrong_call(home, tmp_path):
    for words in (["backup", str(tmp_path / "b")], ["backup", str(home.backup), "--check"]):
        with pytest.raises(CommandError) as told:
            home.inside(lambda words=words: call_command(*words))
        assert told.value.returncode == 2
    assert not (tmp_path / "b").exists()
