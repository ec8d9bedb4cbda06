"""Replaced, returned, withdrawn, sent twice: duty and figures tell the same story."""

from datetime import timedelta

import pytest
from django.urls import reverse

from hiepdong.exchange import services as exchange
from hiepdong.exchange.models import Dispatch, Draft
from hiepdong.reporting.models import Figure
from hiepdong.web.services import react
from support.make import SENT_AT, entered, seat

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def world(small_world):
    small_world.duties()
    return small_world


def counted():
    return [int(v) for v in Figure.objects.filter(superseded=False).values_list("value", flat=True)]


def give_back(dispatch, by, at):
    exchange.return_dispatch(dispatch_uuid=dispatch.uuid, reason="Thiếu số liệu.", actor=by, at=at)
    react(at=at)


def take_back(world, dispatch, at):
    exchange.withdraw(dispatch_uuid=dispatch.uuid, reason="Gửi nhầm.", actor=world.signer, at=at)
    react(at=at)


def test_a_body_that_got_a_copy_does_not_make_the_figures_void_by_returning_it(world):
    sent = world.report(copies=[world.province])
    give_back(sent, seat(world.province, "signer"), SENT_AT + HOUR)
    assert world.duty().fulfilled_at == SENT_AT
    assert counted() == [12]


def test_a_report_replaced_twice_is_counted_once(world):
    first = world.report()
    world.report(at=SENT_AT + HOUR, value="13", replaces=first)
    world.report(at=SENT_AT + 2 * HOUR, value="14", replaces=first)
    assert world.duty().fulfilled_at == SENT_AT
    assert counted() == [14]


def test_a_report_that_two_clerks_wrote_and_sent_is_counted_once(world):
    world.report()
    world.report(at=SENT_AT + HOUR, value="14")
    assert world.duty().fulfilled_at == SENT_AT
    assert counted() == [14]


def test_a_returned_correction_leaves_the_first_report_counted_as_it_leaves_the_duty_fulfilled(world):
    first = world.report()
    second = world.report(at=SENT_AT + HOUR, value="13", replaces=first)
    give_back(second, world.reader, SENT_AT + 2 * HOUR)
    assert world.duty().fulfilled_at == SENT_AT
    assert counted() == [12]


def test_a_withdrawn_correction_opens_the_duty_and_leaves_nothing_counted(world):
    first = world.report()
    second = world.report(at=SENT_AT + HOUR, value="13", replaces=first)
    take_back(world, second, SENT_AT + 2 * HOUR)
    assert world.duty().fulfilled_at is None
    assert counted() == []
    world.report(at=SENT_AT + 3 * HOUR, value="14", replaces=second)
    assert world.duty().fulfilled_at == SENT_AT
    assert counted() == [14]


def test_reports_of_two_months_are_two(world):
    world.report("2020-03")
    world.report("2020-04", at=SENT_AT + timedelta(days=31), value="5")
    assert sorted(counted()) == [5, 12]


def test_the_page_of_notices_is_no_way_around_what_a_report_form_demands(world):
    client = entered(world.signer)
    address = client.post(reverse("duties:duty_write", args=[world.duty().pk])).headers["Location"]
    draft = Draft.objects.get()
    detour = reverse("exchange:draft_form", args=[draft.pk])
    fields = {"to": [world.district.key], "subject": "Báo cáo", "urgency": "ordinary", "text": "x", "do": "send"}
    assert client.get(detour).headers["Location"] == address
    assert client.post(detour, fields).headers["Location"] == address
    draft.refresh_from_db()
    assert draft.content["subject"] != "Báo cáo"
    assert not Dispatch.objects.exists()
