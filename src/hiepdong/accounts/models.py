"""People and seats."""

from datetime import date, timedelta

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import F, Q

from hiepdong.organisations.models import Organisation

from .domain.permissions import Action, Role, may


class PersonManager(BaseUserManager["Person"]):
    """Looks people up by sign-in name."""

    def get_by_natural_key(self, username: str | None) -> "Person":
        return self.get(sign_in_name=username)


class Person(AbstractBaseUser):
    """One who signs in. The display name is what the organisation chose to show, often the position."""

    sign_in_name = models.CharField(max_length=60, unique=True)
    display_name = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "sign_in_name"
    objects = PersonManager()


class Seat(models.Model):
    """A person at an organisation in a role, from a day until a day."""

    person = models.ForeignKey(Person, models.PROTECT, related_name="seats")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="seats")
    role = models.CharField(max_length=30, choices=[(r.value, r.value) for r in Role])
    title = models.CharField(max_length=120, blank=True)  # position printed under a document: "Đồn trưởng"
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "organisation", "role", "valid_from"], name="accounts_seat_identity"),
            models.CheckConstraint(condition=Q(role__in=[r.value for r in Role]), name="accounts_seat_role"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")), name="accounts_seat_period"
            ),
        ]

    @property
    def is_void(self) -> bool:
        """Ended on its first day or before it began: it opens no door any more. No table holds less than a day."""
        return self.valid_until is not None and (self.valid_until - self.valid_from).days == 1

    @property
    def journal_name(self) -> str:
        """The name that the journal copies."""
        return f"{self.person.display_name} · {self.organisation.name}"

    def may(self, action: str) -> bool:
        """Say whether the role allows the action (a value of `Action`)."""
        return may(self.role, Action(action))


class SignInFailure(models.Model):
    """A failed sign-in, kept to slow down guessing: by name and by address."""

    sign_in_name = models.CharField(max_length=60)
    address = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["sign_in_name", "at"], name="accounts_failure_name"),
            models.Index(fields=["address", "at"], name="accounts_failure_address"),
        ]


class CalendarToken(models.Model):
    """The secret address of a seat's calendar feed; only the digest of the secret is kept."""

    seat = models.ForeignKey(Seat, models.PROTECT, related_name="calendar_tokens")
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the secret, hex
    made_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)


WARNED_DAYS = 30  # before the end of a token


class ApiToken(models.Model):
    """The secret with which a program acts for a seat at the machine interface; only the digest of the secret is kept."""

    seat = models.ForeignKey(Seat, models.PROTECT, related_name="api_tokens")
    name = models.CharField(max_length=80)  # what it is for: "Phần mềm quản lý văn bản"
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the secret, hex
    made_at = models.DateTimeField()
    valid_until = models.DateField()  # the first local day on which it opens nothing more
    used_on = models.DateField(null=True, blank=True)  # the last local day on which it was used
    revoked_at = models.DateTimeField(null=True, blank=True)

    @property
    def last_day(self) -> date:
        """The last local day on which it opens anything."""
        return self.valid_until - timedelta(days=1)

    def standing(self, today: date) -> str:
        """Say how it is on a local day: "good", "ending" (within WARNED_DAYS), "ended"."""
        left = (self.valid_until - today).days
        return "ended" if left <= 0 else "ending" if left <= WARNED_DAYS else "good"

    @property
    def journal_name(self) -> str:
        """The name that the journal copies."""
        return self.name
