"""Reviews, people's texts, findings' causes, tasks and proposals."""

from django.db import models
from django.db.models import Q

from hiepdong.accounts.models import Seat
from hiepdong.documents.models import File
from hiepdong.organisations.models import Organisation


class Review(models.Model):
    """The review of one instrument for one year by one body."""

    instrument_key = models.CharField(max_length=80)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="reviews")
    year = models.PositiveSmallIntegerField()
    period_from = models.DateField()
    period_to = models.DateField()
    built_at = models.DateTimeField()
    as_of = models.DateTimeField()  # records after this moment are not counted
    facts = models.JSONField()  # everything computed: see review.domain.report
    host = models.CharField(max_length=200, blank=True)
    held_on = models.DateField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(Seat, models.PROTECT, null=True, blank=True, related_name="+")
    notation = models.CharField(max_length=60, blank=True)
    frozen = models.BinaryField(null=True)  # the canonical JSON that was approved
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument_key", "organisation", "year"], name="review_review_once"),
            models.CheckConstraint(
                condition=Q(approved_at__isnull=True, digest="") | (Q(approved_at__isnull=False) & ~Q(digest="")),
                name="review_review_frozen",
            ),
        ]


class Passage(models.Model):
    """A text of a person at a place of the review; it survives every rebuild."""

    review = models.ForeignKey(Review, models.PROTECT, related_name="passages")
    place = models.CharField(max_length=120)  # "section:situation", "finding:<key>", …
    text = models.TextField()
    basis = models.TextField(blank=True)  # the computed text it replaced, to show when that has changed since
    written_by = models.ForeignKey(Seat, models.PROTECT, related_name="+")
    written_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["review", "place"], name="review_passage_place")]


class Cause(models.Model):
    """A cause given for a finding: a code of the short list and a text."""

    review = models.ForeignKey(Review, models.PROTECT, related_name="causes")
    finding = models.CharField(max_length=120)  # key of the finding in `Review.facts`
    code = models.CharField(max_length=30)
    text = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["review", "finding", "code"], name="review_cause_once")]


class Item(models.Model):
    """A task, a proposal or a directive that the review carries."""

    class Kind(models.TextChoices):
        TASK = "task"
        PROPOSAL = "proposal"
        DIRECTIVE = "directive"
        LIMITATION = "limitation"  # as a conference stated it, with its source

    review = models.ForeignKey(Review, models.PROTECT, related_name="items")
    kind = models.CharField(max_length=10, choices=Kind)
    position = models.PositiveIntegerField()
    addressee = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    finding = models.CharField(max_length=120, blank=True)
    source = models.CharField(max_length=500, blank=True)
    verified = models.BooleanField(default=True)  # False: taken from a source whose original was not read

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["task", "proposal", "directive", "limitation"]), name="review_item_kind"
            ),
        ]


class Document(models.Model):
    """A rendered file of the review: DOCX or PDF."""

    review = models.ForeignKey(Review, models.PROTECT, related_name="documents")
    profile = models.CharField(max_length=10)  # "party", "state"
    file = models.ForeignKey(File, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
