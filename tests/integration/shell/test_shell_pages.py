"""The frame of every page: fragments or whole pages, refusals as pages, strict headers, safe CSV, the day shown."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import RequestFactory
from django.urls import reverse
from django_htmx.middleware import HtmxDetails

from hiepdong.shell.exports import csv_response, safe
from hiepdong.shell.pages import render_page
from support.make import entered

pytestmark = pytest.mark.django_db


def rendered(**headers):
    request = RequestFactory().get("/", headers=headers)
    request.htmx = HtmxDetails(request)
    return render_page(request, "shell/refusal.html", "refusal", {"code": "x", "message": "Lời từ chối", "hint": ""})


@pytest.mark.parametrize(
    ("headers", "whole"),
    [
        ({}, True),
        ({"HX-Request": "true"}, False),
        ({"HX-Request": "true", "HX-Boosted": "true"}, True),
        ({"HX-Request": "true", "HX-History-Restore-Request": "true"}, True),
    ],
    ids=["plain", "htmx", "boosted", "history"],
)
def test_a_page_is_whole_except_for_a_part_that_htmx_asks_for(headers, whole):
    answer = rendered(**headers)
    assert ("<html" in answer.content.decode()) is whole
    assert "Lời từ chối" in answer.content.decode()
    assert "HX-Request" in answer.headers["Vary"], "else a cache would show the part for the whole"


def test_every_page_forbids_foreign_and_inline_scripts_and_styles(small_world):
    answer = entered(small_world.signer).get("/")
    policy = dict(p.strip().split(" ", 1) for p in answer.headers["Content-Security-Policy"].split(";") if " " in p.strip())
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_a_refusal_is_a_page_with_its_reason_or_a_fragment_for_htmx(small_world):
    client = entered(small_world.signer)
    address = "/cong-van/00000000-0000-0000-0000-000000000000/"
    page, part = client.get(address), client.get(address, headers={"HX-Request": "true"})
    assert page.status_code == part.status_code == 404
    assert "<html" in page.content.decode()
    assert "<html" not in part.content.decode()
    for answer in (page, part):
        assert 'data-code="kernel.not_found"' in answer.content.decode(), "the code is the refusal's, not the language's"
    assert '<html lang="vi">' in page.content.decode()


def test_an_address_that_does_not_exist_is_answered_in_vietnamese(client):
    answer = client.get("/khong-co-trang-nay/")
    assert answer.status_code == 404
    assert 'lang="vi"' in answer.content.decode()


def test_a_form_without_its_token_is_refused(small_world):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(small_world.signer.person)
    assert client.post("/dang-xuat/").status_code == 403


def test_vietnamese_is_shown_whatever_the_browser_asks_for(client):
    page = client.get("/dang-nhap/", headers={"Accept-Language": "en-US,en;q=0.9"}).content.decode()
    assert 'lang="vi"' in page
    assert "Đăng nhập" in page


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "＝1", "＋1", " =1", "\xa0=1", "\u200b@a"])
def test_a_cell_that_a_spreadsheet_would_compute_is_text(cell):
    assert safe(cell) == "'" + cell


@pytest.mark.parametrize(("cell", "text"), [("a=1", "a=1"), (None, ""), (5, "5"), ("", ""), ("Đồn", "Đồn"), (-5, "'-5")])
def test_any_other_cell_stays_as_it_is(cell, text):
    assert safe(cell) == text


def test_a_csv_quotes_what_must_be_quoted_and_is_read_by_excel():
    answer = csv_response("a.csv", ["Tên", "=x"], [['có "ngoặc", và phẩy', "hai\ndòng"]])
    assert b"".join(answer.streaming_content).decode() == '\ufeffTên,\'=x\r\n"có ""ngoặc"", và phẩy","hai\ndòng"\r\n'
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.csv"'


# --- the day as of which pages are shown ---------------------------------------------------------------------------------


def test_looking_back_changes_what_is_shown_and_never_what_is_done(small_world):
    world = small_world
    world.duties()
    client = entered(world.signer)
    client.post(reverse("web:moment"), {"on": "2020-03-10", "next": "/nghia-vu/?q=a"})
    page = client.get(reverse("duties:duty_detail", args=[world.duty("2020-03").pk]))
    assert page.context["at"] == datetime(2020, 3, 10, 10, tzinfo=UTC)
    client.post(reverse("duties:nil_send", args=[world.duty("2020-03").pk]))
    assert datetime.now(UTC) - world.duty("2020-03").fulfilled_at < timedelta(minutes=5), "sent now, not then"
    client.post(reverse("web:moment"), {"today": "1", "on": "2020-03-10"})
    page = client.get(reverse("duties:duty_detail", args=[world.duty("2020-03").pk]))
    assert datetime.now(UTC) - page.context["at"] < timedelta(minutes=5)


@pytest.mark.parametrize("target", ["https://evil.example/x", "//evil.example", "\\\\evil.example", "javascript:alert(1)", ""])
def test_the_switch_of_the_day_leads_to_no_other_site(small_world, target):
    answer = entered(small_world.signer).post(reverse("web:moment"), {"on": "2020-03-10", "next": target})
    assert re.match(r"/(?![/\\])", answer.headers["Location"]), answer.headers["Location"]
