"""Whole nodes in folders, each with a database of its own, of either kind: what a command of a node sees, in this process.

`Home(folder)` has a data folder and an SQLite database in it, or a new database on the server of this test run. `inside`
runs a function as if the process had been started for that node, in a thread that gets a connection of its own.
"""

import os
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import connections

from hiepdong.config import settings as production

SERVER = os.environ.get("HIEPDONG_DATABASE_URL", "")
KINDS = ["sqlite", "postgresql"] if SERVER.startswith("postgresql") else ["sqlite"]
SECRET = "the secret of a node in a test, fifty characters or so"


class Home:
    def __init__(self, folder: Path, kind: str = "sqlite", like: "Home | None" = None) -> None:
        """Name a node that is not there yet, or one that is a copy of a node that nobody is using."""
        self.folder, self.kind = folder, kind
        self.url, self._name = "", ""
        if kind == "postgresql":
            self._name = f"home_{uuid.uuid4().hex}"
            self._on_server(f"CREATE DATABASE {self._name} TEMPLATE {like._name if like else 'template0'}")
            self.url = urlsplit(SERVER)._replace(path=f"/{self._name}").geturl()
        if like:
            shutil.copytree(like.folder, folder)

    def _on_server(self, statement: str) -> None:
        import psycopg

        parts = urlsplit(SERVER)
        with psycopg.connect(host=unquote(parts.hostname or ""), user=parts.username, dbname="postgres", autocommit=True) as to:
            to.execute(statement)

    def close(self) -> None:
        if self._name:
            self._on_server(f"DROP DATABASE {self._name} WITH (FORCE)")

    def environment(self) -> dict[str, str]:
        """Return the environment of a process of this node."""
        rest = {k: v for k, v in os.environ.items() if not k.startswith(("HIEPDONG_", "DJANGO_"))}
        return rest | {"HIEPDONG_DATA": str(self.folder), "HIEPDONG_DATABASE_URL": self.url}

    def enter(self) -> Any:
        """Return what makes this process the node's while it is entered: settings, and the database of new connections."""
        with (
            mock.patch.object(production, "HIEPDONG_DATA", self.folder),
            mock.patch.object(production, "HIEPDONG_DATABASE_URL", self.url),
        ):
            configured = connections.configure_settings({"default": production._database()})
        secret = self.folder / "secret-key"
        stack = mock.patch.multiple(
            settings,
            HIEPDONG_DATA=self.folder,
            MEDIA_ROOT=self.folder / "files",
            STATIC_ROOT=self.folder / "static",
            HIEPDONG_SECRET_KEY="",
            SECRET_KEY=secret.read_text().strip() if secret.exists() else SECRET,
        )
        return _Both(stack, mock.patch.dict(connections.settings, configured))

    def inside(self, function: Callable[[], Any]) -> Any:
        """Return what the function returns or raise what it raises."""
        result: list[Any] = []

        def run() -> None:
            try:
                result.append((function(), None))
            except BaseException as error:
                result.append((None, error))
            finally:
                connections["default"].close()

        with self.enter():
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        done, error = result[0]
        if error is not None:
            raise error
        return done


class _Both:
    def __init__(self, *patches: Any) -> None:
        self._patches = patches

    def __enter__(self) -> None:
        for each in self._patches:
            each.__enter__()

    def __exit__(self, *raised: Any) -> None:
        for each in reversed(self._patches):
            each.__exit__(*raised)
