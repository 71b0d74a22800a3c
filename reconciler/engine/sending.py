"""Sending one write: read again what is old, commit the intent, and send it once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from reconciler.api.outcome import Done, RateLimited, Rejected, Unknown
from reconciler.bounds import SEND_WITHIN
from reconciler.engine.backoff import Backoff
from reconciler.engine.clock import Clock
from reconciler.engine.effects import (
    Committed,
    Emit,
    Ending,
    Intend,
    Probe,
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
from reconciler.model.memory import BackfillRecord, Delta, Document, Intent, IntentKind
from reconciler.model.observed import Unreadable
from reconciler.planning.plan import Action, ActionKind

Told = Done | Rejected | Unknown  # what a request that was sent may end in, if not in another attempt


def withdraw(action: Action, why: str) -> Steps:
    yield Emit(Withdrawn(action, why))
    return Ending.REPLAN


@dataclass(slots=True)
class Sender:
    """Sends the writes of one transfer. The fields are those of ``TransferApply``.

    ``intended``: when the last intent was made, by a clock that only passes.
    """

    freshness: Freshness
    document: Callable[[], Document]
    clock: Clock
    rules: Rules
    new_nonce: Callable[[], str]
    intended: float = 0.0

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
            latest_before=self.freshness.latest,
            stale_before=action.stale_before,
            backfill_id=cancels.id if cancels else None,
            as_of=self.rules.as_of,
            serial=self.document().serial,
        )

    def send(
        self, action: Action, draft: Callable[[], Intent]
    ) -> Generator[Step, Any, tuple[Intent, Told | Ending]]:
        """Commit an intent and send it; again with a new one while it surely was not done."""
        backoff = Backoff(self.rules.max_wait)
        while True:
            outdated = yield from self._read_again(action)
            intent = draft()
            if outdated is not None:
                return intent, outdated
            self.intended = self.clock.elapsed()
            deadline = self.intended + SEND_WITHIN.total_seconds()
            committed = yield from ask(Intend(intent, self._evidence_of(intent), self.freshness.sources))
            if committed is Committed.STOPPED:
                return intent, Ending.STOPPED
            if committed is Committed.WITHDRAWN:
                return intent, (yield from withdraw(action, "another run writes on some of its days"))
            send = SendCreate if intent.kind is IntentKind.CREATE else SendCancel
            answer = yield from ask(send(intent, deadline))
            if isinstance(answer, Told):
                return intent, answer
            yield Record(self._dropped(intent))
            if isinstance(answer, Withheld):
                return intent, (yield from withdraw(action, "it may no longer be sent"))
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
        if isinstance(probe, Unreadable):
            return (yield from withdraw(action, f"it could not be read again: {probe.said}"))
        news = self.freshness.again(probe, now, self.document().backfills.keys())
        if news is None:
            return None
        whose = "its transfer" if news.transfer_id == own else f"its predecessor {news.transfer_id}"
        return (yield from withdraw(action, f"backfill {news.id} was made on {whose} meanwhile"))

    def _dropped(self, intent: Intent) -> Delta:
        """Return the delta that takes an intent back, unless somebody has settled it meanwhile."""
        known = self.document().intents.get(intent.nonce, intent)
        return Delta(drop_intents=(intent.nonce,)) if known.pending else Delta()

    def _evidence_of(self, intent: Intent) -> Delta:
        """What is known of a backfill is committed again with the intent to cancel it."""
        records = self.document().backfills
        return Delta(backfills=(records[intent.backfill_id],) if intent.backfill_id else ())

    def now_by_both(self, intent: Intent) -> datetime:
        """Return now, but no later than the time passed since the intent allows: a clock may be set."""
        passed = timedelta(seconds=self.clock.elapsed() - self.intended)
        return min(self.clock.now(), intent.intended_at + passed)
