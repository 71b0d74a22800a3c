"""Days loaded on themselves, and days whose figures are not final: once, and once more only by the rule."""

from __future__ import annotations

from datetime import date, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from stranger_rig import Stranger
from stranger_world import DAY, World, day, days, moment

THE_DAY = day("2025-06-30")
HOURLY = " ".join(f"{hour:02}:30" for hour in range(24))


def declare(stranger: Stranger, ranges: str, final_after: int | None = None, **team: object) -> None:
    told: dict[str, object] = {"transfer_id": 1, "ranges": [ranges], "allow_today": ranges.endswith("today")}
    told |= {} if final_after is None else {"final_after": f"{final_after}d"}
    stranger.declare({"ads": told}, **team)


@pytest.mark.parametrize("final_after, again", [(None, 2), (0, 1), (1, 2), (6, 7)])
def test_a_day_that_we_loaded_on_itself_is_due_once_more(
    stranger: Stranger, final_after: int | None, again: int
) -> None:
    world = stranger.world
    world.transfer(1)
    declare(stranger, "2025-07-02..today", final_after)
    counts = []
    for _ in range(9):
        world.until("09:00")
        stranger.apply(code=0)
        world.advance(hours=1)
        counts.append(world.bought(1).count(day("2025-07-02")))
    assert counts == [1] * again + [2] * (9 - again)


@pytest.mark.parametrize("hour", ["03:00", "12:00"], ids=["night", "noon"])
def test_days_that_were_not_final_are_made_again_when_they_are(stranger: Stranger, hour: str) -> None:
    """Made on 2 July: that is final up to 25 June; 26 June counts through 3 July, and is due on 4 July."""
    world = stranger.world
    world.transfer(1)
    declare(stranger, "2025-06-20..2025-06-30", 7)
    for _ in range(8):
        world.until(hour)
        stranger.apply(code=0)
    first, *later = stranger.created
    assert first == "1 2025-06-20..2025-06-30"
    assert later == [f"1 {one}..{one}" for one in days("2025-06-26", "2025-06-30")]


@pytest.mark.parametrize("later", ["FAILED", None], ids=["later runs failed", "no later run"])
def test_a_scheduled_run_at_six_of_its_own_day(stranger: Stranger, later: str | None) -> None:
    stranger.world.transfer(1)
    stranger.world.ran(1, THE_DAY, moment("2025-06-30 06:00"), moment("2025-06-30 06:05"))
    if later:
        stranger.world.ran(1, THE_DAY, moment("2025-06-30 18:00"), moment("2025-06-30 18:05"), later)
    declare(stranger, str(THE_DAY))
    for _ in range(4):
        stranger.load(hours=24)
    assert stranger.world.bought(1) == ([THE_DAY] if later else [])


def test_schedules_on_their_own_day_plan_nothing_by_default_and_are_named(stranger: Stranger) -> None:
    stranger.world.transfer(1, "09:55", "2022-07-01", today=True)
    declare(stranger, "2022-07-01..yesterday")
    assert stranger.plan(code=0).days == {"covered": 1096}
    assert "final_after" in stranger.run("plan", code=0).text
    stranger.load()
    assert stranger.created == []


# --- nights --------------------------------------------------------------------------------------------

SINCE, NIGHTS = day("2025-06-20"), 10
FIRST_TO_END = timezone(timedelta(hours=14))  # where no zone is set: there a day is over first
SCHEDULES = {
    "the day before, later": ("09:00", 1, False, None),
    "the day before, earlier": ("01:00", 1, False, None),
    "its own day": ("09:55", 1, True, None),
    "two days": ("09:55", 2, True, None),
    "a week": ("01:00", 7, False, None),
    "eight days": ("09:55", 8, True, None),
    "hourly": (HOURLY, 1, True, None),
    "hourly, east": (HOURLY, 1, True, "Europe/Helsinki"),
    "hourly, west": (HOURLY, 1, True, "America/Los_Angeles"),
}
FINAL_AFTER = (None, 0, 1, 6, 7)
QUICK = {
    ("the day before, later", None),
    ("the day before, later", 7),
    ("its own day", 0),
    ("two days", 1),
    ("a week", 6),
    ("eight days", 7),
    ("hourly", None),
    ("hourly", 1),
    ("hourly, west", 1),
}
CASES = [
    pytest.param(name, final, marks=[] if (name, final) in QUICK else [pytest.mark.proof])
    for name in SCHEDULES
    for final in FINAL_AFTER
]


def due_tonight(world: World, zone: tzinfo, final_after: int | None) -> list[date]:
    """Return the days that must be loaded tonight, by the rule."""
    begun: dict[date, list[date]] = {}
    for load in world.loads:
        begun.setdefault(load.day, []).append(load.begun.astimezone(zone).date())
    declared = days(SINCE, world.today - DAY)
    return [one for one in declared if is_due(one, begun.get(one, []), world.today, final_after)]


def is_due(which: date, begun: list[date], as_of: date, final_after: int | None) -> bool:
    if final_after is None or not begun:
        return not begun
    is_provisional = as_of <= which + DAY * final_after
    return not is_provisional and max(begun) < which + DAY * max(final_after, 1)


@pytest.mark.parametrize("name, final_after", CASES)
def test_nightly_applies_buy_a_day_once_and_once_more_only_by_the_rule(
    stranger: Stranger, name: str, final_after: int | None
) -> None:
    world, (at, window, today, zone) = stranger.world, SCHEDULES[name]
    world.transfer(1, at, "2025-06-10", window=window, today=today)
    declare(stranger, f"{SINCE}..yesterday", final_after, **({"timezone": zone} if zone else {}))
    for _ in range(NIGHTS):
        world.until("10:00" if zone else "03:00")  # ten is three o'clock in the west
        before, there = world.bought(1), ZoneInfo(zone) if zone else FIRST_TO_END
        due = due_tonight(world, there, final_after)
        stranger.apply(code=0)
        world.advance(hours=1)
        assert world.bought(1) == sorted(before + due), (world.today, due)
