"""Reading figures: added up by the database, with the reports behind them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.exchange.models import Draft
from hiepdong.kernel.errors import NotFound
from hiepdong.regulations.models import Form

from .models import Figure, PublishedFigure, State


@dataclass(frozen=True, slots=True)
class Total:
    """One indicator over a period: `value` is None when no report gave a number.

    `exact` is False when one of the added figures was not. `merged` figures of several indicators keep their scope.
    """

    indicator: str
    definition: str
    name: str
    unit: str
    field: str
    group: str
    aggregate: str
    value: Decimal | None
    exact: bool
    reports: int
    not_reported: int
    without_number: int
    organisations: int
    parts_of: str = ""
    published: list[PublishedFigure] = field(default_factory=list)


def figures_for_review(instrument_key: str, *, first: date, last: date, as_of: datetime) -> list[Total]:
    """Return every indicator of the instrument's forms for periods that end from `first` to `last`, both inclusive.

    An indicator that is a state (`aggregate = "last"`) takes each organisation's latest figure; the others are added.
    Only figures of reports sent up to `as_of` that still stand are counted. The number of queries is constant.
    """
    live = Figure.objects.filter(
        instrument_key=instrument_key,
        period_to__gte=first,
        period_to__lte=last,
        superseded=False,
        dispatch__sent_at__lte=as_of,
    )
    with_value = Q(state=State.VALUE)
    sums = {
        (row["indicator"], row["definition"]): row
        for row in live.values("indicator", "definition").annotate(
            total=Sum("value"),
            reports=Count("dispatch", distinct=True, filter=with_value),
            none=Count("id", filter=Q(state=State.NOT_REPORTED)),
            words=Count("id", filter=Q(state=State.NO_NUMBER)),
            bodies=Count("organisation", distinct=True, filter=with_value),
            loosest=Min("precision", filter=with_value),
            strictest=Max("precision", filter=with_value),
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
        row = sums.get((indicator["key"], definition), {})
        value = latest.get(definition) if indicator["aggregate"] == "last" else row.get("total")
        exact = row.get("loosest", "exact") == "exact" and row.get("strictest", "exact") == "exact"
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
                exact=exact,
                reports=row.get("reports", 0),
                not_reported=row.get("none", 0),
                without_number=row.get("words", 0),
                organisations=row.get("bodies", 0),
                parts_of=indicator.get("parts_of", ""),
                published=published.get(indicator["key"], []),
            )
        )
    return totals


def _latest(live: QuerySet[Figure], definitions: set[str]) -> dict[str, Decimal]:
    """Return the sum of each organisation's latest figure for indicators that describe a state."""
    found: dict[str, Decimal] = {}
    seen: set[tuple[str, int, str]] = set()
    rows = live.filter(definition__in=definitions, state=State.VALUE).order_by("-period_to", "-id")
    for definition, organisation, scope, value in rows.values_list("definition", "organisation_id", "scope", "value"):
        if (definition, organisation, scope) not in seen and value is not None:
            seen.add((definition, organisation, scope))
            found[definition] = found.get(definition, Decimal(0)) + value
    return found


def figures_behind(seat: Seat, *, instrument_key: str, indicator: str, first: date, last: date) -> QuerySet[Figure]:
    """Return the single figures behind a total that the seat may see, newest first."""
    return (
        Figure.objects.filter(
            instrument_key=instrument_key,
            indicator=indicator,
            period_to__gte=first,
            period_to__lte=last,
            organisation__in=visible_organisation_ids(seat),
        )
        .select_related("dispatch", "organisation")
        .defer("dispatch__signed")
        .order_by("-period_to", "organisation__name_sort", "id")
    )


def form_of_draft(draft: Draft) -> dict[str, Any]:
    """Return the definition of the form a draft fills in, with its title.

    Raises:
        NotFound: the draft is no report, or its form is not loaded.
    """
    wanted = draft.content.get("body", {}).get("form", {})
    form = Form.objects.filter(
        instrument__key=wanted.get("instrument"), instrument__version=wanted.get("version"), key=wanted.get("key")
    ).first()
    if form is None:
        raise NotFound
    return form.definition | {"title": form.title}


def figures_shown(seat: Seat, *, indicator: str = "", first: str = "", last: str = "") -> QuerySet[Figure]:
    """Return the visible figures that still stand, newest period first; days as ISO text, empty or wrong = no limit."""
    found = Figure.objects.filter(organisation__in=visible_organisation_ids(seat), superseded=False)
    if indicator:
        found = found.filter(indicator=indicator)
    for key, text in (("period_to__gte", first), ("period_to__lte", last)):
        try:
            found = found.filter(**{key: date.fromisoformat(text)}) if text else found
        except ValueError:
            continue
    return (
        found.select_related("dispatch", "organisation", "form")
        .defer("dispatch__signed")
        .order_by("-period_to", "organisation__name_sort", "id")
    )


def indicator_keys(seat: Seat) -> list[tuple[str, str]]:
    """Return the indicators of all forms as (key, name)."""
    found: dict[str, str] = {}
    for form in Form.objects.order_by("id"):
        for i in form.definition["indicators"]:
            found.setdefault(i["key"], i["name"])
    return sorted(found.items(), key=lambda kv: kv[1])
