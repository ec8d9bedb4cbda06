"""For programs of organisations at home here: duties, registers, papers with their receipts; drafts and acknowledging."""

import json
import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from ninja import Path, Query, Router
from ninja.responses import Status

from hiepdong.duties import queries as duties
from hiepdong.exchange import queries, services
from hiepdong.kernel.errors import NotFound
from hiepdong.organisations import queries as organisations

from . import schemas
from .authentication import TokenOfSeat
from .paging import page_of
from .schemas import MOST_ROWS, Problem

router = Router(auth=TokenOfSeat(), tags=["for own systems"])
REFUSED: dict[Any, Any] = {frozenset({400, 401, 403, 404, 409, 413, 415, 422, 429, 503}): Problem}

Cursor = Query("", max_length=300)
Limit = Query(50, ge=1, le=MOST_ROWS)
Key = Query("", max_length=120)
Kind = Literal["", "report", "nil_report", "notice", "withdrawal", "directory", "regulation", "account"]
Answered = Literal["", "waiting", "acknowledged", "returned"]
DutyStatus = Literal["", "not_yet_due", "due", "fulfilled", "fulfilled_late", "overdue", "waived", "suspended"]


def _body(organisation: Any) -> dict[str, str]:
    return {"key": organisation.key, "name": organisation.name}


@router.get("/seat", response={200: schemas.SeatOut, **REFUSED}, summary="For which seat the token acts")
def seat(request: Any) -> dict[str, Any]:
    """Say whose token it is."""
    own = request.auth
    return {
        "person": own.person.display_name,
        "organisation": _body(own.organisation),
        "role": own.role,
        "title": own.title,
    }


# --- duties ------------------------------------------------------------------------------------------------------------


@router.get("/duties", response={200: schemas.DutyPage, **REFUSED}, summary="Duties, soonest first")
def duty_list(
    request: Any,
    direction: Literal["", "owed", "awaited"] = "",
    status: DutyStatus = "",
    regulation: str = Key,
    rule: str = Key,
    first: date | None = None,
    last: date | None = None,
    cursor: str = Cursor,
    limit: int = Limit,
) -> dict[str, Any]:
    """Return visible duties; `first` and `last` bound the last day of the period, both inclusive."""
    filters = duties.Filters(
        instrument_key=regulation, rule_key=rule, status=status, direction=direction, first=first, last=last
    )
    rows, behind = page_of(
        duties.duty_rows(request.auth, filters, request.at), order=("due_at", "id"), cursor=cursor, limit=limit
    )
    return {"items": [_duty(d, request.at) for d in rows], "next": behind}


@router.get("/duties/{path:reference}", response={200: schemas.DutyOut, **REFUSED}, summary="One duty by its reference")
def duty(request: Any, reference: str = Path(..., max_length=300)) -> dict[str, Any]:
    """Return one visible duty."""
    if reference.isdigit():  # a number of this database is no name that a program may rely on
        raise NotFound
    return _duty(duties.duty_for(request.auth, reference), request.at)


def _duty(found: Any, at: Any) -> dict[str, Any]:
    return {
        "reference": found.reference,
        "regulation": found.rule.instrument.key,
        "version": found.rule.instrument.version,
        "rule": found.rule.key,
        "title": found.rule.title,
        "clause": found.rule.clause,
        "occasion": found.occasion,
        "debtor": _body(found.debtor),
        "creditor": _body(found.creditor),
        "period_from": found.period_from,
        "period_to": found.period_to,
        "opens_at": found.opens_at,
        "due_at": found.due_at,
        "provisional": found.provisional,
        "status": found.status_at(at).value,
        "fulfilled_at": found.fulfilled_at,
        "fulfilled_by": found.fulfilled_by.uuid if found.fulfilled_by else None,
        "nil": found.nil,
    }


# --- papers ------------------------------------------------------------------------------------------------------------


def _register(request: Any, organisation: str, year: int, kind: str, state: str) -> tuple[int, queries.RegisterFilter]:
    own = organisations.organisation_by_key(organisation).pk if organisation else request.auth.organisation_id
    year = year or timezone.localtime(request.at).year
    return own, queries.RegisterFilter(year=year, kind=kind, state=state)


Year = Query(0, ge=0, le=2200)


@router.get("/dispatches/out", response={200: schemas.RowPage, **REFUSED}, summary="Outgoing register of a year, newest first")
def register_out(
    request: Any,
    organisation: str = Key,
    year: int = Year,
    kind: Kind = "",
    state: Answered = "",
    cursor: str = Cursor,
    limit: int = Limit,
) -> dict[str, Any]:
    """Return what a visible organisation (the seat's own unless named) sent in a year (this one unless named)."""
    own, chosen = _register(request, organisation, max(year, 1945) if year else 0, kind, state)
    found = queries.register_out(request.auth, own, chosen)
    rows, behind = page_of(found, order=("-sent_at", "-id"), cursor=cursor, limit=limit)
    return {"items": [_row(d, d.addressees.all()) for d in rows], "next": behind}


@router.get("/dispatches/in", response={200: schemas.RowPage, **REFUSED}, summary="Incoming register of a year, newest first")
def register_in(
    request: Any,
    organisation: str = Key,
    year: int = Year,
    kind: Kind = "",
    state: Answered = "",
    cursor: str = Cursor,
    limit: int = Limit,
) -> dict[str, Any]:
    """Return what a visible organisation received in a year; of the addressees only the one asked about."""
    own, chosen = _register(request, organisation, max(year, 1945) if year else 0, kind, state)
    found = queries.register_in(request.auth, own, chosen)
    rows, behind = page_of(found, order=("-sent_at", "-id"), cursor=cursor, limit=limit)
    return {"items": [_row(a.dispatch, [a]) for a in rows], "next": behind}


def _row(found: Any, addressees: Iterable[Any]) -> dict[str, Any]:
    return {
        "id": found.uuid,
        "kind": found.kind,
        "urgency": found.urgency,
        "notation": found.notation,
        "year": found.register_year,
        "number": found.register_number,
        "subject": found.subject,
        "sender": _body(found.sender),
        "sent_at": found.sent_at,
        "digest": found.digest,
        "addressees": [_addressee(a) for a in addressees],
    }


def _addressee(found: Any) -> dict[str, Any]:
    moments = ("arrived_at", "acknowledged_at", "returned_at", "in_work_at", "done_at")
    return {
        "organisation": _body(found.organisation),
        "role": found.role,
        "sequence": found.sequence,
        "return_reason": found.return_reason,
        **{name: getattr(found, name) for name in moments},
    }


@router.get("/dispatches/{uuid:number}", response={200: schemas.DispatchOut, **REFUSED}, summary="One paper with its receipts")
def dispatch(request: Any, number: uuid.UUID) -> dict[str, Any]:
    """Return one visible paper: what was signed, the receipts as signed."""
    found = queries.dispatch_for(request.auth, number)
    addressees = list(found.addressees.all())
    return _row(found, addressees) | {
        "signed": bytes(found.signed).decode("ascii"),
        "content": json.loads(queries.payload_text(found) or "{}"),
        "answers": found.answers,
        "replaces": found.replaces.uuid if found.replaces else None,
        "withdraws": found.withdraws.uuid if found.withdraws else None,
        "replaced_by": [d.uuid for d in found.replaced_by.all()],
        "withdrawn_by": [d.uuid for d in found.withdrawn_by.all()],
        "receipts": [
            {
                "organisation": a.organisation.key,
                "code": r.code,
                "at": r.at,
                "reason": r.reason,
                "digest": r.digest,
                "signed": bytes(r.signed).decode("ascii"),
            }
            for a in addressees
            for r in a.receipts.all()
        ],
        "attachments": [
            {
                "name": a.name,
                "digest": a.file.digest,
                "size": a.file.size,
                "media_type": a.file.media_type,
                "here": queries.is_kept(a),
            }
            for a in found.attachments.all()
        ],
    }


@router.get(
    "/dispatches/{uuid:number}/signed",
    response=REFUSED,
    summary="The signed bytes",
    openapi_extra={
        "responses": {200: {"description": "as signed", "content": {"application/jose": {"schema": {"type": "string"}}}}}
    },
)
def signed(request: Any, number: uuid.UUID) -> HttpResponse:
    """Return the bytes as they were signed and stored."""
    return HttpResponse(queries.raw_of(request.auth, number), content_type="application/jose")


@router.get(
    "/dispatches/{uuid:number}/attachments/{digest}",
    response=REFUSED,
    summary="The bytes of an attachment",
    openapi_extra={
        "responses": {
            200: {
                "description": "checked against the digest that was signed",
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        }
    },
)
def attachment(request: Any, number: uuid.UUID, digest: str = Path(..., pattern="^[0-9a-f]{64}$")) -> HttpResponse:
    """Return a file that came with a visible paper."""
    found = next((a for a in queries.dispatch_for(request.auth, number).attachments.all() if a.file.digest == digest), None)
    if found is None:
        raise NotFound
    _name, data = queries.attachment_of(request.auth, number, found.pk)
    headers = {"Content-Disposition": f'attachment; filename="{digest}"'}
    return HttpResponse(data, content_type="application/octet-stream", headers=headers)


@router.post(
    "/dispatches/{uuid:number}/acknowledge",
    response={200: schemas.AddresseeOut, **REFUSED},
    summary="Acknowledge for the seat's organisation; a signed receipt goes back",
)
def acknowledge(request: Any, number: uuid.UUID) -> dict[str, Any]:
    """Acknowledge a paper; once more is harmless."""
    return _addressee(services.acknowledge(dispatch_uuid=number, actor=request.auth, at=request.at))


@router.post("/drafts", response={200: schemas.DraftOut, 201: schemas.DraftOut, **REFUSED}, summary="Leave a draft")
def leave_draft(request: Any, given: schemas.DraftIn) -> Any:
    """Keep the draft of a notice for a person to sign (201); one that is there already is left as it is (200)."""
    own = request.auth
    known = queries.draft_if_any(own, given.id) if given.id else None
    if known is not None:
        return Status(200, _draft(request, known))
    keys = [r.organisation for r in given.recipients]
    here = organisations.organisations_by_keys(keys)
    missing = next((k for k in keys if k not in here), None)
    if missing is not None:
        raise services.UnknownRecipient(key=missing)
    content = {
        "kind": "notice",
        "subject": given.subject,
        "urgency": given.urgency,
        "event_at": given.event_at.isoformat() if given.event_at else None,
        "recipients": [r.model_dump() for r in given.recipients],
        "answers": given.answers,
        "body": {"text": given.text},
    }
    made = services.save_draft(draft_id=given.id, content=content, actor=own, at=request.at)
    if given.submit:
        made = services.submit_draft(draft_id=made.pk, actor=own, at=request.at)
    return Status(201, _draft(request, made))


def _draft(request: HttpRequest, found: Any) -> dict[str, Any]:
    return {
        "id": found.pk,
        "revision": found.revision,
        "saved_at": found.saved_at,
        "submitted_at": found.submitted_at,
        "sent_as": found.sent_as.uuid if found.sent_as else None,
        "page": reverse("exchange:draft_form", args=[found.pk]),
    }
