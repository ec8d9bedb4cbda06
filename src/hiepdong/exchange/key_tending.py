"""Keys that come to their end: warned of in good time, once a step, and renewed in time by hiepdong work."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from hiepdong.journal import queries as journal
from hiepdong.journal.services import record
from hiepdong.organisations.models import Organisation

from . import links
from .domain.links import WARN_DAYS, expiry_warning
from .models import Node, SigningKey


@dataclass(frozen=True, slots=True)
class Tended:
    """How many keys were renewed, and how many warnings were written."""

    renewed: int
    warned: int


@transaction.atomic
def tend_keys(*, at: datetime, renew_days: int) -> Tended:
    """Renew keys of organisations at home that expire soon, or warn of them; again on the same day nothing happens.

    The key before signs for the new one, so every paper that is on its way, and every one after it, verifies at the linked
    nodes without a person. What has expired already is not renewed here: nobody signs for its successor, and people compare.

    Args:
        at: aware present moment.
        renew_days: how long before its end a key is renewed; 0: never, a person does it.
    """
    node = Node.objects.first()
    if node is None or node.state != Node.State.NORMAL:
        return Tended(0, 0)  # while a node recovers it gives out no position
    renewed = warned = 0
    for organisation, key in _expiring(at, max(renew_days, *WARN_DAYS)):
        left = (key.valid_until or at) - at
        if timedelta(0) < left <= timedelta(days=renew_days):
            links.rotate_key(organisation=organisation, actor=None, at=at)
            renewed += 1
        elif (step := expiry_warning(key.valid_until, at)) is not None and step not in _told(key):
            until = key.valid_until.isoformat() if key.valid_until else ""
            facts = {"kid": key.kid, "days": step, "valid_until": until}
            record("exchange.key.expiring", subject=key, actor=None, at=at, name=organisation.name, facts=facts)
            warned += 1
    return Tended(renewed, warned)


def _expiring(at: datetime, days: int) -> Iterable[tuple[Organisation, SigningKey]]:
    """Return, for organisations at home, the key that signs now, where it ends within so many days or has ended."""
    for organisation in links.at_home():
        keys = SigningKey.objects.filter(organisation=organisation, revoked_at__isnull=True).exclude(private_encrypted="")
        newest = keys.order_by("-valid_from", "-id").first()
        if newest is not None and newest.valid_until is not None and newest.valid_until - at <= timedelta(days=days):
            yield organisation, newest


def _told(key: SigningKey) -> set[object]:
    facts = journal.facts_about(kind="exchange.SigningKey", pks=[key.pk])
    return {f["days"] for f in facts if "days" in f}
