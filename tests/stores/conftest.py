"""What tests over Git servers share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import contract
import git_servers
import pytest
from git_servers import SERVERS, Remote


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what a test has opened."""
    yield
    while contract.OPENED:
        contract.OPENED.pop().close()


@pytest.fixture(
    params=[pytest.param(one, marks=() if one == "path" else pytest.mark.proof) for one in SERVERS]
)
def remote(request: pytest.FixtureRequest, tmp_path: Path, away_from_home: None) -> Iterator[Remote]:
    """A repository of a team: by path, and in the proof behind the other servers too."""
    with SERVERS[request.param](tmp_path / "served" / "team.git") as remote:
        yield remote


@pytest.fixture
def away_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have Git go by no configuration of this machine, here and in what is started; leave nothing there."""
    if reason := git_servers.why_not():
        assert "CI" not in os.environ, reason  # there a proof that is not run is no proof
        pytest.skip(reason)
    there = git_servers.environment()
    for name in (*git_servers.SPARE, *git_servers.OURS):
        monkeypatch.delenv(name, raising=False)
        if name in there:
            monkeypatch.setenv(name, there[name])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # and back at the end
