"""How successes and refusals become answers. The shapes are those of the vendor's OpenAPI description."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from reconciler.sandbox.settings import Settings

Headers = list[tuple[str, str]]
Wire = dict[str, Any]  # a JSON object, as data

SERVER = "reconciler-sandbox"  # what every answer calls itself
CODES = {
    400: ("BAD_REQUEST", "This request cannot be understood."),
    401: ("UNAUTHORIZED", "A valid API key is needed."),
    403: ("FORBIDDEN", "This key may not do that."),
    404: ("NOT_FOUND", "Nothing was found here."),
    405: ("METHOD_NOT_ALLOWED", "This path does not allow that method."),
    408: ("REQUEST_TIMEOUT", "The request took too long to arrive."),
    409: ("CONFLICT_ERROR", "This collides with what exists."),
    413: ("PAYLOAD_TOO_LARGE", "The body is too large."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The body must be JSON, and say so."),
    422: ("UNPROCESSABLE_ENTITY", "This request is well formed but cannot be carried out."),
    425: ("TOO_EARLY", "Too early, come back later."),
    429: ("TOO_MANY_REQUESTS", "Too many requests in this hour."),
    500: ("INTERNAL_SERVER_ERROR", "Something broke on this side."),
    502: ("BAD_GATEWAY", "The gateway got no usable answer."),
    503: ("SERVICE_UNAVAILABLE", "The service is unavailable."),
    504: ("GATEWAY_TIMEOUT", "The gateway timed out."),
}
# How the vendor's older pages spell what differs.
OLD_CODES = {
    "UNAUTHORIZED": ("ACCESS_TOKEN_INVALID", "Invalid Access Token"),
    "FORBIDDEN": ("ACCESS_DENIED", "Access Denied"),
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
        code, message = CODES.get(self.status, ("REFUSED", "This is refused."))
        self.code, self.message = self.code or code, self.message or message

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail or self.message}"


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


@dataclass(frozen=True, slots=True)
class Page:
    """A list, or a part of one: how many items there are in all, and the address of the next part."""

    items: list[Wire]
    total: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Bare:
    """An object that is never enveloped."""

    body: Wire


def success(data: Any, request_id: str, settings: Settings) -> Answer:
    """A 200: enveloped with `meta`, or bare."""
    if isinstance(data, Bare):
        return _json_answer(200, data.body)
    meta: Wire = {"request_id": request_id}
    if isinstance(data, Page):
        if settings.pagination == "announced":
            meta["pagination"] = {"total_count": data.total, "links": {"next": data.next}}
        data = {"items": data.items} if settings.pagination == "items" else data.items
    return _json_answer(200, {"meta": meta, "data": data} if settings.envelope else data)


def refused(refusal: Refusal, request_id: str, instance: str, settings: Settings) -> Answer:
    """A refusal, in the vendor's envelope or as problem details (RFC 9457, which know no code)."""
    if settings.error_shape == "problem":
        answer = _json_answer(refusal.status, _problem(refusal, instance), "application/problem+json")
    else:
        code, message = refusal.code, refusal.message
        if settings.codes == "old":
            code, message = OLD_CODES.get(code, (code, message))
        error = {"code": code, "message": message}
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
        "title": _title(refusal.status),
        "status": refusal.status,
        "detail": _NOT_IN_DETAIL.sub(" ", refusal.detail or refusal.message)[:1000],
        "instance": instance,
    }


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.replace("-", " ").replace("'", "")
    except ValueError:
        return "Refused"


def _json_answer(status: int, body: Any, content_type: str = "application/json") -> Answer:
    return sized(status, json.dumps(body, separators=(",", ":")).encode(), content_type)


def sized(status: int, body: bytes, content_type: str) -> Answer:
    """An answer with the type and the length of its body."""
    return Answer(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))], body)
