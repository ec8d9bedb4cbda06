"""hiepdong evidence dispatch|pair: write the folder for the inspector, which proves itself without this software."""

import argparse
import json
import os
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.exchange import evidence
from hiepdong.kernel.errors import NotFound
from hiepdong.shell.commands import PlainCommand

from .node import body


def day(text: str) -> date:
    """Return a day written as 2020-03-31."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a day such as 2020-03-31") from error


def number(text: str) -> uuid.UUID:
    """Return the id of a dispatch."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected the id of a dispatch, as in the address of its page") from error


class Command(PlainCommand):
    help = (
        "Write a folder that an inspector checks without this software: a zip with the signed papers, receipts, attachments, "
        "keys, the journal's proof and the program that checks them. What is named and not here is told. "
        "Exit code 0: written; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="dispatch | pair")
        one = actions.add_parser("dispatch", help="one dispatch and what replaces or withdraws it")
        one.add_argument("uuid", type=number, metavar="UUID", help="id of the dispatch, as in the address of its page")
        pair = actions.add_parser("pair", help="everything that two organisations sent each other in a period")
        pair.add_argument("one", metavar="ORG", help="key of an organisation: nghe-an.don-my-ly")
        pair.add_argument("other", metavar="ORG", help="key of the other one")
        pair.add_argument("--from", dest="first", required=True, type=day, metavar="DAY", help="first day: 2020-03-01")
        pair.add_argument("--to", dest="last", required=True, type=day, metavar="DAY", help="last day, included: 2020-03-31")
        for each in (one, pair):
            each.add_argument("--out", type=Path, metavar="FILE", help="where to write it; default: its name, in this folder")
            each.add_argument("--json", action="store_true", help="print what was written as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"):
            now = timezone.now()
            if options["action"] == "dispatch":
                wanted = options["uuid"]

                def write(target: BinaryIO) -> evidence.Made:
                    return evidence.write_case(seat=None, dispatch_uuid=wanted, target=target, at=now)
            else:
                one, other = body(options["one"]), body(options["other"])

                def write(target: BinaryIO) -> evidence.Made:
                    return evidence.write_pair(
                        seat=None, one=one, other=other, first=options["first"], last=options["last"], target=target, at=now
                    )

            made, path = self._written(write, options["out"])
            if options["json"]:
                self.stdout.write(json.dumps(made.as_json() | {"file": str(path)}, ensure_ascii=False))
                return
            facts = {"file": path, "dispatches": made.dispatches, "receipts": made.receipts, "files": made.attachments}
            self.stdout.write(
                _("Written: %(file)s (%(dispatches)s dispatches, %(receipts)s receipts, %(files)s attachments)") % facts
            )
            for what in made.missing:
                self.stdout.write(_("not in it: %(what)s") % {"what": what})

    def _written(self, write: Callable[[BinaryIO], evidence.Made], out: Path | None) -> tuple[evidence.Made, Path]:
        """Write beside the target and rename, so that a file of that name is always a whole one."""
        folder = out.parent if out is not None else Path.cwd()
        try:
            with NamedTemporaryFile(dir=folder, prefix=".evidence-", delete=False) as partial:
                try:
                    made = write(partial)  # type: ignore[arg-type]
                    partial.flush()
                    os.fsync(partial.fileno())
                    path = out if out is not None else folder / f"{made.name}.zip"
                    os.replace(partial.name, path)
                except BaseException:
                    Path(partial.name).unlink(missing_ok=True)
                    raise
        except NotFound as error:
            raise CommandError(_("There is no such dispatch on this node."), returncode=1) from error
        except OSError as error:
            raise CommandError(f"{folder}: {error.strerror or error}", returncode=1) from error
        return made, path
