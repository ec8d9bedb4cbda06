"""What every test gets: no network beyond this machine, the wording compiled."""

import socket

import pytest

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


@pytest.fixture
def small_world(db):
    """A station, a district, the committee above, an outsider, one regulation: see `support.make`."""
    from support.make import World

    return World()
