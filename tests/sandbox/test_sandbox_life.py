"""The life of a backfill: statuses, counts, failures and cancels, as the clock moves."""

from collections.abc import Callable
from typing import Any

import pytest

Rigs = Callable[..., Any]
COUNTS = ("created", "completed", "failed")


def counts(backfill: dict[str, Any]) -> tuple[int, ...]:
    return tuple(backfill[f"transfer_runs_{name}"] for name in COUNTS)


@pytest.mark.parametrize(
    "seconds, status, expected, started, ended",
    [
        (0, "CREATED", (0, 0, 0), None, None),
        (29, "CREATED", (0, 0, 0), None, None),
        (30, "SCHEDULED", (3, 0, 0), None, None),
        (60, "RUNNING", (3, 0, 0), "2026-11-22T09:01:00Z", None),
        (119, "RUNNING", (3, 0, 0), "2026-11-22T09:01:00Z", None),
        (120, "RUNNING", (3, 1, 0), "2026-11-22T09:01:00Z", None),
        (239, "RUNNING", (3, 2, 0), "2026-11-22T09:01:00Z", None),
        (240, "COMPLETED", (3, 3, 0), "2026-11-22T09:01:00Z", "2026-11-22T09:04:00Z"),
        (999999, "COMPLETED", (3, 3, 0), "2026-11-22T09:01:00Z", "2026-11-22T09:04:00Z"),
    ],
)
def test_a_quiet_life(
    rig: Rigs, seconds: int, status: str, expected: tuple[int, ...], started: str | None, ended: str | None
) -> None:
    api = rig()
    number = api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"]
    api.sandbox.advance(seconds)
    found = api.get(number).data
    assert (found["status"], counts(found)) == (status, expected)
    assert (found["start_time"], found["end_time"]) == (started, ended)
    assert found["transfer_runs_total"] == 3
    assert (api.list().data == []) is (status == "COMPLETED")
    assert api.latest().data == found


def test_created_answer_has_the_documented_fields(rig: Rigs) -> None:
    assert rig().create("2024-01-01", "2024-01-31").data == {
        "transfer_backfill_id": 10001,
        "transfer_id": 456789,
        "range_start_date": "2024-01-01",
        "range_end_date": "2024-01-31",
        "created_time": "2026-11-22T09:00:00Z",
        "created_user_id": 789,
        "start_time": None,
        "end_time": None,
        "status": "CREATED",
        "transfer_runs_total": 31,
        "transfer_runs_created": 0,
        "transfer_runs_completed": 0,
        "transfer_runs_failed": 0,
        "error_report": [],
    }


def test_a_create_answers_created_however_fast_the_world_is(rig: Rigs) -> None:
    api = rig({"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0})
    created = api.create("2024-01-01", "2024-01-31").data
    assert created["status"] == "CREATED"
    assert api.get(created["transfer_backfill_id"]).data["status"] == "COMPLETED"


def test_newest_day_runs_first(rig: Rigs) -> None:
    api = rig()
    api.create("2024-01-01", "2024-01-03")
    api.sandbox.advance(60 + 90)
    statuses = {run["data_date"]: run["status"] for run in api.runs("2024-01-01", "2024-01-31").data}
    assert statuses == {"2024-01-03": "COMPLETED", "2024-01-02": "RUNNING", "2024-01-01": "SCHEDULED"}


FAIL = {456789: {"fail_days": {"2024-01-02": {"error": "No luck", "times": 1}}}}


@pytest.mark.parametrize(
    "settings, during, final",
    [
        ({}, "RUNNING", "FAILED"),
        ({"failed_while_running": True}, "FAILED", "FAILED"),
        ({"completed_with_failures": True}, "RUNNING", "COMPLETED"),
    ],
)
def test_a_failed_run(rig: Rigs, settings: dict[str, Any], during: str, final: str) -> None:
    api = rig(settings, FAIL)
    number = api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"]
    api.sandbox.advance(60 + 120)
    found = api.get(number).data
    assert (found["status"], counts(found), found["end_time"]) == (during, (3, 1, 1), None)
    api.sandbox.advance(60)
    found = api.get(number).data
    assert (found["status"], counts(found)) == (final, (3, 2, 1))
    assert found["error_report"] == [{"transfer_run_date": "2024-01-02", "error": "No luck"}]
    assert found["end_time"] == "2026-11-22T09:04:00Z"
    assert [b["status"] for b in api.list().data] == (["FAILED"] if final == "FAILED" else [])
    issues = api.runs("2024-01-01", "2024-01-31", "&filter_issues_only=true").data
    assert [(run["status"], run["message"], run["total_rows"]) for run in issues] == [
        ("FAILED", "No luck", 0)
    ]


def test_a_day_fails_as_often_as_told(rig: Rigs) -> None:
    api = rig(transfers={456789: {"fail_days": {"2024-01-02": {"times": 2}}}})
    outcomes = []
    for _ in range(3):
        number = api.create("2024-01-02", "2024-01-02").data["transfer_backfill_id"]
        api.sandbox.advance(1000)
        outcomes.append(api.get(number).data["status"])
        api.cancel(number)
    assert outcomes == ["FAILED", "FAILED", "COMPLETED"]


def test_a_day_may_fail_for_ever(rig: Rigs) -> None:
    api = rig(transfers={456789: {"fail_days": {"2024-01-02": {"times": None}}}})
    for _ in range(5):
        number = api.create("2024-01-02", "2024-01-02").data["transfer_backfill_id"]
        api.sandbox.advance(1000)
        assert api.get(number).data["status"] == "FAILED"
        api.cancel(number)


@pytest.mark.parametrize(
    "report, days", [("full", ["03", "02", "01"]), ("partial", ["02", "01"]), ("empty", [])]
)
def test_the_error_report(rig: Rigs, report: str, days: list[str]) -> None:
    fails: dict[str, Any] = {f"2024-01-0{day}": {} for day in (1, 2, 3)}
    api = rig({"error_report": report}, {456789: {"fail_days": fails}})
    number = api.create("2024-01-01", "2024-01-04").data["transfer_backfill_id"]
    api.sandbox.advance(1000)
    found = api.get(number).data
    assert found["transfer_runs_failed"] == 3
    assert [item["transfer_run_date"][-2:] for item in found["error_report"]] == days


@pytest.mark.parametrize(
    "seconds, before, expected, then",
    [
        (10, "CREATED", (0, 0, 0), (0, 0, 0)),
        (45, "SCHEDULED", (3, 0, 0), (3, 0, 0)),
        (90, "RUNNING", (3, 0, 0), (3, 1, 0)),
        (120, "RUNNING", (3, 1, 0), (3, 1, 0)),
        (150, "RUNNING", (3, 1, 0), (3, 1, 1)),
    ],
)
def test_a_cancel_drops_what_waits_and_lets_the_running_run_finish(
    rig: Rigs, seconds: int, before: str, expected: tuple[int, ...], then: tuple[int, ...]
) -> None:
    api = rig(transfers=FAIL)
    number = api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"]
    api.sandbox.advance(seconds)
    assert api.get(number).data["status"] == before
    cancelled = api.cancel(number).data
    assert (cancelled["status"], counts(cancelled)) == ("CANCELLED", expected)
    assert cancelled["removed_time"] == cancelled["end_time"]
    assert cancelled["removed_time"] == f"2026-11-22T09:0{seconds // 60}:{seconds % 60:02d}Z"
    assert cancelled["removed_user_id"] == 789
    api.sandbox.advance(1000)
    assert counts(api.get(number).data) == then
    assert api.list().data == []
    assert api.cancel(number).status == 422
    assert api.create("2024-01-01", "2024-01-03").status == 200


def test_dropped_runs_show_as_cancelled(rig: Rigs) -> None:
    api = rig()
    number = api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"]
    api.sandbox.advance(90)
    api.cancel(number)
    api.sandbox.advance(1000)
    statuses = {run["data_date"]: run["status"] for run in api.runs("2024-01-01", "2024-01-31").data}
    assert statuses == {"2024-01-03": "COMPLETED", "2024-01-02": "CANCELLED", "2024-01-01": "CANCELLED"}


def test_cancelling_a_failed_one_keeps_its_counts(rig: Rigs) -> None:
    for pace in (0, 60):
        api = rig({"seconds_per_run": pace}, FAIL)
        number = api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"]
        api.sandbox.advance(60 + 3 * pace)
        assert api.get(number).data["status"] == "FAILED"
        assert counts(api.cancel(number).data) == (3, 2, 1)


def test_a_completed_one_cannot_be_cancelled(rig: Rigs) -> None:
    api = rig()
    number = api.create("2024-01-01", "2024-01-01").data["transfer_backfill_id"]
    api.sandbox.advance(1000)
    refused = api.cancel(number)
    assert (refused.status, refused.code) == (422, "UNPROCESSABLE_ENTITY")


def test_the_schedule_runs_daily_for_the_day_before(rig: Rigs) -> None:
    since = {
        "recurring_since": "2026-11-20",
        "rows_per_day": 7,
        "fail_days": {"2026-11-20": {"error": "Late"}},
    }
    api = rig(transfers={456789: since, 2: since | {"state": "paused"}})
    assert api.runs("2026-01-01", "2026-12-31", transfer=2).data == []
    found = api.runs("2026-01-01", "2026-12-31").data
    assert [(run["data_date"], run["status"], run["total_rows"]) for run in found] == [
        ("2026-11-21", "COMPLETED", 7),
        ("2026-11-20", "FAILED", 0),
        ("2026-11-19", "COMPLETED", 7),
    ]
    assert {run["type"] for run in found} == {"Recurring"}
    api.sandbox.advance(86400)
    assert api.runs("2026-11-22", "2026-11-22").data[0]["data_date"] == "2026-11-22"
    assert api.transfers().data[0]["run_date"] == "2026-11-23"
    number = api.create("2026-11-20", "2026-11-20").data["transfer_backfill_id"]
    api.sandbox.advance(1000)
    assert api.get(number).data["status"] == "COMPLETED"
