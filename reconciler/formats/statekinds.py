"""What the texts of a state mean, both ways, and the kinds of its fields.

pydantic's core reads: an object has exactly its fields, ``true`` and ``1.0`` are no whole numbers. It calls
functions of ours for what texts mean (dates, times, sets of days); dates are kept, as most occur many times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from pydantic_core import CoreSchema
from pydantic_core import core_schema as core

from reconciler.dates import EMPTY, DateSet, Day, dates_of, iso, last_iso, parse_iso, union
from reconciler.formats.checks import MAX_ID, MAX_SERIAL, Bad, shown
from reconciler.model.memory import NOTHING_KNOWN, DayEvidence
from reconciler.model.observed import ApiError

KEPT = 65536  # of the texts of a kind, how many keep what they mean

# --- what texts mean: each raises ValueError for what means nothing --------------------------------


@lru_cache(KEPT)
def first_day(text: str) -> Day:
    try:
        return parse_iso(text)
    except ValueError:
        raise Bad(f"{shown(text)} is not a date of the form YYYY-MM-DD") from None


@lru_cache(KEPT)
def end_day(text: str) -> Day:
    """Return the day after the inclusive last one."""
    return first_day(text) + 1


def days(texts: list[str]) -> DateSet:
    if len(texts) == 1:
        return interval(texts[0])
    return union(map(interval, texts)) if texts else EMPTY


@lru_cache(KEPT)
def interval(text: str) -> DateSet:
    """Return the days of ``"2024-01-01..2024-01-05"`` or ``"2024-01-01"``."""
    first, dots, last = text.partition("..")
    try:
        found = DateSet.span(parse_iso(first), parse_iso(last if dots else first) + 1)
    except ValueError:
        found = EMPTY
    if not found:
        raise Bad(f"{shown(text)} is neither a date nor dates as FIRST..LAST")
    return found


def evidence(sets: dict[str, list[str]]) -> DayEvidence:
    """Return what is known of single days; an absent set is empty. Most have one range of one kind."""
    if not sets:
        return NOTHING_KNOWN
    if len(sets) == 1:
        ((name, texts),) = sets.items()
        if len(texts) == 1:
            return _one_known(name, texts[0])
    known = {name: _days_of(name, texts) for name, texts in sets.items()}
    if len(union(known.values())) != sum(map(len, known.values())):
        raise Bad("a day is in two of its sets")
    return DayEvidence(**known)


@lru_cache(KEPT)
def _one_known(name: str, text: str) -> DayEvidence:
    return DayEvidence(**{name: _days_of(name, [text])})


def _days_of(name: str, texts: list[str]) -> DateSet:
    try:
        return days(texts)
    except Bad as error:
        raise error.inside(name) from None


# --- and the texts of values: each raises ValueError for what could not be read back -------------


def time_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be recorded: {value}")
    return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def day_texts(days: DateSet) -> list[str]:
    return [iso(start) if end - start == 1 else dates_of(start, end) for start, end in days.intervals]


def evidence_texts(evidence: DayEvidence) -> dict[str, list[str]]:
    """Return the sets that hold a day; an absent one is empty."""
    if evidence is NOTHING_KNOWN:
        return {}
    sets = {name: getattr(evidence, name) for name in EVIDENCE_NAMES}
    return {name: day_texts(days) for name, days in sets.items() if days}


# --- kinds of fields -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """The schema that reads a field's JSON, and the way back where that is not the value itself."""

    schema: CoreSchema
    write: Callable[[Any], Any] | None = None


def meaning(read: Callable[[Any], Any], schema: CoreSchema) -> CoreSchema:
    """Return the schema of what ``read`` makes of JSON; it raises ``ValueError`` for nonsense."""
    return core.no_info_after_validator_function(read, schema)


def maybe(kind: Kind) -> Kind:
    return replace(kind, schema=core.nullable_schema(kind.schema))


def choice(choices: type[StrEnum]) -> Kind:
    return Kind(core.enum_schema(choices, list(choices), sub_type="str"), str)


def several(schema: CoreSchema) -> Kind:
    """Return a list of which the first bad item is told."""
    return Kind(core.list_schema(schema, strict=True, fail_fast=True))


def an_object(kinds: Mapping[str, Kind], optional: Collection[str] = ()) -> CoreSchema:
    """Return the schema of an object with exactly these fields; those that are ``optional`` may be absent."""
    entries = {
        name: core.typed_dict_field(kind.schema, required=name not in optional)
        for name, kind in kinds.items()
    }
    return core.typed_dict_schema(entries, extra_behavior="forbid", strict=True)


# Years from 9000 on are absurd, and adding to them would overflow.
_TIME_FORM = r"^[0-8][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z$"

WHOLE = Kind(core.int_schema(strict=True, ge=0, le=MAX_ID))
POSITIVE = Kind(core.int_schema(strict=True, ge=1, le=MAX_ID))
SERIAL = Kind(core.int_schema(strict=True, ge=1, le=MAX_SERIAL))
FLAG = Kind(core.bool_schema(strict=True))
TEXT = Kind(core.str_schema(strict=True, min_length=0))  # a bound: only then half a surrogate pair is refused
FILLED = Kind(core.str_schema(strict=True, min_length=1))
TIME = Kind(meaning(datetime.fromisoformat, core.str_schema(strict=True, pattern=_TIME_FORM)), time_text)
FIRST = Kind(meaning(first_day, TEXT.schema), iso)
LAST = Kind(meaning(end_day, TEXT.schema), last_iso)
_TEXTS = core.list_schema(TEXT.schema, strict=True)
DAYS = Kind(meaning(days, _TEXTS), day_texts)
EVIDENCE_NAMES = sorted(field.name for field in fields(DayEvidence))
_SETS = an_object(dict.fromkeys(EVIDENCE_NAMES, Kind(_TEXTS)), EVIDENCE_NAMES)
EVIDENCE = Kind(meaning(evidence, _SETS), evidence_texts)
TEXTS = Kind(meaning(tuple, _TEXTS), list)
IDS = Kind(meaning(tuple, core.list_schema(WHOLE.schema, strict=True)), list)
_ANSWER = {
    "status": WHOLE,
    "code": maybe(TEXT),
    "message": TEXT,
    "request_id": maybe(TEXT),
    "description": TEXT,
}


def _answer_fields(error: ApiError) -> dict[str, Any]:
    told = asdict(error)
    return told if error.description else {name: told[name] for name in told if name != "description"}


ANSWER = Kind(meaning(lambda said: ApiError(**said), an_object(_ANSWER, ("description",))), _answer_fields)
