"""Who may call, how often, and until which rows are used up.

Where the vendor's pages are silent:
- The rate limit counts per clock hour, over all keys. Requests without a valid key are not counted.
- The row quota is per UTC month; a completed run is charged its transfer's rows when it ends. Once it is
  used up every call is refused: the vendor shows this answer on the page of a read.
"""

from reconciler.sandbox import times
from reconciler.sandbox.refusal import ROW_QUOTA, Refusal
from reconciler.sandbox.world import World

OPEN_RATE_LIMIT = 10_000  # what the headers say where no limit is set: the documented maximum


def scopes(world: World, key: str) -> tuple[str, ...] | None:
    """The scopes of a key, None if there is no such key.

    Keys the world names have the scopes named; others have all, unless the world is closed and names keys.
    """
    if key == "invalid":
        return None
    if key == "forbidden":
        return ()
    if world.keys is not None and (key in world.keys or not world.open):
        return world.keys.get(key)
    return ("read", "write")


def count_call(world: World, now: int) -> None:
    """Count a request. Raises a 429 Refusal beyond the rate limit, or with the row quota used up."""
    limit, quota = world.settings.rate_limit_per_hour, world.settings.row_quota
    if limit is not None and _count(world, now) > limit:
        raise Refusal(429, retry_after=-(-(times.HOUR - now % times.HOUR) // 1000))
    if quota is not None and rows_used(world, now) >= quota:
        code, message = ROW_QUOTA
        raise Refusal(429, code=code, message=message, retry_after=86_400)


def _count(world: World, now: int) -> int:
    counters, hour = world.counters, now // times.HOUR
    counters.calls = counters.calls + 1 if counters.hour == hour else 1
    counters.hour = hour
    world.changed.add(("counters", 0, 0))
    return counters.calls


def rate_limit(world: World, now: int) -> tuple[int, int]:
    """The limit of this hour, and how many requests it still allows."""
    limit = world.settings.rate_limit_per_hour
    if limit is None:
        return OPEN_RATE_LIMIT, OPEN_RATE_LIMIT - 1
    calls = world.counters.calls if world.counters.hour == now // times.HOUR else 0
    return limit, max(0, limit - calls)


def rows_used(world: World, now: int) -> int:
    """Rows charged in the UTC month of `now`."""
    since = times.month_start(now)
    rows = sum(transfer.recurring_rows(since, now) for transfer in world.transfers.values())
    for record in world.backfills.values():
        transfer = world.transfers[record.team, record.transfer]
        rows += record.loaded_days(since, now) * transfer.rows_per_day
    return rows
