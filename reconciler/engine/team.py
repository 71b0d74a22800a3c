"""One team's run: read, plan, carry out, sum up.

``run.py`` has the run over all teams; each has a ``TeamRun``, and they are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.api.client import ApiClient
from reconciler.bounds import DEFAULT_SETTLE, MAX_WAIT
from reconciler.dates import grouped
from reconciler.engine.clock import Clock
from reconciler.engine.effects import Ending
from reconciler.engine.executor import Executor, drive_all
from reconciler.engine.freshness import Freshness
from reconciler.engine.observe import Reader
from reconciler.engine.report import TeamReport
from reconciler.engine.rules import Rules
from reconciler.engine.session import StateSession
from reconciler.engine.stop import StopSignal
from reconciler.engine.transfer import TransferApply
from reconciler.engine.warnings import in_doubt, statuses, warnings
from reconciler.errors import Exit, Interrupted, ReconcilerError, StateConflict, StateError
from reconciler.events import RunEvent, Settled, UnknownOutcome
from reconciler.model.deltas import apply_deltas
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import Document, Intent, Outcome
from reconciler.model.observed import ApiError
from reconciler.planning.approval import Approval, Approvals
from reconciler.planning.intents import is_settled, unresolved
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Action, Item, TeamPlan
from reconciler.planning.planner import make_plan
from reconciler.planning.resolution import settles_at
from reconciler.planning.situation import Situation, weigh
from reconciler.stores.base import StateStore
from reconciler.stores.holders import is_at_work

MAX_SURVEYS = 20
_HELD = (Bucket.BLOCKED, Bucket.FAILED)


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
    """A plan, and the situation it was made from. ``read_at``: when its reading began, by a clock that only
    passes, in seconds.
    """

    plan: TeamPlan
    situation: Situation
    read_at: float

    @property
    def holes(self) -> tuple[Item, ...]:
        """The days that stay failed or blocked, and are not healthy: a hole must page somebody."""
        found = {ledger.transfer.address: ledger.holes for ledger in self.situation.ledgers}
        return tuple(
            item for item in self.plan.items if item.bucket in _HELD and item.days & found[item.address]
        )


def team_plan(situation: Situation, approval: Approval | None = None) -> TeamPlan:
    """Return what to do for a team, with what there is reason to warn of. Pure."""
    plan = make_plan(situation, approval)
    diagnostics = (*plan.diagnostics, *warnings(situation))
    return replace(plan, diagnostics=diagnostics, statuses=statuses(situation))


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
    on_event: Callable[[RunEvent], None] = lambda event: None
    saving: Callable[[], AbstractContextManager[None]] = nullcontext
    key_hash: str = ""

    # -- plan ------------------------------------------------------------------------------

    def look(self) -> Situation:
        """Read what a plan needs, and write nothing. The state is read last, once more: what another run made
        meanwhile is no stranger's then. Where a create is in doubt, who is at work on the state is, too.
        """
        document, revision = self.store.read()
        situation = self._read(document or self.blank)
        again, later = self.store.read()
        if again is not None and later != revision:
            situation = weigh(self.team, again, situation.observed, situation.now, situation.settle)
        return replace(situation, run=self._run_at_work()) if situation.resolution.unresolved else situation

    def _run_at_work(self) -> str:
        """Return who holds the lock, "" if nobody does; not to see it is no reason to plan nothing."""
        with suppress(StateError):
            holder = self.store.holder()
            if holder is not None and is_at_work(holder, self.clock.now()):
                return str(holder)
        return ""

    def plan(self, approval: Approval | None = None) -> Surveyed:
        """Return what apply would do."""
        read_at = self.clock.elapsed()
        situation = self.look()
        return Surveyed(team_plan(situation, approval), situation, read_at)

    def _read(self, document: Document) -> Situation:
        """Survey. An error says besides what is unknown by the state: it is so all the same."""
        try:
            return self._reader().survey(self.team, document)
        except ReconcilerError as error:
            terms = self.clock.now(), self.settings.settle, self.team.on_unknown
            error.besides = tuple(in_doubt(unresolved(document), *terms))
            raise

    def _reader(self) -> Reader:
        workers = self.settings.parallelism
        client, clock = self.client, self.clock
        settle, key_hash = self.settings.settle, self.key_hash
        return Reader(client, clock.now, settle, workers, key_hash, clock.elapsed, self.on_event)

    # -- apply -----------------------------------------------------------------------------

    def weighed(self, session: StateSession) -> Situation:
        """Read what a plan needs, on the state of a session. Nothing is written."""
        return self._read(session.document)

    def open(self) -> StateSession:
        """Read the state for an apply. The lock is the caller's."""
        return StateSession.open(self.store, self.blank)

    def survey(self, session: StateSession, approval: Approvals = None) -> Surveyed:
        """Survey, plan, and commit what was learned. Again while other runs commit first."""
        for _attempt in range(MAX_SURVEYS):
            session.plan_from_here()
            read_at = self.clock.elapsed()
            situation = self.weighed(session)
            allowed = approval(situation.document) if callable(approval) else approval
            plan = team_plan(situation, allowed)
            with self.saving():
                committed = session.commit_alone(situation.delta)
            if committed:
                session.plan_from_here()
                self._tell_settled(situation)
                document = session.document
                plan = replace(plan, lineage=document.lineage, serial=document.serial)
                return Surveyed(plan, replace(situation, document=document), read_at)
        raise StateConflict("The state keeps changing", "Other runs keep committing.", "Run again later.")

    def _tell_settled(self, situation: Situation) -> None:
        resolution = situation.resolution
        for intent in (*resolution.adopted, *resolution.abandoned):
            self.on_event(Settled(intent, self.team.team_id))

    def carry_out(
        self,
        session: StateSession,
        surveyed: Surveyed,
        whole_run: StopSignal,
        holds_lock: Callable[[], bool],
    ) -> TeamReport:
        """Do the plan. What others changed meanwhile is withdrawn: the next run reads everything afresh."""
        report = TeamReport(self.team.team_id)
        signal = StopSignal(parent=whole_run)
        executor = Executor(self.client, session, self.clock, signal, self._counting(report), holds_lock)
        transfers = self._transfers(surveyed, session)
        endings = drive_all(transfers, executor, self.settings.parallelism) if transfers else {}
        if session.broken is None:
            with signal.stopping():
                self.store.finish()
        report.adopted += len(surveyed.situation.resolution.adopted_creates)
        left = [one for transfer in transfers.values() for one in transfer.unfinished]
        unclear = {nonce: why for one in transfers.values() for nonce, why in one.unclear.items()}
        self._conclude(report, left, session, surveyed.situation, unclear)
        self._judge(report, endings, signal)
        return report

    def left_alone(self, session: StateSession) -> TeamReport:
        """Return the report of a team that could not be read: only what the state calls unknown is known."""
        report, now = TeamReport(self.team.team_id), self.clock.now()
        creates = [one for one in unresolved(session.document) if self._is_held_up_by(one, now)]
        report.doubts = [
            UnknownOutcome(one, self._settles_at(one, now), one.answer, self.team.team_id) for one in creates
        ]
        report.unknown = len(creates)
        report.statuses = {Exit.UNKNOWN} if creates else set()
        return report

    def _counting(self, report: TeamReport) -> Callable[[RunEvent], None]:
        def tell(event: RunEvent) -> None:
            report.count(event)
            self.on_event(event)

        return tell

    def _transfers(self, surveyed: Surveyed, session: StateSession) -> dict[int, TransferApply]:
        rules = Rules(
            self.settings.settle, self.team.on_unknown, self.settings.max_wait, self.team.as_of, self.key_hash
        )
        by_transfer_id = grouped(surveyed.plan.actions, lambda action: action.address.transfer_id)
        return {
            transfer_id: TransferApply(
                actions, self._freshness(transfer_id, surveyed), lambda: session.document, self.clock, rules
            )
            for transfer_id, actions in by_transfer_id.items()
        }

    def _freshness(self, transfer_id: int, surveyed: Surveyed) -> Freshness:
        transfers = surveyed.situation.team.transfers
        by_id = {transfer.address.transfer_id: transfer.source_ids for transfer in transfers}
        sources = by_id.get(transfer_id, (transfer_id,))
        records = surveyed.situation.document.backfills.values()
        return Freshness.of(
            surveyed.situation.observed,
            sources,
            surveyed.read_at,
            [record for record in records if record.transfer_id in sources],
            self.settings.settle,
        )

    def _conclude(
        self,
        report: TeamReport,
        left: Iterable[tuple[Action, ApiError | None]],
        session: StateSession,
        situation: Situation,
        unclear: Mapping[str, str],
    ) -> None:
        """Say what is unknown, and what was not sent, also where the state could not take it."""
        document = apply_deltas(session.document, tuple(session.unsaved))
        vendor_now = situation.observed.vendor_least
        ours = (one for one in unresolved(document) if not session.is_anothers(one))
        creates = [one for one in ours if self._is_held_up_by(one, vendor_now)]
        told = {one.intent.nonce: one for one in report.doubts}
        before = {intent.nonce for intent in situation.resolution.unresolved}
        for intent in creates:
            if intent.nonce not in told:
                at = self._settles_at(intent, vendor_now)
                so_far = f"{why}, and " if (why := unclear.get(intent.nonce)) else ""
                cut_off = (
                    "" if intent.nonce in before else f"{so_far}the run ended before its outcome was known"
                )
                told[intent.nonce] = UnknownOutcome(intent, at, intent.answer, self.team.team_id, cut_off)
                if intent.nonce not in before:  # its request was under way when the run was interrupted
                    self.on_event(told[intent.nonce])
        report.take_back(one.nonce for one in document.intents.values() if one.outcome is Outcome.WITHDRAWN)
        report.doubts = [told[intent.nonce] for intent in creates]
        report.unknown = len(creates)
        made = [one for delta in session.unsaved for one in delta.intents if one.outcome is Outcome.DONE]
        report.leave(left, (*creates, *made))
        report.count_unsaved(session.unsaved)

    def _judge(self, report: TeamReport, endings: dict[int, Ending], signal: StopSignal) -> None:
        """Say in the report which exit statuses hold."""
        report.errors = [error for error in signal.errors if not isinstance(error, Interrupted)]
        report.statuses = {error.exit_status for error in report.errors}
        if report.unknown:
            report.statuses.add(Exit.UNKNOWN)
        if report.refused or any(ending is not Ending.FINISHED for ending in endings.values()):
            report.statuses.add(Exit.PARTLY)
        if signal.interrupted:
            report.statuses.add(128 + _signum(signal))

    def _settles_at(self, intent: Intent, vendor_now: datetime) -> datetime | None:
        """Return from when a run settles it by itself; once settle time is over, only a person does."""
        settle = self.settings.settle
        over = is_settled(intent, self.clock.now(), vendor_now, settle)
        return None if over else settles_at(intent, settle, self.team.on_unknown)

    def _is_held_up_by(self, intent: Intent, vendor_now: datetime) -> bool:
        """Tell whether an unresolved create keeps days of the files, or may yet take effect elsewhere."""
        sources = {source for one in self.team.of_the_files for source in one.source_ids}
        settled = is_settled(intent, self.clock.now(), vendor_now, self.settings.settle)
        return not settled or not sources.isdisjoint(intent.source_ids)


def _signum(signal: StopSignal) -> int:
    root = signal if signal.signum is not None or signal.parent is None else signal.parent
    return root.signum or 2
