"""Sign-in, passwords, seats from a day until a day, the secret address of a calendar."""

import re
import unicodedata
import uuid
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network
from itertools import pairwise

import pytest
from django.contrib.auth.hashers import identify_hasher
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from icalendar import Calendar

from hiepdong.accounts import queries, services
from hiepdong.accounts.domain.permissions import Role
from hiepdong.accounts.models import CalendarToken, Person, Seat, SignInFailure
from hiepdong.config import settings as production
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotAllowed, NotFound
from hiepdong.kernel.moments import VIET_NAM
from support.make import entered, organisation, person, seat

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 2, tzinfo=UTC)
PASSWORD = "ba từ không liên quan 2026"


@pytest.fixture
def officer():
    return services.make_person(sign_in_name="Van-Thu ", display_name="Văn thư", password=PASSWORD, actor=None, at=AT)


def sign_in(at=AT, *, name="van-thu", password=PASSWORD, address="10.0.0.1"):
    return services.sign_in(sign_in_name=name, password=password, address=address, at=at)


def fail(times, *, at=AT, **more):
    for _ in range(times):
        with pytest.raises(services.SignInRefused):
            sign_in(at, **({"password": "sai"} | more))


# --- signing in ----------------------------------------------------------------------------------------------------------


def test_name_and_password_that_belong_together_sign_in_whatever_the_capitals_of_the_name(officer):
    assert sign_in(name=" VAN-THU ") == officer
    officer.refresh_from_db()
    assert officer.last_login == AT


def test_an_unknown_name_and_a_wrong_password_are_told_in_the_same_words(officer):
    refusals = set()
    for name, password in (("van-thu", "sai"), ("khong-co", PASSWORD)):
        with pytest.raises(services.SignInRefused) as refusal:
            sign_in(name=name, password=password)
        refusals.add((str(refusal.value), tuple(refusal.value.facts)))
    assert len(refusals) == 1


def test_an_unknown_name_costs_a_hash_too_so_that_time_does_not_betray_names(officer, monkeypatch):
    checked = []
    real = services.check_password
    monkeypatch.setattr(services, "check_password", lambda given, stored: checked.append(stored) or real(given, stored))
    for name in ("van-thu", "khong-co"):
        with pytest.raises(services.SignInRefused):
            sign_in(name=name, password="sai")
    assert len(checked) == 2
    assert all(identify_hasher(stored) for stored in checked)


def test_a_person_who_was_switched_off_does_not_get_in(officer):
    Person.objects.update(is_active=False)
    with pytest.raises(services.SignInRefused):
        sign_in()


def test_after_five_failures_even_the_right_password_must_wait_and_then_gets_in(officer):
    fail(5)
    with pytest.raises(services.SignInThrottled) as refusal:
        sign_in(AT + timedelta(seconds=1))
    wait = refusal.value.facts["seconds"]
    assert 1 <= wait <= 4
    assert sign_in(AT + timedelta(seconds=1 + wait)) == officer
    assert not SignInFailure.objects.exists(), "a success clears the slate of the name"


def test_each_further_failure_doubles_the_wait_up_to_a_quarter_of_an_hour(officer):
    waits, at = [], AT
    fail(5)
    for _ in range(9):
        with pytest.raises(services.SignInThrottled) as refusal:
            sign_in(at)
        waits.append(refusal.value.facts["seconds"])
        at += timedelta(seconds=waits[-1])
        if at - AT > timedelta(minutes=10):
            break
        fail(1, at=at)
    assert all(later >= earlier * 1.5 for earlier, later in pairwise(waits))
    assert max(waits) <= 15 * 60 + 1


def test_failures_are_forgotten_after_a_quarter_of_an_hour(officer):
    fail(5)
    assert sign_in(AT + timedelta(minutes=15, seconds=1)) == officer


def test_guessing_many_names_from_one_address_is_slowed_down_too_but_an_office_behind_one_address_is_not(officer):
    for n in range(16):
        fail(1, name=f"ten-{n}")
    assert sign_in() == officer, "sixteen typing errors of an office lock nobody out"
    fail(1, name="ten-khac")
    with pytest.raises(services.SignInThrottled):
        sign_in(name="ten-cuoi")
    assert sign_in(address="10.0.0.2") == officer


@pytest.mark.parametrize(("proxies", "locked_out"), [("127.0.0.1", False), ("", True)])
def test_behind_a_front_server_that_is_named_one_who_guesses_does_not_slow_down_the_others(officer, proxies, locked_out):
    with override_settings(HIEPDONG_PROXIES=[ip_network(p) for p in proxies.split()]):
        for n in range(20):
            guess = {"sign_in_name": f"ten-{n}", "password": "không phải"}
            Client().post(reverse("accounts:sign_in"), guess, headers={"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.9"})
        right = {"sign_in_name": officer.sign_in_name, "password": PASSWORD}
        answer = Client().post(reverse("accounts:sign_in"), right, headers={"X-Forwarded-For": "203.0.113.10"})
        assert (answer.status_code == 422) is locked_out
        answer = Client().post(reverse("accounts:sign_in"), right, headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"})
        assert answer.status_code == 422


def test_a_password_typed_into_the_field_of_the_name_is_kept_nowhere(officer):
    fail(1, name="mat khau that cua toi")
    failure = SignInFailure.objects.get()
    assert "khau" not in failure.sign_in_name
    assert len(failure.sign_in_name) <= 60


def test_failures_are_not_kept_longer_than_they_count(officer):
    fail(3, name="khong-co")
    fail(1, at=AT + services.WINDOW + timedelta(seconds=1))
    assert SignInFailure.objects.count() == 1


def test_one_mans_failures_do_not_lock_another_out(officer):
    fail(5, name="nguoi-khac", address="10.9.9.9")
    assert sign_in() == officer


def test_the_page_tells_the_wait_and_keeps_the_name(officer):
    client = Client()
    for _ in range(5):
        answer = client.post("/dang-nhap/", {"sign_in_name": "van-thu", "password": "sai"})
        assert answer.status_code == 422
    page = client.post("/dang-nhap/", {"sign_in_name": "van-thu", "password": PASSWORD})
    assert page.status_code == 422
    assert re.search(r"\b[1-4] giây", page.content.decode())
    assert 'value="van-thu"' in page.content.decode()
    assert PASSWORD not in page.content.decode()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_after_signing_in_nobody_is_sent_to_another_site(officer, target):
    answer = Client().post("/dang-nhap/", {"sign_in_name": "van-thu", "password": PASSWORD, "next": target})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/"


def test_after_signing_in_one_is_where_one_wanted_to_go(officer):
    answer = Client().post("/dang-nhap/", {"sign_in_name": "van-thu", "password": PASSWORD, "next": "/nghia-vu/?q=a"})
    assert answer.headers["Location"] == "/nghia-vu/?q=a"


def test_signing_in_gives_the_session_a_new_key(officer):
    client = Client()
    client.get("/dang-nhap/")
    session = client.session
    session["x"] = 1
    session.save()
    before = session.session_key
    client.cookies["sessionid"] = before
    client.post("/dang-nhap/", {"sign_in_name": "van-thu", "password": PASSWORD})
    assert client.session.session_key != before


# --- passwords -----------------------------------------------------------------------------------------------------------


def test_on_a_real_node_passwords_are_kept_as_argon2_and_as_nothing_else(settings):
    assert production.PASSWORD_HASHERS == ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    settings.PASSWORD_HASHERS = production.PASSWORD_HASHERS
    made = services.make_person(sign_in_name="thu-ba", display_name="Thử", password=PASSWORD, actor=None, at=AT)
    assert made.password.startswith("argon2$argon2id$")
    assert sign_in(name="thu-ba") == made


@pytest.mark.parametrize("weak", ["", "ngan", "password123", "1234567890", "van-thu-moi"])
def test_a_password_that_is_easy_to_guess_is_refused_and_nobody_is_made(weak):
    with pytest.raises(services.WeakPassword) as refusal:
        services.make_person(sign_in_name="van-thu-moi", display_name="Văn thư", password=weak, actor=None, at=AT)
    assert refusal.value.facts["reasons"]
    assert not Person.objects.exists()


UNUSABLE = ["", " ", "hai từ", "a\u202eb", "a\u200bb", "dоn-my-ly", "a\nb", "x" * 61, "<b>", "a'b"]


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_sign_in_name_that_cannot_be_seen_or_typed_is_refused(name):
    with pytest.raises(services.NameUnusable):
        services.make_person(sign_in_name=name, display_name="Trực ban", password=PASSWORD, actor=None, at=AT)
    assert not Person.objects.exists()


@pytest.mark.parametrize("shown", ["", "  ", "Trực\u202eban", "hai\ndòng", "x" * 121])
def test_a_name_shown_that_cannot_be_seen_is_refused(shown):
    with pytest.raises(services.NameUnusable):
        services.make_person(sign_in_name="a", display_name=shown, password=PASSWORD, actor=None, at=AT)


def test_a_name_with_vietnamese_letters_is_found_in_every_normal_form():
    made = services.make_person(sign_in_name="Đồn-Mỹ-Lý", display_name="Trực ban", password=PASSWORD, actor=None, at=AT)
    assert sign_in(name=unicodedata.normalize("NFD", "đồn-mỹ-lý")) == made
    assert queries.person_by_name(unicodedata.normalize("NFD", "ĐỒN-MỸ-LÝ")) == made


def test_a_name_is_given_once_whatever_its_capitals(officer):
    with pytest.raises(services.NameTaken):
        services.make_person(sign_in_name="VAN-THU", display_name="Khác", password=PASSWORD, actor=None, at=AT)


def test_a_changed_password_needs_the_old_one_and_ends_every_session(officer):
    body = organisation("t.a")
    seat(body, who=officer)
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        client.post("/dang-nhap/", {"sign_in_name": "van-thu", "password": PASSWORD})
        assert client.get("/").status_code == 200
    fields = {"old": "sai", "new": "bốn từ hoàn toàn khác", "again": "bốn từ hoàn toàn khác"}
    assert here.post("/mat-khau/", fields).status_code == 422
    assert here.post("/mat-khau/", fields | {"old": PASSWORD, "again": "lệch"}).status_code == 422
    assert elsewhere.get("/").status_code == 200
    assert here.post("/mat-khau/", fields | {"old": PASSWORD}).status_code == 302
    assert elsewhere.get("/").status_code == 302, "whoever sat at the other machine is out"
    assert sign_in(AT, password="bốn từ hoàn toàn khác") == officer


def test_the_journal_holds_no_password(officer):
    services.set_password(person=officer, password="bốn từ hoàn toàn khác", actor=None, at=AT)
    for entry in Entry.objects.all():
        assert "từ" not in f"{entry.subject_name} {entry.facts}"


def test_after_the_sign_out_the_browser_holds_no_page_to_go_back_to(client, officer):
    seat(organisation("t.a"), "viewer", who=officer)
    client.force_login(officer)
    for address in ("/", reverse("exchange:draft_list"), reverse("reporting:figure_list") + "?as=csv"):
        assert client.get(address).headers["Cache-Control"] == "private, no-store", address
    client.post(reverse("accounts:sign_out"))
    assert client.get("/").status_code == 302


def test_closing_the_browser_ends_the_sign_in_and_half_a_day_does_too(client, officer):
    client.post(reverse("accounts:sign_in"), {"sign_in_name": "van-thu", "password": PASSWORD})
    cookie = client.cookies["sessionid"]
    assert cookie["max-age"] == ""
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert client.session.get_expiry_age() == 12 * 3600


# --- seats ---------------------------------------------------------------------------------------------------------------


def test_a_seat_holds_from_its_first_day_until_the_day_before_its_end():
    body = organisation("t.a")
    who = person()
    Seat.objects.create(person=who, organisation=body, role="clerk", valid_from=date(2026, 3, 2), valid_until=date(2026, 3, 5))
    held = [day for day in range(1, 7) if queries.seats_of(who.pk, on=date(2026, 3, day))]
    assert held == [2, 3, 4]


def test_a_session_ends_with_its_seat():
    body = organisation("t.a")
    held = seat(body, "viewer")
    client = entered(held)
    assert client.get("/").status_code == 200
    Seat.objects.filter(pk=held.pk).update(valid_until=date(2026, 1, 1))
    assert client.get("/").status_code == 403


def test_people_work_in_the_seat_they_chose_and_only_in_their_own():
    one, two = organisation("t.a", name="Đơn vị A"), organisation("t.b", name="Đơn vị B")
    who = person()
    first, second = seat(one, "viewer", who=who), seat(two, "clerk", who=who)
    stranger = seat(one, "signer")
    client = entered(first)
    switch = reverse("accounts:seat_switch")
    assert client.get("/").wsgi_request.seat == first
    assert client.post(switch, {"seat": second.pk}).status_code == 302
    assert client.get("/").wsgi_request.seat == second
    for foreign in (stranger.pk, 0, "x", ""):
        assert client.post(switch, {"seat": foreign}).status_code == 404
    assert client.get("/").wsgi_request.seat == second
    Seat.objects.filter(pk=second.pk).update(valid_until=date(2026, 1, 1))
    assert client.get("/").wsgi_request.seat == first, "the chosen seat has ended: the next one is taken"


def test_a_page_left_open_in_another_seat_signs_nothing_in_the_new_one():
    one, two = organisation("t.a", name="Đơn vị A"), organisation("t.b", name="Đơn vị B")
    who = person()
    seat(one, "signer", who=who)
    second = seat(two, "signer", who=who)
    client = Client(enforce_csrf_checks=True)
    client.force_login(who)
    address = reverse("exchange:draft_form", args=[uuid.uuid4()])
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(address).content.decode())[1]
    fields = {"csrfmiddlewaretoken": token, "subject": "Viết cho đơn vị A", "text": "x", "urgency": "ordinary"}
    other_window = {"csrfmiddlewaretoken": token, "seat": second.pk}
    assert client.post(reverse("accounts:seat_switch"), other_window).status_code == 302
    assert client.post(address, fields).status_code == 403
    assert client.get("/").wsgi_request.seat == second


def test_an_administrator_gives_seats_in_his_own_organisation_only_and_never_the_nodes():
    own, other = organisation("t.a"), organisation("t.b")
    chief = seat(own, "organisation_administrator")
    new = person()

    def grant(body, role, actor=chief):
        return services.grant_seat(
            person=new, organisation=body, role=role, title="", since=date(2026, 1, 1), actor=actor, at=AT
        )

    assert grant(own, Role.CLERK).organisation == own
    for body, role, actor in (
        (other, Role.CLERK, chief),
        (own, Role.NODE_ADMINISTRATOR, chief),
        (own, Role.CLERK, seat(own, "signer")),
        (own, Role.CLERK, seat(own, "viewer")),
    ):
        with pytest.raises(NotAllowed):
            grant(body, role, actor)
    assert grant(other, Role.NODE_ADMINISTRATOR, seat(own, "node_administrator")).organisation == other


def test_the_form_of_an_organisation_administrator_takes_no_forged_organisation_or_role():
    own, other = organisation("t.a"), organisation("t.b")
    client = entered(seat(own, "organisation_administrator"))
    fields = {
        "sign_in_name": "moi",
        "display_name": "Mới",
        "password": PASSWORD,
        "organisation": own.key,
        "role": "clerk",
        "title": "",
        "since": "2026-01-01",
    }
    for forged in ({"organisation": other.key}, {"role": "node_administrator"}, {"organisation": "t.khong-co"}):
        assert client.post(reverse("accounts:seat_new"), fields | forged).status_code == 422
    assert not Person.objects.filter(sign_in_name="moi").exists()
    assert client.post(reverse("accounts:seat_new"), fields).status_code == 302
    assert Seat.objects.get(person__sign_in_name="moi").role == "clerk"


def test_a_seat_that_has_ended_keeps_its_last_day_when_it_is_ended_again():
    body = organisation("t.a")
    old = seat(body, "clerk", until=date(2020, 1, 1))
    services.end_seat(seat_id=old.pk, actor=seat(body, "organisation_administrator"), at=AT)
    old.refresh_from_db()
    assert old.valid_until == date(2020, 1, 1)


@pytest.mark.parametrize("begins", [0, 5])
def test_a_seat_ended_on_its_first_day_or_before_opens_no_door_from_that_moment_on(begins):
    body, today = organisation("t.a"), timezone.localdate()
    wrong = Seat.objects.create(person=person(), organisation=body, role="signer", valid_from=today + timedelta(days=begins))
    secret = services.make_calendar_token(actor=wrong, at=AT)
    client = entered(wrong)
    services.end_seat(seat_id=wrong.pk, actor=None, at=timezone.now())
    for day in range(begins + 3):
        assert queries.seats_of(wrong.person_id, on=today + timedelta(days=day)) == []
        with pytest.raises(NotFound):
            queries.seat_by_calendar_secret(secret, on=today + timedelta(days=day))
    assert client.get("/").status_code == 403


def test_a_seat_that_was_ended_today_is_not_said_to_be_granted_again():
    body, today = organisation("t.a"), timezone.localdate()
    who = person("van-thu-2")
    now = timezone.now()
    seat_of = {"person": who, "organisation": body, "role": "clerk", "title": "", "since": today, "actor": None, "at": now}
    first = services.grant_seat(**seat_of)
    assert services.grant_seat(**seat_of) == first, "the same again is harmless"
    services.end_seat(seat_id=first.pk, actor=None, at=timezone.now())
    with pytest.raises(services.SeatEnded):
        services.grant_seat(**seat_of)
    again = services.grant_seat(**seat_of | {"since": today + timedelta(days=1)})
    assert queries.seats_of(who.pk, on=today + timedelta(days=1)) == [again]


def test_an_ended_seat_holds_no_longer_today_and_stays_in_the_books():
    body = organisation("t.a")
    held = seat(body, "clerk")
    services.end_seat(seat_id=held.pk, actor=None, at=AT)
    assert queries.seats_of(held.person_id, on=date(2026, 3, 2)) == []
    assert Seat.objects.filter(pk=held.pk).exists()
    assert Entry.objects.get(code="accounts.seat.ended").subject_id == str(held.pk)


def test_a_seat_sees_its_own_body_and_those_below_it_and_a_node_administrator_sees_none(small_world):
    world = small_world
    assert queries.visible_organisation_ids(world.signer) == {world.station.pk}
    above = seat(world.province, "viewer")
    assert queries.visible_organisation_ids(above) == {world.province.pk, world.station.pk}
    assert queries.visible_organisation_ids(seat(world.province, "node_administrator")) == frozenset()


# --- the calendar's secret address -----------------------------------------------------------------------------------------


def test_only_the_digest_of_a_calendars_secret_is_kept_and_a_new_one_ends_the_old_one():
    held = seat(organisation("t.a"))
    old = services.make_calendar_token(actor=held, at=AT)
    assert queries.seat_by_calendar_secret(old, on=date(2026, 3, 2)) == held
    assert len(old) >= 32
    assert old not in str(list(CalendarToken.objects.values()))
    new = services.make_calendar_token(actor=held, at=AT)
    assert queries.seat_by_calendar_secret(new, on=date(2026, 3, 2)) == held
    with pytest.raises(NotFound):
        queries.seat_by_calendar_secret(old, on=date(2026, 3, 2))


def test_the_calendar_ends_with_the_seat():
    held = seat(organisation("t.a"), until=date(2026, 3, 5))
    secret = services.make_calendar_token(actor=held, at=AT)
    assert queries.seat_by_calendar_secret(secret, on=date(2026, 3, 4))
    with pytest.raises(NotFound):
        queries.seat_by_calendar_secret(secret, on=date(2026, 3, 5))


def test_the_feed_rings_on_the_days_of_the_reminder_ladder_for_what_is_still_owed(small_world):
    today = datetime.now(UTC).date()
    rule = small_world.instrument.rules.get(key="thang")
    rule.spec |= {"reminders": [-2]}
    rule.save()
    small_world.duties(until=today + timedelta(days=62))
    feeds = {}
    for held in (small_world.signer, small_world.reader):
        secret = services.make_calendar_token(actor=held, at=AT)
        feeds[held] = Calendar.from_ical(Client().get(reverse("web:calendar_feed", args=[secret])).content)
    owed = [e for e in feeds[small_world.signer].walk("VEVENT") if e.walk("VALARM")]
    assert owed
    for event in owed:
        (alarm,) = event.walk("VALARM")
        rings = alarm["trigger"].dt.astimezone(VIET_NAM)
        assert (event["dtstart"].dt - rings.date()).days == 2
        assert rings.strftime("%H:%M") == "07:30"
    assert not feeds[small_world.reader].walk("VALARM"), "who waits is not rung"


def test_the_secret_is_shown_once_and_the_feed_needs_no_sign_in(small_world):
    small_world.duties(until=date(2026, 12, 14))
    client = entered(small_world.signer)
    client.post(reverse("web:calendar_secret"))
    shown = re.search(r"http://testserver(/lich/[\w-]+\.ics)", client.get("/lich/").content.decode())
    assert shown
    assert ".ics" not in client.get("/lich/").content.decode()
    feed = Client().get(shown[1])
    assert feed.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert "private" in feed.headers["Cache-Control"]
    assert b"BEGIN:VEVENT" in feed.content
    assert "Huyện ủy Ba" in feed.content.decode().replace("\r\n ", "")
    assert Client().get("/lich/khong-dung.ics").status_code == 404
