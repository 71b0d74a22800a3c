"""The simulation can fail: with a rule patched away, some schedule soon breaks a promise."""

from __future__ import annotations

import pytest
from simulation_sabotage import FOUND, RULES, Sabotage
from simulation_schedule import play
from test_simulation_schedules import regressions

WITHIN = 1500


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sabotage", RULES, ids=lambda one: one.__name__)
def test_a_missing_rule_is_noticed(sabotage: Sabotage) -> None:
    with sabotage():
        assert any(play(seed).failure for seed in range(WITHIN))


@pytest.mark.parametrize("sabotage", FOUND, ids=lambda one: one.__name__)
def test_what_was_found_is_noticed_again(sabotage: Sabotage) -> None:
    """Each fault that the simulation found, put back, breaks the seed that is kept for it."""
    seeds = [seed for seed, found in regressions() if found == sabotage.__name__]
    assert seeds
    with sabotage():
        assert all(play(seed).failure for seed in seeds)
