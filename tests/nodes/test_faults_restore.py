"""A node that is put back to an older copy of its data: it recovers what it lost, uses no number twice, and believes no lie."""

import pytest

from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import courier, intake, links, services
from hiepdong.exchange.models import Addressee, Arrival, Dispatch, LinkIncident, Node, Parcel, Peer, Receipt, SigningKey
from support.nodes import Node as ANode
from support.nodes import link, two_nodes
from support.peer import SimulatedNode

pytestmark = pytest.mark.django_db(transaction=True)

STATION, DISTRICT = "t.don-my-ly", "t.huyen-uy"


@pytest.fixture
def nodes(tmp_path):
    return two_nodes(tmp_path)


def three_nodes(folder):
    """Return a station and a commune that only meet at the province's node."""
    bodies = [("don", "a.don", "border_station"), ("tinh", "b.tinh", "other"), ("xa", "c.xa", "peoples_committee_commune")]
    nodes = [ANode(name, folder, vendor="sqlite").found((key, kind, name)) for name, key, kind in bodies]
    link(*nodes)
    for near, far in ((nodes[0], "xa"), (nodes[2], "don")):
        with near:
            Peer.objects.filter(name="tinh").update(may_relay=True)
            Peer.objects.filter(name=far).update(via=Peer.objects.get(name="tinh"))
    with nodes[1]:
        Peer.objects.update(may_relay=True)
    return nodes


def heal(*nodes, times=4):
    for _ in range(times):
        for a in nodes:
            for b in nodes:
                if a is not b:
                    a.round(b)


def restore(node, copy, *, told=True):
    node.put_back(copy)
    if told:
        with node:
            links.mark_restored(at=node.clock())


def codes(node):
    with node:
        return sorted(set(LinkIncident.objects.values_list("code", flat=True)))


def gap_free(*nodes):
    for node in nodes:
        with node:
            for peer in Peer.objects.all():
                positions = sorted(Parcel.objects.filter(peer=peer).values_list("position", flat=True))
                assert positions == list(range(1, peer.sent_through + 1))
                assert peer.confirmed_through == peer.sent_through
            chains = {}
            for a in Addressee.objects.order_by("sequence"):
                chains.setdefault((a.sender_id_copy, a.organisation_id), []).append(a.sequence)
            assert all(s == list(range(1, len(s) + 1)) for s in chains.values())


@pytest.mark.parametrize("told", [True, False])
def test_what_was_sent_after_the_backup_comes_back_and_no_number_is_used_twice(nodes, tmp_path, told):
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Trước sao lưu")
    heal(*nodes)
    copy = guard.copy_database(tmp_path / "copy")
    for i in range(3):
        guard.send(STATION, [DISTRICT], f"Sau sao lưu {i}")
    heal(*nodes)
    restore(guard, copy, told=told)
    with guard:
        assert Dispatch.objects.count() == 1
        if told:
            with pytest.raises(links.NodeRecovering):
                guard.send(STATION, [DISTRICT], "Quá sớm")
    heal(*nodes)
    guard.send(STATION, [DISTRICT], "Sau phục hồi")
    heal(*nodes)
    assert guard.state() == local.state()
    assert len(guard.state()) == 5
    gap_free(*nodes)
    with guard:
        assert sorted(Dispatch.objects.values_list("register_number", flat=True)) == [1, 2, 3, 4, 5]
        assert Node.objects.get().state == "normal"
    assert codes(local) == ["exchange.peer_restored"]
    assert codes(guard) == ([] if told else ["exchange.restored_from_backup"])


def test_a_paused_neighbour_may_know_numbers_too_and_nothing_is_sent_before_it_was_asked(nodes, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    guard.send(STATION, [DISTRICT], "Bị mất")
    heal(*nodes)
    guard.put_back(copy)
    with guard:
        links.set_state(peer_id=Peer.objects.get().pk, state="paused", actor=None, at=guard.clock())
        links.mark_restored(at=guard.clock())
        with pytest.raises(links.NodeRecovering):
            guard.send(STATION, [DISTRICT], "Quá sớm")
        links.set_state(peer_id=Peer.objects.get().pk, state="linked", actor=None, at=guard.clock())
    heal(*nodes)
    guard.send(STATION, [DISTRICT], "Sau phục hồi")
    heal(*nodes)
    assert guard.state() == local.state()
    assert len(guard.state()) == 2


def test_a_node_that_speaks_with_some_only_through_a_relay_recovers_from_the_relay(tmp_path):
    station, province, commune = three_nodes(tmp_path)
    copy = station.copy_database(tmp_path / "copy")
    station.send("a.don", ["c.xa"], "Qua tỉnh")
    for _ in range(2):
        station.round(province)
        commune.round(province)
    restore(station, copy)
    for _ in range(2):
        station.round(province)
        commune.round(province)
    with station:
        assert Node.objects.get().state == "normal"
    assert station.state() == commune.state()
    assert len(station.state()) == 1


def test_an_answer_given_after_the_backup_comes_back_so_that_nobody_answers_twice(nodes, tmp_path):
    guard, local = nodes
    uuid = guard.send(STATION, [DISTRICT], "Cần trả lời")
    heal(*nodes)
    copy = local.copy_database(tmp_path / "copy") if local.vendor == "sqlite" else None
    if copy is None:
        pytest.skip("the other node's database is no file")
    with local:
        services.acknowledge(dispatch_uuid=uuid, actor=local.seat(DISTRICT), at=local.clock())
    heal(*nodes)
    restore(local, copy)
    heal(*nodes)
    assert guard.state() == local.state()
    with local:
        assert Addressee.objects.get().acknowledged_at
        with pytest.raises(services.AlreadyAnswered):
            services.return_dispatch(dispatch_uuid=uuid, reason="Thôi", actor=local.seat(DISTRICT), at=local.clock())
    gap_free(*nodes)


def test_what_was_received_after_the_backup_comes_again_with_the_very_receipts_given_then(nodes, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    uuid = local.send(DISTRICT, [STATION], "Gửi đồn")
    heal(*nodes)
    with guard:
        services.acknowledge(dispatch_uuid=uuid, actor=guard.seat(STATION), at=guard.clock())
    heal(*nodes)
    before = local.state()
    restore(guard, copy)
    heal(*nodes)
    assert guard.state() == local.state() == before
    assert "exchange.receipt_changed" not in codes(local)


def test_a_restored_node_answers_nothing_before_it_knows_what_it_had_answered(nodes, tmp_path):
    """The other side pushes first: the papers are taken, the very receipts of then are given when they are known again."""
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    uuid = local.send(DISTRICT, [STATION], "Gửi đồn")
    heal(*nodes)
    before = local.state()
    restore(guard, copy)
    local.round(guard)
    with guard:
        assert Dispatch.objects.count() == 1
        assert not Receipt.objects.exists()
        with pytest.raises(links.NodeRecovering):
            services.acknowledge(dispatch_uuid=uuid, actor=guard.seat(STATION), at=guard.clock())
    later = local.send(DISTRICT, [STATION], "Gửi khi đang phục hồi")
    local.round(guard)
    heal(*nodes)
    assert codes(local) == ["exchange.peer_restored"]
    assert guard.state() == local.state()
    assert len(local.state()) == 2
    assert before.items() <= local.state().items()
    assert later


def test_a_receipt_for_a_lost_paper_waits_and_is_released_when_the_paper_comes_back(nodes, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    uuid = guard.send(STATION, [DISTRICT], "Một")
    guard.round(local)
    restore(guard, copy)
    with local:
        services.acknowledge(dispatch_uuid=uuid, actor=local.seat(DISTRICT), at=local.clock())
    peer = guard.peer(local)
    with local:  # it pushes before the restored node has asked
        from hiepdong.exchange import outbox

        items = outbox.items_after(local.peer(guard), 0, limit=10)
    with guard:
        intake.take_in(peer_id=peer.pk, items=items, way="memory", at=guard.clock())
        assert Arrival.objects.filter(code="exchange.dispatch_missing").count() == 2
    heal(*nodes)
    assert guard.state() == local.state()
    with guard:
        assert not Arrival.objects.exclude(state="applied").exists()


def test_a_paper_written_after_an_untold_restore_is_not_lost_in_silence(nodes, tmp_path):
    """It bears the number of a lost one: both are kept, both sides are told."""
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Một")
    heal(*nodes)
    copy = guard.copy_database(tmp_path / "copy")
    guard.send(STATION, [DISTRICT], "Hai, bị mất")
    heal(*nodes)
    restore(guard, copy, told=False)
    guard.send(STATION, [DISTRICT], "Hai, viết lại")
    heal(*nodes)
    with guard:
        assert sorted(Dispatch.objects.values_list("subject", flat=True)) == ["Hai, viết lại", "Một"]
        assert Parcel.objects.filter(position=2, dispatch=None).exclude(document=None).exists(), "the lost one, as evidence"
        moved = Parcel.objects.get(dispatch__subject="Hai, viết lại")
        assert moved.position > 2
        assert moved.outcome == "refused exchange.sequence_conflict"
        assert Node.objects.get().state == "normal"
    assert {"exchange.restored_from_backup", "exchange.position_reused", "exchange.number_given_twice"} <= set(codes(guard))
    assert "exchange.sequence_conflict" in codes(local)
    guard.send(STATION, [DISTRICT], "Ba")
    heal(*nodes)
    with local:
        assert Dispatch.objects.filter(subject="Ba").exists()


def test_a_key_made_after_the_backup_is_lost_and_its_papers_are_not(nodes, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    with guard:
        lost = links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
    guard.send(STATION, [DISTRICT], "Ký bằng khóa mới")
    heal(*nodes)
    restore(guard, copy)
    heal(*nodes)
    assert guard.state() == local.state()
    assert len(guard.state()) == 1
    assert codes(guard) == ["exchange.own_key_lost"]
    with guard:
        key = SigningKey.objects.get(kid=lost.kid)
        assert not key.private_encrypted
        assert LinkIncident.objects.get().facts == {"owner": STATION, "kid": lost.kid}
        assert Node.objects.get().state == "normal"
        links.revoke_key(kid=lost.kid, reason="Mất sau phục hồi", actor=None, at=guard.clock())
    guard.send(STATION, [DISTRICT], "Ký bằng khóa sau đó")
    heal(*nodes)
    with local:
        for row in Arrival.objects.filter(code="exchange.key_needs_comparison"):
            intake.release(arrival_id=row.pk, actor=None, at=local.clock())
        assert SigningKey.objects.get(kid=lost.kid).revoked_at
    heal(*nodes)
    assert guard.state() == local.state()
    assert len(guard.state()) == 2


def test_a_file_of_a_lost_paper_comes_back_from_who_has_it(nodes, tmp_path):
    guard, _local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    with guard:
        file = keep_file(data=b"noi dung", name="a.txt", media_type="text/plain", at=guard.clock())
    guard.send(STATION, [DISTRICT], "Có tệp", files=[("a.txt", file)])
    heal(*nodes)
    restore(guard, copy)
    with guard:
        path_of(file.digest).unlink()
    heal(*nodes)
    with guard:
        assert path_of(file.digest).read_bytes() == b"noi dung"


def test_a_peer_that_lies_in_its_echo_holds_up_nobody_and_plants_nothing(tmp_path):
    node = ANode("bien-phong", tmp_path).found((STATION, "border_station", "Đồn"))
    peer = SimulatedNode("la", (DISTRICT, "party_district", "Huyện ủy")).link(node)
    node.send(STATION, [DISTRICT], "Một")
    with node:
        links.mark_restored(at=node.clock())
    forged = peer.forged_echo(DISTRICT, STATION)
    line = peer.line(
        hello=peer.greeting(held_through=9),
        echo=lambda after: {"items": [i for i in forged if i["position"] > after], "held_through": 9},
    )
    with node:
        courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)
        assert Node.objects.get().state == "normal"
        assert Dispatch.objects.count() == 1
        assert Parcel.objects.count() == 1
        assert Receipt.objects.count() == 0
        assert SigningKey.objects.filter(organisation__key=STATION).count() == 1
    assert peer.incidents(node) == ["exchange.echo_false"] * 5
    node.send(STATION, [DISTRICT], "Hai")


def test_a_peer_that_repeats_its_echo_for_ever_is_left(tmp_path):
    node = ANode("bien-phong", tmp_path).found((STATION, "border_station", "Đồn"))
    peer = SimulatedNode("la", (DISTRICT, "party_district", "Huyện ủy")).link(node)
    node.send(STATION, [DISTRICT], "Một")
    with node:
        own = Parcel.objects.select_related("dispatch").get()
        item = peer.item(bytes(own.dispatch.signed), position=1)
        links.mark_restored(at=node.clock())
        line = peer.line(hello=peer.greeting(held_through=1), echo=lambda after: {"items": [item], "held_through": 1})
        courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)
        assert Node.objects.get().state == "normal"
    assert len([name for name, _ in line.asked if name == "echo"]) <= 2
