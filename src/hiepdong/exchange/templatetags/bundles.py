"""Words of bundles: what is in one, how large it is, how far the work is, what became of its items."""

from collections.abc import Mapping

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, pgettext

from hiepdong.exchange.cover_sheet import contents
from hiepdong.exchange.models import Bundle
from hiepdong.shell.templatetags.hiepdong import number

register = template.Library()
register.filter("contents", contents)

MEASURES = ((1024**3, "GB"), (1024**2, "MB"), (1024, "KB"))
STEPS = {
    "write": gettext_noop("writing items"),
    "check": gettext_noop("checking items"),
    "store": gettext_noop("storing items"),
    "echo": gettext_noop("taking back own items"),
    "apply": gettext_noop("entering items"),
    "files": gettext_noop("keeping files"),
}
STATES = {
    "applied": gettext_noop("applied"),
    "held": gettext_noop("held"),
    "refused": gettext_noop("refused"),
    "staged": gettext_noop("not entered yet"),
}


@register.filter
def size_of(size: int) -> str:
    """Return a size in a measure that people know.

    >>> size_of(12), size_of(3 * 1024**2)
    ('12 B', '3 MB')
    """
    for unit, name in MEASURES:
        if size >= unit:
            return f"{number(round(size / unit, 1))} {name}"
    return f"{size} B"


@register.filter
def groups_of_four(digest: str) -> str:
    """Return a digest as it stands on the cover sheet, in groups of four.

    >>> groups_of_four("0123456789ab")
    '0123 4567 89ab'
    """
    return " ".join(digest[i : i + 4] for i in range(0, len(digest), 4))


@register.simple_tag
def digest_block(digest: str) -> SafeString:
    """Return a digest in groups of four, to be compared with paper; a reader of screens hears each group for itself."""
    each = (digest[i : i + 4] for i in range(0, len(digest), 4))
    return format_html('<p class="hd-digest">{}</p>', format_html_join(" ", "<span>{}</span>", ((g,) for g in each)))


@register.filter
def step_name(what: str) -> str:
    """Return a step of an export or import in the reader's language."""
    return _(STEPS.get(what, what))


def state_counts(states: Mapping[str, int]) -> str:
    """Return how many items are in which state, in words."""
    known = [f"{_(word)}: {number(states[key])}" for key, word in STATES.items() if states.get(key)]
    return "; ".join(known)


@register.filter
def states_in_words(states: Mapping[str, int]) -> str:
    """Return how many items are in which state, in words."""
    return state_counts(states) or pgettext("cover sheet", "none")


@register.simple_tag
def bundle_state(bundle: Bundle) -> SafeString:
    """Return the state of a bundle as shape and word: out: carried, confirmed; in: entered, being entered."""
    if bundle.outgoing:
        shape, word = ("on_time", _("confirmed")) if bundle.last <= bundle.peer.confirmed_through else ("due", _("on its way"))
        if not bundle.items:
            shape, word = "exempt", _("nothing to confirm")
    else:
        shape, word = ("on_time", _("taken in")) if bundle.finished_at else ("open", _("being entered"))
    return format_html('<span class="hd-status hd-{} hd-wrap">{}</span>', shape, word)
