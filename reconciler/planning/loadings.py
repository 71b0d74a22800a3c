"""What each load of a transfer's days is: when it began, and under which ``stale_before``. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property

from reconciler.dates import DateSet, Day, union
from reconciler.model.desired import LoadedDays
from reconciler.model.memory import BackfillRecord, Intent, Load
from reconciler.model.observed import UNTOLD, Status
from reconciler.planning.evidence import made_within, unproved_by_runs
from reconciler.planning.intents import follows
from reconciler.planning.loads import Loading
from reconciler.planning.verdict import Verdict


@dataclass(frozen=True, slots=True)
class JudgedBackfill:
    """A backfill, and what is known of its days."""

    record: BackfillRecord
    verdict: Verdict

    @property
    def made_under(self) -> datetime | None:
        """The ``stale_before`` that one of ours was made for."""
        return self.record.stale_before if self.record.ours else None

    def counts(self, stale_before: datetime | None) -> bool:
        """Tell whether it was made at or after ``stale_before``, or was made under it."""
        if stale_before is None or self.record.created_time >= stale_before:
            return True
        return self.made_under is not None and self.made_under >= stale_before

    @property
    def is_attempt(self) -> bool:
        """Whether it is one of ours that is over, and was not cancelled while it was active."""
        seen, was_failed = self.record.seen, self.record.was_failed
        while_active = seen.completed + seen.failed < seen.total and not was_failed
        cancelled = seen.status is Status.CANCELLED and while_active
        return self.record.ours and not cancelled and not self.verdict.in_flight

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, by its own word, else when a read first saw that, or that it is gone."""
        return self.record.seen.end_time or self.record.ended_at


@dataclass(frozen=True)
class Loadings:
    """The loads of one transfer and its predecessors. ``zone`` is the one in which loads are dated;
    ``dated_early`` are creates of unknown end whose loads count although they are dated early.
    """

    judged: tuple[JudgedBackfill, ...]
    loads: tuple[Load, ...]
    elsewhere: tuple[LoadedDays, ...]
    zone: tzinfo
    dated_early: tuple[Intent, ...]

    def all(self) -> tuple[Loading, ...]:
        return (*self._by_backfills(), *self._by_runs(), *self._by_other_means())

    def _by_backfills(self) -> Iterator[Loading]:
        for judged in self.judged:
            record, loaded = judged.record, judged.verdict.evidence.loaded
            if loaded:
                on = record.as_of if record.ours and record.as_of else self._date_of(record.created_time)
                yield Loading(loaded, record.created_time, on, made_under=judged.made_under)

    def _by_runs(self) -> Iterator[Loading]:
        for load in self.loads:
            days = load.days - self._unproved(load) if load.by_backfill else load.days
            failed_later = self._failed_after(load)
            for on, part in self._dated(load, days):
                yield Loading(part & failed_later, load.at, on, not load.by_backfill, failed_later=True)
                yield Loading(part - failed_later, load.at, on, not load.by_backfill)
                yield from self._made_under(load, part - failed_later, on)

    def _made_under(self, load: Load, days: DateSet, on: Day | None) -> Iterator[Loading]:
        """Yield the days that a create of unknown end may have loaded, and no backfill that was seen did. One
        that nobody saw may have: then it did so after that create was sent, and doubt buys nothing.
        """
        for intent in self.dated_early if load.by_backfill else ():
            if load.transfer_id == intent.transfer_id and follows(load.at, intent) and days & intent.days:
                unexplained = (days & intent.days) - self._made_by_seen(load)
                yield Loading(unexplained, load.at, on, made_under=intent.stale_before)

    def _made_by_seen(self, load: Load) -> DateSet:
        """Return the days of the backfills that may have made the runs of a load."""
        own = (one.record for one in self.judged if one.record.transfer_id == load.transfer_id)
        return union(record.days for record in own if made_within(record, load.at))

    def _failed_after(self, load: Load) -> DateSet:
        """Return the days of which a later run failed, whichever kind of load remembers it."""
        failures = (one for one in self._with_failures if one.transfer_id == load.transfer_id)
        return union(one.days for one in failures if one.failed_at is not None and one.failed_at > load.at)

    @cached_property
    def _with_failures(self) -> tuple[Load, ...]:
        return tuple(load for load in self.loads if load.failed_at is not None)

    def _dated(self, load: Load, days: DateSet) -> Iterator[tuple[Day | None, DateSet]]:
        """Yield the days of a load by when it began: runs that a backfill of ours made, on its own date; runs
        that tell no time, on none.
        """
        for record, as_of in self._ours_with_dates if load.by_backfill else ():
            if record.overlaps(load) and record.transfer_id == load.transfer_id:
                part = days & record.days
                if part and made_within(record, load.at):
                    # Of one that answers 404 nobody saw the end: it may be another's that was made since.
                    yield max(as_of, self._date_of(load.at)) if record.gone else as_of, part
                    days = days - part
        if days:
            yield None if load.at == UNTOLD else self._date_of(load.at), days

    @cached_property
    def _ours_with_dates(self) -> tuple[tuple[BackfillRecord, Day], ...]:
        newest_first = (judged.record for judged in self.judged)
        return tuple((one, one.as_of) for one in newest_first if one.ours and one.as_of is not None)

    def _unproved(self, load: Load) -> DateSet:
        """Return the days that the backfill while which the runs were made does not call loaded."""
        return union(
            days
            for judged, days in self._in_doubt
            if judged.record.transfer_id == load.transfer_id and made_within(judged.record, load.at)
        )

    @cached_property
    def _in_doubt(self) -> tuple[tuple[JudgedBackfill, DateSet], ...]:
        judged = ((one, unproved_by_runs(one.record, one.verdict.evidence)) for one in self.judged)
        return tuple((one, days) for one, days in judged if days)

    def _by_other_means(self) -> Iterator[Loading]:
        for told in self.elsewhere:
            yield Loading(told.days, told.at, None)

    def _date_of(self, moment: datetime) -> Day:
        return moment.astimezone(self.zone).date().toordinal()
