"""Tags and filters of the page frame: links, statuses, dates and figures as Vietnamese offices write them."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.template.context import RequestContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

register = template.Library()

ROLE_NAMES = {
    "viewer": gettext_noop("viewer"),
    "clerk": gettext_noop("clerk"),
    "signer": gettext_noop("signer"),
    "organisation_administrator": gettext_noop("organisation administrator"),
    "node_administrator": gettext_noop("node administrator"),
}
STATUS_NAMES = {
    "not_yet_due": gettext_noop("not yet due"),
    "due": gettext_noop("due"),
    "fulfilled": gettext_noop("fulfilled"),
    "fulfilled_late": gettext_noop("fulfilled late"),
    "overdue": gettext_noop("overdue"),
    "waived": gettext_noop("waived"),
    "suspended": gettext_noop("suspended"),
}
KIND_NAMES = {
    "report": gettext_noop("report"),
    "nil_report": gettext_noop("nil report"),
    "notice": gettext_noop("notice"),
    "withdrawal": gettext_noop("withdrawal"),
    "act": gettext_noop("act"),
    "directory": gettext_noop("directory of a node"),
    "regulation": gettext_noop("regulation for signing"),
    "account": gettext_noop("statement of account"),
}
URGENCY_NAMES = {
    "ordinary": gettext_noop("ordinary"),
    "urgent": gettext_noop("urgent"),
    "very_urgent": gettext_noop("very urgent"),
    "immediate": gettext_noop("immediate"),
}


@register.simple_tag
def url_if(name: str, *args: Any) -> str:
    """Return the address of a page, or "#" while no such page is part of this node."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return "#"


@register.simple_tag(takes_context=True)
def nav_link(context: RequestContext, name: str, label: str) -> SafeString:
    """Return one entry of the navigation, marked when it is the current page."""
    try:
        address = reverse(name)
    except NoReverseMatch:
        return SafeString("")
    path = context["request"].path
    here = path == address if address == "/" else path.startswith(address)
    return format_html('<li><a href="{}"{}>{}</a></li>', address, SafeString(' aria-current="page"') if here else "", label)


@register.filter
def can(seat: Any, action: str) -> bool:
    """Say whether the seat's role allows the action."""
    return seat is not None and seat.may(action)


@register.filter
def role_name(role: str) -> str:
    """Return a role in the reader's language."""
    return _(ROLE_NAMES.get(role, role))


@register.filter
def kind_name(kind: str) -> str:
    """Return a kind of dispatch in the reader's language."""
    return _(KIND_NAMES.get(kind, kind))


@register.filter
def urgency_name(urgency: str) -> str:
    """Return an urgency in the reader's language."""
    return _(URGENCY_NAMES.get(urgency, urgency))


@register.simple_tag
def status_badge(status: Any) -> SafeString:
    """Return a status as shape, word and colour."""
    value = str(getattr(status, "value", status))
    return format_html('<span class="hd-status hd-{}">{}</span>', value, _(STATUS_NAMES.get(value, value)))


def _days_late(due_at: datetime, at: datetime) -> int:
    last = timezone.localtime(due_at - timedelta(microseconds=1)).date()
    return max(1, (timezone.localtime(at).date() - last).days)


@register.simple_tag
def due_badge(duty: Any, at: datetime) -> SafeString:
    """Return the status of an open duty with the days that are left or that it is late, in one badge."""
    value = str(getattr(duty.status, "value", duty.status))
    if value == "overdue":
        days = _days_late(duty.due_at, at)
        text = ngettext("overdue by %(days)s day", "overdue by %(days)s days", days) % {"days": days}
    elif value == "due":
        text = due_in(duty.due_at, at)
    else:
        text = _(STATUS_NAMES.get(value, value))
    return format_html('<span class="hd-status hd-{}">{}</span>', value, text)


@register.simple_tag
def unverified(verified: bool) -> SafeString:
    """Return a mark for a fact whose source was not seen."""
    return SafeString("") if verified else format_html('<span class="hd-unverified">{}</span>', _("not verified"))


@register.filter
def day(value: date | datetime | None) -> str:
    """Return a local day as 18/12/2020."""
    if value is None:
        return ""
    return f"{timezone.localtime(value) if isinstance(value, datetime) else value:%d/%m/%Y}"


@register.filter
def moment(value: datetime | None) -> str:
    """Return a local moment as 14:05 18/12/2020."""
    return f"{timezone.localtime(value):%H:%M %d/%m/%Y}" if value else ""


@register.filter
def last_day(due_at: datetime) -> str:
    """Return until when something is on time: the day before midnight, or the minute of an hour count."""
    local = timezone.localtime(due_at)
    if (local.hour, local.minute, local.second) == (0, 0, 0):
        return f"{local - timedelta(days=1):%d/%m/%Y}"
    return f"{local:%H:%M %d/%m/%Y}"


@register.simple_tag
def due_in(due_at: datetime, at: datetime) -> str:
    """Return how long is left or since when it is late, in whole local days."""
    last = timezone.localtime(due_at - timedelta(microseconds=1)).date()
    days = (last - timezone.localtime(at).date()).days
    if due_at <= at:
        late = _days_late(due_at, at)
        return ngettext("%(days)s day late", "%(days)s days late", late) % {"days": late}
    if days == 0:
        return _("today is the last day")
    return ngettext("%(days)s day left", "%(days)s days left", days) % {"days": days}


@register.filter
def silence_days(silence: Any) -> str:
    """Return the first and the last silent day as 20/02 – 14/07/2020, both inclusive."""
    first, last = silence.after + timedelta(days=1), silence.until - timedelta(days=1)
    return f"{first:%d/%m} – {last:%d/%m/%Y}" if first.year == last.year else f"{first:%d/%m/%Y} – {last:%d/%m/%Y}"


@register.filter
def number(value: Any) -> str:
    """Return a number in Vietnamese form: 1.570; 468,281."""
    if value is None or value == "":
        return ""
    whole, _dot, decimals = format(Decimal(str(value)).normalize(), "f").partition(".")
    sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return sign + f"{int(whole):,}".replace(",", ".") + (f",{decimals}" if decimals else "")


@register.simple_tag(takes_context=True)
def with_query(context: RequestContext, **changes: Any) -> str:
    """Return the present query string with some keys changed; a None or empty value removes the key."""
    query = context["request"].GET.copy()
    for key, value in changes.items():
        if value in {None, ""}:
            query.pop(key, None)
        else:
            query[key] = str(value)
    return "?" + query.urlencode()


@register.filter
def status_name(status: str) -> str:
    """Return a status in the reader's language."""
    return _(STATUS_NAMES.get(status, status))


RECEIPT_NAMES = {
    "arrived": gettext_noop("arrived"),
    "acknowledged": gettext_noop("acknowledged"),
    "returned": gettext_noop("returned"),
    "in_work": gettext_noop("in work"),
    "done": gettext_noop("done"),
}
PRECISION_NAMES = {"exact": "", "about": gettext_noop("about"), "over": gettext_noop("over"), "nearly": gettext_noop("nearly")}


@register.filter
def receipt_name(code: str) -> str:
    """Return a receipt code in the reader's language."""
    return _(RECEIPT_NAMES.get(code, code))


@register.filter
def precision_word(precision: str) -> str:
    """Return the word that stands before a figure: nothing, about, over, nearly."""
    name = PRECISION_NAMES.get(precision, "")
    return _(name) if name else ""


ORGANISATION_KINDS = {
    "party_province": gettext_noop("provincial Party committee"),
    "party_district": gettext_noop("district Party committee"),
    "party_commune": gettext_noop("commune Party committee"),
    "peoples_committee_province": gettext_noop("provincial People's Committee"),
    "peoples_committee_district": gettext_noop("district People's Committee"),
    "peoples_committee_commune": gettext_noop("commune People's Committee"),
    "border_guard_party": gettext_noop("Border Guard Party committee"),
    "border_guard_command": gettext_noop("Border Guard command"),
    "border_station": gettext_noop("border station"),
    "border_gate_command": gettext_noop("border gate command"),
    "sea_squadron": gettext_noop("sea squadron"),
    "military_command": gettext_noop("military command"),
    "department": gettext_noop("department"),
    "ministry": gettext_noop("ministry"),
    "government": gettext_noop("government"),
    "foreign_counterpart": gettext_noop("foreign counterpart"),
    "other": gettext_noop("other body"),
}


@register.filter
def organisation_kind(kind: str) -> str:
    """Return a kind of organisation in the reader's language."""
    return _(ORGANISATION_KINDS.get(kind, kind))


_QUARTERS = {"Q1": "I", "Q2": "II", "Q3": "III", "Q4": "IV"}


@register.filter
def occasion(label: str) -> str:
    """Return the label of a period or occasion as people say it: "2020-03" is tháng 3/2020, "2020-Q1" quý I/2020."""
    year, _dash, part = str(label).partition("-")
    if not (year.isdigit() and len(year) == 4):
        return _("on the event") if str(label).startswith("event:") else str(label)
    if not part:
        return _("the year %(year)s") % {"year": year}
    if part in _QUARTERS:
        return _("quarter %(quarter)s/%(year)s") % {"quarter": _QUARTERS[part], "year": year}
    if part in {"H1", "H2"}:
        text = _("the first six months of %(year)s") if part == "H1" else _("the last six months of %(year)s")
        return text % {"year": year}
    if part == "9M":
        return _("nine months of %(year)s") % {"year": year}
    if part[0] == "W" and part[1:].isdigit():
        return _("week %(week)s/%(year)s") % {"week": int(part[1:]), "year": year}
    if len(part) == 2 and part.isdigit():
        return _("month %(month)s/%(year)s") % {"month": int(part), "year": year}
    try:
        return f"{date.fromisoformat(label):%d/%m/%Y}"
    except ValueError:
        return str(label)
