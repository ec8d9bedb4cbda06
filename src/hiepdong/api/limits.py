"""How much one may send: the size of a body, and requests a second for each peer, each token and each strange address.

The counts are buckets in the memory of one answering process: at most MOST_BUCKETS of them, the one longest unused goes
first. With several processes (`hiepdong serve --workers`) each counts by itself.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest

from hiepdong.shell.addresses import address_of

from .problems import TooManyRequests

LARGEST_BODY = 8 * 1024 * 1024
MOST_BUCKETS = 10_000
SECONDS_SAVED = 10  # who was quiet may send at once what ten seconds allow
STRANGER_RATE = 2.0  # requests a second that prove nothing, of one address


class Buckets:
    """Token buckets by name. `clock` gives seconds that only grow."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_BUCKETS) -> None:
        self._clock, self._most = clock, most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name: (left, when it was so)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, name: str, rate: float) -> float:
        """Take one request from a bucket that fills with `rate` a second; returns 0, or the seconds to wait for one."""
        now, most = self._clock(), max(1.0, rate * SECONDS_SAVED)
        with self._lock:
            left, then = self._levels.pop(name, (most, now))
            left = min(most, left + (now - then) * rate)
            wait = 0.0 if left >= 1 else (1 - left) / rate
            self._levels[name] = (left if wait else left - 1, now)
            while len(self._levels) > self._most:
                self._levels.popitem(last=False)
        return wait


buckets = Buckets()


def _refuse(wait: float) -> None:
    if wait:
        raise TooManyRequests(seconds=max(1, math.ceil(wait)))


def spend_peer(peer_id: int) -> None:
    """Count a request of a linked node, or refuse it (`TooManyRequests`)."""
    _refuse(buckets.take(f"peer {peer_id}", settings.HIEPDONG_API_PEER_RATE))


def spend_token(token_id: int) -> None:
    """Count a request with a token, or refuse it."""
    _refuse(buckets.take(f"token {token_id}", settings.HIEPDONG_API_TOKEN_RATE))


def spend_stranger(request: HttpRequest) -> None:
    """Count a request that proves nothing, or refuse it.

    Only failures are counted, and only they are refused: strangers behind the same front server cannot lock a peer out.
    """
    _refuse(buckets.take(f"address {address_of(request)}", STRANGER_RATE))
