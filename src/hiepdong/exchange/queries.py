"""Reading papers. The gate: a paper is visible when one of its parties is among the seat's visible organisations."""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Case, Exists, F, OuterRef, Prefetch, Q, QuerySet, Value, When

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require, visible_organisation_ids
from hiepdong.documents.services import is_on_disk, read_file
from hiepdong.kernel.errors import NotFound
from hiepdong.kernel.moments import at_local
from hiepdong.kernel.text import nfc
from hiepdong.organisations.models import Organisation

from . import links, search_index, signing
from .domain.envelope import Content, InvalidContent, canonical, instant, read_content, receipt_json
from .models import Addressee, Attachment, Dispatch, Draft, Parcel, Receipt, ReceiptCode, SigningKey

OUT = "out"  # the register of papers that people write; "service" holds what nodes tell each other


def _visible(seat: Seat) -> QuerySet[Dispatch]:
    ids = visible_organisation_ids(seat)
    received = Addressee.objects.filter(dispatch=OuterRef("pk"), organisation__in=ids)
    return Dispatch.objects.filter(Q(sender__in=ids) | Exists(received)).defer("signed")


def papers_for(seat: Seat | None) -> QuerySet[Dispatch]:
    """Return every paper that the seat may see; None, a command typed on the server, sees all."""
    return Dispatch.objects.defer("signed") if seat is None else _visible(seat)


def dispatch_for(seat: Seat, dispatch_uuid: uuid.UUID) -> Dispatch:
    """Return one paper with its addressees and receipts.

    Raises:
        NotFound: there is none, or no party of it is visible to the seat.
    """
    found = (
        _visible(seat)
        .filter(uuid=dispatch_uuid)
        .select_related("sender", "key", "replaces", "withdraws")
        .prefetch_related(
            Prefetch("addressees", Addressee.objects.select_related("organisation").order_by("role", "id")),
            Prefetch("addressees__receipts", Receipt.objects.select_related("key").order_by("at", "id")),
            "attachments__file",
            "replaced_by",
            "withdrawn_by",
        )
        .first()
    )
    if found is None:
        raise NotFound
    return found


def content_of(dispatch: Dispatch) -> Content:
    """Return the signed content; the bytes were verified when they were stored. The caller has passed the gate."""
    return read_content(signing.payload_of(bytes(dispatch.signed)))


@dataclass(frozen=True, slots=True)
class Verification:
    """What checking the stored bytes now says."""

    genuine: bool
    digest_fits: bool
    chain_fits: bool
    shown_fits: bool  # the rows from which pages and lists are made say what the bytes say
    false_receipts: frozenset[int]  # receipts whose signature or content does not fit
    verdicts_fit: bool  # arrived, acknowledged, returned stand where a receipt says so, and nowhere else
    error: str
    checked: str  # the digest

    @property
    def receipts_fit(self) -> bool:
        """Every receipt is genuine, and none is missing."""
        return not self.false_receipts and self.verdicts_fit

    @property
    def good(self) -> bool:
        """Everything fits."""
        return self.genuine and self.digest_fits and self.chain_fits and self.shown_fits and self.receipts_fit


def verification_of(dispatch: Dispatch) -> Verification:
    """Verify a paper again, as `dispatch_for` read it.

    Checked are the signature and whose key it is, the digest, that each chain continues from the paper before, that the
    stored rows say what was signed, and every receipt.
    """
    signed = bytes(dispatch.signed)
    digest = signing.digest_of(signed)
    content, error = None, ""
    try:
        signing.verify(signed, public_jwk=dispatch.key.public_jwk, kid=dispatch.key.kid, typ=signing.DISPATCH_TYPE)
        content = read_content(signing.payload_of(signed))
    except (signing.BadSignature, InvalidContent) as bad:
        error = str(bad)
    false, verdicts_fit = _false_receipts(dispatch, digest)
    here = links.is_at_home(dispatch.sender_id)
    return Verification(
        genuine=content is not None and dispatch.key.organisation_id == dispatch.sender_id,
        digest_fits=digest == dispatch.digest,
        chain_fits=content is None or _chain_fits(dispatch, content, here),
        shown_fits=content is None or _shown_fits(dispatch, content, here),
        false_receipts=false,
        verdicts_fit=verdicts_fit,
        error=error,
        checked=digest,
    )


def _shown_fits(dispatch: Dispatch, content: Content, here: bool) -> bool:
    """Say whether the rows repeat the signed bytes; of a paper from another node only recipients known then have a row."""
    said, stored = _said(content), _stored(dispatch)
    if here:
        return said == stored
    named, rows = set(said.pop("recipients")), set(stored.pop("recipients"))
    own = {a.organisation.key for a in dispatch.addressees.all() if a.arrived_at is not None}
    return said == stored and rows <= named and bool(own)


def _chain_fits(dispatch: Dispatch, content: Content, here: bool) -> bool:
    """Say whether each chain continues from the paper before. Of another node's papers one may still be missing: a gap."""
    before = Q()
    expected: dict[tuple[str, int], str] = {}
    for r in content.recipients:
        if r.sequence > 1:
            before |= Q(organisation__key=r.organisation, sequence=r.sequence - 1)
            expected[r.organisation, r.sequence - 1] = r.previous
    if not before:
        return True
    rows = Addressee.objects.filter(before, sender_id_copy=dispatch.sender_id).values_list(
        "organisation__key", "sequence", "dispatch__digest"
    )
    found = {(key, sequence): d for key, sequence, d in rows}
    return all(found.get(k, "" if here else v) == v for k, v in expected.items())


def _said(content: Content) -> dict[str, Any]:
    """Return what the signed bytes say, as far as a row repeats it."""
    return {
        "id": content.id,
        "kind": content.kind,
        "urgency": content.urgency,
        "sender": content.sender,
        "signer": content.signer_title,
        "register": (content.year, content.number, content.notation),
        "subject": content.subject,
        "sent_at": content.sent_at,
        "event_at": content.event_at,
        "answers": list(content.answers),
        "other papers": (content.replaces, content.withdraws),
        "recipients": sorted((r.organisation, r.role, r.sequence, r.previous) for r in content.recipients),
        "attachments": sorted((str(a["name"])[:200], a["digest"], a["size"]) for a in content.attachments),
    }


def _stored(dispatch: Dispatch) -> dict[str, Any]:
    """Return the same facts from the rows."""
    return {
        "id": str(dispatch.uuid),
        "kind": dispatch.kind,
        "urgency": dispatch.urgency,
        "sender": dispatch.sender.key,
        "signer": nfc(dispatch.signer_title),
        "register": (dispatch.register_year, dispatch.register_number, dispatch.notation),
        "subject": dispatch.subject,
        "sent_at": dispatch.sent_at,
        "event_at": dispatch.event_at.replace(microsecond=0) if dispatch.event_at else None,
        "answers": dispatch.answers,
        "other papers": tuple(str(o.uuid) if o else "" for o in (dispatch.replaces, dispatch.withdraws)),
        "recipients": sorted((a.organisation.key, a.role, a.sequence, a.previous_digest) for a in dispatch.addressees.all()),
        "attachments": sorted((nfc(a.name), a.file.digest, a.file.size) for a in dispatch.attachments.all()),
    }


def _false_receipts(dispatch: Dispatch, digest: str) -> tuple[frozenset[int], bool]:
    """Return the receipts that do not fit the paper, and whether the verdicts shown are those of the receipts."""
    false, fit = set(), True
    for addressee in dispatch.addressees.all():
        answered = {}
        for receipt in addressee.receipts.all():
            answered[receipt.code] = (instant(receipt.at), receipt.reason)
            if not _is_genuine(receipt, addressee, dispatch, digest):
                false.add(receipt.pk)
        moments = [
            (ReceiptCode.ARRIVED, addressee.arrived_at, ""),
            (ReceiptCode.ACKNOWLEDGED, addressee.acknowledged_at, ""),
            (ReceiptCode.RETURNED, addressee.returned_at, addressee.return_reason),
            (ReceiptCode.IN_WORK, addressee.in_work_at, ""),
            (ReceiptCode.DONE, addressee.done_at, ""),
        ]
        fit = fit and answered == {str(code): (instant(at), reason) for code, at, reason in moments if at is not None}
    return frozenset(false), fit


def _is_genuine(receipt: Receipt, addressee: Addressee, dispatch: Dispatch, digest: str) -> bool:
    said = receipt_json(
        dispatch_digest=digest,
        dispatch_id=str(dispatch.uuid),
        organisation=addressee.organisation.key,
        code=receipt.code,
        at=receipt.at,
        reason=receipt.reason,
    )
    signed, key = bytes(receipt.signed), receipt.key
    try:
        payload = signing.verify(signed, public_jwk=key.public_jwk, kid=key.kid, typ=signing.RECEIPT_TYPE)
    except signing.BadSignature:
        return False
    whole = receipt.digest == signing.digest_of(signed) and key.organisation_id == addressee.organisation_id
    return whole and payload == canonical(said)


def attachment_of(seat: Seat, dispatch_uuid: uuid.UUID, attachment_id: int) -> tuple[str, bytes]:
    """Return the name and the bytes of a file that came with a paper, checked against the digest that was signed.

    Raises:
        NotFound: no such file with that paper, or no party of it is visible to the seat. FileDamaged.
    """
    found = next((a for a in dispatch_for(seat, dispatch_uuid).attachments.all() if a.pk == attachment_id), None)
    if found is None:
        raise NotFound
    return found.name, read_file(found.file, name=found.name)


def is_kept(attachment: Attachment) -> bool:
    """Say whether the bytes of a file that came with a paper are on this node; they are checked when it is opened."""
    return is_on_disk(attachment.file)


def receipt_of(seat: Seat, dispatch_uuid: uuid.UUID, receipt_id: int) -> tuple[str, bytes]:
    """Return the code of a receipt and its signed bytes as stored.

    Raises:
        NotFound: no such receipt of that paper, or no party of it is visible to the seat.
    """
    receipts = (r for a in dispatch_for(seat, dispatch_uuid).addressees.all() for r in a.receipts.all())
    found = next((r for r in receipts if r.pk == receipt_id), None)
    if found is None:
        raise NotFound
    return found.code, bytes(found.signed)


def raw_of(seat: Seat, dispatch_uuid: uuid.UUID) -> bytes:
    """Return the signed bytes as stored."""
    return bytes(dispatch_for(seat, dispatch_uuid).signed)


@dataclass(frozen=True, slots=True)
class RegisterFilter:
    """What a register page shows; dates are local days, both inclusive."""

    year: int
    first: date | None = None
    last: date | None = None
    other: int | None = None  # the other organisation
    kind: str = ""
    state: str = ""  # "waiting", "acknowledged", "in_work", "done", "returned", "under_way"
    sort: str = "-number"  # or "number"
    register: str = OUT


def _own(seat: Seat, organisation_id: int) -> None:
    if organisation_id not in visible_organisation_ids(seat):
        raise NotFound


def register_out(seat: Seat, organisation_id: int, chosen: RegisterFilter) -> QuerySet[Dispatch]:
    """Return the outgoing register of a visible organisation for a year, by number."""
    _own(seat, organisation_id)
    found = Dispatch.objects.filter(sender_id=organisation_id, register=chosen.register, register_year=chosen.year)
    found = found.defer("signed")
    found = _between(found, chosen)
    if chosen.kind:
        found = found.filter(kind=chosen.kind)
    if chosen.other:
        found = found.filter(addressees__organisation_id=chosen.other)
    if chosen.state:
        answered = Addressee.objects.filter(_state(chosen.state), dispatch=OuterRef("pk"), role="to")
        found = found.filter(Exists(answered))
    order = "register_number" if chosen.sort == "number" else "-register_number"
    return (
        found.select_related("sender")
        .prefetch_related(Prefetch("addressees", Addressee.objects.select_related("organisation").order_by("role", "id")))
        .order_by(order)
    )


def register_in(seat: Seat, organisation_id: int, chosen: RegisterFilter) -> QuerySet[Addressee]:
    """Return the incoming register of a visible organisation for a year, by moment of arrival."""
    _own(seat, organisation_id)
    found = Addressee.objects.filter(
        organisation_id=organisation_id,
        sent_at__gte=at_local(date(chosen.year, 1, 1)),
        sent_at__lt=at_local(date(chosen.year + 1, 1, 1)),
        dispatch__register=chosen.register,
    )
    found = _between(found, chosen)
    if chosen.kind:
        found = found.filter(dispatch__kind=chosen.kind)
    if chosen.other:
        found = found.filter(sender_id_copy=chosen.other)
    if chosen.state:
        found = found.filter(_state(chosen.state))
    order = ("sent_at", "id") if chosen.sort == "number" else ("-sent_at", "-id")
    return found.select_related("dispatch", "dispatch__sender", "organisation").defer("dispatch__signed").order_by(*order)


def _between[T: QuerySet[Any]](found: T, chosen: RegisterFilter) -> T:
    if chosen.first:
        found = found.filter(sent_at__gte=at_local(chosen.first))
    if chosen.last:
        found = found.filter(sent_at__lt=at_local(chosen.last + timedelta(days=1)))
    return found


def _state(state: str) -> Q:
    return {
        "waiting": Q(acknowledged_at__isnull=True, returned_at__isnull=True),
        "acknowledged": Q(acknowledged_at__isnull=False),
        "in_work": Q(in_work_at__isnull=False, done_at__isnull=True),
        "done": Q(done_at__isnull=False),
        "under_way": Q(arrived_at__isnull=True),
        "returned": Q(returned_at__isnull=False),
    }.get(state, Q())


_MOST_URGENT_FIRST = Case(
    *(When(dispatch__urgency=u, then=Value(n)) for n, u in enumerate(("immediate", "very_urgent", "urgent"))), default=Value(9)
)


def waiting_for_acknowledgement(seat: Seat, *, at: datetime, limit: int = 20) -> list[Addressee]:
    """Return papers to the seat's own organisation that nobody has answered, sent before `at`: urgent first, then oldest."""
    require(seat, Action.READ)
    return list(
        Addressee.objects.filter(
            organisation_id=seat.organisation_id,
            role="to",
            sent_at__lte=at,
            acknowledged_at__isnull=True,
            returned_at__isnull=True,
            dispatch__register=OUT,  # what nodes tell each other waits for no person
        )
        .select_related("dispatch", "dispatch__sender")
        .defer("dispatch__signed")
        .order_by(_MOST_URGENT_FIRST, "sent_at", "id")[:limit]
    )


def count_waiting(seat: Seat, *, at: datetime) -> int:
    """Return how many papers wait for the answer of the seat's own organisation."""
    require(seat, Action.READ)
    return Addressee.objects.filter(
        organisation_id=seat.organisation_id,
        role="to",
        sent_at__lte=at,
        acknowledged_at__isnull=True,
        returned_at__isnull=True,
        dispatch__register=OUT,
    ).count()


def just_happened(seat: Seat, *, at: datetime, limit: int = 10) -> list[Addressee]:
    """Return the latest papers to and from the seat's own organisation before `at`, newest first."""
    require(seat, Action.READ)
    own = seat.organisation_id
    rows = Addressee.objects.filter(sent_at__lte=at).select_related("dispatch", "dispatch__sender", "organisation")
    rows = rows.filter(dispatch__register=OUT).defer("dispatch__signed")
    received = list(rows.filter(organisation_id=own).order_by("-sent_at")[:limit])
    recent = list(
        Dispatch.objects.filter(sender_id=own, sent_at__lte=at).order_by("-sent_at").values_list("pk", flat=True)[:limit]
    )
    sent = list(rows.filter(dispatch__in=recent, role="to"))
    return sorted([*received, *sent], key=lambda a: a.sent_at, reverse=True)[:limit]


def papers_to_send_again(seat: Seat) -> list[Dispatch]:
    """Return papers of the seat's organisation that linked nodes hold without having taken them, for their key was revoked.

    What was replaced or withdrawn since is not among them.
    """
    require(seat, Action.READ)
    revoked = list(
        SigningKey.objects.filter(organisation_id=seat.organisation_id, revoked_at__isnull=False).values_list("pk", flat=True)
    )
    if not revoked:
        return []  # the usual case, asked on every page of the register
    carried = Parcel.objects.filter(dispatch=OuterRef("pk"), position__lte=F("peer__confirmed_through"))
    silent = Addressee.objects.filter(
        dispatch=OuterRef("pk"), arrived_at__isnull=True, organisation__residence__peer__isnull=False
    )
    found = Dispatch.objects.filter(Exists(carried), Exists(silent), key__in=revoked)
    found = found.filter(sender_id=seat.organisation_id, register=OUT, replaced_by__isnull=True, withdrawn_by__isnull=True)
    return list(
        found.select_related("sender").defer("signed").prefetch_related("addressees__organisation").order_by("id")[:200]
    )


def drafts_for(seat: Seat) -> list[Draft]:
    """Return the open drafts of the seat's organisation: those before the signer first, then the newest."""
    require(seat, Action.READ)
    found = Draft.objects.filter(
        organisation_id=seat.organisation_id, sent_as__isnull=True, discarded_at__isnull=True
    ).select_related("author__person")
    return sorted(found.order_by("-saved_at")[:100], key=lambda d: d.submitted_at is None)


def draft_for(seat: Seat, draft_id: uuid.UUID, *, for_update: bool = False) -> Draft:
    """Return a draft of the seat's own organisation.

    Raises:
        NotFound: there is none, or it is another organisation's. NotAllowed: the seat reads no papers.
    """
    require(seat, Action.READ)
    found = Draft.objects.filter(pk=draft_id, organisation_id=seat.organisation_id)
    if for_update:
        # Without `sent_as`: PostgreSQL reads a joined row as it was before the wait for the lock, so that a draft which
        # another window has just sent would look unsent.
        found = found.select_for_update(of=("self",)).select_related("organisation")
    else:
        found = found.select_related("organisation", "sent_as")
    draft = found.first()
    if draft is None:
        raise NotFound
    return draft


def search(seat: Seat, text: str, *, limit: int = 20, before: int | None = None) -> list[Dispatch]:
    """Return visible papers that hold every word (without marks; the last word as a beginning), newest first."""
    ids = search_index.matching(text, sorted(visible_organisation_ids(seat)), limit=limit, before=before)
    found = Dispatch.objects.filter(pk__in=ids).select_related("sender").defer("signed")
    found = found.prefetch_related(Prefetch("addressees", Addressee.objects.select_related("organisation")))
    return sorted(found, key=lambda d: d.pk, reverse=True)


def gaps(*, sender_id: int, organisation_id: int) -> list[int]:
    """Return the sequence numbers that are missing between a sender and an addressee."""
    rows = Addressee.objects.filter(sender_id_copy=sender_id, organisation_id=organisation_id)
    have = set(rows.values_list("sequence", flat=True))
    return sorted(set(range(1, max(have, default=0) + 1)) - have)


def dispatches_by_ids(seat: Seat, ids: Collection[int]) -> list[Dispatch]:
    """Return the visible ones among the papers, newest first."""
    found = _visible(seat).filter(pk__in=ids).select_related("sender").prefetch_related("addressees__organisation")
    return list(found.order_by("-sent_at"))


def payload_text(dispatch: Dispatch) -> str:
    """Return the signed content as indented JSON, for people who want to see exactly what was signed; "" if unreadable."""
    try:
        return json.dumps(json.loads(signing.payload_of(bytes(dispatch.signed))), ensure_ascii=False, indent=2)
    except (ValueError, IndexError):
        return ""


def draft_if_any(seat: Seat, draft_id: uuid.UUID) -> Draft | None:
    """Return a draft of the seat's own organisation, or None while nothing is stored under the id.

    Raises:
        NotFound: the id is another organisation's draft.
    """
    if not Draft.objects.filter(pk=draft_id).exists():
        return None
    return draft_for(seat, draft_id)


def correspondents(seat: Seat) -> list[Organisation]:
    """Return the organisations with which the seat's own ever exchanged papers."""
    require(seat, Action.READ)
    return correspondents_of([seat.organisation_id])


def correspondents_of(own: Collection[int]) -> list[Organisation]:
    """Return the organisations with which some ever exchanged papers. The caller has passed the gate for these."""
    ids = set(Addressee.objects.filter(sender_id_copy__in=own).values_list("organisation_id", flat=True).distinct())
    ids |= set(Addressee.objects.filter(organisation_id__in=own).values_list("sender_id_copy", flat=True).distinct())
    return list(Organisation.objects.filter(pk__in=ids).order_by("name_sort"))


def form_lines(content: Content) -> dict[str, Any] | None:
    """Return the report form of a signed content for reading: figures with their names, sections; None without a form.

    The names stand in the signed content where the sender put them; the keys are shown where it did not.
    """
    form = content.body.get("form")
    if not isinstance(form, dict):
        return None
    return {
        "period_from": date.fromisoformat(form["period_from"]),
        "period_to": date.fromisoformat(form["period_to"]),
        "figures": [f | {"name": f.get("name") or f["indicator"]} for f in form.get("figures", [])],
        "sections": [s | {"name": s.get("name") or s["key"]} for s in form.get("sections", [])],
    }


def dispatches_by_uuids(seat: Seat, uuids: Collection[str]) -> list[Dispatch]:
    """Return the dispatches among the given ones that the seat may see, oldest first."""
    found = _visible(seat).filter(uuid__in=uuids).select_related("sender").defer("signed")
    return list(found.prefetch_related("addressees__organisation").order_by("sent_at", "id"))
