"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import FILE, Api, Shop, serving


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A folder with a file of two transfers, and no key."""
    made = Shop(tmp_path)
    made.write(FILE)
    return made


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        yield made


@pytest.fixture
def online(shop: Shop, api: Api) -> Shop:
    """A folder whose commands talk to ``api``."""
    shop.env |= api.env
    return shop
