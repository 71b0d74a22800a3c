"""The run list of a transfer: what it shows, its filters, its pages."""

from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlencode
from zlib import crc32

from reconciler.sandbox import times
from reconciler.sandbox.requests import RunQuery
from reconciler.sandbox.responses import Refusal
from reconciler.sandbox.runs import FAILED, Run
from reconciler.sandbox.schedule import RUN_IDS
from reconciler.sandbox.transfer import Transfer
from reconciler.sandbox.world import World

_LAST_DAY = times.day_of(times.LATEST)

# Equal times are told apart by day, then by id (see `runs_ties`); what has not ended counts as latest.
_SORT_KEYS: dict[str, Callable[[Run], tuple[int, int, int]]] = {
    "created_time": lambda run: (run.created, run.day, run.id),
    "ended_time": lambda run: (run.ended if run.ended is not None else times.LATEST, run.day, run.id),
    "data_date": lambda run: (run.day, run.created, run.id),
}


def check_readable(world: World) -> None:
    """Raises a 403 Refusal where runs may not be read."""
    if not world.settings.runs_readable:
        raise Refusal(403, "This key may not read runs")


def find_transfer(world: World, team: int, transfer: int) -> Transfer | None:
    """A transfer whose runs are asked for; None where it has none. Raises a Refusal if it does not exist."""
    known = world.transfers.get((team, transfer))
    unknown = world.settings.unknown_transfer_runs
    if known is None and not world.open and isinstance(unknown, int):
        raise Refusal(unknown, f"There is no transfer {transfer}")
    return known


def find_runs(world: World, transfer: Transfer, query: RunQuery, now: int) -> list[Run]:
    """All runs that a query asks for, in its order.

    Both bounds are included; by data date the days of the two moments (UTC) count. Runs shown without a
    day are found by the day they loaded.
    """
    by_day, skew = world.settings.runs_filter == "data_date", world.vendor_time(0)
    first, last = (times.day_of(query.since), times.day_of(query.until)) if by_day else (1, _LAST_DAY)
    found = [
        run
        for run in _shown(world, world.runs(transfer.team, transfer.id, first, last, now), now)
        if (by_day or query.since <= (run.created + skew) // 1000 * 1000 <= query.until)
        and (not query.issues_only or run.status == FAILED)
    ]
    found.sort(key=_sort_key(world, query), reverse=query.descending)
    return found


def _sort_key(world: World, query: RunQuery) -> Callable[[Run], tuple[int, ...]]:
    """What a page is sorted by; equal times are told apart by nothing, or by the page."""
    key, grain = _SORT_KEYS[query.sort_field], 1 if query.sort_field == "data_date" else 1000
    if world.settings.runs_ties == "stable":
        return key
    return lambda run: (key(run)[0] // grain, crc32(f"{query.offset} {run.id}".encode()))


def _shown(world: World, runs: Iterable[Run], now: int) -> Iterable[Run]:
    """Those that have existed for a while, and not for too long."""
    keep = world.settings.runs_retention_days
    newest = now - times.millis(world.settings.runs_lag_seconds)
    oldest = None if keep is None else now - keep * times.DAY
    return (run for run in runs if run.created <= newest and (oldest is None or run.created >= oldest))


def find_run(world: World, team: int, number: int, now: int) -> tuple[Run, Transfer]:
    """A run by its id, as the list shows it. Raises a 404 Refusal."""
    for transfer in _candidates(world, team, number):
        for run in _shown(world, world.runs(team, transfer.id, 1, _LAST_DAY, now), now):
            if run.id == number:
                return run, transfer
    raise Refusal(404, f"There is no run {number}")


def _candidates(world: World, team: int, number: int) -> list[Transfer]:
    """Whose runs may have the id: those of backfills lie below those of schedules."""
    if number >= RUN_IDS:
        return list(world.transfers_of(team))
    return [
        world.transfers[team, record.transfer]
        for record in world.backfills.values()
        if record.team == team and 0 <= number - record.first_run < record.total
    ]


def next_page(url: str, query: str, offset: int) -> str:
    """The address of the page from `offset` on."""
    given = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "offset"]
    return f"{url}?{urlencode([*given, ('offset', str(offset))])}"
