"""A duty rule in words: who owes whom, when it arises, by when, when reminders are due, who may waive or suspend."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from hiepdong.shell.templatetags.hiepdong import organisation_kind

SIDES = {"border_guard": gettext_noop("the Border Guard's side"), "locality": gettext_noop("the localities' side")}
RELATIONS = {
    "same_territory": gettext_noop("of the same territory"),
    "superior": gettext_noop("above it"),
    "subordinate": gettext_noop("below it"),
}
FAMILY_NAMES = {
    "week": gettext_noop("every week"),
    "month": gettext_noop("every calendar month"),
    "quarter": gettext_noop("every calendar quarter"),
    "half": gettext_noop("every calendar half-year"),
    "nine-months": gettext_noop("for the first nine months"),
    "year": gettext_noop("every calendar year"),
    "r-rep-month": gettext_noop("every month (15th to 14th)"),
    "r-rep-quarter": gettext_noop("every quarter (to the 14th of its last month)"),
    "r-rep-half": gettext_noop("every half-year (to 14 June, to 14 December)"),
    "r-rep-nine-months": gettext_noop("for nine months (to 14 September)"),
    "r-rep-year": gettext_noop("every year (15 December to 14 December)"),
    "month-25": gettext_noop("every month (26th to 25th; December to the 31st)"),
}
MOMENTS = {
    "happened": gettext_noop("from when it happened"),
    "found": gettext_noop("from when it was found"),
    "received": gettext_noop("from when word of it came"),
}
UNITS = {
    "hours": (gettext_noop("within %(n)s hour"), gettext_noop("within %(n)s hours")),
    "days": (gettext_noop("within %(n)s day"), gettext_noop("within %(n)s days")),
    "working_days": (gettext_noop("within %(n)s working day"), gettext_noop("within %(n)s working days")),
    "weeks": (gettext_noop("within %(n)s week"), gettext_noop("within %(n)s weeks")),
}
DAYS_OFF = {
    "previous": gettext_noop("on a day off: the working day before"),
    "next": gettext_noop("on a day off: the next working day"),
}
DECIDERS = {
    "creditor": gettext_noop("the receiving body"),
    "debtor": gettext_noop("the body that owes it"),
    "superior": gettext_noop("the superior of the body that owes it"),
}


def in_words(spec: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of a rule as phrases; `names` are names of organisations by key. Absent parts are empty."""
    copies = [_selector(s, names) for s in spec.get("copies", ())]
    return {
        "debtor": _selector(spec["debtor"], names),
        "creditor": _selector(spec["creditor"], names),
        "copies": "; ".join(copies),
        "trigger": _trigger(spec["trigger"]),
        "deadline": _deadline(spec["deadline"]),
        "reminders": ", ".join(_reminder(n) for n in sorted(spec.get("reminders", ()))),
        "may_waive": ", ".join(_(DECIDERS[d]) for d in spec.get("may_waive", ())),
        "may_suspend": ", ".join(_(DECIDERS[d]) for d in spec.get("may_suspend", ())),
    }


def _selector(selector: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if "organisation" in selector:
        return names.get(selector["organisation"], selector["organisation"])
    kinds = selector.get("kind", [])
    words = ", ".join(organisation_kind(k) for k in ([kinds] if isinstance(kinds, str) else kinds))
    if not words:
        words = _(SIDES.get(selector["side"], selector["side"]))
    relation = RELATIONS.get(selector.get("relation", ""))
    return f"{words} {_(relation)}" if relation else words


def _trigger(trigger: Mapping[str, Any]) -> str:
    match trigger["type"]:
        case "period":
            family = trigger["family"]
            named = FAMILY_NAMES.get(family)
            return _(named) if named else _("every period of “%(family)s”") % {"family": family}
        case "event":
            moment = MOMENTS[trigger["moment"]]
            facts = {"event": trigger["event"], "moment": _(moment)}
            return _("when “%(event)s” occurs, counted %(moment)s") % facts
        case _:
            return _("every year on %(day)s/%(month)s") % {"day": trigger["day"], "month": trigger["month"]}


def _deadline(deadline: Mapping[str, Any]) -> str:
    text = _one_deadline(deadline)
    for kind, tier in deadline.get("tiers", {}).items():
        text += f"; {organisation_kind(kind)}: {_one_deadline({**deadline, **tier})}"
    return text


def _one_deadline(rule: Mapping[str, Any]) -> str:
    match rule["type"]:
        case "day_of_period_end_month":
            text = _("day %(day)s of the month in which the period ends") % {"day": rule["day"]}
        case "day_of_month_after":
            text = _("day %(day)s of the month after the period") % {"day": rule["day"]}
        case "after":
            one, many = UNITS[rule["unit"]]
            number = rule["amount"]
            text = _(one if number == 1 else many) % {"n": number}
        case _:
            text = _("on the day itself")
    parts = [text]
    if rule.get("earliest_working_days"):
        count = rule["earliest_working_days"]
        parts.append(
            ngettext("not before %(n)s working day after the cut-off", "not before %(n)s working days after the cut-off", count)
            % {"n": count}
        )
    if rule.get("latest_day"):
        parts.append(_("not after day %(day)s") % {"day": rule["latest_day"]})
    if rule.get("on_day_off") in DAYS_OFF:
        day_off = DAYS_OFF[rule["on_day_off"]]
        parts.append(_(day_off))
    return ", ".join(parts)


def _reminder(days: int) -> str:
    if days == 0:
        return _("on the last day")
    n = abs(days)
    if days < 0:
        return ngettext("%(n)s day before", "%(n)s days before", n) % {"n": n}
    return ngettext("%(n)s day after", "%(n)s days after", n) % {"n": n}
