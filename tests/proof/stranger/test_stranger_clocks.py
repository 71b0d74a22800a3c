"""Two clocks: what takes time must have taken it by ours and by the vendor's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from stranger_desk import HOUR, Desk

MAY = "2025-05-01..2025-05-10"
MINUTE = 60.0


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.vendor.transfer(1)
    return desk


def declare(desk: Desk, evidence: str = "runs") -> None:
    desk.declare({"ads": {"transfer_id": 1, "ranges": [MAY], "retry_after": "0s", "evidence": evidence}})


def is_made_once(desk: Desk) -> None:
    desk.advance(20 * MINUTE)
    desk.apply(code=0)
    desk.advance(HOUR)
    desk.apply(code=0)
    assert desk.gateway.sent == [f"create 1 {MAY}"]
    desk.once("2025-05-01", "2025-05-10")


EVIDENCE = pytest.mark.parametrize("evidence", ["runs", "backfills"])


@EVIDENCE
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_clock_that_runs_ahead_concludes_nothing(desk: Desk, whose: str, evidence: str) -> None:
    """Our create takes effect ten minutes later; by one clock twenty minutes have passed after one."""
    declare(desk, evidence)
    desk.late("create", 10 * MINUTE)
    desk.apply(code=4)
    desk.advance(MINUTE)
    if whose == "ours":
        with desk.clock_ahead(20):
            desk.apply(code=4)
    else:
        desk.gateway.skew = timedelta(minutes=20)
        desk.apply(code=4)
        desk.gateway.skew = timedelta(0)
    is_made_once(desk)


@EVIDENCE
def test_a_clock_that_jumps_while_we_look(desk: Desk, evidence: str) -> None:
    declare(desk, evidence)

    def jump() -> None:
        desk.ahead = timedelta(minutes=20)

    desk.gateway.before("create", jump)
    desk.late("create", 10 * MINUTE)
    desk.apply(code=4)
    desk.apply(code=4)
    desk.ahead = timedelta(0)
    is_made_once(desk)


@EVIDENCE
@pytest.mark.parametrize("minutes", [-10, -4, 4, 10])
def test_clocks_some_minutes_apart_settle_all_the_same(desk: Desk, minutes: int, evidence: str) -> None:
    declare(desk, evidence)
    desk.gateway.refuse("create", 500, "INTERNAL_SERVER_ERROR")
    with desk.clock_ahead(minutes):
        desk.apply(code=4)
        desk.advance(5 * MINUTE)
        desk.apply(code=4)
        assert desk.created == []
        desk.advance(20 * MINUTE)
        desk.load(seconds=HOUR)
        desk.load()
    assert len(desk.created) == 1
    desk.once("2025-05-01", "2025-05-10")


@EVIDENCE
def test_clocks_that_change_from_run_to_run(desk: Desk, evidence: str) -> None:
    """Several runners, ten minutes apart; a gateway is late by as much."""
    declare(desk, evidence)
    desk.late("create", 10 * MINUTE)
    for minutes in (0, 10, -10, 10):
        with desk.clock_ahead(minutes):
            desk.apply(code=4)
    is_made_once(desk)


@pytest.mark.parametrize("desk", ["stranger"], indirect=True)  # the sandbox's own time is no finding
@pytest.mark.parametrize("minutes, code", [(20, 0), (-20, 0), (-25 * 60, 69), (25 * 60, 69)])
def test_clocks_far_apart_are_named(desk: Desk, minutes: int, code: int) -> None:
    declare(desk)
    desk.gateway.skew = timedelta(minutes=minutes)
    done = desk.run("plan", code=code)
    assert ("clocks differ" in done.err) == (code == 0)


def test_a_day_is_over_once_it_is_by_both_clocks(desk: Desk) -> None:
    """At 23:50 by the vendor's clock, ours is at 00:10: 1 July is not over."""
    desk.declare({"ads": {"transfer_id": 1, "ranges": ["2025-06-29..yesterday"]}})
    desk.advance(11 * HOUR + 50 * MINUTE)
    with desk.clock_ahead(20):
        desk.apply(code=0)
    assert desk.created == ["1 2025-06-29..2025-06-30"]
    desk.advance(HOUR)
    desk.load(seconds=HOUR)
    assert desk.created[1:] == ["1 2025-07-01..2025-07-01"]


# --- an older file ------------------------------------------------------------------------------


def newer(desk: Desk) -> None:
    told = {"transfer_id": 6, "previous_ids": [1], "ranges": [MAY], "retry_after": "0s"}
    desk.declare({"ads": told})


@pytest.mark.parametrize("late", [True, False], ids=["takes effect", "never does"])
def test_the_run_of_an_older_file_sees_what_the_new_transfer_may_load(desk: Desk, late: bool) -> None:
    """Transfer 6 took the place of 1; a branch that is behind still names 1."""
    desk.vendor.transfer(6)
    newer(desk)
    if late:
        desk.late("create", 5 * MINUTE)
    else:
        desk.gateway.refuse("create", 500, "INTERNAL_SERVER_ERROR")
    desk.apply(code=4)
    declare(desk)
    desk.apply(code=4)
    assert desk.gateway.sent == [f"create 6 {MAY}"]
    newer(desk)
    desk.advance(20 * MINUTE)
    desk.load(seconds=HOUR)
    desk.apply(code=0)
    desk.once("2025-05-01", "2025-05-10", 1, 6)
