"""Papers, replacements and receipts out of their order; cuts, repeats; what never comes, and what comes too late."""

import pytest

from hiepdong.exchange import courier, intake, links, services
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, Parcel, Peer, Receipt
from hiepdong.exchange.transport import Unreachable
from support.nodes import Node, two_nodes
from support.peer import SimulatedNode, claims

pytestmark = pytest.mark.django_db(transaction=True)

A, HERE, ALSO = "l.huyen-uy", "t.don", "t.dang-uy"


@pytest.fixture
def node(tmp_path):
    return Node("bien-phong", tmp_path).found((HERE, "border_station", "Đồn"), (ALSO, "border_guard_party", "Đảng ủy"))


@pytest.fixture
def peer(node):
    return SimulatedNode("xa", (A, "party_district", "Huyện ủy Kỳ Sơn")).link(node)


def ties(node):
    with node:
        rows = Dispatch.objects.order_by("register_number")
        return [(d.register_number, d.replaces and d.replaces.register_number) for d in rows]


def versions(peer):
    """Return a paper, its replacement, and the replacement of that."""
    one = peer.dispatch(A, [HERE])
    two = peer.dispatch(A, [HERE], replaces=claims(one)["id"])
    three = peer.dispatch(A, [HERE], replaces=claims(two)["id"])
    return [peer.item(d) for d in (one, two, three)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (2, 0, 1), (1, 2, 0), (1, 0, 2)])
def test_replacements_in_any_order_end_the_same(node, peer, order):
    items = versions(peer)
    for i in order:
        peer.give(node, items[i])
    assert ties(node) == [(1, None), (2, 1), (3, 2)]
    assert {s for _, s, _ in peer.arrivals(node)} == {"applied"}
    assert peer.at(node).held_through == 3
    assert peer.incidents(node) == []
    with node:
        assert Receipt.objects.count() == Parcel.objects.filter(kind="receipt").count() == 3


def test_all_of_them_in_one_request_backwards(node, peer):
    items = versions(peer)
    peer.give(node, *reversed(items))
    assert ties(node) == [(1, None), (2, 1), (3, 2)]
    assert {s for _, s, _ in peer.arrivals(node)} == {"applied"}


def test_three_first_then_one_and_two_forced_before_its_original(node, peer):
    """ODK central #805: 3, 1, 2, where 2 is let pass by a person and 1 comes late."""
    one, two, three = versions(peer)
    peer.give(node, three)
    peer.give(node, two)
    with node:
        held = list(Arrival.objects.filter(state="held").order_by("position"))
        assert [h.code for h in held] == ["exchange.earlier_missing"] * 2
        intake.release(arrival_id=held[0].pk, actor=None, at=node.clock())
    assert ties(node) == [(2, None), (3, 2)]
    with node:
        forced = Arrival.objects.get(position=2)
        assert (forced.state, forced.forced_by) == ("applied", "hiepdong")
    peer.give(node, one)
    assert ties(node) == [(1, None), (2, 1), (3, 2)], "the late original is tied to the forced one"
    assert {s for _, s, _ in peer.arrivals(node)} == {"applied"}
    assert peer.incidents(node) == []


def test_a_late_original_of_another_sender_is_not_tied(node, peer):
    stranger = SimulatedNode("la", ("c.x", "other", "Nơi khác")).link(node)
    original = stranger.dispatch("c.x", [HERE])
    replacement = peer.dispatch(A, [HERE], replaces=claims(original)["id"])
    peer.give(node, peer.item(replacement, position=5))
    with node:
        intake.release(arrival_id=Arrival.objects.get().pk, actor=None, at=node.clock())
    stranger.give(node, original)
    with node:
        assert not Dispatch.objects.filter(replaces__isnull=False).exists()
    assert peer.incidents(node) == ["exchange.foreign_record"]


def test_a_replacement_of_what_was_never_sent_here_does_not_wait_for_ever(node, peer):
    """The first version went to others; this one is addressed to us too."""
    first = peer.content(A, ["l.other"])
    replacement = peer.item(peer.dispatch(A, [HERE], replaces=first["id"]), position=2)
    assert peer.state_of(node, replacement) == [("held", "exchange.earlier_missing")]
    peer.give(node, peer.item(peer.dispatch(A, [ALSO]), position=1))  # now all before it is here
    assert peer.arrivals(node) == [(1, "applied", ""), (2, "applied", "")]
    assert peer.incidents(node) == []


def test_a_replacement_waits_for_an_original_that_itself_waits(node, peer):
    never = peer.content(A, ["l.other"])["id"]
    original = peer.item(peer.dispatch(A, [HERE], replaces=never), position=2)
    replacement = peer.item(peer.dispatch(A, [HERE], replaces=claims(original["document"].encode())["id"]), position=3)
    assert peer.state_of(node, replacement, original) == [("held", "exchange.earlier_missing")] * 2
    peer.give(node, peer.item(peer.dispatch(A, [ALSO]), position=1))
    assert {s for _, s, _ in peer.arrivals(node)} == {"applied"}
    assert ties(node) == [(1, None), (2, 1), (3, None)]


def test_what_is_dismissed_stays_refused_with_its_reason_and_bytes(node, peer):
    peer.give(node, peer.item(peer.dispatch(A, [HERE], replaces="00000000-0000-0000-0000-000000000001"), position=9))
    with node:
        row = Arrival.objects.get()
        intake.dismiss(arrival_id=row.pk, reason="Không rõ", actor=None, at=node.clock())
        row.refresh_from_db()
        assert (row.state, row.code, row.facts) == ("refused", "exchange.dismissed", {"reason": "Không rõ"})
        assert row.document


def test_many_waiting_items_are_released_together(node, peer):
    first = peer.item(peer.dispatch(A, [HERE]), position=1)
    uuid = claims(first["document"].encode())["id"]
    later = [peer.item(peer.dispatch(A, [HERE], replaces=uuid), position=2 + i) for i in range(60)]
    peer.give(node, *later)
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with node, CaptureQueriesContext(connection) as asked:
        peer.give(node, first)
    assert {s for _, s, _ in peer.arrivals(node)} == {"applied"}
    assert len(asked) < 120, f"{len(asked)} statements for 60 waiting items"


STEPS = ("hello", "push", "pull", "held")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_line_that_is_cut_at_any_step_loses_and_doubles_nothing(tmp_path, step, when):
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    local.send("t.huyen-uy", ["t.don-my-ly"], "Hai")

    def cut(name):
        if name == step:
            raise Unreachable(name="x", why="cut")

    with pytest.raises(Unreachable):
        guard.round(local, guard.line_to(local, **{when: cut}))
    with guard:
        assert Peer.objects.get().failures == 1
    heal(guard, local)
    with guard, local:
        pass
    assert guard.state() == local.state()
    assert len(guard.state()) == 2
    for node in (guard, local):
        with node:
            assert not LinkIncident.objects.exists()
            assert Receipt.objects.count() == 2
            assert Parcel.objects.count() == Peer.objects.get().sent_through == 2


def heal(*nodes):
    for _ in range(4):
        for a in nodes:
            for b in nodes:
                if a is not b:
                    a.round(b)


def test_the_receiver_is_killed_between_commit_and_answer(tmp_path):
    """OpenCRVS #7477: one record, one receipt, identical bytes."""
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    given = []

    def cut(name):
        if name == "push":
            with local:
                given.append(bytes(Receipt.objects.get().signed))
            raise Unreachable(name="x", why="killed")

    with pytest.raises(Unreachable):
        guard.round(local, guard.line_to(local, after=cut))
    guard.round(local)
    with guard:
        assert [bytes(r.signed) for r in Receipt.objects.all()] == given
    with local:
        assert Dispatch.objects.count() == Receipt.objects.count() == 1


def test_a_verdict_that_waits_while_the_link_is_ended_goes_out_when_it_is_linked_again(tmp_path):
    guard, local = two_nodes(tmp_path)
    uuid = guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    guard.round(local)
    with local:
        links.set_state(peer_id=local.peer(guard).pk, state="ended", actor=None, at=local.clock())
        services.acknowledge(dispatch_uuid=uuid, actor=local.seat("t.huyen-uy"), at=local.clock())
    with guard:
        links.set_state(peer_id=guard.peer(local).pk, state="ended", actor=None, at=guard.clock())
    from support.nodes import link

    link(guard, local)
    heal(guard, local)
    assert guard.state() == local.state()
    assert [code for rows in guard.state().values() for _, code, _ in rows] == ["acknowledged", "arrived"]


def test_a_paused_link_takes_and_gives_nothing_and_loses_nothing(tmp_path):
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    with local:
        links.set_state(peer_id=local.peer(guard).pk, state="paused", actor=None, at=local.clock())
    with pytest.raises(Exception, match="not_linked"):
        guard.round(local)
    with local:
        assert not Arrival.objects.exists()
        links.set_state(peer_id=local.peer(guard).pk, state="linked", actor=None, at=local.clock())
    local.send("t.huyen-uy", ["t.don-my-ly"], "Hai")
    heal(guard, local)
    assert guard.state() == local.state()
    assert len(guard.state()) == 2


def test_what_a_peer_said_of_an_item_is_forgotten_when_the_item_arrived_after_all(node, peer):
    node.send(HERE, [A], "Một")
    with node:
        parcel = Parcel.objects.get()
        result = {"position": 1, "digest": parcel.digest, "state": "held", "code": "exchange.unknown_key", "receipts": []}
        line = peer.line(push={"held_through": 1, "results": [result], "wanted": []})
        courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)
        parcel.refresh_from_db()
        assert parcel.outcome == "held exchange.unknown_key"
        own = bytes(Dispatch.objects.get().signed)
    peer.give(node, peer.receipt(own, A), kind="receipt")
    with node:
        parcel.refresh_from_db()
        assert parcel.outcome == ""


@pytest.mark.parametrize("years", [-40, -5, 5, 40])
def test_a_clock_that_is_wrong_by_years_loses_nothing_and_is_shown(tmp_path, years):
    guard, local = two_nodes(tmp_path)
    right = local.clock.at
    local.clock.at = right.replace(year=right.year + years)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Một")
    local.send("t.huyen-uy", ["t.don-my-ly"], "Hai")
    heal(guard, local)
    with guard:
        assert abs(abs(Peer.objects.get().clock_ahead_s) / 86400 / 365.25 - abs(years)) < 0.1
    local.clock.at = guard.clock.at
    local.send("t.huyen-uy", ["t.don-my-ly"], "Ba")
    heal(guard, local)
    release_compared(guard, local)
    heal(guard, local)
    assert guard.state() == local.state()
    assert len(guard.state()) == 3
    for node in (guard, local):
        with node:
            assert not LinkIncident.objects.exists()
            assert not Arrival.objects.exclude(state="applied").exists()


@pytest.mark.parametrize("back", [{"seconds": 40}, {"days": 800}])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_key_renewed_after_the_clock_went_back_spoils_no_paper_on_its_way(tmp_path, back, backwards):
    """A clock that is set right by seconds, or wrong by years, just before a key is renewed; the statement comes first."""
    guard, local = two_nodes(tmp_path)
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Ký trước")
    guard.clock.pass_(**{unit: -n for unit, n in back.items()})
    with guard:
        fresh = links.rotate_key(organisation=guard.body("t.don-my-ly"), actor=None, at=guard.clock())
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Ký sau")
    with guard:
        sent = [i.as_json() for i in items_to(guard, local)]
    guard.line_to(local).push(list(reversed(sent)) if backwards else sent)
    guard.clock.pass_(**{unit: n + 1 for unit, n in back.items()})
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Ký khi đồng hồ đã đúng")
    heal(guard, local)
    assert guard.state() == local.state()
    assert len(guard.state()) == 3
    with local:
        assert not Arrival.objects.exclude(state="applied").exists()
        papers = Dispatch.objects.order_by("register_number").select_related("key")
        assert all(d.sent_at <= d.key.valid_until for d in papers)
        last = papers.last()
        assert last.key.kid == fresh.kid
        assert last.key.valid_from <= last.sent_at


def items_to(near, far):
    from hiepdong.exchange import outbox

    return outbox.items_after(near.peer(far), 0, limit=100)


def release_compared(*nodes):
    """Let pass, as administrators who compared the number, the keys for which a node vouches itself."""
    for node in nodes:
        with node:
            for row in Arrival.objects.filter(state="held", code="exchange.key_needs_comparison"):
                row.refresh_from_db()
                if row.state == "held":
                    intake.release(arrival_id=row.pk, actor=None, at=node.clock())
