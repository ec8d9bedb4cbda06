"""A statement of account as a paper to print: what was sent each way, what differs, who has signed which bytes."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from hiepdong.documents.domain.layout import Block, Column, Document, Heading, Paragraph, Points, Table
from hiepdong.documents.domain.profiles import place_and_date, profile_for
from hiepdong.documents.rendering import render_pdf
from hiepdong.kernel.moments import local_day

from .domain.account import Difference
from .statements import Account, Shown, papers_of
from .wording import difference_in_words, month_in_words, numbers_in_words, verdict_in_words, way_in_words


def pdf_of(account: Account, shown: Shown) -> bytes:
    """Return the statement as PDF."""
    return render_pdf(document_of(account, shown))


def document_of(account: Account, shown: Shown) -> Document:
    """Return the statement laid out in the form of its maker's papers."""
    maker = shown.maker or account.a
    names = account.names
    subject = _("of papers sent and received in %(month)s between %(a)s and %(b)s") % {
        "month": month_in_words(account.month),
        "a": account.a.name,
        "b": account.b.name,
    }
    return Document(
        profile=profile_for(maker.kind).key,
        superior="",
        issuer=maker.name.replace("Ủy ban nhân dân ", "Ủy ban nhân dân\n"),
        number_line="",
        place_and_date=place_and_date(maker.place, local_day(shown.made_at)),
        type_name=_("Statement of account"),
        subject=subject,
        blocks=tuple(_body(account, shown, names)),
        footnote=_("SHA-256 of what is signed: %(digest)s") % {"digest": shown.document.digest},
        keywords=(account.month, account.a.key, account.b.key),
    )


def _body(account: Account, shown: Shown, names: dict[str, str]) -> list[Block]:
    facts = {"maker": names[shown.payload["made_by"]], "at": _moment(shown.made_at)}
    blocks: list[Block] = [Paragraph(_("Made by %(maker)s from its own papers and receipts, as of %(at)s.") % facts)]
    papers = papers_of(account, shown.payload)
    for n, way in enumerate(shown.payload["sent"], 1):
        title = f"{n}. {names.get(way['from'], way['from'])} → {names.get(way['to'], way['to'])}"
        blocks += [Heading(title, 2), Paragraph(way_in_words(way, names))]
        if way["dispatches"]:
            blocks.append(_table(way, papers))
        if way["missing"]:
            missing = _("Missing: %(numbers)s.") % {"numbers": numbers_in_words(way["missing"])}
            blocks.append(Paragraph(missing, bold=True))
    blocks += _differences(_("Differences from what this node knows"), shown.differences, names)
    blocks += _differences(_("Differences between the statements of the two sides"), account.between, names)
    rows = tuple(
        (s.organisation.name if s.organisation else s.key, _moment(s.at) if s.at else _("not signed yet"), s.kid[:16])
        for s in shown.signatories
    )
    columns = (Column(_("Organisation"), 3), Column(_("Signed"), 1.6), Column(_("Key"), 1.6))
    blocks += [Heading(_("Signatures"), 2), Table(columns, rows)]
    return blocks


def _table(way: dict[str, Any], papers: dict[str, Any]) -> Table:
    columns = (
        Column(_("No."), 0.5, "right"),
        Column(_("Paper"), 3.2),
        Column(_("SHA-256 (beginning)"), 1.7),
        Column(_("Arrived"), 1.5),
        Column(_("Answer"), 1.2),
    )
    rows = []
    for row in way["dispatches"]:
        paper = papers.get(row["digest"])
        told = f"{paper.notation} {paper.subject}" if paper is not None else _("not known here")
        arrived = _moment(datetime.fromisoformat(row["arrived"])) if row["arrived"] else _("no receipt")
        rows.append((str(row["sequence"]), told, row["digest"][:16], arrived, verdict_in_words(row["verdict"])))
    return Table(columns, tuple(rows))


def _differences(title: str, found: list[Difference], names: dict[str, str]) -> list[Block]:
    if not found:
        return []
    return [Heading(title, 2), Points(tuple(difference_in_words(d, names) for d in found))]


def _moment(at: datetime | None) -> str:
    return f"{timezone.localtime(at):%H:%M %d/%m/%Y}" if at is not None else ""
