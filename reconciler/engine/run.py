"""*Plan* and *apply* over the teams of the files. Read this first.

    observe:  read the state → read the API, deeper where something is due       (writes nothing)
    plan:     decide                                                             (pure)
    apply:    lock → read the state → survey → commit what was learned → plan → (ask)
              → look again, if the yes took long → carry out, transfers in parallel → sum up

Nothing here prints or reads the environment. What happens is told to ``on_event``, from any thread;
``confirm`` is asked before anything is written to the API. The teams are independent of each other;
``team.py`` has the run of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from reconciler.api.client import Verbose
from reconciler.bounds import SHOWN_WITHIN
from reconciler.engine.clock import Clock
from reconciler.engine.emergency import unsaved_of
from reconciler.engine.parts import EmbeddedApi, Keys, Parts, States
from reconciler.engine.results import Gathered, Report, Situations, TeamsPlan, Terms, joined_plan, plan
from reconciler.engine.session import StateSession
from reconciler.engine.stop import Interrupts
from reconciler.engine.team import RunSettings, Surveyed, TeamReport, TeamRun
from reconciler.errors import Exit, Refused
from reconciler.events import LeftUndone, Planned, RunEvent, Started
from reconciler.formats.planfile import digest
from reconciler.model.desired import Desired, DesiredTeam
from reconciler.planning.approval import (
    Approval,
    approval_of,
    differences,
    misfits,
    planned_days,
    without_later_intents,
)
from reconciler.planning.guards import TRIPPED
from reconciler.planning.plan import Options, Plan, all_findings
from reconciler.planning.totals import left_undone, prunes_undone
from reconciler.stores.base import this_process

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
) -> Situations:
    """Read what plans need, writing nothing: neither to the API nor to the state.

    A team that cannot be read is a finding. Raises ``UsageError`` for a state of no known kind, and
    ``Interrupted``.
    """
    parts = Parts(api, key, state, interrupts or Interrupts(), verbose)
    chosen = settings or RunSettings()
    teams = Gathered(parts.interrupts)
    situations = teams.each(desired.teams, lambda team: parts.team_run(team, chosen).look())
    return Situations(
        parts.api_url,
        parts.clock().now(),
        tuple(situations),
        tuple(teams.findings),
        frozenset(teams.statuses),
        Options(desired.target, desired.exclude),
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
    options = Options(desired.target, desired.exclude)
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


@contextmanager
def locked(runs: Sequence[TeamRun], settings: RunSettings, operation: str) -> Iterator[None]:
    """Hold the lock of each team's state, in their order, or none if so told. Raises ``StateLocked``."""
    with ExitStack() as stack:
        for run in runs:
            stack.callback(run.store.close)
            if settings.lock:
                info = this_process(operation, run.clock.now())
                stack.enter_context(run.store.lock(info, settings.lock_timeout.total_seconds()))
        yield


@dataclass(slots=True)
class _Part:
    """One team's part of an apply, from the state it was read with to its report."""

    run: TeamRun
    session: StateSession
    approval: Approval | None = None
    surveyed: Surveyed | None = None


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
    _parts: dict[int, _Part] = field(default_factory=dict)

    def run(self) -> Report:
        """Lock, plan, ask, do. For what is raised see ``apply``."""
        with locked(self.runs, self.settings, "apply"):
            self._parts = {run.team.team_id: _Part(run, run.open()) for run in self.runs}
            self._check_fit()
            plan = self._plan()
            statuses = set(plan.statuses)
            if self.terms.approved is not None:
                statuses |= self._tell_undone(self.terms.approved)
            self.on_event(Planned(plan))
            _refuse_guarded(plan)
            if plan.errored and self.terms.compares:
                return Report((), frozenset(statuses))  # only a whole plan can be the expected one
            if plan.actions:
                if not self._is_approved(plan):
                    return Report((), frozenset({Exit.ERROR}), declined=True)
                statuses |= self._look_again(plan)
                self.on_event(Started(plan))
            return self._carry_out(statuses | self._holes())

    # -- before anything is written --------------------------------------------------------

    def _check_fit(self) -> None:
        """Refuse a saved plan that does not fit, and turn one that does into the filter."""
        saved = self.terms.approved
        if saved is None:
            return
        documents = {team_id: part.session.document for team_id, part in self._parts.items()}
        self._let_it_pass(saved.created_at)
        api_url = self.runs[0].blank.api_url if self.runs else saved.api_url
        faults = misfits(saved, api_url, documents, self.clock.now(), self.terms.expiry)
        if faults:
            hint = "Make a new one with: reconciler plan --out plan.json"
            raise Refused("The plan file cannot be applied", " ".join(faults), hint)
        approved = approval_of(saved)
        for part in self._parts.values():
            part.approval = without_later_intents(approved, part.session.document, saved.created_at)

    def _let_it_pass(self, created_at: datetime) -> None:
        """Wait out the second to which a plan's time is rounded up, so that our intents are later than it."""
        left = (created_at - self.clock.now()).total_seconds()
        if 0 <= left <= 1:
            self.interrupts.sleep(left + 0.001)

    def _plan(self) -> TeamsPlan:
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
        if self.terms.compares and not teams.findings:
            _compare(self.terms, plan(situations))
        return joined_plan(situations, [seen.plan for seen in surveyed])

    def _survey(self, team: DesiredTeam) -> Surveyed:
        part = self._parts[team.team_id]
        part.surveyed = part.run.survey(part.session, part.approval)
        return part.surveyed

    def _tell_undone(self, approved: Plan) -> set[int]:
        """Tell what an approved plan was to do and nobody has, will, or may under it; status 3 then."""
        undone = False
        for surveyed in (part.surveyed for part in self._parts.values() if part.surveyed is not None):
            for event in _undone(approved, surveyed):
                undone = True
                self.on_event(event)
        return {Exit.PARTLY} if undone else set()

    def _is_approved(self, plan: Plan) -> bool:
        return self.terms.approved is not None or self.terms.expect is not None or self.confirm(plan)

    def _look_again(self, plan: Plan) -> set[int]:
        """Plan again, for no more than what was shown, if the person took their time. Returns the statuses
        that hold where something of it may not be done any more.
        """
        if self.clock.now() - plan.created_at <= SHOWN_WITHIN:
            return set()
        shown = approval_of(plan)
        for part in self._parts.values():
            if part.surveyed is not None:
                part.surveyed = part.run.survey(part.session, shown)
        return self._tell_undone(plan)

    def _holes(self) -> set[int]:
        """Return status 3 if days stay failed or blocked: a hole in a report must page somebody."""
        surveyed = [part.surveyed for part in self._parts.values() if part.surveyed is not None]
        holes = any(ledger.holes for seen in surveyed for ledger in seen.situation.ledgers)
        return {Exit.PARTLY} if holes else set()

    # -- doing it ----------------------------------------------------------------------------

    def _carry_out(self, statuses: set[int]) -> Report:
        with self.interrupts.only_noted():
            reports = tuple(
                self._carry_out_team(part, part.surveyed)
                for part in self._parts.values()
                if part.surveyed is not None
            )
        return Report(reports, frozenset(statuses.union(*(report.statuses for report in reports))))

    def _carry_out_team(self, part: _Part, surveyed: Surveyed) -> TeamReport:
        """Do one team's plan. What could not be saved in its state is told, whatever happens."""
        holds_lock = part.run.store.holds_lock if self.settings.lock else lambda: True
        try:
            return part.run.carry_out(part.session, surveyed, self.interrupts.signal, holds_lock)
        finally:
            unsaved = unsaved_of(part.session)
            if unsaved is not None:
                self.on_event(unsaved)


def _undone(approved: Plan, surveyed: Surveyed) -> Iterator[LeftUndone]:
    actions, seen = surveyed.plan.actions, surveyed.situation
    left = left_undone(approved, seen.document, seen.ledgers, planned_days(actions))
    for address, days in sorted(left.items()):
        yield from (LeftUndone(address, start, end) for start, end in days.intervals)
    for prune in prunes_undone(approved, seen.document, seen.ledgers, actions):
        yield LeftUndone(prune.address, prune.start, prune.end, prune.cancels)


def _compare(terms: Terms, fresh: Plan) -> None:
    """Raise ``Refused`` if the whole fresh plan is not the one that was approved or is expected."""
    if terms.strict and terms.approved is not None:
        changed = differences(terms.approved, fresh)
        if changed:
            hint = "Review a new plan, or apply this one without --strict: it then acts as a filter."
            raise Refused("The plan has changed since it was made", f"{'; '.join(changed)}.", hint)
    if terms.expect is not None and digest(fresh) != terms.expect:
        detail = f"The fresh plan has the digest {digest(fresh)}."
        raise Refused("The plan is not the expected one", detail, "Review it: reconciler plan")


def _refuse_guarded(plan: Plan) -> None:
    tripped = [finding for finding in all_findings(plan) if finding.rule == TRIPPED]
    if plan.guarded:
        detail = " ".join(finding.detail for finding in tripped)
        raise Refused("A guard refuses this plan", detail, tripped[0].hint)
