"""The report form from the duty to the sent report, and the page of figures."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from hiepdong.duties.models import Duty
from hiepdong.exchange.models import Dispatch, Draft
from hiepdong.exchange.queries import content_of
from hiepdong.reporting.models import Figure

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def begin(client, world, label="2020-03", station=None):
    """Open the draft for a duty and return its address and revision."""
    first = client.get("/bao-cao/", {"duty": world.reference(label, station)})
    address = client.get(first.headers["Location"]).headers["Location"]
    return address


def revision(page):
    return re.search(r'name="revision" value="(\d+)"', page.content.decode())[1]


def test_a_report_goes_from_the_duty_to_a_signed_dispatch_that_fulfils_it_and_yields_its_figures(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    page = client.get(address)
    assert "Huyện ủy Ba" in page.content.decode()
    sent = client.post(
        address,
        {
            "revision": revision(page),
            "subject": "Báo cáo tháng 3",
            "v:tuan-tra": "gần 1.570",
            "t:tinh-hinh": "Ổn định.",
            "do": "send",
        },
    )
    assert sent.status_code == 302
    dispatch = Dispatch.objects.get()
    assert sent.headers["Location"].endswith(f"{dispatch.uuid}/")
    form = content_of(dispatch).body["form"]
    assert form["figures"][0] | {"name": ""} == {
        "indicator": "tuan-tra",
        "name": "",
        "state": "value",
        "value": "1570",
        "unit": "lượt",
        "precision": "nearly",
        "scope": "",
        "text": "",
    }
    assert [f["state"] for f in form["figures"]] == ["value", "not_reported", "not_reported"]
    assert Duty.objects.get(reference=world.reference()).fulfilled_at == dispatch.sent_at
    rows = dict(Figure.objects.values_list("indicator", "state"))
    assert rows == {"tuan-tra": "value", "xu-phat": "not_reported", "chot": "not_reported"}
    again = client.post(address, {"do": "send", "subject": "Lần nữa"})
    assert again.status_code == 302
    assert Dispatch.objects.count() == 1


def test_what_was_typed_but_invalid_survives_the_refusal_and_a_reload(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    typed = {"subject": "Báo cáo", "v:tuan-tra": "1.5", "v:xu-phat": "12 tỷ 305 triệu", "t:tinh-hinh": "Đang viết"}
    refused = client.post(address, typed | {"do": "send"})
    assert refused.status_code == 422
    for text in (refused.content.decode(), client.get(address).content.decode()):
        assert 'value="1.5"' in text
        assert "Đang viết" in text
    assert 'value="12.305"' in client.get(address).content.decode()
    assert 'aria-invalid="true"' in refused.content.decode()
    assert not Dispatch.objects.exists()
    assert Draft.objects.get().unsaved["typed"]["v:tuan-tra"] == "1.5"


def test_a_plain_save_works_without_scripts_and_a_half_filled_form_may_be_saved(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    saved = client.post(address, {"subject": "Báo cáo", "v:xu-phat": "7", "do": "save"})
    assert saved.status_code == 200
    assert Draft.objects.get().content["body"]["form"]["figures"][0]["value"] == "7"


def test_the_autosave_swaps_only_the_state_line_and_never_the_fields_being_typed(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    page = client.get(address)
    saved = client.post(address, {"revision": revision(page), "subject": "B", "v:tuan-tra": "1.5"}, headers=HTMX)
    text = saved.content.decode()
    assert saved.status_code == 200
    assert 'id="draft-state"' in text
    assert "<html" not in text
    assert "v:tuan-tra" not in text


def test_a_stale_window_overwrites_nothing_until_somebody_saves_deliberately(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    stale = revision(client.get(address))
    client.post(address, {"revision": stale, "subject": "B", "t:tinh-hinh": "cửa sổ một"})
    automatic = client.post(address, {"revision": stale, "subject": "B", "t:tinh-hinh": "cửa sổ hai"}, headers=HTMX)
    assert automatic.status_code == 200
    assert revision(automatic) == stale
    deliberate = client.post(address, {"revision": stale, "subject": "B", "t:tinh-hinh": "cửa sổ hai"})
    assert deliberate.status_code == 409
    assert "cửa sổ hai" in deliberate.content.decode()
    assert Draft.objects.get().content["body"]["form"]["sections"][0]["text"] == "cửa sổ một"
    client.post(address, {"revision": revision(deliberate), "subject": "B", "t:tinh-hinh": "cửa sổ hai"})
    assert Draft.objects.get().content["body"]["form"]["sections"][0]["text"] == "cửa sổ hai"


def test_a_clerk_lays_the_report_before_the_signer_and_cannot_send_it(world, enter):
    typed = {"subject": "Báo cáo", "v:tuan-tra": "3", "t:tinh-hinh": "Ổn định."}
    client = enter(world.seat(world.station, "clerk"))
    address = begin(client, world)
    assert 'value="send"' not in client.get(address).content.decode()
    assert client.post(address, typed | {"do": "send"}).status_code == 422
    assert not Dispatch.objects.exists()
    assert client.post(address, typed | {"do": "submit"}).status_code == 302
    assert Draft.objects.get().submitted_at is not None
    signer = enter(world.seat(world.station))
    assert signer.post(address, typed | {"do": "send"}).status_code == 302
    assert Dispatch.objects.count() == 1


def test_another_organisation_and_a_viewer_cannot_open_the_draft(world, enter):
    address = begin(enter(world.seat(world.station)), world)
    assert enter(world.seat(world.district)).get(address).status_code == 404
    assert enter(world.seat(world.station, "viewer")).get(address).status_code == 403


def test_a_secrecy_mark_is_refused_and_nothing_of_it_is_kept(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    before = Draft.objects.get()
    marked = client.post(address, {"subject": "Báo cáo", "v:tuan-tra": "3", "t:tinh-hinh": "TỐI MẬT\nKế hoạch", "do": "save"})
    assert marked.status_code == 409
    after = Draft.objects.get()
    assert (after.content, after.unsaved, after.revision) == (before.content, before.unsaved, before.revision)
    named = SimpleUploadedFile("toi mat - ke hoach.txt", b"x")
    assert client.post(address, {"subject": "B", "files": named}).status_code == 409
    assert not Draft.objects.get().content.get("attachments")


def test_a_file_is_attached_signed_by_its_digest_and_may_be_taken_away(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    client.post(address, {"subject": "B", "files": SimpleUploadedFile("bieu.csv", b"a;b", "text/csv")})
    (kept,) = Draft.objects.get().content["attachments"]
    assert (kept["name"], kept["size"]) == ("bieu.csv", 3)
    client.post(address, {"subject": "B", "do": f"without:{kept['digest']}"})
    assert Draft.objects.get().content["attachments"] == []
    typed = {"subject": "B", "v:tuan-tra": "3", "t:tinh-hinh": "x", "do": "send"}
    client.post(address, typed | {"files": SimpleUploadedFile("bieu.csv", b"a;b", "text/csv")})
    assert content_of(Dispatch.objects.get()).attachments[0]["digest"] == kept["digest"]


def test_the_preview_shows_what_would_be_signed_and_what_stands_in_the_way(world, enter):
    client = enter(world.seat(world.station))
    address = begin(client, world)
    client.post(address, {"subject": "Báo cáo", "v:xu-phat": "7", "do": "save"})
    text = client.get(f"{address}xem-truoc/").content.decode()
    assert "Chỗ này thiếu số liệu" in text
    assert "Đồn Biên phòng Một" in text


def send(client, world, label, figure, station=None, **more):
    address = begin(client, world, label, station)
    typed = {"subject": f"Báo cáo {label}", "v:tuan-tra": figure, "t:tinh-hinh": "Ổn định.", "do": "send"} | more
    assert client.post(address, typed).status_code == 302
    return Dispatch.objects.latest("pk")


def test_figures_are_seen_by_both_parties_and_by_nobody_else(world, enter):
    send(enter(world.seat(world.station)), world, "2020-03", "12")
    for organisation, status in ((world.station, True), (world.district, True), (world.stranger, False)):
        text = enter(world.seat(organisation)).get("/so-lieu/?indicator=tuan-tra").content.decode()
        assert ("Đồn Biên phòng Một" in text) is status


def test_figures_lead_to_their_reports_filter_and_add_up(world, enter):
    client = enter(world.seat(world.station))
    first = send(client, world, "2020-02", "12")
    send(client, world, "2020-03", "30")
    text = client.get("/so-lieu/?indicator=tuan-tra&last=2020-02-28").content.decode()
    assert f"/cong-van/{first.uuid}/" in text
    assert "30" not in re.findall(r'hd-number">\s*(\d+)', text)
    assert "<strong>42 lượt</strong>" in client.get("/so-lieu/?indicator=tuan-tra").content.decode()


def test_the_csv_of_figures_holds_every_row_with_vietnamese_decimals(world, enter):
    client = enter(world.seat(world.station))
    send(client, world, "2020-03", "12", **{"v:xu-phat": "7,5", "c:xu-phat": "=toàn huyện"})
    text = b"".join(client.get("/so-lieu/?as=csv").streaming_content).decode()
    assert text.count("Đồn Biên phòng Một") == 3
    assert '"7,5"' in text
    assert "'=toàn huyện" in text


def test_a_returned_report_no_longer_counts_and_its_replacement_does(world, enter):
    dispatch = send(enter(world.seat(world.station)), world, "2020-03", "12")
    district = enter(world.seat(world.district))
    district.post(f"/cong-van/{dispatch.uuid}/tra-lai/", {"reason": "Sai kỳ"})
    assert set(Figure.objects.values_list("superseded", flat=True)) == {True}
    client = enter(world.seat(world.station))
    moved = client.post(f"/cong-van/{dispatch.uuid}/thay-the/")
    typed = {"subject": "Báo cáo", "v:tuan-tra": "13", "t:tinh-hinh": "Ổn định.", "do": "send"}
    assert client.post(moved.headers["Location"], typed).status_code == 302
    assert list(Figure.objects.filter(superseded=False, state="value").values_list("value", flat=True)) == [13]


def test_the_number_of_queries_of_the_figures_page_does_not_grow_with_its_rows(world, enter, django_assert_max_num_queries):
    client = enter(world.seat(world.station))
    send(client, world, "2020-02", "12")
    client.get("/so-lieu/")
    with django_assert_max_num_queries(100) as few:
        client.get("/so-lieu/")
        count = len(few)
    for label in ("2020-03", "2020-04"):
        send(client, world, label, "12")
    with django_assert_max_num_queries(count):
        client.get("/so-lieu/")
