"""Strict reading of JSON: every check that a field of a state must pass.

A check takes the object and the field's name and returns the value, or raises ``Bad``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from reconciler.dates import EMPTY, DateSet, Day, Interval, parse_iso

E = TypeVar("E", bound=StrEnum)
K = TypeVar("K")

MAX_ID = 2**63 - 1

# Years from 9000 on are absurd, and adding to them would overflow.
_TIME = re.compile(r"[0-8]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", re.ASCII)


class Bad(Exception):
    """What is wrong, and where inside; ``newer`` for what a later release may have added."""

    def __init__(self, what: str, where: str = "", newer: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.newer = newer

    def inside(self, outer: str) -> Bad:
        dot = "." if self.where and not self.where.startswith("[") else ""
        return Bad(self.what, f"{outer}{dot}{self.where}", self.newer)


def parsed(text: str | bytes) -> Any:
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
        raise Bad(f"the key {first_twice(key for key, _ in pairs)!r} stands twice in one object")
    return data


def first_twice(keys: Iterable[K]) -> K:
    """Return the first key that occurs more than once; there must be one."""
    return next(key for key, count in Counter(keys).items() if count > 1)


def _no_constant(name: str) -> NoReturn:
    raise Bad(f"{name} is not a JSON number")


def check_keys(data: dict[str, Any], keys: frozenset[str]) -> None:
    if data.keys() == keys:
        return
    missing = sorted(keys - data.keys())
    if missing:
        raise Bad(f"the field {missing[0]!r} is missing")
    unknown = sorted(data.keys() - keys)
    raise Bad(f"the field {unknown[0]!r} is not known to this release", newer=True)


def whole(data: dict[str, Any], name: str) -> int:
    """Return a number from 0 to 2**63-1; ``true`` and ``1.0`` are none."""
    value = data[name]
    if type(value) is int and 0 <= value <= MAX_ID:
        return value
    raise Bad(f"{shown(value)} is not a whole number from 0 to 2**63-1", name)


def positive(data: dict[str, Any], name: str) -> int:
    value = whole(data, name)
    if value == 0:
        raise Bad("it is 0, and counts from 1", name)
    return value


def maybe_whole(data: dict[str, Any], name: str) -> int | None:
    return None if data[name] is None else whole(data, name)


def text(data: dict[str, Any], name: str) -> str:
    value = data[name]
    if type(value) is not str:
        raise Bad(f"{shown(value)} is not a text", name)
    if not value.isascii():
        _check_characters(value, name)
    return value


def _check_characters(value: str, name: str) -> None:
    """Refuse half a surrogate pair: no output could show it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Bad(f"{shown(value)} is not Unicode text", name) from None


def filled(data: dict[str, Any], name: str) -> str:
    value = text(data, name)
    if not value:
        raise Bad("it is empty", name)
    return value


def flag(data: dict[str, Any], name: str) -> bool:
    value = data[name]
    if value is True or value is False:
        return bool(value)
    raise Bad(f"{shown(value)} is neither true nor false", name)


def choice(data: dict[str, Any], name: str, choices: type[E]) -> E:
    value = data[name]
    if type(value) is str:
        try:
            return choices(value)
        except ValueError:
            pass
    raise Bad(f"{shown(value)} is none of {', '.join(choices)}", name)


def day_range(data: dict[str, Any]) -> tuple[Day, Day]:
    start, last = _day(data, "start"), _day(data, "end")
    if last < start:
        raise Bad("the range ends before it starts", "end")
    return start, last + 1


def _day(data: dict[str, Any], name: str) -> Day:
    value = data[name]
    if type(value) is str:
        try:
            return _known_day(value)
        except ValueError:
            pass
    raise Bad(f"{shown(value)} is not a date of the form YYYY-MM-DD", name)


@lru_cache(maxsize=65536)
def _known_day(text: str) -> Day:
    return parse_iso(text)


def days(data: dict[str, Any], name: str) -> DateSet:
    items = data[name]
    if type(items) is not list:
        raise Bad(f"{shown(items)} is not a list of days", name)
    if not items:
        return EMPTY
    if len(items) == 1:
        return DateSet((_interval(items[0], name),))
    return DateSet.of([_interval(item, name) for item in items])


def _interval(item: Any, name: str) -> Interval:
    if type(item) is str:
        try:
            return _known_interval(item)
        except ValueError:
            pass
    raise Bad(f"{shown(item)} is neither a date nor dates as FIRST..LAST", name)


@lru_cache(maxsize=65536)
def _known_interval(text: str) -> Interval:
    first, dots, last = text.partition("..")
    start = parse_iso(first)
    end = parse_iso(last) if dots else start
    if end < start:
        raise ValueError(text)
    return start, end + 1


def time(data: dict[str, Any], name: str) -> datetime:
    value = data[name]
    if type(value) is str and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise Bad(f"{shown(value)} is not a time of the form YYYY-MM-DDTHH:MM:SSZ", name)


def maybe_time(data: dict[str, Any], name: str) -> datetime | None:
    return None if data[name] is None else time(data, name)


def shown(value: Any) -> str:
    """Return a value in a few characters; a container by its kind only, as it may be deep."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
