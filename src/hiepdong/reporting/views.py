"""Pages of report forms and figures."""

import uuid
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.exchange import queries as exchange_queries
from hiepdong.exchange import services as exchange
from hiepdong.exchange.domain.classified import ClassifiedContent
from hiepdong.kernel.errors import DomainError
from hiepdong.shell.exports import csv_response
from hiepdong.shell.pages import render_page

from . import queries
from .domain.compose import read_form, typed_from


@requires(Action.DRAFT)
def report_form(request: HttpRequest, draft_id: uuid.UUID) -> HttpResponse:
    """Write a report by its form: saved while typing, laid before the signer, signed and sent."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    draft = exchange_queries.draft_for(seat, draft_id)
    if draft.sent_as_id:
        return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[draft.sent_as.uuid]))
    definition = queries.form_of_draft(draft)
    if request.method != "POST":
        typed = draft.unsaved.get("typed") or typed_from(draft.content)
        return _page(request, draft, definition, typed, {})
    typed = {k: request.POST.get(k, "") for k in request.POST if k[:2] in {"v:", "s:", "p:", "x:", "t:"} or k == "subject"}
    figures, sections, faults = read_form(definition, typed)
    errors = {key: f"{_(e.message) % e.facts} {_(e.hint)}" for key, e in faults.items()}
    return _saved(request, draft, definition, typed, figures, sections, errors, now)


def _saved(
    request: HttpRequest,
    draft: Any,
    definition: dict[str, Any],
    typed: dict[str, str],
    figures: list[dict[str, Any]],
    sections: list[dict[str, str]],
    errors: dict[str, str],
    now: datetime,
) -> HttpResponse:
    seat, what = request.seat, request.POST.get("do", "save")  # type: ignore[attr-defined]
    form = draft.content["body"]["form"] | {"figures": figures, "sections": sections}
    content = draft.content | {"subject": typed.get("subject", ""), "body": draft.content["body"] | {"form": form}}
    try:
        draft = exchange.save_draft(
            draft_id=draft.pk,
            content=content,
            actor=seat,
            at=now,
            revision=int(request.POST.get("revision") or 0),
            unsaved={"typed": typed},
        )
        if draft.unsaved.get("conflict"):
            return _page(request, draft, definition, typed, errors, status=409)
        if what == "send" and not errors:
            dispatch = exchange.send_draft(draft_id=draft.pk, actor=seat, at=now)
            messages.success(request, _("Signed and sent: %(what)s.") % {"what": dispatch.notation})
            return HttpResponseRedirect(reverse("exchange:dispatch_detail", args=[dispatch.uuid]))
        if what == "submit" and not errors:
            exchange.submit_draft(draft_id=draft.pk, actor=seat, at=now)
            messages.success(request, _("Laid before the signer."))
            return HttpResponseRedirect(reverse("exchange:draft_list"))
    except ClassifiedContent as error:
        context = {"code": error.code, "message": _(error.message), "hint": _(error.hint)}
        return render_page(request, "exchange/classified.html", "refusal", context, status=409)
    except DomainError as error:
        errors["form"] = f"{_(error.message) % error.facts} {_(error.hint) % error.facts}"
    return _page(request, draft, definition, typed, errors, status=200 if what == "save" and not errors else 422)


def _page(
    request: HttpRequest,
    draft: Any,
    definition: dict[str, Any],
    typed: dict[str, str],
    errors: dict[str, str],
    *,
    status: int = 200,
) -> HttpResponse:
    rows = [
        {
            **i,
            "value": typed.get(f"v:{i['key']}", ""),
            "state": typed.get(f"s:{i['key']}", "value"),
            "note": typed.get(f"x:{i['key']}", ""),
            "error": errors.get(f"v:{i['key']}", ""),
        }
        for i in definition["indicators"]
    ]
    sections = [
        {**s, "text": typed.get(f"t:{s['key']}", ""), "error": errors.get(f"t:{s['key']}", "")} for s in definition["sections"]
    ]
    context = {
        "draft": draft,
        "title": definition["title"],
        "period": draft.content["body"]["form"],
        "subject": typed.get("subject", draft.content.get("subject", "")),
        "rows": rows,
        "sections": sections,
        "form_error": errors.get("form", ""),
        "has_errors": bool(errors),
    }
    return render_page(request, "reporting/report_form.html", "state" if status == 200 else "", context, status=status)


@seat_required
@require_GET
def figure_list(request: HttpRequest) -> HttpResponse:
    """Show the single figures, with the reports they stand in; also as CSV."""
    get = request.GET.get
    found = queries.figures_shown(request.seat, indicator=get("indicator", ""), first=get("first", ""), last=get("last", ""))  # type: ignore[attr-defined]
    if get("as") == "csv":
        header = [_("Indicator"), _("Organisation"), _("Period"), _("State"), _("Figure"), _("Unit"), _("Precision")]
        rows = (
            [f.indicator, f.organisation.name, f"{f.period_from} – {f.period_to}", f.state, f.value, f.unit, f.precision]
            for f in found.iterator(chunk_size=500)
        )
        return csv_response("so-lieu.csv", header, rows)
    context = {
        "page": Paginator(found, 50).get_page(get("page")),
        "indicator": get("indicator", ""),
        "indicators": queries.indicator_keys(request.seat),  # type: ignore[attr-defined]
        "first": get("first", ""),
        "last": get("last", ""),
    }
    return render_page(request, "reporting/figure_list.html", "rows", context)
