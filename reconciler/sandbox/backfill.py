"""A backfill: its life as arithmetic, and the runs it is made of.

Nothing ticks. A backfill remembers when it was created, when its runs begin and how long one takes;
what it looks like at a moment is computed from that. Only what cannot be computed is stored: how the
runs on odd days ended, a cancel, and the laps of what was run again.

Life (the order is the vendor's, the paces are settings): CREATED, without runs; SCHEDULED, all runs
exist and wait; RUNNING, one run after the other, newest day first; then COMPLETED or, if a run failed,
FAILED. A cancel drops the runs that have not started; the one that runs then finishes and still counts.
A FAILED one that is run again is RUNNING once more: its failed runs, and no others, wait and run again.

Runs are counted as *slots*, from 0 in the order in which they run. There are `per_day` of them for each
`every`-th day, counted back from `end`: a day has 24 with an hourly transfer, a week has one with a weekly.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from reconciler.sandbox import times
from reconciler.sandbox.progress import ACTIVE, GONE_FROM_LIST, Lap, Progress
from reconciler.sandbox.runs import (
    CANCELLED,
    COMPLETED,
    CREATED,
    FAILED,
    RUNNING,
    SCHEDULED,
    Ending,
    Run,
    Working,
)
from reconciler.sandbox.settings import Settings


@dataclass(slots=True)
class Backfill:
    """Days `start`..`end` (inclusive) of a transfer, loaded again. Moments are milliseconds.

    `endings`: how runs on odd days ended, by slot; None for simply completed.
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
    first_run: int  # the id of the first slot's run; the others count up
    started: int  # what start_time shows: `begins`, unless the world file said otherwise
    rows: int  # of each run
    per_day: int = 1
    every: int = 1
    removed: int | None = None
    removed_user: int | None = None
    failed_early: bool = False  # FAILED is shown while runs go on, whatever the setting
    endings: dict[int, Ending | None] = field(default_factory=dict)
    given: Progress | None = None
    laps: tuple[Lap, ...] = ()

    # -- slots -----------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """How many runs it has."""
        return -(-(self.end - self.start + 1) // self.every) * self.per_day

    def day_of(self, slot: int) -> int:
        """The day that a run loads."""
        return self.end - slot // self.per_day * self.every

    def slots_of(self, day: int) -> range:
        """The runs that load a day."""
        steps, rest = divmod(self.end - day, self.every)
        if rest or not self.start <= day <= self.end:
            return range(0)
        return range(steps * self.per_day, (steps + 1) * self.per_day)

    def slot_start(self, slot: int) -> int:
        """When a run starts, if it is not dropped: the last time, of those that run again."""
        for lap in self.laps[::-1]:
            place = bisect_left(lap.slots, slot)
            if place < len(lap.slots) and lap.slots[place] == slot:
                return lap.begins + place * self.pace
        return self.begins + slot * self.pace

    def slot_end(self, slot: int) -> int:
        """When it ends."""
        return self.slot_start(slot) + self.pace

    def keeps_slot(self, slot: int) -> bool:
        """Whether a run runs: it had started before any cancel."""
        if self.removed is None:
            return True
        start = self.slot_start(slot)
        return start <= self.removed if self.pace == 0 else start < self.removed

    def run_end(self, day: int) -> int:
        """When the last run for `day` ends, if it is not dropped. The day must have one."""
        return self.slot_end(self.slots_of(day)[-1])

    def keeps(self, day: int) -> bool:
        """Whether the runs for `day` run: the last had started before any cancel. The day must have one."""
        return self.keeps_slot(self.slots_of(day)[-1])

    # -- counts ----------------------------------------------------------------------------------

    def _lap(self) -> tuple[int, int]:
        """When the runs that go on now began, and how many they are; all others completed before."""
        return (self.laps[-1].begins, len(self.laps[-1].slots)) if self.laps else (self.begins, self.total)

    def runs_kept(self) -> int:
        """How many runs ever run: all, or those that had started before the cancel."""
        begins, size = self._lap()
        if self.removed is None:
            return self.total
        if self.pace == 0:
            return self.total - (0 if self.removed >= begins else size)
        return self.total - size + max(0, min(size, -(-(self.removed - begins) // self.pace)))

    def runs_ended(self, now: int) -> int:
        """How many runs have had their time by `now`."""
        begins, size = self._lap()
        before, kept = self.total - size, self.runs_kept()
        if now < begins:
            return before
        return kept if self.pace == 0 else min(kept, before + (now - begins) // self.pace)

    def odd(self, at: int) -> list[tuple[int, Ending]]:
        """The runs that had not simply completed by `at`, in the order of their slots."""
        found = [(slot, ending) for slot, ending in self.endings.items() if ending is not None]
        found.sort(key=lambda item: item[0])
        return found if self.given else [item for item in found if self.slot_end(item[0]) <= at]

    def failures(self, at: int) -> dict[int, str]:
        """The days of which a run had failed by `at`, newest first, with the error."""
        failed: dict[int, str] = {}
        for slot, ending in self.odd(at):
            if ending.status == FAILED:
                failed.setdefault(self.day_of(slot), ending.error)
        return failed

    def progress(self, now: int, settings: Settings) -> Progress:
        """What the API shows at `now`. Endings up to `now` must be in."""
        if self.given is not None:
            return self.given
        seen = now if self.removed is None else min(now, self.removed)
        created, completed, failed = self._counts(now - settings.counters_lag, seen)
        return Progress(
            status=self._status(now, settings),
            total=self.total,
            created=created,
            completed=completed,
            failed=failed,
            started=self.started if self.laps or (seen >= self.begins and self.runs_kept()) else None,
            ended=self._over(now) if self.removed is None else self.removed,
        )

    def _counts(self, at: int, seen: int) -> tuple[int, int, int]:
        """How many runs were created, completed and failed, as counted at `at`."""
        endings = [ending.status for _, ending in self.odd(at)] if self.endings else []
        failed, completed_odd = endings.count(FAILED), endings.count(COMPLETED)
        ended = self.runs_ended(at) - len(endings) + completed_odd
        created = self.total if self.laps or min(at, seen) >= self.scheduled else 0
        return created, ended, failed

    def _over(self, now: int) -> int | None:
        """When the last run ended; None while one is to come, or works for ever and is waited for."""
        begins, size = self._lap()
        if self.runs_ended(now) < self.total or self._is_held():
            return None
        return begins + size * self.pace

    def _is_held(self) -> bool:
        return any(ending.holds for ending in self.endings.values() if ending is not None)

    def _has_failed(self) -> bool:
        return any(ending.status == FAILED for ending in self.endings.values() if ending is not None)

    def _status(self, now: int, settings: Settings) -> str:
        if self.removed is not None:
            return CANCELLED
        failed = self._has_failed()
        if self._over(now) is not None:
            return FAILED if failed and not settings.completed_with_failures else COMPLETED
        if failed and (self.failed_early or settings.failed_while_running):
            return FAILED
        if self.laps or now >= self.begins:
            return RUNNING
        return CREATED if now < self.scheduled else SCHEDULED

    def status(self, now: int, settings: Settings) -> str:
        """The status alone."""
        return self._status(now, settings) if self.given is None else self.given.status

    def ended(self, now: int) -> int | None:
        """When it ended, or None."""
        if self.given is not None:
            return self.given.ended
        return self._over(now) if self.removed is None else self.removed

    def shows(self, lag: float, now: int, settings: Settings) -> bool:
        """Whether a read shows it: created `lag` seconds ago or more, and not forgotten since it ended."""
        if now < self.created + times.millis(lag):
            return False
        keep = settings.retention_days
        ended = None if keep is None else self.ended(now)
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
        return self._over(now) is not None and not self._has_failed()

    # -- changes ---------------------------------------------------------------------------------

    def cancel(self, now: int, user: int) -> None:
        """Stop it at `now`: runs that have not started are dropped."""
        self.removed, self.removed_user = now, user
        if self.given is not None:
            self.given = replace(self.given, status=CANCELLED, ended=now)

    def run_again(self, now: int) -> None:
        """Queue its failed runs again, from `now` on; of a given one also those that never ran.

        It must be FAILED and over. Raises ValueError for a given one whose runs are not those of its range.
        """
        queue = [slot for slot, ending in self.odd(now) if ending.status == FAILED]
        if self.given is not None:
            queue = self._unfinished(self.given)
            self.begins = (self.given.ended or now) - self.total * self.pace
            self.scheduled, self.given = min(self.scheduled, self.begins), None
        for slot in queue:
            self.endings.pop(slot, None)
        self.laps += (Lap(now, tuple(queue)),)
        self.failed_early = False

    def _unfinished(self, given: Progress) -> list[int]:
        """Slots of a given backfill that failed or never ran."""
        if given.total != self.total:
            raise ValueError(f"it has {given.total} runs, its range {self.total}")
        failed = [slot for slot, ending in self.endings.items() if ending is not None]
        return sorted({*failed, *self._never_ran(given)})

    def _never_ran(self, given: Progress) -> list[int]:
        """Slots of a given backfill that never ran: all but its failed days and the newest completed."""
        fine = [slot for slot in range(self.total) if self.endings.get(slot) is None]
        return fine[given.completed :]

    # -- runs ------------------------------------------------------------------------------------

    def list_runs(self, now: int, first: int, last: int) -> Iterator[Run]:
        """The runs for days first..last (inclusive) that exist at `now`, newest day first."""
        seen = now if self.removed is None else min(now, self.removed)
        if self.given is None and not self.laps and seen < self.scheduled:
            return
        dropped = None if self.given is None else frozenset(self._never_ran(self.given))
        steps, last_step = -(-max(0, self.end - last) // self.every), (self.end - first) // self.every
        for slot in range(steps * self.per_day, min(self.total, (last_step + 1) * self.per_day)):
            run = self._run(slot, now) if dropped is None else self._given_run(slot, slot in dropped)
            if run is not None:
                yield run

    def _run(self, slot: int, now: int) -> Run:
        number, day, start = self.first_run + slot, self.day_of(slot), self.slot_start(slot)
        if not self.keeps_slot(slot):
            return Run(number, "Backfill", day, CANCELLED, self.scheduled, None, self.removed, None)
        if now < start:
            return Run(number, "Backfill", day, SCHEDULED, self.scheduled, None, None, None)
        working = Working(number, "Backfill", day, self.scheduled, start, start + self.pace, self.rows)
        return working.at(now, self.endings.get(slot))

    def _given_run(self, slot: int, missing: bool) -> Run | None:
        """A run that fits the counts of a given backfill."""
        assert self.given is not None
        number, day = self.first_run + slot, self.day_of(slot)
        end = self.given.ended if self.given.ended is not None else self.created
        if not missing:
            working = Working(number, "Backfill", day, self.created, end, end, self.rows)
            return working.at(end, self.endings.get(slot))
        if self.given.status == CANCELLED and self.given.created:
            return Run(number, "Backfill", day, CANCELLED, self.created, None, end, None)
        return None
