"""Records as the vendor writes them: the JSON objects of its OpenAPI description."""

from typing import Any

from reconciler.sandbox import times
from reconciler.sandbox.backfill import CREATED, Backfill, Progress
from reconciler.sandbox.runs import Run
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import Transfer

Wire = dict[str, Any]


def backfill_wire(record: Backfill, now: int, settings: Settings, progress: Progress | None = None) -> Wire:
    """A Backfill object. `removed_*` are there only after a cancel, as in the vendor's examples."""
    shown = progress or record.progress(now, settings)
    wire: Wire = {
        "transfer_backfill_id": _id(record.id, settings),
        "transfer_id": _id(record.transfer, settings),
        "range_start_date": times.day_text(record.start),
        "range_end_date": times.day_text(record.end),
        "created_time": _moment(record.created, settings),
        "created_user_id": _id(record.user, settings),
    }
    if record.removed is not None:
        wire["removed_time"] = _moment(record.removed, settings)
        wire["removed_user_id"] = _id(record.removed_user or record.user, settings)
    return wire | {
        "start_time": _moment(shown.started, settings),
        "end_time": _moment(shown.ended, settings),
        "status": shown.status,
        "transfer_runs_total": shown.total,
        "transfer_runs_created": shown.created,
        "transfer_runs_completed": shown.completed,
        "transfer_runs_failed": shown.failed,
        "error_report": _report(record, settings),
    }


def new_backfill_wire(record: Backfill, now: int, settings: Settings) -> Wire:
    """A Backfill as its create answers it: always CREATED, however short the paces are."""
    return backfill_wire(record, now, settings, Progress(CREATED, record.total, 0, 0, 0, None, None))


def _report(record: Backfill, settings: Settings) -> list[Wire]:
    """All failed runs, all but the one of the newest day (partial), or nothing (empty)."""
    failed = [(day, record.verdicts[day]) for day in record.failures()]
    reported = [{"transfer_run_date": times.day_text(day), "error": error} for day, error in failed if error]
    match settings.error_report:
        case "full":
            return reported
        case "partial":
            return reported[1:]
        case _:
            return []


def transfer_wire(transfer: Transfer, now: int, settings: Settings) -> Wire:
    """A TransferInfoResponse object. `run_date` is there once the schedule has run."""
    wire: Wire = {
        "dwh_transfer_id": _id(transfer.id, settings),
        "display_name": transfer.name,
        "external_transfer_id": f"ext-{transfer.id}",
        "status": transfer.state,
        "state": transfer.state,
        "schedule": "daily" if transfer.recurring_since is not None else "manual",
        "data_source": None,
        "destination": None,
        "accounts": [],
        "backfill": None,
    }
    last = transfer.last_run(now)
    return wire if last is None else wire | {"run_date": times.day_text(last + 1)}


def run_wire(run: Run, settings: Settings) -> Wire:
    """A TransferRunItem object."""
    return {
        "id": _id(run.id, settings),
        "status": run.status,
        "created_time": _moment(run.created, settings),
        "ended_time": _moment(run.ended, settings),
        "type": run.kind,
        "total_duration": run.seconds,
        "total_rows": run.rows,
        "data_date": times.day_text(run.day),
        "message": run.message,
    }


def _id(number: int, settings: Settings) -> int | str:
    return str(number) if settings.id_shape == "string" else number


def _moment(moment: int | None, settings: Settings) -> str | None:
    """A moment as the vendor's clock shows it."""
    return None if moment is None else times.moment_text(moment + times.millis(settings.clock_skew_seconds))
