"""hiepdong units load: both pictures of the administrative units."""

import json
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from hiepdong.shell.commands import PlainCommand
from hiepdong.territories import services


class Command(PlainCommand):
    help = (
        "Load all administrative units of Viet Nam: before 1 July 2025 and since. `hiepdong setup` does it too. Running it "
        "again changes nothing. Exit code 0: loaded; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["load"], help="read the units from the installed data package")
        parser.add_argument("--json", action="store_true", help="print the counts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        counts = services.load_units(actor=None, at=timezone.now(), progress=lambda line: self.stderr.write(line))
        self.stdout.write(json.dumps(counts) if options["json"] else ", ".join(f"{k}: {v}" for k, v in counts.items()))
