"""Profiles for the laws: ``PLANNING_EXAMPLES=200`` makes them quick while one works on something."""

import os

from hypothesis import HealthCheck, settings

# Laws draw a few hundred bytes and read their choices off them, which is quick.
settings.register_profile(
    "planning-law",
    max_examples=int(os.environ.get("PLANNING_EXAMPLES", "5000")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
settings.register_profile(
    "planning-heavy",
    settings.get_profile("planning-law"),
    max_examples=int(os.environ.get("PLANNING_EXAMPLES", "1000")),
)
