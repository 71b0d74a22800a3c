"""The fields of an item: identity, counts, days and times, each read strictly or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from reconciler.dates import Day, parse_iso
from reconciler.untrusted import clean

Fields = Mapping[str, object]

LARGEST = 2**63 - 1
FIRST_YEAR = 1970
LAST_YEAR = 8999  # the state refuses later ones: absurd, and adding to them would overflow


class AnswerUnreadable(Exception):
    """The answer arrived, but is not what the API documents. The text names the field, never its value.

    The value is the second argument, if there is one.
    """

    def __str__(self) -> str:
        return str(self.args[0])

    def told(self, hide: Callable[[str], str]) -> str:
        """Return the text with the value, fit to show."""
        if len(self.args) < 2:
            return str(self)
        return f"{self} (it is {_shown(self.args[1], hide)})"


class NotJson(AnswerUnreadable):
    """The body is no JSON: not the API's own, perhaps, but a gateway's, and another may come next time."""


def _shown(value: object, hide: Callable[[str], str]) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if value is None:
        return "missing"
    text = clean(value if isinstance(value, str) else json.dumps(value), hide)
    return f'"{text}"' if isinstance(value, str) else text


def identity(item: Fields, name: str) -> int:
    number = whole(item.get(name))
    if number is None or not 1 <= number <= LARGEST:
        raise AnswerUnreadable(f"{name} is not a whole number from 1 to 2**63-1", item.get(name))
    return number


def identity_or_none(item: Fields, name: str) -> int | None:
    """Return an id that nothing may hang on: ``None`` where it is absent, or none."""
    number = whole(item.get(name))
    return number if number is not None and 1 <= number <= LARGEST else None


def count(item: Fields, name: str) -> int | None:
    value = item.get(name)
    if value is None:
        return None
    number = whole(value)
    if number is None or not 0 <= number <= LARGEST:
        raise AnswerUnreadable(f"{name} is not a whole number from 0", value)
    return number


def whole(value: object) -> int | None:
    """Return a number sent as a number or as digits; true is no number, and 1.0 no whole one."""
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) <= 19 and value.isascii() and value.isdigit():
        return int(value)
    return None


_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?", re.ASCII)


def day(item: Fields, name: str) -> Day:
    """Return the day of a date. A time beside it is borne only if it is midnight, UTC or without zone."""
    value = item.get(name)
    try:
        if isinstance(value, str):
            midnight = _MIDNIGHT.fullmatch(value) if len(value) > 10 else None
            return parse_iso(midnight[1] if midnight else value)
    except ValueError:
        pass
    raise AnswerUnreadable(f"{name} is not a date of the form YYYY-MM-DD", value)


def moment_or_none(item: Fields, name: str) -> datetime | None:
    """Return a time in UTC, or ``None``; a year before 1970 is how some write that there is none."""
    when = None if item.get(name) is None else _time(item, name)
    return when if when is not None and when.year >= FIRST_YEAR else None


def moment(item: Fields, name: str) -> datetime:
    """Return a time in UTC. Without a zone it is taken to be UTC."""
    when = _time(item, name)
    if when.year < FIRST_YEAR:
        raise AnswerUnreadable(f"{name} is not a time of our days", item.get(name))
    return when


def _time(item: Fields, name: str) -> datetime:
    value = item.get(name)
    try:
        if isinstance(value, str):
            when = datetime.fromisoformat(value)
            if when.tzinfo is not UTC:
                when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
            if when.year <= LAST_YEAR:
                return when
    except (ValueError, OverflowError):
        pass
    raise AnswerUnreadable(f"{name} is not a time in ISO 8601", value)
