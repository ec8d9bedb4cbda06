"""From what was typed into a report form to its content, and back. What cannot be read is named and kept as typed.

Typed keys: `v:<indicator>` the figure, `s:<indicator>` its state ("value", "not_reported", "no_number"), `x:<indicator>`
words for a figure without a number, `t:<section>` a text, `subject`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hiepdong.kernel.errors import DomainError, gettext_noop

from .figures import Disagreement, UnreadableFigure, disagreements, read_figure, shown


class FigureMissing(DomainError):
    """A figure that the form asks for is missing."""

    code = "reporting.figure_missing"
    message = gettext_noop("A figure is missing here.")
    hint = gettext_noop("Write it (0 is a figure), or choose “not reported” or “without a number”.")


class TextMissing(DomainError):
    """A text that the form asks for is missing."""

    code = "reporting.text_missing"
    message = gettext_noop("This part is empty.")
    hint = gettext_noop("Write at least one sentence.")


class PartsExceedTotal(DomainError):
    """The parts are more than the total."""

    code = "reporting.parts_exceed_total"
    message = gettext_noop("The parts make %(parts)s, the total says %(stated)s.")
    hint = gettext_noop("Correct the total or its parts.")


def read_form(
    definition: Mapping[str, Any], typed: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, str]], dict[str, DomainError]]:
    """Return the figures and sections of a report and the faults by typed key."""
    faults: dict[str, DomainError] = {}
    figures: list[dict[str, Any]] = []
    values: dict[str, Decimal] = {}
    parts: dict[str, str] = {}
    for i in definition["indicators"]:
        key = i["key"]
        state, text = typed.get(f"s:{key}", "value") or "value", typed.get(f"v:{key}", "").strip()
        row = {"indicator": key, "name": i["name"], "unit": i["unit"], "precision": "exact", "scope": "", "text": ""}
        if state == "no_number":
            figures.append(row | {"state": "no_number", "text": typed.get(f"x:{key}", "").strip()[:500]})
        elif state == "not_reported" or (not text and not i.get("required")):
            figures.append(row | {"state": "not_reported"})
        elif not text:
            faults[f"v:{key}"] = FigureMissing()
        else:
            try:
                read = read_figure(text)
            except UnreadableFigure as error:
                faults[f"v:{key}"] = error
                continue
            values[key], parts[key] = read.value, i.get("parts_of", "")
            figures.append(row | {"state": "value", "value": format(read.value, "f"), "precision": read.precision})
    for found in disagreements(values, parts):
        faults[f"v:{found.total}"] = _exceeds(found)
    sections = []
    for s in definition["sections"]:
        text = typed.get(f"t:{s['key']}", "").strip()
        if s.get("required") and not text:
            faults[f"t:{s['key']}"] = TextMissing()
        sections.append({"key": s["key"], "name": s["name"], "text": text})
    return figures, sections, faults


def _exceeds(found: Disagreement) -> PartsExceedTotal:
    return PartsExceedTotal(parts=shown(found.parts), stated=shown(found.stated))


def typed_from(content: Mapping[str, Any]) -> dict[str, str]:
    """Return what would have been typed for a content, to go on writing where it was left."""
    form = content.get("body", {}).get("form", {})
    typed = {"subject": str(content.get("subject", ""))}
    for f in form.get("figures", []):
        key = f["indicator"]
        typed[f"s:{key}"] = f.get("state", "value")
        if f.get("state") == "value" and f.get("value") is not None:
            typed[f"v:{key}"] = shown(Decimal(f["value"]), f.get("precision", "exact"))
        typed[f"x:{key}"] = f.get("text", "")
    for s in form.get("sections", []):
        typed[f"t:{s['key']}"] = s.get("text", "")
    return typed
