"""When a transfer runs by itself, and the runs that come of it, as arithmetic.

The vendor tells little of schedules, so decided here: each `every`-th day from `since` on, a transfer runs
`per_day` times, the first time at `at` and then evenly over the day. Each time it loads the last `window`
days before that day, or including it, with one run for each `every`-th of them. A run takes a minute.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from reconciler.sandbox import times
from reconciler.sandbox.runs import Working

RUN_AT = 2 * times.HOUR
RUN_LENGTH = 60_000
NEVER = date.max.toordinal() + 1  # a day that does not come
ALWAYS = -(2**62)  # a moment before all others

# Ids of scheduled runs: by the day they start, by transfer, then by place in the window and turn of the
# day, then by schedule. With the default schedule only the first two tell runs apart.
RUN_IDS = 10**12
IDS_PER_TRANSFER = 10**7  # more than there are days until the year 9999
IDS_PER_PLACE = 10**13
MAX_TURNS = 96  # runs a day
MAX_WINDOW = 400
IDS_PER_SCHEDULE = IDS_PER_PLACE * 40_000
SCHEDULES = 20


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it stood while `opens` < a run's start <= `closes` (moments).

    `since` is the first day (UTC) on which it runs; `first_id` is where the ids of its runs begin.
    """

    since: int = NEVER
    at: int = RUN_AT  # milliseconds after midnight UTC
    window: int = 1
    includes_today: bool = False
    per_day: int = 1
    every: int = 1
    rows: int = 0
    first_id: int = RUN_IDS
    opens: int = ALWAYS
    closes: int = times.LATEST

    @property
    def first_day(self) -> int:
        """The earliest day that it may load; NEVER without any."""
        if self.since == NEVER:
            return NEVER
        begins = self.since if self.opens == ALWAYS else max(self.since, times.day_of(self.opens))
        return begins - self.window

    def runs_of(self, day: int) -> Iterator[tuple[int, Working]]:
        """The runs that ever load a day, in order of time, each with its turn of the day (from 0)."""
        for back in range(0, self.window, self.every):
            fires = day + back + (not self.includes_today)
            if fires < self.since or (fires - self.since) % self.every:
                continue
            for turn, moment in enumerate(self._turns(fires)):
                if self.opens < moment <= self.closes:
                    number = self.first_id + fires - 1 + IDS_PER_PLACE * (back * MAX_TURNS + turn)
                    end = moment + RUN_LENGTH
                    yield turn, Working(number, "Recurring", day, moment, moment, end, self.rows)

    def _turns(self, day: int) -> list[int]:
        """When it runs on a day that it runs on."""
        step, midnight = times.DAY // self.per_day, times.midnight(day)
        return sorted(midnight + (self.at + turn * step) % times.DAY for turn in range(self.per_day))

    def last_fired(self, now: int) -> int | None:
        """The newest day (UTC) on which it has run by `now`, or None."""
        until = min(now, self.closes)
        if self.since == NEVER or until <= self.opens:
            return None
        for day in range(times.day_of(until), max(self.since, times.day_of(until) - self.every) - 1, -1):
            fires = (day - self.since) % self.every == 0
            if fires and any(self.opens < moment <= until for moment in self._turns(day)):
                return day
        return None
