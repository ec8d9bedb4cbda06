"""hiepdong setup: make a node ready in its data folder; harmless to run again."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser
from django.utils import timezone

from hiepdong.shell.commands import PlainCommand
from hiepdong.territories import services as territories
from hiepdong.web import services


class Command(PlainCommand):
    help = (
        "Make this node ready: its data folder, its secret, the database, the style sheet and fonts, and all "
        "administrative units. Running it again brings the database up to date and changes nothing else. "
        "Exit code 0: ready; 1: something could not be done, with the reason; 2: wrong call."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print what was done as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.HIEPDONG_DATA)
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "secret-key"
        if not settings.HIEPDONG_SECRET_KEY and not key.exists():
            handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as f:
                f.write(secrets.token_urlsafe(50) + "\n")
            settings.SECRET_KEY = key.read_text().strip()
        self.stderr.write("setup: database")
        call_command("migrate", verbosity=0)
        self.stderr.write("setup: style sheet and fonts")
        call_command("collectstatic", interactive=False, verbosity=0)
        self.stderr.write("setup: administrative units")
        counts = territories.load_units(actor=None, at=timezone.now())
        services.update_statistics()
        done = {"data": str(folder), **counts}
        self.stdout.write(json.dumps(done) if options["json"] else f"setup: {folder} is ready, {counts['units']} units")
