"""The status of the declared days, per transfer: buckets, percent, synced, healthy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.planning.plan import DayCounts, Plan, TransferSummary
from reconciler.render.words import BOLD, GREEN, RED, YELLOW, Paint

COLUMNS = (
    "declared",
    "covered",
    "in_flight",
    "planned",
    "waiting",
    "blocked",
    "failed",
    "deferred",
    "future",
)


def is_synced(counts: DayCounts) -> bool:
    """Nothing is left to do: nothing planned, deferred or waiting."""
    return not (counts.planned or counts.deferred or counts.waiting)


def is_healthy(counts: DayCounts) -> bool:
    """Nothing needs a person: nothing blocked or failed."""
    return not (counts.blocked or counts.failed)


def percent(counts: DayCounts) -> int:
    """Return the covered share of the declared days, rounded down so that 100 means all."""
    return 100 * counts.covered // counts.declared if counts.declared else 100


def status_json(plan: Plan) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "errored": plan.errored,
        "transfers": [_one(summary) for summary in _summaries(plan)],
        "total": _counts(plan.counts),
    }


def _one(summary: TransferSummary) -> dict[str, Any]:
    where = {"team_id": summary.address.team_id, "transfer_id": summary.address.transfer_id}
    return {**where, "transfer": summary.name, "owner": summary.owner, **_counts(summary.counts)}


def _counts(counts: DayCounts) -> dict[str, Any]:
    verdicts = {"percent": percent(counts), "synced": is_synced(counts), "healthy": is_healthy(counts)}
    return {"days": counts.as_dict(), **verdicts}


def _summaries(plan: Plan) -> Iterator[TransferSummary]:
    for team in plan.teams:
        yield from team.transfers


def status_text(plan: Plan, paint: Paint) -> str:
    """Return a table, one line per transfer and a total, with plain columns that tools can cut."""
    rows = [("transfer", *(name.replace("_", " ") for name in COLUMNS), "loaded", "synced", "healthy")]
    rows += [_row(one.name, one.counts) for one in _summaries(plan)]
    rows.append(_row("total", plan.counts))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    verdicts = [one.counts for one in _summaries(plan)] + [plan.counts]
    coloured = [paint(line, _colour(counts)) for line, counts in zip(lines[1:], verdicts, strict=True)]
    return "\n".join([paint(lines[0], BOLD), *coloured]) + "\n"


def _row(name: str, counts: DayCounts) -> tuple[str, ...]:
    numbers = (str(getattr(counts, column)) for column in COLUMNS)
    verdicts = ("yes" if is_synced(counts) else "no", "yes" if is_healthy(counts) else "no")
    return (name, *numbers, f"{percent(counts)}%", *verdicts)


def _line(row: Iterable[str], widths: list[int]) -> str:
    cells = list(row)
    first = cells[0].ljust(widths[0])
    return "  ".join([first, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))])


def _colour(counts: DayCounts) -> str:
    if not is_healthy(counts):
        return RED
    return GREEN if is_synced(counts) else YELLOW
