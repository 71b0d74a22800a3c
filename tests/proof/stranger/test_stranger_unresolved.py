"""A create whose answer is lost is settled by what can be read, and holds up no more than it must."""

from __future__ import annotations

import pytest
from stranger_desk import DAY, HOUR, Desk

MAY, JUNE = "2025-05-01..2025-05-10", "2025-06-01..2025-06-10"
BOTH = pytest.mark.parametrize("evidence", ["runs", "backfills"])


def declare(
    desk: Desk, *ranges: str, evidence: str = "runs", web: str = "2025-06-20", **team: object
) -> None:
    """Declare ``ads`` (1), if it is given ranges, and ``web`` (2)."""
    how = {"retry_after": "0s", "evidence": evidence}
    told = {"web": {"transfer_id": 2, "ranges": [web], **how}}
    if ranges:
        told["ads"] = {"transfer_id": 1, "ranges": list(ranges), **how}
    desk.declare(told, **team)


@pytest.fixture
def known(desk: Desk) -> Desk:
    """A desk whose state knows which user its key is."""
    for transfer_id in (1, 2):
        desk.vendor.transfer(transfer_id)
    declare(desk)
    desk.load()
    return desk


def lost(desk: Desk, *ranges: str, **more: object) -> None:
    """Let our create be answered with a 500, and never happen."""
    declare(desk, *ranges, **more)  # type: ignore[arg-type]
    desk.gateway.refuse("create", 500, "INTERNAL_SERVER_ERROR")
    done = desk.apply(code=4)
    assert "500" in done.text


def hidden(desk: Desk) -> int:
    """Let a person make another backfill, so that ``latest`` tells nothing of ours."""
    return desk.vendor.by_hand(1, "2024-01-01", "2024-01-02")


def test_run_lists_settle_what_latest_cannot(known: Desk) -> None:
    lost(known, MAY)
    hidden(known)
    known.advance(60)
    known.apply(code=4)
    known.advance(HOUR)
    for _ in range(2):  # the run list may lag behind: its word may be waited for
        known.load()
    assert known.created[1:] == [f"1 {MAY}"]
    known.once("2025-05-01", "2025-05-10")
    assert "Nothing is unresolved" in known.run("resolve", code=0).out


def test_blind_it_holds_its_own_range_alone(known: Desk) -> None:
    lost(known, MAY, evidence="backfills")
    hidden(known)
    declare(known, MAY, JUNE, evidence="backfills")
    known.apply(code=4)
    assert known.created[1:] == []  # within settle time it holds its whole transfer
    known.advance(HOUR)
    for _ in range(2):
        known.load(code=4)
    assert known.created[1:] == [f"1 {JUNE}"]
    assert known.plan().why("blocked") == {"unresolved": 10}
    known.run("resolve", "ads", MAY, "--as", "not-created", "--auto-approve", code=0)
    for _ in range(2):
        known.load()
    assert known.created[1:] == [f"1 {JUNE}", f"1 {MAY}"]
    known.once("2025-05-01", "2025-05-10")


def test_blind_it_is_settled_once_its_days_are_covered(known: Desk) -> None:
    lost(known, MAY, evidence="backfills")
    hidden(known)
    known.advance(HOUR)
    known.vendor.by_hand(1, *MAY.split(".."))
    known.advance(HOUR)
    for _ in range(3):
        known.load(code=None)
    known.apply(code=0)
    assert known.created[1:] == []
    known.once("2025-05-01", "2025-05-10")


@pytest.mark.parametrize("hide", [True, False], ids=["latest moved", "latest the same"])
@BOTH
def test_a_transfer_that_left_the_files(known: Desk, evidence: str, hide: bool) -> None:
    lost(known, MAY, evidence=evidence)
    if hide:
        hidden(known)
    declare(known, evidence=evidence)
    done = known.apply(code=4)
    assert "2025-05-01" in done.text
    known.advance(HOUR)
    known.apply(code=0)
    known.advance(DAY)
    known.apply(code=0)
    assert known.created[1:] == []


def test_what_comes_back_to_the_files_is_made(known: Desk) -> None:
    lost(known, MAY)
    hidden(known)
    declare(known)
    known.advance(HOUR)
    known.apply(code=0)
    declare(known, MAY)
    for _ in range(2):
        known.load()
    assert known.created[1:] == [f"1 {MAY}"]


def test_blocked_on_purpose_it_is_concluded_by_nobody(known: Desk) -> None:
    lost(known, MAY, on_unknown="block")
    for _ in range(3):
        known.advance(DAY)
        known.apply(code=4)
    assert known.created[1:] == []
    known.run("resolve", "ads", MAY, "--as", "not-created", "--auto-approve", code=0)
    known.load()
    known.once("2025-05-01", "2025-05-10")


def test_resolve_takes_a_part_that_was_made(known: Desk) -> None:
    """The vendor cut the range, and the answer was lost: a person sees which one it is."""
    known.vendor.how(cut_end=4)
    declare(known, MAY, evidence="backfills", on_unknown="block")
    known.gateway.lose("create")
    known.apply(code=4)
    made = known.last
    known.advance(HOUR)
    known.vendor.how(cut_end=100)
    theirs = known.vendor.by_hand(1, "2024-01-01", "2024-01-02")
    known.advance(HOUR)
    refused = known.run("resolve", "ads", MAY, "--as", f"created:{theirs}", "--auto-approve")
    assert refused.code not in (0, 4)
    known.run("resolve", "ads", MAY, "--as", f"created:{made}", "--auto-approve", code=0)
    assert made in known.ours
    for _ in range(3):
        known.load(seconds=DAY, code=None)
    assert known.created[1:] == ["1 2025-05-01..2025-05-04", "1 2025-05-05..2025-05-10"]
    known.once("2025-05-01", "2025-05-10")


@BOTH
def test_a_second_run_within_settle_time_goes_on_elsewhere(known: Desk, evidence: str) -> None:
    lost(known, MAY, evidence=evidence)
    declare(known, MAY, evidence=evidence, web="2025-06-20..2025-06-25")
    known.apply(code=4)
    assert known.created[1:] == ["2 2025-06-21..2025-06-25"]
    known.advance(HOUR)
    known.load()
    known.once("2025-05-01", "2025-05-10")


@BOTH
@pytest.mark.parametrize("seconds", [20, 300, 800])
def test_a_create_that_takes_effect_late_is_found(known: Desk, seconds: float, evidence: str) -> None:
    declare(known, MAY, evidence=evidence)
    known.gateway.rules.clear()
    known.late("create", seconds)
    known.apply()
    for _ in range(6):
        known.advance(200)
        known.apply()
    known.advance(HOUR)
    known.apply(code=0)
    assert known.gateway.sent[1:] == [f"create 1 {MAY}"]
    known.once("2025-05-01", "2025-05-10")


# --- whatever was answered ------------------------------------------------------------------------


def answered_yet_made(desk: Desk, status: int, code: str, seconds: float, wait: int | None = None) -> None:
    """A gateway answers by itself, and passes the request on: it takes effect later."""

    def hold() -> None:
        request = desk.gateway.request
        desk.at(seconds, lambda: desk.vendor.reply(*request))

    desk.gateway.before("create", hold)
    desk.gateway.refuse("create", status, code, wait)


@BOTH
@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_that_takes_effect_all_the_same(known: Desk, status: int, evidence: str) -> None:
    """Its days are kept until settle time is over, whatever a person says with ``retry``."""
    declare(known, MAY, evidence=evidence)
    answered_yet_made(known, status, "UNKNOWN_TO_US", 300)
    known.apply(code=3)
    known.run("retry", "ads", "--auto-approve", code=None)
    known.advance(60)
    known.apply(code=None)
    assert known.gateway.sent[1:] == [f"create 1 {MAY}"]
    known.advance(HOUR)
    for _ in range(3):
        known.load(code=None)
    assert known.gateway.sent[1:] == [f"create 1 {MAY}"]
    known.apply(code=0)
    known.once("2025-05-01", "2025-05-10")


@BOTH
def test_a_rate_limit_that_passes_the_request_on(known: Desk, evidence: str) -> None:
    """It is waited out, and then what was made meanwhile is seen."""
    declare(known, MAY, evidence=evidence)
    answered_yet_made(known, 429, "TOO_MANY_REQUESTS", 30, wait=62)
    known.apply(code=None)
    assert known.gateway.sent[1:] == [f"create 1 {MAY}"]
    known.advance(HOUR)
    known.load(code=0)
    known.once("2025-05-01", "2025-05-10")


@BOTH
@pytest.mark.parametrize("later", [60, 2 * HOUR, 3 * DAY])
def test_a_kill_between_the_create_and_its_record(known: Desk, later: float, evidence: str) -> None:
    known.vendor.transfer(1, failing={"2025-05-05": 1})
    declare(known, MAY, evidence=evidence)
    known.gateway.after("create", lambda: known.keep("killed"))
    known.apply(code=0)
    made = known.last
    known.put_back("killed")
    known.advance(later)
    for _ in range(3):
        known.load(seconds=DAY)
    assert made in known.ours
    assert known.cancels() == [f"cancel {made}"]
    known.once("2025-05-01", "2025-05-10")


def test_blind_a_refused_create_is_not_hidden_by_the_next_ones(known: Desk) -> None:
    """It takes effect between two others of ours; ``latest`` shows the last one, and no list what completed.

    12:00:00 April is refused · 12:00:10 May is made · 12:01:40 April is made all the same · 12:06:50 June is
    made · at midnight all are over: that April was made shows nowhere.
    """
    april = "2025-04-01..2025-04-10"
    how = {"transfer_id": 1, "ranges": [april, MAY, JUNE], "evidence": "backfills"}
    known.declare({"ads": how}, order="oldest_first")
    answered_yet_made(known, 422, "UNKNOWN_TO_US", 100)
    known.apply(code=3)
    known.advance(10)
    known.gateway.before("create", lambda: known.advance(400), nth=2)
    known.apply(code=None)
    for _ in range(4):
        known.advance(DAY / 2)
        known.apply(code=None)
    known.advance(HOUR)
    assert known.twice() == []
    assert sorted(known.created[1:]) == [f"1 {april}", f"1 {MAY}", f"1 {JUNE}"]
