"""The declared file formats: the reference pages and the JSON Schema follow from them and are current."""

import json
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import jsonschema
import pytest

from hiepdong.kernel.declared import Field, Table, check_table, reference
from hiepdong.organisations.domain.format import ORGANISATIONS
from hiepdong.organisations.domain.reorganisation import REORGANISATION
from hiepdong.regulations.domain.declaration import REGULATION, schema
from hiepdong.regulations.domain.format import FAMILIES

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
TABLES = {"organisation": ORGANISATIONS, "reorganisation": REORGANISATION, "regulation": REGULATION}


def formats():
    """Return bin/formats as a module."""
    loader = SourceFileLoader("hiepdong_bin_formats", str(ROOT / "bin" / "formats"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", formats().files(), ids=lambda p: p.name)
def test_what_follows_from_the_declarations_is_current(path):
    assert path.read_text(encoding="utf-8") == formats().files()[path], "run .venv/bin/python bin/formats"


def every_field(table, path=""):
    for name, f in table.fields.items():
        yield f"{path}{name}", f
        if f.of is not None:
            yield from every_field(f.of, f"{path}{name}.")


@pytest.mark.parametrize("name", TABLES)
def test_every_key_has_a_meaning_and_every_optional_value_a_default_or_a_reason(name):
    for path, f in every_field(TABLES[name]):
        assert f.doc, path
        if not f.required and f.of is None and "cần khi" not in f.doc and not f.default:
            # What may be left out without a default is an alternative (a selector's keys, `due` or `due_at`) or a plain fact.
            assert path.rpartition(".")[2] in PLAIN, path


PLAIN = {"organisation", "kind", "side", "form", "due", "due_at", "on", "debtor_kind", "notation", "place", "superior"}
PLAIN |= {"territory", "founding_instrument", "predecessors", "valid_from", "source", "name", "parent", "from", "parts_of"}
PLAIN |= {"flags", "about", "type"}


@pytest.mark.parametrize("name", TABLES)
def test_every_example_of_the_reference_is_accepted_by_the_checker(name):
    shown = 0
    for path, f in every_field(TABLES[name]):
        if f.example:
            text = (
                f.example if f.kind not in {"text", "text or list of text"} or f.example[0] in '["' else json.dumps(f.example)
            )
            value = tomllib.loads(f"x = {text}")["x"]
            assert not list(check_table({"x": value}, Table("", {"x": f}), "")), path
            shown += 1
    assert shown > 5


def test_the_reference_names_every_key_of_every_table_and_every_period_family():
    for name, table in TABLES.items():
        page = (REFERENCE / f"{name}-format.md").read_text(encoding="utf-8")
        for path, _f in every_field(table):
            assert f"| `{path.rpartition('.')[2]}` |" in page, path
    page = (REFERENCE / "regulation-format.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        assert f"`{family}`" in page


def plain(value):
    """Return TOML values as JSON has them: dates as text."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value if isinstance(value, str | int | bool) else value.isoformat()


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*/regulation.toml")), ids=lambda p: p.parent.name)
def test_an_editor_with_the_schema_accepts_what_the_checker_accepts(path):
    committed = json.loads((REFERENCE / "regulation.schema.json").read_text(encoding="utf-8"))
    assert committed == schema()
    checker = jsonschema.Draft202012Validator(committed)
    checker.check_schema(committed)
    data = plain(tomllib.loads(path.read_text(encoding="utf-8")))
    assert not list(checker.iter_errors(data))
    data["duty"][0]["deadlin"] = 1
    assert [e.message for e in checker.iter_errors(data)]


def test_a_pipe_in_a_meaning_does_not_break_a_row_of_the_reference():
    text = reference(Table("t", {"a": Field("text", "một | hai", default="x\ny")}), "(tệp)")
    row = next(line for line in text.splitlines() if line.startswith("| `a`"))
    assert row.replace("\\|", "").count("|") == 7
