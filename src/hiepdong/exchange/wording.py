"""Statements of account in words: on pages, on paper and on the terminal alike."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from .domain.account import Difference


def month_in_words(month: str) -> str:
    """Return "03/2020"."""
    year, number = month.split("-")
    return f"{number}/{year}"


def way_in_words(way: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return one line about one way: how many papers, which numbers, how many arrived and were answered, what is missing."""
    facts = {"sender": names.get(way["from"], way["from"]), "recipient": names.get(way["to"], way["to"])}
    rows = way["dispatches"]
    if not rows and not way["missing"]:
        return _("%(sender)s to %(recipient)s: nothing was sent.") % facts
    facts |= {
        "count": len(rows),
        "first": way["first"],
        "last": way["last"],
        "arrived": sum(r["arrived"] is not None for r in rows),
        "acknowledged": sum(r["verdict"] == "acknowledged" for r in rows),
        "returned": sum(r["verdict"] == "returned" for r in rows),
    }
    text = _(
        "%(sender)s to %(recipient)s: %(count)s papers (numbers %(first)s to %(last)s in the sequence), %(arrived)s arrived, "
        "%(acknowledged)s acknowledged, %(returned)s returned."
    )
    line = text % facts
    if way["missing"]:
        line += " " + _("Missing: %(numbers)s.") % {"numbers": numbers_in_words(way["missing"])}
    return line


def numbers_in_words(numbers: list[int]) -> str:
    """Return numbers with stretches drawn together.

    >>> numbers_in_words([2, 3, 4, 7])
    '2–4, 7'
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in parts)


def verdict_in_words(verdict: str) -> str:
    """Return what a recipient answered, or that nothing is known."""
    return {"acknowledged": _("acknowledged"), "returned": _("returned"), "": _("no answer known")}.get(verdict, verdict)


def _said(code: str, value: str) -> str:
    if code == "arrived":
        return f"{timezone.localtime(datetime.fromisoformat(value)):%H:%M:%S %d/%m/%Y}" if value else _("no receipt")
    return verdict_in_words(value)


def difference_in_words(d: Difference, names: Mapping[str, str]) -> str:
    """Return one difference as a sentence; "here" is the first of the two that were compared, "there" the second."""
    facts = {"sender": names.get(d.sender, d.sender), "recipient": names.get(d.recipient, d.recipient), "number": d.sequence}
    place = _("%(sender)s to %(recipient)s, number %(number)s:") % facts
    texts = {
        "only_ours": _("stands here; the other statement does not name it"),
        "only_theirs": _("stands in the other statement; nothing is known of it here"),
        "missing_here": _("is missing here; the other statement holds it")
        if d.theirs
        else _("is missing here; the other statement does not name it"),
        "missing_there": _("stands here; the other side is missing it")
        if d.ours
        else _("the other side is missing it; it is not of this month here"),
        "digest": _("other bytes: here %(ours)s, there %(theirs)s"),
        "arrived": _("arrival: here %(ours)s, there %(theirs)s"),
        "verdict": _("answer: here %(ours)s, there %(theirs)s"),
    }
    said = {"ours": d.ours[:16], "theirs": d.theirs[:16]}
    if d.code in {"arrived", "verdict"}:
        said = {"ours": _said(d.code, d.ours), "theirs": _said(d.code, d.theirs)}
    return f"{place} {texts[d.code] % said}."
