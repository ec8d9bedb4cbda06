"""Pages of organisations, as they were on a day."""

from datetime import date

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from hiepdong.shell.exports import csv_response
from hiepdong.shell.moments import moment
from hiepdong.shell.pages import render_page

from . import queries


def day_asked(request: HttpRequest) -> date:
    """Return the day of the date switch; without one the day the pages are shown as of."""
    try:
        return date.fromisoformat(request.GET.get("on", ""))
    except ValueError:
        return timezone.localtime(moment(request)).date()


@login_required
@require_GET
def organisation_list(request: HttpRequest) -> HttpResponseBase:
    """Show the organisations as they stood on a day; also as CSV."""
    on, kind, text = day_asked(request), request.GET.get("kind", ""), request.GET.get("q", "")
    found = queries.organisations_on(on, kind=kind, search=text)
    if request.GET.get("as") == "csv":
        header = [_("Key"), _("Name"), _("Kind"), _("From"), _("Until"), _("Source"), _("Verified")]
        rows = ([o.key, o.name, o.kind, o.valid_from, o.valid_until, o.source, o.verified] for o in found.iterator())
        return csv_response(f"co-quan-{on}.csv", header, rows)
    page = Paginator(found, 50).get_page(request.GET.get("page"))
    context = {"page": page, "on": on, "kind": kind, "q": text, "kinds": queries.kinds_in_use()}
    return render_page(request, "organisations/organisation_list.html", "rows", context)


@login_required
@require_GET
def organisation_detail(request: HttpRequest, key: str) -> HttpResponse:
    """Show one organisation with everything that is dated about it."""
    organisation, on = queries.organisation_by_key(key), day_asked(request)
    ended = organisation.valid_until is not None and organisation.valid_until <= on
    context = queries.life_of(organisation) | {"on": on, "ended": ended}
    context["heirs"] = queries.heirs_today(organisation, on) if ended else []
    return render_page(request, "organisations/organisation_detail.html", "", context)


@login_required
@require_GET
def reorganisation_list(request: HttpRequest) -> HttpResponse:
    """Show the reorganisations that were loaded, the latest first."""
    page = Paginator(queries.reorganisations(), 50).get_page(request.GET.get("page"))
    return render_page(request, "organisations/reorganisation_list.html", "rows", {"page": page})


@login_required
@require_GET
def reorganisation_detail(request: HttpRequest, key: str) -> HttpResponse:
    """Show the report of a reorganisation: what moved where, what stayed, what a person must decide."""
    made = queries.reorganisation_for(key)
    decisions = [(d, _(d["message"]) % d["facts"]) for d in made.report["decisions"]]
    context = {"reorganisation": made, "report": made.report, "decisions": decisions}
    return render_page(request, "organisations/reorganisation_detail.html", "", context)
