"""Guards: a plan that would do more than a file allows is refused as a whole. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from math import ceil
from typing import Any

from reconciler.dates import Day
from reconciler.diagnostics import Finding, Severity
from reconciler.model.desired import DesiredTeam, Guards
from reconciler.model.memory import Document
from reconciler.model.observed import UNTOLD, Observed, Run, RunStatus, Unreadable
from reconciler.planning.plan import Action, ActionKind, GuardUse, Plan, TeamPlan

TRIPPED = "PL001"
NO_HISTORY = "PL002"
OVERRIDDEN = "PL004"
DAYS_GUARD, ROWS_GUARD = GUARDS = ("max_days_per_apply", "max_rows_per_apply")
HISTORY = 31  # days before the first open one that rows are estimated from, too


def days_of_history(guards: Guards) -> int:
    """Return how many days before the first open one a run list is to be read for guards: where a history
    grows at its end, no day from there on has been loaded yet.
    """
    every = (guards, *guards.owners.values())
    return HISTORY if any(one.max_rows_per_apply is not None for one in every) else 0


def check_guards(
    team: DesiredTeam, actions: Iterable[Action], observed: Observed
) -> tuple[tuple[GuardUse, ...], tuple[Finding, ...]]:
    """Return how much of each guard is used; an error for each that the planned days exceed, and a warning
    where rows cannot be estimated. Measured after the limits: only what would be done now counts.
    """
    doing = [action for action in actions if action.kind is not ActionKind.CANCEL]
    readable = {key: runs for key, runs in observed.runs.items() if not isinstance(runs, Unreadable)}
    rates = {transfer_id: rows_per_day(runs) for transfer_id, runs in readable.items()}
    parts = [(action, len(action.days), rates.get(action.address.transfer_id)) for action in doing]
    checked = [(Measured(team.team_id, "", parts), team.guards)]
    for owner, guards in sorted(team.guards.owners.items()):
        owned = {one.address: one.owned_by(owner) for one in team.transfers}
        cut = [(action, len(action.days & owned[action.address]), rate) for action, _days, rate in parts]
        checked.append((Measured(team.team_id, owner, [part for part in cut if part[1]]), guards))
    uses = tuple(use for measured, guards in checked for use in measured.uses(guards))
    return uses, tuple(finding for measured, guards in checked for finding in measured.findings(guards))


def overridden(plan: TeamPlan, guards: Container[str]) -> TeamPlan:
    """Return a plan that these guards do not refuse; that they would is a warning in it."""
    lifted = [_tripped(use) for use in plan.guards if use.tripped and use.guard in guards]
    found = tuple(replace(one, **_LIFTED) if one in lifted else one for one in plan.diagnostics)
    return replace(plan, diagnostics=found, guarded=any(one.severity is Severity.ERROR for one in found))


def tripped_guards(plan: Plan) -> tuple[str, ...]:
    """Return the guards that would refuse a plan, overridden or not, in the order of ``GUARDS``."""
    tripped = {use.guard for team in plan.teams for use in team.guards if use.tripped}
    return tuple(guard for guard in GUARDS if guard in tripped)


def let_pass(team: TeamPlan, told: str) -> TeamPlan:
    """Return a plan whose refusals by a guard end with what else is possible."""
    found = (replace(one, hint=f"{one.hint} {told}") if refuses(one) else one for one in team.diagnostics)
    return replace(team, diagnostics=tuple(found))


def refuses(finding: Finding) -> bool:
    """Tell whether a finding is a guard that refuses its plan."""
    return finding.rule == TRIPPED and finding.severity is Severity.ERROR


def overrides_told(document: Document) -> Iterator[Finding]:
    """Yield what the next plan tells of guards that did not hold, until a later plan is applied in full."""
    for one in document.overrides.values():
        applies = document.applies.values()
        if any(later.serial > one.serial and later.digest != one.digest for later in applies):
            continue
        plan, run = one.digest.removeprefix("sha256:")[:12], f" ({one.run})" if one.run else ""
        detail = (
            f"{', '.join(one.guards)} did not hold for the plan {plan}, by {one.who} at "
            f"{one.when:%Y-%m-%d %H:%M} UTC{run}: {one.reason}"
        )
        hint = "It holds for this plan. Raise it in the file if it is too low."
        yield Finding(OVERRIDDEN, Severity.WARNING, "A guard was overridden", detail, hint)


_LIFTED: dict[str, Any] = {
    "severity": Severity.WARNING,
    "summary": "A guard is overridden",
    "hint": "This once: the next plan is refused again.",
}


def rows_per_day(runs: Iterable[Run]) -> float | None:
    """Return the mean rows of a day, or ``None`` without history. Of an hourly transfer one load of a day is
    many runs: those made on one date are added up. Of several loads of a day the largest counts.

        May 1 has 24 runs of 10 rows, made on May 2, and one of 50, made on May 9: 240 rows
    """
    loads: Counter[tuple[Day | str, date]] = Counter()
    for run in runs:
        if run.status is RunStatus.COMPLETED and run.rows is not None:
            alone = f"run {run.id}"
            day = alone if run.day is None or run.created_time == UNTOLD else run.day
            loads[day, run.created_time.date()] += run.rows
    most: dict[Day | str, int] = {}
    for (day, _made), rows in loads.items():
        most[day] = max(most.get(day, 0), rows)
    return sum(most.values()) / len(most) if most else None


@dataclass(frozen=True, slots=True)
class Measured:
    """The creates of a team, or of an owner: each with its days that count and their rows a day."""

    team_id: int
    owner: str
    parts: list[tuple[Action, int, float | None]]

    def uses(self, guards: Guards) -> Iterator[GuardUse]:
        days = sum(length for _action, length, _rate in self.parts)
        rows = sum(length * rate for _action, length, rate in self.parts if rate is not None)
        measures = (
            (DAYS_GUARD, guards.max_days_per_apply, days),
            (ROWS_GUARD, guards.max_rows_per_apply, ceil(rows)),
        )
        for guard, allowed, planned in measures:
            if allowed is not None:
                yield GuardUse(self.team_id, self.owner, guard, allowed, planned)

    def findings(self, guards: Guards) -> Iterator[Finding]:
        yield from (_tripped(use) for use in self.uses(guards) if use.tripped)
        blind = {action.transfer for action, _length, rate in self.parts if rate is None}
        if guards.max_rows_per_apply is not None and blind:
            yield _blind(_whose(self.team_id, self.owner), sorted(blind))


def _whose(team_id: int, owner: str) -> str:
    return f"owner {owner}" if owner else f"team {team_id}"


def _tripped(use: GuardUse) -> Finding:
    unit = "days" if use.guard == DAYS_GUARD else "estimated rows"
    whose = _whose(use.team_id, use.owner)
    return Finding(
        TRIPPED,
        Severity.ERROR,
        "A guard refuses this plan",
        f"The plan for {whose} has {use.planned} {unit}; guards.{use.guard} allows {use.allowed}.",
        "Raise the guard in the file, make a smaller plan, with --target say, or spread it with limits.",
    )


def _blind(whose: str, names: Iterable[str]) -> Finding:
    return Finding(
        NO_HISTORY,
        Severity.WARNING,
        "Rows cannot be estimated",
        f"No completed run that was read shows the rows per day of {', '.join(names)} ({whose}); "
        "they count as 0 rows.",
        "Watch the row quota during this apply, or limit it with guards.max_days_per_apply.",
    )
