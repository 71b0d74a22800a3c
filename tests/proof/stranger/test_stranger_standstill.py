"""Nothing stands still in silence: what waits is named, and goes on once it can."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from stranger_api import Refused
from stranger_rig import NOON, Stranger
from stranger_world import DAY, Run, days, moment

MAY = days("2025-05-01", "2025-05-31")


def declare(stranger: Stranger, *ranges: str, **more: Any) -> None:
    team = {key: more.pop(key) for key in ("limits", "order", "prune") if key in more}
    stranger.declare({"ads": {"transfer_id": 1, "ranges": list(ranges), **more}}, **team)


# --- words that nobody knows -----------------------------------------------------------------


def run_of(stranger: Stranger, word: str, began: str, ended: str | None) -> Run:
    """Let the day before ``began`` be run."""
    stranger.world.transfer(1)
    over = moment(ended) if ended else None
    return stranger.world.ran(1, moment(began).date() - DAY, moment(began), over, word)


@pytest.mark.parametrize("word", ["CANCELED", "CANCELLED", "FAILED"])
def test_runs_that_loaded_nothing_leave_their_day_due(stranger: Stranger, word: str) -> None:
    run = run_of(stranger, word, "2025-07-01 02:00", "2025-07-01 02:05")
    declare(stranger, str(run.day))
    assert stranger.plan(code=0).days == {"planned": 1}
    stranger.load()
    assert stranger.world.bought(1) == [run.day]


@pytest.mark.parametrize(
    "word, began, ended, days_of, reasons",
    [
        ("SKIPPED", "2025-07-01 02:00", "2025-07-01 02:05", {"blocked": 1}, {"unknown-status": 1}),
        ("RUNNING", "2024-07-01 02:00", None, {"blocked": 1}, {"stuck": 1}),
        ("PAUSING", "2024-07-01 02:00", None, {"blocked": 1}, {"stuck": 1}),
        ("PAUSING", "2025-07-01 02:00", None, {"in_flight": 1}, {}),
    ],
    ids=["ended, unknown", "running for a year", "unknown for a year", "unknown today"],
)
def test_runs_that_stand_are_named(
    stranger: Stranger,
    word: str,
    began: str,
    ended: str | None,
    days_of: dict[str, int],
    reasons: dict[str, int],
) -> None:
    run = run_of(stranger, word, began, ended)
    declare(stranger, str(run.day))
    shown = stranger.plan()
    assert (shown.days, shown.why("blocked")) == (days_of, reasons)
    done = stranger.apply(code=3 if reasons else 0)
    assert stranger.created == []
    assert word in done.text or "unknown-status" not in reasons
    stranger.run("status", "--check", code=3 if reasons else 0)


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "going on"])
def test_a_backfill_of_an_unknown_status(stranger: Stranger, ended: bool) -> None:
    for transfer_id in (1, 2):
        stranger.world.transfer(transfer_id)
    stranger.declare({"web": {"transfer_id": 2, "ranges": ["2025-06-30"]}})
    stranger.load(hours=1)  # whose our key is, is known from here on
    made = stranger.world.create(1, MAY[0], MAY[-1])
    made.forced = {"status": "ARCHIVED", "end_time": "2025-07-01T14:00:00Z" if ended else None}
    stranger.world.advance(hours=2)
    declare(stranger, "2025-05", evidence="backfills")
    shown = stranger.plan()
    assert shown.days == ({"blocked": 31} if ended else {"in_flight": 31})
    assert shown.why("blocked") == ({"unknown-status": 31} if ended else {})
    done = stranger.apply(code=3 if ended else 0)
    assert ("ARCHIVED" in done.text or not ended, len(stranger.created)) == (True, 1)


def test_a_running_backfill_that_does_not_move_is_not_healthy(stranger: Stranger) -> None:
    stranger.world.transfer(1, seconds=10**9)
    declare(stranger, "2025-05")
    for _ in range(9):
        stranger.load(hours=24)
    assert stranger.plan(code=0).days == {"in_flight": 31}
    stranger.run("status", "--check", code=3)


# --- attempts ----------------------------------------------------------------------------------


def worn_out(stranger: Stranger, times: int = 3) -> None:
    """Make all attempts of a day of May fail."""
    stranger.world.transfer(1, failing={MAY[8]: times})
    declare(stranger, "2025-05", max_attempts=3, retry_after="0s")
    for _ in range(5):
        stranger.load(hours=2, code=None)
    assert stranger.plan().why("failed") == {"attempts": 1}
    assert (len(stranger.created), stranger.world.missing(1, MAY)) == (3, [MAY[8]])


@pytest.mark.parametrize("by", ["a person", "the schedule"])
def test_a_day_that_failed_and_was_loaded_by_hand_is_covered(stranger: Stranger, by: str) -> None:
    worn_out(stranger)
    if by == "a person":
        stranger.world.create(1, MAY[8], MAY[8])
    else:
        now = stranger.world.now
        stranger.world.ran(1, MAY[8], now, now + timedelta(minutes=1))
    stranger.world.advance(hours=1)
    assert stranger.plan(code=0).days == {"covered": 31}
    stranger.load(code=0)
    assert len(stranger.created) == 3


def test_retry_makes_a_worn_out_day_due_again(stranger: Stranger) -> None:
    worn_out(stranger)
    stranger.run("retry", "ads", f"{MAY[8]}..{MAY[8]}", "--auto-approve", code=0)
    stranger.load()
    assert stranger.world.bought(1) == MAY
    assert stranger.plan(code=0).days == {"covered": 31}


def test_five_hours_of_outage_burn_no_attempts(stranger: Stranger) -> None:
    stranger.world.transfer(1, outages=[(NOON, NOON + timedelta(hours=5))])
    declare(stranger, "2025-06-28..2025-06-30")
    for _ in range(14):
        stranger.load(hours=1, code=None)
    assert stranger.plan(code=0).days == {"covered": 3}
    assert (stranger.world.bought(1), len(stranger.created)) == (days("2025-06-28", "2025-06-30"), 3)


def test_a_failed_day_waits_for_its_next_attempt(stranger: Stranger) -> None:
    stranger.world.transfer(1, failing={MAY[8]: 1})
    declare(stranger, "2025-05")
    stranger.load(hours=0.75)
    shown = stranger.plan(code=0)
    assert (shown.days, shown.why("waiting")) == ({"covered": 30, "waiting": 1}, {"backoff": 1})
    stranger.world.advance(hours=1)
    assert stranger.plan(code=0).reasons == {"failed": 1}


# --- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [True, False], ids=["a shell blocks", "it does not"])
def test_an_ended_shell_holds_no_place_of_its_transfer(stranger: Stranger, blocks: bool) -> None:
    stranger.manners.failed_blocks = blocks
    stranger.world.transfer(1, failing={MAY[8]: 99})
    limits = {"max_open_per_transfer": 1}
    declare(stranger, "2025-05", max_attempts=1, limits=limits)
    stranger.load()
    declare(stranger, "2025-04", "2025-05", max_attempts=1, limits=limits)
    stranger.load(code=None)
    assert stranger.world.missing(1, days("2025-04-01", "2025-05-31")) == [MAY[8]]


@pytest.mark.parametrize("how", ["declared", "excluded"])
def test_a_hundred_shells_make_room(stranger: Stranger, how: str) -> None:
    hundred = days("2025-01-01", "2025-04-10")
    world = stranger.world
    world.transfer(1, seconds=1, outages=[(NOON, NOON + timedelta(hours=1))])
    world.transfer(2)
    ads: dict[str, Any] = {"transfer_id": 1, "max_attempts": 1, "ranges": [f"{hundred[0]}..{hundred[-1]}"]}
    stranger.declare({"ads": ads}, limits={"max_days_per_backfill": 1})
    stranger.load("--parallelism", "1")
    assert len(stranger.created) == 100
    excluded = {} if how == "declared" else {"exclude": ads["ranges"]}
    stranger.declare({"ads": ads | excluded, "web": {"transfer_id": 2, "ranges": ["2025-06"]}})
    for _ in range(3):
        stranger.load(code=None)
    assert world.missing(2, days("2025-06-01", "2025-06-30")) == []
    shown = stranger.plan()
    assert shown.days == {"covered": 30} | ({"failed": 100} if how == "declared" else {})
    assert len([one for one in stranger.created if one.startswith("1 ")]) == 100


@pytest.mark.parametrize("limit", ["max_creates_per_apply", "max_open_per_transfer"])
def test_the_history_moves_beside_yesterday(stranger: Stranger, limit: str) -> None:
    stranger.world.transfer(1)
    declare(stranger, "2025-04-01..yesterday", chunk="month", order="newest_first", limits={limit: 1})
    for _ in range(9):
        stranger.world.until("03:00")
        stranger.apply()
    assert stranger.world.missing(1, days("2025-04-01", "2025-06-30")) == []
    assert stranger.world.twice() == set()


# --- one transfer's trouble ------------------------------------------------------------------------

HISTORICAL = Refused(403, "LICENSE_HISTORICAL_RANGE_EXCEEDED", "Not in your plan", "Only 90 days back.")
NO_SOURCE = Refused(403, "LICENSE_ACCESS_DATA_SOURCE", "No licence for this data source")
DOWN = Refused(500, "INTERNAL_SERVER_ERROR", "An unexpected error occurred.")
FORBIDDEN = Refused(403, "FORBIDDEN", "You do not have access to this resource.")


def many(stranger: Stranger, count: int = 30) -> None:
    for number in range(1, count + 1):
        stranger.world.transfer(number)
    names = {f"t{number}": {"transfer_id": number, "ranges": ["2025-06"]} for number in range(1, count + 1)}
    stranger.declare(names)


TROUBLE = pytest.mark.parametrize(
    "call, answer, code, reason",
    [
        ("create", HISTORICAL, 3, "refused"),
        ("create", NO_SOURCE, 3, "refused"),
        ("create", FORBIDDEN, 3, "refused"),
        ("latest", DOWN, 69, "no-evidence"),
        ("runs", DOWN, 69, "no-evidence"),
    ],
    ids=["historical", "data source", "forbidden", "latest", "runs"],
)


@TROUBLE
def test_one_transfers_trouble_holds_no_other_up(
    stranger: Stranger, call: str, answer: Refused, code: int, reason: str
) -> None:
    many(stranger)
    stranger.manners.refusals[call, 1] = answer
    done = stranger.apply(code=code)
    assert len(stranger.created) == 29
    assert str(answer.status) in done.text
    assert "scope" not in done.text or answer is FORBIDDEN
    stranger.world.advance(hours=2)
    shown = stranger.plan()
    seen = {} if reason == "no-evidence" else {"covered": 870}  # how many of all days is unknown then
    assert (shown.days, shown.why("blocked")) == ({**seen, "blocked": 30}, {reason: 30})


@TROUBLE
def test_what_the_api_answered_is_in_later_plans(
    stranger: Stranger, call: str, answer: Refused, code: int, reason: str
) -> None:
    many(stranger, 2)
    stranger.manners.refusals[call, 1] = answer
    stranger.apply(code=code)
    stranger.world.advance(hours=2)
    shown = stranger.plan()
    assert shown.why("blocked") == {reason: 30}
    told = shown.json["blocked"][0]["answer"]
    assert (told["status"], told["code"]) == (answer.status, answer.code)


@pytest.mark.parametrize(
    "answer, code, tried",
    [(HISTORICAL, 3, 5), (NO_SOURCE, 7, 2), (FORBIDDEN, 65, 2)],
    ids=["historical", "data source", "forbidden"],
)
def test_what_everybody_meets_ends_the_run(
    stranger: Stranger, answer: Refused, code: int, tried: int
) -> None:
    many(stranger, 5)
    stranger.manners.refusals["create", None] = answer
    done = stranger.apply("--parallelism", "1", code=code)
    assert answer.code in done.text
    assert len([one for one in stranger.api.asked if one.startswith("create")]) == tried


def test_retry_forgets_a_refusal(stranger: Stranger) -> None:
    many(stranger, 2)
    stranger.manners.refusals["create", 1] = HISTORICAL
    stranger.apply(code=3)
    stranger.manners.refusals.clear()
    stranger.world.advance(hours=1)
    stranger.apply(code=3)
    assert stranger.created == ["2 2025-06-01..2025-06-30"]
    stranger.run("retry", "t1", "--auto-approve", code=0)
    stranger.load()
    assert stranger.world.bought(1) == days("2025-06-01", "2025-06-30")
