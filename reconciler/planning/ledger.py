"""The day ledger: each declared day of a transfer in exactly one bucket. Pure.

Read ``keep_ledger``: it goes through the buckets in the order of design section 4, and each
takes its days out of what is left. Days are sets; nothing here goes through single days.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.bounds import REFUSAL_HOLDS
from reconciler.dates import EMPTY, DateSet, union
from reconciler.model.desired import DesiredTransfer, EvidenceMode
from reconciler.model.memory import BackfillRecord, Intent, IntentKind, Outcome
from reconciler.model.observed import Observed, Run, RunStatus, Unreadable
from reconciler.planning.evidence import RunsByDay, Verdict, judge


class Bucket(StrEnum):
    FUTURE = "future"
    IN_FLIGHT = "in_flight"
    COVERED = "covered"
    WAITING = "waiting"
    BLOCKED = "blocked"
    FAILED = "failed"
    DUE = "due"


class Reason(StrEnum):
    """Why a day is where it is. The renderers word it."""

    NONE = ""
    NEVER_LOADED = "never-loaded"
    STALE = "stale"
    FAILED = "failed"
    NOT_RUN = "not-run"
    CANCELLED = "cancelled"
    SETTLING = "settling"
    UNRESOLVED = "unresolved"
    PAUSED = "paused"
    UNKNOWN_TRANSFER = "unknown-transfer"
    REFUSED = "refused"
    GONE = "gone"
    NO_EVIDENCE = "no-evidence"
    ATTEMPTS = "attempts"
    UNLOCATED = "unlocated"


@dataclass(frozen=True, slots=True)
class Entry:
    """Days of one transfer in one bucket, for one reason."""

    bucket: Bucket
    reason: Reason
    days: DateSet


@dataclass(frozen=True, slots=True)
class TransferLedger:
    """All declared days of a transfer, in entries whose days are disjoint.

    ``undecided``: days that more reading (``latest``, the run list) may still move.
    """

    transfer: DesiredTransfer
    entries: tuple[Entry, ...]
    undecided: DateSet

    def days(self, bucket: Bucket) -> DateSet:
        return union(entry.days for entry in self.entries if entry.bucket is bucket)

    def of(self, bucket: Bucket) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.bucket is bucket)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known that bears on one transfer; ``now`` is our clock, the rest the vendor's.

    ``records`` and ``runs`` are those of the transfer and its predecessors.
    """

    records: tuple[BackfillRecord, ...]
    runs: Mapping[int, RunsByDay]
    intents: tuple[Intent, ...]
    observed: Observed
    listed: frozenset[int]
    now: datetime
    settle: timedelta


@dataclass(frozen=True, slots=True)
class _Judged:
    record: BackfillRecord
    verdict: Verdict

    def counts(self, stale_before: datetime | None) -> bool:
        """Design section 4: made at or after ``stale_before``, or ours and made under it."""
        if stale_before is None or self.record.created_time >= stale_before:
            return True
        made_under = self.record.stale_before
        return self.record.ours and made_under is not None and made_under >= stale_before


def keep_ledger(transfer: DesiredTransfer, evidence: Evidence) -> TransferLedger:
    """Put every declared day of a transfer into its bucket.

    Raises ``AssertionError`` if a day were lost or counted twice: a bug in reconciler.
    """
    judged = _judge_all(evidence)
    entries: list[Entry] = []
    undecided = []
    for stale_before, days in _by_stale_before(transfer):
        part = _Part(days, stale_before, transfer, evidence, judged)
        entries += part.fill()
        undecided.append(part.undecided)
    joined = _joined(entries)
    _check(transfer, joined)
    return TransferLedger(transfer, joined, union(undecided))


def _judge_all(evidence: Evidence) -> tuple[_Judged, ...]:
    """Return the backfills with their verdicts, newest first."""
    ordered = sorted(evidence.records, key=lambda one: (one.created_time, one.id), reverse=True)
    now = evidence.observed.vendor_now
    return tuple(_Judged(one, judge(one, evidence.runs.get(one.transfer_id), now)) for one in ordered)


def _by_stale_before(transfer: DesiredTransfer) -> list[tuple[datetime | None, DateSet]]:
    groups: dict[datetime | None, list[DateSet]] = {}
    for segment in transfer.segments:
        groups.setdefault(segment.stale_before, []).append(segment.days)
    return [(stale_before, union(days)) for stale_before, days in groups.items()]


@dataclass(slots=True)
class _Part:
    """The days of a transfer that share one ``stale_before``, on their way into buckets."""

    days: DateSet
    stale_before: datetime | None
    transfer: DesiredTransfer
    evidence: Evidence
    judged: tuple[_Judged, ...]
    left: DateSet = EMPTY
    undecided: DateSet = EMPTY

    def fill(self) -> list[Entry]:
        self.left = self.days
        counting = [one for one in self.judged if one.counts(self.stale_before)]
        rest = [one for one in self.judged if not one.counts(self.stale_before)]
        entries = [
            self._take(Bucket.FUTURE, self.left - DateSet.span(0, self.transfer.loadable_until)),
            self._take(Bucket.IN_FLIGHT, self._in_flight(counting)),
            self._take(Bucket.COVERED, self._loaded(counting)),
            self._take(Bucket.WAITING, _active(rest) | self._runs_in_flight(counts=False), Reason.STALE),
            self._take(Bucket.WAITING, union(one.verdict.settling for one in self.judged), Reason.SETTLING),
        ]
        exhausted, unlocated = self._exhausted(counting), self._unlocated(counting)
        due = self.left - exhausted - unlocated
        gone = union(one.verdict.gone for one in counting)
        entries += self._blocked(due - gone, gone)
        entries += [
            self._take(Bucket.FAILED, unlocated, Reason.UNLOCATED),
            self._take(Bucket.FAILED, exhausted, Reason.ATTEMPTS),
        ]
        self.undecided = self.left | (self._runs_would_tell() & (unlocated | gone))
        return [*entries, *self._due()]

    def _take(self, bucket: Bucket, days: DateSet, reason: Reason = Reason.NONE) -> Entry:
        taken = self.left & days
        self.left = self.left - taken
        return Entry(bucket, reason, taken)

    # -- what is loaded or being loaded ----------------------------------------------------

    def _in_flight(self, counting: list[_Judged]) -> DateSet:
        return _active(counting) | self._runs_in_flight(counts=True)

    def _loaded(self, counting: list[_Judged]) -> DateSet:
        by_backfills = union(one.verdict.evidence.loaded for one in counting)
        return by_backfills | self._days_of_runs(RunStatus.COMPLETED, counts=True)

    def _runs_in_flight(self, *, counts: bool) -> DateSet:
        return self._days_of_runs(RunStatus.IN_FLIGHT, counts=counts)

    def _days_of_runs(self, status: RunStatus, *, counts: bool) -> DateSet:
        return DateSet.days(
            day
            for grouped in self.evidence.runs.values()
            for day, runs in grouped.items()
            if any(run.status is status and self._run_counts(run) is counts for run in runs)
        )

    def _run_counts(self, run: Run) -> bool:
        return self.stale_before is None or run.created_time >= self.stale_before

    # -- what stands in the way ------------------------------------------------------------

    def _blocked(self, due: DateSet, gone: DateSet) -> list[Entry]:
        everything = self.left
        return [
            self._take(Bucket.BLOCKED, self._unresolved(due), Reason.UNRESOLVED),
            self._take(Bucket.BLOCKED, everything if self._paused() else EMPTY, Reason.PAUSED),
            self._take(Bucket.BLOCKED, everything if self._unknown() else EMPTY, Reason.UNKNOWN_TRANSFER),
            self._take(Bucket.BLOCKED, self._refused(), Reason.REFUSED),
            self._take(Bucket.BLOCKED, gone, Reason.GONE),
            self._take(Bucket.BLOCKED, everything if self._no_evidence() else EMPTY, Reason.NO_EVIDENCE),
        ]

    def _unresolved(self, due: DateSet) -> DateSet:
        pending = [one for one in self.evidence.intents if one.pending and one.kind is IntentKind.CREATE]
        fresh = any(self.evidence.now < one.intended_at + self.evidence.settle for one in pending)
        return union(one.days for one in pending) | (due if fresh else EMPTY)

    def _paused(self) -> bool:
        info = (self.evidence.observed.transfers or {}).get(self.transfer.address.transfer_id)
        return self.transfer.paused or (info is not None and info.paused)

    def _unknown(self) -> bool:
        observed, own = self.evidence.observed, self.transfer.address.transfer_id
        absent = observed.transfers is not None and own not in observed.transfers
        return absent and observed.runs.get(own) is Unreadable.NOT_FOUND

    def _refused(self) -> DateSet:
        refused = (one for one in self.evidence.intents if one.outcome is Outcome.REFUSED)
        listed, now = self.evidence.listed, self.evidence.now
        return union(one.days for one in refused if refusal_holds(one, listed, now))

    def _no_evidence(self) -> bool:
        """Any failed read blocks; an unreadable list blocks only where the file insists on it."""
        if self.transfer.evidence is EvidenceMode.BACKFILLS:
            return False
        answers = [self.evidence.observed.runs.get(one) for one in self.transfer.source_ids]
        if Unreadable.FAILED in answers:
            return True
        strict = self.transfer.evidence is EvidenceMode.RUNS
        return strict and any(isinstance(one, Unreadable) for one in answers)

    def _runs_would_tell(self) -> DateSet:
        """Return the days a run list may still decide: none if it is not to be read."""
        unread = self.transfer.evidence is not EvidenceMode.BACKFILLS and not self._paused()
        return self.days if unread else EMPTY

    # -- what is due, and why --------------------------------------------------------------

    def _exhausted(self, counting: list[_Judged]) -> DateSet:
        """Return the days tried ``max_attempts`` times: our backfills that ended without loading them."""
        tried: list[DateSet] = [EMPTY] * self.transfer.max_attempts
        own = self.transfer.address.transfer_id
        for one in (one for one in counting if one.record.ours and one.record.transfer_id == own):
            known = one.verdict.evidence
            days = self.left & (known.failed | known.not_run)
            for times in range(len(tried) - 1, 0, -1):
                tried[times] = tried[times] | (tried[times - 1] & days)
            tried[0] = tried[0] | days
        return tried[-1]

    def _unlocated(self, counting: list[_Judged]) -> DateSet:
        """Return the days of which a backfill cannot tell whether it loaded them.

        What became of a newer one, on a successor perhaps, says nothing about the older.
        """
        return self.left & union(one.verdict.evidence.unlocated for one in counting)

    def _due(self) -> Iterable[Entry]:
        """Yield the rest by reason: the newest backfill on a day tells; without one, a run may."""
        for one in self.judged:
            known = one.verdict.evidence
            yield self._take(Bucket.DUE, known.failed | known.unlocated, Reason.FAILED)
            yield self._take(Bucket.DUE, known.not_run, Reason.NOT_RUN)
            yield self._take(Bucket.DUE, known.cancelled, Reason.CANCELLED)
            yield self._take(Bucket.DUE, known.loaded | one.verdict.gone, Reason.STALE)
        yield self._take(Bucket.DUE, self._days_of_runs(RunStatus.COMPLETED, counts=False), Reason.STALE)
        yield self._take(Bucket.DUE, self.left, Reason.NEVER_LOADED)


def refusal_holds(intent: Intent, listed: Container[int], now: datetime) -> bool:
    """Tell whether a refusal still blocks: while its blocker is listed, else for 24 hours."""
    if intent.blocker is not None:
        return intent.blocker in listed
    return now < intent.intended_at + REFUSAL_HOLDS


def _active(judged: Iterable[_Judged]) -> DateSet:
    return union(one.verdict.in_flight for one in judged)


def _joined(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Merge entries of one bucket and reason, in the order of the buckets and reasons."""
    grouped: dict[tuple[Bucket, Reason], list[DateSet]] = {}
    for entry in entries:
        if entry.days:
            grouped.setdefault((entry.bucket, entry.reason), []).append(entry.days)
    order = {bucket: rank for rank, bucket in enumerate(Bucket)}
    ranked = sorted(grouped, key=lambda key: (order[key[0]], key[1]))
    return tuple(Entry(bucket, reason, union(grouped[bucket, reason])) for bucket, reason in ranked)


def _check(transfer: DesiredTransfer, entries: tuple[Entry, ...]) -> None:
    declared = transfer.days
    total = sum(len(entry.days) for entry in entries)
    if total != len(declared) or union(entry.days for entry in entries) != declared:
        raise AssertionError(
            f"{total} days in buckets, {len(declared)} declared. This is a bug in reconciler."
        )
