"""Exactly once, by day: may this create load this day? An independent judge, who walks the sandbox's records.

A day may be created again only if it failed, did not run, went stale, was loaded before its figures were
final, or was cancelled; or if a person said ``retry`` or ``accept``; or if nobody could know of the load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulation_loads import ROUNDING, Fate, Load, counts, fate, loads, segment_of, told_by_the_file
from simulation_memory import is_shown

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.dates import DateSet, iso
from reconciler.model.desired import DesiredTransfer, EvidenceMode
from reconciler.model.memory import Intent, IntentKind, Outcome
from reconciler.sandbox import times
from reconciler.sandbox.backfill import Backfill

if TYPE_CHECKING:
    from simulation_network import Sent
    from simulation_truth import Truth


@dataclass
class Judge:
    """Judges one create that took effect as a backfill, ``record``."""

    truth: Truth
    sent: Sent
    transfer: DesiredTransfer
    record: Backfill

    def judge(self) -> None:
        extra = DateSet.span(self.record.start, self.record.end + 1) - self._loadable()
        if extra:
            self._violate(extra.first(), "is not declared, or not over")
        if not self.truth.judging:
            return
        self._check_history()
        for day in range(self.record.start, self.record.end + 1):
            if told_by_the_file(self.transfer, day):
                self._violate(day, "is loaded by what the file says")
        self._check_backfills()
        for load in loads(self.truth, self.transfer, self.record.start, self.record.end):
            if load.record is None or load.record.id != self.record.id:
                self._check_load(load)
        self._check_words()
        self._check_attempts()

    def _loadable(self) -> DateSet:
        return self.transfer.days & DateSet.span(0, self.transfer.loadable_until)

    def _violate(self, day: int, what: str) -> None:
        self.truth.stage.violate(f"{iso(day)} of {self.sent.transfer_id} {what}: created by {self.record.id}")

    @property
    def _blind(self) -> bool:
        return self.truth.blind or self.transfer.evidence is EvidenceMode.BACKFILLS

    # -- what is loaded ----------------------------------------------------------------------

    def _check_load(self, load: Load) -> None:
        team = self.sent.process.team
        if not counts(self.truth, load, self.transfer, team.as_of, team.timezone, kind=False):
            return
        if self._was_said(load) or not self._is_known(load) or self._is_excused(load.record):
            return
        if load.record is not None and self._is_forgotten(load.record) and self._is_dated_before(load):
            return
        by = f"backfill {load.record.id}" if load.record else "the schedule"
        self._violate(load.day, f"was loaded by {by}, and is created again")

    def _was_said(self, load: Load) -> bool:
        """A person said ``retry`` since, of what nothing could tell; or ``accept``, of what was forgotten."""
        memory = self.truth.memory
        if load.created < memory.forgave(self.sent.transfer_id, load.day):
            return True
        accepted = memory.accepted.get(self.sent.transfer_id, 0)
        return load.record is not None and load.record.id <= accepted and self._is_forgotten(load.record)

    def _is_forgotten(self, record: Backfill) -> bool:
        """Tell whether it is one of ours that the state no longer knows as that."""
        return record.id in self.truth.made and record.id not in self.truth.memory.made

    def _is_dated_before(self, load: Load) -> bool:
        """Tell whether the API's clock dates a load before ``stale_before``: that it was made under that, a
        state that is lost alone could tell (the documentation's limit 7).
        """
        since = self._stale_before(load.day)
        return since is not None and self.truth.vendor(max(load.created, load.asked)) < since

    def _is_known(self, load: Load) -> bool:
        """Tell whether this state was shown the load, or this run could have read of it."""
        record, memory = load.record, self.truth.memory
        if record is not None and not record.slots_of(load.day):
            # no run of the day: nothing but the counters of the whole tells of it
            return self._was_recorded(record) and self._tells_all(record)
        if record is not None and self._ran_again_unseen(record):
            return False
        ours = record is not None and record.id in memory.made
        if load.created >= self.sent.looked - ROUNDING and not ours:
            return False
        if record is not None and self._was_recorded(record):
            return not (self._forgets and self.truth.is_undated(load.transfer_id, load.day))
        if record is not None and record.id in memory.made and self._blind:
            return not self._was_forgotten_unseen(record)
        if load.created >= self.sent.looked - ROUNDING or self.truth.is_undated(load.transfer_id, load.day):
            return False
        of_it = (one for one in memory.readings if one.transfer_id == load.transfer_id)
        readings = (one for one in of_it if one.at <= self._intended)
        if any(one.shows(load.created, load.ended, load.day) for one in readings):
            return True
        if self._blind:
            return record is not None and record.id in memory.seen and self._tells_all(record)
        conditions = self.sent.conditions
        if self.truth.shaken >= self.sent.surveyed:
            return False  # what lists show changed meanwhile
        return not conditions.readable or is_shown(load.created, self.sent.looked, conditions)

    def _was_recorded(self, record: Backfill) -> bool:
        """Tell whether the state had a record of it; of others', as the create was intended, which may arrive
        days later.
        """
        at = self.truth.memory.recorded.get(record.id, float("inf"))
        return at <= (self._intended if record.id not in self.truth.made else self.truth.stage.now)

    @property
    def _intended(self) -> float:
        """When the state that the intent was committed to was as it was: a run may freeze before that."""
        return self.truth.committed.get(self.sent.nonce, self.sent.intended)

    def _ran_again_unseen(self, record: Backfill) -> bool:
        """Tell whether it began to run again only after this run's last look, and no cancel of ours told; or,
        blind, after the last look that could see it: then the API forgot it.
        """
        again = max((lap.begins for lap in record.laps), default=0) / 1000
        told = record.id in self.truth.cancelled
        shown = record.shows(0, times.millis(self.sent.surveyed), self.truth.world.settings)
        gone = self._blind and not shown and again > self.truth.memory.seen.get(record.id, 0.0)
        return (again >= self.sent.looked - ROUNDING and not told) or (bool(record.laps) and gone)

    @property
    def _forgets(self) -> bool:
        """Whether the API forgets backfills, so that their counters are not there to tell of undated runs."""
        return self.truth.world.settings.retention_days is not None

    def _was_forgotten_unseen(self, record: Backfill) -> bool:
        """Tell whether, blind, the API forgot one of ours before any look could show that it was made."""
        settings, memory = self.truth.world.settings, self.truth.memory
        shown = record.id in memory.seen or record.shows(0, times.millis(self.sent.surveyed), settings)
        return self._blind and not shown

    def _tells_all(self, record: Backfill) -> bool:
        """Tell whether its counters alone told, well before this run, that all of it is loaded."""
        settings, surveyed = self.truth.world.settings, self.sent.surveyed
        ended = record.ended(times.millis(surveyed))
        whole = all(fate(record, day, surveyed) is Fate.LOADED for day in range(record.start, record.end + 1))
        kept = settings.retention_days is None and record.removed is None
        return whole and kept and ended is not None and ended / 1000 + self.truth.lag + 7200 < surveyed

    # -- what is under way -------------------------------------------------------------------

    def _check_backfills(self) -> None:
        now = self.truth.stage.now
        for other in self.truth.records(*self.transfer.source_ids):
            if other.id == self.record.id:
                continue
            for day in range(max(other.start, self.record.start), min(other.end, self.record.end) + 1):
                ahead = fate(other, day, now) is Fate.AHEAD and self._is_shown_active(other)
                if ahead and not self._is_excused(other):
                    self._violate(day, f"is in flight in backfill {other.id}")

    def _is_shown_active(self, other: Backfill) -> bool:
        """Tell whether this run could know that it was under way. What runs again lately, it could not."""
        begun = max([lap.begins for lap in other.laps], default=other.created) / 1000
        if other.id in self.truth.memory.made and not other.laps:
            return True
        blind_to_it = self._blind or self.truth.shaken >= self.sent.surveyed
        return not blind_to_it and begun + self.truth.lag + ROUNDING < self.sent.looked

    def _is_excused(self, other: Backfill | None) -> bool:
        """What nobody can tell apart, or could know: see the documentation's limits."""
        if other is None:
            return False
        truth, made = self.truth, self.truth.made.get(other.id)
        if made is not None and made.nonce == self.sent.nonce:
            return True  # a gateway that sends twice
        if made is not None and other.transfer != self.sent.transfer_id:
            later = truth.intended[made.nonce] >= truth.intended[self.sent.nonce]
            if later:
                return True  # a run with an older file, which does not know of its successor, came after us
        if truth.was_mistaken(self.sent) or (made is not None and truth.was_mistaken(made)):
            truth.stage.counts["mistaken"] += 1
            return True
        if made is not None and other.id not in truth.memory.made:
            return self._blind
        return False

    # -- a history that the state does not know ------------------------------------------------

    def _check_history(self) -> None:
        """Blind, with a backfill of our user in sight that the state cannot explain, nothing is created."""
        if self._blind and self._shows_history():
            self._violate(self.record.start, "has a history that the state does not know")

    def _shows_history(self) -> bool:
        truth, surveyed = self.truth, self.sent.surveyed
        if truth.shaken >= surveyed:
            return False
        settings, accepted = truth.world.settings, truth.memory.accepted.get(self.sent.transfer_id, 0)
        before = [
            one
            for one in truth.records(*self.transfer.source_ids)
            if one.created / 1000 + truth.lag + ROUNDING < surveyed
        ]
        latest = {max(of_it, key=lambda one: one.id).id for of_it in _by_transfer(before) if of_it}
        return any(
            one.id in latest
            and truth.memory.is_ours(one.user, self.sent.process.flags.key, surveyed)
            and one.id > accepted
            and one.shows(0, times.millis(surveyed), settings)
            and self._is_forgotten(one)
            and one.id not in truth.memory.explained
            and not self._is_intended(one)
            for one in before
        )

    def _is_intended(self, record: Backfill) -> bool:
        """Tell whether the state has an intent that may have made it, in time: of exactly its days, or that
        made others of exactly its days. So it is no sign that the state is old: an old copy may know that a
        request left, and not what came of it; and a gateway may have sent one twice, which nobody can tell
        from what was made of the same days a little later.
        """
        truth, document = self.truth, self.truth.document()
        known = document.intents.values() if document else ()
        creates = [one for one in known if one.kind is IntentKind.CREATE and self._is_in_time(one, record)]
        asked = {(one.transfer_id, one.start, one.end - 1) for one in creates}
        nonces = {one.nonce for one in creates}
        cut = (truth.world.backfills[number] for number, sent in truth.made.items() if sent.nonce in nonces)
        made = {(one.transfer, one.start, one.end) for one in cut}
        return (record.transfer, record.start, record.end) in asked | made

    def _is_in_time(self, intent: Intent, record: Backfill) -> bool:
        passed = record.created / 1000 - self.truth.intended[intent.nonce]
        return -ROUNDING <= passed <= DEFAULT_SETTLE.total_seconds()

    # -- words, attempts ---------------------------------------------------------------------

    def _check_words(self) -> None:
        """What ended with a word nobody knows, or does not end, is a person's to look at."""
        if self._blind or not self.sent.conditions.readable or self.truth.shaken >= self.sent.surveyed:
            return
        for day, created in self.truth.words(self.transfer.source_ids, self.record.start, self.record.end):
            if self.truth.memory.forgave(self.sent.transfer_id, day) > created:
                continue
            since = self._stale_before(day)
            if since is not None and self.truth.vendor(created) < since:
                continue
            if self._began_again(day):
                continue
            if is_shown(created, self.sent.surveyed, self.sent.conditions):
                self._violate(day, "has a run of an unknown word")

    def _began_again(self, day: int) -> bool:
        records = self.truth.records(*self.transfer.source_ids)
        return any(self._ran_again_unseen(one) for one in records if one.start <= day <= one.end)

    def _stale_before(self, day: int) -> float | None:
        segment = segment_of(self.transfer, day)
        return segment.stale_before.timestamp() if segment and segment.stale_before else None

    def _check_attempts(self) -> None:
        """After a failed attempt there is a pause, six times as long each time, and in the end a person.

        Where the API forgets backfills, how they ended may never have been seen.
        """
        if self._forgets:
            return
        for day in range(self.record.start, self.record.end + 1):
            ends = sorted(self._failures(day))
            if not ends:
                continue
            if len(ends) >= self.transfer.max_attempts:
                self._violate(day, f"was tried {len(ends)} times")
            pause = self.transfer.retry_after.total_seconds() * 6 ** (len(ends) - 1)
            if self.sent.at + ROUNDING < ends[-1] + min(pause, 400 * 86400):
                self._violate(day, f"is tried again {self.sent.at - ends[-1]:.0f} s after it failed")

    def _failures(self, day: int) -> list[float]:
        """Return when our attempts at a day, since the last ``retry``, failed."""
        truth, forgave = self.truth, self.truth.memory.forgave(self.sent.transfer_id, day)
        since = self._stale_before(day)
        found = []
        for number in truth.memory.made & truth.world.backfills.keys():
            other = truth.world.backfills[number]
            if other.transfer != self.sent.transfer_id or not other.start <= day <= other.end:
                continue
            if number == self.record.id or self._passes_for_anothers(number):
                continue
            if other.created / 1000 < forgave:
                continue
            if since is not None and truth.vendor(other.created / 1000) < since:
                continue
            end, days = self._end(other)
            if day in days and end < self.sent.surveyed:
                found.append(end)
        return found

    def _passes_for_anothers(self, number: int) -> bool:
        """Tell whether the state cannot know that one is ours: a gateway made it of a create that had made
        one before, or of one whose second copy was refused while reads hid the first; or it arrived after a
        person's, of exactly its days and by our user, was taken for it.
        """
        truth = self.truth
        sent = truth.made.get(number)
        if sent is None or truth.is_recorded_as_ours(number):
            return False
        document = truth.document()
        intent = document.intents.get(sent.nonce) if document else None
        refused = intent is not None and intent.outcome is Outcome.REFUSED
        return truth.is_echo(number) or refused or truth.was_mistaken(sent)

    def _end(self, other: Backfill) -> tuple[float, DateSet]:
        """Return when one of ours ended as FAILED, and the days that had failed."""
        if other.removed is not None:
            return self.truth.retried.get(other.id, (0.0, DateSet()))
        now = self.truth.stage.now
        ended = other.ended(times.millis(now))
        if ended is None or other.laps:
            return 0.0, DateSet()
        days = range(max(other.start, self.record.start), min(other.end, self.record.end) + 1)
        return ended / 1000, DateSet.days(day for day in days if fate(other, day, now) is Fate.FAILED)


def _by_transfer(records: list[Backfill]) -> list[list[Backfill]]:
    ids = {one.transfer for one in records}
    return [[one for one in records if one.transfer == transfer_id] for transfer_id in ids]
