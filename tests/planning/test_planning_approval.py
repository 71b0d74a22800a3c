"""An approved plan: when it fits, what it still allows, and when it is the same plan."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from planning_values import (
    API,
    DAY,
    NOW,
    TEAM,
    backfill,
    days,
    document,
    intent,
    ledger_of,
    observed,
    planned,
    record,
    shown,
    team,
    transfer,
    whole,
)

from reconciler.dates import DaysByTransfer
from reconciler.diagnostics import Finding, Severity
from reconciler.model.desired import Address
from reconciler.model.memory import Document
from reconciler.planning.approval import (
    Approval,
    approval_of,
    differences,
    misfits,
    without_later_intents,
)
from reconciler.planning.plan import Plan
from reconciler.planning.totals import left_undone, prunes_undone

SECOND = timedelta(seconds=1)
HERE = Address(TEAM, 1)


def plan_of(text: str = "1-10", **more: Any) -> Plan:
    return whole(planned(team(transfer(text)), observed()), **more)


# --- what is approved ---------------------------------------------------------------------


def test_the_days_of_actions_and_cancels_are_approved() -> None:
    listed = backfill("1-5", "FAILED", id=50, failed=2, names="2 4")
    memory = document(record("1-5", "FAILED", id=50, failed=2, names="2 4"))
    plan = planned(team(transfer("1-9", "20-25")), observed(listed, list_full=True), memory)
    assert [one.kind for one in plan.actions] == ["retry"]
    approval = approval_of(whole(plan))
    assert {one: shown(kept) for one, kept in approval.days.items()} == {HERE: "4"}
    assert approval.cancels == {(TEAM, 50)}


@pytest.mark.parametrize(
    "more, left",
    [
        ({"at": NOW + SECOND}, "1-2 6-10"),
        ({"at": NOW}, "1-10"),  # not later than the plan
        ({"at": NOW + SECOND, "outcome": "abandoned"}, "1-10"),  # it was never created
        ({"at": NOW + SECOND, "outcome": "refused"}, "1-10"),
        ({"at": NOW + SECOND, "outcome": "done"}, "1-2 6-10"),
        ({"at": NOW + SECOND, "transfer_id": 2}, "1-10"),
        ({"at": NOW + SECOND, "kind": "cancel", "backfill_id": 7}, "1-10"),  # a cancel creates no day
    ],
)
def test_a_day_is_not_created_twice_under_one_plan(more: dict[str, Any], left: str) -> None:
    approval = approval_of(plan_of())
    later = without_later_intents(approval, document(intent("3-5", **more)), NOW)
    assert shown(later.days[HERE]) == left
    assert later.cancels == approval.cancels


def test_a_job_that_died_between_cancel_and_create_is_finished_by_its_rerun() -> None:
    approval = Approval(DaysByTransfer([(HERE, days("4"))]), frozenset({(TEAM, 50)}))
    cancel = intent("1-10", kind="cancel", outcome="done", backfill_id=50, at=NOW + SECOND)
    assert shown(without_later_intents(approval, document(cancel), NOW).days[HERE]) == "4"


# --- fit ----------------------------------------------------------------------------------

FINE: dict[int, Document] = {TEAM: document()}
TRIPPED = Finding("PL001", Severity.ERROR, "A guard refuses this plan", "")


def test_a_plan_that_fits_is_not_refused() -> None:
    assert not misfits(plan_of(), API, FINE, NOW)
    assert not misfits(plan_of(), API, FINE, NOW + 7 * DAY)
    assert not misfits(plan_of(), API, FINE, NOW - timedelta(minutes=5))  # clocks differ a little
    no_lineage_yet = plan_of()
    no_lineage_yet = replace(no_lineage_yet, teams=(replace(no_lineage_yet.teams[0], lineage=""),))
    assert not misfits(no_lineage_yet, API, FINE, NOW)


@pytest.mark.parametrize(
    "change, now, documents, words",
    [
        ({"api_url": "https://other.example/v1"}, NOW, FINE, "for the API https://other.example/v1"),
        ({}, NOW + 7 * DAY + SECOND, FINE, "7 days ago, which is longer"),
        ({}, NOW - timedelta(minutes=5) - SECOND, FINE, "made in the future"),
        ({}, NOW, {}, "team 5, which the files do not name"),
        ({}, NOW, {TEAM: document(lineage="lineage-2")}, "another state of team 5 (lineage lineage-1)"),
        ({}, NOW, {TEAM: document(lineage="")}, "another state of team 5"),
        ({"guarded": True}, NOW, FINE, "A guard refused it"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(change: Any, now: Any, documents: Any, words: str) -> None:
    plan = plan_of()
    if change.pop("guarded", False):
        plan = replace(plan, teams=(replace(plan.teams[0], guarded=True, diagnostics=(TRIPPED,)),))
    (told,) = misfits(replace(plan, **change), API, documents, now)
    assert words in told


def test_all_that_does_not_fit_is_said_at_once() -> None:
    told = misfits(plan_of(), "https://other.example/v1", {}, NOW + 9 * DAY)
    wanted = ("the API", "9 days ago", "do not name")
    assert [words in sentence for words, sentence in zip(wanted, told, strict=True)] == [True] * 3


# --- the same -----------------------------------------------------------------------------


def test_a_plan_of_another_day_with_the_same_days_is_the_same() -> None:
    saved = plan_of()
    fresh = replace(
        saved, created_at=NOW + DAY, teams=(replace(saved.teams[0], as_of=saved.teams[0].as_of + 1),)
    )
    assert not differences(saved, fresh)


@pytest.mark.parametrize("fresh", [plan_of("1-9"), plan_of("1-11"), plan_of("20")])
def test_a_plan_with_other_days_is_refused(fresh: Plan) -> None:
    assert all("2024-01" in clause for clause in differences(plan_of(), fresh))
    assert differences(plan_of(), fresh)


def test_a_plan_with_another_cancel_is_refused() -> None:
    plan = plan_of()
    retry = replace(plan.teams[0].actions[0], cancels=(50,))
    assert differences(plan, replace(plan, teams=(replace(plan.teams[0], actions=(retry,)),))) == [
        "new: cancel of 5/50"
    ]


def test_differences_are_told_in_words() -> None:
    before = plan_of()
    longer = replace(before.teams[0].actions[0], end=before.teams[0].actions[0].end + 1, cancels=(50,))
    after = replace(before, teams=(replace(before.teams[0], actions=(longer,)),))
    told = differences(before, after)
    assert [one.split(":")[0] for one in told] == ["no longer", "new", "new"]
    assert told[2] == "new: cancel of 5/50"
    assert differences(before, before) == []


# --- what is left undone ------------------------------------------------------------------


@pytest.mark.parametrize(
    "declared, memory, now_planned, left",
    [
        ("1-10", [], "", "1-10"),
        ("1-10", [], "1-10", ""),
        ("1-10", [], "4-10", "1-3"),
        ("3-20", [], "", "3-10"),  # what is no longer declared, or was never planned, is no matter
        ("1-10", [record("1-4")], "", "5-10"),
        ("1-10", [record("1-4", "RUNNING", ran=0)], "", "5-10"),
        ("1-10", [intent("1-4", at=NOW + SECOND, outcome="done", backfill_id=9)], "", "5-10"),
        ("1-10", [intent("1-4", at=NOW, outcome="done", backfill_id=9)], "", "1-10"),  # before the plan
        ("1-10", [intent("1-4", at=NOW + SECOND, outcome="refused")], "", "1-10"),
        ("1-10", [intent("1-4", at=NOW + SECOND)], "", "1-10"),  # nobody knows
    ],
)
def test_what_a_saved_plan_was_to_create_and_nobody_has(
    declared: str, memory: list[Any], now_planned: str, left: str
) -> None:
    ledger = ledger_of(transfer(declared), *memory)
    found = left_undone(plan_of(), document(*memory), [ledger], DaysByTransfer([(HERE, days(now_planned))]))
    assert {one: shown(kept) for one, kept in found.items()} == ({HERE: left} if left else {})


OURS = record("10-12", "RUNNING", id=100, ran=0)


@pytest.mark.parametrize(
    "declared, memory, going, left",
    [
        ("1-3", [OURS], [], [100]),
        ("1-3", [OURS], [100], []),
        ("1-3", [OURS], [7], [100]),
        ("1-12", [OURS], [], []),  # wanted again
        ("1-3", [record("10-12", "COMPLETED", id=100)], [], []),
        ("1-3", [record("10-12", "CANCELLED", id=100, ran=0)], [], []),
        ("1-3", [], [], []),
    ],
)
def test_what_a_saved_plan_was_to_cancel_and_nobody_has(
    declared: str, memory: list[Any], going: list[int], left: list[int]
) -> None:
    listed = backfill("10-12", "RUNNING", id=100, ran=0)
    plan = planned(team(transfer("1-3"), prune=True), observed(listed), document(OURS))
    saved = whole(plan)
    (prune,) = [one for one in plan.actions if one.kind == "cancel"]
    now_planned = [replace(prune, cancels=(one,)) for one in going]
    ledger = ledger_of(transfer(declared), *memory)
    found = prunes_undone(saved, document(*memory), [ledger], now_planned)
    assert [number for one in found for number in one.cancels] == left


def test_a_saved_cancel_of_another_team_is_not_looked_for_here() -> None:
    listed = backfill("10-12", "RUNNING", id=100, ran=0)
    saved = whole(planned(team(transfer("1-3"), prune=True), observed(listed), document(OURS)))
    other = replace(document(OURS), team_id=TEAM + 1)
    assert prunes_undone(saved, other, [ledger_of(transfer("1-3"))], []) == ()
