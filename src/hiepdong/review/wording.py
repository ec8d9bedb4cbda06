"""The sentences of a review. A review is a Vietnamese document, so they are Vietnamese whatever the reader's screen is.

Sentences are neutral: they state what the records show ("at times not kept up"), with clause, bodies and periods, and
judge nobody. People may replace each of them (`Passage`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import wraps
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from hiepdong.reporting.domain.figures import shown
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


_MONTH, _QUARTER = re.compile(r"(\d{4})-(\d\d)"), re.compile(r"(\d{4})-Q([1-4])")
_ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV"}


def listed(many: Iterable[str], *, most: int = 6) -> str:
    """Return labels of periods as people list them: "tháng 6, 7, 8/2020; quý I, II/2020".

    Months and quarters of one year are drawn together and never cut; of other occasions the number left out is told.
    """
    months: dict[str, list[str]] = {}
    quarters: dict[str, list[str]] = {}
    others: list[str] = []
    for label in many:
        if found := _MONTH.fullmatch(label):
            months.setdefault(found[1], []).append(str(int(found[2])))
        elif found := _QUARTER.fullmatch(label):
            quarters.setdefault(found[1], []).append(_ROMAN[found[2]])
        else:
            others.append(occasion(label))
    parts = [_("month %(month)s/%(year)s") % {"month": ", ".join(m), "year": year} for year, m in months.items()]
    parts += [_("quarter %(quarter)s/%(year)s") % {"quarter": ", ".join(q), "year": year} for year, q in quarters.items()]
    text = "; ".join([*parts, *others[:most]])
    rest = len(others) - most
    return _("%(list)s and %(rest)s more") % {"list": text, "rest": rest} if rest > 0 else text


# --- findings ----------------------------------------------------------------------------------------------------------


@in_vietnamese
def finding_text(facts: Facts, finding: Facts) -> str:
    """Return what the records show, as one paragraph; it stands under the name of its kind."""
    return {
        "exchange_not_regular": _exchange,
        "reporting_not_kept": _lines,
        "incident_notice_not_timely": _lines,
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
    if not late:
        tail = _("none of the %(owed)s duties that fell due in that time (%(clauses)s) was fulfilled")
    elif late == len(owed):
        tail = _("all of the %(owed)s duties that fell due in that time (%(clauses)s) were fulfilled late")
    else:
        tail = _(
            "of the %(owed)s duties that fell due in that time (%(clauses)s), %(missing)s were not fulfilled and "
            "%(late)s were late"
        )
    told = {"owed": len(owed), "clauses": clauses(finding["clauses"]), "missing": len(owed) - late, "late": late}
    head = _("Between %(first)s and %(second)s") % {"first": first, "second": second}
    return f"{head}: {'; '.join(parts)}; {tail % told}."


def _lines(facts: Facts, finding: Facts) -> str:
    parts = []
    for line in finding["facts"]["lines"]:
        told = []
        if line["missing"]:
            told.append(_("%(n)s missing (%(list)s)") % {"n": len(line["missing"]), "list": listed(line["missing"])})
        if line["late"]:
            told.append(_("%(n)s late (%(list)s)") % {"n": len(line["late"]), "list": listed(line["late"])})
        elsewhere = line["expected"] - line["on_time"] - len(line["missing"]) - len(line["late"])
        if elsewhere > 0:
            told.append(_("%(n)s more fell into the silence told above") % {"n": elsewhere})
        named = {
            "creditor": name_of(facts, line["creditor"]),
            "clauses": clauses([line["clause"]] if line["clause"] else []),
            "expected": line["expected"],
            "told": ", ".join(told),
        }
        parts.append(_("of %(expected)s due to %(creditor)s (%(clauses)s), %(told)s") % named)
    return f"{name_of(facts, finding['bodies'][0])}: {'; '.join(parts)}."


def _unanswered(facts: Facts, finding: Facts) -> str:
    senders = [name_of(facts, key) for key in finding["bodies"][1:]]
    rest = len(senders) - 4
    listing = ", ".join(senders[:4])
    text = _(
        "%(recipient)s: %(count)s incoming dispatches of %(senders)s (arrived from %(first)s to %(last)s) were not "
        "acknowledged within %(limit)s days, the longest %(longest)s days."
    )
    return text % {
        "recipient": name_of(facts, finding["bodies"][0]),
        "senders": _("%(list)s and %(rest)s more bodies") % {"list": listing, "rest": rest} if rest > 0 else listing,
        "first": day(finding["first"]),
        "last": day(finding["last"]),
        **finding["facts"],
    }


# --- figures -----------------------------------------------------------------------------------------------------------


def _stated(row: Facts) -> str:
    """Return a value with its precision word and its unit: "trên 25.270 lượt"."""
    return f"{shown(Decimal(row['value']), row.get('precision', 'exact'))} {row['unit']}"


def figure_value(figure: Facts) -> str:
    """Return the value as written, with its unit and the precision word of what was added."""
    if figure["value"] is not None:
        return _stated(figure)
    if figure.get("aggregate") == "none" and figure["reports"]:
        return _("not added up")
    return _("no figure reported")


@in_vietnamese
def figure_words(figure: Facts, *, behind: Sequence[Facts] = (), parts: Sequence[Facts] = ()) -> str:
    """Return a figure as it stands in a sentence, as published reviews print pairs and parts.

    "tuần tra, kiểm soát: 2.329 lượt/15.453 lượt người", "vụ vi phạm: 452 vụ/521 đối tượng (trong đó vụ ma túy: 97 vụ)".
    """
    values = "/".join(figure_value(f) for f in (figure, *behind))
    told = f"{_lower(figure['name'])}: {values}"
    if parts:
        listing = ", ".join(f"{_lower(_part_name(p))}: {figure_value(p)}" for p in parts)
        told += f" ({_('of which %(list)s') % {'list': listing}})"
    known = figure["before"]
    return f"{told} ({comparison_words(figure)})" if known and not known.get("refused") else told


def _lower(name: str) -> str:
    """Return a name as it stands inside a sentence; an abbreviation keeps its capitals."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def _part_name(figure: Facts) -> str:
    return re.sub(r"^trong đó:?\s*", "", figure["name"], flags=re.IGNORECASE)


@in_vietnamese
def comparison_words(figure: Facts) -> str:
    """Return how the figure stands to the year before, or why it is not compared; empty where nothing is known."""
    known = figure["before"]
    if known is None:
        return ""
    head = _("%(year)s: %(value)s") % {"year": known["year"], "value": _stated(known) if known["value"] is not None else ""}
    if known.get("refused"):
        return f"{head} ({_(REFUSAL_NAMES[known['refused']])})"
    difference = Decimal(known["difference"])
    if difference == 0:
        return f"{head}, {_('unchanged')}"
    word = _("up %(value)s") if difference > 0 else _("down %(value)s")
    told = word % {"value": shown(abs(difference), "about" if known.get("rough") else "exact")}
    if known.get("percent") is not None:
        told += f", {number(abs(Decimal(known['percent'])))}%"
    return f"{head}, {told}"


@in_vietnamese
def published_words(published: Facts) -> str:
    """Return a published figure with its year and scope, and that it is counted otherwise where it is."""
    text = _("published for %(year)s: %(value)s") % {"year": published["year"], "value": _stated(published)}
    if published["scope"]:
        text += f" ({published['scope']})"
    return text if published["same_count"] else f"{text}, {_('counted differently')}"


def _drawn_together(known: list[Facts]) -> tuple[dict[str, list[Facts]], dict[str, list[Facts]]]:
    """Return what stands behind a stroke after an indicator, and what is named as its parts."""
    heads = {f["indicator"] for f in known if not f.get("paired_with")}
    behind: dict[str, list[Facts]] = {}
    parts: dict[str, list[Facts]] = {}
    for figure in known:
        if figure.get("paired_with") in heads:
            behind.setdefault(figure["paired_with"], []).append(figure)
        elif figure["parts_of"] in heads:
            parts.setdefault(figure["parts_of"], []).append(figure)
    return behind, parts


@in_vietnamese
def field_text(field: Facts) -> str:
    """Return the computed paragraph of a field of coordination."""
    figures = field["figures"]
    known = [f for f in figures if f["value"] is not None]
    behind, parts = _drawn_together(known)
    inside = {id(f) for rows in (*behind.values(), *parts.values()) for f in rows}
    told = [
        figure_words(f, behind=behind.get(f["indicator"], ()), parts=parts.get(f["indicator"], ()))
        for f in known
        if id(f) not in inside
    ]
    silent = sum(f["value"] is None and not f["reports"] for f in figures)
    if not told:
        return _("No figure was reported for this field.")
    text = "; ".join(told)
    text = f"{text[:1].upper()}{text[1:]}."
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
        case "results":
            return _("The figures are added up from the reports of the year; annex 1 says how many reports stand behind each.")
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
    directions = _directions(facts)
    if directions:
        text += " " + directions
    quiet = sum(1 for f in facts["findings"] if f["kind"] == "exchange_not_regular")
    least = facts["thresholds"]["silence_days"]
    if quiet:
        text += " " + _("%(n)s pairs fell silent for %(days)s days or longer.") % {"n": quiet, "days": least}
    behind = [f["bodies"][0] for f in facts["findings"] if f["kind"] == "reporting_not_kept"]
    if behind:
        stations = sum(facts["bodies"].get(key, {}).get("kind") == "border_station" for key in behind)
        told = _("%(n)s bodies did not keep up their reports in full and in time, %(stations)s of them border stations.")
        text += " " + told % {"n": len(behind), "stations": stations}
    return text


BORDER_GUARD = {
    "border_guard_party",
    "border_guard_command",
    "border_station",
    "border_gate_command",
    "sea_squadron",
}


def _directions(facts: Facts) -> str:
    """Return what was in time of what the Border Guard owed the other side, and of what that side owed it."""
    sums = {True: [0, 0], False: [0, 0]}
    for pair in facts["pairs"]:
        for way in pair["ways"]:
            ours, theirs = (facts["bodies"].get(way[k], {}).get("kind") in BORDER_GUARD for k in ("debtor", "creditor"))
            if ours != theirs:
                sums[ours][0] += way["on_time"]
                sums[ours][1] += way["expected"]
    if not all(expected for _on_time, expected in sums.values()):
        return ""
    named = {
        "there": number(sums[True][0]),
        "there_all": number(sums[True][1]),
        "there_share": share(*sums[True]),
        "back": number(sums[False][0]),
        "back_all": number(sums[False][1]),
        "back_share": share(*sums[False]),
    }
    return (
        _(
            "From the Border Guard to the other side %(there)s of %(there_all)s were in time (%(there_share)s), "
            "back %(back)s of %(back_all)s (%(back_share)s)."
        )
        % named
    )


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
    return "\n".join(f"- {line}" for line in told)


@in_vietnamese
def title(facts: Facts) -> str:
    """Return the subject of the review document."""
    return _("review of the work of %(year)s under: %(title)s") % {
        "year": facts["year"],
        "title": facts["instrument"]["title"],
    }


@in_vietnamese
def digest_line(digest: str) -> str:
    """Return how the digest of an approved review is printed."""
    return _("Digest of the approved content (SHA-256): %(digest)s.") % {"digest": digest}
