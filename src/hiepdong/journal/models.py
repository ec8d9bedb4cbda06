"""The journal: one row per fact."""

from django.db import models


class Entry(models.Model):
    """One fact: `code` says what happened, `subject_*` to which object, `actor_*` who did it, `at` when (UTC)."""

    code = models.CharField(max_length=80)  # "exchange.dispatch.sent"
    at = models.DateTimeField()
    subject_kind = models.CharField(max_length=80)  # "exchange.Dispatch"
    subject_id = models.CharField(max_length=64)
    subject_name = models.CharField(max_length=300, blank=True)
    actor_kind = models.CharField(max_length=40, blank=True)  # "seat", "system"
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=300, blank=True)
    organisation_id = models.BigIntegerField(null=True)  # the acting organisation, a copy of its number
    facts = models.JSONField(default=dict)
    reacted_at = models.DateTimeField(null=True)  # when the reactions of web/wiring.py were done; null = to do

    class Meta:
        indexes = [
            models.Index(fields=["subject_kind", "subject_id", "id"], name="journal_entry_subject"),
            models.Index(fields=["organisation_id", "-id"], name="journal_entry_organisation"),
            models.Index(fields=["id"], name="journal_entry_open", condition=models.Q(reacted_at__isnull=True)),
        ]
