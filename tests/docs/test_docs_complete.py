"""What the code has is in the docs, and what the docs name is in the code."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from docs_fences import README, ROOT, without_fences

from reconciler import errors
from reconciler.config.rules import RULES, WARNINGS
from reconciler.errors import PRECEDENCE, Exit
from reconciler.model.memory import (
    Acceptance,
    Amnesty,
    Applied,
    BackfillRecord,
    DayEvidence,
    Document,
    Intent,
    IntentKind,
    KnownUser,
    Load,
    Origin,
    Outcome,
    Override,
)
from reconciler.model.observed import Backfill
from reconciler.planning.budget import LIST_FULL
from reconciler.planning.items import NOT_APPROVED
from reconciler.planning.ledger import Bucket, Reason
from reconciler.planning.plan import COUNTED, ActionKind
from reconciler.sandbox.faults import FAULTS, OPERATIONS
from reconciler.sandbox.settings import Settings

DOCS = ROOT / "docs"
RULE = r"(?:BF|PL|OB|CI)\d{3}"


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def part(text: str, heading: str, level: int = 2) -> str:
    """Return what stands below a heading, up to the next of its level."""
    found = re.search(
        rf"^{'#' * level} {heading}\n(.*?)(?=^{'#' * level} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found[1]


def first_cells(text: str) -> list[str]:
    """Return the names in backticks in the first cell of every row of the tables in a text."""
    rows = re.findall(r"^\| (`[^|]*?) \|", text, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def rules_of_the_code() -> set[str]:
    sources = "".join(one.read_text("utf-8") for one in Path(ROOT / "reconciler").rglob("*.py"))
    return set(re.findall(rf'(?:"|\[)({RULE})(?:"|\])', sources))


def error_codes() -> set[str]:
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    return {one.code for one in classes if issubclass(one, errors.ReconcilerError)}


def test_every_rule_has_a_heading_with_its_title() -> None:
    headings = dict(re.findall(rf"^### ({RULE}): (.+)$", page("errors.md"), re.MULTILINE))
    assert set(headings) == rules_of_the_code() | set(RULES)
    assert {rule: headings[rule] for rule in RULES} == RULES


def test_titles_of_other_rules_are_those_of_the_code() -> None:
    sources = "".join(one.read_text("utf-8") for one in Path(ROOT / "reconciler").rglob("*.py"))
    for rule, title in re.findall(rf"^### ({RULE}): (.+)$", page("errors.md"), re.MULTILINE):
        assert f'"{title}"' in sources or f"[{rule}]: {title}\\n" in sources, (rule, title)


def test_warnings_are_marked() -> None:
    marked = set(re.findall(rf"^### ({RULE}): .+\n\n\*Warning\.\*", page("errors.md"), re.MULTILINE))
    assert {rule for rule in marked if rule in RULES} == set(WARNINGS)


def test_every_error_code_has_a_heading() -> None:
    headings = set(re.findall(r"^### ([a-z-]+)$", page("errors.md"), re.MULTILINE))
    assert headings == error_codes() | {"bug"}


def test_errors_name_their_exit_status() -> None:
    for one in vars(errors).values():
        if isinstance(one, type) and issubclass(one, errors.ReconcilerError):
            told = part(page("errors.md"), re.escape(one.code), 3)
            assert told.strip().startswith(f"Exit {one.exit_status}"), one.code


def test_exit_statuses() -> None:
    named = dict(re.findall(r"^\| (\d+) \| `(\w+)` \|", page("cli.md"), re.MULTILINE))
    assert {int(number): name for number, name in named.items()} == {one.value: one.name for one in Exit}
    order = ", ".join(str(int(one)) for one in PRECEDENCE)
    assert f"the first of {order} is taken" in " ".join(page("cli.md").split())
    short = part(README.read_text("utf-8"), "In CI")
    numbers = re.findall(r"^\| ([\d, ]+) \|", short, re.MULTILINE)
    assert {int(number) for row in numbers for number in row.split(", ")} == {one.value for one in Exit}


def test_buckets_reasons_and_actions() -> None:
    text = page("planning.md")
    assert set(first_cells(part(text, "Buckets"))) == {bucket.value for bucket in COUNTED}
    assert set(Bucket) - {Bucket.DUE} == set(COUNTED)
    told = part(text, "Reasons")
    assert set(first_cells(told)) == {one.value for one in Reason} - {""}
    assert all(f"`{one}`" in told for one in (LIST_FULL, NOT_APPROVED))
    assert first_cells(part(text, "Actions")) == [one.value for one in ActionKind]


def test_limits_and_guards() -> None:
    from reconciler.config.schema import GuardsEntry, LimitsEntry

    text = page("planning.md")
    assert set(first_cells(part(text, "Order and limits"))) == {entry.name for entry in fields(LimitsEntry)}
    assert set(first_cells(part(text, "Guards"))) == {entry.name for entry in fields(GuardsEntry)}


def test_fields_of_the_state() -> None:
    told = part(page("state.md"), "The format")
    kinds: list[Any] = [Document, BackfillRecord, Backfill, Intent, Load]
    kinds += [Amnesty, Acceptance, KnownUser, Applied, Override]
    names = {one.name for kind in kinds for one in fields(kind)} - {"seen"}  # flat
    assert set(first_cells(told)) == names
    values = [one.name for one in fields(DayEvidence)]
    values += [one.value for kind in (Origin, Outcome, IntentKind) for one in kind]
    assert [one for one in values if f"`{one}`" not in told] == []


def test_settings_of_the_sandbox() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", part(page("sandbox.md"), "Settings"), re.MULTILINE)
    defaults = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in asdict(Settings()).items()
    }
    assert dict(rows) == defaults


def test_faults_of_the_sandbox() -> None:
    told = part(page("sandbox.md"), "Faults")
    before, _, after = told.partition("After it was carried out")
    assert set(first_cells(before)) == {name for name, fault in FAULTS.items() if fault.before}
    assert set(first_cells(after)) == {name for name, fault in FAULTS.items() if not fault.before}
    assert all(f"`{one}`" in told for one in OPERATIONS)


def test_keys_and_endpoints_of_the_sandbox() -> None:
    from reconciler.sandbox import control, scene, scene_backfills, scene_transfers

    told = part(page("sandbox.md"), "The world file")
    known = {*scene._TOP, *scene._TEAM, *scene._KEY, *scene_backfills._READERS}
    for part_of_it in ("TRANSFER_FIELDS", "_SCHEDULE", "_FAIL", "_STATUS", "_REFUSE"):
        known |= set(getattr(scene_transfers, part_of_it))
    assert [one for one in sorted(known) if f"`{one}`" not in told] == []
    listed = re.findall(r"^\| `(\w+) (/_sandbox/[\w/{}]+)`", page("sandbox.md"), re.MULTILINE)
    assert set(listed) == set(control._ROUTES)


def test_no_command_is_named_that_is_not_there() -> None:
    from docs_reference import commands

    known = {name.split()[0] for name, _ in commands()}
    for one in (README, *DOCS.glob("*.md")):
        text = one.read_text("utf-8")
        named = set(re.findall(r"(?:`|^\$ |^)reconciler ([a-z]+)", text, re.MULTILINE))
        assert named <= known, (one.name, named - known)


def test_files_named_in_the_architecture_exist() -> None:
    named = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", without_fences(page("architecture.md")))
    assert named
    assert [one for one in named if not (ROOT / "reconciler" / one).exists()] == []
