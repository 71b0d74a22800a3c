"""Strict reading of a state's JSON: the checks that each kind of field must pass, and words for what fails.

In two strokes, since that is twice as fast as one. pydantic checks the shape: an object has exactly its
fields, ``true`` and ``1.0`` are no whole numbers. What the texts mean (dates, times, sets of days) is read
while the values are built, and kept, as most of them occur many times in a state.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from pydantic_core import ErrorDetails, ValidationError
from pydantic_core.core_schema import (
    CoreSchema,
    bool_schema,
    enum_schema,
    int_schema,
    list_schema,
    nullable_schema,
    str_schema,
    typed_dict_field,
    typed_dict_schema,
)

from reconciler.dates import EMPTY, DateSet, Day, parse_iso, union
from reconciler.model.memory import NOTHING_KNOWN, DayEvidence

K = TypeVar("K")

MAX_ID = 2**63 - 1
EVIDENCE_NAMES = ("cancelled", "failed", "loaded", "not_run", "unlocated")


class Bad(ValueError):
    """What is wrong, and where inside; ``newer`` for what a later release may have added."""

    def __init__(self, what: str, where: str = "", newer: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.newer = newer

    def inside(self, outer: str) -> Bad:
        dot = "." if self.where and not self.where.startswith("[") else ""
        return Bad(self.what, f"{outer}{dot}{self.where}", self.newer)


# --- shapes ---------------------------------------------------------------------------------

# Years from 9000 on are absurd, and adding to them would overflow.
_TIME_FORM = r"^[0-8][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z$"

WHOLE = int_schema(strict=True, ge=0, le=MAX_ID)
MAYBE_WHOLE = nullable_schema(WHOLE)
POSITIVE = int_schema(strict=True, ge=1, le=MAX_ID)
FLAG = bool_schema(strict=True)
TEXT = str_schema(strict=True, min_length=0)  # a bound, as only then half a surrogate pair is refused
FILLED = str_schema(strict=True, min_length=1)
TIME = str_schema(strict=True, pattern=_TIME_FORM)
MAYBE_TIME = nullable_schema(TIME)
DAYS = list_schema(TEXT, strict=True)
EVIDENCE = typed_dict_schema(
    {name: typed_dict_field(DAYS, required=False) for name in EVIDENCE_NAMES},
    extra_behavior="forbid",
    strict=True,
)


def choice(choices: type[StrEnum]) -> CoreSchema:
    return enum_schema(choices, list(choices), sub_type="str")


def several(schema: CoreSchema) -> CoreSchema:
    """Return the schema of a list of which the first bad item is told."""
    return list_schema(schema, strict=True, fail_fast=True)


def an_object(schemas: Mapping[str, CoreSchema]) -> CoreSchema:
    """Return the schema of an object with exactly these fields."""
    fields = {name: typed_dict_field(schema) for name, schema in schemas.items()}
    return typed_dict_schema(fields, extra_behavior="forbid", strict=True)


# --- what texts mean: each raises ValueError for what means nothing -----------------------------


@lru_cache(maxsize=65536)
def first_day(text: str) -> Day:
    return parse_iso(text)


@lru_cache(maxsize=65536)
def end_day(text: str) -> Day:
    """Return the day after the inclusive last one."""
    return parse_iso(text) + 1


time = datetime.fromisoformat


def days(texts: list[str]) -> DateSet:
    if len(texts) == 1:
        return interval(texts[0])
    return union(map(interval, texts)) if texts else EMPTY


@lru_cache(maxsize=65536)
def interval(text: str) -> DateSet:
    """Return the days of ``"2024-01-01..2024-01-05"`` or ``"2024-01-01"``."""
    first, dots, last = text.partition("..")
    found = DateSet.span(parse_iso(first), parse_iso(last if dots else first) + 1)
    if not found:
        raise ValueError(text)
    return found


def evidence(sets: dict[str, list[str]]) -> DayEvidence:
    """Return what is known of single days; an absent set is empty. Most have one range of one kind."""
    if not sets:
        return NOTHING_KNOWN
    if len(sets) == 1:
        ((name, texts),) = sets.items()
        if len(texts) == 1:
            return _one_known(name, texts[0])
    known = {name: days(texts) for name, texts in sets.items()}
    if len(union(known.values())) != sum(map(len, known.values())):
        raise Bad("a day is in two of its sets", "evidence")
    return DayEvidence(**known)


@lru_cache(maxsize=65536)
def _one_known(name: str, text: str) -> DayEvidence:
    return DayEvidence(**{name: interval(text)})


def blamed(item: Mapping[str, Any], error: ValueError) -> Bad:
    """Return what of an item means nothing, and where: it is read once more, text by text."""
    for name, text, read, form in _texts(item):
        try:
            read(text)
        except ValueError:
            return Bad(f"{shown(text)} is {form}", name)
    return error if isinstance(error, Bad) else Bad(str(error))


def _texts(item: Mapping[str, Any]) -> Iterator[tuple[str, str, Callable[[str], object], str]]:
    """Yield each text of an item that means something, with its place and the form that it must have."""
    for name in ("start", "end"):
        yield name, item[name], first_day, "not a date of the form YYYY-MM-DD"
    for name in _TIMES:
        if item.get(name) is not None:
            yield name, item[name], time, "not a time of the form YYYY-MM-DDTHH:MM:SSZ"
    known = {f"evidence.{kind}": texts for kind, texts in item.get("evidence", {}).items()}
    for name, texts in {"failed_days": item.get("failed_days", ()), **known}.items():
        for text in texts:
            yield name, text, interval, "neither a date nor dates as FIRST..LAST"


_TIMES = (
    "intended_at",
    "send_before",
    "created_time",
    "start_time",
    "end_time",
    "removed_time",
    "stale_before",
)


# --- what is wrong with a shape ---------------------------------------------------------------

_MISSING, _UNKNOWN = "missing", "extra_forbidden"
_WORDS = {
    _MISSING: "the field {name!r} is missing",
    _UNKNOWN: "the field {name!r} is not known to this release",
    "dict_type": "it is not an object",
    "list_type": "it is not a list",
    "string_type": "{value} is not a string",
    "string_unicode": "{value} is not Unicode text",
    "string_too_short": "it is empty",
    "string_pattern_mismatch": "{value} is not a time of the form YYYY-MM-DDTHH:MM:SSZ",
    "bool_type": "{value} is neither true nor false",
    "enum": "{value} is none of {expected}",
}
_NO_NUMBER = "{value} is not a whole number from {ge} to 2**63-1"


def bad_of(error: ValidationError) -> Bad:
    """Return what is wrong first: of one object a missing field, then an unknown one, then a bad value."""
    first = _first(error.errors(include_url=False))
    kind, places = first["type"], first["loc"]
    words = _WORDS.get(kind, _NO_NUMBER)
    name = places[-1] if places else ""
    what = words.format(**{"ge": 0, **first.get("ctx", {}), "value": shown(first["input"]), "name": name})
    where = places[:-1] if kind in (_MISSING, _UNKNOWN) else places
    return Bad(what, _path(where), newer=kind == _UNKNOWN)


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
