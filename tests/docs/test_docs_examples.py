"""The examples are good files, in the docs and beside them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from docs_fences import PAGES, ROOT, Fence, fences

from reconciler.config.loading import read_files
from reconciler.config.schema import json_schema
from reconciler.sandbox.scene import read_scene

EXAMPLE = ROOT / "examples" / "backfills.yaml"
YAML = [fence for page in PAGES for fence in fences(page) if fence.language in ("yaml", "yml")]
WHOLE = [fence for fence in YAML if not {"fragment", "world"} & set(fence.words)]
WORLDS = [fence for fence in YAML if "world" in fence.words]


def test_example_validates_without_findings() -> None:
    loaded = read_files([EXAMPLE], as_of=None, now=datetime.now(UTC))
    assert loaded.findings == ()
    assert [len(team.transfers) for team in loaded.teams] == [3]


def test_example_shows_every_key_or_names_it_in_a_comment() -> None:
    text = EXAMPLE.read_text("utf-8")
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    keys = {key for part in parts for key in part.get("properties", ())}
    assert [key for key in sorted(keys) if f"{key}:" not in text] == []
    assert text.startswith("# yaml-language-server: $schema=./backfills.schema.json\n")
    assert yaml.safe_load(text).get("state") is None


@pytest.mark.parametrize("fence", WHOLE, ids=lambda fence: fence.where)
def test_whole_files_in_the_docs_validate(fence: Fence, tmp_path: Path) -> None:
    file = tmp_path / "backfills.yaml"
    file.write_text(fence.body, "utf-8")
    assert read_files([file], as_of=None, now=datetime.now(UTC)).findings == ()


@pytest.mark.parametrize("fence", WORLDS, ids=lambda fence: fence.where)
def test_worlds_in_the_docs_can_be_opened(fence: Fence, tmp_path: Path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(fence.body, "utf-8")
    assert read_scene(file).teams


def test_fragments_are_yaml() -> None:
    for fence in YAML:
        yaml.safe_load(fence.body)


def test_community_files_are_yaml_and_ci_may_only_read() -> None:
    files = sorted((ROOT / ".github").rglob("*.yml"))
    read = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in files}
    assert {"ci.yml", "bug.yml", "idea.yml"} <= set(read)
    assert read["ci.yml"]["permissions"] == {"contents": "read"}
    steps = [step for job in read["ci.yml"]["jobs"].values() for step in job["steps"]]
    assert all("uses" not in step for step in steps)
    assert steps[-1]["run"] == ".ci/run"
