"""The buckets, by example: what comes before what, and what a day's reason is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from planning_values import (
    FORBIDDEN,
    NOT_FOUND,
    NOW,
    UNREAD,
    ago,
    backfill,
    buckets,
    days,
    intent,
    known,
    ledger_of,
    named,
    observed,
    record,
    run,
    runs,
    segment,
    shown,
    transfer,
)

from reconciler.model.desired import EvidenceMode
from reconciler.model.memory import Origin
from reconciler.planning.ledger import Bucket

SECOND = timedelta(seconds=1)
LOADED = {"evidence": known(loaded="1-5"), "settled": True}
STALE = ago(50)


def of(desired: Any, *entries: Any, **seen: Any) -> dict[str, str]:
    return buckets(ledger_of(desired, *entries, seen=observed(**seen)))


# --- counting -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more, bucket",
    [
        ({"created": STALE}, "covered"),
        ({"created": STALE - SECOND}, "due stale"),
        (
            {"created": STALE - SECOND, "stale_before": STALE},
            "covered",
        ),  # made for it, whatever the clocks say
        ({"created": STALE - SECOND, "stale_before": STALE + SECOND}, "covered"),
        ({"created": STALE - SECOND, "stale_before": STALE - SECOND}, "due stale"),
        ({"created": STALE - SECOND, "stale_before": STALE, "origin": Origin.ADOPTED}, "covered"),
        ({"created": STALE - SECOND, "stale_before": STALE, "origin": Origin.OBSERVED}, "due stale"),
        (
            {"created": STALE - SECOND, "stale_before": STALE, "transfer_id": 90},
            "covered",
        ),  # ours, before a re-creation
    ],
)
def test_which_loads_count(more: dict[str, Any], bucket: str) -> None:
    desired = transfer(segment("1-5", stale_before=STALE), previous_ids=(90,))
    assert of(desired, record("1-5", **LOADED, **more)) == {bucket: "1-5"}


def test_a_run_counts_by_its_creation_alone() -> None:
    desired = transfer(segment("1-3", stale_before=STALE))
    seen = (
        run(1, created=STALE),
        run(2, created=STALE - SECOND),
        run(3, "OTHER", created=STALE - SECOND),
    )
    assert of(desired, runs={1: seen}) == {"covered": "1", "due stale": "2", "waiting stale": "3"}


def test_an_active_backfill_that_does_not_count_is_waited_for() -> None:
    desired = transfer(segment("1-3", stale_before=STALE), segment("4-5"))
    assert of(desired, record("1-5", "RUNNING", created=ago(60))) == {
        "waiting stale": "1-3",
        "in_flight": "4-5",
    }


# --- attempts -----------------------------------------------------------------------------

FAILED = {"ran": 0, "failed": 1, "names": "1"}


@pytest.mark.parametrize(
    "tries, bucket",
    [
        ([{}, {}], "failed attempts"),
        ([{}], "due failed"),
        ([{}, {"origin": Origin.OBSERVED}], "due failed"),  # not ours
        ([{}, {"transfer_id": 90}], "due failed"),  # a predecessor's
        ([{}, {"created": ago(60)}], "due failed"),  # does not count
        ([{}, {"failed": 0, "names": "", "end_time": ago(1)}], "failed attempts"),  # did not run
    ],
)
def test_what_an_attempt_is(tries: list[dict[str, Any]], bucket: str) -> None:
    desired = transfer(segment("1", stale_before=STALE), max_attempts=2, previous_ids=(90,))
    memory = [
        record("1", "FAILED", **{**FAILED, "created": ago(40 + number), "id": number, **more})
        for number, more in enumerate(tries)
    ]
    assert of(desired, *memory) == {bucket: "1"}


def test_one_cancelled_while_active_is_no_attempt_and_a_cancelled_shell_is() -> None:
    desired = transfer("1-2", max_attempts=1)
    active = record("1", "CANCELLED", id=1, ran=0, removed_time=ago(9))
    shell = record("2", "CANCELLED", id=2, ran=0, failed=1, evidence=known(failed="2"), settled=True)
    assert of(desired, active, shell) == {"failed attempts": "2", "due cancelled": "1"}


# --- precedence ---------------------------------------------------------------------------

DUE = {"due never-loaded": "2-5"}
UNDATED = replace(run(1), day=None)
ENDED_ODDLY = replace(run(1, "OTHER"), ended_time=ago(9))
UNLOCATED = record("1-5", "FAILED", ran=3, failed=2)
AFTER = record("4-5", "FAILED", id=900, created=ago(1), origin=Origin.OBSERVED, ran=0, failed=2)


@pytest.mark.parametrize(
    "entries, seen, desired, expected",
    [
        ((), {}, {}, {"due never-loaded": "1-5"}),
        ((), {}, {"paused": True}, {"blocked paused": "1-5"}),
        ((), {"transfers": named(1, paused=[1])}, {}, {"blocked paused": "1-5"}),
        (
            (),
            {"transfers": named(2), "runs": {1: NOT_FOUND}},
            {},
            {"blocked unknown-transfer": "1-5"},
        ),
        ((), {"transfers": named(2)}, {}, {"due never-loaded": "1-5"}),
        ((), {"runs": {1: NOT_FOUND}}, {}, {"blocked no-evidence": "1-5"}),
        ((), {"transfers": named(1), "runs": {1: NOT_FOUND}}, {}, {"blocked no-evidence": "1-5"}),
        ((), {"latest": {1: UNREAD}}, {"evidence": EvidenceMode.BACKFILLS}, {"blocked no-evidence": "1-5"}),
        ((record("9"),), {"fetched": {100: UNREAD}}, {}, {"blocked no-evidence": "1-5"}),
        ((), {"runs": {1: (UNDATED,)}}, {}, {"blocked no-evidence": "1-5"}),
        ((), {"runs": {1: (UNDATED, run(1))}}, {}, {"covered": "1", "due never-loaded": "2-5"}),
        ((), {"runs": {1: UNREAD}}, {}, {"blocked no-evidence": "1-5"}),
        ((), {"latest": {1: UNREAD}}, {}, {"blocked no-evidence": "1-5"}),
        ((), {"latest": {90: FORBIDDEN}}, {"previous_ids": (90,)}, {"blocked no-evidence": "1-5"}),
        ((), {"latest": {2: UNREAD}, "transfers": UNREAD}, {}, {"due never-loaded": "1-5"}),
        ((), {"runs": {90: UNREAD}}, {"previous_ids": (90,)}, {"blocked no-evidence": "1-5"}),
        (
            (),
            {"runs": {1: UNREAD}},
            {"evidence": EvidenceMode.BACKFILLS},
            {"due never-loaded": "1-5"},
        ),
        ((), {"runs": {1: FORBIDDEN}}, {}, {"blocked no-evidence": "1-5"}),
        ((UNLOCATED,), {}, {}, {"failed unlocated": "1-5"}),
        ((UNLOCATED, AFTER), {}, {}, {"failed unlocated": "1-5"}),
        ((UNLOCATED,), {}, {"paused": True}, {"blocked paused": "1-5"}),
        ((UNLOCATED,), {"runs": {1: runs("1-3")}}, {}, {"covered": "1-3", "failed unlocated": "4-5"}),
        ((record("1-5", "RUNNING", ran=0, gone=True),), {}, {}, {"blocked gone": "1-5"}),
        (
            (record("1-5", "RUNNING", ran=0, gone=True),),
            {"runs": {1: runs("1-3")}},
            {},
            {"covered": "1-3", "due not-run": "4-5"},
        ),
        # a run's own word: under way, stuck, or ended in a way that nobody knows
        ((), {"runs": {1: (run(1, "OTHER", created=ago(24 * 7 - 1)),)}}, {}, {"in_flight": "1", **DUE}),
        ((), {"runs": {1: (run(1, "OTHER", created=ago(24 * 7)),)}}, {}, {"blocked stuck": "1", **DUE}),
        (
            (record("1", "RUNNING", ran=0, created=ago(24 * 9)),),
            {"runs": {1: (run(1, "OTHER", created=ago(24 * 8)),)}},
            {},
            {"in_flight": "1", **DUE},
        ),
        ((), {"runs": {1: (ENDED_ODDLY,)}}, {}, {"blocked unknown-status": "1", **DUE}),
        ((), {"runs": {1: (ENDED_ODDLY, run(1, id=9))}}, {}, {"covered": "1", **DUE}),
        ((), {"runs": {1: (ENDED_ODDLY, run(1, "FAILED", id=9))}}, {}, {"due never-loaded": "1-5"}),
        ((), {"runs": {1: (run(1, "CANCELLED"),)}}, {}, {"due never-loaded": "1-5"}),
        (
            (record("1-2", "UNKNOWN", ran=0, end_time=ago(9)),),
            {},
            {},
            {"blocked unknown-status": "1-2", "due never-loaded": "3-5"},
        ),
        ((UNLOCATED, intent("1-2")), {}, {}, {"blocked unresolved": "1-2", "failed unlocated": "3-5"}),
    ],
)
def test_the_first_bucket_that_fits(entries: Any, seen: Any, desired: Any, expected: dict[str, str]) -> None:
    assert of(transfer("1-5", **desired), *entries, **seen) == expected


@pytest.mark.parametrize(
    "more, expected",
    [
        (  # every other due day waits for it
            {"at": NOW - timedelta(minutes=15) + SECOND},
            {"blocked unresolved": "2-3", "blocked behind-unresolved": "1 4-5"},
        ),
        ({"at": NOW - timedelta(minutes=15)}, {"blocked unresolved": "2-3", "due never-loaded": "1 4-5"}),
        ({"at": NOW, "kind": "cancel"}, {"due never-loaded": "1-5"}),
        ({"at": NOW, "outcome": "abandoned"}, {"due never-loaded": "1-5"}),
        (
            {"outcome": "refused", "at": ago(0.25) + SECOND},
            {"blocked refused": "2-3", "due never-loaded": "1 4-5"},
        ),
        ({"outcome": "refused", "at": ago(0.25)}, {"due never-loaded": "1-5"}),  # now asked for as 1 to 5
        (
            {"outcome": "refused", "at": ago(1), "blocker": 8},
            {"due never-loaded": "1-5"},
        ),  # not listed any more
    ],
)
def test_what_an_intent_blocks(more: dict[str, Any], expected: dict[str, str]) -> None:
    assert of(transfer("1-5"), intent("2-3", **more)) == expected


def test_a_blocker_holds_as_long_as_it_is_listed() -> None:
    listed = (backfill("2-3", "FAILED", id=8),)
    refused = intent("2-3", outcome="refused", at=ago(999), blocker=8)
    assert of(transfer("1-5"), refused, listed=listed) == {
        "blocked refused": "2-3",
        "due never-loaded": "1 4-5",
    }


def test_the_newest_backfill_gives_the_reason() -> None:
    memory = [
        record("1-4", "FAILED", id=1, created=ago(40), ran=0, failed=4, names="1-4", origin=Origin.OBSERVED),
        record("2-4", "CANCELLED", id=2, created=ago(30), ran=0, removed_time=ago(9)),
        record("3-4", "FAILED", id=3, created=ago(20), ran=0, end_time=ago(9)),
        record("4", "FAILED", id=4, created=ago(20), ran=0, failed=1, names="4"),  # same time: the id tells
    ]
    assert of(transfer("1-5"), *memory) == {
        "due cancelled": "2",
        "due failed": "1 4",
        "due never-loaded": "5",
        "due not-run": "3",
    }


# --- what more reading could move ---------------------------------------------------------


@pytest.mark.parametrize(
    "entries, desired, undecided",
    [
        ((), {}, "1-5"),
        ((), {"paused": True}, ""),
        ((UNLOCATED,), {}, "1-5"),
        ((UNLOCATED,), {"evidence": EvidenceMode.BACKFILLS}, "1-5"),
        ((record("1-5", "RUNNING", gone=True),), {}, "1-5"),
        ((record("1-3", "RUNNING"),), {}, "4-5"),
        ((record("1-5", **LOADED),), {}, ""),
    ],
)
def test_what_is_undecided(entries: Any, desired: Any, undecided: str) -> None:
    assert shown(ledger_of(transfer("1-5", **desired), *entries).undecided) == undecided


def test_days_of_a_bucket_over_all_reasons() -> None:
    found = ledger_of(transfer("1-5"), record("2", "FAILED", ran=0, failed=1, names="2"))
    assert found.days(Bucket.DUE) == days("1-5")
    assert [one.reason.value for one in found.of(Bucket.DUE)] == ["failed", "never-loaded"]
    assert found.of(Bucket.FUTURE) == ()


def test_a_ledger_that_does_not_add_up_is_a_bug() -> None:
    """Segments that overlap break their promise: here a day would be both covered and due."""
    desired = transfer(segment("1-3"), segment("3-5", stale_before=STALE))
    with pytest.raises(AssertionError, match="6 days in buckets, 5 declared"):
        ledger_of(desired, record("1-5", **LOADED, created=ago(60)))


@pytest.mark.parametrize("paused", [False, True])
def test_nothing_more_is_read_for_a_paused_transfer(paused: bool) -> None:
    """Its failed days are nowhere named; a run list would tell, but nothing is created anyway."""
    ledger = ledger_of(transfer("1-10", paused=paused), record("1-10", "FAILED", failed=2))
    assert bool(ledger.undecided) is not paused
