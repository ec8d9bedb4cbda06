"""The deadline engine: due moments, the exact instant they flip, and the steps that explain them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.calendar import CalendarNotVerified
from hiepdong.duties.domain.deadline import BadDeadline, due_moment, read_deadline
from hiepdong.kernel.moments import VIET_NAM

VN = national_calendar()


def due(spec, **start):
    return due_moment(read_deadline(spec, clause="5.2"), calendar=VN, **start)


@pytest.mark.parametrize(
    ("spec", "cut_off", "last_day"),
    [
        ({"type": "after", "amount": 1, "unit": "working_days"}, date(2026, 2, 14), date(2026, 2, 23)),
        ({"type": "after", "amount": 2, "unit": "working_days"}, date(2026, 2, 14), date(2026, 2, 24)),
        ({"type": "after", "amount": 2, "unit": "working_days"}, date(2026, 5, 14), date(2026, 5, 18)),
        ({"type": "after", "amount": 3, "unit": "days"}, date(2026, 2, 14), date(2026, 2, 17)),
        ({"type": "after", "amount": 0, "unit": "days"}, date(2026, 2, 13), date(2026, 2, 13)),
        ({"type": "after", "amount": 2, "unit": "weeks"}, date(2026, 2, 14), date(2026, 2, 28)),
        ({"type": "after", "amount": 3, "unit": "days", "on_day_off": "next"}, date(2026, 2, 14), date(2026, 2, 23)),
        ({"type": "after", "amount": 3, "unit": "days", "on_day_off": "previous"}, date(2026, 2, 14), date(2026, 2, 13)),
        ({"type": "day_of_period_end_month", "day": 25}, date(2026, 1, 14), date(2026, 1, 25)),  # a Sunday: stay
        ({"type": "day_of_period_end_month", "day": 25, "on_day_off": "next"}, date(2026, 1, 14), date(2026, 1, 26)),
        ({"type": "day_of_period_end_month", "day": 25, "on_day_off": "previous"}, date(2026, 1, 14), date(2026, 1, 23)),
        ({"type": "day_of_period_end_month", "day": 31}, date(2026, 2, 14), date(2026, 2, 28)),
        ({"type": "day_of_period_end_month", "day": 30}, date(2020, 2, 14), date(2020, 2, 29)),
        ({"type": "day_of_month_after", "day": 10}, date(2026, 12, 31), date(2027, 1, 10)),
        ({"type": "day_of_month_after", "day": 31}, date(2026, 3, 31), date(2026, 4, 30)),
        ({"type": "date"}, date(2026, 3, 3), date(2026, 3, 3)),
        # R-DL-03: at least one working day between cut-off and deadline
        ({"type": "day_of_period_end_month", "day": 15, "earliest_working_days": 1}, date(2026, 2, 14), date(2026, 2, 23)),
        ({"type": "day_of_period_end_month", "day": 15, "earliest": {"working_days": 1}}, date(2026, 2, 14), date(2026, 2, 23)),
        ({"type": "after", "amount": 9, "unit": "working_days", "latest_day": 25}, date(2026, 2, 14), date(2026, 3, 5)),
        ({"type": "after", "amount": 9, "unit": "working_days", "latest_day": 25}, date(2026, 3, 14), date(2026, 3, 25)),
        ({"type": "after", "amount": 9, "unit": "days", "latest": {"days": 5}}, date(2026, 3, 14), date(2026, 3, 19)),
        # a move never leaves the limits: 25 January 2026 is a Sunday, the latest day allowed
        (
            {"type": "after", "amount": 20, "unit": "days", "latest_day": 25, "on_day_off": "next"},
            date(2026, 1, 14),
            date(2026, 2, 3),
        ),
        (
            {"type": "day_of_period_end_month", "day": 28, "latest_day": 25, "on_day_off": "next"},
            date(2026, 1, 14),
            date(2026, 1, 23),
        ),
        # … unless the earliest day leaves no room: then the next working day
        (
            {"type": "day_of_period_end_month", "day": 25, "earliest": {"days": 11}, "on_day_off": "previous"},
            date(2026, 1, 14),
            date(2026, 1, 26),
        ),
    ],
)
def test_the_last_day_on_time(spec, cut_off, last_day):
    found = due(spec, cut_off=cut_off)
    assert found.last_day == last_day
    assert found.due_at == datetime.combine(last_day + timedelta(days=1), datetime.min.time(), VIET_NAM)
    assert found[:3] == due(spec, cut_off=cut_off, explain=False)[:3]


def test_hours_count_from_the_instant_and_are_not_rounded_to_a_day():
    event = datetime(2026, 2, 13, 9, 17, 30, tzinfo=VIET_NAM)
    found = due({"type": "after", "amount": 6, "unit": "hours"}, event_at=event)
    assert found.due_at == datetime(2026, 2, 13, 15, 17, 30, tzinfo=VIET_NAM)
    assert found.last_day == date(2026, 2, 13)
    across = due({"type": "after", "amount": 24, "unit": "hours"}, event_at=event)
    assert across.last_day == date(2026, 2, 14)
    to_midnight = due({"type": "after", "amount": 24, "unit": "hours"}, cut_off=date(2026, 2, 13))
    assert (to_midnight.due_at, to_midnight.last_day) == (VN.end_of(date(2026, 2, 14)), date(2026, 2, 14))


def test_an_event_late_in_the_evening_in_utc_belongs_to_the_next_local_day():
    event = datetime(2026, 3, 5, 18, 0, tzinfo=UTC)  # 01:00 on 6 March in Viet Nam
    assert due({"type": "after", "amount": 1, "unit": "days"}, event_at=event).last_day == date(2026, 3, 7)


def test_each_tier_has_its_own_deadline_and_inherits_what_it_does_not_say():
    spec = {
        "type": "day_of_period_end_month",
        "day": 20,
        "on_day_off": "previous",
        "tiers": {"party_district": {"day": 18}},
    }
    assert due(spec, cut_off=date(2026, 6, 14)).last_day == date(2026, 6, 19)
    assert due(spec, cut_off=date(2026, 6, 14), tier="party_district").last_day == date(2026, 6, 18)
    assert due(spec, cut_off=date(2026, 6, 14), tier="border_station").last_day == date(2026, 6, 19)


def test_the_explanation_names_every_day_skipped_and_the_clause():
    found = due({"type": "after", "amount": 2, "unit": "working_days"}, cut_off=date(2026, 2, 14), label="2026-02",
                first=date(2026, 1, 15))  # fmt: skip
    start, counted, end = found.steps
    assert start.facts == {"label": "2026-02", "first": "2026-01-15", "last": "2026-02-14"}
    assert [d.on.day for d in counted.skipped] == [15, 16, 17, 18, 19, 20, 21, 22]
    assert {"Tết Nguyên Đán", "Thứ Bảy", "Chủ nhật"} <= {d.name for d in counted.skipped}
    assert (counted.result, end.result) == ("2026-02-24", "2026-02-24T17:00:00+00:00")
    assert {s.clause for s in found.steps} == {"5.2"}


def test_the_explanation_says_when_a_day_off_is_left_or_moved():
    spec = {"type": "day_of_period_end_month", "day": 25}
    stay = due(spec, cut_off=date(2026, 1, 14)).steps[2]
    assert "leaves the deadline there" in stay.message
    assert [d.name for d in stay.skipped] == ["Chủ nhật"]
    after = due(spec | {"on_day_off": "next"}, cut_off=date(2026, 1, 14)).steps[2]
    assert ("next working day" in after.message, after.result) == (True, "2026-01-26")
    before = due(spec | {"on_day_off": "previous"}, cut_off=date(2026, 1, 14)).steps[2]
    assert ("working day before" in before.message, before.result) == (True, "2026-01-23")


def test_a_result_that_rests_on_days_in_doubt_is_provisional_or_refused():
    rule = read_deadline({"type": "after", "amount": 2, "unit": "working_days"})
    found = due_moment(rule, calendar=VN, cut_off=date(2027, 2, 14))
    assert found.provisional
    assert any("provisional" in s.message for s in found.steps)
    with pytest.raises(CalendarNotVerified):
        due_moment(rule, calendar=VN, cut_off=date(2027, 2, 14), accept_provisional=False)
    assert not due_moment(rule, calendar=VN, cut_off=date(2026, 2, 14)).provisional


def test_a_count_over_24_november_2026_is_provisional_and_the_one_before_is_not():
    spec = {"type": "after", "amount": 2, "unit": "working_days"}
    assert due(spec, cut_off=date(2026, 11, 23)).provisional
    assert not due(spec, cut_off=date(2026, 11, 14)).provisional


def test_a_fixed_day_needs_no_calendar_and_is_never_provisional():
    found = due({"type": "day_of_period_end_month", "day": 25}, cut_off=date(2099, 3, 14))
    assert (found.last_day, found.provisional) == (date(2099, 3, 25), False)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "deadline.type"),
        ({"type": "soon"}, "deadline.type"),
        ({"type": "after", "amount": 1}, "deadline.unit"),
        ({"type": "after", "amount": 0, "unit": "working_days"}, "deadline.amount"),
        ({"type": "after", "amount": 0, "unit": "hours"}, "deadline.amount"),
        ({"type": "after", "amount": True, "unit": "days"}, "deadline.amount"),
        ({"type": "after", "amount": "2", "unit": "days"}, "deadline.amount"),
        ({"type": "day_of_month_after", "day": 32}, "deadline.day"),
        ({"type": "day_of_month_after"}, "deadline.day"),
        ({"type": "date", "on_day_off": "later"}, "deadline.on_day_off"),
        ({"type": "date", "earliest": 3}, "deadline.earliest"),
        ({"type": "date", "latest": {"months": 3}}, "deadline.latest.months"),
        ({"type": "date", "latest_day": 40}, "deadline.latest_day"),
        ({"type": "date", "earliest_working_days": -1}, "deadline.earliest_working_days"),
        ({"type": "date", "hour": 3}, "deadline.hour"),
        ({"type": "after", "amount": 1, "unit": "hours", "on_day_off": "next"}, "deadline"),
        ({"type": "date", "tiers": {"department": {"on_day_off": "x"}}}, "deadline.tiers.department.on_day_off"),
        ({"type": "date", "tiers": []}, None),
        ({"type": "date", "tiers": [1]}, "deadline.tiers"),
        ({"type": "date", "tiers": {"department": 1}}, "deadline.tiers.department"),
    ],
)
def test_a_rule_that_cannot_be_read_names_the_place(spec, path):
    if path is None:
        assert read_deadline(spec).tiers == {}
        return
    with pytest.raises(BadDeadline) as refused:
        read_deadline(spec)
    assert refused.value.facts["path"] == path
    assert refused.value.accepted


def test_a_naive_moment_is_refused():
    rule = read_deadline({"type": "after", "amount": 1, "unit": "hours"})
    with pytest.raises(ValueError, match="aware"):
        due_moment(rule, calendar=VN, event_at=datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="either"):
        due_moment(rule, calendar=VN)
