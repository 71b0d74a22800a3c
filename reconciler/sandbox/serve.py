"""The sandbox over real HTTP/1.1, on the loopback interface only, a thread for each connection.

It does to the socket what a fault asks for (`Answer.behaviour`); everything else is the WSGI callable's.
"""

import io
import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes

from reconciler.sandbox import responses
from reconciler.sandbox.requests import MAX_BODY
from reconciler.sandbox.responses import SERVER, Answer, AnswerLost, Headers

HOST = "127.0.0.1"
DRAIN = 1 << 20  # bytes of an unread request body that are read away, to keep the connection usable
SLOW_SECONDS = 0.5  # between two bytes of a slow answer
MAX_LINE = 4096  # bytes of a line of a chunked body
IDLE_SECONDS = 75.0  # a silent connection is closed

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server(ThreadingHTTPServer):
    """Listens until `stop`; then the open connections are closed too."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, app: WsgiApp, port: int = 0, slow_seconds: float = SLOW_SECONDS) -> None:
        """Port 0 picks a free one. Raises OSError for a port in use."""
        super().__init__((HOST, port), _Connection)
        self.app = app
        self.slow_seconds = slow_seconds
        self.stopping = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """What to give to a client, http://127.0.0.1:PORT/v1."""
        return f"http://{HOST}:{self.server_address[1]}/v1"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, to close it at the end."""
        with self._lock:
            self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that ended."""
        with self._lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Close everything. The loop of `serve_forever` must have ended."""
        self.stopping.set()
        self.server_close()
        with self._lock:
            sockets = list(self._sockets)
        for connection in sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no news; a bug of ours is. What ends the server must not end here:
        a signal may come just as the serving thread takes a connection on.
        """
        if threading.current_thread() is threading.main_thread():
            raise
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One connection and its requests, one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def _answer(self) -> None:
        try:
            self._send(*self._ask())
        except AnswerLost:
            self._reset()

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every method goes to the app, which knows what is allowed."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _ask(self) -> tuple[str, Headers, Answer]:
        """Put the request to the app."""
        started: list[tuple[str, Headers]] = []
        answer = self.server.app(self._environ(), lambda *head: started.append(head))
        assert isinstance(answer, Answer)
        return *started[0], answer

    def _environ(self) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": self.headers.get("Content-Length", ""),
            "SERVER_NAME": HOST,
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self._body()),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            environ.setdefault("HTTP_" + name.upper().replace("-", "_"), value)
        return environ

    def version_string(self) -> str:
        """What answers of the standard library's own call us."""
        return SERVER

    def _body(self) -> bytes:
        """The body of the request. One that is too long, or of unknown length, ends the connection.

        Raises ConnectionAbortedError where the client hung up before all of it was there: such a request
        never arrived, so it is neither answered nor recorded.
        """
        if "Transfer-Encoding" in self.headers:
            return self._chunked_body()
        length = self.headers.get("Content-Length", "0")
        fits = length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= DRAIN
        if not fits:
            self.close_connection = True
            return b""
        return self._whole(self.rfile.read(int(length)), int(length))

    def _chunked_body(self) -> bytes:
        """A body in chunks; nothing of one that is malformed, enough of one too long to tell that it is."""
        body, is_chunked = b"", self.headers["Transfer-Encoding"].strip().lower() == "chunked"
        while is_chunked and len(body) <= MAX_BODY:
            size = _chunk_size(self._line())
            if size == 0:
                while self._line().strip():
                    pass  # trailers
                return body
            length = min(size or 0, MAX_BODY + 1)
            body += self._whole(self.rfile.read(length), length)
            is_chunked = size is not None and (size > MAX_BODY or not self._line().strip())
        self.close_connection = True
        return body if is_chunked else b""

    def _line(self) -> bytes:
        line = self.rfile.readline(MAX_LINE)
        return line if line.endswith(b"\n") else self._whole(line, MAX_LINE)

    def _whole(self, data: bytes, length: int) -> bytes:
        if len(data) < length:
            raise ConnectionAbortedError("the client hung up within its request")
        return data

    def _send(self, status: str, headers: Headers, answer: Answer) -> None:
        head = self._head(status, headers, chunked=answer.header("Content-Length") is None)
        body = b"" if self.command == "HEAD" else answer.body
        match answer.behaviour:
            case "":
                self._send_plain(head, body, answer)
            case responses.CUT:
                self.wfile.write(head + answer.half)
                self._reset()
            case responses.SHORT:
                self.wfile.write(head + answer.half)
                self.close_connection = True
            case responses.SLOW_HEADERS:
                self._write_slowly(head)
                self.wfile.write(body)
            case responses.SLOW_BODY:
                self.wfile.write(head)
                self._write_slowly(body)

    def _send_plain(self, head: bytes, body: bytes, answer: Answer) -> None:
        stream = answer.stream
        if stream is None or self.command == "HEAD":
            self.wfile.write(head + body)
            return
        chunked = answer.header("Content-Length") is None
        self.wfile.write(head)
        for piece in stream:
            if self.server.stopping.is_set():
                break
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        self.close_connection = True

    def _head(self, status: str, headers: Headers, *, chunked: bool) -> bytes:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _write_slowly(self, data: bytes) -> None:
        for place in range(len(data)):
            self.wfile.write(data[place : place + 1])
            if self.server.stopping.wait(self.server.slow_seconds):
                break

    def _reset(self) -> None:
        """Close with a reset instead of a proper end: linger on, for no time."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed here."""


def _chunk_size(line: bytes) -> int | None:
    """How long a chunk is by its first line, or None for what is no such line. Extensions are ignored."""
    digits = line.partition(b";")[0].strip()
    return int(digits, 16) if re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits) else None


def serve(app: WsgiApp, port: int, announce: Callable[[str], None]) -> None:
    """Serve until an exception ends it (KeyboardInterrupt, or what a signal handler of yours raises).

    `announce` gets the base URL once connections are accepted. Raises OSError for a port in use.
    """
    server = Server(app, port)
    try:
        announce(server.base_url)
        server.serve_forever(poll_interval=0.2)
    finally:
        server.stop()


@contextmanager
def running(app: WsgiApp, port: int = 0, slow_seconds: float = SLOW_SECONDS) -> Iterator[str]:
    """Serve in the background of a `with` block; gives the base URL."""
    server = Server(app, port, slow_seconds)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.base_url
    finally:
        server.shutdown()
        server.stop()
        thread.join(timeout=5)
