"""What is known of the days of one transfer, as sets of days: what the ledger's rules ask for. Pure.

Days are sets; nothing here goes through single days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from reconciler.dates import EMPTY, DateSet, union
from reconciler.model.desired import DesiredTransfer, EvidenceMode
from reconciler.model.memory import BackfillRecord, Intent, IntentKind, Outcome
from reconciler.model.observed import Observed, Run, RunStatus, Unreadable
from reconciler.planning.evidence import RunsByDay, Verdict, judge
from reconciler.planning.intents import refusal_holds


@dataclass(frozen=True, slots=True)
class TransferEvidence:
    """Everything that bears on one transfer; ``now`` is our clock, the rest the vendor's.

    ``records`` and ``runs`` are those of the transfer and its predecessors.
    """

    records: tuple[BackfillRecord, ...]
    runs: Mapping[int, RunsByDay]
    intents: tuple[Intent, ...]
    observed: Observed
    listed: frozenset[int]
    now: datetime
    settle: timedelta

    def judged(self) -> tuple[JudgedBackfill, ...]:
        """Return the backfills with their verdicts, newest first."""
        newest_first = sorted(self.records, key=lambda record: (record.created_time, record.id), reverse=True)
        now = self.observed.vendor_now
        return tuple(
            JudgedBackfill(record, judge(record, self.runs.get(record.transfer_id), now))
            for record in newest_first
        )


@dataclass(frozen=True, slots=True)
class JudgedBackfill:
    record: BackfillRecord
    verdict: Verdict

    def counts(self, stale_before: datetime | None) -> bool:
        """Tell whether it was made at or after ``stale_before``, or is ours and was made under it."""
        if stale_before is None or self.record.created_time >= stale_before:
            return True
        made_under = self.record.stale_before
        return self.record.ours and made_under is not None and made_under >= stale_before


@dataclass(frozen=True)
class DayFacts:
    """The facts about the days of a transfer that share one ``stale_before``.

    Each property is a set of days, or a yes or no for all of them; sets may reach beyond ``days``.
    """

    days: DateSet
    stale_before: datetime | None
    transfer: DesiredTransfer
    evidence: TransferEvidence
    judged: tuple[JudgedBackfill, ...]

    @cached_property
    def counting(self) -> tuple[JudgedBackfill, ...]:
        return tuple(backfill for backfill in self.judged if backfill.counts(self.stale_before))

    # -- what is loaded or being loaded ----------------------------------------------------

    @property
    def future(self) -> DateSet:
        return self.days - DateSet.span(0, self.transfer.loadable_until)

    @property
    def in_flight(self) -> DateSet:
        return _active(self.counting) | self._runs_in_flight(counts=True)

    @property
    def loaded(self) -> DateSet:
        by_backfills = union(backfill.verdict.evidence.loaded for backfill in self.counting)
        return by_backfills | self._days_of_runs(RunStatus.COMPLETED, counts=True)

    @property
    def in_flight_but_stale(self) -> DateSet:
        stale = (backfill for backfill in self.judged if not backfill.counts(self.stale_before))
        return _active(stale) | self._runs_in_flight(counts=False)

    @property
    def settling(self) -> DateSet:
        return union(backfill.verdict.settling for backfill in self.judged)

    @property
    def loaded_but_stale(self) -> DateSet:
        return self._days_of_runs(RunStatus.COMPLETED, counts=False)

    def _runs_in_flight(self, *, counts: bool) -> DateSet:
        return self._days_of_runs(RunStatus.IN_FLIGHT, counts=counts)

    def _days_of_runs(self, status: RunStatus, *, counts: bool) -> DateSet:
        return DateSet.days(
            day
            for runs_by_day in self.evidence.runs.values()
            for day, runs in runs_by_day.items()
            if any(run.status is status and self._run_counts(run) is counts for run in runs)
        )

    def _run_counts(self, run: Run) -> bool:
        return self.stale_before is None or run.created_time >= self.stale_before

    # -- what stands in the way ------------------------------------------------------------

    @cached_property
    def gone(self) -> DateSet:
        return union(backfill.verdict.gone for backfill in self.counting)

    @cached_property
    def unlocated(self) -> DateSet:
        """The days of which a backfill cannot tell whether it loaded them.

        What became of a newer one, on a successor perhaps, says nothing about the older.
        """
        return union(backfill.verdict.evidence.unlocated for backfill in self.counting)

    @cached_property
    def exhausted(self) -> DateSet:
        """The days tried ``max_attempts`` times: our backfills that ended without loading them."""
        tried: list[DateSet] = [EMPTY] * self.transfer.max_attempts
        own = self.transfer.address.transfer_id
        for backfill in self.counting:
            if not backfill.record.ours or backfill.record.transfer_id != own:
                continue
            days = self.days & (backfill.verdict.evidence.failed | backfill.verdict.evidence.not_run)
            for times in range(len(tried) - 1, 0, -1):
                tried[times] = tried[times] | (tried[times - 1] & days)
            tried[0] = tried[0] | days
        return tried[-1]

    @property
    def refused(self) -> DateSet:
        refused = (intent for intent in self.evidence.intents if intent.outcome is Outcome.REFUSED)
        listed, now = self.evidence.listed, self.evidence.now
        return union(intent.days for intent in refused if refusal_holds(intent, listed, now))

    def unresolved(self, left: DateSet) -> DateSet:
        """The days of creates whose outcome is unknown; within settle time all that would be due of ``left``.

        Until then nothing is created on the transfer: a newer create would hide from ``latest`` whether the
        first one was made.
        """
        creates = (intent for intent in self.evidence.intents if intent.kind is IntentKind.CREATE)
        pending = [intent for intent in creates if intent.pending]
        fresh = any(self.evidence.now < intent.intended_at + self.evidence.settle for intent in pending)
        due = left - self.exhausted - self.unlocated - self.gone
        return union(intent.days for intent in pending) | (due if fresh else EMPTY)

    @property
    def paused(self) -> DateSet:
        info = (self.evidence.observed.transfers or {}).get(self.transfer.address.transfer_id)
        return self._all_if(self.transfer.paused or (info is not None and info.paused))

    @property
    def of_unknown_transfer(self) -> DateSet:
        observed, own = self.evidence.observed, self.transfer.address.transfer_id
        absent = observed.transfers is not None and own not in observed.transfers
        return self._all_if(absent and observed.runs.get(own) is Unreadable.NOT_FOUND)

    @property
    def without_evidence(self) -> DateSet:
        """Any failed read blocks; an unreadable list blocks only where the file insists on it."""
        if self.transfer.evidence is EvidenceMode.BACKFILLS:
            return EMPTY
        answers = [self.evidence.observed.runs.get(source) for source in self.transfer.source_ids]
        strict = self.transfer.evidence is EvidenceMode.RUNS
        unreadable = any(isinstance(answer, Unreadable) for answer in answers)
        return self._all_if(Unreadable.FAILED in answers or (strict and unreadable))

    @property
    def runs_would_tell(self) -> DateSet:
        """The days a run list may still decide: none if it is not to be read."""
        return self._all_if(self.transfer.evidence is not EvidenceMode.BACKFILLS and not self.paused)

    def _all_if(self, holds: bool) -> DateSet:
        return self.days if holds else EMPTY


def _active(judged: Iterable[JudgedBackfill]) -> DateSet:
    return union(backfill.verdict.in_flight for backfill in judged)
