"""Reading reviews.

A review under work is seen by its own organisation and the bodies above it; an approved one also by everybody who may
read the regulation it is about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.paginator import Page
from django.db.models import Q, QuerySet

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.duties import queries as duties
from hiepdong.duties.models import Duty
from hiepdong.exchange import queries as exchange
from hiepdong.exchange.models import Dispatch
from hiepdong.kernel.errors import NotAllowed, NotFound
from hiepdong.organisations import queries as organisations
from hiepdong.regulations import queries as regulations

from . import wording
from .domain.report import SECTIONS, kept_text
from .models import Cause, Document, Item, Passage, Review


def _visible(seat: Seat) -> QuerySet[Review]:
    if not seat.may(Action.READ):
        return Review.objects.none()
    keys = set(regulations.instruments_for(seat).values_list("key", flat=True))
    own = Q(organisation__in=visible_organisation_ids(seat))
    return Review.objects.filter(own | Q(approved_at__isnull=False, instrument_key__in=keys))


def reviews_for(seat: Seat) -> list[Review]:
    """Return the reviews the seat may read, newest year first, without their facts."""
    found = _visible(seat).select_related("organisation", "approved_by__person").defer("frozen")
    return list(found.order_by("-year", "instrument_key", "organisation__name_sort"))


def review_for(seat: Seat | None, review_id: int, *, for_update: bool = False) -> Review:
    """Return one review: the one gate. No seat means the system itself.

    Raises:
        NotFound: it does not exist, or the seat may not see it.
    """
    found = Review.objects.all() if seat is None else _visible(seat)
    if for_update:
        found = Review.objects.filter(pk__in=found.values("pk")).select_for_update(of=("self",))
    review = (
        found.select_related("organisation", "approved_by__person", "approved_by__organisation").filter(pk=review_id).first()
    )
    if review is None:
        raise NotFound
    return review


def may_edit(seat: Seat, review: Review) -> bool:
    """Say whether the seat may change the review: its own organisation's, not yet approved."""
    own = seat.organisation_id == review.organisation_id
    return own and seat.may(Action.EDIT_REVIEW) and review.approved_at is None


def may_approve(seat: Seat, review: Review) -> bool:
    """Say whether the seat may approve the review."""
    own = seat.organisation_id == review.organisation_id
    return own and seat.may(Action.APPROVE_REVIEW) and review.approved_at is None


def may_send(seat: Seat, review: Review) -> bool:
    """Say whether the seat may begin the dispatch with which the approved review goes out."""
    own = seat.organisation_id == review.organisation_id
    return own and seat.may(Action.EDIT_REVIEW) and seat.may(Action.DRAFT) and review.approved_at is not None


def require_editor(seat: Seat | None, review: Review) -> None:
    """Refuse a seat that may not change the review's organisation's texts. No seat means the system itself.

    Raises:
        NotAllowed: another organisation's review, or a role that only reads.
    """
    if seat is not None and not (seat.organisation_id == review.organisation_id and seat.may(Action.EDIT_REVIEW)):
        raise NotAllowed


def buildable(seat: Seat) -> list[tuple[str, str]]:
    """Return (key, title) of the regulations for which the seat's organisation may write a review: those it issued."""
    if not seat.may(Action.EDIT_REVIEW):
        return []
    found = regulations.instruments_for(seat).filter(issuer=seat.organisation_id)
    return list({i.key: (i.key, i.title) for i in found.order_by("-version")}.values())


# --- what a review shows -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """What stands at a place: the computed text, or a person's, and whether its ground has moved since."""

    place: str
    text: str
    computed: str
    written_by: str = ""
    written_at: datetime | None = None
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """One figure with its words."""

    figure: dict[str, Any]
    value: str
    before: str
    published: list[tuple[str, str, bool]]  # words, source, verified


@dataclass(frozen=True, slots=True)
class ShownField:
    """One field of coordination."""

    key: str
    name: str
    clause: str
    text: Text
    figures: list[ShownFigure]


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """One finding with its text and the causes people gave."""

    finding: dict[str, Any]
    name: str
    text: Text
    causes: list[tuple[str, str, str]]  # code, words, text


@dataclass(frozen=True, slots=True)
class Shown:
    """The whole review as its page and its files show it."""

    review: Review
    facts: dict[str, Any]
    texts: dict[str, Text]
    fields: list[ShownField]
    findings: list[ShownFinding]
    stated: list[Item]  # limitations as a conference stated them
    tasks: list[Item]
    proposals: list[tuple[str, list[Item]]]  # by addressee
    directives: list[Item]
    bodies: list[dict[str, Any]]  # counts per debtor, by name: nobody is ranked
    pairs: list[dict[str, Any]]  # with something missing or a silence of the threshold, by name
    documents: list[Document] = field(default_factory=list)


def shown(review: Review) -> Shown:
    """Return the review with its texts; five queries, however large it is. The caller has passed `review_for`."""
    facts: dict[str, Any] = review.facts
    passages = {p.place: p for p in review.passages.select_related("written_by__person", "written_by__organisation")}
    items = list(review.items.order_by("position", "id"))
    causes: dict[str, list[tuple[str, str, str]]] = {}
    for cause in review.causes.order_by("id"):
        causes.setdefault(cause.finding, []).append((cause.code, wording.cause_name(cause.code), cause.text))
    by_addressee: dict[str, list[Item]] = {}
    for item in items:
        if item.kind == Item.Kind.PROPOSAL:
            by_addressee.setdefault(item.addressee, []).append(item)
    sections = {f"section:{s}": _text(f"section:{s}", wording.section_text(facts, s), passages) for s in SECTIONS}
    return Shown(
        review=review,
        facts=facts,
        texts={place.removeprefix("section:"): text for place, text in sections.items()},
        fields=[_field(f, passages) for f in facts["fields"]],
        findings=[
            ShownFinding(
                f,
                wording.finding_name(f["kind"]),
                _text(f"finding:{f['key']}", wording.finding_text(facts, f), passages),
                causes.get(f["key"], []),
            )
            for f in facts["findings"]
        ],
        stated=[i for i in items if i.kind == Item.Kind.LIMITATION],
        tasks=[i for i in items if i.kind == Item.Kind.TASK],
        proposals=list(by_addressee.items()),
        directives=[i for i in items if i.kind == Item.Kind.DIRECTIVE],
        bodies=_named(facts, facts["by_body"]),
        pairs=_troubled(facts),
        documents=list(review.documents.select_related("file").order_by("-made_at")),
    )


def _text(place: str, computed: str, passages: Mapping[str, Passage]) -> Text:
    passage = passages.get(place)
    if passage is None:
        return Text(place, computed, computed)
    kept = kept_text(written=passage.text, basis=passage.basis, computed=computed)
    return Text(place, kept.text, computed, passage.written_by.journal_name, passage.written_at, kept.outdated)


def _field(row: dict[str, Any], passages: Mapping[str, Passage]) -> ShownField:
    figures = [
        ShownFigure(
            f,
            wording.in_vietnamese(wording.figure_value)(f),
            wording.comparison_words(f),
            [(wording.published_words(p), p["source"], p["verified"]) for p in f["published"]],
        )
        for f in row["figures"]
    ]
    text = _text(f"field:{row['key']}", wording.field_text(row), passages)
    return ShownField(row["key"], row["name"], row["clause"], text, figures)


def _named(facts: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r | {"name": wording.name_of(facts, r["body"])} for r in rows]


def _troubled(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pairs with something missing or a silence that is a finding; who owes nothing may be quiet for long."""
    silent = {tuple(f["bodies"]) for f in facts["findings"] if f["kind"] == "exchange_not_regular"}
    found = []
    for pair in facts["pairs"]:
        if (pair["first"], pair["second"]) in silent or any(w["missing"] for w in pair["ways"]):
            ways = [
                w | {"debtor_name": wording.name_of(facts, w["debtor"]), "creditor_name": wording.name_of(facts, w["creditor"])}
                for w in pair["ways"]
                if w["expected"]
            ]
            found.append(pair | {"ways": ways, "days": pair["silence"]["days"] if pair["silence"] else 0})
    return found


def text_at(review: Review, place: str) -> Text:
    """Return what stands at one place.

    Raises:
        NotFound: the review has no such place.
    """
    kind, _colon, key = place.partition(":")
    facts: dict[str, Any] = review.facts
    computed: str | None = None
    if kind == "section" and key in SECTIONS:
        computed = wording.section_text(facts, key)
    elif kind == "field":
        computed = next((wording.field_text(f) for f in facts["fields"] if f["key"] == key), None)
    elif kind == "finding":
        computed = next((wording.finding_text(facts, f) for f in facts["findings"] if f["key"] == key), None)
    if computed is None:
        raise NotFound
    passages = {p.place: p for p in review.passages.filter(place=place).select_related("written_by__person")}
    return _text(place, computed, passages)


def finding_of(review: Review, key: str) -> dict[str, Any]:
    """Return one finding of the review.

    Raises:
        NotFound: the review has no such finding.
    """
    found = next((f for f in review.facts["findings"] if f["key"] == key), None)
    if found is None:
        raise NotFound
    return dict(found)


def causes_of(review: Review, key: str) -> dict[str, str]:
    """Return the causes given for a finding: code and text."""
    return {c.code: c.text for c in Cause.objects.filter(review=review, finding=key)}


def item_of(review: Review, item_id: int) -> Item:
    """Return one item of the review.

    Raises:
        NotFound: the review has no such item.
    """
    found = review.items.filter(pk=item_id).first()
    if found is None:
        raise NotFound
    return found


# --- the records behind ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Behind:
    """The records behind a finding or a number, as they were at the moment of the review."""

    finding: dict[str, Any] | None
    duties: list[Duty] = field(default_factory=list)
    page: Page | None = None
    dispatches: list[Dispatch] = field(default_factory=list)


def records_of_finding(seat: Seat, review: Review, key: str) -> Behind:
    """Return the duties and dispatches behind a finding that the seat may see."""
    finding = finding_of(review, key)
    return Behind(
        finding,
        duties=duties.duties_by_reference(seat, finding["duties"], review.as_of),
        dispatches=exchange.dispatches_by_uuids(seat, finding["dispatches"]),
    )


def records_counted(
    seat: Seat,
    review: Review,
    *,
    debtor: str = "",
    creditor: str = "",
    rule: str = "",
    status: str = "",
    page: str | None = None,
) -> Behind:
    """Return one page of the duties behind a number of the review that the seat may see."""
    known = organisations.organisations_by_keys(k for k in (debtor, creditor) if k)
    if len(known) != len({k for k in (debtor, creditor) if k}):
        raise NotFound
    filters = duties.Filters(
        instrument_key=review.instrument_key,
        rule_key=rule,
        debtor_id=known[debtor].pk if debtor else None,
        creditor_id=known[creditor].pk if creditor else None,
        status=status,
        first=review.period_from,
        last=review.period_to,
    )
    return Behind(None, page=duties.duties_for(seat, filters, page, review.as_of))
