"""People, seats, sign-in."""

import hashlib
import secrets
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.crypto import salted_hmac

from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, NotAllowed, NotFound, gettext_noop
from hiepdong.kernel.moments import local_day
from hiepdong.kernel.text import nfc
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation

from .domain.names import is_name, is_shown_name, one_name
from .domain.permissions import Action, Role
from .models import ApiToken, CalendarToken, Person, Seat, SignInFailure
from .queries import person_by_name

WINDOW = timedelta(minutes=15)
FREE_TRIES = 5
LONGEST_WAIT = timedelta(minutes=15)


class SignInRefused(DomainError):
    """Name and password do not belong together."""

    code = "accounts.sign_in_refused"
    message = gettext_noop("The sign-in name and the password do not belong together.")
    hint = gettext_noop("Check capitals and the keyboard's Vietnamese mode; your administrator can set a new password.")


class SignInThrottled(DomainError):
    """Too many failed tries."""

    code = "accounts.sign_in_throttled"
    message = gettext_noop("Too many failed tries; sign-in is possible again in %(seconds)s seconds.")
    hint = gettext_noop("Wait, then try once more; your administrator can set a new password.")


class WeakPassword(DomainError):
    """The password is too easy to guess."""

    code = "accounts.weak_password"
    message = gettext_noop("This password is too easy to guess: %(reasons)s")
    hint = gettext_noop("Use at least 10 characters; three words that do not belong together are good.")


class NameUnusable(DomainError):
    """The sign-in name or the name shown cannot be used."""

    code = "accounts.name_unusable"
    message = gettext_noop("The name %(name)s cannot be used.")
    hint = gettext_noop(
        "A sign-in name has 1 to 60 letters, digits, dots or hyphens and no space; a name shown has 1 to 120 characters."
    )


class SeatEnded(DomainError):
    """Just this seat was given before and has ended."""

    code = "accounts.seat_ended"
    message = gettext_noop("This seat was given from %(since)s already and was ended.")
    hint = gettext_noop("Choose another first day; an ended seat stays ended, for the journal speaks of it.")


class NameTaken(DomainError):
    """The sign-in name exists."""

    code = "accounts.name_taken"
    message = gettext_noop("The sign-in name %(name)s is already in use.")
    hint = gettext_noop("Choose another one, for example with the short name of the organisation.")


class TokenUnnamed(DomainError):
    """Nobody could tell later what the token is for."""

    code = "accounts.token_unnamed"
    message = gettext_noop("The token has no name.")
    hint = gettext_noop("Write which program uses it, so that the right one can be ended later.")


class TooManyTokens(DomainError):
    """More tokens than one seat may have."""

    code = "accounts.too_many_tokens"
    message = gettext_noop("This seat has %(most)s tokens already.")
    hint = gettext_noop("End those that are not used any more.")


class TokenEndUnusable(DomainError):
    """A token without an end would be forgotten, and found by others."""

    code = "accounts.token_end_unusable"
    message = gettext_noop("The last day of the token must lie between today and %(latest)s.")
    hint = gettext_noop("A token lasts three years at most; before it ends, make another and give it to the program.")


@transaction.atomic
def make_person(*, sign_in_name: str, display_name: str, password: str, actor: Any, at: datetime, check: bool = True) -> Person:
    """Make a person who may sign in. The display name is often the position, never more than the body wants to show.

    Raises:
        NameTaken, NameUnusable, WeakPassword.
    """
    name, shown = one_name(sign_in_name), nfc(display_name.strip())
    for text, usable in ((name, is_name(name)), (shown, is_shown_name(shown))):
        if not usable:
            raise NameUnusable(name="".join(c for c in text[:60] if c.isprintable()))
    if Person.objects.filter(sign_in_name=name).exists():
        raise NameTaken(name=name)
    person = Person(sign_in_name=name, display_name=shown)
    if check:
        _check_password(password, person)
    person.password = make_password(password)
    person.save()
    record("accounts.person.made", subject=person, actor=actor, at=at, name=person.sign_in_name)
    return person


def _check_password(password: str, person: Person) -> None:
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise WeakPassword(reasons=" ".join(error.messages)) from error


@transaction.atomic
def set_password(*, person: Person, password: str, actor: Any, at: datetime) -> None:
    """Set a new password.

    Raises:
        WeakPassword.
    """
    _check_password(password, person)
    person.password = make_password(password)
    person.save(update_fields=["password"])
    record("accounts.password.changed", subject=person, actor=actor, at=at, name=person.sign_in_name)


@transaction.atomic
def change_password(*, person: Person, old: str, new: str, actor: Any, at: datetime) -> None:
    """Change one's own password.

    Raises:
        SignInRefused: the old one is wrong.
        WeakPassword.
    """
    if not check_password(old, person.password):
        raise SignInRefused
    set_password(person=person, password=new, actor=actor, at=at)


@transaction.atomic
def grant_seat(
    *, person: Person, organisation: Organisation, role: str, title: str, since: date, actor: Any, at: datetime
) -> Seat:
    """Give a person a seat in an organisation from a local day on.

    Raises:
        NotAllowed: the actor administers neither that organisation nor the node.
        SeatEnded: the same seat from the same day was ended; to say that it was granted would be false.
    """
    _require_management(actor, organisation.pk, role)
    seat, made = Seat.objects.get_or_create(
        person=person,
        organisation=organisation,
        role=Role(role).value,
        valid_from=since,
        defaults={"title": nfc(title.strip())[:120]},
    )
    if not made and seat.valid_until is not None:
        raise SeatEnded(since=since.strftime("%d/%m/%Y"))
    if made:
        record("accounts.seat.granted", subject=seat, actor=actor, at=at, name=seat.journal_name, facts={"role": seat.role})
    return seat


@transaction.atomic
def end_seat(*, seat_id: int, actor: Seat | None, at: datetime) -> Seat:
    """End a seat at once; it is kept, for the journal speaks of it. One that has ended already keeps its last day.

    Raises:
        NotFound: there is none, or it is another organisation's. NotAllowed: the role does not allow it.
    """
    seat = Seat.objects.select_for_update(of=("self",)).select_related("person", "organisation").filter(pk=seat_id).first()
    if actor is not None and not actor.may(Action.MANAGE_SEATS):
        raise NotAllowed
    foreign = actor is not None and not actor.may(Action.MANAGE_NODE) and seat and seat.organisation_id != actor.organisation_id
    if seat is None or foreign:
        raise NotFound
    _require_management(actor, seat.organisation_id, seat.role)
    today = local_day(at)
    if seat.valid_until is not None and seat.valid_until <= today:
        return seat
    seat.valid_until = max(today, seat.valid_from + timedelta(days=1))
    seat.save(update_fields=["valid_until"])
    record("accounts.seat.ended", subject=seat, actor=actor, at=at, name=seat.journal_name)
    return seat


def _require_management(actor: Seat | None, organisation_id: int, role: str) -> None:
    if actor is None or actor.may(Action.MANAGE_NODE):
        return
    own = actor.may(Action.MANAGE_SEATS) and actor.organisation_id == organisation_id
    if not own or role == Role.NODE_ADMINISTRATOR:
        raise NotAllowed


def sign_in(*, sign_in_name: str, password: str, address: str, at: datetime) -> Person:
    """Return the person whose name and password these are; count failures and slow down guessing.

    After five failures within a quarter of an hour, by name or by address, each further one doubles the wait. Unknown
    names cost the same time as known ones.

    Raises:
        SignInThrottled, SignInRefused.
    """
    name = one_name(sign_in_name)[:60]
    typed = _trace_of(name)
    _throttle(typed, address, at)
    person = Person.objects.filter(sign_in_name=name, is_active=True).first()
    stored = person.password if person else _DECOY()
    if not check_password(password, stored) or person is None:
        SignInFailure.objects.filter(at__lte=at - WINDOW).delete()
        SignInFailure.objects.create(sign_in_name=typed, address=address[:64], at=at)
        raise SignInRefused
    SignInFailure.objects.filter(sign_in_name=typed).delete()
    Person.objects.filter(pk=person.pk).update(last_login=at)
    return person


def _trace_of(name: str) -> str:
    """Return what a failure keeps of the name typed: not the name, for people type their password into the wrong field."""
    return salted_hmac("accounts.sign_in_failure", name, algorithm="sha256").hexdigest()[:60]


_decoy: list[str] = []


def _DECOY() -> str:  # noqa: N802 - a constant that costs a hash, so it is made when first needed
    if not _decoy:
        _decoy.append(make_password(secrets.token_urlsafe(16)))
    return _decoy[0]


def _throttle(name: str, address: str, at: datetime) -> None:
    recent = SignInFailure.objects.filter(at__gt=at - WINDOW)
    for failures in (
        list(recent.filter(sign_in_name=name).order_by("-at").values_list("at", flat=True)[:20]),
        list(recent.filter(address=address[:64]).order_by("-at").values_list("at", flat=True)[:100])[::4],
    ):
        if len(failures) >= FREE_TRIES:
            wait = min(timedelta(seconds=2 ** (len(failures) - FREE_TRIES + 2)), LONGEST_WAIT)
            left = (failures[0] + wait - at).total_seconds()
            if left > 0:
                raise SignInThrottled(seconds=int(left) + 1)


# --- the secret address of a calendar ----------------------------------------------------------------------------------


@transaction.atomic
def make_calendar_token(*, actor: Seat, at: datetime) -> str:
    """Return a new secret for the calendar feed of the actor's seat; earlier ones end. Only its digest is kept."""
    CalendarToken.objects.filter(seat=actor, revoked_at__isnull=True).update(revoked_at=at)
    secret = secrets.token_urlsafe(24)
    token = CalendarToken.objects.create(seat=actor, digest=hashlib.sha256(secret.encode()).hexdigest(), made_at=at)
    record("accounts.calendar_token.made", subject=token, actor=actor, at=at)
    return secret


# --- tokens of the machine interface ---------------------------------------------------------------------------------------

MOST_TOKENS = 10
TOKEN_DAYS = 365
LONGEST_TOKEN_DAYS = 3 * 365 + 1


@transaction.atomic
def make_api_token(*, name: str, last_day: date | None = None, actor: Seat, at: datetime) -> str:
    """Return a new secret with which a program may do what the actor's seat may. Only its digest is kept.

    `last_day` is the last local day on which it opens anything; None: a year from today.

    Raises:
        TokenUnnamed, TooManyTokens. TokenEndUnusable: in the past, or more than three years ahead.
    """
    today = local_day(at)
    last_day = last_day or today + timedelta(days=TOKEN_DAYS)
    latest = today + timedelta(days=LONGEST_TOKEN_DAYS)
    if not today <= last_day <= latest:
        raise TokenEndUnusable(latest=latest.strftime("%d/%m/%Y"))
    name = nfc(name.strip())[:80]
    if not name:
        raise TokenUnnamed
    Seat.objects.select_for_update(of=("self",)).get(pk=actor.pk)
    if ApiToken.objects.filter(seat=actor, revoked_at__isnull=True, valid_until__gt=today).count() >= MOST_TOKENS:
        raise TooManyTokens(most=MOST_TOKENS)
    secret = f"hd_{secrets.token_urlsafe(32)}"
    token = ApiToken.objects.create(
        seat=actor,
        name=name,
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        made_at=at,
        valid_until=last_day + timedelta(days=1),
    )
    facts = {"last_day": last_day.isoformat()}
    record("accounts.api_token.made", subject=token, actor=actor, at=at, name=token.journal_name, facts=facts)
    return secret


@transaction.atomic
def end_api_token(*, token_id: int, actor: Seat, at: datetime) -> ApiToken:
    """End a token of the actor's own seat at once; again is harmless.

    Raises:
        NotFound: there is none, or it is another seat's.
    """
    token = ApiToken.objects.select_for_update(of=("self",)).filter(pk=token_id, seat=actor).first()
    if token is None:
        raise NotFound
    if token.revoked_at is None:
        token.revoked_at = at
        token.save(update_fields=["revoked_at"])
        record("accounts.api_token.ended", subject=token, actor=actor, at=at, name=token.journal_name)
    return token


def note_token_use(*, token: ApiToken, at: datetime) -> None:
    """Note the local day on which a token was used, once a day: people end what is not used any more."""
    today = local_day(at)
    if token.used_on != today:
        ApiToken.objects.filter(pk=token.pk).update(used_on=today)


@transaction.atomic
def seat_person(
    *,
    sign_in_name: str,
    display_name: str,
    password: str,
    organisation_key: str,
    role: str,
    title: str,
    since: date,
    actor: Seat | None,
    at: datetime,
) -> Seat:
    """Give a seat to a person known by sign-in name, or to a new one with a first password.

    Raises:
        NotFound: no such organisation. WeakPassword: a new person needs a good first password. NotAllowed.
    """
    organisation = organisations.organisation_by_key(organisation_key.strip())
    _require_management(actor, organisation.pk, role)
    person = person_by_name(sign_in_name)
    if person is None:
        person = make_person(sign_in_name=sign_in_name, display_name=display_name, password=password, actor=actor, at=at)
    return grant_seat(person=person, organisation=organisation, role=role, title=title, since=since, actor=actor, at=at)
