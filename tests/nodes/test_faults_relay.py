"""Two nodes that only speak through a third: it carries their bytes on, cannot change them, and keeps nothing back."""

import pytest

from hiepdong.exchange import intake, links, services
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, Parcel, Peer, Receipt, SigningKey
from support.nodes import Node, link
from support.peer import claims, with_payload

pytestmark = pytest.mark.django_db(transaction=True)

A, B, C = "a.don", "b.tinh", "c.xa"


def three_nodes(folder, **more):
    """Return a station and a commune that only meet at the province's node."""
    station = Node("don", folder, vendor="sqlite", **more).found((A, "border_station", "Đồn"))
    province = Node("tinh", folder, **more).found((B, "border_guard_party", "Đảng ủy BĐBP tỉnh"))
    commune = Node("xa", folder, vendor="sqlite", **more).found((C, "peoples_committee_commune", "UBND xã"))
    link(station, province, commune)
    for near, far in ((station, commune), (commune, station)):
        with near:
            relay = Peer.objects.get(name="tinh")
            Peer.objects.filter(pk=relay.pk).update(may_relay=True)
            Peer.objects.filter(name=far.name).update(via=relay)
    with province:
        Peer.objects.update(may_relay=True)
    return station, province, commune


@pytest.fixture
def nodes(tmp_path):
    return three_nodes(tmp_path)


def heal(station, province, commune, times=3):
    for _ in range(times):
        for near, far in ((station, province), (province, commune), (commune, province)):
            near.round(far)


def whole(*nodes):
    """Everything at its end, and no incident."""
    for node in nodes:
        with node:
            assert not Arrival.objects.exclude(state="applied").exists(), list(Arrival.objects.values("kind", "code", "facts"))
            assert not LinkIncident.objects.exists(), list(LinkIncident.objects.values("code", "facts"))


def test_a_paper_goes_through_a_relay_byte_for_byte_and_its_receipt_comes_back(nodes):
    station, province, commune = nodes
    station.send(A, [C], "Qua tỉnh")
    heal(*nodes)
    whole(*nodes)
    assert station.state() == commune.state() != {}
    with province:
        assert not Dispatch.objects.exists()
        assert Parcel.objects.filter(kind="dispatch").count() == Parcel.objects.filter(kind="receipt").count() == 1
    with commune:
        hops = Arrival.objects.get(kind="dispatch").hops
        assert len(hops) == 1
        assert claims(hops[0].encode())["digest"] == Dispatch.objects.get().digest


def test_a_paper_to_the_relay_and_to_one_behind_it_reaches_both_and_both_receipts_come_back(nodes):
    station, _province, commune = nodes
    station.send(A, [B, C], "Cho cả hai")
    heal(*nodes)
    whole(*nodes)
    assert sorted((k, c) for rows in station.state().values() for k, c, _ in rows) == [(B, "arrived"), (C, "arrived")]
    with commune:
        assert Receipt.objects.filter(addressee__organisation__key=C).count() == 1


def test_verdicts_replacements_and_withdrawals_pass_the_relay_too(nodes):
    station, _province, commune = nodes
    uuid = station.send(A, [C], "Bản một")
    heal(*nodes)
    with commune:
        services.acknowledge(dispatch_uuid=uuid, actor=commune.seat(C), at=commune.clock())
    with station:
        services.withdraw(dispatch_uuid=uuid, reason="Nhầm", actor=station.seat(A), at=station.clock())
    heal(*nodes)
    whole(*nodes)
    assert station.state() == commune.state()
    with commune:
        assert Dispatch.objects.get(kind="withdrawal").withdraws == Dispatch.objects.get(kind="notice")


def test_a_rotated_key_reaches_the_node_behind_the_relay_before_what_it_signs(nodes):
    station, province, commune = nodes
    with station:
        fresh = links.rotate_key(organisation=station.body(A), actor=None, at=station.clock())
    station.send(A, [C], "Khóa mới")
    heal(*nodes)
    whole(*nodes)
    assert station.state() == commune.state()
    for node in (province, commune):
        with node:
            assert SigningKey.objects.get(kid=fresh.kid).organisation.key == A


def test_a_revoked_key_and_the_one_after_it_reach_the_node_behind_the_relay(nodes):
    station, province, commune = nodes
    with station:
        old = SigningKey.objects.get(organisation__key=A)
        links.revoke_key(kid=old.kid, reason="Mất", actor=None, at=station.clock())
    station.send(A, [C], "Sau thu hồi")
    heal(*nodes)
    for node in (province, commune):
        with node:
            assert SigningKey.objects.get(kid=old.kid).revoked_at
            row = Arrival.objects.get(code="exchange.key_needs_comparison")
            intake.release(arrival_id=row.pk, actor=None, at=node.clock())
    heal(*nodes)
    whole(*nodes)
    assert station.state() == commune.state()


def test_a_relay_that_alters_what_it_carries_is_refused_and_told(nodes):
    station, province, commune = nodes
    station.send(A, [C], "Nguyên văn")
    station.round(province)
    with province:
        parcel = Parcel.objects.get(kind="dispatch")
        good = bytes(parcel.document)
        parcel.document = with_payload(good, b'{"subject":"x"}')
        parcel.save()
    province.round(commune)
    with commune:
        assert not Dispatch.objects.exists()
        assert Arrival.objects.get(kind="dispatch").code == "exchange.bad_signature"
        assert LinkIncident.objects.get().peer.name == "tinh"


def test_a_node_that_may_not_relay_carries_nothing_for_others(nodes):
    station, _province, commune = nodes
    with commune:
        Peer.objects.update(may_relay=False)
    station.send(A, [C], "Qua tỉnh")
    heal(*nodes)
    with commune:
        assert not Dispatch.objects.exists()
        assert {i.code for i in LinkIncident.objects.all()} == {"exchange.foreign_sender"}


def test_unknown_members_survive_the_relay_byte_for_byte(nodes, monkeypatch):
    from hiepdong.exchange.domain import envelope

    station, _province, commune = nodes
    real = envelope.as_json
    monkeypatch.setattr(services, "as_json", lambda c: real(c) | {"của bản sau": {"số": [1, 2.5, None]}})
    station.send(A, [C], "Có trường lạ")
    monkeypatch.undo()
    heal(*nodes)
    whole(*nodes)
    with station:
        sent = bytes(Dispatch.objects.get().signed)
    with commune:
        assert bytes(Dispatch.objects.get().signed) == sent
        assert claims(sent)["của bản sau"] == {"số": [1, 2.5, None]}


def test_a_paper_that_goes_in_a_circle_stops(nodes):
    station, province, _commune = nodes
    station.send(A, [C], "Vòng")
    heal(*nodes, times=5)
    with province:
        assert Parcel.objects.filter(kind="dispatch").count() == 1
