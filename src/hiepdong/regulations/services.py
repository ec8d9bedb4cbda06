"""Loading a version of a regulation, all or nothing; between nodes, only what all its parties have signed.

A version has a row here exactly when it is in force at this node. Where every party lives here, the administrator loads the
file and that is all. Where parties live at other nodes, the file is proposed, each party signs it at its home, and it is loaded
by itself when the last signature has come: the same bytes on every node, so every node counts the same due moments.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from hiepdong.accounts.models import Seat
from hiepdong.documents.models import File
from hiepdong.documents.services import is_on_disk, keep_file, read_file
from hiepdong.exchange import joint
from hiepdong.exchange.domain.joint import regulation_payload
from hiepdong.exchange.models import Dispatch, JointDocument, Kind
from hiepdong.journal.models import Entry
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import nfc
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation

from .domain.format import Problem, Regulation, check
from .models import Article, DutyRule, Form, Instrument, Party
from .queries import LARGEST_TEXT


class InvalidRegulation(DomainError):
    """The file has problems; nothing was loaded."""

    code = "regulations.invalid_file"
    message = gettext_noop("%(name)s was not loaded: %(count)s problems.")
    hint = gettext_noop("Correct what is listed and load the file again; nothing was changed.")

    def __init__(self, *, name: str, problems: list[Problem]) -> None:
        super().__init__(name=name, count=len(problems))
        self.problems = problems


class NotSigned(DomainError):
    """Some parties live at other nodes, and not all have signed."""

    code = "regulations.not_signed"
    message = gettext_noop("%(name)s binds parties of other nodes (%(parties)s) and has not been signed by all.")
    hint = gettext_noop("Propose it with hiepdong regulation propose FILE; it comes into force by itself when all have signed.")


@dataclass(frozen=True, slots=True)
class _Examined:
    """A file held against what this node knows."""

    regulation: Regulation | None
    known: dict[str, Organisation]
    parent: Instrument | None
    before: Instrument | None
    problems: list[Problem]


def _examined(file_bytes: bytes, name: str, *, skip: bool = False) -> _Examined:
    """Return a file with every problem; `skip` lets version numbers be left out that were proposed and given up."""
    regulation, problems = check(file_bytes, name)
    if regulation is None:
        return _Examined(None, {}, None, None, problems)
    keys = {regulation.issuer, *(k for k, _ in regulation.parties)}
    for duty in regulation.duties:
        selectors = [duty["debtor"], duty["creditor"], *duty.get("copies", [])]
        keys |= {s["organisation"] for s in selectors if "organisation" in s}
    known = organisations.organisations_by_keys(keys)
    problems = [
        Problem(name, "organisation", key, "khóa của cơ quan đã nạp (hiepdong organisations load …)")
        for key in sorted(keys - known.keys())
    ]
    parent = None
    if regulation.parent:
        parent = Instrument.objects.filter(key=regulation.parent).order_by("-version").first()
        if parent is None:
            problems.append(Problem(name, "parent", regulation.parent, "khóa của quy chế đã nạp"))
    before = Instrument.objects.filter(key=regulation.key).order_by("-version").first()
    if before is not None:
        if regulation.version != before.version + 1 and not (skip and regulation.version > before.version):
            problems.append(Problem(name, "version", str(regulation.version), f"{before.version + 1} (sửa đổi bản đã nạp)"))
        if regulation.effective_from <= before.effective_from:
            accepted = f"ngày sau {before.effective_from.isoformat()}, ngày hiệu lực của bản trước"
            problems.append(Problem(name, "effective_from", regulation.effective_from.isoformat(), accepted))
    return _Examined(regulation, known, parent, before, problems)


@transaction.atomic
def load_instrument(*, file_bytes: bytes, name: str, actor: Any, at: datetime, skip: bool = False) -> Instrument:
    """Load one version. The same bytes again give the version that is there; an amendment closes the one before.

    From now on it is in force here, so this is the one place that asks for the signatures. `skip` leaves out version numbers
    that were proposed and given up; only for what all parties have signed.

    Raises:
        InvalidRegulation: with every problem; nothing was changed.
        NotSigned: parties live at other nodes, and not all have signed these bytes.
    """
    digest = hashlib.sha256(file_bytes).hexdigest()
    same = Instrument.objects.filter(digest=digest).first()
    if same is not None:
        return same
    examined = _examined(file_bytes, name, skip=skip and signed_by_all(digest))
    regulation, known, parent, before = examined.regulation, examined.known, examined.parent, examined.before
    problems = examined.problems
    if regulation is None:
        raise InvalidRegulation(name=name, problems=problems)
    if problems:
        raise InvalidRegulation(name=name, problems=problems)
    abroad = joint.homes_abroad(known[k].pk for k, _ in regulation.parties)
    if abroad and not signed_by_all(digest):
        raise NotSigned(name=f"{regulation.key}/{regulation.version}", parties=_some(abroad))
    if before is not None and (before.effective_until is None or before.effective_until > regulation.effective_from):
        Instrument.objects.filter(pk=before.pk).update(effective_until=regulation.effective_from)
    instrument = Instrument.objects.create(
        key=regulation.key,
        version=regulation.version,
        number=nfc(regulation.number),
        title=nfc(regulation.title),
        signed_on=regulation.signed_on,
        effective_from=regulation.effective_from,
        effective_until=regulation.effective_until,
        parent=parent,
        issuer=known[regulation.issuer],
        fields=list(regulation.fields),
        thresholds=regulation.thresholds,
        periods={f["key"]: f for f in regulation.families},
        source=nfc(regulation.source),
        verified=regulation.verified,
        file_bytes=file_bytes,
        digest=digest,
        loaded_at=at,
    )
    _contents(instrument, regulation, known)
    record("regulations.instrument.loaded", subject=instrument, actor=actor, at=at, name=instrument.title)
    return instrument


def _contents(instrument: Instrument, regulation: Regulation, known: dict[str, Any]) -> None:
    Party.objects.bulk_create(
        Party(instrument=instrument, organisation=known[key], side=side) for key, side in regulation.parties
    )
    Article.objects.bulk_create(
        Article(instrument=instrument, clause=a["clause"], heading=nfc(a["heading"]), text=nfc(a["text"]), position=i)
        for i, a in enumerate(regulation.articles, 1)
    )
    forms = Form.objects.bulk_create(
        Form(
            instrument=instrument,
            key=f["key"],
            title=nfc(f["title"]),
            definition={"indicators": f["indicators"], "sections": f["sections"]},
        )
        for f in regulation.forms
    )
    by_key = {f.key: f for f in forms}
    DutyRule.objects.bulk_create(
        DutyRule(
            instrument=instrument,
            key=d["key"],
            title=nfc(d["title"]),
            clause=d["clause"],
            field=d.get("field", ""),
            content=d["content"]["type"],
            form=by_key.get(d["content"].get("form", "")),
            spec={
                k: d[k]
                for k in (
                    *("debtor", "creditor", "copies", "content", "trigger", "deadline"),
                    *("reminders", "may_waive", "may_suspend"),
                )
                if k in d
            },
            source=nfc(d["source"]),
            verified=d["verified"],
        )
        for d in regulation.duties
    )


# --- signed by all ---------------------------------------------------------------------------------------------------------

MEDIA_TYPE = "application/toml"


def signed_by_all(digest: str) -> bool:
    """Say whether the parties have all signed the file with that SHA-256."""
    return any(_digest(d) == digest for d in joint.documents(kind="regulation") if d.complete_at is not None)


def _digest(document: JointDocument) -> str:
    return str(joint.terms_of(document).claims["digest"])


def _some(bodies: Collection[Organisation]) -> str:
    names = [o.name for o in bodies]
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


@transaction.atomic
def propose(*, file_bytes: bytes, name: str, actor: Seat | None, at: datetime) -> JointDocument:
    """Lay a file before its parties for their signatures; the same bytes again are the same proposal.

    Raises:
        InvalidRegulation: the file could not be loaded here; with every problem. NotAParty, NotAllowed.
    """
    examined = _examined(file_bytes, name, skip=True)
    regulation = examined.regulation
    loaded = Instrument.objects.filter(digest=hashlib.sha256(file_bytes).hexdigest()).exists()
    if regulation is None or (examined.problems and not loaded):
        raise InvalidRegulation(name=name, problems=examined.problems)
    file_name = f"{regulation.key}-{regulation.version}.toml"
    kept = keep_file(data=file_bytes, name=file_name, media_type=MEDIA_TYPE, at=at)
    parties = [k for k, _ in regulation.parties]
    payload = regulation_payload(key=regulation.key, version=regulation.version, digest=kept.digest, parties=parties)
    return joint.propose(kind="regulation", payload=payload, actor=actor, at=at)


def text_of(document: JointDocument, *, skip: bool = False) -> tuple[Regulation | None, list[Problem]]:
    """Return what the parties of a document sign, read from its file, and what keeps it from being loaded here.

    A file that is not here yet, or that says something else than the document (another key, version or other parties), is such
    a problem too. `skip`: a version number may be left out.
    """
    claims = joint.terms_of(document).claims
    file = File.objects.filter(digest=claims["digest"], kept=True).first()
    if file is None or not is_on_disk(file):
        return None, [Problem(document.name, "digest", "∅", "tệp quy chế chưa đến nút này")]
    if file.size > LARGEST_TEXT:
        return None, [Problem(document.name, "digest", f"{file.size} byte", f"tệp quy chế không quá {LARGEST_TEXT} byte")]
    examined = _examined(read_file(file), file.name, skip=skip)
    regulation, problems = examined.regulation, list(examined.problems)
    if regulation is not None:
        said = (claims["key"], claims["version"], claims["parties"])
        written = (regulation.key, regulation.version, sorted({k for k, _ in regulation.parties}))
        if said != written:
            problems.append(Problem(file.name, "key, version, parties", str(written)[:120], str(said)[:120]))
    if Instrument.objects.filter(digest=claims["digest"]).exists():
        problems = []
    return regulation, problems


def claims_of(document: JointDocument) -> dict[str, Any]:
    """Return what exactly is signed: key, version, the SHA-256 of the file, the parties."""
    return dict(joint.terms_of(document).claims)


def names_in(regulation: Regulation | None) -> dict[str, str]:
    """Return the names of the bodies that the duties of a file name by key, as far as they are known here."""
    keys: set[str] = set()
    for duty in regulation.duties if regulation is not None else ():
        keys |= {s["organisation"] for s in (duty["debtor"], duty["creditor"], *duty.get("copies", [])) if "organisation" in s}
    return {key: o.name for key, o in organisations.organisations_by_keys(keys).items()}


def bring_into_force(*, at: datetime) -> list[Instrument]:
    """Load every version that all parties have signed and that is not here yet; what still lacks something stays for later.

    Called when a signature, a file or an organisation has come; again is harmless. Versions are loaded in their order.
    """
    loaded = set(Instrument.objects.values_list("digest", flat=True))
    complete = [d for d in joint.documents(kind="regulation") if d.complete_at is not None and _digest(d) not in loaded]
    found = []
    for document in sorted(complete, key=lambda d: (joint.terms_of(d).claims["key"], joint.terms_of(d).claims["version"])):
        regulation, problems = text_of(document)
        if regulation is None or problems:
            continue
        file = File.objects.get(digest=_digest(document))
        found.append(load_instrument(file_bytes=read_file(file), name=file.name, actor=None, at=at))
    return found


def ratify(entry: Entry, at: datetime) -> None:
    """React to what may have been the last thing that a signed regulation lacked: a signature, its file, a body."""
    if entry.code == "exchange.dispatch.received":
        told = Dispatch.objects.filter(pk=entry.subject_id, kind__in=[Kind.DIRECTORY, Kind.REGULATION]).exists()
        if not told:
            return
    bring_into_force(at=at)


@transaction.atomic
def sign(*, document: JointDocument, organisation: Organisation, actor: Seat | None, at: datetime) -> JointDocument:
    """Sign a regulation in the name of a party at home here, once its text was read and could be loaded here.

    Raises:
        InvalidRegulation: the file has not come, says something else than the document, or cannot be loaded here.
        Whatever `exchange.joint.sign` raises.
    """
    regulation, problems = text_of(document, skip=True)
    if problems or regulation is None:
        raise InvalidRegulation(name=document.name, problems=problems)
    return joint.sign(document_id=document.pk, organisation=organisation, actor=actor, at=at)
