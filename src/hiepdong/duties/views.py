"""Pages of duties: the list, one duty with its explanation, writing what is owed, exemptions."""

import uuid
from calendar import monthrange
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.exchange import services as exchange
from hiepdong.kernel.moments import at_local
from hiepdong.kernel.text import whole_number
from hiepdong.regulations import queries as regulations
from hiepdong.shell.exports import csv_response
from hiepdong.shell.moments import moment
from hiepdong.shell.pages import render_page

from . import queries, services
from .domain.status import Status


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _int(text: str | None) -> int | None:
    return whole_number(text)


@seat_required
@require_GET
def duty_list(request: HttpRequest) -> HttpResponseBase:
    """Show the duties the seat may see, filtered and sorted; also as CSV."""
    seat, at = request.seat, moment(request)  # type: ignore[attr-defined]
    get = request.GET.get
    month = _day(f"{get('month', '')}-01")
    filters = queries.Filters(
        rule_key=get("rule", ""),
        pair_id=_int(get("pair")),
        debtor_id=_int(get("debtor")),
        creditor_id=_int(get("creditor")),
        status=get("status", ""),
        direction=get("direction", ""),
        first=month or _day(get("first")),
        last=month.replace(day=monthrange(month.year, month.month)[1]) if month else _day(get("last")),
        ids=tuple(i for i in map(whole_number, get("ids", "").split(",")) if i is not None)[:2000],
        text=get("q", ""),
        sort=get("sort", "-due" if not get("status") else "due"),
    )
    if get("as") == "csv":
        return csv_response("nghia-vu.csv", _header(), _rows(queries.duties_with_status(seat, filters, at)))
    context = {
        "at": at,
        "page": queries.duties_for(seat, filters, get("page"), at),
        "filters": filters,
        "statuses": [s.value for s in Status],
    }
    return render_page(request, "duties/duty_list.html", "rows", context)


def _header() -> list[str]:
    columns = (_("Duty"), _("Clause"), _("Debtor"), _("Creditor"), _("Period"), _("Due day"), _("Fulfilled"), _("Status"))
    return list(columns)


def _rows(duties: Iterable[Any]) -> Iterable[list[Any]]:
    for d in duties:
        fulfilled = timezone.localtime(d.fulfilled_at).strftime("%d/%m/%Y %H:%M") if d.fulfilled_at else ""
        due = queries.last_local_day(d).strftime("%d/%m/%Y")
        yield [d.rule.title, d.rule.clause, d.debtor.name, d.creditor.name, d.occasion, due, fulfilled, d.status_name]


@seat_required
@require_GET
def duty_by_reference(request: HttpRequest, reference: str) -> HttpResponse:
    """Lead from a duty's reference, as a dispatch names it, to its page."""
    duty = queries.duty_for(request.seat, reference)  # type: ignore[attr-defined]
    return HttpResponseRedirect(reverse("duties:duty_detail", args=[duty.pk]))


@seat_required
@require_GET
def duty_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one duty: clause, due moment with its explanation, history, dispatches, what may be done."""
    seat, at = request.seat, moment(request)  # type: ignore[attr-defined]
    return render_page(request, "duties/duty_detail.html", "", _context(seat, pk, at))


def _context(seat: Any, pk: int, at: datetime) -> dict[str, Any]:
    duty = queries.duty_for(seat, pk, at=at)
    return {
        "at": at,
        "duty": duty,
        "article": regulations.clause_text(duty.rule),
        "steps": queries.explanation_of(duty),
        "history": queries.duty_history(seat, duty, at),
        "is_debtor": duty.debtor_id == seat.organisation_id,
        "is_open": duty.fulfilled_at is None and duty.waived_at is None,
        "may_waive": seat.may(Action.WAIVE) and queries.may_decide(seat, duty, "may_waive"),
        "may_suspend": seat.may(Action.WAIVE) and queries.may_decide(seat, duty, "may_suspend"),
    }


@requires(Action.DRAFT)
def duty_write(request: HttpRequest, pk: int) -> HttpResponse:
    """Open the draft for a duty, begun with what is known: recipients, subject, what it answers."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    duty = queries.duty_for(seat, pk, at=now)
    queries.require_debtor(seat, duty)
    draft_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{duty.reference}#{seat.organisation_id}#{duty.links.count()}")
    content = queries.first_content(duty)
    if not queries.draft_exists(seat, draft_id):
        exchange.save_draft(draft_id=draft_id, content=content, actor=seat, at=now, duty_reference=duty.reference)
    page = "reporting:report_form" if duty.rule.content == "report" else "exchange:draft_form"
    return HttpResponseRedirect(reverse(page, args=[draft_id]))


@requires(Action.SEND)
@require_POST
def nil_send(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign and send "no change" for a duty, in one tap; a second tap sends nothing more."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    dispatch = services.send_nil(duty_id=pk, actor=seat, at=now)
    messages.success(request, _("Sent: %(what)s.") % {"what": dispatch.notation})
    return HttpResponseRedirect(_next(request, reverse("exchange:dispatch_detail", args=[dispatch.uuid])))


def _next(request: HttpRequest, default: str) -> str:
    wanted = request.POST.get("next", "")
    return wanted if wanted.startswith("/") and not wanted.startswith("//") else default


@requires(Action.WAIVE)
@require_POST
def duty_waive(request: HttpRequest, pk: int) -> HttpResponse:
    """Waive a duty with a reason."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    reason = request.POST.get("reason", "")
    try:
        services.waive_duty(duty_id=pk, actor=seat, at=now, reason=reason)
    except services.ReasonMissing as error:
        return _again(request, pk, {"waive_error": _(error.message), "reason": reason})
    messages.success(request, _("The duty was waived."))
    return HttpResponseRedirect(reverse("duties:duty_detail", args=[pk]))


@requires(Action.WAIVE)
@require_POST
def duty_suspend(request: HttpRequest, pk: int) -> HttpResponse:
    """Suspend a duty with a reason, until the end of a day or until further notice."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    reason, until = request.POST.get("reason", ""), _day(request.POST.get("until"))
    end = at_local(until + timedelta(days=1)) if until else None
    try:
        services.suspend_duty(duty_id=pk, actor=seat, at=now, reason=reason, until=end)
    except (services.ReasonMissing, services.SuspensionEnds) as error:
        return _again(request, pk, {"suspend_error": _(error.message), "reason": reason, "until": until})
    messages.success(request, _("The duty was suspended."))
    return HttpResponseRedirect(reverse("duties:duty_detail", args=[pk]))


def _again(request: HttpRequest, pk: int, typed: dict[str, Any]) -> HttpResponse:
    context = _context(request.seat, pk, moment(request)) | typed  # type: ignore[attr-defined]
    return render_page(request, "duties/duty_detail.html", "", context, status=422)
