"""What a backfill says of each of its days: a table of rows, the first that fits holds. Pure.

Counts are trusted only where they add up; whatever they leave open is read from the run list, and what that
cannot tell is ``unlocated``: a person must look, since guessing would load a day twice or never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.dates import EMPTY, DateSet, Day
from reconciler.model.memory import NOTHING_KNOWN, BackfillRecord, DayEvidence
from reconciler.model.observed import Backfill, Run, RunStatus, Status
from reconciler.planning.evidence import (
    UNDATED,
    RunsByDay,
    completed,
    is_active,
    known_days,
    merge,
    own_runs,
    own_runs_by_day,
    settles_for,
    status_of,
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


@dataclass(frozen=True, slots=True)
class Case:
    """A backfill to be judged: as it was last seen, its transfer's runs, and how long it has been over.

    ``runs`` is ``None`` where the run list was not read. ``since_ended`` is by both clocks, from the first
    read that saw it ended. ``blind``: the file says that the run list is never to be read.
    """

    record: BackfillRecord
    runs: RunsByDay | None
    since_ended: timedelta
    blind: bool = False

    @property
    def seen(self) -> Backfill:
        return self.record.seen

    @property
    def status(self) -> Status:
        return status_of(self.record)

    @property
    def ended(self) -> int:
        """How many of its runs have ended."""
        return self.seen.completed + self.seen.failed

    @property
    def whole(self) -> bool:
        """Every run has ended, and there was one for each day."""
        return self.ended == self.seen.total == len(self.seen.days)

    @property
    def is_without_runs(self) -> bool:
        return self.status is Status.COMPLETED and not self.seen.total

    @property
    def named(self) -> DateSet:
        """The days of it that its error report names."""
        return self.seen.failed_days & self.seen.days

    @property
    def settling(self) -> bool:
        """Whether counts may still lag behind, or running runs of what was cancelled still finish."""
        return self.since_ended < settles_for(self.record, self.blind)


def judge(record: BackfillRecord, runs: RunsByDay | None, now: datetime, blind: bool = False) -> Verdict:
    """Return the verdict on every day of a backfill.

    ``runs`` is ``None`` when the run list was not read or not readable. ``now`` is the
    earlier of both clocks: what has passed by it has by both.
    """
    if record.settled and not is_active(record.seen):
        return Verdict(evidence=record.evidence, settled=True)
    since_ended = timedelta.max if record.gone else now - (record.ended_at or now)
    case = Case(record, runs, since_ended, blind)
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

    The rest is loaded if as many failed runs were found as were counted. If more were found, some of them
    ran again since, and nothing tells which days are whole now.
    """
    own = own_runs_by_day(case.seen, case.runs or {})
    failed = case.named | _days_with(own, RunStatus.FAILED)
    failed_runs = sum(run.status is RunStatus.FAILED for runs in own.values() for run in runs)
    found = len(case.named) if case.runs is None else failed_runs
    if found == case.seen.failed:
        return _settled(case, DayEvidence(loaded=case.seen.days - failed, failed=failed))
    unlocated = failed if found > case.seen.failed else case.seen.days - failed
    told = DayEvidence(
        loaded=case.seen.days - failed - unlocated, failed=failed - unlocated, unlocated=unlocated
    )
    return Verdict(evidence=completed(case.record.evidence, told, case.seen.days))


def _from_runs(case: Case) -> Verdict:
    """Each day from its own runs. Where the list holds fewer than were counted, it lags or forgot some: a day
    without one may be loaded. A run that goes on speaks for itself (``facts.py``).
    """
    if case.runs is None:
        return _without_runs(case)
    days, own = case.seen.days, own_runs_by_day(case.seen, case.runs or {})
    loaded = _days_with(own, RunStatus.COMPLETED)
    failed = _days_with(own, RunStatus.FAILED) | case.named
    if case.seen.total > len(days):  # several runs a day: one that loaded makes not good for one that failed
        loaded = loaded - failed
    failed = failed - loaded
    rest = days - loaded - failed
    told = DayEvidence(loaded=loaded, failed=failed)
    over = sum(run.status in (RunStatus.COMPLETED, RunStatus.FAILED) for runs in own.values() for run in runs)
    several_days_a_run = 0 < case.seen.total < len(days) and case.ended == case.seen.total
    if several_days_a_run or _hides_loads(case):
        told = replace(told, unlocated=rest)
    elif over >= case.ended:
        told = _none_ran(case, told, rest)
    elif case.settling:
        return Verdict(settling=rest, evidence=merge(case.record.evidence, told, days))
    else:
        told = replace(told, unlocated=rest)
    evidence = completed(case.record.evidence, told, days)
    return Verdict(evidence=evidence, settled=not evidence.unlocated)


def _hides_loads(case: Case) -> bool:
    """Tell whether runs of it completed that tell no day."""
    return bool(_days_with({UNDATED: own_runs(case.seen, case.runs or {}, UNDATED)}, RunStatus.COMPLETED))


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
        "from the run list; blind: `gone`",
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
        "CANCELLED, COMPLETED or FAILED with completed + failed < total, or COMPLETED with total = 0: until "
        "an hour after the first read that saw it ended (CANCELLED and blind: 5 hours)",
        "`settling`",
        lambda case: case.settling and (case.ended < case.seen.total or case.is_without_runs),
        _open("settling"),
    ),
    Row(
        "COMPLETED, total = 0",
        "all loaded: the transfer has no run on these days",
        lambda case: case.is_without_runs,
        _all("loaded"),
    ),
    Row(
        "failed = 0, completed = total",
        "all loaded",
        lambda case: case.seen.completed == case.seen.total > 0 == case.seen.failed,
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
        "total more than days: several runs a day",
        "failed where a run of the day failed, or `error_report` names it; the others loaded if the failed "
        "runs found are as many as `transfer_runs_failed`, else `unlocated`",
        lambda case: case.seen.total > len(case.seen.days) and case.ended == case.seen.total,
        _several_a_day,
    ),
    Row(
        "ended, anything else",
        "each from the run list (COMPLETED: loaded; failed: failed; none: `not-run`, or `cancelled`; none, "
        "and fewer runs than days, or than counted: `unlocated`); blind: what `error_report` names failed, "
        "the rest is `unlocated`, or `not-run` if it FAILED with 0 completed",
        lambda case: True,
        _from_runs,
    ),
)


def _days_with(runs: Mapping[Day, Sequence[Run]], status: RunStatus) -> DateSet:
    return DateSet.days(day for day, own in runs.items() if any(run.status is status for run in own))
