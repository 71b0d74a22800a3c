"""A transfer: its schedule, past and present, the days on which runs end oddly, and what it refuses."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from reconciler.sandbox import times
from reconciler.sandbox.runs import COMPLETED, Ending, Run
from reconciler.sandbox.schedule import (
    ALWAYS,
    IDS_PER_SCHEDULE,
    IDS_PER_TRANSFER,
    NEVER,
    RUN_AT,
    RUN_IDS,
    SCHEDULES,
    Schedule,
)

DEFAULT_ROWS = 1000
DEFAULT_ERROR = "The data source did not answer in time"
EMPTY = Ending(COMPLETED)


@dataclass(slots=True)
class OddDay:
    """A day whose next `left` runs (None: all) end oddly: of a day's runs only the first `runs`, if given."""

    ending: Ending
    left: int | None = 1
    runs: int | None = None

    def take(self, turn: int) -> Ending | None:
        """The ending of the run of this turn of the day (from 0), which uses up one; or None."""
        if self.left == 0 or (self.runs is not None and turn >= self.runs):
            return None
        if self.left is not None:
            self.left -= 1
        return self.ending


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call of a transfer that is refused, by its name in `faults`. An empty text is the usual one."""

    call: str = "create"
    status: int = 403
    code: str = ""
    message: str = ""
    description: str = ""


@dataclass(slots=True)
class Transfer:
    """A transfer of a team. `number` counts transfers in the order the world met them.

    `endings` holds how recurring runs on odd days ended, by the run's id; None where it simply completed.
    `past` are the schedules it had before; the one of now began at `opened`.
    """

    team: int
    id: int
    name: str
    state: str = "active"
    rows_per_day: int = DEFAULT_ROWS
    recurring_since: int | None = None
    at: int = RUN_AT  # milliseconds after midnight UTC
    window: int = 1
    includes_today: bool = False
    runs_per_day: int = 1
    run_every_days: int = 1
    fail_days: dict[int, OddDay] = field(default_factory=dict)
    run_status: dict[int, OddDay] = field(default_factory=dict)
    empty_days: frozenset[int] = frozenset()
    undated_days: frozenset[int] = frozenset()
    refuse: tuple[RefusedCall, ...] = ()
    number: int = 0
    endings: dict[int, Ending | None] = field(default_factory=dict)
    past: tuple[Schedule, ...] = ()
    opened: int = ALWAYS

    @property
    def paused(self) -> bool:
        """Paused transfers refuse backfills, and their schedule stands still."""
        return self.state == "paused"

    @property
    def odd_days(self) -> set[int]:
        """The days on which a run may end oddly."""
        return {*self.fail_days, *self.run_status, *self.empty_days}

    def copy(self) -> "Transfer":
        """An independent copy, so that one scene can open many worlds."""
        fails = {day: replace(odd) for day, odd in self.fail_days.items()}
        words = {day: replace(odd) for day, odd in self.run_status.items()}
        return replace(self, fail_days=fails, run_status=words, endings=dict(self.endings))

    def attempt(self, day: int, turn: int) -> Ending | None:
        """Run a day once: how it ends, None where it simply completes. Uses up what is counted."""
        for odd in (self.fail_days.get(day), self.run_status.get(day)):
            ending = odd.take(turn) if odd is not None else None
            if ending is not None:
                return ending
        return EMPTY if day in self.empty_days else None

    def refusal(self, call: str) -> RefusedCall | None:
        """How a call is refused, or None."""
        return next((one for one in self.refuse if one.call == call), None)

    # -- the schedule ----------------------------------------------------------------------------

    @property
    def schedule(self) -> Schedule:
        """The schedule of now."""
        place = len(self.past) % SCHEDULES
        return Schedule(
            since=NEVER if self.recurring_since is None or self.paused else self.recurring_since,
            at=self.at,
            window=self.window,
            includes_today=self.includes_today,
            per_day=self.runs_per_day,
            every=self.run_every_days,
            rows=self.rows_per_day,
            first_id=RUN_IDS + self.number * IDS_PER_TRANSFER + place * IDS_PER_SCHEDULE,
            opens=self.opened,
        )

    def close_schedule(self, old: Schedule, now: int) -> None:
        """Let the schedule, `old` until `now`, go on as it is set by now; what has run stays."""
        if old == self.schedule:
            return
        if old.since != NEVER:
            self.past += (replace(old, closes=now),)
        self.opened = now

    def recurring_runs(self, now: int, first: int, last: int) -> Iterator[Run]:
        """The recurring runs for data days first..last (inclusive) that exist at `now`, newest day first."""
        schedules = [*self.past, self.schedule]
        earliest = min(schedule.first_day for schedule in schedules)
        for day in range(min(last, times.day_of(now)), max(first, earliest) - 1, -1):
            runs = [run for each in schedules for _, run in each.runs_of(day) if run.start <= now]
            for run in reversed(runs):
                yield run.at(now, self.endings.get(run.id))

    def run_ends(self, day: int) -> list[int]:
        """When those recurring runs for a day end whose ending is not told yet."""
        runs = (run for schedule in (*self.past, self.schedule) for _, run in schedule.runs_of(day))
        return [run.end for run in runs if run.id not in self.endings]

    def settle(self, day: int, now: int) -> bool:
        """Tell how the recurring runs for a day ended that have by `now`; whether there were any."""
        due = self._untold(day, now)
        for turn, number in due:
            self.endings[number] = self.attempt(day, turn)
        return bool(due)

    def leave(self, day: int, now: int) -> None:
        """Say of the recurring runs for a day that have ended by `now` that they simply completed."""
        self.endings.update((number, None) for _, number in self._untold(day, now))

    def _untold(self, day: int, now: int) -> list[tuple[int, int]]:
        return [
            (turn, run.id)
            for schedule in (*self.past, self.schedule)
            for turn, run in schedule.runs_of(day)
            if run.end <= now and run.id not in self.endings
        ]

    def last_fired(self, now: int) -> int | None:
        """The newest day (UTC) on which the schedule ran, None without one."""
        days = [schedule.last_fired(now) for schedule in (*self.past, self.schedule)]
        return max((day for day in days if day is not None), default=None)
