"""What a linked node must know of us reaches it by itself; a quiet link is noticed while it is quiet."""

import pytest

from hiepdong.exchange import courier, directory, link_queries, links
from hiepdong.exchange.models import LinkIncident, Peer, Residence
from hiepdong.journal.models import Entry
from support.make import organisation
from support.nodes import two_nodes

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_body_that_joins_a_node_is_known_at_the_other_before_its_first_paper(tmp_path):
    guard, local = two_nodes(tmp_path)
    with guard:
        station = organisation("t.don-moi", "border_station", "Đồn Biên phòng Mới", notation="ĐBP")
        links.take_home(organisation=station, actor=None, at=guard.clock())
        assert directory.announce(actor=None, at=guard.clock()) == 1
    guard.send("t.don-moi", ["t.huyen-uy"], "Văn bản đầu tiên")
    guard.round(local)
    assert guard.state() == local.state()
    with local:
        assert Residence.objects.get(organisation__key="t.don-moi").peer is not None
        assert not LinkIncident.objects.exists()


def test_a_new_address_and_a_new_speaker_are_taken_over(tmp_path):
    guard, local = two_nodes(tmp_path)
    with guard:
        before = links.this_node().speaker
        links.set_node(address="https://bien-phong.example.vn", speaker=guard.body("t.don-my-ly"), actor=None, at=guard.clock())
        directory.announce(actor=None, at=guard.clock(), spoken_by=before)
    guard.round(local)
    with local:
        peer = Peer.objects.select_related("speaker").get()
        assert (peer.address, peer.speaker.key) == ("https://bien-phong.example.vn", "t.don-my-ly")
    with guard:
        directory.announce(actor=None, at=guard.clock())
    guard.round(local)
    with local:
        assert not LinkIncident.objects.exists()


def test_a_silence_is_written_down_once_while_it_lasts_and_again_when_it_comes_back(tmp_path):
    guard, local = two_nodes(tmp_path)
    guard.round(local)

    def noted():
        with guard:
            for peer in link_queries.quiet_peers(at=guard.clock()):
                courier.note_silence(peer=peer, at=guard.clock())
            return Entry.objects.filter(code="exchange.peer.silent").count()

    assert noted() == 0
    guard.clock.pass_(hours=25)
    assert [noted(), noted()] == [1, 1]
    guard.round(local)
    assert noted() == 1
    guard.clock.pass_(hours=25)
    assert noted() == 2
