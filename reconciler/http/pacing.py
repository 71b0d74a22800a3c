"""How fast all workers together may send."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from reconciler.http.retry import server_time


class Held(Exception):
    """All must wait longer than the caller is willing to. ``seconds`` are left.

    ``hour_used_up``: not because the API said so, but because this hour has hardly any requests left.
    """

    def __init__(self, seconds: float, hour_used_up: bool = False) -> None:
        why = "this hour's requests are nearly used up" if hour_used_up else "the API had asked us to wait"
        super().__init__(why)
        self.seconds = seconds
        self.hour_used_up = hour_used_up


class Pacer:
    """Spaces requests evenly over all threads, and keeps them all back while the API said to wait.

    ``rate_per_second`` must be positive; ``float("inf")`` does not pace. No bursts: the vendor
    suggests at most 20 requests a second, and even spacing never exceeds that in any second.
    ``clock`` and ``sleep`` count the same seconds. A ``sleep`` that raises ends the wait.

    ``remaining`` is what the last answer said of this hour's requests. Before it hits zero writes
    are held: ``RESERVE`` requests are kept for looking what became of the writes that were sent.
    At zero reads are held too. No header tells when the hour ends; it is taken to be the clock's,
    by the answer's ``Date``, and whatever comes after it is news. Of a small hourly limit, a tenth
    is kept.
    """

    RESERVE = 10

    def __init__(
        self,
        rate_per_second: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not rate_per_second > 0:
            raise ValueError("rate_per_second must be positive")
        self.remaining: int | None = None
        self._reserve = self.RESERVE
        self._interval = 1.0 / rate_per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = self._held_until = self._hour_ends = float("-inf")

    def take(self, max_hold: float = float("inf"), *, spare: bool = False) -> None:
        """Wait for our turn. Raises ``Held`` at once, if all are held for more than ``max_hold`` seconds.

        ``spare``: leave the reserve of this hour's requests to others.
        """
        with self._lock:
            now = self._clock()
            hour_ends = self._used_up_until(now, self._reserve if spare else 0)
            held_until = max(self._held_until, hour_ends)
            if held_until - now > max_hold:
                raise Held(held_until - now, hour_used_up=hour_ends > self._held_until)
            turn = max(now, self._next, held_until)
            self._next = turn + self._interval
        if turn > now:
            self._sleep(turn - now)

    def _used_up_until(self, now: float, reserve: int) -> float:
        if self.remaining is None or now >= self._hour_ends or self.remaining > reserve:
            return float("-inf")
        return self._hour_ends

    def slow_down(self, rate_per_second: float) -> None:
        """Send no faster than this from now on; never speeds up."""
        with self._lock:
            self._interval = max(self._interval, 1.0 / rate_per_second)

    def hold(self, seconds: float) -> None:
        """Keep all workers back for so long; a shorter hold never ends a longer one."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def note(self, headers: Mapping[str, str]) -> None:
        """Remember ``X-RateLimit-Remaining`` of an answer; anything but a whole number is ignored."""
        remaining, limit = _count(headers, "x-ratelimit-remaining"), _count(headers, "x-ratelimit-limit")
        if remaining is None:
            return
        with self._lock:
            self.remaining = remaining
            self._reserve = self.RESERVE if limit is None else min(self.RESERVE, limit // 10)
            self._hour_ends = self._clock() + _left_of_hour(headers)


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _left_of_hour(headers: Mapping[str, str]) -> float:
    """Return the seconds to the next full hour by the answer's ``Date``; an hour without one."""
    moment = server_time(headers)
    return 3600.0 if moment is None else 3600.0 - (moment.minute * 60 + moment.second)
