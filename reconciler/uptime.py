"""A clock that nobody sets, and that goes on while the machine sleeps."""

from __future__ import annotations

import time


def uptime() -> float:
    """Return seconds that also count while the machine sleeps, where the kernel can tell."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(boot) if boot is not None else time.monotonic()
