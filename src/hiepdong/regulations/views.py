"""Pages of regulations."""

from datetime import date

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from hiepdong.accounts.access import seat_required
from hiepdong.kernel.text import whole_number
from hiepdong.shell.pages import render_page

from . import queries
from .wording import in_words


@seat_required
@require_GET
def instrument_list(request: HttpRequest) -> HttpResponse:
    """Show the regulations the seat may read."""
    context = {"instruments": queries.instruments_for(request.seat)}  # type: ignore[attr-defined]
    return render_page(request, "regulations/instrument_list.html", "rows", context)


@seat_required
@require_GET
def instrument_detail(request: HttpRequest, key: str) -> HttpResponse:
    """Show one version: articles with their duties, forms, parties, the other versions."""
    wanted = request.GET.get("version", "")
    try:
        on = date.fromisoformat(request.GET.get("on", ""))
    except ValueError:
        on = None
    seat = request.seat  # type: ignore[attr-defined]
    instrument = queries.instrument_for(seat, key, version=whole_number(wanted), on=on)
    names = queries.names_of(instrument)
    twice: dict[int, list[object]] = {}
    for own, other in queries.asked_twice_with(instrument, seat):
        twice.setdefault(own.pk, []).append(other)
    rules: dict[str, list[object]] = {}
    for rule in instrument.rules.all():
        told = {"rule": rule, "words": in_words(rule.spec, names), "twice": twice.get(rule.pk, [])}
        rules.setdefault(rule.clause, []).append(told)
    articles = [(a, rules.get(a.clause, [])) for a in instrument.articles.all()]
    context = {"instrument": instrument, "articles": articles, "versions": queries.versions_of(key), "on": on}
    context |= queries.family_of(seat, instrument)
    return render_page(request, "regulations/instrument_detail.html", "", context)


@seat_required
@require_GET
def instrument_file(request: HttpRequest, key: str, version: int) -> HttpResponse:
    """Give the file of a version as it was loaded."""
    name, data = queries.file_of(request.seat, key, version)  # type: ignore[attr-defined]
    response = HttpResponse(data, content_type="application/toml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
