"""What was approved, and by whom what was made: held against the sandbox's own records.

- What a person saw and said yes to is all that is done: of a plan that was shown the actions, of one that was
  approved before the days and the cancels. Guards hold for what is done.
- No day is made twice in one run, nor under a plan that was made before the first of the two was intended.
- Nothing of a person is adopted or cancelled, but what one of our users made within settle time of an intent,
  of exactly its days: nobody can tell that from what the intent's own request made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from simulation_loads import Fate, fate
from simulation_memory import Memory
from simulation_network import Sent
from simulation_process import Process
from simulation_trust import Kept
from simulation_trust_process import TrustProcess, shown_by
from simulation_truth import Truth

from reconciler.dates import DateSet, iso, union
from reconciler.http import Request, Response
from reconciler.model.deltas import Delta
from reconciler.model.memory import Document, Intent, IntentKind, Outcome
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Item
from reconciler.sandbox.backfill import Backfill

FRESH = 60.0  # what was read of a transfer longer ago is read again before a write
SLACK = 12.0  # seconds that the reading itself may take
KEPT = 29 * 86400.0  # so long intents are surely kept
ROUNDING = 5.0  # of a time that the vendor tells in seconds, carried on by a clock of ours


@dataclass
class TrustTruth(Truth):
    """``settle`` is the time that all processes take as settle time. ``said``: what a person gave us."""

    settle: float = 900.0
    said: set[int] = field(default_factory=set)
    looked_at: set[str] = field(default_factory=set)
    users_then: dict[str, dict[str, int]] = field(default_factory=dict)  # by key, as a find was committed
    leaving: dict[str, Sent] = field(default_factory=dict)
    barred: bool = False  # an older copy lies in the folder, and nobody has accepted it

    # -- what leaves -----------------------------------------------------------------------

    def check_create_intended(self, process: Process, request: Request) -> Sent:
        sent = super().check_create_intended(process, request)
        assert isinstance(process, TrustProcess)
        if self.barred:
            self.stage.violate(f"{process.name} creates with an old copy of the state")
        self._check_shown(process, sent)
        self._check_once(process, sent)
        self._check_successors(sent)
        self._check_doubt(process, sent)
        self.leaving[sent.nonce] = sent
        return replace(sent, looked=self._looked(process, sent), intended=self.intended[sent.nonce])

    def _looked(self, process: TrustProcess, sent: Sent) -> float:
        """Return since when nothing was read again: before a write that is a minute at most, and nothing
        once a rate limit was waited for. Where a process was held up, or a read failed, its plan's time
        holds.
        """
        if process.disturbed > sent.surveyed or not sent.conditions.readable:
            return sent.surveyed
        intended = self.intended[sent.nonce]
        return max(sent.surveyed, intended - FRESH - SLACK, min(process.limited, intended - SLACK))

    def _check_shown(self, process: TrustProcess, sent: Sent) -> None:
        shown, what = process.shown, f"{sent.transfer_id} {iso(sent.start)}, {sent.end - sent.start} days"
        if shown is None:
            self.stage.violate(f"{process.name} creates {what} without a yes to what it showed")
        if process.kept is None and (sent.transfer_id, sent.start, sent.end) not in shown.creates:
            self.stage.violate(f"{process.name} creates {what}, which is no action that it showed")
        if DateSet.span(sent.start, sent.end) - shown.days(sent.transfer_id):
            self.stage.violate(f"{process.name} creates {what}, which was not approved")

    def _check_once(self, process: TrustProcess, sent: Sent) -> None:
        """A plan is carried out once, also where it is applied again; and so is a day in one run.

        What a state that was lost, or put back from an old copy, does not know, nothing can tell it.
        """
        for number, made in self.made.items():
            if made.transfer_id != sent.transfer_id or number not in self.memory.made:
                continue
            again = DateSet.span(made.start, made.end) & DateSet.span(sent.start, sent.end)
            record = self.world.backfills[number]
            again = again & DateSet.span(record.start, record.end + 1)
            # Serials that were given twice tell nothing: of a folder put back as a whole, nobody knows that.
            kept = process.kept
            since = kept.made if kept and kept.made > self.lost else None
            if again and made.process is process:
                self.stage.violate(f"{process.name} made {again!r} as {number}, and makes it again")
            if again and since is not None and self.intended[made.nonce] > since:
                self.stage.violate(f"{process.name} makes {again!r} again under a plan older than {number}")

    def _check_doubt(self, process: TrustProcess, sent: Sent) -> None:
        """What was sent, and makes something that no answer told of, keeps its days for settle time.

        By the vendor's clock, too; but not where somebody else's active backfill was seen on them.
        """
        document = self.document()
        known = document.intents if document else {}
        made = {one.nonce for number, one in self.made.items() if number in self.memory.made}
        for nonce in sorted(made | self.late.keys()):
            other, intent = self.leaving[nonce], known.get(nonce)
            again = DateSet.span(other.start, other.end) & DateSet.span(sent.start, sent.end)
            if not again or nonce == sent.nonce or other.transfer_id != sent.transfer_id:
                continue
            told = intent is None or intent.outcome is Outcome.DONE or intent.outcome.value == "withdrawn"
            passed = self.intended[sent.nonce] - self.intended[nonce]
            if not told and passed < self.settle - ROUNDING:
                self.stage.violate(
                    f"{process.name} makes {again!r} {passed:.0f} s after what may yet be made"
                )

    def _check_successors(self, sent: Sent) -> None:
        """Also a run with an older file sees what is intended on the transfer that took the place of its own.

        For settle time, by whichever clock: a run with that file that comes later loads what it declares.
        """
        now = self.intended[sent.nonce]
        for number, made in self.made.items():
            sources = made.process.sources(made.transfer_id)
            if number not in self.memory.made or made.transfer_id == sent.transfer_id:
                continue
            late = now - self.intended[made.nonce] > self.settle
            record = self.world.backfills[number]
            days = DateSet.span(max(sent.start, record.start), max(sent.start, min(sent.end, record.end + 1)))
            again = [day for day in days if fate(record, day, self.stage.now) in (Fate.AHEAD, Fate.LOADED)]
            if sent.transfer_id in sources and again and not late:
                when = iso(again[0])
                self.stage.violate(f"{when} of {sent.transfer_id} is made on its successor as {number}")

    def deliver(self, sent: Sent, send: Callable[[], Response]) -> Response:
        answer = super().deliver(sent, send)
        guard = sent.process.team.guards.max_days_per_apply
        mine = {made.nonce: made for made in self.made.values() if made.process is sent.process}
        days = sum(one.end - one.start for one in mine.values())
        if guard is not None and days > guard:
            self.stage.violate(f"{sent.process.name} makes {days} days, and its guard allows {guard}")
        return answer

    def check_cancel_intended(self, process: Process, request: Request) -> None:
        super().check_cancel_intended(process, request)
        assert isinstance(process, TrustProcess)
        number = int(request.path.rpartition("/")[2])
        if process.shown is None or number not in process.shown.cancels:
            self.stage.violate(f"{process.name} cancels {number}, which was not approved")

    # -- what is taken for ours --------------------------------------------------------------

    def note_intended(self, delta: Delta, key: str) -> None:
        """Note whose keys were known as a find is committed, for of that one may hear an hour later."""
        super().note_intended(delta, key)
        document = self.document()
        users = {known: one.user_id for known, one in document.users.items()} if document else {}
        self.users_then.update({one.nonce: users for one in delta.intents if one.outcome is Outcome.DONE})

    def check_commit(self, process: Process, delta: Delta) -> None:
        super().check_commit(process, delta)
        for intent in delta.intents:
            done = intent.outcome is Outcome.DONE and intent.kind is IntentKind.CREATE
            if done and intent.nonce not in self.looked_at:
                self.looked_at.add(intent.nonce)
                self._check_taken(process, intent)

    def _check_taken(self, process: Process, intent: Intent) -> None:
        number = intent.backfill_id
        assert number is not None
        if number in self.made or number in self.said:
            return
        record = self.world.backfills[number]
        whose = f"{process.name} takes {number} for its own, which user {record.user}"
        if not self._fits(record, intent, process.flags.settle):
            self.stage.violate(f"{whose} made {self._apart(record, intent):.0f} s from the intent")
        users = self.users_then.get(intent.nonce, {})
        if self.senders[intent.nonce] in users and record.user not in users.values():
            self.stage.violate(f"{whose} made, who is none of ours")
        self.stage.counts["taken for ours"] += 1

    def _apart(self, record: Backfill, intent: Intent) -> float:
        return record.created / 1000 - self.intended.get(intent.nonce, 0.0)

    def _fits(self, record: Backfill, intent: Intent, settle: float) -> bool:
        exact = (record.start, record.end + 1) == (intent.start, intent.end)
        return exact and abs(self._apart(record, intent)) <= settle + ROUNDING

    def check_known(self, document: Document | None) -> None:
        """As ever, but intents are kept for thirty days: what run lists told of one is known by its days."""
        made = self.made
        self.made = {key: one for key, one in made.items() if self._is_recent(one) and not self.is_echo(key)}
        super().check_known(document)
        self.made = made

    def _is_recent(self, sent: Sent) -> bool:
        return self.stage.now - self.intended[sent.nonce] < KEPT

    # -- a plan that was applied -------------------------------------------------------------

    def check_ended(self, process: Process) -> None:
        super().check_ended(process)
        assert isinstance(process, TrustProcess)
        if process.kept is not None and process.statuses is not None and not process.statuses:
            self._check_plan_done(process, process.kept)

    def _check_plan_done(self, process: TrustProcess, kept: Kept) -> None:
        """Status 0: each day of the plan is loaded or in flight, was made since, or a limit puts it off."""
        put_off = process.first_plan.plan.of(Bucket.DEFERRED) if process.first_plan else ()
        for transfer_id, start, end in shown_by(kept.plan).creates:
            done = [DateSet.span(one.start, one.end) for one in put_off if _is_by_limit(one, transfer_id)]
            sources = process.sources(transfer_id)
            made = [one for one in self.records(*sources) if one.created / 1000 >= kept.made - self.settle]
            done += [DateSet.span(one.start, one.end + 1) for one in made]
            left = DateSet.span(start, end) - union([*done, *self._attempted(process, sources)])
            if left:
                self.stage.violate(f"{process.name} exits 0, and {left!r} of its plan was never made")

    # -- states that come and go ---------------------------------------------------------------

    def document(self) -> Document | None:
        """An old copy that is refused tells nobody anything: what was known last is."""
        return self.memory.shown if self.barred else super().document()

    def check_state(self, who: str) -> Document | None:
        return self.document() if self.barred else super().check_state(who)

    def forget(self, memory: Memory) -> None:
        """The state is another one from now on: what it knows is what ``memory`` says."""
        self.memory, self.lost = memory, self.stage.now


def _is_by_limit(item: Item, transfer_id: int) -> bool:
    return item.address.transfer_id == transfer_id and item.reason != "not-approved"
