"""``apply``: plan, show, ask, do. A saved plan is a filter and needs no asking."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import Wiring, load_teams, warn_of_ci, with_selection
from reconciler.cli.locking import locked
from reconciler.cli.options import Common, Duration, shared
from reconciler.cli.planning import Planned, gather, joined, show_diagnostics
from reconciler.cli.progress import Reporter
from reconciler.cli.rescue import rescue
from reconciler.cli.show import load_plan
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import err, is_confirmed, out, paint_for, refuse_without_terminal
from reconciler.dates import DateSet
from reconciler.engine.team import Settings, Surveyed, TeamReport, TeamRun
from reconciler.errors import Exit, ReconcilerError, Refused, UsageError, status_of, worst
from reconciler.formats.planfile import digest
from reconciler.model.desired import Address
from reconciler.planning.approval import (
    Approval,
    approval_of,
    differences,
    misfits,
    planned_days,
    without_later_intents,
)
from reconciler.planning.plan import Action, Plan, TeamPlan, all_findings
from reconciler.planning.totals import left_undone, prunes_undone
from reconciler.render.text import plan_text

if TYPE_CHECKING:
    from reconciler.engine.session import StateSession
    from reconciler.model.desired import DesiredTeam

# A plan that was looked at for longer than this is made again before it is done.
FRESH = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of apply's own."""

    auto_approve: bool
    expect: str | None
    strict: bool
    plan_expiry: timedelta
    settings: Settings
    show_plan: bool = True


@click.command()
@click.argument("planfile", type=click.Path(path_type=Path), required=False)
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option(
    "--expect", metavar="sha256:...", help="Apply only if the fresh plan has this digest; no prompt."
)
@click.option(
    "--strict", is_flag=True, help="Refuse if the fresh plan differs from PLANFILE in any day or cancel."
)
@click.option(
    "--plan-expiry",
    type=Duration(),
    default="7d",
    metavar="DURATION",
    help="Refuse a PLANFILE older than this (7d).",
)
@click.option(
    "--parallelism", type=click.IntRange(1, 100), default=10, help="Transfers worked on at a time (10)."
)
@click.option(
    "--max-wait",
    type=Duration(),
    default="300s",
    metavar="DURATION",
    help="Wait at most this long for a rate limit (300s).",
)
@click.option(
    "--settle",
    type=Duration(),
    default="15m",
    metavar="DURATION",
    help="Time in which a create takes effect or never will (15m); below 3m it may be made twice.",
)
@click.option("--new-state", is_flag=True, help="There is no earlier state to find: begin a new one.")
@shared("files", "api", "state", "as_of", "select", "lock", "json", "output")
def apply(
    common: Common,
    planfile: Path | None,
    auto_approve: bool,
    expect: str | None,
    strict: bool,
    plan_expiry: timedelta,
    parallelism: int,
    max_wait: timedelta,
    settle: timedelta,
    new_state: bool,
) -> int:
    """Create the missing backfills. With PLANFILE, do only what that plan approved."""
    settings = Settings(settle, max_wait.total_seconds(), parallelism, new_state)
    flags = Flags(auto_approve, expect, strict, plan_expiry, settings)
    saved = load_plan(planfile) if planfile else None
    _check_usage(common, flags, saved)
    if saved is not None:
        common = with_selection(common, saved.options.target, saved.options.exclude)
    teams = load_teams(common)
    signals = Signals()
    with signals.caught():
        wiring = Wiring(common, signals)
        warn_of_ci(wiring, teams)
        return Applying(common, flags, signals, wiring, teams, saved).run()


def _check_usage(common: Common, flags: Flags, saved: Plan | None) -> None:
    if saved is not None and (common.target or common.exclude):
        detail = "A saved plan brings its own --target and --exclude."
        raise UsageError("The flags do not go together", detail, "Leave them out.")
    if flags.strict and saved is None:
        raise UsageError("The flags do not go together", "--strict compares with a PLANFILE.", "Name one.")
    if saved is not None and flags.expect is not None:
        raise UsageError(
            "The flags do not go together", "A PLANFILE has its digest in it.", "Leave --expect out."
        )
    if saved is None and flags.expect is None and not flags.auto_approve:
        if common.json:
            raise UsageError("Nobody can be asked", "--json does not ask.", "Add --auto-approve.")
        refuse_without_terminal("reconciler apply")


@dataclass(slots=True)
class Part:
    """One team's part of an apply, from the state it was read with to its report."""

    run: TeamRun
    session: StateSession
    approval: Approval | None = None
    surveyed: Surveyed | None = None


@dataclass(slots=True)
class Applying:
    """One apply over all teams of the files."""

    common: Common
    flags: Flags
    signals: Signals
    wiring: Wiring
    teams: tuple[DesiredTeam, ...]
    saved: Plan | None
    reporter: Reporter = field(init=False)

    def __post_init__(self) -> None:
        self.reporter = Reporter(self.common)

    def run(self) -> int:
        """Lock, plan, show, ask, do. Returns the exit status; with ``--json`` a summary is always last."""
        try:
            return self._run()
        except ReconcilerError as error:
            if self.common.json:
                self.reporter.summarise([], status_of(error))
            raise

    def _run(self) -> int:
        runs = [self.wiring.team_run(team, self.flags.settings, self.reporter.tell) for team in self.teams]
        with locked(self.common, runs, "apply"):
            parts = {run.team.team_id: Part(run, run.open()) for run in runs}
            self._check_fit(parts)
            planned = self._plan(parts)
            if self.saved is not None:
                planned.statuses.update(self._left_undone(parts, self.saved))
            self._show(planned)
            self._refuse(planned)
            if planned.plan.errored and (self.flags.strict or self.flags.expect is not None):
                return self._finish(planned, [])  # only a whole plan can be the expected one
            if not planned.plan.actions:
                return self._finish(planned, self._do(parts))
            if not self._approved(planned.plan):
                err("Nothing was done.")
                return Exit.ERROR  # 0 would say that the plan was carried out
            planned.statuses.update(self._freshen(parts, planned.plan))
            self.reporter.begin(planned.plan)
            try:
                reports = self._do(parts)
            finally:
                self.reporter.end()
            return self._finish(planned, reports)

    # -- before anything is written ----------------------------------------------------------

    def _check_fit(self, parts: dict[int, Part]) -> None:
        """Refuse a saved plan that does not fit, and turn one that does into the filter."""
        if self.saved is None:
            return
        documents = {team_id: part.session.document for team_id, part in parts.items()}
        self._let_it_pass(self.saved.created_at)
        faults = misfits(
            self.saved, self.wiring.api_url, documents, datetime.now(UTC), self.flags.plan_expiry
        )
        if faults:
            hint = "Make a new one with: reconciler plan --out plan.json"
            raise Refused("The plan file does not fit", " ".join(faults), hint)
        approved = approval_of(self.saved)
        for part in parts.values():
            part.approval = without_later_intents(approved, part.session.document, self.saved.created_at)

    def _let_it_pass(self, created_at: datetime) -> None:
        """Wait out the second to which a plan's time is rounded up, so that our intents are later than it."""
        left = (created_at - datetime.now(UTC)).total_seconds()
        if 0 <= left <= 1:
            self.signals.sleep(left + 0.001)

    def _left_undone(self, parts: dict[int, Part], plan: Plan) -> set[int]:
        """Tell what an approved plan was to do and nobody has, will, or may under it; status 3 then."""
        days: dict[Address, DateSet] = {}
        prunes: list[Action] = []
        for part in parts.values():
            if part.surveyed is not None:
                actions, seen = part.surveyed.plan.actions, part.surveyed.situation
                days.update(left_undone(plan, seen.document, seen.ledgers, planned_days(actions)))
                prunes += prunes_undone(plan, seen.document, seen.ledgers, actions)
        self.reporter.tell_undone(days, prunes)
        return {Exit.PARTLY} if days or prunes else set()

    def _plan(self, parts: dict[int, Part]) -> Planned:
        whole: list[TeamPlan] = []

        def survey(team: DesiredTeam) -> TeamPlan:
            part = parts[team.team_id]
            part.surveyed = part.run.survey(part.session, part.approval)
            whole.append(part.run.unfiltered(part.surveyed))
            return part.surveyed.plan

        planned = gather(self.common, self.wiring, self.teams, survey)
        if not planned.plan.errored:
            self._compare(joined(self.common, self.wiring, whole))
        return planned

    def _compare(self, fresh: Plan) -> None:
        """Raise ``Refused`` if the whole fresh plan is not the one that the flags ask for."""
        if self.flags.strict and self.saved is not None:
            changed = differences(self.saved, fresh)
            if changed:
                hint = "Review a new plan, or apply this one without --strict: it then acts as a filter."
                raise Refused("The plan has changed since it was made", f"{'; '.join(changed)}.", hint)
        if self.flags.expect is not None and digest(fresh) != self.flags.expect:
            detail = f"The fresh plan has the digest {digest(fresh)}."
            raise Refused("The plan is not the expected one", detail, "Review it: reconciler plan")

    def _show(self, planned: Planned) -> None:
        show_diagnostics(planned.plan, self.common)
        if self.common.json:
            self.reporter.tell_left_out(planned.plan)
        if self.common.json or not self.flags.show_plan:
            return
        out(plan_text(planned.plan, paint_for(self.common.color, sys.stdout)))

    def _refuse(self, planned: Planned) -> None:
        if planned.plan.guarded:
            tripped = [one for one in all_findings(planned.plan) if one.rule == "PL001"]
            raise Refused(
                "A guard refuses this plan", " ".join(one.detail for one in tripped), tripped[0].hint
            )

    def _approved(self, plan: Plan) -> bool:
        if self.saved is not None or self.flags.expect is not None or self.flags.auto_approve:
            return True
        return is_confirmed("Do you want to perform these actions?")

    def _freshen(self, parts: dict[int, Part], plan: Plan) -> set[int]:
        """Plan again, for no more than what was shown, if the person took their time. Returns the statuses
        that hold where something of it may not be done any more.
        """
        if datetime.now(UTC) - plan.created_at <= FRESH:
            return set()
        shown = approval_of(plan)
        for part in parts.values():
            if part.surveyed is not None:
                part.surveyed = part.run.survey(part.session, shown)
        return self._left_undone(parts, plan)

    # -- doing it ----------------------------------------------------------------------------

    def _do(self, parts: dict[int, Part]) -> list[TeamReport]:
        reports = []
        with self.signals.only_noted():
            for part in parts.values():
                if part.surveyed is None:
                    continue
                reports.append(self._carry_out(part, part.surveyed))
        return reports

    def _carry_out(self, part: Part, surveyed: Surveyed) -> TeamReport:
        """Do one team's plan. What could not be saved in its state is saved here, whatever happens."""
        holds = part.run.store.holds_lock if self.common.lock else lambda: True
        try:
            return part.run.carry_out(part.session, surveyed, self.signals.switch, holds)
        finally:
            rescue(part.session)

    def _finish(self, planned: Planned, reports: list[TeamReport]) -> int:
        statuses = {*planned.statuses, *(status for report in reports for status in report.statuses)}
        status = worst(statuses)
        self.reporter.summarise(reports, status)
        return status
