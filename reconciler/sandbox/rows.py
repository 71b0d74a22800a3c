"""A world as rows of text, for the store: one row for each thing that can change by itself."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from reconciler.sandbox.access import Key
from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.counters import Counters, LateCreate
from reconciler.sandbox.progress import Lap, Progress
from reconciler.sandbox.runs import Ending
from reconciler.sandbox.schedule import Schedule
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import OddDay, RefusedCall, Transfer
from reconciler.sandbox.world import Row, World

_NESTED = (
    "endings",
    "given",
    "laps",
    "fail_days",
    "run_status",
    "empty_days",
    "undated_days",
    "refuse",
    "past",
)
_BACKFILL = tuple(name for name in Backfill.__slots__ if name not in _NESTED)
_TRANSFER = tuple(name for name in Transfer.__slots__ if name not in _NESTED)
LOAD_ORDER = ("access", "settings", "counters", "transfer", "late", "backfill")  # what needs others is last


def dump(world: World, key: Row) -> str | None:
    """The text of a row; None where the thing is gone."""
    kind, first, second = key
    match kind:
        case "backfill":
            body = _dump_backfill(world.backfills[first])
        case "transfer":
            body = _dump_transfer(world.transfers[first, second])
        case "late":
            body = _fields(world.late[first], LateCreate.__slots__) if first in world.late else None
        case "counters":
            body = _fields(world.counters, Counters.__slots__)
        case "settings":
            body = asdict(world.settings)
        case _:
            keys = world.keys
            named = None if keys is None else {name: [key.scopes, key.user] for name, key in keys.items()}
            body = [world.open, named, sorted(world.teams)]
    return None if body is None else json.dumps(body, separators=(",", ":"))


def load(world: World, key: Row, text: str | None) -> None:
    """Put a row into a world, in place of what it had. Rows come in LOAD_ORDER."""
    kind, first, _ = key
    if text is None:
        world.late.pop(first, None)
        return
    body = json.loads(text)
    match kind:
        case "backfill":
            world.put_backfill(_read_backfill(*body))
        case "transfer":
            world.put_transfer(_read_transfer(*body))
        case "late":
            world.put_late(first, LateCreate(*body))
        case "counters":
            world.counters = Counters(*body)
        case "settings":
            world.settings = Settings(**body)
        case _:
            world.open, keys, teams = body
            world.keys = keys and {name: Key(tuple(scopes), user) for name, (scopes, user) in keys.items()}
            world.teams = set(teams)


def _fields(thing: object, names: Iterable[str]) -> Any:
    return [getattr(thing, name) for name in names]


def _dump_backfill(record: Backfill) -> Any:
    given = None if record.given is None else _fields(record.given, Progress.__slots__)
    laps = [[lap.begins, lap.slots] for lap in record.laps]
    return [_fields(record, _BACKFILL), _dump_endings(record.endings), given, laps]


def _dump_transfer(transfer: Transfer) -> Any:
    return [
        _fields(transfer, _TRANSFER),
        _dump_endings(transfer.endings),
        [_dump_odd(days) for days in (transfer.fail_days, transfer.run_status)],
        [sorted(days) for days in (transfer.empty_days, transfer.undated_days)],
        [_fields(call, RefusedCall.__slots__) for call in transfer.refuse],
        [_fields(schedule, Schedule.__slots__) for schedule in transfer.past],
    ]


def _dump_odd(days: dict[int, OddDay]) -> Any:
    return [[day, _fields(odd.ending, Ending.__slots__), odd.left, odd.runs] for day, odd in days.items()]


def _dump_endings(endings: dict[int, Ending | None]) -> Any:
    return [[key, one and _fields(one, Ending.__slots__)] for key, one in endings.items()]


def _read_backfill(fields: Any, endings: Any, given: Any, laps: Any) -> Backfill:
    record = Backfill(**dict(zip(_BACKFILL, fields, strict=True)))
    record.endings = _read_endings(endings)
    record.given = None if given is None else Progress(*given)
    record.laps = tuple(Lap(begins, tuple(slots)) for begins, slots in laps)
    return record


def _read_transfer(fields: Any, endings: Any, odd: Any, days: Any, refuse: Any, past: Any) -> Transfer:
    transfer = Transfer(**dict(zip(_TRANSFER, fields, strict=True)))
    transfer.endings = _read_endings(endings)
    transfer.fail_days, transfer.run_status = map(_read_odd, odd)
    transfer.empty_days, transfer.undated_days = map(frozenset, days)
    transfer.refuse = tuple(RefusedCall(*call) for call in refuse)
    transfer.past = tuple(Schedule(*schedule) for schedule in past)
    return transfer


def _read_odd(days: Any) -> dict[int, OddDay]:
    return {day: OddDay(Ending(*ending), left, runs) for day, ending, left, runs in days}


def _read_endings(endings: Any) -> dict[int, Ending | None]:
    return {key: one and Ending(*one) for key, one in endings}
