"""Signing keys of the organisations whose home is here: made when first needed, valid for three years, one batch at a time."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import BigIntegerField, Case, DateTimeField, Max, Q, When

from hiepdong.accounts.models import Seat
from hiepdong.journal.services import record
from hiepdong.organisations.models import Organisation
from hiepdong.shell.prepared import Prepared

from . import signing
from .models import Dispatch, NodeKey, Receipt, SigningKey

KEY_LIFE = timedelta(days=3 * 365)
_SIGNING = Prepared(
    lambda organisation, at: (
        SigningKey.objects.filter(
            Q(valid_until__isnull=True) | Q(valid_until__gt=at), organisation=organisation, revoked_at__isnull=True
        )
        .exclude(private_encrypted="")
        .order_by(Case(When(valid_from__lte=at, then=1), default=0).desc(), "-valid_from", "-id")[:1]
    ),
    organisation=BigIntegerField(),
    at=DateTimeField(),
)


def make_key(*, organisation: Organisation, actor: Seat | None, at: datetime, since: datetime | None = None) -> SigningKey:
    """Make a key for an organisation; the caller has looked whether it may.

    `since` is when it begins, where papers of the past are entered: a paper is not older than the key that signed it.
    """
    fresh = signing.new_key(settings.SECRET_KEY)
    made = SigningKey.objects.create(
        organisation=organisation,
        kid=fresh.kid,
        public_jwk=fresh.public_jwk,
        private_encrypted=fresh.private_encrypted,
        valid_from=since or at,
        valid_until=at + KEY_LIFE,
    )
    record("exchange.key.made", subject=made, actor=actor, at=at, name=organisation.name)
    return made


def ensure_key(*, organisation: Organisation, actor: Seat | None, at: datetime, since: datetime | None = None) -> SigningKey:
    """Return the organisation's signing key that is valid at the moment, making one if there is none.

    A key that begins later (the clock was ahead when it was made) signs only where there is no other. When the key before it
    has expired or was lost, the node itself vouches for the new one to the linked nodes, and a person there compares it.
    """
    key = _SIGNING.one(organisation=organisation.pk, at=at)
    if key is not None:
        return key
    before = SigningKey.objects.filter(organisation=organisation).order_by("-valid_from", "-id").first()
    made = make_key(organisation=organisation, actor=actor, at=at, since=since)
    if before is not None:
        from . import links

        links.vouch_for(key=made, replaces=before.kid, at=at)
    return made


def last_signed(key: SigningKey) -> datetime | None:
    """Return the latest moment that stands in what a key signed: papers and receipts; None if there is nothing."""
    paper = (
        Dispatch.objects.filter(sender=key.organisation, key=key).order_by("-sent_at").values_list("sent_at", flat=True).first()
    )
    receipt = Receipt.objects.filter(key=key).aggregate(last=Max("at"))["last"]
    return max((moment for moment in (paper, receipt) if moment is not None), default=None)


def signed_with(key: SigningKey | NodeKey, payload: bytes, *, typ: str) -> bytes:
    """Return a signed document: the compact JWS of the payload by a key whose private half is here."""
    return signing.sign(payload, kid=key.kid, private_encrypted=key.private_encrypted, secret=settings.SECRET_KEY, typ=typ)


class KeyRing:
    """The signing keys of a batch, each read once."""

    def __init__(self, at: datetime, *, since: datetime | None = None) -> None:
        self._at, self._since = at, since
        self._keys: dict[int, SigningKey] = {}

    def of(self, organisation: Organisation) -> SigningKey:
        """Return the key of an organisation."""
        found = self._keys.get(organisation.pk)
        if found is None:
            found = self._keys[organisation.pk] = ensure_key(
                organisation=organisation, actor=None, at=self._at, since=self._since
            )
        return found

    def sign(self, payload: bytes, organisation: Organisation, typ: str) -> tuple[bytes, SigningKey]:
        """Return the signed document and the key that signed it."""
        key = self.of(organisation)
        return signed_with(key, payload, typ=typ), key
