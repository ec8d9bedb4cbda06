"""A program with the token of a seat sees what the seat sees and does what the seat may: the same gate, the same services."""

import hashlib
import json
import uuid
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from hiepdong.accounts.models import ApiToken
from hiepdong.accounts.services import TooManyTokens, end_api_token, make_api_token
from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange.models import Draft, Receipt
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotFound
from support.machine import Program, is_problem
from support.make import SENT_AT, entered, seat, send

pytestmark = pytest.mark.django_db


def said(answer):
    assert answer.status_code in {200, 201}, (answer.status_code, answer.content[:400])
    return json.loads(answer.content)


def draft(**more):
    return {"subject": "Thông báo", "text": "Nội dung.", "recipients": [{"organisation": "t.huyen-uy"}]} | more


def test_a_token_says_for_which_seat_it_acts(small_world):
    assert said(Program(small_world.signer).get("/seat")) == {
        "person": "Trực ban",
        "organisation": {"key": "t.don-mot", "name": "Đồn Biên phòng Một"},
        "role": "signer",
        "title": "Đồn trưởng",
    }


def test_duties_are_those_of_the_page_with_their_status(small_world):
    small_world.duties()
    small_world.report("2020-03")
    owed = said(Program(small_world.clerk).get("/duties?direction=owed"))["items"]
    assert {d["debtor"]["key"] for d in owed} == {"t.don-mot"}
    assert [d["due_at"] for d in owed] == sorted(d["due_at"] for d in owed)
    one = next(d for d in owed if d["reference"] == small_world.reference("2020-03"))
    assert (one["status"], one["regulation"], one["rule"]) == ("fulfilled", "t.qcph", "thang")
    assert said(Program(small_world.clerk).get("/duties/" + one["reference"])) == one
    awaited = said(Program(small_world.clerk).get("/duties?direction=awaited"))["items"]
    assert {d["creditor"]["key"] for d in awaited} == {"t.don-mot"}
    narrowed = said(Program(small_world.clerk).get("/duties?rule=thang&status=fulfilled&first=2020-03-01&last=2020-03-31"))
    assert [d["reference"] for d in narrowed["items"]] == [one["reference"]]
    is_problem(Program(small_world.clerk).get(f"/duties/{small_world.duty().pk}"), 404, "kernel.not_found")


def test_pages_of_a_list_follow_each_other_without_a_gap_or_a_double_while_rows_come(small_world):
    small_world.duties()
    program = Program(small_world.clerk)
    whole = [d["reference"] for d in said(program.get("/duties?limit=200"))["items"]]
    found, cursor = [], ""
    while cursor is not None:
        page = said(program.get(f"/duties?limit=2&cursor={cursor}"))
        found += [d["reference"] for d in page["items"]]
        cursor = page["next"]
    assert found == whole
    assert len(whole) > 4
    papers = [send(small_world.signer, [small_world.district], f"Số {n}", at=SENT_AT) for n in range(5)]
    first = said(program.get("/dispatches/out?year=2020&limit=2"))
    send(small_world.signer, [small_world.district], "Sau", at=SENT_AT)
    rest = said(program.get(f"/dispatches/out?year=2020&limit=10&cursor={first['next']}"))
    assert [r["subject"] for r in first["items"] + rest["items"]] == ["Số 4", "Số 3", "Số 2", "Số 1", "Số 0"]
    assert rest["next"] is None
    assert first["items"][0]["id"] == str(papers[4].uuid)


def test_the_registers_show_what_went_out_and_what_came_in(small_world):
    paper = send(small_world.signer, [small_world.district], "Báo cáo", copies=[small_world.province])
    out = said(Program(small_world.signer).get("/dispatches/out?year=2020"))["items"]
    assert [(r["id"], r["number"], r["notation"]) for r in out] == [(str(paper.uuid), 1, paper.notation)]
    assert {a["organisation"]["key"]: a["role"] for a in out[0]["addressees"]} == {"t.huyen-uy": "to", "t.dang-uy-bdbp": "copy"}
    received = said(Program(small_world.reader).get("/dispatches/in?year=2020&state=waiting"))["items"]
    assert [r["subject"] for r in received] == ["Báo cáo"]
    assert [a["organisation"]["key"] for a in received[0]["addressees"]] == ["t.huyen-uy"]
    assert said(Program(small_world.reader).get("/dispatches/in?year=2019"))["items"] == []
    assert said(Program(small_world.reader).get("/dispatches/in?year=2020&state=returned"))["items"] == []
    above = Program(seat(small_world.province, "viewer"))
    assert len(said(above.get("/dispatches/out?year=2020&organisation=t.don-mot"))["items"]) == 1


def test_a_paper_comes_with_its_signed_bytes_and_receipts(small_world):
    paper = send(small_world.signer, [small_world.district], "Báo cáo")
    program = Program(small_world.reader)
    said(program.post(f"/dispatches/{paper.uuid}/acknowledge"))
    found = said(program.get(f"/dispatches/{paper.uuid}"))
    assert hashlib.sha256(found["signed"].encode()).hexdigest() == found["digest"] == paper.digest
    assert found["content"]["body"] == {"text": "Nội dung."}
    assert [r["code"] for r in found["receipts"]] == ["arrived", "acknowledged"]
    for receipt in found["receipts"]:
        assert hashlib.sha256(receipt["signed"].encode()).hexdigest() == receipt["digest"]
    raw = program.get(f"/dispatches/{paper.uuid}/signed")
    assert raw.headers["Content-Type"] == "application/jose"
    assert raw.content.decode() == found["signed"]


def test_an_attachment_is_given_by_its_digest_and_one_that_is_not_here_is_told(small_world):
    file = keep_file(data=b"%PDF-1.4", name="a.pdf", media_type="application/pdf", at=SENT_AT)
    paper = send(small_world.signer, [small_world.district], "Kèm tệp", files=[("số liệu.pdf", file)])
    program = Program(small_world.reader)
    (row,) = said(program.get(f"/dispatches/{paper.uuid}"))["attachments"]
    assert (row["name"], row["digest"], row["here"]) == ("số liệu.pdf", file.digest, True)
    answer = program.get(f"/dispatches/{paper.uuid}/attachments/{file.digest}")
    assert answer.content == b"%PDF-1.4"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    is_problem(program.get(f"/dispatches/{paper.uuid}/attachments/{'0' * 64}"), 404, "kernel.not_found")
    path_of(file.digest).unlink()
    assert said(program.get(f"/dispatches/{paper.uuid}"))["attachments"][0]["here"] is False
    is_problem(program.get(f"/dispatches/{paper.uuid}/attachments/{file.digest}"), 409, "documents.file_damaged")


def test_acknowledging_is_done_once_and_by_those_who_may(small_world):
    paper = send(small_world.signer, [small_world.district], "Báo cáo")
    address = f"/dispatches/{paper.uuid}/acknowledge"
    is_problem(Program(seat(small_world.district, "viewer")).post(address), 403, "kernel.not_allowed")
    program = Program(small_world.reader)
    first, again = said(program.post(address)), said(program.post(address))
    assert first == again
    assert first["acknowledged_at"]
    assert Receipt.objects.filter(code="acknowledged").count() == 1
    assert Entry.objects.get(code="exchange.dispatch.acknowledged").actor_name == small_world.reader.journal_name


def test_a_draft_waits_for_a_person_and_is_made_once(small_world):
    program = Program(small_world.clerk)
    number = str(uuid.uuid4())
    answer = program.post("/drafts", draft(id=number, submit=True))
    assert answer.status_code == 201
    left = said(answer)
    assert left["id"] == number
    assert left["submitted_at"]
    assert left["sent_as"] is None
    again = program.post("/drafts", draft(id=number, subject="Khác"))
    assert (again.status_code, said(again)["revision"]) == (200, left["revision"])
    assert Draft.objects.get().content["subject"] == "Thông báo"
    page = entered(small_world.signer).get(left["page"])
    assert "Thông báo" in page.content.decode()


def test_a_draft_passes_the_same_rules_as_on_the_page(small_world):
    program = Program(small_world.clerk)
    unknown = draft(recipients=[{"organisation": "t.not-there"}])
    is_problem(program.post("/drafts", unknown), 409, "exchange.unknown_recipient")
    is_problem(program.post("/drafts", draft(text="Độ MẬT: nội dung")), 409, "exchange.classified_content")
    is_problem(program.post("/drafts", draft(recipients=[])), 422, "api.invalid")
    is_problem(program.post("/drafts", draft(subject=" ")), 422, "api.invalid")
    is_problem(Program(seat(small_world.station, "viewer")).post("/drafts", draft()), 403, "kernel.not_allowed")
    assert not Draft.objects.exists()


def test_a_node_administrator_reads_nobodys_papers_with_a_token_either(small_world):
    small_world.duties()
    paper = send(small_world.signer, [small_world.district], "Báo cáo")
    program = Program(seat(small_world.station, "node_administrator"))
    assert said(program.get("/duties"))["items"] == []
    is_problem(program.get(f"/dispatches/{paper.uuid}"), 404, "kernel.not_found")
    is_problem(program.get("/dispatches/out"), 404, "kernel.not_found")
    is_problem(program.post("/drafts", draft()), 403, "kernel.not_allowed")


# --- tokens ------------------------------------------------------------------------------------------------------------


def asked(name):
    return {"name": name, "last_day": timezone.localdate().isoformat()}


def test_a_token_is_shown_once_and_kept_as_a_digest(small_world):
    browser = entered(small_world.clerk)
    page = browser.post(reverse("accounts:token_list"), asked("Phần mềm văn bản"), follow=True).content.decode()
    secret = page.split("<code>")[1].split("</code>")[0]
    assert secret.startswith("hd_")
    token = ApiToken.objects.get()
    assert token.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in browser.get(reverse("accounts:token_list")).content.decode()
    assert said(Program(token=secret).get("/seat"))["role"] == "clerk"
    token.refresh_from_db()
    assert token.used_on is not None
    browser.post(reverse("accounts:token_end", args=[token.pk]))
    is_problem(Program(token=secret).get("/seat"), 401, "api.not_authenticated")
    assert [e.code for e in Entry.objects.filter(code__startswith="accounts.api_token").order_by("id")] == [
        "accounts.api_token.made",
        "accounts.api_token.ended",
    ]


def test_a_seat_has_ten_tokens_at_most_and_ends_only_its_own(small_world):
    for n in range(10):
        make_api_token(name=f"Số {n}", actor=small_world.clerk, at=timezone.now())
    with pytest.raises(TooManyTokens):
        make_api_token(name="Thừa", actor=small_world.clerk, at=timezone.now())
    answer = entered(small_world.clerk).post(reverse("accounts:token_list"), asked("Thừa"))
    assert answer.status_code == 422
    with pytest.raises(NotFound):
        end_api_token(token_id=ApiToken.objects.first().pk, actor=small_world.reader, at=timezone.now())
    nameless = entered(small_world.reader).post(reverse("accounts:token_list"), asked("  "))
    assert nameless.status_code == 422


def test_a_token_ends_on_the_day_that_was_chosen_and_its_program_hears_that_with_its_own_code(small_world):
    program, today = Program(small_world.clerk), timezone.localdate()
    token = ApiToken.objects.get()
    assert token.valid_until == today + timedelta(days=366), "a year is the rule"
    ApiToken.objects.update(valid_until=today + timedelta(days=1))
    assert program.get("/seat").status_code == 200
    ApiToken.objects.update(valid_until=today)
    answer = program.get("/seat")
    is_problem(answer, 401, "accounts.token_expired")
    assert answer.headers["WWW-Authenticate"]
    is_problem(Program(token=program.token + "x").get("/seat"), 401, "api.not_authenticated")
    end_api_token(token_id=token.pk, actor=small_world.clerk, at=timezone.now())
    is_problem(program.get("/seat"), 401, "api.not_authenticated")


@pytest.mark.parametrize(("days", "good"), [(-1, False), (0, True), (1096, True), (1097, False)])
def test_a_token_lasts_from_today_to_three_years_at_most(small_world, days, good):
    chosen = timezone.localdate() + timedelta(days=days)
    asked = {"name": "Phần mềm văn bản", "last_day": chosen.isoformat()}
    answer = entered(small_world.clerk).post(reverse("accounts:token_list"), asked)
    assert answer.status_code == (302 if good else 422)
    assert [t.last_day for t in ApiToken.objects.all()] == ([chosen] if good else [])


def test_the_owner_is_warned_30_days_before_a_token_ends_and_after_it(small_world):
    make_api_token(name="Phần mềm văn bản", actor=small_world.clerk, at=timezone.now())
    browser, today = entered(small_world.clerk), timezone.localdate()

    def alerts(left):
        ApiToken.objects.update(valid_until=today + timedelta(days=left))
        page = browser.get(reverse("accounts:token_list")).content.decode()
        return [kind for kind in ("alert-warning", "alert-danger") if kind in page]

    assert [alerts(left) for left in (31, 30, 1, 0)] == [[], ["alert-warning"], ["alert-warning"], ["alert-danger"]]


def test_a_token_that_has_ended_takes_no_place(small_world):
    for n in range(10):
        make_api_token(name=f"Số {n}", actor=small_world.clerk, at=timezone.now() - timedelta(days=400))
    make_api_token(name="Mới", actor=small_world.clerk, at=timezone.now())
    assert ApiToken.objects.count() == 11
