"""A world as rows of text, for the store: one row for each thing that can change by itself."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from reconciler.sandbox.backfill import Backfill, Progress
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import FailDay, Transfer
from reconciler.sandbox.world import Counters, Key, LateCreate, World

_BACKFILL = tuple(name for name in Backfill.__slots__ if name not in ("verdicts", "given"))
_TRANSFER = tuple(name for name in Transfer.__slots__ if name not in ("verdicts", "fail_days"))
LOAD_ORDER = ("access", "settings", "counters", "transfer", "late", "backfill")  # what needs others is last


def dump(world: World, key: Key) -> str | None:
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
            body = [world.open, world.keys, sorted(world.teams)]
    return None if body is None else json.dumps(body, separators=(",", ":"))


def load(world: World, key: Key, text: str | None) -> None:
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
            world.keys = None if keys is None else {key: tuple(scopes) for key, scopes in keys.items()}
            world.teams = set(teams)


def _fields(thing: object, names: Iterable[str]) -> Any:
    return [getattr(thing, name) for name in names]


def _dump_backfill(record: Backfill) -> Any:
    given = None if record.given is None else _fields(record.given, Progress.__slots__)
    return [_fields(record, _BACKFILL), list(record.verdicts.items()), given]


def _dump_transfer(transfer: Transfer) -> Any:
    fails = [[day, fail.error, fail.left] for day, fail in transfer.fail_days.items()]
    return [_fields(transfer, _TRANSFER), fails, list(transfer.verdicts.items())]


def _read_backfill(fields: Any, verdicts: Any, given: Any) -> Backfill:
    record = Backfill(**dict(zip(_BACKFILL, fields, strict=True)))
    record.verdicts = dict(verdicts)
    record.given = None if given is None else Progress(*given)
    return record


def _read_transfer(fields: Any, fails: Any, verdicts: Any) -> Transfer:
    transfer = Transfer(**dict(zip(_TRANSFER, fields, strict=True)))
    transfer.fail_days = {day: FailDay(error, left) for day, error, left in fails}
    transfer.verdicts = dict(verdicts)
    return transfer
