"""What imports cannot show: foreign keys and template includes point downwards."""

import re
import tomllib
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = next(c["layers"] for c in CONTRACTS if c["id"] == "apps")
RANK = {app: rank for rank, line in enumerate(reversed(LAYERS)) for app in line.split(" | ")}
OURS = [m for m in apps.get_models() if m._meta.app_label in RANK]


def allowed(source: str, target: str) -> bool:
    return source == target or target not in RANK or RANK[target] < RANK[source]


@pytest.mark.parametrize("model", OURS, ids=lambda m: m._meta.label)
def test_foreign_keys_point_downwards(model):
    for field in model._meta.get_fields():
        if field.concrete and field.related_model:
            assert allowed(model._meta.app_label, field.related_model._meta.app_label), field


@pytest.mark.parametrize("path", sorted((ROOT / "src").glob("hiepdong/*/templates/**/*.html")), ids=lambda p: p.name)
def test_templates_extend_and_include_downwards(path):
    source = path.relative_to(ROOT / "src/hiepdong").parts[0]
    for target in re.findall(r"""{% (?:extends|include) ["'](\w+)/""", path.read_text()):
        assert allowed(source, target), target


def test_every_constraint_and_index_carries_the_name_of_its_app():
    for model in OURS:
        for thing in [*model._meta.constraints, *model._meta.indexes]:
            assert thing.name.startswith(model._meta.app_label + "_"), thing.name
