"""One transfer as declared, resolved against a date: its settings, and its days as segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

from reconciler.config import schema
from reconciler.config.nodes import Node, Path, key_place, place_of
from reconciler.config.ranges import interval
from reconciler.config.rules import finding, shown
from reconciler.config.segments import overlaps, segments
from reconciler.dates import DateSet, Day, iso, last_iso
from reconciler.diagnostics import Finding, Place
from reconciler.model.desired import Address, DesiredTransfer, Segment

MOST_DAYS: Final = 36_525
"""A hundred years: the most days one transfer may declare."""

_MOST_PLACES: Final = 10
_INHERITED: Final = ("chunk", "max_attempts", "evidence", "owner")


@dataclass(frozen=True, slots=True)
class TeamFile:
    """One valid file of a team. ``data`` tells places; it may lack faulty parts, like ``model``."""

    file: str
    model: schema.BackfillsFile
    data: Node


@dataclass(frozen=True, slots=True)
class Today:
    """What relative days and ``stale_before`` are resolved against."""

    as_of: Day
    now: datetime
    zone: tzinfo


@dataclass(slots=True)
class _Declared:
    """One transfer while it is being resolved."""

    file: TeamFile
    name: str
    clock: Today
    findings: list[Finding] = field(default_factory=list)

    @property
    def transfer(self) -> schema.TransferEntry:
        return self.file.model.transfers[self.name]

    def place(self, *path: str | int) -> Place:
        return place_of(self.file.data, ("transfers", self.name, *path))

    def report(self, rule: str, detail: str, hint: str, place: Place, *also: Place) -> None:
        self.findings.append(finding(rule, detail, hint, place, also))


def resolve_transfer(file: TeamFile, name: str, clock: Today) -> tuple[DesiredTransfer, list[Finding]]:
    """Return what one transfer must have loaded, and what is wrong with its days."""
    declared = _Declared(file, name, clock)
    transfer = declared.transfer
    allow_today = _setting(file.model, transfer, "allow_today")
    settings = {key: _setting(file.model, transfer, key) for key in _INHERITED}
    desired = DesiredTransfer(
        address=Address(file.model.team_id, transfer.transfer_id),
        name=name,
        place=key_place(file.data, ("transfers", name)),
        segments=_segments(declared),
        loadable_until=clock.as_of + bool(allow_today),
        paused=bool(transfer.paused),
        previous_ids=tuple(dict.fromkeys(transfer.previous_ids or ())),
        **{key: value for key, value in settings.items() if value is not None},
    )
    return desired, declared.findings


def _setting(file: schema.BackfillsFile, transfer: schema.TransferEntry, key: str) -> Any:
    own = getattr(transfer, key)
    return own if own is not None or file.defaults is None else getattr(file.defaults, key)


def _segments(declared: _Declared) -> tuple[Segment, ...]:
    ranges = _ranges(declared)
    _warn_of_overlaps(declared, ranges)
    exclude = enumerate(declared.transfer.exclude or ())
    excluded = DateSet.of(_days(declared, entry, ("exclude", index)) for index, entry in exclude)
    found = segments(ranges, excluded)
    days = sum(segment.end - segment.start for segment in found)
    if days > MOST_DAYS:
        detail = (
            f"{shown(declared.name)} declares {days:,} days; the limit is {MOST_DAYS:,} (a hundred years)."
        )
        declared.report("BF047", detail, "Check the first and the last year.", declared.place("ranges"))
    return found


def _ranges(declared: _Declared) -> list[Segment]:
    """Return each range as declared: they may overlap, and hold days that are excluded."""
    general = _stale_before(declared, declared.transfer.stale_before, ("stale_before",))
    ranges = []
    for index, entry in enumerate(declared.transfer.ranges):
        path = ("ranges", index)
        start, end = _days(declared, entry, path)
        own = _stale_before(declared, entry.stale_before, (*path, "stale_before"))
        ranges.append(Segment(start, end, declared.place(*path), entry.reason or "", own or general))
    return ranges


def _days(declared: _Declared, entry: schema.ExclusionEntry, path: Path) -> tuple[Day, Day]:
    days = interval(entry.start, entry.end, declared.clock.as_of)
    if days[0] == days[1] and entry.start.relative:
        detail = f"The range now starts on {iso(days[0])}, after its end, so it no longer covers any day."
        declared.report("BF048", detail, "Remove it, or make its start a fixed date.", declared.place(*path))
    return days


def _stale_before(declared: _Declared, value: date | datetime | None, path: Path) -> datetime | None:
    """Return the time in UTC; a date is its first moment in the team's timezone.

    ``values.py`` cannot do this while it reads the file: another file of the team may be the one that
    sets ``timezone``. So 2026-02-01 stays a date until here; with Europe/Helsinki it then is
    2026-01-31T22:00:00Z.
    """
    if value is None:
        return None
    time = value
    if not isinstance(time, datetime):
        time = datetime(value.year, value.month, value.day, tzinfo=declared.clock.zone).astimezone(UTC)
    if time > declared.clock.now:
        now = declared.clock.now.astimezone(UTC)
        detail = f"It is {now:%Y-%m-%dT%H:%M:%SZ} now, so every load would count as stale."
        hint = "Write a date or time in the past. A date means its midnight in `timezone`."
        declared.report("BF045", detail, hint, declared.place(*path))
    return time


def _warn_of_overlaps(declared: _Declared, ranges: list[Segment]) -> None:
    """Report each range that shares days with ranges declared above it, once."""
    found = sorted(overlaps(ranges), key=lambda overlap: (overlap.later, overlap.start))
    by_later: dict[int, list[Any]] = {}
    for overlap in found:
        by_later.setdefault(overlap.later, []).append(overlap)
    for later, several in by_later.items():
        first = several[0]
        days = f"{iso(first.start)}..{last_iso(first.end)}"
        which = f"days {days} are" if first.end - first.start > 1 else f"day {iso(first.start)} is"
        detail = f"The {which} already declared above."
        also = [ranges[overlap.earlier].place for overlap in several[:_MOST_PLACES]]
        hint = (
            "Shorten one of the ranges. Days count once; where ranges overlap, the reason of the first holds."
        )
        declared.report("BF046", detail, hint, ranges[later].place, *dict.fromkeys(also))
