"""What tests over Git servers share."""

import os
from collections.abc import Iterator
from pathlib import Path

import git_servers
import pytest
from git_servers import SERVERS, Remote


@pytest.fixture(params=SERVERS)
def remote(request: pytest.FixtureRequest, tmp_path: Path, of_no_machine: None) -> Iterator[Remote]:
    """A repository of a team, behind each server in turn."""
    with SERVERS[request.param](tmp_path / "served" / "team.git") as remote:
        yield remote


@pytest.fixture
def of_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Git go by no configuration of this machine, in this process and those it starts."""
    if reason := git_servers.why_not():
        assert "CI" not in os.environ, reason  # there a proof that is not run is no proof
        pytest.skip(reason)
    there = git_servers.environment()
    for name in (*git_servers.SPARE, *git_servers.OURS):
        monkeypatch.delenv(name, raising=False)
        if name in there:
            monkeypatch.setenv(name, there[name])
