"""Carrying out the actions of one transfer, as a generator of steps: what becomes of each, and what then.

The order that everything rests on: the intent is durable before the request leaves; the
outcome is durable before the next write of that transfer. A request is sent once and never
again by the transport; what became of it is read, not guessed.

There is no second round within a run. What turns out otherwise than planned is withdrawn and named, and with
it whatever else touches its days; the rest goes on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from reconciler.api.outcome import Done, DoneInPart, Rejected, Unknown, turns_away_if_shared
from reconciler.bounds import LOOKS, REFUSAL_HOLDS
from reconciler.dates import EMPTY, DateSet, union
from reconciler.engine.clock import Clock
from reconciler.engine.effects import (
    Emit,
    Ending,
    Get,
    Pause,
    Probe,
    Reading,
    Record,
    Step,
    Steps,
    Suspect,
    ask,
)
from reconciler.engine.freshness import Freshness
from reconciler.engine.rules import Rules
from reconciler.engine.sending import Sender, withdraw
from reconciler.events import UNKNOWN, Cancelled, Created, UnknownOutcome, WriteRefused
from reconciler.model.deltas import Delta
from reconciler.model.memory import BackfillRecord, Document, Intent, KnownUser, Origin, Outcome
from reconciler.model.observed import ApiError, Backfill, Status
from reconciler.planning import intents, matching
from reconciler.planning.plan import Action, ActionKind
from reconciler.planning.records import updated
from reconciler.planning.resolution import settles_at

CANCEL_TRIES = 3
_ENDS_OTHERS = {
    Ending.REFUSED: "an earlier write of this transfer was refused",
    Ending.UNKNOWN: "the outcome of an earlier create of this transfer is unknown",
}


@dataclass(slots=True)
class TransferApply:
    """Carries out the actions of one transfer, one write at a time.

    ``freshness`` is that of what they were planned from; ``document`` returns the state as committed so far.
    ``left`` are the actions that nothing has become of yet; ``unclear`` says by nonce, in a clause, why it is
    unknown what became of a create.
    """

    actions: Sequence[Action]
    freshness: Freshness
    document: Callable[[], Document]
    clock: Clock
    rules: Rules
    new_nonce: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)
    left: Sequence[Action] = field(init=False)
    unclear: dict[str, str] = field(default_factory=dict)
    _sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.actions
        self._sender = Sender(self.freshness, self.document, self.clock, self.rules, self.new_nonce)

    @property
    def unfinished(self) -> Iterator[tuple[Action, ApiError | None]]:
        """Yield what is left; with the first, what its newest write was answered that was turned away."""
        for number, action in enumerate(self.left):
            yield action, None if number else self._sender.turned_away

    def steps(self) -> Steps:
        """Yield the steps. The generator's return value tells how it ended."""
        ending, barred = Ending.FINISHED, EMPTY
        for number, action in enumerate(self.actions):
            self.left, self._sender.turned_away = self.actions[number:], None
            assert action.address.transfer_id == self.freshness.sources[0]
            touched = self._touched(action)
            if touched & barred:
                became = yield from withdraw(action, "it touches days of what was withdrawn")
            else:
                became = yield from self._act(action, self.actions[number + 1 :])
            if became is Ending.WITHDRAWN:
                ending, barred = became, barred | touched
            elif became is not Ending.FINISHED:
                return (yield from self._end(became))
        self.left = ()
        return ending

    def _end(self, became: Ending) -> Steps:
        """End the transfer with the action that came last. What is left is withdrawn, and told; unless the
        whole run stops: then it is not sent.
        """
        if became in _ENDS_OTHERS:
            _last, *others = self.left
            self.left = ()
            for action in others:
                yield from withdraw(action, _ENDS_OTHERS[became])
        return became

    def _touched(self, action: Action) -> DateSet:
        """Return the days of an action, and those of the backfills that it cancels."""
        planned = self.freshness.planned
        return action.days | union(planned[backfill_id].days for backfill_id in action.cancels)

    def _act(self, action: Action, following: Sequence[Action]) -> Steps:
        for backfill_id in action.cancels:
            became = yield from self._cancel(action, following, backfill_id)
            if became is not Ending.FINISHED:
                return became
        if action.kind is ActionKind.CANCEL:
            return Ending.FINISHED
        return (yield from self._create(action, following))

    # -- create ----------------------------------------------------------------------------

    def _create(self, action: Action, following: Sequence[Action]) -> Steps:
        sent = yield from self._sender.send(action, following)
        if isinstance(sent, Ending):
            return sent
        intent, answer = sent
        if isinstance(answer, Rejected | Unknown):
            intent = yield from self._noted(intent, answer)
        match answer:
            case Done(backfill=backfill) | DoneInPart(backfill=backfill):
                record = replace(intents.adopted(backfill, intent), origin=Origin.CREATED)
                return (yield from self._made(action, intents.made(intent, backfill.id), record))
            case Rejected():
                return (yield from self._rejected(action, intent, answer))
            case Unknown():
                return (yield from self._find_out(action, intent, answer))
            case never:
                assert_never(never)

    def _noted(self, intent: Intent, answer: Rejected | Unknown) -> Generator[Step, Any, Intent]:
        """Keep what the API answered, before anything else is read: a run may end while it looks."""
        if answer.error is None:
            return intent
        answered = replace(intent, answer=answer.error)
        yield Record(Delta(intents=(answered,)))
        return answered

    def _made(self, action: Action, done: Intent, record: BackfillRecord) -> Steps:
        """Record what the answer showed: the backfill, whose our key is, and what the API left out of it."""
        yield Record(Delta(intents=(done,), backfills=(record,), users=self._user(record)))
        self.freshness.made(record.id, record.created_time)
        yield Emit(Created(replace(action, start=record.start, end=record.end), record.id))
        for left_out in intents.days_cut_off(done, record):
            for start, end in left_out.intervals:
                part = replace(action, start=start, end=end)
                why = f"backfill {record.id} leaves these days out"
                yield Emit(WriteRefused(part, None, None, why, by_hand=end <= record.start))
        return Ending.FINISHED

    def _user(self, record: BackfillRecord) -> tuple[KnownUser, ...]:
        """Return whose our key is, by the answer to a create of ours, if the state does not know it yet."""
        known, user_id = self.document().users.get(self.rules.key_hash), record.seen.created_user_id
        if not self.rules.key_hash or user_id is None or (known and known.user_id == user_id):
            return ()
        return (KnownUser(self.rules.key_hash, user_id),)

    def _found(
        self, action: Action, intent: Intent, backfill: Backfill, *, refused: bool = False, why: str = ""
    ) -> Steps:
        done, record = intents.found(intent, backfill.id), intents.adopted(backfill, intent)
        yield Record(Delta(intents=(done,), backfills=(record,)))
        self.freshness.made(backfill.id, backfill.created_time)
        yield Emit(Created(action, backfill.id, adopted=True, refused=refused, why=why))
        return Ending.FINISHED

    def _rejected(self, action: Action, intent: Intent, answer: Rejected) -> Steps:
        """Look why: sent twice by a gateway (adopt it), overlapped by somebody's active one (the next run
        plans the rest), or refused.
        """
        reading = yield from ask(Probe(self.freshness.sources[:1]))
        if not isinstance(reading, Reading):  # refused, or made by one sent twice: nobody knows
            return (yield from self._left_unknown(action, intent, Unknown("", answer.error)))
        known = self.document().intents.get(intent.nonce, intent)
        if not known.pending:
            return (yield from self._settled_by_another(action, known))
        settle = self.rules.settle
        match matching.after_refusal(intent, reading.backfills, self.document(), settle, answer.error):
            case Backfill() as backfill:
                return (yield from self._found(action, intent, backfill, refused=True))
            case Intent(outcome=Outcome.WITHDRAWN, blocker=blocker) as withdrawn:
                yield Record(Delta(intents=(withdrawn,)))
                return (yield from withdraw(action, f"backfill {blocker} is active on some of its days"))
            case refused:
                turned_away = turns_away_if_shared(answer.error)
                if (yield from self._is_shared(intent, answer)) and turned_away:
                    return Ending.STOPPED
                yield Record(Delta(intents=(refused,)))
                blind, suspect = not self.freshness.runs, intent.nonce if turned_away else ""
                told = WriteRefused(action, answer.error, refused.blocker, blind=blind, suspect=suspect)
                yield Emit(replace(told, until=intent.intended_at + REFUSAL_HOLDS))
                return Ending.REFUSED

    def _is_shared(self, intent: Intent, refusal: Rejected) -> Generator[Step, Any, bool]:
        """Tell whether a refusal is of the key or licence: then the team stops. What was turned away at the
        door no transfer keeps.
        """
        alike = yield from ask(Suspect(intent, refusal))
        known = (self.document().intents.get(nonce) for nonce in alike)
        open_ = (one for one in known if one is not None and one.outcome in intents.OPEN)
        turned_away = [one for one in open_ if turns_away_if_shared(one.answer)]
        if turned_away:
            yield Record(Delta(intents=tuple(map(intents.withdrawn, turned_away))))
        self._sender.turned_away = refusal.error if alike else None
        return bool(alike)

    def _find_out(self, action: Action, intent: Intent, answer: Unknown) -> Steps:
        """Look for some 30 seconds what became of a create; what is not found, a later run settles."""
        self.unclear[intent.nonce] = answer.why
        for pause in LOOKS:
            if pause:
                yield Pause(pause, UNKNOWN, action.transfer)
            reading = yield from ask(Probe(self.freshness.sources[:1]))
            if not isinstance(reading, Reading):
                continue
            known = self.document().intents.get(intent.nonce, intent)
            if not known.pending:
                return (yield from self._settled_by_another(action, known))
            match = matching.find_match(intent, reading.backfills, self.document(), self.rules.settle)
            if match is not None:
                return (yield from self._found(action, intent, match, why=answer.why))
        return (yield from self._left_unknown(action, intent, answer))

    def _settled_by_another(self, action: Action, intent: Intent) -> Steps:
        """Another run found out first, while we were held up; what we see now may be its own doing."""
        if intent.backfill_id is None:
            return (yield from withdraw(action, "its request took no effect, as another run found"))
        at = self.freshness.vendor_now(self.clock.elapsed())
        self.freshness.made(intent.backfill_id, at)
        yield Emit(Created(action, intent.backfill_id, adopted=True, why="another run found it"))
        return Ending.FINISHED

    def _left_unknown(self, action: Action, intent: Intent, answer: Unknown) -> Steps:
        at = settles_at(intent, self.rules.settle, self.rules.on_unknown)
        yield Emit(UnknownOutcome(intent, at, answer.error, action.address.team_id, answer.why))
        return Ending.UNKNOWN

    # -- cancel ----------------------------------------------------------------------------

    def _cancel(self, action: Action, following: Sequence[Action], backfill_id: int) -> Steps:
        """Cancel one of ours. Nothing is created on its days until it is seen final."""
        record = self.freshness.planned[backfill_id]
        refusal: Rejected | None = None
        for _try in range(CANCEL_TRIES):
            sent = yield from self._sender.send(action, following, record)
            if isinstance(sent, Ending):
                return sent
            intent, answer = sent
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
        now = self.freshness.later(self.clock.elapsed(), self.clock.now())
        fresh = updated(record, seen, now)
        yield Record(Delta(intents=(intents.cancelled(intent),), backfills=(fresh,)))
        if seen.status is Status.COMPLETED:  # it ended by itself: its days are loaded, not due
            why = f"backfill {seen.id} completed before it was cancelled"
            return (yield from withdraw(action, why))
        yield Emit(Cancelled(action, seen.id, record.start, record.end))
        if action.kind is ActionKind.RETRY and not fresh.was_failed:  # its running runs may still finish
            return (yield from withdraw(action, f"backfill {seen.id} had run again"))
        return Ending.FINISHED
