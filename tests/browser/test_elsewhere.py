"""Who lives at another node is marked where one writes to them: on a desk and on a telephone, without scripts."""

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from hiepdong.exchange.models import Peer, Residence
from support.make import entered, seat
from support.strangers import Stranger, at_home


@pytest.mark.parametrize("size", [(1280, 900), (360, 740)])
def test_the_marks_are_seen_without_scripts_and_widen_no_page(node, window, size):
    now = timezone.now().replace(microsecond=0)
    at_home(node.station, node.province, node.district, at=now)
    peer = Stranger({"x.huyen": "Huyện ủy Tương Dương"}, at=now).link()
    Residence.objects.filter(organisation=node.district).update(peer=peer)
    Peer.objects.update(heard_at=now, state="paused")
    form = entered(node.clerk).post(reverse("duties:duty_write", args=[node.duty("2020-05").pk])).headers["Location"]
    page = window(node.clerk, width=size[0], height=size[1], java_script_enabled=False)
    for address, where in ((form, ".hd-head"), ("/ban-thao/moi/", ".hd-choose >> nth=0")):
        page.goto(address)
        mark = page.locator(where).locator(".hd-elsewhere").first
        expect(mark).to_be_visible()
        expect(mark).to_contain_text(peer.name)
        expect(page.locator(where).locator(".hd-late").first).to_be_visible()
        assert page.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
    runs = window(seat(node.station, "node_administrator"), width=size[0], height=size[1], java_script_enabled=False)
    runs.goto(reverse("exchange:link_new"))
    expect(runs.locator("#address")).to_be_visible()
    assert runs.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
