"""Moments and days, the way every module of the sandbox counts them.

A *moment* is an int: milliseconds since 1970-01-01T00:00:00Z. Integers make "how many runs have
ended by now" exact, which floats do not. A *day* is a proleptic Gregorian ordinal in UTC
(`date.toordinal`). On the wire a moment is text of whole seconds ending in Z, as the vendor writes it.
"""

import re
from datetime import UTC, date, datetime

DAY = 86_400_000
HOUR = 3_600_000
EPOCH_DAY = date(1970, 1, 1).toordinal()
LATEST = int(datetime(9990, 1, 1, tzinfo=UTC).timestamp()) * 1000  # later moments could not be written down

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


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


def read_day(text: str) -> int:
    """The day of a text like 2024-01-31. Raises ValueError for any other shape, and for 2024-02-30."""
    if not _DATE.fullmatch(text):
        raise ValueError(f"{text!r} is not a date like 2024-01-31")
    return date.fromisoformat(text).toordinal()


def read_moment(text: str) -> int:
    """The moment of an RFC 3339 text with a zone and without fractions. Raises ValueError otherwise."""
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"{text!r} is not a time like 2024-01-31T09:00:00Z")
    return int(datetime.fromisoformat(text.upper()).timestamp()) * 1000
