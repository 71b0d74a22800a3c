"""Planning all teams of the files: what ``plan``, ``status`` and ``demo`` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.cli.arguments import Wiring
from reconciler.cli.options import Common
from reconciler.cli.terminal import err, paint_for
from reconciler.diagnostics import Finding, Severity
from reconciler.engine.team import Settings
from reconciler.errors import Interrupted, ReconcilerError, UsageError, worst
from reconciler.model.desired import DesiredTeam
from reconciler.planning.plan import Options, Plan, TeamPlan, all_findings
from reconciler.render.findings import findings_text


@dataclass(slots=True)
class Planned:
    """The plan of all teams; ``statuses`` are the exit statuses of those that could not be planned."""

    plan: Plan
    statuses: set[int] = field(default_factory=set)

    @property
    def status(self) -> int:
        return worst(self.statuses)


def plan_teams(common: Common, wiring: Wiring, teams: Iterable[DesiredTeam], settings: Settings) -> Planned:
    """Plan each team. One that cannot be planned is a finding of the plan, which is then ``errored``."""
    return gather(common, wiring, teams, lambda team: wiring.team_run(team, settings).plan().plan)


def gather(
    common: Common, wiring: Wiring, teams: Iterable[DesiredTeam], plan_one: Callable[[DesiredTeam], TeamPlan]
) -> Planned:
    """Join the plans that ``plan_one`` makes into one document."""
    made: list[TeamPlan] = []
    findings: list[Finding] = []
    statuses: set[int] = set()
    for team in teams:
        try:
            made.append(plan_one(team))
        except (Interrupted, UsageError):
            raise
        except ReconcilerError as error:
            if wiring.signals.switch.signum is not None:  # a read gave up because of it
                raise Interrupted(wiring.signals.switch.signum) from None
            statuses.add(error.exit_status)
            findings.append(_finding(team, error))
    return Planned(joined(common, wiring, made, tuple(findings)), statuses)


def joined(
    common: Common, wiring: Wiring, teams: Iterable[TeamPlan], findings: tuple[Finding, ...] = ()
) -> Plan:
    return Plan(
        api_url=wiring.api_url,
        created_at=_whole_second(datetime.now(UTC)),
        teams=tuple(teams),
        options=Options(common.target, common.exclude),
        diagnostics=findings,
        errored=bool(findings),
    )


def _whole_second(moment: datetime) -> datetime:
    """Return the next whole second: what was intended before the plan must not count as later."""
    return (moment + timedelta(microseconds=999_999)).replace(microsecond=0)


def _finding(team: DesiredTeam, error: ReconcilerError) -> Finding:
    detail = f"Team {team.team_id} could not be planned. {error.detail}".rstrip()
    return Finding(error.code, Severity.ERROR, error.summary, detail, error.hint)


def show_diagnostics(plan: Plan, common: Common) -> None:
    """Print the findings of a plan to stderr."""
    findings = all_findings(plan)
    if findings:
        err(findings_text(findings, paint_for(common.color, sys.stderr), lambda place: None))
        err("")
