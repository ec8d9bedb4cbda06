"""What every test gets: no network beyond this machine, the wording compiled."""

import socket

import hypothesis
import pytest

# No test is timed: a busy machine says nothing about the program.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_connect = socket.socket.connect


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Refuse every connection that leaves the machine."""

    def guarded(self, address):
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(address, tuple) and host not in {"127.0.0.1", "::1", "localhost"}:
            raise RuntimeError(f"a test tried to reach {host}")
        return _connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def _emptied_between_tests():
    """Let the emptying of a test's SQLite database, and nothing else, pass the triggers that keep the journal.

    On PostgreSQL it is a TRUNCATE, which they do not see; on SQLite a DELETE, which they refuse.
    """
    from django.db.backends.sqlite3.base import DatabaseWrapper

    operations = DatabaseWrapper.ops_class
    sql_flush = operations.sql_flush

    def without_triggers(self, style, tables, **options):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'journal%'")
            kept = cursor.fetchall()
        drop = [f"DROP TRIGGER {name}" for name, _sql in kept]
        return [*drop, *sql_flush(self, style, tables, **options), *(sql for _name, sql in kept)]

    patch = pytest.MonkeyPatch()
    patch.setattr(operations, "sql_flush", without_triggers)
    yield
    patch.undo()


@pytest.fixture
def small_world(db, settings, tmp_path):
    """A station, a district, the committee above, an outsider, one regulation: see `support.make`. A data folder of its own."""
    settings.HIEPDONG_DATA = tmp_path / "data"
    from support.make import World

    return World()
