"""Durations as people write them: ``90s``, ``15m``, ``6h``, ``7d``, on the command line and in files."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

LONGEST: Final = timedelta(days=3650)
"""What is longer is a typo."""

FORMS: Final = "90s, 15m, 6h or 7d"
PATTERN: Final = r"[0-9]{1,9}[smhd]"


def parse_duration(text: str) -> timedelta | None:
    """Return the duration, however long; ``None`` for another form."""
    if not re.fullmatch(PATTERN, text):
        return None
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])


def worded(length: timedelta) -> str:
    """Return whole seconds in the largest unit that divides them: 90 minutes are ``90m``."""
    seconds = int(length.total_seconds())
    if not seconds:
        return "0s"
    unit = next(unit for unit in reversed(_UNITS) if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"
