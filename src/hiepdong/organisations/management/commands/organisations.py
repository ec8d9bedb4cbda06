"""hiepdong organisations load FILE…"""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from hiepdong.organisations import services
from hiepdong.shell.commands import PlainCommand, bytes_of


class Command(PlainCommand):
    help = (
        "Load organisations from TOML files, each all or nothing; every problem of a file is told at once. Running it again "
        "changes nothing. Exit code 0: loaded; 1: a file has problems and was not loaded; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["load"], help="check the files and load them")
        parser.add_argument("file", nargs="+", type=Path, help="TOML files, see docs/reference/organisation-format.md")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        files = [(path, bytes_of(path)) for path in options["file"]]  # a wrong name is told before anything is loaded
        results: list[dict[str, Any]] = []
        refused = False
        for path, data in files:
            try:
                counts = services.load_organisations(file_bytes=data, name=str(path), actor=None, at=timezone.now())
                results.append({"file": str(path)} | counts)
                told = f"{path}: {counts['added']} added, {counts['known']} known before."
            except services.InvalidFile as error:
                refused = True
                results.append({"file": str(path), "problems": [p.as_dict() for p in error.problems]})
                told = "\n".join(map(str, error.problems))
            if not options["json"]:
                self.stdout.write(told)
        if options["json"]:
            self.stdout.write(json.dumps(results, ensure_ascii=False, indent=1))
        if refused:
            sys.exit(1)
