"""The JSON form of a plan, its digest, and what is refused when it is read back."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_values import (
    NOW,
    TODAY,
    ago,
    backfill,
    days,
    document,
    intent,
    observed,
    planned,
    record,
    team,
    transfer,
    whole,
)
from planning_worlds import Tape, World, tapes, worlds

from reconciler.diagnostics import Finding, Place, Severity
from reconciler.errors import Refused, StateError
from reconciler.formats.commands import on_lines
from reconciler.formats.planfile import (
    MAX_BYTES,
    begins,
    digest,
    dump,
    encode_plan,
    is_digest,
    read_plan,
    short,
)
from reconciler.formats.planparts import finding_of
from reconciler.formats.reports import encode_finding, encode_time, failure_json
from reconciler.model.desired import Guards, Limits
from reconciler.planning.approval import approval_of, approved
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import ActionKind, DayCounts, Options, Plan, TeamPlan, TransferSummary
from reconciler.render.view import summary_lines

HEAVY = settings.get_profile("planning-heavy")

LISTED = [backfill("1-5", "FAILED", id=50, failed=2, names="2 4"), backfill("8-9", "RUNNING", id=51, ran=0)]
MEMORY = document(
    record("1-5", "FAILED", id=50, failed=2, names="2 4"),
    intent("30", outcome="refused", blocker=51, at=ago(0.1)),
)
DESIRED = team(
    transfer("1-9", "20-31", owners=("ads",), loadable_until=days("1-30").end()),
    limits=Limits(max_creates_per_apply=2),
)
OPTIONS = Options(("ads-*",), ("old",), ("ads.yaml",))
PLAN = whole(planned(DESIRED, observed(*LISTED), MEMORY), options=OPTIONS)
TEXT = dump(encode_plan(PLAN, "0.1.0"))


def altered(**changes: Any) -> str:
    return json.dumps(json.loads(TEXT) | changes)


def deep(*path: str | int, value: Any) -> str:
    """Return the plan's text with one value replaced."""
    found = json.loads(TEXT)
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return json.dumps(found)


# --- there and back -----------------------------------------------------------------------


def test_the_document_of_a_plan() -> None:
    found = json.loads(TEXT)
    assert list(found) == sorted(found)
    assert TEXT.endswith("}\n")
    assert (found["format_version"], found["tool_version"]) == ("1.0", "0.1.0")
    assert found["created_at"] == "2026-11-22T09:00:00Z"
    assert found["options"] == {"config": ["ads.yaml"], "target": ["ads-*"], "exclude": ["old"]}
    assert found["actions"][0] == {
        "action": "create",
        "team_id": 5,
        "transfer": "transfer-1",
        "transfer_id": 1,
        "start": "2024-01-20",
        "end": "2024-01-29",
        "days": 10,
        "vendor_name": None,
        "reasons": {"never-loaded": 10},
        "notes": [],
        "owner": ["ads"],
        "declared_at": ["backfills.yaml:1:9"],
        "cancels": [],
    }
    assert [(one["action"], one["cancels"]) for one in found["actions"]] == [("create", []), ("retry", [50])]
    assert [one["reason"] for one in found["deferred"]] == ["max_creates_per_apply"] * 2
    assert [one["reason"] for one in found["blocked"]] == ["refused"]
    assert [one["backfill_id"] for one in found["unmanaged"]] == [51]
    assert found["summary"] == {
        "create": 1,
        "retry": 1,
        "cancel": 0,
        "minimum_creates": 2,
        "days": PLAN.counts.as_dict(),
    }
    assert (found["applyable"], found["complete"], found["errored"]) == (True, False, False)


def same(read: Plan, plan: Plan) -> None:
    assert approval_of(read) == approval_of(plan)
    assert digest(read) == digest(plan)
    assert summary_lines(read) == summary_lines(plan)
    assert (read.applyable, read.complete, read.guarded) == (plan.applyable, plan.complete, plan.guarded)
    assert read.created_at == plan.created_at


@HEAVY
@given(worlds())
def test_a_plan_reads_back(world: World) -> None:
    plan = whole(planned(world.team, world.observed, world.document))
    text = dump(encode_plan(plan, "9"))
    read = read_plan(text)
    same(read, plan)
    same(read_plan(text.encode()), plan)
    assert dump(encode_plan(read, "9")) == text


def test_plans_of_several_teams_read_back() -> None:
    other = planned(team(transfer("3-4", id=9), team_id=6), observed())
    other = replace(
        other, actions=tuple(replace(one, address=replace(one.address, team_id=6)) for one in other.actions)
    )
    two = whole(
        PLAN.teams[0], other, errored=True, diagnostics=(Finding("X1", Severity.WARNING, "s", "d", "h"),)
    )
    read = read_plan(dump(encode_plan(two, "1")))
    assert [one.team_id for one in read.teams] == [5, 6]
    assert [len(one.actions) for one in read.teams] == [2, 1]
    assert read.errored
    assert not read.complete
    assert [one.detail for one in read.teams[0].diagnostics] == ["d h"]


def test_a_plan_without_teams_reads_back() -> None:
    empty = whole()
    read = read_plan(dump(encode_plan(empty, "1")))
    same(read, empty)
    assert not read.applyable
    assert read.complete


def test_a_guarded_plan_stays_guarded() -> None:
    plan = whole(planned(team(transfer("1-9"), guards=Guards(max_days_per_apply=1)), observed()))
    assert not plan.applyable
    same(read_plan(dump(encode_plan(plan, "1"))), plan)


def test_places_read_back_even_from_odd_file_names() -> None:
    action = replace(PLAN.actions[0], declared_at=(Place("a:b c.yaml", 3, 9),))
    plan = whole(replace(PLAN.teams[0], actions=(action,)))
    assert read_plan(dump(encode_plan(plan, "1"))).actions[0].declared_at == (Place("a:b c.yaml", 3, 9),)


# --- the digest ---------------------------------------------------------------------------


def team_with(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, teams=(replace(plan.teams[0], **changes),))


def test_the_digest_covers_what_is_approved() -> None:
    assert digest(PLAN).startswith("sha256:")
    assert approved(PLAN) == {
        "api_url": "https://api.example/v1",
        "as_of": {"5": "2026-11-22"},
        "days": {"5/1": ["2024-01-02..2024-01-02", "2024-01-20..2024-01-29"]},
        "cancels": ["5/50"],
        "newest_create": {"5": 0},
    }
    first = PLAN.teams[0].actions[0]
    others = [
        replace(PLAN, api_url="https://other.example"),
        team_with(PLAN, as_of=TODAY - 1),
        team_with(PLAN, newest_create=3),
        team_with(PLAN, actions=()),
        team_with(PLAN, actions=(replace(first, cancels=(51,)), *PLAN.actions[1:])),
        team_with(PLAN, actions=(replace(first, end=first.end - 1), *PLAN.actions[1:])),
    ]
    assert len({digest(one) for one in (PLAN, *others)}) == 1 + len(others)


def test_the_digest_covers_nothing_else() -> None:
    first = PLAN.teams[0].actions[0]
    halves = (replace(first, end=first.start + 3), replace(first, start=first.start + 3), *PLAN.actions[1:])
    for same_days in (
        replace(PLAN, created_at=NOW + timedelta(days=1), errored=True, options=Options()),
        team_with(PLAN, actions=halves),
        team_with(PLAN, serial=99, lineage="another", unmanaged=(), evidence="mixed", diagnostics=()),
        team_with(PLAN, items=()),
        team_with(PLAN, actions=tuple(reversed(PLAN.actions))),
    ):
        assert digest(same_days) == digest(PLAN)


@pytest.mark.parametrize(
    "text, names",
    [
        (lambda digits: f"sha256:{digits}", True),
        (lambda digits: digits, True),
        (lambda digits: digits[:12], True),
        (lambda digits: f"sha256:{digits[:12]}", True),
        (lambda digits: "0" * 12, False),
        (lambda digits: digits[1:], False),
    ],
)
def test_a_digest_is_named_by_its_beginning(text: Callable[[str], str], names: bool) -> None:
    whole_digest = digest(PLAN)
    given = text(whole_digest.removeprefix("sha256:"))
    assert is_digest(given)
    assert begins(whole_digest, given) is names
    assert begins(whole_digest, short(whole_digest))


@pytest.mark.parametrize(
    "text", ["", "sha256:", "0" * 11, "0" * 65, "O" * 12, "SHA256:" + "0" * 12, "0" * 12 + "\n"]
)
def test_what_names_no_digest(text: str) -> None:
    assert not is_digest(text)


# --- refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.99", "1"])
def test_a_later_minor_version_only_adds(version: str) -> None:
    more = {"format_version": version, "something_new": {"deep": [1]}}
    found = json.loads(TEXT) | more
    found["actions"][0]["also_new"] = 1
    found["transfers"][0]["days"]["parked"] = 3
    same(read_plan(json.dumps(found)), PLAN)


@pytest.mark.parametrize(
    "text, words",
    [
        (altered(format_version="2.0"), "'2.0'; this reconciler reads 1.0"),
        (altered(format_version="\x1b[31m"), r"'\x1b[31m'"),
        (altered(format_version="\ud800"), "not JSON"),
        (altered(format_version=1), "no format_version"),
        ("[]", "no format_version"),
        ("{}", "no format_version"),
        ("", "not JSON"),
        (TEXT[:-5], "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (" " * (MAX_BYTES + 1), "larger than 64 MiB"),
        ('{"format_version": "1.0"}', "created_at: Field required"),
        (altered(digest="sha256:0"), "altered"),
        (altered(actions=[]), "altered"),
        (altered(api_url="https://other.example"), "altered"),
        (altered(teams=[]), "altered"),
        (altered(teams=json.loads(TEXT)["teams"] * 2), "a team is there twice"),
        (altered(created_at="2026-11-22T09:00:00"), "no zone"),
        (altered(created_at="yesterday"), "does not read as a plan"),
        (altered(created_at="0001-01-01T00:00:00+14:00"), "does not read as a plan"),
        (deep("actions", 0, "end", value="2024-01-30"), "altered"),
        (deep("actions", 0, "cancels", value=[7]), "altered"),
        (deep("actions", 0, "cancels", value=[True]), "actions.0.cancels.0"),
        (deep("actions", 0, "transfer_id", value="1"), "actions.0.transfer_id"),
        (deep("actions", 0, "transfer_id", value=0), "actions.0.transfer_id"),
        (deep("actions", 0, "transfer_id", value=2**63), "actions.0.transfer_id"),
        (deep("actions", 0, "start", value="2024-02-30"), "does not read as a plan"),
        (deep("actions", 0, "start", value="2024-1-1"), "actions.0.start"),
        (deep("actions", 0, "end", value="2024-01-19"), "ends before it starts"),
        (deep("actions", 0, "action", value="destroy"), "does not read as a plan"),
        (deep("actions", 0, "declared_at", value=["nowhere"]), "not of the form file:line:column"),
        (deep("actions", 0, "declared_at", value=["a.yaml::"]), "not of the form file:line:column"),
        (deep("actions", 0, "declared_at", value=["a.yaml:x:1"]), "'a.yaml:x:1'"),
        (deep("teams", 0, "as_of", value="2024-13-01"), "does not read as a plan"),
        (deep("teams", 0, "as_of", value="2026-11-21"), "altered"),
        (altered(diagnostics=[{"code": "X", "severity": "fatal", "summary": ""}]), "does not read as a plan"),
    ],
)
def test_what_is_not_a_plan_of_ours_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(Refused) as refused:
        read_plan(text)
    assert words in refused.value.detail
    for word in ("literal", "isoformat", "unpack", "out of range", "not a valid", "Kind"):  # Python's
        assert word not in refused.value.detail
    assert refused.value.exit_status == 6


@HEAVY
@given(st.integers(0, len(TEXT) - 3))
def test_a_truncated_plan_is_refused(length: int) -> None:
    with pytest.raises(Refused):
        read_plan(TEXT[:length])


@HEAVY
@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_one_character_changed_is_harmless_or_refused(position: int, character: str) -> None:
    with suppress(Refused):
        assert approved(read_plan(TEXT[:position] + character + TEXT[position + 1 :])) == approved(PLAN)


JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**64,
    1.5,
    float("nan"),
    "",
    "\ud800",
    "\x00",
    "9999-12-31",
    "0001-01-01",
    "٢٠٢٤-01-01",
    [],
    {},
    [[]],
    {"x": 1},
)


def forge(tape: Tape) -> str:
    found = json.loads(TEXT)
    for _ in range(1 + tape.below(3)):
        inner: Any = found
        while True:
            steps = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not steps:
                break
            step = tape.one(steps)
            if isinstance(inner[step], dict | list) and not tape.chance(5):
                inner = inner[step]
                continue
            inner[step] = deepcopy(tape.one(JUNK))  # or later forgery could put it into itself
            break
    return json.dumps(found)


@HEAVY
@given(tapes(40))
def test_forged_values_are_refused_or_harmless(tape: Tape) -> None:
    with suppress(Refused):
        read = read_plan(forge(tape))
        assert approved(read) == approved(PLAN)
        dump(encode_plan(read, "1")).encode()
        summary_lines(read)


# --- small parts --------------------------------------------------------------------------


def test_times_are_written_in_utc_to_the_second() -> None:
    east = timezone(timedelta(hours=2))
    assert encode_time(datetime(2026, 1, 1, 1, 0, 0, 999, tzinfo=east)) == "2025-12-31T23:00:00Z"
    assert encode_time(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"


def test_a_finding_is_shaped_as_terraform_s() -> None:
    finding = Finding(
        "BF1", Severity.ERROR, "sum", "detail.", "hint.", Place("f", 2, 3), (Place("g", 4, 5, 6, 7),)
    )
    assert encode_finding(finding) == {
        "code": "BF1",
        "severity": "error",
        "summary": "sum",
        "detail": "detail. hint.",
        "range": {"filename": "f", "start": {"line": 2, "column": 3}, "end": {"line": 2, "column": 3}},
        "also": [{"filename": "g", "start": {"line": 4, "column": 5}, "end": {"line": 6, "column": 7}}],
    }
    assert "range" not in encode_finding(Finding("BF1", Severity.ERROR, "sum", ""))


def test_the_commands_of_a_finding_are_a_list_and_come_back_as_lines() -> None:
    hint = f"Look; then either of:{on_lines('retry ads', 'accept ads')}\n(ID: its number)."
    encoded = encode_finding(Finding("OB1", Severity.WARNING, "sum", "detail.", hint))
    assert encoded["detail"] == "detail. Look; then either of: (ID: its number)."
    assert encoded["commands"] == ["reconciler retry ads", "reconciler accept ads"]
    again = finding_of({**encoded})
    assert again.detail.splitlines()[1:] == ["  reconciler retry ads", "  reconciler accept ads"]
    (told,) = failure_json(StateError("sum", "detail.", hint))["diagnostics"]
    assert told["commands"] == encoded["commands"]


# --- the frozen line ----------------------------------------------------------------------


def counted(**numbers: int) -> DayCounts:
    return DayCounts({Bucket(name): number for name, number in numbers.items()})


def summed(counts: DayCounts, **more: Any) -> Plan:
    one = transfer("1")
    summary = TransferSummary(one.address, one.name, None, counts)
    return whole(TeamPlan(5, TODAY, "", 0, transfers=(summary,), **more))


def test_the_first_line_of_the_summary_is_frozen() -> None:
    counts = counted(
        covered=291, in_flight=14, planned=76, waiting=1, blocked=2, failed=3, deferred=4, future=5
    )
    first = PLAN.actions[0]
    made = [replace(first, end=first.start + length) for length in (30, 31, 13)]
    retry = replace(first, kind=ActionKind.RETRY, end=first.start + 2)
    plan = summed(counts, actions=(*made, retry))
    assert summary_lines(plan) == (
        "Plan: 3 to create (74 days), 1 to retry (2 days), 0 to cancel.\n"
        "Days: 396 declared: 291 covered, 14 in flight, 76 planned, 1 waiting, 2 blocked, 3 failed, "
        "4 deferred, 5 future."
    )
    assert summary_lines(summed(counted(covered=365))) == "No changes.\nDays: 365 declared: 365 covered."
    assert summary_lines(whole()) == "No changes.\nDays: 0 declared."


@pytest.mark.parametrize(
    "counts, options, complete",
    [
        (counted(covered=2, in_flight=1), Options(), True),
        (counted(planned=3), Options(), True),
        (counted(future=3), Options(), True),
        (counted(covered=2, deferred=1), Options(), False),
        (counted(covered=2, waiting=1), Options(), False),
        (counted(covered=2, blocked=1), Options(), False),
        (counted(covered=2, failed=1), Options(), False),
        (counted(covered=3), Options(target=("a",)), False),
        (counted(covered=3), Options(exclude=("a",)), False),
    ],
)
def test_when_a_plan_is_complete(counts: DayCounts, options: Options, complete: bool) -> None:
    assert replace(summed(counts), options=options).complete is complete


def test_an_unfit_plan_is_told_without_importing_anything_more() -> None:
    """What pydantic imports while it words an error, it imports under a lock that a collection may want."""
    script = (
        "import sys; from reconciler.errors import Refused\n"
        "from reconciler.formats.planfile import read_plan\n"
        'try: read_plan(\'{"format_version": "1.0"}\')\n'
        "except Refused: sys.exit('pydantic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
