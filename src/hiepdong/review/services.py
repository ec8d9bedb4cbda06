"""Building, editing, approving a review."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction
from django.db.models import Max

from hiepdong.accounts import queries as accounts
from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.documents import services as documents
from hiepdong.documents.models import File
from hiepdong.duties import queries as duties
from hiepdong.exchange import services as exchange
from hiepdong.exchange.domain.classified import refuse_classified
from hiepdong.exchange.domain.dispatch import MADE_UP
from hiepdong.exchange.domain.envelope import canonical
from hiepdong.exchange.models import Draft
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.moments import local_day
from hiepdong.kernel.text import nfc
from hiepdong.organisations import queries as organisations
from hiepdong.reporting import services as reporting

from . import queries, records, wording
from .document import files_of
from .domain.published import Published, read_published
from .domain.report import CAUSES, FORMAT, digest_of, is_place
from .models import Cause, Document, Item, Passage, Review

LONGEST = 20_000


class AlreadyApproved(DomainError):
    """An approved review does not change."""

    code = "review.already_approved"
    message = gettext_noop("This review was approved and is frozen.")
    hint = gettext_noop("What has changed since belongs into the next year's review, or into a dispatch of its own.")


class EditedMeanwhile(DomainError):
    """Somebody else wrote at the same place."""

    code = "review.edited_meanwhile"
    message = gettext_noop("%(who)s changed this text while you were writing.")
    hint = gettext_noop("Their text stands above; yours is kept in the field. Put the two together and save again.")


class TooLong(DomainError):
    """A text is longer than the review takes."""

    code = "review.text_too_long"
    message = gettext_noop("The text has %(found)s characters.")
    hint = gettext_noop("At most %(most)s fit; shorten it or put details into an annex of a dispatch.")


class NotApproved(DomainError):
    """Only an approved review goes out."""

    code = "review.not_approved"
    message = gettext_noop("This review is not approved yet.")
    hint = gettext_noop("Have a signer of your organisation approve it first; then it is frozen and can be sent.")


class NotIssuer(DomainError):
    """Only the body that issued the regulation writes its review."""

    code = "review.not_issuer"
    message = gettext_noop("Your organisation did not issue this regulation, so it does not write its review.")
    hint = gettext_noop("Choose a regulation of your own organisation.")


class YearNotBegun(DomainError):
    """The reporting year lies in the future."""

    code = "review.year_not_begun"
    message = gettext_noop("That reporting year begins only on %(first)s.")
    hint = gettext_noop("Choose a year that has begun; a running year can be built at any time to see how it stands.")


class BadPublished(DomainError):
    """The file of published facts has problems; nothing was taken from it."""

    code = "review.bad_published"
    message = gettext_noop("The file of published facts has problems: %(problems)s")
    hint = gettext_noop("Correct the places named; the format stands in docs/reference/published-format.md.")


# --- building ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def build_review(
    *,
    instrument_key: str,
    year: int,
    actor: Seat | None,
    at: datetime,
    as_of: datetime | None = None,
    organisation_key: str = "",
) -> Review:
    """Compute the review of a regulation for a reporting year; again is a rebuild that keeps what people wrote.

    Args:
        year: the reporting year; its period stands in the regulation (`thresholds.year_family`).
        as_of: records after this moment are not counted; now unless given.
        organisation_key: who writes it; the body that issued the regulation unless given.

    Raises:
        NotFound, records.NoYear: no such regulation, or not in force in that year.
        NotAllowed, NotIssuer: not the seat's to write.
        AlreadyApproved: it is frozen.
    """
    instrument, period = records.version_for(instrument_key, year)
    organisation = organisations.organisation_by_key(organisation_key) if organisation_key else instrument.issuer
    if actor is not None:
        accounts.require(actor, Action.EDIT_REVIEW)
        if actor.organisation_id != organisation.pk or instrument.issuer_id != organisation.pk:
            raise NotIssuer
    moment = as_of or at
    if local_day(moment) < period.first:
        raise YearNotBegun(first=f"{period.first:%d/%m/%Y}")
    known = (
        Review.objects.select_for_update().filter(instrument_key=instrument.key, organisation=organisation, year=year).first()
    )
    if known is not None and known.approved_at is not None:
        raise AlreadyApproved
    facts = records.facts_of(instrument, period, organisation=organisation, year=year, as_of=moment)
    values = {
        "period_from": period.first,
        "period_to": period.last,
        "built_at": at,
        "as_of": moment,
        "facts": facts,
    }
    review, _made = Review.objects.update_or_create(
        instrument_key=instrument.key, organisation=organisation, year=year, defaults=values
    )
    found = {"findings": len(facts["findings"]), "expected": facts["counts"]["expected"], "as_of": moment.isoformat()}
    record("review.review.built", subject=review, actor=actor, at=at, name=f"{instrument.key} {year}", facts=found)
    return review


@transaction.atomic
def take_published(*, review_id: int, file_bytes: bytes, actor: Seat | None, at: datetime) -> Published:
    """Take limitations, tasks, proposals, directives, the conference and earlier figures from a file; again adds nothing.

    Raises:
        BadPublished: the file has problems; nothing is taken.
        AlreadyApproved, NotAllowed.
    """
    review = _open(review_id, actor)
    published, problems = read_published(file_bytes)
    if published is not None and published.regulation != review.instrument_key:
        problems = [*problems, f"regulation: {published.regulation!r}; {review.instrument_key!r}"]
    if published is None or problems:
        raise BadPublished(problems="; ".join(problems))
    if published.host or published.held_on:
        review.host, review.held_on = published.host, published.held_on
        review.save(update_fields=["host", "held_on"])
    known = set(review.items.values_list("kind", "text"))
    fresh = [i for i in published.items if (i["kind"], i["text"]) not in known]
    position = (review.items.aggregate(last=Max("position"))["last"] or 0) + 1
    Item.objects.bulk_create(Item(review=review, position=position + n, **item) for n, item in enumerate(fresh))
    reporting.publish_figures(rows=published.figures, instrument_key=review.instrument_key, actor=actor, at=at)
    facts = {"items": len(fresh), "figures": len(published.figures)}
    record("review.published.taken", subject=review, actor=actor, at=at, facts=facts)
    return published


# --- what people write -------------------------------------------------------------------------------------------------


def _open(review_id: int, actor: Seat | None) -> Review:
    review = queries.review_for(actor, review_id, for_update=True)
    queries.require_editor(actor, review)
    if review.approved_at is not None:
        raise AlreadyApproved
    return review


def _clean(text: str) -> str:
    text = nfc(text).replace("\r\n", "\n").strip()
    if len(text) > LONGEST:
        raise TooLong(found=len(text), most=LONGEST)
    refuse_classified(text)
    return text


@transaction.atomic
def write_passage(*, review_id: int, place: str, text: str, actor: Seat, at: datetime, seen: datetime | None = None) -> None:
    """Put a person's text at a place; an empty text, or the computed one, brings the computed text back.

    Args:
        seen: when the text was written that the writer had before them; None when it was the computed one.

    Raises:
        EditedMeanwhile: somebody else wrote there since.
        NotFound: no such place. TooLong, ClassifiedContent: nothing is kept.
    """
    review = _open(review_id, actor)
    if not is_place(place, review.facts):
        raise queries.NotFound
    text = _clean(text)
    before = review.passages.select_related("written_by__person").filter(place=place).first()
    if before is not None and before.written_at != seen and before.text != text:
        raise EditedMeanwhile(who=before.written_by.journal_name)
    computed = queries.text_at(review, place).computed
    if not text or text == computed:
        review.passages.filter(place=place).delete()
    else:
        values = {"text": text, "basis": computed, "written_by": actor, "written_at": at}
        Passage.objects.update_or_create(review=review, place=place, defaults=values)
    record("review.passage.written", subject=review, actor=actor, at=at, facts={"place": place})


@transaction.atomic
def give_causes(*, review_id: int, finding: str, causes: Mapping[str, str], actor: Seat, at: datetime) -> None:
    """Set the causes of a finding: codes of the short list, each with a text (may be empty).

    Raises:
        NotFound: no such finding, or no such code.
    """
    review = _open(review_id, actor)
    queries.finding_of(review, finding)
    if set(causes) - set(CAUSES):
        raise queries.NotFound
    Cause.objects.filter(review=review, finding=finding).delete()
    Cause.objects.bulk_create(
        Cause(review=review, finding=finding, code=c, text=_clean(causes[c])) for c in CAUSES if c in causes
    )
    record("review.causes.given", subject=review, actor=actor, at=at, facts={"finding": finding, "codes": sorted(causes)})


@transaction.atomic
def put_item(
    *,
    review_id: int,
    kind: str,
    text: str,
    actor: Seat,
    at: datetime,
    item_id: int | None = None,
    addressee: str = "",
    finding: str = "",
    source: str = "",
) -> Item:
    """Add a task, a proposal, a directive or a stated limitation, or change one.

    Raises:
        NotFound: no such item of the review. TooLong, ClassifiedContent: nothing is kept.
    """
    review = _open(review_id, actor)
    values = {
        "kind": Item.Kind(kind),
        "text": _clean(text),
        "addressee": _clean(addressee)[:200],
        "finding": finding,
        "source": _clean(source)[:500],
    }
    if item_id is None:
        position = (review.items.aggregate(last=Max("position"))["last"] or 0) + 1
        item = Item.objects.create(review=review, position=position, **values)
    else:
        item = queries.item_of(review, item_id)
        for name, value in values.items():
            setattr(item, name, value)
        item.save()
    record("review.item.put", subject=item, actor=actor, at=at, facts={"review": review.pk, "kind": kind})
    return item


@transaction.atomic
def remove_item(*, review_id: int, item_id: int, actor: Seat, at: datetime) -> None:
    """Take an item out of a review under work; the journal keeps its text."""
    item = queries.item_of(_open(review_id, actor), item_id)
    facts = {"review": review_id, "kind": item.kind, "text": item.text[:500]}
    record("review.item.removed", subject=item, actor=actor, at=at, facts=facts)
    item.delete()


@transaction.atomic
def move_item(*, review_id: int, item_id: int, up: bool, actor: Seat, at: datetime) -> None:
    """Move an item one place up or down among those of its kind."""
    review = _open(review_id, actor)
    item = queries.item_of(review, item_id)
    rows = list(review.items.filter(kind=item.kind).order_by("position", "id"))
    here = next(i for i, row in enumerate(rows) if row.pk == item.pk)
    there = here - 1 if up else here + 1
    if 0 <= there < len(rows):
        rows[here], rows[there] = rows[there], rows[here]
        for position, row in zip(sorted(r.position for r in rows), rows, strict=True):
            row.position = position
        Item.objects.bulk_update(rows, ["position"])
        record("review.item.moved", subject=item, actor=actor, at=at, facts={"review": review_id, "up": up})


@transaction.atomic
def set_conference(*, review_id: int, host: str, held_on: date | None, actor: Seat, at: datetime) -> None:
    """Say where and when the conference is held; the reporting period does not depend on it."""
    review = _open(review_id, actor)
    review.host, review.held_on = _clean(host)[:200], held_on
    review.save(update_fields=["host", "held_on"])
    record("review.conference.set", subject=review, actor=actor, at=at)


# --- approval ----------------------------------------------------------------------------------------------------------


def frozen_bytes(review: Review) -> bytes:
    """Return the canonical JSON (RFC 8785) of everything that an approval freezes."""
    shown = queries.shown(review)
    content = {
        "format": f"{FORMAT}/approved",
        "facts": review.facts,
        "host": review.host,
        "held_on": review.held_on.isoformat() if review.held_on else None,
        "notation": review.notation,
        "texts": {t.place: t.text for t in (*shown.texts.values(), *(f.text for f in shown.fields))}
        | {f.text.place: f.text.text for f in shown.findings},
        "causes": [
            {"finding": c.finding, "code": c.code, "text": c.text} for c in review.causes.order_by("finding", "code", "id")
        ],
        "items": [
            {"kind": i.kind, "addressee": i.addressee, "text": i.text, "source": i.source, "verified": i.verified}
            for i in review.items.order_by("position", "id")
        ],
    }
    return canonical(content)


@transaction.atomic
def approve_review(*, review_id: int, actor: Seat, at: datetime, notation: str = "") -> Review:
    """Freeze a review with its digest, and keep its files as they were approved.

    `notation` is the number the office's clerk gave the paper ("Số 105-BC/ĐU"); left empty, the place stays blank.

    Raises:
        NotAllowed: the seat may not approve. AlreadyApproved.
    """
    accounts.require(actor, Action.APPROVE_REVIEW)
    review = _open(review_id, actor)
    review.notation = _clean(notation)[:60]
    frozen = frozen_bytes(review)
    review.frozen, review.digest = frozen, digest_of(frozen)
    review.approved_at, review.approved_by = at, actor
    review.save()
    for made in files_of(queries.shown(review)):
        kept = documents.keep_file(data=made.data, name=made.name, media_type=made.media_type, at=at)
        Document.objects.create(review=review, profile=made.profile, file=kept, made_at=at)
    facts = {"digest": review.digest, "notation": review.notation}
    record(
        "review.review.approved", subject=review, actor=actor, at=at, name=f"{review.instrument_key} {review.year}", facts=facts
    )
    return review


@transaction.atomic
def draft_dispatch(*, review_id: int, actor: Seat, at: datetime) -> Draft:
    """Begin the notice with which an approved review goes to the body above, its files attached.

    It answers what the organisation still owes that body for the reporting year.

    Raises:
        NotApproved: only an approved review goes out.
    """
    review = queries.review_for(actor, review_id)
    queries.require_editor(actor, review)
    if review.approved_at is None:
        raise NotApproved
    above = [s for _, s in organisations.superior_pairs([review.organisation_id], review.period_to)]
    superiors = list(organisations.organisations_by_ids(above).values())
    owed = [
        d.reference
        for superior in superiors
        for d in duties.open_between(review.organisation_id, superior.pk, period_to=review.period_to, at=at)
        if d.rule.content == "notice"
    ]
    files = [d.file for d in review.documents.select_related("file").order_by("id")]
    named = f"Báo cáo {wording.title(review.facts)}"
    made_up = f"{MADE_UP} " if review.facts["made_up"] else ""
    content = {
        "kind": "notice",
        "subject": f"{made_up}{named}"[:300],
        "urgency": "ordinary",
        "recipients": [{"organisation": o.key, "role": "to"} for o in superiors],
        "answers": owed,
        "body": {"text": f"Gửi kèm {named[:1].lower()}{named[1:]}.\n\n{wording.digest_line(review.digest)}"},
        "attachments": [{"name": f.name, "digest": f.digest, "size": f.size, "media_type": f.media_type} for f in files],
    }
    return exchange.save_draft(draft_id=None, content=content, actor=actor, at=at, duty_reference=owed[0] if owed else "")


@dataclass(frozen=True, slots=True)
class Download:
    """A file of a review, ready to be sent."""

    name: str
    media_type: str
    data: bytes


def download(*, review: Review, kind: str) -> Download:
    """Return a file of the review: as kept when it was approved, else made now and marked as a draft.

    `kind` is "docx", "pdf" or "json". The caller has passed `review_for`.

    Raises:
        NotFound: no such kind.
    """
    if kind == "json":
        data = bytes(review.frozen) if review.frozen else frozen_bytes(review)
        return Download(f"{_stem(review)}.json", "application/json", data)
    if kind not in {"docx", "pdf"}:
        raise queries.NotFound
    kept: File | None = next(
        (d.file for d in review.documents.select_related("file") if d.file.name.endswith(f".{kind}")), None
    )
    if kept is not None:
        return Download(kept.name, kept.media_type, documents.read_file(kept))
    made = next(f for f in files_of(queries.shown(review), only=kind))
    return Download(made.name, made.media_type, made.data)


def _stem(review: Review) -> str:
    return f"tong-ket-{review.instrument_key}-{review.year}"
