"""What a person reads and presses on the pages: words instead of keys, the next action, nothing lost."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from hiepdong.accounts.models import Seat
from hiepdong.exchange.models import Dispatch
from hiepdong.exchange.services import acknowledge, return_dispatch
from hiepdong.organisations.models import Superior
from support.make import FIGURE, LONG_AGO, SENT_AT, entered, organisation, seat, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(small_world):
    small_world.duties()
    return small_world


def shown(by, address, **query):
    answer = entered(by).get(address, query)
    assert answer.status_code == 200
    return answer.content.decode()


def page_of(by, dispatch):
    return shown(by, reverse("exchange:dispatch_detail", args=[dispatch.uuid]))


def test_figures_are_shown_with_name_precision_and_unit_and_never_with_keys(world):
    figures = [
        FIGURE | {"name": "Tuần tra", "value": "1570", "precision": "over"},
        FIGURE | {"indicator": "khac", "name": "Vụ việc", "state": "not_reported", "value": None, "unit": "vụ"},
    ]
    form = {"instrument": "t.qcph", "version": 1, "key": "thang", "period_from": "2020-02-15", "period_to": "2020-03-14"}
    body = {"text": "", "form": form | {"figures": figures, "sections": []}}
    sent = send(world.signer, [world.district], kind="report", body=body)
    page = page_of(world.reader, sent)
    table = page[page.index("<tbody>") : page.index("</tbody>")]
    assert re.search(r"Tuần tra.*trên <strong>1\.570</strong>.*lượt", table, re.S)
    assert re.search(r"Vụ việc.*không có số liệu", table, re.S)
    assert "tuan-tra" not in table


def test_a_receipt_that_is_missing_stands_on_the_time_line_until_it_is_there(world):
    sent = world.report()
    assert "Huyện ủy Ba chưa trả lời" in page_of(world.signer, sent)
    acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=SENT_AT + timedelta(hours=1))
    page = page_of(world.signer, sent)
    assert "Huyện ủy Ba chưa trả lời" not in page
    assert "Huyện ủy Ba đã xác nhận" in page


def test_a_return_tells_its_reason_on_the_time_line(world):
    sent = world.report()
    return_dispatch(dispatch_uuid=sent.uuid, reason="Thiếu số người", actor=world.reader, at=SENT_AT + timedelta(hours=1))
    assert "Thiếu số người" in page_of(world.signer, sent)


def test_verification_is_told_in_words_and_a_changed_dispatch_raises_an_alarm(world):
    sent = world.report()
    assert "từ đó đến nay không có gì bị sửa" in page_of(world.reader, sent)
    raw = bytes(sent.signed)
    Dispatch.objects.filter(pk=sent.pk).update(digest="0" * 64)
    page = page_of(world.reader, Dispatch.objects.get(pk=sent.pk))
    assert bytes(Dispatch.objects.get(pk=sent.pk).signed) == raw
    assert 'role="alert"' in page
    assert "Chưa xử lý theo văn bản này" in page
    assert "từ đó đến nay không có gì bị sửa" not in page


def test_a_dispatch_leads_to_the_duty_it_fulfils_and_back(world):
    sent = world.report()
    link = re.search(r'href="(/nghia-vu/theo-ma/[^"]+)"', page_of(world.reader, sent)).group(1)
    duty = entered(world.reader).get(link, follow=True)
    assert duty.redirect_chain[-1][0] == reverse("duties:duty_detail", args=[world.duty().pk])
    assert reverse("exchange:dispatch_detail", args=[sent.uuid]) in duty.content.decode()
    assert entered(seat(world.outsider)).get(link).status_code == 404


def test_a_duty_offers_its_debtor_the_next_action_and_its_creditor_a_way_to_ask(world, settings):
    settings.HIEPDONG_DEMO_DAY = "2020-04-01"
    address = reverse("duties:duty_detail", args=[world.duty().pk])
    ours, theirs = shown(world.signer, address), shown(world.reader, address)
    assert reverse("duties:duty_write", args=[world.duty().pk]) in ours
    assert reverse("duties:nil_send", args=[world.duty().pk]) in ours
    assert reverse("duties:duty_write", args=[world.duty().pk]) not in theirs
    assert f"{reverse('exchange:notice_new')}?to={world.station.key}" in theirs


def test_the_reason_of_a_due_day_is_folded_below_it_and_names_the_days_left_out(world):
    page = shown(world.signer, reverse("duties:duty_detail", args=[world.duty().pk]))
    why = page[page.index("Vì sao là ngày này?") :]
    assert "<details open" not in page
    assert "Chủ nhật" in why[: why.index("</ol>")]
    assert "tháng 3/2020" in why[: why.index("</ol>")]


def test_a_duty_kept_in_time_is_not_called_late_from_its_due_moment_on(world, settings):
    settings.HIEPDONG_DEMO_DAY = "2020-04-01"
    late = "Từ thời điểm này là chậm."
    address = reverse("duties:duty_detail", args=[world.duty().pk])
    assert late in shown(world.signer, address)
    world.report()
    assert late not in shown(world.signer, address)


def test_a_question_about_a_duty_begins_with_its_recipient_chosen(world):
    answer = entered(world.reader).get(reverse("exchange:notice_new"), {"to": world.station.key}, follow=True)
    assert re.search(rf'name="to" value="{re.escape(world.station.key)}"[^>]* checked', answer.content.decode())


def test_screens_are_vietnamese_whatever_the_browser_asks_for():
    page = Client().get(reverse("accounts:sign_in"), headers={"accept-language": "en-US,en;q=0.9"}).content.decode()
    assert '<html lang="vi">' in page
    assert "Đăng nhập" in page


def test_an_empty_node_names_the_commands_that_fill_it():
    page = Client().get(reverse("accounts:sign_in")).content.decode()
    for command in ("hiepdong setup", "hiepdong organisations load", "hiepdong regulation check", "hiepdong people add"):
        assert command in page


def test_a_node_with_organisations_does_not_call_itself_empty(world):
    assert "hiepdong setup" not in Client().get(reverse("accounts:sign_in")).content.decode()


def test_a_form_that_stood_open_too_long_is_refused_in_words():
    client, typed = Client(enforce_csrf_checks=True), {"sign_in_name": "a", "password": "b"}
    page = client.post(reverse("accounts:sign_in"), typed)
    part = client.post(reverse("accounts:sign_in"), typed, headers={"HX-Request": "true"})
    assert page.status_code == part.status_code == 403
    for answer in (page, part):
        assert "Trang này mở quá lâu" in answer.content.decode()
    assert "<html" not in part.content.decode(), "a fragment is not a page inside a page"


def test_the_autosave_of_a_person_whose_sign_in_has_ended_is_refused_and_not_led_away():
    address = reverse("exchange:draft_form", args=["00000000-0000-4000-8000-000000000000"])
    answer = Client().post(address, {"text": "a"}, headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "<html" not in answer.content.decode()
    assert Client().post(address, {"text": "a"}).status_code == 302


def test_classified_text_is_refused_with_the_proper_channel_and_a_way_to_note_it(world):
    client = entered(world.signer)
    address = client.get(reverse("exchange:notice_new")).headers["Location"]
    typed = {
        "to": [world.district.key],
        "subject": "Kế hoạch",
        "urgency": "ordinary",
        "text": "TUYỆT MẬT: kế hoạch",
        "do": "send",
    }
    answer = client.post(address, typed)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "cơ yếu" in page
    assert 'data-code="exchange.classified_content"' in page, "by it the tab forgets what was typed"
    assert reverse("exchange:separate_channel") in page
    assert "kế hoạch" not in page.replace("Kế hoạch", "")


def test_pages_are_packed_for_thin_lines(world):
    answer = entered(world.signer).get("/", headers={"accept-encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"


def test_an_administrator_of_an_organisation_is_offered_its_own_bodies_only(world):
    below = organisation("t.to-cong-tac", "other", "Tổ công tác")
    Superior.objects.create(organisation=below, superior=world.district, valid_from=LONG_AGO, source="thử")
    page = shown(seat(world.district, "organisation_administrator"), reverse("accounts:seat_new"))
    assert f'value="{world.district.key}"' in page
    assert f'value="{world.station.key}"' not in page
    assert f'value="{below.key}"' not in page, "it would be refused"
    everything = shown(seat(world.district, "node_administrator"), reverse("accounts:seat_new"))
    assert f'value="{world.station.key}"' in everything
    assert f'value="{below.key}"' in everything


def test_a_seat_is_not_ended_by_one_tap(world):
    page = shown(seat(world.district, "node_administrator"), reverse("accounts:seat_list"))
    ending = [m.start() for m in re.finditer(r"ket-thuc/", page)]
    assert ending
    assert all("<details>" in page[max(0, i - 250) : i] for i in ending)
    assert Seat.objects.filter(valid_until__isnull=False).count() == 0


@pytest.mark.parametrize("path", ["/", "/bang-thuong-xuyen/", "/nghia-vu/", "/so-cong-van-den/", "/so-lieu/", "/lich/"])
def test_an_empty_page_says_what_to_do_next(path, world):
    page = shown(seat(world.outsider), path)
    assert 'class="hd-empty' in page or 'hd-empty"' in page


def test_every_page_can_be_skipped_to_its_content_and_has_one_heading(world):
    for path in ("/", "/bang-thuong-xuyen/", "/nghia-vu/", "/tro-giup/", "/ban-thao/", "/lich/", "/tim/", "/mat-khau/"):
        page = shown(world.signer, path)
        assert page.index('class="hd-skip" href="#main"') < page.index("<header")
        assert page.count("<h1") == 1, path


def test_the_desk_tells_how_long_something_is_overdue(world, settings):
    settings.HIEPDONG_DEMO_DAY = "2020-04-01"
    assert datetime(2020, 4, 1, tzinfo=UTC) > world.duty().due_at
    assert re.search(r"quá hạn \d+ ngày", shown(world.signer, "/"))
