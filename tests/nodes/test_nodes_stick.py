"""What an operator types: hiepdong bundle export, import, inspect, and sync, the same stick there and back."""

import io
import json
import shutil

import pytest
from django.core.management import CommandError, call_command
from pypdf import PdfReader

from hiepdong.documents.models import File
from hiepdong.documents.services import keep_file
from hiepdong.exchange import bundle_file, bundles, links, stick
from hiepdong.exchange.models import Arrival, Bundle, Dispatch, Peer, Receipt
from hiepdong.web.services import react
from support.nodes import Node, link, two_nodes

pytestmark = pytest.mark.django_db(transaction=True)


def run(node, *words, code=0):
    """Type a command at a node; return what it prints and what it says beside."""
    out, beside = io.StringIO(), io.StringIO()
    with node:
        try:
            call_command("bundle", *map(str, words), stdout=out, stderr=beside)
            found = 0
        except CommandError as error:
            found, _ = error.returncode, beside.write(str(error))
        react(at=node.clock())
    assert found == code, beside.getvalue()
    return out.getvalue(), beside.getvalue()


def told(node, *words, code=0):
    return json.loads(run(node, *words, "--json", code=code)[0])


@pytest.fixture
def nodes(tmp_path):
    return two_nodes(tmp_path / "nodes")


@pytest.fixture
def usb(tmp_path):
    folder = tmp_path / "usb"
    folder.mkdir()
    return folder


def test_what_was_typed_at_one_node_is_there_at_the_other_and_the_sheet_lies_beside_it(nodes, usb):
    guard, local = nodes
    for n in range(3):
        guard.send("t.don-my-ly", ["t.huyen-uy"], f"Báo cáo {n}")
    out, beside = run(guard, "export", guard.peer(local).name, "--out", usb)
    (bundle,) = usb.glob("*.zip.age")
    assert "100 % (3/3)" in beside
    digest = bundle_file.digest_of_file(bundle)
    spoken = " ".join(digest[i : i + 4] for i in range(0, 64, 4))
    assert spoken in out
    sheet = "".join(page.extract_text() for page in PdfReader(usb / f"{bundle.name.removesuffix('.zip.age')}.pdf").pages)
    assert digest[:4] in sheet
    assert "ĐẢNG ỦY BĐBP TỈNH" in sheet.upper()  # who speaks for the node
    seen = told(local, "inspect", bundle)
    assert (seen["digest"], seen["items"], seen["here"], seen["encrypted"]) == (digest, 3, 0, True)
    assert spoken in run(local, "inspect", bundle)[0]
    (taken,) = told(local, "import", bundle)
    assert (taken["fresh"], taken["again"], taken["states"]) == (3, 0, {"applied": 3})


def test_one_refused_file_does_not_stop_the_others_and_each_is_told(nodes, usb):
    guard, local = nodes
    for n in range(4):
        guard.send("t.don-my-ly", ["t.huyen-uy"], f"Báo cáo {n}")
    parts = [w["file"] for w in told(guard, "export", guard.peer(local).pk, "--out", usb, "--part-items", 2, "--no-cover")]
    assert not list(usb.glob("*.pdf"))
    torn = usb / "torn.zip.age"
    torn.write_bytes(bundle_file.Path(parts[0]).read_bytes()[:-100])
    found = told(local, "import", parts[1], torn, parts[0], code=1)
    assert [("refused" in each, each.get("fresh")) for each in found] == [(False, 2), (True, None), (False, 2)]
    out, beside = run(local, "import", *parts, torn, code=1)
    assert out.count("2 mục, 0 mới, 2 đã có từ trước") == 2
    assert "torn.zip.age" in beside
    with local:
        assert Dispatch.objects.count() == 4


def test_a_stopped_command_says_how_to_go_on_and_going_on_loses_nothing(nodes, usb, monkeypatch):
    guard, local = nodes
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")

    def stopped(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_file, "encrypt_bundle", lambda *a, **k: stopped())
    peer = guard.peer(local).pk
    assert "Chạy lại" in run(guard, "export", peer, "--out", usb, code=1)[1]
    assert list(usb.iterdir()) == []
    monkeypatch.undo()
    run(guard, "export", peer, "--out", usb)
    (bundle,) = usb.glob("*.age")
    monkeypatch.setattr(bundles, "finish", stopped)
    assert "Nhập lại" in run(local, "import", bundle, code=1)[1]
    monkeypatch.undo()
    assert told(local, "import", bundle)[0]["states"] == {"applied": 1}
    with local:
        assert Dispatch.objects.count() == 1


def test_only_what_came_since_the_last_bundle_is_written_for_a_diode(nodes, usb):
    guard, local = nodes
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    peer = guard.peer(local).pk
    assert [w["last"] for w in told(guard, "export", peer, "--out", usb, "--new")] == [1]
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Hai")
    assert [(w["first"], w["last"]) for w in told(guard, "export", peer, "--out", usb, "--new")] == [(2, 2)]
    assert "không có gì" in run(guard, "export", peer, "--out", usb, "--new", code=1)[1].lower()
    assert [w["items"] for w in told(guard, "export", peer, "--out", usb, "--new", "--empty", "--plain")] == [0]
    assert [(w["first"], w["last"]) for w in told(guard, "export", peer, "--out", usb, "--after", 0)] == [(1, 2)]


def test_a_folder_or_file_that_is_not_there_is_a_wrong_call(nodes, usb):
    guard, local = nodes
    peer = guard.peer(local).pk
    run(guard, "export", peer, "--out", usb / "none", code=2)
    run(guard, "import", usb / "none.zip", code=2)
    run(guard, "inspect", usb / "none.zip", code=2)
    run(guard, "sync", usb / "none", code=2)
    run(guard, "export", "nobody", "--out", usb, code=1)


def three(tmp_path):
    guard, local = two_nodes(tmp_path / "nodes")
    coast = Node("coast", tmp_path / "nodes").found(("t.xa-bien", "peoples_committee_commune", "UBND xã Ven Biển"))
    link(guard, coast)
    return guard, local, coast


def sync(node, usb, **more):
    with node:
        done = stick.sync(folder=usb, actor=None, at=node.clock(), **more)
        react(at=node.clock())
        return done


def test_the_same_stick_goes_round_three_nodes_and_all_of_them_hold_the_same(tmp_path, usb):
    guard, local, coast = three(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy", "t.xa-bien"], "Gửi cả hai")
    local.send("t.huyen-uy", ["t.don-my-ly"], "Trả lời")
    (usb / "anh.zip").write_bytes(b"no bundle")
    (usb / "readme.txt").write_text("của người khác")
    first = sync(guard, usb)
    assert (len(first.written), first.taken, first.refused, first.others) == (2, [], [], ["anh.zip"])
    there = sync(local, usb)
    assert [t.fresh for _, t in there.taken] == [1]
    assert len(there.others) == 2  # the one for the coast, and the picture
    sync(coast, usb)
    back = sync(guard, usb)
    assert sorted(t.peer.name for _, t in back.taken) == sorted([guard.peer(local).name, guard.peer(coast).name])
    assert sorted(back.removed) == sorted(w.path.name for w in first.written)
    with guard:
        assert Receipt.objects.filter(addressee__dispatch__subject="Gửi cả hai", code="arrived").count() == 2
    again = sync(local, usb)
    assert [t.states for _, t in again.taken] == [{"applied": 1}]  # the receipt for its answer
    sync(coast, usb)
    sync(guard, usb)
    with guard, pytest.raises(bundles.NothingToCarry):
        bundles.export(peer_id=guard.peer(local).pk, folder=usb, encrypt=True, actor=None, at=guard.clock())
    assert guard.state().keys() == {*local.state(), *coast.state()}
    assert (usb / "readme.txt").read_text() == "của người khác"
    assert (usb / "anh.zip").read_bytes() == b"no bundle"


def test_a_stick_that_was_seen_already_is_read_and_not_taken_again(nodes, usb):
    guard, local = nodes
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    sync(guard, usb)
    assert len(sync(local, usb).taken) == 1
    done = sync(local, usb)
    assert (done.taken, len(done.known)) == ([], 1)
    with local:
        assert Arrival.objects.count() == 1


def test_a_damaged_bundle_on_the_stick_is_told_and_the_rest_goes_on(nodes, usb):
    guard, local = nodes
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    (written,) = sync(guard, usb, encrypt=False, cover=False).written
    whole = written.path.read_bytes()
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Hai")
    sync(guard, usb, encrypt=False, cover=False)
    written.path.write_bytes(whole[:-40])
    done = sync(local, usb)
    assert [name for name, _ in done.refused] == [written.path.name]
    assert [t.fresh for _, t in done.taken] == [2]
    assert written.path.exists()
    out, beside = run(local, "sync", usb, code=1)
    assert written.path.name in beside
    assert "Gói" in out or "gói" in beside


def test_an_own_bundle_stays_until_it_is_confirmed_and_another_file_under_its_name_is_never_removed(nodes, usb):
    guard, local = nodes
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    (older,) = sync(guard, usb).written
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Hai")
    sync(guard, usb)
    assert older.path.exists()
    copy = shutil.copy(older.path, usb / "copy.zip.age")
    older.path.write_bytes(b"something else of the same name")
    sync(local, usb)
    done = sync(guard, usb)
    assert older.path.read_bytes() == b"something else of the same name"
    assert len(done.removed) == 1
    assert bundle_file.Path(copy).exists()  # its name is none of ours
    with guard:
        assert Peer.objects.get().confirmed_through == 2
        assert Bundle.objects.filter(outgoing=True).count() >= 2


def test_papers_are_taken_also_when_the_key_for_their_receipts_has_expired_by_then(nodes, usb):
    guard, local = nodes
    for n in range(2):
        guard.send("t.don-my-ly", ["t.huyen-uy"], f"Báo cáo {n}")
    one, two = told(guard, "export", guard.peer(local).pk, "--out", usb, "--part-items", 1, "--no-cover")
    with local:
        assert bundles.take(path=bundle_file.Path(one["file"]), actor=None, at=local.clock()).states == {"applied": 1}
        local.clock.pass_(days=4 * 365)
        assert bundles.take(path=bundle_file.Path(two["file"]), actor=None, at=local.clock()).states == {"applied": 1}
        kinds = local.peer(guard).parcels.order_by("position").values_list("position", "kind")
        assert list(kinds) == [(1, "receipt"), (2, "key"), (3, "receipt")]
        assert Receipt.objects.count() == 2


@pytest.mark.parametrize("way", ["sync", "import"])
def test_an_import_that_died_before_its_files_were_taken_brings_them_from_the_file_that_is_there(nodes, usb, monkeypatch, way):
    guard, local = nodes
    with guard:
        file = keep_file(data=b"ban do " * 1000, name="ban-do.txt", media_type="text/plain", at=guard.clock())
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Có tệp", files=[("ban-do.txt", file)])
    run(guard, "sync", usb)
    (bundle,) = usb.glob("*.zip.age")
    words = ["sync", usb] if way == "sync" else ["import", bundle]
    monkeypatch.setattr(bundles, "_files", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        run(local, *words)
    monkeypatch.undo()
    with local:
        assert bundles.finish_interrupted(at=local.clock()) == 0
        assert Dispatch.objects.count() == 1
        assert not File.objects.get().kept
    run(local, *words)
    with local:
        assert File.objects.get().kept
        assert Bundle.objects.get(outgoing=False).taken_at
    if way == "sync":
        assert told(local, "sync", usb)["taken"] == []  # now it is known whole


def test_the_commands_say_after_a_restore_what_is_going_on_and_what_to_do_next(nodes, usb, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Bị mất")
    for node in (guard, local):
        run(node, "sync", usb)
    guard.put_back(copy)
    with guard:
        links.mark_restored(at=guard.clock())
        (silent,) = typed("node", "show", "--json")["not_told"]
        assert silent == {"peer": guard.peer(local).pk, "name": "dia-phuong", "line": False}
        assert "hiepdong bundle export" in typed("node", "show")
    (asking,) = told(guard, "export", guard.peer(local).pk, "--out", usb)
    assert (asking["asks"], asking["items"], asking["echo"]) == (True, 0, None)
    seen = told(local, "inspect", asking["file"])
    assert (seen["echo_after"], seen["echo"]) == (0, None)
    assert "dia-phuong" in run(guard, "export", guard.peer(local).pk, "--out", usb)[0]
    out, _ = run(local, "import", asking["file"])
    assert f"hiepdong bundle export {local.peer(guard).pk}" in out
    (answer,) = told(local, "export", local.peer(guard).pk, "--out", usb)
    assert (answer["asks"], answer["echo"]) == (False, 1)
    assert told(guard, "inspect", answer["file"])["echo"]["items"] == 1
    (taken,) = told(guard, "import", answer["file"])
    assert taken["told"] == {"items": 1, "back": 1, "counted": True, "whole": True, "over": True}
    assert not taken["recovering"]
    with guard:
        assert typed("node", "show", "--json")["not_told"] == []


def typed(command, *words):
    out = io.StringIO()
    call_command(command, *words, stdout=out)
    return json.loads(out.getvalue()) if "--json" in words else out.getvalue()
