"""hiepdong backup: the whole node in one encrypted file, while it runs."""

import json
import os
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.exchange import signing
from hiepdong.shell.commands import PlainCommand, bytes_of, stopped_in_order
from hiepdong.web import archive, backup

EVERY_SECONDS = 2.0


def key_of(options: dict[str, Any]) -> archive.Key:
    """Return the key that the options name; a file that is not there is a wrong call."""
    passphrase = identity = ""
    if options.get("passphrase_file"):
        passphrase = unicodedata.normalize("NFC", _text_of(options["passphrase_file"]).strip("\r\n"))
    if options.get("identity_file"):
        lines = [line.strip() for line in _text_of(options["identity_file"]).splitlines()]
        identity = next((line for line in lines if line and not line.startswith("#")), "")
    return archive.Key(passphrase=passphrase, recipient=options.get("recipient") or "", identity=identity)


def _text_of(path: Path) -> str:
    try:
        return bytes_of(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: UTF-8", returncode=2) from error


def teller(write: Callable[[str], Any]) -> backup.Tell:
    """Return what tells how far the work is, a line every two seconds."""
    last = time.monotonic()

    def tell(what: str, done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_SECONDS:
            last = time.monotonic()
            write(f"{what}: {done}")

    return tell


def undone_in_order() -> AbstractContextManager[None]:
    """Let Ctrl+C and a stop of the service take away what was begun, and say so."""
    return stopped_in_order(_("Stopped. What was begun was taken away; run it again."))


def told_in_words(facts: backup.Facts) -> Iterator[str]:
    """Give what a person must know of a backup, a line each."""
    yield _("State of %(at)s, program %(program)s, %(database)s, %(rows)s rows, %(files)s files.") % {
        "at": timezone.localtime(facts.at).strftime("%H:%M:%S %d/%m/%Y"),
        "program": facts.program,
        "database": "PostgreSQL" if facts.database == "postgresql" else "SQLite",
        "rows": facts.rows,
        "files": facts.files,
    }
    yield _("%(size)s bytes, SHA-256 %(sha256)s") % {"size": facts.size, "sha256": facts.sha256}
    if facts.damaged:
        yield _("Damaged on the disk when it was made: %(files)s") % {"files": ", ".join(facts.damaged)}
    if facts.missing:
        named = ", ".join(facts.missing_named)
        yield _("Not on the disk when it was made (%(count)s): %(files)s") % {"count": facts.missing, "files": named}
    if facts.left_out:
        yield _("Tables that are not of this program and were left out: %(tables)s") % {"tables": ", ".join(facts.left_out)}


class Command(PlainCommand):
    help = (
        "Write the whole node into one encrypted file while it runs: the database in one consistent state, the kept files, "
        "the secret. With --check, read such a file from end to end and say whether it is whole. Needs a passphrase, or the "
        "age key of a recipient, whose other half then is the only thing that opens it. "
        "Exit code 0: done; 1: refused, with the reason, and nothing was left under the name; 2: wrong call."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write, which must not be there yet, or to check")
        closing = parser.add_mutually_exclusive_group()
        closing.add_argument("--passphrase-file", type=Path, metavar="F", help="file whose text is the passphrase")
        closing.add_argument("--recipient", metavar="age1…", help="close it to the holder of this age key")
        closing.add_argument("--identity-file", type=Path, metavar="F", help="with --check: file with the AGE-SECRET-KEY-1…")
        doing = parser.add_mutually_exclusive_group()
        doing.add_argument("--check", action="store_true", help="write nothing; check that the file is a whole backup")
        doing.add_argument(
            "--new-identity",
            action="store_true",
            help="make a new age key, write its secret half to FILE and print the other half",
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("vi"), undone_in_order():
            if options["new_identity"]:
                self._new_identity(options)
                return
            if options["check"] and not (options["passphrase_file"] or options["identity_file"]):
                raise CommandError(_("--check needs --passphrase-file or --identity-file."), returncode=2)
            if not options["check"] and not (options["passphrase_file"] or options["recipient"]):
                raise CommandError(_("A backup needs --passphrase-file or --recipient."), returncode=2)
            tell = teller(lambda line: self.stderr.write(f"backup: {line}"))
            path: Path = options["file"]
            if options["check"]:
                if not path.is_file():
                    raise CommandError(f"{path}: {_('there is no such file')}", returncode=2)
                facts = backup.check(path=path, key=key_of(options), tell=tell)
                first = _("%(path)s is a whole backup.")
            else:
                facts = backup.back_up(path=path, key=key_of(options), at=timezone.now(), tell=tell)
                first = _("%(path)s was written.")
            if options["json"]:
                self.stdout.write(json.dumps({"path": str(path)} | facts.as_json(), ensure_ascii=False))
                return
            self.stdout.write("\n".join([first % {"path": path}, *told_in_words(facts)]))

    def _new_identity(self, options: dict[str, Any]) -> None:
        identity, recipient = signing.new_stream_key()
        try:
            handle = os.open(options["file"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise backup.BackupExists(path=options["file"]) from error
        with os.fdopen(handle, "w") as file:
            file.write(f"# public key: {recipient}\n{identity}\n")
            file.flush()
            os.fsync(file.fileno())
        self.stdout.write(json.dumps({"recipient": recipient}) if options["json"] else recipient)
