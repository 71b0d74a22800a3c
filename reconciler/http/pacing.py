"""How fast all workers together may send."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Held(Exception):
    """All must wait longer than the caller is willing to. ``seconds`` are left."""

    def __init__(self, seconds: float) -> None:
        super().__init__("it was not sent")
        self.seconds = seconds


class Pacer:
    """Spaces requests evenly over all threads, and keeps them all back while the API said to wait.

    ``rate_per_second`` must be positive; ``float("inf")`` does not pace. No bursts: the vendor
    suggests at most 20 requests a second, and even spacing never exceeds that in any second.
    ``clock`` and ``sleep`` count the same seconds. A ``sleep`` that raises ends the wait.

    ``X-RateLimit-Remaining`` holds nobody back: what a good answer says of later ones is no refusal (some
    gateways say 0 on every one), no header tells when the hour ends, and what is refused with 429 is not
    done, so that asking loses nothing.
    """

    def __init__(
        self,
        rate_per_second: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not rate_per_second > 0:
            raise ValueError("rate_per_second must be positive")
        self._interval = 1.0 / rate_per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = self._held_until = float("-inf")

    def take(self, max_hold: float = float("inf")) -> None:
        """Wait for our turn. Raises ``Held`` at once, if all are held for more than ``max_hold`` seconds."""
        with self._lock:
            now = self._clock()
            if self._held_until - now > max_hold:
                raise Held(self._held_until - now)
            turn = max(now, self._next, self._held_until)
            self._next = turn + self._interval
        if turn > now:
            self._sleep(turn - now)

    def slow_down(self, rate_per_second: float) -> None:
        """Send no faster than this from now on; never speeds up."""
        with self._lock:
            self._interval = max(self._interval, 1.0 / rate_per_second)

    def hold(self, seconds: float) -> None:
        """Keep all workers back for so long; a shorter hold never ends a longer one."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)
