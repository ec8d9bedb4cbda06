"""Pairs, duties and what discharged, waived or suspended them."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from hiepdong.accounts.models import Seat
from hiepdong.exchange.models import Dispatch
from hiepdong.organisations.models import Organisation
from hiepdong.regulations.models import DutyRule

from .domain.status import Facts, Status, status_of


class Pair(models.Model):
    """Two organisations between which one instrument makes duties; `first` is the Border Guard's side."""

    instrument_key = models.CharField(max_length=80)
    first = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    second = models.ForeignKey(Organisation, models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument_key", "first", "second"], name="duties_pair_once"),
            models.CheckConstraint(condition=~Q(first=F("second")), name="duties_pair_two"),
        ]


class Duty(models.Model):
    """One duty of one debtor towards one creditor for one period or event, under one version of a rule."""

    rule = models.ForeignKey(DutyRule, models.PROTECT, related_name="duties")
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="duties")
    debtor = models.ForeignKey(Organisation, models.PROTECT, related_name="owed")
    creditor = models.ForeignKey(Organisation, models.PROTECT, related_name="awaited")
    copies = models.JSONField(default=list)  # ids of organisations that receive a copy
    reference = models.CharField(max_length=300, unique=True)  # instrument/rule/debtor/creditor/occasion: same on every node
    occasion = models.CharField(max_length=48)  # "2020-03", "2020-Q1", "2020-03-03", "event:<uuid>"
    period_from = models.DateField()  # inclusive
    period_to = models.DateField()  # inclusive
    opens_at = models.DateTimeField()  # from when it may be fulfilled: end of the period, or the event
    due_at = models.DateTimeField()  # the first instant that is too late (exclusive end of the last day or hour)
    provisional = models.BooleanField(default=False)  # the working-day calendar was not verified that far
    explanation = models.JSONField(
        default=list
    )  # [{"message", "facts", "clause", "result", "skipped": [{"on", "name"}]}], see domain.deadline.Step
    calendar_digest = models.CharField(max_length=64, blank=True)
    made_at = models.DateTimeField()
    fulfilled_at = models.DateTimeField(null=True, blank=True)  # moment of the first valid version: an anchored fact
    fulfilled_by = models.ForeignKey(Dispatch, models.PROTECT, null=True, blank=True, related_name="discharged")
    nil = models.BooleanField(default=False)  # fulfilled by a signed nil report
    waived_at = models.DateTimeField(null=True, blank=True)
    suspended_from = models.DateTimeField(null=True, blank=True)
    suspended_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(period_to__gte=F("period_from")), name="duties_duty_period"),
            models.CheckConstraint(condition=~Q(debtor=F("creditor")), name="duties_duty_two_bodies"),
        ]
        indexes = [
            models.Index(fields=["debtor", "due_at"], name="duties_duty_debtor"),
            models.Index(fields=["creditor", "due_at"], name="duties_duty_creditor"),
            models.Index(fields=["rule", "period_to"], name="duties_duty_rule"),
            # Long lists over many pairs, and their counts by status, are found in this index alone.
            models.Index(
                fields=["due_at", "opens_at", "fulfilled_at", "waived_at", "suspended_from", "suspended_until", "pair"],
                name="duties_duty_due",
            ),
            models.Index(fields=["debtor", "due_at"], name="duties_duty_owed_open", condition=Q(fulfilled_at__isnull=True)),
            models.Index(
                fields=["creditor", "due_at"], name="duties_duty_awaited_open", condition=Q(fulfilled_at__isnull=True)
            ),
            models.Index(fields=["debtor", "-fulfilled_at"], name="duties_duty_owed_done"),
            models.Index(fields=["creditor", "-fulfilled_at"], name="duties_duty_awaited_done"),
            # The regularity board reads nothing but this index: every column a status depends on stands in it.
            models.Index(
                fields=[
                    "pair",
                    "period_to",
                    "debtor",
                    "due_at",
                    "opens_at",
                    "fulfilled_at",
                    "waived_at",
                    "suspended_from",
                    "suspended_until",
                    "nil",
                ],
                name="duties_duty_board",
            ),
        ]

    @property
    def facts(self) -> Facts:
        """What the status depends on."""
        return Facts(self.opens_at, self.due_at, self.fulfilled_at, self.waived_at, self.suspended_from, self.suspended_until)

    def status_at(self, at: datetime) -> Status:
        """Return the status at the aware instant; it is computed, never stored."""
        return status_of(self.facts, at)


class Link(models.Model):
    """A dispatch that speaks to a duty: the first version, a correction, a withdrawal."""

    class Part(models.TextChoices):
        VERSION = "version"
        WITHDRAWAL = "withdrawal"

    duty = models.ForeignKey(Duty, models.PROTECT, related_name="links")
    dispatch = models.ForeignKey(Dispatch, models.PROTECT, related_name="duty_links")
    part = models.CharField(max_length=10, choices=Part, default=Part.VERSION)
    takes_back = models.ForeignKey(Dispatch, models.PROTECT, null=True, blank=True, related_name="+")  # of a withdrawal
    sent_at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["duty", "dispatch"], name="duties_link_once")]


class Exemption(models.Model):
    """A decision to waive or suspend a duty, by whom, why."""

    class Kind(models.TextChoices):
        WAIVER = "waiver"
        SUSPENSION = "suspension"

    duty = models.ForeignKey(Duty, models.PROTECT, related_name="exemptions")
    kind = models.CharField(max_length=10, choices=Kind)
    decided_by = models.ForeignKey(Seat, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=["waiver", "suspension"]), name="duties_exemption_kind"),
        ]
