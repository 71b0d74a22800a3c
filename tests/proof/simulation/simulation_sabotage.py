"""Deliberate faults in the code under test, to prove that the simulation would notice them.

Each is a context manager that patches one rule away. Some put back a fault that the simulation
found: then the seeds that catch it are the regression seeds of ``seeds.txt``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.dates import EMPTY, DateSet
from reconciler.engine import observe, session, team, transfer
from reconciler.engine.effects import Committed, Ending, ProbeResult, Record, Steps
from reconciler.engine.executor import Executor
from reconciler.engine.observe import Reader
from reconciler.engine.session import StateSession
from reconciler.engine.transfer import TransferApply
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Delta, Intent
from reconciler.model.observed import Backfill
from reconciler.planning import intents, resolution, situation
from reconciler.planning.facts import DayFacts
from reconciler.planning.plan import Action
from reconciler.stores import local

Sabotage = Callable[[], Any]


@contextmanager
def _put(*places: tuple[object, str, object]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _new in places]
    try:
        for owner, name, new in places:
            setattr(owner, name, new)
        yield
    finally:
        for owner, name, old in before:
            setattr(owner, name, old)


# --- rules of planning --------------------------------------------------------------------


def intent_not_committed() -> Any:
    def intend(self: Executor, intent: Intent, also: Delta, sources: tuple[int, ...]) -> Committed:
        return Committed.YES

    return _put((Executor, "_intend", intend))


def settle_time_ignored() -> Any:
    return _with_resolve(lambda now, settle, on_unknown: (now, timedelta(0), on_unknown))


def on_unknown_block_ignored() -> Any:
    return _with_resolve(lambda now, settle, on_unknown: (now, settle, OnUnknown.SETTLE))


def _with_resolve(change: Callable[[datetime, timedelta, OnUnknown], tuple[Any, Any, Any]]) -> Any:
    real = resolution.resolve

    def changed(document: Any, observed: Any, now: Any, settle: Any, on_unknown: Any) -> Any:
        return real(document, observed, *change(now, settle, on_unknown))

    return _put((situation, "resolve", changed), (transfer, "resolve", changed))


def compare_and_set_ignored() -> Any:
    return _put((local, "check_expected", lambda there, expected, source: None))


def unknown_taken_as_not_created() -> Any:
    def find_out(self: TransferApply, action: Action, intent: Intent) -> Steps:
        yield Record(Delta(drop_intents=(intent.nonce,)))
        return Ending.REPLAN

    return _put((TransferApply, "_find_out", find_out))


def latest_ignored() -> Any:
    return _put((resolution, "_has_old_latest", lambda intent, observed: True))


def known_ids_ignored() -> Any:
    def find_match(intent: Intent, seen: Any, known: Any) -> Backfill | None:
        return max(
            (one for one in seen if intents.is_match(intent, one)), key=lambda one: one.id, default=None
        )

    return _put(*((room, "find_match", find_match) for room in (intents, resolution)))


def deadline_ignored() -> Any:
    return _put((Executor, "_may_leave", lambda self, intent, deadline: True))


def strangers_ignored() -> Any:
    return _put((session, "is_taken", lambda intent, sources, others: False))


def outcome_not_recorded() -> Any:
    def made(self: TransferApply, action: Action, done: Intent, record: Any, *, adopted: bool) -> Steps:
        yield Record(Delta(drop_intents=(done.nonce,)))
        return Ending.FINISHED

    return _put((TransferApply, "_made", made))


def pending_does_not_block() -> Any:
    return _put((DayFacts, "unresolved", lambda self, left: EMPTY))


# --- faults that the simulation found -----------------------------------------------------


def time_asked_after_reading() -> Any:
    """What was read before a freeze was judged by the time after it."""
    survey, weigh, settled = Reader.survey, situation.weigh, TransferApply._is_settled
    surveying = threading.local()

    def survey_late(self: Reader, *values: Any) -> Any:
        surveying.now = self.now
        return survey(self, *values)

    def weigh_late(team: Any, document: Any, observed: Any, now: Any, *rest: Any) -> Any:
        return weigh(team, document, observed, surveying.now(), *rest)

    def settled_late(self: TransferApply, intent: Intent, probe: Any, now: datetime) -> bool:
        return settled(self, intent, probe, self.clock.now())

    return _put(
        (Reader, "survey", survey_late),
        (observe, "weigh", weigh_late),
        (TransferApply, "_is_settled", settled_late),
    )


def old_state_after_a_freeze() -> Any:
    """A run that thawed looked for its create without knowing what others had found out meanwhile."""
    return _put((StateSession, "catch_up", lambda self: None))


def state_read_before_looking() -> Any:
    """What another run made while a look was held up was taken for ours."""

    def probe(self: Executor, own: int, predecessors: tuple[int, ...]) -> ProbeResult:
        self.session.catch_up()
        listed = self.client.list_incomplete().backfills
        return ProbeResult(listed, self.client.latest(own), tuple(map(self.client.latest, predecessors)))

    return _put((Executor, "_probe", probe))


def evidence_overwritten() -> Any:
    """A run that thawed wrote its old view of a backfill over what others had learned since."""
    return _put((StateSession, "_rebased", lambda self, delta: delta))


def outcome_overwritten() -> Any:
    """A run that thawed gave up in the state a cancel that another one had seen done."""
    real = StateSession._rebased
    return _put(
        (StateSession, "_rebased", lambda self, delta: replace(real(self, delta), intents=delta.intents))
    )


def own_shell_is_a_refusal() -> Any:
    """Our own failed backfill, hidden by a lagging list, blocked its days until a person removed it."""
    return _put((intents, "_is_ours", lambda backfill, document: False))


def left_over_days_unmentioned() -> Any:
    """Days that the second plan left alone were not mentioned: exit 0."""
    return _put((team, "_not_taken_up", lambda approval, surveyed: set()))


def others_cancels_given_up() -> Any:
    """A cancel that another run was about to send was given up in the state."""
    resolving = resolution._Resolving
    real = resolving.cancel

    def given_up(self: Any, intent: Intent) -> None:
        now, self.now = self.now, self.now.replace(year=self.now.year + 1)
        real(self, intent)
        self.now = now

    return _put((resolving, "cancel", given_up))


def newer_failure_believed() -> Any:
    """That a newer backfill failed on a day hid that an older one, of a predecessor, may have loaded it."""

    def unlocated(self: DayFacts) -> DateSet:
        found, left = EMPTY, self.days
        for one in self.counting:
            found = found | (left & one.verdict.evidence.unlocated)
            left = left - one.verdict.evidence.failed
        return found

    return _put((DayFacts, "unlocated", property(unlocated)))


def predecessors_refusals_believed() -> Any:
    """A create that a predecessor was refused, and made all the same, did not stand in our way."""
    real, bears = situation.reopened_creates, situation.bears_on

    def reopened_of_own(document: Any, observed: Any, due: Any, since: Any) -> Any:
        return real(document, observed, [((sources[0],), days) for sources, days in due], since)

    def bears_if_own_or_pending(intent: Any, transfer: Any, _since: Any) -> Any:
        return bears(intent, transfer, datetime.max.replace(tzinfo=UTC))

    return _put(
        (situation, "reopened_creates", reopened_of_own), (situation, "bears_on", bears_if_own_or_pending)
    )


def work_on_predecessors_unnoticed() -> Any:
    """Another run, whose file still names the predecessor, intended the same days."""
    real = session.is_taken
    return _put(
        (session, "is_taken", lambda intent, sources, others: real(intent, (intent.transfer_id,), others))
    )


RULES: tuple[Sabotage, ...] = (
    intent_not_committed,
    settle_time_ignored,
    on_unknown_block_ignored,
    compare_and_set_ignored,
    unknown_taken_as_not_created,
    latest_ignored,
    known_ids_ignored,
    deadline_ignored,
    strangers_ignored,
    outcome_not_recorded,
    pending_does_not_block,
)
FOUND: tuple[Sabotage, ...] = (
    time_asked_after_reading,
    old_state_after_a_freeze,
    state_read_before_looking,
    evidence_overwritten,
    outcome_overwritten,
    own_shell_is_a_refusal,
    left_over_days_unmentioned,
    others_cancels_given_up,
    newer_failure_believed,
    predecessors_refusals_believed,
    work_on_predecessors_unnoticed,
)
