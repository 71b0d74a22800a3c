"""The status of the declared days, per transfer: buckets, percent, synced, healthy."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.planning.plan import COUNTED
from reconciler.planning.standing import Standing
from reconciler.render.words import BOLD, GREEN, RED, YELLOW, Paint, worded

UNKNOWN = "unknown"
_TOLD = {True: "yes", False: "no", None: UNKNOWN}


def status_text(each: Iterable[Standing], total: Standing, paint: Paint) -> str:
    """Return a table, one line per transfer and a total, with plain columns that tools can cut."""
    shown = [*each, total]
    rows = [("transfer", "declared", *(worded(bucket) for bucket in COUNTED), "loaded", "synced", "healthy")]
    rows += map(_row, shown)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    coloured = [paint(line, _colour(one)) for line, one in zip(lines[1:], shown, strict=True)]
    return "\n".join([paint(lines[0], BOLD), *coloured]) + "\n"


def _row(one: Standing) -> tuple[str, ...]:
    counts = one.counts
    numbers = ("?" if counts is None else str(counts[bucket]) for bucket in COUNTED)
    loaded = UNKNOWN if one.percent is None else f"{one.percent}%"
    return (one.name, str(one.declared), *numbers, loaded, _TOLD[one.synced], _TOLD[one.healthy])


def _line(row: Iterable[str], widths: list[int]) -> str:
    name, *numbers = row
    cells = (cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))
    return "  ".join([name.ljust(widths[0]), *cells])


def _colour(one: Standing) -> str:
    if not one.healthy:
        return RED
    return GREEN if one.synced else YELLOW
