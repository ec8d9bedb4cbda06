"""Pages of papers: one dispatch, the registers, drafts, answers."""

import json
import re
import uuid
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import content_disposition_header, url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.kernel.errors import DomainError, NotFound
from hiepdong.kernel.text import whole_number
from hiepdong.organisations import queries as organisations
from hiepdong.shell.exports import csv_response
from hiepdong.shell.moments import moment
from hiepdong.shell.pages import render_page
from hiepdong.shell.templatetags.hiepdong import receipt_name, urgency_name

from . import link_queries, queries, services
from .domain.classified import ClassifiedContent
from .domain.dispatch import ReasonMissing
from .forms import NoticeForm
from .templatetags.links import elsewhere_mark


def _next(request: HttpRequest, default: str) -> str:
    wanted = request.POST.get("next", "")
    return wanted if wanted and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else default


# --- one paper -------------------------------------------------------------------------------------------------------


@seat_required
@require_GET
def dispatch_detail(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Show one paper: content, verification, receipts on a time line, what may be done."""
    return _shown(request, dispatch_uuid, {})


def _shown(request: HttpRequest, dispatch_uuid: uuid.UUID, typed: dict[str, Any], status: int = 200) -> HttpResponse:
    seat = request.seat  # type: ignore[attr-defined]
    dispatch = queries.dispatch_for(seat, dispatch_uuid)
    addressees = list(dispatch.addressees.all())
    mine = next((a for a in addressees if a.organisation_id == seat.organisation_id), None)
    receipts = sorted((r for a in addressees for r in a.receipts.all()), key=lambda r: (r.at, r.pk))
    names = {a.pk: a.organisation.name for a in addressees}
    at, verification = moment(request), queries.verification_of(dispatch)
    content = queries.content_of(dispatch) if verification.genuine else None  # what nobody signed is not shown as a paper
    where = link_queries.whereabouts(seat, dispatch)
    nodes = where.elsewhere or {}
    open_ones = [a for a in addressees if a.role == "to" and a.acknowledged_at is None and a.returned_at is None]
    context = {
        "dispatch": dispatch,
        "content": content,
        "answers": [(reference, reference.rpartition("/")[2]) for reference in content.answers] if content else [],
        "pending": [(a, max(0, (at - a.sent_at).days)) for a in open_ones],
        "form": queries.form_lines(content) if content else None,
        "files": [(a, queries.is_kept(a)) for a in dispatch.attachments.all()],
        "verification": verification,
        "addressees": addressees,
        "receipts": [(r, names[r.addressee_id]) for r in receipts],
        "mine": mine,
        "may_answer": mine is not None and mine.acknowledged_at is None and mine.returned_at is None,
        "may_progress": mine is not None and mine.acknowledged_at is not None and mine.done_at is None,
        "where": where,
        "named": [(a, nodes.get(a.organisation_id, "")) for a in addressees],
        "sender_node": nodes.get(dispatch.sender_id, ""),
        "is_sender": dispatch.sender_id == seat.organisation_id,
        "payload": queries.payload_text(dispatch),
        "jwk": json.dumps(dispatch.key.public_jwk),
    }
    return render_page(request, "exchange/dispatch_detail.html", "", context | typed, status=status)


@seat_required
@require_GET
def dispatch_raw(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Give the signed bytes exactly as stored."""
    raw = queries.raw_of(request.seat, dispatch_uuid)  # type: ignore[attr-defined]
    response = HttpResponse(raw, content_type="application/jose")
    response["Content-Disposition"] = f'attachment; filename="{dispatch_uuid}.jws"'
    return response


@seat_required
@require_GET
def receipt_raw(request: HttpRequest, dispatch_uuid: uuid.UUID, pk: int) -> HttpResponse:
    """Give the signed bytes of a receipt exactly as stored."""
    code, raw = queries.receipt_of(request.seat, dispatch_uuid, pk)  # type: ignore[attr-defined]
    response = HttpResponse(raw, content_type="application/jose")
    response["Content-Disposition"] = f'attachment; filename="{dispatch_uuid}-{code}-{pk}.jws"'
    return response


@seat_required
@require_GET
def dispatch_file(request: HttpRequest, dispatch_uuid: uuid.UUID, pk: int) -> HttpResponse:
    """Give a file that came with a paper, always as a download: no browser shows it inside this site."""
    name, data = queries.attachment_of(request.seat, dispatch_uuid, pk)  # type: ignore[attr-defined]
    response = HttpResponse(data, content_type="application/octet-stream")
    response["Content-Disposition"] = content_disposition_header(True, name)
    return response


@requires(Action.ACKNOWLEDGE)
@require_POST
def dispatch_acknowledge(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Acknowledge a paper; twice is harmless."""
    services.acknowledge(dispatch_uuid=dispatch_uuid, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("Acknowledged; a signed receipt went back."))
    return HttpResponseRedirect(_next(request, reverse("exchange:dispatch_detail", args=[dispatch_uuid])))


@requires(Action.RETURN)
@require_POST
def dispatch_return(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Return a paper with a reason."""
    seat, reason = request.seat, request.POST.get("reason", "")  # type: ignore[attr-defined]
    try:
        services.return_dispatch(dispatch_uuid=dispatch_uuid, reason=reason, actor=seat, at=timezone.now())
    except ReasonMissing as error:
        return _shown(request, dispatch_uuid, {"return_error": f"{_(error.message)} {_(error.hint)}"}, 422)
    messages.success(request, _("Returned; the sender sees your reason."))
    return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[dispatch_uuid]))


@requires(Action.ACKNOWLEDGE)
@require_POST
def dispatch_progress(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Tell the sender that an acknowledged paper is in work, or done; twice is harmless."""
    code = request.POST.get("code", "")
    services.report_progress(dispatch_uuid=dispatch_uuid, code=code, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("A signed receipt went back: %(state)s.") % {"state": receipt_name(code)})
    return HttpResponseRedirect(_next(request, reverse("exchange:dispatch_detail", args=[dispatch_uuid])))


@requires(Action.SEND)
@require_POST
def dispatch_withdraw(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Withdraw a paper of one's own by a dispatch of its own."""
    seat, reason = request.seat, request.POST.get("reason", "")  # type: ignore[attr-defined]
    try:
        sent = services.withdraw(dispatch_uuid=dispatch_uuid, reason=reason, actor=seat, at=timezone.now())
    except ReasonMissing as error:
        return _shown(request, dispatch_uuid, {"withdraw_error": f"{_(error.message)} {_(error.hint)}"}, 422)
    messages.success(request, _("Withdrawn by %(notation)s.") % {"notation": sent.notation})
    return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[sent.uuid]))


@requires(Action.DRAFT)
@require_POST
def dispatch_replace(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Begin the draft of a replacement with the content of the paper."""
    draft = services.begin_replacement(dispatch_uuid=dispatch_uuid, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    page = "reporting:report_form" if draft.content.get("kind") == "report" else "exchange:draft_form"
    return HttpResponseRedirect(reverse(page, args=[draft.pk]))


# --- registers ---------------------------------------------------------------------------------------------------------


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _register(request: HttpRequest, at: datetime) -> tuple[Any, queries.RegisterFilter, dict[str, Any]]:
    seat, get = request.seat, request.GET.get  # type: ignore[attr-defined]
    visible = organisations.organisations_by_ids(visible_organisation_ids(seat))
    wanted = get("organisation", "")
    chosen = whole_number(wanted) if wanted else seat.organisation_id
    if chosen not in visible:
        raise NotFound
    now = timezone.localtime(at)
    year = get("year", "")
    other = get("other", "")
    filters = queries.RegisterFilter(
        year=int(year) if re.fullmatch(r"(19|20|21)\d\d", year) else now.year,
        first=_day(get("first")),
        last=_day(get("last")),
        other=whole_number(other),
        kind=get("kind", ""),
        state=get("state", ""),
        sort=get("sort", "-number"),
    )
    own = visible[chosen]
    context = {
        "filters": filters,
        "own": own,
        "choices": sorted(visible.values(), key=lambda o: o.name_sort),
        "years": range(now.year, max(2004, now.year - 12), -1),
    }
    return own, filters, context


@seat_required
@require_GET
def register_out(request: HttpRequest) -> HttpResponseBase:
    """Show the outgoing register of a year; also as CSV."""
    own, filters, context = _register(request, moment(request))
    found = queries.register_out(request.seat, own.pk, filters)  # type: ignore[attr-defined]
    if request.GET.get("as") == "csv":
        header = [_("Number"), _("Notation"), _("Sent"), _("Subject"), _("Urgency"), _("Recipients"), _("State")]
        return csv_response(f"so-di-{own.key}-{filters.year}.csv", header, _out_rows(found.iterator(chunk_size=500)))
    context["page"] = Paginator(found, 50).get_page(request.GET.get("page"))
    if own.pk == request.seat.organisation_id:  # type: ignore[attr-defined]
        context["again"] = queries.papers_to_send_again(request.seat)  # type: ignore[attr-defined]
    return render_page(request, "exchange/register_out.html", "rows", context)


def _out_rows(found: Iterable[Any]) -> Iterable[list[Any]]:
    for d in found:
        names = "; ".join(a.organisation.name for a in d.addressees.all())
        sent = timezone.localtime(d.sent_at).strftime("%d/%m/%Y %H:%M")
        states = "; ".join(_state(a) for a in d.addressees.all())
        yield [d.register_number, d.notation, sent, d.subject, urgency_name(d.urgency), names, states]


@seat_required
@require_GET
def register_in(request: HttpRequest) -> HttpResponseBase:
    """Show the incoming register of a year; also as CSV."""
    own, filters, context = _register(request, moment(request))
    found = queries.register_in(request.seat, own.pk, filters)  # type: ignore[attr-defined]
    if request.GET.get("as") == "csv":
        header = [_("Arrived"), _("From"), _("Notation"), _("Subject"), _("Urgency"), _("State")]
        return csv_response(f"so-den-{own.key}-{filters.year}.csv", header, _in_rows(found.iterator(chunk_size=500)))
    context["page"] = Paginator(found, 50).get_page(request.GET.get("page"))
    context["missing"], _count = link_queries.missing_of(organisation_ids=[own.pk])
    return render_page(request, "exchange/register_in.html", "rows", context)


def _in_rows(found: Iterable[Any]) -> Iterable[list[Any]]:
    for a in found:
        arrived = timezone.localtime(a.arrived_at).strftime("%d/%m/%Y %H:%M") if a.arrived_at else ""
        d = a.dispatch
        yield [arrived, d.sender.name, d.notation, d.subject, urgency_name(d.urgency), _state(a)]


def _state(addressee: Any) -> str:
    named = (
        (addressee.returned_at, _("returned")),
        (addressee.done_at, _("done")),
        (addressee.in_work_at, _("in work")),
        (addressee.acknowledged_at, _("acknowledged")),
        (addressee.arrived_at, _("arrived")),
    )
    return next((name for at, name in named if at), _("under way"))


# --- drafts ------------------------------------------------------------------------------------------------------------


@seat_required
@require_GET
def draft_list(request: HttpRequest) -> HttpResponse:
    """Show half-written work: what waits for the signer first."""
    return render_page(request, "exchange/draft_list.html", "rows", {"drafts": queries.drafts_for(request.seat)})  # type: ignore[attr-defined]


@requires(Action.DRAFT)
@require_GET
def notice_new(request: HttpRequest) -> HttpResponse:
    """Open an empty notice; it is stored with the first save."""
    address, to = reverse("exchange:draft_form", args=[uuid.uuid4()]), request.GET.get("to", "")
    return HttpResponseRedirect(f"{address}?{urlencode({'to': to})}" if to else address)


def _recipients(seat: Any, at: datetime) -> list[tuple[str, str]]:
    """Return whom a seat may write to, those it writes with first: the key, and the name with a mark of a home elsewhere."""
    bodies = organisations.members(on=timezone.localdate())
    own = queries.correspondents(seat)
    known = {o.pk: o for o in [*bodies, *own]}
    known.pop(seat.organisation_id, None)
    first = {o.pk for o in own}
    ordered = sorted(known.values(), key=lambda o: (o.pk not in first, o.name_sort))
    ways = link_queries.elsewhere(known, at=at)
    return [(o.key, format_html("{} {}", o.name, elsewhere_mark(ways[o.pk])) if o.pk in ways else o.name) for o in ordered]


@requires(Action.DRAFT)
def draft_form(request: HttpRequest, draft_id: uuid.UUID) -> HttpResponse:
    """Write a notice: saved while typing, laid before the signer, signed and sent."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    draft = queries.draft_if_any(seat, draft_id)
    if draft is not None and draft.sent_as is not None:
        return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[draft.sent_as.uuid]))
    if draft is not None and draft.content.get("kind") == "report":  # its own page asks for what the form asks for
        return HttpResponseRedirect(reverse("reporting:report_form", args=[draft_id]))
    recipients = _recipients(seat, now)
    if request.method != "POST":
        initial = _initial(draft) | ({"to": request.GET.getlist("to")} if draft is None else {})
        form = NoticeForm(initial=initial, recipients=recipients, now=now)
        return _draft_page(request, draft_id, draft, form)
    form = NoticeForm(request.POST, recipients=recipients, now=now)
    valid = form.is_valid()
    content = _content(request, draft)
    what = request.POST.get("do", "save")
    try:
        draft = services.save_draft(
            draft_id=draft_id,
            content=content,
            actor=seat,
            at=now,
            revision=whole_number(request.POST.get("revision")) or 0,
            unsaved={} if valid else {"errors": form.errors.get_json_data()},
            uploads=services.uploads_of(request.FILES.getlist("files")),
            without=what.removeprefix("without:") if what.startswith("without:") else "",
        )
        if draft.unsaved.get("conflict"):
            # The autosave keeps its stale revision, so that only a deliberate save can write over the newer version.
            stale = request.POST.get("revision", "") if request.htmx else ""  # type: ignore[attr-defined]
            return _draft_page(request, draft_id, draft, form, status=200 if stale else 409, revision=stale)
        if valid and what == "send":
            dispatch = services.send_draft(draft_id=draft_id, actor=seat, at=now)
            messages.success(request, _("Signed and sent: %(what)s.") % {"what": dispatch.notation})
            return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[dispatch.uuid]))
        if valid and what == "submit":
            services.submit_draft(draft_id=draft_id, actor=seat, at=now)
            messages.success(request, _("Laid before the signer."))
            return HttpResponseRedirect(reverse("exchange:draft_list"))
    except ClassifiedContent as error:
        context = {"code": error.code, "message": _(error.message), "hint": _(error.hint), "separate": True}
        return render_page(request, "exchange/classified.html", "refusal", context, status=409)
    except DomainError as error:
        form.add_error(None, f"{_(error.message) % error.facts} {_(error.hint) % error.facts}")
        return _draft_page(request, draft_id, draft, form, status=422)
    if what == "save" or what.startswith("without:") or valid:
        return _draft_page(request, draft_id, draft, form, saved=True)
    return _draft_page(request, draft_id, draft, form, status=422)


def _initial(draft: Any) -> dict[str, Any]:
    if draft is None:
        return {"urgency": "ordinary"}
    c = draft.content
    return {
        "to": [r["organisation"] for r in c.get("recipients", []) if r.get("role", "to") == "to"],
        "copies": [r["organisation"] for r in c.get("recipients", []) if r.get("role") == "copy"],
        "subject": c.get("subject", ""),
        "urgency": c.get("urgency", "ordinary"),
        "event_at": datetime.fromisoformat(c["event_at"]) if c.get("event_at") else None,
        "text": c.get("body", {}).get("text", ""),
    }


def _content(request: HttpRequest, draft: Any) -> dict[str, Any]:
    """Return what was typed as draft content, keeping what the form does not show."""
    post = request.POST
    before: dict[str, Any] = dict(draft.content) if draft is not None else {"kind": "notice", "answers": []}
    event_at = _event(post.get("event_at", ""))
    recipients = [{"organisation": k, "role": "to"} for k in post.getlist("to")]
    recipients += [{"organisation": k, "role": "copy"} for k in post.getlist("copies")]
    return before | {
        "recipients": recipients,
        "subject": post.get("subject", ""),
        "urgency": post.get("urgency", "ordinary"),
        "event_at": event_at,
        "body": before.get("body", {}) | {"text": post.get("text", "")},
    }


def _event(text: str) -> str | None:
    try:
        at = datetime.fromisoformat(text)
        return timezone.make_aware(at).isoformat() if 1945 <= at.year <= 2200 else None
    except ValueError:
        return None


def _draft_page(
    request: HttpRequest,
    draft_id: uuid.UUID,
    draft: Any,
    form: NoticeForm,
    *,
    status: int = 200,
    saved: bool = False,
    revision: str = "",
) -> HttpResponse:
    single = [form[name] for name in ("subject", "urgency", "event_at", "text")]
    context = {"draft_id": draft_id, "draft": draft, "form": form, "single": single, "saved": saved, "revision": revision}
    return render_page(request, "exchange/draft_form.html", "state" if status == 200 else "", context, status=status)


@requires(Action.DRAFT)
@require_POST
def draft_discard(request: HttpRequest, draft_id: uuid.UUID) -> HttpResponse:
    """Put a draft away."""
    services.discard_draft(draft_id=draft_id, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("The draft was put away."))
    return HttpResponseRedirect(reverse("exchange:draft_list"))


@requires(Action.DRAFT)
@require_POST
def separate_channel(request: HttpRequest) -> HttpResponse:
    """Note only that something went by the paper or cipher channel."""
    services.note_separate_channel(recipient_id=None, duty_reference="", actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("Noted: sent by a separate channel. Nothing of the content was kept."))
    return HttpResponseRedirect("/")
