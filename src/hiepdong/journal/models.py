"""The journal: one row per fact, seals over the rows, time-stamps over the seals.

Rows are never changed nor deleted, and the database itself refuses it (triggers of migration 0003); only what a row does
not say about the past may be set: that its reactions were done, and once the seal that covers it.
"""

from django.db import models
from django.db.models import Q


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
    # Number of the seal that covers the entry; null = not yet. No range of ids can say it: PostgreSQL gives ids out
    # before the commit, so that a smaller one may appear after a larger one was sealed.
    seal = models.IntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["subject_kind", "subject_id", "id"], name="journal_entry_subject"),
            models.Index(fields=["organisation_id", "-id"], name="journal_entry_organisation"),
            models.Index(fields=["id"], name="journal_entry_open", condition=Q(reacted_at__isnull=True)),
            models.Index(fields=["id"], name="journal_entry_unsealed", condition=Q(seal__isnull=True)),
        ]


class Seal(models.Model):
    """One link of the chain: a digest over the entries that it covers and over the seal before it (protocol.md, 10)."""

    number = models.IntegerField(primary_key=True)  # 1, 2, 3 … without a gap
    digest = models.CharField(max_length=64)
    previous_digest = models.CharField(max_length=64, blank=True)  # "" for the first
    entries = models.IntegerField()  # how many it covers
    total = models.BigIntegerField()  # how many all seals up to this one cover
    first_entry = models.BigIntegerField()  # its entries lie between these two ids, not all ids between are its entries
    last_entry = models.BigIntegerField()
    made_at = models.DateTimeField()
    # The digests of the entries, 32 bytes each: with them a check names the entry that was altered, not only the seal.
    lines = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["previous_digest"], name="journal_seal_one_successor"),
            models.CheckConstraint(condition=Q(number__gte=1, entries__gte=1), name="journal_seal_counts"),
        ]


class Stamp(models.Model):
    """The one token of a time-stamping authority (RFC 3161) over the digest of a seal; a seal never gets a second one."""

    seal = models.OneToOneField(Seal, models.PROTECT, primary_key=True)
    response = models.BinaryField()  # the authority's answer as received: TimeStampResp, DER
    authority = models.CharField(max_length=300)  # the address that was asked
    generated_at = models.DateTimeField()  # genTime of the token: the authority's clock
    made_at = models.DateTimeField()  # when this node asked: its own clock


class StampFailure(models.Model):
    """A try to get a token that failed, kept until one succeeds: it says how long to wait, and what to tell people."""

    at = models.DateTimeField()
    authority = models.CharField(max_length=300)
    reason = models.TextField()
