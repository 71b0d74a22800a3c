"""The wire between a simulated process and the sandbox, with everything that goes wrong on it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from simulation_memory import Conditions

from reconciler.dates import parse_iso
from reconciler.http import AnswerLost, Headers, NotSent, Request, Response, WsgiTransport

if TYPE_CHECKING:
    from simulation_process import Process
    from simulation_truth import Truth

CREATE = re.compile(r"/teams/\d+/transfers/(\d+)/backfills")
RUNS = re.compile(r"/teams/\d+/transfers/(\d+)/runs")
PASSING = (408, 425, 500, 502, 503, 504)
REDIRECTS = (301, 302, 307, 308)
REFUSALS = (400, 404, 409, 422)
ANSWER_WITHIN = 120.0  # the client gives up on a write after this


@dataclass(frozen=True)
class Weather:
    """How often requests fail. ``lateness`` is the most seconds after its intent that a lost create
    may take effect; ``None``: days. ``late``: creates that fail are late, rather than anything else;
    ``kind``: else how they fail, of ``CREATING``.
    """

    reads: float = 0.0
    creates: float = 0.0
    cancels: float = 0.0
    lateness: float | None = 0.0
    late: bool = False
    kind: str = ""


CALM = Weather()


@dataclass
class Sent:
    """One create that left: what a durable intent says of it, and who sent it when."""

    process: Process
    transfer_id: int
    start: int
    end: int
    nonce: str
    intended: float
    stale_before: float | None
    surveyed: float
    at: float
    as_of: int
    conditions: Conditions
    looked: float = 0.0  # since when nothing of its transfer's days was read again; at least ``surveyed``


class Wire:
    """The transport of one process. What it passes on is delivered by ``Truth``, which judges it."""

    def __init__(self, process: Process, inner: WsgiTransport, truth: Truth, rng: random.Random) -> None:
        self._process = process
        self._inner = inner
        self._truth = truth
        self._rng = rng

    def send(self, request: Request, *, read_timeout: float) -> Response:
        process = self._process
        process.point(request.method)
        if request.method == "POST":
            answer = self._create(request)
        elif request.method == "PATCH":
            self._truth.check_cancel_intended(self._process, request)
            answer = self._passed(request, self._weather().cancels, READ_FAULTS + CANCEL_FAULTS)
        else:
            self._note_days(request)
            answer = self._passed(request, self._weather().reads, READ_FAULTS)
        process.point(f"{request.method}-answered")
        process.log(f"{request.method} {request.path} {request.json or ''} -> {answer.status}")
        if process.stage.seed % 7 == 5:
            return answer
        # A sandbox's clock is not compared with ours; the vendor's is, so most answers do not name it.
        unsaid = Headers([(name, told) for name, told in answer.headers.items() if name != "server"])
        return Response(answer.status, unsaid, answer.body)

    def _note_days(self, request: Request) -> None:
        """Note from which day on a run list is asked for."""
        found = RUNS.fullmatch(request.path)
        if found is not None and request.query:
            first = parse_iso(str(request.query["start_date"])[:10])
            self._process.asked[int(found[1])] = first

    def _weather(self) -> Weather:
        return self._process.weather

    def _passed(self, request: Request, chance: float, faults: tuple[Fault, ...]) -> Response:
        if self._rng.random() >= chance:
            return self.deliver(request)
        return self._struck(request, self._rng.choice(faults))

    def _struck(self, request: Request, fault: Fault) -> Response:
        name = fault.__name__.strip("_")
        self._process.note(f"fault:{request.method}:{name}")
        try:
            return fault(self, request)
        except (AnswerLost, NotSent) as error:
            self._process.point(f"{request.method}-lost")
            self._process.log(f"{request.method} {request.path} {request.json or ''} -> {error}")
            raise

    def _create(self, request: Request) -> Response:
        self.sent = self._truth.check_create_intended(self._process, request)
        if self._rng.random() >= self._weather().creates:
            return self.deliver(request)
        weather = self._weather()
        return self._struck(
            request, self._rng.choice(LATE_FAULTS if weather.late else CREATING[weather.kind])
        )

    def deliver(self, request: Request) -> Response:
        """Let the API have it, now."""
        send = partial(self._inner.send, request, read_timeout=1.0)
        match request.method:
            case "POST":
                return self._truth.deliver(self.sent, send)
            case "PATCH":
                return self._truth.deliver_cancel(request, send)
        return send()

    def deliver_later(self, request: Request) -> float:
        """Let the API have a create some time within the bounds; return when."""
        sent, stage, inner = self.sent, self._process.stage, self._inner
        lateness = self._weather().lateness
        latest = sent.at + 3 * 86400 if lateness is None else max(stage.now, sent.intended + lateness)
        spread = self._rng.choice([1.0, 0.3, 0.05])
        due = stage.now + (latest - stage.now) * (1 - self._rng.random() * spread)
        if self._rng.random() < 0.4:
            due = stage.now + min(latest - stage.now, self._rng.random() * 90)

        def arrive() -> None:
            stage.log("the wire", f"a late create arrives: {request.path} {request.json}")
            self._truth.deliver(sent, lambda: inner.send(request, read_timeout=1.0))

        self._truth.late[sent.nonce] = due
        stage.at(due, arrive)
        return due

    def answer(
        self, status: int, code: str | None = None, body: bytes | None = None, **headers: str
    ) -> Response:
        told = {"meta": {"request_id": "x"}, "error": {"code": code, "message": "no", "description": ""}}
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return Response(status, Headers(named), json.dumps(told).encode() if body is None else body)

    def choose(self, *options: int) -> int:
        return self._rng.choice(options)

    def wait(self, seconds: float) -> None:
        self._process.pause(seconds)

    @property
    def within(self) -> float:
        """Seconds that a create may still take on the wire."""
        lateness = self._weather().lateness
        left = (
            self.sent.intended + lateness - self._process.stage.now if lateness is not None else ANSWER_WITHIN
        )
        return max(0.0, min(ANSWER_WITHIN, left))


Fault = Callable[[Wire, Request], Response]


def asked_for(request: Request) -> tuple[int, int, int]:
    """Return transfer, first day and the day after the last of a create."""
    found = CREATE.fullmatch(request.path)
    assert found is not None
    assert isinstance(request.json, dict)
    body = request.json
    return int(found[1]), parse_iso(body["range_start"]), parse_iso(body["range_end"]) + 1


# --- faults of any request ----------------------------------------------------------------


def _lost_before(wire: Wire, request: Request) -> Response:
    raise AnswerLost("the connection broke, and the request was lost")


def _lost_after(wire: Wire, request: Request) -> Response:
    wire.deliver(request)
    raise AnswerLost("the connection broke, and the answer was lost")


def _not_sent(wire: Wire, request: Request) -> Response:
    raise NotSent("no connection")


def _status_before(wire: Wire, request: Request) -> Response:
    return wire.answer(wire.choose(*PASSING))


def _status_after(wire: Wire, request: Request) -> Response:
    wire.deliver(request)
    return wire.answer(wire.choose(*PASSING))


def _limited(wire: Wire, request: Request) -> Response:
    return wire.answer(429, "TOO_MANY_REQUESTS", Retry_After=str(wire.choose(1, 20, 60, 600)))


def _limited_silently(wire: Wire, request: Request) -> Response:
    return wire.answer(429, "NOBODY_KNOWS_THIS")


def _garbage_after(wire: Wire, request: Request) -> Response:
    wire.deliver(request)
    return wire.answer(200, body=b"<html>Back soon</html>")


def _garbage_before(wire: Wire, request: Request) -> Response:
    return wire.answer(200, body=b"<html>Back soon</html>")


READ_FAULTS: tuple[Fault, ...] = (
    _lost_before,
    _lost_after,
    _not_sent,
    _status_before,
    _status_after,
    _limited,
    _limited_silently,
    _garbage_after,
    _garbage_before,
)


def _refused_after(wire: Wire, request: Request) -> Response:
    wire.deliver(request)
    return wire.answer(422, "VALIDATION_ERROR")


CANCEL_FAULTS: tuple[Fault, ...] = (_refused_after,)


# --- faults of creates --------------------------------------------------------------------


def _late(wire: Wire, request: Request) -> Response:
    wire.deliver_later(request)
    raise AnswerLost("the connection broke, and the request is still on its way")


def _late_behind_a_gateway(wire: Wire, request: Request) -> Response:
    wire.deliver_later(request)
    return wire.answer(wire.choose(*PASSING))


def _late_then_killed(wire: Wire, request: Request) -> Response:
    wire.deliver_later(request)
    wire._process.die()


def _slow(wire: Wire, request: Request) -> Response:
    wire.wait(wire._rng.random() * wire.within)
    return wire.deliver(request)


def _slow_answer(wire: Wire, request: Request) -> Response:
    answer = wire.deliver(request)
    wire.wait(wire._rng.random() * ANSWER_WITHIN)
    return answer


def _redirected(wire: Wire, request: Request) -> Response:
    if wire.choose(0, 1):
        wire.deliver(request)
    return wire.answer(wire.choose(*REDIRECTS), body=b"", Location="https://elsewhere.invalid/")


def _other_range(wire: Wire, request: Request) -> Response:
    return _altered(wire, request, range_start_date="1999-01-01", range_end_date="1999-01-02")


def _known_id(wire: Wire, request: Request) -> Response:
    known = wire._truth.known_id()
    return wire.deliver(request) if known is None else _altered(wire, request, transfer_backfill_id=known)


def _altered(wire: Wire, request: Request, **fields: object) -> Response:
    answer = wire.deliver(request)
    if answer.status != 200:
        return answer
    body = json.loads(answer.body)
    shown = body.get("data", body)
    shown.update(fields)
    return Response(answer.status, answer.headers, json.dumps(body).encode())


def _twice(wire: Wire, request: Request) -> Response:
    """A gateway passes it on twice, and answers with what the second one got."""
    wire.deliver(request)
    return wire.deliver(request)


def _twice_apart(wire: Wire, request: Request) -> Response:
    """A gateway passes it on, and again when it got no answer; what the second got is not told."""
    wire.deliver(request)
    wire.deliver_later(request)
    return wire.answer(wire.choose(*PASSING))


def _slow_down(wire: Wire, request: Request) -> Response:
    """A rate limit that is worth a wait."""
    return wire.answer(429, "TOO_MANY_REQUESTS", Retry_After=str(wire.choose(5, 62, 62, 90, 150)))


def _refused_before(wire: Wire, request: Request) -> Response:
    return wire.answer(wire.choose(*REFUSALS), "NOBODY_KNOWS_THIS")


def _denied(wire: Wire, request: Request) -> Response:
    return wire.answer(wire.choose(401, 403))


def _quota(wire: Wire, request: Request) -> Response:
    return wire.answer(429, "API_ROW_QUOTA_EXCEEDED")


CREATE_FAULTS: tuple[Fault, ...] = (
    *READ_FAULTS,
    _late,
    _late,
    _late,
    _late_behind_a_gateway,
    _late_then_killed,
    _late_then_killed,
    _lost_after,
    _lost_after,
    _slow,
    _slow_answer,
    _redirected,
    _other_range,
    _known_id,
    _twice,
    _refused_before,
    _denied,
    _quota,
)

LATE_FAULTS: tuple[Fault, ...] = (_late, _late, _late_behind_a_gateway, _late_then_killed, _lost_before)

CREATING: dict[str, tuple[Fault, ...]] = {
    "": CREATE_FAULTS,
    "waits": (_slow_down, _slow_down, _slow_down, _lost_before, _not_sent),
    "gateway": (_twice, _twice, _twice_apart, _lost_after, _lost_after, _slow_down, _status_after, _slow),
    "refusals": (_refused_before, _refused_before, _lost_before, _late, _garbage_before),
}
