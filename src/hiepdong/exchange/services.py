"""Writing papers: drafts, dispatches, receipts. Bytes first: what is signed is stored and never rebuilt."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Max

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require
from hiepdong.documents.domain.notation import TYPE_OF_KIND, notation_for
from hiepdong.documents.models import File
from hiepdong.documents.services import FileDamaged, is_on_disk, keep_file, refuse_too_large, take_numbers
from hiepdong.journal.domain.trust import TrustState
from hiepdong.journal.services import entry, record, record_many
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.kernel.moments import local_day
from hiepdong.kernel.text import fold, nfc
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation
from hiepdong.shell.bulk import fresh

from . import link_queries, links, outbox, queries, sharing_policy, signing
from .domain.classified import ClassifiedContent, file_bears_mark, file_name_bears_mark, refuse_classified
from .domain.dispatch import AlreadyAnswered, ReasonMissing
from .domain.envelope import SERVICE_KINDS, Content, Recipient, as_json, canonical, check_content, receipt_json
from .domain.sharing import HERE, NothingToShare, share
from .keys import KeyRing
from .models import (
    Addressee,
    Attachment,
    Dispatch,
    Draft,
    Kind,
    Receipt,
    ReceiptCode,
    SeparateChannel,
)
from .rows import addressees_of, index, register_of, strings_in


class DraftClosed(DomainError):
    """The draft was sent or discarded."""

    code = "exchange.draft_closed"
    message = gettext_noop("This draft was already sent or discarded.")
    hint = gettext_noop("Open the list of drafts and begin a new one.")


class UnknownRecipient(DomainError):
    """A recipient's key is not known here."""

    code = "exchange.unknown_recipient"
    message = gettext_noop("There is no organisation %(key)s on this node.")
    hint = gettext_noop("Choose the recipient from the list.")


class NotToWithdraw(DomainError):
    """A withdrawal is not withdrawn."""

    code = "exchange.not_to_withdraw"
    message = gettext_noop("A withdrawal cannot itself be withdrawn.")
    hint = gettext_noop("Send the paper again, or write a new one.")


class NotRefused(DomainError):
    """What arrived is not sent again under a new key."""

    code = "exchange.not_refused"
    message = gettext_noop("%(notation)s was not refused for its key; it need not be sent again.")
    hint = gettext_noop("Write a replacement if its content is to change.")


class TimeUnproven(DomainError):
    """This node is set to send nothing while nobody vouches for the time of what it writes down."""

    code = "exchange.time_unproven"
    message = gettext_noop("Nobody outside this node has witnessed its journal since %(since)s; the grace is %(days)s days.")
    hint = gettext_noop(
        "Carry a bundle to a linked node and back, or let the administrator see to the line or the time-stamps; drafts stay."
    )


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One paper to be signed and sent. The bulk path may say when each `to` recipient answered, for records of the past."""

    kind: str
    sender: Organisation
    to: Sequence[Organisation]
    subject: str
    sent_at: datetime
    copies: Sequence[Organisation] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    urgency: str = "ordinary"
    signer_title: str = ""
    event_at: datetime | None = None
    answers: Sequence[str] = ()
    replaces: Dispatch | None = None
    replaces_id: str = ""  # uuid of an earlier item of the same batch
    withdraws: str = ""
    reason: str = ""
    files: Sequence[tuple[str, File]] = ()
    id: str = ""
    acknowledged_at: datetime | None = None
    returned_at: datetime | None = None
    return_reason: str = ""
    actor: Seat | None = None


def _texts_of(item: Outgoing) -> Iterable[str]:
    yield from (item.subject, item.reason, item.signer_title)
    yield from strings_in(item.body)


def _refuse(item: Outgoing) -> None:
    refuse_classified(*_texts_of(item))
    if any(file_name_bears_mark(name) for name, _ in item.files):
        raise ClassifiedContent


@transaction.atomic
def send(*, item: Outgoing, actor: Seat, at: datetime) -> Dispatch:
    """Sign, number, store and deliver one paper of the actor's organisation.

    Raises:
        NotAllowed: the seat may not send for that organisation.
        ClassifiedContent: a secrecy mark; nothing is kept.
        InvalidContent: what is wrong, where, and what is accepted.
    """
    require(actor, Action.SEND, organisation_id=item.sender.pk)
    if item.replaces is not None and item.replaces.sender_id != item.sender.pk:
        raise NotFound
    item = replace(item, actor=actor, sent_at=at, signer_title=item.signer_title or actor.title)
    return send_many(items=[item], actor=actor, at=at)[0]


@transaction.atomic
def send_many(*, items: Sequence[Outgoing], actor: Seat | None, at: datetime) -> list[Dispatch]:
    """Sign, number, store and deliver papers in one transaction, each at its own `sent_at`.

    Everything that holds for one holds here: numbers without holes in the sender's register of the year, sequences
    and digest chains per sender and addressee, signed receipts. Papers of one sender must be given in the order of
    `sent_at`. `at` is when this node stores them (`entered_at`).
    """
    for item in items:
        _refuse(item)
    links.refuse_while_recovering()
    if settings.HIEPDONG_REFUSE_UNWITNESSED and any(i.kind not in SERVICE_KINDS for i in items):
        _refuse_unwitnessed(at)
    keys = KeyRing(at, since=min([at, *(i.sent_at for i in items)]))
    senders = {i.sender.pk for i in items}
    homes = links.homes_of(senders | {o.pk for i in items for o in (*i.to, *i.copies)})
    away = next((i.sender for i in items if homes[i.sender.pk] != 0), None)
    if away is not None:
        raise links.NotAtHome(name=away.name)
    items, left_out = _shared(items, homes, at)
    list(Organisation.objects.select_for_update(no_key=True).filter(pk__in=senders).order_by("pk").values_list("pk"))
    numbers = _numbers(items)
    chains = _Chains(senders)
    rows: list[Dispatch] = []
    plans: list[list[tuple[Organisation, str, int, str]]] = []
    contents: list[Content] = []
    by_uuid: dict[str, Dispatch] = {}
    earlier = {x for i in items for x in (i.withdraws, i.replaces_id) if x}
    stored = {str(d.uuid): d for d in Dispatch.objects.filter(uuid__in=earlier).defer("signed")}
    for item in items:
        year = local_day(item.sent_at).year
        number = numbers[item.sender.pk, register_of(item.kind), year].pop(0)
        plan = [(o, "to", *chains.next(item.sender.pk, o.pk)) for o in item.to]
        plan += [(o, "copy", *chains.next(item.sender.pk, o.pk)) for o in item.copies]
        replaces = item.replaces or stored.get(item.replaces_id) or by_uuid.get(item.replaces_id)
        content = _content(item, plan, year, number, replaces)
        check_content(content)
        signed, key = keys.sign(canonical(as_json(content)), item.sender, signing.DISPATCH_TYPE)
        digest = signing.digest_of(signed)
        for organisation, _role, _sequence, _previous in plan:
            chains.append(item.sender.pk, organisation.pk, digest)
        dispatch = Dispatch(
            uuid=uuid.UUID(content.id),
            sender=item.sender,
            kind=item.kind,
            urgency=item.urgency,
            register=register_of(item.kind),
            register_year=year,
            register_number=number,
            notation=content.notation,
            subject=nfc(item.subject),
            subject_folded=fold(item.subject)[:300],
            sent_at=item.sent_at.replace(microsecond=0),
            event_at=item.event_at,
            entered_at=at,
            answers=list(item.answers),
            replaces=replaces if replaces is None or replaces.pk else None,
            withdraws=stored.get(item.withdraws),
            signed=signed,
            digest=digest,
            key=key,
            signer_title=item.signer_title,
        )
        by_uuid[content.id] = dispatch
        rows.append(dispatch)
        plans.append(plan)
        contents.append(content)
    Dispatch.objects.bulk_create(rows, batch_size=500)
    _link_replacements(items, rows, by_uuid)
    bodies = {o.key: o for plan in plans for o, *_ in plan}
    addressees = [addressees_of(row, content, bodies, {}) for row, content in zip(rows, contents, strict=True)]
    _deliver(items, rows, addressees, keys, homes, left_out)
    index(zip(rows, contents, addressees, strict=True))
    away_from_here = ((row, [o.pk for o, *_ in plan if homes[o.pk] != 0]) for row, plan in zip(rows, plans, strict=True))
    outbox.enqueue_dispatches([(row, ids) for row, ids in away_from_here if ids], at=at)
    return rows


def _refuse_unwitnessed(at: datetime) -> None:
    """Raise `TimeUnproven` when nobody has vouched for the time of this node's journal for longer than the grace."""
    trust = link_queries.journal_trust(at=at)
    if trust.state == TrustState.BEYOND_GRACE:
        since = local_day(trust.oldest_at or at).strftime("%d/%m/%Y")
        raise TimeUnproven(since=since, days=trust.grace_days)


def _shared(
    items: Sequence[Outgoing], homes: Mapping[int, int | None], at: datetime
) -> tuple[list[Outgoing], list[dict[str, str]]]:
    """Return the papers with those recipients who get them, and for each paper who was left out: key -> reason.

    Narrowed before anything is numbered or signed: who does not get a paper sees no hole in the sequence either.

    Raises:
        NothingToShare: nobody is left to whom a paper is addressed.
    """
    judged = [i for i in items if not sharing_policy.is_exempt(i.kind)]
    pairs = {(i.sender.pk, o.pk) for i in judged for o in (*i.to, *i.copies) if homes[o.pk] != HERE}
    bound = sharing_policy.bound_among(pairs, local_day(at))
    if bound is None:
        return list(items), [{} for _ in items]
    kept: list[Outgoing] = []
    left_out: list[dict[str, str]] = []
    for item in items:
        named = {o.pk: o for o in (*item.to, *item.copies)}
        shared = share(
            sender=item.sender.pk,
            recipients=named,
            homes=homes,
            bound=None if sharing_policy.is_exempt(item.kind) else bound,
        )
        to = [o for o in item.to if o.pk in shared.allowed]
        if item.to and not to:
            raise NothingToShare(names=", ".join(o.name for o in item.to))
        kept.append(replace(item, to=to, copies=[o for o in item.copies if o.pk in shared.allowed]))
        left_out.append({named[pk].key: reason.value for pk, reason in shared.narrowed})
    return kept, left_out


def _numbers(items: Sequence[Outgoing]) -> dict[tuple[int, str, int], list[int]]:
    wanted: dict[tuple[int, str, int], int] = {}
    for item in items:
        key = (item.sender.pk, register_of(item.kind), local_day(item.sent_at).year)
        wanted[key] = wanted.get(key, 0) + 1
    found = {}
    for (organisation, register, year), count in sorted(wanted.items()):
        first = take_numbers(organisation_id=organisation, register=register, year=year, count=count)
        found[organisation, register, year] = list(range(first, first + count))
    return found


class _Chains:
    """Sequence numbers and last digests per sender and addressee; the senders' rows are locked by the caller."""

    def __init__(self, senders: set[int]) -> None:
        self._last: dict[tuple[int, int], tuple[int, str]] = {}
        tops = (
            Addressee.objects.filter(sender_id_copy__in=senders)
            .values("sender_id_copy", "organisation_id")
            .annotate(top=Max("sequence"))
        )
        self._tops = {(t["sender_id_copy"], t["organisation_id"]): t["top"] for t in tops}

    def next(self, sender: int, recipient: int) -> tuple[int, str]:
        """Return the next sequence number and the digest of the dispatch before it ("" for the first)."""
        key = (sender, recipient)
        if key not in self._last:
            top = self._tops.get(key)
            digest = ""
            if top is not None:
                last = (
                    Addressee.objects.select_related("dispatch")
                    .only("dispatch__digest")
                    .get(sender_id_copy=sender, organisation_id=recipient, sequence=top)
                )
                digest = last.dispatch.digest
            self._last[key] = (top or 0, digest)
        sequence, digest = self._last[key]
        return sequence + 1, digest

    def append(self, sender: int, recipient: int, digest: str) -> None:
        """Remember a dispatch as the last one of its chain."""
        self._last[sender, recipient] = (self._last[sender, recipient][0] + 1, digest)


def _content(
    item: Outgoing, plan: list[tuple[Organisation, str, int, str]], year: int, number: int, replaces: Dispatch | None
) -> Content:
    notation = notation_for(item.sender.kind, item.sender.notation or "VP", TYPE_OF_KIND.get(item.kind, "TB"), number)
    return Content(
        id=item.id or str(uuid.uuid4()),
        kind=item.kind,
        sender=item.sender.key,
        subject=item.subject,
        recipients=tuple(Recipient(o.key, role, sequence, previous) for o, role, sequence, previous in plan),
        sent_at=item.sent_at,
        body=item.body,
        urgency=item.urgency,
        signer_title=item.signer_title,
        year=year,
        number=number,
        notation=notation,
        event_at=item.event_at,
        answers=tuple(item.answers),
        replaces=str(replaces.uuid) if replaces else "",
        withdraws=item.withdraws,
        reason=item.reason,
        attachments=tuple(
            {"name": name, "digest": f.digest, "size": f.size, "media_type": f.media_type} for name, f in item.files
        ),
    )


def _link_replacements(items: Sequence[Outgoing], rows: list[Dispatch], by_uuid: dict[str, Dispatch]) -> None:
    """Point to papers of the same batch, which had no number before."""
    late = []
    for item, row in zip(items, rows, strict=True):
        if row.replaces_id is None and item.replaces_id in by_uuid:
            row.replaces = by_uuid[item.replaces_id]
            late.append(row)
        if row.withdraws_id is None and item.withdraws in by_uuid:
            row.withdraws = by_uuid[item.withdraws]
            late.append(row)
    if late:
        Dispatch.objects.bulk_update(late, ["replaces", "withdraws"], batch_size=500)


def _deliver(
    items: Sequence[Outgoing],
    rows: list[Dispatch],
    addressees: Sequence[Sequence[Addressee]],
    keys: KeyRing,
    homes: Mapping[int, int | None],
    left_out: Sequence[Mapping[str, str]],
) -> None:
    """Store addressees, for those who live here with their receipts, and the journal of sending, arriving and answering."""
    attachments: list[Attachment] = []
    for item, row, own in zip(items, rows, addressees, strict=True):
        for addressee in own:
            if homes[addressee.organisation_id] != 0:
                continue  # it arrives at another node, which answers from there
            addressee.arrived_at = row.sent_at
            if addressee.role == "to":
                addressee.acknowledged_at = item.acknowledged_at if item.returned_at is None else None
                addressee.returned_at = item.returned_at
                addressee.return_reason = nfc(item.return_reason) if item.returned_at else ""
        attachments += [Attachment(dispatch=row, file=f, name=name[:200]) for name, f in item.files]
    Addressee.objects.bulk_create([a for own in addressees for a in own], batch_size=1000)
    Attachment.objects.bulk_create(attachments, batch_size=1000)
    receipts, entries = [], []
    for item, row, narrowed in zip(items, rows, left_out, strict=True):
        facts: dict[str, Any] = {"uuid": str(row.uuid), "digest": row.digest, "answers": row.answers}
        if narrowed:
            facts["narrowed"] = dict(narrowed)
        if item.withdraws:
            facts["withdraws"] = item.withdraws
        name = f"{row.notation} {row.subject}"
        entries.append(entry("exchange.dispatch.sent", subject=row, actor=item.actor, at=row.sent_at, name=name, facts=facts))
    for a in (a for own in addressees for a in own):
        moments = [(ReceiptCode.ARRIVED, a.arrived_at, "")]
        moments += [
            (ReceiptCode.ACKNOWLEDGED, a.acknowledged_at, ""),
            (ReceiptCode.RETURNED, a.returned_at, a.return_reason),
        ]
        for code, moment, reason in moments:
            if moment is None:
                continue
            receipt = make_receipt(a, a.organisation, code, moment, reason, keys)
            receipts.append(receipt)
            if code != ReceiptCode.ARRIVED:
                facts = {"uuid": str(a.dispatch.uuid), "organisation": a.organisation.key, "reason": reason}
                facts["receipt"] = receipt.digest
                entries.append(
                    entry(
                        f"exchange.dispatch.{code.value}",
                        subject=a.dispatch,
                        actor=None,
                        at=moment,
                        name=a.dispatch.notation,
                        facts=facts,
                    )
                )
    Receipt.objects.bulk_create(receipts, batch_size=1000)
    record_many(sorted(entries, key=lambda e: e.at))


def make_receipt(
    addressee: Addressee, organisation: Organisation, code: ReceiptCode, at: datetime, reason: str, keys: KeyRing
) -> Receipt:
    """Return a signed receipt, not stored yet, of an organisation whose home is here."""
    payload = receipt_json(
        dispatch_digest=addressee.dispatch.digest,
        dispatch_id=str(addressee.dispatch.uuid),
        organisation=organisation.key,
        code=code.value,
        at=at,
        reason=reason,
    )
    signed, key = keys.sign(canonical(payload), organisation, signing.RECEIPT_TYPE)
    return fresh(
        Receipt, addressee=addressee, code=code, reason=reason, at=at, signed=signed, digest=signing.digest_of(signed), key=key
    )


@transaction.atomic
def acknowledge(*, dispatch_uuid: uuid.UUID, actor: Seat, at: datetime) -> Addressee:
    """Confirm, for the actor's organisation, that the paper was received and read; a signed receipt goes back."""
    require(actor, Action.ACKNOWLEDGE)
    return _answer(dispatch_uuid, actor, at, ReceiptCode.ACKNOWLEDGED, "")


@transaction.atomic
def return_dispatch(*, dispatch_uuid: uuid.UUID, reason: str, actor: Seat, at: datetime) -> Addressee:
    """Send the paper back with a reason; what it was to fulfil is open again.

    Raises:
        ReasonMissing: the reason is empty.
        AlreadyAnswered: acknowledged or returned before.
    """
    require(actor, Action.RETURN)
    if not reason.strip():
        raise ReasonMissing
    refuse_classified(reason)
    return _answer(dispatch_uuid, actor, at, ReceiptCode.RETURNED, nfc(reason.strip()))


@transaction.atomic
def report_progress(*, dispatch_uuid: uuid.UUID, code: str, actor: Seat, at: datetime) -> Addressee:
    """Tell the sender that an acknowledged paper is in work, or that what it asked for is done; a signed receipt goes back.

    Raises:
        AlreadyAnswered: it was returned, or not acknowledged yet.
    """
    require(actor, Action.ACKNOWLEDGE)
    if code not in {ReceiptCode.IN_WORK, ReceiptCode.DONE}:
        raise NotFound
    addressee = _addressee_of(dispatch_uuid, actor)
    if getattr(addressee, f"{code}_at") or (code == ReceiptCode.IN_WORK and addressee.done_at):
        return addressee
    if addressee.acknowledged_at is None:
        answered = addressee.returned_at or at
        raise AlreadyAnswered(at=local_day(answered).strftime("%d/%m/%Y"))
    setattr(addressee, f"{code}_at", at)
    addressee.save(update_fields=[f"{code}_at"])
    _answered(addressee, ReceiptCode(code), "", actor, at)
    return addressee


def _addressee_of(dispatch_uuid: uuid.UUID, actor: Seat) -> Addressee:
    dispatch = queries.dispatch_for(actor, dispatch_uuid)
    found = Addressee.objects.select_for_update(of=("self",)).select_related("dispatch", "organisation")
    addressee = found.filter(dispatch=dispatch, organisation_id=actor.organisation_id).first()
    if addressee is None:
        raise NotFound
    if not links.is_at_home(addressee.organisation_id):
        raise links.NotAtHome(name=addressee.organisation.name)
    links.refuse_while_recovering()  # it may have answered already, and does not know
    return addressee


def _answer(dispatch_uuid: uuid.UUID, actor: Seat, at: datetime, code: ReceiptCode, reason: str) -> Addressee:
    addressee = _addressee_of(dispatch_uuid, actor)
    answered = addressee.acknowledged_at or addressee.returned_at
    if answered is not None:
        if code == ReceiptCode.ACKNOWLEDGED and addressee.acknowledged_at:
            return addressee
        raise AlreadyAnswered(at=local_day(answered).strftime("%d/%m/%Y"))
    if code == ReceiptCode.ACKNOWLEDGED:
        addressee.acknowledged_at = at
    else:
        addressee.returned_at, addressee.return_reason = at, reason
    addressee.save(update_fields=["acknowledged_at", "returned_at", "return_reason"])
    _answered(addressee, code, reason, actor, at)
    return addressee


def _answered(addressee: Addressee, code: ReceiptCode, reason: str, actor: Seat, at: datetime) -> None:
    """Sign the answer, put it on its way to the sender's node, and write it down."""
    receipt = make_receipt(addressee, addressee.organisation, code, at, reason, KeyRing(at))
    receipt.save()
    outbox.enqueue_receipts([(receipt, addressee.sender_id_copy)], at=at)
    dispatch = addressee.dispatch
    facts = {"uuid": str(dispatch.uuid), "organisation": addressee.organisation.key, "reason": reason}
    facts["receipt"] = receipt.digest
    record(f"exchange.dispatch.{code.value}", subject=dispatch, actor=actor, at=at, name=dispatch.notation, facts=facts)


@transaction.atomic
def answer_many(*, answers: Sequence[tuple[Addressee, str, datetime, str]]) -> int:
    """Answer papers for bodies that live here, each at its own moment: for records of the past, as `send_many` for papers.

    `answers` holds (addressee with dispatch and organisation, "acknowledged" or "returned", moment, reason). Returns how many.
    """
    receipts, entries = [], []
    for addressee, code, at, reason in answers:
        setattr(addressee, f"{code}_at", at)
        addressee.return_reason = nfc(reason) if code == ReceiptCode.RETURNED else ""
        why = addressee.return_reason
        receipt = make_receipt(addressee, addressee.organisation, ReceiptCode(code), at, why, KeyRing(at))
        receipts.append(receipt)
        facts = {"uuid": str(addressee.dispatch.uuid), "organisation": addressee.organisation.key, "reason": reason}
        facts["receipt"] = receipt.digest
        name = addressee.dispatch.notation
        code_of_fact = f"exchange.dispatch.{code}"
        entries.append(entry(code_of_fact, subject=addressee.dispatch, actor=None, at=at, name=name, facts=facts))
    rows = [addressee for addressee, *_ in answers]
    Addressee.objects.bulk_update(rows, ["acknowledged_at", "returned_at", "return_reason"], batch_size=200)
    Receipt.objects.bulk_create(receipts, batch_size=1000)
    if receipts:
        outbox.enqueue_receipts([(r, r.addressee.sender_id_copy) for r in receipts], at=max(at for _, _, at, _ in answers))
    record_many(sorted(entries, key=lambda e: e.at))
    return len(receipts)


@transaction.atomic
def withdraw(*, dispatch_uuid: uuid.UUID, reason: str, actor: Seat, at: datetime) -> Dispatch:
    """Take a paper back by a dispatch of its own, to the same recipients; the paper itself stays readable.

    A paper that was withdrawn already is not withdrawn again: the first withdrawal is returned.

    Raises:
        ReasonMissing: the reason is empty. NotToWithdraw: it is itself a withdrawal.
    """
    require(actor, Action.SEND)
    dispatch = queries.dispatch_for(actor, dispatch_uuid)
    if dispatch.sender_id != actor.organisation_id:
        raise NotFound
    if not reason.strip():
        raise ReasonMissing
    if dispatch.kind == Kind.WITHDRAWAL:
        raise NotToWithdraw
    list(Dispatch.objects.select_for_update(no_key=True).filter(pk=dispatch.pk).values_list("pk"))  # two taps at once wait
    earlier = Dispatch.objects.filter(withdraws=dispatch).order_by("id").first()
    if earlier is not None:
        return earlier
    addressees = list(dispatch.addressees.select_related("organisation"))
    item = Outgoing(
        kind=Kind.WITHDRAWAL,
        sender=dispatch.sender,
        to=[a.organisation for a in addressees if a.role == "to"],
        copies=[a.organisation for a in addressees if a.role == "copy"],
        subject=f"Thu hồi văn bản {dispatch.notation}",
        sent_at=at,
        answers=dispatch.answers,
        withdraws=str(dispatch.uuid),
        reason=nfc(reason.strip()),
    )
    return send(item=item, actor=actor, at=at)


@transaction.atomic
def note_separate_channel(*, recipient_id: int | None, duty_reference: str, actor: Seat, at: datetime) -> SeparateChannel:
    """Note only that something went by the paper or cipher channel: no number, no subject, no text."""
    require(actor, Action.DRAFT)
    noted = SeparateChannel.objects.create(
        organisation_id=actor.organisation_id,
        recipient_id=recipient_id,
        noted_at=at,
        duty_reference=duty_reference[:300],
    )
    record("exchange.separate_channel.noted", subject=noted, actor=actor, at=at)
    return noted


# --- drafts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Upload:
    """A file laid beside a paper, not read yet."""

    name: str
    media_type: str
    size: int
    read: Callable[[], bytes]


def uploads_of(files: "Iterable[UploadedFile[Any]]") -> list[Upload]:
    """Return uploaded files to be laid beside a paper. They stay where the upload put them until one of them is read."""

    def reader(file: "UploadedFile[Any]") -> Callable[[], bytes]:
        def read() -> bytes:
            file.seek(0)
            return bytes(file.read())

        return read

    return [Upload(f.name or "tep", f.content_type or "application/octet-stream", f.size or 0, reader(f)) for f in files]


class TooManyFiles(DomainError):
    """More files than one paper may carry."""

    code = "exchange.too_many_files"
    message = gettext_noop("One dispatch carries at most %(most)s files.")
    hint = gettext_noop("Send the rest with a second dispatch, or pack them into one.")


MOST_FILES = 50


def _with_files(
    attached: Sequence[Mapping[str, Any]], *, uploads: Sequence[Upload], without: str, at: datetime
) -> list[dict[str, Any]]:
    """Keep uploaded files and return the attachments of a draft with them, less the one whose digest is `without`.

    Raises:
        ClassifiedContent: a file bears a secrecy mark; nothing is kept, of the others neither.
        FileTooLarge, TooManyFiles: more than can be kept; known before anything is read.
    """
    files = [dict(a) for a in attached if a["digest"] != without]
    if len(files) + len(uploads) > MOST_FILES:
        raise TooManyFiles(most=MOST_FILES)
    for upload in uploads:
        refuse_too_large(name=upload.name, size=upload.size)
    if any(file_bears_mark(u.name, u.read()) for u in uploads):
        raise ClassifiedContent
    for upload in uploads:
        kept = keep_file(data=upload.read(), name=upload.name, media_type=upload.media_type, at=at)
        row = {"name": nfc(upload.name)[:200], "digest": kept.digest, "size": kept.size, "media_type": kept.media_type}
        files = [a for a in files if a["digest"] != kept.digest] + [row]
    return files


@transaction.atomic
def save_draft(
    *,
    draft_id: uuid.UUID | None,
    content: Mapping[str, Any],
    actor: Seat,
    at: datetime,
    revision: int = 0,
    unsaved: Mapping[str, Any] | None = None,
    duty_reference: str = "",
    uploads: Sequence[Upload] = (),
    without: str = "",
) -> Draft:
    """Keep half-written work. `content` may be incomplete; `unsaved` holds what was typed but is not valid, as typed.

    Files of `uploads` are laid beside it, the one whose digest is `without` is taken away.

    When `revision` is not the one stored, somebody saved in between: nothing is overwritten, what was given is kept in
    `unsaved["conflict"]` for the page to show beside the newer version.

    Raises:
        ClassifiedContent: a secrecy mark; nothing is kept.
    """
    require(actor, Action.DRAFT)
    refuse_classified(*strings_in(content), *strings_in(unsaved or {}))  # before a file is written: a refusal undoes rows only
    if uploads or without:
        attached = _with_files(content.get("attachments", []), uploads=uploads, without=without, at=at)
        content = {**content, "attachments": attached}
    # The first autosave and the first tap on a button may come at once: one of them makes the row, the other finds it.
    fresh, made = Draft.objects.get_or_create(
        id=draft_id or uuid.uuid4(),
        defaults={
            "organisation_id": actor.organisation_id,
            "author": actor,
            "content": dict(content),
            "unsaved": dict(unsaved or {}),
            "duty_reference": duty_reference[:300],
            "saved_at": at,
        },
    )
    if made or draft_id is None:
        return fresh
    draft = queries.draft_for(actor, draft_id, for_update=True)
    if draft.sent_as_id or draft.discarded_at:
        raise DraftClosed
    if revision and revision != draft.revision:
        draft.unsaved = {**draft.unsaved, "conflict": dict(content)}
        draft.save(update_fields=["unsaved"])
        return draft
    draft.content, draft.unsaved = dict(content), dict(unsaved or {})
    draft.revision += 1
    draft.saved_at = at
    draft.save(update_fields=["content", "unsaved", "revision", "saved_at"])
    return draft


@transaction.atomic
def submit_draft(*, draft_id: uuid.UUID, actor: Seat, at: datetime) -> Draft:
    """Lay a draft before the signer."""
    require(actor, Action.DRAFT)
    draft = queries.draft_for(actor, draft_id, for_update=True)
    if draft.sent_as_id or draft.discarded_at:
        raise DraftClosed
    draft.submitted_at = at
    draft.save(update_fields=["submitted_at"])
    record("exchange.draft.submitted", subject=draft, actor=actor, at=at, name=str(draft.content.get("subject", "")))
    return draft


@transaction.atomic
def discard_draft(*, draft_id: uuid.UUID, actor: Seat, at: datetime) -> Draft:
    """Put a draft away; it is kept, not deleted."""
    require(actor, Action.DRAFT)
    draft = queries.draft_for(actor, draft_id, for_update=True)
    if draft.sent_as_id:
        raise DraftClosed
    draft.discarded_at = at
    draft.save(update_fields=["discarded_at"])
    return draft


@transaction.atomic
def send_draft(*, draft_id: uuid.UUID, actor: Seat, at: datetime) -> Dispatch:
    """Sign and send a draft; sending it twice sends it once.

    Raises:
        InvalidContent, UnknownRecipient, ClassifiedContent, NotAllowed: nothing was sent.
    """
    draft = queries.draft_for(actor, draft_id, for_update=True)
    if draft.sent_as is not None:
        return draft.sent_as
    if draft.discarded_at:
        raise DraftClosed
    dispatch = send(item=outgoing_of(draft, at=at), actor=actor, at=at)
    draft.sent_as = dispatch
    draft.save(update_fields=["sent_as"])
    return dispatch


def outgoing_of(draft: Draft, *, at: datetime) -> Outgoing:
    """Return the paper that a draft stands for.

    Raises:
        UnknownRecipient: a recipient key is not known on this node. FileDamaged: a file laid beside it is gone.
    """
    content = draft.content
    wanted = [(r["organisation"], r.get("role", "to")) for r in content.get("recipients", [])]
    known = organisations.organisations_by_keys(k for k, _ in wanted)
    missing = next((k for k, _ in wanted if k not in known), None)
    if missing:
        raise UnknownRecipient(key=missing)
    replaces = content.get("replaces") or ""
    earlier = Dispatch.objects.filter(uuid=replaces, sender_id=draft.organisation_id).first() if replaces else None
    event_at = content.get("event_at")
    files = File.objects.in_bulk([a["digest"] for a in content.get("attachments", [])], field_name="digest")
    return Outgoing(
        kind=str(content.get("kind", Kind.NOTICE)),
        sender=draft.organisation,
        to=[known[k] for k, role in wanted if role == "to"],
        copies=[known[k] for k, role in wanted if role == "copy"],
        subject=str(content.get("subject", "")),
        sent_at=at,
        body=content.get("body", {}),
        urgency=str(content.get("urgency", "ordinary")),
        event_at=datetime.fromisoformat(event_at) if event_at else None,
        answers=tuple(content.get("answers", ())),
        replaces=earlier,
        files=[(str(a["name"]), _present(files.get(a["digest"]), str(a["name"]))) for a in content.get("attachments", [])],
    )


def _present(file: File | None, name: str) -> File:
    """Return the file, or refuse: what is not there can be neither signed nor left out in silence."""
    if file is None or not is_on_disk(file):
        raise FileDamaged(name=name)
    return file


@transaction.atomic
def send_again(*, dispatch_uuid: uuid.UUID, actor: Seat, at: datetime) -> Dispatch:
    """Send a paper that was refused for its key once more, as a replacement with the same content under the present key.

    A second press gives the replacement of the first.

    Raises:
        NotRefused: it is none of `queries.papers_to_send_again`. BadSignature: what is stored is not what was signed.
    """
    require(actor, Action.SEND)
    dispatch = queries.dispatch_for(actor, dispatch_uuid)
    if dispatch.sender_id != actor.organisation_id:
        raise NotFound
    list(Dispatch.objects.select_for_update(no_key=True).filter(pk=dispatch.pk).values_list("pk"))  # two taps at once wait
    before = Dispatch.objects.filter(replaces=dispatch).order_by("id").first()
    if before is not None:
        return before
    if dispatch.pk not in {d.pk for d in queries.papers_to_send_again(actor)}:
        raise NotRefused(notation=dispatch.notation)
    check = queries.verification_of(dispatch)
    if not check.genuine:
        raise signing.BadSignature(what=check.error)
    content = queries.content_of(dispatch)
    files = {a.file.digest: a.file for a in dispatch.attachments.all()}
    addressees = list(dispatch.addressees.all())
    item = Outgoing(
        kind=content.kind,
        sender=dispatch.sender,
        to=[a.organisation for a in addressees if a.role == "to"],
        copies=[a.organisation for a in addressees if a.role == "copy"],
        subject=content.subject,
        sent_at=at,
        body=content.body,
        urgency=content.urgency,
        event_at=content.event_at,
        answers=content.answers,
        replaces=dispatch,
        withdraws=content.withdraws,
        reason=content.reason,
        files=[(str(a["name"]), files[a["digest"]]) for a in content.attachments],
    )
    return send(item=item, actor=actor, at=at)


@transaction.atomic
def begin_replacement(*, dispatch_uuid: uuid.UUID, actor: Seat, at: datetime) -> Draft:
    """Begin a draft that replaces a paper of the actor's organisation, with the paper's own content."""
    require(actor, Action.DRAFT)
    dispatch = queries.dispatch_for(actor, dispatch_uuid)
    if dispatch.sender_id != actor.organisation_id:
        raise NotFound
    check = queries.verification_of(dispatch)
    if not check.genuine:
        raise signing.BadSignature(what=check.error)
    content = queries.content_of(dispatch)
    kind = "notice" if content.kind == Kind.NIL_REPORT else content.kind
    return save_draft(
        draft_id=None,
        content={
            "kind": kind,
            "subject": content.subject,
            "urgency": content.urgency,
            "recipients": [{"organisation": r.organisation, "role": r.role} for r in content.recipients],
            "answers": list(content.answers),
            "body": dict(content.body),
            "replaces": str(dispatch.uuid),
            "attachments": [dict(a) for a in content.attachments],
        },
        actor=actor,
        at=at,
        duty_reference=content.answers[0] if content.answers else "",
    )
