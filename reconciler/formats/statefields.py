"""The fields of a state's objects, each once for both ways: its JSON, and the value that it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any

from pydantic_core import SchemaValidator
from pydantic_core import core_schema as core

from reconciler.formats.checks import Bad
from reconciler.formats.statekinds import (
    DAYS,
    EVIDENCE,
    FILLED,
    FIRST,
    FLAG,
    LAST,
    POSITIVE,
    TEXT,
    TIME,
    WHOLE,
    Kind,
    an_object,
    choice,
    maybe,
    meaning,
    several,
)
from reconciler.model.memory import (
    Acceptance,
    Amnesty,
    BackfillRecord,
    Intent,
    IntentKind,
    KnownUser,
    Load,
    Origin,
    Outcome,
)
from reconciler.model.observed import Backfill, Status

# --- the objects, field by field, in the order of our values' own fields -------------------------

INTENT = {
    "nonce": FILLED,
    "kind": choice(IntentKind),
    "transfer_id": WHOLE,
    "transfer": TEXT,
    "start": FIRST,
    "end": LAST,
    "intended_at": TIME,
    "send_before": TIME,
    "latest_before": maybe(WHOLE),
    "stale_before": maybe(TIME),
    "outcome": choice(Outcome),
    "backfill_id": maybe(WHOLE),
    "blocker": maybe(WHOLE),
    "as_of": maybe(FIRST),
    "serial": WHOLE,
}
# What was seen, and what is ours: side by side in one object.
SEEN = {
    "id": WHOLE,
    "transfer_id": WHOLE,
    "start": FIRST,
    "end": LAST,
    "status": choice(Status),
    "created_time": TIME,
    "start_time": maybe(TIME),
    "end_time": maybe(TIME),
    "removed_time": maybe(TIME),
    "total": WHOLE,
    "completed": WHOLE,
    "failed": WHOLE,
    "failed_days": DAYS,
    "created_user_id": maybe(WHOLE),
    "word": TEXT,
}
OURS = {
    "transfer": TEXT,
    "origin": choice(Origin),
    "stale_before": maybe(TIME),
    "evidence": EVIDENCE,
    "settled": FLAG,
    "gone": FLAG,
    "as_of": maybe(FIRST),
    "serial": WHOLE,
    "moved_at": maybe(TIME),
    "ended_at": maybe(TIME),
    "has_run": FLAG,
    "was_failed": FLAG,
}
RECORD = {**SEEN, **OURS}
LOAD = {
    "transfer_id": WHOLE,
    "start": FIRST,
    "end": LAST,
    "at": TIME,
    "by_backfill": FLAG,
    "failed_at": maybe(TIME),
}
AMNESTY = {"transfer_id": WHOLE, "start": FIRST, "end": LAST, "serial": WHOLE, "at": TIME}
ACCEPTANCE = {"transfer_id": WHOLE, "backfill_id": WHOLE, "serial": WHOLE}
USER = {"key_hash": FILLED, "user_id": WHOLE}


# --- both ways; what follows is called for each of tens of thousands of objects -------------------

# Values are built by position, as that is faster.
PLAIN: dict[str, tuple[type[Any], dict[str, Kind]]] = {
    "intents": (Intent, INTENT),
    "loads": (Load, LOAD),
    "amnesties": (Amnesty, AMNESTY),
    "acceptances": (Acceptance, ACCEPTANCE),
    "users": (KnownUser, USER),
}
_CLASSES: list[tuple[Any, dict[str, Kind]]] = [*PLAIN.values(), (Backfill, SEEN)]
assert all([field.name for field in fields(made)] == [*kinds] for made, kinds in _CLASSES)
assert [field.name for field in fields(BackfillRecord)] == ["seen", *OURS]
_SEEN_VALUES, _OUR_VALUES = itemgetter(*SEEN), itemgetter(*OURS)


def _plain(made: type[Any], kinds: Mapping[str, Kind]) -> Callable[[dict[str, Any]], Any]:
    values = itemgetter(*kinds)
    if "start" in kinds:
        return lambda data: made(*values(_with_days(data)))
    return lambda data: made(*values(data))


def _record(data: dict[str, Any]) -> BackfillRecord:
    return BackfillRecord(Backfill(*_SEEN_VALUES(_with_days(data))), *_OUR_VALUES(data))


def _with_days(data: dict[str, Any]) -> dict[str, Any]:
    if data["start"] >= data["end"]:
        raise Bad("the range ends before it starts", "end")
    return data


def _writer(paths: Mapping[str, str], kinds: Mapping[str, Kind]) -> Callable[[Any], dict[str, Any]]:
    """Return what makes data of an object, keys sorted. ``paths`` has where in it each field is found."""
    names = sorted(kinds)
    values_of = attrgetter(*(paths[name] for name in names))
    writes = [(name, write) for name in names if (write := kinds[name].write)]

    def data_of(item: Any) -> dict[str, Any]:
        if "start" in kinds and item.start >= item.end:
            raise ValueError(f"an empty range cannot be recorded: {item}")
        data = dict(zip(names, values_of(item), strict=True))
        for name, write in writes:
            if data[name] is not None:
                data[name] = write(data[name])
        return data

    return data_of


DATA_OF = {name: _writer({field: field for field in kinds}, kinds) for name, (_made, kinds) in PLAIN.items()}
DATA_OF["backfills"] = _writer(
    {**{name: name for name in OURS}, **{name: f"seen.{name}" for name in SEEN}}, RECORD
)


# --- the whole ------------------------------------------------------------------------------

_LISTS = {
    name: several(meaning(_plain(made, kinds), an_object(kinds))) for name, (made, kinds) in PLAIN.items()
} | {"backfills": several(meaning(_record, an_object(RECORD)))}
_LOAD_KEY = core.tuple_schema([WHOLE.schema, FLAG.schema, WHOLE.schema])
DOCUMENT = {
    "team_id": WHOLE,
    "api_url": TEXT,
    "lineage": FILLED,
    "serial": POSITIVE,
    "written_by": TEXT,
    **_LISTS,
    "version": POSITIVE,
}
DELTA = {
    **_LISTS,
    "drop_intents": several(FILLED.schema),
    "drop_backfills": several(WHOLE.schema),
    "drop_loads": several(_LOAD_KEY),
}


SHAPES = {"document": DOCUMENT, "delta": DELTA}


@cache
def validator(shape: str) -> SchemaValidator:
    """Return what reads the fields of a document or of a delta; made when one is first read."""
    # Keys recur; of other texts there are too many to keep.
    return SchemaValidator(an_object(SHAPES[shape]), {"cache_strings": "keys"})
