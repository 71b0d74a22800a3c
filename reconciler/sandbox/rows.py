"""A world as rows of text, for the store: one row for each thing that can change by itself."""

import json
from collections.abc import Callable
from typing import Any

from reconciler.sandbox.backfill import Backfill, Progress
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import FailDay, Transfer
from reconciler.sandbox.world import Counters, Key, LateCreate, World

_BACKFILL = tuple(name for name in Backfill.__slots__ if name not in ("verdicts", "given"))
_PROGRESS = tuple(Progress.__slots__)
_TRANSFER = ("team", "id", "name", "state", "rows_per_day", "recurring_since", "number")
_COUNTERS = tuple(Counters.__slots__)
_LATE = tuple(LateCreate.__slots__)


def dump(world: World, key: Key) -> str | None:
    """The text of a row; None where the thing is gone."""
    kind, first, second = key
    match kind:
        case "backfill":
            body = _dump_backfill(world.backfills[first])
        case "transfer":
            body = _dump_transfer(world.transfers[first, second])
        case "late":
            body = _fields(world.late[first], _LATE) if first in world.late else None
        case "counters":
            body = _fields(world.counters, _COUNTERS)
        case "settings":
            body = world.settings.as_dict()
        case _:
            body = [world.open, world.keys, sorted(world.teams)]
    return None if body is None else json.dumps(body, separators=(",", ":"))


def load(world: World, key: Key, text: str | None) -> None:
    """Put a row into a world, in place of what it had. Rows come in LOAD_ORDER."""
    kind, first, _ = key
    if text is None:
        world.late.pop(first, None)
        return
    _LOADERS[kind](world, first, json.loads(text))


def _fields(thing: object, names: tuple[str, ...]) -> Any:
    return [getattr(thing, name) for name in names]


def _dump_backfill(record: Backfill) -> Any:
    given = None if record.given is None else _fields(record.given, _PROGRESS)
    return [_fields(record, _BACKFILL), list(record.verdicts.items()), given]


def _dump_transfer(transfer: Transfer) -> Any:
    fails = [[day, fail.error, fail.left] for day, fail in transfer.fail_days.items()]
    return [_fields(transfer, _TRANSFER), fails, list(transfer.verdicts.items())]


def _load_backfill(world: World, _: int, body: Any) -> None:
    fields, verdicts, given = body
    record = Backfill(**dict(zip(_BACKFILL, fields, strict=True)))
    record.verdicts = dict(verdicts)
    record.given = None if given is None else Progress(*given)
    world.put_backfill(record)


def _load_transfer(world: World, _: int, body: Any) -> None:
    fields, fails, verdicts = body
    transfer = Transfer(**dict(zip(_TRANSFER, fields, strict=True)))
    transfer.fail_days = {day: FailDay(error, left) for day, error, left in fails}
    transfer.verdicts = dict(verdicts)
    world.put_transfer(transfer)


def _load_late(world: World, number: int, body: Any) -> None:
    world.put_late(number, LateCreate(*body))


def _load_counters(world: World, _: int, body: Any) -> None:
    world.counters = Counters(*body)


def _load_settings(world: World, _: int, body: Any) -> None:
    world.settings = Settings(**body)


def _load_access(world: World, _: int, body: Any) -> None:
    world.open, keys, teams = body
    world.keys = None if keys is None else {key: tuple(scopes) for key, scopes in keys.items()}
    world.teams = set(teams)


_LOADERS: dict[str, Callable[[World, int, Any], None]] = {
    "access": _load_access,
    "settings": _load_settings,
    "counters": _load_counters,
    "transfer": _load_transfer,
    "late": _load_late,
    "backfill": _load_backfill,
}
LOAD_ORDER = tuple(_LOADERS)  # a backfill needs its transfer
