"""The run list: its query, its filters, its pages."""

from collections.abc import Callable
from typing import Any

import pytest

Rigs = Callable[..., Any]
QUERY = "start_date=2024-01-01T00:00:00Z&end_date=2024-02-01T00:00:00Z"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "start_date=2024-01-01T00:00:00Z",
        "start_date=2024-01-01&end_date=2024-01-31",
        "start_date=2024-01-01T00:00:00&end_date=2024-01-31T00:00:00",
        "start_date=2024-01-01T00:00:00.000000Z&end_date=2024-01-31T00:00:00.000000Z",
        "start_date=2024-01-01T00:00:00+00:00&end_date=2024-01-31T00:00:00Z",
        "start_date=2024-02-30T00:00:00Z&end_date=2024-03-31T00:00:00Z",
        *[
            f"{QUERY}&{more}"
            for more in ("limit=0", "limit=10001", "limit=x", "limit=-1", "offset=-1", "offset=1.5")
        ],
        *[
            f"{QUERY}&{more}"
            for more in ("sort_field=id", "sort_direction=asc", "filter_issues_only=1", "limit=")
        ],
    ],
)
def test_400_for_a_run_list(rig: Rigs, query: str) -> None:
    refused = rig().call("GET", "/v1/teams/1/transfers/2/runs", query=query)
    assert (refused.status, refused.code) == (400, "BAD_REQUEST")


def test_run_list_zones_count(rig: Rigs) -> None:
    api = rig({"runs_filter": "created_time"})
    api.create("2024-01-01", "2024-01-01")
    api.sandbox.advance(30)
    window = "start_date=2026-11-22T11:00:{:02d}%2B02:00&end_date=2026-11-22T11:01:00%2B02:00"
    path = "/v1/teams/12345/transfers/456789/runs"
    assert [len(api.call("GET", path, query=window.format(second)).data) for second in (30, 31)] == [1, 0]


@pytest.mark.parametrize(
    "more, days",
    [
        ("", ["04", "05", "06", "07", "08", "09", "10"]),
        ("&limit=2", ["09", "10"]),
        ("&limit=2&offset=2", ["07", "08"]),
        ("&limit=2&offset=6", ["04"]),
        ("&offset=7", []),
        ("&sort_field=data_date&sort_direction=ASC&limit=2", ["04", "05"]),
        ("&sort_field=data_date&limit=2", ["09", "10"]),
        ("&sort_field=ended_time&sort_direction=ASC&limit=2", ["09", "10"]),
        ("&filter_issues_only=true", []),
        ("&filter_issues_only=false&limit=1", ["10"]),
    ],
)
def test_run_list_pages(rig: Rigs, more: str, days: list[str]) -> None:
    """Ten days of which 04..10 are asked for; the newest ran first."""
    api = rig()
    api.create("2024-01-01", "2024-01-10")
    api.sandbox.advance(1000)
    found = api.runs("2024-01-04", "2024-02-01", more).data
    assert sorted(run["data_date"][-2:] for run in found) == days


def test_runs_default_to_a_hundred(rig: Rigs) -> None:
    api = rig()
    api.create("2023-01-01", "2023-12-31")
    api.sandbox.advance(60)
    assert len(api.runs("2023-01-01", "2023-12-31").data) == 100
    assert len(api.runs("2023-01-01", "2023-12-31", "&limit=10000").data) == 365


def test_a_run_as_documented(rig: Rigs) -> None:
    api = rig(transfers={456789: {"rows_per_day": 4500}})
    api.create("2024-01-15", "2024-01-15")
    api.sandbox.advance(500)
    assert api.runs("2024-01-15", "2024-01-15").data == [
        {
            "id": 500001,
            "status": "COMPLETED",
            "created_time": "2026-11-22T09:00:30Z",
            "ended_time": "2026-11-22T09:02:00Z",
            "type": "Backfill",
            "total_duration": 60.0,
            "total_rows": 4500,
            "data_date": "2024-01-15",
            "message": "",
        }
    ]
