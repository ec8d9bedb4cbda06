"""What holds for every rule, every start and every calendar."""

from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hiepdong.duties.domain.calendar import Calendar
from hiepdong.duties.domain.deadline import due_moment, read_deadline
from hiepdong.kernel.moments import VIET_NAM, local_day

FIRST, LAST = date(2019, 1, 1), date(2023, 12, 31)
STARTS = st.dates(date(2020, 1, 1), date(2021, 12, 31))
HOLIDAYS = st.frozensets(st.dates(date(2019, 12, 1), date(2022, 6, 30)), max_size=40)


@st.composite
def calendars(draw):
    off = draw(HOLIDAYS)
    worked = frozenset(d for d in draw(HOLIDAYS) if d.weekday() >= 5) - off
    return Calendar(FIRST, LAST, dict.fromkeys(off, "nghỉ"), worked, frozenset(range(2019, 2024)))


@st.composite
def specs(draw):
    kind = draw(st.sampled_from(["after", "day_of_period_end_month", "day_of_month_after", "date"]))
    spec = {"type": kind, "on_day_off": draw(st.sampled_from(["stay", "previous", "next"]))}
    if kind == "after":
        spec |= {"amount": draw(st.integers(1, 60)), "unit": draw(st.sampled_from(["days", "working_days", "weeks"]))}
    if kind.startswith("day_of"):
        spec["day"] = draw(st.integers(1, 31))
    if draw(st.booleans()):
        spec["earliest_working_days"] = draw(st.integers(1, 10))
    if draw(st.booleans()):
        spec["latest_day"] = draw(st.integers(1, 31))
    return spec


@given(spec=specs(), start=STARTS, calendar=calendars())
def test_never_due_on_a_day_off_when_the_rule_moves_it(spec, start, calendar):
    found = due_moment(read_deadline(spec), calendar=calendar, cut_off=start, explain=False)
    assert spec["on_day_off"] == "stay" or calendar.is_working(found.last_day)


@given(spec=specs(), start=STARTS, calendar=calendars())
def test_the_explanation_ends_where_the_result_is_and_changes_nothing(spec, start, calendar):
    rule = read_deadline(spec)
    plain = due_moment(rule, calendar=calendar, cut_off=start, explain=False)
    told = due_moment(rule, calendar=calendar, cut_off=start)
    assert plain[:3] == told[:3]
    assert told.steps[-1].result == told.due_at.isoformat()
    days = [s.result for s in told.steps[:-1]]
    assert days[-1] == told.last_day.isoformat()
    assert all(not calendar.is_working(d.on) and d.name for s in told.steps for d in s.skipped)


@given(amount=st.integers(1, 80), start=STARTS, calendar=calendars(), unit=st.sampled_from(["days", "working_days"]),
       policy=st.sampled_from(["stay", "previous", "next"]))  # fmt: skip
def test_a_longer_count_is_never_due_earlier(amount, start, calendar, unit, policy):
    def last(n):
        rule = read_deadline({"type": "after", "amount": n, "unit": unit, "on_day_off": policy})
        return due_moment(rule, calendar=calendar, cut_off=start, explain=False).last_day

    assert last(amount) <= last(amount + 1)


@given(amount=st.integers(1, 40), start=STARTS, calendar=calendars())
def test_working_days_counted_one_by_one_give_the_same_day(amount, start, calendar):
    on, left = start, amount
    while left:
        on += timedelta(days=1)
        left -= calendar.is_working(on)
    assert calendar.add_working_days(start, amount) == on


@given(spec=specs(), start=STARTS, calendar=calendars())
def test_limits_hold_and_the_earliest_wins(spec, start, calendar):
    found = due_moment(read_deadline(spec), calendar=calendar, cut_off=start, explain=False)
    least = spec.get("earliest_working_days")
    if least:
        assert found.last_day >= calendar.add_working_days(start, least)


@given(hours=st.integers(1, 1000), at=st.datetimes(datetime(2020, 1, 1), datetime(2021, 12, 31)), calendar=calendars())
def test_hours_are_exact_whatever_the_days_off(hours, at, calendar):
    event = at.replace(tzinfo=VIET_NAM)
    rule = read_deadline({"type": "after", "amount": hours, "unit": "hours"})
    found = due_moment(rule, calendar=calendar, event_at=event)
    assert found.due_at - event == timedelta(hours=hours)
    assert found.last_day == local_day(found.due_at - timedelta(microseconds=1))


@given(start=STARTS, doubt_at_the_start=st.booleans())
def test_a_result_touching_an_unverified_year_is_never_silent(start, doubt_at_the_start):
    rule, years = read_deadline({"type": "after", "amount": 30, "unit": "working_days"}), frozenset(range(2019, 2024))
    known = due_moment(rule, calendar=Calendar(FIRST, LAST, {}, verified_years=years), cut_off=start)
    assert not known.provisional
    year = start.year if doubt_at_the_start else known.last_day.year
    found = due_moment(rule, calendar=Calendar(FIRST, LAST, {}, verified_years=years - {year}), cut_off=start)
    assert found.provisional
