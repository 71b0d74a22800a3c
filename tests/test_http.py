"""The transport against real sockets on loopback: what is lost, what was never sent, what shows."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import KeyProblem, ReconcilerError, UsageError
from reconciler.http import (
    AnswerLost,
    GaveUp,
    Headers,
    Held,
    HttpTransport,
    NotSent,
    Pacer,
    Request,
    Response,
    Retry,
    TlsFailed,
    TryAgain,
    WsgiTransport,
    checked_base_url,
    checked_key,
    emulated_now,
    has_any_transfer,
    is_passing,
    retry_after,
    server_time,
)
from reconciler.http.transport import MAX_ERROR_BODY, MAX_WRITE_BODY, _worded

KEY = "sk_live_0123456789abcdef"
GET = Request("GET", "/teams/1/backfills")
POST = Request("POST", "/teams/1/transfers/2/backfills", json={"range_start": "2024-01-01"})
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

Answer = Callable[[socket.socket, bytes], None]


class Server:
    """Accepts connections and hands each request's bytes to ``answer``, until the peer leaves."""

    def __init__(self, answer: Answer, keep: bool = False) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answer, self._keep = answer, keep
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while request := read_request(connection):
                self.requests.append(request)
                self._answer(connection, request)
                if not self._keep:
                    return

    def close(self) -> None:
        self._socket.close()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer_bytes(body: bytes = b"{}", status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def says(data: bytes) -> Answer:
    return lambda connection, _: connection.sendall(data)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Answer, keep: bool = False) -> Server:
        servers.append(Server(answer, keep))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *(name.lower() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)


def transport(url: str, **options: Any) -> HttpTransport:
    return HttpTransport(url, KEY, **options)


# --- what arrives


def test_request_and_answer(serve: Callable[..., Server]) -> None:
    server = serve(says(answer_bytes(b'{"a":1}', headers="X-RateLimit-Remaining: 7\r\n")))
    response = transport(server.url).send(
        Request("GET", "/runs", {"start_date": "2024-01-01T00:00:00+00:00", "limit": 10}), read_timeout=5
    )
    assert (response.status, response.body) == (200, b'{"a":1}')
    assert response.headers["x-ratelimit-remaining"] == response.headers["X-RATELIMIT-REMAINING"] == "7"
    head = server.requests[0].decode()
    assert head.startswith("GET /v1/runs?start_date=2024-01-01T00%3A00%3A00%2B00%3A00&limit=10 HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head
    assert "User-Agent: backfill-reconciler/" in head


DATED = "Server: reconciler-sandbox\r\nDate: Tue, 01 Jul 2025 09:00:00 GMT\r\n"


@pytest.mark.parametrize(
    ("answer", "now"),
    [
        (says(answer_bytes(b"{}", headers=DATED)), datetime(2025, 7, 1, 9, tzinfo=UTC)),
        (says(answer_bytes(b"{}", headers=DATED.replace("reconciler-", ""))), None),
        (says(b"no HTTP at all\r\n\r\n"), None),
        (says(b""), None),
    ],
    ids=["a sandbox", "another server", "noise", "nothing"],
)
def test_a_sandbox_on_this_machine_tells_its_time(
    serve: Callable[..., Server], answer: Answer, now: datetime | None
) -> None:
    server = serve(answer)
    assert emulated_now(server.url) == now
    assert server.requests[0].startswith(b"GET /_sandbox/settings HTTP/1.1\r\n")
    assert b"Authorization" not in server.requests[0]


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", "http://[::1", "http://a:99999"]
)
def test_what_is_no_sandbox_has_no_time(url: str) -> None:
    assert emulated_now(url) is None


@pytest.mark.parametrize(
    ("server", "any_transfer"),
    [
        ("reconciler-sandbox (open)", True),
        ("reconciler-sandbox", False),
        ("nginx (open)", False),
        ("", False),
    ],
)
def test_a_sandbox_may_have_any_transfer(server: str, any_transfer: bool) -> None:
    assert has_any_transfer({"server": server}) is any_transfer


def test_json_body(serve: Callable[..., Server]) -> None:
    server = serve(says(answer_bytes()))
    transport(server.url + "/").send(POST, read_timeout=5)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert json.loads(body) == POST.json
    assert b"Content-Type: application/json" in head
    assert head.startswith(b"POST /v1/teams/1/transfers/2/backfills HTTP/1.1")


def test_reads_keep_their_connection_and_writes_get_a_fresh_one(serve: Callable[..., Server]) -> None:
    server = serve(says(answer_bytes()), keep=True)
    sender = transport(server.url)
    for request, connections in [(GET, 1), (GET, 1), (POST, 2), (POST, 3), (GET, 3)]:
        sender.send(request, read_timeout=5)
        assert server.connections == connections
    sender.close()
    sender.send(GET, read_timeout=5)
    assert server.connections == 4


def test_one_connection_for_each_thread_that_sends(serve: Callable[..., Server]) -> None:
    barrier = threading.Barrier(8, timeout=30)

    def together(connection: socket.socket, _: bytes) -> None:
        barrier.wait()
        connection.sendall(answer_bytes())

    server = serve(together, keep=True)
    sender = transport(server.url)
    threads = [
        threading.Thread(target=sender.send, args=(GET,), kwargs={"read_timeout": 30}) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert server.connections == 8


def test_redirects_are_not_followed(serve: Callable[..., Server]) -> None:
    other = serve(says(answer_bytes()))
    server = serve(says(answer_bytes(b"", "307 Temporary Redirect", f"Location: {other.url}\r\n")))
    assert transport(server.url).send(POST, read_timeout=5).status == 307
    assert other.requests == []


def test_a_page_of_runs_fits(serve: Callable[..., Server]) -> None:
    body = b"x" * 8_000_000
    server = serve(says(answer_bytes(body)))
    assert transport(server.url).send(GET, read_timeout=5).body == body


# --- what is lost, what was never sent


def reset(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def silent(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)  # until the client leaves


def endless_body(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def dripping(data: bytes) -> Answer:
    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        while True:
            connection.sendall(b"a")
            connection.settimeout(0.02)
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return

    return drip


def endless_early_hints(connection: socket.socket, _: bytes) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


def endless_chunks(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\na\r\n" * 1000)


LOST: dict[str, Answer] = {
    "closed without an answer": says(b""),
    "reset": reset,
    "reset within the body": lambda c, r: (
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
        reset(c, r),
    )[1],
    "short body": says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"),
    "short chunk": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}"),
    "not HTTP": says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "silence": silent,
    "announced too large": says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000),
    "endless body": endless_body,
    "endless body of tiny chunks": endless_chunks,
    "dripping body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    "dripping head": dripping(b"HTTP/1.1 200 OK\r\nX-Long: "),
    "endless early hints": endless_early_hints,
    "endless head": lambda c, _: c.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000),
    "gzip bomb": says(answer_bytes(gzip.compress(b"0" * 10_000_000), headers="Content-Encoding: gzip\r\n")),
    "unknown encoding": says(answer_bytes(b"??", headers="Content-Encoding: zstd, br\r\n")),
}


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("answer", LOST.values(), ids=LOST.keys())
def test_lost(serve: Callable[..., Server], answer: Answer, request_: Request) -> None:
    server = serve(answer)
    sender = transport(server.url, max_body=65536, body_within=0.1)
    with pytest.raises(AnswerLost) as caught:
        sender.send(request_, read_timeout=0.2)
    assert str(caught.value)
    assert len(server.requests) <= 1  # nothing resends behind our back
    assert caught.value.__context__ is None


def test_a_redirect_to_what_is_no_url_is_not_followed(serve: Callable[..., Server]) -> None:
    """httpx calls such an answer broken; its fork hands it over."""
    server = serve(says(answer_bytes(b"", "302 Found", "Location: http://[::1:bad\r\n")))
    with contextlib.suppress(AnswerLost):
        assert transport(server.url).send(POST, read_timeout=5).status == 302
    assert len(server.requests) == 1


def test_a_dropped_kept_connection_loses_nothing_unless_it_is_used(serve: Callable[..., Server]) -> None:
    answered = threading.Event()

    def once(connection: socket.socket, request: bytes) -> None:
        if len(server.requests) == 2:
            return reset(connection, request)  # it came over a connection that was kept
        connection.sendall(answer_bytes())
        answered.set()
        return None

    server = serve(once, keep=True)
    sender = transport(server.url)
    sender.send(GET, read_timeout=5)
    with pytest.raises(AnswerLost):
        sender.send(GET, read_timeout=5)
    assert len(server.requests) == 2
    assert sender.send(GET, read_timeout=5).status == 200  # the broken connection was not kept


STRAY = answer_bytes(b'{"data": []}')


@pytest.mark.parametrize(
    "stray", [STRAY, STRAY[:-7], STRAY[:20], b"garbage"], ids=["whole", "body", "head", "none"]
)
def test_what_nobody_asked_for_is_no_answer(serve: Callable[..., Server], stray: bytes) -> None:
    answers = iter([answer_bytes(b"1") + stray, stray[20:] + answer_bytes(b"lost"), answer_bytes(b"3")])
    server = serve(lambda connection, _: connection.sendall(next(answers)), keep=True)
    sender = transport(server.url)
    assert sender.send(GET, read_timeout=5).body == b"1"
    with pytest.raises(AnswerLost):
        sender.send(GET, read_timeout=5)
    assert sender.send(GET, read_timeout=5).body == b"3"
    assert server.connections == 2


def test_what_came_in_between_is_no_answer(serve: Callable[..., Server]) -> None:
    came, asked = threading.Event(), threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(answer_bytes(b"right"))
        if not came.is_set():
            asked.wait(5)
            connection.sendall(STRAY)
            came.set()

    server = serve(answer, keep=True)
    sender = transport(server.url)
    assert sender.send(GET, read_timeout=5).body == b"right"
    asked.set()
    assert came.wait(5)
    assert sender.send(GET, read_timeout=5).body == b"right"
    assert server.connections == 2  # what was seen there is left where it is


def test_connection_refused_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotSent, match="refused"):
        transport(f"http://127.0.0.1:{port}").send(POST, read_timeout=1)


def test_connect_timeout_is_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        with pytest.raises(NotSent):
            transport(f"http://127.0.0.1:{port}", connect_timeout=0.1).send(POST, read_timeout=1)
        for one in crowd:
            one.close()


def test_connecting_for_too_long_is_not_sent(serve: Callable[..., Server]) -> None:
    server = serve(says(answer_bytes()))
    with pytest.raises(NotSent, match="too long"):
        transport(server.url, send_within=-1.0).send(POST, read_timeout=1)
    assert server.requests == []


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_compressed_error_still_has_its_status(serve: Callable[..., Server], status: int) -> None:
    server = serve(says(answer_bytes(gzip.compress(b"{}"), f"{status} No", "Content-Encoding: gzip\r\n")))
    assert transport(server.url).send(POST, read_timeout=5) == Response(
        status, Headers({"content-length": str(len(gzip.compress(b"{}"))), "content-encoding": "gzip"}), b"{}"
    )


@pytest.mark.parametrize("status", ["200 OK", "422 No"])
@pytest.mark.parametrize("packed", ["gzip", "x-gzip", "deflate", " GZIP "])
def test_a_compressed_answer_is_unpacked(serve: Callable[..., Server], packed: str, status: str) -> None:
    body = b'{"data": []}' * 2000
    raw = zlib.compress(body) if packed == "deflate" else gzip.compress(body)
    server = serve(says(answer_bytes(raw, status, f"Content-Encoding: {packed}\r\n")))
    assert transport(server.url).send(GET, read_timeout=5).body == body


@pytest.mark.parametrize("raw", [gzip.compress(b"{}")[:-9], b"{}", b""], ids=["cut", "plain", "empty"])
def test_what_cannot_be_unpacked_leaves_an_error_its_status(serve: Callable[..., Server], raw: bytes) -> None:
    headers = "Content-Encoding: gzip\r\n"
    server = serve(says(answer_bytes(raw, "429 No", headers)))
    assert transport(server.url).send(POST, read_timeout=5).status == 429
    server = serve(says(answer_bytes(raw, headers=headers)))
    with pytest.raises(AnswerLost, match="compressed"):
        transport(server.url).send(POST, read_timeout=5)


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.ProxyError("x")])
def test_not_sent_needs_both_witnesses(error: Exception) -> None:
    assert isinstance(_worded(error, started=False), NotSent)
    assert isinstance(_worded(error, started=True), AnswerLost)


@pytest.mark.parametrize(
    "error", [ValueError(KEY), httpx.WriteError(KEY), httpx.ReadError(KEY), httpx.LocalProtocolError(KEY)]
)
def test_everything_else_is_lost(error: Exception) -> None:
    for started in (True, False):
        lost = _worded(error, started)
        assert isinstance(lost, AnswerLost)
        assert KEY not in str(lost)


def test_an_interrupt_passes_through(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(says(answer_bytes()))
    sender = transport(server.url)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sender, "_body", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sender.send(GET, read_timeout=5)
    monkeypatch.undo()
    assert sender.send(GET, read_timeout=5).status == 200


# --- proxies and TLS


def test_a_proxy_that_refuses_the_tunnel_is_not_sent(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(says(answer_bytes(b"", "407 Proxy Authentication Required")))
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{proxy.port}")
    with pytest.raises(NotSent, match="407"):
        transport("https://api.invalid/v1").send(POST, read_timeout=5)
    assert proxy.requests[0].startswith(b"CONNECT api.invalid:443")
    assert KEY.encode() not in proxy.requests[0]


def test_loopback_never_goes_through_a_proxy(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = serve(says(answer_bytes())), serve(says(answer_bytes(b"", "502 Bad Gateway")))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert transport(server.url).send(GET, read_timeout=5).status == 200
    assert proxy.requests == []


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("HTTPS_PROXY", "ftp://user:hunter2@proxy", "The address of a proxy cannot be read."),
        ("SSL_CERT_FILE", "/nonexistent.pem", "There is no SSL_CERT_FILE=/nonexistent.pem."),
        ("SSL_CERT_FILE", "/dev/null", "SSL_CERT_FILE=/dev/null holds no certificates."),
    ],
)
def test_unusable_environment(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        transport("https://api.invalid/v1")
    assert name in caught.value.hint
    assert caught.value.detail == told
    assert "hunter2" not in everything_of(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    extension = [
        "-days",
        "2",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        key,
        "-out",
        cert,
    ]
    try:
        subprocess.run([*command.split(), *extension], check=True, capture_output=True)
    except FileNotFoundError:
        assert "CI" not in os.environ, "openssl is not installed"
        pytest.skip("openssl is not installed")
    return cert, key


def test_tls_is_verified(certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    received: list[bytes] = []

    def run(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                received.append(read_request(secure))
                secure.sendall(answer_bytes())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=run, args=(listener,), daemon=True).start()
        url = f"https://localhost:{listener.getsockname()[1]}/v1"
        with pytest.raises(TlsFailed, match="self-signed certificate"):
            transport(url).send(POST, read_timeout=5)
        assert received == []
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        assert transport(url).send(POST, read_timeout=5).status == 200
    assert len(received) == 1


@pytest.mark.parametrize("said, passing", [(b"HTTP/1.1 400 Bad Request\r\n\r\n", False), (b"", True)])
def test_what_speaks_no_tls_is_told_from_a_connection_that_breaks(said: bytes, passing: bool) -> None:
    def run(listener: socket.socket) -> None:
        connection, _address = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=run, args=(listener,), daemon=True).start()
        with pytest.raises(NotSent) as caught:
            transport(f"https://127.0.0.1:{listener.getsockname()[1]}/v1").send(GET, read_timeout=5)
    assert isinstance(caught.value, TlsFailed) is not passing


# --- the key


def everything_of(error: BaseException) -> str:
    """All that printing or inspecting an exception could show, its causes and frames included."""
    text = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename != __file__:
            text += repr(frame.f_locals)
    for other in (error.__cause__, error.__context__):
        text += everything_of(other) if other else ""
    return text


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST.keys())
def test_the_key_shows_nowhere(
    serve: Callable[..., Server],
    answer: Answer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    sender = transport(serve(answer).url, max_body=65536, body_within=0.1)
    with pytest.raises(AnswerLost) as caught:
        sender.send(POST, read_timeout=0.1)
    captured = capfd.readouterr()
    shown = everything_of(caught.value) + repr(sender) + str(sender) + captured.out + captured.err
    assert KEY not in shown + caplog.text
    assert "httpcore" in caplog.text  # they did log


def test_a_key_quoted_back_in_an_error_is_taken_out(serve: Callable[..., Server]) -> None:
    body = json.dumps({"error": {"code": "UNAUTHORIZED", "message": f"bad key {KEY}!"}}).encode()
    server = serve(says(answer_bytes(body, "401 Unauthorized")))
    assert KEY.encode() not in transport(server.url).send(GET, read_timeout=5).body


def test_an_answer_hides_the_key(serve: Callable[..., Server]) -> None:
    answer = transport(serve(says(answer_bytes())).url).send(GET, read_timeout=5)
    assert answer.hide(f"bad {KEY.upper()}!") == "bad ***!"
    assert KEY not in repr(answer.hide)


def test_a_body_of_tiny_chunks_arrives_whole(serve: Callable[..., Server]) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve(says(head + b"1\r\na\r\n" * 2000 + b"0\r\n\r\n"))
    assert transport(server.url).send(GET, read_timeout=5).body == b"a" * 2000


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("answer", ["announced", "endless"])
def test_of_an_error_only_the_beginning_is_read(
    serve: Callable[..., Server], answer: str, request_: Request
) -> None:
    big = b"HTTP/1.1 422 X\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 200_000

    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 503 X\r\n\r\n")
        while True:
            connection.sendall(b"x" * 9999)

    sender = transport(serve(says(big) if answer == "announced" else endless).url)
    got = sender.send(request_, read_timeout=5)
    assert got.status == (422 if answer == "announced" else 503)
    assert len(got.body) == MAX_ERROR_BODY


def test_the_answer_to_a_write_may_not_be_as_large_as_a_list(serve: Callable[..., Server]) -> None:
    sender = transport(serve(says(answer_bytes(b" " * (MAX_WRITE_BODY + 1)))).url)
    assert len(sender.send(GET, read_timeout=5).body) == MAX_WRITE_BODY + 1
    with pytest.raises(AnswerLost, match="larger than"):
        sender.send(POST, read_timeout=5)


@pytest.mark.parametrize(
    "key", ["", "abc\n", "k3y\rb", "k3 y", "k3\ty", "sch\u00f6n", "a\x00b", "\u200babc", "x" * 5000]
)
def test_unfit_keys(key: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        HttpTransport("https://api.invalid/v1", key)
    assert caught.value.detail
    assert caught.value.hint
    if key:
        assert key not in str(caught.value) + caught.value.detail + caught.value.hint


def test_fit_keys() -> None:
    assert checked_key("api_Abc-123.~+/=") == "api_Abc-123.~+/="


@given(st.text())
def test_any_key_is_taken_or_refused_in_words(key: str) -> None:
    with contextlib.suppress(KeyProblem):
        assert checked_key(key).isascii()


# --- URLs


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "http://127.0.0.1:80/v1",
        "http://localhost/v1",
        "http://[::1]:9/v1",
        "http://127.9.9.9",
    ],
)
def test_fit_urls(url: str) -> None:
    assert checked_base_url(url + "/") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://2130706433/v1",
        "http://[::ffff:8.8.8.8]/v1",
        "ftp://127.0.0.1",
        "api.example.com/v1",
        "https://",
        "https://user:hunter2@api.example.com",
        "https://api.example.com/v1?x=1",
        "https://api.example.com/v1#x",
        "https://api.example.com:port/v1",
        "https://api.example.com/v 1",
        "https://\u0430pi.example.com",
        "https://[::1/v1",
        "https://api..example.com/v1",
        "",
    ],
)
def test_unfit_urls(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_base_url(url)
    assert "hunter2" not in caught.value.detail + caught.value.hint + str(caught.value)


@given(st.text())
def test_any_url_is_taken_or_refused_in_words(url: str) -> None:
    with contextlib.suppress(UsageError):
        assert checked_base_url(url).startswith("http")


# --- in process


def test_wsgi() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read())
        start_response("201 Created", [("X-A", "1"), ("x-a", "2")])(b"[")
        yield b"1]"

    sender = WsgiTransport(app, "/v1/", "rw-key")
    response = sender.send(Request("POST", "/a%20b", {"q": "1 2"}, {"x": 1}), read_timeout=1)
    assert response == Response(201, Headers({"X-A": "1, 2"}), b"[1]")
    assert (seen["PATH_INFO"], seen["QUERY_STRING"], seen["body"]) == ("/v1/a b", "q=1+2", b'{"x":1}')
    assert seen["HTTP_AUTHORIZATION"] == "Bearer rw-key"
    assert "rw-key" not in repr(sender)


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), OSError("x")])
def test_wsgi_lost(error: OSError) -> None:
    closed = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            raise error

        def close(self) -> None:
            closed.append(True)

    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return Parts()

    with pytest.raises(AnswerLost):
        WsgiTransport(app).send(GET, read_timeout=1)
    assert closed


def test_wsgi_bugs_pass_through() -> None:
    def app(_: dict[str, Any], __: Callable[..., Any]) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        WsgiTransport(app).send(GET, read_timeout=1)


# --- headers


def test_headers() -> None:
    headers = Headers([("Date", "x"), ("VIA", "a"), ("via", "b")])
    assert (headers["DATE"], headers.get("Via"), headers.get("none")) == ("x", "a, b", None)
    assert (set(headers), len(headers), "date" in headers) == ({"date", "via"}, 2, True)
    assert "via" in repr(headers)


NOW = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("5", 5.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("0.01", 1.0),
        ("0", None),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("1e3", None),
        ("\u0665", None),
        ("86401", 86_400.0),
        ("9" * 40, 86_400.0),
        ("9" * 10_000, 86_400.0),
        ("Sun, 22 Nov 2026 09:01:00 GMT", 60.0),
        ("Sun, 22 Nov 2026 08:59:00 GMT", None),
        ("Sun, 22 Nov 2026 09:01:00 -0000", 60.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("Mon, 01 Jan 0001 00:00:00 +1400", None),
        ("Sun, 99 Nov 2026 09:01:00 GMT", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after(Headers({"Retry-After": text}), NOW) == seconds


def test_retry_after_goes_by_their_clock() -> None:
    date = {"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT", "Date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    assert retry_after(Headers(date), NOW) == 30.0
    assert retry_after(Headers({"Retry-After": date["Retry-After"]})) is None  # no clock to compare with
    assert server_time(Headers(date)) == NOW.replace(hour=12)
    assert server_time(Headers()) is None


@given(st.text(), st.text())
def test_any_header_value_is_read_without_a_crash(text: str, date: str) -> None:
    seconds = retry_after(Headers({"Retry-After": text, "Date": date}), NOW)
    assert seconds is None or 0 < seconds <= 86_400


# --- pacing


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


def test_pacing_is_even() -> None:
    clock = Clock()
    pacer = Pacer(4.0, clock, clock.sleep)
    for _ in range(9):
        pacer.take()
    assert clock.now == 1002.0
    clock.now += 60
    pacer.take()
    assert clock.slept == [0.25] * 8  # idle time is not saved up for a burst, nor waited again


def test_the_slowest_rate_asked_for_holds() -> None:
    """Teams that share a key share its pace."""
    turns: list[float] = []
    pacer = Pacer(20.0, lambda: 0.0, turns.append)
    for rate in (2.0, 20.0, float("inf")):
        pacer.slow_down(rate)
    for _ in range(3):
        pacer.take()
    assert turns == [0.5, 1.0]


def test_pacing_counts_all_threads() -> None:
    turns: list[float] = []
    pacer = Pacer(10.0, lambda: 0.0, turns.append)
    threads = [threading.Thread(target=pacer.take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == pytest.approx([0.1 * turn for turn in range(1, 20)])


def test_no_pacing_and_nonsense() -> None:
    pacer = Pacer(float("inf"), lambda: 0.0, lambda _: pytest.fail("slept"))
    pacer.take()
    pacer.take()
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError):
            Pacer(rate)


def test_a_hold_holds_all_back() -> None:
    clock = Clock()
    pacer = Pacer(10.0, clock, clock.sleep)
    pacer.hold(30)
    pacer.hold(5)
    with pytest.raises(Held) as caught:
        pacer.take(max_hold=29)
    assert caught.value.seconds == 30
    assert clock.slept == []
    pacer.take(max_hold=30)
    assert clock.now == 1030
    pacer.take(max_hold=0)
    assert clock.now == pytest.approx(1030.1)


# --- retries


def failing(*failures: TryAgain) -> Callable[[], str]:
    left = list(failures)

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def test_full_jitter_within_doubling_ceilings() -> None:
    waits: list[float] = []
    for seed in range(50):
        retry = Retry(rng=random.Random(seed), sleep=waits.append)
        with pytest.raises(GaveUp) as caught:
            retry.call(failing(*[TryAgain("x")] * 5))
        assert caught.value.attempts == 5
    for number, ceiling in enumerate((1, 2, 4, 8)):
        column = waits[number::4]
        assert 0.8 * ceiling < max(column) <= ceiling
        assert min(column) < 0.2 * ceiling
    again: list[float] = []
    with pytest.raises(GaveUp):
        Retry(rng=random.Random(0), sleep=again.append).call(failing(*[TryAgain("x")] * 5))
    assert again == waits[:4]


def test_the_wait_asked_for_is_obeyed() -> None:
    waits: list[float] = []
    assert Retry(sleep=waits.append).call(failing(TryAgain("x", 7.0), TryAgain("x", 2.0))) == "done"
    assert waits == [7.0, 2.0]


@pytest.mark.parametrize(
    "asked, slept", [([301.0], []), ([200.0, 101.0], [200.0]), ([100.0, 100.0, 100.0, 1.0], [100.0] * 3)]
)
def test_waits_are_bounded_together(asked: list[float], slept: list[float]) -> None:
    waits: list[float] = []
    with pytest.raises(GaveUp) as caught:
        Retry(sleep=waits.append).call(failing(*(TryAgain("x", after) for after in asked)))
    assert waits == slept
    assert caught.value.last.after == asked[-1]


def test_a_wait_can_be_interrupted() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Retry(sleep=interrupted).call(failing(TryAgain("x")))


def test_other_exceptions_are_not_retried() -> None:
    def attempt() -> None:
        raise ReconcilerError("x")

    with pytest.raises(ReconcilerError):
        Retry(sleep=lambda _: pytest.fail("slept")).call(attempt)


def test_passing_statuses() -> None:
    assert [status for status in range(100, 600) if is_passing(status)] == [408, 425, 429, *range(500, 600)]


def test_importing_is_cheap() -> None:
    code = "import reconciler.http, reconciler.api.client, sys; sys.exit('httpx' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    )
