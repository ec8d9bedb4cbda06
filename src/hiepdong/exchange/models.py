"""Keys, drafts, dispatches, addressees, receipts; this node, the nodes it is linked with, what travels between them."""

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
    DIRECTORY = "directory"  # between nodes: which organisations live here, with their keys
    REGULATION = "regulation"  # between nodes: a regulation with the signatures of its parties
    ACCOUNT = "account"  # between nodes: a monthly statement of account


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
    IN_WORK = "in_work"
    DONE = "done"


class SigningKey(models.Model):
    """An Ed25519 key of an organisation; the private half, encrypted with the node's secret, is only at its home node."""

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="signing_keys")
    kid = models.CharField(max_length=64, unique=True)  # RFC 7638 thumbprint
    public_jwk = models.JSONField()
    private_encrypted = models.TextField(blank=True)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)  # it signs nothing after it; old signatures stay good
    revoked_at = models.DateTimeField(null=True, blank=True)  # what nobody had witnessed before it is refused
    revoked_because = models.CharField(max_length=300, blank=True)


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
    register = models.CharField(max_length=8, default="out")  # "out"; "service" for what nodes tell each other
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
            models.UniqueConstraint(
                fields=["sender", "register", "register_year", "register_number"], name="exchange_dispatch_register"
            ),
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
    in_work_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    apart = models.BooleanField(default=False)  # a withdrawal, or the nodes' own service: no exchange between people

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
            models.Index(fields=["sender_id_copy", "organisation", "sent_at", "apart"], name="exchange_addressee_way"),
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


# --- nodes -----------------------------------------------------------------------------------------------------------------


class Node(models.Model):
    """This node: one row. Its identity to others, and whether it may give out numbers."""

    class State(models.TextChoices):
        NORMAL = "normal"
        RECOVERING = "recovering"  # restored from a backup: sends nothing before its peers told what they hold of it

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    node_id = models.UUIDField(unique=True)
    name = models.CharField(max_length=120)
    speaker = models.ForeignKey(Organisation, models.PROTECT, null=True, blank=True, related_name="+")  # signs service papers
    address = models.CharField(max_length=200, blank=True)  # "https://…"; empty: nobody can reach it, it asks
    incarnation = models.CharField(max_length=32)  # random; a new one after a restore
    state = models.CharField(max_length=12, choices=State, default=State.NORMAL)
    restored_at = models.DateTimeField(null=True, blank=True)
    age_recipient = models.CharField(max_length=100, blank=True)
    age_identity_encrypted = models.TextField(blank=True)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="exchange_node_one"),
            models.CheckConstraint(condition=Q(state__in=["normal", "recovering"]), name="exchange_node_state"),
        ]


class Peer(models.Model):
    """Another node. Nothing of it is accepted before a person has compared the pair number."""

    class State(models.TextChoices):
        INVITED = "invited"  # its invitation was read; the number was not compared yet
        LINKED = "linked"
        PAUSED = "paused"  # by a person: nothing goes out, nothing is taken
        ENDED = "ended"

    node_id = models.UUIDField(unique=True)
    name = models.CharField(max_length=120)
    state = models.CharField(max_length=8, choices=State, default=State.INVITED)
    speaker = models.ForeignKey(Organisation, models.PROTECT, null=True, blank=True, related_name="+")
    invitation = models.BinaryField()  # as signed
    address = models.CharField(max_length=200, blank=True)
    tls = models.JSONField(default=list)  # SHA-256 of pinned certificates, hex
    age_recipient = models.CharField(max_length=100, blank=True)
    via = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="behind")  # relayed through
    may_relay = models.BooleanField(default=False)  # it may hand us what is for others, and take from us what others sent
    linked_at = models.DateTimeField(null=True, blank=True)
    recovered_at = models.DateTimeField(null=True, blank=True)  # after a restore: it told what it holds of us
    told_back = models.JSONField(default=dict)  # how far it has told so: domain.told_back.ToldBack
    echo_after = models.PositiveBigIntegerField(null=True, blank=True)  # restored, it asks for its own items after this
    echo_ended = models.CharField(max_length=32, blank=True)  # the incarnation that asks no more: an older stick may come later
    incarnation = models.CharField(max_length=32, blank=True)
    earlier_incarnations = models.JSONField(default=list)  # a stick of before a restore may come after it
    wanted = models.JSONField(default=list)  # files that its last bundle asked for
    missing = models.JSONField(default=list)  # numbers that its last bundle said are missing there, by sender and recipient
    sent_through = models.PositiveBigIntegerField(default=0)  # the last position given to it
    confirmed_through = models.PositiveBigIntegerField(default=0)  # it holds all of ours up to here
    held_through = models.PositiveBigIntegerField(default=0)  # we hold all of its up to here
    announced_through = models.PositiveBigIntegerField(default=0)  # the last position it said that it gave
    heard_at = models.DateTimeField(null=True, blank=True)  # the last verified word from it, by any way
    reached_at = models.DateTimeField(null=True, blank=True)  # the last time it answered us
    clock_ahead_s = models.BigIntegerField(null=True, blank=True)  # its clock minus ours, when last compared
    failures = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=["invited", "linked", "paused", "ended"]), name="exchange_peer_state"),
            models.CheckConstraint(
                condition=Q(confirmed_through__lte=models.F("sent_through")), name="exchange_peer_confirmed"
            ),
        ]


class NodeKey(models.Model):
    """A key of a node itself: ours (`peer` null, with the private half encrypted) or a peer's."""

    peer = models.ForeignKey(Peer, models.PROTECT, null=True, blank=True, related_name="keys")
    kid = models.CharField(max_length=64, unique=True)
    public_jwk = models.JSONField()
    private_encrypted = models.TextField(blank=True)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)


class Residence(models.Model):
    """Where an organisation lives: at a peer, or (`peer` null) here. A node that stands alone has no rows: all live here."""

    organisation = models.OneToOneField(Organisation, models.PROTECT, primary_key=True, related_name="residence")
    peer = models.ForeignKey(Peer, models.PROTECT, null=True, blank=True, related_name="residents")
    since = models.DateTimeField()


class Parcel(models.Model):
    """One item on its way to a peer, in its place. It is confirmed when the peer's `confirmed_through` has reached it."""

    id = models.BigAutoField(primary_key=True)
    peer = models.ForeignKey(Peer, models.PROTECT, related_name="parcels")
    position = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=20)
    digest = models.CharField(max_length=64)
    dispatch = models.ForeignKey(Dispatch, models.PROTECT, null=True, blank=True, related_name="parcels")
    receipt = models.ForeignKey(Receipt, models.PROTECT, null=True, blank=True, related_name="parcels")
    subject = models.CharField(max_length=64, blank=True)  # uuid of the dispatch, of a receipt told back after a restore
    document = models.BinaryField(null=True)  # of what is no row of ours: keys, checkpoints, what we relay
    hops = models.JSONField(default=list)
    made_at = models.DateTimeField()
    outcome = models.CharField(max_length=60, blank=True)  # what the peer said when it did not simply take it

    class Meta:
        constraints = [models.UniqueConstraint(fields=["peer", "position"], name="exchange_parcel_position")]
        indexes = [
            models.Index(fields=["digest"], name="exchange_parcel_digest"),
            models.Index(fields=["subject"], name="exchange_parcel_told", condition=~Q(subject="")),
        ]


class RelayedFile(models.Model):
    """A file that a paper names which only passes through here: asked for from its giver, given on with the parcel.

    Its bytes lie beside the node's own files (`files.place_of`) and belong to no row of them, so they can be let go when
    nobody waits for them any more.
    """

    parcel = models.ForeignKey(Parcel, models.PROTECT, related_name="relayed_files")  # the paper on its way onward
    giver = models.ForeignKey(Peer, models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64)  # SHA-256, hex
    size = models.BigIntegerField()  # bytes, as the paper says
    name = models.CharField(max_length=200)
    kept = models.BooleanField(default=False)  # the bytes are here
    given_at = models.DateTimeField(null=True, blank=True)  # all of it was last given onward
    answered_at = models.DateTimeField(null=True, blank=True)  # the recipient's receipt for the paper came through here

    class Meta:
        constraints = [models.UniqueConstraint(fields=["parcel", "digest"], name="exchange_relayed_once")]
        indexes = [
            models.Index(fields=["digest"], name="exchange_relayed_digest"),
            models.Index(fields=["giver", "id"], name="exchange_relayed_missing", condition=Q(kept=False)),
            models.Index(fields=["given_at"], name="exchange_relayed_given", condition=Q(given_at__isnull=False)),
        ]


class InvitationAddress(models.Model):
    """A secret address at which an invitation of this node can be fetched a few times; only the digest of its token is kept."""

    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the token, hex
    document = models.BinaryField()  # the invitation, as signed
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()  # with the invitation
    fetches_left = models.PositiveSmallIntegerField()
    fetched_at = models.DateTimeField(null=True, blank=True)  # the last time
    ended_at = models.DateTimeField(null=True, blank=True)  # by a person

    @property
    def journal_name(self) -> str:
        """The name that the journal copies: the beginning of the digest, which opens nothing."""
        return self.digest[:12]


class Bundle(models.Model):
    """A bundle that was written here or taken in here."""

    uuid = models.UUIDField()
    peer = models.ForeignKey(Peer, models.PROTECT, related_name="bundles")
    outgoing = models.BooleanField()
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # of the file
    size = models.BigIntegerField()
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()
    items = models.PositiveIntegerField()
    files = models.PositiveIntegerField()
    made_at = models.DateTimeField()  # said by who wrote it
    at = models.DateTimeField()  # when it was written or taken in here
    staged_at = models.DateTimeField(null=True, blank=True)  # incoming: all of it is stored
    finished_at = models.DateTimeField(null=True, blank=True)  # incoming: all of it is settled
    taken_at = models.DateTimeField(null=True, blank=True)  # incoming: nothing in the file is needed any more

    class Meta:
        constraints = [models.UniqueConstraint(fields=["peer", "outgoing", "uuid"], name="exchange_bundle_once")]


class Arrival(models.Model):
    """One item that came from a peer: its bytes first, then what became of it."""

    id = models.BigAutoField(primary_key=True)
    peer = models.ForeignKey(Peer, models.PROTECT, related_name="arrivals")
    position = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=20)
    digest = models.CharField(max_length=64)
    way = models.CharField(max_length=8)  # "https", "bundle", "memory", "echo"
    state = models.CharField(max_length=8)
    code = models.CharField(max_length=60, blank=True)  # why it waits or was refused
    waits_for = models.CharField(max_length=120, blank=True)  # "key:<kid>", "dispatch:<uuid>", "organisation:<key>", "version"
    subject = models.CharField(max_length=64, blank=True)  # uuid of the dispatch it is or speaks of
    document = models.BinaryField(null=True)  # empty once its own row (dispatch, receipt) holds the bytes
    hops = models.JSONField(default=list)
    facts = models.JSONField(default=dict)
    bundle = models.ForeignKey(Bundle, models.PROTECT, null=True, blank=True, related_name="arrivals")
    received_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    forced_by = models.CharField(max_length=300, blank=True)  # the seat that released it by hand

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["peer", "position"], name="exchange_arrival_position"),
            models.CheckConstraint(
                condition=Q(state__in=["staged", "held", "applied", "refused"]), name="exchange_arrival_state"
            ),
        ]
        indexes = [
            models.Index(fields=["digest"], name="exchange_arrival_digest"),
            models.Index(fields=["waits_for"], name="exchange_arrival_waits", condition=Q(state="held")),
            models.Index(fields=["peer", "state", "id"], name="exchange_arrival_open", condition=~Q(state="applied")),
            # what passed without the earlier paper that it names
            models.Index(
                fields=["waits_for"], name="exchange_arrival_without", condition=Q(state="applied") & ~Q(waits_for="")
            ),
        ]


class LinkIncident(models.Model):
    """Something on a link that must not happen: a contradiction, a reused number, an altered document."""

    peer = models.ForeignKey(Peer, models.PROTECT, related_name="incidents")
    code = models.CharField(max_length=60)
    facts = models.JSONField(default=dict)
    at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True, blank=True)
    seen_by = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["peer", "-at"], name="exchange_incident_peer")]


class PeerCheckpoint(models.Model):
    """A checkpoint of a peer's journal that this node witnesses, or one of ours with the peer's witness."""

    peer = models.ForeignKey(Peer, models.PROTECT, related_name="checkpoints")
    ours = models.BooleanField()  # a checkpoint of our journal, which the peer witnessed
    seal = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64)  # of the checkpoint document
    document = models.BinaryField()
    witness = models.BinaryField(null=True)
    made_at = models.DateTimeField()
    witnessed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["peer", "ours", "seal"], name="exchange_checkpoint_once")]


class JointDocument(models.Model):
    """A document that several organisations sign: a regulation, a statement of account."""

    kind = models.CharField(max_length=12)  # "regulation", "account"
    name = models.CharField(max_length=200)  # "nghe-an.qcph-2020/1"; "2020-03/<a>/<b>"
    digest = models.CharField(max_length=64, unique=True)  # of the payload
    payload = models.BinaryField()
    parties = models.JSONField(default=list)  # organisation keys that must sign
    signatures = models.JSONField(default=list)  # [{"protected", "signature", "organisation"}]
    first_at = models.DateTimeField()
    complete_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["kind", "name"], name="exchange_joint_name")]
