"""Pages of what proves: the folder for the inspector, and papers that must be sent again because their key was revoked."""

import tempfile
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hiepdong.accounts.access import requires, seat_required
from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.kernel.errors import DomainError, NotFound
from hiepdong.organisations import queries as organisations
from hiepdong.shell.moments import moment
from hiepdong.shell.pages import render_page

from . import evidence, queries, services


def _download(write: Callable[[BinaryIO], evidence.Made]) -> HttpResponseBase:
    """Write the zip beside the node's data, not in memory, and give it; the file is gone when it was given."""
    Path(settings.HIEPDONG_DATA).mkdir(parents=True, exist_ok=True)
    target = tempfile.TemporaryFile(dir=settings.HIEPDONG_DATA, prefix="evidence-")  # noqa: SIM115 - the response closes it
    try:
        made = write(target)
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return FileResponse(target, as_attachment=True, filename=f"{made.name}.zip", content_type="application/zip")


@seat_required
@require_GET
def dispatch_evidence(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponseBase:
    """Give the folder for the inspector of one paper and of what replaces or withdraws it."""
    seat, now = request.seat, timezone.now()  # type: ignore[attr-defined]
    return _download(lambda target: evidence.write_case(seat=seat, dispatch_uuid=dispatch_uuid, target=target, at=now))


@requires(Action.READ)
@require_GET
def evidence_form(request: HttpRequest) -> HttpResponse:
    """Ask for which two organisations and which period a folder is made."""
    return _form(request, {})


def _form(request: HttpRequest, typed: dict[str, Any], status: int = 200) -> HttpResponse:
    seat, today = request.seat, timezone.localdate(moment(request))  # type: ignore[attr-defined]
    own = sorted(organisations.organisations_by_ids(visible_organisation_ids(seat)).values(), key=lambda o: o.name_sort)
    context = {
        "own": own,
        "others": queries.correspondents_of([o.pk for o in own]),
        "one": request.GET.get("one", seat.organisation.key),
        "other": request.GET.get("other", ""),
        "first": request.GET.get("first", f"{today - timedelta(days=89):%Y-%m-%d}"),
        "last": request.GET.get("last", f"{today:%Y-%m-%d}"),
    }
    return render_page(request, "exchange/evidence_form.html", "", context | typed, status=status)


@requires(Action.READ)
@require_GET
def evidence_pair(request: HttpRequest) -> HttpResponseBase:
    """Give the folder of what two organisations sent each other in a period; a wrong period is told at the form."""
    seat, get = request.seat, request.GET.get  # type: ignore[attr-defined]
    found = organisations.organisations_by_keys([get("one", ""), get("other", "")])
    one, other = found.get(get("one", "")), found.get(get("other", ""))
    first, last = _day(get("first")), _day(get("last"))
    if one is None or other is None or one == other:
        return _form(request, {"error": _("Choose two organisations.")}, 422)
    if not {one.pk, other.pk} & visible_organisation_ids(seat):
        raise NotFound
    if first is None or last is None:
        return _form(request, {"error": _("Write the first and the last day of the period.")}, 422)
    try:
        return _download(
            lambda target: evidence.write_pair(
                seat=seat, one=one, other=other, first=first, last=last, target=target, at=timezone.now()
            )
        )
    except (evidence.PeriodUnusable, evidence.EvidenceTooLarge) as error:
        return _form(request, {"error": _told(error)}, 422)


def _told(error: DomainError) -> str:
    return f"{_(error.message) % error.facts} {_(error.hint) % error.facts}"


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


@requires(Action.READ)
@require_GET
def again_list(request: HttpRequest) -> HttpResponse:
    """Show papers that linked nodes refused because their key was revoked."""
    return render_page(request, "exchange/again_list.html", "", {"again": queries.papers_to_send_again(request.seat)})  # type: ignore[attr-defined]


@requires(Action.SEND)
@require_POST
def dispatch_again(request: HttpRequest, dispatch_uuid: uuid.UUID) -> HttpResponse:
    """Send such a paper once more under the present key, as a replacement with the same content."""
    sent = services.send_again(dispatch_uuid=dispatch_uuid, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("Signed and sent: %(what)s.") % {"what": sent.notation})
    return HttpResponseRedirect(reverse("exchange:again_list"))
