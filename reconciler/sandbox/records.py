"""The small records a world keeps beside transfers and backfills."""

from dataclasses import dataclass

FIRST_ID = 10001
FIRST_RUN = 500001


@dataclass(frozen=True, slots=True)
class LateCreate:
    """A create that reached the API but takes effect only at `due`."""

    due: int
    team: int
    transfer: int
    start: int
    end: int


@dataclass(slots=True)
class Counters:
    """Numbers that only grow; `hour` and `calls` are the rate limit's window and its count."""

    backfill: int = FIRST_ID
    run: int = FIRST_RUN
    late: int = 1
    transfer: int = 1
    hour: int = 0
    calls: int = 0


@dataclass(slots=True)
class Timeline:
    """The world's clock: world time = `base` + (real time - `real`) * `speed`.

    `base` is a moment (milliseconds), `real` epoch seconds of the clock passed in; speed 0 stands still.
    """

    base: int
    real: float
    speed: float = 1.0

    def now(self, real: float) -> int:
        """The world's moment at a real time; never before `base`, should the real clock be set back."""
        return self.base + max(0, round((real - self.real) * self.speed * 1000))

    def moved(self, real: float, by: int = 0, speed: float | None = None) -> "Timeline":
        """A timeline that jumps `by` milliseconds at `real`, and goes on at `speed`."""
        return Timeline(self.now(real) + by, real, self.speed if speed is None else speed)
