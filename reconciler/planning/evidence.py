"""What a backfill says of each of its days: the table in docs/planning.md, "What counts as loaded". Pure.

Counts are trusted only where they add up to one run per day of the range; whatever they
leave open is read from the run list, and what that cannot tell is ``unlocated``: a person
must look, since guessing would load a day twice or never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.bounds import CANCEL_SETTLES
from reconciler.dates import EMPTY, DateSet, Day, grouped, union
from reconciler.model.memory import NOTHING_KNOWN, BackfillRecord, DayEvidence
from reconciler.model.observed import Backfill, Run, RunStatus, Status

RunsByDay = Mapping[Day, Sequence[Run]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the days of one backfill stand; together they cover its range.

    ``in_flight``, ``settling`` and ``gone`` come before ``evidence``, which may still hold what
    was known earlier. ``settled``: no later reading can change it.
    """

    in_flight: DateSet = EMPTY
    settling: DateSet = EMPTY
    gone: DateSet = EMPTY
    evidence: DayEvidence = NOTHING_KNOWN
    settled: bool = False


def runs_by_day(runs: Iterable[Run]) -> dict[Day, list[Run]]:
    """Group runs by data date, oldest first."""
    return grouped(sorted(runs, key=lambda run: (run.created_time, run.id)), lambda run: run.day)


def is_active(backfill: Backfill) -> bool:
    """Tell whether runs of it may still come. An unknown status counts as active."""
    if backfill.status is Status.FAILED:
        return backfill.completed + backfill.failed < backfill.total and backfill.end_time is None
    return not backfill.status.final


def judge(record: BackfillRecord, runs: RunsByDay | None, vendor_now: datetime) -> Verdict:
    """Return the verdict on every day of a backfill.

    ``runs`` is ``None`` when the run list was not read or not readable. ``vendor_now`` is the
    vendor's own time, since it is compared with the vendor's times.
    """
    if record.gone:
        return _gone(record)
    if is_active(record.seen):
        return Verdict(in_flight=record.days, evidence=record.evidence)
    if record.settled:
        return Verdict(evidence=record.evidence, settled=True)
    if _is_settling(record.seen, vendor_now):
        return Verdict(settling=record.days - record.evidence.loaded, evidence=record.evidence)
    return _judge_ended(record, runs)


def _gone(record: BackfillRecord) -> Verdict:
    known = replace(record.evidence, unlocated=EMPTY)
    return Verdict(gone=record.days - known_days(known), evidence=known)


def _is_settling(seen: Backfill, vendor_now: datetime) -> bool:
    if seen.status is not Status.CANCELLED or seen.completed + seen.failed >= seen.total:
        return False
    removed = seen.removed_time or seen.end_time or seen.created_time
    return vendor_now < removed + CANCEL_SETTLES


def _judge_ended(record: BackfillRecord, runs: RunsByDay | None) -> Verdict:
    told = _from_counts(record.seen)
    if told is not None:
        return Verdict(evidence=_complete(record.evidence, told, record.days), settled=True)
    if runs is None:
        blind = _without_runs(record.seen)
        return Verdict(evidence=_complete(record.evidence, blind, record.days))
    return _from_runs(record, runs)


def _from_counts(seen: Backfill) -> DayEvidence | None:
    """Return what the counts alone prove, or ``None`` when they leave a day open."""
    whole = seen.completed + seen.failed == seen.total == len(seen.days)
    if whole and seen.failed == 0:
        return DayEvidence(loaded=seen.days)
    if whole and seen.completed == 0:
        return DayEvidence(failed=seen.days)
    named = seen.failed_days & seen.days
    if whole and len(named) == seen.failed == len(seen.failed_days):
        return DayEvidence(loaded=seen.days - named, failed=named)
    if seen.completed == seen.failed == 0:
        return _none_ran(seen, seen.days)
    return None


def _none_ran(seen: Backfill, days: DateSet) -> DayEvidence:
    if seen.status is Status.CANCELLED:
        return DayEvidence(cancelled=days)
    return DayEvidence(not_run=days)


def _without_runs(seen: Backfill) -> DayEvidence:
    named = seen.failed_days & seen.days
    return DayEvidence(failed=named, unlocated=seen.days - named)


def _from_runs(record: BackfillRecord, runs: RunsByDay) -> Verdict:
    seen = record.seen
    own = {day: run for day in seen.days if (run := _run_of(seen, runs.get(day, ())))}
    loaded = _days_with(own, RunStatus.COMPLETED)
    failed = _days_with(own, RunStatus.FAILED) | ((seen.failed_days & seen.days) - loaded)
    running = _days_with(own, RunStatus.IN_FLIGHT) - failed - known_days(record.evidence)
    rest = seen.days - loaded - failed - running
    if len(loaded) + len(failed) >= seen.completed + seen.failed:
        none = _none_ran(seen, rest)
    else:  # the list holds fewer runs than the counts: a day without one may still be loaded
        none = DayEvidence(unlocated=rest)
    told = replace(none, loaded=loaded, failed=failed)
    evidence = _complete(record.evidence, told, seen.days - running)
    settled = not running and not evidence.unlocated
    return Verdict(in_flight=running, evidence=evidence, settled=settled)


def _run_of(seen: Backfill, runs: Sequence[Run]) -> Run | None:
    """Return the run that a backfill made for a day while it lived: one that loaded it, else the first."""
    last = seen.end_time or seen.removed_time
    if last is not None and seen.status is Status.CANCELLED:
        last += CANCEL_SETTLES
    own = [
        run
        for run in runs
        if run.backfill
        and run.created_time >= seen.created_time
        and (last is None or run.created_time <= last)
    ]
    return next((run for run in own if run.status is RunStatus.COMPLETED), own[0] if own else None)


def _days_with(runs: Mapping[Day, Run], status: RunStatus) -> DateSet:
    return DateSet.days(day for day, run in runs.items() if run.status is status)


def known_days(evidence: DayEvidence) -> DateSet:
    """Return the days something certain is known of."""
    return union((evidence.loaded, evidence.failed, evidence.not_run, evidence.cancelled))


def judged_days(evidence: DayEvidence) -> DateSet:
    """Return the days that were judged at all, the unlocated ones included."""
    return known_days(evidence) | evidence.unlocated


def merge(old: DayEvidence, new: DayEvidence, days: DateSet) -> DayEvidence:
    """Join two readings of a backfill; what was once known of ``days`` never shrinks.

    The stronger statement wins: loaded, failed, not run, cancelled, unlocated.
    """
    return _divided(old, new, days)[0]


def _complete(old: DayEvidence, new: DayEvidence, days: DateSet) -> DayEvidence:
    """Join two readings that tell of each of ``days``."""
    evidence, untold = _divided(old, new, days)
    assert not untold
    return evidence


def _divided(old: DayEvidence, new: DayEvidence, days: DateSet) -> tuple[DayEvidence, DateSet]:
    """Return each day in one set, and the days that neither reading tells of."""
    left, parts = days, []
    for name in ("loaded", "failed", "not_run", "cancelled", "unlocated"):
        part = (getattr(old, name) | getattr(new, name)) & left if left else EMPTY
        parts.append(part)
        left = left - part
    assert sum(map(bool, parts)) <= 1 or sum(map(len, parts)) + len(left) == len(days)
    return DayEvidence(*parts), left
