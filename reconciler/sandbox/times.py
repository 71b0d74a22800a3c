"""Moments and days, the way every module of the sandbox counts them, and the world's clock.

A *moment* is an int: milliseconds since 1970-01-01T00:00:00Z. Integers make "how many runs have
ended by now" exact, which floats do not. A *day* is a proleptic Gregorian ordinal in UTC
(`date.toordinal`). On the wire a moment is text of whole seconds ending in Z, as the vendor writes it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

DAY = 86_400_000
HOUR = 3_600_000
EPOCH_DAY = date(1970, 1, 1).toordinal()
LATEST = int(datetime(9990, 1, 1, tzinfo=UTC).timestamp()) * 1000  # later moments could not be written down

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(_DATE.pattern + r"[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[Zz]|[+-][0-9]{2}:[0-9]{2})")


def millis(seconds: float) -> int:
    """Seconds (epoch or a length) as milliseconds, rounded."""
    return round(seconds * 1000)


def moment_text(moment: int) -> str:
    """2024-02-01T09:00:00Z; fractions of a second are cut off."""
    return datetime.fromtimestamp(moment // 1000, UTC).isoformat()[:19] + "Z"


def day_of(moment: int) -> int:
    """The UTC day a moment lies in."""
    return moment // DAY + EPOCH_DAY


def midnight(day: int) -> int:
    """The moment a UTC day begins."""
    return (day - EPOCH_DAY) * DAY


def month_start(moment: int) -> int:
    """The moment the UTC calendar month of `moment` began."""
    return midnight(date.fromordinal(day_of(moment)).replace(day=1).toordinal())


def day_text(day: int) -> str:
    """2024-01-31."""
    return date.fromordinal(day).isoformat()


def read_day(value: object) -> int:
    """The day of a `date`, or of a text like 2024-01-31. Raises ValueError for all else (2024-02-30 too)."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.toordinal()
    text = str(value)
    if not _DATE.fullmatch(text):
        raise ValueError(f"{text!r} is not a date like 2024-01-31")
    return date.fromisoformat(text).toordinal()


def read_moment(value: object) -> int:
    """The moment of a `datetime` (in UTC if it has no zone), or of an RFC 3339 text.

    The text needs a zone and has no fractions of a second. Raises ValueError for all else.
    """
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return int(aware.timestamp()) * 1000
    text = str(value)
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"{text!r} is not a time like 2024-01-31T09:00:00Z")
    return int(datetime.fromisoformat(text.upper()).timestamp()) * 1000


@dataclass(slots=True)
class Timeline:
    """The world's clock: world time = `base` + (real time - `real`) * `speed`.

    `base` is a moment (milliseconds), `real` epoch seconds of the clock passed in; speed 0 stands still.
    """

    base: int
    real: float
    speed: float = 1.0

    def now(self, real: float) -> int:
        """The world's moment at a real time; never before `base`, should the real clock be set back."""
        return self.base + max(0, round((real - self.real) * self.speed * 1000))

    def moved(self, real: float, by: int = 0, speed: float | None = None) -> "Timeline":
        """A timeline that jumps `by` milliseconds at `real`, and goes on at `speed`."""
        return Timeline(self.now(real) + by, real, self.speed if speed is None else speed)
