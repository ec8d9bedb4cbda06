"""hiepdong demo_node: one step of the demo of two nodes."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from hiepdong.shell.commands import PlainCommand
from hiepdong.web.demo import two_nodes

STEPS = ("prepare", "address", "link", "sign", "duties", "send", "carry", "receive", "stick", "state", "people")


class Command(PlainCommand):
    help = (
        "One step of the demo of two nodes, at the node that HIEPDONG_DATA names; `bin/demo --two-nodes` does all of them. "
        "Only for trying out, in a folder of its own. Exit code 0: done; 1: refused, with the reason; 2: wrong call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("step", choices=STEPS, help="what to do")
        parser.add_argument("--side", choices=sorted(two_nodes.SIDES), required=True, help="which of the two nodes this is")
        parser.add_argument("--folder", type=Path, default=Path(), help="what both nodes can reach: the post, the stick")
        parser.add_argument("--address", default="", help="address under which the other node reaches this one")
        parser.add_argument("--other", default="", help="address under which this node reaches the other one")
        parser.add_argument("--since", type=datetime.fromisoformat, default=two_nodes.FIRST, help="first moment (ISO 8601)")
        parser.add_argument("--until", type=datetime.fromisoformat, default=two_nodes.CUT, help="last moment (ISO 8601)")

    def handle(self, *args: Any, **options: Any) -> None:
        side, folder, until = options["side"], options["folder"], options["until"]
        match options["step"]:
            case "prepare":
                told = two_nodes.prepare(side, folder, options["address"], at=timezone.now())
            case "address":
                told = two_nodes.address(options["address"], options["other"])
            case "link":
                told = two_nodes.link(side, folder)
            case "sign":
                told = two_nodes.sign(side)
            case "duties":
                told = two_nodes.duties(side)
            case "send":
                told = two_nodes.send(side, options["since"], until)
            case "carry":
                told = two_nodes.carry(side, folder)
            case "receive":
                told = two_nodes.receive(side, folder, until)
            case "stick":
                told = two_nodes.stick(side, folder, until)
            case "state":
                self.stdout.write(json.dumps(two_nodes.state(side), ensure_ascii=False))
                return
            case _:
                for p in two_nodes.people_of(side):
                    self.stdout.write(f"  {p['name']:<18} {p['title']}")
                return
        for line in told.splitlines():
            self.stderr.write(f"demo: {line}")
