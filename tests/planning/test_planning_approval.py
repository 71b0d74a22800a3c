"""An approved plan: when it fits, what it still allows, and when it is the same plan."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from planning_values import (
    API,
    DAY,
    NOW,
    TEAM,
    ago,
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
from planning_worlds import World, worlds

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.dates import DaysByTransfer
from reconciler.formats.planfile import digest
from reconciler.model.deltas import apply_delta
from reconciler.model.desired import Address, Chunk, Limits
from reconciler.model.memory import Applied, BackfillRecord, Document, Intent, IntentKind, Origin, Outcome
from reconciler.planning.approval import (
    acts_alike,
    applied_before,
    approval_of,
    is_done,
    is_of,
    is_spent,
    made_since,
    misfits,
    newest_create,
    planned_days,
    remembering,
    still_approved,
)
from reconciler.planning.difference import differences
from reconciler.planning.plan import ActionKind, Plan
from reconciler.planning.planner import make_plan
from reconciler.planning.situation import weigh
from reconciler.planning.totals import in_hand, left_undone, prunes_undone

HEAVY = settings.get_profile("planning-heavy")
SECOND = timedelta(seconds=1)
HERE = Address(TEAM, 1)


def plan_of(*texts: str, **more: Any) -> Plan:
    return whole(planned(team(transfer(*(texts or ("1-10",)))), observed()), **more)


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
        ({"serial": 3}, "1-2 6-10"),
        ({"serial": 9}, "1-2 6-10"),
        ({"serial": 2}, "1-10"),  # the plan was made on a state that knew it
        ({"serial": 3, "at": NOW - 90 * DAY}, "1-2 6-10"),  # no clock takes part
        ({"serial": 2, "at": NOW + 90 * DAY}, "1-10"),
        ({"serial": 3, "outcome": "done"}, "1-2 6-10"),
        ({"serial": 3, "outcome": "refused"}, "1-2 6-10"),  # a gateway may have sent it twice
        ({"serial": 3, "outcome": "abandoned"}, "1-10"),  # it was never created
        ({"serial": 3, "transfer_id": 2}, "1-10"),
        ({"serial": 3, "kind": "cancel", "backfill_id": 7}, "1-10"),  # a cancel creates no day
    ],
)
def test_a_day_is_not_created_twice_under_one_plan(more: dict[str, Any], left: str) -> None:
    plan = plan_of()
    assert plan.teams[0].serial == 3
    still = still_approved(plan, document(intent("3-5", **more)))
    assert shown(still.days[HERE]) == left
    assert still.cancels == approval_of(plan).cancels


def test_a_job_that_died_between_cancel_and_create_is_finished_by_its_rerun() -> None:
    cancel = intent("1-10", kind="cancel", outcome="done", backfill_id=50, serial=4)
    assert shown(still_approved(plan_of("4"), document(cancel)).days[HERE]) == "4"


def test_a_plan_made_without_a_state_knows_of_no_create() -> None:
    plan = plan_of()
    plan = replace(plan, teams=(replace(plan.teams[0], lineage="", serial=0),))
    assert HERE not in still_approved(plan, document(intent("1-10", outcome="done", serial=0))).days


# --- the newest create on its days ----------------------------------------------------------


@pytest.mark.parametrize(
    "memory, newest",
    [
        ([], None),
        ([intent("10-12", serial=7, outcome="done")], 7),
        ([intent("11-12", serial=7, outcome="done")], None),  # on other days
        ([intent("1", serial=7, outcome="done", transfer_id=2)], None),
        ([intent("1", serial=7, kind="cancel", outcome="done")], None),
        ([intent("1", serial=7, outcome="abandoned")], None),
        ([intent("1", serial=7, outcome="refused"), intent("2", nonce="m", serial=5)], 7),
        ([record("3", serial=8)], 8),  # its intent is long forgotten
        ([record("3", serial=8, origin=Origin.OBSERVED)], None),
    ],
)
def test_the_newest_create_on_a_plan_s_days(memory: list[Any], newest: int | None) -> None:
    assert newest_create(document(*memory), DaysByTransfer([(HERE, days("1-10"))])) == newest
    assert newest_create(document(*memory), DaysByTransfer()) is None


@HEAVY
@given(worlds())
def test_once_something_of_a_plan_was_created_no_plan_of_its_days_has_its_digest(world: World) -> None:
    made = planned(world.team, world.observed, world.document)
    creates = [action for action in made.actions if action.kind is not ActionKind.CANCEL]
    for action in creates[:1]:
        memory = replace(world.document, serial=made.serial + 1)
        created = Intent(
            *("nonce", IntentKind.CREATE, action.address.transfer_id, "t", action.start, action.end),
            *(NOW, NOW),
            outcome=Outcome.DONE,
            serial=made.serial,
        )
        memory = replace(memory, intents={**memory.intents, created.nonce: created})
        newest = newest_create(memory, planned_days(made.actions))
        assert newest == made.serial
        assert made.newest_create is None or made.newest_create < newest
        assert digest(whole(replace(made, newest_create=newest))) != digest(whole(made))
        assert not still_approved(whole(made), memory).days.of(action.address) & action.days


def test_what_a_create_left_out_is_approved_still() -> None:
    """The API cut it off, or a person named a backfill of a part: the same plan makes the rest."""
    memory = document(intent("1-10", outcome="done", serial=3, backfill_id=9), record("1-7", id=9))
    assert shown(still_approved(plan_of("1-10"), memory).days.of(HERE)) == "8-10"


# --- applied in full ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "memory, made",
    [
        ([], ""),
        ([intent("4-10", outcome="done", serial=3)], "4-10"),
        ([intent("4-10", outcome="done", serial=2)], ""),  # before the plan
        ([intent("1-10", outcome="refused", serial=3)], ""),
        ([intent("1-10", serial=3)], ""),
        ([intent("1-10", outcome="done", serial=3, backfill_id=9), record("1-9", id=9)], "1-9"),  # cut
        ([record("1-9", id=9, serial=3)], "1-9"),  # its intent is forgotten
        ([record("1-9", id=9, serial=2)], ""),
        ([record("1-9", id=9, serial=3, origin=Origin.OBSERVED)], ""),  # a person's
    ],
)
def test_what_was_made_since_a_plan(memory: list[Any], made: str) -> None:
    assert shown(made_since(plan_of(), document(*memory)).of(HERE)) == made
    assert shown(made_since(plan_of().teams[0], document(*memory)).of(HERE)) == made
    assert is_done(plan_of(made or "1"), document(), made_since(plan_of(), document(*memory))) is bool(made)
    assert not is_done(plan_of("1-11"), document(), made_since(plan_of(), document(*memory)))


@pytest.mark.parametrize(
    "since, hand", [({"serial": 3}, "1-4"), ({"serial": 2}, ""), ({"serial": 3, "outcome": "pending"}, "")]
)
def test_what_we_made_and_is_settling_is_in_hand(since: dict[str, Any], hand: str) -> None:
    ended = record("1-4", "COMPLETED", id=9, ran=3, ended_at=NOW)
    created = intent("1-4", **{"outcome": "done", "backfill_id": 9, **since})
    ledger = ledger_of(transfer("1-10"), ended)
    assert {one.reason for one in ledger.entries} >= {"settling"}
    assert shown(in_hand(plan_of(), document(ended, created), [ledger]).of(HERE)) == hand


@pytest.mark.parametrize(
    "memory, cancels, spent",
    [
        ([], (), False),
        ([], (50,), True),
        ([intent("3-4", serial=3, outcome="done")], (), True),
        ([intent("3-4", serial=2, outcome="done")], (), False),
        ([intent("11", serial=3, outcome="done")], (), False),
        ([intent("3-4", serial=3, outcome="refused")], (), False),
    ],
)
def test_a_plan_is_spent_once_it_cannot_come_again(
    memory: list[Any], cancels: tuple[int, ...], spent: bool
) -> None:
    plan = plan_of()
    action = replace(plan.teams[0].actions[0], cancels=cancels)
    plan = replace(plan, teams=(replace(plan.teams[0], actions=(action,)),))
    assert is_spent(plan, document(*memory)) is spent


@pytest.mark.parametrize(
    "shell, done",
    [
        (record("1-10", "CANCELLED", id=50), True),
        (record("1-10", "COMPLETED", id=50), True),
        (record("1-10", "FAILED", id=50, failed=1), False),
        (record("1-10", "RUNNING", id=50, ran=0), False),
        (record("1-10", "RUNNING", id=50, ran=0, gone=True), True),
        (record("1-10", id=51), False),  # nobody knows
    ],
)
def test_a_plan_is_done_once_its_cancels_are_seen_final(shell: BackfillRecord, done: bool) -> None:
    plan = plan_of("4")
    retry = replace(plan.teams[0].actions[0], cancels=(50,))
    plan = replace(plan, teams=(replace(plan.teams[0], actions=(retry,)),))
    assert is_done(plan, document(shell), DaysByTransfer([(HERE, days("4"))])) is done


def test_a_state_names_the_last_twenty() -> None:
    memory = document()
    for number in range(25):
        named = Applied(f"sha256:{number:064}", memory.serial, NOW, "me")
        memory = apply_delta(memory, remembering(memory, named))
    assert sorted(memory.applies) == [f"sha256:{number:064}" for number in range(5, 25)]
    found = applied_before([document(), memory], lambda known: known.endswith("07"))
    assert found is not None
    assert found.digest.endswith("07")
    assert applied_before([document(), memory], lambda known: known.endswith("04")) is None


def test_a_plan_named_again_is_named_once() -> None:
    first, again = Applied("sha256:1", 3, NOW, "me"), Applied("sha256:1", 9, NOW + DAY, "you")
    memory = apply_delta(document(), remembering(document(), first))
    memory = apply_delta(memory, remembering(memory, again))
    assert list(memory.applies.values()) == [again]


# --- fit ----------------------------------------------------------------------------------

FINE: dict[int, Document] = {TEAM: document()}


def test_a_plan_that_fits_is_not_refused() -> None:
    assert not misfits(plan_of(), API, FINE, NOW)
    assert not misfits(plan_of(), API, FINE, NOW + 7 * DAY)
    assert not misfits(plan_of(), API, FINE, NOW - DAY)  # made "in the future": a clock is off
    no_lineage_yet = plan_of()
    no_lineage_yet = replace(no_lineage_yet, teams=(replace(no_lineage_yet.teams[0], lineage=""),))
    assert not misfits(no_lineage_yet, API, FINE, NOW)


@pytest.mark.parametrize(
    "change, now, documents, words",
    [
        ({"api_url": "https://other.example/v1"}, NOW, FINE, "for the API https://other.example/v1"),
        ({}, NOW + 7 * DAY + SECOND, FINE, "longer ago than --plan-expiry allows (7d)."),
        ({}, NOW - DAY - SECOND, FINE, "yet to come by this clock"),
        ({}, NOW, {}, "team 5, which the files do not name"),
        ({}, NOW, {TEAM: document(lineage="lineage-2")}, "another state of team 5 (lineage lineage-1)"),
        ({}, NOW, {TEAM: document(lineage="")}, "another state of team 5"),
        (
            {},
            NOW,
            {TEAM: document(serial=2)},
            "older than the one it was made against (serial 3; here it has 2)",
        ),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(change: Any, now: Any, documents: Any, words: str) -> None:
    (told,) = misfits(replace(plan_of(), **change), API, documents, now)
    assert words in told


def test_all_that_does_not_fit_is_said_at_once() -> None:
    told = misfits(plan_of(), "https://other.example/v1", {}, NOW + 9 * DAY)
    wanted = ("the API", "longer ago than", "do not name")
    assert [words in sentence for words, sentence in zip(wanted, told, strict=True)] == [True] * 3


@pytest.mark.parametrize("declared, fits", [("1-10", True), ("10", True), ("11-20", False), ("", False)])
def test_a_plan_of_which_nothing_is_declared_is_of_other_files(declared: str, fits: bool) -> None:
    assert is_of(plan_of(), DaysByTransfer([(HERE, days(declared))])) is fits
    assert not is_of(plan_of(), DaysByTransfer([(Address(TEAM, 2), days("1-10"))]))
    assert is_of(whole(), DaysByTransfer())  # there is nothing to do


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
        "new: cancel of backfill 50 of transfer-1"
    ]


@pytest.mark.parametrize(
    "fresh, alike",
    [
        (plan_of(created_at=NOW + DAY), True),
        (plan_of("1-9"), False),  # less, too: what was shown is not what would be done
        (plan_of("1-5", "6-10"), True),
        (whole(planned(team(transfer("1-10"), limits=Limits(max_days_per_backfill=5)), observed())), False),
        (whole(planned(team(transfer("1-10", id=2)), observed())), False),
    ],
)
def test_plans_act_alike_that_create_the_same_backfills(fresh: Plan, alike: bool) -> None:
    assert acts_alike(plan_of(), fresh) is alike


def test_differences_are_told_in_words() -> None:
    before = plan_of()
    longer = replace(before.teams[0].actions[0], end=before.teams[0].actions[0].end + 1, cancels=(50,))
    after = replace(before, teams=(replace(before.teams[0], actions=(longer,)),))
    told = differences(before, after)
    assert told == [
        "new: transfer-1 2024-01-11..2024-01-11",
        "new: cancel of backfill 50 of transfer-1",
    ]
    assert differences(before, before) == []


# --- what is left undone ------------------------------------------------------------------


@pytest.mark.parametrize(
    "declared, memory, left",
    [
        ("1-10", [], {}),
        ("3-20", [], {"1-2": "not-declared"}),
        ("1-10", [record("1-4")], {}),
        ("1-10", [record("1-4", "RUNNING", ran=0)], {}),
        # made under it, and due again: that is the next plan's
        ("1-10", [intent("1-4", serial=3, outcome="done", backfill_id=9)], {"1-4": "not-approved"}),
        ("1-10", [intent("1-4", serial=3, outcome="refused", at=ago(0.1))], {"1-4": "refused"}),
        ("1-10", [intent("1-4", serial=3)], {"1-4": "unresolved"}),
        # its cancel was not shown
        ("1-10", [record("1-4", "FAILED", id=50, failed=4)], {"1-4": "not-approved"}),
        ("1-10", [record("1-4", "FAILED", id=50, failed=4, ended_at=NOW)], {"1-4": "backoff"}),
    ],
)
def test_what_a_saved_plan_was_to_create_and_nobody_has(
    declared: str, memory: list[Any], left: dict[str, str]
) -> None:
    saved, known = plan_of(), document(*memory)
    listed = [one.seen for one in memory if isinstance(one, BackfillRecord)]
    situation = weigh(team(transfer(declared)), known, observed(*listed), NOW, DEFAULT_SETTLE)
    fresh = make_plan(situation, still_approved(saved, known))
    found = left_undone(saved, known, situation.ledgers, fresh)
    assert {shown(one.days): one.reason for one in found} == left


def test_what_a_limit_defers_is_for_a_later_run_of_the_same_plan() -> None:
    limited = team(transfer("1-10", chunk=Chunk.WEEK), limits=Limits(max_creates_per_apply=1))
    situation = weigh(limited, document(), observed(), NOW, DEFAULT_SETTLE)
    fresh = make_plan(situation, still_approved(plan_of(), document()))
    assert len(fresh.actions) == 1
    assert left_undone(plan_of(), document(), situation.ledgers, fresh) == ()


def test_days_to_come_and_transfers_that_are_gone_are_named() -> None:
    """As after an earlier ``--as-of``, or with other files."""
    early = team(transfer("1-10", loadable_until=days("1-6").end()))
    situation = weigh(early, document(), observed(), NOW, DEFAULT_SETTLE)
    fresh = make_plan(situation, still_approved(plan_of(), document()))
    found = left_undone(plan_of(), document(), situation.ledgers, fresh)
    assert [(shown(one.days), one.reason) for one in found] == [("7-10", "future")]
    other = weigh(team(transfer("1-10", id=2)), document(), observed(), NOW, DEFAULT_SETTLE)
    fresh = make_plan(other, still_approved(plan_of(), document()))
    found = left_undone(plan_of(), document(), other.ledgers, fresh)
    assert [(shown(one.days), one.reason) for one in found] == [("1-10", "not-declared")]


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
