"""Pages of report forms and figures."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.duties import queries as duties
from hiepdong.exchange import link_queries as links
from hiepdong.exchange import services as exchange
from hiepdong.exchange.domain.classified import ClassifiedContent
from hiepdong.kernel.errors import DomainError
from hiepdong.kernel.text import whole_number
from hiepdong.regulations import queries as regulations
from hiepdong.shell.exports import csv_response
from hiepdong.shell.moments import moment
from hiepdong.shell.pages import page_of, render_page
from hiepdong.shell.templatetags.hiepdong import URGENCY_NAMES, precision_word

from . import queries, services
from .forms import groups_of, sections_of, sentence, typed_in

# --- writing a report --------------------------------------------------------------------------------------------------


@requires(Action.DRAFT)
@require_GET
def report_new(request: HttpRequest) -> HttpResponse:
    """Lead from a duty's reference to its draft, begun with what is known."""
    duty = duties.duty_for(request.seat, request.GET.get("duty", ""))  # type: ignore[attr-defined]
    return HttpResponseRedirect(reverse("duties:duty_write", args=[duty.pk]))


@requires(Action.DRAFT)
def report_form(request: HttpRequest, draft_id: uuid.UUID) -> HttpResponse:
    """Write a report by its form: saved while typing, laid before the signer, signed and sent."""
    found = queries.report_draft(request.seat, draft_id, at=timezone.now())  # type: ignore[attr-defined]
    if found.draft.sent_as is not None:
        return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[found.draft.sent_as.uuid]))
    if request.method != "POST":
        return _page(request, found, queries.typed_now(found), {})
    typed, what = typed_in(request.POST), request.POST.get("do", "save")
    try:
        return _written(request, found, typed, what)
    except ClassifiedContent as error:
        context = {"code": error.code, "message": _(error.message), "hint": _(error.hint)}
        return render_page(request, "exchange/classified.html", "refusal", context, status=409)
    except DomainError as error:
        if request.htmx:  # type: ignore[attr-defined]
            raise  # the autosave: the refusal goes to the alert area, what was typed stays on the page
        return _page(request, found, typed, {}, error=error, status=422)


def _written(request: HttpRequest, found: Any, typed: Mapping[str, str], what: str) -> HttpResponse:
    seat, now, draft_id = request.seat, timezone.now(), found.draft.pk  # type: ignore[attr-defined]
    revision = request.POST.get("revision", "")
    saved = services.save_report(
        draft_id=draft_id,
        typed=typed,
        actor=seat,
        at=now,
        revision=whole_number(revision) or 0,
        uploads=exchange.uploads_of(request.FILES.getlist("files")),
        without=what.removeprefix("without:") if what.startswith("without:") else "",
    )
    found = queries.report_draft(seat, draft_id, at=now)
    faults = saved.answers.faults
    if saved.conflict:
        # The autosave keeps its stale revision, so that only a deliberate save can write over the newer version.
        status, stale = (200, revision) if request.htmx else (409, "")  # type: ignore[attr-defined]
        return _page(request, found, typed, faults, conflict=True, revision=stale, status=status)
    if what not in {"send", "submit"}:
        # An explicit save explains what cannot be read; the autosave only says so beside "saved" and disturbs no typing.
        return _page(request, found, typed, faults, status=422 if faults and not request.htmx else 200)  # type: ignore[attr-defined]
    errors = saved.answers.gaps | faults
    if errors:
        return _page(request, found, typed, errors, error=services.ReportIncomplete(count=len(errors)), status=422)
    if what == "send":
        dispatch = services.send_report(draft_id=draft_id, actor=seat, at=now)
        messages.success(request, _("Signed and sent: %(what)s.") % {"what": dispatch.notation})
        return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[dispatch.uuid]))
    exchange.submit_draft(draft_id=draft_id, actor=seat, at=now)
    messages.success(request, _("Laid before the signer."))
    return HttpResponseRedirect(reverse("exchange:draft_list"))


def _page(
    request: HttpRequest,
    found: Any,
    typed: Mapping[str, str],
    errors: Mapping[str, DomainError],
    *,
    error: DomainError | None = None,
    conflict: bool = False,
    revision: str = "",
    status: int = 200,
) -> HttpResponse:
    definition, content = found.form.definition, found.draft.content
    context = {
        "report": found,
        "recipients": _recipients(found),
        "draft": found.draft,
        "duty": found.duty,
        "period_from": _day(found.content_form.get("period_from")),
        "period_to": _day(found.content_form.get("period_to")),
        "subject": typed.get("subject", content.get("subject", "")),
        "text": typed.get("text", content.get("body", {}).get("text", "")),
        "urgency": typed.get("urgency", content.get("urgency", "ordinary")),
        "urgencies": list(URGENCY_NAMES),
        "groups": groups_of(definition, typed, errors),
        "sections": sections_of(definition, typed, errors),
        "files": content.get("attachments", []),
        "precisions": [("exact", _("exactly")), *((k, precision_word(k)) for k in ("about", "over", "nearly"))],
        "unreadable": len(errors),
        "error": sentence(error) if error else "",
        "conflict": conflict,
        "revision": revision or found.draft.revision,
    }
    return render_page(request, "reporting/report_form.html", "state" if status == 200 else "", context, status=status)


def _recipients(found: Any) -> list[tuple[Any, str, Any]]:
    """Return the recipients of a report with their role and, where their home is not here, the way to it."""
    ways = links.elsewhere([o.pk for o, _role in found.recipients], at=timezone.now())
    return [(o, role, ways.get(o.pk)) for o, role in found.recipients]


@requires(Action.READ)
@require_GET
def report_preview(request: HttpRequest, draft_id: uuid.UUID) -> HttpResponse:
    """Show a half-written report as the paper it will be, and what still stands in its way."""
    found = queries.report_draft(request.seat, draft_id, at=timezone.now())  # type: ignore[attr-defined]
    form = found.content_form
    context = {
        "report": found,
        "recipients": _recipients(found),
        "draft": found.draft,
        "content": found.draft.content,
        "period_from": _day(form.get("period_from")),
        "period_to": _day(form.get("period_to")),
        "figures": services.figures_to_sign(found),
        "sections": form.get("sections", []),
        "open_places": [sentence(e) for e in services.problems_of(found).values()],
    }
    return render_page(request, "reporting/report_preview.html", "", context)


# --- figures -----------------------------------------------------------------------------------------------------------


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


@seat_required
@require_GET
def figure_list(request: HttpRequest) -> HttpResponseBase:
    """Show the single figures, with the reports they stand in; also as CSV."""
    seat, get = request.seat, request.GET.get  # type: ignore[attr-defined]
    chosen = queries.FigureFilter(
        instrument_key=get("instrument", ""),
        indicator=get("indicator", ""),
        first=_day(get("first")),
        last=_day(get("last")),
        state=get("state", ""),
        organisation=get("q", ""),
        superseded=get("superseded") == "1",
        sort=get("sort", "-period"),
    )
    found = queries.figures(seat, chosen, at=moment(request))
    names = {i.key: i.name for i in queries.indicators()}
    if get("as") == "csv":
        return csv_response("so-lieu.csv", _header(), _rows(found.iterator(chunk_size=500), names))
    page = page_of(found, get("page"), 50)
    instruments = {i.key: i.title for i in regulations.instruments_for(seat)}
    context = {
        "page": page,
        "rows": [(f, names.get(f.indicator, f.indicator)) for f in page.object_list],
        "chosen": chosen,
        "summary": queries.summary(found) if chosen.indicator else None,
        "indicators": queries.indicators(chosen.instrument_key),
        "instruments": list(instruments.items()),
    }
    return render_page(request, "reporting/figure_list.html", "rows", context)


def _header() -> list[str]:
    columns = [_("Organisation"), _("Indicator"), _("Period starts"), _("Period ends"), _("How it stands"), _("Precision")]
    return [*columns, _("Figure"), _("Unit"), _("Scope"), _("In words"), _("Report"), _("Sent")]


def _rows(found: Iterable[Any], names: Mapping[str, str]) -> Iterable[list[Any]]:
    states = {"value": _("a figure"), "not_reported": _("not reported"), "no_number": _("stated without a number")}
    for f in found:
        yield [
            f.organisation.name,
            names.get(f.indicator, f.indicator),
            f"{f.period_from:%d/%m/%Y}",
            f"{f.period_to:%d/%m/%Y}",
            states[f.state],
            precision_word(f.precision) if f.state == "value" else "",
            "" if f.value is None else format(f.value.normalize(), "f").replace(".", ","),
            f.unit,
            f.scope,
            f.text,
            f.dispatch.notation,
            timezone.localtime(f.dispatch.sent_at).strftime("%d/%m/%Y %H:%M"),
        ]
