"""A transfer: its daily schedule, the days that fail, and the ranges its backfills hold.

The schedule (not documented in detail, so decided here): a transfer with `recurring_since` runs each day
at 02:00 UTC from that day on, takes a minute, and loads the day before. A paused transfer does not run.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date

from reconciler.sandbox import times
from reconciler.sandbox.backfill import COMPLETED, FAILED, RUNNING, Run

RUN_AT = 2 * times.HOUR
RUN_LENGTH = 60_000
RUN_IDS = 10**12  # recurring runs are numbered from here: by transfer, then by day
RUN_IDS_PER_TRANSFER = 10**7  # more than there are days until the year 9999
DEFAULT_ROWS = 1000
NEVER = date.max.toordinal() + 1  # a day that does not come


@dataclass(slots=True)
class FailDay:
    """A day whose next `left` runs fail; None: every run fails."""

    error: str
    left: int | None = 1


@dataclass(slots=True)
class Transfer:
    """A transfer of a team. `number` counts transfers in the order the world met them.

    `verdicts` holds how recurring runs on fail days ended: the error, or None where the run completed.
    """

    team: int
    id: int
    name: str
    state: str = "active"
    rows_per_day: int = DEFAULT_ROWS
    recurring_since: int | None = None
    fail_days: dict[int, FailDay] = field(default_factory=dict)
    number: int = 0
    verdicts: dict[int, str | None] = field(default_factory=dict)

    @property
    def paused(self) -> bool:
        """Paused transfers refuse backfills, and their schedule stands still."""
        return self.state == "paused"

    @property
    def first_day(self) -> int:
        """The data day of the first recurring run, NEVER without a schedule."""
        return NEVER if self.recurring_since is None or self.paused else self.recurring_since - 1

    def copy(self) -> "Transfer":
        """An independent copy, so that one scene can open many worlds."""
        days = {day: replace(fail) for day, fail in self.fail_days.items()}
        return replace(self, fail_days=days, verdicts=dict(self.verdicts))

    def attempt(self, day: int) -> str | None:
        """Run `day` once: the error it fails with, or None. Uses up one of the day's failures."""
        fail = self.fail_days.get(day)
        if fail is None or fail.left == 0:
            return None
        if fail.left is not None:
            fail.left -= 1
        return fail.error

    def run_start(self, day: int) -> int:
        """When the recurring run for data day `day` starts."""
        return times.midnight(day + 1) + RUN_AT

    def run_end(self, day: int) -> int:
        """When it ends."""
        return self.run_start(day) + RUN_LENGTH

    def last_day(self, now: int) -> int:
        """The data day of the newest recurring run that has started by `now`."""
        return times.day_of(now - RUN_AT) - 1

    def recurring_runs(self, now: int, first: int, last: int) -> Iterator[Run]:
        """The recurring runs for data days first..last (inclusive) that exist at `now`, newest first."""
        for day in range(min(last, self.last_day(now)), max(first, self.first_day) - 1, -1):
            yield self._run(now, day)

    def _run(self, now: int, day: int) -> Run:
        start, end = self.run_start(day), self.run_end(day)
        number = RUN_IDS + self.number * RUN_IDS_PER_TRANSFER + day
        if now < end:
            return Run(number, "Recurring", day, RUNNING, start, start, None, None)
        error = self.verdicts.get(day)
        if error is not None:
            return Run(number, "Recurring", day, FAILED, start, start, end, 0, error)
        return Run(number, "Recurring", day, COMPLETED, start, start, end, self.rows_per_day)

    def recurring_rows(self, since: int, now: int) -> int:
        """Rows loaded by recurring runs that ended in since..now."""
        newest = times.day_of(now - RUN_AT - RUN_LENGTH) - 1
        oldest = max(self.first_day, times.day_of(since - 1 - RUN_AT - RUN_LENGTH))
        failed = sum(1 for day, error in self.verdicts.items() if error and oldest <= day <= newest)
        return max(0, newest - oldest + 1 - failed) * self.rows_per_day

    def last_run(self, now: int) -> int | None:
        """The data day of the newest scheduled run, None without one."""
        newest = self.last_day(now)
        return newest if newest >= self.first_day else None


@dataclass(slots=True)
class Ranges:
    """The day ranges (inclusive) of one transfer that may block a new one, with their backfills' ids.

    They are kept sorted so that a create stays cheap; `longest` bounds how far back to look.
    """

    rows: list[tuple[int, int, int]] = field(default_factory=list)
    longest: int = 0

    def add(self, start: int, end: int, number: int) -> None:
        """Add a range."""
        insort(self.rows, (start, end, number))
        self.longest = max(self.longest, end - start)

    def drop(self, start: int, end: int, number: int) -> None:
        """Remove a range; one that is not there is ignored."""
        place = bisect_left(self.rows, (start, end, number))
        if place < len(self.rows) and self.rows[place] == (start, end, number):
            del self.rows[place]

    def touching(self, start: int, end: int) -> Iterator[int]:
        """The ids of the ranges that share a day with start..end. The rows may be dropped meanwhile."""
        first = bisect_left(self.rows, (start - self.longest, 0, 0))
        last = bisect_right(self.rows, (end, 2**63, 2**63))
        for _, row_end, number in self.rows[first:last]:
            if row_end >= start:
                yield number
