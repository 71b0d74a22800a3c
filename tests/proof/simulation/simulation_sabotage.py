"""Deliberate faults in the code under test, to prove that the simulation would notice them.

Each is a context manager that patches one rule away. Some put back a fault that the simulation
found: then the seeds that catch it are the regression seeds of ``seeds.txt``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from reconciler.api import client, pages
from reconciler.dates import EMPTY, DateSet
from reconciler.engine import observe, session
from reconciler.engine.effects import Committed, Ending, Probe, Reading, Record, Steps
from reconciler.engine.executor import Executor
from reconciler.engine.observe import Reader
from reconciler.engine.session import StateSession
from reconciler.engine.transfer import TransferApply
from reconciler.model.deltas import Delta
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Document, Intent, Origin
from reconciler.model.observed import Backfill, Unreadable
from reconciler.planning import (
    budget,
    facts,
    intents,
    matching,
    planner,
    records,
    resolution,
    situation,
    transfer_evidence,
    verdict,
)
from reconciler.planning.facts import DayFacts
from reconciler.planning.loadings import Loadings
from reconciler.planning.loads import Loading
from reconciler.planning.plan import Action
from reconciler.planning.transfer_evidence import TransferEvidence
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
    def intend(self: Executor, intent: Intent, also: Delta) -> Committed:
        return Committed.YES

    return _put((Executor, "_intend", intend))


def settle_time_ignored() -> Any:
    return _put(
        *((room, "is_settled", lambda *_any: True) for room in (intents, resolution, situation, facts))
    )


def on_unknown_block_ignored() -> Any:
    real = resolution.resolve

    def resolve(document: Any, observed: Any, terms: Any) -> Any:
        return real(document, observed, replace(terms, on_unknown=OnUnknown.SETTLE))

    return _put((situation, "resolve", resolve))


def compare_and_set_ignored() -> Any:
    return _put((local, "check_expected", lambda there, expected, source: None))


def unknown_taken_as_not_created() -> Any:
    def find_out(self: TransferApply, action: Action, intent: Intent, error: Any = None) -> Steps:
        yield Record(Delta(intents=(intents.withdrawn(intent),)))
        return Ending.WITHDRAWN

    return _put((TransferApply, "_find_out", find_out))


def latest_ignored() -> Any:
    return _put((resolution, "_has_old_latest", lambda intent, observed: True))


def known_ids_ignored() -> Any:
    def find_match(intent: Intent, seen: Any, document: Any, *_rest: Any) -> Backfill | None:
        fitting = (one for one in seen if matching.is_match(intent, one))
        return max(fitting, key=lambda one: one.id, default=None)

    return _put(*((room, "find_match", find_match) for room in (matching, resolution)))


def deadline_ignored() -> Any:
    return _put((Executor, "_barred", lambda self, intent, deadline: None))


def strangers_ignored() -> Any:
    return _put((session, "is_taken", lambda intent, others: False))


def outcome_not_recorded() -> Any:
    def made(self: TransferApply, action: Action, done: Intent, record: Any) -> Steps:
        yield Record(Delta(drop_intents=(done.nonce,)))
        return Ending.FINISHED

    return _put((TransferApply, "_made", made))


def pending_does_not_block() -> Any:
    return _put(
        (DayFacts, "unresolved", property(lambda self: EMPTY)),
        (DayFacts, "behind_unresolved", lambda self, left: EMPTY),
    )


# --- faults that the simulation found -----------------------------------------------------


def time_asked_after_reading() -> Any:
    """What was read before a freeze was judged by the time after it."""
    survey, weigh = Reader.survey, situation.weigh
    surveying = threading.local()

    def survey_late(self: Reader, *values: Any) -> Any:
        surveying.now = self.now
        return survey(self, *values)

    def weigh_late(team: Any, document: Any, observed: Any, now: Any, *rest: Any) -> Any:
        return weigh(team, document, observed, surveying.now(), *rest)

    return _put((Reader, "survey", survey_late), (observe, "weigh", weigh_late))


def old_state_after_a_freeze() -> Any:
    """A run that thawed looked for its create without knowing what others had found out meanwhile."""
    return _put((StateSession, "catch_up", lambda self: None))


def state_read_before_looking() -> Any:
    """What another run made while a look was held up was taken for ours."""

    real = Executor._probe

    def probe(self: Executor, asked: Probe) -> Reading | Unreadable:
        self.session.catch_up()
        with _put((StateSession, "catch_up", lambda self: None)):
            return real(self, asked)

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
    return _put((matching, "is_ours", lambda backfill, document: False))


def others_cancels_given_up() -> Any:
    """A cancel that another run was about to send was given up in the state."""
    resolving = resolution._Resolving
    real = resolving.cancel

    def given_up(self: Any, intent: Intent) -> None:
        terms, self.terms = self.terms, replace(self.terms, now=self.terms.now + timedelta(days=365))
        real(self, intent)
        self.terms = terms

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


def dates_of_the_vendor_believed() -> Any:
    """What an unknown create of ours loaded was dated before the bound it was made under."""
    places = (intents, resolution, transfer_evidence)
    return _put(*((room, "is_dated_early", lambda *_any: False) for room in places))


def work_on_predecessors_unnoticed() -> Any:
    """Another run, whose file still names the predecessor, intended the same days."""
    real = session.is_taken
    return _put((session, "is_taken", lambda intent, others: real(replace(intent, sources=()), others)))


# --- rules of belief: noticed by wide schedules ---------------------------------------------


def loads_forgotten() -> Any:
    """What run lists proved is not in the state."""
    real = StateSession.commit_alone

    def commit(self: StateSession, delta: Delta) -> bool:
        return real(self, replace(delta, loads=(), drop_loads=()))

    return _put((StateSession, "commit_alone", commit))


def unexplained_believed() -> Any:
    return _put((TransferEvidence, "has_unexplained", False))


def own_user_unchecked() -> Any:
    """Whatever turns up is somebody else's."""
    return _put((records, "_origin", lambda *_any: Origin.OBSERVED))


def strangers_unexplained() -> Any:
    """Whatever turns up may be ours, although it tells whose it is."""
    return _put((records, "_origin", lambda *_any: Origin.UNEXPLAINED))


def short_page_is_the_last() -> Any:
    """What comes after a page that is shorter than was asked for is never seen."""
    real = client.read_pages

    def read(ask: Any, found: Any, merge: Any, **more: Any) -> int:
        ended: dict[int, Any] = {}

        def short(sent: int, number: int) -> Any:
            page = replace(ended[number], items=()) if number in ended else ask(sent, number)
            if len(page.items) < pages.PAGE:
                ended[number] = page
            return page

        return real(short, found, merge, **more)

    return _put((client, "read_pages", read))


def unreadable_is_empty() -> Any:
    return _put((TransferEvidence, "unread", ()))


def lagging_counters_believed() -> Any:
    return _put((verdict.Case, "settling", False))


def no_backoff() -> Any:
    return _put((DayFacts, "backoff", EMPTY))


def attempts_not_counted() -> Any:
    return _put((DayFacts, "exhausted", EMPTY))


def ended_shells_kept() -> Any:
    return _put((planner, "_ended_shells", lambda *_any, **_more: ()))


def order_starves() -> Any:
    return _put((budget, "_reserved", lambda tried, as_of: ()))


def early_loads_count() -> Any:
    return _put((Loading, "final", lambda self, final_after: self.days))


def called_failed_believed() -> Any:
    """Of several runs of a day one that loaded makes good for one that failed."""
    from reconciler.planning import loadings, loads

    def all_prove(record: Any, evidence: Any) -> DateSet:
        return EMPTY

    return _put((loads, "unproved_by_runs", all_prove), (loadings, "unproved_by_runs", all_prove))


def amnesty_not_applied() -> Any:
    return _put((TransferEvidence, "forgiven", lambda self, known: EMPTY))


def acceptance_not_applied() -> Any:
    real = situation.keep_ledgers

    def keep(team: Any, document: Document, *rest: Any) -> Any:
        return real(team, replace(document, acceptances={}), *rest)

    return _put((situation, "keep_ledgers", keep))


def loaded_by_the_file_ignored() -> Any:
    return _put((Loadings, "_by_other_means", lambda self: ()))


def never_stuck() -> Any:
    """A run that does not end is under way for ever."""
    return _put((TransferEvidence, "_is_under_way", lambda self, day, run: run.ended_time is None))


def shells_cancelled_out_of_turn() -> Any:
    """What got its place out of turn cancels the shell, though another piece overlaps that before it."""

    def put_in_order(self: budget.Budget, place: Any) -> None:
        self.taken.sort(key=lambda taken: place[taken[0]])

    return _put((budget.Budget, "put_in_order", put_in_order))


def gone_ones_load_for_ever() -> Any:
    """What is loaded after one of ours that answers 404 is its own, and has its date."""
    real = Loadings._dated

    def dated(self: Loadings, load: Any, days: DateSet) -> Any:
        kept = tuple(replace(one, record=replace(one.record, gone=False)) for one in self.judged)
        return real(replace(self, judged=kept), load, days)

    return _put((Loadings, "_dated", dated))


def seen_ones_explain_nothing() -> Any:
    """What others loaded, by backfills that were seen, passes for what an unknown create of ours did."""
    return _put((Loadings, "_made_by_seen", lambda *_any: EMPTY))


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
    newer_failure_believed,
    shells_cancelled_out_of_turn,
    seen_ones_explain_nothing,
)
# Found once, by seeds that play otherwise since reads and records changed; not all were looked for again.
RARE: tuple[Sabotage, ...] = (
    lagging_counters_believed,  # runs are counted by day since: few ways are left for a counter to mislead
    dates_of_the_vendor_believed,
    gone_ones_load_for_ever,
    outcome_overwritten,
    time_asked_after_reading,
    old_state_after_a_freeze,
    state_read_before_looking,
    evidence_overwritten,
    own_shell_is_a_refusal,
    others_cancels_given_up,
    work_on_predecessors_unnoticed,
)
BELIEFS: tuple[Sabotage, ...] = (
    loads_forgotten,
    unexplained_believed,
    own_user_unchecked,
    strangers_unexplained,
    short_page_is_the_last,
    unreadable_is_empty,
    no_backoff,
    attempts_not_counted,
    ended_shells_kept,
    order_starves,
    early_loads_count,
    called_failed_believed,
    amnesty_not_applied,
    acceptance_not_applied,
    loaded_by_the_file_ignored,
    never_stuck,
)
