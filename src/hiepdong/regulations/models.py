"""Versions of instruments, their parties, articles, duty rules and report forms."""

from django.db import models
from django.db.models import F, Q

from hiepdong.organisations.models import Organisation


class Instrument(models.Model):
    """One version of one coordination regulation."""

    key = models.CharField(max_length=80)  # "nghe-an.qcph-2020": the same in every version
    version = models.PositiveIntegerField()
    number = models.CharField(max_length=80, blank=True)  # as printed, may be unknown
    title = models.CharField(max_length=300)
    signed_on = models.DateField(null=True, blank=True)
    effective_from = models.DateField()
    effective_until = models.DateField(null=True, blank=True)  # exclusive
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    issuer = models.ForeignKey(Organisation, models.PROTECT, related_name="instruments")
    fields = models.JSONField(default=list)  # fields of coordination: [{"key", "name", "article"}]
    thresholds = models.JSONField(default=dict)  # of the review's findings and of the board
    periods = models.JSONField(default=dict)  # custom period families
    source = models.CharField(max_length=500)
    verified = models.BooleanField(default=False)
    file_bytes = models.BinaryField()
    digest = models.CharField(max_length=64)  # SHA-256 of the bytes
    loaded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "version"], name="regulations_instrument_version"),
            models.CheckConstraint(
                condition=Q(effective_until__isnull=True) | Q(effective_until__gt=F("effective_from")),
                name="regulations_instrument_period",
            ),
        ]


class Party(models.Model):
    """An organisation bound by the instrument, and the side it stands on ("border_guard", "locality")."""

    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="parties")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    side = models.CharField(max_length=30)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instrument", "organisation"], name="regulations_party_once")]


class Article(models.Model):
    """One clause with its text: "5.2"."""

    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="articles")
    clause = models.CharField(max_length=20)
    heading = models.CharField(max_length=300, blank=True)
    text = models.TextField()
    position = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instrument", "clause"], name="regulations_article_clause")]
        ordering = ["position"]


class Form(models.Model):
    """A report form: what is asked, with units."""

    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="forms")
    key = models.CharField(max_length=60)
    title = models.CharField(max_length=300)
    definition = models.JSONField()  # {"indicators": [...], "sections": [...]}; see regulations.domain.format

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instrument", "key"], name="regulations_form_key")]


class DutyRule(models.Model):
    """One duty of one version: who owes what to whom, when. `spec` is regulations.domain.format.DutySpec as JSON."""

    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="rules")
    key = models.CharField(max_length=60)  # "d-03-month": the same across versions
    title = models.CharField(max_length=300)
    clause = models.CharField(max_length=20)
    field = models.CharField(max_length=60, blank=True)
    content = models.CharField(max_length=10)  # "report", "notice", "act"
    form = models.ForeignKey(Form, models.PROTECT, null=True, blank=True, related_name="rules")
    spec = models.JSONField()
    source = models.CharField(max_length=500)
    verified = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument", "key"], name="regulations_dutyrule_key"),
            models.CheckConstraint(condition=Q(content__in=["report", "notice", "act"]), name="regulations_dutyrule_content"),
        ]
