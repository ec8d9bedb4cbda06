"""Whatever stands in a line of the batch, it is answered: a due moment or an error, as strict JSON."""

import json
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.batch import Batch

GOOD = [
    {"id": 1, "rule": {"type": "after", "amount": 2, "unit": "working_days", "clause": "5.2"}, "cut_off": "2026-02-14"},
    {"rule": {"type": "after", "amount": 6, "unit": "hours"}, "event_at": "2026-02-13T09:00+07:00", "explain": True},
    {
        "rule": {"type": "day_of_month_after", "day": 31, "on_day_off": "next", "earliest": {"days": 3}, "latest": {"day": 20}},
        "period": {"family": "r-rep-quarter", "label": "2026-Q1"},
        "accept_provisional": False,
    },
    {
        "rule": {"type": "date", "latest_day": 3, "tiers": {"border_station": {"earliest_working_days": 1}}},
        "debtor_kind": "border_station",
        "period": {"key": "x", "ends": ["05-20", "11-20"], "names": ["K1", "K2"], "label": "2026-K1"},
        "calendar": {"first": "2026-01-01", "last": "2026-12-31", "days_off": [{"on": "2026-02-16", "name": "Tết"}],
                     "working": ["2026-02-14"]},
    },
]  # fmt: skip
DAYS = ["0001-01-01", "1900-01-01", "2004-01-01", "2040-12-31", "2199-12-31", "9999-12-31", "2026-02-30", "2026-W07-6"]
MOMENTS = ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "2199-12-31T23:59:59.999999Z", "2026-02-13T09:00"]
LABELS = ["0000-01", "9999-W53", "2026-Q9", "2026", "{y}", "२०२६-02"]
ODD = st.sampled_from([*DAYS, *MOMENTS, *LABELS, "vn", "week", "after", "hours", "weeks", "date", "", "\ud800", "\x00"])
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-1, 12_000), st.floats(), st.text(max_size=8), ODD),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@cache
def batch():
    return Batch(national_calendar())


def places(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def changed(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


@given(data=st.data())
def test_a_question_changed_anywhere_is_answered(data):
    question = data.draw(st.sampled_from(GOOD))
    for _ in range(data.draw(st.integers(1, 2))):
        question = changed(question, data.draw(st.sampled_from(list(places(question)))), data.draw(ANYTHING))
    answered(json.dumps(question, ensure_ascii=data.draw(st.booleans())))


@given(data=st.data())
def test_a_line_cut_or_changed_anywhere_is_answered(data):
    line = json.dumps(data.draw(st.sampled_from(GOOD)), ensure_ascii=False)
    at = data.draw(st.integers(0, len(line)))
    answered(line[:at] + data.draw(st.text(max_size=3)) + line[at + data.draw(st.integers(0, 3)) :])


def answered(line):
    answer = batch().answer(line)
    assert ("error" in answer) != ("due_at" in answer)
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
