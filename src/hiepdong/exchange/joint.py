"""Documents that several organisations sign: proposed at one node, signed at each, put together wherever a copy arrives.

A proposal stays at its node until somebody signs. Each signature leaves as a service dispatch of the organisation that
signed, with all signatures known by then, so copies arrive late, twice, in any order, and every node ends with the same set.
What an organisation signs is checked at its home, where its key is; what arrives is checked here, signature by signature:

- one that does not fit, or of a key that is no party's, makes that copy false: nothing of it is taken, it is an incident;
- one of a key that was revoked, or had expired when its own organisation sent it, is not taken and is an incident;
- one whose key is not known here is passed over: the paper of its own organisation brings it, which intake holds until the
  key is here.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require, visible_organisation_ids
from hiepdong.documents.models import File
from hiepdong.documents.services import is_on_disk
from hiepdong.journal.models import Entry
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation

from . import account_rows, links, queries, services, signing
from .domain.envelope import MOST_RECIPIENTS, instant
from .domain.joint import InvalidJoint, Terms, payload_bytes, read_terms, unsigned
from .keys import ensure_key
from .models import Dispatch, JointDocument, Peer, SigningKey

KINDS = tuple(signing.JOINT_TYPES)


class NotAParty(DomainError):
    """Only the parties that the document names sign it."""

    code = "exchange.not_a_party"
    message = gettext_noop("%(name)s is not one of the parties that this document names.")
    hint = gettext_noop("Only its parties sign it; propose a new version if somebody is missing.")


class FileMissing(DomainError):
    """The text that is to be signed is not here."""

    code = "exchange.joint_file_missing"
    message = gettext_noop("The text of this document has not arrived here yet.")
    hint = gettext_noop("Nobody signs what cannot be read here; it is asked for at the next contact.")


class SignedAnother(DomainError):
    """One organisation signs one text of a version, so that two texts can never both come into force."""

    code = "exchange.signed_another"
    message = gettext_noop("%(name)s has already signed another text of %(document)s.")
    hint = gettext_noop("Propose the new text under the next version number.")


class StatementDiffers(DomainError):
    """A statement of account that does not say what this node knows is not signed."""

    code = "exchange.statement_differs"
    message = gettext_noop("The statement differs from the papers and receipts of this node in %(count)s places.")
    hint = gettext_noop("Make your own statement: both then stand side by side, with their differences listed.")


@transaction.atomic
def propose(*, kind: str, payload: Mapping[str, Any], actor: Seat | None, at: datetime) -> JointDocument:
    """Keep a document that its parties are to sign; the same payload again is the same document. It leaves with a signature.

    Raises:
        InvalidJoint: the payload is not what the protocol says. UnknownRecipient: a party is not known on this node.
        NotAllowed: the seat drafts nothing, or its organisation is no party.
    """
    data = payload_bytes(payload)
    terms = read_terms(kind, data)
    if actor is not None:
        require(actor, Action.DRAFT)
        if actor.organisation.key not in terms.parties:
            raise NotAParty(name=actor.organisation.name)
    known = organisations.organisations_by_keys(terms.parties)
    missing = next((k for k in terms.parties if k not in known), None)
    if missing is not None:
        raise services.UnknownRecipient(key=missing)
    document, made = _row(terms, data, at)
    if made:
        _write(document, "proposed", actor, at)
    return document


def _row(terms: Terms, data: bytes, at: datetime) -> tuple[JointDocument, bool]:
    digest = hashlib.sha256(data).hexdigest()
    defaults = {"kind": terms.kind, "name": terms.name, "payload": data, "parties": list(terms.parties), "first_at": at}
    _found, made = JointDocument.objects.get_or_create(digest=digest, defaults=defaults)
    return JointDocument.objects.select_for_update(of=("self",)).get(digest=digest), made


def _write(document: JointDocument, what: str, actor: Seat | None, at: datetime, **facts: Any) -> None:
    facts = {"kind": document.kind, "name": document.name, "digest": document.digest} | facts
    record(f"exchange.joint.{what}", subject=document, actor=actor, at=at, name=document.name, facts=facts)


@transaction.atomic
def sign(*, document_id: int, organisation: Organisation, actor: Seat | None, at: datetime) -> JointDocument:
    """Sign in the name of an organisation at home here, and tell the parties at other nodes. Signed before: nothing changes.

    `actor` is a signer of that organisation, or None for a command typed on the server.

    Raises:
        NotFound, NotAllowed. NotAParty. NotAtHome: its key is at another node. FileMissing: the text is not here.
        SignedAnother: it signed another text of the same version. StatementDiffers: not what this node knows.
    """
    if actor is not None:
        require(actor, Action.SEND, organisation_id=organisation.pk)
    document = JointDocument.objects.select_for_update(of=("self",)).filter(pk=document_id).first()
    if document is None:
        raise NotFound
    if organisation.key not in document.parties:
        raise NotAParty(name=organisation.name)
    if not links.is_at_home(organisation.pk):
        raise links.NotAtHome(name=organisation.name)
    if organisation.key in signed_by(document):
        return document
    files = _checked_before_signing(document, organisation)
    key = ensure_key(organisation=organisation, actor=actor, at=at)
    part = signing.sign_general(
        bytes(document.payload),
        kid=key.kid,
        private_encrypted=key.private_encrypted,
        secret=settings.SECRET_KEY,
        typ=signing.JOINT_TYPES[document.kind],
    )
    uuids = _tell(document, part, organisation, files, actor, at)
    _add(document, [_Signature(part, organisation.key, at, uuids[0] if uuids else "")], actor, at)
    return document


def _checked_before_signing(document: JointDocument, organisation: Organisation) -> list[File]:
    claims = terms_of(document).claims
    if document.kind == "account":
        found = account_rows.differences_here(claims)
        if found:
            raise StatementDiffers(count=len(found))
        return []
    file = File.objects.filter(digest=claims["digest"]).first()
    if file is None or not file.kept or not is_on_disk(file):
        raise FileMissing
    if _signed_another(document, organisation.key):
        raise SignedAnother(name=organisation.name, document=document.name)
    return [file]


def _signed_another(document: JointDocument, party: str) -> bool:
    """Say whether a party signed another text of the same version of a regulation."""
    if document.kind != "regulation":
        return False
    others = JointDocument.objects.filter(kind=document.kind, name=document.name).exclude(pk=document.pk)
    return any(party in signed_by(other) for other in others)


def _tell(
    document: JointDocument,
    part: signing.Part,
    organisation: Organisation,
    files: Sequence[File],
    actor: Seat | None,
    at: datetime,
) -> list[str]:
    """Send the document with all its signatures to the parties that live elsewhere; returns the papers that carry it."""
    parties = organisations.organisations_by_keys(document.parties)
    homes = links.homes_of(o.pk for o in parties.values())
    abroad = [parties[k] for k in document.parties if k in parties and homes[parties[k].pk] != 0]
    body = {"document": signing.general_json(bytes(document.payload), [*parts_of(document), part])}
    items = [
        services.Outgoing(
            kind=document.kind,
            sender=organisation,
            to=abroad[start : start + MOST_RECIPIENTS],
            subject=subject_of(document),
            sent_at=at,
            body=body,
            signer_title=actor.title if actor is not None else "",
            files=[(f.name, f) for f in files],
            actor=actor,
        )
        for start in range(0, len(abroad), MOST_RECIPIENTS)
    ]
    return [str(d.uuid) for d in services.send_many(items=items, actor=actor, at=at)] if items else []


def subject_of(document: JointDocument) -> str:
    """Return the subject of the papers that carry a document; it is signed text, so in the language of the offices."""
    if document.kind == "account":
        year, month = document.name.split("/")[0].split("-")
        return f"Chữ ký vào bản đối chiếu gửi, nhận văn bản tháng {month}/{year}"
    key, version = document.name.rsplit("/", 1)
    return f"Chữ ký vào quy chế {key}, bản {version}"


@dataclass(frozen=True, slots=True)
class _Signature:
    """A signature that was checked: whose it is, when it was sent, by which paper."""

    part: signing.Part
    organisation: str
    at: datetime
    dispatch: str

    def as_json(self) -> dict[str, str]:
        more = {"organisation": self.organisation, "kid": self.part.kid, "at": instant(self.at), "dispatch": self.dispatch}
        return self.part.as_json() | more


def _add(document: JointDocument, found: Sequence[_Signature], actor: Seat | None, at: datetime) -> None:
    """Put signatures to those that are there, one of each organisation; the caller holds the row's lock."""
    new = []
    for one in found:
        if one.organisation not in signed_by(document):
            document.signatures = [*document.signatures, one.as_json()]
            new.append(one)
    if not new:
        return
    document.signatures = sorted(document.signatures, key=lambda s: str(s["organisation"]))
    completed = document.complete_at is None and not unsigned(document.parties, signed_by(document))
    if completed:
        document.complete_at = at
    document.save(update_fields=["signatures", "complete_at"])
    for one in new:
        _write(document, "signed", actor, at, organisation=one.organisation, kid=one.part.kid, dispatch=one.dispatch)
    if completed:
        _write(document, "completed", actor, at)


# --- what arrives ----------------------------------------------------------------------------------------------------------


class _False(Exception):
    """This copy, or one signature of it, is not taken: a code for the incident, and the facts."""

    def __init__(self, code: str, **facts: str) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


def take_received(entry: Entry, at: datetime) -> None:
    """React to `exchange.dispatch.received`: most papers carry no such document."""
    found = Dispatch.objects.filter(pk=entry.subject_id, kind__in=KINDS).select_related("sender").first()
    if found is not None:
        take(dispatch=found, at=at)


@transaction.atomic
def take(*, dispatch: Dispatch, at: datetime) -> JointDocument | None:
    """Put what a received dispatch carries to what is here. Again, late, or in another order changes nothing.

    Returns the document, or None if nothing of it could be taken; why is then an incident of the link with the sender's node.
    """
    if dispatch.kind not in KINDS:
        return None
    peer = Peer.objects.filter(residents__organisation=dispatch.sender_id).first()
    try:
        return _take(dispatch, peer, at)
    except _False as wrong:
        _incident(peer, dispatch, wrong, at)
    except (signing.BadSignature, InvalidJoint) as error:
        _incident(peer, dispatch, _False("exchange.joint_false", error=str(error)[:300]), at)
    return None


def _incident(peer: Peer | None, dispatch: Dispatch, wrong: _False, at: datetime) -> None:
    facts = {"dispatch": str(dispatch.uuid), "sender": dispatch.sender.key} | wrong.facts
    if peer is not None:
        links.note_incident(peer=peer, code=wrong.code, facts=facts, at=at)
    else:
        record("exchange.joint.refused", subject=dispatch, actor=None, at=at, facts={"code": wrong.code, **facts})


def _take(dispatch: Dispatch, peer: Peer | None, at: datetime) -> JointDocument | None:
    general = signing.general_of(queries.content_of(dispatch).body.get("document"))
    if general.typ != signing.JOINT_TYPES[dispatch.kind]:
        raise signing.BadSignature(what="typ")
    terms = read_terms(dispatch.kind, general.payload)
    if dispatch.sender.key not in terms.parties:
        raise _False("exchange.joint_not_a_party", organisation=dispatch.sender.key)
    bodies = organisations.organisations_by_keys(terms.parties)
    if 0 not in links.homes_of(o.pk for o in bodies.values()).values():
        raise _False("exchange.joint_not_ours", parties=", ".join(terms.parties)[:200])
    kids = [p.kid for p in general.parts]
    keys = {k.kid: k for k in SigningKey.objects.filter(kid__in=kids).select_related("organisation")}
    known = [(p, keys[p.kid]) for p in general.parts if p.kid in keys]
    for part, key in known:
        if key.organisation.key not in terms.parties:
            raise _False("exchange.joint_not_a_party", organisation=key.organisation.key)
        signing.verify_general(general.payload, part, public_jwk=key.public_jwk, typ=general.typ)
    before = JointDocument.objects.filter(digest=general.digest).first()
    held = signed_by(before) if before is not None else set()
    good = []
    for part, key in known:
        if key.organisation.key in held:
            continue
        try:
            if _is_usable(key, dispatch):
                good.append(_Signature(part, key.organisation.key, dispatch.sent_at, str(dispatch.uuid)))
        except _False as wrong:
            _incident(peer, dispatch, wrong, at)
    if before is None and not good:
        return None
    document, made = _row(terms, general.payload, at)
    if made:
        _write(document, "proposed", None, at, by=dispatch.sender.key)
    twice = [one for one in good if _signed_another(document, one.organisation)]
    for one in twice:
        _incident(peer, dispatch, _False("exchange.joint_two_texts", organisation=one.organisation, name=document.name), at)
    _add(document, [one for one in good if one not in twice], None, at)
    return document


def _is_usable(key: SigningKey, dispatch: Dispatch) -> bool:
    """Say whether a signature by this key, not known here yet, is taken from this dispatch.

    When it was made stands nowhere in it; the paper of its own organisation is taken as its moment. Carried by another party
    after the key expired it says nothing, and is passed over: its own organisation's paper brings it.
    """
    own = key.organisation_id == dispatch.sender_id
    if key.revoked_at is not None:
        raise _False("exchange.key_revoked", organisation=key.organisation.key, kid=key.kid)
    if key.valid_until is not None and dispatch.sent_at > key.valid_until:
        if own:
            raise _False("exchange.key_expired", organisation=key.organisation.key, kid=key.kid)
        return False
    return True


# --- reading ---------------------------------------------------------------------------------------------------------------


def terms_of(document: JointDocument) -> Terms:
    """Return what a stored document says."""
    return read_terms(document.kind, bytes(document.payload))


def signed_by(document: JointDocument) -> set[str]:
    """Return the keys of the organisations that have signed, as far as this node knows."""
    return {str(s["organisation"]) for s in document.signatures}


def parts_of(document: JointDocument) -> list[signing.Part]:
    """Return the signatures that are here."""
    return [signing.Part(s["protected"], s["signature"], s["kid"]) for s in document.signatures]


def as_json(document: JointDocument) -> dict[str, Any]:
    """Return the document as it is given to others: JWS, general JSON serialisation."""
    return signing.general_json(bytes(document.payload), parts_of(document))


@dataclass(frozen=True, slots=True)
class Signatory:
    """One party: has it signed, and when (as its paper says)? `genuine`: the stored signature fits, checked now."""

    organisation: Organisation | None
    key: str
    at: datetime | None
    genuine: bool
    at_home: bool
    kid: str = ""


def signatories(document: JointDocument) -> list[Signatory]:
    """Return the parties in the order of their names, with their signatures checked again."""
    bodies = organisations.organisations_by_keys(document.parties)
    homes = links.homes_of(o.pk for o in bodies.values())
    rows = {str(s["organisation"]): s for s in document.signatures}
    keys = {k.kid: k for k in SigningKey.objects.filter(kid__in=[s["kid"] for s in document.signatures])}
    found = []
    for party in document.parties:
        body, row = bodies.get(party), rows.get(party)
        at = datetime.fromisoformat(row["at"]) if row else None
        genuine = row is not None and body is not None and _fits(document, row, keys.get(row["kid"]), body)
        at_home = body is not None and homes[body.pk] == 0
        found.append(Signatory(body, party, at, genuine, at_home, row["kid"] if row else ""))
    return sorted(found, key=lambda s: s.organisation.name_sort if s.organisation else s.key)


def _fits(document: JointDocument, row: Mapping[str, str], key: SigningKey | None, body: Organisation) -> bool:
    if key is None or key.organisation_id != body.pk:
        return False
    part = signing.Part(row["protected"], row["signature"], row["kid"])
    try:
        signing.verify_general(bytes(document.payload), part, public_jwk=key.public_jwk, typ=signing.JOINT_TYPES[document.kind])
    except signing.BadSignature:
        return False
    return True


def verified_signers(general: signing.General) -> set[str]:
    """Return whose signatures on a document fit, by the keys that are known here.

    Raises:
        BadSignature: one does not fit its key.
    """
    keys = {k.kid: k for k in SigningKey.objects.filter(kid__in=[p.kid for p in general.parts]).select_related("organisation")}
    for part in general.parts:
        if part.kid in keys:
            signing.verify_general(general.payload, part, public_jwk=keys[part.kid].public_jwk, typ=general.typ)
    return {k.organisation.key for k in keys.values()}


def complete_for(*, kind: str, name: str) -> QuerySet[JointDocument]:
    """Return the complete documents of a name, the first one first; for services, no gate."""
    return JointDocument.objects.filter(kind=kind, name=name, complete_at__isnull=False).order_by("complete_at", "id")


def documents(*, kind: str, name: str = "", open_only: bool = False) -> list[JointDocument]:
    """Return documents of a kind, newest first; for services and commands, no gate."""
    found = JointDocument.objects.filter(kind=kind)
    found = found.filter(name=name) if name else found
    found = found.filter(complete_at__isnull=True) if open_only else found
    return list(found.order_by("-first_at", "-id"))


def by_digest(digest: str) -> JointDocument:
    """Return a document by the SHA-256 of its payload; for services, no gate.

    Raises:
        NotFound.
    """
    found = JointDocument.objects.filter(digest=digest).first()
    if found is None:
        raise NotFound
    return found


def joint_for(seat: Seat, digest: str) -> JointDocument:
    """Return a document of which a party is visible to the seat.

    A regulation may also be read by those below its parties, and by a node administrator, as when it is in force.

    Raises:
        NotFound: there is none, or the seat may not read it.
    """
    document = by_digest(digest)
    if document.kind == "regulation" and seat.may(Action.MANAGE_NODE):
        return document
    ids = set(visible_organisation_ids(seat))
    if document.kind == "regulation" and ids:
        ids |= set(organisations.ancestor_ids(seat.organisation_id))
    if not ids or not Organisation.objects.filter(pk__in=ids, key__in=document.parties).exists():
        raise NotFound
    return document


def waiting_for_signature(seat: Seat, *, limit: int = 20) -> list[JointDocument]:
    """Return the open documents that the seat's own organisation is still to sign, oldest first.

    Left out: a text of which another one of the same version is complete or was signed by it, a statement of a month for
    which a newer one of the same maker is here.
    """
    require(seat, Action.READ)
    own = seat.organisation
    if not links.is_at_home(own.pk):
        return []
    mine = Q(kind="account", name__endswith=f"/{own.key}") | Q(kind="account", name__contains=f"/{own.key}/")
    rows = JointDocument.objects.filter(Q(kind="regulation") | mine, complete_at__isnull=True).order_by("first_at", "id")
    found = [d for d in rows if own.key in d.parties and own.key not in signed_by(d)]
    found = [d for d in found if not (d.kind == "regulation" and _settled(d, own.key))]
    newest = {(d.name, terms_of(d).claims["made_by"]): d.pk for d in found if d.kind == "account"}
    return [d for d in found if d.kind == "regulation" or d.pk in newest.values()][:limit]


def _settled(document: JointDocument, party: str) -> bool:
    return complete_for(kind=document.kind, name=document.name).exists() or _signed_another(document, party)


def homes_abroad(organisation_ids: Iterable[int]) -> list[Organisation]:
    """Return the organisations that do not live here, by name: their signatures come from elsewhere."""
    homes = links.homes_of(organisation_ids)
    return list(Organisation.objects.filter(pk__in=[i for i, h in homes.items() if h != 0]).order_by("name_sort"))
