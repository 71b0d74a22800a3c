"""The simulation can fail: with a rule patched away, some schedule soon breaks a promise."""

from __future__ import annotations

import pytest
from simulation_sabotage import BELIEFS, FOUND, RARE, RULES, Sabotage
from simulation_sabotage_trust import RARE_OF_TRUST, TRUST
from simulation_schedule import play
from simulation_wide_schedule import FIRST_WIDE
from test_simulation_schedules import regressions

WITHIN = 1500


def name_of(sabotage: Sabotage) -> str:
    return sabotage.__name__


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sabotage", RULES, ids=name_of)
def test_a_missing_rule_is_noticed(sabotage: Sabotage) -> None:
    with sabotage():
        assert any(play(seed).failure for seed in range(WITHIN))


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sabotage", BELIEFS, ids=name_of)
def test_a_missing_rule_of_belief_is_noticed(sabotage: Sabotage) -> None:
    """By a wide schedule that holds every promise without the sabotage."""
    seeds = range(FIRST_WIDE, FIRST_WIDE + WITHIN)
    with sabotage():
        noticed = next((seed for seed in seeds if play(seed).failure), None)
    assert noticed is not None
    assert play(noticed).failure is None


@pytest.mark.proof
@pytest.mark.parametrize("sabotage", [*FOUND, *TRUST], ids=name_of)
def test_what_was_found_is_noticed_again(sabotage: Sabotage) -> None:
    """Each fault that the simulation found, put back, breaks the seed that is kept for it; so does a missing
    rule of trust.
    """
    seeds = [seed for seed, found in regressions() if found == name_of(sabotage)]
    assert seeds
    with sabotage():
        assert all(play(seed).failure for seed in seeds)


@pytest.mark.parametrize("sabotage", [*RULES, *BELIEFS, *FOUND, *RARE, *TRUST, *RARE_OF_TRUST], ids=name_of)
def test_what_a_sabotage_patches_is_still_there(sabotage: Sabotage) -> None:
    """A rule that moved would make its sabotage a proof of nothing."""
    with sabotage():
        pass
