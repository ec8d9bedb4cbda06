"""From what was typed into a report form to its content, and back. What cannot be read is named and kept as typed.

Typed keys: `v:<indicator>` the figure, `s:<indicator>` its state ("value", "not_reported", "no_number"), `p:<indicator>`
its precision, `c:<indicator>` its scope, `x:<indicator>` words for a figure without a number, `t:<section>` a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hiepdong.kernel.errors import DomainError, gettext_noop

from .figures import PRECISIONS, disagreements, read_in_unit, shown

STATES = ("value", "not_reported", "no_number")
LONGEST_SECTION = 20_000
LONGEST_SCOPE = 200
LONGEST_WORDS = 500


class FigureMissing(DomainError):
    """A figure that the form asks for is missing."""

    code = "reporting.figure_missing"
    message = gettext_noop("A figure is missing here.")
    hint = gettext_noop("Write it (0 is a figure), or choose “not reported” or “without a number”.")


class WordsMissing(DomainError):
    """Stated without a number, but nothing is stated."""

    code = "reporting.words_missing"
    message = gettext_noop("This is to be stated without a number, but nothing is stated.")
    hint = gettext_noop("Write in words what is known, or choose “not reported”.")


class TextMissing(DomainError):
    """A text that the form asks for is missing."""

    code = "reporting.text_missing"
    message = gettext_noop("This part is empty.")
    hint = gettext_noop("Write at least one sentence.")


class TextTooLong(DomainError):
    """A text is longer than can be kept."""

    code = "reporting.text_too_long"
    message = gettext_noop("This has %(found)s characters; at most %(most)s are kept.")
    hint = gettext_noop("Shorten it, or attach it as a file.")


class PartsExceedTotal(DomainError):
    """The parts are more than the total."""

    code = "reporting.parts_exceed_total"
    message = gettext_noop("The parts make %(parts)s, the total says %(stated)s.")
    hint = gettext_noop("Correct the total or its parts.")


@dataclass(frozen=True, slots=True)
class Answers:
    """What was typed, read: `figures` and `sections` as they are signed.

    `as_typed` holds the fields that cannot stand in the content; `faults` says by typed key what cannot be read, `gaps`
    what is still missing: neither keeps a draft from being saved, both keep it from being sent.
    """

    figures: list[dict[str, Any]]
    sections: list[dict[str, Any]]
    as_typed: dict[str, str] = field(default_factory=dict)
    faults: dict[str, DomainError] = field(default_factory=dict)
    gaps: dict[str, DomainError] = field(default_factory=dict)


def read_form(definition: Mapping[str, Any], typed: Mapping[str, str]) -> Answers:
    """Read every field of a form.

    An indicator that was left empty has no figure yet; `completed` says "not reported" for it when the report is sent.
    Parts are held against their total only where all of them are exact figures; cases and persons are never compared.
    """
    found = Answers([], [])
    for indicator in definition["indicators"]:
        _read_indicator(indicator, typed, found)
    exact = [f for f in found.figures if f["state"] == "value" and f["precision"] == "exact" and not f["scope"]]
    values = {f["indicator"]: Decimal(f["value"]) for f in exact}
    for d in disagreements(values, {i["key"]: i.get("parts_of", "") for i in definition["indicators"]}):
        found.gaps[f"v:{d.total}"] = PartsExceedTotal(parts=shown(d.parts), stated=shown(d.stated))
    for section in definition["sections"]:
        place = f"t:{section['key']}"
        text = typed.get(place, "").replace("\r\n", "\n").strip()
        if len(text) > LONGEST_SECTION:
            found.faults[place] = TextTooLong(found=len(text), most=LONGEST_SECTION)
            found.as_typed[place] = text
        elif text:
            found.sections.append({"key": section["key"], "name": section["name"], "text": text})
        elif section.get("required"):
            found.gaps[place] = TextMissing()
    return found


def _read_indicator(indicator: Mapping[str, Any], typed: Mapping[str, str], found: Answers) -> None:
    key = indicator["key"]
    value, words, scope = (typed.get(f"{kind}:{key}", "").strip() for kind in "vxc")
    state = typed.get(f"s:{key}", "value")
    state = state if state in STATES else "value"
    for kind, text, most in (("c", scope, LONGEST_SCOPE), ("x", words, LONGEST_WORDS)):
        if len(text) > most:
            found.faults[f"{kind}:{key}"] = TextTooLong(found=len(text), most=most)
            found.as_typed[f"{kind}:{key}"] = text
    answer = _empty(indicator) | {"state": state, "scope": scope[:LONGEST_SCOPE], "text": words[:LONGEST_WORDS]}
    if state != "value":
        if value:  # kept beside the choice, so that changing one's mind loses nothing
            found.as_typed[f"v:{key}"] = value
        if state == "no_number" and not words:
            found.gaps[f"x:{key}"] = WordsMissing()
        found.figures.append(answer)
    elif value:
        try:
            figure = read_in_unit(value, indicator["unit"])
        except DomainError as error:
            found.faults[f"v:{key}"] = error
            found.as_typed.update({f"{kind}:{key}": typed[f"{kind}:{key}"] for kind in "vpcx" if f"{kind}:{key}" in typed})
            return
        chosen = typed.get(f"p:{key}", "exact")
        precision = chosen if figure.precision == "exact" and chosen in PRECISIONS else figure.precision
        found.figures.append(answer | {"value": format(figure.value, "f"), "precision": precision})
    else:
        if indicator.get("required"):
            found.gaps[f"v:{key}"] = FigureMissing()
        found.as_typed.update({f"{kind}:{key}": text for kind, text in (("c", scope), ("x", words)) if text})


def _empty(indicator: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "indicator": indicator["key"],
        "name": indicator["name"],
        "state": "not_reported",
        "unit": indicator["unit"],
        "precision": "exact",
        "scope": "",
        "text": "",
    }


def completed(definition: Mapping[str, Any], figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the figures with "not reported" for every indicator that was left empty, in the order of the form."""
    answered = {f["indicator"]: f for f in figures}
    return [answered.get(i["key"], _empty(i)) for i in definition["indicators"]]


def typed_from(form: Mapping[str, Any], as_typed: Mapping[str, str]) -> dict[str, str]:
    """Return what the fields of the page hold: the answers kept so far, and over them what could not be read."""
    found: dict[str, str] = {}
    for f in form.get("figures", []):
        key = f["indicator"]
        found |= {f"s:{key}": f.get("state", "value"), f"c:{key}": f.get("scope", ""), f"x:{key}": f.get("text", "")}
        if f.get("state") == "value" and f.get("value") is not None:
            found[f"v:{key}"] = shown(Decimal(f["value"]))
            found[f"p:{key}"] = f.get("precision", "exact")
    for s in form.get("sections", []):
        found[f"t:{s['key']}"] = s.get("text", "")
    return found | dict(as_typed)
