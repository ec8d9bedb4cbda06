"""The table of remedies speaks of the source as it stands; whether each test fails without its remedy is for bin/remedies."""

import ast
import functools
from collections import Counter
from pathlib import Path

import pytest

from remedies import check

FAULTS, ROWS = check.read_table()
ROOT = Path(check.__file__).resolve().parents[2]


@functools.cache
def source(file):
    return (ROOT / file).read_text("utf-8")


@functools.cache
def names_in(file):
    return [n.name for n in ast.parse(source(file)).body if isinstance(n, ast.FunctionDef)]


def test_every_fault_has_a_remedy_and_every_remedy_a_fault():
    assert FAULTS.keys() == {r.fault for r in ROWS}


def test_each_remedy_has_a_name_of_its_own_that_is_no_fault():
    assert [name for name, n in Counter(r.name for r in ROWS).items() if n > 1] == []
    assert FAULTS.keys() & {r.name for r in ROWS} == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_a_remedy_stands_where_the_table_says_and_its_test_is_there(row):
    assert row.edits
    for edit in row.edits:
        assert edit.file.startswith("src/")
        assert edit.without != edit.text
    for file in {e.file for e in row.edits}:
        text = source(file)
        for edit in row.edits:
            if edit.file == file:
                assert text.count(edit.text) == 1, f"{file}: {edit.text}"
                text = text.replace(edit.text, edit.without)
        ast.parse(text)  # what is left is a program
    file, _, name = row.test.partition("::")
    assert names_in(file).count(name) == 1
    assert row.database in {"sqlite", "postgresql"}


SEEN = {"modules": {"hiepdong": "/copy/src/hiepdong/__init__.py"}, "collected": ["t"], "errors": []}


def how(outcome="failed", when="call", error="AssertionError", text=""):
    return {"test": "t", "when": when, "outcome": outcome, "error": error, "text": text}


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        ({"reports": [how()]}, True),
        ({"reports": [how(outcome="passed"), how(error="IntegrityError")]}, True),
        ({"reports": [how(outcome="passed")]}, False),
        ({"reports": [how(outcome="skipped")]}, False),
        ({"reports": [how(when="setup")]}, False),
        ({"reports": [how(error="NameError")]}, False),
        ({"reports": [how(), how(error="ImportError")]}, False),
        ({"reports": [how(text="a child died\nNameError: name 'x' is not defined")]}, False),
        ({"reports": [how()], "collected": []}, False),
        ({"reports": [how()], "errors": ["SyntaxError"]}, False),
        ({"reports": [how()], "modules": {}}, False),
        ({"reports": [how()], "modules": {"hiepdong": "/elsewhere/src/hiepdong/__init__.py"}}, False),
    ],
    ids=str,
)
def test_only_a_failure_of_the_program_in_the_copy_counts(seen, shown):
    assert check._judge(SEEN | seen, Path("/copy"))[0] is shown
