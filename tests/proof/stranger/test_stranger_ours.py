"""Whose a backfill is: ours is what our own create answered, or what fits an intent of ours in time."""

from __future__ import annotations

import pytest
from stranger_desk import DAY, HOUR, Desk

JUNE = "2025-06-01", "2025-06-10"
SPAN = "2025-06-01..2025-06-10"
MINUTE = 60.0


def declare(desk: Desk, *ranges: str, web: tuple[str, ...] = (), **team: object) -> None:
    """Declare ``ads`` (1), and ``web`` (2) where it is given ranges."""
    told: dict[str, object] = {"ads": {"transfer_id": 1, "ranges": list(ranges), "retry_after": "0s"}}
    if web:
        told["web"] = {"transfer_id": 2, "ranges": list(web)}
    desk.declare(told, **team)


@pytest.fixture
def known(desk: Desk) -> Desk:
    """A desk whose state knows which user its key is: it made a backfill of ``web`` once."""
    desk.vendor.transfer(2)
    declare(desk, web=("2025-06-20",))
    desk.load()
    return desk


def turned_away(desk: Desk, *ranges: str) -> None:
    """Let the vendor pause the transfer just before our create arrives."""
    declare(desk, *ranges)
    desk.gateway.before("create", lambda: desk.vendor.pause(1))
    desk.apply(code=3)
    assert desk.vendor.loads(1) == {}
    desk.vendor.pause(1, paused=False)


@pytest.mark.parametrize("days_later", [0, 2, 6])
def test_a_persons_exact_copy_that_failed_is_never_cancelled(known: Desk, days_later: int) -> None:
    known.vendor.transfer(1, failing={"2025-06-05": 99})
    turned_away(known, SPAN)
    known.advance(days_later * DAY + 5 * MINUTE)
    theirs = known.vendor.by_hand(1, *JUNE)
    known.advance(HOUR)
    for _ in range(3):
        known.load(seconds=DAY, code=None)
    assert (known.cancels(), known.status(theirs)) == ([], "FAILED")
    assert theirs not in known.ours
    assert known.twice() == []


@pytest.mark.parametrize("days_later", [0, 6])
def test_a_persons_exact_copy_that_runs_is_not_pruned(known: Desk, days_later: int) -> None:
    known.vendor.transfer(1)
    turned_away(known, SPAN)
    known.advance(days_later * DAY + 5 * MINUTE)
    theirs = known.vendor.by_hand(1, *JUNE)
    known.advance(90)
    assert known.status(theirs) == "RUNNING"
    declare(known, "2025-05-31", prune=True)
    known.apply()
    assert (known.cancels(), theirs in known.ours) == ([], False)
    known.advance(HOUR)
    known.once(*JUNE)


@pytest.mark.parametrize("on_unknown", ["settle", "block"])
def test_a_pending_create_adopts_nothing_a_week_later(known: Desk, on_unknown: str) -> None:
    """By whom it was made is no matter then: our key may be used elsewhere."""
    known.vendor.transfer(1, failing={"2025-06-05": 99})
    declare(known, SPAN, on_unknown=on_unknown)
    known.gateway.refuse("create", 500, "INTERNAL_SERVER_ERROR")
    known.apply(code=4)
    known.advance(7 * DAY)
    theirs = known.vendor.by_hand(1, *JUNE, user=501)
    known.advance(HOUR)
    for _ in range(3):
        known.load(seconds=DAY, code=None)
    assert (known.cancels(), known.status(theirs)) == ([], "FAILED")
    assert theirs not in known.ours


@pytest.mark.parametrize("days_later", [0.01, 1, 8])
def test_what_our_create_made_is_ours_however_late_it_is_found(known: Desk, days_later: float) -> None:
    """Its answer is lost, and reads lag; it fails, and is retried: its shell is ours to cancel."""
    known.vendor.transfer(1, failing={"2025-06-05": 1})
    known.vendor.lag(list=600, latest=600, get=600)
    declare(known, SPAN)
    known.gateway.lose("create")
    known.apply(code=4)
    made = known.last
    known.vendor.lag(list=0, latest=0, get=0)
    known.advance(days_later * DAY)
    for _ in range(3):
        known.load(seconds=DAY)
    assert made in known.ours
    known.once(*JUNE)
    assert known.cancels() == [f"cancel {made}"]


@pytest.mark.parametrize("first", [True, False], ids=["first", "after another user"])
def test_a_key_of_another_user_finds_what_it_made(
    desk: Desk, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are rotated to another user now and then; whose the new one is, no answer told yet."""
    desk.vendor.transfer(2)
    desk.vendor.transfer(1, failing={"2025-06-05": 1})
    if not first:
        declare(desk, web=("2025-06-20",))
        desk.load()
    monkeypatch.setenv("SUPERMETRICS_API_KEY", "key-of-the-year-after")
    declare(desk, SPAN)
    desk.gateway.lose("create")
    desk.apply()
    made = desk.last
    assert desk.backfill(made).user == 502
    assert made in desk.ours
    desk.advance(HOUR)
    for _ in range(2):
        desk.load()
    desk.once(*JUNE)


def test_what_the_old_key_made_stays_ours(known: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    known.vendor.transfer(1, failing={"2025-06-05": 1})
    declare(known, SPAN)
    known.load(seconds=HOUR)
    monkeypatch.setenv("SUPERMETRICS_API_KEY", "key-of-the-year-after")
    for _ in range(2):
        known.load()
    known.once(*JUNE)
    assert len(known.cancels()) == 1


def test_a_gateway_that_sends_twice_is_named(known: Desk) -> None:
    known.vendor.transfer(1)
    declare(known, SPAN)
    known.gateway.repeat("create")
    done = known.apply(code=0)
    assert "made with our key" in done.text
    assert "twice" in done.text
    assert known.last in known.ours
    known.advance(HOUR)
    known.load()
    known.once(*JUNE)


@pytest.mark.parametrize("which", [JUNE, ("2025-06-03", "2025-06-20")], ids=["exactly", "other days"])
def test_a_persons_backfill_in_the_way_is_theirs(known: Desk, which: tuple[str, str]) -> None:
    """It is made while our create is on its way, and fails; none of ours is."""
    known.vendor.transfer(1, failing={"2025-06-05": 99})
    declare(known, SPAN)
    known.gateway.before("create", lambda: known.vendor.by_hand(1, *which))
    done = known.apply(code=3)
    theirs = known.last
    assert str(theirs) in done.text
    assert theirs not in known.ours
    assert known.plan().days.get("in_flight", 0) >= 8
    for _ in range(3):
        known.load(code=None)
    assert (known.cancels(), known.status(theirs)) == ([], "FAILED")
    assert known.twice() == []
