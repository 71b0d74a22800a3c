"""What is told of days: where they stand, what the API answered, and which transfers share them."""

from dataclasses import replace
from typing import Any

import pytest
from planning_values import (
    FORBIDDEN,
    HOUR,
    NOW,
    ago,
    backfill,
    buckets,
    document,
    intent,
    named,
    observed,
    planned,
    record,
    segment,
    shown,
    team,
    transfer,
    whole,
)
from pydantic_core import SchemaValidator

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.formats.messages import status_json
from reconciler.formats.planfile import dump, encode_plan, read_plan
from reconciler.formats.planparts import ACTION, ITEM, action_of, encode_action, encode_item, item_of
from reconciler.model.desired import Desired, EvidenceMode, Limits, OnUnknown
from reconciler.model.memory import Origin
from reconciler.model.observed import ApiError, Unreadable
from reconciler.planning.ledger import Bucket
from reconciler.planning.plan import Answer, Item
from reconciler.planning.situation import weigh
from reconciler.planning.standing import standings, team_standings
from reconciler.render.text import Shown, plan_text
from reconciler.render.view import view_of
from reconciler.render.words import Paint

SAID = ApiError(422, "WRONG", "No such thing", "R-1")


def blocked(*entries: Any, **seen: Any) -> tuple[Item, ...]:
    plan = planned(team(transfer("1-10")), observed(**seen), document(*entries))
    return tuple(item for item in plan.items if item.bucket is Bucket.BLOCKED)


@pytest.mark.parametrize(
    "entries, seen, answer",
    [
        ((intent("1-10", outcome="refused", answer=SAID),), {}, Answer(SAID, ago(1))),
        ((intent("1-10", outcome="refused", answer=SAID, vendor_at=ago(2)),), {}, Answer(SAID, ago(2))),
        ((intent("1-10", answer=SAID),), {}, Answer(SAID, ago(1))),
        ((intent("1-10", outcome="refused"),), {}, None),
        ((), {"latest": {1: replace(FORBIDDEN, error=SAID)}}, Answer(SAID, NOW)),
        ((), {"latest": {1: FORBIDDEN}}, None),
        (
            (
                intent("1-10", outcome="refused", answer=SAID),
                intent("1-10", nonce="m", outcome="refused", at=ago(0.5), answer=replace(SAID, status=403)),
            ),
            {},
            Answer(replace(SAID, status=403), ago(0.5)),
        ),
    ],
)
def test_what_the_api_answered_goes_with_the_days_it_keeps(entries: Any, seen: Any, answer: Any) -> None:
    (item,) = blocked(*entries, **seen)
    assert item.answer == answer
    told = encode_item(item)
    assert ("answer" in told) is (answer is not None)
    assert item_of(Bucket.BLOCKED, SchemaValidator(ITEM).validate_python(told)) == item


def test_a_paused_day_has_no_answer() -> None:
    plan = planned(team(transfer("1-10", paused=True)), observed(), document(intent("20", answer=SAID)))
    assert [item.answer for item in plan.items] == [None]


def test_what_could_not_be_read_stands_as_unknown() -> None:
    read, unread = team(transfer("1-10")), team(transfer("1-4"), team_id=6)
    plan = planned(read, observed(), document(record("1-10")))
    each, all_of_them = standings(whole(plan, errored=True), Desired((read, unread), (), {}))
    assert [(one.declared, one.percent, one.synced, one.healthy) for one in each] == [
        (10, 100, True, True),
        (4, None, None, None),
    ]
    assert (all_of_them.declared, all_of_them.counts, all_of_them.healthy) == (14, None, None)
    _each, known = standings(whole(plan), Desired((read,), (), {}))
    assert known.percent == 100


def test_how_many_are_covered_is_unknown_where_what_loaded_some_was_not_read() -> None:
    desired = team(transfer("1-10"), transfer("1-4", id=2))
    unread = observed(latest={1: FORBIDDEN}, runs={1: FORBIDDEN})
    plan = whole(planned(desired, unread, document(record("1-4"), record("1-4", id=101, transfer_id=2))))
    found = status_json(plan, *standings(plan, Desired((desired,), (), {})))
    told = encode_plan(plan, "1")
    expected: list[Any] = [(10, None, 6), (4, 4, 0), (14, None, 6)]
    for days in (
        [one["days"] for one in (*found["transfers"], found["total"])],
        [*(one["days"] for one in told["transfers"]), told["summary"]["days"]],
    ):
        assert [(one["declared"], one["covered"], one["blocked"]) for one in days] == expected
    read = read_plan(dump(told))
    assert [one.counts.unread for one in read.transfers] == [True, False]
    assert read.counts[Bucket.COVERED] == 8
    shown_text = plan_text(view_of(read), Shown(Paint()))
    assert "? of 10 days" in shown_text


def test_days_that_failed_and_are_made_again_keep_their_reason() -> None:
    desired = team(transfer("1-31"), transfer("1-4", id=2))
    error = {"failed": 1, "names": "3", "error": "No such account", "end_time": ago(30)}
    plan = planned(desired, observed(), document(record("1-31", "FAILED", ended_at=ago(30), **error)))
    assert sorted(action.error for action in plan.actions) == ["", "No such account"]
    (standing,) = team_standings(whole(plan), Desired((desired,), (), {}))
    (((item,), paused),) = standing.remarks
    assert (item.bucket, item.reason, item.error) == (Bucket.PLANNED, "failed", "No such account")
    assert not paused


def test_how_many_are_covered_is_unknown_where_the_state_may_have_forgotten() -> None:
    blind = transfer("1-10", evidence=EvidenceMode.BACKFILLS)
    forgotten = record("1-4", origin=Origin.UNEXPLAINED)
    plan = whole(planned(team(blind), observed(), document(forgotten)))
    (told,) = encode_plan(plan, "1")["transfers"]
    assert (told["days"]["covered"], told["days"]["blocked"]) == (None, 6)
    (standing, _total) = standings(plan, Desired((team(blind),), (), {}))
    assert [(one.percent, one.synced, one.healthy) for one in standing] == [(None, None, False)]


def test_an_outage_ends_by_itself_and_a_refusal_needs_a_person() -> None:
    for status, legend in ((503, "\n  . not yet\n"), (403, "\n  ! needs a person\n")):
        answer = replace(FORBIDDEN, error=replace(SAID, status=status))
        away = observed(latest={1: answer}, runs={1: answer})
        told = plan_text(view_of(whole(planned(team(transfer("1-10")), away))), Shown(Paint()))
        assert legend in told


@pytest.mark.parametrize("places, told", [(1, False), (2, True), (3, True), (4, False)])
def test_days_put_off_between_what_is_created_say_that_a_place_goes_to_the_other_end(
    places: int, told: bool
) -> None:
    wanted = team(transfer("1-2", "5-6", "9-10", "13-14"), limits=Limits(max_open_per_transfer=places))
    plan = whole(planned(wanted, observed()))
    assert len(plan.actions) == places
    text = plan_text(view_of(plan), Shown(Paint()))
    assert ("one place goes to the last in line" in text) is told


def test_what_is_last_is_followed_by_one_blank_line() -> None:
    theirs = observed(backfill("1-4"))
    told = plan_text(view_of(whole(planned(team(transfer("1-4")), theirs))), Shown(Paint()))
    assert "  Unmanaged backfills, never touched\n" in told
    assert "\n\nNo changes.\n" in told
    assert "\n\n\n" not in told


RECREATED = {"transfer_id": 6, "sources": (6, 1), "at": ago(2)}


@pytest.mark.parametrize(
    "on_successor, seen, expected",
    [
        ({"outcome": "done", "backfill_id": 100}, (), {"covered": "1-10"}),
        ({"outcome": "pending"}, (), {"blocked unresolved": "1-10"}),
        ({"outcome": "refused"}, (), {"due never-loaded": "1-10"}),  # it was never made
        ({"outcome": "withdrawn"}, (), {"due never-loaded": "1-10"}),
    ],
)
def test_what_a_newer_file_makes_on_a_successor_is_of_an_older_one_s_days(
    on_successor: Any, seen: Any, expected: Any
) -> None:
    made = [record("1-10", id=100, transfer_id=6)] if on_successor["outcome"] == "done" else []
    memory = document(intent("1-10", **RECREATED, **on_successor), *made)
    gone = Unreadable(FORBIDDEN.cause)
    shown = observed(latest={1: None, 6: gone} if on_successor["outcome"] in ("refused", "withdrawn") else {})
    found = weigh(team(transfer("1-10")), memory, shown, NOW, DEFAULT_SETTLE)
    assert buckets(found.ledgers[0]) == expected
    both = team(transfer("1-10"), declared_ids=frozenset({1, 6}))  # a file that names both means both
    assert weigh(both, memory, shown, NOW, DEFAULT_SETTLE).team.transfers[0].successors == ()


def test_creates_that_were_found_are_told_apart_from_cancels() -> None:
    memory = document(
        intent("1-10", kind="cancel", backfill_id=100, nonce="c"), record("1-10", "CANCELLED", id=100)
    )
    found = weigh(team(transfer("1-10")), memory, observed(), NOW, DEFAULT_SETTLE)
    assert (len(found.resolution.adopted), found.resolution.adopted_creates) == (1, ())


def test_who_says_that_settle_time_is_none_waits_for_no_clock() -> None:
    pending = intent("1-10", at=NOW, vendor_at=NOW + DEFAULT_SETTLE)
    for settle, left in ((DEFAULT_SETTLE, 1), (0 * DEFAULT_SETTLE, 0)):
        found = weigh(team(transfer("1-10")), document(pending), observed(latest={1: None}), NOW, settle)
        assert len(found.resolution.unresolved) == left


# --- until when, and by whom --------------------------------------------------------------------

FAILED_ONCE = {"failed": 1, "names": "3", "error": "timeout", "end_time": ago(0.5), "ended_at": ago(0.5)}


def held_up(*entries: Any, wanted: Any = None, **more: Any) -> list[tuple[Any, ...]]:
    """Return what is not acted on: the days, why, until when, the limit, who holds it, and what was said."""
    plan = planned(team(wanted or transfer("1-10"), **more), observed(*LISTED), document(*entries))
    return [(shown(one.days), one.reason, one.until, one.limit, one.held_by, one.error) for one in plan.items]


OPEN = backfill("21-22", "RUNNING", id=7, ran=0)
LISTED = (OPEN,)


@pytest.mark.parametrize(
    "entries, more, expected",
    [
        (
            (intent("1-10", outcome="refused", at=ago(1)),),
            {},
            ("1-10", "refused", ago(1) + 20 * HOUR, None, (), ""),
        ),
        (
            (intent("1-10", outcome="refused", at=ago(1), blocker=7),),
            {},
            ("1-10", "refused", None, None, (7,), ""),
        ),
        (
            (intent("1-10", outcome="refused", at=ago(0.1)),),
            {},
            ("1-10", "refused", ago(0.1) + 20 * HOUR, None, (), ""),
        ),
        (
            (intent("1-10", at=ago(0.1), vendor_at=ago(0.1)),),
            {},
            ("1-10", "unresolved", ago(0.1) + DEFAULT_SETTLE, None, (), ""),
        ),
        (
            (intent("1-10", at=ago(0.1), vendor_at=ago(0.1)),),
            {"on_unknown": OnUnknown.BLOCK},
            ("1-10", "unresolved", None, None, (), ""),
        ),
        (
            (record("1-10", "CANCELLED", ran=2, ended_at=ago(0.5)),),
            {},
            ("1-10", "settling", ago(0.5) + HOUR, None, (), ""),
        ),
        (
            (record("1-10", "FAILED", **FAILED_ONCE),),
            {},
            ("3", "backoff", ago(0.5) + HOUR, None, (), "timeout"),
        ),
        (
            (record("1-10", "FAILED", **FAILED_ONCE),),
            {"wanted": transfer("1-10", max_attempts=1)},
            ("3", "attempts", None, None, (), "timeout"),
        ),
        ((), {"limits": Limits(max_open_backfills=1)}, ("1-10", "max_open_backfills", None, 1, (7,), "")),
        (
            (),
            {"limits": Limits(max_open_per_transfer=1)},
            ("1-10", "max_open_per_transfer", None, 1, (7,), ""),
        ),
        ((), {"limits": Limits(max_creates_per_apply=0)}, ("1-10", "max_creates_per_apply", None, 0, (), "")),
        (
            (record("1-10", "RUNNING", id=8, ran=0, created=ago(48), ended_at=None),),
            {"wanted": transfer(segment("1-10", stale_before=ago(24)))},
            ("1-10", "stale", None, None, (8,), ""),
        ),
    ],
)
def test_what_is_not_acted_on_says_until_when_and_by_whom(entries: Any, more: Any, expected: Any) -> None:
    assert held_up(*entries, **more) == [expected]
    for item in planned(team(transfer("1-10")), observed(*LISTED), document(*entries)).items:
        assert item_of(item.bucket, SchemaValidator(ITEM).validate_python(encode_item(item))) == item


def test_an_action_says_what_the_api_said_of_its_failed_day() -> None:
    plan = planned(
        team(transfer("1-10", retry_after=0 * HOUR)),
        observed(),
        document(record("1-10", "FAILED", **FAILED_ONCE)),
    )
    assert [(shown(one.days), one.error) for one in plan.actions] == [("3", "timeout")]
    assert action_of(
        SchemaValidator(ACTION).validate_python(encode_action(plan.actions[0], "Ads"))
    ) == replace(plan.actions[0], stale_before=None)


@pytest.mark.parametrize(
    "wanted, entries, healthy",
    [
        (transfer("1-10", paused=True), (), True),
        (transfer("1-10"), (intent("1-10", outcome="refused", at=ago(1)),), False),
        (
            transfer("1-10"),
            (intent("5", outcome="refused", at=ago(0.1), transfer_id=6, sources=(6, 1)),),
            True,
        ),
    ],
)
def test_what_rests_is_healthy(wanted: Any, entries: Any, healthy: bool) -> None:
    plan = planned(team(wanted), observed(transfers=named(1)), document(*entries))
    assert plan.counts.healthy is healthy
    assert plan.transfers[0].vendor_name == "Transfer 1"


def test_what_holds_days_up_is_told_once_for_each_reason() -> None:
    read, unread = team(transfer("1-10", "20-21", paused=True)), team(transfer("1-4"), team_id=6)
    made = whole(planned(read, observed()), errored=True)
    standing, other = team_standings(made, Desired((read, unread), (), {}), {5: "sandbox"})
    assert [
        (one[0].reason, sum(len(item.days) for item in one), paused) for one, paused in standing.remarks
    ] == [("paused", 12, True)]
    assert (standing.places, other.places, other.remarks) == (("sandbox",), (), ())
