"""``status --metrics`` in this process: the file, and what it says where a team cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_rig import Api, Shop

from reconciler.cli.main import run


@pytest.fixture
def here(online: Shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(online.folder)
    monkeypatch.delenv("CI", raising=False)
    for name, value in online.env.items():
        monkeypatch.setenv(name, value)
    return online.folder


def samples(file: Path) -> dict[str, int]:
    """Return the samples, named as short as they can be told."""
    found = re.findall(r"^reconciler_(\w+)\{(.*)\} (\d+)$", file.read_text(), re.M)
    return {
        " ".join([name, *re.findall(r'(?:transfer|bucket)="([^"]*)"', labels)]): int(value)
        for name, labels, value in found
    }


def test_the_file_tells_what_is_known(here: Path, api: Api) -> None:
    file = here / "status.prom"
    assert run(["status", "--metrics", "status.prom"]) == 0
    before = samples(file)
    assert before["dates ads planned"] == 10
    assert "last_apply_timestamp_seconds" not in before
    assert run(["apply", "--auto-approve"]) == 0
    assert run(["status", "--json", "--metrics", "status.prom"]) == 0
    after = samples(file)
    assert (after["dates ads planned"], after["dates ads in_flight"], after["synced ads"]) == (0, 10, 1)
    assert after["last_apply_timestamp_seconds"] >= before["last_read_timestamp_seconds"]
    assert sorted(one.name for one in here.iterdir() if one.name.startswith(".")) == []

    api.sandbox.faults("status-400-before@list")
    assert run(["status", "--metrics", "status.prom"]) == 69
    assert samples(file) == {"declared_dates ads": 10, "declared_dates web": 5}


def test_a_file_that_cannot_be_written_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--metrics", "nowhere/status.prom"]) == 64
    assert "The metrics cannot be written" in capsys.readouterr().err
