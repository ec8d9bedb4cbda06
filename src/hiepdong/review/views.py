"""Pages of reviews."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires
from hiepdong.accounts.domain.permissions import Action
from hiepdong.kernel.errors import DomainError, NotAllowed, NotFound
from hiepdong.shell.moments import moment
from hiepdong.shell.pages import render_page

from . import queries, services
from .forms import ApproveForm, BuildForm, CausesForm, ConferenceForm, ItemForm, PassageForm

KINDS = ("task", "proposal", "directive", "limitation")


def _told(error: DomainError) -> str:
    facts = error.facts
    return " ".join(_(text) % facts if facts else _(text) for text in (error.message, error.hint) if text)


def _kept(form: Form, save: Callable[..., Any], **facts: Any) -> bool:
    """Do what a valid form asks; a refusal goes into the form, beside what was typed."""
    if not form.is_valid():
        return False
    try:
        save(**facts, **form.cleaned_data)
    except (NotFound, NotAllowed):
        raise
    except DomainError as error:
        form.add_error(None, _told(error))
        return False
    return True


def _editable(request: HttpRequest, review_id: int) -> Any:
    """Return a review that the seat may change."""
    review = queries.review_for(request.seat, review_id)  # type: ignore[attr-defined]
    if not queries.may_edit(request.seat, review):  # type: ignore[attr-defined]
        raise NotAllowed
    return review


def _back(review_id: int, anchor: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("review:review_detail", args=[review_id]) + (f"#{anchor}" if anchor else ""))


@requires(Action.READ)
@require_GET
def review_list(request: HttpRequest) -> HttpResponse:
    """Show the reviews that may be read, and let the issuing body build one."""
    return _list(request, None)


def _list(request: HttpRequest, form: BuildForm | None, *, status: int = 200) -> HttpResponse:
    seat = request.seat  # type: ignore[attr-defined]
    choices = queries.buildable(seat)
    year = timezone.localtime(moment(request)).year
    form = form or BuildForm(initial={"year": year}, choices=choices)
    context = {"reviews": queries.reviews_for(seat), "form": form if choices else None}
    return render_page(request, "review/review_list.html", "", context, status=status)


@requires(Action.EDIT_REVIEW)
@require_POST
def review_build(request: HttpRequest) -> HttpResponse:
    """Build the review of a regulation and a year."""
    seat = request.seat  # type: ignore[attr-defined]
    form = BuildForm(request.POST, choices=queries.buildable(seat))
    made: list[Any] = []

    def build(regulation: str, year: int) -> None:
        made.append(
            services.build_review(instrument_key=regulation, year=year, actor=seat, at=timezone.now(), as_of=moment(request))
        )

    if _kept(form, build):
        messages.success(request, _("The review was built from the records."))
        return _back(made[0].pk)
    return _list(request, form, status=422)


@requires(Action.EDIT_REVIEW)
@require_POST
def review_rebuild(request: HttpRequest, review_id: int) -> HttpResponse:
    """Compute the review anew from the records; what people wrote stays."""
    seat = request.seat  # type: ignore[attr-defined]
    review = queries.review_for(seat, review_id)
    services.build_review(
        instrument_key=review.instrument_key, year=review.year, actor=seat, at=timezone.now(), as_of=moment(request)
    )
    messages.success(request, _("The review was computed anew; what people wrote was kept."))
    return _back(review_id)


@requires(Action.READ)
@require_GET
def review_detail(request: HttpRequest, review_id: int) -> HttpResponse:
    """Show a review: every figure and finding opens the records behind it."""
    seat = request.seat  # type: ignore[attr-defined]
    review = queries.review_for(seat, review_id)
    context = {
        "shown": queries.shown(review),
        "review": review,
        "may_edit": queries.may_edit(seat, review),
        "may_approve": queries.may_approve(seat, review),
        "may_send": queries.may_send(seat, review),
    }
    return render_page(request, "review/review_detail.html", "", context)


@requires(Action.READ)
@require_GET
def records(request: HttpRequest, review_id: int) -> HttpResponse:
    """Show the records behind a finding or a number, as they stood at the moment of the review."""
    seat, get = request.seat, request.GET.get  # type: ignore[attr-defined]
    review = queries.review_for(seat, review_id)
    if get("finding"):
        found = queries.records_of_finding(seat, review, get("finding", ""))
        context: dict[str, Any] = {"shown": queries.text_at(review, f"finding:{get('finding')}")}
    else:
        wanted = {k: get(k, "") for k in ("debtor", "creditor", "rule", "status")}
        found = queries.records_counted(seat, review, **wanted, page=get("page"))
        context = {"page": found.page}
    return render_page(request, "review/records.html", "rows", context | {"review": review, "found": found})


@requires(Action.EDIT_REVIEW)
def passage_form(request: HttpRequest, review_id: int, place: str) -> HttpResponse:
    """Write a text at a place of the review."""
    review, status = _editable(request, review_id), 200
    now = queries.text_at(review, place)
    if request.method == "POST":
        form = PassageForm(request.POST)

        def save(text: str, seen: str) -> None:
            services.write_passage(
                review_id=review_id,
                place=place,
                text="" if request.POST.get("do") == "computed" else text,
                actor=request.seat,  # type: ignore[attr-defined]
                at=timezone.now(),
                seen=_instant(seen),
            )

        if _kept(form, save):
            messages.success(request, _("The text was kept."))
            return _back(review_id, place.replace(":", "-", 1))
        status, now = 422, queries.text_at(review, place)
        form.data = request.POST.dict() | {"seen": _iso(now.written_at)}
    else:
        form = PassageForm(initial={"text": now.text, "seen": _iso(now.written_at)})
    context = {"review": review, "place": place, "now": now, "form": form}
    return render_page(request, "review/passage_form.html", "", context, status=status)


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


@requires(Action.EDIT_REVIEW)
def causes_form(request: HttpRequest, review_id: int, finding: str) -> HttpResponse:
    """Give the causes of a finding."""
    review, status = _editable(request, review_id), 200
    shown = queries.text_at(review, f"finding:{finding}")
    if request.method == "POST":
        form = CausesForm(request.POST)

        def save(**_fields: Any) -> None:
            seat = request.seat  # type: ignore[attr-defined]
            services.give_causes(review_id=review_id, finding=finding, causes=form.causes(), actor=seat, at=timezone.now())

        if _kept(form, save):
            messages.success(request, _("The causes were kept."))
            return _back(review_id, f"finding-{finding}")
        status = 422
    else:
        given = queries.causes_of(review, finding)
        form = CausesForm(initial={f"on:{c}": True for c in given} | {f"text:{c}": t for c, t in given.items()})
    context = {"review": review, "now": shown, "form": form}
    return render_page(request, "review/causes_form.html", "", context, status=status)


@requires(Action.EDIT_REVIEW)
def item_new(request: HttpRequest, review_id: int, kind: str) -> HttpResponse:
    """Add a task, a proposal, a directive or a stated limitation."""
    if kind not in KINDS:
        raise NotFound
    return _item(request, review_id, kind, None)


@requires(Action.EDIT_REVIEW)
def item_form(request: HttpRequest, review_id: int, item_id: int) -> HttpResponse:
    """Change, move or take out an item."""
    seat = request.seat  # type: ignore[attr-defined]
    review = queries.review_for(seat, review_id)
    item = queries.item_of(review, item_id)
    what = request.POST.get("do", "save") if request.method == "POST" else ""
    if what in {"up", "down"}:
        services.move_item(review_id=review_id, item_id=item_id, up=what == "up", actor=seat, at=timezone.now())
        return _back(review_id, f"section-{_section(item.kind)}")
    if what == "remove":
        services.remove_item(review_id=review_id, item_id=item_id, actor=seat, at=timezone.now())
        messages.success(request, _("The entry was taken out."))
        return _back(review_id, f"section-{_section(item.kind)}")
    return _item(request, review_id, item.kind, item)


def _section(kind: str) -> str:
    return {"limitation": "limitations", "task": "tasks", "directive": "tasks"}.get(kind, "proposals")


def _item(request: HttpRequest, review_id: int, kind: str, item: Any) -> HttpResponse:
    review, status = _editable(request, review_id), 200
    if request.method == "POST":
        form = ItemForm(request.POST, kind=kind)
        facts = {"review_id": review_id, "kind": kind, "item_id": item.pk if item else None}
        if _kept(form, services.put_item, **facts, actor=request.seat, at=timezone.now()):  # type: ignore[attr-defined]
            messages.success(request, _("The entry was kept."))
            return _back(review_id, f"section-{_section(kind)}")
        status = 422
    elif item is not None:
        form = ItemForm(initial={k: getattr(item, k) for k in ("addressee", "text", "source", "finding")}, kind=kind)
    else:
        form = ItemForm(initial={"finding": request.GET.get("finding", "")}, kind=kind)
    context = {"review": review, "kind": kind, "item": item, "form": form}
    return render_page(request, "review/item_form.html", "", context, status=status)


@requires(Action.EDIT_REVIEW)
def conference_form(request: HttpRequest, review_id: int) -> HttpResponse:
    """Say where and when the conference is held."""
    review, status = _editable(request, review_id), 200
    if request.method == "POST":
        form = ConferenceForm(request.POST)
        seat = request.seat  # type: ignore[attr-defined]
        if _kept(form, services.set_conference, review_id=review_id, actor=seat, at=timezone.now()):
            messages.success(request, _("The conference was noted."))
            return _back(review_id)
        status = 422
    else:
        form = ConferenceForm(initial={"host": review.host, "held_on": review.held_on})
    return render_page(request, "review/conference_form.html", "", {"review": review, "form": form}, status=status)


@requires(Action.APPROVE_REVIEW)
def approve(request: HttpRequest, review_id: int) -> HttpResponse:
    """Freeze the review with its digest."""
    seat = request.seat  # type: ignore[attr-defined]
    review = queries.review_for(seat, review_id)
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponseNotAllowed(["GET", "POST"])
    if not queries.may_approve(seat, review):
        raise NotAllowed
    status = 200
    form = ApproveForm()
    if request.method == "POST":
        form = ApproveForm(request.POST)
        if _kept(form, services.approve_review, review_id=review_id, actor=seat, at=timezone.now()):
            messages.success(request, _("The review was approved and is frozen now."))
            return _back(review_id)
        status = 422
    outdated = [t for t in _all_texts(queries.shown(review)) if t.outdated]
    context = {"review": review, "form": form, "outdated": outdated}
    return render_page(request, "review/approve_form.html", "", context, status=status)


@requires(Action.EDIT_REVIEW)
@require_POST
def send(request: HttpRequest, review_id: int) -> HttpResponse:
    """Begin the dispatch with which the approved review goes out, and lead to it."""
    draft = services.draft_dispatch(review_id=review_id, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("A notice with the files of the review was begun; choose who gets it, then sign and send."))
    return HttpResponseRedirect(reverse("exchange:draft_form", args=[draft.pk]))


def _all_texts(shown: Any) -> list[Any]:
    return [*shown.texts.values(), *(f.text for f in shown.fields), *(f.text for f in shown.findings)]


@requires(Action.READ)
@require_GET
def download(request: HttpRequest, review_id: int, kind: str) -> HttpResponse:
    """Give the review as DOCX, PDF or JSON."""
    review = queries.review_for(request.seat, review_id)  # type: ignore[attr-defined]
    made = services.download(review=review, kind=kind)
    response = HttpResponse(made.data, content_type=made.media_type)
    response["Content-Disposition"] = f'attachment; filename="{made.name}"'
    return response
