"""The files of a team: which are read together, and where their state lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.config.loading import load
from reconciler.errors import ConfigError, FilesUnread

from .cases import HEAD


def files_in(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "a.yaml"


A, B = (
    HEAD + f"transfers: {{{name}: {{transfer_id: {number}, ranges: []}}}}\n"
    for number, name in ((1, "a"), (2, "b"))
)


@pytest.mark.parametrize(
    "key", ["order: oldest_first", "guards: {max_days_per_apply: 1}", "stuck_after: 1d", "state: s"]
)
def test_a_file_that_is_not_read_may_set_no_key_of_the_team(key: str, tmp_path: Path) -> None:
    read = files_in(tmp_path, a=A, b=f"{key}\n{B}")
    with pytest.raises(FilesUnread) as caught:
        load([read])
    (found,) = caught.value.findings
    assert (found.rule, caught.value.exit_status) == ("BF058", 6)
    assert str(tmp_path / "b.yaml") in found.detail
    assert f"`{key.partition(':')[0]}`" in found.detail
    assert len(load([tmp_path]).teams[0].transfers) == 2
    assert len(load([read, tmp_path / "b.yaml"]).teams[0].transfers) == 2


@pytest.mark.parametrize(
    "other",
    [
        B,
        "",
        "order: [\n" + B.replace("12345", "777"),
        "x: 12345",
        "- team_id: 12345",
        "order: x\n" + B.replace("12345", "123456"),
        "\0 team_id: 12345",
    ],
    ids=["no team key", "empty", "broken", "foreign", "a list", "another team", "binary"],
)
def test_other_neighbours_are_none_of_our_business(other: str, tmp_path: Path) -> None:
    assert load([files_in(tmp_path, a=A, b=other)]).findings == ()


def test_a_broken_neighbour_is_taken_at_its_words(tmp_path: Path) -> None:
    """Nobody can tell what it sets for the team that it names."""
    with pytest.raises(FilesUnread, match="errors") as caught:
        load([files_in(tmp_path, a=A, b="order: [\n" + B)])
    assert [found.rule for found in caught.value.findings] == ["BF058"]


def test_neighbours_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    read = files_in(tmp_path, a=A)
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / ".hidden.yaml").write_text(f"order: oldest_first\n{B}")
    with (tmp_path / "large.yaml").open("wb") as large:
        large.truncate(10**10)
    assert load([read]).findings == ()


def test_a_mistake_in_the_files_comes_before_one_that_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load([files_in(tmp_path, a=A + "typo: 1\n", b=f"order: oldest_first\n{B}")])
    assert sorted(found.rule for found in caught.value.findings) == ["BF022", "BF058"]
    assert caught.value.exit_status == 1


@pytest.mark.parametrize(
    "files, given, expected",
    [
        ("backfills.yaml", ["backfills.yaml"], "state"),
        ("backfills.yaml", ["./backfills.yaml"], "state"),
        ("backfills.yaml", ["."], "state"),
        ("backfills/a.yaml", ["backfills"], "state"),
        ("backfills/a.yaml", ["backfills/"], "state"),
        ("backfills/a.yaml", ["."], "state"),
        ("backfills/a.yaml", ["backfills/a.yaml"], "state"),
        ("backfills/a.yaml", ["backfills/a.yaml", "backfills"], "state"),
        ("backfills/backfills.yaml", ["backfills/backfills.yaml"], "backfills/state"),
        ("eu/a.yaml", ["eu/a.yaml"], "eu/state"),
        ("eu/a.yaml", ["eu"], "state"),
        ("eu/a.yaml", ["eu/../eu"], "state"),
        ("eu/backfills.yaml", ["eu"], "eu/state"),
        ("eu/a.yaml eu/b.yaml", ["eu/a.yaml", "eu/b.yaml"], "eu/state"),
        ("eu/a.yaml eu/b.yaml", ["eu/a.yaml", "eu"], None),
    ],
)
def test_where_the_state_lies_by_default(
    files: str, given: list[str], expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in zip(files.split(), (A, B), strict=False):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    (team,) = load(given).teams
    assert team.default_state == expected


def test_from_inside_a_folder_it_is_the_same_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backfills").mkdir()
    files_in(tmp_path / "backfills", a=A)
    monkeypatch.chdir(tmp_path / "backfills")
    assert [load([path]).teams[0].default_state for path in ("a.yaml", ".")] == ["../state", "../state"]
