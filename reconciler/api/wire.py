"""Answers as the API sends them → our values. Tolerant of what may vary, strict where days hang on it.

Tolerated: ids as numbers or text; an envelope or none; unknown fields, statuses and codes; absent
optional fields; times with or without fraction and zone (none means UTC). Not tolerated: an item
whose identity, days or time cannot be read. It is never skipped, since a backfill or run that we
overlook is a day loaded twice; instead the whole answer is ``AnswerUnreadable``.

Hand-written rather than pydantic: a page of 10,000 runs takes a few dozen milliseconds, and what
is tolerated differs field by field. Facts are from the vendor's OpenAPI of data backfills.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from reconciler.api.fields import LARGEST, AnswerUnreadable, count, day, identity, moment, moment_or_none
from reconciler.dates import EMPTY, DateSet, Day
from reconciler.http import Response
from reconciler.model.observed import ApiError, Backfill, Run, RunStatus, Status, TransferInfo, joined
from reconciler.untrusted import as_it_is, clean, clean_code

T = TypeVar("T")

Hide = Callable[[str], str]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUOTA_CODES = frozenset({"API_ROW_QUOTA_EXCEEDED", "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED"})
MOST_PARTS = (
    600_000  # values and containers: a page of 10,000 runs has some 150,000; each takes up to 200 bytes
)


# --- documents ---------------------------------------------------------------------------


def decode(body: bytes) -> object:
    """Return the JSON of a body. Raises ``AnswerUnreadable`` for anything else, however nasty."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_PARTS:
        raise AnswerUnreadable(f"it has more than {MOST_PARTS} parts")
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, NaN, endless digits; depth
        raise AnswerUnreadable(f"it is not JSON that can be read ({type(error).__name__})") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def parse_backfill(document: object) -> Backfill:
    """Return the one backfill of an answer, enveloped or bare. Raises ``AnswerUnreadable``."""
    return _backfill(_object(_payload(document)))


def parse_backfills(document: object) -> tuple[tuple[Backfill, ...], int]:
    """Return the backfills of a list, one for each id, in the order sent, and how many items were sent.

    Of two items with one id the one further along is kept: they were taken at different moments.
    """
    items = _each(document, _backfill)
    found: dict[int, Backfill] = {}
    for backfill in items:
        other = found.get(backfill.id)
        if other is None or backfill.progress > other.progress:
            found[backfill.id] = backfill
    return tuple(found.values()), len(items)


def parse_transfers(document: object, hide: Hide = as_it_is) -> tuple[TransferInfo, ...]:
    """Return the transfers of a list, one for each id; the first of two is kept."""
    found: dict[int, TransferInfo] = {}
    for info in _each(document, lambda item: _transfer(item, hide)):
        found.setdefault(info.id, info)
    return tuple(found.values())


def parse_runs(document: object) -> list[tuple[int, Run | None]]:
    """Return id and run of every item of a page; ``None`` for one without a data date, which loads no day."""
    return _each(document, _run)


def merge_runs(found: dict[int, Run | None], page: Iterable[tuple[int, Run | None]]) -> bool:
    """Add a page to what was found; return whether any of its ids is new.

    Runs move to later pages while new ones come in, so one may be read twice. The later reading
    is kept, unless it is in flight where the earlier was not.
    """
    before = len(found)
    for run_id, run in page:
        other = found.get(run_id)
        if other is None or (run is not None and run.status is not RunStatus.IN_FLIGHT):
            found[run_id] = run
    return len(found) > before


def parse_error(response: Response) -> ApiError:
    """Return what an error answer says: the vendor's envelope, problem details, or only the status.

    Either has a title that says little, and a reason: the vendor's ``message`` and ``description``,
    ``title`` and ``detail`` of RFC 9457. Our key is nowhere in it (``Response.hide``).
    """
    try:
        document = decode(response.body)
    except AnswerUnreadable:
        document = None
    top = document if isinstance(document, dict) else {}
    error = top.get("error")
    detail = error if isinstance(error, dict) else top
    title = _first_text(detail, response.hide, "message", "title")
    message = joined(title, _first_text(detail, response.hide, "description", "detail"))
    if not message and isinstance(error, str):
        message = clean(error, response.hide)
    code = _code(detail.get("code"), response.hide)
    return ApiError(response.status, code, message, _request_id(top, response))


def _first_text(detail: Mapping[str, object], hide: Hide, *names: str) -> str:
    return next((text for name in names if (text := clean(detail.get(name), hide))), "")


def _code(value: object, hide: Hide) -> str | None:
    """Return a code to decide by and to show. Documented ones stay, even if a key is part of one."""
    code = clean_code(value)
    return code if code in QUOTA_CODES else clean_code(code, hide)


def _request_id(top: Mapping[str, object], response: Response) -> str | None:
    meta = top.get("meta")
    in_meta = clean_code(meta.get("request_id"), response.hide) if isinstance(meta, dict) else None
    return in_meta or clean_code(response.headers.get("x-request-id"), response.hide)


def _payload(document: object) -> object:
    """Take the envelope off: ``{"meta", "data"}``. What has no ``data`` is taken to be bare."""
    return document["data"] if isinstance(document, dict) and "data" in document else document


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise AnswerUnreadable("an object is missing where the API documents one")
    return value


def _each(document: object, parse: Callable[[dict[str, object]], T]) -> list[T]:
    payload = _payload(document)
    if not isinstance(payload, list):
        raise AnswerUnreadable("a list is missing where the API documents one")
    parsed: list[T] = []
    try:
        for item in payload:
            parsed.append(parse(_object(item)))
    except AnswerUnreadable as error:
        raise AnswerUnreadable(f"item {len(parsed) + 1} of {len(payload)}: {error}") from None
    return parsed


# --- items -------------------------------------------------------------------------------


def _backfill(item: dict[str, object]) -> Backfill:
    start, end = day(item, "range_start_date"), day(item, "range_end_date") + 1
    if start >= end:
        raise AnswerUnreadable("range_end_date is before range_start_date")
    status = _status(item.get("status"))
    total, completed, failed = _counts(item, status, end - start)
    return Backfill(
        id=identity(item, "transfer_backfill_id"),
        transfer_id=identity(item, "transfer_id"),
        start=start,
        end=end,
        status=status,
        created_time=moment(item, "created_time"),
        start_time=moment_or_none(item, "start_time"),
        end_time=moment_or_none(item, "end_time"),
        removed_time=moment_or_none(item, "removed_time"),
        total=total,
        completed=completed,
        failed=failed,
        failed_days=_failed_days(item.get("error_report")) & DateSet.span(start, end),
    )


def _status(value: object) -> Status:
    return _STATUSES.get(value.strip().upper(), Status.UNKNOWN) if isinstance(value, str) else Status.UNKNOWN


_STATUSES = {status.value: status for status in Status}


def _counts(item: dict[str, object], status: Status, days: int) -> tuple[int, int, int]:
    """Return total, completed and failed. Counts that are absent must not make days look never loaded.

    Zeros would say "nothing ran" of an ended backfill, and its days would be loaded again. So an
    absent count is, for COMPLETED, whatever makes the total; for FAILED and CANCELLED all runs but
    an imagined further one are taken as failed. That claims no day as loaded, lets runs that may
    still be going finish, and leaves the verdict on each day to the run list.
    """
    total, completed, failed = (
        count(item, f"transfer_runs_{name}") for name in ("total", "completed", "failed")
    )
    total = days if total is None else total
    if completed is not None and failed is not None:
        return total, completed, failed
    if status is Status.COMPLETED:
        failed = max(total - completed, 0) if completed is not None else failed or 0
        return total, max(total - failed, 0) if completed is None else completed, failed
    if status in (Status.FAILED, Status.CANCELLED):
        return total + 1, 0, total
    return total, completed or 0, failed or 0


def _failed_days(report: object) -> DateSet:
    """Return the days an error report names. An entry without a readable date names none.

    A report that names fewer days than failed is allowed for everywhere, so nothing is lost.
    """
    if not isinstance(report, list) or not report:
        return EMPTY
    return DateSet.days(day for entry in report if (day := _reported_day(entry)) is not None)


def _reported_day(entry: object) -> Day | None:
    try:
        return day(_object(entry), "transfer_run_date")
    except AnswerUnreadable:
        return None


def _transfer(item: dict[str, object], hide: Hide) -> TransferInfo:
    name = _first_text(item, hide, "display_name", "name")
    state = item.get("state") or item.get("status")
    paused = isinstance(state, str) and state.strip().lower() == "paused"
    key = "dwh_transfer_id" if "dwh_transfer_id" in item else "transfer_id"
    return TransferInfo(identity(item, key), name, paused)


def _run(item: dict[str, object]) -> tuple[int, Run | None]:
    run_id = identity(item, "id")
    if item.get("data_date") is None:
        return run_id, None
    status, kind = item.get("status"), item.get("type")
    return run_id, Run(
        run_id,
        day(item, "data_date"),
        _RUN_STATUSES.get(status.strip().upper(), RunStatus.IN_FLIGHT)
        if isinstance(status, str)
        else RunStatus.IN_FLIGHT,
        isinstance(kind, str) and kind.strip().lower() == "backfill",
        _run_created(item),
        _rows(item.get("total_rows")),
    )


_RUN_STATUSES = {status.value: status for status in RunStatus}


def _run_created(item: dict[str, object]) -> datetime:
    """Return when the run was created. The vendor allows null; then it counts as long ago.

    So it is evidence that its day was loaded, but never that this happened after some ``stale_before``.
    """
    return moment_or_none(item, "created_time") or EPOCH


def _rows(value: object) -> int | None:
    """Return a row count, which only feeds estimates; ``None`` for anything odd.

    The vendor documents 32 bits; a number beyond 64 could not even be averaged.
    """
    return value if type(value) is int and 0 <= value <= LARGEST else None
