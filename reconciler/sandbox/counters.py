"""Small parts of a world: what it counts, and what is on its way to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LateCreate:
    """A create that reached the API but takes effect only at `due`."""

    due: int
    team: int
    transfer: int
    start: int
    end: int
    user: int


@dataclass(slots=True)
class Counters:
    """Numbers that only grow; `hour` and `calls` are the rate limit's window and its count."""

    backfill: int = 10001
    run: int = 500001
    late: int = 1
    transfer: int = 1
    hour: int = 0
    calls: int = 0
