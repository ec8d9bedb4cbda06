"""Signing keys of the organisations whose home is here: made when first needed, valid for three years, one batch at a time."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from hiepdong.accounts.models import Seat
from hiepdong.journal.services import record
from hiepdong.organisations.models import Organisation

from . import signing
from .models import SigningKey

KEY_LIFE = timedelta(days=3 * 365)


def make_key(*, organisation: Organisation, actor: Seat | None, at: datetime) -> SigningKey:
    """Make a key for an organisation; the caller has looked whether it may."""
    fresh = signing.new_key(settings.SECRET_KEY)
    made = SigningKey.objects.create(
        organisation=organisation,
        kid=fresh.kid,
        public_jwk=fresh.public_jwk,
        private_encrypted=fresh.private_encrypted,
        valid_from=at,
        valid_until=at + KEY_LIFE,
    )
    record("exchange.key.made", subject=made, actor=actor, at=at, name=organisation.name)
    return made


def ensure_key(*, organisation: Organisation, actor: Seat | None, at: datetime) -> SigningKey:
    """Return the organisation's signing key that is valid at the moment, making one if there is none."""
    good = Q(valid_until__isnull=True) | Q(valid_until__gt=at)
    found = SigningKey.objects.filter(good, organisation=organisation, revoked_at__isnull=True).exclude(private_encrypted="")
    return found.order_by("-valid_from", "-id").first() or make_key(organisation=organisation, actor=actor, at=at)


class KeyRing:
    """The signing keys of a batch, each read once."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._keys: dict[int, SigningKey] = {}

    def of(self, organisation: Organisation) -> SigningKey:
        """Return the key of an organisation."""
        found = self._keys.get(organisation.pk)
        if found is None:
            found = self._keys[organisation.pk] = ensure_key(organisation=organisation, actor=None, at=self._at)
        return found

    def sign(self, payload: bytes, organisation: Organisation, typ: str) -> tuple[bytes, SigningKey]:
        """Return the signed document and the key that signed it."""
        key = self.of(organisation)
        signed = signing.sign(
            payload, kid=key.kid, private_encrypted=key.private_encrypted, secret=settings.SECRET_KEY, typ=typ
        )
        return signed, key
