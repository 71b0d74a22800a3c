"""*Plan* and *apply* over the teams of the files. Read this first.

    observe:  read the state → read the API, deeper where something is due       (writes nothing)
    plan:     decide                                                             (pure)
    apply:    lock → read the state → survey → commit what was learned → plan → (ask; again, if the
              yes took long and something changed) → carry out, transfers in parallel → sum up

Nothing here prints or reads the environment. What happens is told to ``on_event``, from any thread;
``confirm`` is asked before anything is written to the API. The teams are independent of each other;
``team.py`` has the run of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from reconciler.api.client import Verbose
from reconciler.bounds import SHOWN_WITHIN
from reconciler.engine import agreement
from reconciler.engine.agreement import Part
from reconciler.engine.clock import Clock
from reconciler.engine.emergency import unsaved_of
from reconciler.engine.parts import EmbeddedApi, Keys, Parts, States
from reconciler.engine.report import TeamReport
from reconciler.engine.results import Gathered, Report, Situations, TeamsPlan, Terms, joined_plan, plan
from reconciler.engine.stop import Interrupts
from reconciler.engine.team import RunSettings, Surveyed, TeamRun
from reconciler.errors import Exit, ReconcilerError, StateError
from reconciler.events import AppliedBefore, Doing, LeftUndone, LockAwaited, Planned, RunEvent, Started
from reconciler.model.desired import Desired, DesiredTeam
from reconciler.model.memory import Applied
from reconciler.planning.approval import acts_alike
from reconciler.planning.plan import Item, Options, Plan
from reconciler.stores.base import LockInfo, this_process

T = TypeVar("T")


# --- plan ---------------------------------------------------------------------------------


def observe(
    desired: Desired,
    *,
    api: str | EmbeddedApi,
    key: Keys = None,
    state: States = None,
    settings: RunSettings | None = None,
    interrupts: Interrupts | None = None,
    verbose: Verbose | None = None,
    on_event: Callable[[RunEvent], None] = lambda event: None,
) -> Situations:
    """Read what plans need, writing nothing: neither to the API nor to the state.

    A team that cannot be read is a finding. Raises ``UsageError`` for a state of no known kind, and
    ``Interrupted``.
    """
    parts = Parts(api, key, state, interrupts or Interrupts(), verbose)
    chosen = settings or RunSettings()
    teams = Gathered(parts.interrupts)
    situations = teams.each(desired.teams, lambda team: parts.team_run(team, chosen, on_event).look())
    return Situations(
        parts.api_url,
        parts.clock().now(),
        tuple(situations),
        tuple(teams.findings),
        frozenset(teams.statuses),
        Options(desired.target, desired.exclude, desired.config),
    )


# --- apply --------------------------------------------------------------------------------


def apply(
    desired: Desired,
    *,
    api: str | EmbeddedApi,
    key: Keys = None,
    state: States = None,
    approved: Plan | None = None,
    terms: Terms | None = None,
    settings: RunSettings | None = None,
    interrupts: Interrupts | None = None,
    verbose: Verbose | None = None,
    confirm: Callable[[Plan], bool],
    on_event: Callable[[RunEvent], None] = lambda event: None,
) -> Report:
    """Create what is missing, and only that. ``confirm`` is not asked where a plan was approved before.

    ``approved`` is short for ``Terms(approved)``. Raises ``Refused``, ``StateLocked``, ``KeyProblem``,
    ``UsageError``, ``Interrupted`` and what else ends a run before anything is written to the API; what
    happens after that is in the report.
    """
    parts = Parts(api, key, state, interrupts or Interrupts(), verbose)
    chosen = settings or RunSettings()
    runs = [parts.team_run(team, chosen, on_event) for team in desired.teams]
    options = Options(desired.target, desired.exclude, desired.config)
    return Apply(
        runs,
        terms or Terms(approved),
        chosen,
        parts.clock(),
        parts.interrupts,
        confirm,
        on_event,
        options,
    ).run()


def _finish(run: TeamRun) -> None:
    """Let the lock file say what is committed, however a run ends. What hinders that is no news by then."""
    with suppress(ReconcilerError):
        run.store.finish()


def _waits(run: TeamRun) -> Callable[[LockInfo | None], None]:
    """Return what tells that a team's lock is waited for, and who has it."""
    team_id = run.team.team_id

    def waits(holder: LockInfo | None) -> None:
        run.on_event(Doing(f"lock {team_id}", LockAwaited(team_id, str(holder) if holder else "")))

    return waits


@contextmanager
def locked(runs: Sequence[TeamRun], settings: RunSettings, operation: str) -> Iterator[None]:
    """Hold the lock of each team's state, in their order, or none if so told. Raises ``StateLocked``."""
    with ExitStack() as stack:
        for run in runs:
            stack.callback(run.store.close)
            if settings.lock:
                info = this_process(operation, run.clock.now())
                stack.enter_context(run.store.lock(info, settings.lock_timeout.total_seconds(), _waits(run)))
                run.on_event(Doing(f"lock {run.team.team_id}"))
            stack.callback(_finish, run)  # while the lock is ours
        yield


def _held(plan: TeamsPlan, reports: Iterable[TeamReport]) -> frozenset[int]:
    return plan.statuses.union(*(report.statuses for report in reports))


@dataclass(slots=True)
class Apply:
    """One apply over all teams of the files, on parts that are made already."""

    runs: Sequence[TeamRun]
    terms: Terms
    settings: RunSettings
    clock: Clock
    interrupts: Interrupts
    confirm: Callable[[Plan], bool]
    on_event: Callable[[RunEvent], None]
    options: Options = field(default_factory=Options)
    _parts: dict[int, Part] = field(default_factory=dict)
    _unopened: dict[int, StateError] = field(default_factory=dict)

    def run(self) -> Report:
        """Lock, plan, ask, do. For what is raised see ``apply``."""
        with locked(self.runs, self.settings, "apply"):
            self._open()
            agreement.approve(self.terms, self._parts, self.clock.now())
            before = agreement.find_applied(self.terms, self._parts)
            return self._apply() if before is None else self._leave_alone(before)

    def _open(self) -> None:
        """Read each team's state. One that cannot be used stops its team alone, where that makes a plan; a
        saved plan is of all its teams.
        """
        for run in self.runs:
            try:
                self._parts[run.team.team_id] = Part(run, run.open())
            except StateError as error:
                if self.terms.approved is not None or len(self.runs) == 1:
                    raise
                self._unopened[run.team.team_id] = error

    def _apply(self) -> Report:
        agreement.check_files(self.terms, self._parts)
        plan = self._agreed()
        if plan is None:
            return Report((), frozenset({Exit.ERROR}), declined=True)
        if self._is_too_little(plan):
            reports = tuple(part.run.left_alone(part.session) for part in self._parts.values())
            return Report(reports, _held(plan, reports), unplanned=True)
        undone = self._tell_undone()
        if plan.actions:
            agreement.note_override(self.terms, self.terms.approved or plan, self._parts, plan)
            self.on_event(Started(plan))
        holes = self._holes()
        reports = self._carry_out(plan)
        partly = {Exit.PARTLY} if holes or undone else set()
        return Report(
            reports, _held(plan, reports) | partly, unplanned=plan.errored, holes=holes, undone=undone
        )

    def _leave_alone(self, before: Applied) -> Report:
        """Say that all was done; of a saved plan also what is due since then, which is for the next one."""
        self.on_event(AppliedBefore(before))
        if self.terms.approved is None:
            return Report((), frozenset())
        agreement.withhold_all(self._parts)
        plan = self._plan(compared=False)
        self.on_event(Planned(plan))
        holes = self._holes()
        statuses = plan.statuses | ({Exit.PARTLY} if holes else set())
        return Report((), statuses, unplanned=plan.errored, holes=holes)

    def _holes(self) -> tuple[Item, ...]:
        return tuple(item for seen in self._surveyed() for item in seen.holes)

    # -- before anything is written --------------------------------------------------------

    def _agreed(self) -> TeamsPlan | None:
        """Plan, show, and ask, until a yes is young and is to what would be done; ``None`` for a no."""
        began, plan = self.clock.mark(), self._plan()
        self._show(plan)
        while plan.actions and not self._is_too_little(plan):
            if not self._is_approved(plan):
                return None
            if self.clock.since(began) <= SHOWN_WITHIN:
                break
            began, shown, plan = self.clock.mark(), plan, self._plan()
            if acts_alike(shown, plan) and not plan.guarded:
                break
            self._show(plan, again=True)
        return plan

    def _show(self, plan: TeamsPlan, *, again: bool = False) -> None:
        self.on_event(Planned(plan, again))
        agreement.refuse_guarded(plan)

    def _is_too_little(self, plan: TeamsPlan) -> bool:
        """Tell whether a team is missing where only a whole plan can be the one that was approved."""
        return plan.errored and self.terms.compares

    def _plan(self, *, compared: bool = True) -> TeamsPlan:
        teams = Gathered(self.interrupts)
        surveyed = teams.each([run.team for run in self.runs], self._survey)
        api_url = self.runs[0].blank.api_url if self.runs else ""
        situations = Situations(
            api_url,
            self.clock.now(),
            tuple(seen.situation for seen in surveyed),
            tuple(teams.findings),
            frozenset(teams.statuses),
            self.options,
        )
        if compared and self.terms.compares and not teams.findings:
            agreement.compare(self.terms, plan(situations))
        return joined_plan(situations, agreement.lifted(surveyed, self.terms), self.terms)

    def _survey(self, team: DesiredTeam) -> Surveyed:
        if team.team_id in self._unopened:
            raise self._unopened[team.team_id]
        part = self._parts[team.team_id]
        part.surveyed = None  # of an earlier look, if this one fails
        part.surveyed = part.run.survey(part.session, part.approval)
        return part.surveyed

    def _surveyed(self) -> list[Surveyed]:
        return [part.surveyed for part in self._parts.values() if part.surveyed is not None]

    def _tell_undone(self) -> tuple[LeftUndone, ...]:
        """Tell, and return, what a saved plan was to do and nobody has, will, or may under it."""
        saved = self.terms.approved
        if saved is None:
            return ()
        undone = tuple(event for seen in self._surveyed() for event in agreement.undone(saved, seen))
        for event in undone:
            self.on_event(event)
        return undone

    def _is_approved(self, plan: Plan) -> bool:
        return self.terms.approved is not None or self.terms.expect is not None or self.confirm(plan)

    # -- doing it ----------------------------------------------------------------------------

    def _carry_out(self, plan: Plan) -> tuple[TeamReport, ...]:
        with self.interrupts.only_noted():
            reports = tuple(self._carry_out_team(part, part.surveyed) for part in self._parts.values())
            agreement.note_applied(self.terms.approved or plan, self._parts, reports)
        return reports

    def _carry_out_team(self, part: Part, surveyed: Surveyed | None) -> TeamReport:
        """Do one team's plan. What could not be saved in its state is told, whatever happens."""
        if surveyed is None:
            return part.run.left_alone(part.session)
        holds_lock = part.run.store.holds_lock if self.settings.lock else lambda: True
        try:
            return part.run.carry_out(part.session, surveyed, self.interrupts.signal, holds_lock)
        finally:
            unsaved = unsaved_of(part.session)
            if unsaved is not None:
                self.on_event(unsaved)
