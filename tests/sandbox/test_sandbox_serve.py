"""The sandbox over real HTTP: keep-alive, lengths, the vendor's own client, and an end without fuss."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from supermetrics import SupermetricsClient
from supermetrics.exceptions import SupermetricsError

from reconciler.sandbox import Sandbox
from reconciler.sandbox.serve import Server, running, serve

SCENE = {
    "now": "2026-11-22T09:00:00Z",
    "keys": {"ro": ["read"]},
    "teams": {
        12345: {
            "transfers": {
                456789: {
                    "name": "Google Ads daily",
                    "recurring_since": "2026-11-20",
                    "fail_days": {"2024-01-02": {"error": "No luck"}},
                }
            }
        }
    },
}


@contextmanager
def client(base_url: str, key: str = "k") -> Iterator[SupermetricsClient]:
    with SupermetricsClient(api_key=key, base_url=base_url, dts_base_url=base_url) as made:
        yield made


def port_of(base_url: str) -> int:
    return int(base_url.split(":")[2].split("/")[0])


def test_a_life_through_the_vendors_client() -> None:
    sandbox = Sandbox.in_memory(SCENE, clock=lambda: 0.0)
    with running(sandbox.app) as base_url, client(base_url) as api:
        made = api.backfills.create(12345, 456789, date(2024, 1, 1), date(2024, 1, 3))
        number = made.transfer_backfill_id
        assert (made.status, made.transfer_runs_total) == ("CREATED", 3)
        assert made.created_time == datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
        sandbox.advance(60 + 120)
        now = api.backfills.get(12345, number)
        assert (now.status, now.transfer_runs_completed, now.transfer_runs_failed) == ("RUNNING", 1, 1)
        assert [found.transfer_backfill_id for found in api.backfills.list_incomplete(12345)] == [number]
        sandbox.advance(60)
        latest = api.backfills.get_latest(12345, 456789)
        assert latest.status == "FAILED"
        report: Any = latest.error_report
        assert (report[0].transfer_run_date, report[0].error) == (date(2024, 1, 2), "No luck")
        cancelled = api.backfills.cancel(12345, number)
        assert (cancelled.status, cancelled.removed_user_id) == ("CANCELLED", 789)
        assert api.backfills.list_incomplete(12345) == []
        (transfer,) = api.transfers.list(12345)
        assert (transfer.dwh_transfer_id, transfer.display_name) == (456789, "Google Ads daily")
        runs = api.transfers.list_runs(
            12345, 456789, datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC), limit=10000
        )
        assert sorted((str(run.data_date), run.type_, run.status) for run in runs) == [
            ("2024-01-01", "Backfill", "COMPLETED"),
            ("2024-01-02", "Backfill", "FAILED"),
            ("2024-01-03", "Backfill", "COMPLETED"),
            ("2026-11-19", "Recurring", "COMPLETED"),
            ("2026-11-20", "Recurring", "COMPLETED"),
            ("2026-11-21", "Recurring", "COMPLETED"),
        ]


def test_refusals_reach_the_vendors_client() -> None:
    sandbox = Sandbox.in_memory(SCENE, clock=lambda: 0.0)
    with running(sandbox.app) as base_url:
        for key, status in (("invalid", 401), ("forbidden", 403), ("ro", 403), ("k", 422)):
            with client(base_url, key) as api, pytest.raises(SupermetricsError) as caught:
                api.backfills.create(12345, 456789, date(2024, 1, 2), date(2024, 1, 1))
            assert getattr(caught.value, "status_code", None) == status, key
        with client(base_url) as api, pytest.raises(SupermetricsError) as caught:
            api.backfills.get(12345, 77)
        assert getattr(caught.value, "status_code", None) == 404


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(Sandbox.in_memory(SCENE, clock=lambda: 0.0).app) as base_url:
        yield port_of(base_url)


def test_one_connection_serves_many_requests(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for method in ("GET", "HEAD", "POST", "GET", "FROBNICATE", "GET"):
        connection.request(method, "/v1/teams/1/backfills", b"x" * 100, {"Authorization": "Bearer k"})
        if method == "GET":
            first = connection.sock
        response = connection.getresponse()
        body = response.read()
        assert response.status == (200 if method == "GET" else 405)
        assert response.version == 11
        assert len(body) == (0 if method == "HEAD" else int(response.headers["Content-Length"]))
        assert len(response.headers.get_all("Date") or []) == 1
        assert connection.sock is first
    connection.close()


@pytest.mark.parametrize(
    "headers, status",
    [
        (["Content-Length: 99999999"], 413),
        (["Content-Length: 70000"], 413),
        (["Content-Length: x"], 400),
        (["Transfer-Encoding: gzip"], 400),
    ],
)
def test_bodies_that_are_not_read(port: int, headers: list[str], status: int) -> None:
    head = ["POST /v1/teams/1/transfers/2/backfills HTTP/1.1", "Host: x", "Authorization: Bearer k", *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.sendall(
            ("\r\n".join(head) + "\r\n\r\n").encode() + (b"x" * 70000 if "70000" in headers[0] else b"")
        )
        answer = wire.recv(65536)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


BODY = b'{"range_start": "2025-01-01", "range_end": "2025-01-02"}'


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


@pytest.mark.parametrize(
    "team, body, status",
    [
        (1, chunked(BODY), 200),
        (2, chunked(BODY[:5], BODY[5:6], BODY[6:]), 200),
        (3, chunked(BODY, end=b"0\r\nDigest: x\r\n\r\n"), 200),
        (4, chunked(BODY).replace(b"\r\n", b";name=value\r\n", 1), 200),
        (5, chunked(), 400),
        (6, chunked(BODY, end=b"x\r\n"), 400),
        (7, b"-5\r\nhello\r\n0\r\n\r\n", 400),
        (8, chunked(BODY)[:-5] + b"junk\r\n", 400),
        (9, chunked(*[b" " * 9000] * 8, BODY), 413),
        (10, b"10001\r\n" + b" " * 65537, 413),
    ],
)
def test_chunked_bodies(port: int, team: int, body: bytes, status: int) -> None:
    path = f"/v1/teams/{team}/transfers/2/backfills"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.sendall(head.encode() + body)
        answer = wire.recv(65536)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        if status == 200:  # the connection is still good
            wire.sendall(f"GET {path}/latest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n".encode())
            assert wire.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "header, body",
    [(f"Content-Length: {len(BODY)}", BODY), ("Transfer-Encoding: chunked", chunked(BODY[:9], BODY[9:]))],
    ids=["length", "chunked"],
)
def test_a_request_whose_client_hangs_up_within_it_never_arrived(header: str, body: bytes) -> None:
    """A job may be killed between the head of a create and its body: nothing was asked or refused."""
    sandbox = Sandbox.in_memory(SCENE, clock=lambda: 0.0)
    head = (
        f"POST /v1/teams/1/transfers/2/backfills HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n{header}"
    )
    whole = f"{head}\r\n\r\n".encode() + body
    with running(sandbox.app) as base_url:
        for cut in range(len(head) + 4, len(whole)):
            with socket.create_connection(("127.0.0.1", port_of(base_url)), timeout=10) as wire:
                wire.sendall(whole[:cut])
                wire.shutdown(socket.SHUT_WR)
                assert wire.recv(65536) == b"", whole[:cut]
    assert sandbox.requests() == []


def test_every_answer_names_the_sandbox(port: int) -> None:
    for line in (b"GET /v1/teams/1/backfills HTTP/1.1", b"GET /_sandbox/settings HTTP/1.1", b"nonsense"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
            wire.sendall(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while more := wire.recv(65536):
                answer += more
        if answer.startswith(b"HTTP/"):  # to what is no request the standard library answers without a head
            assert answer.count(b"Server: reconciler-sandbox") == 1


def test_escaped_paths_are_read(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/v1/teams/%31/backfills", headers={"Authorization": "Bearer k"})
    assert connection.getresponse().status == 200
    connection.close()


def test_control_over_http(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/_sandbox/advance", json.dumps({"seconds": 5}))
    answer = json.loads(connection.getresponse().read())
    assert answer["data"]["now"] == "2026-11-22T09:00:05Z"
    connection.close()


def test_many_clients_at_once() -> None:
    sandbox = Sandbox.in_memory(SCENE, clock=lambda: 0.0)
    statuses: list[int] = []

    def work(transfer: int, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for day in range(1, 11):
            body = json.dumps({"range_start": f"2024-01-{day:02d}", "range_end": f"2024-01-{day:02d}"})
            path = f"/v1/teams/1/transfers/{transfer % 5 + 1}/backfills"
            connection.request("POST", path, body, {"Authorization": "Bearer k"})
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()

    with running(sandbox.app) as base_url:
        workers = [threading.Thread(target=work, args=(n, port_of(base_url))) for n in range(10)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
    assert (statuses.count(200), statuses.count(422)) == (50, 50)
    assert len(sandbox.backfills()) == 50


def test_a_port_in_use(port: int) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(Sandbox.in_memory().app, port)


def test_only_loopback(port: int) -> None:
    server = Server(Sandbox.in_memory().app)
    assert server.server_address[0] == "127.0.0.1"
    server.stop()


def test_an_open_connection_does_not_hold_up_the_end() -> None:
    with running(Sandbox.in_memory().app) as base_url:
        wire = socket.create_connection(("127.0.0.1", port_of(base_url)), timeout=10)
        wire.sendall(b"GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 404")
    rest = b"x"
    while rest:
        rest = wire.recv(65536)
    wire.close()


def test_serve_ends_with_the_exception_of_its_caller() -> None:
    said: list[str] = []

    def announce(base_url: str) -> None:
        said.append(base_url)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(Sandbox.in_memory().app, 0, announce)
    assert said[0].startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port_of(said[0])), timeout=1)


# Where the tests run in the background, SIGINT is ignored: Python then raises nothing.
SERVE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from reconciler.sandbox import Sandbox
from reconciler.sandbox.serve import serve
try:
    serve(Sandbox.open(sys.argv[1]).app, 0, lambda url: print(url, flush=True))
except KeyboardInterrupt:
    print("ended")
"""


def test_a_served_file_outlives_its_server(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    base_url = process.stdout.readline().strip()
    with client(base_url) as api:
        api.backfills.create(1, 2, date(2024, 1, 1), date(2024, 1, 3))
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0] == "ended\n"
    assert process.returncode == 0
    assert len(Sandbox.open(path).backfills()) == 1


class Stop(Exception):
    """What a signal handler raises."""


def test_a_signal_that_comes_as_a_connection_is_taken_on_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library's server swallows whatever is raised there."""

    def interrupted(*_arguments: object) -> None:
        raise Stop

    monkeypatch.setattr(Server, "process_request", interrupted)
    clients: list[socket.socket] = []

    def connect(base_url: str) -> None:
        clients.append(socket.create_connection(("127.0.0.1", port_of(base_url))))

    with pytest.raises(Stop):
        serve(Sandbox.in_memory(SCENE).app, 0, connect)
    clients[0].close()
