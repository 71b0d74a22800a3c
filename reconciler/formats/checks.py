"""Strict reading of a state's JSON: the checks that each kind of field must pass, and words for what fails.

pydantic does the checking: ``true`` and ``1.0`` are no whole numbers, an object has exactly its fields.
What dates and ranges of days mean is kept, as most of them occur many times in a state.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from pydantic_core import ErrorDetails, ValidationError, from_json
from pydantic_core.core_schema import (
    CoreSchema,
    arguments_parameter,
    arguments_schema,
    bool_schema,
    call_schema,
    dict_schema,
    enum_schema,
    int_schema,
    list_schema,
    literal_schema,
    no_info_after_validator_function,
    no_info_wrap_validator_function,
    nullable_schema,
    str_schema,
)

from reconciler.dates import EMPTY, DateSet, Day, parse_iso, union
from reconciler.model.memory import NOTHING_KNOWN, DayEvidence

K = TypeVar("K")

MAX_ID = 2**63 - 1
EVIDENCE_NAMES = ("cancelled", "failed", "loaded", "not_run", "unlocated")


# --- what texts mean: functions that raise ValueError with what is wrong ---------------------


@lru_cache(maxsize=65536)
def _first_day(text: str) -> Day:
    try:
        return parse_iso(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a date of the form YYYY-MM-DD") from None


@lru_cache(maxsize=65536)
def _end_day(text: str) -> Day:
    """Return the day after the inclusive last one that ``text`` is."""
    return _first_day(text) + 1


@lru_cache(maxsize=65536)
def _interval(text: str) -> DateSet:
    """Return the days of ``"2024-01-01..2024-01-05"`` or ``"2024-01-01"``."""
    first, dots, last = text.partition("..")
    try:
        days = DateSet.span(parse_iso(first), parse_iso(last if dots else first) + 1)
    except ValueError:
        days = EMPTY
    if not days:
        raise ValueError(f"{shown(text)} is neither a date nor dates as FIRST..LAST")
    return days


def _days(texts: list[str]) -> DateSet:
    if len(texts) > 1:
        return union(map(_interval, texts))
    return _interval(texts[0]) if texts else EMPTY


def _evidence(sets: Any, read: Callable[[Any], dict[str, DateSet]]) -> DayEvidence:
    """Return what is known of single days; an absent set is empty. Most have one range of one kind."""
    if type(sets) is dict and len(sets) == 1:
        for name, texts in sets.items():
            if name in EVIDENCE_NAMES and type(texts) is list and len(texts) == 1 and type(texts[0]) is str:
                return _one_known(name, texts[0])
    known = read(sets)
    if len(known) > 1 and len(union(known.values())) != sum(map(len, known.values())):
        raise ValueError("a day is in two of its sets")
    return DayEvidence(**known) if known else NOTHING_KNOWN


@lru_cache(maxsize=65536)
def _one_known(name: str, text: str) -> DayEvidence:
    return DayEvidence(**{name: _interval(text)})


def then(made: Callable[[Any], Any], schema: CoreSchema) -> CoreSchema:
    """Return the schema of what is made of a value; ``ValueError`` says what is wrong with it."""
    return no_info_after_validator_function(made, schema)


# --- kinds of fields ------------------------------------------------------------------------

# Years from 9000 on are absurd, and adding to them would overflow.
_TIME_FORM = r"^[0-8][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z$"

WHOLE = int_schema(strict=True, ge=0, le=MAX_ID)
MAYBE_WHOLE = nullable_schema(WHOLE)
POSITIVE = int_schema(strict=True, ge=1, le=MAX_ID)
FLAG = bool_schema(strict=True)
TEXT = str_schema(min_length=0)  # a bound, as only then half a surrogate pair is refused
FILLED = str_schema(min_length=1)
TIME = then(datetime.fromisoformat, str_schema(pattern=_TIME_FORM))
MAYBE_TIME = nullable_schema(TIME)
FIRST_DAY = then(_first_day, TEXT)
END_DAY = then(_end_day, TEXT)
DAYS = then(_days, list_schema(TEXT))
EVIDENCE = no_info_wrap_validator_function(_evidence, dict_schema(literal_schema([*EVIDENCE_NAMES]), DAYS))


def choice(choices: type[StrEnum]) -> CoreSchema:
    return enum_schema(choices, list(choices), sub_type="str")


def several(schema: CoreSchema, made: Callable[[list[Any]], Any] = tuple) -> CoreSchema:
    """Return the schema of a list of which the first bad item is told; ``made`` makes something of it."""
    return then(made, list_schema(schema, fail_fast=True))


def an_object(make: Callable[..., Any], schemas: Mapping[str, CoreSchema]) -> CoreSchema:
    """Return the schema of an object with exactly these fields, of which ``make`` makes something."""
    fields = [arguments_parameter(name, schema, mode="keyword_only") for name, schema in schemas.items()]
    return call_schema(arguments_schema(fields), make)


# --- what is wrong --------------------------------------------------------------------------


class Bad(Exception):
    """What is wrong, and where inside; ``newer`` for what a later release may have added."""

    def __init__(self, what: str, where: str = "", newer: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.newer = newer


_MISSING, _UNKNOWN = "missing_keyword_only_argument", "unexpected_keyword_argument"
_UNKNOWN_KEY = "literal_error"  # of the mapping of evidence
_WORDS = {
    _MISSING: "the field {name!r} is missing",
    _UNKNOWN: "the field {name!r} is not known to this release",
    _UNKNOWN_KEY: "the field {value} is not known to this release",
    "arguments_type": "it is not an object",
    "dict_type": "it is not an object",
    "list_type": "it is not a list",
    "string_type": "{value} is not a string",
    "string_unicode": "{value} is not Unicode text",
    "string_too_short": "it is empty",
    "string_pattern_mismatch": "{value} is not a time of the form YYYY-MM-DDTHH:MM:SSZ",
    "bool_type": "{value} is neither true nor false",
    "enum": "{value} is none of {expected}",
    "value_error": "{error}",
}
_NO_NUMBER = "{value} is not a whole number from {ge} to 2**63-1"


def bad_of(error: ValidationError) -> Bad:
    """Return what is wrong first: of one object a missing field, then an unknown one, then a bad value."""
    first = _first(error.errors(include_url=False))
    kind, value, places = first["type"], first["input"], first["loc"]
    if kind == _MISSING and type(value) is not dict:
        kind, places = "arguments_type", places[:-1]
    words = _WORDS.get(kind, _NO_NUMBER)
    name = places[-1] if places else ""
    what = words.format(**{"ge": 0, **first.get("ctx", {}), "value": shown(value), "name": name})
    if kind in (_MISSING, _UNKNOWN):
        places = places[:-1]
    elif kind == _UNKNOWN_KEY:
        places = places[:-2]
    return Bad(what, _path(places), newer=kind in (_UNKNOWN, _UNKNOWN_KEY))


def _first(found: list[ErrorDetails]) -> ErrorDetails:
    """Return the error to tell: of the whole, then of the first item, what is missing or unknown first."""
    for whole in ((), found[0]["loc"][:2]):
        for kind in (_MISSING, _UNKNOWN):
            for error in found:
                if error["type"] == kind and error["loc"][:-1] == whole:
                    return error
    return found[0]


def _path(places: Iterable[int | str]) -> str:
    path = "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places)
    return path.removeprefix(".")


def shown(value: Any) -> str:
    """Return a value in a few characters; a container by its kind only, as it may be deep."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = ascii(value)
    return text if len(text) <= 50 else f"{text[:47]}..."


# --- JSON -----------------------------------------------------------------------------------


def parsed(text: str | bytes) -> Any:
    """Return the JSON that ``text`` is. Raises ``Bad`` unless it is, and no key stands twice in an object."""
    try:
        whole = text.decode() if isinstance(text, bytes) else text
        return json.loads(whole, object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Bad(f"it is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Bad(f"it is not JSON: {error.msg}", f"line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Bad("it is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise Bad(f"it is not JSON of ours: {error}") from None


def parsed_of_ours(text: str | bytes) -> Any:
    """Return the JSON of a text that we wrote, so that no key stands twice in it: in half the time."""
    try:
        return from_json(text, cache_strings="keys")
    except ValueError:
        return parsed(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise Bad(f"the key {first_twice(key for key, _ in pairs)!r} appears twice in one object")
    return data


def first_twice(keys: Iterable[K]) -> K:
    """Return the first key that occurs more than once; there must be one."""
    return next(key for key, count in Counter(keys).items() if count > 1)


def _no_constant(name: str) -> NoReturn:
    raise Bad(f"{name} is not a JSON number")
