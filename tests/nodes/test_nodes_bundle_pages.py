"""The page of bundles: made and downloaded at one node, looked into and taken in at the other; large ones in the background."""

import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import gettext, override

from hiepdong.exchange import bundle_desk, bundles, links
from hiepdong.exchange.models import Arrival, Bundle, Dispatch, Receipt
from support.make import entered
from support.nodes import Clock, Node, link

pytestmark = pytest.mark.django_db(transaction=True)


class Office:
    """The window of a node's administrator."""

    def __init__(self, node, body):
        self.node = node
        self.data = override_settings(HIEPDONG_DATA=node.folder / "data")
        with node:
            self.seat = node.seat(body, "node_administrator")
            self.client = entered(self.seat)

    def __enter__(self):
        self.node.__enter__()
        self.data.enable()
        return self

    def __exit__(self, *_):
        self.data.disable()
        self.node.__exit__()

    def get(self, address, **more):
        return self.client.get(address, **more)

    def post(self, address, fields=None, **more):
        return self.client.post(address, fields or {}, **more)

    def make(self, peer, **fields):
        answer = self.post(f"/goi-du-lieu/lap/{peer.pk}/", fields)
        assert answer.status_code == 302, answer.content.decode()
        return answer.headers["Location"]

    def upload(self, data, name="goi.zip.age", do="look"):
        answer = self.post("/goi-du-lieu/tai-len/", {"bundle": SimpleUploadedFile(name, data), "do": do})
        assert answer.status_code == 302, answer.content.decode()
        return answer.headers["Location"]


@pytest.fixture
def offices(tmp_path):
    clock = Clock(timezone.now() - timedelta(hours=1))  # pages read the real one
    guard = Node("bien-phong", tmp_path, clock=clock).found(("t.don-my-ly", "border_station", "Đồn Biên phòng Mỹ Lý"))
    local = Node("dia-phuong", tmp_path, clock=clock).found(("t.huyen-uy", "party_district", "Huyện ủy Kỳ Sơn"))
    link(guard, local)
    return Office(guard, "t.don-my-ly"), Office(local, "t.huyen-uy")


def sent(office, other, count=2):
    for n in range(count):
        office.node.send("t.don-my-ly", ["t.huyen-uy"], f"Báo cáo {n}")
    return office.node.peer(other.node)


def carried(guard, local, **fields):
    """Make a bundle at one office and return its bytes."""
    peer = guard.node.peer(local.node)
    with guard:
        address = guard.make(peer, **fields)
        return b"".join(guard.get(f"{address}1/tep/").streaming_content)


def groups(page):
    return re.findall(r"<span>([0-9a-f]{4})</span>", page)


def test_a_bundle_is_made_downloaded_looked_into_and_taken_in_and_a_second_look_shows_the_same_number(offices):
    guard, local = offices
    peer = sent(guard, local)
    with guard:
        page = guard.get("/goi-du-lieu/").content.decode()
        assert f"/goi-du-lieu/lap/{peer.pk}/" in page
        address = guard.make(peer)
        made = guard.get(address).content.decode()
        download = guard.get(f"{address}1/tep/")
        data = b"".join(download.streaming_content)
        assert ".zip.age" in download.headers["Content-Disposition"]
        sheet = guard.get(f"{address}1/phieu.pdf")
        assert sheet.content.startswith(b"%PDF")
        assert ".pdf" in sheet.headers["Content-Disposition"]
        printed = guard.get(f"{address}1/phieu/").content.decode()
        assert groups(printed) == groups(made)
        assert "<svg" in printed
    with local:
        address = local.upload(data)
        seen = local.get(address).content.decode()
        assert groups(seen) == groups(made)
        assert len(groups(seen)) == 16
        assert not Arrival.objects.exists()
        taken = local.post(f"{address}nhap/")
        page = local.get(taken.headers["Location"], follow=True)
        assert Dispatch.objects.count() == Receipt.objects.count() == 2
        assert page.resolver_match.view_name == "exchange:bundle_detail"
        assert not list((local.node.folder / "data" / "bundles").rglob("file"))
        again = local.get(local.upload(data, do="import"), follow=True).content.decode()
        assert groups(again) == groups(made)
        assert Bundle.objects.count() == 1


def test_an_upload_may_be_imported_at_once_and_the_way_back_is_one_press(offices):
    guard, local = offices
    sent(guard, local)
    data = carried(guard, local)
    with local:
        local.upload(data, do="import")
        assert Dispatch.objects.count() == 2
        back = local.make(local.node.peer(guard.node), empty="1")
        data = b"".join(local.get(f"{back}1/tep/").streaming_content)
    with guard:
        guard.upload(data, do="import")
        assert Receipt.objects.filter(code="arrived").count() == 2
        peer = guard.node.peer(local.node)
        assert peer.confirmed_through == peer.sent_through
        refused = guard.post(f"/goi-du-lieu/lap/{peer.pk}/")
        assert refused.status_code == 409  # nothing to carry, and no note of it is left
        assert len(bundle_desk.errands(guard.seat)) == 2
        guard.make(peer, empty="1")


def test_the_node_that_made_a_bundle_refuses_it_with_the_reason_and_keeps_nothing_of_it(offices):
    guard, local = offices
    sent(guard, local)
    data = carried(guard, local, plain="1")
    with guard:
        address = guard.upload(data, name="goi.zip")
        page = guard.get(address)
        assert page.status_code == 200
        assert bundles.BundleOfHere.code in page.content.decode()
        assert "dia-phuong" in page.content.decode()
        assert not list((guard.node.folder / "data" / "bundles").rglob("file"))
        assert not Bundle.objects.filter(outgoing=False).exists()
        assert guard.post(f"{address}nhap/").status_code == 404
        guard.post(f"{address}bo/")
        assert guard.get(address).status_code == 404


def test_a_large_import_and_export_are_left_to_the_background_and_the_page_shows_how_far_they_are(offices, monkeypatch):
    monkeypatch.setattr(bundle_desk, "AT_ONCE_ITEMS", 1)
    guard, local = offices
    peer = sent(guard, local)
    with guard:
        address = guard.make(peer)
        waits = guard.get(address).content.decode()
        assert "<progress" in waits
        assert 'hx-trigger="every 2s"' in waits
        assert guard.get(f"{address}1/tep/").status_code == 404
        call_command("work", "--once")
        done = guard.get(address, headers={"HX-Request": "true"})
        assert done.headers["HX-Refresh"] == "true"
        data = b"".join(guard.get(f"{address}1/tep/").streaming_content)
    with local:
        address = local.upload(data)
        local.post(f"{address}nhap/")
        assert "<progress" in local.get(address).content.decode()
        assert not Dispatch.objects.exists()
        told = []

        def look(**more):
            token = address.rstrip("/").rsplit("/", 1)[-1]
            told.append(bundle_desk.progress_of(bundle_desk.errand_of(local.seat, token)))
            return finish(**more)

        finish = bundles.finish
        monkeypatch.setattr(bundles, "finish", look)
        call_command("work", "--once")
        assert (told[0].what, told[0].done, told[0].of, told[0].percent) == ("store", 2, 2, 100)
        assert local.get(address, headers={"HX-Request": "true"}).headers["HX-Redirect"].startswith("/goi-du-lieu/")
        assert Dispatch.objects.count() == 2


def test_work_that_was_cut_off_is_done_again_by_the_next_round(offices, monkeypatch):
    monkeypatch.setattr(bundle_desk, "AT_ONCE_ITEMS", 1)
    guard, local = offices
    sent(guard, local)
    with guard:
        address = guard.make(guard.node.peer(local.node))
        monkeypatch.setattr(bundles, "signed_with", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bundle_desk.work(at=timezone.now())
        monkeypatch.undo()
        assert bundle_desk.waits()
        assert bundle_desk.work(at=timezone.now()) == 1
        assert b"".join(guard.get(f"{address}1/tep/").streaming_content)
        assert not bundle_desk.waits()


def test_uploads_are_bounded_in_size_number_and_age(offices, monkeypatch):
    guard, local = offices
    sent(guard, local)
    data = carried(guard, local)
    with local:
        monkeypatch.setattr(bundle_desk, "LARGEST_UPLOAD", len(data) - 1)
        too_large = local.post("/goi-du-lieu/tai-len/", {"bundle": SimpleUploadedFile("a.zip.age", data)})
        assert too_large.status_code == 422
        monkeypatch.undo()
        monkeypatch.setattr(bundle_desk, "MOST_UPLOADS", 1)
        address = local.upload(data)
        assert local.post("/goi-du-lieu/tai-len/", {"bundle": SimpleUploadedFile("b.zip.age", data)}).status_code == 422
        assert local.post("/goi-du-lieu/tai-len/").status_code == 422  # no file chosen
        bundle_desk.sweep(at=timezone.now() + timedelta(hours=23))
        assert local.get(address).status_code == 200
        bundle_desk.sweep(at=timezone.now() + timedelta(hours=25))
        assert local.get(address).status_code == 404
        assert list((local.node.folder / "data" / "bundles").iterdir()) == []


def test_a_bundle_can_be_downloaded_again_until_it_is_confirmed_and_a_day_has_passed(offices):
    guard, local = offices
    peer = sent(guard, local)
    with guard:
        address = guard.make(peer)
        row = Bundle.objects.get()
        data = b"".join(guard.get(f"{address}1/tep/").streaming_content)
        bundle_desk.sweep(at=timezone.now() + timedelta(days=3))
        assert f"{address}1/tep/" in guard.get(f"/goi-du-lieu/{row.pk}/").content.decode()
    with local:
        local.upload(data, do="import")
        back = local.make(local.node.peer(guard.node))
        data = b"".join(local.get(f"{back}1/tep/").streaming_content)
    with guard:
        guard.upload(data, do="import")
        bundle_desk.sweep(at=timezone.now() + timedelta(days=3))
        assert guard.get(f"{address}1/tep/").status_code == 404
        assert f"{address}1/tep/" not in guard.get(f"/goi-du-lieu/{row.pk}/").content.decode()


@pytest.mark.parametrize("name", ["../../x.zip", "..\\x.zip", "a\x1b[2Jb.zip", "x" * 5000])
def test_the_name_of_an_upload_is_only_shown_and_never_a_path(offices, name):
    guard, local = offices
    sent(guard, local)
    data = carried(guard, local)
    with local:
        errand = bundle_desk.upload(name=name, size=len(data), chunks=[data], take=False, actor=local.seat, at=timezone.now())
        assert {p.name for p in errand.folder.iterdir()} <= {"errand.json", "file", "lock", "progress.json"}
        assert "/" not in errand.name
        assert errand.name.isprintable()
        assert len(errand.name) <= 120


def test_an_errand_of_an_odd_token_is_not_found(offices):
    _, local = offices
    with local:
        for token in ("..", "x" * 32, "0" * 32, "A" * 32):
            assert local.get(f"/goi-du-lieu/viec/{token}/").status_code == 404


def words(text, **facts):
    """Return a text of the product as a page shows it."""
    with override("vi"):
        return escape(gettext(text) % facts)


def test_after_a_restore_the_pages_say_what_to_do_there_and_back_again(offices):
    guard, local = offices
    sent(guard, local)
    with local:
        local.upload(carried(guard, local), do="import")
    with guard:
        links.mark_restored(at=guard.node.clock())
        page = guard.get("/goi-du-lieu/").content.decode()
        assert words("This node was restored from a backup") in page
        assert words("Make the bundle that asks") in page
        assert words("Where there is no line, a bundle asks, and the one that comes back answers.") in (
            guard.get("/duong-lien-ket/").content.decode()
        )
        address = guard.make(guard.node.peer(local.node))
        made = words("it asks for own items of this node; the other node imports it and makes the bundle that answers")
        assert made in guard.get(address).content.decode()
        asked = words("asks the receiving node for own items of the sending node after a restore")
        assert asked in guard.get(f"{address}1/phieu/").content.decode()
        question = b"".join(guard.get(f"{address}1/tep/").streaming_content)
    with local:
        address = local.upload(question)
        assert words("it asks for own items of the sender") in local.get(address).content.decode()
        page = local.get(local.post(f"{address}nhap/").headers["Location"], follow=True).content.decode()
        asks = "%(name)s was restored from a backup and asks for its own items. The bundle that goes back brings them."
        assert words(asks, name="bien-phong") in page
        page = local.get("/goi-du-lieu/").content.decode()
        assert words("The other node was restored from a backup") in page
        assert words("Make the bundle that answers") in page
        address = local.make(local.node.peer(guard.node))
        brings = words("it brings back own items of the other node (%(shown)s)", shown=2)
        assert brings in local.get(address).content.decode()
        answer = b"".join(local.get(f"{address}1/tep/").streaming_content)
    with guard:
        address = guard.upload(answer)
        page = guard.get(address).content.decode()
        assert words("it brings back own items of this node (%(shown)s)", shown=2) in page
        page = guard.get(guard.post(f"{address}nhap/").headers["Location"], follow=True).content.decode()
        assert words("The receipts wait to go back. Without them the other side carries the same papers again.") in page
        assert words("This node was restored from a backup") not in guard.get("/goi-du-lieu/").content.decode()
