"""Records as the vendor writes them. The shapes are those of the vendor's OpenAPI description."""

from reconciler.sandbox import times
from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.progress import Progress
from reconciler.sandbox.responses import Wire
from reconciler.sandbox.runs import CREATED, Run
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import Transfer


def show_backfill(record: Backfill, now: int, settings: Settings, progress: Progress | None = None) -> Wire:
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
        "error_report": _report(record, now, settings),
    }


def show_new_backfill(record: Backfill, now: int, settings: Settings) -> Wire:
    """A Backfill as its create answers it: always CREATED, however short the paces are."""
    return show_backfill(record, now, settings, Progress(CREATED, record.total, 0, 0, 0, None, None))


def _report(record: Backfill, now: int, settings: Settings) -> list[Wire]:
    """All failed days, all but the newest (partial), or nothing (empty)."""
    failed = record.failures(now - settings.counters_lag)
    reported = [
        {"transfer_run_date": times.day_text(day), "error": error} for day, error in failed.items() if error
    ]
    return {"full": reported, "partial": reported[1:], "empty": []}[settings.error_report]


def show_transfer(transfer: Transfer, now: int, settings: Settings) -> Wire:
    """A TransferInfoResponse object. `run_date` is there once the schedule has run."""
    wire: Wire = {
        "dwh_transfer_id": _id(transfer.id, settings),
        "display_name": transfer.name,
        "external_transfer_id": f"ext-{transfer.id}",
        "status": transfer.state,
        "state": transfer.state,
        "schedule": _interval(transfer) if transfer.recurring_since is not None else "manual",
        "data_source": None,
        "destination": None,
        "accounts": [],
        "backfill": None,
    }
    last = transfer.last_fired(now)
    return wire if last is None else wire | {"run_date": times.day_text(last)}


def show_configuration(transfer: Transfer, settings: Settings) -> Wire:
    """A TransferConfigurationResponse object. Without a schedule its list is empty."""
    schedule = {
        "run_interval": _interval(transfer),
        "run_hour": transfer.at // times.HOUR,
        "refresh_window": transfer.window,
    }
    return {
        "transfer_id": _id(transfer.id, settings),
        "display_name": transfer.name,
        "accounts": [],
        "segments": [],
        "schedule": [] if transfer.recurring_since is None else [schedule],
    }


def _interval(transfer: Transfer) -> str:
    """The nearest of the vendor's words."""
    if transfer.runs_per_day > 1:
        return "hourly"
    if transfer.run_every_days == 1:
        return "daily"
    return "weekly" if transfer.run_every_days < 28 else "monthly"


def show_run(run: Run, transfer: Transfer, settings: Settings) -> Wire:
    """A TransferRunItem object."""
    return {
        "id": _id(run.id, settings),
        "status": run.status,
        "created_time": _moment(run.created, settings) if _tells_created(run, settings) else None,
        "ended_time": _moment(run.ended, settings),
        "type": run.kind,
        "total_duration": run.seconds,
        "total_rows": run.rows,
        "data_date": None if run.day in transfer.undated_days else times.day_text(run.day),
        "message": run.message,
    }


def _tells_created(run: Run, settings: Settings) -> bool:
    told = settings.runs_created_time
    return told == "all" or (told == "ended" and run.ended is not None)


def _id(number: int, settings: Settings) -> int | str:
    return str(number) if settings.id_shape == "string" else number


def _moment(moment: int | None, settings: Settings) -> str | None:
    """A moment as the vendor's clock shows it."""
    return None if moment is None else times.moment_text(moment + times.millis(settings.clock_skew_seconds))
