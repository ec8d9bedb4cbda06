"""Pages of bundles: what waits to be carried, a bundle to download with its sheet, an uploaded one looked into and taken in."""

from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires
from hiepdong.accounts.domain.permissions import Action
from hiepdong.kernel.errors import DomainError
from hiepdong.shell.pages import page_of, render_page

from . import bundle_covers, bundle_desk, bundles, link_queries
from .cover_sheet import qr_svg, render_cover_sheet, sheet_of

PAGE = 30
POLL_SECONDS = 2


def _to_errand(token: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("exchange:bundle_errand", args=[token]))


def _told(error: DomainError) -> str:
    return " ".join(_(text) % error.facts if error.facts else _(text) for text in (error.message, error.hint) if text)


@requires(Action.MANAGE_NODE)
@require_GET
def bundle_list(request: HttpRequest) -> HttpResponse:
    """Show what waits to be carried on each link, the form for an upload, what is under way, and the bundles in and out."""
    return _list(request, {})


def _list(request: HttpRequest, more: dict[str, Any], status: int = 200) -> HttpResponse:
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    node = link_queries.this_node_if_any(seat)
    rows = link_queries.links_for(seat, at=now) if node else []
    kept = bundle_desk.downloads()
    page = page_of(bundle_desk.bundles_for(seat), request.GET.get("page"), PAGE)
    context = {
        "node": node,
        "now": now,
        "links": [(r, bundles.waiting(r.peer)) for r in rows if r.is_open],
        "closed": [r for r in rows if not r.is_open],
        "under_way": [e for e in bundle_desk.errands(seat) if e.state != "done"],
        "page": page,
        "rows": [(b, kept.get(str(b.uuid)) if b.outgoing else None) for b in page.object_list],
        "kept_days": bundle_desk.KEPT_EXPORT.days,
        "largest": bundle_desk.LARGEST_UPLOAD,
    }
    return render_page(request, "exchange/bundle_list.html", "rows", context | more, status=status)


@requires(Action.MANAGE_NODE)
@require_POST
def bundle_make(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a bundle written for a node."""
    errand = bundle_desk.ask_export(
        peer_id=pk,
        encrypt=request.POST.get("plain") != "1",
        empty=request.POST.get("empty") == "1",
        actor=request.seat,  # type: ignore[attr-defined]
        at=timezone.now(),
    )
    return _to_errand(errand.token)


@requires(Action.MANAGE_NODE)
@require_POST
def bundle_upload(request: HttpRequest) -> HttpResponse:
    """Keep an uploaded bundle; look into it, or take it in at once."""
    file = request.FILES.get("bundle")
    if file is None or file.size is None:
        return _list(request, {"upload_error": _("Choose the bundle on the stick first.")}, status=422)
    try:
        errand = bundle_desk.upload(
            name=file.name or "",
            size=file.size,
            chunks=file.chunks(),
            take=request.POST.get("do") == "import",
            actor=request.seat,  # type: ignore[attr-defined]
            at=timezone.now(),
        )
    except (bundle_desk.UploadTooLarge, bundle_desk.TooManyUploads) as error:
        return _list(request, {"upload_error": _told(error)}, status=422)
    return _to_errand(errand.token)


@requires(Action.MANAGE_NODE)
@require_GET
def bundle_errand(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show how far an export or import is, what an uploaded bundle holds, why it is refused, or what was written."""
    errand = bundle_desk.errand_of(request.seat, token)  # type: ignore[attr-defined]
    if errand.kind == "import" and errand.state == "done":
        address = reverse("exchange:bundle_detail", args=[errand.bundle])
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": address})
        return HttpResponseRedirect(address)
    if request.headers.get("HX-Request") and not errand.todo:
        return HttpResponse(headers={"HX-Refresh": "true"})  # what was waited for is there: the whole page shows it
    refusal = errand.refusal
    facts = refusal.get("facts") or {}
    context: dict[str, Any] = {
        "errand": errand,
        "progress": bundle_desk.progress_of(errand),
        "poll_seconds": POLL_SECONDS,
        "seen": errand.seen,
        "missed_there": link_queries.missed_there(errand.seen.get("missing")),
        "made_at": parse_datetime(errand.seen["made_at"]) if errand.seen else None,
        "peer": link_queries.link_row(errand.peer, at=timezone.now()).peer if errand.peer else None,
        "refusal": [_(refusal[k]) % facts if facts else _(refusal[k]) for k in ("message", "hint") if refusal.get(k)],
        "sheets": list(enumerate(errand.sheets, 1)),
    }
    return render_page(request, "exchange/bundle_errand.html", "state", context)


@requires(Action.MANAGE_NODE)
@require_POST
def bundle_take(request: HttpRequest, token: str) -> HttpResponse:
    """Take in a bundle that was looked into."""
    errand = bundle_desk.ask_import(token=token, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    return _to_errand(errand.token)


@requires(Action.MANAGE_NODE)
@require_POST
def bundle_drop(request: HttpRequest, token: str) -> HttpResponse:
    """Put an upload, or a bundle that was kept for download, away."""
    bundle_desk.drop(token=token, actor=request.seat)  # type: ignore[attr-defined]
    messages.success(request, _("Put away."))
    return HttpResponseRedirect(reverse("exchange:bundle_list"))


@requires(Action.MANAGE_NODE)
@require_GET
def bundle_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a bundle that went out or came in: its digest, and what became of its items."""
    bundle = bundle_desk.bundle_of(request.seat, pk)  # type: ignore[attr-defined]
    context: dict[str, Any] = {"bundle": bundle, "peer": bundle.peer}
    if bundle.outgoing:
        context["download"] = bundle_desk.downloads().get(str(bundle.uuid))
        context["confirmed"] = bundle.last <= bundle.peer.confirmed_through
    else:
        states, reasons = bundles.became_of(bundle)
        fresh = sum(states.values())
        context |= {"fresh": fresh, "again": max(0, bundle.items - fresh), "states": states, "reasons": reasons.items()}
        context["recovering"] = bundles.waiting(bundle.peer).asks
    return render_page(request, "exchange/bundle_detail.html", "", context)


# --- files -----------------------------------------------------------------------------------------------------------------


@requires(Action.MANAGE_NODE)
@require_GET
def bundle_file(request: HttpRequest, token: str, number: int) -> HttpResponseBase:
    """Give a bundle that was written."""
    path = bundle_desk.errand_of(request.seat, token).file_of(number)  # type: ignore[attr-defined]
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name, content_type="application/octet-stream")


@requires(Action.MANAGE_NODE)
@require_GET
def bundle_sheet(request: HttpRequest, token: str, number: int) -> HttpResponse:
    """Show the cover sheet of a bundle as a page that prints."""
    errand = bundle_desk.errand_of(request.seat, token)  # type: ignore[attr-defined]
    errand.file_of(number)
    sheet = sheet_of(errand.sheets[number - 1])
    context = {"sheet": sheet, "qr": qr_svg(sheet.qr), "errand": errand, "number": number}
    return render_page(request, "exchange/bundle_sheet.html", "", context)


@requires(Action.MANAGE_NODE)
@require_GET
def bundle_sheet_pdf(request: HttpRequest, token: str, number: int) -> HttpResponse:
    """Give the cover sheet of a bundle as PDF."""
    errand = bundle_desk.errand_of(request.seat, token)  # type: ignore[attr-defined]
    path = errand.file_of(number)
    facts = errand.sheets[number - 1]
    response = HttpResponse(
        render_cover_sheet(facts, issuer=bundle_covers.issuer_at(facts.made_at)), content_type="application/pdf"
    )
    response["Content-Disposition"] = content_disposition_header(True, bundle_covers.cover_path(path).name)
    return response
