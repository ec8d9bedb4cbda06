"""Pages of the monthly statements of account."""

import json
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.kernel.errors import DomainError, NotFound
from hiepdong.organisations import queries as organisations
from hiepdong.shell.pages import render_page

from . import joint, statements
from .account_document import pdf_of
from .domain.account import month_before
from .wording import difference_in_words, month_in_words, way_in_words

SHOWN_ROWS = 300


@requires(Action.READ)
@require_GET
def account_list(request: HttpRequest) -> HttpResponse:
    """Show the statements by pair and month."""
    return _list(request, {})


def _list(request: HttpRequest, typed: dict[str, Any], status: int = 200) -> HttpResponse:
    seat, get = request.seat, request.GET.get  # type: ignore[attr-defined]
    found = statements.accounts_for(seat, month=get("month", ""), other=get("other", ""))
    context = {
        "rows": [(a, month_in_words(a.month)) for a in found],
        "month": get("month", ""),
        "last_month": month_before(timezone.now()),
        "partners": statements.partners_of(seat.organisation_id) if seat.may(Action.DRAFT) else [],
    }
    return render_page(request, "exchange/account_list.html", "rows" if status == 200 else "", context | typed, status=status)


@requires(Action.DRAFT)
@require_POST
def account_make(request: HttpRequest) -> HttpResponse:
    """Make the statement of one's own organisation from the node's rows; nothing is signed yet."""
    seat, post = request.seat, request.POST.get  # type: ignore[attr-defined]
    month, key = post("month", ""), post("other", "")
    other = organisations.organisations_by_keys([key]).get(key)
    if other is None:
        return _list(request, {"make_error": _("Choose the other organisation."), "typed_month": month}, 422)
    try:
        statements.make(organisation=seat.organisation, other=other, month=month, actor=seat, at=timezone.now())
    except DomainError as error:
        said = f"{_(error.message) % error.facts} {_(error.hint) % error.facts}"
        return _list(request, {"make_error": said, "typed_month": month, "typed_other": key}, 422)
    return HttpResponseRedirect(_address(month, seat.organisation.key, key))


def _address(month: str, one: str, other: str) -> str:
    return reverse("exchange:account_detail", args=[month, *sorted((one, other))])


@requires(Action.READ)
@require_GET
def account_detail(request: HttpRequest, month: str, a: str, b: str) -> HttpResponse:
    """Show one pair and month: the statements of both sides, their signatures, every difference."""
    seat = request.seat  # type: ignore[attr-defined]
    account = statements.account_for(seat, month, a, b)
    names = account.names
    shown = [
        {
            "s": s,
            "maker": names[s.payload["made_by"]],
            "ways": _ways(account, s.payload),
            "differences": [difference_in_words(d, names) for d in s.differences],
            "may_sign": statements.may_sign(seat, s),
            "own": s.payload["made_by"] == seat.organisation.key,
        }
        for s in account.statements
    ]
    own = seat.organisation.key in names
    context = {
        "account": account,
        "month": month_in_words(month),
        "current": [x for x in shown if x["s"].current],
        "earlier": [x for x in shown if not x["s"].current],
        "between": [difference_in_words(d, names) for d in account.between],
        "other": account.b if seat.organisation.key == account.a.key else account.a,
        "may_make": own and seat.may(Action.DRAFT),
        "own": own,
    }
    return render_page(request, "exchange/account_detail.html", "", context)


def _ways(account: statements.Account, payload: dict[str, Any]) -> list[dict[str, Any]]:
    papers = statements.papers_of(account, payload)
    return [
        {
            "words": way_in_words(way, account.names),
            "title": f"{account.names[way['from']]} → {account.names[way['to']]}",
            "rows": [
                (row, papers.get(row["digest"]), datetime.fromisoformat(row["arrived"]) if row["arrived"] else None)
                for row in way["dispatches"][:SHOWN_ROWS]
            ],
            "more": max(0, len(way["dispatches"]) - SHOWN_ROWS),
        }
        for way in payload["sent"]
    ]


@requires(Action.SEND)
@require_POST
def account_sign(request: HttpRequest, digest: str) -> HttpResponse:
    """Sign a statement that says what this node knows, in the name of one's own organisation; twice is harmless."""
    seat = request.seat  # type: ignore[attr-defined]
    document = joint.joint_for(seat, digest)
    if document.kind != "account":
        raise NotFound
    joint.sign(document_id=document.pk, organisation=seat.organisation, actor=seat, at=timezone.now())
    messages.success(request, _("Signed; the other side gets your signature."))
    return HttpResponseRedirect(_address(*document.name.split("/")))


@requires(Action.READ)
@require_GET
def account_pdf(request: HttpRequest, digest: str) -> HttpResponse:
    """Give one statement as PDF, with the differences as they are known now."""
    account, shown = statements.statement_for(request.seat, digest)  # type: ignore[attr-defined]
    response = HttpResponse(pdf_of(account, shown), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="doi-chieu-{account.month}-{digest[:8]}.pdf"'
    return response


@seat_required
@require_GET
def joint_raw(request: HttpRequest, digest: str) -> HttpResponse:
    """Give a document that several sign, with its signatures, as signed: JWS, general JSON serialisation."""
    document = joint.joint_for(request.seat, digest)  # type: ignore[attr-defined]
    response = HttpResponse(json.dumps(joint.as_json(document), indent=1) + "\n", content_type="application/jose+json")
    response["Content-Disposition"] = f'attachment; filename="{document.kind}-{digest[:12]}.json"'
    return response
