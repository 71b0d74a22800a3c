"""A backfill: its life as arithmetic, and the runs it is made of.

Nothing ticks. A backfill remembers when it was created, when its runs begin and how long one takes;
what it looks like at a moment is computed from that. Only what cannot be computed is stored: how the
runs on fail days ended, and a cancel.

Life (the order is the vendor's, the paces are settings): CREATED, without runs; SCHEDULED, all runs
exist and wait; RUNNING, one run after the other, newest day first; then COMPLETED or, if a run failed,
FAILED. A cancel drops the runs that have not started; the one that runs then finishes and still counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from reconciler.sandbox import times
from reconciler.sandbox.settings import Settings

CREATED = "CREATED"
SCHEDULED = "SCHEDULED"
RUNNING = "RUNNING"
FAILED = "FAILED"
COMPLETED = "COMPLETED"
CANCELLED = "CANCELLED"
STATUSES = (CREATED, SCHEDULED, RUNNING, FAILED, COMPLETED, CANCELLED)
ACTIVE = frozenset((CREATED, SCHEDULED, RUNNING))
GONE_FROM_LIST = frozenset((COMPLETED, CANCELLED))

UNREPORTED = ""  # a failed run the error report says nothing about
USER = 789  # whoever creates and cancels here: the user id of the vendor's examples


@dataclass(frozen=True, slots=True)
class Run:
    """One day loaded once, by the schedule or for a backfill, as it stands at one moment.

    `ended` is None until it ended; moments are milliseconds.

    The vendor's page shows COMPLETED and FAILED only; SCHEDULED (waiting), RUNNING and CANCELLED
    (dropped by a cancel) are our reading, after the words it uses for backfills.
    """

    id: int
    kind: str  # Recurring or Backfill
    day: int
    status: str
    created: int
    started: int | None
    ended: int | None
    rows: int | None
    message: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it worked; None while it has not ended."""
        if self.ended is None:
            return None
        return 0.0 if self.started is None else (self.ended - self.started) / 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """A backfill at one moment: its status, its counts, and when it started and ended."""

    status: str
    total: int
    created: int
    completed: int
    failed: int
    started: int | None
    ended: int | None


@dataclass(slots=True)
class Backfill:
    """Days `start`..`end` (inclusive) of a transfer, loaded again. Moments are milliseconds.

    `verdicts`: how runs on fail days ended, by day: the error, UNREPORTED, or None for completed.
    `given`: how a backfill that had ended before the world began is shown; it never changes by itself.
    """

    id: int
    team: int
    transfer: int
    start: int
    end: int
    created: int
    user: int
    scheduled: int
    begins: int  # the first run
    pace: int  # length of a run
    first_run: int  # the id of the newest day's run; the others count up
    started: int  # what start_time shows: `begins`, unless the world file said otherwise
    removed: int | None = None
    removed_user: int | None = None
    failed_early: bool = False  # FAILED is shown while runs go on, whatever the setting
    verdicts: dict[int, str | None] = field(default_factory=dict)
    given: Progress | None = None

    @property
    def total(self) -> int:
        """Days of the range, each with one run."""
        return self.end - self.start + 1

    def run_end(self, day: int) -> int:
        """When the run for `day` ends, if it is not dropped."""
        return self.begins + (self.end - day + 1) * self.pace

    def runs_kept(self) -> int:
        """How many runs ever run: all, or those that had started before the cancel."""
        if self.removed is None:
            return self.total
        if self.pace == 0:
            return self.total if self.removed >= self.begins else 0
        return max(0, min(self.total, -(-(self.removed - self.begins) // self.pace)))

    def runs_ended(self, now: int) -> int:
        """How many runs have ended by `now`."""
        if now < self.begins:
            return 0
        kept = self.runs_kept()
        return kept if self.pace == 0 else min(kept, (now - self.begins) // self.pace)

    def keeps(self, day: int) -> bool:
        """Whether the run for `day` runs: it had started before any cancel."""
        return self.end - day < self.runs_kept()

    def failures(self) -> list[int]:
        """The days whose run failed, newest first."""
        return sorted((day for day, error in self.verdicts.items() if error is not None), reverse=True)

    def progress(self, now: int, settings: Settings) -> Progress:
        """What the API shows at `now`. Verdicts up to `now` must be in."""
        if self.given is not None:
            return self.given
        ended, failed = self.runs_ended(now), len(self.failures())
        seen = now if self.removed is None else min(now, self.removed)
        over = self.run_end(self.start) if ended == self.total else None
        return Progress(
            status=self._status(now, ended, failed, settings),
            total=self.total,
            created=self.total if seen >= self.scheduled else 0,
            completed=ended - failed,
            failed=failed,
            started=self.started if seen >= self.begins and self.runs_kept() else None,
            ended=over if self.removed is None else self.removed,
        )

    def _status(self, now: int, ended: int, failed: int, settings: Settings) -> str:
        if self.removed is not None:
            return CANCELLED
        if ended == self.total:
            return FAILED if failed and not settings.completed_with_failures else COMPLETED
        if failed and (self.failed_early or settings.failed_while_running):
            return FAILED
        if now < self.scheduled:
            return CREATED
        return SCHEDULED if now < self.begins else RUNNING

    def status(self, now: int, settings: Settings) -> str:
        """The status alone."""
        return self.progress(now, settings).status

    def shows(self, lag: float, now: int, settings: Settings) -> bool:
        """Whether a read shows it: created `lag` seconds ago or more, and not forgotten since it ended."""
        if now < self.created + times.millis(lag):
            return False
        keep = settings.retention_days
        ended = None if keep is None else self.progress(now, settings).ended
        return keep is None or ended is None or now <= ended + keep * times.DAY

    def blocks(self, now: int, settings: Settings) -> bool:
        """Whether a new backfill must not overlap it."""
        status = self.status(now, settings)
        return status in ACTIVE or (status == FAILED and settings.failed_blocks_overlap)

    def settled(self, now: int) -> bool:
        """Whether no setting and no time can bring it back to the list or make it block again."""
        if self.removed is not None:
            return True
        if self.given is not None:
            return self.given.status in GONE_FROM_LIST
        return self.runs_ended(now) == self.total and not self.failures()

    def cancel(self, now: int, user: int) -> None:
        """Stop it at `now`: runs that have not started are dropped."""
        self.removed, self.removed_user = now, user
        if self.given is not None:
            self.given = replace(self.given, status=CANCELLED, ended=now)

    def loaded_days(self, since: int, now: int) -> int:
        """Days whose run completed in since..now; those from before the world began do not count."""
        if self.given is not None:
            return 0
        before = self.runs_ended(since - 1)
        failed = sum(1 for day in self.failures() if self.end - day >= before)
        return self.runs_ended(now) - before - failed

    def list_runs(self, now: int, first: int, last: int, rows: int) -> Iterator[Run]:
        """The runs for days first..last (inclusive) that exist at `now`, newest day first."""
        if self.given is not None:
            yield from self._given_runs(self.given, first, last, rows)
            return
        seen = now if self.removed is None else min(now, self.removed)
        if seen < self.scheduled:
            return
        ended, kept = self.runs_ended(now), self.runs_kept()
        for day in range(min(last, self.end), max(first, self.start) - 1, -1):
            yield self._run(day, now, ended, kept, rows)

    def _run(self, day: int, now: int, ended: int, kept: int, rows: int) -> Run:
        index = self.end - day
        number, made = self.first_run + index, self.scheduled
        start = self.begins + index * self.pace
        if index >= kept:
            return Run(number, "Backfill", day, CANCELLED, made, None, self.removed, None)
        if index < ended:
            return self._ended_run(number, day, made, start, start + self.pace, rows)
        if now >= start:
            return Run(number, "Backfill", day, RUNNING, made, start, None, None)
        return Run(number, "Backfill", day, SCHEDULED, made, None, None, None)

    def _ended_run(self, number: int, day: int, made: int, start: int, end: int, rows: int) -> Run:
        error = self.verdicts.get(day)
        if error is None:
            return Run(number, "Backfill", day, COMPLETED, made, start, end, rows)
        return Run(number, "Backfill", day, FAILED, made, start, end, 0, error or "Failed")

    def _given_runs(self, given: Progress, first: int, last: int, rows: int) -> Iterator[Run]:
        """Runs that fit the counts of a given backfill: its failed days, and the newest others completed."""
        completed, end = 0, given.ended if given.ended is not None else self.created
        for day in range(self.end, max(first, self.start) - 1, -1):
            number = self.first_run + self.end - day
            if self.verdicts.get(day) is None and completed == given.completed:
                if day <= last and given.status == CANCELLED and given.created:
                    yield Run(number, "Backfill", day, CANCELLED, self.created, None, end, None)
                continue
            completed += self.verdicts.get(day) is None
            if day <= last:
                yield self._ended_run(number, day, self.created, end, end, rows)
