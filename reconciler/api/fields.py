"""The fields of an item: identity, counts, days and times, each read strictly or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from reconciler.dates import Day, parse_iso

Fields = Mapping[str, object]

LARGEST = 2**63 - 1
LAST_YEAR = 8999  # the state refuses later ones: absurd, and adding to them would overflow


class AnswerUnreadable(Exception):
    """The answer arrived, but is not what the API documents. The text names the field, never its value."""


def identity(item: Fields, name: str) -> int:
    number = _whole(item.get(name))
    if number is None or not 1 <= number <= LARGEST:
        raise AnswerUnreadable(f"{name} is not a whole number from 1 to 2**63-1")
    return number


def count(item: Fields, name: str) -> int | None:
    value = item.get(name)
    if value is None:
        return None
    number = _whole(value)
    if number is None or not 0 <= number <= LARGEST:
        raise AnswerUnreadable(f"{name} is not a whole number from 0")
    return number


def _whole(value: object) -> int | None:
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
    raise AnswerUnreadable(f"{name} is not a date of the form YYYY-MM-DD")


def moment_or_none(item: Fields, name: str) -> datetime | None:
    return None if item.get(name) is None else moment(item, name)


def moment(item: Fields, name: str) -> datetime:
    """Return a time in UTC. Without a zone it is taken to be UTC."""
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
    raise AnswerUnreadable(f"{name} is not a time in ISO 8601")
