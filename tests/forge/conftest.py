"""Fixtures: a forge that answers, and plans to comment with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "planning"))

from forge_stub import ForgeStub, serving


@pytest.fixture
def forge() -> Iterator[ForgeStub]:
    with serving() as stub:
        yield stub
