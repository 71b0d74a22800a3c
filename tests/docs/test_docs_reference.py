"""The generated parts of the docs are fresh, and so is the schema beside the example."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from docs_fences import PAGES, ROOT
from docs_reference import commands, filled, flags_of, sections

from reconciler.config.schema import json_schema

UPDATE = os.environ.get("UPDATE_DOCS") == "1"
SCHEMA = ROOT / "examples" / "backfills.schema.json"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_parts_are_fresh(page: Path) -> None:
    text = page.read_text("utf-8")
    made = filled(text)
    if UPDATE:
        page.write_text(made, "utf-8")
    else:
        assert text == made, "UPDATE_DOCS=1 makes them anew"


def test_schema_beside_the_example_is_fresh() -> None:
    made = json.dumps(json_schema(), sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    if UPDATE:
        SCHEMA.write_text(made, "utf-8")
    assert SCHEMA.read_text("utf-8") == made, "UPDATE_DOCS=1 makes it anew"


def test_every_command_and_flag_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for name, command in commands():
        assert f"### {name}\n" in text
        part = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        for flag in flags_of(command):
            assert all(spelling in part for spelling in (*flag.opts, *flag.secondary_opts)), (name, flag.opts)
            assert flag.help, f"{name} {flag.opts}: no help"


def test_every_key_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "config.md").read_text("utf-8")
    for title, section in sections():
        heading = "### The file" if title == "The file" else f"### `{title}`"
        part = text.partition(f"{heading}\n")[2].partition("\n### ")[0]
        for key, value in section["properties"].items():
            assert f"| `{key}` |" in part, (title, key)
            assert value.get("description") or "$ref" in value, f"{title}.{key}: no description"
