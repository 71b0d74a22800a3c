"""The sandbox against our own OpenAPI description, and that description against the vendor's."""

import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from reconciler.sandbox import Sandbox

OURS = Path(__file__).with_name("openapi.yaml")
VENDOR = os.environ.get("RECONCILER_VENDOR_OPENAPI")
SCENE = {
    "now": "2026-11-22T09:00:00Z",
    "settings": {"max_range_days": 400},
    "teams": {
        1: {
            "transfers": {
                1: {
                    "recurring_since": "2026-11-01",
                    "schedule": {"window": 2},
                    "fail_days": {"2026-11-03": {}},
                    "run_status": {"2026-11-04": "SKIPPED", "2026-11-05": "RUNNING"},
                    "empty_days": ["2026-11-06"],
                    "undated_days": ["2026-11-07"],
                    "refuse": {"call": "latest", "status": 403, "code": "LICENSE_EXPIRED"},
                },
                2: {"runs_per_day": 3, "run_every_days": 7},
            },
            "backfills": [
                {
                    "transfer_backfill_id": number + 1,
                    "transfer_id": 1,
                    "range_start_date": "2024-01-01",
                    "range_end_date": "2024-01-31",
                    "status": status,
                }
                for number, status in enumerate(("FAILED", "COMPLETED", "CANCELLED", "RUNNING"))
            ],
        }
    },
}

sandbox = Sandbox.in_memory(SCENE, clock=lambda: 0.0)
schema: Any = schemathesis.openapi.from_path(OURS)
schema.app = sandbox.app
ran: set[str] = set()
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_fits_the_description(case: Any) -> None:
    ran.add(case.operation.label)
    case.call_and_validate(headers={"Authorization": "Bearer any-key"}, checks=CHECKS)


def test_the_examples_saw_most_answers() -> None:
    """Guards the test above against becoming vacuous: it runs after it, on the same sandbox."""
    if len(ran) < 8:
        pytest.skip("the operations were tested by other processes")
    seen = {(request["method"], request["status"]) for request in sandbox.requests()}
    assert {("GET", 200), ("GET", 400), ("GET", 404), ("POST", 200), ("POST", 400), ("POST", 422)} <= seen


def load(path: str | Path) -> Any:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def resolved(document: Any, node: Any) -> Any:
    """A schema with its references followed and its allOf merged; prose is left out."""
    if isinstance(node, list):
        return [resolved(document, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(document, target)
    merged: dict[str, Any] = {}
    for part in [*(resolved(document, part) for part in node.get("allOf", [])), node]:
        for key, value in part.items():
            new = resolved(document, value)
            if key == "properties":
                merged[key] = merged.get(key, {}) | new
            elif key == "required" and isinstance(new, list):
                merged[key] = sorted({*merged.get(key, []), *new})
            elif key not in ("allOf", "description", "example", "examples", "summary", "x-faker"):
                merged[key] = new
    return merged


def shape(schema: Any) -> Any:
    """What two descriptions must agree on: properties, what is required, enums, and what may be null."""
    if schema.get("type") == "array":
        return [shape(schema["items"])]
    if "properties" in schema:
        return {
            "required": sorted(schema.get("required", [])),
            "properties": {name: shape(value) for name, value in schema["properties"].items()},
        }
    return {"type": schema.get("type"), "enum": schema.get("enum"), "nullable": schema.get("nullable", False)}


@pytest.mark.skipif(VENDOR is None, reason="RECONCILER_VENDOR_OPENAPI names no file")
def test_the_description_agrees_with_the_vendors() -> None:
    assert VENDOR is not None
    theirs, ours = load(VENDOR), load(OURS)
    assert set(ours["paths"]) <= set(theirs["paths"])
    for path, item in ours["paths"].items():
        for method in set(item) - {"parameters"}:
            compare(theirs, ours, theirs["paths"][path][method], item[method])


def compare(theirs: Any, ours: Any, their_call: Any, our_call: Any) -> None:
    assert their_call["operationId"] == our_call["operationId"]
    assert set(their_call["responses"]) <= set(our_call["responses"])
    for status, response in their_call["responses"].items():
        their_answer, our_answer = resolved(theirs, response), resolved(ours, our_call["responses"][status])
        assert set(their_answer.get("headers", ())) <= set(our_answer["headers"])
        their_schema = their_answer["content"]["application/json"]["schema"]
        assert shape(our_answer["content"]["application/json"]["schema"]) == shape(their_schema), status
    if "requestBody" in their_call:
        bodies = [
            shape(resolved(document, call["requestBody"])["content"]["application/json"]["schema"])
            for document, call in ((theirs, their_call), (ours, our_call))
        ]
        assert bodies[0] == bodies[1]
    queries = [
        {
            (parameter["name"], parameter.get("required", False), str(parameter["schema"].get("enum")))
            for parameter in resolved(document, call.get("parameters", []))
            if parameter["in"] == "query"
        }
        for document, call in ((theirs, their_call), (ours, our_call))
    ]
    assert queries[0] == queries[1]
