"""Nightly applies beside schedules: each day is loaded once, and once more only where the rule says so.

What the rule looks back on is 15 days long at most, a window and ``final_after``. So six weeks, in which
clocks change, hold what a year does; a year is lived through by some.
"""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from nights import HOURLY, Habit, Nights

ZONES = ["", "Europe/Helsinki", "America/Los_Angeles"]
FINAL_AFTER = [None, 0, 1, 6, 7]
EARLY, LATE, NEVER = timedelta(hours=1), timedelta(hours=9, minutes=55), timedelta(0)
HALF_PAST = timedelta(minutes=30)
HABITS = [
    *(Habit(NEVER, 0, False, until_today=until_today) for until_today in (False, True)),
    *(Habit(HALF_PAST, 1, True, HOURLY, until_today) for until_today in (False, True)),
    *(
        Habit(at, window, today, until_today=until_today)
        for window in (1, 2, 7, 8)
        for today in (False, True)
        for at in (EARLY, LATE)
        for until_today in (False, True)
    ),
]
EVERY = pytest.mark.parametrize(
    "zone, final_after",
    [(zone, final_after) for zone in ZONES for final_after in FINAL_AFTER],
    ids=[f"{zone or 'no zone'}, {final_after}" for zone in ZONES for final_after in FINAL_AFTER],
)


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _file: None)


def live(nights: Nights, count: int, hour: int = 3) -> None:
    """Apply ``count`` nights, each of which must make what the judge says, and nothing else."""
    for _night in range(count):
        nights.wait_until(hour)
        due, made = nights.night()
        for habit, wanted, got in zip(nights.habits, due, made, strict=True):
            assert got == wanted, (nights.as_of, habit)
    for judge in nights.judges:
        assert all(len(loads) <= 2 for loads in judge.by_us.values()), judge.habit


@EVERY
def test_eleven_nights_of_some(tmp_path: Path, zone: str, final_after: int | None) -> None:
    turn = ZONES.index(zone) + FINAL_AFTER.index(final_after)
    live(Nights(tmp_path, HABITS[turn % 4 :: 4], zone, final_after), 11)


HOURS = [
    ("", 12, None),
    ("", 12, 1),
    ("", 22, 0),
    ("Europe/Helsinki", 22, 1),
    ("America/Los_Angeles", 12, 0),
]


@pytest.mark.parametrize("zone, hour, final_after", HOURS)
def test_the_hour_decides_nothing(tmp_path: Path, zone: str, hour: int, final_after: int | None) -> None:
    """At 12:00 UTC it is tomorrow already where a day is over first."""
    live(Nights(tmp_path, HABITS[1::5], zone, final_after), 5, hour)


@pytest.mark.proof
@EVERY
def test_six_weeks_of_all(tmp_path: Path, zone: str, final_after: int | None) -> None:
    live(Nights(tmp_path, HABITS, zone, final_after), 42)


@pytest.mark.proof
@pytest.mark.parametrize(
    "habit, zone, final_after",
    [
        (Habit(LATE, 1, False), "", None),
        (Habit(LATE, 7, False), "America/Los_Angeles", 6),
        (Habit(LATE, 8, True), "Europe/Helsinki", 7),
        (Habit(HALF_PAST, 1, True, HOURLY), "America/Los_Angeles", 1),
    ],
    ids=str,
)
def test_a_year(tmp_path: Path, habit: Habit, zone: str, final_after: int | None) -> None:
    live(Nights(tmp_path, [habit], zone, final_after), 365)


@pytest.mark.parametrize("zone", ZONES, ids=["no zone", "east", "west"])
def test_three_years_of_a_schedule_on_its_own_day_are_enough(tmp_path: Path, zone: str) -> None:
    """09:55 UTC is the hour of the vendor's own example, with that very day as ``data_date``."""
    nights = Nights(tmp_path, [Habit(LATE, 1, True)], zone, None, first=date(2022, 2, 1))
    for _night in range(3):
        nights.wait_until(12)
        due, made = nights.night()
        assert (due, made) == ([[]], [[]])
