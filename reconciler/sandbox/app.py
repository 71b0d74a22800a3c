"""The WSGI callable: request in, answer out.

Order of the checks (the vendor documents the answers, not their order): route, key, scope, rate limit and
quota, ids, team, body, and then what the world says.

Where the vendor's pages are silent:
- The rate limit counts per clock hour, over all keys. Requests without a valid key are not counted.
- The row quota is per UTC month; a completed run is charged its transfer's rows when it ends. Once it is
  used up every call is refused: the vendor shows this answer on the page of a read.
"""

import random
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from wsgiref.handlers import format_date_time

from reconciler.sandbox import times
from reconciler.sandbox.control import Controlled, answer_control
from reconciler.sandbox.faults import Faults
from reconciler.sandbox.requests import MAX_BODY
from reconciler.sandbox.responses import RESET, ROW_QUOTA, Answer, AnswerLost, Refusal, refused, success
from reconciler.sandbox.routes import Call, Route, find_route
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.store import LoggedRequest, Store
from reconciler.sandbox.world import World

_PHRASES = {int(status): status.phrase for status in HTTPStatus}
OPEN_RATE_LIMIT = 10_000  # what the headers say where no limit is set: the documented maximum

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class App:
    """A WSGI application. Raises AnswerLost instead of answering where the client is to hear nothing."""

    def __init__(
        self, sandbox: Controlled, store: Store, clock: Callable[[], float], faults: Faults, seed: int
    ) -> None:
        self.faults = faults
        self._sandbox = sandbox
        self._store = store
        self._clock = clock
        self._random = random.Random(seed)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        act = self._control if environ.get("PATH_INFO", "").startswith("/_sandbox/") else self._api
        answer = act(environ)
        if answer.behaviour == RESET:
            raise AnswerLost("the answer is lost")
        start_response(f"{answer.status} {_PHRASES.get(answer.status, 'Unknown')}", answer.headers)
        return answer

    def _control(self, environ: Environ) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        try:
            data = answer_control(self._sandbox, method, path, _read_body(environ))
            answer = success(data, self._request_id(), Settings())
        except Refusal as refusal:
            answer = refused(refusal, self._request_id(), path, Settings())
        answer.headers.append(("Date", format_date_time(self._sandbox.now())))
        return answer

    def _api(self, environ: Environ) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        route: Route | None = None
        with self._store.session() as session:
            world, now = session.world, session.timeline.now(self._clock())
            world.advance(now)
            try:
                route, ids = find_route(method, path)
                answer = self._call(route, ids, environ, world, now)
            except Refusal as refusal:
                answer = refused(refusal, self._request_id(), path, world.settings)
            except AnswerLost:
                answer = Answer(0, [], b"", RESET)
            _add_headers(answer, route, world, now)
            lost = answer.behaviour == RESET
            self._store.log(LoggedRequest(method, path, 0 if lost else answer.status))
        return answer

    def _call(self, route: Route, ids: dict[str, str], environ: Environ, world: World, now: int) -> Answer:
        """Carry out a request, with the fault that strikes it before or after."""
        fault = self.faults.draw(route.name)
        if fault is not None and fault.before:
            return fault.act(success(None, self._request_id(), world.settings), world)
        try:
            _check_key(environ.get("HTTP_AUTHORIZATION", ""), route, world)
            _count_call(world, now)
            call = Call(world, now, ids, environ.get("QUERY_STRING", ""), _read_body(environ))
            answer = success(route.act(call), self._request_id(), world.settings)
        except Refusal as refusal:
            answer = refused(refusal, self._request_id(), environ["PATH_INFO"], world.settings)
        return answer if fault is None else fault.act(answer, world)

    def _request_id(self) -> str:
        """Text in the documented pattern, shaped like the vendor's examples."""
        text = f"{self._random.getrandbits(128):032X}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _check_key(header: str, route: Route, world: World) -> None:
    """Raises a Refusal: 401 without a known key, 403 where it lacks the scope of the route."""
    scheme, _, key = header.partition(" ")
    known = _scopes(world, key.strip()) if scheme.lower() == "bearer" and key.strip() else None
    if known is None:
        raise Refusal(401, "Send a known key in the Authorization header, as Bearer")
    scope = "read" if route.method == "GET" else "write"
    if scope not in known:
        raise Refusal(403, f"This key lacks the scope dwh_transfers_{scope}")


def _scopes(world: World, key: str) -> tuple[str, ...] | None:
    """The scopes of a key, None if there is no such key.

    Keys the world names have the scopes named; others have all, unless the world is closed and names keys.
    """
    if key == "invalid":
        return None
    if key == "forbidden":
        return ()
    if world.keys is not None and (key in world.keys or not world.open):
        return world.keys.get(key)
    return ("read", "write")


def _count_call(world: World, now: int) -> None:
    """Count a request. Raises a 429 Refusal beyond the rate limit, or with the row quota used up."""
    limit, quota, counters = world.settings.rate_limit_per_hour, world.settings.row_quota, world.counters
    if limit is not None:
        hour = now // times.HOUR
        counters.hour, counters.calls = hour, counters.calls + 1 if counters.hour == hour else 1
        world.changed.add(("counters", 0, 0))
        if counters.calls > limit:
            raise Refusal(429, retry_after=-(-(times.HOUR - now % times.HOUR) // 1000))
    if quota is not None and _rows_used(world, now) >= quota:
        raise Refusal(429, **ROW_QUOTA)


def _rate_limit(world: World, now: int) -> tuple[int, int]:
    """The limit of this hour, and how many requests it still allows."""
    limit = world.settings.rate_limit_per_hour
    if limit is None:
        return OPEN_RATE_LIMIT, OPEN_RATE_LIMIT - 1
    calls = world.counters.calls if world.counters.hour == now // times.HOUR else 0
    return limit, max(0, limit - calls)


def _rows_used(world: World, now: int) -> int:
    """Rows charged in the UTC month of `now`."""
    since = times.month_start(now)
    rows = sum(transfer.recurring_rows(since, now) for transfer in world.transfers.values())
    for record in world.backfills.values():
        transfer = world.transfers[record.team, record.transfer]
        rows += record.loaded_days(since, now) * transfer.rows_per_day
    return rows


def _read_body(environ: Environ) -> bytes:
    """The body, as far as Content-Length says. Raises a Refusal where that is no number, or too large."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise Refusal(400, "Content-Length is not a number")
    if len(length) > 18 or int(length) > MAX_BODY:
        raise Refusal(413, f"A body has at most {MAX_BODY} bytes")
    return environ["wsgi.input"].read(int(length)) if int(length) else b""


def _add_headers(answer: Answer, route: Route | None, world: World, now: int) -> None:
    """CORS everywhere, the vendor's clock, and rate headers on the refusals that are documented with them."""
    headers = {"Access-Control-Allow-Origin": "*", "Date": format_date_time(world.vendor_time(now) // 1000)}
    if answer.status >= 400 and (route is None or answer.status not in route.bare):
        limit, remaining = _rate_limit(world, now)
        headers |= {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(remaining)}
    answer.headers += [(name, value) for name, value in headers.items() if answer.header(name) is None]
