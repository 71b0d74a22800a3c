"""What the vendor leaves open, as switches: every one can be set in a world file or while it runs.

A change holds at once, for backfills that exist already too; only the three paces (`seconds_until_*`,
`seconds_per_run`) are fixed when a backfill is created.

At the end, what reads the values of a world file. Each reader raises SceneError with the place it was given.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from reconciler.sandbox import times

MAX_ID = 2**63 - 1  # ids are int64


class SceneError(ValueError):
    """A world file or a setting that cannot be used: `where` is its place, `what` the trouble."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.where = where
        self.what = what


def refuse_unknown(given: Iterable[Any], known: Iterable[str], where: str) -> None:
    """Raises SceneError for the first name that is not known, with the nearest one that is."""
    names = list(known)
    for name in given:
        if name not in names:
            near = get_close_matches(str(name), names, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            raise SceneError(where, f"{name!r} is not known here; {hint}")


Check = tuple[str, Callable[[Any], bool]]  # the words for what is wanted, and whether a value is that


def _is_integer(value: Any) -> bool:
    """True for ints, which bools are not here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_integer(value) or isinstance(value, float)) and math.isfinite(value) and abs(value) < 1e12


def _is_length(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_commit(value: Any) -> bool:
    kind, _, seconds = str(value).partition(":")
    try:
        return value in ("now", "lost-answer", "twice") or (kind == "late" and _is_length(float(seconds)))
    except ValueError:
        return False


def _one_of(*choices: Any) -> Check:
    words = "one of " + ", ".join(map(str, choices))
    return words, lambda value: value in choices and not isinstance(value, bool)


def whole(least: int, below: float = math.inf) -> Check:
    """An int of `least` or more, and less than `below`, which is not worth a word."""
    return f"a whole number of at least {least}", lambda value: _is_integer(value) and least <= value < below


def or_null(check: Check, meaning: str = "") -> Check:
    """What passes the check, or None."""
    wanted, fits = check
    return f"{wanted} or null{meaning}", lambda value: value is None or fits(value)


FLAG: Check = ("true or false", lambda value: isinstance(value, bool))
_NUMBER: Check = ("a number", _is_number)
_LENGTH: Check = ("a number of at least 0", _is_length)
_COMMIT: Check = ("one of now, lost-answer, late:SECONDS, twice", _is_commit)


def _setting(default: Any, check: Check) -> Any:
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True, slots=True)
class Settings:
    """The switches of a world. Lengths are seconds unless their name says otherwise."""

    overlap_status: int = _setting(422, _one_of(400, 409, 422))
    failed_blocks_overlap: bool = _setting(True, FLAG)
    failed_while_running: bool = _setting(False, FLAG)
    completed_with_failures: bool = _setting(False, FLAG)
    error_report: str = _setting("full", _one_of("full", "partial", "empty"))
    latest_day: str = _setting("any", _one_of("any", "today", "yesterday"))
    min_range_days: int = _setting(1, whole(1))
    max_range_days: int | None = _setting(None, or_null(whole(1)))
    range_excess: str = _setting("refuse", _one_of("refuse", "cut_end", "cut_start"))
    list_cap: int = _setting(100, whole(0))
    list_lag_seconds: float = _setting(0, _LENGTH)
    latest_lag_seconds: float = _setting(0, _LENGTH)
    get_lag_seconds: float = _setting(0, _LENGTH)
    latest_orders_by: str = _setting("id", _one_of("id", "created_time"))
    retention_days: float | None = _setting(None, or_null(_LENGTH))
    runs_lag_seconds: float = _setting(0, _LENGTH)
    runs_retention_days: float | None = _setting(None, or_null(_LENGTH))
    runs_page_cap: int | None = _setting(None, or_null(whole(1)))
    runs_readable: bool = _setting(True, FLAG)
    unknown_transfer_runs: int | str = _setting(404, _one_of(404, "empty", 403))
    counters_lag_seconds: float = _setting(0, _LENGTH)
    pagination: str = _setting("none", _one_of("none", "announced", "items"))
    runs_filter: str = _setting("data_date", _one_of("data_date", "created_time"))
    runs_ties: str = _setting("stable", _one_of("stable", "by_page"))
    runs_created_time: str = _setting("all", _one_of("all", "ended", "none"))
    clock_skew_seconds: float = _setting(0, _NUMBER)
    id_shape: str = _setting("number", _one_of("number", "string"))
    envelope: bool = _setting(True, FLAG)
    error_shape: str = _setting("envelope", _one_of("envelope", "problem"))
    rate_limit_per_hour: int | None = _setting(None, or_null(whole(1)))
    rate_headers: str = _setting("always", _one_of("always", "refusals"))
    codes: str = _setting("new", _one_of("new", "old"))
    row_quota: int | None = _setting(None, or_null(whole(0)))
    commit: str = _setting("now", _COMMIT)
    seconds_until_scheduled: float = _setting(30, _LENGTH)
    seconds_until_running: float = _setting(30, _LENGTH)
    seconds_per_run: float = _setting(60, _LENGTH)

    @property
    def late_seconds(self) -> float | None:
        """How long after the request a create takes effect, with `commit: late:SECONDS`."""
        kind, _, seconds = self.commit.partition(":")
        return float(seconds) if kind == "late" else None

    @property
    def counters_lag(self) -> int:
        """How far counters lag behind the status, in milliseconds."""
        return times.millis(self.counters_lag_seconds)

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """A copy with `changes`. Raises SceneError for an unknown name or a value that does not fit."""
        checks = {each.name: each.metadata["check"] for each in fields(self)}
        refuse_unknown(changes, checks, "settings")
        for name, value in changes.items():
            read_fit(value, checks[name], f"settings.{name}")
        return replace(self, **changes)

    def range_trouble(self, start: int, end: int, today: int) -> str:
        """Why a create of the days start..end is refused on the vendor's `today`, or ""."""
        days = end - start + 1
        if days < 1:
            return "range_end is before range_start"
        if self.latest_day == "yesterday" and end >= today:
            return "range_end must be before today"
        if self.latest_day == "today" and end > today:
            return "range_end must not be after today"
        if days < self.min_range_days:
            return f"A range needs at least {self.min_range_days} days"
        if self.max_range_days is not None and days > self.max_range_days and self.range_excess == "refuse":
            return f"A range has at most {self.max_range_days} days"
        return ""

    def cut_range(self, start: int, end: int) -> tuple[int, int]:
        """The part of a range that is made where a range too long is not refused."""
        if self.max_range_days is None or end - start < self.max_range_days:
            return start, end
        if self.range_excess == "cut_end":
            return start, start + self.max_range_days - 1
        return end - self.max_range_days + 1, end


def read_mapping(value: Any, where: str, known: Iterable[str] | None = None) -> Mapping[Any, Any]:
    """A mapping, of the `known` names only (None: of any); nothing at all is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SceneError(where, f"must be a mapping, not {type(value).__name__}")
    if known is not None:
        refuse_unknown(value, known, where)
    return value


def read_fit(value: Any, check: Check, where: str) -> Any:
    """The value, if it passes the check. Raises SceneError where it does not."""
    wanted, fits = check
    if not fits(value):
        raise SceneError(where, f"{value!r} is not {wanted}")
    return value


def read_id(value: Any, where: str) -> int:
    """An id, as a number or as its digits."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not _is_integer(number) or not 1 <= number <= MAX_ID:
        raise SceneError(where, f"{value!r} is not an id: a whole number from 1 to {MAX_ID}")
    return int(number)


def _placed(read: Callable[[object], int]) -> Callable[[Any, str], int]:
    def placed(value: Any, where: str) -> int:
        try:
            return read(value)
        except ValueError as error:
            raise SceneError(where, str(error)) from None

    return placed


read_day = _placed(times.read_day)  # given as text or as a `date`
read_moment = _placed(times.read_moment)  # as text or as a `datetime`; without a zone it is UTC
