"""From ledgers to actions: order, retries, pruning, and what the same inputs always give."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from planning_values import (
    FORBIDDEN,
    NOT_FOUND,
    NOW,
    TODAY,
    actions,
    ago,
    backfill,
    days,
    document,
    intent,
    known,
    observed,
    planned,
    put_off,
    record,
    runs,
    seen_as,
    segment,
    shown,
    shuffled,
    team,
    transfer,
    whole,
)
from planning_worlds import Tape, World, read_world, tapes, worlds
from test_planning_limits import fewest

from reconciler.dates import DaysByTransfer, union
from reconciler.formats.planfile import digest, dump, encode_plan
from reconciler.model.desired import Chunk, EvidenceMode, Limits, Order
from reconciler.model.memory import BackfillRecord, Origin
from reconciler.model.observed import Backfill, Status, Unreadable
from reconciler.planning import plan as plan_values
from reconciler.planning.approval import Approval, approval_of
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import ActionKind, DayCounts, TeamPlan

LAW = settings.get_profile("planning-law")
HEAVY = settings.get_profile("planning-heavy")


def plan_of(world: World, approval: Approval | None = None) -> TeamPlan:
    return planned(world.team, world.observed, world.document, approval, world.now)


# --- order --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order, expected",
    [
        (Order.NEWEST_FIRST, [(1, "20-22"), (3, "20-22"), (2, "9-12"), (1, "1-2")]),
        (Order.OLDEST_FIRST, [(1, "1-2"), (2, "9-12"), (1, "20-22"), (3, "20-22")]),
    ],
)
def test_days_are_ordered_over_all_transfers_and_ties_by_id(
    order: Order, expected: list[tuple[int, str]]
) -> None:
    desired = team(
        transfer("1-2", "20-22", id=1), transfer("9-12", id=2), transfer("20-22", id=3), order=order
    )
    found = [(one.address.transfer_id, shown(one.days)) for one in planned(desired, observed()).actions]
    assert found == expected


def test_limits_pass_along_the_order() -> None:
    only_one = Limits(max_creates_per_apply=1)
    desired = team(transfer("1-5", id=1), transfer("6", id=2), limits=only_one, as_of=TODAY - 1)
    assert actions(planned(desired, observed())) == ["create 6"]
    assert actions(planned(replace(desired, order=Order.OLDEST_FIRST), observed())) == ["create 1-5"]


# --- an action ----------------------------------------------------------------------------


def test_an_action_carries_the_latest_stale_before_of_its_days() -> None:
    desired = transfer(
        segment("1-3", 1, stale_before=ago(50)),
        segment("4", 2, stale_before=ago(20)),
        segment("5-9", 3),
        owners=("ads",),
    )
    (only,) = planned(team(desired), observed()).actions
    assert (only.stale_before, only.owners, only.transfer) == (ago(20), ("ads",), "transfer-1")
    (only,) = planned(team(transfer("1-3")), observed()).actions
    assert only.stale_before is None


# --- retries ------------------------------------------------------------------------------


def shell(
    text: str = "1-10", names: str = "4", number: int = 50, **more: Any
) -> tuple[Backfill, BackfillRecord]:
    given_words = {"id": number, "failed": len(days(names)), "names": names}
    return backfill(text, "FAILED", **given_words), record(text, "FAILED", **given_words, **more)


def test_a_failed_day_of_ours_cancels_its_shell_first() -> None:
    listed, memory = shell()
    plan = planned(team(transfer("1-10")), observed(listed), document(memory))
    assert actions(plan) == ["retry 4 cancels 50"]
    assert plan.actions[0].reasons == {"failed": 1}


def test_of_two_pieces_under_one_shell_the_first_cancels_it() -> None:
    listed, memory = shell(names="2 7")
    plan = planned(team(transfer("1-10")), observed(listed), document(memory))
    assert actions(plan) == ["retry 7 cancels 50", "create 2"]
    oldest = planned(team(transfer("1-10"), order=Order.OLDEST_FIRST), observed(listed), document(memory))
    assert actions(oldest) == ["retry 2 cancels 50", "create 7"]


def test_a_stale_day_inside_our_shell_cancels_it_too() -> None:
    listed, memory = shell()
    plan = planned(team(transfer(segment("1-3", stale_before=ago(1)))), observed(listed), document(memory))
    assert actions(plan) == ["retry 1-3 cancels 50"]


def test_a_failed_one_that_is_not_ours_is_never_cancelled() -> None:
    listed, memory = shell(origin=Origin.OBSERVED)
    for remembered in (document(), document(memory)):
        assert actions(planned(team(transfer("1-10")), observed(listed), remembered)) == ["create 4"]


def test_a_shell_of_a_predecessor_is_never_cancelled() -> None:
    listed, memory = shell()
    listed, memory = replace(listed, transfer_id=90), seen_as(memory, transfer_id=90)
    desired = team(transfer("1-10", previous_ids=(90,)))
    assert actions(planned(desired, observed(listed), document(memory))) == ["create 4"]


def test_a_shell_that_vanished_or_still_runs_is_not_cancelled() -> None:
    listed, memory = shell()
    desired = team(transfer("1-10"))
    assert actions(planned(desired, observed(), document(memory))) == ["create 4"]
    still = replace(listed, completed=5)
    assert actions(planned(desired, observed(still), document(memory))) == []


def test_a_cancelled_shell_in_a_lagging_list_is_not_cancelled_again() -> None:
    listed, memory = shell()
    memory = seen_as(memory, status=Status.CANCELLED)
    memory = replace(memory, evidence=known(loaded="1-3 5-10", failed="4"), settled=True)
    assert actions(planned(team(transfer("1-10")), observed(listed), document(memory))) == ["create 4"]


# --- approval as a filter -----------------------------------------------------------------


def approve(desired: Any, text: str, *cancels: int) -> Approval:
    shown = DaysByTransfer([(desired.transfers[0].address, days(text))])
    return Approval(shown, frozenset((desired.team_id, one) for one in cancels))


def test_days_that_were_not_approved_are_deferred() -> None:
    desired = team(transfer("1-10"))
    plan = planned(desired, observed(), approval=approve(desired, "3-5 9-20"))
    assert actions(plan) == ["create 9-10", "create 3-5"]
    assert put_off(plan) == ["1-2 not-approved", "6-8 not-approved"]
    assert planned(desired, observed(), approval=Approval(DaysByTransfer(), frozenset())).actions == ()


def test_a_retry_whose_cancel_was_not_approved_is_withheld() -> None:
    listed, memory = shell(names="2 7")
    desired = team(transfer("1-12"))
    plan = planned(desired, observed(listed), document(memory), approve(desired, "1-12"))
    assert actions(plan) == ["create 11-12"]
    assert put_off(plan) == ["2 not-approved", "7 not-approved"]
    plan = planned(desired, observed(listed), document(memory), approve(desired, "1-12", 50))
    assert actions(plan) == ["create 11-12", "retry 7 cancels 50", "create 2"]


def test_a_prune_that_was_not_approved_is_left_out() -> None:
    running = backfill("20-25", "RUNNING", ran=0)
    desired = team(transfer("1"), prune=True)
    memory = document(record("20-25", "RUNNING", ran=0))
    unapproved = planned(desired, observed(running), memory, approve(desired, "1"))
    assert actions(unapproved) == ["create 1"]
    approved = planned(desired, observed(running), memory, approve(desired, "1", 100))
    assert actions(approved) == ["cancel 20-25 cancels 100", "create 1"]


# --- pruning ------------------------------------------------------------------------------


def pruned(memory: BackfillRecord, *listed: Backfill, **more: Any) -> list[str]:
    desired = team(transfer("1-3", "28-31", previous_ids=(90,)), **{"prune": True, **more})
    plan = planned(desired, observed(*listed), document(memory))
    return [one for one in actions(plan) if one.startswith("cancel")]


OURS = record("10-12", "RUNNING", ran=0)
LISTED = backfill("10-12", "RUNNING", ran=0)


def test_our_own_on_no_declared_day_is_pruned() -> None:
    assert pruned(OURS, LISTED) == ["cancel 10-12 cancels 100"]


@pytest.mark.parametrize(
    "memory, listed, more",
    [
        (OURS, LISTED, {"prune": False}),
        (OURS, LISTED, {"as_of_is_today": False}),
        (replace(OURS, origin=Origin.OBSERVED), LISTED, {}),
        (seen_as(OURS, id=7), LISTED, {}),  # unknown: not ours
        (seen_as(OURS, transfer_id=2), replace(LISTED, transfer_id=2), {}),  # not named, or not targeted
        (seen_as(OURS, transfer_id=90), replace(LISTED, transfer_id=90), {}),  # a predecessor's
        (record("10-12", "CANCELLED", ran=0), LISTED, {}),  # the list lags
        (
            record("10-12", "FAILED", ran=0),
            backfill("10-12", "FAILED", ran=0, end_time=NOW),
            {},
        ),  # not active
        (record("10-28", "RUNNING"), backfill("10-28", "RUNNING", ran=0), {}),  # a declared day
    ],
)
def test_what_is_never_pruned(memory: BackfillRecord, listed: Backfill, more: dict[str, Any]) -> None:
    assert pruned(memory, listed, **more) == []


def test_future_days_count_as_declared_when_pruning() -> None:
    desired = team(transfer("1-3", "10-12", loadable_until=days("1").end()), prune=True)
    assert actions(planned(desired, observed(LISTED), document(OURS))) == ["create 1"]


def test_a_pruned_backfill_says_where_and_why() -> None:
    desired = team(transfer("1-3", owners=("ads",)), prune=True)
    cancel = planned(desired, observed(LISTED), document(OURS)).actions[0]
    assert (cancel.kind, cancel.reasons, cancel.owners) == (ActionKind.CANCEL, {"undeclared": 3}, ("ads",))
    assert [str(one) for one in cancel.declared_at] == ["backfills.yaml:1:1"]


# --- unmanaged ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "listed, memory, is_shown",
    [
        (backfill("3-5", "RUNNING"), None, True),
        (backfill("3-5", "FAILED"), None, True),
        (backfill("11-15", "RUNNING"), None, False),  # touches no declared day
        (backfill("3-5", "RUNNING", transfer_id=90), None, True),  # a predecessor's
        (backfill("3-5", "RUNNING", transfer_id=7), None, False),  # of a transfer in no file
        (backfill("3-5", "RUNNING"), record("3-5", "RUNNING", origin=Origin.OBSERVED), True),
        (backfill("3-5", "RUNNING"), record("3-5", "RUNNING"), False),  # ours
        (backfill("3-5", "RUNNING", transfer_id=7), record("3-5", "RUNNING", transfer_id=7), True),
        (
            backfill("3-5", "FAILED", transfer_id=7),
            record("3-5", "FAILED", transfer_id=7),
            False,
        ),  # not active
    ],
)
def test_what_is_unmanaged(listed: Backfill, memory: BackfillRecord | None, is_shown: bool) -> None:
    desired = team(transfer("1-10", previous_ids=(90,)))
    plan = planned(desired, observed(listed), document(*[memory] if memory else []))
    assert [(one.backfill_id, one.status) for one in plan.unmanaged] == [
        (100, listed.status.value)
    ] * is_shown


def test_one_of_ours_on_a_transfer_that_is_merely_not_targeted_is_no_stranger() -> None:
    desired = team(transfer("1-10"), declared_ids=frozenset({1, 7}))
    listed, memory = backfill("3-5", "RUNNING", transfer_id=7), record("3-5", "RUNNING", transfer_id=7)
    assert planned(desired, observed(listed), document(memory)).unmanaged == ()


# --- what a plan tells of itself ----------------------------------------------------------


@pytest.mark.parametrize(
    "modes, answers, expected",
    [
        (["runs"], {1: runs("1")}, "runs"),
        (["runs"], {1: FORBIDDEN}, "runs"),
        (["backfills"], {}, "backfills"),
        (["runs", "backfills"], {1: runs("1")}, "mixed"),
        (["runs", "runs"], {1: runs("1"), 2: NOT_FOUND}, "runs"),
        (["runs", "runs"], {1: runs("1")}, "runs"),  # the other had nothing due
        (["runs"], {}, "runs"),
        ([], {}, "runs"),
    ],
)
def test_what_evidence_decided(modes: list[str], answers: dict[int, Any], expected: str) -> None:
    transfers = [
        transfer("1-3", id=number + 1, evidence=EvidenceMode(mode)) for number, mode in enumerate(modes)
    ]
    assert planned(team(*transfers), observed(runs=answers)).evidence == expected


def test_the_counts_of_all_buckets() -> None:
    desired = transfer(
        segment("1-5"),
        segment("6-10", stale_before=ago(1)),
        segment("11-40"),
        loadable_until=days("1-30").end(),
        max_attempts=1,
    )
    memory = document(
        record("1-2", id=1, evidence=known(loaded="1-2"), settled=True),
        record("3-5", "RUNNING", id=2, ran=0),
        record("6-8", "RUNNING", id=3, ran=0),
        record("11-12", "FAILED", id=4, ran=0, failed=2, names="11-12", end_time=ago(2)),
        intent("13-15", outcome="refused", at=ago(0.1)),
    )
    listed = [backfill("3-5", "RUNNING", id=2, ran=0), backfill("6-8", "RUNNING", id=3, ran=0)]
    limits = Limits(max_creates_per_apply=1, max_days_per_backfill=10)
    plan = planned(team(desired, limits=limits), observed(*listed), memory)
    assert plan.counts.as_dict() == {
        "declared": 40,
        "covered": 2,
        "in_flight": 3,
        "planned": 2,  # the last one in the order: on a day of even ordinal it has its turn
        "waiting": 3,
        "blocked": 3,
        "failed": 2,
        "deferred": 15,
        "future": 10,
    }
    assert [(shown(one.days), one.reason) for one in plan.of(Bucket.WAITING)] == [("6-8", "stale")]
    assert [(shown(one.days), one.reason) for one in plan.of(Bucket.BLOCKED)] == [("13-15", "refused")]
    assert [(shown(one.days), one.reason) for one in plan.of(Bucket.FAILED)] == [("11-12", "attempts")]


# --- laws ---------------------------------------------------------------------------------


@LAW
@given(worlds())
def test_a_plan_keeps_its_promises(world: World) -> None:
    plan, limits = plan_of(world), world.team.limits
    making = [one for one in plan.actions if one.kind is not ActionKind.CANCEL]
    by_address: dict[Any, Any] = {}
    for one in making:
        by_address.setdefault(one.address, []).append(one.days)
    # the fewest creates, each allowed, none overlapping
    transfers = {one.address: one for one in world.team.transfers}
    least = sum(
        fewest(union(sets), transfers[address].chunk, limits.max_days_per_backfill)
        for address, sets in by_address.items()
    )
    assert len(making) == plan.minimum_creates == least
    for address, sets in by_address.items():
        assert sum(map(len, sets)) == len(union(sets))
        assert not union(sets) - transfers[address].days
    # every declared day is somewhere
    counts = plan.counts.as_dict()
    assert counts.pop("declared") == sum(counts.values())
    assert counts["planned"] == sum(len(one.days) for one in making)
    assert sum(counts.values()) == sum(len(one.days) for one in world.team.transfers)
    for bucket in plan_values.LISTED:
        assert counts[bucket] == sum(len(one.days) for one in plan.of(bucket))
    # limits
    assert len(making) <= (limits.max_creates_per_apply or len(making))
    cancels = [one for action in plan.actions for one in action.cancels]
    assert len(cancels) == len(set(cancels))
    plain = sum(one.kind is ActionKind.CREATE for one in making)
    if world.observed.list_full:
        assert plain == 0
    for one in making:
        assert sum(one.reasons.values()) == len(one.days)
        assert (one.kind is ActionKind.RETRY) is bool(one.cancels)


@HEAVY
@given(worlds(440), worlds(440))
def test_what_is_done_under_an_approved_plan_is_a_subset_of_it(approved: World, later: World) -> None:
    """Whatever happens in between: other days, another memory, other limits."""
    shown_plan = whole(plan_of(approved))
    approval = approval_of(shown_plan)
    done = whole(plan_of(later, approval))
    for address, kept in done_days(done).items():
        assert not kept - approval.days.get(address, days(""))
    assert approval_of(done).cancels <= approval.cancels
    # and nothing that the same situation without an approval would not do, now or when a limit lets it
    free = whole(plan_of(later))
    put_off = DaysByTransfer((one.address, one.days) for one in free.of(Bucket.DEFERRED))
    for address, kept in done_days(done).items():
        assert not kept - (approval_of(free).days | put_off).of(address)
    assert done.counts.as_dict().keys() == free.counts.as_dict().keys()
    assert (
        done.counts[Bucket.PLANNED] + done.counts[Bucket.DEFERRED]
        == free.counts[Bucket.PLANNED] + free.counts[Bucket.DEFERRED]
    )


def done_days(plan: Any) -> dict[Any, Any]:
    return approval_of(replace(plan, teams=tuple(replace(one, items=()) for one in plan.teams))).days


@HEAVY
@given(tapes(440))
def test_an_approved_plan_in_the_same_situation_is_the_plan(tape: Tape) -> None:
    """But for why some days wait: a retry put off by a limit has no approved cancel."""
    world = read_world(tape)
    plan = plan_of(world)
    again = plan_of(world, approval_of(whole(plan)))
    assert again.actions == plan.actions
    assert again.counts == plan.counts
    assert digest(whole(again)) == digest(whole(plan))


@HEAVY
@given(worlds(), tapes(8))
def test_the_order_of_answers_does_not_matter(world: World, tape: Tape) -> None:
    order = random.Random(tape.below(256) * 256 + tape.below(256))
    seen, memory = world.observed, world.document
    listed = list(seen.listed)
    order.shuffle(listed)
    lists = {
        one: answer if isinstance(answer, Unreadable) else list(answer) for one, answer in seen.runs.items()
    }
    for answer in lists.values():
        if isinstance(answer, list):
            order.shuffle(answer)
    other = replace(
        world,
        observed=replace(
            seen,
            listed=tuple(listed),
            fetched=shuffled(seen.fetched, order),
            latest=shuffled(seen.latest, order),
            runs={
                one: answer if isinstance(answer, Unreadable) else tuple(answer)
                for one, answer in shuffled(lists, order).items()
            },
            transfers=shuffled(named, order) if isinstance(named := seen.transfers, dict) else named,
        ),
        document=replace(
            memory, backfills=shuffled(memory.backfills, order), intents=shuffled(memory.intents, order)
        ),
    )
    one, another = whole(plan_of(world)), whole(plan_of(other))
    assert one == another
    assert digest(one) == digest(another)
    assert dump(encode_plan(one, "1")) == dump(encode_plan(another, "1"))


@pytest.mark.parametrize(
    "counts, told",
    [
        ({}, (True, True, 100)),
        ({Bucket.COVERED: 2, Bucket.FUTURE: 1, Bucket.IN_FLIGHT: 7}, (True, True, 22)),
        ({Bucket.COVERED: 999, Bucket.PLANNED: 1}, (False, True, 99)),
        ({Bucket.WAITING: 1}, (False, True, 0)),
        ({Bucket.DEFERRED: 1}, (False, True, 0)),
        ({Bucket.BLOCKED: 1}, (True, False, 0)),
        ({Bucket.FAILED: 1}, (True, False, 0)),
    ],
)
def test_what_counts_tell(counts: dict[Bucket, int], told: tuple[bool, bool, int]) -> None:
    """In sync, healthy, and percent loaded: rounded down, so that 100 means all."""
    days_in = DayCounts(counts)
    assert (days_in.synced, days_in.healthy, days_in.percent) == told


def test_a_plan_of_no_transfers_is_empty() -> None:
    plan = planned(team(), observed())
    assert (plan.actions, plan.counts.declared, plan.minimum_creates) == ((), 0, 0)


def test_chunks_of_a_transfer_hold_for_it_alone() -> None:
    desired = team(transfer("25-40", id=1, chunk=Chunk.MONTH), transfer("25-40", id=2))
    assert actions(planned(desired, observed())) == ["create 32-40", "create 25-40", "create 25-31"]
