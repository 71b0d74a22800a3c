"""What transfers may be told: schedules, several runs a day or fewer, odd days, and what they refuse."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sandbox_rig import TEAM, TRANSFER, Rig

Rigs = Callable[..., Any]
FAST = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}


def recurring(api: Rig, field: str = "data_date", since: str = "2026-11-01") -> list[str]:
    found = api.runs(since, "2026-12-31", "&limit=10000&sort_direction=ASC").data
    assert {run["type"] for run in found} <= {"Recurring"}
    return [run[field] for run in found]


def counts(backfill: dict[str, Any]) -> tuple[Any, ...]:
    return (
        backfill["status"],
        *(backfill[f"transfer_runs_{name}"] for name in ("total", "completed", "failed")),
    )


def ended(api: Rig, start: str, end: str) -> dict[str, Any]:
    number = api.create(start, end).data["transfer_backfill_id"]
    api.sandbox.advance(10**6)
    found: dict[str, Any] = api.get(number).data
    return found


@pytest.mark.parametrize(
    "schedule, first, days",
    [
        ({}, "2026-11-20T02:00:00Z", ["19", "20", "21"]),
        ({"at": "08:59"}, "2026-11-20T08:59:00Z", ["19", "20", "21"]),
        ({"at": "09:01"}, "2026-11-20T09:01:00Z", ["19", "20"]),
        ({"includes_today": True}, "2026-11-20T02:00:00Z", ["20", "21", "22"]),
        ({"window": 2}, "2026-11-20T02:00:00Z", ["18", "19", "19", "20", "20", "21"]),
        ({"window": 2, "includes_today": True}, "2026-11-20T02:00:00Z", ["19", "20", "20", "21", "21", "22"]),
    ],
)
def test_schedules(rig: Rigs, schedule: dict[str, Any], first: str, days: list[str]) -> None:
    """The clock stands at 09:00 of the 22nd."""
    api = rig(transfers={TRANSFER: {"recurring_since": "2026-11-20", "schedule": schedule}})
    assert [day[-2:] for day in sorted(recurring(api))] == days
    assert min(recurring(api, "created_time")) == first
    assert len(set(recurring(api, "id"))) == len(days)


def test_an_hourly_schedule(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"recurring_since": "2026-11-20", "runs_per_day": 24}})
    assert Counter(recurring(api)) == {"2026-11-19": 24, "2026-11-20": 24, "2026-11-21": 10}
    assert recurring(api, "created_time")[-1] == "2026-11-22T09:00:00Z"
    assert len(set(recurring(api, "id"))) == 58
    assert api.transfers().data[0]["schedule"] == "hourly"


def test_a_weekly_schedule(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"recurring_since": "2026-11-01", "run_every_days": 7}})
    assert recurring(api) == ["2026-11-07", "2026-11-14", "2026-11-21"]
    assert len(recurring(api, since="2026-01-01")) == 4
    shown = api.transfers().data[0]
    assert (shown["schedule"], shown["run_date"]) == ("weekly", "2026-11-22")


def test_a_weekly_backfill(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"run_every_days": 7}})
    assert counts(ended(api, "2024-01-01", "2024-01-31")) == ("COMPLETED", 5, 5, 0)
    days = [run["data_date"][-2:] for run in api.runs("2024-01-01", "2024-01-31").data]
    assert sorted(days) == ["03", "10", "17", "24", "31"]
    assert len(api.runs("2024-01-04", "2024-01-16").data) == 1


def test_an_hourly_backfill_runs_newest_day_first(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"runs_per_day": 24, "rows_per_day": 7}})
    assert api.create("2024-01-01", "2024-01-03").data["transfer_runs_total"] == 72
    api.sandbox.advance(60 + 25 * 60)
    done = Counter(run["data_date"] for run in api.runs("2024-01-01", "2024-01-31").data if run["ended_time"])
    assert done == {"2024-01-03": 24, "2024-01-02": 1}


@pytest.mark.parametrize(
    "fail, failed",
    [
        ({}, 1),
        ({"times": 2}, 2),
        ({"times": None}, 3),
        ({"times": None, "runs": 1}, 1),
        ({"times": 9, "runs": 2}, 2),
    ],
)
def test_some_runs_of_a_day_fail_and_others_complete(rig: Rigs, fail: dict[str, Any], failed: int) -> None:
    api = rig(FAST, {TRANSFER: {"runs_per_day": 3, "fail_days": {"2024-01-02": {"error": "No luck"} | fail}}})
    found = ended(api, "2024-01-01", "2024-01-03")
    assert counts(found) == ("FAILED", 9, 9 - failed, failed)
    assert found["error_report"] == [{"transfer_run_date": "2024-01-02", "error": "No luck"}]
    statuses = Counter(run["status"] for run in api.runs("2024-01-02", "2024-01-02").data)
    assert statuses == Counter({"FAILED": failed, "COMPLETED": 3 - failed})


def test_empty_days_complete_without_rows(rig: Rigs) -> None:
    told = {"empty_days": ["2024-01-02", "2026-11-20"], "recurring_since": "2026-11-20"}
    api = rig(FAST, {TRANSFER: told})
    number = api.create("2024-01-01", "2024-01-02").data["transfer_backfill_id"]
    assert counts(api.get(number).data) == ("COMPLETED", 2, 2, 0)
    rows = {
        run["data_date"]: (run["status"], run["total_rows"])
        for run in api.runs("2024-01-01", "2026-12-31").data
    }
    assert rows["2024-01-02"] == rows["2026-11-20"] == ("COMPLETED", 0)
    assert rows["2024-01-01"] == rows["2026-11-21"] == ("COMPLETED", 1000)


@pytest.mark.parametrize("word", ["SKIPPED", "CANCELED", "NOBODY KNOWS"])
def test_a_run_that_ends_with_another_word(rig: Rigs, word: str) -> None:
    api = rig(transfers={TRANSFER: {"run_status": {"2024-01-02": word}}})
    found = ended(api, "2024-01-01", "2024-01-03")
    assert (counts(found), found["error_report"]) == (("COMPLETED", 3, 2, 0), [])
    (run,) = api.runs("2024-01-02", "2024-01-02").data
    assert (run["status"], run["ended_time"]) == (word, "2026-11-22T09:03:00Z")


@pytest.mark.parametrize(
    "told, status",
    [
        ("RUNNING", "RUNNING"),
        ({"status": "STUCK", "ends": False}, "RUNNING"),
        ({"status": "RUNNING", "holds": False}, "COMPLETED"),
    ],
)
def test_a_run_that_never_ends(rig: Rigs, told: Any, status: str) -> None:
    api = rig(transfers={TRANSFER: {"run_status": {"2024-01-02": told}}})
    found = ended(api, "2024-01-01", "2024-01-03")
    assert counts(found) == (status, 3, 2, 0)
    assert (found["end_time"] is None) is (status == "RUNNING")
    (run,) = api.runs("2024-01-02", "2024-01-02").data
    assert (run["ended_time"], run["total_rows"], run["created_time"]) == (None, None, "2026-11-22T09:00:30Z")
    cancel = api.cancel(found["transfer_backfill_id"])
    assert cancel.status == (200 if status == "RUNNING" else 422)


def test_a_word_as_often_as_told(rig: Rigs) -> None:
    api = rig(FAST, {TRANSFER: {"run_status": {"2024-01-02": {"status": "SKIPPED", "times": 1}}}})
    assert counts(ended(api, "2024-01-02", "2024-01-02")) == ("COMPLETED", 1, 0, 0)
    assert counts(ended(api, "2024-01-02", "2024-01-02")) == ("COMPLETED", 1, 1, 0)


def test_a_scheduled_run_that_never_ends(rig: Rigs) -> None:
    api = rig(
        transfers={TRANSFER: {"recurring_since": "2026-11-20", "run_status": {"2026-11-20": "RUNNING"}}}
    )
    found = {run["data_date"]: run["ended_time"] for run in api.runs("2026-11-01", "2026-11-30").data}
    assert [day for day, moment in found.items() if moment is None] == ["2026-11-20"]


def test_undated_days(rig: Rigs) -> None:
    told = {"undated_days": ["2024-01-02", "2026-11-20"], "recurring_since": "2026-11-20"}
    api = rig(FAST, {TRANSFER: told})
    api.create("2024-01-01", "2024-01-02")
    found = [run["data_date"] for run in api.runs("2024-01-01", "2026-12-31").data]
    assert Counter(found) == Counter([None, None, "2024-01-01", "2026-11-19", "2026-11-21"])


REFUSED = {
    "status": 403,
    "code": "LICENSE_HISTORICAL_RANGE_EXCEEDED",
    "message": "Too old",
    "description": "Buy",
}


@pytest.mark.parametrize("call", [None, "list", "get", "latest", "create", "cancel", "transfers", "runs"])
def test_what_a_transfer_refuses(rig: Rigs, call: str | None) -> None:
    refuse = REFUSED if call is None else REFUSED | {"call": call}
    api = rig(transfers={TRANSFER: {}, 2: {}})
    number = api.create("2024-01-01", "2024-01-02").data["transfer_backfill_id"]
    other = api.create("2024-01-01", "2024-01-02", transfer=2).data["transfer_backfill_id"]
    api.sandbox.change_transfer(TRANSFER, refuse=refuse)
    answers = {
        "list": api.list(),
        "get": api.get(number),
        "latest": api.latest(),
        "create": api.create("2025-01-01", "2025-01-02"),
        "cancel": api.cancel(number),
        "transfers": api.transfers(),
        "runs": api.runs("2024-01-01", "2024-01-02"),
    }
    assert [name for name, answer in answers.items() if answer.status == 403] == [call or "create"]
    error = answers[call or "create"].body["error"]
    assert error == {"code": REFUSED["code"], "message": "Too old", "description": "Buy"}
    assert (api.get(other).status, api.latest(2).status) == (200, 200)
    api.sandbox.change_transfer(TRANSFER, refuse=None)
    assert api.latest().status == 200


def test_a_refusal_of_any_status(rig: Rigs) -> None:
    refuse = [{"call": "latest", "status": 500}, {"call": "runs", "status": 499, "code": "ODD"}]
    api = rig(transfers={TRANSFER: {"refuse": refuse}})
    assert (api.latest().status, api.latest().code) == (500, "INTERNAL_SERVER_ERROR")
    assert (api.runs("2024-01-01", "2024-01-02").status, api.create("2024-01-01", "2024-01-02").status) == (
        499,
        200,
    )


@pytest.mark.parametrize(
    "told, what",
    [
        ({"schedule": {"at": 120}}, 'schedule.at: 120 is not a time of day like "02:00", in quotes'),
        ({"schedule": {"at": "24:00"}}, "is not a time of day"),
        ({"schedule": {"window": 0}}, "schedule.window: 0 is not a whole number of at least 1"),
        ({"schedule": {"windw": 1}}, "did you mean 'window'"),
        ({"runs_per_day": 0}, "runs_per_day: 0"),
        ({"run_every_days": True}, "run_every_days: True"),
        ({"empty_days": "2024-01-01"}, "empty_days: must be a list of days"),
        ({"undated_days": ["soon"]}, "'soon' is not a date"),
        ({"run_status": {"2024-01-01": {}}}, "status: must be a word"),
        ({"run_status": {"2024-01-01": {"status": "X", "holds": True}}}, "only a run that does not end"),
        ({"refuse": {"call": "creat"}}, "did you mean 'create'"),
        ({"refuse": {"status": 200}}, "refuse.status: 200"),
        ({"fail_days": {"2024-01-01": {"runs": 0}}}, "runs: 0"),
    ],
)
def test_mistakes_are_named(rig: Rigs, told: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError) as caught:
        rig(transfers={TRANSFER: told})
    assert what in str(caught.value)
    assert str(caught.value).startswith(f"teams.{TEAM}.transfers.{TRANSFER}")
