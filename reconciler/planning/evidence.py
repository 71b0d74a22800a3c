"""What bears on the days of a backfill: is it active, its runs, and evidence that never shrinks. Pure.

``verdict.py`` has the table of what a backfill says of its days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from reconciler.bounds import BLIND_CANCEL_SETTLES, ENDING_SETTLES
from reconciler.dates import EMPTY, FIRST_DAY, DateSet, Day, grouped, union
from reconciler.model.memory import BackfillRecord, DayEvidence
from reconciler.model.observed import Backfill, Cause, Run, RunStatus, Status, Unreadable

RunsByDay = Mapping[Day, Sequence[Run]]
UNDATED: Day = FIRST_DAY - 1  # no day at all


def why_untold(source: int, answer: tuple[Run, ...] | Unreadable | None) -> Unreadable | None:
    """Return why a run list tells nothing: it was not readable, or no COMPLETED run tells its day."""
    if answer is None or isinstance(answer, Unreadable):
        return answer
    completed_runs = [run for run in answer if run.status is RunStatus.COMPLETED]
    if completed_runs and all(run.day is None for run in completed_runs):
        said = f"none of the {len(completed_runs)} COMPLETED runs of transfer {source} has a data_date"
        return Unreadable(Cause.UNDATED, said)
    return None


def is_active(backfill: Backfill) -> bool:
    """Tell whether runs of it may still come. An unknown status counts as active until it has ended."""
    if backfill.status is Status.FAILED:
        return backfill.completed + backfill.failed < backfill.total and backfill.end_time is None
    if backfill.status is Status.UNKNOWN:
        return backfill.end_time is None
    return not backfill.status.final


def runs_by_day(runs: Iterable[Run]) -> dict[Day, list[Run]]:
    """Group runs by data date, oldest first; those that tell none are ``UNDATED``."""
    oldest_first = sorted(runs, key=lambda run: (run.created_time, run.id))
    return grouped(oldest_first, lambda run: UNDATED if run.day is None else run.day)


def own_runs(record: BackfillRecord, runs: RunsByDay, day: Day) -> list[Run]:
    """Return the runs of a day that a backfill made, oldest first."""
    return [run for run in runs.get(day, ()) if run.backfill and made_within(record, run.created_time)]


def own_runs_by_day(record: BackfillRecord, runs: RunsByDay) -> dict[Day, list[Run]]:
    """Return the runs that a backfill made on its days; a day without one is not there."""
    found = {day: own_runs(record, runs, day) for day in record.days}
    return {day: own for day, own in found.items() if own}


def made_within(record: BackfillRecord, moment: datetime) -> bool:
    """Tell whether a run made at this time may be a backfill's own: made while it lived.

    Where it does not tell when it ended: before a read saw it ended, and its counts as they are now. Of what
    was cancelled the runs under way go on for a while.
    """
    seen = record.seen
    last = seen.end_time or seen.removed_time or _seen_ended(record)
    if last is not None and seen.status is Status.CANCELLED:
        last += ENDING_SETTLES
    return seen.created_time <= moment and (last is None or moment <= last)


def _seen_ended(record: BackfillRecord) -> datetime | None:
    if record.ended_at is None or record.moved_at is None:
        return record.ended_at
    return max(record.ended_at, record.moved_at)


def unproved_by_runs(record: BackfillRecord, evidence: DayEvidence) -> DateSet:
    """Return the days of which a COMPLETED run that a backfill made proves nothing.

    While it is active, another run may fail them. Of several a day one makes no other good that failed, and
    proves nothing until the backfill is judged. With one run a day, one that completed was tried again, or is
    another backfill's: the day is loaded.
    """
    if is_active(record.seen) and not record.gone:
        return record.days
    several_a_day = record.seen.total > len(record.days)
    return record.days - evidence.loaded if several_a_day else EMPTY


def known_days(evidence: DayEvidence) -> DateSet:
    """Return the days something certain is known of."""
    return union((evidence.loaded, evidence.failed, evidence.not_run, evidence.cancelled))


def judged_days(evidence: DayEvidence) -> DateSet:
    """Return the days that were judged at all, the unlocated ones included."""
    return known_days(evidence) | evidence.unlocated


def what_stays(evidence: DayEvidence) -> DayEvidence:
    """Return what is true of a backfill whatever its counts become: what it loaded stays loaded. A day that
    failed may have run again.
    """
    return DayEvidence(loaded=evidence.loaded)


def merge(old: DayEvidence, new: DayEvidence, days: DateSet) -> DayEvidence:
    """Join two readings of a backfill; what was once known of ``days`` never shrinks.

    The stronger statement wins: loaded, failed, not run, cancelled, unlocated.
    """
    return divided(old, new, days)[0]


def completed(old: DayEvidence, new: DayEvidence, days: DateSet) -> DayEvidence:
    """Join two readings that tell of each of ``days``."""
    evidence, untold = divided(old, new, days)
    assert not untold
    return evidence


def divided(old: DayEvidence, new: DayEvidence, days: DateSet) -> tuple[DayEvidence, DateSet]:
    """Return each day in one set, and the days that neither reading tells of."""
    left, parts = days, []
    for name in ("loaded", "failed", "not_run", "cancelled", "unlocated"):
        part = (getattr(old, name) | getattr(new, name)) & left if left else EMPTY
        parts.append(part)
        left = left - part
    assert sum(map(bool, parts)) <= 1 or sum(map(len, parts)) + len(left) == len(days)
    return DayEvidence(*parts), left


def status_of(record: BackfillRecord) -> Status:
    """Return its status; what had FAILED before we cancelled it is judged as that."""
    return Status.FAILED if record.was_failed else record.seen.status


def settles_for(record: BackfillRecord, blind: bool) -> timedelta:
    """Return how long after a read first saw its end its counts, and runs, may still tell more."""
    if status_of(record) is Status.CANCELLED and blind:
        return BLIND_CANCEL_SETTLES
    return ENDING_SETTLES
