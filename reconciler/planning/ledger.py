"""The day ledger: each declared day of a transfer in exactly one bucket. Pure.

The rules are tables, walked from the top; each takes its days out of what is left. So the first rule that
fits a day holds, and whoever explains a day walks the same rows. ``facts.py`` answers what a rule asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.dates import DateSet, Day, grouped, union
from reconciler.model.desired import DesiredTransfer
from reconciler.model.observed import Backfill
from reconciler.planning.facts import DayFacts, Until
from reconciler.planning.loadings import JudgedBackfill
from reconciler.planning.transfer_evidence import TransferEvidence


class Bucket(StrEnum):
    """Where a declared day stands. A plan divides ``DUE`` into ``PLANNED`` and ``DEFERRED``."""

    FUTURE = "future"
    IN_FLIGHT = "in_flight"
    COVERED = "covered"
    WAITING = "waiting"
    BLOCKED = "blocked"
    FAILED = "failed"
    DUE = "due"
    PLANNED = "planned"
    DEFERRED = "deferred"


class Reason(StrEnum):
    """Why a day is where it is. The renderers word it."""

    NONE = ""
    NEVER_LOADED = "never-loaded"
    STALE = "stale"
    FAILED = "failed"
    NOT_RUN = "not-run"
    CANCELLED = "cancelled"
    EARLY = "early"
    RESTATED = "restated"
    SETTLING = "settling"
    BACKOFF = "backoff"
    UNRESOLVED = "unresolved"
    BEHIND_UNRESOLVED = "behind-unresolved"
    PAUSED = "paused"
    UNKNOWN_TRANSFER = "unknown-transfer"
    REFUSED = "refused"
    CUT_BY_API = "cut-by-api"
    RECENT_REQUEST = "recent-request"
    GONE = "gone"
    NO_EVIDENCE = "no-evidence"
    UNKNOWN_HISTORY = "unknown-history"
    UNKNOWN_STATUS = "unknown-status"
    STUCK = "stuck"
    ATTEMPTS = "attempts"
    UNLOCATED = "unlocated"


@dataclass(frozen=True, slots=True)
class Entry:
    """Days of one transfer in one bucket, for one reason. ``until``: when which are free by themselves."""

    bucket: Bucket
    reason: Reason
    days: DateSet
    until: tuple[Until, ...] = ()

    def held_until(self, days: DateSet) -> datetime | None:
        """Return when all of these days are free by themselves; ``None``: not by time alone."""
        times = [at for held, at in self.until if held & days]
        return None if None in times else max((at for at in times if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class TransferLedger:
    """All declared days of a transfer, in entries whose days are disjoint.

    ``undecided``: days that more reading (``latest``, the run list) may still move. ``evidence``: what it
    was kept from.
    """

    transfer: DesiredTransfer
    entries: tuple[Entry, ...]
    undecided: DateSet
    evidence: TransferEvidence

    def days(self, bucket: Bucket) -> DateSet:
        return union(entry.days for entry in self.entries if entry.bucket is bucket)

    def of(self, bucket: Bucket) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.bucket is bucket)

    @property
    def holes(self) -> DateSet:
        """The days that failed or are blocked, but for a pause that the file declares, and what ends soon."""
        left = (*self.of(Bucket.BLOCKED), *self.of(Bucket.FAILED))
        healthy = {Reason.RECENT_REQUEST, Reason.PAUSED if self.transfer.paused else Reason.RECENT_REQUEST}
        return union(entry.days for entry in left if entry.reason not in healthy)

    @property
    def stuck(self) -> tuple[Backfill, ...]:
        """The active backfills on declared days whose counts have not changed for ``stuck_after``."""
        since = self.evidence.observed.earlier - self.evidence.stuck_after
        active = (judged.record for judged in self.evidence.judged if judged.verdict.in_flight)
        still = (record for record in active if record.moved_at is not None and record.moved_at <= since)
        return tuple(record.seen for record in still if record.days & self.transfer.days)

    @property
    def loaded_on_own_day(self) -> DateSet:
        """The days that a schedule loaded before they were over, and that count all the same."""
        alone = union(one.days for one in self.transfer.segments if one.final_after is None)
        scheduled = (one for one in self.evidence.loadings if one.scheduled and not one.failed_later)
        return union(one.on_own_day() for one in scheduled) & alone

    @property
    def read_from(self) -> Day:
        """The first day of which the run list is needed, if any is undecided: of a backfill that runs must
        judge, all its runs are.
        """
        open_ = (judged.record for judged in self.evidence.judged if not judged.verdict.settled)
        firsts = (record.start for record in open_ if record.days & self.undecided)
        return min((self.undecided.first(), *firsts))

    @property
    def taken_up(self) -> DateSet:
        """The days that are loaded or being loaded."""
        return self.days(Bucket.COVERED) | self.days(Bucket.IN_FLIGHT)


# --- the rules --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what ``days`` returns goes into ``bucket`` for ``reason``, unless a row above took it.

    ``days`` is given the facts and what the rows above have left. It may return more than that; some tell
    until when they hold which days.
    """

    bucket: Bucket
    reason: Reason
    days: Callable[[DayFacts, DateSet], DateSet | tuple[Until, ...]]


DONE = (
    Rule(Bucket.FUTURE, Reason.NONE, lambda facts, left: facts.future),
    Rule(Bucket.IN_FLIGHT, Reason.NONE, lambda facts, left: facts.in_flight),
    Rule(Bucket.COVERED, Reason.NONE, lambda facts, left: facts.covered),
)
WAITING = (
    Rule(Bucket.WAITING, Reason.STALE, lambda facts, left: facts.in_flight_but_stale),
    Rule(Bucket.WAITING, Reason.SETTLING, lambda facts, left: facts.settling),
    Rule(Bucket.WAITING, Reason.BACKOFF, lambda facts, left: facts.backoff),
)
HELD_UP = (
    Rule(Bucket.BLOCKED, Reason.UNRESOLVED, lambda facts, left: facts.unresolved),
    Rule(Bucket.BLOCKED, Reason.BEHIND_UNRESOLVED, lambda facts, left: facts.behind_unresolved(left)),
    Rule(Bucket.BLOCKED, Reason.PAUSED, lambda facts, left: facts.paused),
    Rule(Bucket.BLOCKED, Reason.UNKNOWN_TRANSFER, lambda facts, left: facts.of_unknown_transfer),
    Rule(Bucket.BLOCKED, Reason.REFUSED, lambda facts, left: facts.refused),
    Rule(Bucket.BLOCKED, Reason.CUT_BY_API, lambda facts, left: facts.cut_by_api),
    Rule(Bucket.BLOCKED, Reason.RECENT_REQUEST, lambda facts, left: facts.recent_request(left)),
    Rule(Bucket.BLOCKED, Reason.GONE, lambda facts, left: facts.gone),
    Rule(Bucket.BLOCKED, Reason.NO_EVIDENCE, lambda facts, left: facts.without_evidence),
    Rule(Bucket.BLOCKED, Reason.UNKNOWN_HISTORY, lambda facts, left: facts.unknown_history),
    Rule(Bucket.BLOCKED, Reason.UNKNOWN_STATUS, lambda facts, left: facts.unknown_status),
    Rule(Bucket.BLOCKED, Reason.STUCK, lambda facts, left: facts.stuck),
    Rule(Bucket.FAILED, Reason.UNLOCATED, lambda facts, left: facts.unlocated),
    Rule(Bucket.FAILED, Reason.ATTEMPTS, lambda facts, left: facts.exhausted),
)
# Why the rest is due: asked of each backfill, the newest first, before the rows of DUE_WITHOUT.
DUE_BY_BACKFILL: tuple[tuple[Reason, Callable[[JudgedBackfill, DayFacts], DateSet]], ...] = (
    (Reason.FAILED, lambda judged, facts: judged.verdict.evidence.failed | judged.verdict.evidence.unlocated),
    (Reason.NOT_RUN, lambda judged, facts: judged.verdict.evidence.not_run),
    (Reason.CANCELLED, lambda judged, facts: judged.verdict.evidence.cancelled),
    (Reason.EARLY, lambda judged, facts: judged.verdict.evidence.loaded & facts.early),
    (Reason.RESTATED, lambda judged, facts: judged.verdict.evidence.loaded & facts.restated),
    (Reason.STALE, lambda judged, facts: judged.verdict.evidence.loaded),
    (Reason.NOT_RUN, lambda judged, facts: judged.verdict.gone | judged.verdict.unknown_status),
)
DUE_WITHOUT = (
    Rule(Bucket.DUE, Reason.EARLY, lambda facts, left: facts.early),
    Rule(Bucket.DUE, Reason.RESTATED, lambda facts, left: facts.restated),
    Rule(Bucket.DUE, Reason.STALE, lambda facts, left: facts.loaded_but_stale),
    Rule(Bucket.DUE, Reason.NEVER_LOADED, lambda facts, left: left),
)


def due_rules(facts: DayFacts) -> Iterator[Rule]:
    """Yield the rows that tell why a day is due: its newest backfill does; without one, a run may."""
    for backfill in facts.evidence.judged:
        for reason, days in DUE_BY_BACKFILL:
            yield Rule(Bucket.DUE, reason, _given(days(backfill, facts)))
    yield from DUE_WITHOUT


def _given(days: DateSet) -> Callable[[DayFacts, DateSet], DateSet]:
    return lambda facts, left: days


# --- walking them -----------------------------------------------------------------------------


def keep_ledger(evidence: TransferEvidence) -> TransferLedger:
    """Put every declared day of a transfer into its bucket.

    Raises ``AssertionError`` if a day were lost or counted twice: a bug in reconciler.
    """
    transfer = evidence.transfer
    entries: list[Entry] = []
    undecided = []
    for (stale_before, final_after), days in _alike(transfer):
        found, open_ = _walk(DayFacts(days, stale_before, final_after, transfer, evidence))
        entries += found
        undecided.append(open_)
    joined = _joined(entries)
    _check(transfer, joined)
    return TransferLedger(transfer, joined, union(undecided), evidence)


def _alike(transfer: DesiredTransfer) -> Iterator[tuple[tuple[datetime | None, int | None], DateSet]]:
    """Yield the days that the same ``stale_before`` and ``final_after`` hold for."""
    groups = grouped(transfer.segments, lambda segment: (segment.stale_before, segment.final_after))
    for rules, found in groups.items():
        yield rules, union(segment.days for segment in found)


def _walk(facts: DayFacts) -> tuple[list[Entry], DateSet]:
    """Return the entries, and the days that more reading may still move: all that is open, unless paused."""
    done, open_ = _take(DONE, facts, facts.days)
    waiting, not_done = _take(WAITING, facts, open_)
    held_up, due = _take(HELD_UP, facts, not_done)
    reasons, none_left = _take(due_rules(facts), facts, due)
    assert not none_left
    return [*done, *waiting, *held_up, *reasons], open_ - facts.paused


def _take(rules: Iterable[Rule], facts: DayFacts, left: DateSet) -> tuple[list[Entry], DateSet]:
    """Walk rules from the top. Returns what each took, and what is left."""
    entries = []
    for rule in rules:
        if not left:
            break
        told = rule.days(facts, left)
        until = () if isinstance(told, DateSet) else told
        taken = left & (told if isinstance(told, DateSet) else union(days for days, _at in told))
        left = left - taken
        entries.append(Entry(rule.bucket, rule.reason, taken, until))
    return entries, left


def _joined(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Merge entries of one bucket and reason, in the order of the buckets and reasons."""
    groups = grouped((entry for entry in entries if entry.days), lambda entry: (entry.bucket, entry.reason))
    order = list(Bucket)
    ranked = sorted(groups, key=lambda key: (order.index(key[0]), key[1]))
    return tuple(_merged(*key, groups[key]) for key in ranked)


def _merged(bucket: Bucket, reason: Reason, entries: list[Entry]) -> Entry:
    days = union(entry.days for entry in entries)
    return Entry(bucket, reason, days, tuple(pair for entry in entries for pair in entry.until))


def _check(transfer: DesiredTransfer, entries: tuple[Entry, ...]) -> None:
    declared = transfer.days
    total = sum(len(entry.days) for entry in entries)
    if total != len(declared) or union(entry.days for entry in entries) != declared:
        raise AssertionError(
            f"{total} days in buckets, {len(declared)} declared. This is a bug in reconciler."
        )
