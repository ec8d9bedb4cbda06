"""Tags of the link pages: steps and reasons as sentences, how long ago, how a link is."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from hiepdong.exchange.domain.link_health import (
    STANDING_NAMES,
    TROUBLE_MESSAGES,
    TROUBLE_NAMES,
    WAIT_MESSAGES,
    LinkHealth,
    Standing,
    Trouble,
    grouped,
)
from hiepdong.exchange.domain.reasons import reason_of
from hiepdong.exchange.domain.why import WAYS, Step
from hiepdong.shell.templatetags.hiepdong import moment, number, receipt_name

register = template.Library()

SHAPES = {
    Standing.DISTURBED: "missing",
    Standing.WATCH: "late",
    Standing.MOVING: "due",
    Standing.STILL: "on_time",
    Standing.CLOSED: "exempt",
}
STATE_NAMES = {
    "invited": gettext_noop("number not compared yet"),
    "linked": gettext_noop("linked"),
    "paused": gettext_noop("paused"),
    "ended": gettext_noop("ended"),
}
ITEM_NAMES = {
    "dispatch": gettext_noop("dispatch"),
    "receipt": gettext_noop("receipt"),
    "key": gettext_noop("key statement"),
    "checkpoint": gettext_noop("checkpoint of the journal"),
    "witness": gettext_noop("witness of a checkpoint"),
}
TRUST_NAMES = {
    "witnessed": gettext_noop("vouched for by others"),
    "waiting": gettext_noop("waits for a witness"),
    "beyond_grace": gettext_noop("unproven: no witness for too long"),
}


@register.simple_tag
def elsewhere_mark(way: Any) -> SafeString | str:
    """Return the small mark beside a body that does not live here, with a warning where what is sent will wait."""
    if way is None:
        return ""
    node = format_html('<span class="hd-elsewhere">{}</span>', _("at another node: %(node)s") % {"node": way.node})
    said = WAIT_MESSAGES.get(way.wait)
    if said is None:
        return node
    why = format_html('<span class="hd-status hd-late hd-wrap">{}</span>', _(said) % {"silent": span(way.silent_hours)})
    return format_html("{} {}", node, why) if way.node else why


def sentence(message: str, facts: dict[str, Any]) -> str:
    """Return a sentence with its facts as people write them: moments, ways, receipts, reasons."""
    shown = {}
    for key, value in facts.items():
        if key == "code":
            shown[key] = _(reason_of(value).message) if value else ""
        elif key == "receipt":
            shown[key] = receipt_name(value)
        elif key == "way":
            shown[key] = _(WAYS[value]) if value in WAYS else value
        else:
            shown[key] = moment(value) if isinstance(value, datetime) else value
    return _(message) % shown if shown else _(message)


@register.filter
def said(step: Step) -> str:
    """Return a step as a sentence."""
    return sentence(step.message, step.facts)


@register.filter
def meaning(code: str) -> str:
    """Return what a code of a held or refused item, or of an incident, means."""
    return _(reason_of(code).message)


@register.filter
def in_words(text: str) -> str:
    """Return a marked message in the reader's language."""
    return _(text) if text else ""


@register.filter
def state_name(state: str) -> str:
    """Return the state of a link in the reader's language."""
    return _(STATE_NAMES.get(state, state))


@register.filter
def item_name(kind: str) -> str:
    """Return a kind of item in the reader's language."""
    return _(ITEM_NAMES.get(kind, kind))


@register.filter
def trust_name(state: str) -> str:
    """Return the state of trust in the journal in the reader's language."""
    return _(TRUST_NAMES.get(str(state), str(state)))


@register.filter
def way_name(way: str) -> str:
    """Return the way by which something came in the reader's language."""
    return _(WAYS.get(way, way))


@register.filter
def trouble_text(trouble: Trouble, health: LinkHealth) -> str:
    """Return what a trouble of a link is, with its numbers."""
    facts: dict[str, Any] = {name: number(value) for name, value in health.facts.items()}
    facts |= {"silent": span(health.facts["silent_hours"]), "oldest": span(health.facts["oldest_hours"])}
    return _(TROUBLE_MESSAGES[trouble]) % facts


def span(hours: int) -> str:
    """Return a span of whole hours as people say it: in days from the third on."""
    if hours < 48:
        return ngettext("%(n)s hour", "%(n)s hours", hours) % {"n": hours}
    return ngettext("%(n)s day", "%(n)s days", hours // 24) % {"n": number(hours // 24)}


def standing_word(health: LinkHealth) -> str:
    """Return a link's standing in a few words: its heaviest trouble, or that there is none."""
    return _(TROUBLE_NAMES[health.troubles[0]] if health.troubles else STANDING_NAMES[health.standing])


@register.simple_tag
def standing_badge(row: Any) -> SafeString:
    """Return how a link is as shape, word and colour; a closed link says why it is closed."""
    health: LinkHealth = row.health
    shape = "silent" if health.troubles and health.troubles[0] == Trouble.QUIET else SHAPES[health.standing]
    word = state_name(row.peer.state) if health.standing == Standing.CLOSED else standing_word(health)
    return format_html('<span class="hd-status hd-{} hd-wrap">{}</span>', shape, word)


@register.simple_tag
def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, in the largest whole unit."""
    if at is None:
        return _("never")
    span = max(timedelta(0), now - at)
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return _("just now")
    if minutes < 60:
        return ngettext("%(n)s minute ago", "%(n)s minutes ago", minutes) % {"n": minutes}
    hours = minutes // 60
    if hours < 48:
        return ngettext("%(n)s hour ago", "%(n)s hours ago", hours) % {"n": hours}
    return ngettext("%(n)s day ago", "%(n)s days ago", hours // 24) % {"n": hours // 24}


@register.filter
def groups(fingerprint: str) -> str:
    """Return a fingerprint in groups of four, to be read out."""
    return grouped(fingerprint)


@register.simple_tag
def clock_difference(seconds: int | None) -> str:
    """Return how far another node's clock is from ours."""
    if seconds is None:
        return _("not compared yet")
    if abs(seconds) < 2:
        return _("none")
    size = abs(seconds)
    if size < 120:
        told = ngettext("%(n)s second", "%(n)s seconds", size) % {"n": size}
    elif size < 2 * 86_400:
        told = ngettext("%(n)s minute", "%(n)s minutes", size // 60) % {"n": size // 60}
    else:
        told = ngettext("%(n)s day", "%(n)s days", size // 86_400) % {"n": size // 86_400}
    return _("theirs is %(size)s ahead") % {"size": told} if seconds > 0 else _("theirs is %(size)s behind") % {"size": told}
