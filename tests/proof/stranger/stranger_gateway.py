"""What stands between the program and an API: a gateway on loopback that does as a test says.

It hands each request to the API behind it, and may act before or after: let something happen at that very
moment, answer by itself, repeat the request, lose the answer, or show another ``Date``.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from stranger_server import Server

CALLS = [
    ("GET", "list", re.compile(r"/v1/teams/\d+/backfills")),
    ("GET", "get", re.compile(r"/v1/teams/\d+/backfills/(\d+)")),
    ("PATCH", "cancel", re.compile(r"/v1/teams/\d+/backfills/(\d+)")),
    ("POST", "create", re.compile(r"/v1/teams/\d+/transfers/(\d+)/backfills")),
    ("GET", "latest", re.compile(r"/v1/teams/\d+/transfers/(\d+)/backfills/latest")),
    ("GET", "transfers", re.compile(r"/v1/teams/\d+/transfers")),
    ("GET", "runs", re.compile(r"/v1/teams/\d+/transfers/(\d+)/runs")),
]
Reply = tuple[int, dict[str, str], bytes]
Deed = Callable[[], Any]


class Behind(Protocol):
    """The API that a gateway stands before."""

    @property
    def now(self) -> datetime: ...

    def reply(self, method: str, target: str, key: str, body: bytes) -> Reply: ...


class AnswerLost(Exception):
    """Raised by a deed: the connection ends without an answer."""


@dataclass
class Rule:
    """``deed`` is done before or after the ``nth`` such call from now on, ``times`` in a row."""

    call: str
    deed: Deed
    nth: int = 1
    times: int = 1
    after: bool = False

    def strikes(self) -> bool:
        self.nth -= 1
        return -self.times < self.nth <= 0


def reply(status: int, told: dict[str, Any], **headers: str) -> Reply:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **more}, json.dumps(told).encode()


@dataclass
class Gateway:
    """``sent`` are the writes that came: ``create 1 2025-06-01..2025-06-30``, ``cancel 1000``."""

    behind: Behind
    rules: list[Rule] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    skew: timedelta = timedelta(0)  # of the Date header alone
    request: tuple[str, str, str, bytes] = ("", "", "", b"")  # that is being answered
    lock: threading.RLock = field(default_factory=threading.RLock)

    # -- what a test says ----------------------------------------------------------------------

    def before(self, call: str, deed: Deed, nth: int = 1, times: int = 1) -> None:
        """Let something happen when such a call arrives. A ``Reply`` that it returns is the answer."""
        self.rules.append(Rule(call, deed, nth, times))

    def after(self, call: str, deed: Deed, nth: int = 1) -> None:
        """Let something happen once the API has answered such a call, before the answer arrives."""
        self.rules.append(Rule(call, deed, nth, after=True))

    def refuse(
        self, call: str, status: int, code: str, wait: int | None = None, nth: int = 1, times: int = 1
    ) -> None:
        """Answer by itself, in place of the API."""
        told = reply(status, {"meta": {"request_id": "gateway-1"}, "error": {"code": code, "message": code}})
        if wait is not None:
            told[1]["Retry-After"] = str(wait)
        self.before(call, lambda: told, nth, times)

    def lose(self, call: str, nth: int = 1) -> None:
        """Lose the answer to what the API did."""
        self.after(call, self._lost, nth)

    def _lost(self) -> None:
        raise AnswerLost

    def repeat(self, call: str, nth: int = 1) -> None:
        """Send such a call twice: the answer is that to the second."""
        self.before(call, lambda: [self.behind.reply(*self.request)], nth)

    # -- at work ---------------------------------------------------------------------------------

    def reply(self, method: str, target: str, key: str, body: bytes) -> Reply:
        """Answer a request. Raises ``AnswerLost``."""
        with self.lock:
            self.request = (method, target, key, body)
            call = self._note(method, target.partition("?")[0], body)
            told = self._do(call, after=False)
            if told is None:
                told = self.behind.reply(*self.request)
                told = self._do(call, after=True) or told
            shown = self.behind.now + self.skew
            return told[0], told[1] | {"Date": shown.strftime("%a, %d %b %Y %H:%M:%S GMT")}, told[2]

    def _note(self, method: str, path: str, body: bytes) -> str:
        for verb, call, pattern in CALLS:
            found = pattern.fullmatch(path)
            if verb == method and found:
                if call in ("create", "cancel"):
                    told = json.loads(body)
                    days = f" {told['range_start']}..{told['range_end']}" if call == "create" else ""
                    self.sent.append(f"{call} {found[1]}{days}")
                return call
        return "unknown"

    def _do(self, call: str, *, after: bool) -> Reply | None:
        told = None
        for rule in [rule for rule in self.rules if (rule.call, rule.after) == (call, after)]:
            if rule.strikes():
                given = rule.deed()
                told = given if isinstance(given, tuple) else told
        return told


@contextmanager
def gate(gateway: Gateway) -> Iterator[str]:
    """Serve on a free port of loopback; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                status, headers, told = gateway.reply(self.command, self.path, key, body)
            except AnswerLost:
                self.close_connection = True
                return
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815 - http.server's names

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
