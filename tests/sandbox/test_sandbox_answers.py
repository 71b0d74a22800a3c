"""Every documented status, with its body and headers."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Rigs = Callable[..., Any]
GOOD: dict[str, Any] = {"range_start": "2024-01-01", "range_end": "2024-01-31"}
POST = "/v1/teams/12345/transfers/456789/backfills"
BIG = 2**63 - 1
CALLS = [
    ("POST", POST, GOOD),
    ("GET", "/v1/teams/12345/backfills", None),
    ("GET", "/v1/teams/12345/backfills/10001", None),
    ("PATCH", "/v1/teams/12345/backfills/10001", {"status": "CANCELLED"}),
    ("GET", POST + "/latest", None),
    ("GET", "/v1/teams/12345/transfers", None),
    ("GET", "/v1/teams/12345/transfers/456789/runs", None),
]
QUERY = "start_date=2024-01-01T00:00:00Z&end_date=2024-02-01T00:00:00Z"


@pytest.mark.parametrize("method, path, body", CALLS)
def test_success(rig: Rigs, method: str, path: str, body: Any) -> None:
    api = rig()
    if method != "POST":
        api.create("2024-01-01", "2024-01-02")
    answer = api.call(method, path, body, query=QUERY)
    assert answer.status == 200
    assert set(answer.body) == {"meta", "data"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,50}", answer.body["meta"]["request_id"])
    assert answer.headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(answer.raw)),
        "Access-Control-Allow-Origin": "*",
        "Date": "Sun, 22 Nov 2026 09:00:00 GMT",
        "Server": "reconciler-sandbox (open)",
        "X-RateLimit-Limit": "10000",
        "X-RateLimit-Remaining": "9999",
    }


@pytest.mark.parametrize("method, path, body", CALLS)
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "any-key", "Bearer invalid"])
def test_401(rig: Rigs, method: str, path: str, body: Any, header: str) -> None:
    refused = rig().call(method, path, body, query=QUERY, HTTP_AUTHORIZATION=header)
    assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused.headers["X-RateLimit-Limit"] == "10000"
    assert set(refused.body) == {"meta", "error"}


@pytest.mark.parametrize("method, path, body", CALLS)
def test_403_by_key_and_scope(rig: Rigs, method: str, path: str, body: Any) -> None:
    api = rig(keys={"ro-key": ["read"], "wo-key": ["write"]})
    api.create("2024-01-01", "2024-01-02", transfer=2)
    wanted = {"forbidden": 403, "ro-key": 200 if method == "GET" else 403}
    wanted |= {"wo-key": 403 if method == "GET" else 200, "other-key": 200}
    for key, status in wanted.items():
        api.key = key
        answer = api.call(method, path.replace("456789", "2") if method == "GET" else path, body, query=QUERY)
        assert answer.status == status, key
        if status == 403:
            assert (answer.code, answer.headers["X-RateLimit-Remaining"]) == ("FORBIDDEN", "9999")
        if method == "PATCH":
            api.create("2024-01-01", "2024-01-02", transfer=2)
            path = path.replace("10001", "10002") if key == "wo-key" else path
        if method == "POST" and status == 200:
            body = {"range_start": "2025-01-01", "range_end": "2025-01-01"}


def test_a_closed_world(rig: Rigs) -> None:
    api = rig(open=False, keys={"k": ["read", "write"]}, transfers={456789: {}})
    assert api.list().status == 401
    api.key = "k"
    assert (api.list().status, api.list(team=2).status) == (200, 403)
    assert api.create("2024-01-01", "2024-01-02").status == 200
    unknown = [
        api.create("2024-01-01", "2024-01-02", transfer=2),
        api.latest(transfer=2),
        api.runs("2024-01-01", "2024-01-02", transfer=2),
    ]
    assert [(answer.status, answer.code) for answer in unknown] == [(404, "NOT_FOUND")] * 3
    assert [transfer["dwh_transfer_id"] for transfer in api.transfers().data] == [456789]


def test_a_closed_world_without_keys_knows_any_key(rig: Rigs) -> None:
    api = rig(open=False)
    assert api.list().status == 200
    api.key = "invalid"
    assert api.list().status == 401


def test_an_open_world_lists_what_it_has_seen(rig: Rigs) -> None:
    api = rig(transfers={1: {"name": "One", "recurring_since": "2026-11-01"}})
    assert api.runs("2024-01-01", "2024-01-02", transfer=99).data == []
    assert api.latest(transfer=99).status == 404
    api.create("2024-01-01", "2024-01-02", transfer=2)
    one, two = api.transfers().data
    assert one == {
        "dwh_transfer_id": 1,
        "display_name": "One",
        "external_transfer_id": "ext-1",
        "status": "active",
        "state": "active",
        "schedule": "daily",
        "run_date": "2026-11-22",
        "data_source": None,
        "destination": None,
        "accounts": [],
        "backfill": None,
    }
    assert (two["dwh_transfer_id"], two["display_name"]) == (2, "Transfer 2")
    assert "run_date" not in two


@pytest.mark.parametrize(
    "method, path, rated",
    [
        ("GET", "/v1/teams/12345/backfills/1", True),
        ("PATCH", "/v1/teams/12345/backfills/1", True),
        ("GET", "/v1/teams/9/backfills/10001", True),
        ("GET", POST + "/latest", False),
        ("GET", "/v1/nowhere", True),
        ("GET", "/v1/teams/12345/backfills/", True),
        ("GET", "/", True),
    ],
)
def test_404(rig: Rigs, method: str, path: str, rated: bool) -> None:
    api = rig({"rate_headers": "refusals"})
    api.create("2024-01-01", "2024-01-02", transfer=2)
    refused = api.call(method, path, {"status": "CANCELLED"})
    assert (refused.status, refused.code) == (404, "NOT_FOUND")
    assert ("X-RateLimit-Limit" in refused.headers) is rated


@pytest.mark.parametrize(
    "method, path, allow",
    [
        ("HEAD", "/v1/teams/1/backfills", "GET"),
        ("POST", "/v1/teams/1/backfills", "GET"),
        ("DELETE", "/v1/teams/1/backfills/1", "GET, PATCH"),
        ("GET", POST, "POST"),
        ("OPTIONS", POST, "POST"),
    ],
)
def test_405(rig: Rigs, method: str, path: str, allow: str) -> None:
    refused = rig().call(method, path)
    assert (refused.status, refused.headers["Allow"], refused.code) == (405, allow, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 60_000,
        {},
        {"range_start": "2024-01-01"},
        {"range_end": "2024-01-01"},
        *[GOOD | {"range_start": value} for value in (None, 20240101, ["2024-01-01"], True, "")],
        *[
            GOOD | {"range_end": value}
            for value in (
                "2024-02-30",
                "2024-1-1",
                "20240101",
                "2024-W01-1",
                "2024-01-01T00:00:00Z",
                "٢٠٢٤-٠١-٠١",
            )
        ],
    ],
)
def test_400_for_a_create(rig: Rigs, body: Any) -> None:
    refused = rig().call("POST", POST, body)
    assert (refused.status, refused.code) == (400, "BAD_REQUEST")
    assert refused.headers["X-RateLimit-Limit"] == "10000"


def test_unknown_fields_of_a_body_are_ignored(rig: Rigs) -> None:
    assert rig().call("POST", POST, GOOD | {"note": 1}).status == 200


@pytest.mark.parametrize("body", [b"", {}, {"status": "RUNNING"}, {"status": ["CANCELLED"]}, [], b"{"])
def test_400_for_a_cancel(rig: Rigs, body: Any) -> None:
    api = rig()
    api.create("2024-01-01", "2024-01-02")
    refused = api.call("PATCH", "/v1/teams/12345/backfills/10001", body)
    assert (refused.status, refused.code) == (400, "BAD_REQUEST")
    assert api.get(10001).data["status"] == "CREATED"


@pytest.mark.parametrize("number", ["0", "-1", "abc", "1.5", "007", str(2**63), "9" * 40, "١"])
@pytest.mark.parametrize(
    "template", ["/v1/teams/{}/backfills", "/v1/teams/1/backfills/{}", POST.replace("456789", "{}")]
)
def test_400_for_ids(rig: Rigs, number: str, template: str) -> None:
    method = "POST" if "transfers" in template else "GET"
    refused = rig().call(method, template.format(number), GOOD if method == "POST" else None)
    assert (refused.status, refused.code) == (400, "BAD_REQUEST")


def test_the_largest_ids_fit(rig: Rigs) -> None:
    api = rig()
    assert api.create("2024-01-01", "2024-01-02", transfer=BIG, team=BIG).data["transfer_id"] == BIG
    assert api.list(team=BIG).data[0]["transfer_id"] == BIG
    assert api.get(BIG).status == 404


@pytest.mark.parametrize(
    "length, status", [("65537", 413), ("9" * 30, 413), ("x", 400), ("-5", 400), ("", 400)]
)
def test_bodies_are_capped(rig: Rigs, length: str, status: int) -> None:
    assert rig().call("POST", POST, GOOD, CONTENT_LENGTH=length).status == status


def test_control_endpoints(rig: Rigs) -> None:
    api = rig()
    api.create("2024-01-01", "2024-01-02")
    assert api.control("POST", "advance", {"seconds": 259200}).data == {"now": "2026-11-25T09:00:00Z"}
    assert api.control("GET", "backfills").data[0]["status"] == "COMPLETED"
    assert api.control("POST", "settings", {"list_cap": 5}).data["list_cap"] == 5
    assert api.control("GET", "settings").data["list_cap"] == 5
    assert api.control("GET", "requests").data == [{"method": "POST", "path": POST, "status": 200}]
    assert api.control("POST", "reset").status == 200
    assert api.control("GET", "requests").data == api.control("GET", "backfills").data == []


@pytest.mark.parametrize(
    "method, name, body, status",
    [
        ("POST", "advance", {"seconds": -1}, 400),
        ("POST", "advance", {"seconds": "1"}, 400),
        ("POST", "advance", {"seconds": True}, 400),
        ("POST", "advance", {"seconds": 1e300}, 400),
        ("POST", "advance", b'{"seconds": NaN}', 400),
        ("POST", "advance", b"", 400),
        ("POST", "settings", {"nonsense": 1}, 400),
        ("POST", "settings", {"list_cap": "x"}, 400),
        ("POST", "reset", {"teams": 5}, 400),
        ("GET", "advance", None, 405),
        ("DELETE", "settings", None, 405),
        ("GET", "nowhere", None, 404),
    ],
)
def test_control_refusals(rig: Rigs, method: str, name: str, body: Any, status: int) -> None:
    assert rig().control(method, name, body).status == status


def test_reset_with_a_scene(rig: Rigs) -> None:
    api = rig()
    api.control("POST", "reset", {"now": "2030-01-01T00:00:00Z", "settings": {"list_cap": 7}})
    assert api.sandbox.now_text() == "2030-01-01T00:00:00Z"
    assert json.loads(api.control("GET", "settings").raw)["data"]["list_cap"] == 7
