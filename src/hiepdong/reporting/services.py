"""Figures out of reports: read once from the signed content, superseded when the report is."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction
from django.db.models import Q

from hiepdong.accounts.models import Seat
from hiepdong.exchange import services as exchange
from hiepdong.exchange.domain.classified import refuse_classified
from hiepdong.exchange.models import Addressee, Dispatch, Draft
from hiepdong.exchange.queries import content_of
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import nfc
from hiepdong.regulations.models import Form

from . import queries
from .domain.compose import Answers, completed, read_form
from .domain.versions import Version, counting
from .models import Figure, Precision, PublishedFigure, State


@transaction.atomic
def read_figures(entry: Entry, at: datetime) -> None:
    """React to `exchange.dispatch.sent`: store the figures of a report, and settle which version of it counts.

    Doing it twice changes nothing.
    """
    dispatch = Dispatch.objects.select_related("sender").filter(pk=entry.subject_id).first()
    if dispatch is None:
        return
    if dispatch.kind == "report" and not Figure.objects.filter(dispatch=dispatch).exists():
        Figure.objects.bulk_create(figures_of(dispatch, _Forms()))
    withdrawn = entry.facts.get("withdraws")
    taken = set(Dispatch.objects.filter(uuid=withdrawn).values_list("pk", flat=True)) if withdrawn else set()
    _settle({dispatch.pk} | taken)


def _settle(about: set[int]) -> None:
    """Mark, among all that was sent about the occasions of these papers, the figures that do not count."""
    family = _family(about)
    withdrawn = set(Dispatch.objects.filter(withdraws__in=family).values_list("withdraws", flat=True))
    answered: dict[int, list[bool]] = {}
    addressees = Addressee.objects.filter(dispatch__in=family, role="to")
    for dispatch, returned_at in addressees.values_list("dispatch", "returned_at"):
        answered.setdefault(dispatch, []).append(returned_at is not None)
    versions = [
        Version(d.pk, d.sent_at, d.replaces_id, returned=all(answered.get(d.pk, [False])), withdrawn=d.pk in withdrawn)
        for d in Dispatch.objects.filter(pk__in=family).exclude(kind="withdrawal").only("sent_at", "replaces")
    ]
    counts = counting(versions)
    figures = Figure.objects.filter(dispatch__in=family)
    figures.filter(superseded=False).exclude(dispatch=counts).update(superseded=True)
    figures.filter(superseded=True, dispatch=counts).update(superseded=False)


def _family(about: set[int]) -> set[int]:
    """Return the papers of the same occasion: replaced and replacing ones, and reports by the same form for the same duty."""
    known: set[int] = set()
    fresh = set(about)
    while fresh:
        known |= fresh
        # Two look-ups by key: one question with OR reads every paper of the node, each time, where the planner guesses wrong.
        found = set(Dispatch.objects.filter(replaces__in=fresh).values_list("pk", flat=True))
        earlier = Dispatch.objects.filter(pk__in=fresh).values_list("replaces", flat=True)
        found |= {pk for pk in earlier if pk is not None}
        found |= _told_twice(fresh)
        fresh = found - known
    return known


def _told_twice(fresh: set[int]) -> set[int]:
    """Return reports of the same sender by the same form for the same period that answer a duty in common."""
    columns = ("organisation", "form", "period_from", "period_to")
    places = set(Figure.objects.filter(dispatch__in=fresh).values_list(*columns))
    same = Q(pk__in=[])
    for place in places:
        same |= Q(**dict(zip(columns, place, strict=True)))
    reports = Figure.objects.filter(same).values_list("dispatch", flat=True).distinct()
    answers = dict(Dispatch.objects.filter(pk__in={*reports, *fresh}).values_list("pk", "answers"))
    duties = {reference for pk in fresh for reference in answers.get(pk, [])}
    return {pk for pk, references in answers.items() if duties.intersection(references)}


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
    """React to `exchange.dispatch.returned`: what everybody returned no longer counts. Twice is harmless."""
    _settle({int(entry.subject_id)})


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


# --- writing a report --------------------------------------------------------------------------------------------------

LONGEST_SUBJECT = 300


class ReportIncomplete(DomainError):
    """The report cannot be sent as it stands."""

    code = "reporting.report_incomplete"
    message = gettext_noop("The report is not ready to be sent; places that need attention: %(count)s.")
    hint = gettext_noop("They are marked below; what you typed is kept.")


Upload = exchange.Upload


@dataclass(frozen=True, slots=True)
class Saved:
    """A report as it was kept, and what of it could not be read."""

    draft: Draft
    answers: Answers

    @property
    def conflict(self) -> bool:
        """Somebody saved in between; nothing was overwritten."""
        return "conflict" in self.draft.unsaved


@transaction.atomic
def save_report(
    *,
    draft_id: uuid.UUID,
    typed: Mapping[str, str],
    actor: Seat,
    at: datetime,
    revision: int = 0,
    uploads: Sequence[Upload] = (),
    without: str = "",
) -> Saved:
    """Keep a half-written report: what can be read as figures and sections, the rest as typed.

    `typed` has the keys of `domain.compose`, with `subject`, `text` and `urgency`; `without` is the digest of a file
    to take away.

    Raises:
        NotFound: no such draft of the actor's organisation.
        ClassifiedContent: a secrecy mark in a text or a file name; nothing is kept.
        FileTooLarge: a file is larger than can be kept.
    """
    found = queries.report_draft(actor, draft_id, at=at)
    answers = read_form(found.form.definition, {k: nfc(v) for k, v in typed.items()})
    content = dict(found.draft.content)
    refuse_classified(*map(str, typed.values()))  # also of what cannot be read as a figure and is kept as typed
    body = dict(content.get("body", {}))
    body["form"] = found.content_form | {"figures": answers.figures, "sections": answers.sections}
    body["text"] = nfc(typed.get("text", str(body.get("text", "")))).replace("\r\n", "\n").strip()
    content |= {
        "subject": nfc(typed.get("subject", str(content.get("subject", "")))).strip()[:LONGEST_SUBJECT],
        "urgency": typed.get("urgency") or content.get("urgency", "ordinary"),
        "body": body,
    }
    unsaved = {"typed": answers.as_typed} if answers.as_typed else {}
    draft = exchange.save_draft(
        draft_id=draft_id,
        content=content,
        actor=actor,
        at=at,
        revision=revision,
        unsaved=unsaved,
        uploads=uploads,
        without=without,
    )
    return Saved(draft, answers)


@transaction.atomic
def send_report(*, draft_id: uuid.UUID, actor: Seat, at: datetime) -> Dispatch:
    """Sign and send a kept report; indicators left empty are signed as "not reported". Twice sends it once.

    Raises:
        ReportIncomplete: something cannot be read or is missing; nothing is sent.
        NotAllowed, InvalidContent, ClassifiedContent: nothing is sent.
    """
    found = queries.report_draft(actor, draft_id, at=at)
    if found.draft.sent_as is not None:
        return found.draft.sent_as
    open_places = problems_of(found)
    if open_places:
        raise ReportIncomplete(count=len(open_places))
    body = dict(found.draft.content["body"])
    body["form"] = found.content_form | {"figures": figures_to_sign(found)}
    exchange.save_draft(draft_id=draft_id, content=found.draft.content | {"body": body}, actor=actor, at=at)
    return exchange.send_draft(draft_id=draft_id, actor=actor, at=at)


def problems_of(found: queries.ReportDraft) -> dict[str, DomainError]:
    """Return why a kept report cannot be sent: by typed key, what cannot be read and what is missing."""
    answers = read_form(found.form.definition, queries.typed_now(found))
    return answers.gaps | answers.faults


def figures_to_sign(found: queries.ReportDraft) -> list[dict[str, Any]]:
    """Return the figures as they would be signed now, with "not reported" for what was left empty."""
    return completed(found.form.definition, found.content_form.get("figures", []))
