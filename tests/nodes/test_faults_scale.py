"""Taking in costs the same with much stored: what a request asks is found by an index, and reads no more rows than it needs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hiepdong.documents.models import File
from hiepdong.exchange import answering, intake, recovery
from hiepdong.exchange.models import Arrival, Node, Parcel, Peer
from support.nodes import Node as ANode
from support.peer import SimulatedNode

pytestmark = pytest.mark.django_db(transaction=True)

A, HERE = "l.huyen-uy", "t.don"
MANY = 20_000


@pytest.fixture
def node(tmp_path):
    return ANode("bien-phong", tmp_path).found((HERE, "border_station", "Đồn"))


@pytest.fixture
def peer(node):
    return SimulatedNode("xa", (A, "party_district", "Huyện ủy Kỳ Sơn")).link(node)


def fill(node, peer):
    """Store many settled arrivals, parcels and files; then let the database see how they lie."""
    with node:
        at, row = node.clock(), Peer.objects.get()
        start = row.held_through + 1
        Arrival.objects.bulk_create(
            (
                Arrival(
                    peer=row, position=start + i, kind="dispatch", digest=f"{i:064x}", way="memory", state="applied",
                    received_at=at, settled_at=at,
                )
                for i in range(MANY)
            ),
            batch_size=2000,
        )  # fmt: skip
        sent = row.sent_through
        Parcel.objects.bulk_create(
            (Parcel(peer=row, position=sent + 1 + i, kind="receipt", digest=f"{i:064x}", made_at=at) for i in range(MANY)),
            batch_size=2000,
        )
        File.objects.bulk_create(
            (File(digest=f"{i:064x}", size=1, media_type="x", name="x", added_at=at) for i in range(MANY)), batch_size=2000
        )
        Peer.objects.update(held_through=row.held_through + MANY, sent_through=sent + MANY, confirmed_through=sent + MANY)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    peer.position += MANY


def plans(node, work):
    """Return (statement, plan) of every read that the work does."""
    found = []
    with node, CaptureQueriesContext(connection) as asked:
        work()
    with node, connection.cursor() as cursor:
        for q in asked.captured_queries:
            if q["sql"].lstrip().startswith("SELECT"):
                cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + q["sql"])
                found.append((q["sql"], "\n".join(str(r[-1]) for r in cursor.fetchall())))
    return found


LARGE = ("exchange_arrival", "exchange_parcel", "documents_file")  # those that were filled: a small one is best read whole


def reads_all(sql, plan):
    """Say whether a plan walks a large table, or all rows of a peer."""
    for line in plan.splitlines():
        walked = line.strip().startswith("SCAN") and "USING" not in line and any(t in line for t in LARGE)
        by_peer_alone = "(peer_id=?)" in line and any(t in line for t in LARGE)
        sequential = "Seq Scan on" in line and any(t in line for t in LARGE)
        if walked or by_peer_alone or sequential:
            return f"{sql}\n{line}"
    return ""


def test_taking_in_reads_no_table_from_end_to_end(node, peer):
    first = peer.dispatch(A, [HERE])
    peer.give(node, first)
    fill(node, peer)
    node.send(HERE, [A], "Của đồn")
    with node:
        Node.objects.update(restored_at=node.clock())  # a node that was restored once asks for more
        pk = Peer.objects.get().pk
    items = [peer.item(peer.dispatch(A, [HERE], replaces="00000000-0000-0000-0000-000000000001"))]
    items += [peer.item(peer.dispatch(A, [HERE])) for _ in range(3)]
    items += [peer.item(peer.receipt(first, A), kind="receipt")]

    def work():
        peer.give(node, *items)
        answering.hello(peer_id=pk, said=peer.greeting(held_through=MANY), at=node.clock())
        answering.give(peer_id=pk, after=MANY, limit=100)
        answering.echo(peer_id=pk, after=MANY, limit=100)
        recovery.earlier_receipts({"00000000-0000-0000-0000-000000000001"})
        intake.judge_anew(at=node.clock())

    bad = [b for sql, plan in plans(node, work) if (b := reads_all(sql, plan))]
    assert not bad, "\n\n".join(bad)


def test_a_hole_far_behind_is_not_searched_for_among_all_that_follows(node, peer):
    """Position 1 is missing and thousands beyond it are here: a request reads a stretch of them, not all."""
    fill(node, peer)
    with node:
        Peer.objects.update(held_through=0)
        Arrival.objects.filter(position=1).delete()
    with node, CaptureQueriesContext(connection) as asked:
        peer.give(node, peer.dispatch(A, [HERE]))
        said = [q["sql"] for q in asked.captured_queries]
    walks = [sql for sql in said if '"position" >' in sql and "exchange_arrival" in sql]
    assert walks
    assert all("LIMIT" in sql for sql in walks)
    assert peer.at(node).held_through == 0


def test_the_number_of_statements_does_not_grow_with_what_is_stored(node, peer):
    def cost():
        items = [peer.item(peer.dispatch(A, [HERE])) for _ in range(20)]
        with node, CaptureQueriesContext(connection) as asked:
            peer.give(node, *items)
            return len(asked)

    cost()
    before = cost()
    fill(node, peer)
    assert cost() <= before
