"""Two peers push at once while people send: nobody waits for ever, no place or number is given twice (PostgreSQL)."""

import threading

import pytest
from django.db import connection

from hiepdong.exchange import answering, services
from hiepdong.exchange.domain.links import read_item
from hiepdong.exchange.models import Addressee, Arrival, Dispatch, LinkIncident, Parcel, Peer, Receipt
from support.make import notice
from support.nodes import Node
from support.peer import SimulatedNode

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time"),
]

HERE = "t.don"


@pytest.mark.parametrize("relay", [False, True])
def test_two_peers_push_at_once_while_somebody_sends(tmp_path, relay):
    node = Node("bien-phong", tmp_path).found((HERE, "border_station", "Đồn"))
    peers = [SimulatedNode(name, (f"{name}.a", "other", name)).link(node) for name in ("mot", "hai")]
    if relay:
        with node:
            Peer.objects.update(may_relay=True)
    requests = {}
    for peer, other in (peers, reversed(peers)):
        to = [HERE, other.bodies[0][0]] if relay else [HERE]
        requests[peer.name] = [[peer.item(peer.dispatch(peer.bodies[0][0], to)) for _ in range(4)] for _ in range(6)]
    with node:
        numbers = {p.name: p.at(node).pk for p in peers}
        actor, body = node.seat(HERE), node.body(HERE)
        targets = [node.body(p.bodies[0][0]) for p in peers]
    failed, start = [], threading.Barrier(4)

    def inside(work):
        def run():
            try:
                start.wait()
                work()
            except Exception as error:
                failed.append(error)
            finally:
                connection.close()

        return threading.Thread(target=run)

    def push(name):
        for items in requests[name]:
            answering.take(peer_id=numbers[name], items=[read_item(i) for i in items], way="memory", at=node.clock())

    def send():
        for i in range(8):
            at = node.clock()
            services.send(item=notice(body, targets[:: 1 if i % 2 else -1], f"Gửi {i}", sent_at=at), actor=actor, at=at)

    with node:  # new threads open connections of their own to this node's database
        threads = [inside(lambda: push("mot")), inside(lambda: push("hai")), inside(send), inside(send)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    assert not failed, failed
    with node:
        assert not LinkIncident.objects.exists()
        assert set(Arrival.objects.values_list("state", flat=True)) == {"applied"}
        assert Arrival.objects.count() == 48
        assert Dispatch.objects.count() == 48 + 16
        assert Receipt.objects.filter(addressee__organisation__key=HERE).count() == 48
        for peer in Peer.objects.all():
            positions = list(Parcel.objects.filter(peer=peer).order_by("position").values_list("position", flat=True))
            assert positions == list(range(1, peer.sent_through + 1))
            assert peer.held_through == 24
        for target in targets:
            sequences = Addressee.objects.filter(dispatch__sender=body, organisation=target).order_by("sequence")
            assert list(sequences.values_list("sequence", flat=True)) == list(range(1, 17))
