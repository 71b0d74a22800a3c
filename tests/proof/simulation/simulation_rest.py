"""Liveness: once faults stop, each declared day is covered, or stands where it does for a true reason.

Judged by the sandbox's records. A reason that only a person can end may stand until a person has spoken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulation_loads import Fate, fate

from reconciler.dates import DateSet
from reconciler.model.desired import EvidenceMode
from reconciler.planning.ledger import Bucket, Entry, Reason, TransferLedger
from reconciler.planning.planner import Situation
from reconciler.sandbox import times
from reconciler.sandbox.backfill import Backfill

if TYPE_CHECKING:
    from simulation_truth import Truth

OPEN = (Bucket.DUE, Bucket.WAITING, Bucket.IN_FLIGHT)
SPOKEN = (Reason.PAUSED, Reason.UNKNOWN_HISTORY)  # what a person's word surely ends


class Rest:
    """Judges one transfer's ledger of a run without faults. ``spoken``: a person has said all they can.
    ``before``: of a range that grows each day, the days before this one must come to rest.
    """

    def __init__(
        self, truth: Truth, situation: Situation, ledger: TransferLedger, before: int, *, spoken: bool
    ) -> None:
        self.before = before
        self.truth, self.team, self.ledger = truth, situation.team, ledger
        self.transfer, self.spoken = ledger.transfer, spoken
        self.records = truth.records(*self.transfer.source_ids)
        self.now = truth.stage.now

    # -- is it at rest? ----------------------------------------------------------------------

    @property
    def moving(self) -> DateSet:
        """The days that further runs and more time should move."""
        days = DateSet()
        for bucket in OPEN:
            days = days | self.ledger.days(bucket)
        return (days & DateSet.span(0, self.before)) - self._held

    @property
    def _held(self) -> DateSet:
        """The days of backfills that never end, since a run of theirs does not; they may hold places, too."""
        held = [one for one in self._all if is_held(one, self.now)]
        mine = [one for one in held if one.transfer in self.transfer.source_ids]
        if self._holds_the_places([*held, *self._left_standing]):
            return DateSet.span(1, 10**6)
        return DateSet.days(day for one in mine for day in range(one.start, one.end + 1))

    @property
    def _all(self) -> list[Backfill]:
        return [one for one in self.truth.world.backfills.values() if one.team == self.truth.team_id]

    @property
    def _left_standing(self) -> list[Backfill]:
        """The FAILED ones that no plan cancels, a person's and those on predecessors, keep their places."""
        previous = {one for transfer in self.team.of_the_files for one in transfer.previous_ids}
        ended = [one for one in self._all if self._is_shell(one) and not is_held(one, self.now)]
        return [one for one in ended if one.transfer in previous or not self.truth.is_taken_for_ours(one.id)]

    def _is_shell(self, record: Backfill) -> bool:
        """Tell whether a backfill ended FAILED and was not cancelled since."""
        at = times.millis(self.now)
        failed = record.status(at, self.truth.world.settings) == "FAILED"
        return failed and record.ended(at) is not None

    def _holds_the_places(self, held: list[Backfill]) -> bool:
        limits, own = self.team.limits, self.transfer.address.transfer_id
        on_transfer = [one for one in held if one.transfer == own and not self._is_shell(one)]
        if len(held) >= limits.max_open_backfills:
            return True
        return limits.max_open_per_transfer is not None and len(on_transfer) >= limits.max_open_per_transfer

    # -- is it true? -------------------------------------------------------------------------

    def untrue(self) -> Iterator[str]:
        """Yield what the ledger says that is not so."""
        loaded = self.truth.loaded_days(self.transfer, self.team.as_of, self.team.timezone)
        name = self.transfer.name
        if wrong := self.ledger.days(Bucket.COVERED) - loaded:
            yield f"{name}: {wrong!r} called covered, and not loaded"
        if self.moving:
            words = {(one.bucket.value, one.reason.value): repr(one.days) for one in self.ledger.entries}
            yield f"{name}: {self.moving!r} does not come to rest: {words}"
        for bucket in (Bucket.BLOCKED, Bucket.FAILED):
            for entry in self.ledger.of(bucket):
                wrong = DateSet.days(day for day in entry.days if not self._is_true(entry, day))
                if wrong:
                    yield f"{name}: {wrong!r} {bucket.value} as {entry.reason.value}, which is not so"

    def _is_true(self, entry: Entry, day: int) -> bool:
        if self.spoken and entry.reason in SPOKEN and not self._went_on():
            return False
        match entry.reason:
            case Reason.REFUSED | Reason.CUT_BY_API:
                return self._is_kept(entry.reason)
            case Reason.ATTEMPTS:
                return self._attempts(day) >= self.transfer.max_attempts
            case Reason.UNLOCATED:
                return self._is_unlocated(day)
            case Reason.STUCK | Reason.UNKNOWN_STATUS:
                return any(True for _ in self.truth.words(self.transfer.source_ids, day, day))
            case Reason.GONE:
                return self._blind and self.truth.world.settings.retention_days is not None
            case Reason.UNKNOWN_HISTORY:
                return self._blind and self._has_history()
            case Reason.NO_EVIDENCE:
                return bool(self.transfer.previous_ids) or self._undated()
        return entry.reason is Reason.PAUSED

    def _is_kept(self, reason: Reason) -> bool:
        """Tell whether days wait for a person's ``retry``: blind, what was refused may have been made all the
        same; where ranges are cut, it frees the next part.
        """
        cuts = self.truth.world.settings.range_excess == "cut_start"
        return self._blind if reason is Reason.REFUSED else cuts

    @property
    def _blind(self) -> bool:
        return self.truth.blind or self.transfer.evidence is EvidenceMode.BACKFILLS

    def _undated(self) -> bool:
        transfers = self.truth.world.transfers
        return any(transfers[self.truth.team_id, one].undated_days for one in self.transfer.source_ids)

    def _on(self, day: int) -> list[Backfill]:
        return [one for one in self.records if one.start <= day <= one.end]

    def _attempts(self, day: int) -> int:
        forgave = self.truth.memory.forgave(self.transfer.address.transfer_id, day)
        ours = [
            one
            for one in self._on(day)
            if self.truth.is_taken_for_ours(one.id) and one.created / 1000 >= forgave
        ]
        kinds = (Fate.LOADED, Fate.AHEAD)
        # Of what ran again, nobody may have seen that it did.
        vague = [one for one in ours if one.laps or not one.slots_of(day)]
        failed = [one for one in ours if fate(one, day, self.now) not in kinds]
        return len({one.id for one in (*vague, *failed)})

    def _is_unlocated(self, day: int) -> bool:
        """Tell whether a backfill on a day ended in a way that neither counters nor run lists can place."""
        settings = self.truth.world.settings
        vague = self._blind or settings.runs_retention_days is not None or settings.retention_days is not None
        return any(
            vague or one.per_day > 1 or one.every > 1 or one.laps or self._undated()
            for one in self._on(day)
            if one.ended(times.millis(self.now)) is not None
        )

    def _went_on(self) -> bool:
        """Tell whether somebody made another backfill after a person had said all they can."""
        accepted = self.truth.memory.accepted.get(self.transfer.address.transfer_id, 0)
        return any(one.id > accepted for one in self.records)

    def _has_history(self) -> bool:
        """Tell whether one of our user, or of anybody while our user was not known, is not explained."""
        memory = self.truth.memory
        known = max(memory.keys.get(key, self.now) for key in self.truth.keys)
        known = self.now if memory.old_copy else known
        return any(
            one.id not in memory.made and (one.user in memory.users or one.created / 1000 < known)
            for one in self.records
        )


def is_held(record: Backfill, now: float) -> bool:
    """Tell whether a backfill waits for a run that never ends."""
    days = range(record.start, record.end + 1)
    return record.removed is None and any(fate(record, day, now) is Fate.HELD for day in days)
