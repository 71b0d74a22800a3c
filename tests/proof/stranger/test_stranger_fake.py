"""The stranger's API against the examples on the vendor's pages: its answers have their shape."""

from __future__ import annotations

import ast
import json
import sys
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from stranger_api import KEY, TEAM, Refused
from stranger_rig import NOON, Stranger
from stranger_vendors import vendor_named
from stranger_world import PERSON, day, days

# From the pages: what a create answers, a run in a list, a transfer in a list, an error.
BACKFILL = json.loads("""{
"transfer_backfill_id": 12345, "transfer_id": 456789, "range_start_date": "2024-01-01",
"range_end_date": "2024-01-31", "created_time": "2024-02-01T09:00:00Z", "created_user_id": 789,
"start_time": null, "end_time": null, "status": "CREATED", "transfer_runs_total": 31,
"transfer_runs_created": 0, "transfer_runs_completed": 0, "transfer_runs_failed": 0, "error_report": []}""")
RUN = json.loads("""{
"id": 12345, "status": "COMPLETED", "created_time": "2024-01-15T09:55:00Z",
"ended_time": "2024-01-15T10:05:30Z", "type": "Recurring", "total_duration": 330.5, "total_rows": 4500,
"data_date": "2024-01-15", "message": ""}""")
TRANSFER = json.loads("""{
"dwh_transfer_id": 36091, "display_name": "AW enhanced 2022-11-17", "external_transfer_id": "ext-36091",
"status": "active", "state": "active", "schedule": "daily", "run_date": "2026-01-01", "data_source": null,
"destination": null, "accounts": [], "backfill": null}""")


def call(stranger: Stranger, method: str, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{stranger.url}/teams/{TEAM}{path}", data, method=method)
    request.add_header("Authorization", f"Bearer {key}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            assert answer.headers["Date"] == stranger.world.now.strftime("%a, %d %b %Y %H:%M:%S GMT")
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def create(stranger: Stranger, start: str, end: str) -> tuple[int, Any]:
    return call(stranger, "POST", "/transfers/1/backfills", {"range_start": start, "range_end": end})


def runs_path(start: str = "2025-06-01T00:00:00Z", **more: object) -> str:
    more = {"start_date": start, "end_date": "2025-07-02T00:00:00Z"} | more
    return "/transfers/1/runs?" + "&".join(f"{name}={value}" for name, value in more.items())


@pytest.fixture
def shown(stranger: Stranger) -> Stranger:
    stranger.world.transfer(1, "09:55", "2025-06-21")
    return stranger


def test_a_backfill_has_the_fields_of_the_pages(shown: Stranger) -> None:
    status, told = create(shown, "2024-01-01", "2024-01-31")
    made = told["data"]
    assert status == 200
    assert set(BACKFILL) == set(made) - {"removed_time", "removed_user_id"}
    same = set(BACKFILL) - {"transfer_backfill_id", "transfer_id", "created_time", "created_user_id"}
    assert {name: made[name] for name in same} == {name: BACKFILL[name] for name in same}
    assert made["created_time"] == "2025-07-01T12:00:00Z"
    assert call(shown, "GET", f"/backfills/{made['transfer_backfill_id']}")[1]["data"] == made
    assert call(shown, "GET", "/transfers/1/backfills/latest")[1]["data"] == made
    assert call(shown, "GET", "/backfills")[1]["data"] == [made]


@pytest.mark.parametrize("path, example", [(runs_path(), RUN), ("/transfers", TRANSFER)])
def test_lists_have_the_fields_of_the_pages(shown: Stranger, path: str, example: dict[str, Any]) -> None:
    status, told = call(shown, "GET", path)
    assert (status, set(told["data"][0])) == (200, set(example))
    assert {name: type(value) for name, value in told["data"][0].items()} == {
        name: type(value) for name, value in example.items()
    }


def test_a_backfill_lives_and_loads_its_days_newest_first(shown: Stranger) -> None:
    _, told = create(shown, "2024-01-01", "2024-01-03")
    path = f"/backfills/{told['data']['transfer_backfill_id']}"
    seen = []
    for _ in range(6):
        one = call(shown, "GET", path)[1]["data"]
        seen.append((one["status"], one["transfer_runs_created"], one["transfer_runs_completed"]))
        shown.world.advance(seconds=45)
    assert seen == [
        ("CREATED", 0, 0),
        ("SCHEDULED", 0, 0),
        ("RUNNING", 1, 0),
        ("RUNNING", 2, 1),
        ("RUNNING", 3, 2),
        ("RUNNING", 3, 2),
    ]
    shown.world.advance(seconds=45)
    assert call(shown, "GET", path)[1]["data"]["status"] == "COMPLETED"
    assert call(shown, "GET", "/backfills")[1]["data"] == []
    by_us = [load for load in shown.world.loads if load.user is not None]
    assert [load.day for load in sorted(by_us, key=lambda load: load.at)] == days("2024-01-01", "2024-01-03")[
        ::-1
    ]


@pytest.mark.parametrize(
    "method, path, body, status, code",
    [
        ("GET", "/backfills/1", None, 404, "NOT_FOUND"),
        ("GET", "/transfers/9/backfills/latest", None, 404, "NOT_FOUND"),
        ("GET", "/transfers/1/backfills/latest", None, 404, "NOT_FOUND"),
        ("GET", "/transfers/1/runs?start_date=2025-06-01&end_date=2025-07-01", None, 400, "BAD_REQUEST"),
        ("GET", runs_path("2025-06-01T00:00:00.000000Z"), None, 400, "BAD_REQUEST"),
        ("POST", "/transfers/1/backfills", {"range_start": "2024-01-01"}, 400, "BAD_REQUEST"),
        (
            "POST",
            "/transfers/1/backfills",
            {"range_start": "2024-01-02", "range_end": "2024-01-01"},
            422,
            "UNPROCESSABLE_ENTITY",
        ),
    ],
)
def test_errors_are_enveloped(
    shown: Stranger, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answered, told = call(shown, method, path, body)
    assert (answered, told["error"]["code"]) == (status, code)
    assert set(told) == {"meta", "error"}


def test_an_overlap_a_final_cancel_and_a_stranger_are_refused(shown: Stranger) -> None:
    _, told = create(shown, "2024-01-01", "2024-01-31")
    path = f"/backfills/{told['data']['transfer_backfill_id']}"
    assert create(shown, "2024-01-31", "2024-02-01")[0] == 422
    status, told = call(shown, "PATCH", path, {"status": "CANCELLED"})
    assert (status, told["data"]["status"]) == (200, "CANCELLED")
    assert (told["data"]["removed_time"], told["data"]["removed_user_id"]) == ("2025-07-01T12:00:00Z", 501)
    assert call(shown, "PATCH", path, {"status": "CANCELLED"})[0] == 422
    assert create(shown, "2024-01-31", "2024-02-01")[0] == 200
    assert call(shown, "GET", "/backfills", key="nobody's")[0] == 401


def test_a_cancelled_one_drops_what_waits_and_ends_what_runs(shown: Stranger) -> None:
    create(shown, "2024-01-01", "2024-01-03")
    shown.world.advance(seconds=90)
    shown.world.cancel(max(shown.world.backfills))
    shown.world.advance(hours=1)
    assert [load.day for load in shown.world.loads if load.user] == [day("2024-01-03")]


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("cap", [1, 4, 100])
def test_pages_are_clamped_and_announced(shown: Stranger, cap: int, announced: bool) -> None:
    shown.manners.page_cap, shown.manners.announced = cap, announced
    found: list[Any] = []
    while True:
        _, told = call(shown, "GET", runs_path(limit=1000, offset=len(found)))
        page = told["data"]["items"] if announced else told["data"]
        found += page
        if announced:
            more = told["meta"]["pagination"]
            assert more["total_count"] == 11
            assert (more["links"]["next"] is None) == (len(found) == 11)
        if not page:
            break
    assert [run["data_date"] for run in found] == [str(one) for one in days("2025-06-20", "2025-06-30")[::-1]]


def test_the_manners_that_no_page_decides(shown: Stranger) -> None:
    world, manners = shown.world, shown.manners
    manners.refusals["latest", 1] = Refused(500, "INTERNAL_SERVER_ERROR")
    assert call(shown, "GET", "/transfers/1/backfills/latest")[0] == 500
    manners.refusals.clear()

    manners.post = "twice"
    assert create(shown, "2024-01-01", "2024-01-02")[0] == 422  # the second one meets the first
    manners.post, manners.cut_end = "once", 7
    assert create(shown, "2024-02-01", "2024-02-20")[1]["data"]["range_end_date"] == "2024-02-07"
    manners.cut_end, manners.latest_by_second = None, True
    assert call(shown, "GET", "/transfers/1/backfills/latest")[1]["data"]["range_start_date"] == "2024-01-01"
    manners.list_lag = 60
    assert call(shown, "GET", "/backfills")[1]["data"] == []
    manners.list_lag, manners.counters_lag = 0, 600
    world.advance(minutes=9, seconds=30)
    told = call(shown, "GET", "/transfers/1/backfills/latest")[1]["data"]
    assert (told["status"], told["transfer_runs_completed"]) == ("COMPLETED", 0)
    manners.runs_kept = 1
    assert {run["data_date"] for run in call(shown, "GET", runs_path(limit=50))[1]["data"]} >= {"2024-01-01"}
    assert "2025-06-21" not in {run["data_date"] for run in call(shown, "GET", runs_path())[1]["data"]}


def test_reads_that_lag_show_the_world_as_it_was(shown: Stranger) -> None:
    world, manners = shown.world, shown.manners
    world.transfers[1].failing = {day("2024-01-01"): 1}
    made = world.create(1, day("2024-01-01"), day("2024-01-01"), 501)
    world.advance(hours=1)
    world.cancel(made.id)
    manners.lags = {"list": 30, "get": 0}
    assert [one["status"] for one in call(shown, "GET", "/backfills")[1]["data"]] == ["FAILED"]
    assert call(shown, "GET", f"/backfills/{made.id}")[1]["data"]["status"] == "CANCELLED"
    world.advance(seconds=30)
    assert call(shown, "GET", "/backfills")[1]["data"] == []
    manners.lags, manners.cut_start = {}, 7
    assert create(shown, "2024-02-01", "2024-02-20")[1]["data"]["range_start_date"] == "2024-02-14"


@pytest.mark.parametrize("name", ["stranger", "sandbox"])
def test_both_vendors_tell_the_same_truth(name: str) -> None:
    """A day that fails once, a person who runs it again, one who cancels, and one in the way."""
    vendor = vendor_named(name, NOON)
    vendor.transfer(1, failing={"2024-01-02": 1})
    made = vendor.by_hand(1, "2024-01-01", "2024-01-03")
    vendor.advance(600)
    assert [(one.days, one.user, one.status) for one in vendor.made()] == [
        ("2024-01-01..2024-01-03", PERSON, "FAILED")
    ]
    assert vendor.loads(1) == {day("2024-01-01"): 1, day("2024-01-03"): 1}
    vendor.run_again(made)
    vendor.advance(600)
    other = vendor.by_hand(1, "2024-01-02", "2024-01-02")
    vendor.advance(30)
    vendor.cancel(other)
    vendor.pause(1)
    body = b'{"range_start": "2024-01-01", "range_end": "2024-01-01"}'
    assert vendor.reply("POST", f"/v1/teams/{TEAM}/transfers/1/backfills", KEY, body)[0] in (400, 409, 422)
    vendor.advance(600)
    assert [one.status for one in vendor.made()] == ["COMPLETED", "CANCELLED"]
    assert set(vendor.loads(1).values()) == {1}
    assert vendor.now == NOON + timedelta(minutes=30, seconds=30)


def test_weekly_hourly_failing_and_rerun_transfers_are_told_in_the_ledger(stranger: Stranger) -> None:
    world = stranger.world
    world.transfer(1, every=7)
    world.transfer(2, per_day=2)
    world.transfer(3, failing={day("2024-01-02"): 1})
    made = [world.create(one, day("2024-01-01"), day("2024-01-31"), 501) for one in (1, 2, 3)]
    world.advance(hours=2)
    assert [one.total for one in made] == [5, 62, 31]
    assert [one.status(world.now) for one in made] == ["COMPLETED", "COMPLETED", "FAILED"]
    january = days("2024-01-01", "2024-01-31")
    assert [world.missing(one, january) for one in (1, 2, 3)] == [[], [], [day("2024-01-02")]]
    world.run_again(made[2].id)
    world.advance(hours=1)
    assert (made[2].status(world.now), world.missing(3, january), world.twice()) == ("COMPLETED", [], set())
    world.create(1, day("2024-01-31"), day("2024-01-31"), 501, NOON + timedelta(hours=3))
    world.advance(hours=2)
    assert world.twice() == {(1, day("2024-01-31"))}


PARTS = ["stranger_world", "stranger_api", "stranger_server", "stranger_gateway"]


@pytest.mark.parametrize("name", PARTS)
def test_the_stranger_knows_nothing_of_us(name: str) -> None:
    source = (Path(__file__).parent / f"{name}.py").read_text("utf-8")
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {(one.module if isinstance(one, ast.ImportFrom) else one.names[0].name) or "" for one in found}
    tops = {one.partition(".")[0] for one in names}
    assert tops <= sys.stdlib_module_names | set(PARTS)
