"""Time as a value that is passed in, so that a simulation can turn it by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler.uptime import uptime


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment by both clocks of a run."""

    wall: datetime
    elapsed: float


@dataclass(frozen=True, slots=True)
class Clock:
    """``now`` is the wall clock (aware, UTC); ``elapsed`` counts seconds, those of a suspended
    machine included; ``sleep`` waits seconds, and returns early when a run is interrupted.
    """

    now: Callable[[], datetime]
    elapsed: Callable[[], float]
    sleep: Callable[[float], None]

    def mark(self) -> Mark:
        return Mark(self.now(), self.elapsed())

    def since(self, mark: Mark) -> timedelta:
        """Return how long ago a moment was, at least: the wall clock may be set back, and on some systems the
        other one stops while the machine sleeps.
        """
        return max(self.now() - mark.wall, timedelta(seconds=self.elapsed() - mark.elapsed))


def system_clock(sleep: Callable[[float], None] = time.sleep) -> Clock:
    return Clock(_wall, uptime, sleep)


def _wall() -> datetime:
    return datetime.now(UTC)
