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


Check = Callable[[Any], str]  # the words for what was wanted, or "" when the value fits


def is_integer(value: Any) -> bool:
    """True for ints, which bools are not here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (is_integer(value) or isinstance(value, float)) and math.isfinite(value) and abs(value) < 1e12


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _one_of(*choices: Any) -> Check:
    words = "one of " + ", ".join(map(str, choices))
    return lambda value: "" if value in choices and not isinstance(value, bool) else words


def _whole(least: int, *, optional: bool = False) -> Check:
    words = f"a whole number of at least {least}" + (" or null" if optional else "")
    return lambda value: (
        "" if (optional and value is None) or (is_integer(value) and value >= least) else words
    )


def _seconds(value: Any) -> str:
    return "" if _is_number(value) and value >= 0 else "a number of at least 0"


def _skew(value: Any) -> str:
    return "" if _is_number(value) else "a number"


def _retention(value: Any) -> str:
    return "" if value is None else _seconds(value) and "a number of at least 0 or null"


def _commit(value: Any) -> str:
    words = "one of now, lost-answer, late:SECONDS, twice"
    if value in ("now", "lost-answer", "twice"):
        return ""
    kind, _, seconds = str(value).partition(":")
    try:
        return "" if kind == "late" and _is_number(float(seconds)) and float(seconds) >= 0 else words
    except ValueError:
        return words


def _refuse_unfit(value: Any, check: Check, where: str) -> None:
    if wanted := check(value):
        raise SceneError(where, f"{value!r} is not {wanted}")


def _setting(default: Any, check: Check) -> Any:
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True, slots=True)
class Settings:
    """The switches of a world. Lengths are seconds unless their name says otherwise."""

    overlap_status: int = _setting(422, _one_of(400, 409, 422))
    failed_blocks_overlap: bool = _setting(True, _flag)
    failed_while_running: bool = _setting(False, _flag)
    completed_with_failures: bool = _setting(False, _flag)
    error_report: str = _setting("full", _one_of("full", "partial", "empty"))
    allow_today: bool = _setting(True, _flag)
    min_range_days: int = _setting(1, _whole(1))
    max_range_days: int | None = _setting(None, _whole(1, optional=True))
    list_cap: int = _setting(100, _whole(0))
    list_lag_seconds: float = _setting(0, _seconds)
    latest_lag_seconds: float = _setting(0, _seconds)
    get_lag_seconds: float = _setting(0, _seconds)
    retention_days: float | None = _setting(None, _retention)
    runs_filter: str = _setting("data_date", _one_of("data_date", "created_time"))
    clock_skew_seconds: float = _setting(0, _skew)
    id_shape: str = _setting("number", _one_of("number", "string"))
    envelope: bool = _setting(True, _flag)
    error_shape: str = _setting("envelope", _one_of("envelope", "problem"))
    rate_limit_per_hour: int | None = _setting(None, _whole(1, optional=True))
    row_quota: int | None = _setting(None, _whole(0, optional=True))
    commit: str = _setting("now", _commit)
    seconds_until_scheduled: float = _setting(30, _seconds)
    seconds_until_running: float = _setting(30, _seconds)
    seconds_per_run: float = _setting(60, _seconds)

    @property
    def late_seconds(self) -> float | None:
        """How long after the request a create takes effect, with `commit: late:SECONDS`."""
        kind, _, seconds = self.commit.partition(":")
        return float(seconds) if kind == "late" else None

    def changed(self, changes: Mapping[str, Any], where: str = "settings") -> "Settings":
        """A copy with `changes`. Raises SceneError for an unknown name or a value that does not fit."""
        checks = {each.name: each.metadata["check"] for each in fields(self)}
        refuse_unknown(changes, checks, where)
        for name, value in changes.items():
            _refuse_unfit(value, checks[name], f"{where}.{name}")
        return replace(self, **changes)

    def range_trouble(self, start: int, end: int, today: int) -> str:
        """Why a create of the days start..end is refused on the vendor's `today`, or ""."""
        days = end - start + 1
        if days < 1:
            return "range_end is before range_start"
        if not self.allow_today and end >= today:
            return "range_end must be before today"
        if days < self.min_range_days:
            return f"A range needs at least {self.min_range_days} days"
        if self.max_range_days is not None and days > self.max_range_days:
            return f"A range has at most {self.max_range_days} days"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Every setting by name, in the order of the world file."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def read_mapping(value: Any, where: str) -> Mapping[Any, Any]:
    """A mapping; nothing at all is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SceneError(where, f"must be a mapping, not {type(value).__name__}")
    return value


def read_flag(value: Any, where: str) -> bool:
    """True or false, and nothing like it."""
    _refuse_unfit(value, _flag, where)
    return bool(value)


def read_whole(value: Any, where: str, also: str = "") -> int:
    """A whole number of at least 0; `also` says what else would do."""
    if not is_integer(value) or value < 0:
        raise SceneError(where, f"{value!r} is not a whole number of at least 0{also}")
    return int(value)


def read_id(value: Any, where: str) -> int:
    """An id, as a number or as its digits."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not is_integer(number) or not 1 <= number <= MAX_ID:
        raise SceneError(where, f"{value!r} is not an id: a whole number from 1 to {MAX_ID}")
    return int(number)


def read_day(value: Any, where: str) -> int:
    """A day, given as text or as a `date`."""
    return _read_time(times.read_day, value, where)


def read_moment(value: Any, where: str) -> int:
    """A moment, given as text or as a `datetime`; without a zone it is UTC."""
    return _read_time(times.read_moment, value, where)


def _read_time(read: Callable[[object], int], value: Any, where: str) -> int:
    try:
        return read(value)
    except ValueError as error:
        raise SceneError(where, str(error)) from None
