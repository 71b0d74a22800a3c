"""``git http-backend`` behind a small server of ours that can delay, refuse, break off and fall silent."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
LONGEST = 60.0  # seconds that a silence lasts at most

FETCH_REFS, PUSH_REFS, FETCH, PUSH = "fetch-refs", "push-refs", "fetch", "push"
"""The four requests of the protocol: what a fetch and a push begin with, and what they are."""

_BEGUN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-receive-pack-result\r\nContent-Length: 99\r\n\r\n"
)
"""The beginning of an answer; of less, the client's library makes nothing, and sends the request again."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    git: HttpGit

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what these tests are about."""


@dataclass
class HttpGit:
    """The switches of the server, and what it saw.

    ``faults`` has what befalls the next request of a kind, each once, in order: a status, ``cut`` (the
    connection is dropped, and half of the request was passed on), ``lost`` (it is carried out, and the
    connection is dropped amid the answer), ``unsaid`` (as ``lost``, without a byte of the answer: then the
    client's HTTP library repeats the request by itself), ``hang`` (no answer until the server stops).
    """

    bare: Path
    program: Path
    env: dict[str, str]
    delay: float = 0.0  # seconds before each answer
    read_only: bool = False
    wants: str = ""  # the Authorization that every request must have
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    met: list[str] = field(default_factory=list)
    most_pushes_at_once: int = 0
    _pushing: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _server: _Server = field(init=False)

    def __post_init__(self) -> None:
        self._server = _Server((HOST, 0), _Connection)
        self._server.git = self

    @property
    def url(self) -> str:
        """What to give to ``git clone``."""
        return f"http://{HOST}:{self._server.server_address[1]}/{self.bare.name}"

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Answer no more: connections are refused, and what hangs is dropped. May be repeated."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()

    def meet(self, kind: str, *faults: int | str) -> None:
        """Have the next requests of a kind meet these faults."""
        self.faults[kind] = list(faults)

    def due(self, kind: str) -> int | str | None:
        """Count a request; return the fault that befalls it."""
        with self._lock:
            self.seen[kind] += 1
            waiting = self.faults.get(kind)
            if not waiting:
                return None
            self.met.append(f"{kind}:{waiting[0]}")
            return waiting.pop(0)

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        if seconds:
            self._stopping.wait(seconds)

    @contextmanager
    def pushing(self, kind: str, body: bytes) -> Iterator[None]:
        """Count how many pushes to branches are under way at once: a lock may be renewed beside them."""
        one = int(kind == PUSH and b" refs/heads/" in body[:500])
        with self._lock:
            self._pushing += one
            self.most_pushes_at_once = max(self.most_pushes_at_once, self._pushing)
        try:
            yield
        finally:
            with self._lock:
                self._pushing -= one


@contextmanager
def serve_http(bare: Path, program: Path, env: dict[str, str]) -> Iterator[HttpGit]:
    """Serve the folder that ``bare`` is in, inside the ``with``."""
    server = HttpGit(bare, program, env)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def kind_of(path: str) -> str:
    """Return which of the four requests a path is; another one is itself."""
    parts = urlsplit(path)
    end = parts.path.rpartition("/")[2]
    if end == "refs":
        service = parse_qs(parts.query).get("service", [""])[0]
        return PUSH_REFS if service == "git-receive-pack" else FETCH_REFS
    return {"git-receive-pack": PUSH, "git-upload-pack": FETCH}.get(end, end)


class _Connection(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        git, kind = self.server.git, kind_of(self.path)
        body = self._body()
        with git.pushing(kind, body):
            git.wait(git.delay)
            if git.wants and self.headers.get("Authorization") != git.wants:
                return self._say(401, ("WWW-Authenticate", 'Basic realm="git"'))
            if git.read_only and kind in (PUSH, PUSH_REFS):
                return self._say(403)
            fault = git.due(kind)
            if isinstance(fault, int):
                return self._say(fault)
            if fault == "hang":
                git.wait(LONGEST)
                return self._drop()
            answer = self._backend(body, cut=fault == "cut")
        if fault in ("cut", "lost"):
            return self._drop(said=_BEGUN)
        return self._drop() if fault == "unsaid" else self._pass_on(answer)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _backend(self, body: bytes, cut: bool) -> bytes:
        """Run the program; of a request that is cut it gets half, and then the end."""
        parts = urlsplit(self.path)
        env = {
            **self.server.git.env,
            "GIT_PROJECT_ROOT": str(self.server.git.bare.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": HOST,
        }
        fed = body[: len(body) // 2] if cut else body  # without a length it reads to the end
        done = subprocess.run([self.server.git.program], env=env, input=fed, capture_output=True, check=False)
        return done.stdout

    def _pass_on(self, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line)
        status = int(headers.pop("Status", "200").split()[0])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _say(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drop(self, said: bytes = b"") -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.sendall(said)
            self.connection.shutdown(socket.SHUT_RDWR)
