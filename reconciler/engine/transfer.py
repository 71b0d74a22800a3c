"""Carrying out the actions of one transfer, as a generator of steps: read, commit, wait, send.

The order that everything rests on: the intent is durable before the request leaves; the
outcome is durable before the next write of that transfer. A request is sent once and never
again by the transport; what became of it is read, not guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from reconciler.api.outcome import Done, RateLimited, Rejected, Unknown
from reconciler.bounds import LOOKS, SEND_WITHIN
from reconciler.engine.backoff import Backoff
from reconciler.engine.clock import Clock
from reconciler.engine.effects import (
    Committed,
    Emit,
    Ending,
    Get,
    Intend,
    Pause,
    Probe,
    ProbeResult,
    Record,
    SendCancel,
    SendCreate,
    Step,
    Steps,
    Stop,
    Withheld,
    ask,
)
from reconciler.engine.freshness import Freshness
from reconciler.events import Cancelled, Created, UnknownOutcome, Withdrawn, WriteRefused
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import BackfillRecord, Delta, Document, Intent, IntentKind, Origin, Outcome
from reconciler.model.observed import ApiError, Backfill, Observed, Status
from reconciler.planning import intents
from reconciler.planning.evidence import is_active
from reconciler.planning.plan import Action, ActionKind
from reconciler.planning.resolution import resolve, settles_at
from reconciler.planning.situation import updated

CANCEL_TRIES = 3
Told = Done | Rejected | Unknown  # what a request that was sent may end in, if not in another attempt


@dataclass(frozen=True, slots=True)
class Rules:
    """What the flags and the file say of an apply. ``max_wait`` is in seconds."""

    settle: timedelta
    on_unknown: OnUnknown
    max_wait: float


@dataclass(slots=True)
class TransferApply:
    """Carries out the actions of one transfer, one write at a time.

    ``freshness`` is that of what they were planned from; ``document`` returns the state as committed so far.
    """

    actions: Iterable[Action]
    freshness: Freshness
    document: Callable[[], Document]
    clock: Clock
    rules: Rules
    new_nonce: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)
    _intended: float = 0.0

    def steps(self) -> Steps:
        """Yield the steps. The generator's return value tells how it ended."""
        for action in self.actions:
            assert action.address.transfer_id == self.freshness.sources[0]
            parts = [self._cancel(action, backfill_id) for backfill_id in action.cancels]
            if action.kind is not ActionKind.CANCEL:
                parts.append(self._create(action))
            for part in parts:
                ending = yield from part
                if ending is not Ending.FINISHED:
                    return ending
        return Ending.FINISHED

    def _withdrawn(self, action: Action, why: str) -> Steps:
        yield Emit(Withdrawn(action, why))
        return Ending.REPLAN

    # -- create ----------------------------------------------------------------------------

    def _create(self, action: Action) -> Steps:
        intent, answer = yield from self._send(action, lambda: self._intent(action))
        match answer:
            case Ending():
                return answer
            case Done(backfill=backfill):
                record = replace(intents.adopted(backfill, intent), origin=Origin.CREATED)
                return (
                    yield from self._made(action, intents.made(intent, backfill.id), record, adopted=False)
                )
            case Rejected():
                return (yield from self._rejected(action, intent, answer))
            case Unknown():
                return (yield from self._find_out(action, intent))
            case never:
                assert_never(never)

    def _made(self, action: Action, done: Intent, record: BackfillRecord, *, adopted: bool) -> Steps:
        yield Record(Delta(intents=(done,), backfills=(record,)))
        self.freshness.made(record.id)
        yield Emit(Created(action, record.id, adopted))
        return Ending.FINISHED

    def _found(self, action: Action, intent: Intent, backfill: Backfill) -> Steps:
        done = intents.found(intent, backfill.id)
        return (yield from self._made(action, done, intents.adopted(backfill, intent), adopted=True))

    def _rejected(self, action: Action, intent: Intent, answer: Rejected) -> Steps:
        """Look why: sent twice by a gateway (adopt it), overlapped by an active one (plan the
        rest again), or refused.
        """
        probe = yield from ask(Probe(intent.transfer_id))
        if probe is None:  # refused, or made by a request sent twice: nobody can tell now
            return (yield from self._left_unknown(intent))
        known = self.document().intents.get(intent.nonce, intent)
        if not known.pending:
            return (yield from self._settled_by_another(action, known))
        match intents.after_refusal(intent, probe.backfills, self.document()):
            case Backfill() as backfill:
                return (yield from self._found(action, intent, backfill))
            case Intent(outcome=Outcome.REFUSED) as refused:
                yield Record(Delta(intents=(refused,)))
                yield Emit(WriteRefused(action, answer.error, refused.blocker))
                return Ending.REFUSED
            case withdrawn:
                yield Record(Delta(intents=(withdrawn,)))
                why = f"backfill {_in_the_way(withdrawn, probe)} some of its days"
                return (yield from self._withdrawn(action, why))

    def _find_out(self, action: Action, intent: Intent) -> Steps:
        """Look for some 30 seconds what became of a create; it may be settled by a later run."""
        for pause in LOOKS:
            if pause:
                yield Pause(pause, "the outcome of a create is unknown")
            looked_at = self._now_by_both(intent)  # what takes effect from here on may not be in the answers
            probe = yield from ask(Probe(intent.transfer_id))
            if probe is None:
                continue
            known = self.document().intents.get(intent.nonce, intent)
            if not known.pending:
                return (yield from self._settled_by_another(action, known))
            backfill = intents.find_match(intent, probe.backfills, self.document().backfills.keys())
            if backfill is not None:
                return (yield from self._found(action, intent, backfill))
            if self._is_settled(intent, probe, looked_at):
                yield Record(Delta(intents=(intents.not_created(intent),)))
                return (yield from self._withdrawn(action, "its request took no effect"))
        return (yield from self._left_unknown(intent))

    def _now_by_both(self, intent: Intent) -> datetime:
        """Return now, but no later than the time passed since the intent allows: a clock may be set."""
        passed = timedelta(seconds=self.clock.elapsed() - self._intended)
        return min(self.clock.now(), intent.intended_at + passed)

    def _settled_by_another(self, action: Action, intent: Intent) -> Steps:
        """Another run found out first, while we were held up; what we see now may be its own doing."""
        if intent.backfill_id is None:
            return (yield from self._withdrawn(action, "its request took no effect, as another run found"))
        self.freshness.made(intent.backfill_id)
        yield Emit(Created(action, intent.backfill_id, adopted=True))
        return Ending.FINISHED

    def _left_unknown(self, intent: Intent) -> Steps:
        at = settles_at(intent, self.rules.settle, self.rules.on_unknown)
        yield Emit(UnknownOutcome(intent, at))
        return Ending.UNKNOWN

    def _is_settled(self, intent: Intent, probe: ProbeResult, now: datetime) -> bool:
        """Ask the one rule that says when a create did not happen."""
        observed = Observed(now, listed=probe.listed, latest={intent.transfer_id: probe.latest})
        alone = replace(self.document(), intents={intent.nonce: intent})
        return bool(resolve(alone, observed, now, self.rules.settle, self.rules.on_unknown).abandoned)

    # -- cancel ----------------------------------------------------------------------------

    def _cancel(self, action: Action, backfill_id: int) -> Steps:
        """Cancel one of ours. Nothing is created on its days until it is seen final."""
        record = self.document().backfills[backfill_id]
        error: ApiError | None = None
        for _try in range(CANCEL_TRIES):
            intent, answer = yield from self._send(action, lambda: self._intent(action, cancels=record))
            if isinstance(answer, Ending):
                return answer
            error = answer.error if isinstance(answer, Rejected) else None
            seen = answer.backfill if isinstance(answer, Done) else None
            if seen is None or not seen.status.final:
                seen = yield from ask(Get(backfill_id))
            if seen is not None and seen.status.final:
                return (yield from self._cancelled(action, intent, record, seen))
            yield Record(Delta(intents=(intents.not_cancelled(intent),)))
        yield Emit(WriteRefused(action, error, backfill_id, "it could not be cancelled"))
        return Ending.REFUSED

    def _cancelled(self, action: Action, intent: Intent, record: BackfillRecord, seen: Backfill) -> Steps:
        yield Record(Delta(intents=(intents.cancelled(intent),), backfills=(updated(record, seen),)))
        if seen.status is Status.COMPLETED:  # it ended by itself: its days are loaded, not due
            why = f"backfill {seen.id} completed before it was cancelled"
            return (yield from self._withdrawn(action, why))
        yield Emit(Cancelled(action, seen.id))
        return Ending.FINISHED

    # -- sending ---------------------------------------------------------------------------

    def _intent(self, action: Action, cancels: BackfillRecord | None = None) -> Intent:
        """Return an intent as of now: to create the action's backfill, or to cancel one of ours."""
        now, days = self.clock.now(), cancels or action
        return Intent(
            nonce=self.new_nonce(),
            kind=IntentKind.CANCEL if cancels else IntentKind.CREATE,
            transfer_id=action.address.transfer_id,
            transfer=action.transfer,
            start=days.start,
            end=days.end,
            intended_at=now,
            send_before=now + SEND_WITHIN,
            latest_before=self.freshness.latest,
            stale_before=action.stale_before,
            backfill_id=cancels.id if cancels else None,
        )

    def _send(
        self, action: Action, draft: Callable[[], Intent]
    ) -> Generator[Step, Any, tuple[Intent, Told | Ending]]:
        """Commit an intent and send it; again with a new one while it surely was not done."""
        backoff = Backoff(self.rules.max_wait)
        while True:
            outdated = yield from self._read_again(action)
            intent = draft()
            if outdated is not None:
                return intent, outdated
            self._intended = self.clock.elapsed()
            deadline = self._intended + SEND_WITHIN.total_seconds()
            committed = yield from ask(Intend(intent, self._evidence_of(intent), self.freshness.sources))
            if committed is Committed.STOPPED:
                return intent, Ending.STOPPED
            if committed is Committed.WITHDRAWN:
                return intent, (yield from self._withdrawn(action, "another run writes on some of its days"))
            send = SendCreate if intent.kind is IntentKind.CREATE else SendCancel
            answer = yield from ask(send(intent, deadline))
            if isinstance(answer, Told):
                return intent, answer
            yield Record(self._dropped(intent))
            if isinstance(answer, Withheld):
                return intent, (yield from self._withdrawn(action, "it may no longer be sent"))
            following = backoff.after(answer)
            yield following
            if isinstance(following, Stop):
                return intent, Ending.STOPPED
            if isinstance(answer, RateLimited):  # whoever said so may have passed it on all the same
                self.freshness.doubt()

    def _read_again(self, action: Action) -> Generator[Step, Any, Ending | None]:
        """Look again if what we planned from is old, and plan again if somebody made a backfill since.

        It may have loaded our days and be gone from the list by now, so the API would not refuse ours.
        """
        now = self.clock.now()
        if action.kind is ActionKind.CANCEL or self.freshness.is_fresh(now):
            return None
        own, *predecessors = self.freshness.sources
        probe = yield from ask(Probe(own, tuple(predecessors), needed=True))
        if probe is None:
            return Ending.STOPPED
        news = self.freshness.again(probe, now, self.document().backfills.keys())
        if news is None:
            return None
        whose = "its transfer" if news.transfer_id == own else f"its predecessor {news.transfer_id}"
        return (yield from self._withdrawn(action, f"backfill {news.id} was made on {whose} meanwhile"))

    def _dropped(self, intent: Intent) -> Delta:
        """Return the delta that takes an intent back, unless somebody has settled it meanwhile."""
        known = self.document().intents.get(intent.nonce, intent)
        return Delta(drop_intents=(intent.nonce,)) if known.pending else Delta()

    def _evidence_of(self, intent: Intent) -> Delta:
        """What is known of a backfill is committed again with the intent to cancel it."""
        records = self.document().backfills
        return Delta(backfills=(records[intent.backfill_id],) if intent.backfill_id else ())


def _in_the_way(withdrawn: Intent, probe: ProbeResult) -> str:
    blocker = next(backfill for backfill in probe.backfills if backfill.id == withdrawn.blocker)
    return f"{blocker.id} is {'active on' if is_active(blocker) else 'ours, and failed on'}"
