"""Figures out of reports: read once from the signed content, superseded when the report is."""

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction

from hiepdong.exchange.models import Dispatch
from hiepdong.exchange.queries import content_of
from hiepdong.journal.models import Entry
from hiepdong.regulations.models import Form

from .models import Figure, Precision, PublishedFigure, State


@transaction.atomic
def read_figures(entry: Entry, at: datetime) -> None:
    """React to `exchange.dispatch.sent`: store the figures of a report; supersede those it replaces or withdraws.

    Doing it twice changes nothing.
    """
    dispatch = Dispatch.objects.select_related("sender").filter(pk=entry.subject_id).first()
    if dispatch is None:
        return
    withdrawn = entry.facts.get("withdraws")
    if withdrawn:
        Figure.objects.filter(dispatch__uuid=withdrawn).update(superseded=True)
    if dispatch.replaces_id:
        Figure.objects.filter(dispatch_id=dispatch.replaces_id).update(superseded=True)
    if dispatch.kind == "report" and not Figure.objects.filter(dispatch=dispatch).exists():
        Figure.objects.bulk_create(figures_of(dispatch, _Forms()))


def figures_of(dispatch: Dispatch, forms: "_Forms") -> list[Figure]:
    """Return the figures that the signed content states; what cannot be read as a figure is kept as text."""
    form = content_of(dispatch).body.get("form") or {}
    known = forms.of(str(form.get("instrument")), int(form.get("version", 1)), str(form.get("key")))
    if known is None:
        return []
    definitions = {i["key"]: i for i in known.definition["indicators"]}
    first, last = date.fromisoformat(form["period_from"]), date.fromisoformat(form["period_to"])
    found = []
    for row in form.get("figures", []):
        definition: dict[str, Any] = definitions.get(row["indicator"], {})
        state, value = row.get("state", State.NOT_REPORTED), None
        if state == State.VALUE:
            try:
                value = Decimal(row["value"])
            except (InvalidOperation, KeyError, TypeError):
                state = State.NO_NUMBER
        found.append(
            Figure(
                dispatch=dispatch,
                form=known,
                organisation_id=dispatch.sender_id,
                instrument_key=str(form["instrument"]),
                indicator=row["indicator"][:80],
                definition=definition.get("definition", f"{row['indicator']}/?")[:80],
                period_from=first,
                period_to=last,
                state=state if state in State.values else State.NOT_REPORTED,
                value=value,
                unit=(row.get("unit") or definition.get("unit", ""))[:40],
                precision=row["precision"] if row.get("precision") in Precision.values else Precision.EXACT,
                scope=str(row.get("scope", ""))[:200],
                text=str(row.get("text", ""))[:500],
            )
        )
    return found


class _Forms:
    """Report forms, each read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str], Form | None] = {}

    def of(self, instrument: str, version: int, key: str) -> Form | None:
        """Return the form of a version of an instrument."""
        place = (instrument, version, key)
        if place not in self._known:
            self._known[place] = Form.objects.filter(instrument__key=instrument, instrument__version=version, key=key).first()
        return self._known[place]


@transaction.atomic
def supersede_figures(entry: Entry, at: datetime) -> None:
    """React to `exchange.dispatch.returned`: a returned report no longer counts. Twice is harmless."""
    Figure.objects.filter(dispatch_id=entry.subject_id, superseded=False).update(superseded=True)


@transaction.atomic
def publish_figures(*, rows: list[dict[str, Any]], instrument_key: str, actor: Any, at: datetime) -> int:
    """Keep figures that were published for earlier years, each with its source; known ones are left as they are."""
    made = 0
    for row in rows:
        _, new = PublishedFigure.objects.get_or_create(
            instrument_key=instrument_key,
            indicator=row["indicator"],
            definition=row["definition"],
            year=row["year"],
            scope=row.get("scope", ""),
            defaults={
                "value": Decimal(str(row["value"])),
                "unit": row["unit"],
                "precision": row.get("precision", "exact"),
                "source": row["source"],
                "verified": row.get("verified", False),
            },
        )
        made += new
    return made
