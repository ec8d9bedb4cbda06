"""The review as a paper: laid out in the Party or the state form, by the kind of the body that writes it."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from hiepdong.documents.domain.layout import Block, Column, Document, Heading, Paragraph, Points, Table
from hiepdong.documents.domain.profiles import blank_number, place_and_date, profile_for
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
        superior=issuer["superior"],
        issuer=issuer["name"],
        number_line=review.notation or blank_number(look, issuer["notation"], "BC"),
        place_and_date=place_and_date(issuer["place"], on),
        type_name="Báo cáo",
        subject=wording.title(facts),
        blocks=tuple(_body(shown, approved=approved)),
        annexes=tuple(_annexes(shown)),
        recipients=(_("the superior bodies (to report)"), _("the bodies of the regulation"), _("the file")),
        authority=_authority(issuer),
        banner=" – ".join(marks),
        footnote=_footnote(shown),
        keywords=(facts["instrument"]["key"], str(facts["year"])),
    )


def _authority(issuer: dict[str, Any]) -> str:
    return {"border_guard_party": "Đảng ủy", "border_guard_command": "Bộ Chỉ huy"}.get(issuer["kind"], issuer["name"])


def _footnote(shown: Shown) -> str:
    review = shown.review
    named = {"as_of": f"{local_day(review.as_of):%d/%m/%Y}", "digest": review.digest}
    text = _("Computed by Hiệp đồng from the records of the node up to %(as_of)s.") % named
    return text + " " + _("Digest of the approved content (SHA-256): %(digest)s.") % named if review.digest else text


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
    text = shown.texts[section].text
    blocks: list[Block] = [Paragraph(text)] if text else []
    match section:
        case "results":
            for n, field in enumerate(shown.fields, 1):
                clause = f" ({_('Article')} {field.clause})" if field.clause else ""
                blocks += [Heading(f"{n}. {field.name}{clause}", 2), Paragraph(field.text.text)]
        case "limitations":
            blocks += _limitations(shown)
        case "causes":
            blocks += [Paragraph(line) for line in _causes(shown)]
        case "tasks":
            blocks += _points([i.text for i in shown.tasks], numbered=True)
        case "proposals":
            for n, (addressee, items) in enumerate(shown.proposals, 1):
                blocks.append(Heading(f"{n}. " + _("For %(addressee)s") % {"addressee": addressee}, 2))
                blocks += _points([i.text for i in items])
            if shown.directives:
                blocks.append(Heading(_("Directives of the conference"), 2))
                blocks += _points([i.text for i in shown.directives])
    if not blocks and not approved:
        blocks.append(Paragraph(_("(not written yet)"), italic=True))
    return blocks


def _points(texts: list[str], *, numbered: bool = False) -> list[Block]:
    return [Points(tuple(texts), numbered)] if texts else []


def _limitations(shown: Shown) -> list[Block]:
    blocks: list[Block] = []
    if shown.stated:
        blocks.append(Heading(_("As the conference stated them"), 2))
        blocks += _points([i.text for i in shown.stated])
    before = ""
    for f in shown.findings:
        if f.name != before:
            blocks.append(Heading(f"{f.name} ({_('from the records')})", 2))
            before = f.name
        blocks.append(Paragraph(f.text.text))
    return blocks


def _causes(shown: Shown) -> list[str]:
    lines = []
    for f in shown.findings:
        if f.causes:
            told = "; ".join(f"{words} ({more})" if more else words for _code, words, more in f.causes)
            lines.append(f"{f.name} – {wording.name_of(shown.facts, f.finding['bodies'][0])}: {told}.")
    return lines


# --- annexes -----------------------------------------------------------------------------------------------------------


def _annexes(shown: Shown) -> list[Block]:
    counted = tuple(Column(t, 1, "right") for t in (_("fell due"), _("on time"), _("late"), _("missing")))
    made: list[tuple[str, Table]] = []
    figures = tuple(row for field in shown.fields for row in _figure_rows(field))
    if figures:
        titles = (_("By the reports"), _("Reports"), _("Year before"), _("Published"))
        told = (Column(titles[0], 2, "right"), Column(titles[1], 1, "right"), Column(titles[2], 2), Column(titles[3], 2.8))
        sources = _sources(shown)
        note = _("Sources of what was published: %(list)s.") % {"list": sources} if sources else ""
        made.append((_("Figures by field"), Table((Column(_("Indicator"), 3.2), *told), figures, note=note)))
    bodies = tuple((str(i), b["name"], *_numbers(b)) for i, b in enumerate(shown.bodies, 1))
    heads = (Column(_("No."), 0.6, "center"), Column(_("Body"), 5))
    made.append((_("What each body owed"), Table((*heads, *counted), bodies)))
    rules = tuple((r["clause"], r["title"], *_numbers(r)) for r in shown.facts["by_rule"])
    heads = (Column(_("Clause"), 0.9, "center"), Column(_("Duty"), 5))
    made.append((_("What each clause asked"), Table((*heads, *counted), rules)))
    if shown.pairs:
        rows = tuple(
            (f"{w['debtor_name']} → {w['creditor_name']}", *_numbers(w), str(w["silence"]["days"]) if w["silence"] else "")
            for p in shown.pairs
            for w in p["ways"]
        )
        silence = Column(_("longest silence (days)"), 1.2, "right")
        made.append(
            (_("Pairs with something missing or a long silence"), Table((Column(_("From → to"), 5), *counted, silence), rows))
        )
    blocks: list[Block] = []
    for n, (title, table) in enumerate(made, 1):
        blocks += [Heading(_("Annex %(n)s. %(title)s") % {"n": n, "title": title}), table]
    return blocks


def _figure_rows(field: ShownField) -> list[tuple[str, ...]]:
    return [
        (
            ("– " if f.figure["parts_of"] else "") + f.figure["name"],
            f.value,
            number(f.figure["reports"]),
            f.before,
            "; ".join(words for words, _source, _verified in f.published),
        )
        for f in field.figures
    ]


def _sources(shown: Shown) -> str:
    found = {source for field in shown.fields for f in field.figures for _words, source, _verified in f.published}
    found |= {f.figure["before"]["source"] for field in shown.fields for f in field.figures if f.figure["before"]}
    return "; ".join(sorted(found - {""}))


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(number(row[k]) for k in ("expected", "on_time", "late", "missing"))
