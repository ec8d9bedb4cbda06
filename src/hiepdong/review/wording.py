"""The sentences of a review. A review is a Vietnamese document, so they are Vietnamese whatever the reader's screen is.

Sentences are neutral: they state what the records show ("at times not kept up"), with clause, bodies and periods, and
judge nobody. People may replace each of them (`Passage`).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import wraps
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from hiepdong.shell.templatetags.hiepdong import number, occasion

Facts = Mapping[str, Any]

SECTION_NAMES = {
    "leadership": gettext_noop("Dissemination and leadership"),
    "situation": gettext_noop("Situation of the area"),
    "results": gettext_noop("Results by field of coordination"),
    "exchange": gettext_noop("Regularity of exchange and reporting"),
    "strengths": gettext_noop("Strengths"),
    "limitations": gettext_noop("Limitations"),
    "causes": gettext_noop("Causes"),
    "lessons": gettext_noop("Lessons"),
    "tasks": gettext_noop("Directions and key tasks"),
    "proposals": gettext_noop("Proposals and recommendations"),
}
CAUSE_NAMES = {
    "terrain": gettext_noop("the area is large and difficult for the forces available"),
    "opposite_side": gettext_noop("conditions on the other side and the methods of offenders"),
    "unclear_rules": gettext_noop("no clear rules on lead, roles or costs"),
    "few_people": gettext_noop("few people, language, equipment"),
    "no_line": gettext_noop("poor lines and transport"),
    "epidemic": gettext_noop("epidemic, natural disaster"),
    "economy": gettext_noop("economic pressure on people"),
    "new_model": gettext_noop("a new way of working, learnt while doing"),
    "awareness": gettext_noop("poverty, awareness of the law"),
    "leadership": gettext_noop("direction and checking at times not regular"),
    "other": gettext_noop("another cause"),
}
FINDING_NAMES = {
    "exchange_not_regular": gettext_noop("Exchange of information at times not regular"),
    "reporting_not_kept": gettext_noop("Reporting and advising at times not kept up"),
    "incident_notice_not_timely": gettext_noop("Notice of incidents at times not timely"),
    "not_acknowledged": gettext_noop("Dispatches not acknowledged in time"),
}
REFUSAL_NAMES = {
    "definition": gettext_noop("not compared: the way of counting has changed"),
    "unit": gettext_noop("not compared: another unit"),
    "scope": gettext_noop("not compared: another scope"),
    "number": gettext_noop("not compared: one of the two years has no number"),
}


def in_vietnamese[**P, T](text: Callable[P, T]) -> Callable[P, T]:
    """Make a function speak Vietnamese whatever language is active."""

    @wraps(text)
    def spoken(*args: P.args, **kwargs: P.kwargs) -> T:
        with override("vi"):
            return text(*args, **kwargs)

    return spoken


def day(iso: str) -> str:
    """Return 2020-03-05 as 05/03/2020."""
    return f"{date.fromisoformat(iso):%d/%m/%Y}"


def after(iso: str) -> str:
    """Return the day after an ISO day, as people write it."""
    return f"{date.fromordinal(date.fromisoformat(iso).toordinal() + 1):%d/%m/%Y}"


def before(iso: str) -> str:
    """Return the day before an ISO day, as people write it."""
    return f"{date.fromordinal(date.fromisoformat(iso).toordinal() - 1):%d/%m/%Y}"


def name_of(facts: Facts, key: str) -> str:
    """Return a body's name as it was when the review was built."""
    found = facts["bodies"].get(key)
    return found["name"] if found else key


@in_vietnamese
def section_name(section: str) -> str:
    """Return the heading of a section."""
    return _(SECTION_NAMES[section])


@in_vietnamese
def cause_name(code: str) -> str:
    """Return a cause of the short list in words."""
    return _(CAUSE_NAMES[code])


@in_vietnamese
def finding_name(kind: str) -> str:
    """Return the heading of a kind of finding."""
    return _(FINDING_NAMES[kind])


def clauses(many: Iterable[str]) -> str:
    """Return clause numbers as people cite them: "Điều 5.2, 15.1"."""
    shown = ", ".join(many)
    return _("Article %(clauses)s") % {"clauses": shown} if shown else ""


def listed(many: Iterable[str], *, most: int = 6) -> str:
    """Return labels of periods as a list, cut with the number of those left out."""
    shown = [occasion(label) for label in many]
    rest = len(shown) - most
    text = "; ".join(shown[:most])
    return _("%(list)s and %(rest)s more") % {"list": text, "rest": rest} if rest > 0 else text


# --- findings ----------------------------------------------------------------------------------------------------------


@in_vietnamese
def finding_text(facts: Facts, finding: Facts) -> str:
    """Return what the records show, as one paragraph."""
    return {
        "exchange_not_regular": _exchange,
        "reporting_not_kept": _reporting,
        "incident_notice_not_timely": _incidents,
        "not_acknowledged": _unanswered,
    }[finding["kind"]](facts, finding)


def _exchange(facts: Facts, finding: Facts) -> str:
    first, second = (name_of(facts, key) for key in finding["bodies"])
    parts = []
    for gap in finding["facts"]["gaps"]:
        named = {
            "sender": name_of(facts, gap["sender"]),
            "recipient": name_of(facts, gap["recipient"]),
            "first": after(gap["after"]),
            "last": before(gap["until"]),
            "days": gap["days"],
        }
        if gap["both"]:
            parts.append(_("from %(first)s to %(last)s (%(days)s days) neither side sent the other a dispatch") % named)
        else:
            parts.append(_("from %(first)s to %(last)s (%(days)s days) %(recipient)s received nothing of %(sender)s") % named)
    owed = finding["facts"]["owed"]
    late = sum(not o["missing"] for o in owed)
    tail = _(
        "in that time %(owed)s duties fell due (%(clauses)s), of which %(missing)s were not fulfilled and %(late)s late"
    ) % {
        "owed": len(owed),
        "clauses": clauses(finding["clauses"]),
        "missing": len(owed) - late,
        "late": late,
    }
    head = _("The exchange of information between %(first)s and %(second)s was at times not kept up regularly")
    return f"{head % {'first': first, 'second': second}}: {'; '.join(parts)}; {tail}."


def _reporting(facts: Facts, finding: Facts) -> str:
    head = _("%(debtor)s at times did not keep up reporting and advising in full and in time (%(clauses)s)")
    return _lines(facts, finding, head)


def _incidents(facts: Facts, finding: Facts) -> str:
    head = _("%(debtor)s at times did not give notice of incidents in time (%(clauses)s)")
    return _lines(facts, finding, head)


def _lines(facts: Facts, finding: Facts, head: str) -> str:
    parts = []
    for line in finding["facts"]["lines"]:
        told = []
        if line["missing"]:
            told.append(_("%(n)s missing (%(list)s)") % {"n": len(line["missing"]), "list": listed(line["missing"])})
        if line["late"]:
            told.append(_("%(n)s late (%(list)s)") % {"n": len(line["late"]), "list": listed(line["late"])})
        parts.append(
            _("to %(creditor)s, of %(expected)s due: %(told)s")
            % {"creditor": name_of(facts, line["creditor"]), "expected": line["expected"], "told": ", ".join(told)}
        )
    named = {"debtor": name_of(facts, finding["bodies"][0]), "clauses": clauses(finding["clauses"])}
    return f"{head % named}: {'; '.join(parts)}."


def _unanswered(facts: Facts, finding: Facts) -> str:
    text = _(
        "%(recipient)s has %(count)s incoming dispatches that were not acknowledged within %(limit)s days "
        "(the longest %(longest)s days)."
    )
    return text % {"recipient": name_of(facts, finding["bodies"][0]), **finding["facts"]}


# --- figures -----------------------------------------------------------------------------------------------------------


def figure_value(figure: Facts) -> str:
    """Return the value as written, with its unit; "about" where one of the added figures was not exact."""
    if figure["value"] is None:
        return _("no figure reported")
    value = f"{number(Decimal(figure['value']))} {figure['unit']}"
    return value if figure["exact"] else _("about %(value)s") % {"value": value}


@in_vietnamese
def figure_words(figure: Facts) -> str:
    """Return a figure as it stands in a sentence: "Tuần tra, kiểm soát: 2.329 lượt"."""
    return f"{figure['name']}: {figure_value(figure)}"


@in_vietnamese
def comparison_words(figure: Facts) -> str:
    """Return how the figure stands to the year before, or why it is not compared; empty where nothing is known."""
    known = figure["before"]
    if known is None:
        return ""
    value = f"{number(Decimal(known['value']))} {known['unit']}" if known["value"] is not None else ""
    head = _("%(year)s: %(value)s") % {"year": known["year"], "value": value}
    if known.get("refused"):
        return f"{head} ({_(REFUSAL_NAMES[known['refused']])})"
    difference = Decimal(known["difference"])
    if difference == 0:
        return f"{head} ({_('unchanged')})"
    word = _("up %(value)s") if difference > 0 else _("down %(value)s")
    told = word % {"value": number(abs(difference))}
    if known.get("percent") is not None:
        told += f", {number(abs(Decimal(known['percent'])))}%"
    return f"{head} ({told})"


@in_vietnamese
def published_words(published: Facts) -> str:
    """Return a published figure with its year and scope, and that it is counted otherwise where it is."""
    value = f"{number(Decimal(published['value']))} {published['unit']}"
    text = _("published for %(year)s: %(value)s") % {"year": published["year"], "value": value}
    if published["scope"]:
        text += f" ({published['scope']})"
    return text if published["same_count"] else f"{text}, {_('counted differently')}"


@in_vietnamese
def field_text(field: Facts) -> str:
    """Return the computed paragraph of a field of coordination."""
    told = [figure_words(f) for f in field["figures"] if f["value"] is not None and not f["parts_of"]]
    silent = sum(f["value"] is None for f in field["figures"])
    if not told:
        return _("No figure was reported for this field.")
    text = _("By the reports of the year: %(list)s.") % {"list": "; ".join(told)}
    return f"{text} {_('Indicators without a figure: %(n)s.') % {'n': silent}}" if silent else text


# --- sections ----------------------------------------------------------------------------------------------------------


@in_vietnamese
def section_text(facts: Facts, section: str) -> str:
    """Return the computed text of a section; empty where only people can write it."""
    counts, volume = facts["counts"], facts["volume"]
    match section:
        case "leadership":
            named = {
                "title": facts["instrument"]["title"],
                "from": day(facts["instrument"]["effective_from"]),
                "bodies": sum(len(side) for side in facts["sides"].values()),
            }
            text = _("%(title)s has been in force since %(from)s and binds %(bodies)s bodies.") % named
            if facts["instrument"]["children"]:
                text += " " + _("Subordinate regulations signed: %(n)s.") % {"n": facts["instrument"]["children"]}
            return text
        case "exchange":
            return _exchange_text(facts, counts, volume)
        case "strengths":
            return _strengths(facts, counts)
        case "limitations":
            return (
                "" if facts["findings"] else _("The records of the year show nothing above the thresholds of the regulation.")
            )
        case "tasks":
            return _tasks(facts)
    return ""


def share(part: int, whole: int) -> str:
    """Return a share as 87,6%; a dash of nothing."""
    return f"{number((Decimal(part) * 100 / Decimal(whole)).quantize(Decimal('0.1')))}%" if whole else "–"


def _exchange_text(facts: Facts, counts: dict[str, int], volume: dict[str, int]) -> str:
    text = _(
        "In the period the bodies of the regulation sent %(all)s dispatches (%(report)s reports, %(nil_report)s nil reports, "
        "%(notice)s notices). %(expected)s duties fell due: %(on_time)s fulfilled in time (%(share)s), %(late)s late, "
        "%(missing)s not fulfilled."
    ) % ({k: number(v) for k, v in (volume | counts).items()} | {"share": share(counts["on_time"], counts["expected"])})
    quiet = sum(1 for f in facts["findings"] if f["kind"] == "exchange_not_regular")
    least = facts["thresholds"]["silence_days"]
    if quiet:
        text += " " + _("%(n)s pairs fell silent for %(days)s days or longer.") % {"n": quiet, "days": least}
    return text


def _strengths(facts: Facts, counts: Facts) -> str:
    full = [b for b in facts["by_body"] if b["expected"] and b["on_time"] == b["expected"]]
    text = _("%(share)s of what fell due was fulfilled in time.") % {"share": share(counts["on_time"], counts["expected"])}
    if full:
        text += " " + _("%(n)s of %(all)s bodies fulfilled everything in time.") % {
            "n": len(full),
            "all": sum(1 for b in facts["by_body"] if b["expected"]),
        }
    return text


def _tasks(facts: Facts) -> str:
    kinds = {f["kind"] for f in facts["findings"]}
    told = []
    if "exchange_not_regular" in kinds:
        told.append(_("Keep the two-way exchange of information regular, also when there is nothing new (a nil report)."))
    if kinds & {"reporting_not_kept", "incident_notice_not_timely"}:
        told.append(_("Report and advise in full and in time; the bodies named look into the causes and put them right."))
    if "not_acknowledged" in kinds:
        told.append(_("Acknowledge incoming dispatches when they arrive."))
    return " ".join(told)


@in_vietnamese
def title(facts: Facts) -> str:
    """Return the subject of the review document."""
    return _("review of the work of %(year)s under: %(title)s") % {
        "year": facts["year"],
        "title": facts["instrument"]["title"],
    }
