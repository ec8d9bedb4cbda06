"""An example in a docstring is a promise: every one is run."""

import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PLAIN = sorted([*SOURCE.glob("hiepdong/*/domain/*.py"), *SOURCE.glob("hiepdong/kernel/*.py")])
WITH_EXAMPLES = [p for p in PLAIN if ">>> " in p.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda p: f"{p.parts[-3]}.{p.stem}")
def test_the_examples_in_the_docstrings_are_true(path):
    module = importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0
