"""The fields of a report form as its page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hiepdong.kernel.errors import DomainError

KINDS = ("v:", "s:", "p:", "c:", "x:", "t:")
OTHERS = ("subject", "text", "urgency")


@dataclass(frozen=True, slots=True)
class IndicatorRow:
    """One indicator: what it asks for, what was typed, what is wrong with it."""

    key: str
    name: str
    unit: str
    required: bool
    part: bool  # counted inside another indicator
    value: str
    state: str
    precision: str
    scope: str
    words: str
    error: str
    words_error: str


@dataclass(frozen=True, slots=True)
class SectionRow:
    """One section of text."""

    key: str
    name: str
    required: bool
    text: str
    error: str


def typed_in(post: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a report that a request carries."""
    return {k: str(post.get(k, "")) for k in post if k[:2] in KINDS or k in OTHERS}


def sentence(error: DomainError) -> str:
    """Return an error as one line: what is wrong, and what to do."""
    facts = error.facts
    parts = [_(error.message) % facts if facts else _(error.message)]
    if error.hint:
        parts.append(_(error.hint) % facts if facts else _(error.hint))
    return " ".join(parts)


def groups_of(
    definition: Mapping[str, Any], typed: Mapping[str, str], errors: Mapping[str, DomainError]
) -> list[tuple[str, list[IndicatorRow]]]:
    """Return the indicators in groups, in the order of the form."""
    found: dict[str, list[IndicatorRow]] = {}
    for i in definition["indicators"]:
        key = i["key"]
        said = {kind: sentence(errors[f"{kind}:{key}"]) for kind in "vxc" if f"{kind}:{key}" in errors}
        row = IndicatorRow(
            key=key,
            name=i["name"],
            unit=i["unit"],
            required=bool(i.get("required")),
            part=bool(i.get("parts_of")),
            value=typed.get(f"v:{key}", ""),
            state=typed.get(f"s:{key}", "value"),
            precision=typed.get(f"p:{key}", "exact"),
            scope=typed.get(f"c:{key}", ""),
            words=typed.get(f"x:{key}", ""),
            error=said.get("v", ""),
            words_error=" ".join(said[k] for k in "xc" if k in said),
        )
        found.setdefault(i.get("group", ""), []).append(row)
    return list(found.items())


def sections_of(definition: Mapping[str, Any], typed: Mapping[str, str], errors: Mapping[str, DomainError]) -> list[SectionRow]:
    """Return the sections of text in the order of the form."""
    return [
        SectionRow(
            key=s["key"],
            name=s["name"],
            required=bool(s.get("required")),
            text=typed.get(f"t:{s['key']}", ""),
            error=sentence(errors[f"t:{s['key']}"]) if f"t:{s['key']}" in errors else "",
        )
        for s in definition["sections"]
    ]
