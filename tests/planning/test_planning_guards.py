"""Guards: a plan beyond one is refused as a whole, measured after the limits."""

from dataclasses import replace
from typing import Any

import pytest
from planning_values import (
    FORBIDDEN,
    NOW,
    actions,
    backfill,
    document,
    observed,
    planned,
    record,
    run,
    team,
    transfer,
    whole,
)

from reconciler.diagnostics import Severity
from reconciler.model.deltas import apply_delta
from reconciler.model.desired import Guards, Limits
from reconciler.model.memory import Applied, Override
from reconciler.model.observed import UNTOLD, Run
from reconciler.planning.approval import KEPT_APPLIES, overriding
from reconciler.planning.guards import (
    GUARDS,
    NO_HISTORY,
    OVERRIDDEN,
    TRIPPED,
    days_of_history,
    let_pass,
    overridden,
    rows_per_day,
    tripped_guards,
)
from reconciler.planning.ledger import Bucket

HISTORY = {
    1: (run(50, rows=100), run(51, rows=300), run(52, "FAILED", rows=9), run(53)),
    2: (run(50, rows=10),),
}


def guarded(guards: Guards, *transfers: Any, **more: Any) -> Any:
    desired = transfers or (transfer("1-10", id=1, owners=("ads",)), transfer("1-5", id=2, owners=("crm",)))
    return planned(team(*desired, guards=guards, **more), observed(runs=HISTORY))


@pytest.mark.parametrize(
    "guards, trips",
    [
        (Guards(), []),
        (Guards(max_days_per_apply=15), []),
        (
            Guards(max_days_per_apply=14),
            ["The plan for team 5 has 15 days; guards.max_days_per_apply allows 14."],
        ),
        (Guards(max_rows_per_apply=2050), []),
        (
            Guards(max_rows_per_apply=2049),
            ["The plan for team 5 has 2050 estimated rows; guards.max_rows_per_apply allows 2049."],
        ),
        (Guards(owners={"ads": Guards(max_days_per_apply=10), "crm": Guards(max_days_per_apply=5)}), []),
        (
            Guards(owners={"crm": Guards(max_days_per_apply=4), "ads": Guards(max_days_per_apply=9)}),
            [
                "The plan for owner ads has 10 days; guards.max_days_per_apply allows 9.",
                "The plan for owner crm has 5 days; guards.max_days_per_apply allows 4.",
            ],
        ),
        (
            Guards(owners={"ads": Guards(max_rows_per_apply=1999), "nobody": Guards(max_days_per_apply=1)}),
            ["The plan for owner ads has 2000 estimated rows; guards.max_rows_per_apply allows 1999."],
        ),
    ],
)
def test_what_trips_a_guard(guards: Guards, trips: list[str]) -> None:
    plan = guarded(guards)
    assert [one.detail for one in plan.diagnostics] == trips
    assert {one.rule for one in plan.diagnostics} <= {TRIPPED}
    assert plan.guarded is bool(trips)
    assert whole(plan).applyable is not bool(trips)
    assert len(plan.actions) == 2  # refused, never cut


def test_a_guard_of_an_owner_counts_that_owner_s_days_only() -> None:
    """Of an action that covers the days of several, each has its own."""
    shared = transfer("1-10", id=1, owners=("ads", "crm"))
    own = replace(shared.segments[0], end=shared.segments[0].start + 4, owners=("web",))
    shared = replace(shared, segments=(own, replace(shared.segments[0], start=own.end)))
    guards = {owner: Guards(max_days_per_apply=most) for owner, most in (("ads", 5), ("crm", 6), ("web", 3))}
    plan = guarded(Guards(owners=guards), shared)
    assert plan.actions[0].owners == ("web", "ads", "crm")
    assert [one.detail.split(";")[0] for one in plan.diagnostics] == [
        "The plan for owner ads has 6 days",
        "The plan for owner web has 4 days",
    ]


def test_guards_are_measured_after_the_limits() -> None:
    plan = guarded(
        Guards(max_days_per_apply=5), limits=Limits(max_creates_per_apply=1, max_days_per_backfill=5)
    )
    assert (plan.guarded, plan.counts[Bucket.PLANNED], plan.counts[Bucket.DEFERRED]) == (False, 5, 10)


def test_without_history_rows_count_as_none_and_it_is_said() -> None:
    desired = (
        transfer("1-10", id=1),
        transfer("1-5", id=3, owners=("new",)),
        transfer("9", id=4, owners=("new",)),
    )
    plan = guarded(Guards(max_rows_per_apply=2000, owners={"new": Guards(max_rows_per_apply=1)}), *desired)
    assert [(one.rule, one.severity) for one in plan.diagnostics] == [(NO_HISTORY, Severity.WARNING)] * 2
    assert [("transfer-3, transfer-4" in one.detail) for one in plan.diagnostics] == [True, True]
    assert not plan.guarded


def test_history_matters_only_where_rows_are_guarded() -> None:
    assert guarded(Guards(max_days_per_apply=99), transfer("1-10", id=3)).diagnostics == ()


def test_a_run_list_that_cannot_be_read_is_no_history() -> None:
    desired = team(transfer("1-10"), guards=Guards(max_rows_per_apply=1))
    plan = planned(desired, observed(runs={1: FORBIDDEN}))
    assert plan.counts[Bucket.BLOCKED] == 10


def test_cancels_load_nothing() -> None:
    desired = team(transfer("40"), prune=True, guards=Guards(max_days_per_apply=1))
    listed, memory = backfill("1-10", "RUNNING", ran=0), record("1-10", "RUNNING", ran=0)
    plan = planned(desired, observed(listed), document(memory))
    assert actions(plan) == ["cancel 1-10 cancels 100", "create 40"]
    assert not plan.guarded


@pytest.mark.parametrize(
    "guards, wanted",
    [
        (Guards(max_days_per_apply=1), 0),
        (Guards(max_rows_per_apply=1), 31),
        (Guards(owners={"ads": Guards(max_rows_per_apply=1)}), 31),
    ],
)
def test_rows_want_a_history(guards: Guards, wanted: int) -> None:
    assert days_of_history(guards) == wanted


@pytest.mark.parametrize(
    "history, rows",
    [
        ((), None),
        ((run(1), run(2, "FAILED", rows=5)), None),
        (HISTORY[1], 200),
        (tuple(run(1, id=n, rows=10) for n in range(1, 25)), 240),
        ((*(run(1, id=n, rows=10) for n in range(1, 25)), run(1, id=99, rows=50, created=NOW)), 240),
        ((run(1, rows=10), run(1, id=9, rows=30, created=NOW), run(2, rows=10)), 20),
        ((run(1, rows=10, created=UNTOLD), run(1, id=2, rows=30, created=UNTOLD)), 20),
    ],
    ids=["none", "no rows", "daily", "hourly", "hourly, and loaded again", "refreshed", "undated"],
)
def test_rows_of_a_day(history: tuple[Run, ...], rows: float | None) -> None:
    assert rows_per_day(history) == rows


# --- what is left, and what was overridden ----------------------------------------------------


def test_a_plan_says_how_much_of_each_guard_it_uses() -> None:
    plan = guarded(
        Guards(max_days_per_apply=20, max_rows_per_apply=3000, owners={"crm": Guards(max_days_per_apply=4)})
    )
    used = [(use.owner, use.guard, use.planned, use.allowed, use.tripped) for use in plan.guards]
    assert used == [
        ("", "max_days_per_apply", 15, 20, False),
        ("", "max_rows_per_apply", 2050, 3000, False),
        ("crm", "max_days_per_apply", 5, 4, True),
    ]


def test_an_override_lets_pass_what_it_names_and_nothing_else() -> None:
    plan = guarded(Guards(max_days_per_apply=14, max_rows_per_apply=2049))
    one = overridden(plan, ("max_days_per_apply",))
    assert (one.guarded, [finding.severity for finding in one.diagnostics]) == (
        True,
        [Severity.WARNING, Severity.ERROR],
    )
    assert not overridden(plan, GUARDS).guarded
    assert overridden(plan, ()) == plan


def test_a_refusal_tells_what_lets_the_plan_pass() -> None:
    """Each guard that trips, in one order; a warning is told nothing of it."""
    mine, theirs = Guards(max_rows_per_apply=1), Guards(max_days_per_apply=1)
    plan = guarded(Guards(owners={"ads": mine, "crm": theirs}))
    assert tripped_guards(whole(plan)) == GUARDS
    assert tripped_guards(whole(guarded(Guards()))) == ()
    told = let_pass(overridden(plan, GUARDS[:1]), "Or so.")
    assert [one.hint.endswith("Or so.") for one in told.diagnostics] == [True, False]


def override(number: int, serial: int = 1, run: str = "") -> Override:
    return Override(
        f"sha256:{number:064}", ("max_days_per_apply",), "Agreed", serial, NOW, "ann on ci-7", run
    )


@pytest.mark.parametrize(
    "applies, told",
    [
        ([], True),
        ([Applied(override(1).digest, 9, NOW, "ann")], True),  # the plan itself
        ([Applied("sha256:other", 1, NOW, "ann")], True),  # an earlier one
        ([Applied("sha256:other", 9, NOW, "ann")], False),
    ],
)
@pytest.mark.parametrize("run_url", ["", "https://ci.example/run/7"])
def test_an_override_is_told_until_a_later_plan_was_applied(
    applies: list[Applied], told: bool, run_url: str
) -> None:
    memory = replace(
        document(),
        overrides={override(1).digest: override(1, run=run_url)},
        applies={one.digest: one for one in applies},
    )
    plan = planned(team(transfer("1-10")), observed(), memory)
    found = [one.detail for one in plan.diagnostics if one.rule == OVERRIDDEN]
    assert bool(found) is told
    assert all("by ann on ci-7 at 2026-11-22 09:00 UTC" in one and run_url in one for one in found)
    assert not plan.guarded


def test_a_state_names_the_last_overrides() -> None:
    memory = document()
    for number in range(KEPT_APPLIES + 5):
        memory = apply_delta(memory, overriding(memory, override(number, memory.serial)))
    assert sorted(memory.overrides) == [override(number).digest for number in range(5, KEPT_APPLIES + 5)]
