"""Answers as the API sends them → our values. Tolerant of what may vary, strict where days hang on it.

Tolerated: ids as numbers or text; an envelope or none; unknown fields, statuses and codes; absent
optional fields; times with or without fraction and zone (none means UTC). Not tolerated: an item
whose identity, days or time cannot be read. It is never skipped, since a backfill or run that we
overlook is a day loaded twice; instead the whole answer is ``AnswerUnreadable``.

Hand-written rather than pydantic: a page of 10,000 runs takes a few dozen milliseconds, and what
is tolerated differs field by field. Facts are from the vendor's OpenAPI of data backfills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from reconciler.api.documents import an_object, decode, each, payload
from reconciler.api.fields import (
    LARGEST,
    AnswerUnreadable,
    count,
    day,
    identity,
    identity_or_none,
    moment,
    moment_or_none,
)
from reconciler.dates import DateSet, Day
from reconciler.http import Response
from reconciler.model.observed import UNTOLD, ApiError, Backfill, Run, RunStatus, Status, TransferInfo
from reconciler.untrusted import as_it_is, clean, clean_code

T = TypeVar("T")

Hide = Callable[[str], str]

QUOTA_CODES = frozenset({"API_ROW_QUOTA_EXCEEDED", "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED"})


def parse_backfill(document: object, hide: Hide = as_it_is) -> Backfill:
    """Return the one backfill of an answer, enveloped or bare. Raises ``AnswerUnreadable``."""
    return _backfill(an_object(payload(document)), hide)


def parse_backfills(document: object, hide: Hide = as_it_is) -> list[Backfill]:
    """Return the backfill of every item of a list."""
    return each(document, lambda item: _backfill(item, hide))


def merge_backfills(found: dict[int, Backfill], page: Iterable[Backfill]) -> bool:
    """Add a page to what was found; return whether any of its ids is new.

    Of two items with one id the one further along is kept: they were taken at different moments.
    """
    before = len(found)
    for backfill in page:
        other = found.get(backfill.id)
        if other is None or backfill.progress > other.progress:
            found[backfill.id] = backfill
    return len(found) > before


def parse_transfers(document: object, hide: Hide = as_it_is) -> list[TransferInfo]:
    """Return the transfer of every item of a list."""
    return each(document, lambda item: _transfer(item, hide))


def merge_transfers(found: dict[int, TransferInfo], page: Iterable[TransferInfo]) -> bool:
    """Add a page to what was found; return whether any of its ids is new. The first of two is kept."""
    before = len(found)
    for info in page:
        found.setdefault(info.id, info)
    return len(found) > before


def parse_runs(document: object, hide: Hide = as_it_is) -> list[Run]:
    """Return the run of every item of a page."""
    return each(document, lambda item: _run(item, hide))


def merge_runs(found: dict[int, Run], page: Iterable[Run]) -> bool:
    """Add a page to what was found; return whether any of its ids is new.

    Runs move to later pages while new ones come in, so one may be read twice. The later reading
    is kept, unless only the earlier one tells how it ended.
    """
    before = len(found)
    for run in page:
        other = found.get(run.id)
        if other is None or other.status is RunStatus.OTHER or run.status is not RunStatus.OTHER:
            found[run.id] = run
    return len(found) > before


def parse_error(response: Response) -> ApiError:
    """Return what an error answer says: the vendor's envelope, problem details, or only the status.

    Either has a title that says little, and a reason: the vendor's ``message`` and ``description``,
    ``title`` and ``detail`` of RFC 9457. Our key is nowhere in it (``Response.hide``).
    """
    top = _top(response)
    error = top.get("error")
    detail = error if isinstance(error, dict) else top
    title = _first_text(detail, response.hide, "message", "title")
    reason = _first_text(detail, response.hide, "description", "detail")
    if not title and not reason and isinstance(error, str):
        title = clean(error, response.hide)
    if 300 <= response.status < 400 and not title and not reason:
        title, reason = "it points to", clean(response.headers.get("Location"), response.hide)
    code = _code(detail.get("code"), response.hide)
    return ApiError(response.status, code, title, _request_id(top, response), reason)


def is_strange_404(response: Response) -> bool:
    """Tell whether a 404 is not the API's own, but that of a gateway without the route, say: a page, or JSON
    of another shape. The API's has a code, or is problem details: by its type, for no member of those must be
    there (RFC 9457, 3.1), or by its members. The other tells nothing of what was asked.
    """
    top = _top(response)
    error = top.get("error")
    by_type = bool(top) and "problem+json" in (response.headers.get("content-type") or "").lower()
    problem = by_type or (top.get("status") == 404 and clean(top.get("detail"), response.hide))
    return response.status == 404 and not (
        clean_code(error.get("code")) if isinstance(error, dict) else problem
    )


def _top(response: Response) -> dict[str, object]:
    try:
        document = decode(response.body)
    except AnswerUnreadable:
        document = None
    return document if isinstance(document, dict) else {}


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


# --- items -------------------------------------------------------------------------------


def _backfill(item: dict[str, object], hide: Hide) -> Backfill:
    start, end = day(item, "range_start_date"), day(item, "range_end_date") + 1
    if start >= end:
        raise AnswerUnreadable("range_end_date is before range_start_date")
    status = _status(item.get("status"))
    total, completed, failed = _counts(item, status, end - start)
    reported, made_at = _failed_days(item.get("error_report"), hide), moment(item, "created_time")
    return Backfill(
        id=identity(item, "transfer_backfill_id"),
        transfer_id=identity(item, "transfer_id"),
        start=start,
        end=end,
        status=status,
        created_time=made_at,
        # Null says that it never started. Where the field is missing, nobody knows: it may have.
        start_time=moment_or_none(item, "start_time") if "start_time" in item else made_at,
        end_time=moment_or_none(item, "end_time"),
        removed_time=moment_or_none(item, "removed_time"),
        total=total,
        completed=completed,
        failed=failed,
        failed_days=DateSet.days(reported) & DateSet.span(start, end),
        created_user_id=identity_or_none(item, "created_user_id"),
        word=clean(item.get("status")) if status is Status.UNKNOWN else "",
        error=next((said for _day, said in sorted(reported.items(), reverse=True) if said), ""),
    )


def _status(value: object) -> Status:
    return _STATUSES.get(value.strip().upper(), Status.UNKNOWN) if isinstance(value, str) else Status.UNKNOWN


_STATUSES = {status.value: status for status in Status}


def _counts(item: dict[str, object], status: Status, days: int) -> tuple[int, int, int]:
    """Return total, completed and failed. Counts that are absent must not make days look never loaded.

    Zeros would say "nothing ran" of an ended backfill, and its days would be loaded again. So an
    absent count is, for COMPLETED, whatever makes the total; for FAILED and CANCELLED all runs but
    an imagined further one are taken as over, one of them completed unless the API says how many. That
    claims no day as loaded, nor that none ran; it lets runs that may still be going finish, and leaves the
    verdict on each day to the run list.
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
        completed = min(1, total) if completed is None else min(completed, total)
        return total + 1, completed, total - completed
    return total, completed or 0, failed or 0


def _failed_days(report: object, hide: Hide) -> dict[Day, str]:
    """Return the days an error report names, and what it says. An entry without a readable date names none.

    A report that names fewer days than failed is allowed for everywhere, so nothing is lost.
    """
    found: dict[Day, str] = {}
    for entry in report if isinstance(report, list) else ():
        with suppress(AnswerUnreadable):
            told = an_object(entry)
            on = day(told, "transfer_run_date")
            found[on] = found.get(on) or clean(told.get("error"), hide)
    return found


def _transfer(item: dict[str, object], hide: Hide) -> TransferInfo:
    name = _first_text(item, hide, "display_name", "name")
    state = item.get("state") or item.get("status")
    paused = isinstance(state, str) and state.strip().lower() == "paused"
    key = "dwh_transfer_id" if "dwh_transfer_id" in item else "transfer_id"
    return TransferInfo(identity(item, key), name, paused, _has_schedule(item.get("schedule")))


def _has_schedule(value: object) -> bool:
    """The list documents a description ("daily"); a single transfer, a list of schedules."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "manual", "none")
    return isinstance(value, list | dict) and bool(value)


def _run(item: dict[str, object], hide: Hide) -> Run:
    status, word = _run_status(item.get("status"), hide)
    kind = item.get("type")
    return Run(
        id=identity(item, "id"),
        day=None if item.get("data_date") is None else day(item, "data_date"),
        status=status,
        word=word,
        backfill=isinstance(kind, str) and kind.strip().lower() == "backfill",
        created_time=moment_or_none(item, "created_time") or UNTOLD,
        ended_time=moment_or_none(item, "ended_time"),
        rows=_rows(item.get("total_rows")),
    )


def _run_status(value: object, hide: Hide) -> tuple[RunStatus, str]:
    """Return a run's status, and the API's own word for it, fit to show. Few need cleaning."""
    if not isinstance(value, str):
        return RunStatus.OTHER, ""
    known = _RUN_STATUSES.get(value.strip().upper())
    return (RunStatus.OTHER, clean(value, hide)) if known is None else (known, value.strip())


_RUN_STATUSES = {
    "COMPLETED": RunStatus.COMPLETED,
    "FAILED": RunStatus.FAILED,
    "CANCELLED": RunStatus.CANCELLED,
    "CANCELED": RunStatus.CANCELLED,
}


def _rows(value: object) -> int | None:
    """Return a row count, which only feeds estimates; ``None`` for anything odd.

    The vendor documents 32 bits; a number beyond 64 could not even be averaged.
    """
    return value if type(value) is int and 0 <= value <= LARGEST else None
