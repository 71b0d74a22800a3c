"""Backfills that ended before their runs, or all of their counts, are shown."""

from __future__ import annotations

import pytest
from stranger_api import Refused
from stranger_rig import Stranger
from stranger_world import Backfill, Run, day, days

MODES = ["runs", "backfills"]
COUNTS = ("transfer_runs_total", "transfer_runs_created", "transfer_runs_completed", "transfer_runs_failed")


def declare(stranger: Stranger, ranges: str, evidence: str = "runs") -> None:
    stranger.manners.failed_blocks = False
    stranger.declare({"ads": {"transfer_id": 5, "evidence": evidence, "ranges": [ranges]}})


def counted(total: int, completed: int, failed: int) -> dict[str, int]:
    return dict(zip(COUNTS, (total, total, completed, failed), strict=True))


def ended(
    stranger: Stranger, words: str, runs: list[tuple[str, str]], per_day: int = 1
) -> tuple[Backfill, list[Run]]:
    """Return a backfill of a person's that FAILED and reports nothing, and its runs, in their order."""
    world = stranger.world
    world.transfer(5, per_day=per_day)
    first, last = words.split("..")
    made = world.create(5, day(first), day(last))
    made.queue.clear()
    shown = []
    for on, word in runs:
        world.advance(minutes=1)
        shown.append(world.ran(5, day(on), world.now, world.now, word, made.id))
        made.runs[day(on), len(shown)] = shown[-1]
    made.forced |= {"status": "FAILED", "error_report": []}
    world.advance(minutes=1)
    return made, shown


TWICE = [
    ("2025-06-05", "COMPLETED"),
    ("2025-06-04", "COMPLETED"),
    ("2025-06-03", "FAILED"),
    ("2025-06-03", "FAILED"),  # counted once
    ("2025-06-02", "COMPLETED"),
    ("2025-06-01", "COMPLETED"),
]


@pytest.mark.parametrize("which", [5, 0], ids=["one that lags", "one that was forgotten"])
def test_a_run_that_was_tried_twice_stands_for_none_that_is_missing(stranger: Stranger, which: int) -> None:
    made, runs = ended(stranger, "2025-06-01..2025-06-05", TWICE)
    made.forced |= counted(5, 4, 1)
    stranger.world.runs.remove(runs[which])
    declare(stranger, "2025-06-01..2025-06-05")
    shown = stranger.plan(code=0)
    assert (shown.reasons, shown.why("waiting")) == ({"failed": 1}, {"settling": 1})
    stranger.load(hours=2)
    assert stranger.plan().why("failed") == {"unlocated": 1}
    stranger.world.runs.append(runs[which])
    stranger.load(code=None)
    assert stranger.world.twice() == set()
    assert stranger.plan(code=0).days == {"covered": 5}


def test_of_several_runs_a_day_none_that_was_tried_twice_stands_for_another(stranger: Stranger) -> None:
    words = [
        "03 COMPLETED",
        "03 FAILED",
        "03 FAILED",
        "02 COMPLETED",
        "01 COMPLETED",
        "01 COMPLETED",
        "02 FAILED",
    ]
    pairs = [(f"2025-05-{word[:2]}", word[3:]) for word in words]
    made, runs = ended(stranger, "2025-05-01..2025-05-03", pairs, per_day=2)
    made.forced |= counted(6, 4, 2)
    stranger.world.runs.remove(runs[-1])
    declare(stranger, "2025-05-01..2025-05-03")
    assert stranger.plan(code=0).why("waiting") == {"settling": 3}
    stranger.apply(code=0)
    stranger.world.runs.append(runs[-1])
    for _ in range(3):
        stranger.load(hours=3)
    assert stranger.created == ["5 2025-05-02..2025-05-03"]


@pytest.mark.parametrize("word", ["FAILED", "CANCELLED", "COMPLETED"])
def test_counts_that_lag_as_a_whole_buy_nothing(stranger: Stranger, word: str) -> None:
    world = stranger.world
    transfer = world.transfer(5)
    if word == "FAILED":
        transfer.failing[day("2025-05-31")] = 1
    made = world.create(5, day("2025-05-01"), day("2025-05-31"))
    world.advance(minutes=20 if word == "CANCELLED" else 33)
    if word == "CANCELLED":
        world.cancel(made.id)
        world.advance(minutes=1.5)
    made.forced |= {**counted(0, 0, 0), "error_report": []}
    stranger.manners.runs_lag = 14 * 60
    declare(stranger, "2025-05")
    assert stranger.plan(code=0).actions == []
    stranger.load(hours=2)
    assert stranger.created == []
    made.forced.clear()
    stranger.load(hours=3)
    assert world.twice() == set()


@pytest.mark.parametrize("evidence", MODES)
@pytest.mark.parametrize("word", ["CANCELLED", "FAILED"])
def test_what_ended_early_may_count_only_what_it_made(stranger: Stranger, word: str, evidence: str) -> None:
    """Ten runs of 31 days were created, and all completed: that says nothing of the other days."""
    world = stranger.world
    world.transfer(5)
    declare(stranger, "2025-05", evidence)
    if evidence == "backfills":
        stranger.apply(code=0)
    else:
        world.create(5, day("2025-05-01"), day("2025-05-31"))
    made = next(iter(world.backfills.values()))
    world.advance(minutes=10.5)
    if word == "CANCELLED":
        world.cancel(made.id)
    else:
        made.queue.clear()
        made.forced |= {"status": word, "end_time": "2025-07-01T12:12:00Z"}
    world.advance(minutes=5)
    made.forced |= counted(len(made.runs), len(made.runs), 0)
    assert stranger.plan(code=0).actions == []
    stranger.load(hours=6)
    if evidence == "backfills":
        assert stranger.plan().why("failed") == {"unlocated": 31}
    else:
        stranger.load()
        assert world.missing(5, days("2025-05-01", "2025-05-31")) == []
    assert world.twice() == set()


def test_of_one_that_completed_and_is_gone_the_run_list_settles_first(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran for longer than a day; the API keeps no record of it, and the run list lags."""
    world = stranger.world
    world.transfer(5, seconds=600.0)
    stranger.manners.runs_lag = 14 * 60
    declare(stranger, "2025-01-01..2025-06-09")
    stranger.apply(code=0)
    made = next(iter(world.backfills.values()))
    while len(made.queue) > 1:
        world.advance(minutes=10)
    stranger.apply(code=0)
    while made.status(world.now) != "COMPLETED":
        world.advance(minutes=1)
    for call in ("get", "latest"):
        stranger.manners.refusals[call, None] = Refused(404, "NOT_FOUND")
    assert stranger.plan(code=0).actions == []
    for _ in range(2):
        stranger.load(hours=1.5)
    assert (stranger.created, world.twice()) == (["5 2025-01-01..2025-06-09"], set())
    assert stranger.plan(code=0).days == {"covered": 160}
