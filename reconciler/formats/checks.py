"""Strict reading of a state's JSON: no key twice, and words for whatever is wrong with it, and where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from pydantic_core import ErrorDetails, ValidationError

K = TypeVar("K")

MAX_ID = 2**63 - 1
MAX_SERIAL = MAX_ID // 2  # a database must hold those that come after it, too


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


# --- what is wrong with a shape ---------------------------------------------------------------

_MISSING, _UNKNOWN, _TOO_LONG = "missing", "extra_forbidden", "too_long"
_NO_TIME = "{value} is not a time of the form YYYY-MM-DDTHH:MM:SSZ"
_WORDS = {
    _MISSING: "the field {name!r} is missing",
    _UNKNOWN: "the field {name!r} is not known to this release",
    _TOO_LONG: "it has more fields than this release knows",
    "tuple_type": "it is not a list",
    "json_invalid": "it is not JSON: {error}",
    "dict_type": "it is not an object",
    "list_type": "it is not a list",
    "string_type": "{value} is not a string",
    "string_unicode": "{value} is not Unicode text",
    "string_too_short": "it is empty",
    "string_pattern_mismatch": _NO_TIME,
    "value_error": _NO_TIME,  # nothing else raises what is not a Bad
    "bool_type": "{value} is neither true nor false",
    "enum": "{value} is none of {expected}",
}
_NO_NUMBER = "{value} is not a whole number from {ge} to 2**63-1"


def bad_of(
    error: ValidationError, named: Callable[[tuple[int | str, ...]], tuple[int | str, ...]] = lambda at: at
) -> Bad:
    """Return what is wrong first: of one object a missing field, then an unknown one, then a bad value.

    ``named`` puts names into a place that has only numbers.
    """
    first = _first(error.errors(include_url=False))
    kind, places = first["type"], named(first["loc"])
    refused = first.get("ctx", {}).get("error")
    if isinstance(refused, Bad):
        return refused.inside(_path(places))
    words = _WORDS.get(kind, _NO_NUMBER)
    name = places[-1] if places else ""
    what = words.format(**{"ge": 0, **first.get("ctx", {}), "value": shown(first["input"]), "name": name})
    where = places[:-1] if kind in (_MISSING, _UNKNOWN) else places
    return Bad(what, _path(where), newer=kind in (_UNKNOWN, _TOO_LONG))


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
