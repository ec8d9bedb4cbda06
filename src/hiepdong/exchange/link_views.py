"""Pages of links with other nodes: how each is, what waits and why, the invitation and its number, keys."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.kernel.errors import DomainError, NotFound
from hiepdong.organisations import queries as organisations
from hiepdong.shell.exports import csv_response
from hiepdong.shell.pages import page_of, render_page

from . import intake, invitation_address, link_queries, links
from .domain.dispatch import ReasonMissing
from .domain.link_health import Standing
from .invitation_code import picture_of
from .templatetags.links import item_name, meaning, standing_word, state_name

SHOWN = 5  # rows of each list on the page of a link; the rest stands on the page of items
PAGE = 50


def _manages(request: HttpRequest) -> bool:
    return bool(request.seat.may(Action.MANAGE_NODE))  # type: ignore[attr-defined]


def _time(at: datetime | None) -> str:
    return timezone.localtime(at).strftime("%d/%m/%Y %H:%M") if at else ""


# --- links -----------------------------------------------------------------------------------------------------------------


@seat_required
@require_GET
def link_list(request: HttpRequest) -> HttpResponseBase:
    """Show the links with how each is; disturbed ones first; also as CSV."""
    seat, now, only = request.seat, timezone.now(), request.GET.get("only", "")  # type: ignore[attr-defined]
    every = link_queries.links_for(seat, at=now)
    chosen = {
        "open": [r for r in every if r.is_open],
        "trouble": [r for r in every if r.health.standing in {Standing.DISTURBED, Standing.WATCH}],
        "closed": [r for r in every if not r.is_open],
    }
    rows = chosen.get(only, every)
    if request.GET.get("as") == "csv":
        return _links_csv(rows)
    context: dict[str, Any] = {
        "now": now,
        "node": link_queries.this_node_if_any(seat),
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "every": len(every),
        "only": only,
        "choices": [("open", _("open links")), ("trouble", _("links that need attention")), ("closed", _("links not open"))],
        "manages": _manages(request),
    }
    if context["manages"] and context["node"] is not None:
        context["trust"] = link_queries.journal_trust(at=now)
    return render_page(request, "exchange/link_list.html", "rows", context)


def _links_csv(rows: Iterable[Any]) -> HttpResponseBase:
    header = [_("Node"), _("State"), _("How it is"), _("Heard"), _("Reached"), _("Waits to go out"), _("Not here yet")]
    header += [_("Held"), _("Incidents")]
    lines = (
        [
            r.peer.name,
            state_name(r.peer.state),
            standing_word(r.health),
            _time(r.peer.heard_at),
            _time(r.peer.reached_at),
            *(r.health.facts[k] for k in ("out", "coming", "held", "incidents")),
        ]
        for r in rows
    )
    return csv_response("duong-lien-ket.csv", header, lines)


@seat_required
@require_GET
def link_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one link: contact, what waits, what is held and why, incidents, clock, keys; or the number to compare."""
    return _detail(request, pk, {})


def _detail(request: HttpRequest, pk: int, typed: dict[str, Any], status: int = 200) -> HttpResponse:
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    row = link_queries.link_for(seat, pk, at=now)
    context: dict[str, Any] = {"now": now, "row": row, "peer": row.peer, "manages": _manages(request)}
    context["bodies"] = list(links.residents(pk)[:200])
    if not context["manages"]:
        return render_page(request, "exchange/link_detail.html", "", context | typed, status=status)
    if row.peer.state == "invited":
        context["number"], context["invitation"] = link_queries.pair_number_of(seat, pk, at=now)
        context["earlier_numbers"] = list(links.earlier_numbers_with(context["invitation"].kid, now).values())
    else:
        held, refused = (link_queries.arrivals_of(pk, state=state) for state in ("held", "refused"))
        missing, pairs = link_queries.missing_of(peer_id=pk, most_pairs=SHOWN)
        context |= {
            "held": link_queries.told(held[:SHOWN]),
            "refused": link_queries.told(refused[:SHOWN]),
            "incidents": link_queries.explained(link_queries.incidents_of(pk)[:SHOWN]),
            "waiting": list(link_queries.waiting_parcels(row.peer)[:SHOWN]),
            "missing": missing,
            "missing_pairs": pairs,
            "missed_there": link_queries.missed_there(row.peer.missing),
            "trust": link_queries.journal_trust(at=now),
            "node_keys": link_queries.node_keys(peer_id=pk, at=now),
            "keys": link_queries.organisation_keys(peer_id=pk, at=now, newest_only=True)[:200],
            "expiring": [
                k for k in link_queries.organisation_keys(peer_id=None, at=now, newest_only=True) if k.warning is not None
            ],
        }
    return render_page(request, "exchange/link_detail.html", "", context | typed, status=status)


SHOWS = ("held", "refused", "waiting", "missing", "incidents")


@requires(Action.MANAGE_NODE)
@require_GET
def link_items(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show all that is held, refused, waiting or missing on a link, or its incidents; also as CSV."""
    now, get = timezone.now(), request.GET.get
    row = link_queries.link_for(request.seat, pk, at=now)  # type: ignore[attr-defined]
    show = get("show", "held")
    show = show if show in SHOWS else "held"
    names = {
        "held": _("held back here"),
        "refused": _("refused here"),
        "waiting": _("waiting to go out"),
        "missing": _("missing numbers"),
        "incidents": _("incidents"),
    }
    context: dict[str, Any] = {"now": now, "row": row, "peer": row.peer, "show": show, "choices": list(names.items())}
    context["title"] = names[show]
    if show == "missing":
        found, _pairs = link_queries.missing_of(peer_id=pk, most_pairs=500)
        context["page"] = Paginator(found, PAGE).get_page(get("page"))
        context["rows"] = list(context["page"].object_list)
    else:
        rows = _items(row, show)
        if get("as") == "csv":
            return _items_csv(row, show, rows.iterator(chunk_size=500))
        context["page"] = page_of(rows, get("page"), PAGE)
        context["rows"] = _shown(show, context["page"].object_list)
    if get("as") == "csv":
        lines = ([m.sender, m.recipient, m.count, " ".join(str(n) for n in m.numbers)] for m in found)
        return csv_response("con-thieu.csv", [_("Sender"), _("Recipient"), _("Count"), _("Missing numbers")], lines)
    return render_page(request, "exchange/link_items.html", "rows", context)


def _items(row: link_queries.LinkRow, show: str) -> Any:
    if show == "waiting":
        return link_queries.waiting_parcels(row.peer)
    return link_queries.incidents_of(row.peer.pk) if show == "incidents" else link_queries.arrivals_of(row.peer.pk, state=show)


def _shown(show: str, rows: Any) -> list[Any]:
    if show == "waiting":
        return list(rows)
    return link_queries.explained(rows) if show == "incidents" else link_queries.told(rows)


def _items_csv(row: link_queries.LinkRow, show: str, rows: Iterable[Any]) -> HttpResponseBase:
    name = f"{show}-{row.peer.pk}.csv"
    if show == "waiting":
        header = [_("Position"), _("Kind"), _("Since"), _("Digest"), _("The other node said")]
        return csv_response(
            name, header, ([p.position, item_name(p.kind), _time(p.made_at), p.digest, p.outcome] for p in rows)
        )
    if show == "incidents":
        header = [_("Moment"), _("Code"), _("Meaning"), _("Facts"), _("Seen"), _("By")]
        lines = ([_time(i.at), i.code, meaning(i.code), _pairs(i.facts), _time(i.seen_at), i.seen_by] for i in rows)
        return csv_response(name, header, lines)
    header = [_("Position"), _("Kind"), _("Arrived"), _("Code"), _("Meaning"), _("Waits for"), _("Digest"), _("Facts")]
    items = (
        [a.position, item_name(a.kind), _time(a.received_at), a.code, meaning(a.code), a.waits_for, a.digest, _pairs(a.facts)]
        for a in rows
    )
    return csv_response(name, header, items)


def _pairs(facts: dict[str, Any]) -> str:
    return "; ".join(f"{k}: {v}" for k, v in facts.items())


def _back(request: HttpRequest, peer_id: int) -> HttpResponseRedirect:
    show = request.POST.get("show", "")
    if show in SHOWS:
        return HttpResponseRedirect(f"{reverse('exchange:link_items', args=[peer_id])}?show={show}")
    return HttpResponseRedirect(reverse("exchange:link_detail", args=[peer_id]))


@requires(Action.MANAGE_NODE)
@require_POST
def link_release(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a held item pass by a person's decision."""
    row = intake.release(arrival_id=pk, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    if row.state == "applied":
        messages.success(request, _("Released: it is taken now, with your decision in the journal."))
    else:
        text = _("It still cannot be taken: %(why)s")
        messages.warning(request, text % {"why": meaning(row.code)})
    return _back(request, row.peer_id)


@requires(Action.MANAGE_NODE)
@require_POST
def link_dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    """Refuse a held item by a person's decision, with a reason."""
    reason = request.POST.get("reason", "")
    if not reason.strip():
        raise ReasonMissing
    row = intake.dismiss(arrival_id=pk, reason=reason, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("Dismissed. Its bytes stay here as evidence."))
    return _back(request, row.peer_id)


@requires(Action.MANAGE_NODE)
@require_POST
def link_seen(request: HttpRequest, pk: int) -> HttpResponse:
    """Note that an incident was looked at."""
    found = links.see_incident(incident_id=pk, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    return _back(request, found.peer_id)


@requires(Action.MANAGE_NODE)
@require_POST
def link_state(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause a link, take it up again, or end it."""
    state = request.POST.get("state", "")
    if state not in {"linked", "paused", "ended"}:
        raise NotFound
    link_queries.link_for(request.seat, pk, at=timezone.now())  # type: ignore[attr-defined]
    links.set_state(peer_id=pk, state=state, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    return _back(request, pk)


# --- the invitation --------------------------------------------------------------------------------------------------------


@requires(Action.MANAGE_NODE)
def link_new(request: HttpRequest) -> HttpResponse:
    """Make an invitation of this node, or take one of another in."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    node = link_queries.this_node_if_any(seat)
    context: dict[str, Any] = {"node": node, "now": now, "addresses": invitation_address.open_addresses(at=now)}
    if request.method != "POST" or node is None:
        context["address"] = request.session.pop("invitation_address", "")
        return render_page(request, "exchange/link_new.html", "", context)
    if request.POST.get("do") == "accept":
        return _accept(request, context)
    if request.POST.get("do") == "address":
        # Kept in the session for one look after the redirect, as a token is: a reload makes no second address.
        request.session["invitation_address"] = invitation_address.offer(actor=seat, at=now)
        return HttpResponseRedirect(reverse("exchange:link_new"))
    document = links.make_invitation(actor=seat, at=now)
    if request.POST.get("do") == "file":
        response = HttpResponse(document, content_type="application/jose")
        name = f"{slugify(node.name) or 'nut'}-loi-moi.jws"
        response["Content-Disposition"] = content_disposition_header(True, name)
        return response
    kid = links.node_key(now).kid
    context |= {
        "picture": picture_of(document, address=node.address, kid=kid),
        "kid": kid,
        "document": document.decode("ascii"),
    }
    return render_page(request, "exchange/link_new.html", "", context)


def _accept(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    file = request.FILES.get("invitation")
    text = request.POST.get("text", "")
    address = request.POST.get("address", "").strip()
    document = file.read(links.LARGEST_INVITATION + 1) if file is not None else text.encode("ascii", "replace")
    context["typed_address"] = address
    if not document.strip() and not address:
        context["accept_error"] = _("Choose the file of the other node, paste its text, or type its secret address.")
        return render_page(request, "exchange/link_new.html", "", context, status=422)
    try:
        seat, now = request.seat, context["now"]  # type: ignore[attr-defined]
        if document.strip():
            peer = links.accept_invitation(document=document, actor=seat, at=now)
        else:
            peer = invitation_address.accept(address=address, actor=seat, at=now)
    except DomainError as error:
        context |= {"accept_error": f"{_(error.message) % error.facts} {_(error.hint)}", "typed": text}
        return render_page(request, "exchange/link_new.html", "", context, status=422)
    return HttpResponseRedirect(reverse("exchange:link_detail", args=[peer.pk]))


@requires(Action.MANAGE_NODE)
@require_POST
def address_end(request: HttpRequest, pk: int) -> HttpResponse:
    """End a secret address of an invitation."""
    invitation_address.end(address_id=pk, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("Nothing is given at that address any more."))
    return HttpResponseRedirect(reverse("exchange:link_new"))


@requires(Action.MANAGE_NODE)
@require_POST
def link_confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Link with a node whose number was compared: typed as the other side read it out, or declared the same."""
    seat, now, typed = request.seat, timezone.now(), request.POST.get("number", "")  # type: ignore[attr-defined]
    if request.POST.get("same") == "1":
        typed, _invitation = link_queries.pair_number_of(seat, pk, at=now)
    try:
        peer = links.confirm_peer(peer_id=pk, number=typed, actor=seat, at=now)
    except links.PairNumberDiffers as error:
        shown = {"confirm_error": f"{_(error.message)} {_(error.hint)}", "typed_number": typed}
        return _detail(request, pk, shown, status=422)
    messages.success(
        request, _("Linked with %(name)s. It is heard as soon as it has confirmed the number too.") % {"name": peer.name}
    )
    return HttpResponseRedirect(reverse("exchange:link_detail", args=[pk]))


# --- keys ------------------------------------------------------------------------------------------------------------------


@requires(Action.MANAGE_NODE)
@require_GET
def key_list(request: HttpRequest) -> HttpResponseBase:
    """Show the keys of this node and of the organisations that live here, those that expire first."""
    now = timezone.now()
    node = link_queries.this_node_if_any(request.seat)  # type: ignore[attr-defined]
    every = link_queries.organisation_keys(peer_id=None, at=now)
    rows = every if request.GET.get("all") else [k for k in every if k.is_newest]
    rows = sorted(rows, key=lambda k: (k.warning is None, k.owner))
    if request.GET.get("as") == "csv":
        header = [_("Organisation"), _("Fingerprint"), _("Valid from"), _("Valid until"), _("Revoked")]
        lines = ([k.owner, k.kid, _time(k.valid_from), _time(k.valid_until), _time(k.revoked_at)] for k in rows)
        return csv_response("khoa.csv", header, lines)
    context = {
        "node": node,
        "node_keys": link_queries.node_keys(peer_id=None, at=now) if node else [],
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "all": bool(request.GET.get("all")),
        "now": now,
    }
    return render_page(request, "exchange/key_list.html", "rows", context)


@requires(Action.MANAGE_NODE)
@require_POST
def key_rotate(request: HttpRequest, key: str) -> HttpResponse:
    """Give an organisation at home a new key; the one before signs for it."""
    body = organisations.organisation_by_key(key)
    if not links.is_at_home(body.pk):
        raise links.NotAtHome(name=body.name)
    links.rotate_key(organisation=body, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(
        request, _("%(name)s signs with a new key now; linked nodes learn it by themselves.") % {"name": body.name}
    )
    return HttpResponseRedirect(reverse("exchange:key_list"))
