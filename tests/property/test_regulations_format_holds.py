"""Whatever becomes of a regulation file, the checker answers: problems in words, or a regulation that the engine can run."""

import copy
import json
import string
import tomllib
from datetime import date, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.examples import run_examples
from hiepdong.organisations.domain import format as organisations
from hiepdong.organisations.domain import reorganisation
from hiepdong.regulations.domain.format import check, examine
from hiepdong.regulations.domain.overlap import asked_in_file, asked_twice

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = {
    "regulation": EXAMPLES / "nghe-an-2026" / "regulation.toml",
    "organisations": EXAMPLES / "nghe-an-2026" / "organisations.toml",
    "reorganisation": EXAMPLES / "nghe-an-2025-reorganisation" / "sap-xep-2025.toml",
}


@cache
def read(name):
    """Return a short version of the example: all of every kind of row, few of each, so that a run stays fast."""
    data = tomllib.loads(FILES[name].read_text(encoding="utf-8"))
    short = {k: v[:14] if isinstance(v, list) else v for k, v in data.items()}
    if name == "regulation":
        short["period_family"] = [{"key": "hai-ky", "ends": ["05-20", "11-20"], "names": ["K1", "K2"]}]
        short["duty"][0]["trigger"]["family"] = "hai-ky"
        short["example"] = [e for e in short["example"] if e["duty"] != short["duty"][0]["key"]]
    return short


def toml(value):
    """Return any value as TOML text; keys are quoted, tables are inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else str(value)


def document(data):
    return "\n".join(f"{json.dumps(k)} = {toml(v)}" for k, v in data.items())


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from places(item, (*path, i))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30) | st.sampled_from(
    ["", " ", "\u0000", "a" * 400, "{y}", "%(x)s", "week", "2026-02", "9999-12-31T23:59-12:00", "02-30", "02-29"]
)
KEYS = st.text(string.ascii_letters, min_size=1, max_size=5)
VALUES = st.recursive(
    st.none().map(lambda _: 0)
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=True).map(lambda x: x if x == x and abs(x) != float("inf") else 0.5)
    | TEXTS
    | st.dates()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mutated(draw, name):
    data = copy.deepcopy(read(name))
    spots = [p for p in places(data) if p]
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(spots))
        holder = data
        try:
            for step in path[:-1]:
                holder = holder[step]
            match draw(st.sampled_from(["replace", "delete", "add", "double"])):
                case "replace":
                    holder[path[-1]] = draw(VALUES)
                case "delete":
                    del holder[path[-1]]
                case "double" if isinstance(holder, list):
                    holder.append(copy.deepcopy(holder[path[-1]]))
                case "add" if isinstance(holder, dict):
                    holder[draw(st.text(string.ascii_lowercase, min_size=1, max_size=8))] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    return document(data).encode("utf-8", "surrogatepass")


def answers(found, good):
    """Say that there are problems in words, or a result, and never both."""
    assert bool(found) != bool(good)
    for problem in found:
        assert problem.accepted
        assert str(problem)


@settings(max_examples=150, deadline=None)
@given(mutated("regulation"))
def test_a_regulation_changed_anywhere_is_checked_and_counted_without_a_crash(data):
    regulation, found = check(data, "t.toml")
    answers(found, regulation)
    understood, problems = examine(data, "t.toml")
    assert problems == found
    if understood is not None:  # the rest of a file with problems is counted as well
        for problem in run_examples(understood, national_calendar(), "t.toml"):
            assert str(problem)
    if regulation is not None:
        asked_twice(list(asked_in_file(regulation)))


@settings(max_examples=100, deadline=None)
@given(mutated("organisations"))
def test_an_organisation_file_changed_anywhere_is_checked_without_a_crash(data):
    bodies, found = organisations.check(data, "t.toml")
    answers(found, bodies)


@settings(max_examples=100, deadline=None)
@given(mutated("reorganisation"))
def test_a_reorganisation_file_changed_anywhere_is_checked_without_a_crash(data):
    plan, found = reorganisation.check(data, "t.toml")
    answers(found, plan)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_bytes_cut_or_changed_anywhere_are_answered(name, data):
    raw = bytearray(FILES[name].read_bytes()[:6000])
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for how in (check, organisations.check, reorganisation.check):
        good, found = how(cut, "t.toml")
        answers(found, good)


@pytest.mark.parametrize("name", FILES)
def test_the_unchanged_short_example_is_what_the_mutations_start_from(name):
    how = {"regulation": check, "organisations": organisations.check, "reorganisation": reorganisation.check}[name]
    _good, found = how(document(read(name)).encode(), "t.toml")
    assert not found
