"""Sending one write: read again what is old, commit the intent, and send it once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from reconciler.api.outcome import Done, DoneInPart, NotSentOutcome, RateLimited, Rejected, Unknown
from reconciler.bounds import SEND_WITHIN
from reconciler.engine.backoff import Backoff, NotDone
from reconciler.engine.clock import Clock
from reconciler.engine.effects import (
    Committed,
    Emit,
    Ending,
    Intend,
    Pause,
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
from reconciler.engine.rules import Rules
from reconciler.events import Withdrawn
from reconciler.model.deltas import Delta
from reconciler.model.memory import BackfillRecord, Document, Intent, IntentKind
from reconciler.model.observed import ApiError, Unreadable
from reconciler.planning import intents
from reconciler.planning.plan import Action

Told = Done | DoneInPart | Rejected | Unknown  # what a request that was sent may end in, if not in another
LATE_TRIES = 3
LOOKS_AGAIN = 2


def withdraw(action: Action, why: str) -> Steps:
    """Leave an action to the next run, which reads everything afresh."""
    yield Emit(Withdrawn(action, why))
    return Ending.WITHDRAWN


def named(intent: Intent) -> str:
    """Name a write as people and the API's support do."""
    whose = f"({intent.transfer} {intent.dates})"
    if intent.kind is IntentKind.CANCEL:
        return f"PATCH …/backfills/{intent.backfill_id} {whose}"
    return f"POST …/transfers/{intent.transfer_id}/backfills {whose}"


def _error_of(answer: NotDone) -> ApiError | None:
    return None if isinstance(answer, NotSentOutcome) else answer.error


@dataclass(slots=True)
class Sender:
    """Sends the writes of one transfer. The fields are those of ``TransferApply``.

    ``turned_away``: what the API answered to the newest write of an action, where that surely was not done
    and is no refusal of it: a rate limit, a quota, the key.
    """

    freshness: Freshness
    document: Callable[[], Document]
    clock: Clock
    rules: Rules
    new_nonce: Callable[[], str]
    turned_away: ApiError | None = None

    def intent(self, action: Action, cancels: BackfillRecord | None = None) -> Intent:
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
            latest_before=self.freshness.newest.id if self.freshness.newest else None,
            stale_before=action.stale_before,
            backfill_id=cancels.id if cancels else None,
            as_of=self.rules.as_of,
            vendor_at=self.freshness.told_now(self.clock.elapsed()),
            sources=self.freshness.sources,
            key_hash=self.rules.key_hash,
        )

    def send(
        self, action: Action, following: Iterable[Action], cancels: BackfillRecord | None = None
    ) -> Generator[Step, Any, tuple[Intent, Told] | Ending]:
        """Commit an intent and send it; again with a new one while it surely was not done. ``following`` are
        the actions still to come, which are read for too.
        """
        backoff, late = Backoff(self.rules.max_wait), 0
        while True:
            outdated = yield from self._read_again(action, following)
            if outdated is not None:
                return outdated
            yield from self._keep_apart(cancels)
            deadline = self.clock.elapsed() + SEND_WITHIN.total_seconds()
            intent = self.intent(action, cancels)
            committed = yield from ask(Intend(intent, self._evidence_of(cancels)))
            if committed is Committed.STOPPED:
                return Ending.STOPPED
            if committed is Committed.WITHDRAWN:
                return (yield from withdraw(action, "another run was first on some of its days"))
            intent = self.document().intents.get(intent.nonce, intent)
            send = SendCreate if intent.kind is IntentKind.CREATE else SendCancel
            answer = yield from ask(send(intent, deadline))
            if isinstance(answer, Told):
                return intent, answer
            turned_away = None if isinstance(answer, Withheld) else _error_of(answer)
            yield Record(self._withdrawn(intent, turned_away))
            if isinstance(answer, Withheld):
                late += answer is Withheld.LATE
                if answer is Withheld.LATE and late < LATE_TRIES:
                    continue
                stopped = answer is Withheld.STOPPED
                return Ending.STOPPED if stopped else (yield from withdraw(action, answer.value))
            self.turned_away = turned_away or self.turned_away
            then = backoff.after(answer, named(intent))
            yield replace(then, transfer=action.transfer) if isinstance(then, Pause) else then
            if isinstance(then, Stop):
                return Ending.STOPPED
            if isinstance(answer, RateLimited):  # whoever said so may have passed it on all the same
                self.freshness.doubt()

    def _read_again(self, action: Action, following: Iterable[Action]) -> Generator[Step, Any, Ending | None]:
        """Look again if what we planned from is old, and leave the action if that shows news: what somebody
        made may have loaded our days and be gone from the list by now, so the API would not refuse ours.

        A second time if a look took more than a minute, for we may have been held up. Where reading takes so
        long, another one would be as old.
        """
        for _look in range(LOOKS_AGAIN):
            if self.freshness.is_fresh(began := self.clock.elapsed()):
                break
            reading = yield from ask(self.freshness.probe((action, *following)))
            if reading is None:
                return Ending.STOPPED
            if isinstance(reading, Unreadable):
                return (yield from withdraw(action, f"it could not be read again: {reading.said}"))
            self.freshness.again(reading, began)
        news = self.freshness.news(action, self.document())
        return (yield from withdraw(action, news)) if news else None

    def _keep_apart(self, cancels: BackfillRecord | None) -> Generator[Step, Any, None]:
        """Blind, ``latest`` alone tells two creates apart, and it may count whole seconds."""
        left = self.freshness.keep_apart(self.clock.elapsed())
        if cancels is None and left > 0:
            yield Pause(left, "two creates of a transfer are kept a second apart")

    def _evidence_of(self, cancels: BackfillRecord | None) -> Delta:
        """What is known of a backfill by now is committed again with the intent to cancel it."""
        known = cancels and self.document().backfills.get(cancels.id, cancels)
        return Delta(backfills=(known,) if known else ())

    def _withdrawn(self, intent: Intent, answer: ApiError | None) -> Delta:
        """Return the delta that takes an intent back, with what was answered, unless it is settled by now."""
        known = self.document().intents.get(intent.nonce, intent)
        return (
            Delta(intents=(intents.withdrawn(replace(known, answer=answer)),)) if known.pending else Delta()
        )
