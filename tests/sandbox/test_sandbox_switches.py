"""The switches of ranges, reads, pages, headers and codes, both ways."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox_rig import TEAM, TRANSFER, Rig, make_rig

Rigs = Callable[..., Any]
FAST = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}
DAILY: dict[int, Any] = {TRANSFER: {"recurring_since": "2026-10-01"}}
RUNS = f"/v1/teams/{TEAM}/transfers/{TRANSFER}/runs"


@pytest.mark.parametrize(
    "excess, made",
    [
        ("refuse", None),
        ("cut_end", ("2024-01-01", "2024-01-03")),
        ("cut_start", ("2024-01-08", "2024-01-10")),
    ],
)
def test_a_range_too_long_is_refused_or_cut(rig: Rigs, excess: str, made: tuple[str, str] | None) -> None:
    api = rig({"max_range_days": 3, "range_excess": excess})
    answer = api.create("2024-01-01", "2024-01-10")
    assert answer.status == (422 if made is None else 200)
    if made is not None:
        assert (answer.data["range_start_date"], answer.data["range_end_date"]) == made
        assert answer.data["transfer_runs_total"] == 3
    assert api.create("2025-01-01", "2025-01-03").data["transfer_runs_total"] == 3


@pytest.mark.parametrize("order, latest", [("id", 10002), ("created_time", 10001)])
def test_the_latest_within_a_second(rig: Rigs, order: str, latest: int) -> None:
    api = rig({"latest_orders_by": order})
    api.create("2024-01-01", "2024-01-01")
    api.sandbox.advance(0.9)
    api.create("2024-01-02", "2024-01-02")
    assert api.latest().data["transfer_backfill_id"] == latest
    api.sandbox.advance(0.1)
    api.create("2024-01-03", "2024-01-03")
    assert api.latest().data["transfer_backfill_id"] == 10003


def test_run_lists_lag(rig: Rigs) -> None:
    api = rig({"runs_lag_seconds": 100, "seconds_until_scheduled": 0})
    api.create("2024-01-01", "2024-01-02")
    api.sandbox.advance(99)
    assert api.runs("2024-01-01", "2024-01-02").data == []
    api.sandbox.advance(1)
    assert len(api.runs("2024-01-01", "2024-01-02").data) == 2


def test_run_lists_forget(rig: Rigs) -> None:
    api = rig({"runs_retention_days": 10}, DAILY)
    days = [run["data_date"] for run in api.runs("2026-01-01", "2026-12-31").data]
    assert (days[0], days[-1], len(days)) == ("2026-11-21", "2026-11-12", 10)
    api.sandbox.settings(runs_retention_days=None)
    assert len(api.runs("2026-01-01", "2026-12-31").data) == 53


@pytest.mark.parametrize(
    "which, told", [("all", [True, True]), ("ended", [True, False]), ("none", [False, False])]
)
def test_runs_that_tell_when_they_were_created(rig: Rigs, which: str, told: list[bool]) -> None:
    api = rig({"runs_created_time": which})
    api.create("2024-01-01", "2024-01-02")
    api.sandbox.advance(60 + 90)
    shown = api.runs("2024-01-01", "2024-01-02").data
    assert [run["created_time"] is not None for run in sorted(shown, key=lambda one: one["id"])] == told


def test_run_lists_may_end_being_readable(rig: Rigs) -> None:
    api = rig(transfers=DAILY)
    (run, *_) = api.runs("2026-11-21", "2026-11-21").data
    one = f"/v1/teams/{TEAM}/transfer_runs/{run['id']}"
    assert api.call("GET", one).data == run
    assert api.control("POST", "settings", {"runs_readable": False}).data["runs_readable"] is False
    refused = api.runs("2026-11-21", "2026-11-21")
    assert (refused.status, refused.code) == (403, "FORBIDDEN")
    assert api.call("GET", one).status == 403
    api.sandbox.settings(runs_readable=True)
    assert api.runs("2026-11-21", "2026-11-21").data == [run]


@pytest.mark.parametrize("unknown, status", [(404, 404), ("empty", 200), (403, 403)])
def test_runs_of_a_transfer_that_does_not_exist(rig: Rigs, unknown: Any, status: int) -> None:
    api = rig({"unknown_transfer_runs": unknown}, open=False)
    answer = api.runs("2024-01-01", "2024-01-02")
    assert answer.status == status
    assert status != 200 or answer.data == []


@pytest.mark.parametrize("lag", [0, 100])
def test_counters_lag_behind_the_status(rig: Rigs, lag: int) -> None:
    fails = {TRANSFER: {"fail_days": {"2024-01-01": {"error": "No luck"}}}}
    api = rig({"counters_lag_seconds": lag}, fails)
    number = api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"]
    api.sandbox.advance(60 + 3 * 60)
    ended = api.get(number).data
    assert ended["status"] == "FAILED"
    assert ended["end_time"] is not None
    told = (ended["transfer_runs_completed"], ended["transfer_runs_failed"], len(ended["error_report"]))
    assert told == ((2, 1, 1) if lag == 0 else (1, 0, 0))
    api.sandbox.advance(lag)
    late = api.get(number).data
    assert (late["transfer_runs_completed"], late["transfer_runs_failed"]) == (2, 1)


def test_completed_with_no_counters_yet(rig: Rigs) -> None:
    api = rig(FAST | {"counters_lag_seconds": 60})
    number = api.create("2024-01-01", "2024-01-31").data["transfer_backfill_id"]
    api.sandbox.advance(59)
    found = api.get(number).data
    assert (found["status"], found["transfer_runs_total"], found["transfer_runs_completed"]) == (
        "COMPLETED",
        31,
        0,
    )


def test_no_pages_are_announced_by_default(rig: Rigs) -> None:
    assert set(rig(transfers=DAILY).runs("2026-10-01", "2026-11-30").body["meta"]) == {"request_id"}


def test_announced_pages(rig: Rigs) -> None:
    api = rig({"pagination": "announced", "list_cap": 2}, DAILY)
    first = api.runs("2026-11-01", "2026-11-30", "&limit=15&sort_field=data_date").body
    assert (len(first["data"]), first["meta"]["pagination"]["total_count"]) == (15, 21)
    link = urlsplit(first["meta"]["pagination"]["links"]["next"])
    assert (link.scheme, link.path) == ("http", RUNS)
    second = api.call("GET", link.path, query=link.query).body
    assert second["meta"]["pagination"]["links"] == {"next": None}
    days = [run["data_date"] for run in first["data"] + second["data"]]
    assert days == sorted(set(days), reverse=True)
    assert len(days) == 21
    for day in (1, 2, 3):
        api.create(f"2024-01-0{day}", f"2024-01-0{day}")
    cut = api.list().body
    assert (len(cut["data"]), cut["meta"]["pagination"]) == (2, {"total_count": 3, "links": {"next": None}})


def test_lists_wrapped_as_items(rig: Rigs) -> None:
    api = rig({"pagination": "items"}, DAILY)
    number = api.create("2024-01-01", "2024-01-01").data["transfer_backfill_id"]
    assert [one["transfer_backfill_id"] for one in api.list().data["items"]] == [number]
    assert [one["dwh_transfer_id"] for one in api.transfers().data["items"]] == [TRANSFER]
    assert len(api.runs("2026-11-01", "2026-11-30").data["items"]) == 21
    assert api.get(number).data["transfer_backfill_id"] == number
    api.sandbox.faults("unknown-status")
    assert {one["status"] for one in api.list().data["items"]} == {"NOBODY_KNOWS_THIS"}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    cap=st.one_of(st.none(), st.integers(1, 40)),
    limit=st.integers(1, 60),
    field=st.sampled_from(["created_time", "ended_time", "data_date"]),
    direction=st.sampled_from(["ASC", "DESC"]),
    pagination=st.sampled_from(["none", "announced"]),
)
def test_pages_of_any_cap_give_the_whole_list(
    cap: int | None, limit: int, field: str, direction: str, pagination: str
) -> None:
    transfer = {"recurring_since": "2026-11-01", "schedule": {"window": 2}, "undated_days": ["2026-11-05"]}
    api = make_rig({"pagination": pagination}, {TRANSFER: transfer})
    api.create("2026-11-01", "2026-11-04")
    api.sandbox.advance(100)
    order = f"&sort_field={field}&sort_direction={direction}"
    whole = api.runs("2026-01-01", "2026-12-31", f"{order}&limit=10000").data
    assert len(whole) == 2 * 22 + 4
    api.sandbox.settings(runs_page_cap=cap)
    assert _pages(api, f"{order}&limit={limit}", limit if cap is None else min(cap, limit)) == whole


def test_equal_times_may_stand_in_another_order_on_each_page() -> None:
    transfer = {"recurring_since": "2026-11-01", "schedule": {"window": 20}}
    api = make_rig({"runs_ties": "by_page", "runs_page_cap": 7}, {TRANSFER: transfer})
    by_time = _pages(api, "&sort_field=created_time", 7)
    once = {one["id"] for one in by_time}
    assert len(once) < len(by_time)
    assert [one["created_time"] for one in by_time] == sorted(
        (one["created_time"] for one in by_time), reverse=True
    )
    api.sandbox.settings(runs_page_cap=None)
    assert len({one["id"] for one in _pages(api, "&limit=10000", 10_000)}) == len(by_time)


def _pages(api: Rig, more: str, longest: int) -> list[Any]:
    """All pages by offset, to an empty one. None is longer than it may be."""
    found: list[Any] = []
    while page := api.runs("2026-01-01", "2026-12-31", f"{more}&offset={len(found)}").data:
        assert len(page) <= longest
        found += page
    return found


@pytest.mark.parametrize("headers, shown", [("always", True), ("refusals", False)])
def test_rate_headers(rig: Rigs, headers: str, shown: bool) -> None:
    api = rig({"rate_headers": headers, "rate_limit_per_hour": 50})
    assert ("X-RateLimit-Remaining" in api.list().headers) is shown
    assert api.get(1).headers["X-RateLimit-Remaining"] == "48"


@pytest.mark.parametrize(
    "codes, expected",
    [
        ("new", ["UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND"]),
        ("old", ["ACCESS_TOKEN_INVALID", "ACCESS_DENIED", "NOT_FOUND"]),
    ],
)
def test_codes_old_and_new(rig: Rigs, codes: str, expected: list[str]) -> None:
    api = rig({"codes": codes})
    found = []
    for key in ("invalid", "forbidden", "k"):
        api.key = key
        found.append(api.get(1).code)
    assert found == expected


@pytest.mark.parametrize(
    "kind, status",
    [("", 200), ("application/json", 200), ("Application/JSON; charset=utf-8", 200), ("text/plain", 415)],
)
def test_bodies_say_that_they_are_json(rig: Rigs, kind: str, status: int) -> None:
    body = {"range_start": "2024-01-01", "range_end": "2024-01-02"}
    path = f"/v1/teams/{TEAM}/transfers/{TRANSFER}/backfills"
    assert rig().call("POST", path, body, CONTENT_TYPE=kind).status == status


def test_the_configuration_of_a_transfer(rig: Rigs) -> None:
    schedule = {"at": "22:30", "window": 7}
    api = rig(transfers={TRANSFER: {"recurring_since": "2026-11-01", "schedule": schedule}}, open=False)
    path = f"/v1/teams/{TEAM}/transfers/"
    assert api.call("GET", f"{path}{TRANSFER}").body == {
        "transfer_id": TRANSFER,
        "display_name": f"Transfer {TRANSFER}",
        "accounts": [],
        "segments": [],
        "schedule": [{"run_interval": "daily", "run_hour": 22, "refresh_window": 7}],
    }
    assert api.call("GET", f"{path}7").status == 404


def test_a_run_by_its_id(rig: Rigs) -> None:
    api = rig(transfers=DAILY)
    api.create("2024-01-01", "2024-01-03")
    api.sandbox.advance(100)
    for run in [*api.runs("2024-01-01", "2024-01-03").data, *api.runs("2026-11-01", "2026-11-30").data]:
        assert api.call("GET", f"/v1/teams/{TEAM}/transfer_runs/{run['id']}").data == run
    assert api.call("GET", f"/v1/teams/{TEAM}/transfer_runs/7").status == 404
    assert api.call("GET", f"/v1/teams/7/transfer_runs/{run['id']}").status == 404
