"""Filters of the review's pages."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from hiepdong.review import wording

register = template.Library()

ITEM_KINDS = {
    "task": gettext_noop("Task"),
    "proposal": gettext_noop("Proposal"),
    "directive": gettext_noop("Directive"),
    "limitation": gettext_noop("Stated limitation"),
}
SIDES = {
    "border_guard": gettext_noop("bodies of the Border Guard"),
    "locality": gettext_noop("bodies of the localities"),
}


@register.filter
def section_name(section: str) -> str:
    """Return the heading of a section."""
    return wording.section_name(section)


@register.filter
def item_kind(kind: str) -> str:
    """Return a kind of item in the reader's language."""
    return _(ITEM_KINDS.get(kind, kind))


@register.filter
def side_name(side: str) -> str:
    """Return a side of the regulation in the reader's language."""
    return _(SIDES.get(side, side))


@register.filter
def body_name(key: str, facts: Mapping[str, Any]) -> str:
    """Return a body's name as it was when the review was built."""
    return wording.name_of(facts, key)


@register.filter
def finding_name(kind: str) -> str:
    """Return the heading of a kind of finding."""
    return wording.finding_name(kind)
