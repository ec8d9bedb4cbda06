"""What still holds to bodies that a reorganisation ends: asked of the apps above `organisations`, for a person to decide."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, time
from typing import Any

from django.db.models import Count, Q

from hiepdong.accounts.models import Seat
from hiepdong.duties.models import Duty
from hiepdong.exchange.models import Addressee, Draft
from hiepdong.kernel.errors import gettext_noop
from hiepdong.kernel.moments import at_local
from hiepdong.organisations.models import Organisation
from hiepdong.organisations.services import Decision, Survey
from hiepdong.regulations.models import Instrument


def _decisions(code: str, message: str, counts: dict[int, int]) -> list[Decision]:
    bodies = Organisation.objects.filter(pk__in=counts).order_by("name_sort", "id")
    return [
        {
            "code": code,
            "organisation": o.key,
            "name": o.name,
            "message": message,
            "facts": {"name": o.name, "count": counts[o.pk]},
        }
        for o in bodies
    ]


def _counted(rows: Any, key: str) -> dict[int, int]:
    return dict(rows.order_by().values_list(key).annotate(n=Count("pk")))


def seats(ended: Collection[int], on: date, at: datetime) -> Sequence[Decision]:
    """Ask about people who still sit there on the day."""
    found = Seat.objects.filter(organisation__in=ended).filter(Q(valid_until__isnull=True) | Q(valid_until__gt=on))
    message = gettext_noop("%(count)s people still have a seat at %(name)s: end it, and give them one at a successor?")
    return _decisions("seats", message, _counted(found, "organisation_id"))


def open_duties(ended: Collection[int], on: date, at: datetime) -> Sequence[Decision]:
    """Ask about duties owed to or by them that are neither fulfilled nor waived; what opens later nobody will owe any more."""
    moment: datetime = at_local(on, time(0))
    still = Duty.objects.filter(fulfilled_at__isnull=True, waived_at__isnull=True, opens_at__lte=max(moment, at))
    late = gettext_noop("%(name)s owes %(count)s duties that were due before: waive them, or who fulfils them?")
    ahead = gettext_noop("%(name)s owes %(count)s duties that fall due from that day on: waive them, or who takes them over?")
    awaited = gettext_noop("%(count)s duties that fall due from that day on are owed to %(name)s: who receives them?")
    return [
        *_decisions("duties_late", late, _counted(still.filter(debtor__in=ended, due_at__lte=moment), "debtor_id")),
        *_decisions("duties_owed", ahead, _counted(still.filter(debtor__in=ended, due_at__gt=moment), "debtor_id")),
        *_decisions("duties_awaited", awaited, _counted(still.filter(creditor__in=ended, due_at__gt=moment), "creditor_id")),
    ]


def papers(ended: Collection[int], on: date, at: datetime) -> Sequence[Decision]:
    """Ask about drafts nobody sent and dispatches nobody acknowledged."""
    drafts = Draft.objects.filter(organisation__in=ended, sent_as__isnull=True, discarded_at__isnull=True)
    waiting = Addressee.objects.filter(organisation__in=ended, acknowledged_at__isnull=True, returned_at__isnull=True)
    waiting = waiting.filter(arrived_at__isnull=False)
    unsent = gettext_noop("%(name)s has %(count)s drafts that were not sent: send them before that day, or discard them?")
    unread = gettext_noop("%(name)s has not acknowledged %(count)s dispatches: who reads them?")
    return [
        *_decisions("drafts", unsent, _counted(drafts, "organisation_id")),
        *_decisions("unacknowledged", unread, _counted(waiting, "organisation_id")),
    ]


def regulations(ended: Collection[int], on: date, at: datetime) -> Sequence[Decision]:
    """Ask about regulations in force on the day before that bind them."""
    bound = Instrument.objects.filter(parties__organisation__in=ended, effective_from__lt=on)
    bound = bound.filter(Q(effective_until__isnull=True) | Q(effective_until__gte=on))
    counts = bound.annotate(bodies=Count("parties", filter=Q(parties__organisation__in=ended))).order_by("key", "version")
    message = gettext_noop("“%(title)s” binds %(count)s bodies that end: sign a new one, or amend it?")
    return [
        {
            "code": "regulation",
            "organisation": "",
            "name": i.title,
            "message": message,
            "facts": {"title": i.title, "count": i.bodies},
        }
        for i in counts
    ]


SURVEYS: list[Survey] = [regulations, open_duties, papers, seats]
