"""The rules of an apply that hold for every write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from reconciler.dates import Day
from reconciler.model.desired import OnUnknown


@dataclass(frozen=True, slots=True)
class Rules:
    """What the flags and the file say of an apply. ``max_wait`` is in seconds.

    ``as_of`` is the date it is planned for. By ``key_hash`` the state knows whose our key is.
    """

    settle: timedelta
    on_unknown: OnUnknown
    max_wait: float
    as_of: Day | None = None
    key_hash: str = ""
