"""The status of the declared days, per transfer: buckets, percent, synced, healthy."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.planning.plan import COUNTED, DayCounts, Plan
from reconciler.render.words import BOLD, GREEN, RED, YELLOW, Paint, worded


def status_text(plan: Plan, paint: Paint) -> str:
    """Return a table, one line per transfer and a total, with plain columns that tools can cut."""
    rows = [("transfer", "declared", *(worded(bucket) for bucket in COUNTED), "loaded", "synced", "healthy")]
    rows += [_row(one.name, one.counts) for one in plan.transfers]
    rows.append(_row("total", plan.counts))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    verdicts = [*(one.counts for one in plan.transfers), plan.counts]
    coloured = [paint(line, _colour(counts)) for line, counts in zip(lines[1:], verdicts, strict=True)]
    return "\n".join([paint(lines[0], BOLD), *coloured]) + "\n"


def _row(name: str, counts: DayCounts) -> tuple[str, ...]:
    numbers = (str(counts.declared), *(str(counts[bucket]) for bucket in COUNTED))
    verdicts = ("yes" if counts.synced else "no", "yes" if counts.healthy else "no")
    return (name, *numbers, f"{counts.percent}%", *verdicts)


def _line(row: Iterable[str], widths: list[int]) -> str:
    name, *numbers = row
    cells = (cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))
    return "  ".join([name.ljust(widths[0]), *cells])


def _colour(counts: DayCounts) -> str:
    if not counts.healthy:
        return RED
    return GREEN if counts.synced else YELLOW
