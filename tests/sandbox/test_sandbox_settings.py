"""Every switch of the world, both ways."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from reconciler.sandbox import AnswerLost, SceneError, Settings

Rigs = Callable[..., Any]
FAST = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}
FAIL: dict[int, Any] = {456789: {"fail_days": {"2024-01-02": {}}}}


def test_the_defaults_are_the_designs() -> None:
    assert asdict(Settings()) == {
        "overlap_status": 422,
        "failed_blocks_overlap": True,
        "failed_while_running": False,
        "completed_with_failures": False,
        "error_report": "full",
        "latest_day": "any",
        "min_range_days": 1,
        "max_range_days": None,
        "range_excess": "refuse",
        "list_cap": 100,
        "list_lag_seconds": 0,
        "latest_lag_seconds": 0,
        "get_lag_seconds": 0,
        "latest_orders_by": "id",
        "retention_days": None,
        "runs_lag_seconds": 0,
        "runs_retention_days": None,
        "runs_page_cap": None,
        "runs_readable": True,
        "unknown_transfer_runs": 404,
        "counters_lag_seconds": 0,
        "pagination": "none",
        "runs_filter": "data_date",
        "runs_ties": "stable",
        "runs_created_time": "all",
        "clock_skew_seconds": 0,
        "id_shape": "number",
        "envelope": True,
        "error_shape": "envelope",
        "rate_limit_per_hour": None,
        "rate_headers": "always",
        "codes": "new",
        "row_quota": None,
        "commit": "now",
        "seconds_until_scheduled": 30,
        "seconds_until_running": 30,
        "seconds_per_run": 60,
    }


@pytest.mark.parametrize(
    "status, code", [(400, "BAD_REQUEST"), (409, "CONFLICT_ERROR"), (422, "UNPROCESSABLE_ENTITY")]
)
def test_overlap_status(rig: Rigs, status: int, code: str) -> None:
    api = rig({"overlap_status": status})
    api.create("2024-01-01", "2024-01-31")
    refused = api.create("2024-01-31", "2024-02-02")
    assert (refused.status, refused.code) == (status, code)
    assert api.create("2024-02-01", "2024-02-02").status == 200
    assert api.create("2024-01-31", "2024-02-02", transfer=2).status == 200
    assert api.create("2024-01-31", "2024-02-02", team=2).status == 200


@pytest.mark.parametrize("blocks, status", [(True, 422), (False, 200)])
def test_failed_blocks_overlap(rig: Rigs, blocks: bool, status: int) -> None:
    api = rig(FAST | {"failed_blocks_overlap": blocks}, FAIL)
    api.create("2024-01-01", "2024-01-03")
    assert api.latest().data["status"] == "FAILED"
    assert api.create("2023-12-31", "2024-01-01").status == status
    api.sandbox.settings(failed_blocks_overlap=not blocks)
    assert api.create("2024-01-03", "2024-01-03").status == (200 if blocks else 422)


@pytest.mark.parametrize(
    "latest, end, status",
    [
        ("any", "2026-11-22", 200),
        ("any", "2026-12-24", 200),
        ("today", "2026-11-22", 200),
        ("today", "2026-11-23", 422),
        ("yesterday", "2026-11-21", 200),
        ("yesterday", "2026-11-22", 422),
        ("yesterday", "2026-12-24", 422),
    ],
)
def test_latest_day(rig: Rigs, latest: str, end: str, status: int) -> None:
    assert rig({"latest_day": latest}).create("2026-11-01", end).status == status


@pytest.mark.parametrize(
    "limits, end, status",
    [
        ({"min_range_days": 2}, "2024-01-01", 422),
        ({"min_range_days": 2}, "2024-01-02", 200),
        ({"max_range_days": 2}, "2024-01-02", 200),
        ({"max_range_days": 2}, "2024-01-03", 422),
        ({}, "2023-12-31", 422),
    ],
)
def test_range_days(rig: Rigs, limits: dict[str, int], end: str, status: int) -> None:
    assert rig(limits).create("2024-01-01", end).status == status


def test_list_cap_keeps_the_newest(rig: Rigs) -> None:
    api = rig()
    numbers = [
        api.create(f"20{year}-01-01", f"20{year}-12-31", transfer).data["transfer_backfill_id"]
        for transfer in range(1, 6)
        for year in range(10, 34)
    ]
    listed = [backfill["transfer_backfill_id"] for backfill in api.list().data]
    assert listed == numbers[:-101:-1]
    api.sandbox.settings(list_cap=3)
    assert len(api.list().data) == 3


@pytest.mark.parametrize("read", ["list", "latest", "get"])
def test_lags(rig: Rigs, read: str) -> None:
    """A lagging read does not know the new backfill yet; the others do, and so does the overlap check."""
    api = rig({f"{read}_lag_seconds": 20})

    def seen() -> dict[str, bool]:
        return {
            "list": api.list().data != [],
            "latest": api.latest().status == 200,
            "get": api.get(10001).status == 200,
        }

    api.create("2024-01-01", "2024-01-02")
    assert seen() == {"list": True, "latest": True, "get": True} | {read: False}
    assert api.create("2024-01-01", "2024-01-02").status == 422
    api.sandbox.advance(19.9)
    assert not seen()[read]
    api.sandbox.advance(0.1)
    assert seen()[read]


def test_a_lagging_latest_shows_the_one_before(rig: Rigs) -> None:
    api = rig({"latest_lag_seconds": 20})
    api.create("2024-01-01", "2024-01-01")
    api.sandbox.advance(20)
    api.create("2024-01-02", "2024-01-02")
    assert api.latest().data["transfer_backfill_id"] == 10001
    api.sandbox.advance(20)
    assert api.latest().data["transfer_backfill_id"] == 10002


def test_retention(rig: Rigs) -> None:
    api = rig(FAST | {"retention_days": 2})
    api.create("2024-01-01", "2024-01-02")
    api.sandbox.advance(2 * 86400)
    assert api.get(10001).status == 200
    api.sandbox.advance(1)
    assert (api.get(10001).status, api.latest().status, api.cancel(10001).status) == (404, 404, 404)
    assert len(api.runs("2024-01-01", "2024-01-31").data) == 2
    api.sandbox.settings(retention_days=None)
    assert api.get(10001).status == 200


@pytest.mark.parametrize("by, found", [("data_date", ["2024-01-02", "2024-01-01"]), ("created_time", [])])
def test_runs_filter(rig: Rigs, by: str, found: list[str]) -> None:
    api = rig(FAST | {"runs_filter": by})
    api.create("2024-01-01", "2024-01-02")
    assert sorted((r["data_date"] for r in api.runs("2024-01-01", "2024-01-31").data), reverse=True) == found
    today = api.runs("2026-11-22", "2026-11-23").data
    assert (today == []) is (by == "data_date")


@pytest.mark.parametrize("skew, time, date", [(90, "09:01:30", "09:01:30"), (-3600, "08:00:00", "08:00:00")])
def test_clock_skew(rig: Rigs, skew: int, time: str, date: str) -> None:
    api = rig({"clock_skew_seconds": skew})
    answer = api.create("2024-01-01", "2024-01-02")
    assert answer.data["created_time"] == f"2026-11-22T{time}Z"
    assert answer.headers["Date"] == f"Sun, 22 Nov 2026 {date} GMT"


def test_id_shape(rig: Rigs) -> None:
    api = rig(FAST | {"id_shape": "string"}, {456789: {}})
    created = api.create("2024-01-01", "2024-01-02").data
    assert (created["transfer_backfill_id"], created["transfer_id"]) == ("10001", "456789")
    assert api.transfers().data[0]["dwh_transfer_id"] == "456789"
    assert all(isinstance(run["id"], str) for run in api.runs("2024-01-01", "2024-01-02").data)


def test_no_envelope(rig: Rigs) -> None:
    api = rig({"envelope": False})
    created = api.create("2024-01-01", "2024-01-02").body
    assert created["status"] == "CREATED"
    assert api.list().body == [created]
    assert api.get(1).code == "NOT_FOUND"


def test_problem_details(rig: Rigs) -> None:
    refused = rig({"error_shape": "problem"}).get(77)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.body == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no backfill 77",
        "instance": "/v1/teams/12345/backfills/77",
    }


def test_rate_limit(rig: Rigs) -> None:
    api = rig({"rate_limit_per_hour": 3})
    api.sandbox.advance(600)
    assert [api.list().status for _ in range(4)] == [200, 200, 200, 429]
    limited = api.get(1)
    assert (limited.status, limited.code) == (429, "TOO_MANY_REQUESTS")
    assert limited.headers["Retry-After"] == "3000"
    assert (limited.headers["X-RateLimit-Limit"], limited.headers["X-RateLimit-Remaining"]) == ("3", "0")
    api.sandbox.advance(3000)
    missing = api.get(1)
    assert (missing.status, missing.headers["X-RateLimit-Remaining"]) == (404, "2")


def test_row_quota(rig: Rigs) -> None:
    api = rig({"row_quota": 30}, {456789: {"rows_per_day": 10}})
    assert api.create("2024-01-01", "2024-01-05").status == 200
    api.sandbox.advance(60 + 2 * 60)
    assert api.list().status == 200
    api.sandbox.advance(60)
    for refused in (api.list(), api.create("2025-01-01", "2025-01-01")):
        assert (refused.status, refused.code) == (429, "API_ROW_QUOTA_EXCEEDED")
    api.sandbox.advance(10 * 86400)
    assert api.list().status == 200


@pytest.mark.parametrize("since, rows", [("2026-10-01", 210), ("2026-11-21", 20), ("2026-11-22", 10)])
def test_scheduled_runs_of_this_month_use_the_quota_too(rig: Rigs, since: str, rows: int) -> None:
    """A run a day since the first of November, unless the schedule is younger; one of them failed."""
    scheduled = {"recurring_since": since, "rows_per_day": 10, "fail_days": {"2026-11-05": {}}}
    api = rig({"row_quota": rows + 1}, {456789: scheduled})
    assert api.list().status == 200
    api.sandbox.settings(row_quota=rows)
    assert api.list().status == 429
    api.sandbox.advance(9 * 86400)
    assert api.list().status == (200 if rows > 10 else 429)


def test_paused_transfers_refuse(rig: Rigs) -> None:
    api = rig(transfers={456789: {"state": "paused"}})
    refused = api.create("2024-01-01", "2024-01-02")
    assert (refused.status, refused.code) == (422, "UNPROCESSABLE_ENTITY")
    assert api.transfers().data[0]["state"] == "paused"


@pytest.mark.parametrize("commit", ["lost-answer", "late:100", "twice"])
def test_commits(rig: Rigs, commit: str) -> None:
    api = rig({"commit": commit})
    if commit == "twice":
        assert api.create("2024-01-01", "2024-01-02").status == 422
    else:
        with pytest.raises(AnswerLost):
            api.create("2024-01-01", "2024-01-02")
    assert len(api.sandbox.backfills()) == (0 if commit == "late:100" else 1)
    assert [request["status"] for request in api.sandbox.requests()] == [422 if commit == "twice" else 0]
    api.sandbox.advance(100)
    (only,) = api.sandbox.backfills()
    assert only["created_time"] == f"2026-11-22T09:0{'1:40' if commit == 'late:100' else '0:00'}Z"


def test_a_late_create_is_checked_when_it_arrives(rig: Rigs) -> None:
    api = rig({"commit": "late:100"})
    for _ in range(2):
        with pytest.raises(AnswerLost):
            api.create("2024-01-01", "2024-01-02")
    api.sandbox.settings(commit="now")
    api.create("2024-01-02", "2024-01-05")
    api.sandbox.advance(99)
    api.cancel(10001)
    api.sandbox.advance(100)
    assert [backfill["range_start_date"] for backfill in api.sandbox.backfills()] == [
        "2024-01-02",
        "2024-01-01",
    ]


def test_a_lost_refusal_is_lost_too(rig: Rigs) -> None:
    api = rig({"commit": "lost-answer", "max_range_days": 1})
    with pytest.raises(AnswerLost):
        api.create("2024-01-01", "2024-01-02")
    assert api.sandbox.backfills() == []


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"overlap_stats": 409}, "did you mean 'overlap_status'"),
        ({"overlap_status": 500}, "500 is not one of 400, 409, 422"),
        ({"envelope": 1}, "1 is not true or false"),
        ({"list_cap": -1}, "whole number of at least 0"),
        ({"max_range_days": 0}, "at least 1 or null"),
        ({"seconds_per_run": -1}, "at least 0"),
        ({"seconds_per_run": float("nan")}, "at least 0"),
        ({"clock_skew_seconds": "1"}, "not a number"),
        ({"retention_days": -1}, "or null"),
        ({"commit": "late:soon"}, "late:SECONDS"),
        ({"commit": "late"}, "late:SECONDS"),
        ({"row_quota": True}, "whole number"),
    ],
)
def test_settings_that_do_not_fit(rig: Rigs, changes: dict[str, Any], words: str) -> None:
    api = rig()
    with pytest.raises(SceneError, match=words):
        api.sandbox.settings(**changes)
    assert api.sandbox.settings() == asdict(Settings())
