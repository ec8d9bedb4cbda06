"""The same stick goes there and back: one call takes in what lies on it for this node and puts on it what is to go.

What others put on the stick is never touched. Of this node's own bundles those are removed of which the other node has said
that it holds all, and only after the new one lies there whole.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import require_unless_command
from hiepdong.kernel.errors import DomainError

from . import bundle_file, bundles, links, signing
from .bundle_covers import cover_path, write_cover
from .bundle_refusals import BundleNotWritten, BundleRefused, BundleUnreadable, shown
from .models import Bundle, Peer

ENDINGS = (".zip", ".zip.age")
OUR_NAMES = re.compile(
    r"[a-z0-9._-]+_[a-z0-9._-]+_\d+-\d+(?:_\d+-\d+)?\.zip(?:\.age)?"
)  # what an unreadable bundle is known by
MOST_FILES = 2_000  # on one stick; more is no stick between nodes


@dataclass
class Synced:
    """What one call did with a stick."""

    taken: list[tuple[str, bundles.Imported]] = field(default_factory=list)
    known: list[str] = field(default_factory=list)  # bundles for this node that were imported before
    others: list[str] = field(default_factory=list)  # bundles that are for another node, or our own
    refused: list[tuple[str, DomainError]] = field(default_factory=list)  # files, with why
    written: list[bundles.Written] = field(default_factory=list)
    nothing: list[str] = field(default_factory=list)  # peers that hold everything
    not_written: list[tuple[str, DomainError]] = field(default_factory=list)  # peers, with why
    removed: list[str] = field(default_factory=list)


Told = Callable[[str, str, int, int], None]  # the file or node, what is done with it, how many, of how many


def sync(
    *,
    folder: Path,
    actor: Seat | None,
    at: datetime,
    encrypt: bool = True,
    everyone: bool = False,
    cover: bool = True,
    told: Told = lambda whom, what, done, of: None,
) -> Synced:
    """Import what lies in a folder for this node, then write for every peer without a line what it has not confirmed.

    A peer counts as without a line when it has no address, or when bundles went to it or came from it before; with
    `everyone` every linked peer gets one. Interrupted at any point, the next call goes on.

    Raises:
        BundleUnreadable: the folder cannot be read.
    """
    require_unless_command(actor, Action.MANAGE_NODE)
    work = _Work(folder, actor, at, encrypt, cover, told)
    for path in _bundles_in(folder):
        work.take(path)
    for peer in Peer.objects.filter(state=Peer.State.LINKED, via__isnull=True).order_by("pk"):
        if everyone or not peer.address or Bundle.objects.filter(peer=peer).exists():
            work.write(peer)
    return work.done


def _bundles_in(folder: Path) -> Iterator[Path]:
    try:
        found = sorted(p for p in folder.iterdir() if p.name.endswith(ENDINGS) and not p.name.startswith("."))
    except OSError as error:
        raise BundleUnreadable(file=shown(str(folder)), reason=error.strerror or str(error)) from error
    yield from (p for p in found[:MOST_FILES] if p.is_file() and not p.is_symlink())


def _is_of_others(name: str, error: DomainError) -> bool:
    """Say whether a file that was not taken is no matter of this node: for another one, or no bundle at all."""
    if isinstance(error, bundles.BundleForAnother | signing.NotOpened):
        return True
    if isinstance(error, bundles.BundleOfNobody):
        return bool(error.facts["to"] != str(links.this_node().node_id))
    return isinstance(error, BundleRefused) and not isinstance(error, BundleUnreadable) and not OUR_NAMES.fullmatch(name)


@dataclass
class _Work:
    """One call; the stick and what was done with it."""

    folder: Path
    actor: Seat | None
    at: datetime
    encrypt: bool
    cover: bool
    told: Told
    done: Synced = field(default_factory=Synced)
    brought: set[int] = field(default_factory=set)  # peers of which something was taken

    def take(self, path: Path) -> None:
        name = shown(path.name)
        try:
            digest = bundle_file.digest_of_file(path)
            if Bundle.objects.filter(digest=digest, outgoing=True).exists():
                return  # our own; what becomes of it is decided when the new one is written
            if Bundle.objects.filter(digest=digest, outgoing=False, taken_at__isnull=False).exists():
                self.done.known.append(name)
                return
            taken = bundles.take(
                path=path,
                actor=self.actor,
                at=self.at,
                progress=lambda what, count, of: self.told(name, what, count, of),
                name=path.name,
            )
        except DomainError as error:
            if _is_of_others(path.name, error):
                self.done.others.append(name)
                return
            self.done.refused.append((name, error))
            return
        self.done.taken.append((name, taken))
        if taken.items:
            self.brought.add(taken.peer.pk)

    def write(self, peer: Peer) -> None:
        """Write for one peer; one that brought something gets at least our mark of how far we hold."""
        try:
            written = bundles.export(
                peer_id=peer.pk,
                folder=self.folder,
                encrypt=self.encrypt,
                actor=self.actor,
                at=self.at,
                empty=peer.pk in self.brought,
                progress=lambda what, count, of: self.told(peer.name, what, count, of),
            )
        except bundles.NothingToCarry:
            self.done.nothing.append(peer.name)
            self.remove_confirmed(peer.pk, set())
            return
        except DomainError as error:
            self.done.not_written.append((peer.name, error))
            return
        self.done.written += written
        if self.cover:
            for each in written:
                try:
                    write_cover(each)
                except DomainError as error:
                    self.done.not_written.append((each.row.name, error))
        self.remove_confirmed(peer.pk, {w.path.name for w in written})

    def remove_confirmed(self, peer_id: int, fresh: set[str]) -> None:
        """Remove own bundles of which the peer has confirmed everything, with their sheets."""
        confirmed = links.peer_for(peer_id).confirmed_through
        for path in _bundles_in(self.folder):
            rows = Bundle.objects.filter(peer=peer_id, outgoing=True, name=path.name, last__lte=confirmed)
            if path.name in fresh or not rows.exists():
                continue
            try:
                if not rows.filter(digest=bundle_file.digest_of_file(path)).exists():
                    continue  # under the name of ours lies something else
                path.unlink()
                cover_path(path).unlink(missing_ok=True)
            except OSError as error:
                self.done.not_written.append((path.name, BundleNotWritten(file=path.name, reason=error.strerror or str(error))))
                continue
            except BundleUnreadable as error:
                self.done.refused.append((path.name, error))
                continue
            self.done.removed.append(path.name)
