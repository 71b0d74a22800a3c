"""One team's run: read, plan, carry out, sum up.

``run.py`` has the run over all teams; each has a ``TeamRun``, and they are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta

from reconciler.api.client import ApiClient
from reconciler.bounds import DEFAULT_SETTLE, MAX_WAIT
from reconciler.dates import DaysByTransfer, grouped
from reconciler.engine.clock import Clock
from reconciler.engine.effects import Ending
from reconciler.engine.executor import Executor, drive_all
from reconciler.engine.freshness import Freshness
from reconciler.engine.observe import Reader
from reconciler.engine.rules import Rules
from reconciler.engine.session import StateSession
from reconciler.engine.stop import StopSignal
from reconciler.engine.transfer import TransferApply
from reconciler.engine.warnings import statuses, warnings
from reconciler.errors import Exit, Interrupted, ReconcilerError, StateConflict
from reconciler.events import Cancelled, Created, Event, Settled, UnknownOutcome, WriteRefused
from reconciler.model.desired import DesiredTeam, Limits
from reconciler.model.memory import Document
from reconciler.planning.approval import Approval, planned_days
from reconciler.planning.evidence import is_active
from reconciler.planning.intents import unresolved
from reconciler.planning.plan import Action, ActionKind, TeamPlan
from reconciler.planning.planner import make_plan
from reconciler.planning.resolution import settles_at
from reconciler.planning.situation import Situation, weigh, weigh_doubts
from reconciler.stores.base import StateStore

MAX_SURVEYS = 20


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the flags say of a run, for all teams. ``max_wait``: seconds to wait for rate limits, in all."""

    settle: timedelta = DEFAULT_SETTLE
    max_wait: float = MAX_WAIT.total_seconds()
    parallelism: int = 10
    lock: bool = True
    lock_timeout: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A plan, and the situation it was made from."""

    plan: TeamPlan
    situation: Situation


def team_plan(situation: Situation, approval: Approval | None = None) -> TeamPlan:
    """Return what to do for a team, with what there is reason to warn of. Pure."""
    plan = make_plan(situation, approval)
    diagnostics = (*plan.diagnostics, *warnings(situation))
    return replace(plan, diagnostics=diagnostics, statuses=statuses(situation))


@dataclass(slots=True)
class TeamReport:
    """What an apply did for one team. ``statuses`` are the exit statuses that hold for it."""

    team_id: int
    created: int = 0
    retried: int = 0
    cancelled: int = 0
    refused: int = 0
    unknown: int = 0
    days: int = 0
    statuses: set[int] = field(default_factory=set)
    errors: list[ReconcilerError] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def count(self, event: Event) -> None:
        self.refused += isinstance(event, WriteRefused)
        if isinstance(event, UnknownOutcome):
            self.unknown += 1
            self.told.add(event.intent.nonce)
        if isinstance(event, Created):
            self.created += event.action.kind is ActionKind.CREATE
            self.retried += event.action.kind is ActionKind.RETRY
            self.days += len(event.action.days)
        elif isinstance(event, Cancelled) and event.action.kind is ActionKind.CANCEL:
            self.cancelled += 1


@dataclass(slots=True)
class TeamRun:
    """Plans and applies for one team. ``on_event`` is told what happens, from any thread;
    ``saving`` is entered around writes to the state that no signal may cut short.
    """

    team: DesiredTeam
    client: ApiClient
    store: StateStore
    blank: Document
    clock: Clock
    settings: RunSettings = field(default_factory=RunSettings)
    on_event: Callable[[Event], None] = lambda event: None
    saving: Callable[[], AbstractContextManager[None]] = nullcontext
    key_hash: str = ""

    # -- plan ------------------------------------------------------------------------------

    def look(self) -> Situation:
        """Read what a plan needs, and write nothing. The state is read last, once more: what another run made
        meanwhile is no stranger's then.
        """
        document, revision = self.store.read()
        situation = self._reader().survey(self.team, document or self.blank)
        again, later = self.store.read()
        if again is None or later == revision:
            return situation
        anew = weigh(self.team, again, situation.observed, situation.now, situation.settle)
        return weigh_doubts(anew, again)

    def plan(self, approval: Approval | None = None) -> Surveyed:
        """Return what apply would do."""
        situation = self.look()
        return Surveyed(team_plan(situation, approval), situation)

    def _reader(self) -> Reader:
        workers = self.settings.parallelism
        return Reader(self.client, self.clock.now, self.settings.settle, workers, self.key_hash)

    # -- apply -----------------------------------------------------------------------------

    def weighed(self, session: StateSession) -> Situation:
        """Read what a plan needs, on the state of a session. Nothing is written."""
        return self._reader().survey(self.team, session.document)

    def open(self) -> StateSession:
        """Read the state for an apply. The lock is the caller's."""
        return StateSession.open(self.store, self.blank)

    def survey(
        self, session: StateSession, approval: Approval | None = None, limits: Limits | None = None
    ) -> Surveyed:
        """Survey, plan, and commit what was learned. Again while other runs commit first.

        ``limits`` stand in for those of the file.
        """
        for _attempt in range(MAX_SURVEYS):
            session.plan_from_here()
            situation = self.weighed(session)
            if limits is not None:
                situation = replace(situation, team=replace(self.team, limits=limits))
            plan = team_plan(situation, approval)
            with self.saving():
                committed = session.commit_alone(situation.delta)
            if committed:
                session.plan_from_here()
                self._tell_settled(situation)
                document = session.document
                plan = replace(plan, lineage=document.lineage, serial=document.serial)
                return Surveyed(plan, replace(situation, document=document))
        raise StateConflict("The state keeps changing", "Other runs keep committing.", "Run again later.")

    def _tell_settled(self, situation: Situation) -> None:
        resolution = situation.resolution
        for intent in (*resolution.adopted, *resolution.abandoned):
            self.on_event(Settled(intent))
        for intent in resolution.late:
            self.on_event(Settled(intent, late=True))

    def carry_out(
        self,
        session: StateSession,
        surveyed: Surveyed,
        whole_run: StopSignal,
        holds_lock: Callable[[], bool],
    ) -> TeamReport:
        """Do the plan; what others changed meanwhile is read and planned again, once. Folds the state."""
        report = TeamReport(self.team.team_id)
        signal = StopSignal(parent=whole_run)
        executor = Executor(self.client, session, self.clock, signal, self._counting(report), holds_lock)
        endings = self._round(executor, surveyed)
        again = [key for key, ending in endings.items() if ending is Ending.REPLAN]
        if again and not signal.off:
            with signal.stopping():
                endings.update(self._second_round(executor, surveyed, again, report))
        if session.broken is None:
            with signal.stopping():
                self.store.compact()
        report.told.update(intent.nonce for intent in surveyed.situation.resolution.unresolved)
        self.conclude(report, endings, signal, session)
        return report

    def _counting(self, report: TeamReport) -> Callable[[Event], None]:
        def tell(event: Event) -> None:
            report.count(event)
            self.on_event(event)

        return tell

    def _round(self, executor: Executor, surveyed: Surveyed) -> dict[int, Ending]:
        rules = Rules(
            self.settings.settle, self.team.on_unknown, self.settings.max_wait, self.team.as_of, self.key_hash
        )
        by_transfer_id = grouped(surveyed.plan.actions, lambda action: action.address.transfer_id)
        transfers = {
            transfer_id: TransferApply(
                actions,
                self._freshness(transfer_id, surveyed.situation),
                lambda: executor.session.document,
                self.clock,
                rules,
            )
            for transfer_id, actions in by_transfer_id.items()
        }
        return drive_all(transfers, executor, self.settings.parallelism) if transfers else {}

    def _freshness(self, transfer_id: int, situation: Situation) -> Freshness:
        sources = {transfer.address.transfer_id: transfer.source_ids for transfer in self.team.transfers}
        records = situation.document.backfills.values()
        return Freshness.of(
            situation.observed,
            sources.get(transfer_id, (transfer_id,)),
            situation.now,
            [record for record in records if record.transfer_id == transfer_id],
            self.settings.settle,
        )

    def _second_round(
        self, executor: Executor, first: Surveyed, again: list[int], report: TeamReport
    ) -> dict[int, Ending]:
        """Plan the given transfers again, for no more than the days of the first plan."""
        approval = _restricted(first.plan.actions, set(again), self.team.team_id)
        made = report.created + report.retried + report.unknown
        surveyed = self.survey(executor.session, approval, _what_is_left(self.team.limits, made))
        left = _not_taken_up(approval, surveyed)
        endings = self._round(executor, surveyed)
        for key in again:
            if endings.get(key, Ending.FINISHED) is Ending.FINISHED:
                endings[key] = Ending.REPLAN if key in left else Ending.FINISHED
        return endings

    def conclude(
        self, report: TeamReport, endings: dict[int, Ending], signal: StopSignal, session: StateSession
    ) -> None:
        """Say in the report which exit statuses hold."""
        creates = unresolved(session.document)
        for intent in creates:
            if intent.nonce not in report.told:  # its request was under way when the run was interrupted
                at = settles_at(intent, self.settings.settle, self.team.on_unknown)
                self.on_event(UnknownOutcome(intent, at))
        report.unknown = len(creates)
        report.errors = [error for error in signal.errors if not isinstance(error, Interrupted)]
        report.statuses = {error.exit_status for error in report.errors}
        if report.unknown:
            report.statuses.add(Exit.UNKNOWN)
        if report.refused or any(ending is not Ending.FINISHED for ending in endings.values()):
            report.statuses.add(Exit.PARTLY)
        if signal.interrupted:
            report.statuses.add(128 + _signum(signal))


def _signum(signal: StopSignal) -> int:
    root = signal if signal.signum is not None or signal.parent is None else signal.parent
    return root.signum or 2


def _restricted(actions: Iterable[Action], transfers: set[int], team_id: int) -> Approval:
    chosen = [action for action in actions if action.address.transfer_id in transfers]
    cancels = frozenset((team_id, backfill_id) for action in chosen for backfill_id in action.cancels)
    return Approval(planned_days(chosen), cancels)


def _not_taken_up(approval: Approval, surveyed: Surveyed) -> set[int]:
    """Return the transfers of which the plan leaves alone approved days that nobody loads, or an approved
    cancel of what is still active.
    """
    cancelled = {backfill_id for action in surveyed.plan.actions for backfill_id in action.cancels}
    records = surveyed.situation.document.backfills
    kept = {backfill_id for _team, backfill_id in approval.cancels} - cancelled
    active = {
        records[backfill_id].transfer_id
        for backfill_id in kept & records.keys()
        if is_active(records[backfill_id].seen)
    }
    ledgers = surveyed.situation.ledgers
    taken_up = DaysByTransfer((ledger.transfer.address, ledger.taken_up) for ledger in ledgers)
    declared = DaysByTransfer((ledger.transfer.address, ledger.transfer.days) for ledger in ledgers)
    left = (approval.days & declared) - (taken_up | planned_days(surveyed.plan.actions))
    return active | {address.transfer_id for address in left}


def _what_is_left(limits: Limits, made: int) -> Limits:
    allowed = limits.max_creates_per_apply
    return limits if allowed is None else replace(limits, max_creates_per_apply=max(0, allowed - made))
