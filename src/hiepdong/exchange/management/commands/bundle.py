"""hiepdong bundle export|import|inspect|sync: papers and receipts on a stick."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from hiepdong.exchange import bundle_covers, bundles, stick
from hiepdong.exchange.cover_sheet import contents
from hiepdong.exchange.link_queries import missed_there, peer_by, read_missing
from hiepdong.exchange.templatetags.bundles import groups_of_four, size_of, state_counts, step_name
from hiepdong.exchange.templatetags.links import meaning
from hiepdong.kernel.errors import DomainError
from hiepdong.shell.commands import PlainCommand, stopped_in_order, told
from hiepdong.shell.templatetags.hiepdong import moment

EVERY_SECONDS = 2.0
MEGABYTE = 1024 * 1024


def whole(text: str) -> int:
    """Return a number of 1 or more."""
    if not text.isdigit() or not 0 < int(text) < 1 << 53:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 or more")
    return int(text)


def position(text: str) -> int:
    """Return a position, or 0 for the beginning."""
    return 0 if text == "0" else whole(text)


def teller(write: Callable[[str], Any]) -> Callable[[str, str, int, int], None]:
    """Return what tells how far the work is: a line whenever another step begins, then one every two seconds."""
    last, before = 0.0, ("", "")

    def tell(whom: str, what: str, done: int, of: int) -> None:
        nonlocal last, before
        if (whom, what) == before and time.monotonic() - last < EVERY_SECONDS and done < of:
            return
        last, before = time.monotonic(), (whom, what)
        share = f"{min(100, done * 100 // of)} % ({done}/{of})" if of else str(done)
        write(f"bundle: {whom}: {step_name(what)} {share}")

    return tell


class Command(PlainCommand):
    help = (
        "Carry papers, receipts and keys between nodes on a stick: write what a node has not confirmed, take in what another "
        "one wrote, look into a file, or do both with one stick. Taking in again, in any order, is harmless. "
        "Exit code 0: done; 1: something was refused or could not be written, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="export | import | inspect | sync")
        exporting = actions.add_parser("export", help="write what a node has not confirmed as bundles, with a cover sheet")
        exporting.add_argument("peer", metavar="PEER", help="number, name or beginning of the id of the node")
        exporting.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder, the stick (default: this one)")
        exporting.add_argument("--plain", action="store_true", help="do not encrypt; anyone can then read it on the way")
        begin = exporting.add_mutually_exclusive_group()
        begin.add_argument("--after", type=position, metavar="N", help="what comes after position N, confirmed or not")
        begin.add_argument(
            "--new", action="store_true", help="what came since the last bundle; for one-way lines that never confirm"
        )
        exporting.add_argument("--part-items", type=whole, metavar="N", help="most items in one bundle (default: 50000)")
        exporting.add_argument("--part-size", type=whole, metavar="MB", help="most megabytes in one bundle, unpacked (1024)")
        exporting.add_argument("--empty", action="store_true", help="write one even if only to say how far this node holds")
        taking = actions.add_parser("import", help="take bundles in, in any order; a refused one does not stop the others")
        taking.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a bundle (.zip or .zip.age)")
        looking = actions.add_parser("inspect", help="check a bundle whole and say what is in it; nothing is taken")
        looking.add_argument("file", type=Path, metavar="FILE", help="a bundle (.zip or .zip.age)")
        syncing = actions.add_parser("sync", help="the same stick there and back: take in what is for us, write what is to go")
        syncing.add_argument("folder", type=Path, metavar="DIR", help="the stick, or a folder on it")
        syncing.add_argument("--plain", action="store_true", help="do not encrypt what is written")
        syncing.add_argument("--all", action="store_true", help="write for every linked node, also those with a line")
        for each in (exporting, syncing):
            each.add_argument(
                "--cover",
                action=argparse.BooleanOptionalAction,
                default=True,
                help="write the sheet to print beside it (default: yes)",
            )
        for each in (exporting, taking, looking, syncing):
            each.add_argument("--json", action="store_true", help="print the result as JSON, without progress")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            quiet = options["json"]
            self.tell = (lambda *_: None) if quiet else teller(self.stderr.write)
            getattr(self, f"_{options['action']}")(options)

    def _print(self, options: Mapping[str, Any], facts: Any, lines: Iterator[str]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(facts, ensure_ascii=False, indent=1))
        else:
            for line in lines:
                self.stdout.write(line)

    # --- out ---------------------------------------------------------------------------------------------------------------

    def _export(self, options: Mapping[str, Any]) -> None:
        folder: Path = options["out"]
        if not folder.is_dir():
            raise CommandError(f"{folder}: {_('there is no such folder')}", returncode=2)
        peer = peer_by(options["peer"])
        after = bundles.last_carried(peer.pk) if options["new"] else options["after"]
        reasons: list[str] = []
        hint = _("Stopped. No half bundle was left behind; bundles that were written whole are good. Run it again to go on.")
        with stopped_in_order(hint):
            written = bundles.export(
                peer_id=peer.pk,
                folder=folder,
                encrypt=not options["plain"],
                actor=None,
                at=timezone.now(),
                after=after,
                most_items=options["part_items"],
                most_bytes=options["part_size"] * MEGABYTE if options["part_size"] else None,
                empty=options["empty"],
                progress=lambda what, done, of: self.tell(peer.name, what, done, of),
            )
            sheets = [self._cover(w, reasons) if options["cover"] else None for w in written]
        self._print(
            options,
            [_written_facts(w, s) for w, s in zip(written, sheets, strict=True)],
            (line for w, s in zip(written, sheets, strict=True) for line in _written_lines(w, s)),
        )
        if reasons:
            raise CommandError("\n".join(reasons), returncode=1)

    def _cover(self, written: bundles.Written, reasons: list[str]) -> Path | None:
        try:
            return bundle_covers.write_cover(written)
        except DomainError as error:
            reasons.append(f"{written.path.name}: {told(error)}")
            return None

    # --- in ----------------------------------------------------------------------------------------------------------------

    def _import(self, options: Mapping[str, Any]) -> None:
        paths: list[Path] = options["files"]
        absent = [str(p) for p in paths if not p.exists()]
        if absent:
            raise CommandError(f"{', '.join(absent)}: {_('there is no such file')}", returncode=2)
        facts: list[dict[str, Any]] = []
        reasons: list[str] = []
        hint = _(
            "Stopped. A bundle that was not stored whole left nothing behind; one that was is finished by hiepdong work. "
            "Import it again at any time: what is here is not taken twice."
        )
        with stopped_in_order(hint):
            for path in paths:
                try:
                    taken = bundles.take(
                        path=path,
                        actor=None,
                        at=timezone.now(),
                        progress=lambda what, done, of, name=path.name: self.tell(name, what, done, of),  # type: ignore[misc]
                    )
                except DomainError as error:
                    reasons.append(f"{path.name}: {told(error)}")
                    facts.append({"file": str(path), "refused": error.code, "told": told(error)})
                    continue
                facts.append(_taken_facts(str(path), taken))
                if not options["json"]:
                    self.stdout.write("\n".join(_taken_lines(path.name, taken)))
        if options["json"]:
            self.stdout.write(json.dumps(facts, ensure_ascii=False, indent=1))
        if reasons:
            raise CommandError("\n".join(reasons), returncode=1)

    def _inspect(self, options: Mapping[str, Any]) -> None:
        path: Path = options["file"]
        if not path.exists():
            raise CommandError(f"{path}: {_('there is no such file')}", returncode=2)
        with stopped_in_order(_("Stopped. Nothing was taken.")):
            seen = bundles.inspect(path=path, progress=lambda what, done, of: self.tell(path.name, what, done, of))
        self._print(options, _seen_facts(path, seen), _seen_lines(path.name, seen))

    # --- there and back ----------------------------------------------------------------------------------------------------

    def _sync(self, options: Mapping[str, Any]) -> None:
        folder: Path = options["folder"]
        if not folder.is_dir():
            raise CommandError(f"{folder}: {_('there is no such folder')}", returncode=2)
        hint = _(
            "Stopped. No half bundle was left behind and nothing is lost. "
            "Run it again before the stick is taken away: it goes on."
        )
        with stopped_in_order(hint):
            done = stick.sync(
                folder=folder,
                actor=None,
                at=timezone.now(),
                encrypt=not options["plain"],
                everyone=options["all"],
                cover=options["cover"],
                told=self.tell,
            )
        reasons = [f"{name}: {told(error)}" for name, error in (*done.refused, *done.not_written)]
        self._print(options, _sync_facts(done), _sync_lines(done))
        if reasons:
            raise CommandError("\n".join(reasons), returncode=1)


# --- in words --------------------------------------------------------------------------------------------------------------


def _written_lines(written: bundles.Written, sheet: Path | None) -> Iterator[str]:
    row = written.row
    yield f"{written.path}: {contents(row.items, written.kinds)}; {size_of(row.size)}"
    if row.files:
        files = ngettext("%(count)s file goes with it", "%(count)s files go with it", row.files) % {"count": row.files}
        yield f"  {files} ({size_of(written.files_size)})"
    if not written.encrypted:
        yield "  " + _("It is not encrypted: whoever finds the stick can read it.")
    if written.asks:
        yield "  " + _(
            "This node was restored from a backup: the bundle carries nothing else, it asks %(name)s what it holds of us. "
            "Carry the stick there, have a bundle written there, and bring it back."
        ) % {"name": row.peer.name}
    if written.echo is not None:
        yield "  " + _("%(name)s was restored from a backup; the bundle brings back %(count)s of its own items.") % {
            "name": row.peer.name,
            "count": written.echo,
        }
    yield f"  SHA-256 {groups_of_four(row.digest)}"
    if sheet is not None:
        yield "  " + _("Cover sheet to print and to hand over with it: %(path)s") % {"path": sheet}


def _written_facts(written: bundles.Written, sheet: Path | None) -> dict[str, Any]:
    row = written.row
    return {
        "file": str(written.path),
        "cover": str(sheet) if sheet else None,
        "id": str(row.uuid),
        "peer": row.peer.name,
        "digest": row.digest,
        "size": row.size,
        "items": row.items,
        "first": row.first,
        "last": row.last,
        "kinds": dict(written.kinds),
        "files": row.files,
        "files_size": written.files_size,
        "part": written.part,
        "parts": written.parts,
        "encrypted": written.encrypted,
        "asks": written.asks,
        "echo": written.echo,
    }


def _taken_lines(name: str, taken: bundles.Imported) -> Iterator[str]:
    yield _("%(name)s, from %(peer)s: %(items)s items, %(fresh)s new, %(again)s that were here before") % {
        "name": name,
        "peer": taken.peer.name,
        "items": taken.items,
        "fresh": taken.fresh,
        "again": taken.again,
    }
    if taken.states:
        yield f"  {state_counts(taken.states)}"
    for code, count in taken.reasons.items():
        yield f"  {count} × {meaning(code)} ({code})"
    if taken.files_in:
        yield "  " + ngettext("%(count)s file came with it", "%(count)s files came with it", taken.files_in) % {
            "count": taken.files_in
        }
    yield from (f"  {line}" for line in _recovery_lines(taken))
    if taken.reasons:
        yield "  " + _("What is held or refused, and why: hiepdong link held %(peer)s") % {"peer": taken.peer.pk}


def _recovery_lines(taken: bundles.Imported) -> Iterator[str]:
    """Say how far a recovery is that this stick is part of, ours or the other node's, and what to do next."""
    name = {"name": taken.peer.name, "peer": taken.peer.pk}
    told = taken.told
    if told is not None:
        yield _("%(items)s own items came back, %(back)s of them were lost here.") % {"items": told.items, "back": told.back}
        if not told.counted:
            yield _(
                "Not all of it could be proved to be ours, or it answers an earlier question. Import the earlier parts, "
                "then this one again."
            )
    if told is not None and told.over:
        yield _("The recovery is over: this node sends again.")
    elif taken.recovering and told is not None and told.counted:
        yield (
            _(
                "%(name)s holds more of ours. Import the other parts; what was lost on the way is asked for by the next "
                "bundle: hiepdong bundle export %(peer)s"
            )
            % name
        )
    elif taken.recovering:
        yield (
            _(
                "This node was restored from a backup and does not know yet what %(name)s holds of it. Write a bundle that "
                "asks (hiepdong bundle export %(peer)s), carry it there, and bring back the one that is written there."
            )
            % name
        )
    elif told is not None:
        yield _("%(name)s has told everything. Others have not yet: hiepdong node show") % name
    if taken.peer.echo_after is not None:
        yield (
            _(
                "%(name)s was restored from a backup and asks for its own items. Write the bundle that brings them "
                "(hiepdong bundle export %(peer)s) and carry it back."
            )
            % name
        )


def _taken_facts(name: str, taken: bundles.Imported) -> dict[str, Any]:
    return {
        "file": name,
        "peer": taken.peer.name,
        "id": str(taken.row.uuid),
        "digest": taken.row.digest,
        "items": taken.items,
        "fresh": taken.fresh,
        "again": taken.again,
        "states": dict(taken.states),
        "reasons": dict(taken.reasons),
        "files": taken.files_in,
        "told": asdict(taken.told) if taken.told else None,
        "recovering": taken.recovering,
        "asked": taken.peer.echo_after is not None,
    }


def _seen_lines(name: str, seen: bundles.Seen) -> Iterator[str]:
    said = seen.statement
    peer = seen.peer.name if seen.peer else str(said["from"])
    yield _("%(name)s is whole, signed by %(peer)s, and addressed to this node.") % {"name": name, "peer": peer}
    yield f"SHA-256 {groups_of_four(seen.digest)}"
    yield f"{contents(int(said['items']), seen.kinds)}; {size_of(seen.size)}" + (
        "; " + _("encrypted") if seen.encrypted else ""
    )
    if said["items"]:
        yield _("Positions %(first)s to %(last)s; %(here)s of its items are here already.") % {
            "first": said["first"],
            "last": said["last"],
            "here": seen.here,
        }
    if seen.files:
        yield ngettext("%(count)s file goes with it", "%(count)s files go with it", seen.files) % {"count": seen.files}
    if "echo_after" in said:
        yield _("Its maker was restored from a backup and asks for its own items after position %(position)s.") % {
            "position": said["echo_after"]
        }
    if "echo" in said:
        yield _("It brings back %(count)s items of this node itself, from position %(first)s to %(last)s.") % {
            "count": said["echo"]["items"],
            "first": said["echo"]["after"] + 1,
            "last": said["echo"]["through"],
        }
    if said["parts"] > 1:
        yield _("Part %(part)s/%(parts)s") % {"part": said["part"], "parts": said["parts"]}
    yield _("Made at %(moment)s; its maker holds everything of ours up to position %(held)s and lacks %(wanted)s files.") % {
        "moment": moment(datetime.fromisoformat(said["made_at"])),
        "held": said["held_through"],
        "wanted": len(said["wanted"]),
    }
    missing, pairs = missed_there(said["missing"])
    for m in missing:
        facts = {"sender": m.sender, "recipient": m.recipient, "numbers": ", ".join(map(str, m.numbers))}
        yield _("It says that these numbers of %(sender)s to %(recipient)s are missing there: %(numbers)s") % facts
    if pairs > len(missing):
        yield _("… and numbers of %(count)s further pairs") % {"count": pairs - len(missing)}
    yield _("Nothing was taken. Compare the number with the paper, then: hiepdong bundle import FILE")


def _seen_facts(path: Path, seen: bundles.Seen) -> dict[str, Any]:
    said = seen.statement
    kept = ("id", "from", "made_at", "first", "last", "items", "held_through", "part", "parts", "wanted")
    return {
        "file": str(path),
        "peer": seen.peer.name if seen.peer else None,
        "digest": seen.digest,
        "size": seen.size,
        "encrypted": seen.encrypted,
        "kinds": dict(seen.kinds),
        "here": seen.here,
        "files": seen.files,
        "echo_after": said.get("echo_after"),
        "echo": said.get("echo"),
        "missing": read_missing(said["missing"]),
    } | {k: said[k] for k in kept}


def _sync_lines(done: stick.Synced) -> Iterator[str]:
    for name, taken in done.taken:
        yield from _taken_lines(name, taken)
    for name in done.known:
        yield _("%(name)s: was imported before") % {"name": name}
    for name in done.others:
        yield _("%(name)s: not for this node, left as it is") % {"name": name}
    for written in done.written:
        yield from _written_lines(written, None)
    for peer in done.nothing:
        yield _("%(name)s holds everything; there is nothing to carry.") % {"name": peer}
    for name in done.removed:
        yield _("%(name)s: confirmed by the other node, taken off the stick") % {"name": name}
    if not (done.taken or done.known or done.others or done.refused or done.written or done.nothing):
        yield _("There is no bundle for this node, and no linked node without a line to write one for.")


def _sync_facts(done: stick.Synced) -> dict[str, Any]:
    return {
        "taken": [_taken_facts(name, taken) for name, taken in done.taken],
        "known": done.known,
        "others": done.others,
        "refused": [{"name": n, "code": e.code, "told": told(e)} for n, e in done.refused],
        "written": [_written_facts(w, None) for w in done.written],
        "nothing": done.nothing,
        "not_written": [{"name": n, "code": e.code, "told": told(e)} for n, e in done.not_written],
        "removed": done.removed,
    }
