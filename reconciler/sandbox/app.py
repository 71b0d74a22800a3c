"""The WSGI callable: request in, answer out.

Order of the checks (the vendor documents the answers, not their order): route, key, scope, rate limit and
quota, content type, ids, team, what transfers refuse, body, and then what the world says.
"""

import random
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from wsgiref.handlers import format_date_time

from reconciler.sandbox.access import admitted
from reconciler.sandbox.control import Controlled, answer_control
from reconciler.sandbox.faults import Faults
from reconciler.sandbox.quota import count_call, rate_limit
from reconciler.sandbox.requests import MAX_BODY
from reconciler.sandbox.responses import RESET, SERVER, Answer, AnswerLost, Refusal, refused, success
from reconciler.sandbox.routes import Call, Route, check_refused, find_route
from reconciler.sandbox.settings import Settings
from reconciler.sandbox.store import LoggedRequest, Store
from reconciler.sandbox.world import World

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

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
        answer.headers += [("Date", format_date_time(self._sandbox.now())), ("Server", SERVER)]
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
            header = environ.get("HTTP_AUTHORIZATION", "")
            user = admitted(header, route.method, open_world=world.open, keys=world.keys)
            count_call(world, now)
            _check_content_type(environ, route)
            query, body = environ.get("QUERY_STRING", ""), _read_body(environ)
            call = Call(world, now, ids, _url(environ), query, body, user)
            check_refused(call, route.name)
            answer = success(route.act(call), self._request_id(), world.settings)
        except Refusal as refusal:
            answer = refused(refusal, self._request_id(), environ["PATH_INFO"], world.settings)
        return answer if fault is None else fault.act(answer, world)

    def _request_id(self) -> str:
        """Text in the documented pattern, shaped like the vendor's examples."""
        text = f"{self._random.getrandbits(128):032X}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _check_content_type(environ: Environ, route: Route) -> None:
    """Raises a 415 Refusal for a body that says to be something else than JSON. To say nothing is fine."""
    kind = (environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if route.method != "GET" and kind not in ("", "application/json"):
        raise Refusal(415, "Content-Type must be application/json")


def _url(environ: Environ) -> str:
    """The address of a request, without its query."""
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME") or "localhost"
    return f"{environ.get('wsgi.url_scheme', 'http')}://{host}{quote(environ['PATH_INFO'])}"


def _read_body(environ: Environ) -> bytes:
    """The body, as far as Content-Length says, or to its end where the server knows it (chunked ones).

    Raises a Refusal where the length is no number, or the body too large.
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise Refusal(400, "Content-Length is not a number")
    is_chunked = length == "0" and environ.get("wsgi.input_terminated", False)
    if len(length) > 18 or int(length) > MAX_BODY:
        raise Refusal(413, f"A body has at most {MAX_BODY} bytes")
    body: bytes = environ["wsgi.input"].read(MAX_BODY + 1 if is_chunked else int(length))
    if len(body) > MAX_BODY:
        raise Refusal(413, f"A body has at most {MAX_BODY} bytes")
    return body


def _add_headers(answer: Answer, route: Route | None, world: World, now: int) -> None:
    """Who answers, CORS, the vendor's clock, and rate headers: everywhere, or as they are documented."""
    headers = {"Access-Control-Allow-Origin": "*", "Date": format_date_time(world.vendor_time(now) // 1000)}
    headers["Server"] = f"{SERVER} (open)" if world.open else SERVER
    documented = answer.status >= 400 and (route is None or answer.status not in route.bare)
    if documented or world.settings.rate_headers == "always":
        limit, remaining = rate_limit(world, now)
        headers |= {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(remaining)}
    answer.headers += [(name, value) for name, value in headers.items() if answer.header(name) is None]
