"""Backfills that a world file gives in the vendor's own words, and how their life goes on.

What the file says is shown as it says it. What it leaves out is derived: totals from the range, the first
run from the counts and the pace, the creation from the first run. A RUNNING one continues with its next
day, newest first. One that has ended keeps its counts as given, even if they do not add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox import backfill as life
from reconciler.sandbox import times
from reconciler.sandbox.backfill import Backfill, Progress
from reconciler.sandbox.scene_values import read_day, read_id, read_moment
from reconciler.sandbox.settings import SceneError, Settings, is_integer, refuse_unknown

USER = 789  # whoever creates and cancels here: the user id of the vendor's examples

_IDS = ("transfer_backfill_id", "transfer_id", "created_user_id", "removed_user_id")
_DAYS = ("range_start_date", "range_end_date")
_MOMENTS = ("created_time", "removed_time", "start_time", "end_time")
_COUNTS = (
    "transfer_runs_total",
    "transfer_runs_created",
    "transfer_runs_completed",
    "transfer_runs_failed",
)
_KNOWN = (*_IDS, *_DAYS, *_MOMENTS, *_COUNTS, "status", "error_report")
_REQUIRED = ("transfer_backfill_id", "transfer_id", "range_start_date", "range_end_date", "status")


@dataclass(frozen=True, slots=True)
class GivenBackfill:
    """One entry of `backfills`, checked: ids and counts are ints, days ordinals, moments milliseconds."""

    team: int
    fields: Mapping[str, Any]
    report: Mapping[int, str]
    where: str

    @property
    def id(self) -> int:
        """Its id."""
        return int(self.fields["transfer_backfill_id"])

    def count(self, name: str, default: int = 0) -> int:
        """A count by the last word of its name."""
        return int(self.fields.get(f"transfer_runs_{name}", default))


def read_given(team: int, data: Any, where: str) -> GivenBackfill:
    """Check one entry. Raises SceneError."""
    if not isinstance(data, Mapping):
        raise SceneError(where, "must be a mapping")
    refuse_unknown(data, _KNOWN, where)
    for name in _REQUIRED:
        if data.get(name) is None:
            raise SceneError(where, f"{name} is missing")
    fields = {
        name: _field(name, value, f"{where}.{name}") for name, value in data.items() if value is not None
    }
    if fields["range_start_date"] > fields["range_end_date"]:
        raise SceneError(where, "range_end_date lies before range_start_date")
    report = fields.pop("error_report", {})
    if outside := [d for d in report if not fields["range_start_date"] <= d <= fields["range_end_date"]]:
        raise SceneError(f"{where}.error_report", f"{times.day_text(outside[0])} is not in the range")
    return GivenBackfill(team, fields, report, where)


def _field(name: str, value: Any, where: str) -> Any:
    if name in _DAYS:
        return read_day(value, where)
    if name in _MOMENTS:
        return read_moment(value, where)
    if name == "status":
        if value not in life.STATUSES:
            refuse_unknown([value], life.STATUSES, where)
        return value
    if name == "error_report":
        return _report(value, where)
    if name in _IDS:
        return read_id(value, where)
    if not is_integer(value) or not 0 <= value < 2**31:
        raise SceneError(where, f"{value!r} is not a whole number of at least 0")
    return value


def _report(value: Any, where: str) -> dict[int, str]:
    if not isinstance(value, list):
        raise SceneError(where, "must be a list")
    report: dict[int, str] = {}
    for place, item in enumerate(value):
        if not isinstance(item, Mapping) or set(item) != {"transfer_run_date", "error"}:
            raise SceneError(f"{where}[{place}]", "needs transfer_run_date and error, and nothing else")
        report[read_day(item["transfer_run_date"], f"{where}[{place}]")] = str(item["error"])
    return report


def open_given(given: GivenBackfill, now: int, settings: Settings, first_run: int) -> Backfill:
    """The backfill of an entry, in a world that starts at `now`. Raises SceneError if it cannot go on."""
    status, skew = given.fields["status"], times.millis(settings.clock_skew_seconds)
    done = given.count("completed") + given.count("failed")
    pace = times.millis(settings.seconds_per_run)
    until_running = times.millis(settings.seconds_until_running)
    until_scheduled = times.millis(settings.seconds_until_scheduled)
    start, end = int(given.fields["range_start_date"]), int(given.fields["range_end_date"])
    total = given.count("total", end - start + 1)
    ended = status in life.GONE_FROM_LIST or (
        status == life.FAILED and (done >= total or "end_time" in given.fields or done == 0)
    )
    begins = now + until_running + (until_scheduled if status == life.CREATED else 0)
    if status in (life.RUNNING, life.FAILED) or ended:
        begins = now - done * pace
    scheduled = now + until_scheduled if status == life.CREATED else min(now, begins - until_running)
    moments = {name: given.fields[name] - skew for name in _MOMENTS if name in given.fields}
    created = moments.get("created_time", min(now, scheduled - until_scheduled))
    if created > now:
        raise SceneError(f"{given.where}.created_time", "lies in the future of this world")
    record = Backfill(
        id=given.id,
        team=given.team,
        transfer=int(given.fields["transfer_id"]),
        start=start,
        end=end,
        created=created,
        user=int(given.fields.get("created_user_id", USER)),
        scheduled=scheduled,
        begins=begins,
        pace=pace,
        first_run=first_run,
        started=moments.get("start_time", begins),
        removed=moments.get("removed_time"),
        removed_user=given.fields.get("removed_user_id"),
        failed_early=status == life.FAILED,
    )
    if ended:
        record.given = _final(given, record, total, moments, now)
    else:
        _continues(given, record, done, total)
    record.verdicts = _verdicts(given, record, done)
    return record


def _final(
    given: GivenBackfill, record: Backfill, total: int, moments: Mapping[str, int], now: int
) -> Progress:
    """How an ended one is shown: as given, with what is left out filled in as the vendor would."""
    status, ran = given.fields["status"], given.count("completed") + given.count("failed")
    if status == life.CANCELLED:
        record.removed = moments.get("removed_time", moments.get("end_time", now))
        record.removed_user = record.removed_user or USER
    completed = given.count("completed", total - given.count("failed") if status == life.COMPLETED else 0)
    return Progress(
        status=status,
        total=total,
        created=given.count("created", total if status != life.CANCELLED or ran else 0),
        completed=completed,
        failed=given.count("failed"),
        started=moments.get("start_time", record.started if completed or ran else None),
        ended=moments.get("end_time", record.removed or now),
    )


def _continues(given: GivenBackfill, record: Backfill, done: int, total: int) -> None:
    """Refuse an active backfill whose next run could not be told."""
    status = given.fields["status"]
    if total != record.total:
        raise SceneError(
            given.where, f"transfer_runs_total is {total}, but the range has {record.total} days"
        )
    if status in (life.CREATED, life.SCHEDULED) and done:
        raise SceneError(given.where, f"{status}, yet {done} runs have ended")
    if status == life.RUNNING and done >= total:
        raise SceneError(given.where, "RUNNING, yet no run is left")
    if record.removed is not None:
        raise SceneError(f"{given.where}.removed_time", f"{status} backfills were not removed")


def _verdicts(given: GivenBackfill, record: Backfill, done: int) -> dict[int, str | None]:
    """The failed days: those the report names, then the newest ones that ran, unreported, up to the count."""
    verdicts: dict[int, str | None] = dict(given.report)
    if record.given is None and (late := [day for day in verdicts if record.end - day >= done]):
        raise SceneError(
            f"{given.where}.error_report",
            f"{times.day_text(late[0])} has not run yet: the newest day runs first",
        )
    for day in range(record.end, record.start - 1, -1):
        if len(verdicts) >= given.count("failed"):
            break
        verdicts.setdefault(day, life.UNREPORTED)
    if record.given is None and len(verdicts) != given.count("failed"):
        raise SceneError(f"{given.where}.error_report", "names more days than transfer_runs_failed counts")
    return verdicts
