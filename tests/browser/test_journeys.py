"""What people do from end to end, in a real browser: with a bad line, with two sides, without scripts, by keyboard."""

import re

import pytest
from playwright.sync_api import Error, expect

from hiepdong.accounts.models import Person
from hiepdong.duties.models import Duty
from hiepdong.exchange.models import Dispatch, Draft

TEXT = "Tình hình địa bàn ổn định; nước suối dâng ở mốc 417."


def overdue(node):
    """Return the oldest monthly report that the station still owes."""
    return Duty.objects.filter(debtor=node.station, rule__key="thang", fulfilled_at__isnull=True).order_by("due_at").first()


def new_notice(page, node):
    """Open an empty notice to the district and return its address."""
    page.goto(f"/ban-thao/moi/?to={node.district.key}")
    page.fill("[name=subject]", "Thông báo tình hình")
    return page.url


def saved_text():
    draft = Draft.objects.order_by("-saved_at").first()
    return draft.content["body"]["text"] if draft else None


def wait_for_saved(page, text):
    """Wait until the server holds the text; the page says when it was saved."""
    for _ in range(100):
        if saved_text() == text:
            return
        page.wait_for_timeout(100)
    assert saved_text() == text


def forgive(page, *words):
    """The browser itself logs what a test does on purpose: a cut line, a refusal."""
    page.watch.faults[:] = [f for f in page.watch.faults if not any(w in f for w in words)]


def test_a_station_with_nothing_to_report_is_done_in_one_tap(node, window):
    page = window(node.signer, width=390)
    page.goto("/")
    duty = overdue(node)
    page.locator(f"form[action='/nghia-vu/{duty.pk}/khong-thay-doi/'] button").click()
    duty.refresh_from_db()
    assert duty.nil
    assert duty.fulfilled_by.kind == "nil_report"


def test_what_was_typed_is_saved_while_typing_and_is_there_after_a_reload(node, window):
    page = window(node.clerk)
    address = new_notice(page, node)
    page.fill("[name=text]", TEXT)
    wait_for_saved(page, TEXT)
    expect(page.locator("#draft-state [role=status]")).to_be_visible()
    page.goto(address)
    assert page.input_value("[name=text]") == TEXT
    assert not page.locator("#draft-again").is_visible()


def test_a_lost_line_is_told_and_what_was_typed_is_saved_when_it_is_back(node, window):
    page = window(node.clerk)
    new_notice(page, node)
    page.context.set_offline(True)
    page.fill("[name=text]", TEXT)
    expect(page.locator("#draft-lost")).to_be_visible()
    page.context.set_offline(False)
    wait_for_saved(page, TEXT)
    expect(page.locator("#draft-lost")).to_be_hidden()
    forgive(page, "ERR_INTERNET_DISCONNECTED", "sendError", "afterRequest")


def test_a_reload_while_the_line_is_lost_loses_nothing(node, window):
    page = window(node.clerk)
    address = new_notice(page, node)
    page.context.set_offline(True)
    page.fill("[name=text]", TEXT)
    page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?": the person insists
    with pytest.raises(Error):
        page.goto(address)
    page.context.set_offline(False)
    page.goto(address)
    assert page.input_value("[name=text]") == TEXT
    expect(page.locator("#draft-again")).to_be_visible()
    wait_for_saved(page, TEXT)
    assert page.locator(f"[name=to][value='{node.district.key}']").is_checked()
    forgive(page, "ERR_INTERNET_DISCONNECTED", "sendError")


def test_a_sign_in_that_ends_while_one_types_loses_nothing_and_hides_nothing(node, window):
    page = window(node.clerk)
    address = new_notice(page, node)
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    page.fill("[name=text]", TEXT)
    expect(page.locator("#alerts a[href='/dang-nhap/']")).to_be_visible()
    page.context.clear_cookies()
    page.locator("[name=subject]").press("End")
    page.keyboard.type(" mới")
    expect(page.locator("#alerts .hd-refusal")).to_be_visible()
    assert page.locator("h1").count() == 2, "the refusal and the page itself, no page inside the page"
    assert page.input_value("[name=text]") == TEXT
    assert saved_text() != TEXT
    page.context.add_cookies(cookies)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(address)
    wait_for_saved(page, TEXT)
    forgive(page, "401", "403")


def test_refused_content_stays_nowhere_not_even_in_the_window(node, window):
    page = window(node.clerk)
    new_notice(page, node)
    page.fill("[name=text]", "TUYỆT MẬT: nội dung")
    expect(page.locator("#alerts [role=alert]")).to_be_visible()
    page.wait_for_function("() => !Object.values(sessionStorage).join().includes('MẬT')")
    assert "MẬT" not in (saved_text() or "")
    forgive(page, "409")
    page.on("dialog", lambda dialog: dialog.accept())


def test_signing_out_leaves_nothing_of_a_draft_in_the_window(node, window):
    page = window(node.clerk)
    new_notice(page, node)
    page.context.set_offline(True)
    page.fill("[name=text]", TEXT)
    assert page.evaluate("() => Object.values(sessionStorage).join().includes('ổn định')")
    page.context.set_offline(False)
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator(".hd-seat > summary").click()
    page.locator("form[data-forget] button").click()
    page.wait_for_url("**/dang-nhap/**")
    assert page.evaluate("() => Object.keys(sessionStorage).filter((k) => k.startsWith('draft:')).length") == 0
    forgive(page, "ERR_INTERNET_DISCONNECTED", "sendError")


def test_a_notice_goes_from_clerk_to_signer_to_the_other_side_and_the_receipt_comes_back(node, window):
    writing = window(node.clerk)
    new_notice(writing, node)
    writing.fill("[name=text]", TEXT)
    writing.locator("button[name=do][value=submit]:visible").click()
    writing.wait_for_url("**/ban-thao/")
    signing = window(node.signer)
    signing.goto("/ban-thao/")
    signing.get_by_role("link", name="Thông báo tình hình").click()
    signing.locator("button[name=do][value=send]").click()
    signing.wait_for_url("**/cong-van/**")
    sent = Dispatch.objects.get(subject="Thông báo tình hình")
    reading = window(node.reader)
    reading.goto("/")
    reading.locator(f"form[action='/cong-van/{sent.uuid}/xac-nhan/'] button").click()
    assert sent.addressees.get().acknowledged_at
    signing.reload()
    expect(signing.locator(".hd-line")).to_contain_text(f"{node.district.name} đã xác nhận")


def test_a_paper_is_written_sent_and_acknowledged_without_scripts(node, window):
    page = window(node.signer, java_script_enabled=False)
    duty = overdue(node)
    page.goto(f"/nghia-vu/{duty.pk}/")
    page.locator(f"a[href='/nghia-vu/{duty.pk}/viet/']").click()
    page.fill("[name='v:tuan-tra']", "trên 12")
    page.locator("button[name=do][value=save]:not(.hd-first)").click()
    page.fill("[name='v:tuan-tra']", "12")
    page.locator("button[name=do][value=send]").click()
    assert re.search(r"/cong-van/[0-9a-f-]{36}/$", page.url)
    duty.refresh_from_db()
    assert duty.fulfilled_at
    reading = window(node.reader, java_script_enabled=False)
    reading.goto(page.url.removeprefix(node.base))
    reading.locator("form[action$='/xac-nhan/'] button").click()
    assert duty.fulfilled_by.addressees.get(role="to").acknowledged_at


def test_a_person_signs_in_and_sends_by_the_keyboard_alone(node, opened):
    person = Person.objects.get(pk=node.signer.person_id)
    person.set_password("mat-khau-de-thu-2020")
    person.save()
    page = opened(node.base)
    page.goto("/")
    page.locator("[name=sign_in_name]").focus()
    page.keyboard.type(person.sign_in_name)
    page.keyboard.press("Tab")
    page.keyboard.type("mat-khau-de-thu-2020")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{node.base}/")
    duty = overdue(node)
    button = page.locator(f"form[action='/nghia-vu/{duty.pk}/khong-thay-doi/'] button")
    for _ in range(80):
        page.keyboard.press("Tab")
        if button.evaluate("b => b === document.activeElement"):
            break
    with page.expect_navigation():
        page.keyboard.press("Enter")
    duty.refresh_from_db()
    assert duty.nil
