"""The fields of a state's objects, each once for both ways: its JSON, and the value that it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, make_dataclass
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any

from pydantic_core import CoreSchema, SchemaValidator
from pydantic_core import core_schema as core

from reconciler.formats.checks import Bad
from reconciler.formats.statekinds import (
    ANSWER,
    DAYS,
    EVIDENCE,
    FILLED,
    FIRST,
    FLAG,
    IDS,
    LAST,
    POSITIVE,
    SERIAL,
    TEXT,
    TEXTS,
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
    Applied,
    BackfillRecord,
    Intent,
    IntentKind,
    KnownUser,
    Load,
    Origin,
    Outcome,
    Override,
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
    "vendor_at": maybe(TIME),
    "sources": IDS,
    "key_hash": TEXT,
    "unlisted_at": maybe(TIME),
    "answer": maybe(ANSWER),
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
    "error": TEXT,
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
APPLIED = {"digest": FILLED, "serial": WHOLE, "when": TIME, "who": TEXT}

OVERRIDE = {
    "digest": FILLED,
    "guards": TEXTS,
    "reason": TEXT,
    "serial": WHOLE,
    "when": TIME,
    "who": TEXT,
    "run": TEXT,
}


# --- both ways; what follows is called for each of tens of thousands of objects -------------------

PLAIN: dict[str, tuple[type[Any], dict[str, Kind]]] = {
    "intents": (Intent, INTENT),
    "loads": (Load, LOAD),
    "amnesties": (Amnesty, AMNESTY),
    "acceptances": (Acceptance, ACCEPTANCE),
    "users": (KnownUser, USER),
    "applies": (Applied, APPLIED),
    "overrides": (Override, OVERRIDE),
}
FIELDS = {name: kinds for name, (_made, kinds) in PLAIN.items()} | {"backfills": RECORD}
_CLASSES: list[tuple[Any, dict[str, Kind]]] = [*PLAIN.values(), (Backfill, SEEN)]
assert all([field.name for field in fields(made)] == [*kinds] for made, kinds in _CLASSES)
assert [field.name for field in fields(BackfillRecord)] == ["seen", *OURS]


def _maker(made: type[Any]) -> Callable[..., Any]:
    """Return what builds a frozen value by position, in a third of the time that its own constructor takes.

    That one makes a call for each field. An open twin with the same slots just takes the values, and becomes
    the frozen value by its class.
    """
    names = [field.name for field in fields(made)]
    twin = make_dataclass(made.__name__, names, bases=made.__bases__, slots=True)

    def make(*values: Any) -> Any:
        value = twin(*values)
        value.__class__ = made
        return value

    return make


def _from_values(name: str) -> Callable[[Sequence[Any]], Any]:
    """Return what makes an object of the values of its fields, in their order."""
    kinds = FIELDS[name]
    make = _record() if name == "backfills" else _plain(_maker(PLAIN[name][0]))
    if "start" not in kinds:
        return make
    start, end = [*kinds].index("start"), [*kinds].index("end")

    def checked(values: Sequence[Any]) -> Any:
        if values[start] >= values[end]:
            raise Bad("the range ends before it starts", "end")
        return make(values)

    return checked


def _plain(make: Callable[..., Any]) -> Callable[[Sequence[Any]], Any]:
    return lambda values: make(*values)


def _record() -> Callable[[Sequence[Any]], Any]:
    make_seen, make, seen_fields = _maker(Backfill), _maker(BackfillRecord), len(SEEN)
    return lambda values: make(make_seen(*values[:seen_fields]), *values[seen_fields:])


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


def _of_object(name: str) -> CoreSchema:
    """Return the schema of an object as the document has it: its fields by their names."""
    make, values = _from_values(name), itemgetter(*FIELDS[name])
    return meaning(lambda data: make(values(data)), an_object(FIELDS[name]))


def _of_row(name: str) -> CoreSchema:
    """Return the schema of an object as a row has it: the values of its fields, in their order."""
    return meaning(_from_values(name), core.tuple_schema([kind.schema for kind in FIELDS[name].values()]))


HEAD = {
    "team_id": WHOLE,
    "api_url": TEXT,
    "lineage": FILLED,
    "serial": SERIAL,
    "written_by": TEXT,
    "version": POSITIVE,
    "commits": Kind(meaning(tuple, several(FILLED.schema).schema)),
    "old_copy": FLAG,
}
DOCUMENT = (*HEAD, *FIELDS)
"""The names of the document's own fields."""


@cache
def validator(shape: str) -> SchemaValidator:
    """Return what reads a ``document``, its ``head``, or the rows of a kind; made when first needed."""
    match shape:
        case "document":
            schema = an_object({**HEAD, **{name: several(_of_object(name)) for name in FIELDS}})
        case "head":
            schema = an_object(HEAD)
        case kind:
            schema = several(_of_row(kind)).schema
    # Keys recur; of other texts there are too many to keep.
    return SchemaValidator(schema, {"cache_strings": "keys"})
