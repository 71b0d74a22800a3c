"""The values of a world file. Each reader raises SceneError with the place it was given."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from reconciler.sandbox import times
from reconciler.sandbox.settings import SceneError, is_integer

MAX_ID = 2**63 - 1  # ids are int64


def read_mapping(value: Any, where: str) -> Mapping[Any, Any]:
    """A mapping; nothing at all is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SceneError(where, f"must be a mapping, not {type(value).__name__}")
    return value


def read_id(value: Any, where: str) -> int:
    """An id, as a number or as its digits."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not is_integer(number) or not 1 <= number <= MAX_ID:
        raise SceneError(where, f"{value!r} is not an id: a whole number from 1 to {MAX_ID}")
    return int(number)


def read_day(value: Any, where: str) -> int:
    """A day, given as text or as a `date`."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.toordinal()
    try:
        return times.read_day(str(value))
    except ValueError as error:
        raise SceneError(where, str(error)) from None


def read_moment(value: Any, where: str) -> int:
    """A moment, given as text or as a `datetime`; without a zone it is UTC."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return int(aware.timestamp()) * 1000
    try:
        return times.read_moment(str(value))
    except ValueError as error:
        raise SceneError(where, str(error)) from None
