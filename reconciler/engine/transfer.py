"""Carrying out the actions of one transfer, as a generator of steps: what becomes of each, and what then.

The order that everything rests on: the intent is durable before the request leaves; the
outcome is durable before the next write of that transfer. A request is sent once and never
again by the transport; what became of it is read, not guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, assert_never

from reconciler.api.outcome import Done, Rejected, Unknown
from reconciler.bounds import LOOKS
from reconciler.engine.clock import Clock
from reconciler.engine.effects import (
    Emit,
    Ending,
    Get,
    Pause,
    Probe,
    ProbeResult,
    Record,
    Step,
    Steps,
    Suspect,
    ask,
)
from reconciler.engine.freshness import Freshness
from reconciler.engine.rules import Rules
from reconciler.engine.sending import Sender, withdraw
from reconciler.events import Cancelled, Created, UnknownOutcome, WriteRefused
from reconciler.model.memory import (
    BackfillRecord,
    Delta,
    Document,
    Intent,
    KnownUser,
    Origin,
    Outcome,
)
from reconciler.model.observed import ApiError, Backfill, Observed, Status
from reconciler.planning import intents
from reconciler.planning.plan import Action, ActionKind
from reconciler.planning.resolution import resolve, settles_at
from reconciler.planning.situation import updated

CANCEL_TRIES = 3


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
    _sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self._sender = Sender(self.freshness, self.document, self.clock, self.rules, self.new_nonce)

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

    # -- create ----------------------------------------------------------------------------

    def _create(self, action: Action) -> Steps:
        intent, answer = yield from self._sender.send(action, lambda: self._sender.intent(action))
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
                return (yield from self._find_out(action, intent, answer.error))
            case never:
                assert_never(never)

    def _made(self, action: Action, done: Intent, record: BackfillRecord, *, adopted: bool) -> Steps:
        yield Record(Delta(intents=(done,), backfills=(record,), users=() if adopted else self._user(record)))
        self.freshness.made(record.id)
        yield Emit(Created(action, record.id, adopted))
        return Ending.FINISHED

    def _user(self, record: BackfillRecord) -> tuple[KnownUser, ...]:
        """Return whose our key is, by the answer to a create of ours, if the state does not know it yet."""
        known, user_id = self.document().users.get(self.rules.key_hash), record.seen.created_user_id
        if not self.rules.key_hash or user_id is None or (known and known.user_id == user_id):
            return ()
        return (KnownUser(self.rules.key_hash, user_id),)

    def _found(self, action: Action, intent: Intent, backfill: Backfill) -> Steps:
        done = intents.found(intent, backfill.id)
        return (yield from self._made(action, done, intents.adopted(backfill, intent), adopted=True))

    def _rejected(self, action: Action, intent: Intent, answer: Rejected) -> Steps:
        """Look why: sent twice by a gateway (adopt it), overlapped by an active one (plan the
        rest again), or refused.
        """
        probe = yield from ask(Probe(intent.transfer_id))
        if not isinstance(probe, ProbeResult):  # refused, or made by one sent twice: nobody knows
            return (yield from self._left_unknown(intent))
        known = self.document().intents.get(intent.nonce, intent)
        if not known.pending:
            return (yield from self._settled_by_another(action, known))
        match intents.after_refusal(intent, probe.backfills, self.document()):
            case Backfill() as backfill:
                return (yield from self._found(action, intent, backfill))
            case Intent(outcome=Outcome.REFUSED) as refused:
                if (yield from self._is_shared(intent, answer)):
                    return Ending.STOPPED
                yield Record(Delta(intents=(refused,)))
                yield Emit(WriteRefused(action, answer.error, refused.blocker))
                return Ending.REFUSED
            case withdrawn:
                yield Record(Delta(intents=(withdrawn,)))
                why = f"backfill {probe.in_the_way(withdrawn)} some of its days"
                return (yield from withdraw(action, why))

    def _is_shared(self, intent: Intent, refusal: Rejected) -> Generator[Step, Any, bool]:
        """Tell whether a refusal is of the key or licence: then no transfer keeps it, and the team stops."""
        alike = yield from ask(Suspect(intent, refusal))
        if alike:
            yield Record(Delta(drop_intents=alike))
        return bool(alike)

    def _find_out(self, action: Action, intent: Intent, error: ApiError | None = None) -> Steps:
        """Look for some 30 seconds what became of a create; it may be settled by a later run."""
        for pause in LOOKS:
            if pause:
                yield Pause(pause, "the outcome of a create is unknown")
            looked_at = self._sender.now_by_both(
                intent
            )  # what takes effect from here on may not be in the answers
            probe = yield from ask(Probe(intent.transfer_id))
            if not isinstance(probe, ProbeResult):
                continue
            known = self.document().intents.get(intent.nonce, intent)
            if not known.pending:
                return (yield from self._settled_by_another(action, known))
            backfill = intents.find_match(intent, probe.backfills, self.document().backfills.keys())
            if backfill is not None:
                return (yield from self._found(action, intent, backfill))
            if self._is_settled(intent, probe, looked_at):
                yield Record(Delta(intents=(intents.not_created(intent),)))
                return (yield from withdraw(action, "its request took no effect"))
        return (yield from self._left_unknown(intent, error))

    def _settled_by_another(self, action: Action, intent: Intent) -> Steps:
        """Another run found out first, while we were held up; what we see now may be its own doing."""
        if intent.backfill_id is None:
            return (yield from withdraw(action, "its request took no effect, as another run found"))
        self.freshness.made(intent.backfill_id)
        yield Emit(Created(action, intent.backfill_id, adopted=True))
        return Ending.FINISHED

    def _left_unknown(self, intent: Intent, error: ApiError | None = None) -> Steps:
        at = settles_at(intent, self.rules.settle, self.rules.on_unknown)
        yield Emit(UnknownOutcome(intent, at, error))
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
        refusal: Rejected | None = None
        for _try in range(CANCEL_TRIES):
            intent, answer = yield from self._sender.send(
                action, lambda: self._sender.intent(action, cancels=record)
            )
            if isinstance(answer, Ending):
                return answer
            refusal = answer if isinstance(answer, Rejected) else None
            seen = answer.backfill if isinstance(answer, Done) else None
            if seen is None or not seen.status.final:
                seen = yield from ask(Get(backfill_id))
            if seen is not None and seen.status.final:
                return (yield from self._cancelled(action, intent, record, seen))
            yield Record(Delta(intents=(intents.not_cancelled(intent),)))
            if refusal is not None and (yield from self._is_shared(intent, refusal)):
                return Ending.STOPPED
        error = refusal.error if refusal else None
        yield Emit(WriteRefused(action, error, backfill_id, "it could not be cancelled"))
        return Ending.REFUSED

    def _cancelled(self, action: Action, intent: Intent, record: BackfillRecord, seen: Backfill) -> Steps:
        moment = seen.removed_time or seen.end_time or self.clock.now()
        fresh = updated(record, seen, moment)
        yield Record(Delta(intents=(intents.cancelled(intent),), backfills=(fresh,)))
        if seen.status is Status.COMPLETED:  # it ended by itself: its days are loaded, not due
            why = f"backfill {seen.id} completed before it was cancelled"
            return (yield from withdraw(action, why))
        yield Emit(Cancelled(action, seen.id))
        if action.kind is ActionKind.RETRY and not fresh.was_failed:  # its running runs may still finish
            return (yield from withdraw(action, f"backfill {seen.id} had run again"))
        return Ending.FINISHED
