"""What is counted: requests against the rate limit, rows against the quota.

Where the vendor's pages are silent:
- The rate limit counts per clock hour, over all keys. Requests without a valid key are not counted.
- The row quota is per UTC month; a completed run is charged its rows when it ends. Once it is used up every
  call is refused: the vendor shows this answer on the page of a read.
"""

from collections.abc import Iterable

from reconciler.sandbox import times
from reconciler.sandbox.responses import ROW_QUOTA, Refusal
from reconciler.sandbox.runs import Run
from reconciler.sandbox.world import World

OPEN_RATE_LIMIT = 10_000  # what the headers say where no limit is set: the documented maximum


def count_call(world: World, now: int) -> None:
    """Count a request. Raises a 429 Refusal beyond the rate limit, or with the row quota used up."""
    limit, quota, counters = world.settings.rate_limit_per_hour, world.settings.row_quota, world.counters
    if limit is not None:
        hour = now // times.HOUR
        counters.hour, counters.calls = hour, counters.calls + 1 if counters.hour == hour else 1
        world.changed.add(("counters", 0, 0))
        if counters.calls > limit:
            raise Refusal(429, retry_after=-(-(times.HOUR - now % times.HOUR) // 1000))
    if quota is not None and rows_used(world, now) >= quota:
        raise Refusal(429, **ROW_QUOTA)


def rate_limit(world: World, now: int) -> tuple[int, int]:
    """The limit of this hour, and how many requests it still allows."""
    limit = world.settings.rate_limit_per_hour
    if limit is None:
        return OPEN_RATE_LIMIT, OPEN_RATE_LIMIT - 1
    calls = world.counters.calls if world.counters.hour == now // times.HOUR else 0
    return limit, max(0, limit - calls)


def rows_used(world: World, now: int) -> int:
    """Rows charged in the UTC month of `now`. Runs from before the world began are not charged."""
    since = times.month_start(now)
    rows = 0
    for transfer in world.transfers.values():
        longest = max(schedule.window for schedule in (*transfer.past, transfer.schedule))
        first = times.day_of(since) - longest - 1
        rows += _rows(transfer.recurring_runs(now, first, times.day_of(now)), since)
    for record in world.backfills.values():
        ended = record.ended(now)
        if record.given is None and (ended is None or ended >= since):
            rows += _rows(record.list_runs(now, record.start, record.end), since)
    return rows


def _rows(runs: Iterable[Run], since: int) -> int:
    return sum(run.rows for run in runs if run.rows and run.ended is not None and run.ended >= since)
