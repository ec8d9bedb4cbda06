"""Checkpoints of journals between two nodes: they witness each other's time, fall silent, and tell a restore from a lie."""

from datetime import timedelta

import pytest

from hiepdong.exchange import checkpoints, link_queries, links, services
from hiepdong.exchange.models import LinkIncident, Parcel, PeerCheckpoint
from hiepdong.journal.domain.trust import TrustState
from hiepdong.journal.models import Entry, Seal
from hiepdong.journal.services import seal_entries
from hiepdong.web.services import react
from support.nodes import two_nodes

pytestmark = pytest.mark.django_db(transaction=True)
STATION, DISTRICT = "t.don-my-ly", "t.huyen-uy"
HOUR = timedelta(hours=1)


@pytest.fixture
def nodes(tmp_path):
    return two_nodes(tmp_path)


def work(node, other):
    """What one round of hiepdong work does at a node."""
    with node:
        react(at=node.clock())
    node.round(other)
    with node:
        seal_entries(at=node.clock())
        return checkpoints.announce(at=node.clock(), every=HOUR)


def counts(*nodes):
    found = []
    for node in nodes:
        with node:
            found.append((Entry.objects.count(), Seal.objects.count(), Parcel.objects.count(), PeerCheckpoint.objects.count()))
    return found


def incidents(node):
    with node:
        return list(LinkIncident.objects.filter(code__startswith="exchange.journal").values_list("code", flat=True))


def test_two_idle_nodes_become_quiet(nodes):
    guard, local = nodes
    guard.send(STATION, [DISTRICT])
    for _ in range(4):
        for a, b in ((guard, local), (local, guard)):
            work(a, b)
            a.clock.pass_(hours=2)
    before = counts(guard, local)
    for _ in range(6):
        for a, b in ((guard, local), (local, guard)):
            assert work(a, b) is False
            a.clock.pass_(days=2)
    assert counts(guard, local) == before
    assert all(row[3] >= 2 for row in before)


def test_a_peer_is_told_at_most_once_in_the_set_time_and_again_when_something_was_sealed(nodes):
    guard, local = nodes
    guard.send(STATION, [DISTRICT])
    assert work(guard, local) is True
    guard.send(STATION, [DISTRICT])
    assert work(guard, local) is False
    guard.clock.pass_(hours=1)
    assert work(guard, local) is True
    guard.clock.pass_(days=-400)  # a clock that was ahead keeps nobody waiting for a year
    guard.send(STATION, [DISTRICT])
    assert work(guard, local) is True


def test_a_seal_that_a_peer_happens_to_have_the_number_of_is_announced_all_the_same(nodes):
    guard, local = nodes
    for node, other in ((guard, local), (local, guard)):
        assert work(node, other) is True
        node.round(other)
    with guard:
        assert list(PeerCheckpoint.objects.order_by("ours").values_list("ours", "seal")) == [(False, 1), (True, 1)]


def test_witnesses_make_the_time_proven_and_without_them_it_is_beyond_the_grace(nodes, settings):
    guard, local = nodes
    guard.send(STATION, [DISTRICT])
    with guard:
        seal_entries(at=guard.clock())
        assert link_queries.journal_trust(at=guard.clock()).state == TrustState.WAITING
        late = guard.clock() + timedelta(days=settings.HIEPDONG_WITNESS_GRACE_DAYS + 1)
        assert link_queries.journal_trust(at=late).state == TrustState.BEYOND_GRACE
    work(guard, local)
    guard.round(local)
    with guard:
        assert link_queries.journal_trust(at=late).state == TrustState.WITNESSED


def test_beyond_the_grace_sending_is_refused_only_where_that_is_set_and_goes_on_after_a_witness(nodes, settings):
    guard, local = nodes
    guard.send(STATION, [DISTRICT])
    with guard:
        seal_entries(at=guard.clock())
    guard.clock.pass_(days=settings.HIEPDONG_WITNESS_GRACE_DAYS + 1)
    guard.send(STATION, [DISTRICT], "Không đặt thì vẫn gửi")
    settings.HIEPDONG_REFUSE_UNWITNESSED = True
    with pytest.raises(services.TimeUnproven) as refused:
        guard.send(STATION, [DISTRICT])
    assert refused.value.facts["days"] == settings.HIEPDONG_WITNESS_GRACE_DAYS
    work(guard, local)
    guard.round(local)
    guard.send(STATION, [DISTRICT])


def test_nothing_is_stamped_again_later(nodes):
    """The witness of a late seal stands with its own moment; those before it keep the moment they were first covered."""
    guard, local = nodes
    guard.send(STATION, [DISTRICT])
    work(guard, local)
    guard.round(local)
    with guard:
        first = PeerCheckpoint.objects.get(ours=True)
        before = (bytes(first.document), bytes(first.witness), first.witnessed_at)
    guard.clock.pass_(days=100)
    guard.send(STATION, [DISTRICT])
    work(guard, local)
    guard.round(local)
    guard.clock.pass_(days=100)
    assert work(guard, local) is False
    with guard:
        first.refresh_from_db()
        assert (bytes(first.document), bytes(first.witness), first.witnessed_at) == before
        late = PeerCheckpoint.objects.filter(ours=True).latest("seal")
        assert late.witnessed_at > first.witnessed_at + timedelta(days=90)
        assert PeerCheckpoint.objects.filter(ours=True, seal=first.seal).count() == 1


def rewound(guard, local, tmp_path):
    """Let local hold a checkpoint of a journal that guard's database then knows nothing of."""
    guard.send(STATION, [DISTRICT], "Trước sao lưu")
    work(guard, local)
    copy = guard.copy_database(tmp_path / "backup.sqlite3")
    guard.clock.pass_(hours=2)
    guard.send(STATION, [DISTRICT], "Sau sao lưu")
    work(guard, local)
    guard.round(local)
    guard.put_back(copy)


def test_a_journal_that_was_put_back_without_a_word_contradicts_what_the_peer_holds(tmp_path):
    from support.nodes import Node, link

    guard = Node("bien-phong", tmp_path, vendor="sqlite").found((STATION, "border_station", "Đồn"))
    local = Node("dia-phuong", tmp_path, vendor="sqlite").found((DISTRICT, "party_district", "Huyện ủy"))
    link(guard, local)
    rewound(guard, local, tmp_path)
    # whoever rewrites the journal takes care that nobody sees a restore: the marks of the link stand as they were
    with local:
        peer = local.peer(guard)
    with guard:
        away = guard.peer(local)
        away.sent_through = away.confirmed_through = peer.held_through
        away.held_through = 0
        away.save()
    guard.clock.pass_(hours=2)
    with guard:
        links.set_node(name="Tên khác", actor=None, at=guard.clock())
        seal_entries(at=guard.clock())
        assert checkpoints.announce(at=guard.clock(), every=HOUR) is True
    guard.round(local)
    assert incidents(local) == ["exchange.journal_contradicts"]
    with local:
        assert PeerCheckpoint.objects.filter(ours=False).count() == 2  # the false one is not witnessed


def test_a_peer_that_said_that_it_was_restored_is_told_from_one_that_rewrote_its_journal(tmp_path):
    from support.nodes import Node, link

    guard = Node("bien-phong", tmp_path, vendor="sqlite").found((STATION, "border_station", "Đồn"))
    local = Node("dia-phuong", tmp_path, vendor="sqlite").found((DISTRICT, "party_district", "Huyện ủy"))
    link(guard, local)
    rewound(guard, local, tmp_path)
    guard.clock.pass_(hours=2)
    local.clock.pass_(hours=4)
    with guard:
        links.mark_restored(at=guard.clock())
        assert checkpoints.announce(at=guard.clock()) is False  # not before it has recovered
    guard.round(local)
    for _ in range(4):
        guard.clock.pass_(hours=2)
        local.clock.pass_(hours=2)
        guard.send(STATION, [DISTRICT], "Sau khôi phục")
        work(guard, local)
        guard.round(local)
    assert incidents(local) == ["exchange.journal_after_restore"]
    with guard:
        assert link_queries.journal_trust(at=guard.clock()).state == TrustState.WITNESSED
