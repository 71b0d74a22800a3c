"""The contract over Git: by path in every run, by each server in the proof."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract import Place, StoreContract
from git_rig import place_in
from git_servers import SERVERS


@pytest.fixture(
    params=[
        ("path", False),
        pytest.param(("http", True), marks=pytest.mark.proof),
        pytest.param(("daemon", True), marks=pytest.mark.proof),
    ],
    ids=["path, one clone", "http, a clone each", "daemon, a clone each"],
)
def place(request: pytest.FixtureRequest, tmp_path: Path, away_from_home: None) -> Iterator[Place]:
    server, each = request.param
    with SERVERS[server](tmp_path / "served" / "team.git") as remote:
        yield place_in(remote, tmp_path, each=each)


class TestGitStore(StoreContract):
    """The contract over Git."""

    steps = 4
    attempts = 6
    timeout = 0.5
    least = 0.0
    lease = 2.0

    def passes(self, seconds: float) -> None:
        time.sleep(seconds)
