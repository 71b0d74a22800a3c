"""Backfills that a world file gives in the vendor's own words, and how their life goes on.

What the file says is shown as it says it. What it leaves out is derived: totals from the range, the first
run from the counts and the pace, the creation from the first run. A RUNNING one continues with its next
day, newest first. One that has ended keeps its counts as given, even if they do not add up.

With one run an hour and no waiting, a world that starts at 12:00 and is given a RUNNING backfill of
2024-01-01..2024-01-05 with 2 completed runs opens one whose first run began at 10:00, for 2024-01-05;
from 12:00 to 13:00 it loads 2024-01-03.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.sandbox import times
from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.progress import GONE_FROM_LIST, STATUSES, USER, Progress
from reconciler.sandbox.runs import (
    CANCELLED,
    COMPLETED,
    CREATED,
    FAILED,
    RUNNING,
    SCHEDULED,
    UNREPORTED,
    Ending,
)
from reconciler.sandbox.settings import (
    SceneError,
    Settings,
    read_day,
    read_fit,
    read_id,
    read_moment,
    refuse_unknown,
    whole,
)
from reconciler.sandbox.transfer import Transfer

_IDS = ("transfer_backfill_id", "transfer_id", "created_user_id", "removed_user_id")
_DAYS = ("range_start_date", "range_end_date")
_MOMENTS = ("created_time", "removed_time", "start_time", "end_time")
_COUNTS = tuple(f"transfer_runs_{word}" for word in ("total", "created", "completed", "failed"))
_REQUIRED = ("transfer_backfill_id", "transfer_id", "range_start_date", "range_end_date", "status")


@dataclass(frozen=True, slots=True)
class SceneBackfill:
    """One entry of `backfills`, checked: ids and counts are ints, days ordinals, moments milliseconds."""

    team: int
    fields: Mapping[str, Any]
    report: Mapping[int, str]
    where: str

    @property
    def id(self) -> int:
        """Its id."""
        return int(self.fields["transfer_backfill_id"])

    @property
    def status(self) -> str:
        """Its status when the world starts."""
        return str(self.fields["status"])

    @property
    def ran(self) -> int:
        """How many of its runs have ended."""
        return self.count("completed") + self.count("failed")

    @property
    def total(self) -> int:
        """How many runs it says it has; if it does not say, the days of its range."""
        return self.count("total", int(self.fields["range_end_date"] - self.fields["range_start_date"] + 1))

    @property
    def has_ended(self) -> bool:
        """Whether it is over. A FAILED one without an end goes on if some, but not all, of its runs ended."""
        if self.status != FAILED:
            return self.status in GONE_FROM_LIST
        return self.ran >= self.total or "end_time" in self.fields or self.ran == 0

    def count(self, name: str, default: int = 0) -> int:
        """A count by the last word of its name."""
        return int(self.fields.get(f"transfer_runs_{name}", default))

    def without_skew(self, settings: Settings) -> "SceneBackfill":
        """The same entry with its moments on the world's clock instead of the vendor's."""
        skew = times.millis(settings.clock_skew_seconds)
        moved = {name: self.fields[name] - skew for name in _MOMENTS if name in self.fields}
        return replace(self, fields={**self.fields, **moved})


def read_backfill(team: int, data: Any, where: str) -> SceneBackfill:
    """Check one entry. Raises SceneError."""
    if not isinstance(data, Mapping):
        raise SceneError(where, "must be a mapping")
    refuse_unknown(data, _READERS, where)
    for name in _REQUIRED:
        if data.get(name) is None:
            raise SceneError(where, f"{name} is missing")
    given = {name: value for name, value in data.items() if value is not None}
    fields = {name: _READERS[name](value, f"{where}.{name}") for name, value in given.items()}
    if fields["range_start_date"] > fields["range_end_date"]:
        raise SceneError(where, "range_end_date is before range_start_date")
    report = fields.pop("error_report", {})
    if outside := [d for d in report if not fields["range_start_date"] <= d <= fields["range_end_date"]]:
        raise SceneError(f"{where}.error_report", f"{times.day_text(outside[0])} is not in the range")
    return SceneBackfill(team, fields, report, where)


def _read_count(value: Any, where: str) -> Any:
    return read_fit(value, whole(0, below=2**31), where)


def _status(value: Any, where: str) -> str:
    refuse_unknown([value], STATUSES, where)
    return str(value)


def _report(value: Any, where: str) -> dict[int, str]:
    if not isinstance(value, list):
        raise SceneError(where, "must be a list")
    report: dict[int, str] = {}
    for place, item in enumerate(value):
        if not isinstance(item, Mapping) or set(item) != {"transfer_run_date", "error"}:
            raise SceneError(f"{where}[{place}]", "needs transfer_run_date and error, and nothing else")
        report[read_day(item["transfer_run_date"], f"{where}[{place}]")] = str(item["error"])
    return report


_READERS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(_IDS, read_id),
    **dict.fromkeys(_DAYS, read_day),
    **dict.fromkeys(_MOMENTS, read_moment),
    **dict.fromkeys(_COUNTS, _read_count),
    "status": _status,
    "error_report": _report,
}


def open_backfill(
    entry: SceneBackfill, now: int, settings: Settings, first_run: int, transfer: Transfer
) -> Backfill:
    """The backfill of an entry, in a world that starts at `now`. Raises SceneError if it cannot go on."""
    entry = entry.without_skew(settings)
    record = _opened(entry, _scheduled(entry, now, settings), settings, first_run, transfer)
    entry = replace(entry, fields={"transfer_runs_total": record.total, **entry.fields})
    if record.created > now:
        raise SceneError(f"{entry.where}.created_time", "is in the future of this world")
    if entry.has_ended:
        record.given = _end(entry, record, now)
    else:
        _check_goes_on(entry, record)
    record.endings = _endings(entry, record)
    return record


def _scheduled(entry: SceneBackfill, now: int, settings: Settings) -> int:
    """When its runs came to exist, so that at `now` as many of them have ended as it says."""
    if entry.status == CREATED:
        return now + times.millis(settings.seconds_until_scheduled)
    if entry.status == SCHEDULED:
        return now
    ran_for = entry.ran * times.millis(settings.seconds_per_run)
    return now - ran_for - times.millis(settings.seconds_until_running)


def _opened(
    entry: SceneBackfill, scheduled: int, settings: Settings, first_run: int, transfer: Transfer
) -> Backfill:
    """Its record, with what the file leaves out derived from when it was scheduled."""
    fields = entry.fields
    begins = scheduled + times.millis(settings.seconds_until_running)
    return Backfill(
        id=entry.id,
        team=entry.team,
        transfer=int(fields["transfer_id"]),
        start=int(fields["range_start_date"]),
        end=int(fields["range_end_date"]),
        created=fields.get("created_time", scheduled - times.millis(settings.seconds_until_scheduled)),
        user=int(fields.get("created_user_id", USER)),
        scheduled=scheduled,
        begins=begins,
        pace=times.millis(settings.seconds_per_run),
        first_run=first_run,
        started=fields.get("start_time", begins),
        rows=transfer.rows_per_day,
        per_day=transfer.runs_per_day,
        every=transfer.run_every_days,
        removed=fields.get("removed_time"),
        removed_user=fields.get("removed_user_id"),
        failed_early=entry.status == FAILED,
    )


def _end(entry: SceneBackfill, record: Backfill, now: int) -> Progress:
    """How an ended one is shown: as given, with what is left out filled in as the vendor would."""
    fields, total, failed = entry.fields, entry.total, entry.count("failed")
    if entry.status == CANCELLED:
        record.removed = fields.get("removed_time", fields.get("end_time", now))
        record.removed_user = record.removed_user or USER
    completed = entry.count("completed", total - failed if entry.status == COMPLETED else 0)
    return Progress(
        status=entry.status,
        total=total,
        created=entry.count("created", total if entry.status != CANCELLED or entry.ran else 0),
        completed=completed,
        failed=failed,
        started=fields.get("start_time", record.started if completed or entry.ran else None),
        ended=fields.get("end_time", record.removed or now),
    )


def _check_goes_on(entry: SceneBackfill, record: Backfill) -> None:
    """Refuse an active backfill whose next run could not be told. Raises SceneError."""
    status, total = entry.status, entry.total
    if total != record.total:
        detail = f"transfer_runs_total is {total}, but the range has {record.total} days"
        raise SceneError(entry.where, detail)
    if status in (CREATED, SCHEDULED) and entry.ran:
        raise SceneError(entry.where, f"{status}, yet {entry.ran} runs have ended")
    if status == RUNNING and entry.ran >= total:
        raise SceneError(entry.where, "RUNNING, yet no run is left")
    if record.removed is not None:
        raise SceneError(f"{entry.where}.removed_time", f"{status} backfills were not removed")


def _endings(entry: SceneBackfill, record: Backfill) -> dict[int, Ending | None]:
    """The failed runs: those the report names, then the newest ones that ran, unreported, up to the count."""
    failed, where = entry.count("failed"), f"{entry.where}.error_report"
    endings: dict[int, Ending | None] = {}
    for day, error in entry.report.items():
        if not record.slots_of(day):
            raise SceneError(where, f"{times.day_text(day)} has no run")
        slot = record.slots_of(day)[0]
        endings[slot] = Ending(FAILED, error)
        if record.given is None and slot >= entry.ran:
            raise SceneError(where, f"{times.day_text(day)} has not run yet: the newest day runs first")
    for slot in range(record.total):
        if len(endings) >= failed:
            break
        endings.setdefault(slot, Ending(FAILED, UNREPORTED))
    if record.given is None and len(endings) != failed:
        raise SceneError(where, "names more days than transfer_runs_failed counts")
    return endings
