"""The whole run, in order. Read this first.

    plan:   read the state → survey the API → decide                     (writes nothing)
    apply:  lock → read the state → survey → commit what was learned → decide → (ask)
            → carry out, transfers in parallel → plan again once what somebody else changed

One ``TeamRun`` per team; the teams of the files are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.api.client import ApiClient
from reconciler.bounds import DEFAULT_SETTLE
from reconciler.dates import EMPTY, DateSet, union
from reconciler.engine.clock import Clock
from reconciler.engine.executor import Executor, drive_all
from reconciler.engine.freshness import Freshness
from reconciler.engine.observe import Reader
from reconciler.engine.session import StateSession
from reconciler.engine.stop import StopSignal
from reconciler.engine.transfer import Ending, Rules, TransferApply
from reconciler.engine.warnings import evidence_warnings, missing_state, unresolved_creates
from reconciler.errors import Interrupted, ReconcilerError, Refused, StateConflict
from reconciler.events import Cancelled, Created, Event, Settled, UnknownOutcome, WriteRefused
from reconciler.model.desired import Address, DesiredTeam, Limits, OnUnknown
from reconciler.model.memory import Document, Intent, IntentKind
from reconciler.planning.approval import Approval
from reconciler.planning.evidence import is_active
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Action, ActionKind, TeamPlan
from reconciler.planning.planner import make_team_plan
from reconciler.planning.situation import Situation, by_transfer
from reconciler.stores.base import StateStore

MAX_SURVEYS = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags say of a run, for all teams. ``max_wait`` is in seconds."""

    settle: timedelta = DEFAULT_SETTLE
    max_wait: float = 300.0
    parallelism: int = 10
    new_state: bool = False


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A plan, and the situation it was made from."""

    plan: TeamPlan
    situation: Situation


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
    settings: Settings = field(default_factory=Settings)
    on_event: Callable[[Event], None] = lambda event: None
    saving: Callable[[], AbstractContextManager[None]] = nullcontext

    # -- plan ------------------------------------------------------------------------------

    def plan(self, approval: Approval | None = None) -> Surveyed:
        """Return what apply would do, writing nothing, neither to the API nor to the state."""
        document, _revision = self.store.read()
        situation = self._reader().survey(self.team, document or self.blank)
        return self._planned(situation, self.team, approval)

    def _planned(self, situation: Situation, team: DesiredTeam, approval: Approval | None) -> Surveyed:
        plan = make_team_plan(team, situation.ledgers, situation.observed, situation.document, approval)
        warnings = (
            *evidence_warnings(situation),
            *unresolved_creates(situation),
            *missing_state(situation, plan),
        )
        return Surveyed(replace(plan, diagnostics=(*plan.diagnostics, *warnings)), situation)

    def _reader(self) -> Reader:
        return Reader(self.client, self.clock.now, self.settings.settle, self.settings.parallelism)

    # -- apply -----------------------------------------------------------------------------

    def open(self) -> StateSession:
        """Read the state for an apply. The lock is the caller's."""
        return StateSession.open(self.store, self.blank)

    def survey(self, session: StateSession, approval: Approval | None = None) -> Surveyed:
        """Survey, commit what was learned, and plan. Read again while other runs commit first."""
        for _attempt in range(MAX_SURVEYS):
            session.plan_from_here()
            situation = self._reader().survey(self.team, session.document)
            self._refuse_missing_state(situation)
            with self.saving():
                committed = session.commit_alone(situation.delta)
            if committed:
                session.plan_from_here()
                self._tell_settled(situation)
                return self._planned(replace(situation, document=session.document), self.team, approval)
        raise StateConflict("The state keeps changing", "Other runs commit all the time.", "Run again later.")

    def _tell_settled(self, situation: Situation) -> None:
        resolution = situation.resolution
        for intent in (*resolution.adopted, *resolution.abandoned):
            self.on_event(Settled(intent))
        for intent in resolution.late:
            self.on_event(Settled(intent, late=True))

    def unfiltered(self, surveyed: Surveyed) -> TeamPlan:
        """Return the plan that the same situation gives without an approval."""
        return self._planned(surveyed.situation, self.team, None).plan

    def _refuse_missing_state(self, situation: Situation) -> None:
        """Raise ``Refused`` before anything is written: a first commit would make a state of its own."""
        if self.settings.new_state or situation.document.lineage:
            return
        plan = make_team_plan(self.team, situation.ledgers, situation.observed, situation.document)
        for missing in missing_state(situation, plan):
            raise Refused(missing.summary, missing.detail, missing.hint)

    def carry_out(
        self, session: StateSession, surveyed: Surveyed, switch: StopSignal, holds_lock: Callable[[], bool]
    ) -> TeamReport:
        """Do the plan; what others changed meanwhile is read and planned again, once. Folds the state."""
        report = TeamReport(self.team.team_id)
        own = StopSignal(parent=switch)
        hands = Executor(self.client, session, self.clock, own, self._counting(report), holds_lock)
        endings = self._round(hands, surveyed)
        again = [key for key, ending in endings.items() if ending is Ending.REPLAN]
        if again and not own.off:
            with own.stopping():
                endings.update(self._second_round(hands, surveyed, again, report))
        if session.broken is None:
            with own.stopping():
                self.store.compact()
        report.told.update(one.nonce for one in surveyed.situation.resolution.unresolved)
        self.conclude(report, endings, own, session)
        return report

    def _counting(self, report: TeamReport) -> Callable[[Event], None]:
        def tell(event: Event) -> None:
            report.count(event)
            self.on_event(event)

        return tell

    def _round(self, hands: Executor, surveyed: Surveyed) -> dict[int, Ending]:
        rules = Rules(self.settings.settle, self.team.on_unknown, self.settings.max_wait)
        sources = {one.address.transfer_id: one.source_ids for one in self.team.transfers}
        seen, now = surveyed.situation.observed, surveyed.situation.now
        records = by_transfer(surveyed.situation.document.backfills.values())
        carriers = {
            own: TransferApply(
                actions,
                Freshness.of(seen, sources.get(own, (own,)), now, records.get(own, ()), self.settings.settle),
                lambda: hands.session.document,
                self.clock,
                rules,
            )
            for own, actions in _actions_by_transfer(surveyed.plan.actions).items()
        }
        return drive_all(carriers, hands, self.settings.parallelism) if carriers else {}

    def _second_round(
        self, hands: Executor, first: Surveyed, again: list[int], report: TeamReport
    ) -> dict[int, Ending]:
        """Plan the given transfers again, for no more than the days of the first plan."""
        approval = _restricted(first.plan.actions, set(again), self.team.team_id)
        made = report.created + report.retried + report.unknown
        surveyed = self.survey(hands.session, approval)
        limited = replace(self.team, limits=_what_is_left(self.team, made))
        surveyed = self._planned(surveyed.situation, limited, approval)
        left = _not_taken_up(approval, surveyed)
        endings = self._round(hands, surveyed)
        for key in again:
            if endings.get(key, Ending.FINISHED) is Ending.FINISHED:
                endings[key] = Ending.REPLAN if key in left else Ending.FINISHED
        return endings

    def _settles_at(self, intent: Intent) -> datetime | None:
        settles = self.team.on_unknown is OnUnknown.SETTLE
        return intent.intended_at + self.settings.settle if settles else None

    def conclude(
        self, report: TeamReport, endings: dict[int, Ending], switch: StopSignal, session: StateSession
    ) -> None:
        """Say in the report which exit statuses hold."""
        ended = list(endings.values())
        pending = [one for one in session.document.intents.values() if one.pending]
        creates = [one for one in pending if one.kind is IntentKind.CREATE]
        for intent in creates:
            if intent.nonce not in report.told:  # its request was under way when the run was interrupted
                self.on_event(UnknownOutcome(intent, self._settles_at(intent)))
        report.unknown = len(creates)
        report.errors = [one for one in switch.errors if not isinstance(one, Interrupted)]
        report.statuses = {error.exit_status for error in report.errors}
        if report.unknown:
            report.statuses.add(4)
        if report.refused or any(ending is not Ending.FINISHED for ending in ended):
            report.statuses.add(3)
        if switch.interrupted:
            report.statuses.add(128 + _signum(switch))


def _signum(switch: StopSignal) -> int:
    root = switch if switch.signum is not None or switch.parent is None else switch.parent
    return root.signum or 2


def _actions_by_transfer(actions: Iterable[Action]) -> dict[int, list[Action]]:
    grouped: dict[int, list[Action]] = {}
    for action in actions:
        grouped.setdefault(action.address.transfer_id, []).append(action)
    return grouped


def _restricted(actions: Iterable[Action], transfers: set[int], team_id: int) -> Approval:
    chosen = [one for one in actions if one.address.transfer_id in transfers]
    days: dict[Address, list[DateSet]] = {}
    for action in chosen:
        if action.kind is not ActionKind.CANCEL:
            days.setdefault(action.address, []).append(action.days)
    cancels = frozenset((team_id, one) for action in chosen for one in action.cancels)
    return Approval({address: union(sets) for address, sets in days.items()}, cancels)


def _not_taken_up(approval: Approval, surveyed: Surveyed) -> set[int]:
    """Return the transfers of which the plan leaves alone approved days that nobody loads, or an approved
    cancel of what is still active.
    """
    planned_too = {one for action in surveyed.plan.actions for one in action.cancels}
    records = surveyed.situation.document.backfills
    left = (records[one] for _team, one in approval.cancels if one in records and one not in planned_too)
    found = {one.transfer_id for one in left if is_active(one.seen)}
    for ledger in surveyed.situation.ledgers:
        address = ledger.transfer.address
        planned = union(one.days for one in surveyed.plan.actions if one.address == address)
        taken_up = planned | ledger.days(Bucket.IN_FLIGHT) | ledger.days(Bucket.COVERED)
        if approval.days.get(address, EMPTY) - taken_up:
            found.add(address.transfer_id)
    return found


def _what_is_left(team: DesiredTeam, made: int) -> Limits:
    allowed = team.limits.max_creates_per_apply
    return (
        team.limits if allowed is None else replace(team.limits, max_creates_per_apply=max(0, allowed - made))
    )
