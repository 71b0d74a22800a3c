"""Every fault does what its name says, over a real socket; commit faults work in process too."""

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sandbox_rig import make_rig

from reconciler.sandbox import AnswerLost, Sandbox, SceneError
from reconciler.sandbox.faults import FAULTS, OPERATIONS, STATUSES, Faults
from reconciler.sandbox.serve import running

PATH = "/v1/teams/1/transfers/2/backfills"
BODY = json.dumps({"range_start": "2024-01-01", "range_end": "2024-01-31"})
HEADERS = {"Authorization": "Bearer k", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, int]]:
    sandbox = Sandbox.in_memory(clock=lambda: 0.0)
    with running(sandbox.app, slow_seconds=0.001) as base_url:
        yield sandbox, int(base_url.split(":")[2].split("/")[0])


def create(port: int) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", PATH, BODY, HEADERS)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def strike(served: tuple[Sandbox, int], fault: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Create once under a fault, in an empty world."""
    sandbox, port = served
    sandbox.reset()
    sandbox.faults(fault)
    try:
        return create(port)
    finally:
        sandbox.faults()


def committed(served: tuple[Sandbox, int]) -> int:
    return len(served[0].backfills())


def test_there_are_many() -> None:
    assert len(FAULTS) >= 40
    for status in STATUSES:
        assert {f"status-{status}-before", f"status-{status}-after"} <= set(FAULTS)


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"huge-body", "endless-chunked"}))
def test_what_is_committed(served: tuple[Sandbox, int], fault: str) -> None:
    """Before means never, after means done; and the server lives on."""
    with suppress(OSError, http.client.HTTPException):
        strike(served, fault)
    assert committed(served) == (0 if FAULTS[fault].before else 1)
    assert create(served[1])[0].status == (200 if FAULTS[fault].before else 422)


@pytest.mark.parametrize("fault", ["reset-before", "reset-after", "reset-middle"])
def test_resets(served: tuple[Sandbox, int], fault: str) -> None:
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        strike(served, fault)
    status = served[0].requests()[0]["status"]
    assert status == (200 if fault == "reset-middle" else 0)


def test_short_body(served: tuple[Sandbox, int]) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        strike(served, "short-body")
    assert len(caught.value.partial) + (caught.value.expected or 0) > len(caught.value.partial) > 0


@pytest.mark.parametrize("fault", ["slow-body", "slow-headers"])
def test_slow_answers_arrive(served: tuple[Sandbox, int], fault: str) -> None:
    response, body = strike(served, fault)
    assert (response.status, json.loads(body)["data"]["status"]) == (200, "CREATED")


@pytest.mark.parametrize("fault", ["slow-body", "slow-headers"])
def test_slow_answers_are_slow(fault: str) -> None:
    sandbox = Sandbox.in_memory(clock=lambda: 0.0, faults=[fault])
    with running(sandbox.app, slow_seconds=60) as base_url:
        port = int(base_url.split(":")[2].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.2)
        connection.request("POST", PATH, BODY, HEADERS)
        with pytest.raises(TimeoutError):
            connection.getresponse().read()
        connection.close()


def read_some(served: tuple[Sandbox, int], fault: str) -> tuple[bytes, int]:
    """The head, and how many bytes of the body came before we had enough."""
    sandbox, port = served
    sandbox.reset()
    sandbox.faults(fault)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        request = "GET /v1/teams/1/backfills HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n"
        wire.sendall(request.encode())
        text = b""
        while len(text) < 3_000_000:
            text += wire.recv(1 << 16)
    sandbox.faults()
    head, _, body = text.partition(b"\r\n\r\n")
    return head, len(body)


def test_huge_body(served: tuple[Sandbox, int]) -> None:
    head, size = read_some(served, "huge-body")
    assert b"Content-Length: 1073741824" in head
    assert size > 2_000_000


def test_endless_chunked(served: tuple[Sandbox, int]) -> None:
    head, size = read_some(served, "endless-chunked")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert size > 2_000_000


def test_gzip_bomb(served: tuple[Sandbox, int]) -> None:
    response, body = strike(served, "gzip-bomb")
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(body) < 1 << 20
    assert len(gzip.decompress(body)) == 1 << 26


@pytest.mark.parametrize(
    "fault, status, body",
    [
        ("html-200", 200, b"<!doctype html>"),
        ("html-200-before", 200, b"<!doctype html>"),
        ("empty-200", 200, b""),
        ("invalid-json", 200, b"{'data'"),
        ("truncated-json", 200, b'{"meta"'),
        ("json-array", 200, b'[{"meta"'),
        ("json-null", 200, b"null"),
        ("json-deep", 200, b"[[[["),
        ("null-data", 200, b'{"meta"'),
        ("missing-data", 200, b'{"meta"'),
    ],
)
def test_odd_bodies(served: tuple[Sandbox, int], fault: str, status: int, body: bytes) -> None:
    response, got = strike(served, fault)
    assert response.status == status
    assert got.startswith(body)
    assert len(got) == int(response.headers["Content-Length"])


@pytest.mark.parametrize("fault", ["invalid-json", "truncated-json", "bad-utf8", "json-deep", "empty-200"])
def test_what_is_no_json(served: tuple[Sandbox, int], fault: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        json.loads(strike(served, fault)[1])


@pytest.mark.parametrize(
    "fault, field, value",
    [
        ("other-range", "range_start_date", "1999-01-01"),
        ("other-transfer", "transfer_id", 1),
        ("other-id", "transfer_backfill_id", 2**62 + 1),
        ("too-large-id", "transfer_backfill_id", 2**63),
        ("zero-id", "transfer_backfill_id", 0),
        ("unknown-status", "status", "NOBODY_KNOWS_THIS"),
        ("unknown-field", "nobody_knows_this", {"deep": [1, 2]}),
        ("text-counts", "transfer_runs_total", "many"),
        ("missing-fields", "status", None),
        ("optional-fields-missing", "error_report", None),
    ],
)
def test_other_contents(served: tuple[Sandbox, int], fault: str, field: str, value: Any) -> None:
    assert json.loads(strike(served, fault)[1])["data"].get(field) == value


def test_known_id() -> None:
    rig = make_rig()
    rig.create("2023-01-01", "2023-01-02")
    rig.sandbox.faults("known-id@create")
    assert rig.create("2024-01-01", "2024-01-02").data["transfer_backfill_id"] == 10001
    assert len(rig.sandbox.backfills()) == 2


@pytest.mark.parametrize("number", [301, 302, 307, 308])
def test_redirects(served: tuple[Sandbox, int], number: int) -> None:
    response, _ = strike(served, f"redirect-{number}")
    assert response.status == number
    assert response.headers["Location"].startswith("https://elsewhere.invalid/")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_statuses(served: tuple[Sandbox, int], status: int, when: str) -> None:
    response, body = strike(served, f"status-{status}-{when}")
    assert response.status == status
    assert set(json.loads(body)) == {"meta", "error"}
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert ("Retry-After" in response.headers) is (status == 429)
    assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert served[0].requests()[0]["status"] == status


@pytest.mark.parametrize(
    "fault, code, retry",
    [
        ("quota-rows", "API_ROW_QUOTA_EXCEEDED", "86400"),
        ("quota-licence", "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED", "86400"),
        ("rate-limit-day", "TOO_MANY_REQUESTS", "86400"),
        ("rate-limit-date", "TOO_MANY_REQUESTS", "Fri, 31 Dec 2100 23:59:59 GMT"),
        ("rate-limit-junk", "TOO_MANY_REQUESTS", "soon"),
        ("rate-limit-silent", "TOO_MANY_REQUESTS", None),
        ("unknown-code-429", "NOBODY_KNOWS_THIS", "1"),
    ],
)
def test_limits(served: tuple[Sandbox, int], fault: str, code: str, retry: str | None) -> None:
    response, body = strike(served, fault)
    assert (response.status, json.loads(body)["error"]["code"]) == (429, code)
    assert response.headers.get("Retry-After") == retry


@pytest.mark.parametrize(
    "fault, header, value",
    [("odd-date", "Date", "yesterday"), ("odd-content-type", "Content-Type", "text/plain")],
)
def test_odd_headers(served: tuple[Sandbox, int], fault: str, header: str, value: str) -> None:
    response, _ = strike(served, fault)
    assert response.headers.get_all(header) == [value]


def test_an_operation_and_a_probability() -> None:
    rig = make_rig()
    rig.sandbox.faults("status-500-before@list", "status-503-before@create=0.5")
    assert (rig.list().status, rig.get(1).status) == (500, 404)
    statuses = [rig.create(f"20{year}-01-01", f"20{year}-12-31").status for year in range(10, 70)]
    assert 15 < statuses.count(503) < 45
    again = make_rig()
    again.sandbox.faults("status-500-before@list", "status-503-before@create=0.5")
    again.list()
    assert [again.create(f"20{year}-01-01", f"20{year}-12-31").status for year in range(10, 70)] == statuses


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_can_be_named(operation: str) -> None:
    faults = Faults([f"reset-after@{operation}"])
    assert [name for name in OPERATIONS if faults.draw(name)] == [operation]
    assert Faults([f"reset-after@{operation}=0"]).draw(operation) is None


@pytest.mark.parametrize(
    "spec, words",
    [
        ("reset-aftr", "did you mean 'reset-after'"),
        ("reset-after@creat", "did you mean 'create'"),
        ("reset-after=2", "not a probability"),
        ("reset-after=x", "not a probability"),
        ("reset-after=", "not a probability"),
        ("reset-after@", "not known"),
    ],
)
def test_specs_that_cannot_be_read(spec: str, words: str) -> None:
    with pytest.raises(SceneError, match=words):
        Sandbox.in_memory(faults=[spec])


def test_resets_in_process() -> None:
    rig = make_rig()
    for fault, made in (("reset-before", 0), ("reset-after", 1), ("reset-middle", 2)):
        rig.sandbox.faults(fault)
        with pytest.raises(AnswerLost):
            rig.create(f"202{made}-01-01", f"202{made}-01-02")
        assert len(rig.sandbox.backfills()) == made


def test_refusals_suffer_no_change_of_content() -> None:
    rig = make_rig()
    rig.sandbox.faults("other-range")
    assert rig.get(1).code == "NOT_FOUND"
