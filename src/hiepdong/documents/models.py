"""Files and number series."""

from django.db import models
from django.db.models import Q

from hiepdong.organisations.models import Organisation


class File(models.Model):
    """A file kept once, under its SHA-256; the bytes are in MEDIA_ROOT/<first two>/<digest>."""

    digest = models.CharField(max_length=64, unique=True)  # SHA-256, hex
    size = models.BigIntegerField()  # bytes
    media_type = models.CharField(max_length=100)
    name = models.CharField(max_length=200)  # as first uploaded
    added_at = models.DateTimeField()
    kept = models.BooleanField(default=True)  # False: a paper from another node names it, its bytes are still to come

    class Meta:
        indexes = [models.Index(fields=["id"], name="documents_file_missing", condition=Q(kept=False))]


class Series(models.Model):
    """A running number of an organisation for a year: the register of outgoing papers restarts at 1 each 1 January."""

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="series")
    register = models.CharField(max_length=20)  # "out" (dispatches), "review"
    year = models.PositiveSmallIntegerField()
    last_number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "register", "year"], name="documents_series_identity"),
            models.CheckConstraint(condition=Q(year__gte=1945), name="documents_series_year"),
        ]
