"""Telling linked nodes what has changed of this one: bodies that live here, their keys, the address, who speaks."""

from datetime import datetime

from django.db import transaction

from hiepdong.accounts.models import Seat
from hiepdong.organisations.models import Organisation

from . import links, services
from .keys import ensure_key
from .models import Kind, Peer


@transaction.atomic
def announce(*, actor: Seat | None, at: datetime, spoken_by: Organisation | None = None) -> int:
    """Send the directory of this node to the speaker of every linked node; returns to how many.

    `spoken_by` is who spoke for the node until now, where that has changed: the others know the new one from what it says.
    """
    node = links.node_or_none()
    speaker = spoken_by or (node.speaker if node is not None else None)
    if node is None or speaker is None:
        return 0
    to = [p.speaker for p in Peer.objects.filter(state__in=["linked", "paused"]).select_related("speaker") if p.speaker]
    if not to:
        return 0
    homes = links.at_home()
    for organisation in homes:
        ensure_key(organisation=organisation, actor=actor, at=at)
    directory = links.directory_of(homes) | {
        "address": node.address,
        "age": node.age_recipient,
        "speaker": node.speaker.key if node.speaker else "",
    }
    paper = services.Outgoing(
        kind=Kind.DIRECTORY,
        sender=speaker,
        to=to,
        subject=f"Danh bạ của {node.name}"[:300],
        sent_at=at,
        body={"directory": directory},
    )
    services.send_many(items=[paper], actor=actor, at=at)
    return len(to)
