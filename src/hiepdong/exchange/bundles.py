"""Bundles: what is carried on a stick, from this node and into it. As good as a line, only slower.

An export takes what the other node has not confirmed; exporting again gives the same and what came since. An import checks
the whole file first, then stores all of its items in one transaction (before it nothing is here, after it all is), then
applies them in steps that an interruption does not lose: `hiepdong work` goes on with them.

A node that was restored from a backup carries nothing with a number. Its bundle asks for its own items; the next bundle back
brings them (the echo). Each part says which positions it covers, so parts may come in any order, and one that is lost is
asked for again.
"""

import fcntl
import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import batched, chain
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, Sum
from django.db.models.functions import Length

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require_unless_command
from hiepdong.documents.models import File
from hiepdong.documents.services import path_of
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.shell.bulk import insert

from . import answering, bundle_file, files, intake, link_queries, links, outbox, recovery, signing
from .domain.envelope import instant
from .domain.links import ArrivalState, Item, ItemKind, read_item
from .domain.parts import Load, Part, plan_parts
from .keys import signed_with
from .models import Arrival, Attachment, Bundle, Node, Parcel, Peer, RelayedFile

STEP = 500
APPLIED_AT_ONCE = 1000  # items of one transaction; the word index grows the fewer pieces the larger they are
Progress = Callable[[str, int, int], None]  # what is done ("write", "check", "store", "apply", "files"), how many, of how many


class BundleOfNobody(DomainError):
    """The bundle is not signed by a node that this one is linked with. The fact `to` is what it says, unproven."""

    code = "exchange.bundle_of_nobody"
    message = gettext_noop("The bundle is not signed by a node that this one is linked with: %(what)s.")
    hint = gettext_noop("Nothing of it was taken. Link with that node first, or ask who made this file.")


class BundleForAnother(DomainError):
    """The bundle is addressed to another node."""

    code = "exchange.bundle_for_another"
    message = gettext_noop("The bundle is addressed to another node (%(to)s), not to this one.")
    hint = gettext_noop("Nothing of it was taken. Carry it to the node that it names.")


class BundleOfHere(BundleOfNobody):
    """The bundle was written by this very node."""

    code = "exchange.bundle_of_here"
    message = gettext_noop("The bundle was made by this node itself, for %(peer)s.")
    hint = gettext_noop("Nothing of it was taken. Carry it to that node; from there another file comes back.")


class BundleLocked(signing.NotOpened):
    """The bundle is encrypted to another node."""

    code = "exchange.bundle_locked"
    message = gettext_noop("The bundle is encrypted, and not to this node; or its beginning was damaged.")
    hint = gettext_noop("Nothing of it was taken. Compare the receiving node and the check number with the cover sheet.")


class NothingToCarry(DomainError):
    """There is nothing that the other node has not confirmed."""

    code = "exchange.nothing_to_carry"
    message = gettext_noop("%(name)s holds everything; there is nothing to carry.")
    hint = gettext_noop("A bundle is still of use to tell how far this node holds; ask for it with --empty.")


@dataclass(frozen=True, slots=True)
class Written:
    """One bundle that was written."""

    path: Path
    row: Bundle
    kinds: Mapping[str, int]
    files_size: int
    held_through: int  # what it says of this node: all of the peer's is held up to here
    part: int
    parts: int
    encrypted: bool
    asks: bool = False  # this node was restored and asks for its own items; nothing else goes out
    echo: int | None = None  # how many of its own items it brings a node that asked for them


@dataclass(frozen=True, slots=True)
class Told:
    """What an import brought back of this node's own items, after a restore."""

    items: int
    back: int  # of them, those that were lost here
    counted: bool  # this part is done with: all of it proved to be ours, and answers what was asked
    whole: bool  # the other node has told all that it holds
    over: bool  # and so did every other one: this node sends again


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    row: Bundle
    peer: Peer
    items: int
    fresh: int  # items that were not here
    again: int  # items that were here before
    states: Mapping[str, int]  # of its items now: applied, held, refused, staged
    files_in: int
    reasons: Mapping[str, int] = field(default_factory=dict)  # codes of what is held or refused
    told: Told | None = None  # None: nothing of the kind was asked for, or it did not bring it
    recovering: bool = False  # this node still waits for what this peer holds of it


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look into a bundle says; nothing was taken."""

    peer: Peer | None
    statement: Mapping[str, Any]
    digest: str
    size: int
    kinds: Mapping[str, int]
    here: int  # items that this node holds already
    files: int
    encrypted: bool


# --- out -------------------------------------------------------------------------------------------------------------------


def export(
    *,
    peer_id: int,
    folder: Path,
    encrypt: bool,
    actor: Seat | None,
    at: datetime,
    after: int | None = None,
    most_items: int | None = None,
    most_bytes: int | None = None,
    empty: bool = False,
    progress: Progress = lambda what, done, of: None,
) -> list[Written]:
    """Write what a peer has not confirmed as one bundle, or as several when it is much, and return them.

    `after` takes everything after a position instead (a diode never confirms: there, what came since the last bundle).
    While this node recovers, a bundle carries no items: it says so, and from where on it asks for its own.

    Raises:
        NotLinked: the link is not open. NothingToCarry. BundleNotWritten: the disk is full, gone, read-only.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    peer = answering.open_peer(peer_id)
    if peer.via_id:
        peer = answering.open_peer(peer.via_id)
    asks, through = recovery.is_open(peer), peer.sent_through
    begin = through if asks else peer.confirmed_through if after is None else after
    loose = _asked_for(peer)
    if begin >= through and not loose and not empty and not asks and peer.echo_after is None:
        raise NothingToCarry(name=peer.name)
    sizes: dict[str, Any] = {"most_items": most_items, "most_bytes": most_bytes}
    limits = {k: v for k, v in sizes.items() if v}

    def told(before: int) -> Callable[[int], None]:
        return lambda n: progress("write", before + n, through - begin)

    held = _last_held(peer)
    loads = chain(_echo_loads(peer, held), _loads(peer, begin, through))
    parts = list(plan_parts(loads, loose=[(f.digest, f.size) for f in loose], **limits))
    echoes = _echoes(peer, parts, held)
    written, done = [], 0
    for number, part in enumerate(parts, 1):
        plan = _Plan(peer, part, number, len(parts), folder, encrypt, asks, echoes.get(number))
        written.append(_write(plan, actor, at, told(done)))
        done += part.items
    return written


def last_carried(peer_id: int) -> int:
    """Return the last position that any bundle of this node carried to a peer; 0 if there was none."""
    rows = Bundle.objects.filter(peer=answering.open_peer(peer_id).via_id or peer_id, outgoing=True)
    return int(rows.aggregate(top=Max("last"))["top"] or 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is to be carried to a peer: items that it has not confirmed, since when, and the attachments that are here.

    `asks`: this node was restored; a bundle carries no items and asks the peer for those of this node. `echo`: the peer was
    restored, and as many items of its own are brought to it; None when it does not ask.
    """

    items: int
    since: datetime | None
    files: int
    files_size: int
    asks: bool = False
    echo: int | None = None


def waiting(peer: Peer) -> Waiting:
    """Return what a bundle for a peer would carry now."""
    route = links.peer_for(peer.via_id) if peer.via_id else peer
    asks, echo = recovery.is_open(route), None
    if route.echo_after is not None:
        echo = Arrival.objects.filter(peer=route, position__gt=route.echo_after).count()
    rows = Parcel.objects.filter(peer=route, position__gt=route.confirmed_through)
    since = rows.order_by("position").values_list("made_at", flat=True).first()
    if since is None or asks:
        return Waiting(0, None, 0, 0, asks, echo)
    kept = File.objects.filter(
        kept=True, pk__in=rows.filter(dispatch__attachments__isnull=False).values("dispatch__attachments__file")
    )
    passing = RelayedFile.objects.filter(kept=True, parcel__in=rows).order_by().values("digest", "size").distinct()
    both = [f.aggregate(count=Count("*"), size=Sum("size")) for f in (kept, passing)]
    count, size = (sum(f[what] or 0 for f in both) for what in ("count", "size"))
    return Waiting(route.sent_through - route.confirmed_through, since, count, size, asks, echo)


def _asked_for(peer: Peer) -> list[files.AnyFile]:
    """Return files that the peer's last bundle asked for, that papers of ours to it name, and that are here."""
    found = []
    for digest in peer.wanted[:1000]:
        with suppress(NotFound):
            found.append(answering.file_for(peer_id=peer.pk, digest=str(digest)))
    return found


@dataclass(frozen=True, slots=True)
class _Echo:
    """What one part tells back to a restored node: everything of its own that is held here after a position up to another."""

    after: int
    through: int
    last: int  # the highest position of it that is held here at all


def _last_held(peer: Peer) -> int:
    """Return the highest position of a peer of which an item is here."""
    return int(Arrival.objects.filter(peer=peer).aggregate(top=Max("position"))["top"] or 0)


def _echoes(peer: Peer, parts: Sequence[Part], held: int) -> dict[int, _Echo]:
    """Return what each part, by its number, tells back; the first one speaks even when there is nothing to bring."""
    if peer.echo_after is None:
        return {}
    bearing = [n for n, part in enumerate(parts, 1) if part.echo_items] or [1]
    found, place = {}, peer.echo_after
    for number in bearing:
        through = max(place, held) if number == bearing[-1] else parts[number - 1].echo_last
        found[number], place = _Echo(place, through, held), through
    return found


def _echo_of(peer: Peer, after: int, through: int) -> Iterator[Item]:
    place = after
    while found := recovery.held_of(peer, after=place, limit=STEP):
        for item in found:
            if item.position > through:
                return
            yield item
        place = found[-1].position


def _echo_loads(peer: Peer, held: int) -> Iterator[Load]:
    """Yield the items that a restored peer asks back, with the attachments of its papers."""
    if peer.echo_after is None:
        return
    for chunk in batched(_echo_of(peer, peer.echo_after, held), STEP):
        rows = Arrival.objects.filter(peer=peer, kind=ItemKind.DISPATCH, position__in=[i.position for i in chunk])
        papers = {subject: position for subject, position in rows.values_list("subject", "position") if subject}
        named: dict[int, list[tuple[str, int]]] = {}
        for each in Attachment.objects.filter(dispatch__uuid__in=list(papers)).select_related("file", "dispatch"):
            if files.is_here(each.file):
                named.setdefault(papers[str(each.dispatch.uuid)], []).append((each.file.digest, each.file.size))
        for item in chunk:
            yield Load(item.position, len(item.document) + 100, tuple(named.get(item.position, ())), echo=True)


def _loads(peer: Peer, after: int, through: int) -> Iterator[Load]:
    place = after
    while True:
        rows = list(
            Parcel.objects.filter(peer=peer, position__gt=place, position__lte=through)
            .order_by("position")
            .annotate(a=Length("dispatch__signed"), b=Length("receipt__signed"), c=Length("document"))
            .values_list("position", "a", "b", "c", "dispatch", "pk")[:STEP]
        )
        if not rows:
            return
        named: dict[int, list[tuple[str, int]]] = {}
        attached = Attachment.objects.filter(dispatch__in=[r[4] for r in rows if r[4]]).select_related("file")
        for each in attached:
            if files.is_here(each.file):
                named.setdefault(each.dispatch_id, []).append((each.file.digest, each.file.size))
        relayed: dict[int, list[tuple[str, int]]] = {}
        for passing in files.relayed_to(peer).filter(parcel__in=[r[5] for r in rows if not (r[1] or r[2])]):
            with suppress(NotFound):
                file = answering.file_for(peer_id=peer.pk, digest=passing.digest)
                relayed.setdefault(passing.parcel_id, []).append((file.digest, file.size))
        for position, a, b, c, dispatch, pk in rows:
            yield Load(position, (a or b or c or 0) + 100, (*named.get(dispatch, ()), *relayed.get(pk, ())))
        place = rows[-1][0]


@dataclass(frozen=True, slots=True)
class _Plan:
    peer: Peer
    part: Part
    number: int
    parts: int
    folder: Path
    encrypt: bool
    asks: bool
    echo: _Echo | None


def _write(plan: _Plan, actor: Seat | None, at: datetime, told: Callable[[int], None]) -> Written:
    peer, part, encrypt, echo = plan.peer, plan.part, plan.encrypt, plan.echo
    node = links.this_node()
    bundle_id = uuid.uuid4()
    statement: dict[str, Any] = {
        "format": bundle_file.FORMAT,
        "id": str(bundle_id),
        "from": str(node.node_id),
        "to": str(peer.node_id),
        "incarnation": node.incarnation,
        "made_at": instant(at),
        "sent_through": peer.sent_through,
        "held_through": peer.held_through,
        "wanted": intake.wanted_files(peer, limit=1000),
        "part": plan.number,
        "parts": plan.parts,
        "missing": link_queries.missing_as_said(peer),
    }
    if plan.asks:
        statement["echo_after"] = recovery.told_back(peer).through
    if echo is not None:
        statement["echo"] = {"incarnation": peer.incarnation, **asdict(echo)}
    kinds: Counter[str] = Counter()
    name = bundle_file.bundle_name(
        sender=node.name, receiver=peer.name, first=part.first, last=part.last, part=plan.number, parts=plan.parts
    )
    target = plan.folder / name

    def items() -> Iterator[Mapping[str, Any]]:
        place = part.first - 1
        while part.items and place < part.last:
            found = outbox.items_after(peer, place, limit=STEP, most_bytes=8 * 1024 * 1024)
            for item in found:
                if item.position > part.last:
                    return
                kinds[item.kind] += 1
                yield item.as_json()
            place = found[-1].position if found else part.last

    passing = {f.digest: f for f in files.relayed_to(peer).filter(kept=True, digest__in=part.files) if files.is_here(f)}
    sources = [(d, files.place_of(passing[d]) if d in passing else path_of(d)) for d in part.files]
    with _working_folder() as work:
        plain = work / name if encrypt and peer.age_recipient else target
        digest = bundle_file.write_bundle(
            plain,
            statement=statement,
            items=items(),
            files=sources,
            sign=lambda payload: signed_with(links.carrying_key(peer, at), payload, typ=signing.BUNDLE_TYPE),
            progress=told,
            source=node.name,
            echo=(i.as_json() for i in _echo_of(peer, echo.after, echo.through)) if echo is not None else (),
        )
        if plain != target:
            target = plan.folder / f"{name}.age"
            digest = bundle_file.encrypt_bundle(plain, target, recipient=peer.age_recipient)
    with transaction.atomic():
        row = Bundle.objects.create(
            uuid=bundle_id,
            peer=peer,
            outgoing=True,
            name=target.name,
            digest=digest,
            size=target.stat().st_size,
            first=part.first,
            last=part.last,
            items=part.items,
            files=len(part.files),
            made_at=at,
            at=at,
        )
        facts: dict[str, Any] = {"digest": digest, "items": part.items, "first": part.first, "last": part.last}
        if plan.asks:
            facts["echo_after"] = statement["echo_after"]
        if echo is not None:
            facts["echo"] = part.echo_items
        record("exchange.bundle.written", subject=row, actor=actor, at=at, name=target.name, facts=facts)
        for file in passing.values():
            files.note_given(file, at=at)
    sizes = dict(File.objects.filter(digest__in=part.files).values_list("digest", "size"))
    sizes |= {f.digest: f.size for f in passing.values()}
    return Written(
        target,
        row,
        dict(kinds),
        sum(sizes.values()),
        peer.held_through,
        plan.number,
        plan.parts,
        encrypted=target.name != name,
        asks=plan.asks,
        echo=part.echo_items if echo is not None else None,
    )


@contextmanager
def _working_folder() -> Iterator[Path]:
    """Give a folder inside the node's data for what must not lie about in plain, and remove it.

    What a killed process left in plain is removed by the next one: a living one holds a lock on its folder.
    """
    base = Path(settings.HIEPDONG_DATA)
    base.mkdir(parents=True, exist_ok=True)
    with _locked_folder(base):  # nobody takes a folder for left that was made just now
        for left in base.glob("bundle-*"):
            with suppress(OSError), _locked_folder(left, wait=False):
                shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix="bundle-", dir=base))
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextmanager
def _locked_folder(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a folder. Raises OSError: it is gone, or somebody holds it and `wait` is not asked for."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


# --- in --------------------------------------------------------------------------------------------------------------------


@contextmanager
def _plain(path: Path) -> Iterator[tuple[Path, bool]]:
    """Give the bundle decrypted, and whether it was encrypted."""
    if not bundle_file.is_encrypted(path):
        yield path, False
        return
    node = links.this_node()
    with _working_folder() as work:
        opened = work / "bundle.zip"
        try:
            bundle_file.decrypt_bundle(
                path,
                opened,
                recipient=node.age_recipient,
                identity_sealed=node.age_identity_encrypted,
                secret=settings.SECRET_KEY,
            )
        except signing.NotOpened as error:
            raise BundleLocked from error
        yield opened, True


def _verified(document: bytes) -> Mapping[str, Any]:
    try:
        claims, peer = links.verified_of_peer(document, typ=signing.BUNDLE_TYPE)
    except signing.BadSignature as error:
        raise BundleOfNobody(what=str(error.facts.get("what", "")), to=_named_to(document)) from error
    if claims.get("from") != str(peer.node_id):
        raise BundleOfNobody(what="from", to=str(claims.get("to"))[:40])
    node = links.this_node()
    if claims.get("to") != str(node.node_id):
        raise BundleForAnother(to=str(claims.get("to"))[:40])
    if peer.state != Peer.State.LINKED:
        raise intake.NotLinked(name=peer.name)
    return claims


def _refuse_own(digest: str) -> None:
    """Raise `BundleOfHere` if this node has written the file; else people would only hear that it cannot be opened."""
    own = Bundle.objects.filter(digest=digest, outgoing=True).select_related("peer").first()
    if own is not None:
        raise BundleOfHere(peer=own.peer.name, to=str(own.peer.node_id))


def _named_to(document: bytes) -> str:
    """Return the node that an unproven statement names as its addressee, for people who look through a stick."""
    with suppress(signing.BadSignature):
        return str(signing.claims_of(document).get("to"))[:40]
    return ""


def _checked(plain: Path, progress: Progress) -> AbstractContextManager[bundle_file.Bundle]:
    """Open a bundle after all of it was checked; `progress` hears of how many items of how many."""
    of = 0

    def verify(document: bytes) -> Mapping[str, Any]:
        nonlocal of
        claims = _verified(document)
        of = claims["items"] if isinstance(claims.get("items"), int) else 0
        return claims

    return bundle_file.open_bundle(plain, verify=verify, progress=lambda n: progress("check", n, of))


def inspect(*, path: Path, progress: Progress = lambda what, done, of: None) -> Seen:
    """Check a bundle whole and say what is in it; nothing is taken.

    Raises:
        BundleRefused and its kinds, BundleOfNobody, BundleForAnother, BundleLocked, SealBroken.
    """
    digest = bundle_file.digest_of_file(path)
    _refuse_own(digest)
    with (
        _plain(path) as (plain, encrypted),
        _checked(plain, progress) as bundle,
    ):
        peer = Peer.objects.filter(node_id=bundle.statement["from"]).first()
        kinds: Counter[str] = Counter()
        here = 0
        for chunk in _chunks(bundle.items()):
            kinds.update(i.kind for i in chunk)
            here += Arrival.objects.filter(peer=peer, position__in=[i.position for i in chunk]).count()
        return Seen(
            peer,
            bundle.statement,
            digest,
            path.stat().st_size,
            dict(kinds),
            here,
            len(bundle.files),
            encrypted,
        )


def _chunks(lines: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[Item]]:
    return batched(map(read_item, lines), STEP)


def take(
    *,
    path: Path,
    actor: Seat | None,
    at: datetime,
    progress: Progress = lambda what, done, of: None,
    name: str = "",
) -> Imported:
    """Import a bundle: all of it is stored, or nothing; then it is applied. Importing it again, in any order, is harmless.

    `name` is what people call the file, when `path` is only where an upload was put.

    Raises:
        BundleRefused and its kinds, BundleOfNobody, BundleForAnother, NotLinked, BundleLocked, SealBroken: nothing was taken.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    digest, size = bundle_file.digest_of_file(path), path.stat().st_size
    _refuse_own(digest)
    with (
        _plain(path) as (plain, _),
        _checked(plain, progress) as bundle,
    ):
        said = bundle.statement
        row, fresh = _store(bundle, digest, size, name or path.name, actor, at, progress)
        _greeted(row.peer_id, said, at)
        told = _take_echo(bundle, row.peer_id, at, progress) if "echo" in said else None
        finish(bundle_id=row.pk, at=at, progress=progress)
        arrived, all_files = _files(bundle, row.peer, at, progress)
    peer = links.peer_for(row.peer_id)
    if all_files and (told is None or told.counted):
        Bundle.objects.filter(pk=row.pk, taken_at=None).update(taken_at=at)
    row.refresh_from_db()
    states, reasons = became_of(row)
    return Imported(
        row,
        peer,
        row.items,
        fresh,
        row.items - fresh,
        states,
        arrived,
        reasons,
        told=told,
        recovering=recovery.is_open(peer),
    )


def became_of(row: Bundle) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many of the items that a bundle brought first are in which state now, and why some are held or refused."""
    own = Arrival.objects.filter(bundle=row).order_by()
    states = {r["state"]: r["n"] for r in own.values("state").annotate(n=Count("pk"))}
    codes = own.filter(state__in=(ArrivalState.HELD, ArrivalState.REFUSED)).values("code").annotate(n=Count("pk"))
    return states, {r["code"]: r["n"] for r in codes.order_by("-n", "code")}


@transaction.atomic
def _store(
    bundle: bundle_file.Bundle, digest: str, size: int, name: str, actor: Seat | None, at: datetime, progress: Progress
) -> tuple[Bundle, int]:
    """Store all items of a bundle that are not here, in one transaction; returns its row and how many were fresh."""
    said = bundle.statement
    peer = Peer.objects.select_for_update(of=("self",)).get(node_id=said["from"])
    row, made = Bundle.objects.get_or_create(
        peer=peer,
        outgoing=False,
        uuid=uuid.UUID(str(said["id"])),
        defaults={
            "name": name[:200],
            "digest": digest,
            "size": size,
            "first": int(said["first"]),
            "last": int(said["last"]),
            "items": int(said["items"]),
            "files": len(bundle.files),
            "made_at": datetime.fromisoformat(str(said["made_at"])),
            "at": at,
        },
    )
    fresh = 0
    for chunk in _chunks(bundle.items()):
        known = dict(
            Arrival.objects.filter(peer=peer, position__in=[i.position for i in chunk]).values_list("position", "digest")
        )
        rows = []
        for item in chunk:
            held = known.get(item.position)
            if held is None:
                rows.append(_staged(peer, item, row, at))
            elif held != item.digest:
                facts = {"position": item.position, "held": held, "came": item.digest}
                links.note_incident(peer=peer, code="exchange.position_reused", facts=facts, at=at)
        insert(rows)
        fresh += len(rows)
        progress("store", chunk[-1].position - row.first + 1, row.items)
    if made:
        row.staged_at = at
        row.save(update_fields=["staged_at"])
        facts = {"digest": digest, "items": row.items, "fresh": fresh, "from": peer.name}
        record("exchange.bundle.taken", subject=row, actor=actor, at=at, name=name, facts=facts)
    return row, fresh


def _staged(peer: Peer, item: Item, row: Bundle, at: datetime) -> Arrival:
    return Arrival(
        peer=peer,
        position=item.position,
        kind=item.kind,
        digest=item.digest,
        way="bundle",
        document=item.document,
        hops=list(item.hops),
        received_at=at,
        state=ArrivalState.STAGED,
        bundle=row,
    )


def finish(*, bundle_id: int, at: datetime, progress: Progress = lambda what, done, of: None) -> int:
    """Apply what a stored bundle still holds staged, step by step; returns how many items. Interrupted, it goes on later."""
    done = 0
    row = Bundle.objects.get(pk=bundle_id)
    while settled := intake.settle_staged(bundle_id=bundle_id, at=at, limit=APPLIED_AT_ONCE):
        done += settled
        progress("apply", done, row.items)
    if row.finished_at is None:
        row.finished_at = at
        row.save(update_fields=["finished_at"])
    return done


def finish_interrupted(*, at: datetime) -> int:
    """Go on with bundles whose import was interrupted after they were stored; returns how many items were applied."""
    open_ones = Bundle.objects.filter(outgoing=False, staged_at__isnull=False, finished_at__isnull=True)
    return sum(finish(bundle_id=b.pk, at=at) for b in open_ones.filter(peer__state=Peer.State.LINKED))


def _take_echo(bundle: bundle_file.Bundle, peer_id: int, at: datetime, progress: Progress) -> Told | None:
    """Take back this node's own items; None when nobody asks for them any more.

    What bears a signature of this node is believed whenever it comes. That the peer has told all counts only when it answers
    what was asked since the last restore, and when each item in its part proved to be ours.
    """
    said = bundle.statement["echo"]
    peer = links.peer_for(peer_id)
    if not recovery.is_open(peer):
        return None
    alone = said["after"] > recovery.told_back(peer).through
    items = back = 0
    good = True
    for chunk in _chunks(bundle.echo()):
        back += recovery.take_back(peer_id=peer_id, items=chunk, at=at, alone=alone)
        good = good and recovery.all_known(peer, chunk)
        items += len(chunk)
        progress("echo", items, said["items"])
    whole = False
    counted = good and said["incarnation"] == links.this_node().incarnation
    if counted:
        held = bundle.statement["held_through"]
        whole = recovery.note_told(
            peer_id=peer_id, after=said["after"], through=said["through"], last=said["last"], held=held, at=at
        )
    return Told(items, back, counted, whole, over=links.this_node().state == Node.State.NORMAL)


@transaction.atomic
def _greeted(peer_id: int, said: Mapping[str, Any], at: datetime) -> None:
    """Take what a bundle says of its maker: how far it holds, what files it misses, whether it was restored since."""
    peer = Peer.objects.select_for_update(of=("self",)).get(pk=peer_id)
    incarnation, held = str(said["incarnation"])[:32], int(said["held_through"])
    if incarnation in peer.earlier_incarnations:
        return  # a stick of before the restore: its marks say nothing about now
    wanted = [str(w) for w in said.get("wanted", []) if isinstance(w, str)][:1000]
    peer.wanted, peer.echo_after = wanted, said.get("echo_after")
    if peer.echo_after is None:
        peer.echo_ended = incarnation
    elif peer.echo_ended == incarnation:
        peer.echo_after = None  # it asked before it had its answer
    peer.missing = link_queries.read_missing(said.get("missing"))
    answering.note_incarnation(peer, incarnation, held, at)
    marks = ["incarnation", "earlier_incarnations", "confirmed_through", "wanted", "missing", "echo_after", "echo_ended"]
    peer.save(update_fields=marks)
    intake.confirmed(peer_id=peer_id, held_through=held, carried=True, at=at)


def _files(bundle: bundle_file.Bundle, peer: Peer, at: datetime, progress: Progress) -> tuple[int, bool]:
    """Keep the attachments that papers here name and that were missing; what nobody names is left where it is.

    Returns how many were kept, and whether the file is needed no more: there was room for all.
    """
    arrived, room, listed = 0, True, sorted(bundle.files)
    for place in range(0, len(listed), STEP):
        some = listed[place : place + STEP]
        missing: dict[str, files.AnyFile] = {f.digest: f for f in File.objects.filter(digest__in=some, kept=False)}
        for passing in RelayedFile.objects.filter(giver=peer, digest__in=some, kept=False).select_related("giver"):
            missing.setdefault(passing.digest, passing)
        for file in missing.values():
            files.gathered_path(file, peer).unlink(missing_ok=True)
            try:
                files.gather_all(file, peer, bundle.file(file.digest), at=at)
            except (files.FileWrong, files.PieceUnusable) as error:
                links.note_incident(peer=peer, code=error.code, facts={"digest": file.digest}, at=at)
                continue
            except DomainError as error:  # a secrecy mark, a full disk: the paper stays with its marked hole
                room = room and not isinstance(error, files.DiskFull)
                links.note_incident(peer=peer, code=error.code, facts={"digest": file.digest}, at=at)
                continue
            file.refresh_from_db()
            arrived += file.kept
        progress("files", min(place + STEP, len(listed)), len(listed))
    return arrived, room
