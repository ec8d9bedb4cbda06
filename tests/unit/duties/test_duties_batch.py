"""The batch: every line is answered, a bad one with its place, and the stream never stops."""

import io
import json
from datetime import date

import pytest
from django.core.management import CommandError, call_command

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.batch import REMEMBERED, Batch

TWO = {"type": "after", "amount": 2, "unit": "working_days"}


@pytest.fixture
def batch():
    return Batch(national_calendar(), explain=False)


def ask(batch, **question):
    return batch.answer(json.dumps(question))


def test_a_period_a_cut_off_and_an_event_are_three_ways_to_start(batch):
    by_period = ask(batch, rule=TWO, period={"family": "r-rep-month", "label": "2026-02"})
    assert by_period == ask(batch, rule=TWO, cut_off="2026-02-14")
    assert by_period == {"due_at": "2026-02-24T17:00:00Z", "last_day": "2026-02-24", "provisional": False}
    hours = ask(batch, rule={"type": "after", "amount": 6, "unit": "hours"}, event_at="2026-02-13T09:00+07:00", id=7)
    assert (hours["id"], hours["due_at"]) == (7, "2026-02-13T08:00:00Z")
    own = {"key": "x", "ends": ["05-20", "11-20"], "names": ["K1", "K2"], "label": "2026-K1"}
    assert ask(batch, rule=TWO, period=own)["last_day"] == "2026-05-22"


def test_a_line_may_bring_its_own_calendar_and_ask_for_steps(batch):
    calendar = {"first": "2026-02-01", "last": "2026-02-28", "days_off": [{"on": "2026-02-16", "name": "Hội làng"}],
                "working": ["2026-02-14"]}  # fmt: skip
    answer = ask(batch, rule=TWO, cut_off="2026-02-13", calendar=calendar, explain=True)
    assert answer["last_day"] == "2026-02-17"
    assert {"on": "2026-02-16", "name": "Hội làng"} in answer["steps"][1]["skipped"]


@pytest.mark.parametrize(
    ("line", "code", "place"),
    [
        ("{", "duties.bad_batch_line", "JSON"),
        ("[]", "duties.bad_batch_line", "JSON"),
        ('{"rule": 3, "cut_off": "2026-01-01"}', "duties.bad_batch_line", "rule"),
        ('{"rule": {}, "cut_off": "2026-01-01"}', "duties.bad_deadline", "rule.type"),
        ('{"rule": {"type": "date"}}', "duties.bad_batch_line", "cut_off"),
        ('{"rule": {"type": "date"}, "cut_off": "14/02/2026"}', "duties.bad_batch_line", "cut_off"),
        ('{"rule": {"type": "date"}, "cut_off": 3}', "duties.bad_batch_line", "cut_off"),
        ('{"rule": {"type": "date"}, "event_at": "2026-02-13T09:00"}', "duties.bad_batch_line", "event_at"),
        ('{"rule": {"type": "date"}, "event_at": "soon"}', "duties.bad_batch_line", "event_at"),
        ('{"rule": {"type": "date"}, "cut_off": "2026-01-01", "colour": 1}', "duties.bad_batch_line", "colour"),
        ('{"rule": {"type": "date"}, "period": {"family": "x", "label": "2026"}}', "duties.unknown_period_family", "x"),
        ('{"rule": {"type": "date"}, "period": {"family": "month", "label": "2026-13"}}', "duties.bad_batch_line", "label"),
        ("{\"rule\": {\"type\": \"date\"}, \"cut_off\": \"2026-01-01\", \"calendar\": 1}", "duties.bad_batch_line", "calendar"),
        (f'{{"rule": {json.dumps(TWO)}, "cut_off": "2099-01-01"}}', "duties.calendar_too_short", "2099"),
        (f'{{"rule": {json.dumps(TWO)}, "cut_off": "2027-01-01", "accept_provisional": false}}',
         "duties.calendar_not_verified", "2027"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_answered_says_where_and_what_is_accepted(batch, line, code, place):
    error = batch.answer(line)["error"]
    assert error["code"] == code
    assert place in error["message"] + error["hint"]
    assert error["hint"]


RULE = json.dumps(TWO)
ON = {"rule": TWO, "cut_off": "2026-02-14"}
YEAR = {"first": "2026-01-01", "last": "2026-12-31"}
TWICE_A_YEAR = {"key": "x", "ends": ["05-20", "11-20"], "label": "2026-K"}
LINES = {
    "nested beyond the reader": "[" * 200_000,
    "nested in an object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "nested, but readable": f'{{"id": {"[" * 40 + "]" * 40}, "rule": {RULE}, "cut_off": "2026-02-14"}}',
    "a number that is none": f'{{"id": NaN, "rule": {RULE}, "cut_off": "2026-02-14"}}',
    "an endless number": f'{{"id": 1e400, "rule": {RULE}, "cut_off": "2026-02-14"}}',
    "half of a pair": f'{{"id": "\\ud800", "rule": {RULE}, "cut_off": "2026-02-14"}}',
    "bytes that are no UTF-8": f'{{"id": "\udcff", "rule": {RULE}, "cut_off": "2026-02-14"}}',
    "a key twice": f'{{"rule": {RULE}, "cut_off": "2026-02-14", "cut_off": "2026-03-14"}}',
}
QUESTIONS = {
    "the last day there is": {"rule": {"type": "after", "amount": 1, "unit": "days"}, "cut_off": "9999-12-31"},
    "the month after the last": {"rule": {"type": "day_of_month_after", "day": 31}, "cut_off": "9999-12-31"},
    "the first instant": {"rule": {"type": "after", "amount": 1, "unit": "hours"}, "event_at": "0001-01-01T00:00+14:00"},
    "hours beyond the end": {"rule": {"type": "after", "amount": 99, "unit": "hours"}, "event_at": "9999-12-31T23:00+07:00"},
    "a year before the first": {"rule": TWO, "period": {"family": "r-rep-month", "label": "0000-01"}},
    "a week after the last": {"rule": TWO, "period": {"family": "week", "label": "9999-W52"}},
    "ends that are numbers": {"rule": TWO, "period": TWICE_A_YEAR | {"ends": [1]}},
    "no ends": {"rule": TWO, "period": TWICE_A_YEAR | {"ends": None}},
    "a key that is a list": {"rule": TWO, "period": TWICE_A_YEAR | {"key": ["x"]}},
    "names of a format": {"rule": TWO, "period": TWICE_A_YEAR | {"names": ["{y:>1000000000}", "b"]}},
    "one name for two periods": {"rule": TWO, "period": TWICE_A_YEAR | {"names": ["K", "K"]}},
    "an unknown key of the period": {"rule": TWO, "period": {"family": "month", "label": "2026-02", "lable": ""}},
    "an unknown key of the calendar": ON | {"calendar": YEAR | {"off": []}},
    "a calendar that ends first": ON | {"calendar": {"first": "2026-12-31", "last": "2026-01-01"}},
    "a word that is true to Python": ON | {"accept_provisional": "false"},
    "an unknown kind": ON | {"debtor_kind": "border_staton"},
    "a clause that is no text": ON | {"rule": {"type": "date", "clause": {"x": 1}}},
    "tiers in a tier": ON | {"rule": {"type": "date", "tiers": {"a": {"tiers": {}}}}},
    "a fixed day that may lie before the event": {
        "rule": {"type": "day_of_period_end_month", "day": 5},
        "event_at": "2026-02-13T09:00+07:00",
    },
    "a word without end": {"rule": TWO, "cut_off": "x" * 100_000},
}
ODD = LINES | {name: json.dumps(question) for name, question in QUESTIONS.items()}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
def test_an_odd_line_gets_a_short_error_in_its_place_and_stops_nothing(batch, line):
    good = json.dumps({"rule": TWO, "cut_off": "2026-02-14"})
    before, odd, after = batch.answers([good, line, good])
    assert (before["last_day"], after["last_day"]) == ("2026-02-24", "2026-02-24")
    assert odd["line"] == 2
    assert odd["error"]["hint"]
    written = json.dumps(odd, ensure_ascii=False, allow_nan=False).encode()
    assert len(written) < 1000


def test_a_file_that_is_not_all_utf_8_loses_one_line(tmp_path):
    path = tmp_path / "in.jsonl"
    good = json.dumps({"rule": TWO, "cut_off": "2026-02-14"}).encode()
    path.write_bytes(good + b'\n{"id": "\xff\xfe"}\n' + good + b"\n")
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("deadline", "--batch", "--no-steps", "--input", str(path), stdout=out)
    assert ["error" in json.loads(line) for line in out.getvalue().splitlines()] == [False, True, False]


def test_lines_keep_their_numbers_and_empty_ones_are_passed_over(batch):
    good = json.dumps({"rule": TWO, "cut_off": "2026-02-14"})
    answers = list(batch.answers([good, "", "x", good]))
    assert [a["line"] for a in answers] == [1, 3, 4]
    assert ["error" in a for a in answers] == [False, True, False]


def test_what_is_remembered_does_not_grow_with_the_lines(batch):
    for n in range(1, 3 * REMEMBERED):
        ask(batch, rule={"type": "after", "amount": n, "unit": "days"}, cut_off="2026-02-14")
    assert len(batch._rules) <= REMEMBERED


def test_the_command_streams_a_file_and_tells_by_its_exit_code(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"rule": TWO, "cut_off": "2026-02-14"}) + "\n", encoding="utf-8")
    out = io.StringIO()
    call_command("deadline", "--batch", "--input", str(path), stdout=out)
    assert json.loads(out.getvalue())["steps"][1]["result"] == "2026-02-24"
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        call_command("deadline", "--batch", "--input", str(path), stdout=io.StringIO())
    assert stopped.value.code == 1
    rule = ["--rule", "type='date'"]
    wrong_calls = (
        ["--batch", "--input", str(tmp_path / "no")],
        ["--batch", *rule],
        ["--input", str(path), *rule, "--cut-off", "2026-01-01"],
        [],
        rule,
        [*rule, "--cut-off", "2026-01-01", "--event", "2026-01-01T00:00Z"],
        ["--rule", "type=", "--cut-off", "2026-01-01"],
    )
    for wrong in wrong_calls:
        with pytest.raises(CommandError) as refused:
            call_command("deadline", *wrong, stdout=io.StringIO())
        assert refused.value.returncode == 2


def test_one_due_moment_is_told_in_vietnamese_with_the_names_of_the_days():
    out = io.StringIO()
    rule = 'type="after", amount=2, unit="working_days"'
    call_command("deadline", "--rule", rule, "--period", "r-rep-month/2026-02", stdout=out)
    text = out.getvalue()
    assert "16/02/2026  Giao thừa Tết Nguyên Đán" in text
    assert "2 ngày làm việc" in text
    assert "= 24/02/2026  2026-02-24T17:00:00Z" in text


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--rule", "type='date'", "--period", "thang/2026-02"], "Không có loại kỳ báo cáo thang"),
        (["--days-off", "2050"], "Lịch ngày làm việc chỉ có từ 2004-01-01 đến 2040-12-31"),
    ],
)
def test_a_refusal_on_the_command_line_is_told_in_vietnamese_with_exit_code_1(asked, told):
    with pytest.raises(CommandError) as refused:
        call_command("deadline", *asked, stdout=io.StringIO())
    assert told in str(refused.value)
    assert refused.value.returncode == 1


def test_the_days_off_of_a_year_can_be_compared_with_the_announcement():
    out = io.StringIO()
    call_command("deadline", "--days-off", "2026", "--json", stdout=out)
    rows = {row["on"]: row for row in json.loads(out.getvalue())}
    assert rows["2026-01-10"]["works"]
    assert not rows["2026-11-24"]["verified"]
    assert rows["2026-02-17"]["name"] == "Tết Nguyên Đán"
    assert date(2026, 1, 1).isoformat() in rows
