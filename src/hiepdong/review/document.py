"""The review as a paper: laid out in the Party or the state form, by the kind of the body that writes it."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from hiepdong.documents.domain.layout import Band, Block, Column, Document, Heading, Paragraph, Points, Table
from hiepdong.documents.domain.profiles import Profile, blank_number, place_and_date, profile_for
from hiepdong.documents.rendering import DOCX, PDF, render_docx, render_pdf
from hiepdong.kernel.moments import local_day
from hiepdong.shell.templatetags.hiepdong import number

from . import wording
from .domain.report import SECTIONS
from .queries import Shown, ShownField

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
RENDER = {"docx": (DOCX, render_docx), "pdf": (PDF, render_pdf)}


@dataclass(frozen=True, slots=True)
class Made:
    """A rendered file."""

    name: str
    media_type: str
    data: bytes
    profile: str


def files_of(shown: Shown, *, only: str = "") -> list[Made]:
    """Return the review as DOCX and PDF, or only one of them."""
    document = document_of(shown)
    stem = f"tong-ket-{shown.review.instrument_key}-{shown.review.year}"
    return [
        Made(f"{stem}.{kind}", media_type, render(document), document.profile)
        for kind, (media_type, render) in RENDER.items()
        if only in {"", kind}
    ]


@wording.in_vietnamese
def document_of(shown: Shown) -> Document:
    """Return the review laid out; a draft and made-up data are marked above everything."""
    review, facts = shown.review, shown.facts
    issuer = facts["organisation"]
    look = profile_for(issuer["kind"])
    approved = review.approved_at is not None
    on: date | None = local_day(review.approved_at) if review.approved_at else None
    marks = [] if approved else [_("DRAFT")]
    marks += [_("MADE-UP DATA, FOR DEMONSTRATION ONLY")] if facts["made_up"] else []
    return Document(
        profile=look.key,
        superior="" if issuer["kind"].startswith("peoples_committee") else _heading(issuer["superior"]),
        issuer=_heading(issuer["name"]),
        number_line=review.notation or blank_number(look, issuer["notation"], "BC"),
        place_and_date=place_and_date(issuer["place"], on),
        type_name="Báo cáo",
        subject=wording.title(facts),
        blocks=tuple(_body(shown, approved=approved)),
        annexes=tuple(_annexes(shown)),
        recipients=_recipients(issuer, look),
        authority=_authority(issuer),
        signer_title=SIGNERS.get(issuer["kind"], ""),
        banner=" – ".join(marks),
        footnote=_footnote(shown),
        keywords=(facts["instrument"]["key"], str(facts["year"])),
    )


def _heading(name: str) -> str:
    """Return a name for its narrow place in the heading, broken where offices break it."""
    return name.replace("Biên phòng", "Biên\u00a0phòng").replace("Ủy ban nhân dân ", "Ủy ban nhân dân\n")


# A body that decides as one signs through a person for it (T/M, TM.); a commander or a head signs for himself.
COLLECTIVES = {
    "border_guard_party": "Đảng ủy",
    "party_province": "Ban Thường vụ",
    "party_district": "Ban Thường vụ",
    "party_commune": "Ban Thường vụ",
    "peoples_committee_province": "Ủy ban nhân dân",
    "peoples_committee_district": "Ủy ban nhân dân",
    "peoples_committee_commune": "Ủy ban nhân dân",
}
SIGNERS = {
    "peoples_committee_province": "Chủ tịch",
    "peoples_committee_district": "Chủ tịch",
    "peoples_committee_commune": "Chủ tịch",
    "border_guard_command": "Chỉ huy trưởng",
    "border_gate_command": "Chỉ huy trưởng",
    "border_station": "Đồn trưởng",
    "sea_squadron": "Hải đội trưởng",
    "military_command": "Chỉ huy trưởng",
    "department": "Thủ trưởng",
    "ministry": "Bộ trưởng",
    "government": "Thủ tướng",
    "other": "Thủ trưởng",
}


def _authority(issuer: dict[str, Any]) -> str:
    return COLLECTIVES.get(issuer["kind"], "")


def _recipients(issuer: dict[str, Any], look: Profile) -> tuple[str, ...]:
    superiors = (issuer.get("reports_to") or issuer["superior"]).split("; ")
    above = [_("%(superior)s (to report)") % {"superior": name} for name in superiors if name]
    mark = "," if look.key == "party" else ";"
    return (*(f"{r}{mark}" for r in (*above, _("the bodies of the regulation"))), _("the file") + ".")


def _footnote(shown: Shown) -> str:
    review = shown.review
    text = _("Computed by Hiệp đồng from the records of the node up to %(as_of)s.")
    text %= {"as_of": f"{local_day(review.as_of):%d/%m/%Y}"}
    return f"{text} {wording.digest_line(review.digest)}" if review.digest else text


# --- the body ----------------------------------------------------------------------------------------------------------


def _body(shown: Shown, *, approved: bool) -> list[Block]:
    facts, review = shown.facts, shown.review
    period = {
        "first": wording.day(facts["period"]["first"]),
        "last": wording.day(facts["period"]["last"]),
        "title": facts["instrument"]["title"],
        "issuer": facts["organisation"]["name"],
    }
    lead = _("Carrying out %(title)s, %(issuer)s reports the results from %(first)s to %(last)s as follows:") % period
    blocks: list[Block] = [Paragraph(lead)]
    if review.host or review.held_on:
        held = {"host": review.host, "day": f"{review.held_on:%d/%m/%Y}" if review.held_on else "…"}
        blocks.append(Paragraph(_("The conference reviewing the year is held on %(day)s, hosted by %(host)s.") % held))
    parts = [(section, content) for section in SECTIONS if (content := _section(shown, section, approved=approved))]
    for roman, (section, content) in zip(ROMAN, parts, strict=False):
        blocks.append(Heading(f"{roman}. {wording.section_name(section).upper()}"))
        blocks += content
    return blocks


def _section(shown: Shown, section: str, *, approved: bool) -> list[Block]:
    blocks = _prose(shown.texts[section].text)
    match section:
        case "results":
            for n, field in enumerate(shown.fields, 1):
                clause = f" ({_('Article')} {field.clause})" if field.clause else ""
                blocks += [Heading(f"{n}. {field.name}{clause}", 2), *_prose(field.text.text)]
        case "limitations":
            blocks += _limitations(shown)
        case "causes":
            blocks += [Paragraph(line) for line in _causes(shown)]
        case "tasks":
            blocks += _points([i.text for i in shown.tasks])
            if shown.directives:
                blocks.append(Heading(_("Directives of the conference"), 2))
                blocks += _points([i.text for i in shown.directives])
        case "proposals":
            for n, (addressee, items) in enumerate(shown.proposals, 1):
                blocks.append(Heading(f"{n}. " + _("For %(addressee)s") % {"addressee": addressee}, 2))
                blocks += _points([i.text for i in items])
    if not blocks and not approved:
        blocks.append(Paragraph(_("(not written yet)"), italic=True))
    return blocks


def _prose(text: str) -> list[Block]:
    """Return a text as paragraphs, and lines that begin with a dash as points."""
    blocks: list[Block] = []
    for line in text.split("\n"):
        last = blocks[-1] if blocks else None
        if line.startswith("- ") and isinstance(last, Points):
            blocks[-1] = Points((*last.items, line[2:].strip()))
        elif line.startswith("- "):
            blocks.append(Points((line[2:].strip(),)))
        elif line.strip():
            blocks.append(Paragraph(line))
    return blocks


def _points(texts: list[str]) -> list[Block]:
    return [Points(tuple(texts))] if texts else []


def _limitations(shown: Shown) -> list[Block]:
    parts: list[tuple[str, list[str]]] = []
    if shown.stated:
        parts.append((_("As the conference stated them"), [i.text for i in shown.stated]))
    for f in shown.findings:
        title = f"{f.name} ({_('from the records')})"
        if not parts or parts[-1][0] != title:
            parts.append((title, []))
        parts[-1][1].append(f.text.text)
    blocks: list[Block] = []
    for n, (title, texts) in enumerate(parts, 1):
        blocks += [Heading(f"{n}. {title}", 2), *_points(texts)]
    return blocks


def _causes(shown: Shown) -> list[str]:
    lines = []
    for f in shown.findings:
        if f.causes:
            told = "; ".join(f"{words} ({more})" if more else words for _code, words, more in f.causes)
            bodies = f.finding["bodies"][: 2 if f.finding["kind"] == "exchange_not_regular" else 1]
            named = " – ".join(wording.name_of(shown.facts, key) for key in bodies)
            lines.append(f"{f.name} ({named}): {told}.")
    return lines


# --- annexes -----------------------------------------------------------------------------------------------------------


def _annexes(shown: Shown) -> list[Block]:
    counted = tuple(Column(t, 0.9, "right") for t in (_("Fell due"), _("On time"), _("Late"), _("Missing")))
    made: list[tuple[str, Table]] = []
    figures = _figures(shown)
    if figures is not None:
        made.append((_("Figures by field"), figures))
    total = ("", _("Total"), *_numbers(shown.facts["counts"]))
    bodies = tuple((str(i), b["name"], *_numbers(b)) for i, b in enumerate(shown.bodies, 1))
    heads = (Column(_("No."), 0.6, "center"), Column(_("Body"), 5))
    made.append((_("What each body owed"), Table((*heads, *counted), (*bodies, total), total=True)))
    rules = tuple((r["clause"], r["title"], *_numbers(r)) for r in shown.facts["by_rule"])
    heads = (Column(_("Clause"), 0.9, "center"), Column(_("Duty"), 5))
    made.append((_("What each clause asked"), Table((*heads, *counted), (*rules, total), total=True)))
    if shown.pairs:
        rows = tuple(
            (f"{w['debtor_name']} → {w['creditor_name']}", *_numbers(w), str(w["silence"]["days"]) if w["silence"] else "")
            for p in shown.pairs
            for w in p["ways"]
        )
        silence = Column(_("Longest silence (days)"), 1.2, "right")
        made.append(
            (_("Pairs with something missing or a long silence"), Table((Column(_("From → to"), 6), *counted, silence), rows))
        )
    blocks: list[Block] = []
    for n, (title, table) in enumerate(made, 1):
        blocks += [Heading(_("Annex %(n)s. %(title)s") % {"n": n, "title": title}), table]
    return blocks


def _figures(shown: Shown) -> Table | None:
    """Return the table of figures; a column that would be empty from top to bottom is left out."""
    cells = [
        (
            field,
            f,
            f"{number(f.figure['not_reported'])} / {number(f.figure['without_number'])}",
            f.before,
            "; ".join(words for words, _source, _verified in f.published),
        )
        for field in shown.fields
        for f in field.figures
    ]
    if not cells:
        return None
    told = [
        (i, column)
        for i, column in ((3, Column(_("Year before"), 2.4)), (4, Column(_("Published"), 2.6)))
        if any(row[i] for row in cells)
    ]
    heads = [
        Column(_("Indicator"), 3.2),
        Column(_("By the reports"), 2, "right"),
        Column(_("Reports"), 0.9, "right"),
        Column(_("Not reported / without a number"), 1.3, "center"),
    ]
    rows: list[tuple[str, ...] | Band] = []
    before: ShownField | None = None
    for row in cells:
        field, f = row[0], row[1]
        if field is not before:
            rows.append(Band(field.name or _("Other")))
            before = field
        name = ("– " if f.figure["parts_of"] else "") + f.figure["name"]
        rows.append((name, f.value, number(f.figure["reports"]), row[2], *(str(row[i]) for i, _column in told)))
    sources = _sources(shown)
    note = _("Sources of what was published: %(list)s.") % {"list": sources} if sources else ""
    return Table((*heads, *(column for _i, column in told)), tuple(rows), note=note)


def _sources(shown: Shown) -> str:
    found = {source for field in shown.fields for f in field.figures for _words, source, _verified in f.published}
    found |= {f.figure["before"]["source"] for field in shown.fields for f in field.figures if f.figure["before"]}
    return "; ".join(sorted(found - {""}))


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(number(row[k]) for k in ("expected", "on_time", "late", "missing"))
