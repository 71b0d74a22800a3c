"""An answer before it is sent, and how successes and refusals become one."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from reconciler.sandbox.refusal import Refusal
from reconciler.sandbox.settings import Settings

Headers = list[tuple[str, str]]

# What a server is asked to do with the socket; see `Answer.behaviour`.
RESET = "reset"  # close it without a word
CUT = "cut"  # send half the body, then reset
SHORT = "short"  # send half the body, then close as if that were all
SLOW_BODY = "slow-body"  # a byte at a time
SLOW_HEADERS = "slow-headers"

_NOT_IN_DETAIL = re.compile(r"[^A-Za-z0-9\s.,\-]")  # what the vendor's pattern for `detail` leaves out


class AnswerLost(ConnectionResetError):
    """The client gets no answer. In process the WSGI callable raises it; a server closes the socket."""


@dataclass(slots=True)
class Answer:
    """Status, headers and body. `behaviour` asks the server for a misdeed on the socket (see `faults`).

    `stream` replaces the body where it must not stand in memory whole.
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


@dataclass(frozen=True, slots=True)
class Sent:
    """The body a WSGI server iterates over, carrying what the server shall do with it."""

    answer: Answer

    @property
    def behaviour(self) -> str:
        """The misdeed asked for, or an empty text."""
        return self.answer.behaviour

    def __iter__(self) -> Iterator[bytes]:
        """The body for a server that knows no misdeeds: half of it where half is to be sent, no pauses."""
        if self.answer.stream is not None:
            yield from self.answer.stream
        elif self.behaviour in (CUT, SHORT):
            yield self.half
            if self.behaviour == CUT:
                raise AnswerLost("the rest of the answer is lost")
        else:
            yield self.answer.body

    @property
    def half(self) -> bytes:
        """The first half of the body."""
        return self.answer.body[: len(self.answer.body) // 2]


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
        answer.headers.append(("Retry-After", str(max(1, refusal.retry_after))))
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
    text = json.dumps(body, separators=(",", ":")).encode()
    return Answer(status, [("Content-Type", content_type), ("Content-Length", str(len(text)))], text)
