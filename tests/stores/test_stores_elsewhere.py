"""A state is not begun at its default place while another one of the team lies above the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.config.loading import load
from reconciler.engine.parts import Parts
from reconciler.errors import Refused, UsageError
from reconciler.model.deltas import Delta
from reconciler.sandbox import Sandbox

API = "https://api.example.com"
FILE = "version: 1\nteam_id: {team}\ntransfers: {{a: {{transfer_id: 1, ranges: []}}}}\n"
Begin = Callable[..., None]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Begin the state of the team of a file, where the flags or the rules say."""
    monkeypatch.chdir(tmp_path)

    def begun(file: str, state: str | None = None, team: int = 5, api: str = API, text: str = FILE) -> None:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(text.format(team=team))
        store = Parts(api, "key", state).store(load([file]).teams[0])
        store.commit(Delta(), expected=store.read()[1])

    return begun


@pytest.mark.parametrize("file", ["eu/a.yaml", "eu/very/deep/a.yaml"])
def test_where_one_lies_above_a_new_one_is_refused(file: str, begin: Begin) -> None:
    begin("a.yaml", "state")
    with pytest.raises(Refused, match="Another state lies above") as caught:
        begin(file)
    assert str(Path("state").resolve()) in caught.value.hint
    assert not Path(file).with_name("state").exists()
    begin(file, "given")
    begin(file, text="state: mine\n" + FILE)


def test_one_beside_the_files_is_as_near(begin: Begin) -> None:
    begin("backfills/a.yaml", "backfills/state")
    with pytest.raises(Refused):
        begin("backfills/a.yaml")


def test_one_that_is_there_goes_on(begin: Begin) -> None:
    begin("eu/a.yaml")
    begin("a.yaml", "state")
    begin("eu/a.yaml")


@pytest.mark.parametrize("of", [{"team": 6}, {"api": "https://other.example.com"}], ids=["team", "API"])
def test_one_of_another_team_or_api_is_no_reason(of: dict[str, object], begin: Begin) -> None:
    begin("a.yaml", "state", **of)
    begin("eu/a.yaml")


def test_a_damaged_one_may_be_of_this_team(begin: Begin) -> None:
    begin("a.yaml", "state")
    Path("state/team-5.db").write_text("{")
    with pytest.raises(Refused):
        begin("eu/a.yaml")


def test_that_of_a_sandbox_is_never_refused(begin: Begin) -> None:
    begin("a.yaml", "state")
    Path("eu").mkdir()
    Path("eu/a.yaml").write_text(FILE.format(team=5))
    Parts(Sandbox.in_memory()).store(load(["eu/a.yaml"]).teams[0])


def test_files_from_several_places_need_one_to_be_named(begin: Begin) -> None:
    begin("eu/a.yaml", "elsewhere")
    (team,) = load(["eu/a.yaml", "eu"]).teams
    Parts(API, "key", "given").store(team)
    Path("eu/b.yaml").write_text(FILE.format(team=5).replace("a: {transfer_id: 1", "b: {transfer_id: 2"))
    (team,) = load(["eu/a.yaml", "eu"]).teams
    with pytest.raises(UsageError, match="remains open"):
        Parts(API, "key").store(team)
