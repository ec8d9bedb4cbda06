"""`hiepdong regulation check`: the worked examples run through the engine, and every problem is told at once."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.examples import run_examples
from hiepdong.duties.management.commands.regulation import checked
from hiepdong.regulations.domain.format import check

ROOT = Path(__file__).resolve().parents[3]
HEAD = """
format = "hiepdong.regulation/1"
key = "t.q"
version = 1
title = "Quy chế thử"
effective_from = 2026-01-01
issuer = "t.a"
source = "thử"
verified = false
[[party]]
organisation = "t.a"
side = "border_guard"
[[party]]
organisation = "t.b"
side = "locality"
[[article]]
clause = "5"
text = "Trao đổi tình hình."
"""
DUTY = """
[[duty]]
key = "{key}"
title = "Thông báo"
clause = "5"
debtor = {{ side = "border_guard" }}
creditor = {{ side = "locality" }}
content = {{ type = "notice" }}
trigger = {trigger}
deadline = {deadline}
source = "thử"
verified = false
"""
MONTH = '{ type = "period", family = "r-rep-month" }'
TWO = '{ type = "after", amount = 2, unit = "working_days" }'


def problems_of(text):
    regulation, problems = check((HEAD + text).encode(), "t.toml")
    assert problems == []
    return [(p.path, p.found, p.accepted) for p in run_examples(regulation, national_calendar(), "t.toml")]


def duty(key="d", trigger=MONTH, deadline=TWO):
    return DUTY.format(key=key, trigger=trigger, deadline=deadline)


def test_right_examples_pass():
    event = duty("e", '{ type = "event", event = "x", moment = "found" }', '{ type = "after", amount = 6, unit = "hours" }')
    yearly = duty("y", '{ type = "yearly", month = 3, day = 3 }', '{ type = "date" }')
    examples = """
[[example]]
duty = "d"
period = "2026-02"
due = 2026-02-24
[[example]]
duty = "e"
event = "2026-02-13T09:00+07:00"
due_at = "2026-02-13T15:00+07:00"
[[example]]
duty = "y"
on = 2026-03-03
due = 2026-03-03
"""
    assert problems_of(duty() + event + yearly + examples) == []


def test_every_wrong_example_is_told_with_what_the_engine_finds_and_why():
    examples = """
[[example]]
duty = "d"
period = "2026-02"
due = 2026-02-16
[[example]]
duty = "d"
period = "2026-02"
due_at = "2026-02-25T00:00+07:00"
[[example]]
duty = "d"
period = "2026-13"
due = 2026-02-16
"""
    found = problems_of(duty() + examples)
    assert [p[0] for p in found] == ["example[1].due", "example[3].period"]
    assert found[0][1] == "2026-02-16"
    assert found[0][2].startswith("2026-02-24 (")
    assert "17/02 Tết Nguyên Đán" in found[0][2]
    assert "2026-02" in found[1][2] or "2020-02" in found[1][2]


def test_a_deadline_before_the_end_of_its_period_is_a_problem():
    found = problems_of(duty(deadline='{ type = "day_of_period_end_month", day = 10 }'))
    assert [p[0] for p in found] == ["duty[1].deadline"]
    assert "2026-01-10" in found[0][1]


def test_a_rule_the_engine_cannot_read_is_a_problem_with_its_place():
    found = problems_of(duty(deadline='{ type = "after", amount = 0, unit = "hours" }'))
    assert [p[0] for p in found] == ["duty[1].deadline.amount"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/regulation*.toml")), ids=lambda p: p.parent.name)
def test_the_shipped_regulations_have_no_problem(path):
    out = io.StringIO()
    call_command("regulation", "check", str(path), "--json", stdout=out)
    (row,) = json.loads(out.getvalue())
    assert row["problems"] == []
    assert row["examples"] > 5


FAMILY = '[[period_family]]\nkey = "hk"\nends = ["05-20", "11-20"]\n'
FORM = '[[form]]\nkey = "f"\ntitle = "Mẫu"\n[[form.section]]\nkey = "s"\nname = "S"\n'
EXAMPLE = '[[example]]\nduty = "d"\nperiod = "2026-02"\ndue = 2026-02-24\n'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (FAMILY + 'names = ["K", "K"]\n', "period_family[1].names"),  # two periods under one reference: one would be lost
        (FAMILY + 'names = ["K1"]\n', "period_family[1].names"),
        (FAMILY + FAMILY, "period_family[2].key"),
        (FAMILY.replace('"hk"', '"month"'), "period_family[1].key"),
        (FAMILY.replace('"05-20", "11-20"', '"02-29", "02-30"'), "period_family[1].ends"),
        (FAMILY.replace('"05-20", "11-20"', ""), "period_family[1].ends"),
        (FORM + '[[form.section]]\nkey = "s"\nname = "S"\n', "form[1].section[2].key"),
        (EXAMPLE.replace("2026-02", "0000-01", 1), "example[1].period"),  # crashed
        (EXAMPLE.replace("2026-02", "9999-12", 1), "example[1].period"),
        (EXAMPLE + 'note = "\u202eđảo"\n', "example[1].note"),  # shown in another order than written
        (EXAMPLE + 'note = "\u200b"\n', "example[1].note"),
    ],
)
def test_what_would_be_lost_or_misread_later_is_a_problem_now(text, path):
    regulation, problems = check((HEAD + duty() + text).encode(), "t.toml")
    if regulation is not None:
        problems = run_examples(regulation, national_calendar(), "t.toml")
    assert [p.path for p in problems] == [path]


def test_a_problem_of_one_kind_hides_none_of_another():
    text = (HEAD + duty() + duty("e") + duty("f") + EXAMPLE.replace("2026-02-24", "2026-02-17")).replace(
        "version = 1", "version = 0", 1
    )
    text = text.replace('key = "e"\n', 'key = "e"\nmau = 1\n').replace('key = "f"\n', 'key = "f"\nfield = "chua-khai"\n')
    text = text.replace("[[article]]\n", "[[article]]\nso = 5\n")
    text += EXAMPLE.replace('"d"', '"e"').replace("2026-02-24", "2026-02-18")  # of a duty with an unknown key
    text += EXAMPLE.replace('"d"', '"khong-co"')
    text += duty("g", deadline='{ type = "sau", amount = 2, unit = "working_days" }')  # its examples cannot be counted
    text += EXAMPLE.replace('"d"', '"g"').replace("2026-02-24", "2026-02-18")
    text += FAMILY.replace("ends", "ngay") + duty("h", trigger='{ type = "period", family = "hk" }')
    _, problems = checked(text.encode(), "t.toml")
    assert [p.path for p in problems] == [
        "version",
        "article[1].so",
        "period_family[1].ngay",
        "period_family[1].ends",
        "duty[2].mau",
        "duty[4].deadline.type",
        "duty[3].field",
        "example[3].duty",
        "example[1].due",
        "example[2].due",
    ]


def test_a_count_beyond_the_calendar_is_told_in_the_words_of_the_file():
    found = problems_of(duty() + EXAMPLE.replace("2026-02", "2060-02", 1))
    assert found == [("example[1].duty", "phải đếm đến 2060-02-14, ngoài lịch ngày làm việc", "năm 2004 đến năm 2040")]


def test_the_command_tells_every_file_and_its_exit_code(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(HEAD + duty(), encoding="utf-8")
    bad.write_text(HEAD + duty() + '[[example]]\nduty = "d"\nperiod = "2026-02"\ndue = 2026-02-16\n', encoding="utf-8")
    out = io.StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("regulation", "check", str(good), str(bad), stdout=out)
    assert stopped.value.code == 1
    assert "example[1].due" in out.getvalue()
    assert str(good) in out.getvalue()
    with pytest.raises(CommandError) as refused:
        call_command("regulation", "check", str(tmp_path / "none.toml"), stdout=out)
    assert refused.value.returncode == 2


def test_the_schema_is_printed_as_json():
    out = io.StringIO()
    call_command("regulation", "schema", stdout=out)
    assert "duty" in json.loads(out.getvalue())["properties"]


def test_what_is_printed_behind_a_stroke_names_an_indicator_of_the_form_that_stands_first():
    form = """
[[form]]
key = "f"
title = "Báo cáo"
"""
    row = '[[form.indicator]]\nkey = "{}"\nname = "x"\nunit = "y"\n{}'
    behind = 'paired_with = "{}"\n'
    good = form + row.format("vu", "") + row.format("nguoi", behind.format("vu")) + row.format("tien", behind.format("vu"))
    regulation, problems = check((HEAD + duty() + good).encode(), "t.toml")
    assert problems == []
    assert [i["paired_with"] for i in regulation.forms[0]["indicators"]] == ["", "vu", "vu"]
    for wrong in ("tien", "khong-co", "nguoi"):  # itself, unknown, itself behind another
        text = good.replace(
            'key = "tien"\nname = "x"\nunit = "y"\npaired_with = "vu"',
            f'key = "tien"\nname = "x"\nunit = "y"\npaired_with = "{wrong}"',
        )
        _, problems = check((HEAD + duty() + text).encode(), "t.toml")
        assert [p.path for p in problems] == ["form[1].indicator[3].paired_with"]
