"""What is known of the days of one transfer, as sets of days: what the ledger's rules ask for. Pure.

Days are sets; nothing here goes through single days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from reconciler.dates import EMPTY, DateSet, union
from reconciler.model.desired import DesiredTransfer
from reconciler.model.memory import Intent, IntentKind, Outcome
from reconciler.model.observed import Run
from reconciler.planning.intents import refusal_holds
from reconciler.planning.loads import Loading
from reconciler.planning.transfer_evidence import JudgedBackfill, TransferEvidence


@dataclass(frozen=True)
class DayFacts:
    """The facts about the days of a transfer that share one ``stale_before`` and one ``final_after``.

    Each property is a set of days; sets may reach beyond ``days``.
    """

    days: DateSet
    stale_before: datetime | None
    final_after: int | None
    transfer: DesiredTransfer
    evidence: TransferEvidence

    @cached_property
    def counting(self) -> tuple[JudgedBackfill, ...]:
        return tuple(backfill for backfill in self.evidence.judged if backfill.counts(self.stale_before))

    # -- what is loaded or being loaded ----------------------------------------------------

    @property
    def future(self) -> DateSet:
        return self.days - DateSet.span(0, self.evidence.loadable_until)

    @property
    def in_flight(self) -> DateSet:
        return self._active(self.counting) | self._running(counts=True)

    @cached_property
    def covered(self) -> DateSet:
        as_of = self.evidence.as_of
        return union(loading.covers(self.final_after, as_of) for loading in self._counting_loads)

    @property
    def in_flight_but_stale(self) -> DateSet:
        stale = (backfill for backfill in self.evidence.judged if not backfill.counts(self.stale_before))
        return self._active(stale) | self._running(counts=False)

    @cached_property
    def settling(self) -> DateSet:
        return union(backfill.verdict.settling for backfill in self.evidence.judged)

    @cached_property
    def early(self) -> DateSet:
        """The days whose newest loads that count began before they were over."""
        return union(loading.on_own_day() for loading in self._counting_loads) - self.restated

    @cached_property
    def restated(self) -> DateSet:
        """The days loaded after they were over, but before their figures were final."""
        return union(loading.days - loading.on_own_day() for loading in self._counting_loads)

    @property
    def loaded_but_stale(self) -> DateSet:
        return union(one.days for one in self.evidence.loadings if not one.counts(self.stale_before))

    @cached_property
    def _counting_loads(self) -> list[Loading]:
        return [one for one in self.evidence.loadings if one.counts(self.stale_before)]

    def _active(self, judged: Iterable[JudgedBackfill]) -> DateSet:
        """Return the days of active backfills, but not of one that could not be read: it may have ended."""
        known = (one for one in judged if one.record.id not in self.evidence.unreadable)
        return union(one.verdict.in_flight for one in known)

    def _running(self, *, counts: bool) -> DateSet:
        return DateSet.days(day for day, run in self.evidence.running if self._run_counts(run) is counts)

    def _run_counts(self, run: Run) -> bool:
        return self.stale_before is None or run.created_time >= self.stale_before

    # -- attempts --------------------------------------------------------------------------

    @cached_property
    def _attempts(self) -> tuple[tuple[JudgedBackfill, DateSet], ...]:
        """Our backfills that count and ended without loading these days, the newest first."""
        own = self.transfer.address.transfer_id
        found = []
        for backfill in self.counting:
            if backfill.is_attempt and backfill.record.transfer_id == own:
                ended = backfill.verdict.evidence.failed | backfill.verdict.evidence.not_run
                found.append((backfill, (self.days & ended) - self.evidence.forgiven(backfill.record)))
        return tuple((backfill, days) for backfill, days in found if days)

    @cached_property
    def _tried(self) -> tuple[DateSet, ...]:
        """The days tried at least once, at least twice, and so on to ``max_attempts``."""
        tried: list[DateSet] = [EMPTY] * self.transfer.max_attempts
        for _backfill, days in self._attempts:
            for times in range(len(tried) - 1, 0, -1):
                tried[times] = tried[times] | (tried[times - 1] & days)
            tried[0] = tried[0] | days
        return tuple(tried)

    @property
    def exhausted(self) -> DateSet:
        """The days tried ``max_attempts`` times: our backfills that ended without loading them."""
        return self._tried[-1]

    @property
    def backoff(self) -> DateSet:
        """The days whose last attempt ended too lately for another one."""
        found, seen, vendor_now = [], EMPTY, self.evidence.observed.vendor_now
        for backfill, days in self._attempts:
            newest = days - seen
            seen = seen | days
            for times, tried in enumerate(self._tried[:-1]):
                if backfill.ended_at and vendor_now < backfill.ended_at + self._pause_after(times):
                    found.append((newest & tried) - self._tried[times + 1])
        return union(found)

    def _pause_after(self, times: int) -> timedelta:
        """Return how long to wait after an attempt, the first of which is 0: six times as long each time."""
        longest = timedelta(days=400) // max(self.transfer.retry_after, timedelta(microseconds=1))
        times_as_long: int = min(6**times, longest)
        return self.transfer.retry_after * times_as_long

    # -- what stands in the way ------------------------------------------------------------

    @property
    def gone(self) -> DateSet:
        return union(
            one.verdict.gone - self.evidence.forgiven(one.record) for one in self.counting if one.verdict.gone
        )

    @cached_property
    def unlocated(self) -> DateSet:
        """The days of which a backfill cannot tell whether it loaded them.

        What became of a newer one, on a successor perhaps, says nothing about the older.
        """
        return union(
            one.verdict.evidence.unlocated - self.evidence.forgiven(one.record)
            for one in self.counting
            if not one.verdict.in_flight
        )

    @property
    def unknown_status(self) -> DateSet:
        """The days of backfills, and of runs, that ended with a status nobody knows."""
        backfills = (one.verdict.unknown_status - self.evidence.forgiven(one.record) for one in self.counting)
        return union(backfills) | self._odd_runs(ended=True)

    @property
    def stuck(self) -> DateSet:
        """The days whose newest run has been under way for longer than ``stuck_after``."""
        return self._odd_runs(ended=False)

    def _odd_runs(self, *, ended: bool) -> DateSet:
        odd = ((day, run) for day, run in self.evidence.odd_runs if self._run_counts(run))
        return DateSet.days(day for day, run in odd if (run.ended_time is not None) is ended)

    @property
    def refused(self) -> DateSet:
        listed, now = self.evidence.listed, self.evidence.now
        return union(
            intent.days - self.evidence.forgiven(intent)
            for intent in self.evidence.intents
            if intent.outcome is Outcome.REFUSED and refusal_holds(intent, listed, now)
        )

    def unresolved(self, left: DateSet) -> DateSet:
        """The days of creates whose outcome is unknown; within settle time all that would be due of ``left``.

        Until then nothing is created on the transfer: a newer create would hide from ``latest`` whether the
        first one was made.
        """
        pending = [one for one in self.evidence.intents if one.kind is IntentKind.CREATE and one.pending]
        return union(one.days for one in pending) | (self._due(left) if self._is_fresh(pending) else EMPTY)

    def _is_fresh(self, pending: Iterable[Intent]) -> bool:
        return any(self.evidence.now < intent.intended_at + self.evidence.settle for intent in pending)

    def _due(self, left: DateSet) -> DateSet:
        return left - self.exhausted - self.unlocated - self.gone

    @property
    def paused(self) -> DateSet:
        return self._all_if(self.evidence.paused)

    @property
    def of_unknown_transfer(self) -> DateSet:
        return self._all_if(self.evidence.is_unknown)

    @property
    def without_evidence(self) -> DateSet:
        return self._all_if(self.evidence.unread) | self.evidence.untold_by_predecessors

    @property
    def unknown_history(self) -> DateSet:
        return self._all_if(self.evidence.has_unexplained)

    def _all_if(self, holds: object) -> DateSet:
        return self.days if holds else EMPTY
