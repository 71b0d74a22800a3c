"""Trying reads again. Writes never come here.

Full jitter: each wait is drawn evenly from zero up to a ceiling that doubles, which spreads
clients out best (Marc Brooker, "Exponential Backoff And Jitter", 2015). A ``Retry-After`` is
obeyed to the second instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TypeVar

T = TypeVar("T")

LONGEST_RETRY_AFTER = 86_400.0  # seconds; the most the vendor documents
LAST_YEAR = 9000  # later times are absurd, and adding to them overflows
_EARLY_OR_LIMITED = frozenset({408, 425, 429})


class TryAgain(Exception):
    """This attempt failed in a way that may pass. ``reason`` is a clause; ``after`` the seconds asked for."""

    def __init__(self, reason: str, after: float | None = None, *, limited: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.limited = limited


class GaveUp(Exception):
    """All attempts failed, or the wait asked for is longer than allowed (``last.after`` tells)."""

    def __init__(self, attempts: int, last: TryAgain) -> None:
        super().__init__(f"gave up after {attempts} attempts: {last.reason}")
        self.attempts = attempts
        self.last = last


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, and how long. All times are seconds.

    ``max_wait`` bounds the sum of the waits of one call. ``sleep`` may raise to end the wait,
    which is how an interrupt gets through; ``rng`` is seeded where runs must repeat.
    """

    attempts: int = 5
    max_wait: float = 300.0
    base: float = 1.0
    ceiling: float = 30.0
    rng: Random = field(default_factory=Random, repr=False)
    sleep: Callable[[float], None] = time.sleep

    def call(self, attempt: Callable[[], T]) -> T:
        """Call until it no longer raises ``TryAgain``. Raises ``GaveUp`` when that does not happen."""
        waited, tries = 0.0, 0
        while True:
            tries += 1
            try:
                return attempt()
            except TryAgain as failure:
                wait = self._wait(tries, failure)
                if tries >= self.attempts or waited + wait > self.max_wait:
                    raise GaveUp(tries, failure) from None
            self.sleep(wait)
            waited += wait

    def _wait(self, tries: int, failure: TryAgain) -> float:
        if failure.after is not None:
            return failure.after
        return self.rng.uniform(0.0, min(self.ceiling, self.base * 2.0 ** (tries - 1)))


def is_passing(status: int) -> bool:
    """True for the statuses that may be different next time: 408, 425, 429 and 5xx."""
    return status in _EARLY_OR_LIMITED or 500 <= status < 600


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that ``Retry-After`` asks for: at least 1, as is documented, and at most a day.

    ``None`` if it is absent, unreadable, zero, negative or past. A date is compared with the
    answer's own ``Date``, else with ``now``, our clock: theirs may differ.
    """
    text = headers.get("retry-after", "").strip()
    seconds = _seconds(text)
    if seconds is None:
        when, now = _http_date(text), server_time(headers) or now
        seconds = (when - now).total_seconds() if when and now else None
    return min(max(seconds, 1.0), LONGEST_RETRY_AFTER) if seconds is not None and seconds > 0 else None


def _seconds(text: str) -> float | None:
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        return None
    return float(text) if len(text) <= 300 else LONGEST_RETRY_AFTER


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """Return the answer's ``Date`` in UTC, whole seconds; ``None`` if absent, unreadable or absurd."""
    moment = _http_date(headers.get("date", ""))
    return moment if moment is not None and 1970 <= moment.year <= LAST_YEAR else None


def _http_date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    if not 0 < len(text) <= 100:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
