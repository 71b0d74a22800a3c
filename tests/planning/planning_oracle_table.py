"""The first half of the oracle: what a backfill says of one day, row by row of the table."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from planning_worlds import World

from reconciler.dates import Day
from reconciler.model.desired import DesiredTransfer, EvidenceMode
from reconciler.model.memory import BackfillRecord, DayEvidence
from reconciler.model.observed import UNTOLD, Backfill, Cause, Run, RunStatus, Status, Unreadable

HOUR = timedelta(hours=1)
OVER = (RunStatus.COMPLETED, RunStatus.FAILED)
WORDS = ("loaded", "failed", "not_run", "cancelled", "unlocated")  # the strongest first
CERTAIN = WORDS[:4]


@dataclass
class Table:
    world: World
    transfer: DesiredTransfer

    def records_on(self, day: Day) -> list[BackfillRecord]:
        """Return the backfills on a day, the newest first."""
        on_day = [
            record
            for record in self.world.document.backfills.values()
            if record.transfer_id in self.transfer.source_ids and record.start <= day < record.end
        ]
        return sorted(on_day, key=lambda record: (record.created_time, record.id), reverse=True)

    # -- what a backfill says of a day: the table, row by row -----------------------------------

    def says(self, record: BackfillRecord, day: Day) -> str:
        before = remembered(record.evidence, day)
        if record.gone:
            if self.runs(record.transfer_id) is None:
                return before if before in CERTAIN else "gone"
            now = self.by_runs(record, day, "not_run")
            return strongest(before, now)
        if is_active(record.seen):
            return "in_flight"
        if record.settled:
            return before
        return strongest(before, self.reads(record, day))

    def reads(self, record: BackfillRecord, day: Day) -> str:
        one, days = record.seen, record.end - record.start
        ended = one.completed + one.failed
        whole = ended == one.total == days
        done = one.status is Status.COMPLETED and one.completed == one.total > 0 == one.failed
        named_well = len(one.failed_days) == one.failed and all(
            one.start <= failed_day < one.end for failed_day in one.failed_days
        )
        cancelled = one.status is Status.CANCELLED and not record.was_failed
        if one.status is Status.UNKNOWN:
            return "unknown_status"
        if cancelled and not record.has_run:
            return "cancelled"
        if done or (whole and one.failed == 0):
            return "loaded"
        if whole and one.failed == days:
            return "failed"
        if whole and named_well:
            return "failed" if day in one.failed_days else "loaded"
        if not whole and self.settles(record):
            return "settling"
        if one.status is Status.COMPLETED and one.total == 0:
            return "loaded"
        alike = one.status is Status.COMPLETED or (not cancelled and one.total % days == 0)
        if ended == one.total > days and alike:  # else the total may be of the runs that were made
            return self.several_a_day(record, day)
        return self.by_runs(record, day, "cancelled" if cancelled else "not_run")

    def several_a_day(self, record: BackfillRecord, day: Day) -> str:
        """More failed runs than counted: some ran again since, and which of their days are whole is open.

        Where no run list is read, each named day stands for one failed run.
        """
        one, runs = record.seen, self.runs(record.transfer_id)
        named = [other for other in one.failed_days if one.start <= other < one.end]
        if runs is None:
            lacks = one.status is not Status.COMPLETED and not one.failed
            found, failed = len(named), day in named
        else:
            days = range(one.start, one.end)
            still = {other: self.still_failed(record, runs, other) for other in days}
            shown = {run.day for run in runs if made_by(record, run)}
            lacks = not shown.issuperset(days) or self.shown_ended(record, runs) < one.completed + one.failed
            found, failed = sum(still.values()), day in named or still[day] > 0
        if failed:
            return "unlocated" if found > one.failed else "failed"
        return "unlocated" if lacks or found < one.failed else "loaded"

    def still_failed(self, record: BackfillRecord, runs: tuple[Run, ...], day: Day) -> int:
        """A run that was tried again has one row for each try; no more of a day failed than did not load."""
        rows = [run.status for run in runs if made_by(record, run) and run.day == day]
        failed = rows.count(RunStatus.FAILED)
        return min(failed, max(runs_a_day(record) - rows.count(RunStatus.COMPLETED), 0))

    def shown_ended(self, record: BackfillRecord, runs: tuple[Run, ...]) -> int:
        """How many runs the list proves to be over: of a day no more than it has runs."""
        rows = [run.day for run in runs if made_by(record, run) and run.status in OVER]
        return sum(min(rows.count(day), runs_a_day(record)) for day in set(rows))

    def settles(self, record: BackfillRecord) -> bool:
        cancelled = record.seen.status is Status.CANCELLED and not record.was_failed
        blind = self.transfer.evidence is EvidenceMode.BACKFILLS
        return record.ended_at is None or self.ended_within(record, 5 * HOUR if cancelled and blind else HOUR)

    def ended_within(self, record: BackfillRecord, time: timedelta) -> bool:
        assert record.ended_at is not None
        return self.world.earlier < record.ended_at + time

    def by_runs(self, record: BackfillRecord, day: Day, none: str) -> str:
        """Tell what the run list has of a day; where it holds less than the counts tell, none is no proof."""
        one, runs = record.seen, self.runs(record.transfer_id)
        if runs is None:
            did_nothing = (one.status is Status.FAILED or record.was_failed) and one.completed == 0
            return "failed" if day in one.failed_days else "not_run" if did_nothing else "unlocated"
        own = [run for run in runs if made_by(record, run)]
        on_day = [run for run in own if run.day == day]
        failed = day in one.failed_days or any(run.status is RunStatus.FAILED for run in on_day)
        several_a_day = one.total > one.end - one.start
        if any(run.status is RunStatus.COMPLETED for run in on_day) and not (failed and several_a_day):
            return "loaded"
        if failed:
            return "failed"
        if self.settles(record):
            return "lagging"
        undated = any(
            run.backfill and run.day is None and was_active(record, run.created_time)
            for run in runs
            if run.status is RunStatus.COMPLETED
        )
        if undated or 0 < one.total == one.completed + one.failed < one.end - one.start:
            daily = one.status is not Status.COMPLETED and has_neighbours({run.day for run in own})
            if undated or not daily:
                return "unlocated"  # a run may hide the day, or load several
        return none if self.shown_ended(record, runs) >= one.completed + one.failed else "unlocated"

    def runs(self, source: int) -> tuple[Run, ...] | None:
        answer = self.world.observed.runs.get(source)
        return answer if isinstance(answer, tuple) else None


# -- words of single values ---------------------------------------------------------------------


def remembered(evidence: DayEvidence, day: Day) -> str:
    return next((word for word in WORDS if day in getattr(evidence, word)), "")


def strongest(before: str, now: str) -> str:
    """What was once known never shrinks; while it is open, only that a day was loaded is known."""
    if now in ("settling", "unknown_status", "in_flight"):
        return "loaded" if before == "loaded" else now
    if now == "lagging":
        return "loaded, lagging" if before == "loaded" else now
    return min((word for word in (before, now) if word), key=WORDS.index)


def ended_as(record: BackfillRecord, day: Day, says: dict[int, str]) -> str:
    """What it says of a day; where nobody knows its status now, what it said before."""
    word = says[record.id]
    before = remembered(record.evidence, day)
    return before if word == "unknown_status" and before else word


def is_active(one: Backfill) -> bool:
    if one.status is Status.FAILED:
        return one.completed + one.failed < one.total and one.end_time is None
    if one.status is Status.UNKNOWN:
        return one.end_time is None
    return one.status not in (Status.COMPLETED, Status.CANCELLED)


def has_neighbours(days: set[Day | None]) -> bool:
    return any(day is not None and day + 1 in days for day in days)


def runs_a_day(record: BackfillRecord) -> int:
    days = record.end - record.start
    return next(number for number in range(1, 1_000) if number * days >= record.seen.total)


def was_active(record: BackfillRecord, at: datetime) -> bool:
    """Where nothing tells when it ended: before it was seen ended, with the counts it has now."""
    one = record.seen
    last = one.end_time or one.removed_time
    if last is None and record.ended_at is not None:
        last = max(record.ended_at, record.moved_at or record.ended_at)
    if last is not None and one.status is Status.CANCELLED:
        last += HOUR  # its runs under way were still to finish
    return one.created_time <= at and (last is None or at <= last)


def cancelled_while_active(record: BackfillRecord) -> bool:
    one = record.seen
    cancelled = one.status is Status.CANCELLED and not record.was_failed
    return cancelled and one.completed + one.failed < one.total


def made_by(record: BackfillRecord, run: Run) -> bool:
    return (
        run.backfill and record.start <= (run.day or 0) < record.end and was_active(record, run.created_time)
    )


def is_hidden(run: Run) -> bool:
    """Tell whether a run is not over, and does not tell when it was created."""
    return run.created_time == UNTOLD and run.ended_time is None


def may_be_newer(run: Run, stale_before: datetime | None) -> bool:
    return is_hidden(run) or newer(run.created_time, stale_before)


def newer(at: datetime, stale_before: datetime | None) -> bool:
    return stale_before is None or at >= stale_before


def counts(record: BackfillRecord, stale_before: datetime | None) -> bool:
    if newer(record.created_time, stale_before):
        return True
    assert stale_before is not None
    return record.ours and record.stale_before is not None and record.stale_before >= stale_before


def causes(answer: object) -> Cause | None:
    return answer.cause if isinstance(answer, Unreadable) else None
