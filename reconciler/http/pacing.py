"""How fast all workers together may send."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping


class Held(Exception):
    """The API told us to wait longer than the caller is willing to. ``seconds`` are left."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the API asked for {seconds:.0f} more seconds of silence")
        self.seconds = seconds


class Pacer:
    """Spaces requests evenly over all threads, and keeps them all back while the API said to wait.

    ``rate_per_second`` must be positive; ``float("inf")`` does not pace. No bursts: the vendor
    suggests at most 20 requests a second, and even spacing never exceeds that in any second.
    ``clock`` and ``sleep`` count the same seconds. A ``sleep`` that raises ends the wait.

    ``remaining`` is what the last answer said of this hour's quota of requests. At 0 nothing is
    held back by itself: no header tells when the hour ends, a further request costs nothing but
    the 429 that does tell (``Retry-After``), and that one holds all workers (``hold``).
    """

    def __init__(
        self,
        rate_per_second: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not rate_per_second > 0:
            raise ValueError("rate_per_second must be positive")
        self.remaining: int | None = None
        self._interval = 1.0 / rate_per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = self._held_until = float("-inf")

    def take(self, max_hold: float = float("inf")) -> None:
        """Wait for our turn. Raises ``Held`` at once, if all are held for more than ``max_hold`` seconds."""
        with self._lock:
            now = self._clock()
            held = self._held_until - now
            if held > max_hold:
                raise Held(held)
            turn = max(now, self._next, self._held_until)
            self._next = turn + self._interval
        if turn > now:
            self._sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Keep all workers back for so long; a shorter hold never ends a longer one."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def note(self, headers: Mapping[str, str]) -> None:
        """Remember ``X-RateLimit-Remaining`` of an answer; anything but a whole number is ignored."""
        text = headers.get("x-ratelimit-remaining", "").strip()
        if text.isascii() and text.isdigit() and len(text) <= 10:
            self.remaining = int(text)
