"""What is desired: the days that must be loaded, resolved against one date.

Days are ordinals and intervals half-open (``dates.py``); times are aware datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from reconciler.dates import DateSet, Day, Span, union
from reconciler.diagnostics import Finding, Place
from reconciler.model.written import WrittenDays


class Chunk(StrEnum):
    NONE = "none"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Order(StrEnum):
    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"


class OnUnknown(StrEnum):
    SETTLE = "settle"
    BLOCK = "block"


class EvidenceMode(StrEnum):
    RUNS = "runs"
    BACKFILLS = "backfills"


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """The identity of a transfer; our own name for it is not part of it."""

    team_id: int
    transfer_id: int


@dataclass(frozen=True, slots=True)
class Rerun:
    """The range whose ``stale_before`` holds on days that another range declared first."""

    place: Place
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Segment(Span):
    """Declared days ``[start, end)`` of one transfer of which all the rest here is true.

    ``place`` and ``reason`` are those of the range that declared the days first; of a day that
    ``stale_before`` makes due, those of ``rerun`` hold, if there is one. ``final_after`` counts whole days,
    0 to 400; ``None`` where neither range, nor transfer, nor defaults set it. ``owners`` are those that the
    range names; none where the transfer's hold.
    """

    start: Day
    end: Day
    place: Place
    reason: str = ""
    stale_before: datetime | None = None
    final_after: int | None = None
    rerun: Rerun | None = None
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedDays:
    """Days that were loaded by other means, by what the file says. ``at`` is ``None`` for long ago."""

    days: DateSet
    at: datetime | None
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class DesiredTransfer:
    """What one transfer must have loaded.

    ``segments`` are sorted and disjoint; together they are the declared days, ``exclude``
    already taken off. Days from ``loadable_until`` on are in the future: today is one unless
    ``allow_today``. ``written`` is ``None`` where no day is relative to ``as_of``.
    """

    address: Address
    name: str
    place: Place
    segments: tuple[Segment, ...]
    loadable_until: Day
    chunk: Chunk = Chunk.NONE
    max_attempts: int = 3
    retry_after: timedelta = timedelta(hours=1)
    evidence: EvidenceMode = EvidenceMode.RUNS
    allow_today: bool = False
    owners: tuple[str, ...] = ()
    paused: bool = False
    previous_ids: tuple[int, ...] = ()
    successors: tuple[int, ...] = ()
    loaded: tuple[LoadedDays, ...] = ()
    written: WrittenDays | None = None

    @property
    def days(self) -> DateSet:
        return union(segment.days for segment in self.segments)

    def declared_at(self, as_of: Day) -> DateSet:
        """Return the days as they would be declared with relative dates read as of another day."""
        return self.days if self.written is None else self.written.days(as_of)

    @property
    def everyone(self) -> tuple[str, ...]:
        """Return the owners of the transfer and of its days, each once."""
        return tuple(dict.fromkeys((*self.owners, *(one for part in self.segments for one in part.owners))))

    def owned_by(self, owner: str) -> DateSet:
        """Return the declared days that an owner is responsible for."""
        return union(part.days for part in self.segments if owner in (part.owners or self.owners))

    @property
    def source_ids(self) -> tuple[int, ...]:
        """Return the ids whose loads count as evidence: its own, its predecessors', its successors'."""
        return (self.address.transfer_id, *self.previous_ids, *self.successors)


@dataclass(frozen=True, slots=True)
class Limits:
    """What does not fit is deferred to a later apply; ``None`` means no limit."""

    max_open_backfills: int = 100
    max_open_per_transfer: int | None = None
    max_creates_per_apply: int | None = None
    max_days_per_backfill: int | None = None
    requests_per_second: float = 20.0


@dataclass(frozen=True, slots=True)
class Guards:
    """A plan beyond one of these is refused as a whole."""

    max_days_per_apply: int | None = None
    max_rows_per_apply: int | None = None
    owners: Mapping[str, Guards] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesiredTeam:
    """All that the files declare for one team, resolved against one date.

    ``as_of`` is the date relative days were resolved against, in ``timezone`` ("" if unset: in UTC);
    ``as_of_is_today`` is false when ``--as-of`` named an earlier one. ``transfers`` are the
    selected ones, by transfer id; ``declared_ids`` are those of the files, selected or not, and so are
    ``all_transfers``, if any were left out.
    ``state`` is a folder given in a file, already resolved against that file's folder; ``default_state``
    where it is otherwise, ``None`` where the files leave that open.
    """

    team_id: int
    as_of: Day
    as_of_is_today: bool
    transfers: tuple[DesiredTransfer, ...]
    declared_ids: frozenset[int]
    timezone: str = ""
    order: Order = Order.NEWEST_FIRST
    prune: bool = False
    on_unknown: OnUnknown = OnUnknown.SETTLE
    stuck_after: timedelta = timedelta(days=7)
    limits: Limits = field(default_factory=Limits)
    guards: Guards = field(default_factory=Guards)
    key_env: str = "SUPERMETRICS_API_KEY"
    state: str | None = None
    default_state: str | None = "state"
    files: tuple[str, ...] = ()
    all_transfers: tuple[DesiredTransfer, ...] = ()

    @property
    def of_the_files(self) -> tuple[DesiredTransfer, ...]:
        """Return the transfers of the files, selected or not: what is seen of each is remembered."""
        return self.all_transfers or self.transfers


@lru_cache(maxsize=2)
def _lines_of(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n"))  # of a large file with a thousand findings, once


@dataclass(frozen=True, slots=True)
class Desired:
    """What the files declare. ``teams``, by team id, is empty if a finding is an error.

    ``texts`` holds each file's text by its name in ``Place.file``, for showing lines; secrets in it are
    blanked out. ``target`` and ``exclude`` are the patterns by which the transfers were selected;
    ``config`` are the files and folders, as they were given. Of the files ``unparsed`` no more is known than
    that they are not YAML.
    """

    teams: tuple[DesiredTeam, ...]
    findings: tuple[Finding, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    unparsed: tuple[str, ...] = ()

    def line(self, place: Place) -> str | None:
        """Return the text of the line a place begins in, or ``None`` if there is none."""
        lines = _lines_of(self.texts.get(place.file, ""))
        return lines[place.line - 1].rstrip("\r") if 0 < place.line <= len(lines) else None
