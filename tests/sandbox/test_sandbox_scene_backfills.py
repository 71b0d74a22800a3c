"""Backfills that the world file gives in the vendor's own words: shown as given, and continued."""

from collections.abc import Callable
from typing import Any

import pytest

Rigs = Callable[..., Any]
COUNTS = ("created", "completed", "failed")


def counts(backfill: dict[str, Any]) -> tuple[int, ...]:
    return tuple(backfill[f"transfer_runs_{name}"] for name in COUNTS)


def test_the_vendors_own_list_goes_on(rig: Rigs) -> None:
    """The three backfills of the vendor's example, given in its words, shown and continued."""
    given = [
        one(12345, 456788, "2024-01-01", "2024-01-14", "2024-02-01T08:00:00Z", 789, None, "SCHEDULED", 14, 0),
        one(12346, 456789, "2024-01-15", "2024-01-31", "2024-02-15T09:30:00Z", 790, "2024-02-15T10:00:00Z",
            "RUNNING", 17, 10),
        one(12347, 456790, "2024-02-01", "2024-02-28", "2024-03-01T14:00:00Z", 789, "2024-03-01T14:30:00Z",
            "RUNNING", 28, 15),
    ]  # fmt: skip
    api = rig(backfills=given)
    assert api.list().data == given[::-1]
    api.sandbox.advance(180)
    assert api.get(12346).data["transfer_runs_completed"] == 13
    todo = api.runs("2024-01-15", "2024-01-31", "&sort_field=data_date&sort_direction=ASC").data
    assert [run["status"] for run in todo[:4]] == ["SCHEDULED"] * 3 + ["RUNNING"]
    api.sandbox.advance(3600)
    assert [backfill["status"] for backfill in api.sandbox.backfills()] == ["COMPLETED"] * 3
    assert api.list().data == []
    assert api.create("2024-01-15", "2024-01-31").data["transfer_backfill_id"] == 12348


def one(
    number: int, transfer: int, start: str, end: str, made: str, user: int, began: str | None, status: str,
    total: int, completed: int,
) -> dict[str, Any]:  # fmt: skip
    return {
        "transfer_backfill_id": number,
        "transfer_id": transfer,
        "range_start_date": start,
        "range_end_date": end,
        "created_time": made,
        "created_user_id": user,
        "start_time": began,
        "end_time": None,
        "status": status,
        "transfer_runs_total": total,
        "transfer_runs_created": total,
        "transfer_runs_completed": completed,
        "transfer_runs_failed": 0,
        "error_report": [],
    }


BASE = {
    "transfer_backfill_id": 7,
    "transfer_id": 456789,
    "range_start_date": "2024-01-01",
    "range_end_date": "2024-01-10",
}


@pytest.mark.parametrize(
    "given, at_once, later",
    [
        ({"status": "CREATED"}, ("CREATED", (0, 0, 0)), ("COMPLETED", (10, 10, 0))),
        ({"status": "SCHEDULED"}, ("SCHEDULED", (10, 0, 0)), ("COMPLETED", (10, 10, 0))),
        ({"status": "RUNNING"}, ("RUNNING", (10, 0, 0)), ("COMPLETED", (10, 10, 0))),
        (
            {"status": "RUNNING", "transfer_runs_completed": 6, "transfer_runs_failed": 2},
            ("RUNNING", (10, 6, 2)),
            ("FAILED", (10, 8, 2)),
        ),
        (
            {"status": "FAILED", "transfer_runs_completed": 1, "transfer_runs_failed": 1},
            ("FAILED", (10, 1, 1)),
            ("FAILED", (10, 9, 1)),
        ),
        (
            {"status": "FAILED", "transfer_runs_failed": 1, "end_time": "2024-03-01T00:00:00Z"},
            ("FAILED", (10, 0, 1)),
            ("FAILED", (10, 0, 1)),
        ),
        ({"status": "FAILED"}, ("FAILED", (10, 0, 0)), ("FAILED", (10, 0, 0))),
        ({"status": "COMPLETED"}, ("COMPLETED", (10, 10, 0)), ("COMPLETED", (10, 10, 0))),
        (
            {"status": "COMPLETED", "transfer_runs_completed": 3, "transfer_runs_failed": 1},
            ("COMPLETED", (10, 3, 1)),
            ("COMPLETED", (10, 3, 1)),
        ),
        ({"status": "CANCELLED"}, ("CANCELLED", (0, 0, 0)), ("CANCELLED", (0, 0, 0))),
        (
            {"status": "CANCELLED", "transfer_runs_completed": 4},
            ("CANCELLED", (10, 4, 0)),
            ("CANCELLED", (10, 4, 0)),
        ),
    ],
)
def test_given_backfills(rig: Rigs, given: dict[str, Any], at_once: Any, later: Any) -> None:
    api = rig(backfills=[BASE | given])
    found = api.get(7).data
    assert (found["status"], counts(found)) == at_once
    assert (found["end_time"] is None) is (at_once != later or at_once[0] == "RUNNING")
    runs = api.runs("2024-01-01", "2024-01-31").data
    assert sum(run["status"] == "COMPLETED" for run in runs) == at_once[1][1]
    assert sum(run["status"] == "FAILED" for run in runs) == at_once[1][2]
    api.sandbox.advance(5000)
    found = api.get(7).data
    assert (found["status"], counts(found)) == later


def test_given_failures_keep_their_report(rig: Rigs) -> None:
    report = [{"transfer_run_date": "2024-01-03", "error": "Odd"}]
    done = {
        "status": "FAILED",
        "transfer_runs_completed": 8,
        "transfer_runs_failed": 2,
        "error_report": report,
    }
    api = rig(backfills=[BASE | done])
    assert api.get(7).data["error_report"] == report
    failed = api.runs("2024-01-01", "2024-01-31", "&filter_issues_only=true&sort_field=data_date").data
    assert [(run["data_date"], run["message"]) for run in failed] == [
        ("2024-01-10", "Failed"),
        ("2024-01-03", "Odd"),
    ]
    assert counts(api.cancel(7).data) == (10, 8, 2)
    assert api.get(7).data["status"] == "CANCELLED"
