"""The gate: which organisations a seat speaks for and may look into."""

import hashlib
from datetime import date

from hiepdong.kernel.errors import DomainError, NotAllowed, NotFound, gettext_noop
from hiepdong.organisations import queries as organisations

from .domain.names import one_name
from .domain.permissions import Action
from .models import ApiToken, CalendarToken, Person, Seat


class TokenExpired(DomainError):
    """The token was good until its last day; only who has its secret is told."""

    code = "accounts.token_expired"
    message = gettext_noop("The last day of this token was %(day)s.")
    hint = gettext_noop("A person of the seat makes a new one: menu of the seat, Tokens for programs.")


def seats_of(person_id: int, *, on: date) -> list[Seat]:
    """Return the seats the person holds on the local day, in the order of the organisations' names."""
    held = Seat.objects.filter(person_id=person_id, valid_from__lte=on, organisation__valid_from__lte=on)
    held = held.exclude(valid_until__lte=on).select_related("person", "organisation")
    return [seat for seat in held.order_by("organisation__name_sort", "id") if not seat.is_void]


def visible_organisation_ids(seat: Seat) -> frozenset[int]:
    """Return the organisations whose papers the seat may read: its own and every body below it, at any time.

    What a seat may see follows from the parties: a dispatch is visible when one of its parties is in this set. A node
    administrator reads no papers, so the set is empty. Cached on the seat object for the length of a request.
    """
    cached = getattr(seat, "_visible_organisation_ids", None)
    if cached is None:
        cached = organisations.subtree_ids(seat.organisation_id) if seat.may(Action.READ) else frozenset()
        seat._visible_organisation_ids = cached  # type: ignore[attr-defined]
    return cached


def require(seat: Seat, action: Action, *, organisation_id: int | None = None) -> None:
    """Raise `NotAllowed` unless the seat's role allows the action, for its own organisation where one is named."""
    if not seat.may(action) or (organisation_id is not None and organisation_id != seat.organisation_id):
        raise NotAllowed


def require_unless_command(actor: Seat | None, action: Action) -> None:
    """Raise `NotAllowed` unless the seat's role allows the action; nobody (None) is who types a command on the server."""
    if actor is not None:
        require(actor, action)


def seat_by_calendar_secret(secret: str, *, on: date) -> Seat:
    """Return the seat whose calendar feed has this secret address, while it holds.

    Raises:
        NotFound: unknown, revoked, or the seat has ended.
    """
    digest = hashlib.sha256(secret.encode()).hexdigest()
    token = (
        CalendarToken.objects.filter(digest=digest, revoked_at__isnull=True, seat__valid_from__lte=on)
        .exclude(seat__valid_until__lte=on)
        .select_related("seat__person", "seat__organisation")
        .first()
    )
    if token is None or token.seat.is_void:
        raise NotFound
    return token.seat


def api_token_by_secret(secret: str, *, on: date) -> ApiToken:
    """Return the token of the machine interface with this secret, with its seat, while both hold.

    Raises:
        NotFound: unknown, ended, or the seat has ended or its person may not sign in any more.
        TokenExpired: its last day is over; only who has the secret hears it.
    """
    digest = hashlib.sha256(secret.encode()).hexdigest()
    token = (
        ApiToken.objects.filter(digest=digest, revoked_at__isnull=True, seat__valid_from__lte=on, seat__person__is_active=True)
        .exclude(seat__valid_until__lte=on)
        .select_related("seat__person", "seat__organisation")
        .first()
    )
    if token is None or token.seat.is_void:
        raise NotFound
    if token.valid_until <= on:
        raise TokenExpired(day=token.last_day.strftime("%d/%m/%Y"))
    return token


def api_tokens_of(seat: Seat) -> list[ApiToken]:
    """Return the tokens of the seat that have not been ended, oldest first."""
    return list(ApiToken.objects.filter(seat=seat, revoked_at__isnull=True).order_by("id"))


def seats_under(seat: Seat) -> list[Seat]:
    """Return the seats that this seat administers: its organisation's, or all for a node administrator."""
    if not seat.may(Action.MANAGE_SEATS):
        raise NotAllowed
    found = Seat.objects.select_related("person", "organisation")
    if not seat.may(Action.MANAGE_NODE):
        found = found.filter(organisation_id=seat.organisation_id)
    return list(found.order_by("organisation__name_sort", "person__display_name", "id"))


def seats_on_node(*, organisation_key: str = "") -> list[Seat]:
    """Return all seats of the node, ended ones too, or those of one organisation; for commands on the server, no gate."""
    found = Seat.objects.select_related("person", "organisation")
    if organisation_key:
        found = found.filter(organisation__key=organisation_key)
    return list(found.order_by("organisation__name_sort", "person__sign_in_name", "valid_from", "id"))


def person_by_name(sign_in_name: str) -> Person | None:
    """Return the person with that sign-in name, however it was typed."""
    return Person.objects.filter(sign_in_name=one_name(sign_in_name)).first()
