"""What this node knows of the papers that two organisations sent each other in a month, from its own rows. Reads only."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Max

from hiepdong.organisations.models import Organisation

from .domain.account import Difference, Known, bounds_of, differences, gaps_between, statement, way_of
from .models import Addressee


def statement_of(*, a: Organisation, b: Organisation, month: str, made_by: str, as_of: datetime) -> dict[str, Any]:
    """Return the statement of a pair and local month as this node knows it now, without what was answered after `as_of`.

    Raises:
        NoMonth, AccountTooLong.
    """
    ways = [_way(a, b, month, as_of), _way(b, a, month, as_of)]
    return statement(month=month, pair=(a.key, b.key), ways=ways, made_by=made_by, at=as_of)


def _way(sender: Organisation, recipient: Organisation, month: str, as_of: datetime) -> dict[str, Any]:
    first, after = bounds_of(month)
    rows = Addressee.objects.filter(sender_id_copy=sender.pk, organisation=recipient)
    inside = list(
        rows.filter(sent_at__gte=first, sent_at__lt=after)
        .order_by("sequence")
        .values_list("sequence", "dispatch__digest", "arrived_at", "acknowledged_at", "returned_at")
    )
    known = [
        Known(sequence, digest, arrived, _verdict(acknowledged, returned), acknowledged or returned)
        for sequence, digest, arrived, acknowledged, returned in inside
    ]
    missing: list[int] = []
    if known:
        before = rows.filter(sequence__lt=known[0].sequence).aggregate(top=Max("sequence"))["top"] or 0
        held = rows.filter(sequence__gt=before, sequence__lte=known[-1].sequence).values_list("sequence", flat=True)
        missing = gaps_between(before, held, sender=sender.key, recipient=recipient.key)
    return way_of(sender=sender.key, recipient=recipient.key, known=known, missing=missing, as_of=as_of)


def _verdict(acknowledged: datetime | None, returned: datetime | None) -> str:
    return "acknowledged" if acknowledged else "returned" if returned else ""


def differences_here(payload: Mapping[str, Any]) -> list[Difference]:
    """Return how a statement differs from what this node knows, as of the moment that the statement names.

    An organisation that is not known here has no rows here: all that the statement lists is then a difference.
    """
    bodies = {o.key: o for o in Organisation.objects.filter(key__in=[payload["a"], payload["b"]])}
    if len(bodies) < 2:
        return differences({"sent": []}, payload)
    as_of = datetime.fromisoformat(str(payload["at"]))
    a, b = bodies[payload["a"]], bodies[payload["b"]]
    ours = statement_of(a=a, b=b, month=payload["month"], made_by=payload["made_by"], as_of=as_of)
    return differences(ours, payload)
