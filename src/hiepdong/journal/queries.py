"""Reading the journal."""

from django.db import models

from .models import Entry


def entries_about(subject: models.Model) -> models.QuerySet[Entry]:
    """Return the history of one object, oldest first. The caller has passed the gate for that object."""
    return Entry.objects.filter(subject_kind=subject._meta.label, subject_id=str(subject.pk)).order_by("id")


def open_entries(*, limit: int) -> models.QuerySet[Entry]:
    """Return entries whose reactions are not done yet, oldest first."""
    return Entry.objects.filter(reacted_at__isnull=True).order_by("id")[:limit]
