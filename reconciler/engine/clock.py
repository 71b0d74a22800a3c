"""Time as a value that is passed in, so that a simulation can turn it by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.uptime import uptime


@dataclass(frozen=True, slots=True)
class Clock:
    """``now`` is the wall clock (aware, UTC); ``elapsed`` counts seconds, those of a suspended
    machine included; ``sleep`` waits seconds, and returns early when a run is interrupted.
    """

    now: Callable[[], datetime]
    elapsed: Callable[[], float]
    sleep: Callable[[float], None]


def system_clock(sleep: Callable[[float], None] = time.sleep) -> Clock:
    return Clock(_wall, uptime, sleep)


def _wall() -> datetime:
    return datetime.now(UTC)
