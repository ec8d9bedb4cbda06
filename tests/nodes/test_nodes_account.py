"""Statements of account between two nodes: equal when both know the same, and exact about what only one knows."""

import json
from datetime import datetime

import pytest

from hiepdong.exchange import joint, links, services, statements
from hiepdong.exchange.models import Addressee, JointDocument, LinkIncident, Parcel
from hiepdong.web.services import react
from support.nodes import Clock, Node, link

pytestmark = pytest.mark.django_db(transaction=True)
STATION, DISTRICT = "t.don-my-ly", "t.huyen-uy"
MONTH = "2020-03"


@pytest.fixture
def nodes(tmp_path):
    """Two nodes on one clock, so that a statement of the one is not made before the answer of the other."""
    clock = Clock()
    guard = Node("bien-phong", tmp_path, clock=clock).found((STATION, "border_station", "Đồn Biên phòng Mỹ Lý"))
    local = Node("dia-phuong", tmp_path, clock=clock).found((DISTRICT, "party_district", "Huyện ủy Kỳ Sơn"))
    link(guard, local)
    return guard, local


def exchanged(guard, local):
    """One paper acknowledged, one returned, one not answered, and one back; everything carried both ways."""
    first = guard.send(STATION, [DISTRICT], "Một")
    second = guard.send(STATION, [DISTRICT], "Hai")
    guard.send(STATION, [DISTRICT], "Ba")
    local.send(DISTRICT, [STATION], "Bốn")
    guard.round(local)
    with local:
        services.acknowledge(dispatch_uuid=first, actor=local.seat(DISTRICT), at=local.clock())
        services.return_dispatch(dispatch_uuid=second, reason="Thiếu", actor=local.seat(DISTRICT), at=local.clock())
    guard.round(local)


def april(node, day=4):
    node.clock.at = datetime.fromisoformat(f"2020-04-{day:02}T03:00:00+00:00")


def make(node, own, other):
    with node:
        made = statements.make(
            organisation=node.body(own), other=node.body(other), month=MONTH, actor=node.seat(own), at=node.clock()
        )
        return made.digest


def sign(node, digest, key):
    with node:
        at = node.clock()
        joint.sign(document_id=joint.by_digest(digest).pk, organisation=node.body(key), actor=node.seat(key), at=at)
        react(at=at)


def account(node):
    with node:
        return statements.account_of(node.body(STATION), node.body(DISTRICT), MONTH)


def told(differences):
    return [(d.sender, d.sequence, d.code, bool(d.ours), bool(d.theirs)) for d in differences]


def test_both_nodes_make_the_same_statement_and_both_sign_the_same_bytes(nodes):
    guard, local = nodes
    exchanged(guard, local)
    april(guard)
    digest = make(guard, STATION, DISTRICT)
    sign(guard, digest, STATION)
    guard.round(local)
    shown = account(local).statements
    assert [s.differences for s in shown] == [[]]
    assert [d["verdict"] for d in shown[0].payload["sent"][0]["dispatches"]] == ["acknowledged", "returned", ""]
    sign(local, digest, DISTRICT)
    guard.round(local)
    documents = []
    for node in nodes:
        assert account(node).state == "complete"
        with node:
            documents.append(json.dumps(joint.as_json(joint.by_digest(digest)), sort_keys=True))
            assert not LinkIncident.objects.exists()
    assert documents[0] == documents[1]


def test_what_each_side_makes_for_itself_says_the_same_when_nothing_is_under_way(nodes):
    guard, local = nodes
    exchanged(guard, local)
    april(guard)
    make(guard, STATION, DISTRICT)
    sign(guard, make(guard, STATION, DISTRICT), STATION)
    guard.round(local)
    make(local, DISTRICT, STATION)
    found = account(local)
    assert len(found.statements) == 2
    assert found.between == []


def test_a_withheld_dispatch_is_named_by_the_side_that_does_not_hold_it_and_is_then_not_signed(nodes):
    guard, local = nodes
    exchanged(guard, local)
    uuid = guard.send(STATION, [DISTRICT], "Giữ lại")
    guard.send(STATION, [DISTRICT], "Sau đó")
    with guard:  # a node that withholds: the paper stands in its register, and never goes out
        held = Parcel.objects.get(dispatch__uuid=uuid)
        later = Parcel.objects.get(dispatch__subject="Sau đó")
        held.dispatch, held.digest = later.dispatch, later.digest
        later.delete()
        held.save()
        links.Peer.objects.update(sent_through=held.position)
    guard.round(local)
    april(guard)
    digest = make(guard, STATION, DISTRICT)
    sign(guard, digest, STATION)
    guard.round(local)
    with local:
        missing = Addressee.objects.filter(dispatch__uuid=uuid)
        assert not missing.exists()
    shown = account(local).statements[0]
    assert told(shown.differences) == [(STATION, 4, "missing_here", False, True)]
    with pytest.raises(joint.StatementDiffers):
        sign(local, digest, DISTRICT)
    own = make(local, DISTRICT, STATION)
    sign(local, own, DISTRICT)
    guard.round(local)
    for node in nodes:
        found = account(node)
        assert found.state == "differs"
        assert told(found.between) == [(STATION, 4, "missing_there", True, False)]  # the station's against the district's
        assert len(found.statements) == 2
        assert all(len(s.document.signatures) == 1 for s in found.statements)


def test_a_receipt_that_has_not_come_back_is_a_difference_and_a_new_statement_settles_it(nodes):
    guard, local = nodes
    uuid = guard.send(STATION, [DISTRICT], "Một")
    guard.round(local)
    with local:
        services.acknowledge(dispatch_uuid=uuid, actor=local.seat(DISTRICT), at=local.clock())
    april(guard)
    early = make(guard, STATION, DISTRICT)
    sign(guard, early, STATION)
    guard.round(local)
    assert told(account(local).statements[0].differences) == [(STATION, 1, "verdict", True, False)]
    again = make(guard, STATION, DISTRICT)
    assert again != early
    sign(guard, again, STATION)
    guard.round(local)
    sign(local, again, DISTRICT)
    guard.round(local)
    assert [account(node).state for node in nodes] == ["complete", "complete"]
    assert len(account(local).statements) == 2  # the earlier one still stands


def test_making_it_again_while_nothing_changed_gives_the_one_before(nodes):
    guard, local = nodes
    exchanged(guard, local)
    april(guard)
    digest = make(guard, STATION, DISTRICT)
    guard.clock.pass_(days=1)
    assert make(guard, STATION, DISTRICT) == digest


def test_a_month_that_is_not_over_and_a_body_of_another_node_are_refused(nodes):
    guard, _local = nodes
    with guard:
        station, district = guard.body(STATION), guard.body(DISTRICT)
        with pytest.raises(statements.MonthNotOver):
            statements.make(organisation=station, other=district, month=MONTH, actor=None, at=guard.clock())
        april(guard)
        with pytest.raises(links.NotAtHome):
            statements.make(organisation=district, other=station, month=MONTH, actor=None, at=guard.clock())
        with pytest.raises(statements.OneOrganisation):
            statements.make(organisation=station, other=station, month=MONTH, actor=None, at=guard.clock())


def test_the_first_side_proposes_by_itself_two_days_after_the_month_and_the_other_only_if_nothing_has_come(nodes):
    guard, local = nodes
    exchanged(guard, local)
    made = []
    for node, day in ((guard, 2), (guard, 3), (guard, 3), (local, 5), (local, 10)):
        april(node, day)
        with node:
            made.append(len(statements.make_due(at=node.clock())))
    assert made == [0, 1, 0, 0, 1]
    april(guard, 11)
    with guard:
        digest = JointDocument.objects.get().digest
    sign(guard, digest, STATION)
    guard.round(local)
    with local:
        assert len(statements.make_due(at=local.clock())) == 0


def test_service_papers_alone_make_no_statement_due(nodes):
    guard, local = nodes
    exchanged(guard, local)
    april(guard)
    digest = make(guard, STATION, DISTRICT)
    sign(guard, digest, STATION)
    guard.round(local)
    guard.clock.at = datetime.fromisoformat("2020-05-20T03:00:00+00:00")
    for node in nodes:
        with node:
            assert statements.make_due(at=node.clock()) == []
    with guard:  # made by a person, it lists what the nodes told each other too: the sequence has no hole
        made = statements.make(
            organisation=guard.body(STATION), other=guard.body(DISTRICT), month="2020-04", actor=None, at=guard.clock()
        )
        way = joint.terms_of(made).claims["sent"][0]
        assert (way["first"], way["missing"]) == (4, [])
