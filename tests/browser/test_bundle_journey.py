"""A bundle from end to end in a real browser: made, downloaded, refused where it was made, looked into where it belongs."""

import pytest
import zxingcpp
from django.utils import timezone
from playwright.sync_api import expect

from hiepdong.exchange import bundles, links
from hiepdong.exchange.models import Arrival, Peer
from support.make import seat, unit
from support.nodes import Clock, Node
from support.pictures import grey_of


@pytest.fixture
def linked(node, settings, tmp_path):
    """The node of the windows, linked with another one in the same process; `away` is that other one."""
    clock = Clock(timezone.now())
    at_home = [node.province, node.station, node.district, node.outsider]
    links.found_node(name="Nút Biên phòng", speaker=node.province, at_home=at_home, actor=None, at=clock())
    ours = links.make_invitation(actor=None, at=clock())
    away = Node("Nút huyện xa", tmp_path / "away", clock=clock, vendor="sqlite").found(
        ("x.huyen-xa", "party_district", "Huyện ủy Xa")
    )
    settings.HIEPDONG_DATA = tmp_path / "data"
    with away:
        unit("417", "Kỳ Sơn")  # of which the station is in charge
        theirs = links.make_invitation(actor=None, at=clock())
        number = _linked(ours, clock)
    assert _linked(theirs, clock) == number
    node.away, node.clock = away, clock
    node.administrator = seat(node.province, "node_administrator")
    return node


def _linked(invitation, clock):
    peer = links.accept_invitation(document=invitation, actor=None, at=clock())
    number = links.number_with(links.read_invitation(invitation).kid, clock())
    links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=clock())
    return number


def shown_groups(page):
    return page.locator(".hd-digest span").all_inner_texts()


def test_a_bundle_is_made_and_downloaded_and_the_node_that_made_it_refuses_it_in_words(linked, window, tmp_path):
    page = window(linked.administrator, width=390)
    page.goto("/goi-du-lieu/")
    page.get_by_role("button", name="Lập gói").first.click()
    expect(page.get_by_role("link", name="Tải gói về")).to_be_visible()
    made = shown_groups(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Tải gói về").click()
    stick = tmp_path / download.value.suggested_filename
    download.value.save_as(stick)
    with linked.away:
        seen = bundles.inspect(path=stick)
        assert "".join(made) == seen.digest
    page.get_by_role("link", name="Phiếu gửi để in").click()
    assert shown_groups(page) == made
    width, height, grey = grey_of(page.locator(".hd-sheet-code svg").screenshot())
    (found,) = zxingcpp.read_barcodes(memoryview(grey).cast("B", shape=[height, width]))
    assert found.text == f"sha256:{''.join(made)}"
    page.goto("/goi-du-lieu/")
    page.set_input_files("[name=bundle]", stick)
    page.get_by_role("button", name="Xem trước").click()
    expect(page.get_by_role("heading", name="Từ chối: không nhận gì từ gói")).to_be_visible()
    expect(page.get_by_text("Gói do chính nút này lập, gửi Nút huyện xa.")).to_be_visible()
    assert not Arrival.objects.exists()


def test_a_bundle_of_the_other_node_is_compared_with_the_paper_and_then_imported(linked, window, tmp_path):
    with linked.away:
        peer = Peer.objects.get()
        bundles.export(peer_id=peer.pk, folder=tmp_path, encrypt=True, actor=None, at=linked.clock(), empty=True)
    (stick,) = tmp_path.glob("*.age")
    page = window(linked.administrator, java_script_enabled=False)
    page.goto("/goi-du-lieu/")
    page.set_input_files("[name=bundle]", stick)
    page.get_by_role("button", name="Xem trước").click()
    assert "".join(shown_groups(page)) == bundles.bundle_file.digest_of_file(stick)
    page.get_by_role("button", name="Nhập gói").click()
    expect(page.get_by_role("heading", name="Kết quả")).to_be_visible()
    expect(page.get_by_role("button", name="Lập gói trả về")).to_be_visible()
    assert Peer.objects.get().bundles.filter(outgoing=False).count() == 1
