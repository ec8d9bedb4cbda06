"""hiepdong serve: answer requests on this machine."""

import os
import socket
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from hiepdong.accounts.queries import person_by_name
from hiepdong.shell.commands import PlainCommand


def free_port(host: str, wanted: int) -> int:
    """Return the wanted port, or a free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {host}")


class Command(PlainCommand):
    help = (
        "Serve this node to browsers. Takes another free port when the wanted one is in use, and prints the address. "
        "Stop it with Ctrl+C. It speaks plain HTTP: for other machines put a front server with a certificate before it "
        "(docs/how-to/install-a-node.md). Exit code 0: stopped; 1: this node is not ready, or no port is free."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="wanted port (default 8000)")
        parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that answer (default 2)")

    def handle(self, *args: Any, **options: Any) -> None:
        person_by_name("")  # a node that was not set up says so now, not to the first visitor
        if not 1 <= options["port"] <= 65535 or options["workers"] < 1:
            raise CommandError("--port nhận 1 … 65535, --workers từ 1 trở lên.", returncode=2)
        port = free_port(options["host"], options["port"])
        host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
        self.stdout.write(f"Mở trình duyệt tại: http://{host}:{port}/   (Ctrl+C để dừng)")
        self.stdout.flush()
        command = [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", options["host"], "--port", str(port)),
            *(
                "--workers",
                str(options["workers"]),
                "--blocking-threads",
                str(min(8, 2 * (os.cpu_count() or 1) + 1)),
                "--no-ws",
                "--log-level",
                "warning",
                "hiepdong.config.wsgi:application",
            ),
        ]
        os.execv(sys.executable, command)
