"""What happens during an apply is seen, and heeded: by the vendor, by people, by a gateway."""

from __future__ import annotations

import pytest
from stranger_desk import DAY, HOUR, Desk

WEEK = "2025-06-01..2025-06-05"
CUT_OFF = "2025-05-01..2025-05-06"
MAY, JUNE = "2025-05-01..2025-05-10", "2025-06-01..2025-06-10"
RUNS_AND_BLIND = pytest.mark.parametrize("evidence", ["runs", "backfills"])


def declare(desk: Desk, *ranges: str, evidence: str = "runs", **team: object) -> None:
    told = {"transfer_id": 1, "ranges": list(ranges), "retry_after": "0s", "evidence": evidence}
    desk.declare({"ads": told}, **team)


def failed(desk: Desk, evidence: str = "runs") -> int:
    """Let a backfill of ours fail on all of its five days; return its id."""
    desk.vendor.transfer(1, failing={f"2025-06-0{which}": 1 for which in range(1, 6)})
    declare(desk, WEEK, evidence=evidence)
    desk.load(seconds=HOUR)
    assert desk.status(desk.last) == "FAILED"
    return desk.last


def ends_well(desk: Desk, first: str, last: str, rounds: int = 4) -> None:
    """Run again and again: every day is loaded, and once."""
    for _ in range(rounds):
        desk.load(seconds=DAY / 2, code=None)
    desk.once(first, last)


# --- a shell that runs again --------------------------------------------------------------------


@RUNS_AND_BLIND
@pytest.mark.parametrize("seconds", [90, 200, 2000], ids=["one day", "some days", "all days"])
def test_a_shell_that_ran_again_before_its_cancel(desk: Desk, seconds: float, evidence: str) -> None:
    """It ran some of its days again by the time that our cancel arrives: the answer's counts tell."""
    shell = failed(desk, evidence)

    def again() -> None:
        desk.vendor.run_again(shell)
        desk.advance(seconds)

    desk.gateway.before("cancel", again)
    done = desk.apply(code=3)
    assert str(shell) in done.text
    assert [sent for sent in desk.gateway.sent if sent.startswith("create")] == [f"create 1 {WEEK}"]
    desk.advance(6 * HOUR)
    if evidence == "runs":
        ends_well(desk, "2025-06-01", "2025-06-05")
    for _ in range(4):  # blind, nobody may be able to tell which days are left
        desk.load(code=None)
    assert desk.twice() == []


def test_a_shell_that_runs_again_is_not_cancelled_after_a_wait(desk: Desk) -> None:
    """A rate limit holds the cancel up for 62 s; the list, read again, shows that it runs."""
    shell = failed(desk)

    desk.gateway.before("cancel", lambda: desk.vendor.run_again(shell))
    desk.gateway.refuse("cancel", 429, "TOO_MANY_REQUESTS", 62)
    desk.apply(code=3)
    assert len(desk.cancels()) == 1
    assert desk.status(shell) != "CANCELLED"
    ends_well(desk, "2025-06-01", "2025-06-05")
    assert desk.created == [f"1 {WEEK}"]


# --- the schedule, and people -------------------------------------------------------------------


@pytest.mark.parametrize("wait", [62, 300])
def test_a_day_that_the_schedule_loads_during_a_wait_is_not_bought(desk: Desk, wait: int) -> None:
    """At 12:01 the schedule loads 30 June; our create was rate limited at 12:00."""
    desk.vendor.transfer(1, at="12:01")
    declare(desk, "2025-06-21..2025-06-30")
    desk.gateway.refuse("create", 429, "TOO_MANY_REQUESTS", wait)
    desk.apply(code=3)
    assert desk.gateway.sent == ["create 1 2025-06-21..2025-06-30"]
    desk.advance(HOUR)
    ends_well(desk, "2025-06-21", "2025-06-30")


@pytest.mark.parametrize("hidden", [False, True], ids=["latest", "behind another one"])
def test_a_persons_backfill_on_its_days_withdraws_an_action(desk: Desk, hidden: bool) -> None:
    """It ran and completed during the wait, so the list does not show it any more."""
    desk.vendor.transfer(1)
    declare(desk, MAY)
    desk.gateway.before("create", lambda: desk.vendor.by_hand(1, "2025-05-03", "2025-05-03"))
    if hidden:
        desk.gateway.before("create", lambda: desk.vendor.by_hand(1, "2024-05-03", "2024-05-03"))
    desk.gateway.refuse("create", 429, "TOO_MANY_REQUESTS", 250)
    done = desk.apply(code=3)
    assert (desk.created, "2025-05-01" in done.text) == ([], True)
    ends_well(desk, "2025-05-01", "2025-05-10")


def test_a_long_apply_withdraws_nothing_for_other_days(desk: Desk) -> None:
    """Eight creates, a rate limit before each, and people who work on other days of the transfer."""
    desk.vendor.transfer(1)
    months = [f"2024-{month:02}" for month in range(1, 9)]
    desk.declare({"ads": {"transfer_id": 1, "ranges": months, "chunk": "month"}})
    for nth in range(8):
        which = f"2025-01-{nth + 1:02}"
        desk.gateway.before("create", lambda which=which: desk.vendor.by_hand(1, which, which), 2 * nth + 1)
        desk.gateway.refuse("create", 429, "TOO_MANY_REQUESTS", 35, 2 * nth + 1)
    desk.apply("--max-wait", "1h", code=0)
    assert len(desk.created) == 8
    ends_well(desk, "2024-01-01", "2024-08-31")


# --- gateways, lags, whole seconds ------------------------------------------------------------------

LAGS = {
    "none": {},
    "all": {"list": 30, "latest": 30, "get": 30},
    "list": {"list": 30},
    "latest": {"latest": 30},
    "get": {"get": 30},
    "long": {"list": 600, "latest": 600, "get": 600},
}


@RUNS_AND_BLIND
@pytest.mark.parametrize("lag", LAGS)
def test_a_create_sent_twice_whose_copy_is_refused(desk: Desk, lag: str, evidence: str) -> None:
    desk.vendor.transfer(1)
    declare(desk, MAY, evidence=evidence)
    desk.vendor.lag(**LAGS[lag])
    desk.gateway.repeat("create")
    assert desk.apply().code in (0, 3, 4)
    assert desk.apply().code in (0, 3, 4)
    assert desk.gateway.sent == [f"create 1 {MAY}"]
    desk.advance(DAY)
    ends_well(desk, "2025-05-01", "2025-05-10")
    assert desk.created == [f"1 {MAY}"]


@RUNS_AND_BLIND
@pytest.mark.parametrize("lag", LAGS)
def test_a_retry_sent_twice_whose_copy_is_refused(desk: Desk, lag: str, evidence: str) -> None:
    """The shell of the attempt before is no blocker of it, though reads that lag show it alone."""
    shell = failed(desk, evidence)
    desk.vendor.lag(**LAGS[lag])
    desk.gateway.repeat("create")
    assert desk.apply().code in (0, 3, 4)
    assert desk.apply().code in (0, 3, 4)
    assert desk.gateway.sent == [f"create 1 {WEEK}", f"cancel {shell}", f"create 1 {WEEK}"]
    desk.advance(DAY)
    ends_well(desk, "2025-06-01", "2025-06-05")


@RUNS_AND_BLIND
@pytest.mark.parametrize("lag", ["none", "list", "long"])
def test_two_creates_within_a_second_of_which_the_second_is_lost(desk: Desk, lag: str, evidence: str) -> None:
    """``latest`` goes by whole seconds, and shows the first of them for good."""
    desk.vendor.transfer(1)
    desk.vendor.how(latest_orders_by="created_time")
    desk.vendor.lag(**({"list": 700} if lag == "long" else LAGS[lag]))
    declare(desk, MAY, JUNE, evidence=evidence)
    desk.gateway.lose("create", nth=2)
    desk.apply()
    for _ in range(3):
        desk.advance(HOUR)
        desk.apply()
    assert sorted(desk.created) == [f"1 {MAY}", f"1 {JUNE}"]
    ends_well(desk, "2025-06-01", "2025-06-10")
    assert desk.twice() == []


# --- a vendor that cuts -------------------------------------------------------------------------------


@RUNS_AND_BLIND
def test_a_range_cut_at_its_end_is_loaded_in_parts(desk: Desk, evidence: str) -> None:
    desk.vendor.transfer(1)
    desk.vendor.how(cut_end=4)
    declare(desk, MAY, evidence=evidence)
    done = desk.apply(code=3)
    assert desk.created == ["1 2025-05-01..2025-05-04"]
    assert "2025-05-05" in done.text
    shown = desk.plan()
    assert (shown.days, shown.actions) == ({"in_flight": 4, "blocked": 6}, [])
    desk.advance(21 * HOUR)
    desk.load(seconds=21 * HOUR, code=3)
    desk.load(seconds=21 * HOUR, code=0)
    desk.once("2025-05-01", "2025-05-10")
    assert desk.created[1:] == ["1 2025-05-05..2025-05-08", "1 2025-05-09..2025-05-10"]


@RUNS_AND_BLIND
def test_days_cut_at_the_start_wait_for_a_person(desk: Desk, evidence: str) -> None:
    desk.vendor.transfer(1)
    desk.vendor.how(cut_start=4)
    declare(desk, MAY, evidence=evidence)
    desk.apply(code=3)
    assert desk.created == ["1 2025-05-07..2025-05-10"]
    desk.advance(HOUR)
    for _ in range(3):
        desk.load(code=3)
    shown = desk.plan()
    assert (shown.days, shown.why("blocked")) == ({"covered": 4, "blocked": 6}, {"cut-by-api": 6})
    assert desk.created == ["1 2025-05-07..2025-05-10"]
    desk.declare({"ads": {"transfer_id": 1, "ranges": [MAY], "evidence": evidence, "exclude": [CUT_OFF]}})
    desk.apply(code=0)
    declare(desk, MAY, evidence=evidence)
    for _ in range(2):
        desk.run("retry", "ads", "--auto-approve", code=0)
        desk.load(code=None)
    assert desk.created[1:] == ["1 2025-05-03..2025-05-06", "1 2025-05-01..2025-05-02"]
    desk.once("2025-05-01", "2025-05-10")


@pytest.mark.parametrize("side", ["cut_end", "cut_start"])
def test_a_range_that_is_cut_and_whose_answer_is_lost(desk: Desk, side: str) -> None:
    desk.vendor.transfer(1)
    desk.vendor.how(**{side: 4})
    declare(desk, MAY)
    desk.gateway.lose("create")
    desk.apply(code=4)
    for _ in range(6):
        desk.load(seconds=21 * HOUR, code=None)
        if side == "cut_start":
            desk.run("retry", "ads", "--auto-approve", code=None)
    desk.apply(code=0)
    desk.once("2025-05-01", "2025-05-10")
