"""The JSON Schema for editors says the same as the reader, as far as a schema can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from reconciler.config.nodes import Block, Items, Node, Text
from reconciler.config.schema import BackfillsFile, json_schema
from reconciler.config.sections import keys_of
from reconciler.config.source import parse
from reconciler.config.starter import starter

from .cases import INPUTS

VALID = [path for path in INPUTS if path.name.startswith("valid-")]
HEAD = {"version": 1, "team_id": 1}


def as_editors_see(node: Node) -> Any:
    """Return the value by YAML 1.2's core rules, which editors follow."""
    if isinstance(node, Block):
        return {key: as_editors_see(child) for key, child in node.items()}
    if isinstance(node, Items):
        return [as_editors_see(child) for child in node]
    return _scalar(node)


def _scalar(node: Text) -> Any:
    if not node.plain or node.null:
        return None if node.null else str(node)
    if node in ("true", "false"):
        return node == "true"
    return int(node) if node.lstrip("-").isdecimal() else str(node)


def accepts(value: Any) -> bool:
    return jsonschema_rs.validator_for(json_schema()).is_valid(value)


def with_range(one: Any) -> dict[str, Any]:
    return {**HEAD, "transfers": {"a": {"transfer_id": 1, "ranges": [one]}}}


def test_it_is_a_schema_with_a_title_and_no_id() -> None:
    schema = json_schema()
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    assert "$id" not in schema


@pytest.mark.parametrize("path", VALID, ids=[path.stem for path in VALID])
def test_valid_files_are_valid(path: Path) -> None:
    source = parse(path.read_bytes() if path.is_file() else b"", path.name)
    assert source.root is not None
    assert accepts(as_editors_see(source.root))


def test_the_starter_is_valid() -> None:
    root = parse(starter(1).encode(), "f").root
    assert root is not None
    assert accepts(as_editors_see(root))


@pytest.mark.parametrize(
    "one",
    [
        *(2024, "2024", "2024-07", "2024-Q2", "2024-07-01", "2024-07-01..2024-08-15", "today", "yesterday"),
        *(
            "2024-H1",
            "2024-W05",
            "2024..2025-Q1",
            "2024-07-01 .. 2024-08",
            "today-13mo",
            "today-13mo..2024-W53",
        ),
        *(
            "today-90d",
            "2024-07-01..yesterday",
            "today-90d..today",
            {"start": "2024-01-01", "end": "yesterday"},
        ),
        {
            "start": "2024-01-01",
            "end": "2024-01-02",
            "reason": "x",
            "stale_before": "2025-01-01T00:00:00.5+02:00",
        },
    ],
)
def test_every_form_of_a_range(one: Any) -> None:
    assert accepts(with_range(one))


@pytest.mark.parametrize(
    "one",
    [
        *(
            None,
            1969,
            2200,
            20240101,
            "2024-13",
            "2024-Q5",
            "2024-2-1",
            "2024-07-01..",
            "2024-W54",
            "2024-H3",
            "2024..",
            "2024 - 2025",
            "tomorrow",
        ),
        *(
            "today-",
            "2024-07-01..2024-08..2024-09",
            [],
            {},
            {"start": "2024-01-01"},
            {"start": "2024", "end": "2024-01-01"},
        ),
        {"start": "2024-01-01", "end": "2024-01-02", "stale_before": "yesterday"},
        {"start": "2024-01-01", "end": "2024-01-02", "place": "x"},
    ],
)
def test_what_is_not_a_range(one: Any) -> None:
    assert not accepts(with_range(one))


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"version": 2},
            {"team_id": "1"},
            {"team_id": 0},
            {"team_id": 2**63},
            {"colour": 1},
            {"order": "newest"},
        ),
        *({"state": "s3://x"}, {"state": "~/x"}, {"key_env": "a-b"}, {"limits": None}, {"limits": {"x": 1}}),
        *({"guards": {"owners": {"": {}}}}, {"defaults": {"ranges": []}}, {"transfers": {"Bad": None}}),
        {"transfers": {"Bad Name": {"transfer_id": 1, "ranges": []}}},
    ],
)
def test_what_else_is_refused(change: dict[str, Any]) -> None:
    good = {**HEAD, "transfers": {}}
    assert accepts(good)
    assert not accepts({**good, **change})


def _properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (schema, *schema["$defs"].values()):
        assert part["additionalProperties"] is False
        assert part["description"]
        yield from part.get("properties", {}).items()


def test_every_key_is_described() -> None:
    for name, shape in _properties(json_schema()):
        assert "description" in shape or "$ref" in shape, name
        assert "null" not in str(shape)


def test_every_key_of_the_models_is_there() -> None:
    assert set(json_schema()["properties"]) == set(keys_of(BackfillsFile))
