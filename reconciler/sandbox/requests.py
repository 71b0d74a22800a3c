"""What a request asks for, read strictly. Everything that does not fit is a 400 Refusal."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from reconciler.sandbox import times
from reconciler.sandbox.responses import Refusal
from reconciler.sandbox.settings import MAX_ID

# The calls by name, for faults and for what transfers refuse; `routes` has what they do.
CALLS = ("list", "get", "latest", "create", "cancel", "transfers", "transfer", "runs", "run")
MAX_BODY = 64 * 1024  # bytes; the largest sensible body has some fifty
MAX_RUNS = 10_000
DEFAULT_RUNS = 100
SORT_FIELDS = ("created_time", "ended_time", "data_date")

_ID = re.compile(r"[1-9][0-9]{0,18}")
_COUNT = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class RunQuery:
    """The query of a run list. Bounds are inclusive moments (milliseconds)."""

    since: int
    until: int
    issues_only: bool
    sort_field: str
    descending: bool
    limit: int
    offset: int


def read_id(text: str, name: str) -> int:
    """An id from 1 to 2**63-1, without leading zeros."""
    if not _ID.fullmatch(text) or int(text) > MAX_ID:
        raise Refusal(400, f"{name} must be a whole number from 1 to {MAX_ID}")
    return int(text)


def read_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body."""
    if not body.strip():
        raise Refusal(400, "The body is missing")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON") from None
    if not isinstance(data, dict):
        raise Refusal(400, "The body is not a JSON object")
    return data


def read_range(body: bytes) -> tuple[int, int]:
    """The first and the last day a create asks for. Their order is not checked here."""
    data = read_object(body)
    return _read_day(data, "range_start"), _read_day(data, "range_end")


def _read_day(data: Mapping[str, Any], name: str) -> int:
    try:
        return times.read_day(data.get(name))
    except ValueError:
        raise Refusal(400, f"{name} must be a date like 2024-01-31") from None


def read_cancel(body: bytes) -> None:
    """The one change of status that is offered."""
    if read_object(body).get("status") != "CANCELLED":
        raise Refusal(400, "status must be CANCELLED")


def read_run_query(text: str) -> RunQuery:
    """The query of a run list; of a name given twice the last one counts, unknown names are ignored."""
    try:
        given = {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
    except ValueError:
        raise Refusal(400, "The query cannot be read") from None
    direction = _choice(given, "sort_direction", ("DESC", "ASC"))
    limit = _count(given, "limit", DEFAULT_RUNS)
    if not 1 <= limit <= MAX_RUNS:
        raise Refusal(400, f"limit must be between 1 and {MAX_RUNS}")
    return RunQuery(
        since=_moment(given, "start_date"),
        until=_moment(given, "end_date"),
        issues_only=_choice(given, "filter_issues_only", ("false", "true")) == "true",
        sort_field=_choice(given, "sort_field", SORT_FIELDS),
        descending=direction == "DESC",
        limit=limit,
        offset=_count(given, "offset", 0),
    )


def _moment(given: Mapping[str, str], name: str) -> int:
    try:
        return times.read_moment(given[name])
    except (KeyError, ValueError):
        raise Refusal(400, f"{name} must be a time with a zone and without fractions of a second") from None


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`; the first one is the default."""
    value = given.get(name, choices[0])
    if value not in choices:
        raise Refusal(400, f"{name} must be one of {', '.join(choices)}")
    return value


def _count(given: Mapping[str, str], name: str, default: int) -> int:
    value = given.get(name, str(default))
    if not _COUNT.fullmatch(value) or int(value) >= 2**31:
        raise Refusal(400, f"{name} must be a whole number")
    return int(value)
