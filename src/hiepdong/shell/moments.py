"""The moment as of which pages are shown: the present, or on a demo node (or by choice) the end of an earlier day.

Only pages look back; whatever is done (sending, acknowledging, waiving) happens now.
"""

from datetime import date, datetime, time

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from hiepdong.kernel.moments import at_local

KEY = "shown_as_of"


def shown_day(request: HttpRequest) -> date | None:
    """Return the day the person chose to look from, or the demo's, or None for the present."""
    chosen = request.session.get(KEY)
    if chosen == "today":
        return None
    try:
        return date.fromisoformat(chosen or settings.HIEPDONG_DEMO_DAY) if chosen or settings.HIEPDONG_DEMO_DAY else None
    except ValueError:
        return None


def moment(request: HttpRequest) -> datetime:
    """Return the moment pages are shown as of: now, or 17:00 local of the chosen day."""
    day = shown_day(request)
    return at_local(day, time(17)) if day else timezone.now()


def frame(request: HttpRequest) -> dict[str, object]:
    """Give the page frame the day it is shown as of; on a node that is not a demo only when somebody chose one."""
    if not getattr(request, "seat", None):
        return {}
    day = shown_day(request)
    return {"shown_as_of": day or (timezone.localdate() if settings.HIEPDONG_DEMO_DAY else None)}
