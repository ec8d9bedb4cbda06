"""Real concurrency in a test: each function in a thread of its own, each with a connection of its own, started together.

On PostgreSQL the threads use the test's database. An SQLite test database lives in memory, where connections do not wait
for each other as those of a node do: it is copied into a file, in WAL mode as on a node, and the threads use that.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db import connection, connections


def together(functions: Sequence[Callable[[], Any]], folder: Path, *, then: Callable[[], Any]) -> tuple[list[Any], Any]:
    """Return what the functions returned or raised, in order, and what `then` returned after all of them, on the same data."""
    settings = connections.settings["default"]
    name = settings["NAME"]
    if connection.vendor == "sqlite":
        file = folder / "node.sqlite3"
        connection.ensure_connection()
        with sqlite3.connect(file) as target:
            connection.connection.backup(target)
        target.close()
        settings["NAME"] = str(file)
    else:
        settings["NAME"] = connection.settings_dict["NAME"]
    results: list[Any] = [None] * len(functions)
    start = threading.Barrier(len(functions))

    def run(place: int, function: Callable[[], Any], wait: bool) -> None:
        try:
            if wait:
                connections["default"].ensure_connection()
                start.wait(timeout=30)
            results[place] = function()
        except BaseException as error:
            results[place] = error
        finally:
            connections["default"].close()

    try:
        threads = [threading.Thread(target=run, args=(i, f, True)) for i, f in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        results.append(None)
        last = threading.Thread(target=run, args=(len(functions), then, False))
        last.start()
        last.join(timeout=120)
    finally:
        settings["NAME"] = name
    return results[:-1], results[-1]
