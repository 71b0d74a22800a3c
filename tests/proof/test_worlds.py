"""Plan, apply, plan again: over random worlds and files, seeded. A failing seed is in the test's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds import World

from reconciler.planning.ledger import Bucket

FEW = range(60)
ALL = range(2000)
BATCH = 50


def live(seed: int, folder: Path) -> None:
    """Take one world through its rounds, holding every promise after each."""
    world = World(seed, folder)
    if world.rng.random() < 0.5:
        world.people_meddle()
    for _round in range(5):
        surveyed, calls = world.calls_of_plan()
        world.check_buckets(surveyed)
        world.check_calls(calls, surveyed)
        apply_to_the_end(world)
        again = world.plan()
        assert not again.plan.actions, "a second plan is not empty"
        world.check_buckets(again)
        world.check_no_overlap()
        world.time_passes()
        if world.rng.random() < 0.5:
            world.people_meddle()
    settle(world)


def apply_to_the_end(world: World) -> None:
    """Apply; a refusal stops its transfer (exit 3), and the next run goes on with the rest, or takes the
    place that a cancelled shell has left.
    """
    for _run in range(40):
        report = world.apply()
        assert report.statuses <= {3, 4}, report
        if not report.statuses and not report.cancelled:
            return
        if 4 in report.statuses:
            world.people_resolve()
    raise AssertionError("refusals do not come to an end")


def settle(world: World) -> None:
    """Without people meddling, everything that can be loaded is loaded in the end."""
    for round_ in range(200):
        world.time.now += 86400
        world.people_tidy(all_of_them=round_ > 10)
        if not world.plan().plan.actions and not world.plan().plan.counts[Bucket.DEFERRED]:
            break
        apply_to_the_end(world)
    counts = world.plan().plan.counts
    assert counts[Bucket.PLANNED] == counts[Bucket.DEFERRED] == 0, counts
    assert counts[Bucket.FUTURE] == 0, counts


@pytest.mark.parametrize("seed", FEW)
def test_a_few_worlds_converge(seed: int, tmp_path: Path) -> None:
    live(seed, tmp_path)


@pytest.mark.proof
@pytest.mark.parametrize("first", range(ALL.start, ALL.stop, BATCH))
def test_2000_worlds_converge(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + BATCH):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            live(seed, folder)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
