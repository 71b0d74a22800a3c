"""What a backfill says of each of its days: a table of rows, the first that fits holds. Pure.

Counts are trusted only where they add up; whatever they leave open is read from the run list, and what that
cannot tell is ``unlocated``: a person must look, since guessing would load a day twice or never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from reconciler.dates import EMPTY, DateSet, Day
from reconciler.model.memory import NOTHING_KNOWN, BackfillRecord, DayEvidence
from reconciler.model.observed import Run, RunStatus, Status
from reconciler.planning.case import Case
from reconciler.planning.evidence import (
    UNDATED,
    RunsByDay,
    completed,
    is_active,
    known_days,
    merge,
    own_runs,
    own_runs_by_day,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the days of one backfill stand; together they cover its range.

    All others come before ``evidence``, which may still hold what was known earlier. ``settled``: no later
    reading can change it.
    """

    in_flight: DateSet = EMPTY
    settling: DateSet = EMPTY
    gone: DateSet = EMPTY
    unknown_status: DateSet = EMPTY
    evidence: DayEvidence = NOTHING_KNOWN
    settled: bool = False


def judge(record: BackfillRecord, runs: RunsByDay | None, now: datetime, blind: bool = False) -> Verdict:
    """Return the verdict on every day of a backfill.

    ``runs`` is ``None`` when the run list was not read or not readable. ``now`` is the
    earlier of both clocks: what has passed by it has by both.
    """
    if record.settled and not is_active(record.seen):
        return Verdict(evidence=record.evidence, settled=True)
    case = Case(record, runs, now - (record.ended_at or now), blind)
    return next(row for row in ROWS if row.fits(case)).tells(case)


# --- what the rows tell -----------------------------------------------------------------------


def _open(kind: str) -> Callable[[Case], Verdict]:
    """Return what says that all days are ``kind``, those known to be loaded only while it is active."""

    def told(case: Case) -> Verdict:
        loaded = EMPTY if kind == "in_flight" else case.record.evidence.loaded
        days: dict[str, Any] = {kind: case.record.days - loaded}
        return Verdict(evidence=case.record.evidence, **days)

    return told


def _all(kind: str) -> Callable[[Case], Verdict]:
    return lambda case: _settled(case, DayEvidence(**{kind: case.seen.days}))


def _as_reported(case: Case) -> Verdict:
    return _settled(case, DayEvidence(loaded=case.seen.days - case.named, failed=case.named))


def _settled(case: Case, told: DayEvidence) -> Verdict:
    return Verdict(evidence=completed(case.record.evidence, told, case.seen.days), settled=True)


def _gone(case: Case) -> Verdict:
    """A 404 long after its creation: the run list tells; blind, nothing does."""
    if case.blind or case.runs is None:
        known = replace(case.record.evidence, unlocated=EMPTY)
        return Verdict(gone=case.record.days - known_days(known), evidence=known)
    return _from_runs(case)


def _several_a_day(case: Case) -> Verdict:
    """More runs than days: a failed run fails its day, whatever its other runs did.

    The rest is loaded if as many failed runs were found as were counted, and no run is missing. If more were
    found, some of them ran again since, and nothing tells which days are whole now.
    """
    own = own_runs_by_day(case.record, case.runs or {})
    still_failed = {day: case.still_failed(rows) for day, rows in own.items()}
    failed = case.named | DateSet.days(day for day, runs in still_failed.items() if runs)
    found = len(case.named) if case.runs is None else sum(still_failed.values())
    # Unread: of one given up without a failure, the total may be of the runs that were made.
    counted = case.status is Status.COMPLETED or case.seen.failed > 0
    rest, whole = case.seen.days - failed, counted if case.runs is None else case.is_listed(own)
    if found == case.seen.failed and whole:
        return _settled(case, DayEvidence(loaded=rest, failed=failed))
    unlocated = rest if found <= case.seen.failed else failed if whole else case.seen.days
    told = DayEvidence(loaded=rest - unlocated, failed=failed - unlocated, unlocated=unlocated)
    return Verdict(evidence=completed(case.record.evidence, told, case.seen.days))


def _from_runs(case: Case) -> Verdict:
    """Each day from its own runs. Where the list holds fewer than were counted, it lags or forgot some: a day
    without one may be loaded. A run that goes on speaks for itself (``facts.py``).
    """
    if case.runs is None:
        return _without_runs(case)
    days, own = case.seen.days, own_runs_by_day(case.record, case.runs)
    loaded = _days_with(own, RunStatus.COMPLETED)
    failed = _days_with(own, RunStatus.FAILED) | case.named
    if case.seen.total > len(days):  # several runs a day: one that loaded makes not good for one that failed
        loaded = loaded - failed
    failed = failed - loaded
    rest = days - loaded - failed
    told = DayEvidence(loaded=loaded, failed=failed)
    if rest and case.settling:
        return Verdict(settling=rest, evidence=merge(case.record.evidence, told, days))
    if case.has_long_runs(own) or _hides_loads(case) or case.ended_runs(own) < case.ended:
        told = replace(told, unlocated=rest)
    else:
        told = _none_ran(case, told, rest)
    evidence = completed(case.record.evidence, told, days)
    return Verdict(evidence=evidence, settled=not evidence.unlocated)


def _hides_loads(case: Case) -> bool:
    """Tell whether runs of it completed that tell no day."""
    return bool(_days_with({UNDATED: own_runs(case.record, case.runs or {}, UNDATED)}, RunStatus.COMPLETED))


def _none_ran(case: Case, told: DayEvidence, rest: DateSet) -> DayEvidence:
    cancelled = case.status is Status.CANCELLED
    return replace(told, cancelled=rest) if cancelled else replace(told, not_run=rest)


def _without_runs(case: Case) -> Verdict:
    if case.status is Status.FAILED and case.seen.completed == 0:
        told = DayEvidence(failed=case.named, not_run=case.seen.days - case.named)
    else:
        told = DayEvidence(failed=case.named, unlocated=case.seen.days - case.named)
    return Verdict(evidence=completed(case.record.evidence, told, case.seen.days))


# --- the rows ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """When a row fits, and what the days of such a backfill are; in words, and as functions."""

    when: str
    days: str
    fits: Callable[[Case], bool]
    tells: Callable[[Case], Verdict]


ROWS = (
    Row(
        "a get answers 404, 24 hours after its creation",
        "from the run list, as below; blind: `gone`",
        lambda case: case.record.gone,
        _gone,
    ),
    Row(
        "CREATED, SCHEDULED, RUNNING; FAILED with completed + failed < total and no `end_time`; an unknown "
        "status without `end_time`",
        "in flight",
        lambda case: is_active(case.seen),
        _open("in_flight"),
    ),
    Row(
        "an unknown status with `end_time`",
        "`unknown-status`",
        lambda case: case.status is Status.UNKNOWN,
        _open("unknown_status"),
    ),
    Row(
        "CANCELLED, never started: no `start_time`, and no read saw it run",
        "`cancelled`",
        lambda case: case.status is Status.CANCELLED and not case.record.has_run,
        _all("cancelled"),
    ),
    Row(
        "CANCELLED, COMPLETED or FAILED, for an hour after the first read that saw it ended (CANCELLED and "
        "blind: 5 hours), unless completed + failed = total = days, or COMPLETED with completed = total",
        "`settling`",
        lambda case: case.settling and not case.adds_up,
        _open("settling"),
    ),
    Row(
        "COMPLETED, total = 0",
        "all loaded: the transfer has no run on these days",
        lambda case: case.is_without_runs,
        _all("loaded"),
    ),
    Row(
        "failed = 0, completed = total; and COMPLETED, or total = days",
        "all loaded",
        lambda case: case.is_all_completed,
        _all("loaded"),
    ),
    Row(
        "failed = total = days",
        "all failed",
        lambda case: case.whole and case.seen.completed == 0,
        _all("failed"),
    ),
    Row(
        "total = days, and `error_report` names exactly `transfer_runs_failed` days",
        "those failed, the others loaded",
        lambda case: case.whole and len(case.named) == case.seen.failed == len(case.seen.failed_days),
        _as_reported,
    ),
    Row(
        "total more than days, several runs a day: COMPLETED, or FAILED with as many for each",
        "failed where a run of the day failed, or `error_report` names it; the others loaded if the list has "
        "all its runs and as many failed ones as `transfer_runs_failed`, else `unlocated`",
        lambda case: case.has_several_a_day,
        _several_a_day,
    ),
    Row(
        "ended, anything else",
        "each from the run list (COMPLETED: loaded; failed: failed; none: `settling` for that hour, then "
        "`not-run`, or `cancelled`; none, and fewer runs than days, or than counted: `unlocated`); blind: "
        "what `error_report` names failed, the rest is `unlocated`, or `not-run` if it FAILED with 0 "
        "completed",
        lambda case: True,
        _from_runs,
    ),
)


def _days_with(runs: Mapping[Day, Sequence[Run]], status: RunStatus) -> DateSet:
    return DateSet.days(day for day, own in runs.items() if any(run.status is status for run in own))
