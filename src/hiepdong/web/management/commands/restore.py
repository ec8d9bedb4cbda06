"""hiepdong restore: make a node again from its backup, in an empty place."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from hiepdong.shell.commands import PlainCommand
from hiepdong.web import backup

from .backup import key_of, teller, told_in_words, undone_in_order


class Command(PlainCommand):
    help = (
        "Make a node again from a file of `hiepdong backup`: in an empty data folder, and in the empty database that "
        "HIEPDONG_DATABASE_URL names, of either kind. The whole file is checked before anything is written. The restored node "
        "knows that it was restored and gives out no number twice. "
        "Exit code 0: done; 1: refused, with the reason, and nothing was changed; 2: wrong call."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the backup")
        parser.add_argument("--into", type=Path, metavar="DIR", help="data folder of the node to be (default HIEPDONG_DATA)")
        opening = parser.add_mutually_exclusive_group(required=True)
        opening.add_argument("--passphrase-file", type=Path, metavar="F", help="file whose text is the passphrase")
        opening.add_argument("--identity-file", type=Path, metavar="F", help="file with the AGE-SECRET-KEY-1…")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        into: Path | None = options["into"]
        if into is not None and into.absolute() != Path(settings.HIEPDONG_DATA):
            if os.environ.get("HIEPDONG_DATA") == str(into.absolute()):
                raise CommandError(f"--into: {os.environ.get('DJANGO_SETTINGS_MODULE')}: HIEPDONG_DATA", returncode=2)
            _begin_again(into.absolute())
        with override("vi"), undone_in_order():
            if not options["file"].is_file():
                raise CommandError(f"{options['file']}: {_('there is no such file')}", returncode=2)
            tell = teller(lambda line: self.stderr.write(f"restore: {line}"))
            facts = backup.restore(path=options["file"], key=key_of(options), at=timezone.now(), tell=tell)
            folder = str(settings.HIEPDONG_DATA)
            if options["json"]:
                self.stdout.write(json.dumps({"data": folder} | facts.as_json(), ensure_ascii=False))
                return
            first = _("The node was restored into %(folder)s. Set HIEPDONG_DATA to it and run `hiepdong setup`.")
            self.stdout.write("\n".join([first % {"folder": folder}, *told_in_words(facts)]))


def _begin_again(folder: Path) -> None:
    """Run the same command with that data folder: the settings of a process are read once and name it in many places."""
    environment = os.environ | {"HIEPDONG_DATA": str(folder)}
    if environment.get("HIEPDONG_DATABASE_URL", "").startswith("sqlite:"):
        del environment["HIEPDONG_DATABASE_URL"]  # it names the database of the node in use
    sys.stdout.flush()
    sys.stderr.flush()
    program = "from hiepdong.config.cli import main; main()"
    os.execve(sys.executable, [sys.executable, "-c", program, *sys.argv[1:]], environment)  # noqa: S606
