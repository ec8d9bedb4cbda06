"""hiepdong demo: load an example folder with its synthetic year."""

import json
import tomllib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from hiepdong.shell.commands import PlainCommand
from hiepdong.web import services
from hiepdong.web.demo.loader import load_example


class Command(PlainCommand):
    help = (
        "Load an example: real bodies and units, the regulation, demo sign-ins, and a synthetic year of dispatches. "
        "Only for trying out: it refuses a node that holds real dispatches. Running it again changes nothing. "
        "Exit code 0: loaded; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        default = settings.BASE_DIR / "examples" / "nghe-an-2020"
        parser.add_argument("folder", nargs="?", type=Path, default=default, help="example folder, with demo.toml")
        parser.add_argument("--json", action="store_true", help="print the result and the sign-ins as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        missing = [n for n in ("demo.toml", "organisations.toml", "regulation.toml") if not (folder / n).is_file()]
        if missing:
            raise CommandError(f"{folder}: thiếu {', '.join(missing)} (xem examples/nghe-an-2020).", returncode=1)
        done = load_example(folder=folder, at=timezone.now(), progress=lambda line: self.stderr.write(f"demo: {line}"))
        # Reactions write entries of their own. Walked now, they do not stand before what a visitor does next.
        while services.react(at=timezone.now(), limit=10_000):
            pass
        services.update_statistics()
        parameters = tomllib.loads((folder / "demo.toml").read_text(encoding="utf-8"))
        people = [{"name": p["name"], "title": p["title"], "role": p["role"]} for p in parameters["person"]]
        if options["json"]:
            self.stdout.write(
                json.dumps(done | {"people": people, "password": parameters["password"]}, ensure_ascii=False, indent=1)
            )
            return
        self.stdout.write(f"demo: {done['duties']} duties, {done['dispatches']} synthetic dispatches")
        self.stdout.write(f"Mật khẩu chung: {parameters['password']}")
        for p in people:
            self.stdout.write(f"  {p['name']:<18} {p['title']} ({p['role']})")
