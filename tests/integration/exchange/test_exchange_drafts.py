"""Drafts: nothing typed is lost, nothing is sent twice, nothing classified is kept anywhere."""

import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse

from hiepdong.documents.models import File
from hiepdong.exchange import queries, services
from hiepdong.exchange.domain.classified import ClassifiedContent
from hiepdong.exchange.models import Dispatch, Draft, SeparateChannel
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotAllowed, NotFound
from support.make import SENT_AT, entered, notice, seat, send

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
SECRET = "TỐI MẬT: kế hoạch phối hợp chuyên án"


@pytest.fixture
def address():
    return reverse("exchange:draft_form", args=[uuid.uuid4()])


def typed(world, **changes):
    fields = {"to": [world.district.key], "subject": "Đề nghị phối hợp", "urgency": "urgent", "text": "Nội dung đề nghị."}
    return fields | changes


def revision(page):
    found = re.search(r'name="revision" value="(\d+)"', page.content.decode())
    return found[1] if found else ""


# --- what is typed is kept ---------------------------------------------------------------------------------------------


def test_what_was_typed_is_there_after_a_reload_although_nobody_pressed_save(world, address):
    client = entered(world.clerk)
    answer = client.post(address, typed(world), headers=HTMX)
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode(), "the autosave gets a fragment and disturbs nothing"
    page = client.get(address).content.decode()
    for kept in ("Đề nghị phối hợp", "Nội dung đề nghị."):
        assert kept in page
    for chosen in ("urgent", world.district.key):
        assert re.search(rf'value="{re.escape(chosen)}"[^>]*(selected|checked)', page), chosen


def test_an_incomplete_draft_is_kept_and_refused_only_when_it_shall_leave(world, address):
    client = entered(world.signer)
    half = typed(world, to=[], subject="")
    assert client.post(address, half | {"do": "save"}).status_code == 200
    refused = client.post(address, half | {"do": "send", "revision": "1"})
    assert refused.status_code == 422
    assert "Nội dung đề nghị." in refused.content.decode()
    assert Draft.objects.get().content["body"]["text"] == "Nội dung đề nghị."
    assert not Dispatch.objects.exists()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00", "1900-01-01T00:00", "2999-01-01T00:00", "9999-12-31T23:59"])
def test_an_event_that_lies_in_the_future_or_before_all_records_is_refused_and_nothing_breaks(world, address, moment):
    client = entered(world.signer)
    refused = client.post(address, typed(world, event_at=moment, do="send"))
    assert refused.status_code == 422
    assert client.get(address).status_code == 200
    assert not Dispatch.objects.exists()


def test_event_receipt_and_entry_are_three_moments_on_the_page(world):
    happened, stored = SENT_AT - timedelta(days=2), SENT_AT + timedelta(days=5)
    (sent,) = services.send_many(items=[notice(world.station, [world.district], event_at=happened)], actor=None, at=stored)
    services.acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=SENT_AT + timedelta(hours=3))
    page = entered(world.reader).get(reverse("exchange:dispatch_detail", args=[sent.uuid])).content.decode()
    for label, moment in (("Xảy ra lúc", "14/03/2020"), ("Gửi lúc", "16/03/2020"), ("Lưu tại nút lúc", "21/03/2020")):
        assert re.search(rf"<dt>{label}</dt><dd>[^<]*{moment}", page), label


def test_colleagues_of_the_same_organisation_find_the_draft_and_others_do_not(world, address):
    entered(world.clerk).post(address, typed(world, do="submit"))
    draft = Draft.objects.get()
    assert [d.pk for d in queries.drafts_for(world.signer)] == [draft.pk]
    assert queries.drafts_for(world.reader) == []
    with pytest.raises(NotFound):
        queries.draft_for(world.reader, draft.pk)


def test_what_lies_before_the_signer_comes_first(world):
    first, second = world.draft(subject="Một"), world.draft(subject="Hai")
    services.submit_draft(draft_id=first.pk, actor=world.clerk, at=SENT_AT)
    services.save_draft(draft_id=second.pk, content=second.content, actor=world.clerk, at=SENT_AT + timedelta(hours=1))
    assert [d.pk for d in queries.drafts_for(world.signer)] == [first.pk, second.pk]


def test_two_windows_overwrite_nothing_of_each_other(world, address):
    client = entered(world.clerk)
    first = client.post(address, typed(world, text="Bản của cửa sổ một", do="save"))
    old = revision(first)
    client.post(address, typed(world, text="Bản mới của cửa sổ một", do="save", revision=old))
    conflict = client.post(address, typed(world, text="Bản của cửa sổ hai", do="save", revision=old))
    assert conflict.status_code == 409
    page = conflict.content.decode()
    assert "Bản mới của cửa sổ một" in page
    assert "Bản của cửa sổ hai" in page
    assert Draft.objects.get().content["body"]["text"] == "Bản mới của cửa sổ một"
    assert "Bản của cửa sổ hai" in client.get(address).content.decode(), "a reload still shows what was not saved"
    settled = client.post(address, typed(world, text="Bản chung", do="save", revision=revision(conflict)))
    assert settled.status_code == 200
    assert Draft.objects.get().content["body"]["text"] == "Bản chung"
    assert not Draft.objects.get().unsaved


def test_the_autosave_of_a_stale_window_never_wins_by_itself(world, address):
    client = entered(world.clerk)
    old = revision(client.post(address, typed(world, text="Cũ", do="save")))
    client.post(address, typed(world, text="Mới", do="save", revision=old))
    for _ in range(3):
        answer = client.post(address, typed(world, text="Cửa sổ cũ gõ tiếp", revision=old), headers=HTMX)
        assert answer.status_code == 200
        assert revision(answer) == old
    assert Draft.objects.get().content["body"]["text"] == "Mới"


def test_a_draft_that_was_put_away_or_sent_takes_no_more_words(world):
    away, sent = world.draft(), world.draft()
    services.discard_draft(draft_id=away.pk, actor=world.clerk, at=SENT_AT)
    services.send_draft(draft_id=sent.pk, actor=world.signer, at=SENT_AT)
    for draft in (away, sent):
        with pytest.raises(services.DraftClosed):
            services.save_draft(draft_id=draft.pk, content={"subject": "Khác"}, actor=world.clerk, at=SENT_AT)
    with pytest.raises(services.DraftClosed):
        services.discard_draft(draft_id=sent.pk, actor=world.clerk, at=SENT_AT)
    with pytest.raises(services.DraftClosed):
        services.send_draft(draft_id=away.pk, actor=world.signer, at=SENT_AT)
    assert Draft.objects.count() == 2, "it is kept, not deleted"


# --- sent once ---------------------------------------------------------------------------------------------------------


def test_pressing_send_twice_sends_once_and_leads_both_times_to_the_same_paper(world, address):
    client = entered(world.signer)
    first = client.post(address, typed(world, do="send"))
    second = client.post(address, typed(world, do="send"))
    assert first.status_code == second.status_code == 302
    assert first.headers["Location"] == second.headers["Location"]
    assert Dispatch.objects.count() == 1
    assert client.get(address).headers["Location"] == first.headers["Location"]


def test_sending_the_same_draft_twice_returns_the_same_dispatch(world):
    draft = world.draft()
    first = services.send_draft(draft_id=draft.pk, actor=world.signer, at=SENT_AT)
    assert services.send_draft(draft_id=draft.pk, actor=world.signer, at=SENT_AT + timedelta(days=1)).pk == first.pk
    assert Entry.objects.filter(code="exchange.dispatch.sent").count() == 1


def test_a_nil_report_tapped_twice_is_sent_once(world):
    world.duties()
    client = entered(world.signer)
    address = reverse("duties:nil_send", args=[world.duty().pk])
    assert client.post(address).headers["Location"] == client.post(address).headers["Location"]
    assert Dispatch.objects.get().kind == "nil_report"
    assert world.duty().nil


def test_a_clerk_lays_before_and_only_a_signer_sends(world, address):
    clerk = entered(world.clerk)
    assert clerk.post(address, typed(world, do="submit")).status_code == 302
    draft = Draft.objects.get()
    assert draft.submitted_at is not None
    refused = clerk.post(address, typed(world, do="send", revision=str(draft.revision)))
    assert refused.status_code in {403, 422}
    with pytest.raises(NotAllowed):
        services.send_draft(draft_id=draft.pk, actor=world.clerk, at=SENT_AT)
    assert not Dispatch.objects.exists()
    page = entered(world.signer).get(address)
    sent = entered(world.signer).post(address, typed(world, do="send", revision=revision(page)))
    assert sent.status_code == 302
    assert queries.content_of(Dispatch.objects.get()).body["text"] == "Nội dung đề nghị."


def test_an_unknown_recipient_is_refused_by_name_and_the_draft_stays(world):
    draft = world.draft(recipients=[{"organisation": "t.khong-co", "role": "to"}])
    with pytest.raises(services.UnknownRecipient) as refusal:
        services.send_draft(draft_id=draft.pk, actor=world.signer, at=SENT_AT)
    assert refusal.value.facts == {"key": "t.khong-co"}
    assert Draft.objects.get().sent_as is None


def test_a_replacement_begins_with_the_content_of_the_paper_and_names_it(world, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    from hiepdong.documents.services import keep_file

    file = keep_file(data=b"x", name="a.txt", media_type="text/plain", at=SENT_AT)
    sent = send(world.signer, [world.district], "Bản đầu", files=[("a.txt", file)], copies=[world.province])
    draft = services.begin_replacement(dispatch_uuid=sent.uuid, actor=world.clerk, at=SENT_AT)
    again = services.send_draft(draft_id=draft.pk, actor=world.signer, at=SENT_AT + timedelta(hours=1))
    content = queries.content_of(again)
    assert (content.replaces, content.subject) == (str(sent.uuid), "Bản đầu")
    assert [(r.organisation, r.role) for r in content.recipients] == [("t.huyen-uy", "to"), ("t.dang-uy-bdbp", "copy")]
    assert [a["name"] for a in content.attachments] == ["a.txt"]
    with pytest.raises(NotFound):
        services.begin_replacement(dispatch_uuid=sent.uuid, actor=world.reader, at=SENT_AT)


# --- nothing classified is kept ------------------------------------------------------------------------------------------


def everything_stored():
    """Return every text of every table, as the database holds it."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'select * from "{table}"')
            found += [str(bytes(v) if isinstance(v, memoryview) else v) for row in cursor.fetchall() for v in row]
    return "\n".join(found)


def nothing_of_it(media, *needles):
    stored = everything_stored()
    files = b"".join(p.read_bytes() + p.name.encode() for p in Path(media).rglob("*") if p.is_file())
    for needle in needles:
        assert needle not in stored
        assert needle.encode("unicode_escape").decode() not in stored
        assert needle.encode() not in files


@pytest.mark.parametrize("field", ["text", "subject"])
@pytest.mark.parametrize("do", ["", "save", "submit", "send"])
def test_classified_words_are_refused_with_the_proper_channel_and_leave_no_trace(world, address, field, do, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    client = entered(world.signer)
    answer = client.post(address, typed(world, do=do, **{field: SECRET}))
    assert answer.status_code == 409
    page = answer.content.decode()
    assert reverse("exchange:separate_channel") in page
    assert "chuyên án" not in page, "the page does not repeat it"
    nothing_of_it(tmp_path, "chuyên án", "TỐI MẬT")
    assert not Draft.objects.exists()


def test_a_mark_added_to_an_existing_draft_leaves_the_draft_as_it_was(world, address):
    client = entered(world.signer)
    client.post(address, typed(world, do="save"))
    assert client.post(address, typed(world, text=SECRET, revision="1"), headers=HTMX).status_code == 409
    assert Draft.objects.get().content["body"]["text"] == "Nội dung đề nghị."
    nothing_of_it("/nonexistent", "chuyên án")


def test_a_report_with_a_marked_section_or_file_keeps_neither_row_nor_file(world, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    world.duties()
    client = entered(world.signer)
    address = client.post(reverse("duties:duty_write", args=[world.duty().pk])).headers["Location"]
    harmless = SimpleUploadedFile("phu-luc.pdf", b"phu luc chuyen an")
    refused = client.post(address, {"t:tinh-hinh": SECRET, "files": harmless, "do": "save"})
    assert refused.status_code == 409
    marked = SimpleUploadedFile("TOI_MAT_ke-hoach.pdf", b"ke hoach chuyen an")
    refused = client.post(address, {"t:tinh-hinh": "Ổn định", "files": marked, "do": "save"})
    assert refused.status_code == 409
    assert not File.objects.exists()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    nothing_of_it(tmp_path, "chuyên án", "chuyen an", "TOI_MAT")


def test_a_mark_inside_a_file_is_refused_and_neither_it_nor_the_file_beside_it_is_kept(world, address, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    files = [SimpleUploadedFile("a.txt", b"vo hai"), SimpleUploadedFile("ke-hoach.txt", f"{SECRET}\n".encode())]
    refused = entered(world.signer).post(address, typed(world, do="send", files=files))
    assert refused.status_code == 409
    assert not Draft.objects.exists()
    assert not File.objects.exists()
    nothing_of_it(tmp_path, "chuyên án", "vo hai", "ke-hoach.txt")


def test_a_paper_whose_file_is_gone_from_the_disk_is_not_sent_without_it(world, address, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    client = entered(world.signer)
    client.post(address, typed(world, do="save", files=SimpleUploadedFile("a.txt", b"phu luc")))
    for path in [p for p in tmp_path.rglob("*") if p.is_file()]:
        path.unlink()
    refused = client.post(address, typed(world, do="send", revision="1"))
    assert refused.status_code == 422
    assert "a.txt" in refused.content.decode()
    assert not Dispatch.objects.exists()
    again = SimpleUploadedFile("a.txt", b"phu luc")
    assert client.post(address, typed(world, do="send", revision="2", files=again)).status_code == 302


def test_the_position_of_the_signer_is_looked_at_too(world):
    marked = seat(world.station, "signer", title="(MẬT) Đồn trưởng")
    with pytest.raises(ClassifiedContent):
        send(marked, [world.district])


@pytest.mark.parametrize("page", ["exchange:draft_form", "reporting:report_form"])
def test_a_file_that_is_too_large_is_refused_before_it_is_read(world, page, monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    world.duties()
    client = entered(world.signer)
    address = client.post(reverse("duties:duty_write", args=[world.duty().pk])).headers["Location"]
    if page == "exchange:draft_form":
        address = reverse(page, args=[uuid.uuid4()])
    monkeypatch.setattr("hiepdong.documents.services.LARGEST", 10)
    monkeypatch.setattr("hiepdong.exchange.services.file_bears_mark", lambda *a: pytest.fail("it was read"))
    monkeypatch.setattr("hiepdong.exchange.services.keep_file", lambda **k: pytest.fail("it was kept"))
    answer = client.post(address, typed(world, do="save", files=SimpleUploadedFile("a.pdf", b"x" * 11)))
    assert answer.status_code == 422
    assert "50 MB" in answer.content.decode()
    assert "Nội dung đề nghị." in answer.content.decode(), "what was typed stays"


def test_a_paper_carries_a_bounded_number_of_files(world, address, monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    monkeypatch.setattr(services, "MOST_FILES", 2)
    files = [SimpleUploadedFile(f"{n}.txt", str(n).encode()) for n in range(3)]
    assert entered(world.signer).post(address, typed(world, do="save", files=files)).status_code == 422
    assert not File.objects.exists()


def test_classified_content_is_refused_on_every_way_in(world):
    for content in (
        {"subject": SECRET},
        {"body": {"form": {"sections": [{"key": "a", "text": SECRET}]}}},
        {"body": {"form": {"figures": [{"indicator": "a", "text": SECRET}]}}},
    ):
        with pytest.raises(ClassifiedContent):
            world.draft(**content)
    with pytest.raises(ClassifiedContent):
        send(world.signer, [world.district], body={"text": SECRET})
    with pytest.raises(ClassifiedContent):
        send(world.signer, [world.district], files=[("TUYET-MAT.pdf", File(digest="0" * 64, size=1))])


@pytest.mark.parametrize(
    "name", ["duties:duty_waive", "duties:duty_suspend", "exchange:dispatch_return", "exchange:dispatch_withdraw"]
)
def test_a_reason_that_bears_a_mark_is_refused_and_kept_nowhere(world, name):
    world.duties()
    sent = send(world.signer, [world.district])
    target = world.duty().pk if name.startswith("duties") else sent.uuid
    client = entered(world.signer if name.endswith("withdraw") else world.reader)
    answer = client.post(reverse(name, args=[target]), {"reason": SECRET})
    assert answer.status_code == 409
    assert "kênh" in answer.content.decode()
    nothing_of_it("/nonexistent", "chuyên án")


def test_only_the_bare_fact_of_a_separate_channel_is_noted(world):
    client = entered(world.clerk)
    assert client.post(reverse("exchange:separate_channel"), {"subject": SECRET, "text": SECRET}).status_code == 302
    noted = SeparateChannel.objects.get()
    assert (noted.organisation_id, noted.recipient_id, noted.duty_reference) == (world.station.pk, None, "")
    nothing_of_it("/nonexistent", "chuyên án")


# --- attachments ---------------------------------------------------------------------------------------------------------


def upload(world, name, data=b"noi dung"):
    world.duties()
    client = entered(world.signer)
    address = client.post(reverse("duties:duty_write", args=[world.duty().pk])).headers["Location"]
    answers = {"v:tuan-tra": "12", "files": SimpleUploadedFile(name, data), "do": "send"}
    sent = client.post(address, answers)
    assert sent.status_code == 302, sent.content.decode()
    return Dispatch.objects.get()


HOSTILE = [
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "<img src=x onerror=alert(1)>.html",
    'a"; filename="b.exe',
    "a\r\nSet-Cookie: x=1.txt",
]


@pytest.mark.parametrize("name", [*HOSTILE, "Báo cáo tháng 3 – Đồn Nậm Cắn.pdf", "=cmd|'.csv", "x" * 300 + ".pdf"])
def test_a_hostile_file_name_reaches_neither_the_disk_nor_the_headers_nor_the_page(world, settings, tmp_path, name):
    settings.MEDIA_ROOT = tmp_path
    sent = upload(world, name)
    kept = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert [re.fullmatch(r"[0-9a-f]{2}/[0-9a-f]{64}", p.relative_to(tmp_path).as_posix()) is not None for p in kept] == [True]
    reader = entered(world.reader)
    page = reader.get(reverse("exchange:dispatch_detail", args=[sent.uuid])).content.decode()
    assert "<img src=x" not in page
    file = sent.attachments.get()
    assert "/" not in file.name
    assert "\\" not in file.name
    download = reader.get(reverse("exchange:dispatch_file", args=[sent.uuid, file.pk]))
    assert download.content == b"noi dung"
    assert download.headers["Content-Type"] == "application/octet-stream"
    assert download.headers["X-Content-Type-Options"] == "nosniff"
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert "Set-Cookie" not in download.headers
    assert "\n" not in download.headers["Content-Disposition"]


def test_a_file_goes_only_with_its_own_paper_and_a_damaged_one_is_not_given_out(world, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    sent = upload(world, "a.pdf")
    other = send(world.reader, [world.station])
    file = sent.attachments.get()
    assert entered(world.reader).get(reverse("exchange:dispatch_file", args=[other.uuid, file.pk])).status_code == 404
    assert entered(seat(world.outsider)).get(reverse("exchange:dispatch_file", args=[sent.uuid, file.pk])).status_code == 404
    next(p for p in tmp_path.rglob("*") if p.is_file()).write_bytes(b"khac")
    damaged = entered(world.reader).get(reverse("exchange:dispatch_file", args=[sent.uuid, file.pk]))
    assert damaged.status_code == 409
    assert b"khac" not in damaged.content
