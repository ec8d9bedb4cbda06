"""Files of papers that pass a third node: they follow the paper, to whom it goes and to no other, by line and by stick."""

import hashlib
from datetime import timedelta

import pytest

from hiepdong.documents.models import File
from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import answering, bundles, files, intake
from hiepdong.exchange.models import Arrival, LinkIncident, Peer, RelayedFile
from hiepdong.exchange.transport import PeerRefused
from hiepdong.kernel.errors import NotFound
from hiepdong.web.services import react
from nodes.test_faults_relay import A, B, C, heal, three_nodes, whole
from support.nodes import Node, Unreachable, link

pytestmark = pytest.mark.django_db(transaction=True)

DATA = b"ban do tuan tra\n" * 5000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def nodes(tmp_path):
    return three_nodes(tmp_path)


def send_file(node, sender, to, data=DATA, name="ban-do.txt", subject="Có tệp"):
    with node:
        file = keep_file(data=data, name=name, media_type="text/plain", at=node.clock())
    return node.send(sender, to, subject, files=[(name, file)])


def has(node, data=DATA):
    with node:
        return File.objects.filter(digest=hashlib.sha256(data).hexdigest(), kept=True).exists()


def stick(near, far, folder, **more):
    peer = near.peer(far)
    with near:
        at = near.clock()
        paths = [w.path for w in bundles.export(peer_id=peer.pk, folder=folder, encrypt=True, actor=None, at=at, **more)]
    with far:
        done = [bundles.take(path=p, actor=None, at=far.clock()) for p in paths]
        react(at=far.clock())
    return done


def left_at(node):
    with node:
        return (
            sorted(p.name.split(".", 1)[-1] for p in path_of(DIGEST).parent.glob("*"))
            if path_of(DIGEST).parent.is_dir()
            else []
        )


def test_a_file_follows_its_paper_through_a_relay_over_lines(nodes):
    station, province, commune = nodes
    send_file(station, A, [C])
    heal(*nodes)
    whole(*nodes)
    assert has(commune)
    with province:
        assert not File.objects.exists()  # it is none of its own papers'


def test_a_node_that_only_asks_fetches_the_file_from_the_relay(nodes):
    station, province, commune = nodes
    send_file(station, A, [C])
    for _ in range(2):
        station.round(province)
        commune.round(province)
    assert has(commune)
    with province:
        assert RelayedFile.objects.get().given_at


def test_a_file_follows_its_paper_through_a_relay_on_sticks(nodes, tmp_path):
    station, province, commune = nodes
    send_file(station, A, [C])
    assert [d.files_in for d in stick(station, province, tmp_path)] == [1]
    with province:
        peer = Peer.objects.get(name=commune.name)
        assert (bundles.waiting(peer).files, bundles.waiting(peer).files_size) == (1, len(DATA))
    assert [d.files_in for d in stick(province, commune, tmp_path)] == [1]
    assert has(commune)


def test_a_file_that_came_to_the_relay_after_the_paper_had_left_is_asked_for_by_the_next_stick(nodes, tmp_path):
    station, province, commune = nodes
    send_file(station, A, [C])
    with station:
        path_of(DIGEST).rename(tmp_path / "away")
    stick(station, province, tmp_path)
    stick(province, commune, tmp_path)
    assert not has(commune)
    stick(commune, province, tmp_path)
    stick(province, station, tmp_path)
    with station:
        (tmp_path / "away").rename(path_of(DIGEST))
    assert [d.files_in for d in stick(station, province, tmp_path, empty=True)] == [1]
    assert [d.files_in for d in stick(province, commune, tmp_path, empty=True)] == [1]
    assert has(commune)


def test_a_file_goes_on_at_the_relay_where_a_cut_left_it(nodes, monkeypatch):
    monkeypatch.setattr(files, "PIECE", 16_000)
    station, province, commune = nodes
    send_file(station, A, [C])
    begun = []

    def cut(step):
        begun.append(step)
        if begun.count("put") == 3:
            raise Unreachable(name="tinh", why="cut")

    with pytest.raises(Unreachable):
        station.round(province, station.line_to(province, after=cut))
    assert any(name.endswith(".part") for name in left_at(province))
    again = []
    station.round(province, station.line_to(province, after=again.append))
    assert again.count("put") == 2, "of five pieces three were there"
    province.round(commune)
    assert has(commune)


def test_a_paper_to_the_relay_and_to_one_behind_it_brings_its_file_to_both(nodes):
    station, province, commune = nodes
    send_file(station, A, [B, C])
    heal(*nodes)
    whole(*nodes)
    assert has(province)
    assert has(commune)


def test_a_file_passes_two_relays(tmp_path):
    station, province, commune = three_nodes(tmp_path)
    hamlet = Node("thon", tmp_path).found(("d.thon", "peoples_committee_commune", "Thôn"))
    link(station, hamlet)
    link(province, hamlet)
    link(commune, hamlet)
    for node, through in ((station, "tinh"), (province, "xa"), (hamlet, "xa")):
        with node:
            relay = Peer.objects.get(name=through)
            Peer.objects.filter(pk=relay.pk).update(may_relay=True)
            Peer.objects.exclude(pk=relay.pk).filter(name="don" if node is hamlet else "thon").update(via=relay)
    with commune:
        Peer.objects.update(may_relay=True)
    send_file(station, A, ["d.thon"])
    for _ in range(3):
        for near, far in ((station, province), (province, commune), (commune, hamlet)):
            near.round(far)
    assert has(hamlet)


def test_a_relayed_file_is_given_to_nobody_but_the_node_its_paper_goes_to(nodes, tmp_path):
    station, province, _commune = nodes
    other = Node("ban", tmp_path).found(("d.ban", "peoples_committee_commune", "UBND xã bên"))
    link(province, other)
    send_file(station, A, [C])
    station.round(province)
    with province:
        assert RelayedFile.objects.get().kept
        for name, may in (("xa", True), ("ban", False), ("don", False)):
            peer_id = Peer.objects.get(name=name).pk
            if may:
                assert answering.file_for(peer_id=peer_id, digest=DIGEST).digest == DIGEST
            else:
                with pytest.raises(NotFound):
                    answering.file_for(peer_id=peer_id, digest=DIGEST)
            if name != "don":
                with pytest.raises(NotFound):
                    answering.wants(peer_id=peer_id, digest=DIGEST)


def test_nobody_gets_a_file_of_the_relay_by_naming_its_digest_in_a_paper_to_another(nodes):
    """The relay has the very file, of a paper of its own; the giver of the passing paper never had it."""
    station, province, commune = nodes
    send_file(station, A, [C])
    with station:
        path_of(DIGEST).unlink()
    with province:
        keep_file(data=DATA, name="rieng.txt", media_type="text/plain", at=province.clock())
    heal(*nodes)
    assert not has(commune)


def test_a_file_with_a_secrecy_mark_stops_at_the_relay(nodes):
    station, province, commune = nodes
    marked = "TỐI MẬT\n".encode()
    send_file(station, A, [C], data=marked, name="a.txt")
    with pytest.raises(PeerRefused, match="classified_content"):
        station.round(province)
    heal(*nodes)
    assert not has(commune, marked)
    with province:
        assert [i.code for i in LinkIncident.objects.all()] == ["exchange.file_classified"]
        assert not RelayedFile.objects.exists()
        assert intake.wanted_files(Peer.objects.get(name="don")) == []


def test_what_was_only_relayed_is_let_go_after_it_was_given_and_answered_and_not_before(nodes):
    station, province, commune = nodes
    send_file(station, A, [C])
    station.round(province)

    def let_go(**later):
        with province:
            return files.let_go(at=province.clock() + timedelta(**later))

    assert let_go(days=900) == 0  # not given yet
    heal(*nodes)
    assert let_go(days=30) == 0
    assert left_at(province)
    with province:
        Peer.objects.filter(name="xa").update(wanted=[DIGEST])
    assert let_go(days=61) == 0  # its last stick asks for it
    with province:
        Peer.objects.filter(name="xa").update(wanted=[])
    assert let_go(days=61) == 1
    assert left_at(province) == []
    assert let_go(days=61) == 0
    assert has(commune)


def test_letting_go_takes_neither_a_file_of_the_node_itself_nor_one_that_another_paper_still_brings(nodes):
    station, province, _commune = nodes
    send_file(station, A, [B, C])
    heal(*nodes)
    station.send(A, [C], "Lại tệp ấy", files=[("ban-do.txt", station_file(station))])
    station.round(province)
    with province:
        assert RelayedFile.objects.filter(kept=True).count() == 2
        assert files.let_go(at=province.clock() + timedelta(days=61)) == 1
        assert files.is_here(RelayedFile.objects.get())
        assert path_of(DIGEST).read_bytes() == DATA


def station_file(station):
    with station:
        return File.objects.get(digest=DIGEST)


def test_bytes_that_the_relay_lost_are_asked_for_again(nodes):
    station, province, commune = nodes
    send_file(station, A, [C])
    station.round(province)
    with province:
        files.place_of(RelayedFile.objects.get()).unlink()  # a backup does not hold what only passes through
    heal(*nodes)
    assert has(commune)
    with commune:
        assert Arrival.objects.get(kind="dispatch").state == "applied"
