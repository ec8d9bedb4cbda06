"""A stick between two nodes: as good as a line, in any order, however often, there and back."""

import io
import json
import shutil

import pytest
from django.core.management import call_command
from django.db.models import Count

from hiepdong.exchange import bundles, link_queries, services
from hiepdong.exchange.bundle_refusals import BundleRefused
from hiepdong.exchange.models import Arrival, Bundle, Dispatch, LinkIncident, Peer, Receipt
from hiepdong.web.services import react
from support.bags import item
from support.nodes import Node, two_nodes
from support.peer import SimulatedNode

pytestmark = pytest.mark.django_db(transaction=True)


def export(node, other, folder, **more):
    peer = node.peer(other)
    with node:
        return [
            w.path for w in bundles.export(peer_id=peer.pk, folder=folder, encrypt=True, actor=None, at=node.clock(), **more)
        ]


def take(node, *paths):
    with node:
        done = [bundles.take(path=p, actor=None, at=node.clock()) for p in paths]
        react(at=node.clock())
        return done


def test_a_stick_carries_papers_there_and_receipts_back(tmp_path):
    guard, local = two_nodes(tmp_path)
    for n in range(3):
        guard.send("t.don-my-ly", ["t.huyen-uy"], f"Báo cáo {n}")
    (path,) = export(guard, local, tmp_path)
    assert path.name.endswith(".zip.age")
    (done,) = take(local, path)
    assert (done.items, done.fresh, dict(done.states)) == (3, 3, {"applied": 3})
    (back,) = export(local, guard, tmp_path)
    take(guard, back)
    with guard:
        assert Receipt.objects.filter(code="arrived").count() == 3
        assert Peer.objects.get().confirmed_through == 3
        with pytest.raises(bundles.NothingToCarry):
            bundles.export(peer_id=Peer.objects.get().pk, folder=tmp_path, encrypt=True, actor=None, at=guard.clock())
    assert guard.state() == local.state()


def test_the_same_stick_again_changes_nothing_and_an_older_one_after_a_newer_one_neither(tmp_path):
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    (older,) = export(guard, local, tmp_path)
    kept = shutil.copy(older, tmp_path / "older.zip.age")
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Hai")
    (newer,) = export(guard, local, tmp_path)
    first, second, third = take(local, newer, kept, newer)
    assert (first.fresh, second.fresh, third.fresh) == (2, 0, 0)
    with local:
        assert Dispatch.objects.count() == Receipt.objects.count() == 2
        assert Bundle.objects.filter(outgoing=False).count() == 2
        assert not LinkIncident.objects.exists()


def test_halves_of_an_export_may_come_in_any_order_and_a_lost_half_is_asked_for_by_its_marks(tmp_path):
    guard, local = two_nodes(tmp_path)
    for n in range(6):
        guard.send("t.don-my-ly", ["t.huyen-uy"], f"Báo cáo {n}")
    one, _two, three = export(guard, local, tmp_path, most_items=2)
    take(local, three, one)
    with local:
        assert Dispatch.objects.count() == 4
        assert Peer.objects.get().held_through == 2
    (back,) = export(local, guard, tmp_path)
    take(guard, back)
    (again,) = export(guard, local, tmp_path)
    (done,) = take(local, again)
    assert (done.fresh, done.again) == (2, 2)
    assert guard.state().keys() == local.state().keys()


def test_through_a_diode_only_what_came_since_the_last_bundle_is_written_and_receipts_come_back_later(tmp_path):
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    take(local, *export(guard, local, tmp_path))
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Hai")
    with guard:
        last = Bundle.objects.get().last
    (done,) = take(local, *export(guard, local, tmp_path, after=last))
    assert (done.items, done.fresh) == (1, 1)
    take(guard, *export(local, guard, tmp_path))
    assert guard.state() == local.state()


def test_what_a_stick_brought_and_the_line_brings_too_is_applied_once(tmp_path):
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    paths = export(guard, local, tmp_path)
    guard.round(local)
    (done,) = take(local, *paths)
    assert (done.fresh, done.again) == (0, 1)
    with local:
        assert Dispatch.objects.count() == 1
        assert Arrival.objects.filter(kind="dispatch").count() == 1


def test_an_import_that_was_interrupted_after_it_was_stored_goes_on_by_itself(tmp_path, monkeypatch):
    guard, local = two_nodes(tmp_path)
    for n in range(3):
        guard.send("t.don-my-ly", ["t.huyen-uy"], f"Báo cáo {n}")
    paths = export(guard, local, tmp_path)
    monkeypatch.setattr(bundles, "finish", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    with local, pytest.raises(KeyboardInterrupt):
        bundles.take(path=paths[0], actor=None, at=local.clock())
    monkeypatch.undo()
    with local:
        assert Arrival.objects.filter(state="staged").count() == 3
        assert Dispatch.objects.count() == 0
        assert bundles.finish_interrupted(at=local.clock()) == 3
        assert Dispatch.objects.count() == 3
        assert Bundle.objects.get().finished_at is not None


class _Cut(BaseException):
    """The power fails: nothing catches it."""


def large_bundle(node, folder, *, damaged=False):
    """Return a bundle of 30,000 items, as nobody ever typed them, and the peer that made it."""
    peer = SimulatedNode("xa", ("l.huyen-uy", "party_district", "Huyện ủy Kỳ Sơn")).link(node)
    path = peer.bundle(node, folder / "lon.zip", *(item(n, kind="telegram") for n in range(1, 30_001)))
    if damaged:
        found = bytearray(path.read_bytes())
        last = found.rindex(b"data/items/00030.jsonl", 0, found.rindex(b"PK\x03\x04"))
        found[last + 2000] ^= 1
        path.write_bytes(found)
    return path, peer


def test_a_bundle_of_30000_items_is_stored_whole_or_not_at_all(tmp_path):
    node = Node("bien-phong", tmp_path).found(("t.don", "border_station", "Đồn"))
    path, _ = large_bundle(node, tmp_path)

    def cut(where, least):
        def told(what, done, _of):
            if what == where and done >= least:
                raise _Cut

        with node, pytest.raises(_Cut):
            bundles.take(path=path, actor=None, at=node.clock(), progress=told)

    cut("store", 29_500)
    with node:
        assert not Arrival.objects.exists()
        assert not Bundle.objects.exists()
    cut("apply", 1000)
    with node:
        states = Arrival.objects.values_list("state").annotate(n=Count("pk")).order_by("state")
        assert list(states) == [("held", 1000), ("staged", 29_000)]
        assert (Bundle.objects.get().items, Peer.objects.get().held_through) == (30_000, 30_000)


def test_a_bundle_of_30000_items_with_one_damaged_byte_near_its_end_is_refused_whole(tmp_path):
    node = Node("bien-phong", tmp_path).found(("t.don", "border_station", "Đồn"))
    path, peer = large_bundle(node, tmp_path, damaged=True)
    with node, pytest.raises(BundleRefused):
        bundles.take(path=path, actor=None, at=node.clock())
    with node:
        assert not Arrival.objects.exists()
        assert not Bundle.objects.exists()
    assert peer.incidents(node) == []


def test_a_bundle_for_another_node_or_of_a_stranger_is_refused_and_nothing_of_it_is_taken(tmp_path):
    guard, local = two_nodes(tmp_path)
    stranger = Node("xa-la", tmp_path).found(("x.la", "party_district", "Huyện ủy Lạ"))
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    peer = guard.peer(local)
    with guard:
        (written,) = bundles.export(peer_id=peer.pk, folder=tmp_path, encrypt=False, actor=None, at=guard.clock())
    with stranger, pytest.raises(bundles.BundleOfNobody):
        bundles.take(path=written.path, actor=None, at=stranger.clock())
    with guard, pytest.raises(bundles.BundleOfNobody):
        bundles.take(path=written.path, actor=None, at=guard.clock())
    with stranger:
        assert not Arrival.objects.exists()


def test_looking_into_a_bundle_takes_nothing(tmp_path):
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    paths = export(guard, local, tmp_path)
    with local:
        seen = bundles.inspect(path=paths[0])
        assert (seen.kinds, seen.here, seen.encrypted) == ({"dispatch": 1}, 0, True)
        assert not Arrival.objects.exists()
        assert not Bundle.objects.exists()


def test_an_attachment_travels_with_its_paper_and_one_that_was_missing_is_asked_for_by_the_next_stick(tmp_path):
    guard, local = two_nodes(tmp_path)
    with guard:
        from hiepdong.documents.services import keep_file, path_of

        file = keep_file(data=b"ban do " * 1000, name="ban-do.txt", media_type="text/plain", at=guard.clock())
        path_of(file.digest).rename(tmp_path / "away")
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Có tệp", files=[("ban-do.txt", file)])
    take(local, *export(guard, local, tmp_path))
    with local:
        from hiepdong.documents.models import File

        assert not File.objects.get().kept
    take(guard, *export(local, guard, tmp_path))
    with guard:
        (tmp_path / "away").rename(path_of(file.digest))
    (done,) = take(local, *export(guard, local, tmp_path))
    assert done.files_in == 1
    with local:
        assert File.objects.get().kept
        sent = Dispatch.objects.get(subject="Có tệp")
        assert services.queries.verification_of(sent).good


def test_a_bundle_names_what_its_sender_misses_and_the_other_side_shows_it_until_it_has_come(tmp_path):
    guard, local = two_nodes(tmp_path)
    station, district = "t.don-my-ly", "t.huyen-uy"
    guard.send(station, [district], "Một")
    guard.send(station, [district], "Hai")
    (lost,) = export(guard, local, tmp_path)
    for subject in ("Ba", "Bốn"):
        guard.send(station, [district], subject)
    (came,) = export(guard, local, tmp_path, after=2)
    take(local, came)
    (back,) = export(local, guard, tmp_path)
    missing = [{"sender": station, "recipient": district, "sequences": [1, 2]}]
    with guard:
        assert bundles.inspect(path=back).statement["missing"] == missing
        assert inspected(back)["missing"] == missing
        assert "1, 2" in inspected(back, words=True)
    take(guard, back)

    def shown():
        with guard:
            found, pairs = link_queries.missed_there(Peer.objects.get().missing)
            assert pairs == len(found)
            return [(m.sender, m.recipient, m.numbers) for m in found]

    assert shown() == [("Đồn Biên phòng Mỹ Lý", "Huyện ủy Kỳ Sơn", (1, 2))]
    take(local, lost)
    local.round(guard)  # the receipts come over a line
    assert shown() == []
    with local:
        peer = Peer.objects.get()
        assert link_queries.missing_as_said(peer) == []


def inspected(path, *, words=False):
    out = io.StringIO()
    call_command("bundle", "inspect", str(path), *([] if words else ["--json"]), stdout=out, stderr=io.StringIO())
    return out.getvalue() if words else json.loads(out.getvalue())


@pytest.mark.parametrize(
    "said",
    [
        None,
        [7],
        [{"sender": "a"}],
        [{"sender": 1, "recipient": "b", "sequences": [1]}],
        [{"sender": "a", "recipient": "b\u0000", "sequences": [1]}],
        [{"sender": "a", "recipient": "b", "sequences": ["1", True, -1, 0, 2**40, 1.5, None]}],
    ],
)
def test_what_is_no_list_of_missing_numbers_is_passed_over(said):
    assert link_queries.read_missing(said) == []
    assert link_queries.missed_there(said) == ([], 0)


def test_a_list_of_missing_numbers_is_cut_to_what_one_node_tells_another():
    many = [{"sender": f"a{n}", "recipient": "b", "sequences": list(range(1, 1000))} for n in range(1000)]
    found = link_queries.read_missing(many)
    assert (len(found), {len(f["sequences"]) for f in found}) == (link_queries.MOST_PAIRS, {link_queries.SHOWN_NUMBERS})
