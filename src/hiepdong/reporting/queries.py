"""Reading figures: added up by the database, with the reports behind them."""

import dataclasses
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Sum

from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.duties import queries as duties
from hiepdong.duties.models import Duty
from hiepdong.exchange import queries as exchange
from hiepdong.exchange.models import Addressee, Dispatch, Draft
from hiepdong.kernel.errors import NotFound
from hiepdong.kernel.text import fold
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation
from hiepdong.regulations.models import DutyRule, Form

from .domain.compose import typed_from
from .domain.figures import precision_of_sum
from .models import Figure, PublishedFigure, State


@dataclass(frozen=True, slots=True)
class Total:
    """One indicator over a period: `value` is None when no report gave a number.

    `precision` is what the value may claim when figures stated as over, nearly or about are among those added.
    """

    indicator: str
    definition: str
    name: str
    unit: str
    field: str
    group: str
    aggregate: str
    value: Decimal | None
    precision: str
    reports: int
    not_reported: int
    without_number: int
    organisations: int
    parts_of: str = ""
    paired_with: str = ""
    published: list[PublishedFigure] = dataclasses.field(default_factory=list)


def figures_for_review(instrument_key: str, *, first: date, last: date, as_of: datetime) -> list[Total]:
    """Return every indicator of the instrument's forms for periods that end from `first` to `last`, both inclusive.

    An indicator that is a state (`aggregate = "last"`) takes each organisation's latest figure; what is not to be put
    together (`"none"`) has a value only where a single figure was reported; the others are added.
    Only figures of reports sent up to `as_of` that still stand are counted. The number of queries is constant.
    """
    live = Figure.objects.filter(
        Q(superseded=False) | ~_ended(as_of),
        instrument_key=instrument_key,
        period_to__gte=first,
        period_to__lte=last,
        dispatch__sent_at__lte=as_of,
    )
    with_value = Q(state=State.VALUE)
    live = live.exclude(pk__in=_told_again(live, instrument_key))
    sums = {
        (row["indicator"], row["definition"]): row
        for row in live.values("indicator", "definition").annotate(
            total=Sum("value"),
            reports=Count("dispatch", distinct=True, filter=with_value),
            values=Count("id", filter=with_value),
            none=Count("id", filter=Q(state=State.NOT_REPORTED)),
            words=Count("id", filter=Q(state=State.NO_NUMBER)),
            bodies=Count("organisation", distinct=True, filter=with_value),
            over=Count("id", filter=with_value & Q(precision="over")),
            nearly=Count("id", filter=with_value & Q(precision="nearly")),
            about=Count("id", filter=with_value & Q(precision="about")),
        )
    }
    forms = Form.objects.filter(instrument__key=instrument_key).order_by("-instrument__version", "id")
    definitions: dict[str, dict[str, str]] = {}
    for form in forms:
        for indicator in form.definition["indicators"]:
            definitions.setdefault(indicator["definition"], indicator)
    latest = _latest(live, {d for d, i in definitions.items() if i["aggregate"] == "last"})
    published: dict[str, list[PublishedFigure]] = {}
    for figure in PublishedFigure.objects.filter(instrument_key=instrument_key).order_by("-year"):
        published.setdefault(figure.indicator, []).append(figure)
    totals = []
    for definition, indicator in definitions.items():
        row: Any = sums.get((indicator["key"], definition), {})
        value, told = row.get("total"), {word for word in ("over", "nearly", "about") if row.get(word)}
        if indicator["aggregate"] == "last":
            value, told = latest.get(definition, (None, set()))
        elif indicator["aggregate"] == "none" and row.get("values", 0) > 1:
            value = None  # rates and the like: several of them make no sum
        totals.append(
            Total(
                indicator=indicator["key"],
                definition=definition,
                name=indicator["name"],
                unit=indicator["unit"],
                field=indicator["field"],
                group=indicator["group"],
                aggregate=indicator["aggregate"],
                value=value,
                precision=precision_of_sum(told),
                reports=row.get("reports", 0),
                not_reported=row.get("none", 0),
                without_number=row.get("words", 0),
                organisations=row.get("bodies", 0),
                parts_of=indicator.get("parts_of", ""),
                paired_with=indicator.get("paired_with", ""),
                published=published.get(indicator["key"], []),
            )
        )
    return totals


def _ended(at: datetime) -> Q:
    """Say whether a figure's report was replaced, withdrawn or returned up to the moment; later it still stood then."""
    followed = Dispatch.objects.filter(Q(replaces=OuterRef("dispatch_id")) | Q(withdraws=OuterRef("dispatch_id")))
    returned = Addressee.objects.filter(dispatch=OuterRef("dispatch_id"), returned_at__lte=at)
    return Q(Exists(followed.filter(sent_at__lte=at))) | Q(Exists(returned))


def _told_again(live: QuerySet[Figure], instrument_key: str) -> list[int]:
    """Return the figures that a longer report of the same body tells again: a half year beside the whole year.

    Only forms that several period families use can do so; for the others nothing is read.
    """
    families: dict[int, set[str]] = {}
    for form_id, spec in DutyRule.objects.filter(instrument__key=instrument_key, form__isnull=False).values_list(
        "form_id", "spec"
    ):
        families.setdefault(form_id or 0, set()).add(str(spec["trigger"].get("family", "")))
    forms = [form_id for form_id, used in families.items() if len(used) > 1]
    if not forms:
        return []
    longer: dict[tuple[Any, ...], list[tuple[date, date]]] = {}
    shorter: list[int] = []
    columns = ("organisation_id", "indicator", "definition", "scope", "pk", "period_from", "period_to")
    rows = live.filter(form__in=forms, state=State.VALUE).order_by("period_from", "-period_to", "pk").values_list(*columns)
    for *key, pk, first, last in rows.iterator(chunk_size=5000):
        known = longer.setdefault(tuple(key), [])
        if any(a <= first and last <= b and (a, b) != (first, last) for a, b in known):
            shorter.append(pk)
        else:
            known.append((first, last))
    return shorter


def _latest(live: QuerySet[Figure], definitions: set[str]) -> dict[str, tuple[Decimal, set[str]]]:
    """Return the sum of each organisation's latest figure for indicators that describe a state, and their precisions."""
    found: dict[str, tuple[Decimal, set[str]]] = {}
    seen: set[tuple[str, int, str]] = set()
    rows = live.filter(definition__in=definitions, state=State.VALUE).order_by("-period_to", "-id")
    columns = ("definition", "organisation_id", "scope", "value", "precision")
    for definition, organisation, scope, value, precision in rows.values_list(*columns):
        if (definition, organisation, scope) not in seen and value is not None:
            seen.add((definition, organisation, scope))
            total, told = found.get(definition, (Decimal(0), set()))
            found[definition] = (total + value, told | {precision})
    return found


FEW = 20
BEFORE_ANY = date(1900, 1, 1)


def _visible(seat: Seat, *, narrowed: bool = True) -> QuerySet[Figure]:
    """Return the figures of papers one of whose parties the seat may look into: the gate of the papers themselves.

    What few bodies received is looked up first where the list is not narrowed otherwise; else each figure is asked.
    """
    ids = visible_organisation_ids(seat)
    received = Addressee.objects.filter(organisation__in=ids)
    if len(ids) <= FEW and not narrowed:
        return Figure.objects.filter(Q(organisation__in=ids) | Q(dispatch__in=received.values("dispatch")))
    return Figure.objects.filter(Q(organisation__in=ids) | Exists(received.filter(dispatch=OuterRef("dispatch_id"))))


def figures_behind(seat: Seat, *, instrument_key: str, indicator: str, first: date, last: date) -> QuerySet[Figure]:
    """Return the single figures behind a total that the seat may see, newest first."""
    return (
        _visible(seat)
        .filter(
            instrument_key=instrument_key,
            indicator=indicator,
            period_to__gte=first,
            period_to__lte=last,
        )
        .select_related("dispatch", "organisation")
        .defer("dispatch__signed")
        .order_by("-period_to", "organisation__name_sort", "id")
    )


@dataclass(frozen=True, slots=True)
class FigureFilter:
    """What the page of figures shows; days are local and inclusive, by the end of the period."""

    instrument_key: str = ""
    indicator: str = ""
    first: date | None = None
    last: date | None = None
    state: str = ""
    organisation: str = ""  # part of a name, without marks
    superseded: bool = False  # also those of reports that were replaced, returned or withdrawn
    sort: str = "-period"


SORTS = {
    "-period": ("-period_to", "organisation_id", "indicator", "id"),  # body by body in the order of the index, not by name
    "period": ("period_to", "organisation_id", "indicator", "id"),
    "organisation": ("organisation__name_sort", "-period_to", "indicator", "id"),
    "-value": ("-value", "-period_to", "id"),
}


def figures(seat: Seat, chosen: FigureFilter, *, at: datetime) -> QuerySet[Figure]:
    """Return the figures the seat may see, sent up to the moment."""
    narrowed = bool(chosen.indicator or chosen.first or chosen.last or chosen.organisation)
    found = _visible(seat, narrowed=narrowed).filter(dispatch__sent_at__lte=at)
    if chosen.instrument_key:
        found = found.filter(instrument_key=chosen.instrument_key)
    if chosen.indicator:
        found = found.filter(indicator=chosen.indicator)
    # SQLite does not see that one page is wanted; that the list is bounded by the period sends it to the index of periods.
    found = found.filter(period_to__gte=chosen.first or BEFORE_ANY)
    if chosen.last:
        found = found.filter(period_to__lte=chosen.last)
    if chosen.state in State.values:
        found = found.filter(state=chosen.state)
    if chosen.organisation:
        found = found.filter(organisation__name_folded__contains=fold(chosen.organisation))
    if not chosen.superseded:
        found = found.filter(superseded=False)
    order = SORTS.get(chosen.sort, SORTS["-period"])
    return found.select_related("dispatch", "organisation", "form").defer("dispatch__signed").order_by(*order)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of figures comes to; `value` is None without a number. `mixed` units or ways of counting are not added."""

    value: Decimal | None
    unit: str
    reports: int
    not_reported: int
    without_number: int
    mixed: bool


def summary(found: QuerySet[Figure]) -> Summary:
    """Add the standing figures of a list up, in one query; what is counted differently is not added."""
    row = found.filter(superseded=False).aggregate(
        total=Sum("value"),
        reports=Count("dispatch", distinct=True, filter=Q(state=State.VALUE)),
        none=Count("id", filter=Q(state=State.NOT_REPORTED)),
        words=Count("id", filter=Q(state=State.NO_NUMBER)),
        ways=Count("definition", distinct=True),
        units=Count("unit", distinct=True),
        unit=Max("unit"),
    )
    mixed = row["ways"] > 1 or row["units"] > 1
    return Summary(None if mixed else row["total"], row["unit"] or "", row["reports"], row["none"], row["words"], mixed)


@dataclass(frozen=True, slots=True)
class IndicatorName:
    """One indicator as the newest form that asks for it names it."""

    key: str
    name: str
    unit: str
    group: str


def indicators(instrument_key: str = "") -> list[IndicatorName]:
    """Return the indicators of all forms (of one instrument), each once, in the order of the forms."""
    forms = Form.objects.order_by("-instrument__version", "id")
    if instrument_key:
        forms = forms.filter(instrument__key=instrument_key)
    found: dict[str, IndicatorName] = {}
    for definition in forms.values_list("definition", flat=True):
        for i in definition["indicators"]:
            found.setdefault(i["key"], IndicatorName(i["key"], i["name"], i["unit"], i.get("group", "")))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class ReportDraft:
    """A half-written report with all that its page needs."""

    draft: Draft
    form: Form
    duty: Duty | None
    recipients: list[tuple[Organisation, str]]  # with the role: "to" or "copy"

    @property
    def content_form(self) -> dict[str, Any]:
        """The part of the content that the form fills."""
        return dict(self.draft.content.get("body", {}).get("form", {}))


def report_draft(seat: Seat, draft_id: uuid.UUID, *, at: datetime) -> ReportDraft:
    """Return a report draft of the seat's own organisation.

    Raises:
        NotFound: there is none, it is another organisation's, or it follows no form that is known here.
    """
    draft = exchange.draft_for(seat, draft_id)
    asked = draft.content.get("body", {}).get("form") or {}
    form = Form.objects.select_related("instrument").defer("instrument__file_bytes")
    found = form.filter(
        instrument__key=asked.get("instrument", ""), instrument__version=asked.get("version", 0), key=asked.get("key", "")
    ).first()
    if found is None:
        raise NotFound
    duty = None
    if draft.duty_reference:
        try:
            duty = duties.duty_for(seat, draft.duty_reference, at=at)
        except NotFound:
            duty = None
    wanted = [(r["organisation"], r.get("role", "to")) for r in draft.content.get("recipients", [])]
    known = organisations.organisations_by_keys(k for k, _ in wanted)
    return ReportDraft(draft, found, duty, [(known[k], role) for k, role in wanted if k in known])


def typed_now(found: ReportDraft) -> dict[str, str]:
    """Return what the fields of the report's page hold."""
    return typed_from(found.content_form, found.draft.unsaved.get("typed", {}))
