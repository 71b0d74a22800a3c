"""Fixtures for the tests of the sandbox."""

from collections.abc import Callable

import pytest
from sandbox_rig import Rig, make_rig


@pytest.fixture
def rig() -> Callable[..., Rig]:
    """Make a rig: `rig(settings={...}, transfers={...}, backfills=[...], open=False, ...)`."""
    return make_rig
