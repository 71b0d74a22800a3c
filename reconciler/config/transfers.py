"""One transfer as declared, resolved against a date: its settings, and its days as segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path as FilePath
from typing import Any, Final

from reconciler.config import schema
from reconciler.config.nodes import Node, Path, key_place, place_of
from reconciler.config.rules import finding, shown
from reconciler.config.segments import General, Overlap, overlaps, segments
from reconciler.dates import DateSet, Day, Interval, dates_of, grouped, iso
from reconciler.diagnostics import Finding, Place
from reconciler.model.desired import Address, DesiredTransfer, LoadedDays, Segment
from reconciler.model.written import WrittenDays, WrittenRange

MOST_DAYS: Final = 36_525
"""A hundred years: the most days one transfer may declare."""

_MOST_PLACES: Final = 10
_IN_FUTURE: Final = {
    "stale_before": ("BF045", "every load would count as stale"),
    "at": ("BF037", "nothing can be known of what is loaded then"),
}
_INHERITED: Final = ("chunk", "max_attempts", "retry_after", "evidence", "allow_today")


@dataclass(frozen=True, slots=True)
class TeamFile:
    """One valid file of a team. ``data`` tells places; it may lack faulty parts, like ``model``; ``whole``
    lacks none.

    ``path`` is the file's as given, ``home`` the folder of the state if no file says otherwise.
    """

    file: str
    model: schema.BackfillsFile
    data: Node
    whole: Node
    path: FilePath
    home: FilePath


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

    def setting(self, key: str) -> Any:
        """Return what the transfer says, else the defaults of its file."""
        own, defaults = getattr(self.transfer, key), self.file.model.defaults
        return own if own is not None or defaults is None else getattr(defaults, key)

    def place(self, *path: str | int) -> Place:
        return place_of(self.file.data, ("transfers", self.name, *path))

    def report(self, rule: str, detail: str, hint: str, place: Place) -> None:
        self.findings.append(finding(rule, detail, hint, place))


def resolve_transfer(file: TeamFile, name: str, clock: Today) -> tuple[DesiredTransfer, list[Finding]]:
    """Return what one transfer must have loaded, and what is wrong with its days."""
    declared = _Declared(file, name, clock)
    transfer = declared.transfer
    settings = {key: declared.setting(key) for key in _INHERITED}
    written = _written(transfer)
    desired = DesiredTransfer(
        address=Address(file.model.team_id, transfer.transfer_id),
        name=name,
        place=key_place(file.data, ("transfers", name)),
        segments=_segments(declared, written),
        loadable_until=clock.as_of + bool(settings["allow_today"]),
        paused=bool(transfer.paused),
        previous_ids=tuple(dict.fromkeys(transfer.previous_ids or ())),
        owners=tuple(dict.fromkeys(declared.setting("owner") or ())),
        loaded=_loaded(declared),
        written=written if written.relative else None,
        **{key: value for key, value in settings.items() if value is not None},
    )
    return desired, declared.findings


def _written(transfer: schema.TransferEntry) -> WrittenDays:
    ranges = (
        WrittenRange(entry.start, entry.end, _without_excludes(entry.exclude)) for entry in transfer.ranges
    )
    return WrittenDays(tuple(ranges), _without_excludes(transfer.exclude))


def _without_excludes(entries: Sequence[schema.ExclusionEntry] | None) -> tuple[WrittenRange, ...]:
    return tuple(WrittenRange(entry.start, entry.end) for entry in entries or ())


def _segments(declared: _Declared, written: WrittenDays) -> tuple[Segment, ...]:
    ranges = _ranges(declared, written)
    _warn_of_overlaps(declared, ranges)
    exclude = (_interval(declared, one, ("exclude", index)) for index, one in enumerate(written.exclude))
    general = General(
        _past(declared, declared.transfer.stale_before, ("stale_before",)), declared.setting("final_after")
    )
    found = segments(ranges, DateSet.of(exclude), general)
    days = sum(segment.end - segment.start for segment in found)
    if days > MOST_DAYS:
        detail = (
            f"{shown(declared.name)} declares {days:,} days; the limit is {MOST_DAYS:,} (a hundred years)."
        )
        declared.report("BF047", detail, "Check the first and the last year.", declared.place("ranges"))
    return found


def _ranges(declared: _Declared, written: WrittenDays) -> list[Segment]:
    """Return each range as declared: they may overlap, and hold days that all of them exclude.

    One that its own ``exclude`` cuts comes in several pieces, which share a place.
    """
    ranges = []
    for index, entry in enumerate(declared.transfer.ranges):
        path = ("ranges", index)
        stale = _past(declared, entry.stale_before, (*path, "stale_before"))
        place, reason = declared.place(*path), entry.reason or ""
        owners = tuple(dict.fromkeys(entry.owner or ()))
        for start, end in _days(declared, written.ranges[index], path).intervals:
            ranges.append(Segment(start, end, place, reason, stale, entry.final_after, owners=owners))
    return ranges


def _days(declared: _Declared, written: WrittenRange, path: Path) -> DateSet:
    days = DateSet.of([_interval(declared, written, path)])
    exclude = enumerate(written.exclude)
    return days - DateSet.of(_interval(declared, one, (*path, "exclude", index)) for index, one in exclude)


def _interval(declared: _Declared, written: WrittenRange, path: Path) -> Interval:
    days = written.interval(declared.clock.as_of)
    if days[0] == days[1] and written.start.relative:
        detail = f"The range now starts on {iso(days[0])}, after its end, so it no longer covers any day."
        hint, brief = "Remove it, or make its start a fixed date.", f"Starts on {iso(days[0])}, after its end"
        declared.findings.append(finding("BF048", detail, hint, declared.place(*path), brief=brief))
    return days


def _loaded(declared: _Declared) -> tuple[LoadedDays, ...]:
    found = []
    for index, entry in enumerate(declared.transfer.loaded or ()):
        path = ("loaded", index)
        days = DateSet.of([_interval(declared, WrittenRange(entry.start, entry.end), path)])
        at = _past(declared, entry.at, (*path, "at"))
        _check_begun(declared, days, at, path)
        found.append(LoadedDays(days, at, entry.reason or "", declared.place(*path)))
    return tuple(found)


def _check_begun(declared: _Declared, days: DateSet, at: datetime | None, path: Path) -> None:
    """Report days that had not begun when they are said to have been loaded; without ``at``, now."""
    then = min(at or declared.clock.now, declared.clock.now).astimezone(declared.clock.zone).date()
    later = days - DateSet.span(0, then.toordinal() + 1)
    if later:
        detail = f"{dates_of(*later.intervals[0])} had not begun on {then}, when they are said to be loaded."
        hint = "End the range before that, or write the `at` of the last of them."
        declared.report("BF037", detail, hint, declared.place(*path))


def _past(declared: _Declared, value: date | datetime | None, path: Path) -> datetime | None:
    """Return the time in UTC; a date is its first moment in the team's timezone. Reports a later one.

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
        rule, means = _IN_FUTURE[str(path[-1])]
        detail = f"It is {declared.clock.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} now, so {means}."
        hint = "Write a date or time in the past. A date means its midnight in `timezone`."
        declared.report(rule, detail, hint, declared.place(*path))
    return time


def _warn_of_overlaps(declared: _Declared, ranges: list[Segment]) -> None:
    """Report each range that shares days with ranges declared above it, once; but for a re-run of them."""
    found = sorted(overlaps(ranges), key=lambda overlap: (overlap.later, overlap.start))
    told = (overlap for overlap in found if ranges[overlap.later].stale_before is None)
    for place, several in grouped(told, lambda overlap: ranges[overlap.later].place).items():
        declared.findings.append(_overlapping(ranges, place, several))


def _overlapping(ranges: list[Segment], place: Place, several: list[Overlap]) -> Finding:
    first = several[0]
    days = dates_of(first.start, first.end)
    which = f"days {days} are" if first.end - first.start > 1 else f"day {iso(first.start)} is"
    detail = f"The {which} already declared above."
    also = dict.fromkeys(ranges[overlap.earlier].place for overlap in several[:_MOST_PLACES])
    hint = "Shorten one of the ranges. Days count once; where ranges overlap, the reason of the first holds."
    one = iso(first.start) if first.end - first.start == 1 else days
    brief = f"{one} declared above"
    return finding("BF046", detail, hint, place, tuple(also), brief=brief)
