"""What a backfill tells of each of its days: the table of design section 4. Pure.

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
from reconciler.model.observed import Run, RunStatus, Status

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


def is_active(record: BackfillRecord) -> bool:
    """Tell whether runs of it may still come. An unknown status counts as active."""
    if record.status is Status.FAILED:
        return record.completed + record.failed < record.total and record.end_time is None
    return not record.status.final


def judge(record: BackfillRecord, runs: RunsByDay | None, vendor_now: datetime) -> Verdict:
    """Return the verdict on every day of a backfill.

    ``runs`` is ``None`` when the run list was not read or not readable. ``vendor_now`` is the
    vendor's own time, since it is compared with the vendor's times.
    """
    if record.gone:
        return _gone(record)
    if is_active(record):
        return Verdict(in_flight=record.days, evidence=record.evidence)
    if record.settled:
        return Verdict(evidence=record.evidence, settled=True)
    if _is_settling(record, vendor_now):
        return Verdict(settling=record.days - record.evidence.loaded, evidence=record.evidence)
    return _judge_ended(record, runs)


def _gone(record: BackfillRecord) -> Verdict:
    known = replace(record.evidence, unlocated=EMPTY)
    return Verdict(gone=record.days - known_days(known), evidence=known)


def _is_settling(record: BackfillRecord, vendor_now: datetime) -> bool:
    if record.status is not Status.CANCELLED or record.completed + record.failed >= record.total:
        return False
    removed = record.removed_time or record.end_time or record.created_time
    return vendor_now < removed + CANCEL_SETTLES


def _judge_ended(record: BackfillRecord, runs: RunsByDay | None) -> Verdict:
    told = _from_counts(record)
    if told is not None:
        return Verdict(evidence=merge(record.evidence, told, record.days), settled=True)
    if runs is None:
        blind = _without_runs(record)
        return Verdict(evidence=merge(record.evidence, blind, record.days))
    return _from_runs(record, runs)


def _from_counts(record: BackfillRecord) -> DayEvidence | None:
    """Return what the counts alone prove, or ``None`` when they leave a day open."""
    whole = record.completed + record.failed == record.total == len(record.days)
    if whole and record.failed == 0:
        return DayEvidence(loaded=record.days)
    if whole and record.completed == 0:
        return DayEvidence(failed=record.days)
    named = record.failed_days & record.days
    if whole and len(named) == record.failed == len(record.failed_days):
        return DayEvidence(loaded=record.days - named, failed=named)
    if record.completed == record.failed == 0:
        return _none_ran(record, record.days)
    return None


def _none_ran(record: BackfillRecord, days: DateSet) -> DayEvidence:
    if record.status is Status.CANCELLED:
        return DayEvidence(cancelled=days)
    return DayEvidence(not_run=days)


def _without_runs(record: BackfillRecord) -> DayEvidence:
    named = record.failed_days & record.days
    return DayEvidence(failed=named, unlocated=record.days - named)


def _from_runs(record: BackfillRecord, runs: RunsByDay) -> Verdict:
    own = {day: run for day in record.days if (run := _run_of(record, runs.get(day, ())))}
    loaded = _days_with(own, RunStatus.COMPLETED)
    failed = _days_with(own, RunStatus.FAILED) | ((record.failed_days & record.days) - loaded)
    running = _days_with(own, RunStatus.IN_FLIGHT) - failed - known_days(record.evidence)
    rest = record.days - loaded - failed - running
    if len(loaded) + len(failed) >= record.completed + record.failed:
        none = _none_ran(record, rest)
    else:  # the list holds fewer runs than the counts: a day without one may still be loaded
        none = DayEvidence(unlocated=rest)
    evidence = merge(record.evidence, replace(none, loaded=loaded, failed=failed), record.days - running)
    settled = not running and not evidence.unlocated
    return Verdict(in_flight=running, evidence=evidence, settled=settled)


def _run_of(record: BackfillRecord, runs: Sequence[Run]) -> Run | None:
    """Return the run that a backfill made for a day while it lived: one that loaded it, else the first."""
    last = record.end_time or record.removed_time
    if last is not None and record.status is Status.CANCELLED:
        last += CANCEL_SETTLES
    own = [
        run
        for run in runs
        if run.backfill
        and run.created_time >= record.created_time
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
    left, parts = days, []
    for name in ("loaded", "failed", "not_run", "cancelled", "unlocated"):
        part = (getattr(old, name) | getattr(new, name)) & left
        parts.append(part)
        left = left - part
    return DayEvidence(*parts)
