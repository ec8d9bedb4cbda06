"""What people ask for on the page of bundles: to have one written, to have one looked into and taken in.

Each request is an errand: a folder of its own in the node's data, with a note (errand.json), the file, and how far the work is
(progress.json). Small errands are done at once; large ones by `hiepdong work`, so that no page waits for minutes. An errand
that was interrupted is done again from its beginning, which is harmless: taking in twice changes nothing. What is in these
folders is a convenience, never the record: that stands in the tables of bundles, arrivals and parcels.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop

from . import answering, bundle_covers, bundles, link_queries, links
from .bundle_refusals import BundleNotWritten, shown
from .cover_sheet import BundleFacts
from .models import Bundle, Peer

AT_ONCE_ITEMS = 5_000  # more are left to `hiepdong work`
AT_ONCE_BYTES = 16 * 1024 * 1024
LARGEST_UPLOAD = 2 * 1024**3  # what is larger is imported from the stick by the command
MOST_UPLOADS = 10  # that wait for a decision
MOST_EXPORTS = 20  # that are kept for another download
KEPT_UPLOAD = timedelta(days=1)
KEPT_EXPORT = timedelta(days=30)
TOKEN = re.compile(r"[0-9a-f]{32}")
PROGRESS_SECONDS = 0.5


class UploadTooLarge(DomainError):
    """The file is larger than the page takes."""

    code = "exchange.bundle_upload_too_large"
    message = gettext_noop("The file %(name)s has %(size)s bytes; the page takes at most %(most)s.")
    hint = gettext_noop("Put the stick into the server and run: hiepdong bundle import FILE")


class TooManyUploads(DomainError):
    """So many uploaded bundles wait for a decision that no more are taken."""

    code = "exchange.too_many_bundle_uploads"
    message = gettext_noop("%(count)s uploaded bundles wait for somebody to import them or to put them away.")
    hint = gettext_noop("Import those or put them away first; what nobody decides on is removed after a day.")


class ErrandBusy(DomainError):
    """The work on an errand is under way."""

    code = "exchange.bundle_errand_busy"
    message = gettext_noop("This bundle is being worked on just now.")
    hint = gettext_noop("Wait until that is done; the page shows how far it is.")


@dataclass(frozen=True, slots=True)
class Errand:
    """One request.

    `kind` is "export" or "import"; `todo` what is to be done next ("export", "inspect", "import", or "" when a person decides,
    or all is done); `state` "queued", "seen" (looked into, waits for a person), "done" or "refused". `parts` are the facts
    of the cover sheets of what was written; `seen` what a look said; `refusal` code, message, hint, facts.
    """

    token: str
    kind: str
    state: str
    todo: str
    name: str
    at: datetime
    seat: int | None
    peer: int | None = None
    encrypt: bool = True
    empty: bool = False
    size: int = 0
    parts: tuple[Mapping[str, Any], ...] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)
    bundle: int | None = None  # the row of what was taken in
    files_in: int = 0
    refusal: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its note and files lie."""
        return _base() / self.token

    @property
    def sheets(self) -> list[BundleFacts]:
        """The cover sheets of the bundles that were written, in the order of their parts."""
        return [bundle_covers.facts_from_json(p) for p in self.parts]

    def file_of(self, number: int) -> Path:
        """Return where a bundle that was written lies; `number` counts from 1.

        Raises:
            NotFound: there is no such part, or the file was removed meanwhile.
        """
        if not 1 <= number <= len(self.parts):
            raise NotFound
        path = self.folder / str(self.parts[number - 1]["file_name"])
        if not path.is_file():
            raise NotFound
        return path


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work on an errand is: the step, how many items, of how many."""

    what: str
    done: int
    of: int

    @property
    def percent(self) -> int | None:
        """The share that is done, 0 to 100; None while the whole is not known."""
        return min(100, self.done * 100 // self.of) if self.of else None


# --- the folders -----------------------------------------------------------------------------------------------------------


def _base() -> Path:
    return Path(settings.HIEPDONG_DATA) / "bundles"


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise BundleNotWritten(file=path.name, reason=error.strerror or str(error)) from error


def _save(errand: Errand) -> Errand:
    data = asdict(errand) | {"at": errand.at.isoformat(), "parts": [dict(p) for p in errand.parts]}
    _write_json(errand.folder / "errand.json", data)
    return errand


def _read(token: str) -> Errand | None:
    try:
        kept = json.loads((_base() / token / "errand.json").read_text(encoding="utf-8"))
        return Errand(**{**kept, "at": datetime.fromisoformat(kept["at"]), "parts": tuple(kept["parts"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # removed just now, or half made by a process that was killed


def _all() -> Iterator[Errand]:
    with suppress(FileNotFoundError):
        for folder in sorted(_base().iterdir()):
            if TOKEN.fullmatch(folder.name) and (found := _read(folder.name)):
                yield found


def _new_folder() -> str:
    token = secrets.token_hex(16)
    try:
        (_base() / token).mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise BundleNotWritten(file="bundles", reason=error.strerror or str(error)) from error
    return token


@contextmanager
def _alone(errand: Errand) -> Iterator[None]:
    """Keep others from the same errand while it is worked on.

    Raises:
        ErrandBusy: somebody is at it. NotFound: it is gone.
    """
    try:
        handle = os.open(errand.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NotFound from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ErrandBusy from error
        yield
    finally:
        os.close(handle)


def _is_busy(errand: Errand) -> bool:
    try:
        with _alone(errand):
            return False
    except ErrandBusy:
        return True
    except NotFound:
        return False


# --- reading ---------------------------------------------------------------------------------------------------------------


def errand_of(actor: Seat, token: str) -> Errand:
    """Return an errand.

    Raises:
        NotAllowed. NotFound: there is none, or it was removed meanwhile.
    """
    require(actor, Action.MANAGE_NODE)
    found = _read(token) if TOKEN.fullmatch(token) else None
    if found is None:
        raise NotFound
    return found


def errands(actor: Seat) -> list[Errand]:
    """Return the errands that are kept, the newest first."""
    require(actor, Action.MANAGE_NODE)
    return sorted(_all(), key=lambda e: (e.at, e.token), reverse=True)


def progress_of(errand: Errand) -> Progress | None:
    """Return how far the work on an errand is; None when nobody is at it."""
    if not errand.todo or not _is_busy(errand):
        return None
    try:
        kept = json.loads((errand.folder / "progress.json").read_text(encoding="utf-8"))
        return Progress(str(kept["what"]), int(kept["done"]), int(kept["of"]))
    except (OSError, ValueError, KeyError):
        return Progress("", 0, 0)


def downloads() -> dict[str, tuple[str, int]]:
    """Return which bundles can be downloaded again: uuid of the bundle → token of the errand, number of the part."""
    return {
        str(part["bundle_id"]): (errand.token, number)
        for errand in _all()
        for number, part in enumerate(errand.parts, 1)
        if (errand.folder / str(part["file_name"])).is_file()
    }


# --- asking ----------------------------------------------------------------------------------------------------------------


def ask_export(*, peer_id: int, encrypt: bool, empty: bool, actor: Seat, at: datetime) -> Errand:
    """Have a bundle written for a peer: at once when it is small, else by `hiepdong work`.

    Raises:
        NotAllowed. NotLinked. NothingToCarry: and `empty` was not asked for. BundleNotWritten.
    """
    require(actor, Action.MANAGE_NODE)
    peer = answering.open_peer(peer_id)
    load = bundles.waiting(peer)
    errand = _save(
        Errand(_new_folder(), "export", "queued", "export", peer.name, at, actor.pk, peer.pk, encrypt=encrypt, empty=empty)
    )
    if load.items + (load.echo or 0) > AT_ONCE_ITEMS or load.files_size > AT_ONCE_BYTES:
        return errand
    errand = do(errand, at=at)
    if errand.refusal.get("code") == bundles.NothingToCarry.code:
        _remove(errand)
        raise bundles.NothingToCarry(name=peer.name)
    return errand


def upload(*, name: str, size: int, chunks: Iterable[bytes], take: bool, actor: Seat, at: datetime) -> Errand:
    """Keep an uploaded file and look into it, or take it in; a large one is left to `hiepdong work`.

    Raises:
        NotAllowed. UploadTooLarge. TooManyUploads. BundleNotWritten: the disk is full.
    """
    require(actor, Action.MANAGE_NODE)
    name = shown(Path(name.replace("\\", "/")).name)[:120]
    if size > LARGEST_UPLOAD:
        raise UploadTooLarge(name=name, size=size, most=LARGEST_UPLOAD)
    open_ones = sum(1 for e in _all() if e.kind == "import" and e.state in {"queued", "seen"})
    if open_ones >= MOST_UPLOADS:
        raise TooManyUploads(count=open_ones)
    token = _new_folder()
    errand = Errand(token, "import", "queued", "import" if take else "inspect", name, at, actor.pk, size=size)
    try:
        with (errand.folder / "file").open("xb") as out:
            for chunk in chunks:
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        shutil.rmtree(errand.folder, ignore_errors=True)
        raise BundleNotWritten(file=name, reason=error.strerror or str(error)) from error
    _save(errand)
    return do(errand, at=at) if size <= AT_ONCE_BYTES else errand


def ask_import(*, token: str, actor: Seat, at: datetime) -> Errand:
    """Take in a bundle that was looked into: at once when it is small, else by `hiepdong work`.

    Raises:
        NotAllowed. NotFound. ErrandBusy.
    """
    errand = errand_of(actor, token)
    with _alone(errand):
        errand = errand_of(actor, token)
        if errand.kind != "import" or errand.state != "seen":
            raise NotFound
        errand = _save(replace(errand, state="queued", todo="import", seat=actor.pk))
    if errand.size > AT_ONCE_BYTES or int(errand.seen.get("items", 0)) > AT_ONCE_ITEMS:
        return errand
    return do(errand, at=at)


def drop(*, token: str, actor: Seat) -> None:
    """Put an errand away with its files. What was taken in stays, what was written can be written again.

    Raises:
        NotAllowed. NotFound. ErrandBusy.
    """
    errand = errand_of(actor, token)
    with _alone(errand):
        _remove(errand)


def _remove(errand: Errand) -> None:
    shutil.rmtree(errand.folder, ignore_errors=True)


# --- doing -----------------------------------------------------------------------------------------------------------------


def do(errand: Errand, *, at: datetime) -> Errand:
    """Do what an errand asks for next, and return it as it stands then; a refusal is noted in it.

    Raises:
        ErrandBusy. NotFound.
    """
    with _alone(errand):
        errand = _read(errand.token) or errand
        if not errand.todo:
            return errand
        actor = Seat.objects.filter(pk=errand.seat or 0).first()
        last = 0.0

        def told(what: str, done: int, of: int) -> None:
            nonlocal last
            if time.monotonic() - last >= PROGRESS_SECONDS or done >= of:
                last = time.monotonic()
                with suppress(BundleNotWritten):
                    _write_json(errand.folder / "progress.json", {"what": what, "done": done, "of": of})

        steps = {"export": _export, "inspect": _inspect, "import": _import}
        try:
            return _save(steps[errand.todo](errand, actor, at, told))
        except DomainError as error:
            refusal = {
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "facts": {k: str(v) for k, v in error.facts.items()},
            }
            (errand.folder / "file").unlink(missing_ok=True)
            return _save(replace(errand, state="refused", todo="", refusal=refusal))


def _export(errand: Errand, actor: Seat | None, at: datetime, told: bundles.Progress) -> Errand:
    for left in errand.folder.glob("*.zip*"):
        left.unlink()  # of a try that was interrupted
    written = bundles.export(
        peer_id=errand.peer or 0,
        folder=errand.folder,
        encrypt=errand.encrypt,
        actor=actor,
        at=at,
        empty=errand.empty,
        progress=told,
    )
    parts = tuple(bundle_covers.facts_as_json(bundle_covers.facts_of(w)) for w in written)
    return replace(errand, state="done", todo="", parts=parts)


def _inspect(errand: Errand, actor: Seat | None, at: datetime, told: bundles.Progress) -> Errand:
    found = bundles.inspect(path=errand.folder / "file", progress=told)
    said = found.statement
    kept = ("id", "made_at", "first", "last", "items", "held_through", "part", "parts")
    seen = {k: said[k] for k in kept} | {
        "digest": found.digest,
        "kinds": dict(found.kinds),
        "here": found.here,
        "files": found.files,
        "encrypted": found.encrypted,
        "wanted": len(said["wanted"]),
        "asks": "echo_after" in said,
        "echo": said["echo"]["items"] if "echo" in said else None,
        "missing": link_queries.read_missing(said["missing"]),
    }
    return replace(errand, state="seen", todo="", seen=seen, peer=found.peer.pk if found.peer else None)


def _import(errand: Errand, actor: Seat | None, at: datetime, told: bundles.Progress) -> Errand:
    path = errand.folder / "file"
    taken = bundles.take(path=path, actor=actor, at=at, progress=told, name=errand.name)
    path.unlink(missing_ok=True)
    return replace(errand, state="done", todo="", bundle=taken.row.pk, peer=taken.peer.pk, files_in=taken.files_in)


def waits() -> bool:
    """Say whether an errand waits for `hiepdong work`."""
    return any(e.todo for e in _all())


def work(*, at: datetime) -> int:
    """Do the errands that wait, the oldest first, and put away what was kept long enough; returns how many were done.

    To be called by `hiepdong work`; twice at once is harmless.
    """
    done = 0
    for errand in sorted(_all(), key=lambda e: e.at):
        if errand.todo:
            with suppress(ErrandBusy, NotFound):
                do(errand, at=at)
                done += 1
    sweep(at=at)
    return done


def sweep(*, at: datetime) -> None:
    """Put away uploads that nobody decided on, notes of what is done, and bundles that the other side has confirmed."""
    exports = 0
    for errand in sorted(_all(), key=lambda e: e.at, reverse=True):
        if errand.todo:
            continue
        age = at - errand.at
        if errand.kind == "export" and errand.state == "done":
            exports += 1
            old = age > KEPT_EXPORT or exports > MOST_EXPORTS or (age > KEPT_UPLOAD and _is_confirmed(errand))
        else:
            old = age > KEPT_UPLOAD
        if old:
            with suppress(ErrandBusy, NotFound), _alone(errand):
                _remove(errand)
    with suppress(FileNotFoundError):
        for folder in _base().iterdir():
            if TOKEN.fullmatch(folder.name) and not (folder / "errand.json").exists() and _age_of(folder) > KEPT_UPLOAD:
                shutil.rmtree(folder, ignore_errors=True)  # an upload that was cut off


def _age_of(folder: Path) -> timedelta:
    with suppress(OSError):
        return timedelta(seconds=time.time() - folder.stat().st_mtime)
    return timedelta(0)


def _is_confirmed(errand: Errand) -> bool:
    peer = Peer.objects.filter(pk=errand.peer or 0).first()
    if peer is None:
        return True
    route = links.peer_for(peer.via_id) if peer.via_id else peer
    return all(int(p["last"]) <= route.confirmed_through for p in errand.parts)


def bundle_of(actor: Seat, bundle_id: int) -> Bundle:
    """Return a bundle that was written or taken in here.

    Raises:
        NotAllowed. NotFound.
    """
    require(actor, Action.MANAGE_NODE)
    found = Bundle.objects.select_related("peer").filter(pk=bundle_id).first()
    if found is None:
        raise NotFound
    return found


def bundles_for(actor: Seat, *, peer_id: int | None = None) -> Any:
    """Return the bundles in and out, of one link or of all, the newest first (a queryset)."""
    require(actor, Action.MANAGE_NODE)
    rows = Bundle.objects.select_related("peer").order_by("-at", "-id")
    return rows.filter(peer=peer_id) if peer_id else rows
