"""Sending to a WSGI application in this process: no socket, no httpx. The embedded sandbox uses it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from reconciler.http.message import AnswerLost, Headers, Request, Response

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class WsgiTransport:
    """Calls a WSGI application (PEP 3333). Thread-safe as far as the application is.

    An ``OSError`` out of it (a ``ConnectionResetError``, say) plays the broken network and becomes
    ``AnswerLost``; any other exception is the application's bug and passes through.
    """

    def __init__(self, app: WsgiApp, base_path: str = "/v1", key: str = "sandbox") -> None:
        self._app = app
        self._base_path = base_path.rstrip("/")
        self._key = key

    def send(self, request: Request, *, read_timeout: float) -> Response:
        """Call the application once. Raises ``AnswerLost``. There is nothing to time out: it is a call."""
        environ = self._environ(request)
        with suppress(OSError):
            return _call(self._app, environ)
        raise AnswerLost("the connection broke before a whole answer")

    def _environ(self, request: Request) -> dict[str, Any]:
        body = request.body() or b""
        path = unquote_to_bytes(self._base_path + request.path).decode("latin-1")  # as PEP 3333 has it
        return {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": urlencode(request.query) if request.query else "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json" if body else "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "localhost",
            "HTTP_ACCEPT": "application/json",
            "HTTP_AUTHORIZATION": f"Bearer {self._key}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }


def _call(app: WsgiApp, environ: dict[str, Any]) -> Response:
    head: list[Any] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], None]:
        head[:] = [status, headers]
        return written.append

    parts = app(environ, start_response)
    try:
        written.extend(parts)  # an application may begin its answer as late as with its first part
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    status, headers = head
    return Response(int(status[:3]), Headers(headers), b"".join(written))
