"""The desk, the board, the calendar, search, help."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts import queries as accounts
from hiepdong.accounts import services as accounts_services
from hiepdong.accounts.access import seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.duties import queries as duties
from hiepdong.duties.attention import Attention, attention, months_of
from hiepdong.exchange import joint, link_queries
from hiepdong.exchange import queries as exchange
from hiepdong.exchange.wording import month_in_words
from hiepdong.kernel.text import whole_number
from hiepdong.organisations import queries as organisations
from hiepdong.regulations import queries as regulations
from hiepdong.shell.exports import csv_response
from hiepdong.shell.moments import KEY, moment
from hiepdong.shell.pages import render_page
from hiepdong.territories import queries as territories

from .feeds import calendar_file


@seat_required
@require_GET
def desk(request: HttpRequest) -> HttpResponse:
    """Show what the seat's organisation owes, awaits, has to acknowledge, and what just happened."""
    seat, at = request.seat, moment(request)  # type: ignore[attr-defined]
    disturbed = link_queries.disturbed_for(seat, at=timezone.now())  # links are as they are now, whatever day is shown
    if not seat.may(Action.READ):
        runs = {"instruments": list(regulations.instruments_for(seat)), "disturbed": disturbed}
        return render_page(request, "web/node.html", "", runs)
    context = {
        "disturbed": disturbed,
        "at": at,
        "owed": duties.owed_by(seat, at, limit=8),
        "awaited": duties.awaited_by(seat, at, limit=8),
        "waiting": exchange.waiting_for_acknowledgement(seat, at=at, limit=8),
        "waiting_count": exchange.count_waiting(seat, at=at),
        "happened": exchange.just_happened(seat, at=at, limit=8),
        "drafts": exchange.drafts_for(seat)[:8],
        "to_sign": list({t["address"]: t for t in map(_to_sign, joint.waiting_for_signature(seat, limit=8))}.values()),
        "own": duties.own_record(seat, at),
        "again": exchange.papers_to_send_again(seat),
        "leads": len(accounts.visible_organisation_ids(seat)) > 1,  # a leader reads first, a station works first
    }
    instrument = next(iter(regulations.instruments_for(seat, on=timezone.localdate(at))), None)
    if instrument is not None:
        year = timezone.localdate(at).year
        context |= _noticed(attention(seat, instrument.key, year, at, thresholds=instrument.thresholds))
    return render_page(request, "web/desk.html", "", context)


def _to_sign(document: Any) -> dict[str, Any]:
    """Return a document that waits for the signature of the seat's organisation: what it is, and its page."""
    if document.kind == "regulation":
        address = reverse("regulations:proposal_detail", args=[document.digest])
        return {"document": document, "title": regulations.title_of(document), "address": address}
    month, a, b = document.name.split("/")
    names = organisations.organisations_by_keys([a, b])  # both are known: one lives here, the other sent it or was written to
    facts = {
        "month": month_in_words(month),
        "a": names[a].name,
        "b": names[b].name,
    }
    title = _("Statement of account %(month)s: %(a)s – %(b)s") % facts
    return {"document": document, "title": title, "address": reverse("exchange:account_detail", args=[month, a, b])}


def _noticed(found: Attention) -> dict[str, Any]:
    board_url = f"{reverse('web:board')}?regulation={found.instrument_key}&year={found.first.year}"
    return {"attention": found, "attention_board": board_url, "noticed": bool(found.silent or found.weak)}


@seat_required
@require_GET
def board(request: HttpRequest) -> HttpResponseBase:
    """Show pairs by months, both directions: on time, late, missing, silent."""
    seat, at = request.seat, moment(request)  # type: ignore[attr-defined]
    instruments = list({i.key: i for i in regulations.instruments_for(seat)}.values())
    key = request.GET.get("regulation") or (instruments[0].key if instruments else "")
    years = duties.board_years(seat, key) if key else []
    shown = timezone.localtime(at).year
    year = _number(request.GET.get("year")) or next((y for y in years if y <= shown), shown)
    thresholds = next((i.thresholds for i in instruments if i.key == key), None)
    noticed = attention(seat, key, year, at, thresholds=thresholds)
    sort, only = request.GET.get("sort", "silent"), request.GET.get("only", "")
    picked = {"silent": noticed.silent_pair_ids, "weak": noticed.weak_pair_ids}
    if request.GET.get("as") == "csv":
        return _board_csv(seat, key, year, at, sort, only, picked)
    ways = noticed.ways if noticed.last >= noticed.first else None
    found = duties.board(seat, key, year, at, request.GET.get("page"), sort=sort, only=only, picked=picked, ways=ways)
    silent = {s.pair.pk: s for s in noticed.silent}
    context = {
        "at": at,
        "board": found,
        "rows": [(row, s := silent.get(row.pair.pk), months_of(s, year) if s else ()) for row in found.rows],
        "instruments": instruments,
        "years": years,
        "list_url": reverse("duties:duty_list"),
        "choices": [
            ("silent", _("pairs that fell silent")),
            ("weak", _("pairs of bodies that leave out or send late")),
            ("trouble", _("pairs with something late or missing")),
            ("missing", _("pairs with something missing")),
        ],
        "sorts": [
            ("silent", _("longest silence first")),
            ("trouble", _("most missing first")),
            ("first", _("by Border Guard body")),
            ("second", _("by locality")),
        ],
    }
    if noticed.last >= noticed.first:
        context |= _noticed(noticed)
    return render_page(request, "web/board.html", "rows", context)


def _board_csv(
    seat: Any, key: str, year: int, at: datetime, sort: str, only: str, picked: dict[str, list[int]]
) -> StreamingHttpResponse:
    header = [_("Debtor"), _("Creditor"), *(f"{m:02}/{year}" for m in range(1, 13))]
    header += [_("expected"), _("on time"), _("late"), _("missing"), _("longest silence (days)")]

    def rows() -> Iterator[list[Any]]:
        page = 1
        while True:
            found = duties.board(seat, key, year, at, page, sort=sort, only=only, picked=picked)
            for row in found.rows:
                for d in row.directions:
                    cells = [c.shape_name if c.counts.total else "" for c in d.cells]
                    numbers = [d.counts.expected, d.counts.on_time, d.counts.late, d.counts.missing]
                    silence = d.longest_silence.days if d.longest_silence else 0
                    yield [d.debtor.name, d.creditor.name, *cells, *numbers, silence]
            if not found.page.has_next():
                return
            page += 1

    return csv_response(f"bang-thuong-xuyen-{year}.csv", header, rows())


def _number(text: str | None) -> int | None:
    number = whole_number(text)
    return number if number is not None and 1945 <= number <= 2200 else None


@seat_required
@require_GET
def calendar(request: HttpRequest) -> HttpResponse:
    """Show a month of due moments, day by day."""
    seat, at = request.seat, moment(request)  # type: ignore[attr-defined]
    try:
        first = date.fromisoformat(request.GET.get("month", "") + "-01")
    except ValueError:
        first = timezone.localtime(at).date().replace(day=1)
    last = first.replace(day=monthrange(first.year, first.month)[1])
    entries = duties.calendar_entries(seat, first, last, at)
    days = [(day, list(group)) for day, group in groupby(entries, key=duties.last_local_day)]
    before = (first.replace(day=1) - timedelta(days=1)).replace(day=1)
    context = {
        "at": at,
        "first": first,
        "days": days,
        "before": f"{before:%Y-%m}",
        "after": f"{last + timedelta(days=1):%Y-%m}",
        "secret": request.session.pop("calendar_secret", ""),
    }
    return render_page(request, "web/calendar.html", "rows", context)


@seat_required
@require_POST
def calendar_secret(request: HttpRequest) -> HttpResponse:
    """Make a new secret address for the calendar feed; it is shown once."""
    secret = accounts_services.make_calendar_token(actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    request.session["calendar_secret"] = request.build_absolute_uri(reverse("web:calendar_feed", args=[secret]))
    return HttpResponseRedirect(reverse("web:calendar"))


@require_GET
def calendar_feed(request: HttpRequest, secret: str) -> HttpResponse:
    """Give the duties of the coming and the last months as an iCalendar file to whoever has the secret address."""
    now = timezone.now()
    seat = accounts.seat_by_calendar_secret(secret, on=timezone.localdate(now))
    first, last = timezone.localdate(now) - timedelta(days=92), timezone.localdate(now) + timedelta(days=366)
    entries = duties.calendar_entries(seat, first, last, now)
    body = calendar_file(entries, seat=seat, at=now, base=request.build_absolute_uri("/").rstrip("/"))
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["Cache-Control"] = "private, max-age=900"
    return response


@seat_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Search dispatches, organisations, units and articles, without marks."""
    seat, text = request.seat, request.GET.get("q", "").strip()[:200]  # type: ignore[attr-defined]
    before = request.GET.get("before", "")
    context: dict[str, Any] = {"q": text}
    if text:
        found = exchange.search(seat, text, limit=21, before=whole_number(before))
        context |= {
            "dispatches": found[:20],
            "more": found[19].pk if len(found) > 20 else None,
            "organisations": organisations.search_organisations(text, limit=10),
            "units": list(territories.units_on(timezone.localdate(), search=text)[:10]),
            "articles": regulations.search_articles(seat, text, limit=10),
        }
    return render_page(request, "web/search.html", "rows", context)


@seat_required
@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    """Show how to do the daily things."""
    return render_page(request, "web/help.html", "", {})


@seat_required
@require_POST
def choose_moment(request: HttpRequest) -> HttpResponse:
    """Show pages as of another day, or of today again. Nothing that is done is dated back."""
    try:
        chosen = date.fromisoformat(request.POST.get("on", "")).isoformat()
    except ValueError:
        chosen = "today"
    request.session[KEY] = "today" if request.POST.get("today") else chosen
    parts = urlsplit(request.POST.get("next", "/"))
    safe = parts.path if parts.path.startswith("/") and not parts.path.startswith("//") else "/"
    return HttpResponseRedirect(f"{safe}?{parts.query}" if parts.query else safe)
