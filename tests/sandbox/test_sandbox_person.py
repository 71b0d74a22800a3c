"""A person at work: backfills by hand, failed ones that run again, transfers that change."""

from collections.abc import Callable
from typing import Any

import pytest
from sandbox_rig import TEAM, TRANSFER, Rig

from reconciler.sandbox import AnswerLost, Sandbox
from reconciler.sandbox.responses import Refusal

Rigs = Callable[..., Any]
FAIL: dict[int, Any] = {TRANSFER: {"fail_days": {"2024-01-02": {"error": "No luck", "times": 1}}}}
BY_HAND = {"team_id": TEAM, "transfer_id": TRANSFER, "range_start": "2024-01-01", "range_end": "2024-01-03"}


def counts(backfill: dict[str, Any]) -> tuple[Any, ...]:
    names = ("created", "completed", "failed")
    return (backfill["status"], *(backfill[f"transfer_runs_{name}"] for name in names))


def test_whose_a_backfill_is(rig: Rigs) -> None:
    keys = {"a": {"scopes": ["read", "write"], "user_id": 790}, "b": ["read", "write"]}
    api = rig(keys=keys)
    for day, key, user in ((1, "a", 790), (2, "b", 789), (3, "nobody-named-it", 789)):
        api.key = key
        assert api.create(f"2024-01-0{day}", f"2024-01-0{day}").data["created_user_id"] == user
    api.key = "a"
    assert api.cancel(10003).data["removed_user_id"] == 790
    api.sandbox.settings(commit="late:10")
    with pytest.raises(AnswerLost):
        api.create("2024-02-01", "2024-02-01")
    api.sandbox.advance(10)
    assert api.latest().data["created_user_id"] == 790


def test_a_person_makes_and_cancels_one(rig: Rigs) -> None:
    api = rig()
    made = api.control("POST", "backfills", BY_HAND).data
    assert (made["created_user_id"], made["status"]) == (791, "CREATED")
    assert api.list().data == [made]
    assert api.control("POST", "backfills", BY_HAND).status == 422
    later = BY_HAND | {"range_start": "2025-01-01", "range_end": "2025-01-01", "user_id": 5}
    assert api.control("POST", "backfills", later).data["created_user_id"] == 5
    gone = api.control("POST", "backfills/10001", {"status": "CANCELLED", "user_id": 6}).data
    assert (gone["status"], gone["removed_user_id"]) == ("CANCELLED", 6)
    assert api.control("GET", "requests").data == [
        {"method": "GET", "path": f"/v1/teams/{TEAM}/backfills", "status": 200}
    ]


@pytest.mark.parametrize(
    "name, body, status",
    [
        ("backfills", {}, 400),
        ("backfills", BY_HAND | {"range_start": "soon"}, 400),
        ("backfills", BY_HAND | {"team_id": 0}, 400),
        ("backfills", BY_HAND | {"user_id": "x"}, 400),
        ("backfills", BY_HAND | {"user": 5}, 400),
        ("backfills/10001", {"run_again": False}, 400),
        ("backfills/10001", {"run_again": True}, 404),
        ("backfills/10001", {"status": "CANCELLED"}, 404),
        ("backfills/x", {"run_again": True}, 404),
        ("transfers/1", {"state": "off"}, 400),
        ("transfers/1", {"stat": "paused"}, 400),
        ("transfers/1", {"state": "paused"}, 404),
        ("transfers", {}, 404),
    ],
)
def test_control_refusals(rig: Rigs, name: str, body: Any, status: int) -> None:
    assert rig().control("POST", name, body).status == status


def failed(api: Rig) -> int:
    number = int(api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"])
    api.sandbox.advance(60 + 3 * 60)
    assert counts(api.get(number).data) == ("FAILED", 3, 2, 1)
    return number


def test_a_failed_one_runs_again(rig: Rigs) -> None:
    api = rig(transfers=FAIL)
    number = failed(api)
    before = api.runs("2024-01-02", "2024-01-02").data
    api.sandbox.advance(1000)
    again = api.control("POST", f"backfills/{number}", {"run_again": True}).data
    assert counts(again) == ("RUNNING", 3, 2, 0)
    assert (again["end_time"], again["error_report"]) == (None, [])
    (run,) = api.runs("2024-01-02", "2024-01-02").data
    assert (run["id"], run["status"], run["ended_time"]) == (before[0]["id"], "RUNNING", None)
    api.sandbox.advance(60)
    assert counts(api.get(number).data) == ("COMPLETED", 3, 3, 0)
    assert api.get(number).data["end_time"] == "2026-11-22T09:21:40Z"
    assert [one["status"] for one in api.runs("2024-01-01", "2024-01-03").data] == ["COMPLETED"] * 3
    assert len({one["ended_time"] for one in api.runs("2024-01-01", "2024-01-03").data}) == 3


def test_it_may_fail_again_and_be_cancelled(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"fail_days": {"2024-01-02": {"times": 2}}}})
    number = failed(api)
    api.sandbox.run_again(number)
    api.sandbox.advance(60)
    assert counts(api.get(number).data) == ("FAILED", 3, 2, 1)
    api.sandbox.run_again(number)
    assert counts(api.cancel(number).data) == ("CANCELLED", 3, 2, 0)
    api.sandbox.advance(1000)
    assert counts(api.get(number).data) == ("CANCELLED", 3, 2, 0)
    assert {run["status"] for run in api.runs("2024-01-02", "2024-01-02").data} == {"CANCELLED"}


def test_what_cannot_run_again(rig: Rigs) -> None:
    api = rig({"failed_while_running": True, "failed_blocks_overlap": False}, FAIL)
    number = api.create("2024-01-01", "2024-01-03").data["transfer_backfill_id"]
    for seconds, status in ((0, "CREATED"), (60 + 120, "FAILED")):
        api.sandbox.advance(seconds)
        assert api.get(number).data["status"] == status
        with pytest.raises(Refusal):
            api.sandbox.run_again(number)
    api.sandbox.advance(60)
    api.create("2024-01-03", "2024-01-03")
    with pytest.raises(Refusal):  # overlaps
        api.sandbox.run_again(number)
    api.sandbox.advance(1000)
    api.sandbox.change_transfer(TRANSFER, state="paused")
    with pytest.raises(Refusal):
        api.sandbox.run_again(number)
    api.sandbox.change_transfer(TRANSFER, state="active")
    assert api.sandbox.run_again(number)["status"] == "RUNNING"


def test_a_given_one_runs_again(rig: Rigs) -> None:
    given = {
        "transfer_backfill_id": 7,
        "transfer_id": TRANSFER,
        "range_start_date": "2024-01-01",
        "range_end_date": "2024-01-31",
        "status": "FAILED",
        "end_time": "2026-11-01T00:00:00Z",
        "transfer_runs_completed": 28,
        "transfer_runs_failed": 2,
    }
    api = rig(backfills=[given])
    assert counts(api.sandbox.run_again(7)) == ("RUNNING", 31, 28, 0)
    api.sandbox.advance(3 * 60)
    assert counts(api.get(7).data) == ("COMPLETED", 31, 31, 0)
    odd = given | {"transfer_runs_total": 5, "transfer_runs_completed": 4, "transfer_runs_failed": 1}
    with pytest.raises(Refusal, match="it has 5 runs, its range 31"):
        rig(backfills=[odd]).sandbox.run_again(7)


def test_a_pause_keeps_what_has_run(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"recurring_since": "2026-11-20"}})
    before = api.runs("2026-11-01", "2026-12-31").data
    assert api.control("POST", f"transfers/{TRANSFER}", {"state": "paused"}).data["state"] == "paused"
    assert api.create("2024-01-01", "2024-01-01").status == 422
    api.sandbox.advance(3 * 86400)
    assert api.runs("2026-11-01", "2026-12-31").data == before
    api.sandbox.change_transfer(TRANSFER, state="active")
    api.sandbox.advance(86400)
    after = [run["data_date"] for run in api.runs("2026-11-01", "2026-12-31").data]
    assert after == ["2026-11-25", *(run["data_date"] for run in before)]


def test_a_changed_schedule_keeps_what_has_run(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"recurring_since": "2026-11-20", "rows_per_day": 5}})
    before = api.runs("2026-11-01", "2026-12-31").data
    changes = {"schedule": {"at": "12:00", "window": 2, "includes_today": True}, "rows_per_day": 9}
    api.sandbox.change_transfer(TRANSFER, **changes)
    assert api.runs("2026-11-01", "2026-12-31").data == before
    api.sandbox.advance(86400)
    found = api.runs("2026-11-01", "2026-12-31", "&sort_field=created_time").data
    assert [(run["data_date"], run["total_rows"]) for run in found[:2]] == [
        ("2026-11-22", 9),
        ("2026-11-21", 9),
    ]
    assert found[2:] == before
    assert len({run["id"] for run in found}) == len(found)


def test_a_changed_transfer_does_not_change_the_past(rig: Rigs) -> None:
    api = rig(transfers={TRANSFER: {"recurring_since": "2026-11-20"}})
    number = api.create("2026-11-18", "2026-11-20").data["transfer_backfill_id"]
    api.sandbox.advance(60 + 90)
    days = {f"2026-11-{day}": {"times": None} for day in (18, 19, 20, 21, 22)}
    api.sandbox.change_transfer(TRANSFER, fail_days=days, rows_per_day=1, runs_per_day=2)
    api.sandbox.advance(86400)
    assert counts(api.get(number).data) == ("FAILED", 3, 1, 2)
    found = api.runs("2026-11-01", "2026-12-31", "&limit=1000").data
    fine = [
        (run["type"], run["data_date"], run["total_rows"]) for run in found if run["status"] == "COMPLETED"
    ]
    assert sorted(fine) == [("Backfill", "2026-11-20", 1000)] + [
        ("Recurring", f"2026-11-{day}", 1000) for day in (19, 20, 21)
    ]
    api.sandbox.change_transfer(TRANSFER, fail_days={})
    assert api.runs("2026-11-01", "2026-12-31", "&limit=1000").data == found
    api.sandbox.run_again(number)
    api.sandbox.advance(120)
    assert counts(api.get(number).data) == ("COMPLETED", 3, 3, 0)


def test_a_transfer_of_several_teams_is_named_with_its_team(rig: Rigs) -> None:
    api = rig()
    for team in (1, 2):
        api.create("2024-01-01", "2024-01-01", team=team)
    assert api.control("POST", f"transfers/{TRANSFER}", {"state": "paused"}).status == 400
    assert api.control("POST", f"transfers/{TRANSFER}", {"state": "paused", "team_id": 2}).status == 200
    assert [api.create("2025-01-01", "2025-01-01", team=team).status for team in (1, 2)] == [200, 422]


def test_two_processes_share_what_a_person_does(tmp_path: Any) -> None:
    scene = {"now": "2026-11-22T09:00:00Z", "teams": {TEAM: {"transfers": FAIL}}}
    one, two = (Rig(Sandbox.open(tmp_path / "world.db", scene, clock=lambda: 5.0), [5.0]) for _ in range(2))
    number = failed(one)
    assert two.sandbox.run_again(number)["status"] == "RUNNING"
    refuse = [{"call": "latest", "status": 500}]
    schedule = {"at": "09:02", "window": 3}
    two.sandbox.change_transfer(TRANSFER, recurring_since="2026-11-22", schedule=schedule, refuse=refuse)
    one.sandbox.change_transfer(TRANSFER, run_status={"2026-11-20": "RUNNING"}, empty_days=["2026-11-21"])
    one.sandbox.change_transfer(TRANSFER, rows_per_day=3, undated_days=["2026-11-20"])
    for api in (one, two):
        api.sandbox.advance(86400)
        assert counts(api.get(number).data) == ("COMPLETED", 3, 3, 0)
        assert api.latest().status == 500
    fresh = Rig(Sandbox.open(tmp_path / "world.db", clock=lambda: 5.0), [5.0])
    shown = [api.runs("2024-01-01", "2026-12-31").data for api in (one, two, fresh)]
    assert shown[0] == shown[1] == shown[2]
    assert None in [run["data_date"] for run in shown[0]]
    for api in (one, two, fresh):
        api.sandbox.close()
