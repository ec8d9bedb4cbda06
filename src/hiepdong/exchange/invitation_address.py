"""An invitation at a secret address: the other administrator types it, their node fetches the invitation.

The address proves nothing about who answers there, and its certificate cannot be known yet. So nothing but the signed
invitation is taken from it, as if its file had been given; the comparison of the pair number is what makes it trusted.
"""

import hashlib
import secrets
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require_unless_command
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop

from . import http_line, links
from .models import InvitationAddress, Peer

FETCHES = 3  # a line may be cut in the middle; whoever finds the address later finds nothing
LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that a person takes for another when it is read out
LENGTH = 26  # 31 letters: 128 bits


class NoAddress(DomainError):
    """Nobody can reach this node, so nobody could fetch anything from it."""

    code = "exchange.no_address"
    message = gettext_noop("This node has no https:// address at which another one could fetch its invitation.")
    hint = gettext_noop("Give the invitation as a file, or set the address: hiepdong node set --address https://…")


@transaction.atomic
def offer(*, tls: tuple[str, ...] = (), actor: Seat | None, at: datetime) -> str:
    """Make an invitation and return a secret address at which it can be fetched; the address is known to the caller alone.

    Raises:
        NoAddress, NodeNotFounded.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    base = links.this_node().address
    if not base.startswith("https://"):
        raise NoAddress
    document = links.make_invitation(tls=tls, actor=actor, at=at)
    token = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    made = InvitationAddress.objects.create(
        digest=_digest_of(token),
        document=document,
        made_at=at,
        expires_at=links.read_invitation(document).expires_at,
        fetches_left=FETCHES,
    )
    record("exchange.invitation_address.made", subject=made, actor=actor, at=at, name=made.journal_name)
    return f"{base}{http_line.INVITATIONS}{token}"


@transaction.atomic
def fetch(*, token: str, at: datetime) -> bytes:
    """Return the invitation of an address and count the fetch.

    Raises:
        NotFound: never there, expired, ended or fetched often enough: all the same.
    """
    asked = InvitationAddress.objects.filter(digest=_digest_of(token))
    # One statement looks and counts: two that ask at once do not both get the last one.
    if not asked.filter(_gives(at)).update(fetches_left=F("fetches_left") - 1, fetched_at=at):
        raise NotFound
    found = asked.get()
    record("exchange.invitation_address.fetched", subject=found, actor=None, at=at, name=found.journal_name)
    return bytes(found.document)


@transaction.atomic
def end(*, address_id: int, actor: Seat | None, at: datetime) -> None:
    """End a secret address at once; again is harmless.

    Raises:
        NotFound: there is none.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    found = InvitationAddress.objects.select_for_update(of=("self",)).filter(pk=address_id).first()
    if found is None:
        raise NotFound
    if found.ended_at is None:
        found.ended_at = at
        found.save(update_fields=["ended_at"])
        record("exchange.invitation_address.ended", subject=found, actor=actor, at=at, name=found.journal_name)


def open_addresses(*, at: datetime) -> QuerySet[InvitationAddress]:
    """Return the addresses at which an invitation can still be fetched, the newest first; the caller has looked who asks."""
    return InvitationAddress.objects.filter(_gives(at)).defer("document").order_by("-id")


def _gives(at: datetime) -> Q:
    """Return the condition that an address still gives its invitation."""
    return Q(expires_at__gte=at, ended_at__isnull=True, fetches_left__gt=0)


def accept(*, address: str, actor: Seat | None, at: datetime) -> Peer:
    """Fetch the invitation at a secret address of another node and keep it, as `links.accept_invitation` does.

    Raises:
        InvitationAddressUnusable, InvitationNotThere, Unreachable, InvitationUnusable.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    links.this_node()
    document = http_line.invitation_at(address.strip())
    return links.accept_invitation(document=document, actor=actor, at=at)


def _digest_of(token: str) -> str:
    return hashlib.sha256(token.lower().encode()).hexdigest()
