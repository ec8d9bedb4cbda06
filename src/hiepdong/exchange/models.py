"""Keys, drafts, dispatches, addressees, receipts."""

from django.db import models
from django.db.models import Q

from hiepdong.accounts.models import Seat
from hiepdong.documents.models import File
from hiepdong.organisations.models import Organisation


class Kind(models.TextChoices):
    REPORT = "report"  # by a form of the regulation
    NIL_REPORT = "nil_report"  # signed "no change"
    NOTICE = "notice"
    WITHDRAWAL = "withdrawal"  # takes back an earlier dispatch, with a reason


class Urgency(models.TextChoices):
    """Decree 30/2020/NĐ-CP; chosen by the signer."""

    ORDINARY = "ordinary"
    URGENT = "urgent"  # Khẩn
    VERY_URGENT = "very_urgent"  # Thượng khẩn
    IMMEDIATE = "immediate"  # Hỏa tốc


class Role(models.TextChoices):
    TO = "to"
    COPY = "copy"


class ReceiptCode(models.TextChoices):
    ARRIVED = "arrived"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"


class SigningKey(models.Model):
    """An Ed25519 key of a sending organisation; the private half is encrypted with the node's secret."""

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="signing_keys")
    kid = models.CharField(max_length=64, unique=True)  # RFC 7638 thumbprint
    public_jwk = models.JSONField()
    private_encrypted = models.TextField(blank=True)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)


class Draft(models.Model):
    """Half-written work of an organisation; survives a reload, a lost line, a killed process."""

    id = models.UUIDField(primary_key=True)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="drafts")
    author = models.ForeignKey(Seat, models.PROTECT, related_name="drafts")
    revision = models.PositiveIntegerField(default=1)  # raised with every save; a stale save is refused, not lost
    content = models.JSONField()  # exchange.domain.envelope.Content as JSON, possibly incomplete
    unsaved = models.JSONField(default=dict)  # what was typed but not valid, as typed, so that nothing is lost
    duty_reference = models.CharField(max_length=300, blank=True)  # natural key of the duty it is meant for
    saved_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)  # a clerk laid it before the signer
    sent_as = models.OneToOneField("Dispatch", models.PROTECT, null=True, blank=True, related_name="draft")
    discarded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["organisation", "-saved_at"], name="exchange_draft_desk")]


class Dispatch(models.Model):
    """A signed document. The columns beside `signed` are read from it and can be rebuilt from it."""

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True)
    sender = models.ForeignKey(Organisation, models.PROTECT, related_name="sent")
    kind = models.CharField(max_length=12, choices=Kind)
    urgency = models.CharField(max_length=12, choices=Urgency, default=Urgency.ORDINARY)
    register_year = models.PositiveSmallIntegerField()  # local year of `sent_at`
    register_number = models.PositiveIntegerField()
    notation = models.CharField(max_length=60)  # as printed: "Số 05-BC/ĐU" or "Số: 05/BC-UBND"
    subject = models.CharField(max_length=300)
    subject_folded = models.CharField(max_length=300)
    sent_at = models.DateTimeField()  # when it was signed and sent: the claim inside the signature
    event_at = models.DateTimeField(null=True, blank=True)  # when what it speaks of happened
    entered_at = models.DateTimeField()  # when this node stored it
    answers = models.JSONField(default=list)  # natural keys of the duties it fulfils
    replaces = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="replaced_by")
    withdraws = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="withdrawn_by")
    signed = models.BinaryField()  # the JWS, compact serialisation, as signed
    digest = models.CharField(max_length=64)  # SHA-256 of `signed`, hex
    key = models.ForeignKey(SigningKey, models.PROTECT, related_name="+")
    signer_title = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sender", "register_year", "register_number"], name="exchange_dispatch_register"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="exchange_dispatch_kind"),
            models.CheckConstraint(condition=Q(urgency__in=Urgency.values), name="exchange_dispatch_urgency"),
        ]
        indexes = [
            models.Index(fields=["sender", "-sent_at"], name="exchange_dispatch_out"),
            models.Index(fields=["-sent_at"], name="exchange_dispatch_recent"),
        ]


class Addressee(models.Model):
    """One recipient of a dispatch: the row of the recipient's incoming register."""

    dispatch = models.ForeignKey(Dispatch, models.PROTECT, related_name="addressees")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="received")
    role = models.CharField(max_length=4, choices=Role, default=Role.TO)
    sender_id_copy = models.BigIntegerField()  # sender of the dispatch, copied for the sequence constraint
    sequence = models.PositiveIntegerField()  # from this sender to this organisation, 1, 2, 3 …
    previous_digest = models.CharField(max_length=64, blank=True)  # digest of the dispatch before it in the sequence
    sent_at = models.DateTimeField()  # copied: the incoming register is sorted by it
    arrived_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)
    return_reason = models.TextField(blank=True)
    withdrawal = models.BooleanField(default=False)  # copied: what takes back is no exchange

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dispatch", "organisation"], name="exchange_addressee_once"),
            models.UniqueConstraint(fields=["sender_id_copy", "organisation", "sequence"], name="exchange_addressee_sequence"),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True) | Q(returned_at__isnull=True),
                name="exchange_addressee_one_verdict",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-sent_at"], name="exchange_addressee_in"),
            # what was sent one way and when, for every pair: silence is found in this index alone
            models.Index(fields=["sender_id_copy", "organisation", "sent_at", "withdrawal"], name="exchange_addressee_way"),
            models.Index(
                fields=["organisation", "sent_at"],
                name="exchange_addressee_waiting",
                condition=Q(acknowledged_at__isnull=True, returned_at__isnull=True),
            ),
        ]


class Receipt(models.Model):
    """A signed answer of the addressee."""

    addressee = models.ForeignKey(Addressee, models.PROTECT, related_name="receipts")
    code = models.CharField(max_length=12, choices=ReceiptCode)
    reason = models.TextField(blank=True)
    at = models.DateTimeField()
    signed = models.BinaryField()
    digest = models.CharField(max_length=64)
    key = models.ForeignKey(SigningKey, models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["addressee", "code"], name="exchange_receipt_once"),
            models.CheckConstraint(condition=Q(code__in=ReceiptCode.values), name="exchange_receipt_code"),
        ]


class Attachment(models.Model):
    """A file named in the signed content by its digest."""

    dispatch = models.ForeignKey(Dispatch, models.PROTECT, related_name="attachments")
    file = models.ForeignKey(File, models.PROTECT, related_name="attachments")
    name = models.CharField(max_length=200)


class SeparateChannel(models.Model):
    """The bare fact that something went by the paper or cipher channel: no number, no subject, no text."""

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    recipient = models.ForeignKey(Organisation, models.PROTECT, related_name="+", null=True, blank=True)
    noted_at = models.DateTimeField()
    duty_reference = models.CharField(max_length=300, blank=True)
