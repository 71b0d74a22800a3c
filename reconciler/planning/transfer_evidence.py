"""All that bears on one transfer, its predecessors included: what its days' facts are taken from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import cached_property

from reconciler.dates import EMPTY, LAST_DAY, DateSet, Day, union
from reconciler.model.desired import DesiredTransfer, EvidenceMode
from reconciler.model.memory import Acceptance, Amnesty, BackfillRecord, Intent, Load, Origin
from reconciler.model.observed import UNTOLD, Cause, Observed, Run, RunStatus, TransferInfo, Unreadable
from reconciler.planning.evidence import UNDATED, RunsByDay, is_active, known_days, why_untold
from reconciler.planning.intents import is_dated_early
from reconciler.planning.loadings import JudgedBackfill, Loadings
from reconciler.planning.loads import Loading
from reconciler.planning.verdict import judge


@dataclass(frozen=True)
class TransferEvidence:
    """What is known of one transfer; ``now`` is our clock, the rest the vendor's.

    ``records``, ``loads`` and ``runs`` are those of the transfer and its predecessors; ``zone`` is the one in
    which loads are dated. ``vendor_today`` is the date by the vendor's clock, where the team's days end.
    ``cut_otherwise`` are creates whose days would now be asked for in another range.
    """

    transfer: DesiredTransfer
    as_of: Day
    vendor_today: Day
    zone: tzinfo
    records: tuple[BackfillRecord, ...]
    loads: tuple[Load, ...]
    runs: Mapping[int, RunsByDay]
    intents: tuple[Intent, ...]
    amnesties: tuple[Amnesty, ...]
    acceptances: Mapping[int, Acceptance]
    observed: Observed
    listed: frozenset[int]
    now: datetime
    settle: timedelta
    stuck_after: timedelta
    cut_otherwise: frozenset[str] = frozenset()

    @property
    def blind(self) -> bool:
        """Whether the file says that run lists are never read."""
        return self.transfer.evidence is EvidenceMode.BACKFILLS

    @cached_property
    def judged(self) -> tuple[JudgedBackfill, ...]:
        """The backfills with their verdicts, newest first."""
        newest_first = sorted(self.records, key=lambda record: (record.created_time, record.id), reverse=True)
        now = self.observed.earlier
        return tuple(
            JudgedBackfill(
                record,
                judge(record, self.runs.get(record.transfer_id), now, self.blind),
            )
            for record in newest_first
        )

    @property
    def loadable_until(self) -> Day:
        """The first day in the future: by the run's date, and by the vendor's clock too."""
        return min(self.transfer.loadable_until, self.vendor_today + self.transfer.allow_today)

    def forgiven(self, known: BackfillRecord | Intent) -> DateSet:
        """Return the days on which a person had this backfill or intent forgotten."""
        return union(amnesty.days for amnesty in self.amnesties if known.serial <= amnesty.serial)

    # -- loads -----------------------------------------------------------------------------

    @cached_property
    def loadings(self) -> tuple[Loading, ...]:
        """Every load of the transfer's days that is known, by whatever means."""
        dated_early = tuple(intent for intent in self.intents if is_dated_early(intent))
        return Loadings(self.judged, self.loads, self.transfer.loaded, self.zone, dated_early).all()

    def _date_of(self, moment: datetime) -> Day:
        return moment.astimezone(self.zone).date().toordinal()

    # -- runs under way, and other words -----------------------------------------------------

    @cached_property
    def undecided(self) -> tuple[tuple[Day, Run], ...]:
        """Of each source and day the newest run not COMPLETED, unless it FAILED or was CANCELLED. One of
        another word that tells no time may be the newest.
        """
        found = []
        for runs in self.runs.values():
            for day, listed in runs.items():
                newest_first = (run for run in reversed(listed) if run.status is not RunStatus.COMPLETED)
                last = max(newest_first, key=_may_be_newest, default=None)
                if last is not None and last.status is RunStatus.OTHER and day != UNDATED:
                    found.append((day, last))
        return tuple(found)

    @cached_property
    def running(self) -> tuple[tuple[Day, Run], ...]:
        """Those that are under way: young, or held by an active backfill."""
        return tuple((day, run) for day, run in self.undecided if self._is_under_way(day, run))

    def _is_under_way(self, day: Day, run: Run) -> bool:
        if run.ended_time is not None:
            return False
        young = self.observed.earlier - self._begun(day, run) < self.stuck_after
        return young or day in self._held

    def _begun(self, day: Day, run: Run) -> datetime:
        """Return when a run began, or the first moment at which one that tells no time may have."""
        if run.created_time != UNTOLD:
            return run.created_time
        return datetime.combine(date.fromordinal(day), time.min, self.zone)

    @cached_property
    def _held(self) -> DateSet:
        return union(record.days for record in self.records if is_active(record.seen) and not record.gone)

    @cached_property
    def odd_runs(self) -> tuple[tuple[Day, Run], ...]:
        """Those that are not under way, and that nobody had forgotten."""
        running = set(self.running)
        odd = (pair for pair in self.undecided if pair not in running)
        return tuple((day, run) for day, run in odd if not self._is_forgiven(day, run))

    def _is_forgiven(self, day: Day, run: Run) -> bool:
        """Tell whether a person's ``retry`` speaks of a run. One that is not over and tells no time may have
        begun since: it is forgiven for a day.
        """
        now, untold = self.observed.earlier, run.created_time == UNTOLD and run.ended_time is None
        spoken = (one for one in self.amnesties if day in one.days and run.created_time < one.at)
        return any(not untold or now - one.at < timedelta(days=1) for one in spoken)

    # -- the transfer itself -------------------------------------------------------------------

    @property
    def info(self) -> TransferInfo | None:
        listed = self.observed.transfers
        return listed.get(self.transfer.address.transfer_id) if isinstance(listed, Mapping) else None

    @property
    def paused(self) -> bool:
        return self.transfer.paused or (self.info is not None and self.info.paused)

    @property
    def is_unknown(self) -> bool:
        """Whether the team has no such transfer: neither its list nor its run list knows it."""
        listed = isinstance(self.observed.transfers, Mapping)
        return listed and self.info is None and self._is_not_found(self.transfer.address.transfer_id)

    @property
    def is_scheduled(self) -> bool:
        return self.info is not None and self.info.scheduled

    def _is_not_found(self, source: int) -> bool:
        answer = self.observed.runs.get(source)
        return isinstance(answer, Unreadable) and answer.cause is Cause.NOT_FOUND

    @cached_property
    def unreadable(self) -> frozenset[int]:
        """The backfills that were asked for, and could not be read."""
        fetched = self.observed.fetched.items()
        return frozenset(number for number, answer in fetched if isinstance(answer, Unreadable))

    @cached_property
    def unread(self) -> tuple[Unreadable, ...]:
        """What was to be read for this transfer and could not be: what it would have told is not known."""
        own, observed = self.transfer.address.transfer_id, self.observed
        answers = [observed.latest.get(source) for source in self.transfer.source_ids]
        answers += [observed.fetched.get(record.id) for record in self.records]
        for source in self.transfer.source_ids:
            if source == own or not self._is_not_found(source):
                answers.append(None if self.blind else why_untold(source, observed.runs.get(source)))
        return tuple(answer for answer in answers if isinstance(answer, Unreadable))

    @property
    def untold_by_predecessors(self) -> DateSet:
        """The days that a predecessor whose runs are not there any more may have loaded: those before the
        transfer's own first run or backfill, but for what is loaded, and what memory knows of that one.
        That a backfill of another id failed says nothing of it.
        """
        forgotten = [*filter(self._is_forgotten, self.transfer.previous_ids)]
        if not forgotten:
            return EMPTY
        loaded = union(record.evidence.loaded for record in self.records)
        before = DateSet.span(0, self._first_sign(self.transfer.address.transfer_id))
        open_ = before - loaded - union(load.days for load in self.loads)
        return union(open_ - self._known_of(source) for source in forgotten)

    def _known_of(self, source: int) -> DateSet:
        return union(known_days(one.evidence) for one in self.records if one.transfer_id == source)

    def _is_forgotten(self, source: int) -> bool:
        """Whether nothing but memory tells what a predecessor loaded; blind, whether not even its latest. An
        empty run list proves nothing if the team has it no more, or if nobody can tell.
        """
        if not self.blind:
            empty = self.observed.runs.get(source) == ()
            return self._is_not_found(source) or (empty and not self._is_there(source))
        latest = self.observed.latest
        return source in latest and latest[source] is None and not self._has_records(source)

    def _is_there(self, source: int) -> bool:
        """Whether the team has a transfer; or did, where nobody can tell whether it has."""
        listed = self.observed.transfers
        if isinstance(listed, Mapping):
            return source in listed or self.observed.any_transfer
        return self._has_records(source) or any(load.transfer_id == source for load in self.loads)

    def _has_records(self, source: int) -> bool:
        return any(record.transfer_id == source for record in self.records)

    def _first_sign(self, transfer_id: int) -> Day:
        """Return the date on which the first run or backfill of a transfer was made, as far as is told."""
        runs = self.observed.runs.get(transfer_id)
        made = [run.created_time for run in runs] if isinstance(runs, tuple) else []
        made += [record.created_time for record in self.records if record.transfer_id == transfer_id]
        made += [load.at for load in self.loads if load.transfer_id == transfer_id]
        told = [moment for moment in made if moment != UNTOLD]
        return self._date_of(min(told)) if told else LAST_DAY

    @property
    def has_unexplained(self) -> bool:
        """Whether a backfill that this state cannot explain is newer than what a person accepted."""
        return self.blind and bool(self.unexplained)

    @property
    def unexplained(self) -> tuple[BackfillRecord, ...]:
        unexplained = (record for record in self.records if record.origin is Origin.UNEXPLAINED)
        newer = (record for record in unexplained if not self._is_accepted(record))
        return tuple(sorted(newer, key=lambda record: record.id))

    def _is_accepted(self, record: BackfillRecord) -> bool:
        accepted = self.acceptances.get(record.transfer_id)
        return accepted is not None and record.id <= accepted.backfill_id


def _may_be_newest(run: Run) -> bool:
    return run.status is RunStatus.OTHER and run.created_time == UNTOLD
