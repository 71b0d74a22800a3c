"""Guards: a plan that would do more than a file allows is refused as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.diagnostics import Finding, Severity
from reconciler.model.desired import DesiredTeam, Guards
from reconciler.model.observed import Observed, Run, RunStatus, Unreadable
from reconciler.planning.plan import Action, ActionKind

TRIPPED = "PL001"
NO_HISTORY = "PL002"


def check_guards(team: DesiredTeam, actions: Iterable[Action], observed: Observed) -> tuple[Finding, ...]:
    """Return an error for each guard that the planned days exceed, and a warning where rows
    cannot be estimated. Measured after the limits: only what would be done now counts.
    """
    doing = [action for action in actions if action.kind is not ActionKind.CANCEL]
    readable = {key: runs for key, runs in observed.runs.items() if not isinstance(runs, Unreadable)}
    rates = {transfer_id: rows_per_day(runs) for transfer_id, runs in readable.items()}
    whole = [(action, len(action.days)) for action in doing]
    found = [*_check(f"team {team.team_id}", team.guards, whole, rates)]
    for owner, guards in sorted(team.guards.owners.items()):
        owned = {one.address: one.owned_by(owner) for one in team.transfers}
        parts = [(action, len(action.days & owned[action.address])) for action in doing]
        found += _check(f"owner {owner}", guards, [part for part in parts if part[1]], rates)
    return tuple(found)


def rows_per_day(runs: Iterable[Run]) -> float | None:
    """Return the mean rows of a completed run (one day each), or ``None`` without history."""
    rows = [run.rows for run in runs if run.status is RunStatus.COMPLETED and run.rows is not None]
    return sum(rows) / len(rows) if rows else None


def _check(
    whose: str, guards: Guards, parts: list[tuple[Action, int]], rates: Mapping[int, float | None]
) -> Iterator[Finding]:
    """Check actions, each with how many of its days are counted."""
    measured = [(action, days, rates.get(action.address.transfer_id)) for action, days in parts]
    days = sum(length for _action, length, _rate in measured)
    rows = sum(length * rate for _action, length, rate in measured if rate is not None)
    blind = {action.transfer for action, _length, rate in measured if rate is None}
    if guards.max_days_per_apply is not None and days > guards.max_days_per_apply:
        yield _tripped(whose, "max_days_per_apply", guards.max_days_per_apply, days, "days")
    if guards.max_rows_per_apply is not None and rows > guards.max_rows_per_apply:
        yield _tripped(whose, "max_rows_per_apply", guards.max_rows_per_apply, round(rows), "estimated rows")
    if guards.max_rows_per_apply is not None and blind:
        yield _blind(whose, sorted(blind))


def _tripped(whose: str, guard: str, allowed: int, planned: int, unit: str) -> Finding:
    return Finding(
        TRIPPED,
        Severity.ERROR,
        "A guard refuses this plan",
        f"The plan for {whose} has {planned} {unit}; guards.{guard} allows {allowed}.",
        "Raise the guard in the file, narrow the plan with --target, or spread it with limits.",
    )


def _blind(whose: str, names: Iterable[str]) -> Finding:
    return Finding(
        NO_HISTORY,
        Severity.WARNING,
        "Rows cannot be estimated",
        f"No completed run shows the rows per day of {', '.join(names)} ({whose}); they count as 0 rows.",
        "Watch the row quota during this apply, or limit it with guards.max_days_per_apply.",
    )
