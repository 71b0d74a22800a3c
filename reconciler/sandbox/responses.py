"""What the API answers: records as the vendor writes them, and how successes and refusals become answers.

The shapes are those of the vendor's OpenAPI description.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from reconciler.sandbox import times
from reconciler.sandbox.backfill import CREATED, Backfill, Progress, Run
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.transfer import Transfer

Headers = list[tuple[str, str]]
Wire = dict[str, Any]  # a JSON object, as data

CODES = {
    400: ("BAD_REQUEST", "This request cannot be understood."),
    401: ("UNAUTHORIZED", "A valid API key is needed."),
    403: ("FORBIDDEN", "This key may not do that."),
    404: ("NOT_FOUND", "Nothing was found here."),
    405: ("METHOD_NOT_ALLOWED", "This path does not allow that method."),
    408: ("REQUEST_TIMEOUT", "The request took too long to arrive."),
    409: ("CONFLICT_ERROR", "This collides with what exists."),
    413: ("PAYLOAD_TOO_LARGE", "The body is too large."),
    422: ("UNPROCESSABLE_ENTITY", "This request is well formed but cannot be carried out."),
    425: ("TOO_EARLY", "Too early, come back later."),
    429: ("TOO_MANY_REQUESTS", "Too many requests in this hour."),
    500: ("INTERNAL_SERVER_ERROR", "Something broke on this side."),
    502: ("BAD_GATEWAY", "The gateway got no usable answer."),
    503: ("SERVICE_UNAVAILABLE", "The service is unavailable."),
    504: ("GATEWAY_TIMEOUT", "The gateway timed out."),
}
# The two 429s that no rate limit gives.
ROW_QUOTA: Wire = {
    "code": "API_ROW_QUOTA_EXCEEDED",
    "message": "The rows of this month are used up.",
    "retry_after": 86_400,
}
DAILY_QUOTA = ROW_QUOTA | {
    "code": "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED",
    "message": "The queries of this day are used up.",
}

# What a server is asked to do with the socket; see `Answer.behaviour`.
RESET = "reset"  # close it without a word
CUT = "cut"  # send half the body, then reset
SHORT = "short"  # send half the body, then close as if that were all
SLOW_BODY = "slow-body"  # a byte at a time
SLOW_HEADERS = "slow-headers"

_NOT_IN_DETAIL = re.compile(r"[^A-Za-z0-9\s.,\-]")  # what the vendor's pattern for `detail` leaves out


class AnswerLost(ConnectionResetError):
    """The client gets no answer. In process the WSGI callable raises it; a server closes the socket."""


@dataclass(slots=True, eq=False)
class Refusal(Exception):
    """An answer that is not a success. `detail` is for people, `retry_after` seconds or a fault's text."""

    status: int
    detail: str = ""
    code: str = ""
    message: str = ""
    retry_after: int | str | None = None
    allow: str = ""

    def __post_init__(self) -> None:
        code, message = CODES[self.status]
        self.code, self.message = self.code or code, self.message or message


@dataclass(slots=True)
class Answer:
    """Status, headers and body. `behaviour` asks the server to treat the socket badly (see `faults`).

    `stream` replaces the body where it must not stand in memory whole. Iterating gives what is sent.
    """

    status: int
    headers: Headers
    body: bytes
    behaviour: str = ""
    stream: Iterable[bytes] | None = None

    def with_body(self, body: bytes) -> "Answer":
        """The same answer with another body, and the length that fits it."""
        headers = [(name, value) for name, value in self.headers if name != "Content-Length"]
        return Answer(self.status, [*headers, ("Content-Length", str(len(body)))], body, self.behaviour)

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def __iter__(self) -> Iterator[bytes]:
        """The body for a server that knows no behaviours: half of it where half is to be sent, no pauses."""
        if self.stream is not None:
            yield from self.stream
        elif self.behaviour in (CUT, SHORT):
            yield self.half
            if self.behaviour == CUT:
                raise AnswerLost("the rest of the answer is lost")
        else:
            yield self.body

    @property
    def half(self) -> bytes:
        """The first half of the body."""
        return self.body[: len(self.body) // 2]


def success(data: Any, request_id: str, settings: Settings) -> Answer:
    """A 200: enveloped with `meta`, or bare."""
    return _json_answer(
        200, {"meta": {"request_id": request_id}, "data": data} if settings.envelope else data
    )


def refused(refusal: Refusal, request_id: str, instance: str, settings: Settings) -> Answer:
    """A refusal, in the vendor's envelope or as problem details (RFC 9457, which know no code)."""
    if settings.error_shape == "problem":
        answer = _json_answer(refusal.status, _problem(refusal, instance), "application/problem+json")
    else:
        error = {"code": refusal.code, "message": refusal.message}
        if refusal.detail:
            error["description"] = refusal.detail
        answer = _json_answer(refusal.status, {"meta": {"request_id": request_id}, "error": error})
    if refusal.status == 401:
        answer.headers.append(("WWW-Authenticate", 'Bearer realm="sandbox"'))
    if refusal.retry_after is not None:
        answer.headers.append(("Retry-After", str(refusal.retry_after)))
    if refusal.allow:
        answer.headers.append(("Allow", refusal.allow))
    return answer


def _problem(refusal: Refusal, instance: str) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase.replace("-", " "),
        "status": refusal.status,
        "detail": _NOT_IN_DETAIL.sub(" ", refusal.detail or refusal.message)[:1000],
        "instance": instance,
    }


def _json_answer(status: int, body: Any, content_type: str = "application/json") -> Answer:
    return sized(status, json.dumps(body, separators=(",", ":")).encode(), content_type)


def sized(status: int, body: bytes, content_type: str) -> Answer:
    """An answer with the type and the length of its body."""
    return Answer(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))], body)


# -- records ---------------------------------------------------------------------------------------


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
        "error_report": _report(record, settings),
    }


def show_new_backfill(record: Backfill, now: int, settings: Settings) -> Wire:
    """A Backfill as its create answers it: always CREATED, however short the paces are."""
    return show_backfill(record, now, settings, Progress(CREATED, record.total, 0, 0, 0, None, None))


def _report(record: Backfill, settings: Settings) -> list[Wire]:
    """All failed runs, all but the one of the newest day (partial), or nothing (empty)."""
    failed = [(day, record.verdicts[day]) for day in record.failures()]
    reported = [{"transfer_run_date": times.day_text(day), "error": error} for day, error in failed if error]
    return {"full": reported, "partial": reported[1:], "empty": []}[settings.error_report]


def show_transfer(transfer: Transfer, now: int, settings: Settings) -> Wire:
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


def show_run(run: Run, settings: Settings) -> Wire:
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
