"""The folder for the inspector: a case, or a pair of organisations for a period, as signed bytes that prove themselves.

It reads, it changes nothing. What goes in is what the asking seat may see: a paper that it may not see and one that is not
here look alike. What is named and not in the folder is told in its own words, and the verifier names it again. Papers beside
the case are left out, even the one before it in the sequence: its number and digest stand in the signed paper.
"""

import hashlib
import json
import uuid
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, BinaryIO

from django.db.models import Max, Min, Q, QuerySet
from django.utils.translation import gettext as _

from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.documents.models import File
from hiepdong.documents.services import path_of
from hiepdong.journal import queries as journal
from hiepdong.journal.domain.chain import EntryFacts
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.kernel.moments import at_local, local_day
from hiepdong.organisations.models import Organisation
from hiepdong_verify.folder import files_of
from hiepdong_verify.verify import Refused, read_compact

from . import joint, links, queries, signing, statements
from .bundle_file import safe_name
from .domain.envelope import instant
from .domain.evidence import Proof, proof_of
from .models import (
    Addressee,
    Arrival,
    Attachment,
    Dispatch,
    JointDocument,
    NodeKey,
    Parcel,
    Peer,
    PeerCheckpoint,
    Receipt,
    SigningKey,
)

NO_NODE = str(uuid.UUID(int=0))  # stands for a node that has no identity of its own
PAGE = 200
MOST_FILES = 60_000  # a zip without ZIP64 holds 65,535
MOST_BYTES = 4 * 1000**3
MOST_RELATED = 1_000
NAMED_MISSING = 200


class EvidenceTooLarge(DomainError):
    """The folder would not fit into one zip that every program can read."""

    code = "exchange.evidence_too_large"
    message = gettext_noop("The folder would hold %(files)s files of %(megabytes)s MB together: too much for one file.")
    hint = gettext_noop("Choose a shorter period and make one folder for each part of it.")


class EvidenceNotWritten(DomainError):
    """The disk took it not, or a file vanished meanwhile."""

    code = "exchange.evidence_not_written"
    message = gettext_noop("The folder could not be written: %(why)s.")
    hint = gettext_noop("Make room on the node's disk, or choose a shorter period.")


class PeriodUnusable(DomainError):
    """The last day lies before the first."""

    code = "exchange.evidence_period"
    message = gettext_noop("The period from %(first)s to %(last)s ends before it begins.")
    hint = gettext_noop("Write the first day first; both days are included.")


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: the name of the outer folder, counts, what is named and not in it, in words."""

    name: str
    dispatches: int
    receipts: int
    attachments: int
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the facts for a machine."""
        return {
            "name": self.name, "dispatches": self.dispatches, "receipts": self.receipts, "attachments": self.attachments,
            "missing": list(self.missing),
        }  # fmt: skip


@dataclass
class _Plan:
    """What is to be written, as numbers and digests; the bytes are read while they are written."""

    name: str
    title: str
    papers: list[int]
    complete: list[tuple[str, str, int, int]] = field(default_factory=list)
    joint: list[int] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    size: int = 0


def write_case(*, seat: Seat | None, dispatch_uuid: uuid.UUID, target: BinaryIO, at: datetime) -> Made:
    """Write the folder of one paper and of what replaces or withdraws it, as a zip.

    Args:
        seat: who asks; None for a command typed on the server.
        target: file open for writing, at its beginning.

    Raises:
        NotFound: no such paper, or not for this seat. EvidenceTooLarge.
    """
    paper = queries.papers_for(seat).filter(uuid=dispatch_uuid).select_related("sender").first()
    if paper is None:
        raise NotFound
    facts = {
        "notation": paper.notation,
        "day": local_day(paper.sent_at).strftime("%d/%m/%Y"),
        "sender": paper.sender.name,
        "subject": paper.subject,
    }
    title = _("%(notation)s of %(day)s, %(sender)s: %(subject)s") % facts
    name = f"ho-so-{safe_name(paper.notation)[:40]}-{local_day(paper.sent_at):%Y%m%d}"
    return _write(_Plan(name, title, _with_related(seat, [paper.pk])), seat, target, at)


def write_pair(
    *, seat: Seat | None, one: Organisation, other: Organisation, first: date, last: date, target: BinaryIO, at: datetime
) -> Made:
    """Write the folder of everything that two organisations sent each other in a period of local days, both included.

    Whole sequences: what a clock put on another day, and lies between two numbers of the period, goes with them.

    Raises:
        NotFound: the seat sees papers of neither. PeriodUnusable. EvidenceTooLarge.
    """
    if seat is not None and not {one.pk, other.pk} & visible_organisation_ids(seat):
        raise NotFound
    if last < first:
        raise PeriodUnusable(first=first.strftime("%d/%m/%Y"), last=last.strftime("%d/%m/%Y"))
    own: list[int] = []
    complete, missing = [], []
    for sender, recipient in ((one, other), (other, one)):
        way = Addressee.objects.filter(sender_id_copy=sender.pk, organisation=recipient)
        within = way.filter(sent_at__gte=at_local(first), sent_at__lt=at_local(last + timedelta(days=1)))
        ends = within.aggregate(low=Min("sequence"), high=Max("sequence"))
        if ends["low"] is None:
            continue
        rows = way.filter(sequence__gte=ends["low"], sequence__lte=ends["high"]).order_by("sequence")
        numbers = []
        for pk, sequence in rows.values_list("dispatch_id", "sequence").iterator(chunk_size=2000):
            own.append(pk)
            numbers.append(sequence)
        complete.append((sender.key, recipient.key, ends["low"], ends["high"]))
        absent = sorted(set(range(ends["low"], ends["high"] + 1)) - set(numbers))
        ways = {"sender": sender.name, "recipient": recipient.name}
        missing += [_("number %(number)s, %(sender)s to %(recipient)s") % {"number": n, **ways} for n in absent[:NAMED_MISSING]]
    facts = {"one": one.name, "other": other.name, "first": first.strftime("%d/%m/%Y"), "last": last.strftime("%d/%m/%Y")}
    title = _("%(one)s and %(other)s, %(first)s – %(last)s") % facts
    name = f"ho-so-{safe_name(one.key)[:30]}-{safe_name(other.key)[:30]}-{first:%Y%m%d}-{last:%Y%m%d}"
    plan = _Plan(name, title, _with_related(seat, own), complete=complete, missing=missing)
    plan.joint = _accounts(one, other, first, last)
    return _write(plan, seat, target, at)


def _accounts(one: Organisation, other: Organisation, first: date, last: date) -> list[int]:
    """Return the statements of account of the months that lie in the period as a whole, where somebody signed."""
    found, month = [], first.replace(day=1)
    while month <= last:
        after = (month + timedelta(days=32)).replace(day=1)
        if first <= month and after - timedelta(days=1) <= last:
            found += [d.pk for d in statements.of_pair(one, other, f"{month:%Y-%m}") if d.signatures]
        month = after
    return found


def _with_related(seat: Seat | None, papers: list[int]) -> list[int]:
    """Return the papers, and those that replace or withdraw one of them or are replaced or withdrawn by one, step by step."""
    found = dict.fromkeys(papers)
    fresh = list(found)
    while fresh and len(found) < len(papers) + MOST_RELATED:
        beside: list[int] = []
        for some in _pages(fresh):
            visible = queries.papers_for(seat)
            near = visible.filter(Q(replaces__in=some) | Q(withdraws__in=some))
            near |= visible.filter(Q(replaced_by__in=some) | Q(withdrawn_by__in=some))
            beside += near.order_by("pk").values_list("pk", flat=True).distinct()
        fresh = [pk for pk in dict.fromkeys(beside) if pk not in found]
        found |= dict.fromkeys(fresh)
    return list(found)


def _pages(pks: Collection[int]) -> Iterator[list[int]]:
    listed = list(pks)
    for start in range(0, len(listed), PAGE):
        yield listed[start : start + PAGE]


# --- writing ---------------------------------------------------------------------------------------------------------------


def _write(plan: _Plan, seat: Seat | None, target: BinaryIO, at: datetime) -> Made:
    work = _Work(plan, seat, at)
    work.foresee()
    count = len(plan.papers) + work.receipts + len(plan.files) + work.entries + len(plan.joint)
    size = plan.size + work.bytes
    if count > MOST_FILES or size > MOST_BYTES:
        raise EvidenceTooLarge(files=count, megabytes=size // 1000**2)
    written = local_day(at)
    stamp = (written.year, written.month, written.day, 0, 0, 0)
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
            for name, data in work.files():
                archive.writestr(_member(plan.name, name, stamp), data)
            for digest in plan.files:
                member = _member(plan.name, f"files/{digest}", stamp, packed=False)
                with path_of(digest).open("rb") as source, archive.open(member, "w") as inner:
                    while piece := source.read(1 << 20):
                        inner.write(piece)
    except zipfile.LargeZipFile as error:
        raise EvidenceTooLarge(files=count, megabytes=size // 1000**2) from error
    except OSError as error:
        raise EvidenceNotWritten(why=error.strerror or str(error)) from error
    return Made(plan.name, len(plan.papers), work.receipts, len(plan.files), tuple(plan.missing))


def _member(folder: str, name: str, stamp: tuple[int, int, int, int, int, int], *, packed: bool = True) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(f"{folder}/{name}", stamp)
    # What was sent may be packed to nothing (a picture of one colour), which a careful reader takes for a bomb.
    member.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    member.external_attr = 0o100644 << 16
    return member


class _Work:
    """One folder while it is written: what is needed is found first, the bytes are read page by page."""

    def __init__(self, plan: _Plan, seat: Seat | None, at: datetime) -> None:
        self.plan, self.seat, self.at = plan, seat, at
        self.node = links.node_or_none()
        self.node_id = str(self.node.node_id) if self.node else NO_NODE
        self.receipts = self.entries = self.bytes = 0
        self.newest = Receipt.objects.aggregate(top=Max("id"))["top"] or 0  # what comes meanwhile is left for the next folder
        self.owners: set[int] = set()
        self.peers: set[int] = set()
        self.proof = self.stamped = Proof((), (), ())  # up to what another node holds; up to what an authority stamped
        self.shown: frozenset[int] = frozenset() if seat is None else visible_organisation_ids(seat)

    # what is needed

    def foresee(self) -> None:
        """Find whose keys are needed, which seals, which attachments are here, and what is named and not here."""
        here: set[str] = set()
        named: dict[str, str] = {}
        seals: set[int] = set()
        files: dict[int, File] = {}
        relays: set[str] = set()  # nodes that carried something of it; their keys go with it, as far as they are known here
        for some in _pages(self.plan.papers):
            for d in Dispatch.objects.filter(pk__in=some).only("uuid", "notation", "signed", "sender_id", "kind"):
                here.add(str(d.uuid))
                self.owners.add(d.sender_id)
                self.bytes += len(d.signed)
                claims = signing.claims_of(bytes(d.signed))
                for other in (claims.get("replaces"), claims.get("withdraws")):
                    if other:
                        named[str(other)] = d.notation
            for a in Attachment.objects.filter(dispatch__in=some).select_related("file", "dispatch").order_by("id"):
                if a.file_id not in files:
                    files[a.file_id] = a.file
                    self._foresee_file(a)
            rows = self._receipts_of(some).values_list("addressee__organisation", "digest")
            self.receipts += len(rows)
            self.owners |= {o for o, _digest in rows}
            for seal, _data in self._entries_of(some):
                seals.add(seal)
                self.entries += 1
            digests = [*Dispatch.objects.filter(pk__in=some).values_list("digest", flat=True), *(d for _owner, d in rows)]
            for peer_id, hops in Arrival.objects.filter(digest__in=digests).values_list("peer", "hops"):
                self.peers.add(peer_id)
                relays |= {str(signing.claims_of(hop).get("node")) for hop in _readable_hops(hops)}
        self.peers |= {pk for pk, node in Peer.objects.values_list("pk", "node_id") if str(node) in relays}
        for document in JointDocument.objects.filter(pk__in=self.plan.joint):
            self.owners |= set(Organisation.objects.filter(key__in=document.parties).values_list("pk", flat=True))
        self.bytes += 1000 * self.receipts
        self.plan.missing += [
            _("the paper %(uuid)s, which %(notation)s replaces or withdraws") % {"uuid": other, "notation": notation}
            for other, notation in sorted(named.items())
            if other not in here
        ][:NAMED_MISSING]
        self.peers |= {h for h in links.homes_of(self.owners).values() if h}
        witnessed = PeerCheckpoint.objects.filter(ours=True, witness__isnull=False)
        self.proof = proof_of(seals, witnessed=witnessed.values_list("seal", flat=True).distinct())
        self.stamped = proof_of(seals, witnessed=journal.stamped_seals())
        self.peers |= set(witnessed.filter(seal__in=self.proof.checkpoints).values_list("peer", flat=True))
        self.entries += len(self._seal_numbers()) + len(self.stamped.checkpoints)

    def _foresee_file(self, attachment: Attachment) -> None:
        digest, size = attachment.file.digest, 0
        found = hashlib.sha256()
        try:
            with path_of(digest).open("rb") as source:
                while piece := source.read(1 << 20):
                    found.update(piece)
                    size += len(piece)
        except OSError:
            size = 0
        if found.hexdigest() == digest:
            self.plan.files.append(digest)
            self.plan.size += size
        elif len(self.plan.missing) < NAMED_MISSING:
            facts = {"name": attachment.name, "notation": attachment.dispatch.notation}
            self.plan.missing.append(_("the attachment %(name)s of %(notation)s") % facts)

    def _receipts_of(self, papers: Collection[int]) -> QuerySet[Receipt]:
        return Receipt.objects.filter(addressee__dispatch__in=papers, id__lte=self.newest).order_by("id")

    def _entries_of(self, papers: Collection[int]) -> Iterator[tuple[int, bytes]]:
        """Yield what the journal has about papers and a seal covers: the number of the seal, the bytes of the entry."""
        for seal, data, entry in journal.sealed_entries_about(kind="exchange.Dispatch", pks=papers):
            if self._may_show(entry):
                yield seal, data

    def _may_show(self, entry: EntryFacts) -> bool:
        """Say whether the entry may be shown: who in another organisation pressed the button is that one's business."""
        if self.seat is None:
            return True
        if entry.organisation_id is not None:
            return entry.organisation_id in self.shown
        return not (isinstance(entry.facts, dict) and "narrowed" in entry.facts)

    # the files

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file but the attachments."""
        statements_of_keys, kids = self._statements()
        yield from files_of(
            about=self._about(),
            made_at=instant(self.at),
            made_by=self.node_id if self.node else _("a node without an identity of its own"),
            documents=self._documents(statements_of_keys),
            joint=(
                json.dumps(joint.as_json(d), ensure_ascii=False).encode()
                for d in JointDocument.objects.filter(pk__in=self.plan.joint).order_by("id")
            ),
            seals=self._seals(),
            stamps=journal.stamps_of(self.stamped.checkpoints),
            entries=(data for some in _pages(self.plan.papers) for _seal, data in self._entries_of(some)),
            complete=self.plan.complete,
            nodes=self._nodes(),
            keys=self._keys(kids),
            attachments=self.plan.files,
        )

    def _about(self) -> str:
        lines = [self.plan.title]
        if self.plan.missing:
            lines.append(_("Not in this folder, because it is not here or not for who asked:"))
            lines += [f"- {what}" for what in self.plan.missing]
        if set(self.proof.open) & set(self.stamped.open):
            lines.append(_("What this node wrote down last about these papers has no witness outside of it yet."))
        return "\n".join(lines)

    def _documents(self, statements_of_keys: Iterable[bytes]) -> Iterator[bytes]:
        for some in _pages(self.plan.papers):
            digests = []
            for digest, signed in Dispatch.objects.filter(pk__in=some).order_by("id").values_list("digest", "signed"):
                digests.append(digest)
                yield bytes(signed)
            for digest, signed in self._receipts_of(some).values_list("digest", "signed"):
                digests.append(digest)
                yield bytes(signed)
            for hops in (
                Arrival.objects.filter(digest__in=digests).exclude(hops=[]).order_by("id").values_list("hops", flat=True)
            ):
                yield from _readable_hops(hops)
        yield from statements_of_keys
        for peer in Peer.objects.filter(pk__in=self.peers).order_by("id"):
            yield bytes(peer.invitation)
        witnessed = PeerCheckpoint.objects.filter(ours=True, witness__isnull=False, seal__in=self.proof.checkpoints)
        for checkpoint in witnessed.order_by("seal", "id"):
            yield bytes(checkpoint.document)
            yield bytes(checkpoint.witness or b"")

    def _seals(self) -> Iterator[bytes]:
        for number in self._seal_numbers():
            text = journal.seal_text(number)
            if text is not None:
                yield text

    def _seal_numbers(self) -> list[int]:
        stretches = (*self.proof.seals, *self.stamped.seals)
        return sorted({number for first, last in stretches for number in range(first, last + 1)})

    def _statements(self) -> tuple[list[bytes], list[SigningKey]]:
        """Return the statements about the keys of those who signed here, and these keys, earlier ones too."""
        keys = list(SigningKey.objects.filter(organisation__in=self.owners).select_related("organisation").order_by("id"))
        digests: list[str] = []
        for kind, pks in (
            ("exchange.SigningKey", [k.pk for k in keys]),
            ("exchange.NodeKey", list(NodeKey.objects.filter(self._own_and_peers()).values_list("pk", flat=True))),
        ):
            for entry in journal.facts_about(kind=kind, pks=pks):
                listed = entry.get("statements")
                digests += [d for d in listed if isinstance(d, str)] if isinstance(listed, list) else []
        found: dict[str, bytes] = {}
        for rows in (Parcel.objects.filter(digest__in=digests), Arrival.objects.filter(digest__in=digests)):
            for digest, document in rows.exclude(document=None).values_list("digest", "document"):
                found[digest] = bytes(document or b"")
        return [found[d] for d in dict.fromkeys(digests) if d in found], keys

    def _own_and_peers(self) -> Q:
        return Q(peer__isnull=True) | Q(peer__in=self.peers)

    def _nodes(self) -> Iterator[dict[str, Any]]:
        speaker = self.node.speaker.key if self.node and self.node.speaker else ""
        name = self.node.name if self.node else _("a node without an identity of its own")
        yield {"id": self.node_id, "name": name, "speaker": speaker}
        for peer in Peer.objects.filter(pk__in=self.peers).select_related("speaker").order_by("id"):
            yield {"id": str(peer.node_id), "name": peer.name, "speaker": peer.speaker.key if peer.speaker else ""}

    def _keys(self, keys: Iterable[SigningKey]) -> Iterator[dict[str, Any]]:
        homes = links.homes_of(self.owners)
        peers = {p.pk: str(p.node_id) for p in Peer.objects.filter(pk__in=self.peers)}
        for key in keys:
            home = homes.get(key.organisation_id)
            node = self.node_id if key.private_encrypted else peers.get(home or 0, self.node_id)
            yield _row(key.organisation.key, node, key)
        for own in NodeKey.objects.filter(self._own_and_peers()).order_by("id"):
            yield _row("", peers.get(own.peer_id or 0, self.node_id), own)


def _readable_hops(hops: Iterable[object]) -> Iterator[bytes]:
    """Yield hops that are documents: they are kept as they came, and a careless relay may have put anything there."""
    for hop in hops:
        document = str(hop).encode("ascii", "replace")
        with suppress(Refused):
            if read_compact(document, "").kind == "hop":
                yield document


def _row(owner: str, node: str, key: SigningKey | NodeKey) -> dict[str, Any]:
    return {
        "owner": owner,
        "node": node,
        "jwk": signing.public_half(key.public_jwk),
        "valid_from": instant(key.valid_from),
        "valid_until": instant(key.valid_until) if key.valid_until else None,
        "revoked_at": instant(key.revoked_at) if key.revoked_at else None,
    }
