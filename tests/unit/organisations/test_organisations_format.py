"""The checkers of organisation and reorganisation files: every problem at once; nothing that a file holds makes them raise."""

import re
from pathlib import Path

import pytest

from hiepdong.kernel.declared import MOST_PROBLEMS, schema
from hiepdong.organisations.domain import reorganisation
from hiepdong.organisations.domain.format import ORGANISATIONS, check
from hiepdong.organisations.domain.kinds import ORGANISATION_KINDS
from hiepdong.organisations.models import Kind

EXAMPLES = Path(__file__).parents[3] / "examples"
HEAD = 'format = "hiepdong.organisations/1"\n'
GOOD = """
[[organisation]]
key = "t.don-a"
kind = "border_station"
name = "Đồn A"
valid_from = 2020-01-01
source = "thử"
"""
SORTED = """
format = "hiepdong.reorganisation/1"
key = "t.sap-xep"
title = "Sắp xếp"
effective_on = 2025-07-01
act = "Nghị quyết"
source = "thử"
verified = false
"""


def problems(text, how=check):
    return {p.path: p for p in how(text.encode() if isinstance(text, str) else text, "t.toml")[1]}


def again(text):
    return problems(text, reorganisation.check)


def test_a_good_file_has_no_problem_and_defaults_fill_what_rows_leave_out():
    assert problems(HEAD + GOOD) == {}
    with_defaults = (
        HEAD + "[defaults]\nvalid_from = 2010-01-01\nverified = true\n" + GOOD.replace("valid_from = 2020-01-01\n", "")
    )
    [body], none = check(with_defaults.encode(), "t.toml")
    assert not none
    assert (body.valid_from.year, body.verified, body.place) == (2010, True, "")


def test_every_problem_of_a_file_is_told_at_once_with_place_found_and_accepted():
    text = """format = "hiepdong.organisations/1"
owner = "x"
[[organisation]]
key = "Đồn A"
kind = "border_statoin"
name = ""
valid_from = "2020-01-01"
verified = "có"
territory = ["16816", "commune:16816"]
sueprior = "t.b"
[[organisation]]
"""
    found = problems(text)
    assert {
        "owner",
        "organisation[1].key",
        "organisation[1].kind",
        "organisation[1].name",
        "organisation[1].valid_from",
        "organisation[1].verified",
        "organisation[1].territory[1]",
        "organisation[1].sueprior",
        "organisation[2].key",
        "organisation[2].kind",
        "organisation[2].name",
    } == set(found)
    assert "có phải border_station?" in found["organisation[1].kind"].accepted
    assert "có phải superior?" in found["organisation[1].sueprior"].accepted
    assert found["organisation[1].valid_from"].accepted == "ngày không có nháy, dạng 2020-12-18"
    assert str(found["organisation[1].name"]).startswith("t.toml: organisation[1].name: thấy ''")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("source = ", "# "), "organisation[1].source"),
        (("valid_from = 2020-01-01", ""), "organisation[1].valid_from"),
        (("source", "valid_until = 2019-01-01\nsource"), "organisation[1].valid_until"),
        (("source", 'superior = "t.don-a"\nsource'), "organisation[1].key"),
        (("source", 'territory = ["commune:16816", "commune:16816"]\nsource'), "organisation[1].territory"),
        (("2020-01-01", "1020-01-01"), "organisation[1].valid_from"),
        (("2020-01-01", "2020-01-01T08:00:00"), "organisation[1].valid_from"),
        (("Đồn A", "Đồn \\u0000A"), "organisation[1].name"),
        (("Đồn A", "A" * 201), "organisation[1].name"),
        (("Đồn A", '", name = 1, x = "'), "TOML"),
    ],
)
def test_one_wrong_thing_is_told_where_it_stands(change, path):
    assert list(problems(HEAD + GOOD.replace(*change))) == [path]


def test_a_key_used_twice_names_the_row_that_had_it_first():
    found = problems(HEAD + GOOD + GOOD)
    assert list(found) == ["organisation[2].key"]
    assert "organisation[1]" in found["organisation[2].key"].accepted


HOSTILE = {
    "nothing": b"",
    "no text": b"\xff\xfe\x00",
    "a byte order mark": b"\xef\xbb\xbfformat = 1",
    "nested arrays": b"a = " + b"[" * 200_000,
    "nested tables": ("a." * 50_000 + "b = 1").encode(),
    "a number of 5000 digits": b"format = " + b"9" * 5000,
    "a huge hexadecimal number": b"format = 0x" + b"f" * 9000,
    "an array where a table belongs": b"organisation = [1, [], {}]",
    "a table where an array belongs": b"[organisation]\nkey = 1",
    "tables where texts belong": b"format = {}\n[[organisation]]\nkey = {}\nkind = []\nname = 1.5\nterritory = {}",
    "keys without end": b"\n".join(b"k%d = 1" % i for i in range(60_000)),
    "one key of a megabyte": b"k" * 1_000_000 + b" = 1",
    "a duplicate key": b'format = "a"\nformat = "b"',
    "three megabytes": b"#" * (3 * 1024 * 1024),
    "not a number": b"[[organisation]]\nvalid_from = nan\nverified = inf",
}


@pytest.mark.parametrize("how", [check, reorganisation.check])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(how, name):
    read, found = how(HOSTILE[name], "t.toml")
    assert not read
    assert 0 < len(found) <= MOST_PROBLEMS + 1
    for problem in found:
        assert problem.accepted
        assert len(str(problem)) < 2000


def test_the_kinds_of_files_are_the_kinds_of_the_database():
    assert list(Kind.values) == ORGANISATION_KINDS


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*organisations.toml")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_examples_have_no_problem(path):
    assert problems(path.read_bytes()) == {}


def test_memory_and_inference_are_never_marked_as_seen():
    for path in EXAMPLES.glob("*/*organisations.toml"):
        for body in check(path.read_bytes(), path.name)[0]:
            assert not (body.verified and re.match(r"MEMORY|INFER|tên: MEMORY", body.source)), body.key


# --- reorganisation files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("nghe-an-2025*/*-20*.toml")), ids=lambda p: p.name)
def test_the_real_reorganisations_have_no_problem(path):
    plan, found = reorganisation.check(path.read_bytes(), path.name)
    assert not found
    assert plan.decisions


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ("", ""),
        ('[[unit]]\ncode = "16744"', "unit[1].code"),
        ('[[unit]]\ncode = "commune:16744"\nfrom = ["commune:1"]', "unit[1].from[1]"),
        ('[[unit]]\ncode = "commune:16744"\nflags = ["island"]', "unit[1].flags[1]"),
        ('[[end]]\norganisations = ["t.a", "t.a"]', "end[1].organisations[2]"),
        ('[[change]]\norganisation = "t.a"', "change[1]"),
        ('[[change]]\norganisation = "t.a"\nsuperior = "t.a"', "change[1].organisation"),
        ('[[change]]\norganisation = "t.a"\nfollow = true\nterritory = []', "change[1].follow"),
        ('[[change]]\norganisation = "t.a"\nfollow = true\n[[end]]\norganisations = ["t.a"]', "change[1].organisation"),
        ('[[organisation]]\nkey = "t.a"\nkind = "other"\nname = "A"\n[[end]]\norganisations = ["t.a"]', "organisation[1].key"),
        ('[[organisation]]\nkey = "t.a"\nkind = "other"\nname = "A"\nvalid_from = 2020-01-01', "organisation[1].valid_from"),
        ('[[decision]]\nquestion = "Ai?"', ""),
    ],
)
def test_a_reorganisation_that_contradicts_itself_is_refused_with_its_place(more, path):
    assert list(again(SORTED + more)) == [path]


def test_a_unit_goes_whole_into_one_unit_only():
    text = SORTED + '[[unit]]\ncode = "commune:16744"\nfrom = ["commune:16741"]\n'
    text += '[[unit]]\ncode = "commune:16750"\nfrom = ["commune:16741"]\nparts_of = ["commune:16741"]\n'
    assert list(again(text)) == ["unit[2].from[1]", "unit[2].parts_of[1]"]


def test_the_schema_of_each_format_accepts_what_the_checker_accepts():
    for table in (ORGANISATIONS, reorganisation.REORGANISATION):
        made = schema(table, "t")
        assert made["properties"]["format"]["enum"]
        assert made["additionalProperties"] is False
