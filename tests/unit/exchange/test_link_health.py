"""How a link is: quiet because nothing happened, quiet because nothing comes through, or disturbed."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hiepdong.exchange.domain.link_health import GRAVE, TROUBLE_MESSAGES, LinkFacts, Standing, Trouble, link_health

NOON = datetime.fromisoformat("2020-03-20T05:00:00+00:00")
CALM = LinkFacts(
    "linked",
    linked_at=NOON - timedelta(days=30),
    heard_at=NOON - timedelta(hours=1),
    reached_at=NOON - timedelta(hours=1),
    sent_through=7,
    confirmed_through=7,
    announced_through=4,
    held_through=4,
)


def judge(facts, at=NOON, quiet_hours=24):
    return link_health(facts, at=at, quiet_hours=quiet_hours)


def test_a_link_that_was_heard_and_has_nothing_under_way_is_quiet_because_nothing_happened():
    assert judge(CALM).nothing_happened
    assert judge(CALM).troubles == ()


def test_the_same_marks_are_a_quiet_link_once_it_was_not_heard_for_the_hours_set_and_not_a_moment_before():
    heard = CALM.heard_at
    assert judge(CALM, heard + timedelta(hours=24, seconds=-1)).nothing_happened
    late = judge(CALM, heard + timedelta(hours=24))
    assert late.troubles == (Trouble.QUIET,)
    assert late.standing == Standing.DISTURBED
    assert late.facts["silent_hours"] == 24
    assert judge(CALM, heard + timedelta(hours=24), quiet_hours=72).nothing_happened


def test_a_link_never_heard_counts_from_when_it_was_made():
    fresh = LinkFacts("linked", linked_at=NOON - timedelta(hours=2))
    assert judge(fresh).troubles == (Trouble.NEVER_HEARD,)
    assert judge(fresh, NOON + timedelta(days=1)).troubles == (Trouble.QUIET,)


def test_what_is_young_is_on_its_way_what_is_old_is_a_backlog_and_what_grows_without_contact_is_graver():
    young = replace(CALM, sent_through=9, oldest_waiting_at=NOON - timedelta(minutes=5))
    assert judge(young).standing == Standing.MOVING
    old = replace(young, oldest_waiting_at=NOON - timedelta(hours=3))
    assert judge(old).troubles == (Trouble.BEHIND,)
    assert judge(old).standing == Standing.WATCH
    grows = replace(old, grown=1)
    assert judge(grows).troubles == (Trouble.GROWING,)
    assert judge(grows).standing == Standing.DISTURBED
    assert judge(grows).facts["out"] == 2


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({"announced_through": 6}, Trouble.MISSING),
        ({"held": 1}, Trouble.HELD),
        ({"incidents": 1}, Trouble.INCIDENT),
        ({"key_warning": 30}, Trouble.KEY_EXPIRING),
        ({"key_warning": 0}, Trouble.KEY_EXPIRED),
        ({"clock_ahead_s": -301}, Trouble.CLOCK),
    ],
)
def test_each_sign_alone_is_told_and_decides_how_grave_it_is(change, trouble):
    found = judge(replace(CALM, **change))
    assert found.troubles == (trouble,)
    assert found.standing == (Standing.DISTURBED if trouble in GRAVE else Standing.WATCH)


def test_several_signs_are_told_the_heaviest_first():
    found = judge(replace(CALM, held=1, incidents=2, announced_through=9))
    assert found.troubles == (Trouble.INCIDENT, Trouble.MISSING, Trouble.HELD)


@pytest.mark.parametrize("state", ["invited", "paused", "ended"])
def test_nothing_is_expected_of_a_link_that_is_not_open_but_its_incidents_stay(state):
    closed = replace(CALM, state=state, heard_at=None, held=3)
    assert judge(closed, NOON + timedelta(days=90)).standing == Standing.CLOSED
    assert judge(replace(closed, incidents=1)).troubles == (Trouble.INCIDENT,)


def test_a_clock_that_was_set_back_makes_no_negative_hours():
    found = judge(replace(CALM, sent_through=8, oldest_waiting_at=NOON), NOON - timedelta(days=400))
    assert found.facts["silent_hours"] == found.facts["oldest_hours"] == 0


def test_every_trouble_has_a_sentence_that_its_facts_fill():
    facts = judge(CALM).facts | {"silent": "3 ngày", "oldest": "1 giờ"}  # the two spans are worded where they are shown
    for trouble in Trouble:
        assert TROUBLE_MESSAGES[trouble] % facts
