"""Sending over the network: the one place that imports httpx.

What counts is the difference between ``NotSent`` and ``AnswerLost``, because a write that may
have arrived must never be sent again. Of httpx 0.28 and httpcore 1.0:

- ``ConnectError``, ``ConnectTimeout`` (TCP and TLS), ``PoolTimeout`` and ``ProxyError`` (the proxy
  refused the tunnel) are raised before the request is written; everything else may come later.
- A write error is swallowed and the answer read all the same, as a server may answer early; so a
  failed write shows up as a read error.
- A kept connection that the server has dropped is noticed only if its end has already arrived
  here. Else the request is written into it and the reset looks like any other. Nothing is resent
  for us (``retries`` concerns connecting only). So reads may ride kept connections, and a write
  always gets a fresh one: what is lost then was not lost to a stale connection.
- What came after an answer stays in the connection's buffer, out of sight, and would be read as the answer to
  the next request. Bytes that nobody asked for are no answer (RFC 9112, 9.2): one begins with the first bytes
  that are read after its request was written. What has arrived meanwhile, httpcore sees, and connects anew.
- Timeouts hold per ``recv``. Only the trace extension lets us see a connection's stream, and so
  put one deadline over a whole answer, head included.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from reconciler.bounds import LEAVE_WITHIN
from reconciler.errors import Interrupted, UsageError
from reconciler.http.address import checked_base_url, checked_key
from reconciler.http.body import unpacked
from reconciler.http.faults import fault_of_settings, fault_of_tls
from reconciler.http.message import (
    AnswerLost,
    Headers,
    NotSent,
    Request,
    Response,
    TlsFailed,
    without_secret,
)
from reconciler.http.proxies import proxy_for
from reconciler.http.secret import Secret
from reconciler.version import __version__

if TYPE_CHECKING:
    import ssl

    import httpx

MIB = 1024 * 1024
CONNECT_TIMEOUT = 10.0  # seconds, for each address of the host
BODY_WITHIN = 120.0  # seconds an answer may take beyond its read timeout until it is whole
MAX_BODY = 8 * MIB  # a page of 10,000 runs takes some 3 MiB
MAX_WRITE_BODY = 2 * MIB  # of the answer to a write, which is one backfill
MAX_ERROR_BODY = 64 * 1024  # of an error no more is read: its status says what it is
UNASKED = "the connection held bytes that nobody asked for, or the answer is not HTTP"
KEEP_ALIVE = 5.0  # seconds; shorter than any usual server's, so that ours is the side that hangs up


class HttpTransport:
    """Sends requests over HTTP/1.1 with the key, TLS always verified. Thread-safe.

    Every thread that sends at the same time has a connection of its own. Proxies and CA files of
    the environment hold, except that loopback is never reached through a proxy. The key is in the
    ``Authorization`` header and nowhere else.

    Raises ``KeyProblem`` and ``UsageError`` for a key, URL or proxy setting that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        max_body: int = MAX_BODY,
        connect_timeout: float = CONNECT_TIMEOUT,
        send_within: float = LEAVE_WITHIN.total_seconds(),
        body_within: float = BODY_WITHIN,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self._key = checked_key(key)
        self._secret = Secret(self._key)
        self._max_body = max_body
        self._connect_timeout = connect_timeout
        self._send_within = send_within
        self._body_within = body_within
        self._trust: ssl.SSLContext | None = None
        self._idle: deque[_Line] = deque([self._new_line()])

    def close(self) -> None:
        """Close the kept connections. Requests under way are not touched."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def send(self, request: Request, *, read_timeout: float) -> Response:
        """Send one request. Raises ``NotSent`` or ``AnswerLost`` (see ``Transport``)."""
        content = request.body()
        line = self._line_for(request)
        lost: NotSent | AnswerLost | None = None
        kept = False
        try:
            response = self._exchange(line, request, content, read_timeout)
            kept = request.method == "GET"
        except Interrupted:  # a signal's, not the network's: the run ends by it
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the request may have arrived
            lost = _worded(error, line.started)
        finally:
            if kept:
                self._idle.append(line)
            else:
                line.close()
        if lost is not None:
            raise lost  # out here, so that httpx's exception (it holds the request) is not its context
        return response

    def _exchange(
        self, line: _Line, request: Request, content: bytes | None, read_timeout: float
    ) -> Response:
        import httpx

        line.begin(self._send_within, read_timeout + self._body_within)
        with line.client.stream(
            request.method,
            self.base_url + request.path,
            params=dict(request.query) or None,
            content=content,
            headers=self._headers(content),
            timeout=httpx.Timeout(
                self._connect_timeout, read=read_timeout, write=LEAVE_WITHIN.total_seconds()
            ),
            extensions={"trace": line.trace},
        ) as answer:
            headers = Headers(
                (name.decode("ascii", "replace"), value.decode("latin-1"))
                for name, value in answer.headers.raw
            )
            most = self._max_body if request.method == "GET" else min(MAX_WRITE_BODY, self._max_body)
            body = self._body(answer, headers, most)
            response = Response(answer.status_code, headers, body, self._secret.hide)
            return without_secret(response, self._key)

    def _headers(self, content: bytes | None) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"backfill-reconciler/{__version__}",
        }
        return headers if content is None else {**headers, "Content-Type": "application/json"}

    def _body(self, answer: httpx.Response, headers: Headers, most: int) -> bytes:
        """Read the body up to the cap, which holds packed and unpacked: some gateways compress unasked.

        An error's status says enough without its body, or with the beginning of it, so only a
        success is lost by what cannot be read.
        """
        failed = not 200 <= answer.status_code < 300
        most = min(MAX_ERROR_BODY, most) if failed else most
        try:
            return unpacked(answer.iter_raw(), headers.get("content-encoding", ""), most, cut=failed)
        except AnswerLost:
            if failed:
                return b""
            raise

    def _line_for(self, request: Request) -> _Line:
        if request.method == "GET":
            with suppress(IndexError):
                return self._idle.pop()
        return self._new_line()

    def _new_line(self) -> _Line:
        import httpx

        fault = ""
        try:
            if self._trust is None:
                self._trust = httpx.create_ssl_context()
            limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE)
            client = httpx.Client(
                verify=self._trust,
                limits=limits,
                proxy=proxy_for(self.base_url),
                trust_env=False,  # the environment was read: proxies by us, certificates just above
                follow_redirects=False,
            )
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            fault = fault_of_settings(error)
        if fault:
            raise UsageError(
                "The environment's proxy or certificate settings cannot be used",
                f"{fault}.",
                "Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR; "
                "SOCKS proxies need the package socksio.",
            )
        return _Line(client)


class _Line:
    """One client with one connection, used for one request at a time, so that its stream can be watched."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.started = False
        self._awaited = False  # a request was written, and nothing read since
        self._send_by = self._deadline = self._answer_within = 0.0

    def begin(self, send_within: float, answer_within: float) -> None:
        """Start the clocks of a request; the answer's starts anew when the request is written."""
        self.started = False
        self._answer_within = answer_within
        self._send_by = time.monotonic() + send_within
        self._deadline = self._send_by + answer_within

    def close(self) -> None:
        with suppress(Exception):  # it is discarded, in whatever condition
            self.client.close()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Follow httpcore's events: note new streams, and the moment before the request's first byte.

        Connecting has several timeouts in a row (addresses, proxy, TLS); a caller that promised
        to write soon or never is held to it here, where not writing is still possible.
        """
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._watch(info["return_value"])
        elif event == "http11.send_request_headers.started":
            now = time.monotonic()
            if now > self._send_by:
                raise NotSent("connecting took too long")
            self._deadline = now + self._answer_within
            self._awaited = True
            self.started = self.started or info["request"].method != b"CONNECT"
        elif event == "http11.receive_response_headers.complete" and self._awaited:
            raise AnswerLost(UNASKED)

    def _watch(self, stream: Any) -> None:
        """Bound every read of a new stream by the deadline of the request it is used for then."""
        import httpx

        read = stream.read

        def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise httpx.ReadTimeout("the whole answer took too long")
            data: bytes = read(max_bytes, timeout=left if timeout is None else min(timeout, left))
            if self._awaited and not b"HTTP/".startswith(data[:5]):
                raise AnswerLost(UNASKED)
            self._awaited = False
            return data

        stream.read = read_in_time


def _worded(error: Exception, started: bool) -> NotSent | AnswerLost:
    """Return our signal for a failure; both the kind of failure and the trace must say that nothing left."""
    import httpx

    if isinstance(error, NotSent | AnswerLost):
        return type(error)(str(error))  # without the frames below, which hold the request
    if not started and (fault := fault_of_tls(error)):
        return TlsFailed(fault)
    if not started and isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return NotSent(f"no connection could be made ({str(error)[:200]})")  # the system's or proxy's words
    if not started and isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return NotSent("no connection could be made in time")
    if isinstance(error, httpx.TimeoutException):
        return AnswerLost("no whole answer came in time")
    if isinstance(error, httpx.RemoteProtocolError):
        return AnswerLost("the connection was closed before a whole answer, or the answer is not HTTP")
    if isinstance(error, httpx.NetworkError):
        return AnswerLost("the connection broke before a whole answer")
    return AnswerLost("sending or reading failed")
