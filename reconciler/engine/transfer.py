"""Carrying out the actions of one transfer, as a generator of steps: read, commit, wait, send.

The order that everything rests on: the intent is durable before the request leaves; the
outcome is durable before the next write of that transfer. A request is sent once and never
again by the transport; what became of it is read, not guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from reconciler.api.outcome import Done, NotSentOutcome, RateLimited, Rejected, Unknown, WriteOutcome
from reconciler.bounds import LOOKS, SEND_WITHIN
from reconciler.engine.backoff import halt_for, pause_after
from reconciler.engine.clock import Clock
from reconciler.engine.effects import (
    Committed,
    Emit,
    Get,
    Intend,
    Pause,
    Probe,
    ProbeResult,
    Record,
    SendCancel,
    SendCreate,
    Step,
    Unfit,
)
from reconciler.engine.freshness import Freshness
from reconciler.events import Cancelled, Created, UnknownOutcome, Withdrawn, WriteRefused
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import (
    BackfillRecord,
    Delta,
    Document,
    Intent,
    IntentKind,
    Origin,
    Outcome,
)
from reconciler.model.observed import Backfill, Observed, Status
from reconciler.planning.evidence import is_active
from reconciler.planning.intents import adopt, find_match, resolve
from reconciler.planning.plan import Action, ActionKind
from reconciler.planning.situation import updated

CANCEL_TRIES = 3

Steps = Generator[Step, Any, "Ending"]


class Ending(Enum):
    """How a transfer's part ended. ``REPLAN``: what is left must be read and planned again."""

    FINISHED = auto()
    REPLAN = auto()
    REFUSED = auto()
    UNKNOWN = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the flags and the file say of an apply. ``max_wait`` is in seconds."""

    settle: timedelta
    on_unknown: OnUnknown
    max_wait: float


@dataclass(slots=True)
class TransferApply:
    """Carries out the actions of one transfer, one write at a time.

    ``reading`` is what they were planned from; ``document`` returns the state as committed so far.
    """

    actions: Iterable[Action]
    reading: Freshness
    document: Callable[[], Document]
    clock: Clock
    rules: Rules
    new_nonce: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)
    _intended: float = 0.0

    def steps(self) -> Steps:
        """Yield the steps. The generator's return value tells how it ended."""
        for action in self.actions:
            for shell in action.cancels:
                ending = yield from self._cancel(action, shell)
                if ending is not Ending.FINISHED:
                    return ending
            if action.kind is not ActionKind.CANCEL:
                ending = yield from self._create(action)
                if ending is not Ending.FINISHED:
                    return ending
        return Ending.FINISHED

    # -- create ----------------------------------------------------------------------------

    def _create(self, action: Action) -> Steps:
        intent, answer = yield from self._send(action, lambda: self._create_intent(action))
        match answer:
            case Ending():
                return answer
            case Done(backfill=backfill):
                record = BackfillRecord(backfill, intent.transfer, Origin.CREATED, intent.stale_before)
                return (yield from self._made(action, intent, record, adopted=False))
            case Rejected():
                return (yield from self._rejected(action, intent, answer))
            case _:
                return (yield from self._find_out(action, intent))

    def _made(self, action: Action, intent: Intent, record: BackfillRecord, *, adopted: bool) -> Steps:
        done = replace(intent, outcome=Outcome.DONE, backfill_id=record.id)
        yield Record(Delta(intents=(done,), backfills=(record,)))
        self.reading.made(record.id)
        yield Emit(Created(action, record.id, adopted))
        return Ending.FINISHED

    def _rejected(self, action: Action, intent: Intent, answer: Rejected) -> Steps:
        """Look why: sent twice by a gateway (adopt it), overlapped by an active one (plan the
        rest again), or refused.
        """
        sight: ProbeResult | None = yield Probe(intent.transfer_id)
        if sight is None:  # refused, or made by a request sent twice: nobody can tell now
            return (yield from self._left_unknown(intent))
        known = self.document().intents.get(intent.nonce, intent)
        if not known.pending:
            return (yield from self._settled_by_another(action, known))
        match_ = find_match(intent, sight.backfills, self._known_ids())
        if match_ is not None:
            return (yield from self._made(action, intent, adopt(match_, intent), adopted=True))
        blocker = sight.blocker(intent)
        if blocker is not None and (is_active(blocker) or self._is_ours(blocker)):
            state = "active on" if is_active(blocker) else "ours, and failed on"
            # Kept: a gateway that sent it twice may have made one that completed before we looked.
            kept = replace(intent, outcome=Outcome.ABANDONED, blocker=blocker.id)
            yield Record(Delta(intents=(kept,)))
            yield Emit(Withdrawn(action, f"backfill {blocker.id} is {state} some of its days"))
            return Ending.REPLAN
        refused = replace(intent, outcome=Outcome.REFUSED, blocker=blocker.id if blocker else None)
        yield Record(Delta(intents=(refused,)))
        yield Emit(WriteRefused(action, answer.status, answer.message, refused.blocker))
        return Ending.REFUSED

    def _find_out(self, action: Action, intent: Intent) -> Steps:
        """Look for some 30 seconds what became of a create; it may be settled by a later run."""
        for pause in LOOKS:
            if pause:
                yield Pause(pause, "the outcome of a create is unknown")
            looked_at = self._now_by_both(intent)  # what takes effect from here on may not be in the answers
            sight: ProbeResult | None = yield Probe(intent.transfer_id)
            if sight is None:
                continue
            known = self.document().intents.get(intent.nonce, intent)
            if not known.pending:
                return (yield from self._settled_by_another(action, known))
            match_ = find_match(intent, sight.backfills, self._known_ids())
            if match_ is not None:
                return (yield from self._made(action, intent, adopt(match_, intent), adopted=True))
            if self._is_settled(intent, sight, looked_at):
                yield Record(Delta(intents=(replace(intent, outcome=Outcome.ABANDONED),)))
                yield Emit(Withdrawn(action, "its request took no effect"))
                return Ending.REPLAN
        return (yield from self._left_unknown(intent))

    def _now_by_both(self, intent: Intent) -> datetime:
        """Return now, but no later than the time passed since the intent allows: a clock may be set."""
        passed = timedelta(seconds=self.clock.elapsed() - self._intended)
        return min(self.clock.now(), intent.intended_at + passed)

    def _settled_by_another(self, action: Action, intent: Intent) -> Steps:
        """Another run found out first, while we were held up; what we see now may be its own doing."""
        if intent.backfill_id is None:
            yield Emit(Withdrawn(action, "its request took no effect, as another run found"))
            return Ending.REPLAN
        self.reading.made(intent.backfill_id)
        yield Emit(Created(action, intent.backfill_id, adopted=True))
        return Ending.FINISHED

    def _left_unknown(self, intent: Intent) -> Steps:
        settles = self.rules.on_unknown is OnUnknown.SETTLE
        yield Emit(UnknownOutcome(intent, intent.intended_at + self.rules.settle if settles else None))
        return Ending.UNKNOWN

    def _is_settled(self, intent: Intent, sight: ProbeResult, now: datetime) -> bool:
        """Ask the one rule that says when a create did not happen."""
        observed = Observed(now, listed=sight.listed, latest={intent.transfer_id: sight.latest})
        alone = replace(self.document(), intents={intent.nonce: intent})
        return bool(resolve(alone, observed, now, self.rules.settle, self.rules.on_unknown).abandoned)

    def _create_intent(self, action: Action) -> Intent:
        return self._intent(action, IntentKind.CREATE, action.start, action.end)

    # -- cancel ----------------------------------------------------------------------------

    def _cancel(self, action: Action, backfill_id: int) -> Steps:
        """Cancel one of ours. Nothing is created on its days until it is seen final."""
        record = self.document().backfills[backfill_id]
        status = 0
        for _try in range(CANCEL_TRIES):
            intent, answer = yield from self._send(action, lambda: self._cancel_intent(action, record))
            if isinstance(answer, Ending):
                return answer
            status = answer.status if isinstance(answer, Rejected) else 0
            seen: Backfill | None = answer.backfill if isinstance(answer, Done) else None
            if seen is None or not seen.status.final:
                seen = yield Get(backfill_id)
            if seen is not None and seen.status.final:
                return (yield from self._cancelled(action, intent, record, seen))
            yield Record(Delta(intents=(replace(intent, outcome=Outcome.ABANDONED),)))
        yield Emit(WriteRefused(action, status, "it could not be cancelled", backfill_id))
        return Ending.REFUSED

    def _cancelled(self, action: Action, intent: Intent, record: BackfillRecord, seen: Backfill) -> Steps:
        done = replace(intent, outcome=Outcome.DONE)
        yield Record(Delta(intents=(done,), backfills=(updated(record, seen),)))
        if seen.status is Status.COMPLETED:  # it ended by itself: its days are loaded, not due
            yield Emit(Withdrawn(action, f"backfill {seen.id} completed before it was cancelled"))
            return Ending.REPLAN
        yield Emit(Cancelled(action, seen.id))
        return Ending.FINISHED

    def _cancel_intent(self, action: Action, record: BackfillRecord) -> Intent:
        intent = self._intent(action, IntentKind.CANCEL, record.start, record.end)
        return replace(intent, backfill_id=record.id)

    # -- sending ---------------------------------------------------------------------------

    def _intent(self, action: Action, kind: IntentKind, start: int, end: int) -> Intent:
        now = self.clock.now()
        return Intent(
            nonce=self.new_nonce(),
            kind=kind,
            transfer_id=action.address.transfer_id,
            transfer=action.transfer,
            start=start,
            end=end,
            intended_at=now,
            send_before=now + SEND_WITHIN,
            latest_before=self.reading.latest,
            stale_before=action.stale_before,
        )

    def _send(
        self, action: Action, draft: Callable[[], Intent]
    ) -> Generator[Step, Any, tuple[Intent, WriteOutcome | Ending]]:
        """Commit an intent and send it; again with a new one while it surely was not done."""
        waited, not_sent = 0.0, 0
        while True:
            outdated = yield from self._read_again(action)
            intent = draft()
            if outdated is not None:
                return intent, outdated
            self._intended = self.clock.elapsed()
            deadline = self._intended + SEND_WITHIN.total_seconds()
            committed = yield Intend(intent, self._evidence_of(intent), self.reading.sources)
            if committed is not Committed.YES:
                return intent, (yield from self._not_committed(action, committed))
            send = SendCreate if intent.kind is IntentKind.CREATE else SendCancel
            answer = yield send(intent, deadline)
            if isinstance(answer, Done | Rejected | Unknown):
                return intent, answer
            yield Record(self._dropped(intent))
            if isinstance(answer, Unfit):
                yield Emit(Withdrawn(action, "it may no longer be sent"))
                return intent, Ending.REPLAN
            pause = pause_after(answer, not_sent)
            not_sent += isinstance(answer, NotSentOutcome)
            if pause is None or waited + pause > self.rules.max_wait:
                yield halt_for(answer, self.rules.max_wait)
                return intent, Ending.STOPPED
            waited += pause
            limited = isinstance(answer, RateLimited)
            if limited:  # whoever said so may have passed it on all the same
                self.reading.doubt()
            yield Pause(pause, "the API limits our rate" if limited else "no connection")

    def _read_again(self, action: Action) -> Generator[Step, Any, Ending | None]:
        """Look again if the plan's reading is old, and plan again if somebody made a backfill since.

        It may have loaded our days and be gone from the list by now, so the API would not refuse ours.
        """
        now = self.clock.now()
        if action.kind is ActionKind.CANCEL or self.reading.is_fresh(now):
            return None
        own, *predecessors = self.reading.sources
        sight: ProbeResult | None = yield Probe(own, tuple(predecessors), needed=True)
        if sight is None:
            return Ending.STOPPED
        news = self.reading.again(sight, now, self._known_ids())
        if news is None:
            return None
        whose = "its transfer" if news.transfer_id == own else f"its predecessor {news.transfer_id}"
        yield Emit(Withdrawn(action, f"backfill {news.id} was made on {whose} meanwhile"))
        return Ending.REPLAN

    def _not_committed(self, action: Action, committed: Committed) -> Steps:
        if committed is Committed.STOPPED:
            return Ending.STOPPED
        yield Emit(Withdrawn(action, "another run writes on some of its days"))
        return Ending.REPLAN

    def _dropped(self, intent: Intent) -> Delta:
        """Return the delta that takes an intent back, unless somebody has settled it meanwhile."""
        known = self.document().intents.get(intent.nonce, intent)
        return Delta(drop_intents=(intent.nonce,)) if known.pending else Delta()

    def _evidence_of(self, intent: Intent) -> Delta:
        """What is known of a backfill is committed again with the intent to cancel it."""
        if intent.backfill_id is None:
            return Delta()
        return Delta(backfills=(self.document().backfills[intent.backfill_id],))

    def _is_ours(self, backfill: Backfill) -> bool:
        """Tell whether a plan may cancel what stands in the way: the list hid it when we planned."""
        record = self.document().backfills.get(backfill.id)
        return record is not None and record.ours

    def _known_ids(self) -> Set[int]:
        return self.document().backfills.keys()
