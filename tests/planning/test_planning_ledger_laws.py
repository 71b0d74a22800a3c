"""The ledger against the rules of docs/planning.md, read word by word and day by day.

``Oracle`` knows no sets of days: of one day it asks each backfill and each run in turn.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import given, settings
from planning_worlds import World, worlds

from reconciler.dates import Day
from reconciler.model.desired import DesiredTransfer, EvidenceMode, Segment
from reconciler.model.memory import BackfillRecord, DayEvidence, Intent, IntentKind, Outcome
from reconciler.model.observed import Backfill, Run, RunStatus, Status, Unreadable
from reconciler.planning.ledger import Bucket, TransferLedger
from reconciler.planning.situation import keep_ledgers

LAW = settings.get_profile("planning-law")
WORDS = ("loaded", "failed", "not_run", "cancelled", "unlocated")  # the strongest first
CERTAIN = WORDS[:4]


@dataclass
class Oracle:
    world: World
    transfer: DesiredTransfer

    # -- what a backfill says of a day: the table ------------------------------------------

    def says(self, one: BackfillRecord, day: Day) -> str:
        before = remembered(one.evidence, day)
        if one.gone:
            return before if before in CERTAIN else "gone"
        if active(one.seen):
            return "in_flight"
        if one.settled:
            return before
        if self.settling(one.seen):
            return "loaded" if before == "loaded" else "settling"
        now = self.reads(one.seen, day, before)
        return min((word for word in (before, now) if word), key=("in_flight", *WORDS).index)

    def settling(self, one: Backfill) -> bool:
        ended = one.removed_time or one.end_time or one.created_time
        runs_may_go_on = one.status is Status.CANCELLED and one.completed + one.failed < one.total
        return runs_may_go_on and self.world.observed.vendor_now < ended + timedelta(hours=1)

    def reads(self, one: Backfill, day: Day, before: str) -> str:
        days = one.end - one.start
        adds_up = one.completed + one.failed == one.total == days
        named = sum(one.start <= failed_day < one.end for failed_day in one.failed_days)
        if adds_up and one.failed == 0:
            return "loaded"
        if adds_up and one.completed == 0:
            return "failed"
        if adds_up and len(one.failed_days) == named == one.failed:
            return "failed" if day in one.failed_days else "loaded"
        if one.completed == one.failed == 0:
            return none_of(one)
        runs = self.runs(one.transfer_id)
        if runs is None:
            return "failed" if day in one.failed_days else "unlocated"
        word = self.run_says(one, day, runs)
        if word == "in_flight":
            word = "none" if before in CERTAIN else word
        if word != "none":
            return word
        told = sum(
            self.run_says(one, other, runs) in ("loaded", "failed") for other in range(one.start, one.end)
        )
        return none_of(one) if told >= one.completed + one.failed else "unlocated"

    def run_says(self, one: Backfill, day: Day, runs: tuple[Run, ...]) -> str:
        """Of the runs that it made for a day: did one load it, else what became of the first?"""
        last = one.end_time or one.removed_time
        if last and one.status is Status.CANCELLED:
            last += timedelta(hours=1)
        own = [
            run
            for run in sorted(runs, key=lambda run: (run.created_time, run.id))
            if run.day == day and run.backfill and one.created_time <= run.created_time
            if last is None or run.created_time <= last
        ]
        if any(run.status is RunStatus.COMPLETED for run in own):
            return "loaded"
        if day in one.failed_days or (own and own[0].status is RunStatus.FAILED):
            return "failed"
        return "in_flight" if own and own[0].status is RunStatus.IN_FLIGHT else "none"

    def runs(self, transfer_id: int) -> tuple[Run, ...] | None:
        answer = self.world.observed.runs.get(transfer_id)
        return answer if isinstance(answer, tuple) else None

    # -- the buckets -----------------------------------------------------------------------

    def bucket(self, segment: Segment, day: Day) -> tuple[str, str]:
        """Return the first bucket that fits a day, and the reason."""
        stale_before = segment.stale_before
        on_day = sorted(
            (
                one
                for one in self.world.document.backfills.values()
                if one.transfer_id in self.transfer.source_ids
            ),
            key=lambda one: (one.created_time, one.id),
            reverse=True,
        )
        on_day = [one for one in on_day if one.start <= day < one.end]
        words = [(one, counts(one, stale_before), self.says(one, day)) for one in on_day]
        runs = [
            (run.status, stale_before is None or run.created_time >= stale_before)
            for source in self.transfer.source_ids
            for run in self.runs(source) or ()
            if run.day == day
        ]

        def said(word: str, *, counting: bool) -> bool:
            return any(says == word and is_counting is counting for _, is_counting, says in words)

        if day >= self.transfer.loadable_until:
            return "future", ""
        if said("in_flight", counting=True) or (RunStatus.IN_FLIGHT, True) in runs:
            return "in_flight", ""
        if said("loaded", counting=True) or (RunStatus.COMPLETED, True) in runs:
            return "covered", ""
        if said("in_flight", counting=False) or (RunStatus.IN_FLIGHT, False) in runs:
            return "waiting", "stale"
        if said("settling", counting=True) or said("settling", counting=False):
            return "waiting", "settling"
        gone = said("gone", counting=True)
        attempts = sum(
            says in ("failed", "not_run")
            for one, is_counting, says in words
            if is_counting and one.ours and one.transfer_id == self.transfer.address.transfer_id
        )
        failed = "unlocated" if said("unlocated", counting=True) else self.worn_out(attempts)
        blocked = self.blocked(day, gone, due=not gone and not failed)
        if blocked:
            return "blocked", blocked
        if failed:
            return "failed", failed
        return "due", self.why_due(words[0][2] if words else "", runs)

    def worn_out(self, attempts: int) -> str:
        return "attempts" if attempts >= self.transfer.max_attempts else ""

    def blocked(self, day: Day, gone: bool, due: bool) -> str:
        own, observed = self.transfer.address.transfer_id, self.world.observed
        intents = [one for one in self.world.document.intents.values() if one.transfer_id == own]
        pending = [one for one in intents if one.kind is IntentKind.CREATE and one.outcome is Outcome.PENDING]
        if any(one.start <= day < one.end for one in pending):
            return "unresolved"
        if due and any(self.world.now < one.intended_at + self.world.settle for one in pending):
            return "unresolved"
        listed_transfers = observed.transfers
        if self.transfer.paused or (
            listed_transfers and own in listed_transfers and listed_transfers[own].paused
        ):
            return "paused"
        absent = listed_transfers is not None and own not in listed_transfers
        if absent and observed.runs.get(own) is Unreadable.NOT_FOUND:
            return "unknown-transfer"
        refused = [one for one in intents if one.outcome is Outcome.REFUSED and one.start <= day < one.end]
        if any(self.refusal_holds(one) for one in refused):
            return "refused"
        if gone:
            return "gone"
        return "no-evidence" if self.no_evidence() else ""

    def refusal_holds(self, intent: Intent) -> bool:
        if intent.blocker is None:
            return self.world.now < intent.intended_at + timedelta(hours=24)
        return any(one.id == intent.blocker for one in self.world.observed.listed)

    def no_evidence(self) -> bool:
        answers = [self.world.observed.runs.get(source) for source in self.transfer.source_ids]
        match self.transfer.evidence:
            case EvidenceMode.BACKFILLS:
                return False
            case EvidenceMode.AUTO:
                return Unreadable.FAILED in answers
            case EvidenceMode.RUNS:
                return any(isinstance(one, Unreadable) for one in answers)

    def why_due(self, newest_says: str, runs: list[tuple[RunStatus, bool]]) -> str:
        reasons = {
            "failed": "failed",
            "unlocated": "failed",
            "not_run": "not-run",
            "cancelled": "cancelled",
            "loaded": "stale",
            "gone": "stale",
        }
        if newest_says:
            return reasons[newest_says]
        return "stale" if any(status is RunStatus.COMPLETED for status, _ in runs) else "never-loaded"


def remembered(evidence: DayEvidence, day: Day) -> str:
    return next((word for word in WORDS if day in getattr(evidence, word)), "")


def none_of(one: Backfill) -> str:
    return "cancelled" if one.status is Status.CANCELLED else "not_run"


def active(one: Backfill) -> bool:
    if one.status is Status.FAILED:
        return one.completed + one.failed < one.total and one.end_time is None
    return one.status not in (Status.COMPLETED, Status.CANCELLED)


def counts(one: BackfillRecord, stale_before: datetime | None) -> bool:
    if stale_before is None or one.created_time >= stale_before:
        return True
    ours = one.origin.value in ("created", "adopted")
    return ours and one.stale_before is not None and one.stale_before >= stale_before


def by_day(ledger: TransferLedger) -> dict[Day, tuple[str, str]]:
    return {day: (entry.bucket.value, entry.reason.value) for entry in ledger.entries for day in entry.days}


@LAW
@given(worlds())
def test_every_day_is_where_section_4_puts_it(world: World) -> None:
    ledgers = keep_ledgers(world.team, world.document, world.observed, world.now, world.settle)
    for transfer, ledger in zip(world.team.transfers, ledgers, strict=True):
        oracle = Oracle(world, transfer)
        expected = {
            day: oracle.bucket(segment, day)
            for segment in transfer.segments
            for day in range(segment.start, segment.end)
        }
        assert by_day(ledger) == expected
        # each day once, each reason once, and what is due may still be moved by more reading
        assert Counter(day for entry in ledger.entries for day in entry.days) == dict.fromkeys(expected, 1)
        assert sum(len(ledger.days(bucket)) for bucket in Bucket) == len(expected)
        kinds = [(one.bucket, one.reason) for one in ledger.entries]
        assert len(kinds) == len(set(kinds))
        assert set(ledger.days(Bucket.DUE)) <= set(ledger.undecided) <= set(expected)
