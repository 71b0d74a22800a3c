"""Guards: a plan that would do more than a file allows is refused as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.diagnostics import Finding, Severity
from reconciler.model.desired import DesiredTeam, Guards
from reconciler.model.observed import Observed, Run, RunStatus, Unreadable
from reconciler.planning.plan import Action, ActionKind

TRIPPED = "PL001"
NO_HISTORY = "PL002"


@dataclass(frozen=True, slots=True)
class _Measured:
    days: int
    rows: float
    without_history: tuple[str, ...]


def check_guards(team: DesiredTeam, actions: Iterable[Action], observed: Observed) -> tuple[Finding, ...]:
    """Return an error for each guard that the planned days exceed, and a warning where rows
    cannot be estimated. Measured after the limits: only what would be done now counts.
    """
    doing = [action for action in actions if action.kind is not ActionKind.CANCEL]
    rates = {
        one: rows_per_day(runs) for one, runs in observed.runs.items() if not isinstance(runs, Unreadable)
    }
    found = _check(f"team {team.team_id}", team.guards, _measure(doing, rates))
    for owner, guards in sorted(team.guards.owners.items()):
        owned = [action for action in doing if action.owner == owner]
        found += _check(f"owner {owner}", guards, _measure(owned, rates))
    return tuple(found)


def rows_per_day(runs: Iterable[Run]) -> float | None:
    """Return the mean rows of a completed run (one day each), or ``None`` without history."""
    rows = [run.rows for run in runs if run.status is RunStatus.COMPLETED and run.rows is not None]
    return sum(rows) / len(rows) if rows else None


def _measure(actions: list[Action], rates: Mapping[int, float | None]) -> _Measured:
    days, rows, blind = 0, 0.0, set()
    for action in actions:
        length = action.end - action.start
        rate = rates.get(action.address.transfer_id)
        days += length
        rows += length * (rate or 0.0)
        if rate is None:
            blind.add(action.transfer)
    return _Measured(days, rows, tuple(sorted(blind)))


def _check(whose: str, guards: Guards, measured: _Measured) -> list[Finding]:
    found = []
    if guards.max_days_per_apply is not None and measured.days > guards.max_days_per_apply:
        found.append(_tripped(whose, "max_days_per_apply", guards.max_days_per_apply, measured.days, "days"))
    if guards.max_rows_per_apply is not None:
        if measured.rows > guards.max_rows_per_apply:
            rows = round(measured.rows)
            found.append(
                _tripped(whose, "max_rows_per_apply", guards.max_rows_per_apply, rows, "estimated rows")
            )
        if measured.without_history:
            found.append(_blind(whose, measured.without_history))
    return found


def _tripped(whose: str, guard: str, allowed: int, planned: int, unit: str) -> Finding:
    return Finding(
        TRIPPED,
        Severity.ERROR,
        "A guard refuses this plan",
        f"The plan for {whose} has {planned} {unit}; guards.{guard} allows {allowed}.",
        "Raise the guard in the file, narrow the plan with --target, or spread it with limits.",
    )


def _blind(whose: str, names: tuple[str, ...]) -> Finding:
    return Finding(
        NO_HISTORY,
        Severity.WARNING,
        "Rows cannot be estimated",
        f"No completed run shows the rows per day of {', '.join(names)} ({whose}); they count as 0 rows.",
        "Watch the row quota during this apply, or limit it with guards.max_days_per_apply.",
    )
