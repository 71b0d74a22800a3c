"""A second reading of the rules of the day ledger, by one day at a time, with no sets of days.

Of one day it asks every backfill, every run and every remembered load in turn. It shares no rule with
``reconciler.planning``.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from planning_oracle_table import (
    CERTAIN,
    HOUR,
    Table,
    cancelled_while_active,
    causes,
    counts,
    ended_as,
    is_active,
    is_hidden,
    may_be_newer,
    newer,
    remembered,
    was_active,
)

from reconciler.dates import Day
from reconciler.model.desired import Chunk, EvidenceMode, Segment
from reconciler.model.memory import Amnesty, BackfillRecord, Intent, IntentKind, Origin, Outcome
from reconciler.model.observed import UNTOLD, Cause, Run, RunStatus, Unreadable

REASONS = {
    "failed": "failed",
    "unlocated": "failed",
    "not_run": "not-run",
    "cancelled": "cancelled",
    "gone": "not-run",
    "unknown_status": "not-run",
}


@dataclass(frozen=True)
class Loaded:
    """One load of a day: begun ``at``, on the date ``on``; ``whose`` is what made it."""

    at: datetime
    on: Day
    whose: str  # "schedule", "backfill", or "file"
    counts: bool  # by stale_before
    failed_since: bool = False


@dataclass(frozen=True)
class Told:
    """All that is told of one day; ``in_flight``: of each thing in flight, whether it counts."""

    day: Day
    stale_before: datetime | None
    records: list[BackfillRecord]  # the newest first
    says: dict[int, str]
    counting: set[int]
    runs: list[tuple[Run, str]]
    in_flight: list[bool]
    loads: list[Loaded]

    @property
    def in_flight_counts(self) -> bool:
        return any(self.in_flight)


@dataclass
class Oracle(Table):
    cut_otherwise: set[str] = field(default_factory=set)

    # -- where a day is ----------------------------------------------------------------------

    def bucket(self, segment: Segment, day: Day) -> tuple[str, str]:
        """Return the first bucket that fits a day, and the reason."""
        if day >= self.transfer.loadable_until or not self.over_for_the_vendor(day):
            return "future", ""
        told = self.told(segment, day)
        if told.in_flight_counts:
            return "in_flight", ""
        if any(load.counts and self.is_good(load, segment, day) for load in told.loads):
            return "covered", ""
        attempts = self.attempts(told)
        used_up = len(attempts) >= self.transfer.max_attempts
        waits = self.waits(told, [] if used_up else attempts)
        if waits:
            return "waiting", waits
        held = self.held(told)
        failed = "unlocated" if "unlocated" in held else "attempts" if used_up else ""
        blocked = self.blocked(day, held, is_due=not failed)
        if blocked:
            return "blocked", blocked
        return ("failed", failed) if failed else ("due", self.why_due(told))

    def told(self, segment: Segment, day: Day) -> Told:
        """Ask every backfill, run and load of a day."""
        stale_before = segment.stale_before
        records = self.records_on(day)
        says = {record.id: self.says(record, day) for record in records}
        counting = {record.id for record in records if counts(record, stale_before)}
        runs = [(run, self.run_says(day, run)) for run in self.undecided_runs(day)]
        in_flight = [
            record.id in counting
            for record in records
            if says[record.id] == "in_flight"  # unless nobody knows what became of it
            and not isinstance(self.world.observed.fetched.get(record.id), Unreadable)
        ]
        in_flight += [may_be_newer(run, stale_before) for run, word in runs if word == "in_flight"]
        loads = self.loads(day, stale_before, says)
        return Told(day, stale_before, records, says, counting, runs, in_flight, loads)

    def waits(self, told: Told, attempts: list[BackfillRecord]) -> str:
        if told.in_flight:
            return "stale"
        if {"settling", "lagging", "loaded, lagging"} & set(told.says.values()):
            return "settling"
        if any(self.given_up_lately(one) for one in self.creates_on(told.day)):
            return "settling"
        return "backoff" if attempts and self.backing_off(attempts) else ""

    def held(self, told: Told) -> set[str]:
        """Return what evidence that counts, and that no ``retry`` forgot, says of the day."""
        held = {
            word
            for record in told.records
            if record.id in told.counting and not self.is_forgiven(record, told.day)
            for word in (told.says[record.id], ended_as(record, told.day, told.says))
        }
        for run, word in told.runs:
            if may_be_newer(run, told.stale_before) and not self.run_is_forgiven(run, told.day):
                held.add(word)
        return held

    def over_for_the_vendor(self, day: Day) -> bool:
        zone = ZoneInfo(self.world.team.timezone) if self.world.team.timezone else UTC
        today = self.world.observed.vendor_now.astimezone(zone).date().toordinal()
        return day <= today if self.transfer.allow_today else day < today

    # -- what loaded a day, and whether that counts -----------------------------------------------

    def loads(self, day: Day, stale_before: datetime | None, says: dict[int, str]) -> list[Loaded]:
        found = [
            Loaded(
                record.created_time,
                record.as_of if record.ours and record.as_of is not None else self.date(record.created_time),
                "backfill",
                counts(record, stale_before),
            )
            for record in self.records_on(day)
            if says[record.id] in ("loaded", "loaded, lagging")
            or remembered(record.evidence, day) == "loaded"
        ]
        for entry in self.transfer.loaded:
            if day in entry.days:
                at = entry.at or datetime.min.replace(tzinfo=UTC)
                found.append(Loaded(at, 0, "file", newer(at, stale_before)))
        for source in self.transfer.source_ids:
            found += self.loads_by_runs(source, day, stale_before)
        return found

    def loads_by_runs(self, source: int, day: Day, stale_before: datetime | None) -> list[Loaded]:
        """Return the loads of a day that memory or the run list knows."""
        runs = [run for run in self.runs(source) or () if run.day == day]
        known = [
            (load.at, load.by_backfill, load.failed_at)
            for load in self.world.document.loads.values()
            if load.transfer_id == source and load.start <= day < load.end
        ]
        completed = [run for run in runs if run.status is RunStatus.COMPLETED]
        all_known = [(at, by_backfill) for at, by_backfill, _ in known]
        for run in sorted(completed, key=lambda run: (run.created_time, run.id), reverse=True):
            all_known.append((run.created_time, run.backfill))
        fails = [run.created_time for run in runs if run.status is RunStatus.FAILED]
        fails += [failed_at for _, _, failed_at in known if failed_at is not None]
        return [
            Loaded(
                at,
                self.date_of_run(source, day, at, by_backfill),
                "backfill" if by_backfill else "schedule",
                newer(at, stale_before),
                any(failed > at for failed in fails),
            )
            for at, by_backfill in all_known
            if not (by_backfill and self.within_a_failure(source, day, at))
        ]

    def date_of_run(self, source: int, day: Day, at: datetime, by_backfill: bool) -> Day:
        """Return when it began: a run that a backfill of ours made, on the date that was planned for; that of
        one that answers 404 may be another's, made since.
        """
        for record in self.records_on(day):
            its_own = record.transfer_id == source and record.ours and was_active(record, at)
            if by_backfill and its_own and record.as_of is not None:
                return max(record.as_of, self.date(at)) if record.gone else record.as_of
        return self.date(at)

    def within_a_failure(self, source: int, day: Day, at: datetime) -> bool:
        """Tell whether a backfill was active then that is active still, or failed a run of several a day."""
        return any(
            ((is_active(record.seen) and not record.gone) or self.cannot_tell(record, day))
            and was_active(record, at)
            for record in self.records_on(day)
            if record.transfer_id == source
        )

    def cannot_tell(self, record: BackfillRecord, day: Day) -> bool:
        several = record.seen.total > record.end - record.start
        return several and self.says(record, day) not in ("loaded", "loaded, lagging")

    def date(self, at: datetime) -> Day:
        return at.astimezone(self.zone).date().toordinal()

    def midnight(self, day: Day) -> datetime:
        """Return when a day begins: no run of it is made before."""
        return datetime.combine(date.fromordinal(day), time(), self.zone)

    @property
    def zone(self) -> tzinfo:
        name = self.world.team.timezone
        return ZoneInfo(name) if name else timezone(timedelta(hours=14))

    def is_good(self, load: Loaded, segment: Segment, day: Day) -> bool:
        """Tell whether a load holds by the date that it was made on: for good, or provisionally."""
        today, after = self.world.team.as_of, segment.final_after
        if load.whose == "file" or load.at == UNTOLD:
            return True  # a person said so; or nobody knows, and a doubt buys nothing
        if after is not None:
            return load.on >= day + max(after, 1) or today <= day + after
        if load.whose == "schedule" and not load.failed_since:
            return True
        return load.on > day or today <= day + 1

    # -- runs that have not ended as one knows --------------------------------------------------

    def undecided_runs(self, day: Day) -> list[Run]:
        """Of each source, return the newest run of a day that did not complete, if its status is unknown."""
        found = []
        for source in self.transfer.source_ids:
            rest = [
                run
                for run in self.runs(source) or ()
                if run.day == day and run.status is not RunStatus.COMPLETED
            ]
            untold = [run for run in rest if run.created_time == UNTOLD and run.status is RunStatus.OTHER]
            newest = max(untold or rest, key=lambda run: (run.created_time, run.id), default=None)
            if newest and newest.status is RunStatus.OTHER:
                found.append(newest)
        return found

    def run_says(self, day: Day, run: Run) -> str:
        if run.ended_time is not None:
            return "unknown_status"
        held = any(self.says(record, day) == "in_flight" for record in self.records_on(day))
        begun = self.midnight(day) if run.created_time == UNTOLD else run.created_time
        young = self.world.earlier < begun + self.world.team.stuck_after
        return "in_flight" if held or young else "stuck"

    # -- attempts -----------------------------------------------------------------------------

    def attempts(self, told: Told) -> list[BackfillRecord]:
        """Return those of ours that ended without loading a day, since its last ``retry``; newest first."""
        return [
            record
            for record in told.records
            if record.id in told.counting
            and record.ours
            and record.transfer_id == self.transfer.address.transfer_id
            and ended_as(record, told.day, told.says) in ("failed", "not_run")
            and not cancelled_while_active(record)
            and not self.is_forgiven(record, told.day)
        ]

    def backing_off(self, attempts: list[BackfillRecord]) -> bool:
        """Tell whether the newest attempt ended too lately for the next one."""
        newest = attempts[0]
        pause = self.transfer.retry_after * 6 ** (len(attempts) - 1)
        ended = newest.seen.end_time or newest.ended_at
        return ended is not None and self.world.earlier < ended + pause

    def amnesties(self, day: Day) -> list[Amnesty]:
        return [
            amnesty
            for amnesty in self.world.document.amnesties.values()
            if amnesty.transfer_id == self.transfer.address.transfer_id and amnesty.start <= day < amnesty.end
        ]

    def is_forgiven(self, one: BackfillRecord | Intent, day: Day) -> bool:
        return any(one.serial <= amnesty.serial for amnesty in self.amnesties(day))

    def run_is_forgiven(self, run: Run, day: Day) -> bool:
        now, hidden = self.world.earlier, is_hidden(run)  # may have begun since: forgiven for a day
        spoken = [one for one in self.amnesties(day) if run.created_time < one.at]
        return any(not hidden or now - one.at < timedelta(days=1) for one in spoken)

    # -- what is blocked ----------------------------------------------------------------------

    def blocked(self, day: Day, held: set[str], is_due: bool) -> str:
        """``held``: what evidence that counts, and is not forgiven, says of the day."""
        own, observed = self.transfer.address.transfer_id, self.world.observed
        if any(one.outcome is Outcome.PENDING for one in self.creates_on(day)):
            return "unresolved"
        if is_due and "gone" not in held and self.has_recent_create():
            return "behind-unresolved"
        shown = observed.transfers if not isinstance(observed.transfers, Unreadable) else None
        if self.transfer.paused or (shown and own in shown and shown[own].paused):
            return "paused"
        if shown is not None and own not in shown and causes(observed.runs.get(own)) is Cause.NOT_FOUND:
            return "unknown-transfer"
        answered = self.answered(day, is_due and "gone" not in held)
        if answered:
            return answered
        if "gone" in held:
            return "gone"
        if self.no_evidence(day):
            return "no-evidence"
        if self.has_unknown_history():
            return "unknown-history"
        if "unknown_status" in held:
            return "unknown-status"
        return "stuck" if "stuck" in held else ""

    def has_recent_create(self) -> bool:
        """Tell whether the outcome of a create of the transfer's own is unknown, and settle time not over."""
        own = [one for one in self.creates() if one.transfer_id == self.transfer.address.transfer_id]
        return any(one.outcome is Outcome.PENDING and self.is_recent(one) for one in own)

    def answered(self, day: Day, is_due: bool) -> str:
        """Return what answers to creates say of a day."""
        own = [one for one in self.creates_on(day) if one.transfer_id == self.transfer.address.transfer_id]
        asked = [one for one in own if not self.is_forgiven(one, day)]
        if any(self.refusal_holds(one) and self.is_refused(one, day) for one in asked):
            return "refused"
        others = [one for one in self.creates_on(day) if not self.is_forgiven(one, day)]
        if any(self.may_have_been_made(one) for one in others):  # also on a transfer whose place it took
            return "refused"
        if any(self.was_cut(one, day) == "before" for one in asked):
            return "cut-by-api"
        if any(self.in_doubt(one, day) for one in self.creates_on(day)):
            return "recent-request"
        return "recent-request" if is_due and self.may_hide_one() else ""

    def may_have_been_made(self, intent: Intent) -> bool:
        """Tell whether a create may have been made for all that was read: blind, and nothing was noted."""
        blind = self.transfer.evidence is EvidenceMode.BACKFILLS
        unknown = intent.outcome is Outcome.REFUSED and intent.unlisted_at is None
        return blind and unknown and not self.is_recent(intent)

    def may_hide_one(self) -> bool:
        """Tell whether a create, where run lists are not read, could hide one that was refused lately."""
        if self.transfer.evidence is not EvidenceMode.BACKFILLS:
            return False
        own = [one for one in self.creates() if one.transfer_id == self.transfer.address.transfer_id]
        return any(self.in_doubt(one, day) for one in own for day in range(one.start, one.end))

    def in_doubt(self, intent: Intent, day: Day) -> bool:
        """Tell whether a request may still take effect on a day of it, though a refusal came, or though a
        person said that a backfill of other days is what it made.
        """
        record = self.record_of(intent)
        named = record is not None and record.origin is Origin.ADOPTED
        left_out = named and record is not None and not record.start <= day < record.end
        return self.is_recent(intent) and (intent.outcome is Outcome.REFUSED or left_out)

    def record_of(self, intent: Intent) -> BackfillRecord | None:
        """Return what a create made, if it is of this transfer or its predecessors."""
        record = self.world.document.backfills.get(intent.backfill_id or 0)
        ours = record is not None and record.transfer_id in self.transfer.source_ids
        return record if ours and intent.outcome is Outcome.DONE else None

    def creates(self) -> list[Intent]:
        """Return the creates that may be of this transfer's days: its own, and those that share days."""
        sources, intents = {*self.transfer.source_ids}, self.world.document.intents.values()
        own = self.transfer.address.transfer_id
        return [
            one
            for one in intents
            if one.kind is IntentKind.CREATE
            and (one.transfer_id in sources or own in (one.sources or (one.transfer_id,)))
        ]

    def creates_on(self, day: Day) -> list[Intent]:
        return [one for one in self.creates() if one.start <= day < one.end]

    def is_recent(self, intent: Intent) -> bool:
        """Tell whether settle time is not over, by either clock."""
        ours = self.world.now < intent.intended_at + self.world.settle
        at = intent.vendor_at or intent.intended_at  # a vendor that did not tell its time
        return ours or self.world.vendor_least < at + self.world.settle

    def given_up_lately(self, intent: Intent) -> bool:
        at = intent.unlisted_at
        given_up = intent.outcome is Outcome.ABANDONED and at is not None
        return given_up and self.world.earlier < at + HOUR

    def is_refused(self, intent: Intent, day: Day) -> bool:
        if intent.outcome is not Outcome.REFUSED:
            return self.is_recent(intent) and self.was_cut(intent, day) == "after"
        blockers = [one for one in self.world.observed.listed if one.id == intent.blocker]
        in_the_way = any(one.start <= day < one.end for one in blockers)
        return in_the_way or intent.nonce not in self.cut_otherwise

    def was_cut(self, intent: Intent, day: Day) -> str:
        """Tell whether the API left a day out of what it made: before what it did, or after."""
        record = self.record_of(intent)
        if record is None or record.origin is Origin.ADOPTED:  # a person named it: the API said nothing
            return ""
        if not (intent.start <= record.start and record.end <= intent.end):
            return ""
        return "before" if day < record.start else "after" if day >= record.end else ""

    def refusal_holds(self, intent: Intent) -> bool:
        if intent.blocker is None:
            return self.world.now < intent.intended_at + timedelta(hours=20)
        blocker = self.world.document.backfills.get(intent.blocker)
        ours = blocker is not None and blocker.ours and blocker.transfer_id in self.transfer.source_ids
        return not ours and any(one.id == intent.blocker for one in self.world.observed.listed)

    def all_days(self) -> dict[Day, tuple[str, str]]:
        """Return where each declared day is. A refusal is of a range: of days that would be asked for in
        another one now it says nothing, once it is no longer recent.
        """
        declared = [(segment, day) for segment in self.transfer.segments for day in segment.days]
        found = {day: self.bucket(segment, day) for segment, day in declared}
        wanted = sorted(day for day, told in found.items() if told[0] == "due" or told[1] == "refused")
        pieces = self.pieces(wanted)
        old = [one for one in self.creates() if not self.is_recent(one)]
        self.cut_otherwise = {one.nonce for one in old if [*range(one.start, one.end)] not in pieces}
        return {day: self.bucket(segment, day) for segment, day in declared}

    def pieces(self, wanted: list[Day]) -> list[list[Day]]:
        pieces: list[list[Day]] = []
        longest = self.world.team.limits.max_days_per_backfill
        for day in wanted:
            new = not pieces or pieces[-1][-1] != day - 1 or self.chunk_of(day) != self.chunk_of(day - 1)
            if new or len(pieces[-1]) == longest:
                pieces.append([])
            pieces[-1].append(day)
        return pieces

    def chunk_of(self, day: Day) -> object:
        on = date.fromordinal(day)
        return {
            Chunk.NONE: None,
            Chunk.WEEK: on.isocalendar()[:2],
            Chunk.MONTH: (on.year, on.month),
            Chunk.QUARTER: (on.year, (on.month - 1) // 3),
            Chunk.YEAR: on.year,
        }[self.transfer.chunk]

    def no_evidence(self, day: Day) -> bool:
        observed, own = self.world.observed, self.transfer.address.transfer_id
        if any(isinstance(observed.latest.get(one), Unreadable) for one in self.transfer.source_ids):
            return True
        records = [
            one
            for one in self.world.document.backfills.values()
            if one.transfer_id in self.transfer.source_ids
        ]
        if any(isinstance(observed.fetched.get(one.id), Unreadable) for one in records):
            return True
        if self.transfer.evidence is EvidenceMode.BACKFILLS:
            forgotten = filter(self.shows_no_trace, self.transfer.previous_ids)
            return any(self.may_have_loaded(source, day) for source in forgotten)
        for source in self.transfer.source_ids:
            cause = causes(observed.runs.get(source))
            if source != own and (cause is Cause.NOT_FOUND or self.proves_nothing(source)):
                if self.may_have_loaded(source, day):
                    return True
            elif cause is not None or self.tells_no_day(source):
                return True
        return False

    def shows_no_trace(self, source: int) -> bool:
        """Tell whether a predecessor has no latest backfill, and memory has none of it."""
        latest, records = self.world.observed.latest, self.world.document.backfills.values()
        asked = source in latest and latest[source] is None
        return asked and all(record.transfer_id != source for record in records)

    def proves_nothing(self, source: int) -> bool:
        """Tell whether an empty run list may be that of a transfer that is not there any more."""
        if self.runs(source) != ():
            return False
        shown, memory = self.world.observed.transfers, self.world.document
        if shown is None or isinstance(shown, Unreadable):
            known = [*memory.backfills.values(), *memory.loads.values()]
            return source not in {one.transfer_id for one in known}
        return source not in shown

    def tells_no_day(self, source: int) -> bool:
        completed = [run for run in self.runs(source) or () if run.status is RunStatus.COMPLETED]
        return bool(completed) and all(run.day is None for run in completed)

    def may_have_loaded(self, source: int, day: Day) -> bool:
        """Tell whether a predecessor that is not there may have loaded a day: nobody is known to have,
        it knows nothing of what this one did, and the day was over when the new transfer first ran.
        """
        own, document = self.transfer.address.transfer_id, self.world.document
        for one in self.records_on(day):
            word = remembered(one.evidence, day)
            if word == "loaded" or (word in CERTAIN and one.transfer_id == source):
                return False
        if self.was_ever_loaded(day):
            return False
        made = [run.created_time for run in self.runs(own) or ()]
        made += [one.created_time for one in document.backfills.values() if one.transfer_id == own]
        made += [load.at for load in document.loads.values() if load.transfer_id == own]
        told = [moment for moment in made if moment != UNTOLD]
        return not told or day < self.date(min(told))

    def was_ever_loaded(self, day: Day) -> bool:
        sources, loads = self.transfer.source_ids, self.world.document.loads.values()
        in_memory = any(one.transfer_id in sources and one.start <= day < one.end for one in loads)
        runs = [run for source in sources for run in self.runs(source) or () if run.day == day]
        return in_memory or any(run.status is RunStatus.COMPLETED for run in runs)

    def has_unknown_history(self) -> bool:
        if self.transfer.evidence is not EvidenceMode.BACKFILLS:
            return False
        return any(
            record.origin is Origin.UNEXPLAINED
            and record.transfer_id in self.transfer.source_ids
            and not self.is_accepted(record)
            for record in self.world.document.backfills.values()
        )

    def is_accepted(self, record: BackfillRecord) -> bool:
        """Tell whether a person knows the history of what it is on, be that a predecessor."""
        said = self.world.document.acceptances.get(record.transfer_id)
        return said is not None and record.id <= said.backfill_id

    # -- why a day is due -----------------------------------------------------------------------

    def why_due(self, told: Told) -> str:
        early = [load for load in told.loads if load.counts and load.whose != "file"]
        worn = "restated" if any(load.on > told.day for load in early) else "early" if early else ""
        for record in told.records:
            word = ended_as(record, told.day, told.says)
            if word == "loaded":
                return worn or "stale"
            if word in REASONS:
                return REASONS[word]
        return worn or ("stale" if told.loads else "never-loaded")
