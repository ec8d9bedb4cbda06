"""Why a paper is not there yet: the steps, where they stop, and what they wait for."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hiepdong.exchange.domain.reasons import REASONS, reason_of
from hiepdong.exchange.domain.sharing import Narrowing
from hiepdong.exchange.domain.why import (
    Answers,
    Line,
    Mark,
    Place,
    Received,
    Way,
    is_open,
    why,
    why_narrowed,
    why_received,
)

NOON = datetime.fromisoformat("2020-03-20T05:00:00+00:00")
LINE = Line("Nút xã", "linked", has_address=True, confirmed_through=4, reached_at=NOON)
WAY = Way("Huyện ủy", NOON, Answers(), is_here=False, node="Nút xã", line=LINE, place=Place(7, NOON))


def codes(way):
    return [s.code for s in why(way)]


def test_a_paper_in_the_queue_says_its_place_how_many_are_before_it_and_the_last_contact():
    steps = why(WAY)
    assert [s.code for s in steps] == ["lives_there", "linked", "queued", "in_turn"]
    assert steps[2].facts["position"] == 7
    assert steps[2].facts["ahead"] == 2
    assert is_open(steps)


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ({"failures": 3, "last_error": "hết giờ", "next_try_at": NOON}, "failing"),
        ({"failures": 3, "last_error": "hết giờ"}, "failing"),
        ({"has_address": False}, "asks_itself"),
        ({"has_address": False, "reached_at": None}, "asks_itself"),
        ({"reached_at": None}, "never_tried"),
    ],
)
def test_the_last_try_is_told_as_it_was(line, last):
    assert codes(replace(WAY, line=replace(LINE, **line)))[-1] == last


@pytest.mark.parametrize(("state", "code"), [("paused", "paused"), ("ended", "ended"), ("invited", "invited")])
def test_a_link_that_is_not_open_stops_it_and_a_person_must_act(state, code):
    found = {s.code: s.mark for s in why(replace(WAY, line=replace(LINE, state=state)))}
    assert found[code] == Mark.STOPS


def test_what_the_other_node_holds_back_or_refused_is_told_with_its_code():
    taken = replace(WAY, line=replace(LINE, confirmed_through=7))
    assert codes(taken) == ["lives_there", "linked", "taken", "no_receipt"]
    held = why(replace(taken, place=Place(7, NOON, "held exchange.unknown_key")))
    assert [s.code for s in held] == ["lives_there", "linked", "taken", "held_there", "no_receipt"]
    assert held[3].facts["code"] == "exchange.unknown_key"
    assert "refused_there" in codes(replace(taken, place=Place(7, NOON, "refused exchange.altered")))
    assert "narrowed_there" in codes(replace(taken, place=Place(7, NOON, "applied exchange.recipient_narrowed")))


def test_receipts_are_the_last_steps_and_close_the_question_when_all_is_answered():
    later = NOON + timedelta(hours=1)
    answered = Answers(arrived_at=NOON, acknowledged_at=later, in_work_at=later, done_at=later)
    steps = why(replace(WAY, line=replace(LINE, confirmed_through=7), answers=answered))
    assert [s.code for s in steps[-4:]] == ["arrived", "acknowledged", "in_work", "done"]
    assert not is_open(steps)
    returned = why(replace(WAY, is_here=True, answers=Answers(arrived_at=NOON, returned_at=later, reason="Thiếu")))
    assert [s.code for s in returned] == ["lives_here", "arrived", "returned"]
    assert returned[-1].facts["reason"] == "Thiếu"


def test_a_receipt_by_stick_closes_it_although_the_line_has_not_confirmed():
    assert codes(replace(WAY, answers=Answers(arrived_at=NOON)))[-2:] == ["arrived", "no_answer"]


def test_nobody_known_no_place_a_relay_and_a_node_that_recovers_are_each_told():
    assert codes(replace(WAY, node="", line=None, place=None)) == ["lives_nowhere"]
    assert codes(replace(WAY, place=None)) == ["lives_there", "linked", "not_queued", "no_receipt"]
    assert "relayed" in codes(replace(WAY, node="Nút bản"))
    assert "recovering" in codes(replace(WAY, recovering=True))


def test_a_recipient_learns_how_it_came_which_numbers_are_missing_and_where_our_receipts_are():
    got = Received("Huyện ủy", "Nút xã", LINE, "bundle", NOON, missing=[5, 7], receipts=[("arrived", Place(3, NOON))])
    steps = why_received(got)
    assert [s.code for s in steps] == ["came_from", "came", "gap", "receipt_back"]
    assert steps[2].facts["numbers"] == "5, 7"
    assert steps[3].mark == Mark.DONE
    whole = why_received(replace(got, missing=(), receipts=[("acknowledged", Place(9, NOON))]))
    assert [(s.code, s.mark) for s in whole[2:]] == [("no_gap", Mark.DONE), ("receipt_back", Mark.WAITS)]


def test_a_left_out_recipient_has_its_reason():
    step = why_narrowed("UBND xã", Narrowing.NOT_BOUND)
    assert "UBND xã" in step.message % step.facts


def test_every_sentence_is_filled_by_its_own_facts():
    lines = [replace(LINE, **c) for c in ({}, {"failures": 1}, {"failures": 1, "next_try_at": NOON}, {"has_address": False})]
    ways = [
        replace(WAY, line=line, place=Place(7, NOON, o)) for line in lines for o in ("", "held x", "refused x", "applied x")
    ]
    for step in (s for w in ways for s in why(w)):
        assert "%(" not in step.message % step.facts


def test_a_code_without_words_is_shown_as_it_is_and_all_others_say_something():
    assert reason_of("exchange.tomorrow").message == "exchange.tomorrow"
    assert all(r.message.endswith((".", ":")) for r in REASONS.values())
