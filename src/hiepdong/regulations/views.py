"""Pages of regulations."""

from datetime import date
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.kernel.text import whole_number
from hiepdong.shell.pages import render_page

from . import queries, services
from .wording import in_words


@seat_required
@require_GET
def instrument_list(request: HttpRequest) -> HttpResponse:
    """Show the regulations the seat may read."""
    seat = request.seat  # type: ignore[attr-defined]
    context = {"instruments": queries.instruments_for(seat), "proposals": queries.proposals_for(seat)}
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
    context["proposal"] = queries.proposal_of(instrument)
    return render_page(request, "regulations/instrument_detail.html", "", context)


@seat_required
@require_GET
def instrument_file(request: HttpRequest, key: str, version: int) -> HttpResponse:
    """Give the file of a version as it was loaded."""
    name, data = queries.file_of(request.seat, key, version)  # type: ignore[attr-defined]
    response = HttpResponse(data, content_type="application/toml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@seat_required
@require_GET
def proposal_detail(request: HttpRequest, digest: str) -> HttpResponse:
    """Show a text laid before its parties: what it says, who has signed, what is still missing."""
    return _proposal(request, digest, {})


def _proposal(request: HttpRequest, digest: str, more: dict[str, Any], status: int = 200) -> HttpResponse:
    seat = request.seat  # type: ignore[attr-defined]
    proposal = queries.proposal_for(seat, digest)
    regulation, problems = services.text_of(proposal.document)
    rules: dict[str, list[Any]] = {}
    names = {s.key: s.organisation.name for s in proposal.signatories if s.organisation is not None}
    names |= services.names_in(regulation)
    for duty in regulation.duties if regulation is not None else ():
        rules.setdefault(duty["clause"], []).append({"title": duty["title"], "words": in_words(duty, names)})
    articles = [(a, rules.get(a["clause"], [])) for a in regulation.articles] if regulation is not None else []
    context = {
        "proposal": proposal,
        "regulation": regulation,
        "problems": [str(p) for p in problems],
        "articles": articles,
        "may_sign": queries.may_sign(seat, proposal) and regulation is not None,
        "claims": services.claims_of(proposal.document),
    }
    return render_page(request, "regulations/proposal_detail.html", "", context | more, status=status)


@requires(Action.SEND)
@require_POST
def proposal_sign(request: HttpRequest, digest: str) -> HttpResponse:
    """Sign a text in the name of one's own organisation; twice is harmless."""
    seat = request.seat  # type: ignore[attr-defined]
    proposal = queries.proposal_for(seat, digest)
    try:
        services.sign(document=proposal.document, organisation=seat.organisation, actor=seat, at=timezone.now())
    except services.InvalidRegulation as error:
        return _proposal(request, digest, {"problems": [str(p) for p in error.problems]}, 409)
    messages.success(request, _("Signed; the other parties get your signature."))
    return HttpResponseRedirect(reverse("regulations:proposal_detail", args=[digest]))
