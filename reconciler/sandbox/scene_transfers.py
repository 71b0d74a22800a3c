"""Transfers as a world file gives them, or as they are changed while it runs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.sandbox.requests import CALLS
from reconciler.sandbox.runs import FAILED, UNENDED, Ending
from reconciler.sandbox.schedule import MAX_TURNS, MAX_WINDOW, RUN_AT
from reconciler.sandbox.settings import (
    FLAG,
    SceneError,
    or_null,
    read_day,
    read_fit,
    read_id,
    read_mapping,
    refuse_unknown,
    whole,
)
from reconciler.sandbox.transfer import DEFAULT_ERROR, OddDay, RefusedCall, Transfer

_SCHEDULE = ("at", "window", "includes_today")
_FAIL = ("error", "times", "runs")
_STATUS = ("status", "ends", "holds", "times", "runs")
_REFUSE = ("call", "status", "code", "message", "description")
_TIMES = or_null(whole(0), " (always)")


def read_transfer(team: int, key: Any, value: Any, parent: str) -> Transfer:
    """A transfer from its entry. Raises SceneError."""
    number, where = read_id(key, parent), f"{parent}.{key}"
    return replace(Transfer(team, number, f"Transfer {number}"), **read_fields(value, where))


def read_fields(value: Any, where: str) -> dict[str, Any]:
    """The fields of a `Transfer` that an entry sets. Raises SceneError."""
    data = read_mapping(value, where, _TRANSFER)
    fields: dict[str, Any] = {}
    for name, given in data.items():
        read = _TRANSFER[name](given, f"{where}.{name}")
        fields |= read if name == "schedule" else {name: read}
    return fields


def _text(value: Any, where: str) -> str:
    """Text, or a number; YAML makes something else of an unquoted `no`, say, which is refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SceneError(where, f"{value!r} is no text: put it in quotes")
    return str(value)


def _state(value: Any, where: str) -> str:
    if value not in ("active", "paused"):
        raise SceneError(where, f"{value!r} is neither active nor paused")
    return str(value)


def _schedule(value: Any, where: str) -> dict[str, Any]:
    """All three of it: what is left out is as by default."""
    data = read_mapping(value, where, _SCHEDULE)
    today = read_fit(data.get("includes_today", False), FLAG, f"{where}.includes_today")
    window = read_fit(data.get("window", 1), whole(1, MAX_WINDOW + 1), f"{where}.window")
    at = data.get("at")
    return {
        "at": RUN_AT if at is None else _time_of_day(at, f"{where}.at"),
        "window": window,
        "includes_today": today,
    }


def _time_of_day(value: Any, where: str) -> int:
    """Milliseconds after midnight. YAML may make minutes of an unquoted time, which is refused."""
    try:
        hours, minutes = str(value).split(":")
        if len(hours) == len(minutes) == 2 and 0 <= int(hours) < 24 and 0 <= int(minutes) < 60:
            return (int(hours) * 60 + int(minutes)) * 60_000
    except ValueError:
        pass
    raise SceneError(where, f'{value!r} is not a time of day like "02:00", in quotes')


def _days(value: Any, where: str) -> frozenset[int]:
    if not isinstance(value, list | tuple):
        raise SceneError(where, "must be a list of days")
    return frozenset(read_day(day, where) for day in value)


def _by_day(read: Callable[[Any, str], OddDay]) -> Callable[[Any, str], dict[int, OddDay]]:
    def read_all(value: Any, where: str) -> dict[int, OddDay]:
        days = read_mapping(value, where)
        return {read_day(day, where): read(item, f"{where}.{day}") for day, item in days.items()}

    return read_all


def _fail_day(value: Any, where: str) -> OddDay:
    data = read_mapping(value, where, _FAIL)
    error = _text(data.get("error", DEFAULT_ERROR), f"{where}.error")
    if not 1 <= len(error) <= 1000:
        raise SceneError(f"{where}.error", "must have 1 to 1000 characters")
    return OddDay(Ending(FAILED, error), *_counts(data, 1, where))


def _status_day(value: Any, where: str) -> OddDay:
    """A word alone, or a mapping. What says to be unended does not end, unless told otherwise."""
    data = read_mapping({"status": value} if isinstance(value, str) else value, where, _STATUS)
    status = data.get("status")
    if not isinstance(status, str) or not 1 <= len(status) <= 100:
        raise SceneError(f"{where}.status", "must be a word")
    ends = read_fit(data.get("ends", status not in UNENDED), FLAG, f"{where}.ends")
    holds = read_fit(data.get("holds", not ends), FLAG, f"{where}.holds")
    if ends and holds:
        raise SceneError(f"{where}.holds", "only a run that does not end can hold its backfill")
    error = DEFAULT_ERROR if status == FAILED else ""
    return OddDay(Ending(status, error, ends, holds), *_counts(data, None, where))


def _counts(data: Mapping[Any, Any], times_default: int | None, where: str) -> tuple[int | None, int | None]:
    left = read_fit(data.get("times", times_default), _TIMES, f"{where}.times")
    return left, read_fit(data.get("runs"), or_null(whole(1)), f"{where}.runs")


def _refusals(value: Any, where: str) -> tuple[RefusedCall, ...]:
    """One refusal or a list of them; null is none."""
    entries = [] if value is None else value if isinstance(value, list) else [value]
    return tuple(_refusal(entry, where) for entry in entries)


def _refusal(value: Any, where: str) -> RefusedCall:
    data = read_mapping(value, where, _REFUSE)
    call = data.get("call", "create")
    refuse_unknown([call], CALLS, f"{where}.call")
    read_fit(data.get("status", 403), whole(400, 600), f"{where}.status")
    given: dict[str, Any] = {
        name: _text(item, f"{where}.{name}") for name, item in data.items() if name != "status"
    }
    return RefusedCall(status=data.get("status", 403), **given)


def _since(value: Any, where: str) -> int | None:
    return None if value is None else read_day(value, where)


def _whole(least: int, below: float = 2**31) -> Callable[[Any, str], int]:
    return lambda value, where: int(read_fit(value, whole(least, below), where))


_TRANSFER: dict[str, Callable[[Any, str], Any]] = {
    "name": _text,
    "state": _state,
    "rows_per_day": _whole(0),
    "recurring_since": _since,
    "schedule": _schedule,
    "fail_days": _by_day(_fail_day),
    "empty_days": _days,
    "run_status": _by_day(_status_day),
    "undated_days": _days,
    "runs_per_day": _whole(1, MAX_TURNS + 1),
    "run_every_days": _whole(1, MAX_WINDOW + 1),
    "refuse": _refusals,
}
TRANSFER_FIELDS = tuple(_TRANSFER)
