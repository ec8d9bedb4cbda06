"""No page asks the database more often because there is more to show."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hiepdong.accounts.services import make_calendar_token
from hiepdong.exchange import services as exchange
from support.make import SENT_AT, entered, organisation, seat, send, unit
from support.walk import Walk

pytestmark = pytest.mark.django_db
LISTS = {
    "desk": ("web:desk", ""),
    "board": ("web:board", "?year=2020"),
    "calendar": ("web:calendar", "?month=2020-04"),
    "search": ("web:search", "?q=thong"),
    "duties": ("duties:duty_list", ""),
    "duties as csv": ("duties:duty_list", "?as=csv"),
    "register out": ("exchange:register_out", "?year=2020"),
    "register out as csv": ("exchange:register_out", "?year=2020&as=csv"),
    "register in": ("exchange:register_in", "?year=2020"),
    "register in as csv": ("exchange:register_in", "?year=2020&as=csv"),
    "drafts": ("exchange:draft_list", ""),
    "figures": ("reporting:figure_list", ""),
    "figures of one indicator": ("reporting:figure_list", "?indicator=tuan-tra"),
    "figures as csv": ("reporting:figure_list", "?as=csv"),
    "organisations": ("organisations:organisation_list", ""),
    "organisations as csv": ("organisations:organisation_list", "?as=csv"),
    "reorganisations": ("organisations:reorganisation_list", ""),
    "units": ("territories:unit_list", "?level=district"),
    "units as csv": ("territories:unit_list", "?level=district&as=csv"),
    "regulations": ("regulations:instrument_list", ""),
    "one regulation": ("regulations:instrument_detail", ""),
    "reviews": ("review:review_list", ""),
    "seats": ("accounts:seat_list", ""),
}
# What was added belongs to other rows than these show; their own number is held by their own tests.
SAME = {"figures", "figures of one indicator", "figures as csv", "reorganisations", "regulations", "reviews", "desk"}


def asked_by(client, address):
    """Return the queries of a page and its size; the first request of a client also reads what is then cached."""
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert answer.status_code == 200
    return [q["sql"] for q in asked.captured_queries], len(content)


def grow(walk, times):
    """Make the world larger in every direction: bodies, pairs, duties, papers, figures, drafts, units, seats."""
    world = walk.world
    for n in range(times):
        kind, name = ("border_station", "Đồn") if n % 2 else ("party_district", "Huyện ủy")
        body = organisation(f"t.them-{n}", kind, f"{name} thêm {n}", notation="X")
        world.instrument.parties.create(organisation=body, side="border_guard" if n % 2 else "locality")
        world.instrument.articles.create(clause=f"9.{n}", heading="Thông", text="thông", position=10 + n)
        unit(f"9{n:02}", f"Thông {n}", parent=world.unit if n % 2 else None)
        seat(world.station, "clerk")
        other = seat(body)
        at = SENT_AT + timedelta(days=20 + n)
        sent = send(world.signer, [body, world.district], f"Thông báo {n}", at=at, copies=[world.province])
        if n % 3 == 0:
            exchange.acknowledge(dispatch_uuid=sent.uuid, actor=other, at=at)
        if n % 3 == 1:
            exchange.return_dispatch(dispatch_uuid=sent.uuid, reason="Thiếu", actor=other, at=at)
        send(other, [world.station], f"Thông báo đến {n}", at=at)
        world.draft(subject=f"Thông báo nháp {n}")
    world.duties()
    for n, label in enumerate(("2020-04", "2020-05")[: times // 2]):
        first = world.report(label, at=SENT_AT + timedelta(days=60 + n))
        world.report(label, at=SENT_AT + timedelta(days=70 + n), replaces=first, value="13")


@pytest.fixture
def walk(small_world):
    return Walk(small_world)


@pytest.mark.parametrize("page", sorted(LISTS))
def test_the_queries_of_a_list_do_not_grow_with_its_rows(page, walk):
    name, query = LISTS[page]
    role = "organisation_administrator" if name == "accounts:seat_list" else "viewer" if name.startswith("review") else "signer"
    client = entered(seat(walk.world.station, role))
    arguments = [walk.world.instrument.key] if name == "regulations:instrument_detail" else []
    address = reverse(name, args=arguments) + query
    grow(walk, 4)
    small, short = asked_by(client, address)
    send(walk.world.signer, [walk.world.district], at=SENT_AT + timedelta(days=99))  # keep "newest" of both sizes alike
    for n in range(4, 24):
        body = organisation(f"t.nua-{n}", "party_district", f"Huyện ủy nữa {n}", notation="X")
        walk.world.instrument.parties.create(organisation=body, side="locality")
        walk.world.instrument.articles.create(clause=f"8.{n}", heading="Thông", text="thông", position=90 + n)
        unit(f"8{n:02}", f"Thông nữa {n}", parent=walk.world.unit)
        seat(walk.world.station, "clerk")
        at = SENT_AT + timedelta(days=100 + n)
        send(walk.world.signer, [body, walk.world.district], f"Thông báo nữa {n}", at=at)
        send(seat(body), [walk.world.station], f"Thông báo đến nữa {n}", at=at)
        walk.world.draft(subject=f"Thông báo nháp nữa {n}")
    walk.world.duties()
    large, long = asked_by(client, address)
    assert len(large) == len(small), "\n".join(sorted(set(large) - set(small))[:5])
    assert long > short or page in SAME, "the page shows nothing of what was added"


@pytest.mark.parametrize("receivers", [1, 12])
def test_the_queries_of_a_paper_do_not_grow_with_its_receivers(walk, receivers, django_assert_max_num_queries):
    bodies = [organisation(f"t.nhan-{n}", "party_district", notation="X") for n in range(receivers)]
    sent = send(walk.world.signer, bodies)
    client = entered(walk.world.signer)
    address = reverse("exchange:dispatch_detail", args=[sent.uuid])
    client.get(address)
    with django_assert_max_num_queries(17):
        client.get(address)


def test_the_calendar_feed_asks_as_often_for_many_duties_as_for_few(walk, client):
    secret = make_calendar_token(actor=walk.world.signer, at=SENT_AT)
    address = reverse("web:calendar_feed", args=[secret])
    walk.world.duties()
    small, short = asked_by(client, address)
    walk.world.duties(until=date(2026, 12, 14))
    large, long = asked_by(client, address)
    assert len(small) == len(large)
    assert long > short + 1000
