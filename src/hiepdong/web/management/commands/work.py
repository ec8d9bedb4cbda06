"""hiepdong work: what has to happen without a request."""

import json
import time
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from hiepdong.duties import services as duties
from hiepdong.regulations.queries import instrument_keys
from hiepdong.web import services

AHEAD = timedelta(days=400)


class Command(BaseCommand):
    help = (
        "Do what is waiting: reactions to the journal, and the duties of the coming year. Runs for ever, once a minute; "
        "with --once it does one round and stops."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do one round and stop")
        parser.add_argument("--json", action="store_true", help="print each round as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            now = timezone.now()
            walked = services.react(at=now, limit=10_000)
            made = 0
            for key in instrument_keys():
                until = (timezone.localdate(now) + AHEAD) if walked or options["once"] else timezone.localdate(now)
                made += duties.make_duties(instrument_key=key, until=until, actor=None, at=now).made
            done = {"reactions": walked, "duties": made}
            self.stdout.write(json.dumps(done) if options["json"] else f"work: {walked} reactions, {made} new duties")
            if options["once"]:
                return
            time.sleep(60)
