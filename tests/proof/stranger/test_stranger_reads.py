"""Lists are read to their end, whatever a page looks like."""

from __future__ import annotations

from datetime import timedelta

import pytest
from stranger_rig import NOON, Stranger
from stranger_world import day

LAST = NOON.date() - timedelta(days=1)
ALL = 1240


def declare(stranger: Stranger, count: int) -> None:
    """Declare the ``count`` days until yesterday."""
    first = LAST - timedelta(days=count - 1)
    stranger.declare({"ads": {"transfer_id": 1, "ranges": [f"{first}..{LAST}"]}})


def nightly(stranger: Stranger, count: int, **how: object) -> None:
    """Make a transfer whose schedule loaded the ``count`` days until yesterday, a run each."""
    stranger.world.transfer(1, "02:00", str(LAST - timedelta(days=count - 2)), **how)


@pytest.mark.parametrize("by", ["created_time", "data_date"])
@pytest.mark.parametrize("announced", [False, True], ids=["plain", "announced"])
@pytest.mark.parametrize("cap", [1000, 500, 100])
def test_clamped_pages_hide_nothing(stranger: Stranger, cap: int, announced: bool, by: str) -> None:
    stranger.manners.page_cap, stranger.manners.announced, stranger.manners.runs_filter = cap, announced, by
    nightly(stranger, ALL)
    declare(stranger, ALL)
    assert stranger.plan(code=0).days == {"covered": ALL}
    stranger.load()
    assert stranger.created == []


@pytest.mark.parametrize("announced", [False, True], ids=["plain", "announced"])
def test_runs_of_equal_times_hide_nothing(stranger: Stranger, announced: bool) -> None:
    """All runs of a backfill are created at once, and nothing orders those from page to page."""
    world, manners = stranger.world, stranger.manners
    world.transfer(1, seconds=1.0)
    made = world.create(1, day("2024-01-01"), day("2024-12-31"))
    world.advance(hours=1)
    world.create(1, day("2023-06-01"), day("2023-06-01"))  # hides it in `latest`
    world.advance(hours=1)
    for run in made.runs.values():
        run.created = made.created
    manners.page_cap, manners.announced, manners.ties_by_page = 100, announced, True
    stranger.declare({"ads": {"transfer_id": 1, "ranges": ["2024"]}})
    assert stranger.plan(code=0).days == {"covered": 366}
    stranger.load()
    assert (stranger.created, world.twice()) == ([], set())


def test_runs_with_long_messages_are_read(stranger: Stranger) -> None:
    hourly = " ".join(f"{hour:02}:00" for hour in range(24))
    since = str(LAST - timedelta(days=374))
    stranger.world.transfer(1, hourly, since, today=True, message="a row was dropped. " * 50)
    declare(stranger, 375)
    assert len(stranger.world.runs) > 9000
    assert stranger.plan(code=0).days == {"covered": 375}


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "plain"])
def test_a_page_that_fails_blocks_what_it_may_hold(stranger: Stranger, announced: bool) -> None:
    stranger.manners.page_cap, stranger.manners.announced = 100, announced
    stranger.manners.pages_from = 100
    nightly(stranger, 150)
    declare(stranger, 150)
    stranger.apply(code=69)
    shown = stranger.plan(code=69)
    assert set(shown.why("blocked")) == {"no-evidence"}
    assert (stranger.created, shown.actions) == ([], [])


@pytest.mark.parametrize("announced", [False, True], ids=["plain", "announced"])
def test_lists_may_be_wrapped(stranger: Stranger, announced: bool) -> None:
    stranger.manners.announced = announced
    stranger.world.transfer(1)
    stranger.world.transfer(2, state="paused")
    stranger.world.create(1, day("2025-06-01"), day("2025-06-30"))
    ranges = {"ranges": ["2025-06"]}
    stranger.declare({"ads": {"transfer_id": 1, **ranges}, "tv": {"transfer_id": 2, **ranges}})
    shown = stranger.plan(code=0)
    assert (shown.days, shown.why("blocked")) == ({"in_flight": 30, "blocked": 30}, {"paused": 30})


@pytest.mark.parametrize("evidence", ["runs", "backfills"])
def test_lists_that_lag_make_nothing_twice(stranger: Stranger, evidence: str) -> None:
    stranger.manners.list_lag = stranger.manners.runs_lag = 600
    stranger.world.transfer(1)
    stranger.declare({"ads": {"transfer_id": 1, "evidence": evidence, "ranges": ["2025-06"]}})
    for _ in range(8):
        stranger.load(hours=0.1)
    stranger.world.advance(hours=6)
    stranger.load()
    assert (stranger.created, stranger.world.twice()) == (["1 2025-06-01..2025-06-30"], set())


@pytest.mark.parametrize("evidence", ["runs", "backfills"])
@pytest.mark.parametrize("post", ["twice", "lost"])
@pytest.mark.parametrize("by_second", [False, True], ids=["by id", "by second"])
def test_gateways_make_nothing_twice(stranger: Stranger, post: str, by_second: bool, evidence: str) -> None:
    stranger.manners.post, stranger.manners.latest_by_second = post, by_second
    stranger.world.transfer(1)
    stranger.declare(
        {"ads": {"transfer_id": 1, "evidence": evidence, "chunk": "month", "ranges": ["2025-05", "2025-06"]}}
    )
    for _ in range(6):
        stranger.load(hours=1, code=None)
    stranger.load(code=0)
    assert stranger.world.twice() == set()
    assert sorted(stranger.created) == ["1 2025-05-01..2025-05-31", "1 2025-06-01..2025-06-30"]
    assert stranger.plan(code=0).days == {"covered": 61}


def test_a_range_cut_at_its_end_is_loaded_in_parts_or_named(stranger: Stranger) -> None:
    stranger.manners.cut_end = 10
    stranger.world.transfer(1)
    stranger.declare({"ads": {"transfer_id": 1, "ranges": ["2025-06"]}})
    stranger.load(code=3)
    shown = stranger.plan()
    assert shown.days == {"covered": 10, "planned": 20}
    for _ in range(3):
        stranger.load(hours=24, code=None)
    assert (stranger.world.missing(1, [day("2025-06-30")]), stranger.world.twice()) == ([], set())
