"""Pages of administrative units, as they were on a day and in today's units."""

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


@login_required
@require_GET
def unit_list(request: HttpRequest) -> HttpResponseBase:
    """Show the units as they stood on a day; also as CSV."""
    get = request.GET.get
    try:
        on = date.fromisoformat(get("on", ""))
    except ValueError:
        on = timezone.localtime(moment(request)).date()
    text, flag = get("q", ""), get("flag", "")
    level = get("level", "") or ("" if text or flag else "province")
    found = queries.units_on(on, level=level, search=text, flag=flag)
    if get("as") == "csv":
        header = [_("Code"), _("Level"), _("Name"), _("Belongs to"), _("From"), _("Until"), _("Source")]
        rows = (
            [u.code, u.level, u.full_name, u.parent.full_name if u.parent else "", u.valid_from, u.valid_until, u.source]
            for u in found
        )
        return csv_response(f"don-vi-{on}.csv", header, rows)
    page = Paginator(found, 50).get_page(get("page"))
    context = {"page": page, "on": on, "q": text, "level": level, "flag": flag}
    return render_page(request, "territories/unit_list.html", "rows", context)


@login_required
@require_GET
def unit_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one unit: what it belongs to, what it was made of, what it went into, in today's units."""
    unit = queries.unit_by_id(pk)
    today = timezone.localdate()
    context = {
        "unit": unit,
        "heirs": queries.heirs_of(unit),
        "forebears": queries.forebears_of(unit),
        "children": queries.children_of(unit),
        "flags": queries.flags_of(unit),
        "now": [] if unit.valid_until is None else queries.units_in(queries.in_units_of([unit.pk], today)),
    }
    return render_page(request, "territories/unit_detail.html", "", context)
