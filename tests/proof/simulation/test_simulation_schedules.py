"""The real apply under seeded schedules of faults, kills, freezes, people and other runs.

A seed that fails is named with the command that plays it again, step by step. ``seeds.txt`` keeps
the seeds that found something, each with a word why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from simulation_schedule import play
from simulation_trust_schedule import FIRST_TRUST
from simulation_wide_schedule import FIRST_WIDE
from soak import failure_text

# With those played twice, 25: this is no long run.
FEW = (*range(7), *range(FIRST_WIDE, FIRST_WIDE + 5), *range(FIRST_TRUST, FIRST_TRUST + 7))
NARROW = range(1_000, 17_500)
WIDE = range(FIRST_WIDE + 1_000, FIRST_WIDE + 2_100)
TRUST = range(FIRST_TRUST + 1_000, FIRST_TRUST + 3_400)
BATCH = 100
SEEDS = Path(__file__).parent / "seeds.txt"
MET = (
    "event:Created",
    "event:Cancelled",
    "event:WriteRefused",
    "event:Settled",
    "event:UnknownOutcome",
    "event:Withdrawn",
    "fault:POST:late",
    "fault:POST:lost_after",
    "freeze:GET-answered",
    "freeze:POST",
    "kill:inside",
    "kill:commit",
    "kill:committed",
    "left:half",
    "left:undone",
    "signal:commit",
    "unheard:kept",
    "unheard:kept and given up",
    "unheard:not kept",
    "unheard:not kept and given up",
)
MET_BY_TRUST = (
    "event:LeftUndone",
    "event:AppliedBefore",
    "event:Withdrawn",
    "fault:POST:slow_down",
    "fault:POST:twice",
    "fault:POST:twice_apart",
    "freeze:prompt",
    "kill:prompt",
    "taken for ours",
    "old copy refused",
    "push refused",
    "pushed",
)


def check(seeds: Iterable[int]) -> Counter[str]:
    """Play seeds; return what was met on the way."""
    counts: Counter[str] = Counter()
    failures = []
    for seed in seeds:
        played = play(seed)
        counts += played.counts
        if played.failure:
            failures.append(failure_text(played))
    assert not failures, "\n" + "\n".join(failures)
    return counts


def regressions() -> list[tuple[int, str]]:
    lines = (one.partition("#")[0].strip() for one in SEEDS.read_text("utf-8").splitlines())
    return [(int(one.split()[0]), one.split()[1]) for one in lines if one]


def test_a_few_schedules_hold_every_promise() -> None:
    check(FEW)


@pytest.mark.proof
def test_schedules_meet_what_may_go_wrong() -> None:
    counts = check(range(200))
    assert [name for name in MET if not counts[name]] == []


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_schedules_of_trust_meet_what_may_go_wrong() -> None:
    counts = check(range(FIRST_TRUST, FIRST_TRUST + 300))
    assert [name for name in MET_BY_TRUST if not counts[name]] == []


@pytest.mark.proof
@pytest.mark.parametrize("seed, found", regressions())
def test_what_was_found_stays_fixed(seed: int, found: str) -> None:
    check([seed])


@pytest.mark.parametrize("seed", [7, FIRST_WIDE + 7, FIRST_TRUST + 7])
def test_a_seed_always_plays_out_the_same(seed: int) -> None:
    first, again = play(seed, tracing=True), play(seed, tracing=True)
    assert first.trace == again.trace
    assert len(first.trace) > 20


@pytest.mark.proof
@pytest.mark.parametrize("first", [one for kind in (NARROW, WIDE, TRUST) for one in kind[::BATCH]])
def test_20000_schedules_hold_every_promise(first: int) -> None:
    check(range(first, first + BATCH))
