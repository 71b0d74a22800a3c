"""Laws that hold whatever is created, cancelled and waited for."""

from collections import defaultdict
from contextlib import suppress
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox_rig import TEAM, Rig, make_rig

from reconciler.sandbox import AnswerLost, Sandbox
from reconciler.sandbox.responses import Refusal

DAY_ONE = date(2024, 1, 1)
ACTIVE = ("CREATED", "SCHEDULED", "RUNNING")
SETTLED = ("COMPLETED", "CANCELLED")

creates = st.tuples(st.just("create"), st.integers(1, 4), st.integers(0, 20), st.integers(1, 9))
cancels = st.tuples(st.just("cancel"), st.integers(0, 30))
agains = st.tuples(st.just("again"), st.integers(0, 30))
changes = st.tuples(
    st.just("change"),
    st.integers(1, 4),
    st.sampled_from(
        [
            {"fail_days": {f"2024-01-{day:02d}": {"times": 1} for day in range(1, 29)}},
            {"fail_days": {}, "empty_days": ["2024-01-05"], "rows_per_day": 3},
            {"runs_per_day": 3, "run_every_days": 2},
            {"run_status": {"2024-01-07": {"status": "SKIPPED", "times": 1}}},
        ]
    ),
)
advances = st.tuples(st.just("advance"), st.sampled_from([0, 1, 29, 30, 60, 61, 120, 333, 3600]))
switches = st.fixed_dictionaries(
    {
        "failed_blocks_overlap": st.booleans(),
        "failed_while_running": st.booleans(),
        "completed_with_failures": st.booleans(),
        "error_report": st.sampled_from(["full", "partial", "empty"]),
        "counters_lag_seconds": st.sampled_from([0, 0, 45, 600]),
        "commit": st.sampled_from(["now", "now", "lost-answer", "late:100", "twice"]),
        "seconds_per_run": st.sampled_from([0, 0.5, 60]),
        "seconds_until_scheduled": st.sampled_from([0, 30]),
        "seconds_until_running": st.sampled_from([0, 30]),
    }
)
steps = st.one_of(creates, creates, advances, agains, cancels, changes)
FAILS: dict[int, Any] = {
    1: {"fail_days": {f"2024-01-{day:02d}": {"times": day % 3} for day in range(1, 29)}},
    2: {},
    3: {"runs_per_day": 4, "fail_days": {f"2024-01-{day:02d}": {"times": 2} for day in range(1, 29, 2)}},
    4: {
        "run_every_days": 7,
        "empty_days": ["2024-01-08"],
        "run_status": {f"2024-01-{day:02d}": "SKIPPED" for day in range(2, 29, 3)},
    },
}


def act(rig: Rig, step: tuple[Any, ...]) -> None:
    match step:
        case ("create", transfer, offset, length):
            start = DAY_ONE + timedelta(offset)
            with suppress(AnswerLost):
                rig.create(str(start), str(start + timedelta(length - 1)), transfer=transfer)
        case ("cancel", number):
            rig.cancel(10001 + number)
        case ("again", place):
            failed = [one for one in rig.sandbox.backfills() if one["status"] == "FAILED"]
            with suppress(Refusal):
                for one in failed[place % 3 : place % 3 + 1]:
                    rig.sandbox.run_again(one["transfer_backfill_id"])
        case ("change", transfer, fields):
            rig.sandbox.change_transfer(transfer, **fields)
        case ("advance", seconds):
            rig.sandbox.advance(seconds)


def days_of(backfill: dict[str, Any]) -> tuple[date, date]:
    return date.fromisoformat(backfill["range_start_date"]), date.fromisoformat(backfill["range_end_date"])


def check(rig: Rig, before: dict[int, dict[str, Any]], step: str = "") -> dict[int, dict[str, Any]]:
    backfills = rig.sandbox.backfills()
    now = {backfill["transfer_backfill_id"]: backfill for backfill in backfills}
    assert len(now) == len(backfills)
    active: dict[int, list[tuple[date, date]]] = defaultdict(list)
    lags = rig.sandbox.settings()["counters_lag_seconds"] > 0
    for backfill in backfills:
        check_one(backfill, lags)
        if backfill["status"] in ACTIVE:
            active[backfill["transfer_id"]].append(days_of(backfill))
    for ranges in active.values():
        assert all(left[1] < right[0] for left, right in pairwise(sorted(ranges)))
    assert set(before) <= set(now)
    for number, old in before.items():
        new = now[number]
        assert new["transfer_runs_total"] == old["transfer_runs_total"]
        assert new["transfer_runs_completed"] >= old["transfer_runs_completed"]
        if (old["status"], step) != ("FAILED", "again"):
            assert new["transfer_runs_failed"] >= old["transfer_runs_failed"]
        if old["status"] == "CANCELLED" or (old["status"] == "COMPLETED"):
            assert new["status"] == old["status"]
    listed = [backfill["transfer_backfill_id"] for backfill in rig.list().data]
    newest_first = [number for number in reversed(now) if now[number]["status"] not in SETTLED]
    assert listed == newest_first
    return now


def check_one(backfill: dict[str, Any], lags: bool) -> None:
    total, created, completed, failed = (
        backfill[f"transfer_runs_{name}"] for name in ("total", "created", "completed", "failed")
    )
    assert created in (0, total)
    assert 0 <= completed + failed <= created
    assert len(backfill["error_report"]) <= failed
    if backfill["transfer_id"] <= 2 and not lags and backfill["status"] == "FAILED":
        assert (backfill["end_time"] is None) is (completed + failed < total)
    elif backfill["status"] != "FAILED":
        assert (backfill["end_time"] is None) is (backfill["status"] in ACTIVE)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(switches, st.lists(steps, max_size=25))
def test_the_world_keeps_its_laws(given_settings: dict[str, Any], told: list[tuple[Any, ...]]) -> None:
    rig = make_rig(given_settings, FAILS)
    known: dict[int, dict[str, Any]] = {}
    for step in told:
        act(rig, step)
        known = check(rig, known, step[0])
    rig.sandbox.advance(10**6)
    known = check(rig, known)
    assert all(backfill["status"] not in ACTIVE for backfill in known.values())
    check_runs(rig, known)
    for step in [("again", place) for place in range(5)] + [("cancel", 0)]:
        act(rig, step)
        known = check(rig, known, step[0])
    check_runs_exist(rig, known)
    rig.sandbox.advance(10**6)
    known = check(rig, known)
    assert all(backfill["status"] not in ACTIVE for backfill in known.values())
    check_runs(rig, known)


def check_runs(rig: Rig, known: dict[int, dict[str, Any]]) -> None:
    """The run list tells the same as the counts."""
    for mine, runs in check_runs_exist(rig, known):
        for status, name in (("COMPLETED", "completed"), ("FAILED", "failed")):
            count = sum(run["status"] == status for run in runs)
            assert count == sum(backfill[f"transfer_runs_{name}"] for backfill in mine)


def check_runs_exist(rig: Rig, known: dict[int, dict[str, Any]]) -> list[tuple[list[Any], list[Any]]]:
    """Each run that was created is listed once, also while it runs again."""
    found = []
    for transfer in (1, 2, 3, 4):
        mine = [backfill for backfill in known.values() if backfill["transfer_id"] == transfer]
        runs = rig.runs("2024-01-01", "2024-12-31", "&limit=10000", transfer=transfer).data
        assert len({run["id"] for run in runs}) == len(runs) == sum(b["transfer_runs_created"] for b in mine)
        found.append((mine, runs))
    return found


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(switches, st.lists(steps, max_size=20))
def test_a_file_and_two_processes_tell_the_same_story(
    tmp_path_factory: pytest.TempPathFactory, given_settings: dict[str, Any], told: list[tuple[Any, ...]]
) -> None:
    """One world in memory, one in a file that two sandboxes take turns on: the same steps, the same end."""
    memory = make_rig(given_settings, FAILS)
    path = tmp_path_factory.mktemp("world") / "world.db"
    scene = {"now": "2026-11-22T09:00:00Z", "settings": given_settings, "teams": {TEAM: {"transfers": FAILS}}}
    sharers = [Rig(Sandbox.open(path, scene, clock=lambda: 5.0), [5.0]) for _ in range(2)]
    for turn, step in enumerate(told):
        act(memory, step)
        act(sharers[turn % 2], step)
        assert sharers[turn % 2].sandbox.backfills() == memory.sandbox.backfills()
        assert sharers[1 - turn % 2].list().data == memory.list().data
        sharers[turn % 2].list()
        memory.list()
    for rig in sharers:
        assert rig.sandbox.backfills() == memory.sandbox.backfills()
        assert rig.sandbox.requests() == memory.sandbox.requests()
        rig.sandbox.close()
