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
from reconciler.model.memory import BackfillRecord, Intent, IntentKind, Outcome
from reconciler.model.observed import UNTOLD, Run
from reconciler.planning.evidence import settles_for
from reconciler.planning.intents import (
    days_cut_off,
    in_doubt,
    is_settled,
    refusal_ends,
    refusal_holds,
    settles_until,
)
from reconciler.planning.loadings import JudgedBackfill
from reconciler.planning.loads import Loading
from reconciler.planning.transfer_evidence import TransferEvidence

Until = tuple[DateSet, datetime | None]  # days, and when they are free by themselves, if they are


@dataclass(frozen=True)
class DayFacts:
    """The facts about the days of a transfer that share one ``stale_before`` and one ``final_after``.

    Each is a set of days, or several with the time until which a rule holds them; they may reach further.
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
    def settling(self) -> tuple[Until, ...]:
        """The days of backfills, and of creates given up, of which counts or run lists may tell more yet."""
        now = self.evidence.observed.earlier
        given_up = ((intent.days, settles_until(intent)) for intent in self._creates)
        open_ = ((days, until) for days, until in given_up if until is not None and now < until)
        return (*map(self._settles, self.evidence.judged), *open_)

    def _settles(self, judged: JudgedBackfill) -> Until:
        ended_at = judged.record.ended_at or self.evidence.observed.later
        return judged.verdict.settling, ended_at + settles_for(judged.record, self.evidence.blind)

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
        since, untold = self.stale_before, run.created_time == UNTOLD and run.ended_time is None
        return since is None or untold or run.created_time >= since  # under way, it may have begun since

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

    @cached_property
    def backoff(self) -> tuple[Until, ...]:
        """The days whose last attempt ended too lately for another one."""
        found: list[Until] = []
        seen, now = EMPTY, self.evidence.observed.earlier
        for backfill, days in self._attempts:
            newest = days - seen
            seen = seen | days
            for times, tried in enumerate(self._tried[:-1]):
                until = backfill.ended_at + self._pause_after(times) if backfill.ended_at else now
                if now < until:
                    found.append(((newest & tried) - self._tried[times + 1], until))
        return tuple(found)

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

    @cached_property
    def refused(self) -> tuple[Until, ...]:
        """The days of creates that the API refuses, and those that it cut off at the end of one: it may take
        them later.
        """
        return tuple(
            (self._refused_days(intent) - self.evidence.forgiven(intent), self._refused_until(intent))
            for intent in self._creates
        )

    def _refused_until(self, intent: Intent) -> datetime | None:
        if intent.blocker is not None or self._may_be_hidden(intent):
            return None
        cut_off = intent.outcome is not Outcome.REFUSED
        return self._settles_at(intent) if cut_off else refusal_ends(intent)

    def _refused_days(self, intent: Intent) -> DateSet:
        if self._may_be_hidden(intent):  # on a predecessor, too: it would have loaded our days
            return intent.days
        if intent.transfer_id != self._own:
            return EMPTY
        ours = {record.id for record in self.evidence.records if record.ours}
        if not refusal_holds(intent, self.evidence.listed, ours, self.evidence.now):
            return EMPTY
        if intent.outcome is not Outcome.REFUSED:  # of another range than was sent a refusal says nothing
            recent = not is_settled(intent, *self._clocks)
            return days_cut_off(intent, self._made_by(intent))[1] if recent else EMPTY
        if intent.nonce in self.evidence.cut_otherwise:
            return intent.days & self._days_of_listed(intent.blocker)
        return intent.days

    def _may_be_hidden(self, intent: Intent) -> bool:
        """Tell whether, blind, something newer may hide that a refused create was made all the same."""
        unknown = intent.outcome is Outcome.REFUSED and intent.unlisted_at is None
        return self.evidence.blind and unknown and is_settled(intent, *self._clocks)

    def _days_of_listed(self, backfill_id: int | None) -> DateSet:
        return union(one.days for one in self.evidence.observed.listed if one.id == backfill_id)

    @property
    def cut_by_api(self) -> DateSet:
        """The days that the API cut off at the start of a create: it does not reach back so far."""
        made = ((one, self._made_by(one)) for one in self._creates if one.transfer_id == self._own)
        return union(days_cut_off(*pair)[0] - self.evidence.forgiven(pair[0]) for pair in made)

    def recent_request(self, left: DateSet) -> tuple[Until, ...]:
        """The days of creates that may have been made after all; blind, all that are due of ``left``."""
        doubts = ((one, in_doubt(one, self._made_by(one), *self._clocks)) for one in self._creates)
        doubted = [(one, days) for one, days in doubts if days]
        hides = (one for one, _ in doubted if self.evidence.blind and one.transfer_id == self._own)
        also = ((self._due(left), self._settles_at(intent)) for intent in hides)
        return (*((days, self._settles_at(intent)) for intent, days in doubted), *also)

    def _settles_at(self, intent: Intent) -> datetime:
        return intent.intended_at + self.evidence.settle

    @property
    def unresolved(self) -> tuple[Until, ...]:
        """The days of creates whose outcome is unknown."""
        pending = (intent for intent in self._creates if intent.pending)
        return tuple(
            (one.days, None if is_settled(one, *self._clocks) else self._settles_at(one)) for one in pending
        )

    def behind_unresolved(self, left: DateSet) -> tuple[Until, ...]:
        """All that are due of ``left`` until settle time is over: a newer create would hide one from us."""
        own = (one for one in self._creates if one.pending and one.transfer_id == self._own)
        fresh = (one for one in own if not is_settled(one, *self._clocks))
        return tuple((self._due(left), self._settles_at(one)) for one in fresh)

    @property
    def _clocks(self) -> tuple[datetime, datetime, timedelta]:
        return self.evidence.now, self.evidence.observed.vendor_least, self.evidence.settle

    @property
    def _own(self) -> int:
        return self.transfer.address.transfer_id

    def _made_by(self, intent: Intent) -> BackfillRecord | None:
        return next((record for record in self.evidence.records if record.id == intent.backfill_id), None)

    @cached_property
    def _creates(self) -> list[Intent]:
        return [intent for intent in self.evidence.intents if intent.kind is IntentKind.CREATE]

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
