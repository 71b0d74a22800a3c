"""Counters that lag, weekly and hourly transfers, cancelled backfills that still run."""

from __future__ import annotations

import pytest
from stranger_rig import Stranger
from stranger_world import day, days

MAY = days("2025-05-01", "2025-05-31")
MODES = ["runs", "backfills"]


def declare(stranger: Stranger, evidence: str = "runs", ranges: str = "2025-05", **more: object) -> None:
    stranger.declare({"ads": {"transfer_id": 1, "evidence": evidence, "ranges": [ranges], **more}})


@pytest.mark.parametrize("evidence", MODES)
def test_counters_a_moment_behind_buy_nothing(stranger: Stranger, evidence: str) -> None:
    stranger.world.transfer(1)
    stranger.manners.counters_lag = 3600
    declare(stranger, evidence)
    stranger.load(hours=0.75)
    told = stranger.api.shown(next(iter(stranger.world.backfills.values())))
    assert (told["status"], told["transfer_runs_completed"]) == ("COMPLETED", 0)
    shown = stranger.plan(code=0)
    assert shown.actions == []
    assert evidence == "runs" or shown.why("waiting") == {"settling": 31}
    for _ in range(5):
        stranger.load(hours=0.5)
    assert stranger.plan(code=0).days == {"covered": 31}
    assert len(stranger.created) == 1


@pytest.mark.parametrize(
    "evidence, days_of, reasons",
    [("backfills", {"failed": 31}, {"unlocated": 31}), ("runs", {"covered": 31}, {})],
    ids=MODES[::-1],
)
def test_counters_that_never_come(
    stranger: Stranger, evidence: str, days_of: dict[str, int], reasons: dict[str, int]
) -> None:
    stranger.world.transfer(1)
    declare(stranger, evidence)
    stranger.load(hours=0.1)
    next(iter(stranger.world.backfills.values())).forced["transfer_runs_completed"] = 0
    for _ in range(4):
        stranger.load(hours=1, code=None)
    shown = stranger.plan()
    assert (shown.days, shown.why("failed")) == (days_of, reasons)
    assert len(stranger.created) == 1


@pytest.mark.parametrize("evidence", MODES)
def test_a_weekly_transfer_is_loaded_by_fewer_runs_than_days(stranger: Stranger, evidence: str) -> None:
    stranger.world.transfer(1, every=7)
    declare(stranger, evidence)
    for _ in range(4):
        stranger.load(hours=24)
    shown = stranger.plan(code=0)
    assert shown.days == {"covered": 31}
    assert (len(stranger.created), stranger.world.missing(1, MAY)) == (1, [])


@pytest.mark.parametrize("evidence", MODES)
def test_a_weekly_transfer_with_a_failed_run_buys_nothing_twice(stranger: Stranger, evidence: str) -> None:
    stranger.world.transfer(1, every=7, failing={day("2025-05-15"): 1})
    declare(stranger, evidence)
    for _ in range(4):
        stranger.load(hours=24, code=None)
    assert stranger.world.twice() == set()


def test_a_backfill_that_had_nothing_to_run_is_loaded_and_named(stranger: Stranger) -> None:
    stranger.world.transfer(1)
    declare(stranger, "backfills")
    stranger.load(hours=1)
    counts = ("transfer_runs_total", "transfer_runs_created", "transfer_runs_completed")
    next(iter(stranger.world.backfills.values())).forced |= dict.fromkeys(counts, 0)
    assert stranger.plan(code=0).why("waiting") == {"settling": 31}
    stranger.load(hours=2)
    assert stranger.plan(code=0).json["diagnostics"]
    stranger.load(hours=2)
    assert (stranger.plan(code=0).days, len(stranger.created)) == ({"covered": 31}, 1)


@pytest.mark.parametrize("report", [True, False], ids=["reported", "not reported"])
def test_one_of_two_runs_of_a_day_failed(stranger: Stranger, report: bool) -> None:
    stranger.world.transfer(1, per_day=2, failing={day("2025-05-09"): 1})
    stranger.manners.error_report = report
    declare(stranger)
    stranger.load(hours=2, code=0)
    stranger.load(hours=3)
    assert stranger.world.missing(1, MAY) == [day("2025-05-09")]
    shown = stranger.plan(code=0)
    assert (shown.days, shown.reasons) == ({"covered": 30, "planned": 1}, {"failed": 1})
    stranger.load(hours=2)
    stranger.load()
    assert (stranger.world.missing(1, MAY), stranger.world.twice()) == ([], set())
    assert stranger.created == ["1 2025-05-01..2025-05-31", "1 2025-05-09..2025-05-09"]


@pytest.mark.parametrize("evidence", MODES)
def test_a_run_long_after_a_cancel_is_waited_for(stranger: Stranger, evidence: str) -> None:
    world = stranger.world
    world.transfer(1, seconds=82 * 60)
    declare(stranger, evidence, "2025-05-01..2025-05-03")
    stranger.load(hours=0.1)
    stranger.load(hours=0.1)
    world.cancel(max(world.backfills))
    for _ in range(8):
        stranger.load(hours=0.5, code=None)
    for _ in range(4):
        stranger.load(code=None)
    assert world.twice() == set()
    wanted = days("2025-05-01", "2025-05-03")
    if evidence == "runs":
        assert (world.missing(1, wanted), stranger.plan(code=0).days) == ([], {"covered": 3})
        assert stranger.created[1:] == ["1 2025-05-01..2025-05-02"]
    else:  # nobody can tell which of them ran
        assert stranger.plan().why("failed") == {"unlocated": 3}
        assert len(stranger.created) == 1


def test_one_cancelled_before_it_began_is_made_again(stranger: Stranger) -> None:
    stranger.world.transfer(1)
    declare(stranger, "backfills")
    stranger.load(hours=0.01)
    stranger.world.cancel(max(stranger.world.backfills))
    shown = stranger.plan(code=0)
    assert shown.reasons == {"cancelled": 31}
    stranger.load()
    assert stranger.world.bought(1) == MAY


@pytest.mark.parametrize("evidence", MODES)
def test_a_failed_one_that_runs_again_is_waited_for(stranger: Stranger, evidence: str) -> None:
    world = stranger.world
    world.transfer(1, failing={day("2025-05-09"): 1})
    declare(stranger, evidence)
    stranger.load(hours=1)
    world.run_again(max(world.backfills))
    stranger.load()
    assert stranger.plan(code=0).days == {"covered": 31}
    assert (world.bought(1), len(stranger.created)) == (MAY, 1)


@pytest.mark.parametrize("evidence", MODES)
def test_one_of_three_runs_of_a_day_failed(stranger: Stranger, evidence: str) -> None:
    world = stranger.world
    world.transfer(1, per_day=3, failing={day("2025-05-15"): 1})
    declare(stranger, evidence)
    for _ in range(3):
        stranger.load(hours=24, code=None)
    assert stranger.created == ["1 2025-05-01..2025-05-31", "1 2025-05-15..2025-05-15"]
    assert (world.twice(), world.missing(1, MAY), stranger.plan(code=0).days) == (set(), [], {"covered": 31})


@pytest.mark.parametrize("lag", [0, 3000, 5400])
def test_run_lists_and_counters_that_lag_behind_a_cancel(stranger: Stranger, lag: float) -> None:
    world = stranger.world
    world.transfer(1)
    stranger.manners.runs_lag, stranger.manners.counters_lag = lag, min(lag, 3000)
    declare(stranger)
    stranger.load(hours=0.25)
    world.cancel(max(world.backfills))
    for _ in range(9):
        stranger.load(hours=0.5, code=None)
    assert (world.twice(), stranger.plan(code=0).days) == (set(), {"covered": 31})


def test_a_cancelled_one_whose_runs_are_forgotten_is_left_to_a_person(stranger: Stranger) -> None:
    stranger.world.transfer(1)
    declare(stranger)
    stranger.load(hours=0.25)
    stranger.world.cancel(max(stranger.world.backfills))
    stranger.world.advance(hours=1)
    stranger.manners.runs_kept = 0
    for _ in range(3):
        stranger.load(hours=3, code=None)
    assert (stranger.plan().why("failed"), len(stranger.created)) == ({"unlocated": 31}, 1)
