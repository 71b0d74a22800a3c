"""``retry`` forgets whatever keeps days from being due, once: what comes after it counts again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from stranger_api import Refused
from stranger_rig import Stranger
from stranger_world import DAY, day, days, moment

MAY = days("2025-05-01", "2025-05-31")
UNKNOWN_WORD = ("2025-06-30 02:00", "2025-06-30 02:05", "SKIPPED")
GOING_ON = ("2025-06-01 02:00", None, "RUNNING")
NOT_FOUND = Refused(404, "NOT_FOUND", "Not Found", "The requested backfill could not be found.")


def declare(stranger: Stranger, *ranges: str, **more: object) -> None:
    stranger.declare({"ads": {"transfer_id": 1, "ranges": list(ranges), **more}})


def retry(stranger: Stranger, *arguments: str) -> None:
    stranger.run("retry", "ads", *arguments, "--auto-approve", code=0)


@pytest.mark.parametrize(
    "run, reason", [(UNKNOWN_WORD, "unknown-status"), (GOING_ON, "stuck")], ids=["unknown", "stuck"]
)
def test_runs_that_tell_nothing(stranger: Stranger, run: tuple[str, str | None, str], reason: str) -> None:
    began, ended, word = run
    which = moment(began).date() - DAY
    stranger.world.transfer(1)
    stranger.world.ran(1, which, moment(began), moment(ended) if ended else None, word)
    declare(stranger, str(which))
    assert stranger.plan().why("blocked") == {reason: 1}
    retry(stranger)
    assert stranger.plan(code=0).reasons == {"never-loaded": 1}
    stranger.load()
    stranger.load()
    assert stranger.world.bought(1) == [which]
    now = stranger.world.now
    stranger.world.ran(1, which, now, now + timedelta(minutes=1), "SKIPPED")
    stranger.world.advance(hours=1)
    assert stranger.plan(code=0).days == {"covered": 1}


def test_a_run_after_it_counts_again(stranger: Stranger) -> None:
    stranger.world.transfer(1)
    which = day("2025-06-29")
    stranger.world.ran(1, which, moment("2025-06-30 02:00"), moment("2025-06-30 02:05"), "SKIPPED")
    declare(stranger, str(which))
    retry(stranger)
    stranger.world.advance(hours=1)
    now = stranger.world.now
    stranger.world.ran(1, which, now, now + timedelta(minutes=1), "SKIPPED")
    stranger.world.advance(hours=1)
    assert stranger.plan().why("blocked") == {"unknown-status": 1}


def test_days_that_nobody_can_tell_of(stranger: Stranger) -> None:
    stranger.world.transfer(1)
    declare(stranger, "2025-05", evidence="backfills")
    stranger.load(hours=0.1)
    first = next(iter(stranger.world.backfills.values()))
    first.forced["transfer_runs_completed"] = 0
    for _ in range(3):
        stranger.load(hours=1, code=None)
    assert stranger.plan().why("failed") == {"unlocated": 31}
    retry(stranger, "2025-05-01..2025-05-10")
    shown = stranger.plan()
    assert (shown.days, shown.why("failed")) == ({"planned": 10, "failed": 21}, {"unlocated": 21})
    for _ in range(3):
        stranger.load(code=3)
    assert stranger.created == ["1 2025-05-01..2025-05-31", "1 2025-05-01..2025-05-10"]
    assert stranger.plan().days == {"covered": 10, "failed": 21}


def test_a_backfill_that_is_gone(stranger: Stranger) -> None:
    stranger.world.transfer(1)
    declare(stranger, "2025-05", evidence="backfills")
    stranger.load(hours=0.2)
    stranger.manners.refusals["get", None] = stranger.manners.refusals["latest", 1] = NOT_FOUND
    stranger.world.advance(hours=12)
    assert stranger.plan().days == {"in_flight": 31}  # it may be a read that lags
    stranger.load(hours=14, code=None)
    assert stranger.plan().why("blocked") == {"gone": 31}
    stranger.apply(code=3)
    retry(stranger)
    assert stranger.plan().days == {"planned": 31}
    stranger.manners.refusals.clear()  # it comes back
    assert stranger.plan(code=0).days == {"covered": 31}
    stranger.load()
    assert (len(stranger.created), stranger.world.bought(1)) == (1, MAY)


def test_attempts_begin_anew(stranger: Stranger) -> None:
    stranger.world.transfer(1, failing={MAY[8]: 5})
    declare(stranger, "2025-05", max_attempts=2, retry_after="0s")
    for made in (2, 4, 6):
        for _ in range(4):
            stranger.load(hours=2, code=None)
        assert len(stranger.created) == made
        if made < 6:
            assert stranger.plan().why("failed") == {"attempts": 1}
            retry(stranger, str(MAY[8]))
    assert (stranger.world.bought(1), stranger.plan(code=0).days) == (MAY, {"covered": 31})


def test_a_wait_for_the_next_attempt(stranger: Stranger) -> None:
    stranger.world.transfer(1, failing={MAY[8]: 1})
    declare(stranger, "2025-05", retry_after="6h")
    stranger.load(hours=1)
    assert stranger.plan(code=0).why("waiting") == {"backoff": 1}
    retry(stranger)
    assert stranger.plan(code=0).reasons == {"failed": 1}
    stranger.load()
    assert stranger.world.bought(1) == MAY


@pytest.mark.parametrize("what", ["covered", "in flight", "paused", "no-evidence", "unknown-history"])
def test_what_it_does_not_forget(stranger: Stranger, what: str) -> None:
    """A yes to retry is none to loading a day twice, or past what a person, a read or a memory must tell."""
    world, blind = stranger.world, what == "unknown-history"
    world.transfer(1, state="paused" if what == "paused" else "active")
    declare(stranger, "2025-05", **({"evidence": "backfills"} if blind else {}))
    if what in ("covered", "in flight"):
        stranger.load(hours=12 if what == "covered" else 0.1)
    if what == "no-evidence":
        stranger.manners.refusals["runs", 1] = Refused(403, "FORBIDDEN")
    if blind:
        world.create(1, MAY[0], MAY[0])
        world.advance(hours=1)
    before = stranger.plan().days
    retry(stranger)
    assert (stranger.plan().days, stranger.plan().actions) == (before, [])


def test_a_retry_does_not_speak_of_a_run_that_may_have_begun_since(stranger: Stranger) -> None:
    """The one under way does not tell when it was created: it may be the schedule's own second try."""
    world = stranger.world
    world.transfer(5)
    world.ran(5, day("2025-06-01"), moment("2025-06-02 02:00"), moment("2025-06-02 02:05"), "LOST")
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-06-01"]}})
    stranger.run("retry", "ads", "--auto-approve", code=0)
    stranger.apply(code=0)
    world.cancel(max(world.backfills))
    world.advance(hours=30)
    stranger.manners.runs_told = "ended"
    world.ran(5, day("2025-06-01"), world.now, world.now + timedelta(seconds=90), "COMPLETED")
    world.advance(minutes=1)
    assert stranger.plan().days == {"blocked": 1}
    world.advance(hours=3)
    stranger.apply()
    assert not world.twice()


def test_a_run_under_way_that_tells_no_time_is_not_stale(stranger: Stranger) -> None:
    world = stranger.world
    world.transfer(5)
    world.ran(5, day("2025-06-30"), moment("2025-06-30 23:00"), moment("2025-06-30 23:05"), "COMPLETED")
    stranger.declare({"ads": {"transfer_id": 5, "ranges": ["2025-06-30"], "stale_before": "2025-07-01"}})
    stranger.manners.runs_told = "ended"
    world.ran(5, day("2025-06-30"), world.now, world.now + timedelta(seconds=90), "COMPLETED")
    world.advance(minutes=1)
    assert (stranger.plan().actions, stranger.plan().days) == ([], {"in_flight": 1})
