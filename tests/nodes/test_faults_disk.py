"""A full disk, a torn write, pieces that come twice or wrong: papers pass, files wait or come again, nothing false is kept."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from django.db import OperationalError

from hiepdong.documents.models import File
from hiepdong.documents.services import path_of
from hiepdong.exchange import courier, files, intake
from hiepdong.exchange.domain.classified import ClassifiedContent
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, Peer
from support.nodes import Node
from support.peer import SimulatedNode

pytestmark = pytest.mark.django_db(transaction=True)

A, HERE = "l.huyen-uy", "t.don"
DATA = os.urandom(5000)
NAME = hashlib.sha256(DATA).hexdigest()


def attachment(data=DATA, name="a.bin", **more):
    return {"name": name, "digest": hashlib.sha256(data).hexdigest(), "size": len(data), "media_type": "x/y"} | more


@pytest.fixture
def node(tmp_path):
    return Node("bien-phong", tmp_path).found((HERE, "border_station", "Đồn"))


@pytest.fixture
def peer(node):
    return SimulatedNode("xa", (A, "party_district", "Huyện ủy Kỳ Sơn")).link(node)


@pytest.fixture
def waiting(node, peer):
    peer.give(node, peer.dispatch(A, [HERE], attachments=[attachment()]))
    return peer


def run(node, peer, line):
    with node:
        return courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)


def pieces(data=DATA, size=1000):
    return lambda asked: [data[i : i + size] for i in range(asked[1], len(data), size)]


def part_of(node):
    with node:
        return files.gathered_path(File.objects.get(digest=NAME), Peer.objects.get())


def test_a_record_whose_file_never_comes_is_visible_with_a_marked_hole(node, waiting):
    with node:
        assert Dispatch.objects.get().attachments.get().file.kept is False
        assert intake.wanted_files(Peer.objects.get()) == [NAME]


def test_a_cut_file_goes_on_where_it_was_cut(node, waiting):
    run(node, waiting, waiting.line(fetch=[DATA[:1000], DATA[1000:2500]]))
    line = waiting.line(fetch=pieces())
    run(node, waiting, line)
    assert ("fetch", (NAME, 2500)) in line.asked
    with node:
        assert path_of(NAME).read_bytes() == DATA
    assert waiting.incidents(node) == []


@pytest.mark.parametrize("spoil", ["flipped", "cut", "longer"])
def test_a_torn_part_is_never_kept_and_the_file_comes_whole_in_the_end(node, waiting, spoil):
    run(node, waiting, waiting.line(fetch=[DATA[:3000]]))
    part = part_of(node)
    torn = bytearray(part.read_bytes())
    if spoil == "flipped":
        torn[-10:] = bytes(10)
    torn = torn[:-7] if spoil == "cut" else torn + DATA if spoil == "longer" else torn
    part.write_bytes(torn)
    for _ in range(2):
        run(node, waiting, waiting.line(fetch=pieces()))
    with node:
        assert path_of(NAME).read_bytes() == DATA
        assert File.objects.get(digest=NAME).kept
    assert not part.exists()


def test_a_file_that_was_whole_when_the_node_was_killed_is_kept_in_the_next_round(node, waiting):
    run(node, waiting, waiting.line(fetch=[DATA[:4999]]))
    part_of(node).write_bytes(DATA)
    run(node, waiting, waiting.line(fetch=pieces()))
    with node:
        assert path_of(NAME).read_bytes() == DATA
    assert waiting.incidents(node) == []


def test_wrong_bytes_are_thrown_away_told_and_asked_for_again(node, waiting):
    run(node, waiting, waiting.line(fetch=pieces(bytes(5000))))
    assert waiting.incidents(node) == ["exchange.file_wrong"]
    run(node, waiting, waiting.line(fetch=pieces()))
    with node:
        assert path_of(NAME).read_bytes() == DATA


def test_more_bytes_than_were_signed_are_not_written(node, waiting):
    run(node, waiting, waiting.line(fetch=[DATA[:4000], bytes(5000), bytes(5000)]))
    assert part_of(node).stat().st_size == 4000
    assert waiting.incidents(node) == ["exchange.piece_unusable"]


def test_another_peers_lie_about_the_size_spoils_only_its_own_file(node, peer):
    liar = SimulatedNode("la", ("c.x", "other", "Nơi khác")).link(node)
    liar.give(node, liar.dispatch("c.x", [HERE], attachments=[attachment(size=7)]))
    peer.give(node, peer.dispatch(A, [HERE], attachments=[attachment()]))
    run(node, peer, peer.line(fetch=pieces()))
    with node:
        assert path_of(NAME).read_bytes() == DATA
        assert File.objects.get(digest=NAME).size == 5000
    assert peer.incidents(node) == []


def test_two_identical_files_in_one_paper_are_one_and_both_names_stay(node, peer):
    twice = [attachment(name="a.bin"), attachment(name="b.bin")]
    assert peer.state_of(node, peer.dispatch(A, [HERE], attachments=twice)) == [("applied", "")]
    run(node, peer, peer.line(fetch=pieces()))
    with node:
        assert File.objects.count() == 1
        assert sorted(a.name for a in Dispatch.objects.get().attachments.all()) == ["a.bin", "b.bin"]
        assert path_of(NAME).read_bytes() == DATA


def test_an_empty_file_needs_nobody_to_bring_it(node, peer):
    peer.give(node, peer.dispatch(A, [HERE], attachments=[attachment(b"", name="rong.txt")]))
    with node:
        assert File.objects.get().kept
        assert intake.wanted_files(Peer.objects.get()) == []


def test_a_file_with_a_secrecy_mark_is_refused_once_and_never_asked_for_again(node, peer):
    marked = "TỐI MẬT\n".encode()
    peer.give(node, peer.dispatch(A, [HERE], attachments=[attachment(marked, name="a.txt")]))
    run(node, peer, peer.line(fetch=pieces(marked)))
    line = peer.line(fetch=pieces(marked))
    run(node, peer, line)
    assert "fetch" not in [name for name, _ in line.asked]
    assert peer.incidents(node) == ["exchange.file_classified"]
    with node:
        assert not path_of(attachment(marked)["digest"]).exists()
        file = File.objects.get()
        with pytest.raises(ClassifiedContent):  # pushed, it is refused too
            files.gather(file, Peer.objects.get(), piece=marked, start=0, at=node.clock())


def test_two_pieces_at_once_are_not_mixed(node, waiting):
    with node:
        file, giver = File.objects.get(), Peer.objects.get()
        assert files.gather(file, giver, piece=DATA[:1000], start=0, at=node.clock()) == 1000
        with pytest.raises(files.PieceUnusable):
            files.gather(file, giver, piece=DATA[:1000], start=0, at=node.clock())
        assert files.gathered(file, giver) == 1000


@pytest.fixture
def small_disk():
    folder = Path(tempfile.mkdtemp(prefix="hiepdong-full-"))
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=False, capture_output=True
    ).returncode == 0  # fmt: skip
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=False)


def test_a_really_full_disk_takes_nothing_half_and_all_once_there_is_room(small_disk, monkeypatch):
    node = Node("bien-phong", small_disk, vendor="sqlite", durable=True).found((HERE, "border_station", "Đồn"))
    peer = SimulatedNode("xa", (A, "party_district", "Huyện ủy Kỳ Sơn")).link(node)
    monkeypatch.setattr(files, "SPARE", 0)
    text = "một đoạn văn " * 3000
    items = [peer.item(peer.dispatch(A, [HERE], body={"text": text}, attachments=[attachment()])) for _ in range(12)]
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - 200_000)))
    with pytest.raises(OperationalError):
        peer.give(node, *items)
    assert peer.arrivals(node) == []
    assert peer.incidents(node) == []
    ballast.unlink()
    assert {s for s, _ in peer.state_of(node, *items)} == {"applied"}
    free = os.statvfs(small_disk)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - 2048)))
    run_on = peer.line(fetch=pieces())
    with node, pytest.raises(files.DiskFull):
        files.gather_all(File.objects.get(), Peer.objects.get(), iter([DATA]), at=node.clock())
    ballast.unlink()
    run(node, peer, run_on)
    with node:
        assert path_of(NAME).read_bytes() == DATA
        assert Arrival.objects.filter(state="applied").count() == 12
    node.close()


def test_no_room_for_files_lets_papers_pass_and_says_so(node, waiting, monkeypatch):
    monkeypatch.setattr(files, "SPARE", 1 << 60)
    item = waiting.item(waiting.dispatch(A, [HERE]))
    line = waiting.line(fetch=pieces(), pull=lambda after: {"items": [item] if after < 2 else []})
    done = run(node, waiting, line)
    assert done.taken == 1
    with node:
        peer = Peer.objects.get()
        assert (peer.failures, peer.last_error.split(":")[0]) == (0, "exchange.disk_full")
        assert not LinkIncident.objects.exists()


@pytest.mark.parametrize("harm", ["cut", "flipped", "zeros"])
def test_a_torn_tail_of_the_log_loses_only_what_was_not_answered(tmp_path, harm):
    """The power fails in the middle of a write: what the database had not finished is gone as a whole, and comes again."""
    node = Node("bien-phong", tmp_path, vendor="sqlite", durable=True).found((HERE, "border_station", "Đồn"))
    peer = SimulatedNode("xa", (A, "party_district", "Huyện ủy Kỳ Sơn")).link(node)
    one, two = peer.item(peer.dispatch(A, [HERE])), peer.item(peer.dispatch(A, [HERE]))
    peer.give(node, one)
    with node:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    peer.give(node, two)
    copies = {tail: Path(node.database + tail).read_bytes() for tail in ("", "-wal")}
    node.close()
    log = bytearray(copies["-wal"])
    assert len(log) > 9000
    tail = slice(len(log) - 5000, len(log))
    if harm == "cut":
        del log[tail]
    else:
        log[tail] = bytes(5000) if harm == "zeros" else bytes(b ^ 0xFF for b in log[tail])
    for name in ("-wal", "-shm"):
        Path(node.database + name).unlink(missing_ok=True)
    Path(node.database).write_bytes(copies[""])
    Path(node.database + "-wal").write_bytes(log)
    assert peer.arrivals(node) == [(1, "applied", "")]
    with node:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check")
            assert cursor.fetchone() == ("ok",)
    assert peer.state_of(node, one, two) == [("applied", "")] * 2
    with node:
        assert Dispatch.objects.count() == 2
    node.close()


def test_a_commit_of_a_node_is_on_the_disk_before_it_is_answered(tmp_path):
    """No test can cut the power: this is what SQLite promises, asked of a connection as a node opens it."""
    node = Node("bien-phong", tmp_path, vendor="sqlite", durable=True)
    with node:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous")
            assert cursor.fetchone() == (2,), "FULL: each commit is brought to the disk"
            cursor.execute("PRAGMA journal_mode")
            assert cursor.fetchone() == ("wal",)
    node.close()
