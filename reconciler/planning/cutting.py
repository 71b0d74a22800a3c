"""How days are cut into backfills: at the boundaries of chunks, and to the longest allowed. Pure."""

from __future__ import annotations

from typing import assert_never

from reconciler import dates
from reconciler.dates import DateSet, Interval
from reconciler.model.desired import Chunk


def cut_due(due: DateSet, chunk: Chunk, longest: int | None) -> list[Interval]:
    """Cut due days into the fewest backfills: half-open, in order, covering exactly ``due``."""
    return [
        piece for interval in due.intervals for piece in dates.cut(interval, _boundary_of(chunk), longest)
    ]


def _boundary_of(chunk: Chunk) -> dates.Boundary:
    match chunk:
        case Chunk.NONE:
            return dates.no_boundary
        case Chunk.WEEK:
            return dates.next_week
        case Chunk.MONTH:
            return dates.next_month
        case Chunk.QUARTER:
            return dates.next_quarter
        case Chunk.YEAR:
            return dates.next_year
        case never:
            assert_never(never)
