"""What reads proved stays: run lists folded into loads, and records of backfills that go on or are ended."""

from dataclasses import replace
from datetime import datetime
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from planning_values import (
    API,
    DAY,
    EVE,
    HOUR,
    NOW,
    TEAM,
    TRANSFER,
    ago,
    backfill,
    buckets,
    document,
    intent,
    known,
    ledger_of,
    load,
    observed,
    record,
    run,
    segment,
    shown,
    surveyed,
    team,
    transfer,
    words,
)
from planning_worlds import MOMENTS, Tape, World, tapes, worlds

from reconciler.dates import Day
from reconciler.model.deltas import KEYS, apply_delta
from reconciler.model.memory import BackfillRecord, Document, Load, Origin
from reconciler.model.observed import UNTOLD, Run, RunStatus
from reconciler.planning.ledger import Bucket
from reconciler.planning.loads import learned
from reconciler.planning.records import updated
from reconciler.planning.situation import weigh

LAW = settings.get_profile("planning-law")
HEAVY = settings.get_profile("planning-heavy")

# --- run lists, folded into loads ---------------------------------------------------------------------


def read_runs(tape: Tape) -> list[Run]:
    statuses = (*RunStatus, RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.FAILED)
    return [
        Run(
            id=number,
            day=None if tape.chance(12) else EVE + 1 + tape.below(5),
            status=tape.one(statuses),
            word="",
            backfill=tape.chance(2),
            created_time=tape.one((*MOMENTS, UNTOLD)),
        )
        for number in range(1, 1 + tape.below(12))
    ]


def read_lists(tape: Tape) -> list[tuple[int, list[Run]]]:
    """Return run lists as the vendor shows them: whole or cut, in any order, of two transfers."""
    whole = {transfer_id: read_runs(tape) for transfer_id in (1, 2)}
    lists = []
    for _ in range(1 + tape.below(6)):
        transfer_id = 1 + tape.below(2)
        shown_runs = whole[transfer_id]
        kept = [one for one in shown_runs if not tape.chance(3)] if tape.chance(2) else list(shown_runs)
        lists.append((transfer_id, kept[::-1] if tape.chance(2) else kept))
    return lists


def read_memory(tape: Tape) -> Document:
    known_before = [(one, read_runs(tape)) for one in (1, 2)] if tape.chance(2) else []
    return fold(Document(TEAM, API), known_before)


def fold(memory: Document, lists: list[tuple[int, list[Run]]]) -> Document:
    for shown_list in lists:
        memory = apply_delta(memory, learned(memory, [shown_list]))
    return memory


Key = tuple[int, bool, bool, Day]


def by_day(memory: Document) -> dict[Key, Load]:
    """Return the loads by transfer, kind and day: a schedule's apart from a backfill's, and those that tell
    no time.
    """
    pairs = ((one, day) for one in memory.loads.values() for day in one.days)
    return {(one.transfer_id, one.by_backfill, one.at == UNTOLD, day): one for one, day in pairs}


@LAW
@given(tapes(300))
def test_folding_run_lists_keeps_the_newest_load_of_every_day(tape: Tape) -> None:
    memory, lists = read_memory(tape), read_lists(tape)
    newest = {key: one.at for key, one in by_day(memory).items()}
    failures = {(key, one.failed_at) for key, one in by_day(memory).items()}
    for transfer_id, listed in lists:
        memory = fold(memory, [(transfer_id, listed)])
        for one in listed:
            if one.day is not None and one.status is RunStatus.COMPLETED:
                key = transfer_id, one.backfill, one.created_time == UNTOLD, one.day
                newest[key] = max(newest.get(key, one.created_time), one.created_time)
            if one.day is not None and one.status is RunStatus.FAILED:
                kinds = product((transfer_id,), (False, True), (False, True), (one.day,))
                failures |= {(kind, one.created_time) for kind in kinds}
        assert {key: one.at for key, one in by_day(memory).items()} == newest
        assert_well_kept(memory)
        for key, one in by_day(memory).items():
            assert one.failed_at is None or ((key, one.failed_at) in failures and one.failed_at > one.at)


def assert_well_kept(memory: Document) -> None:
    """Intervals are disjoint and not empty, found by their first day, and no fewer would do."""
    assert all(key == KEYS["loads"](one) for key, one in memory.loads.items())
    assert all(one.start < one.end for one in memory.loads.values())
    ordered = sorted(memory.loads.values(), key=KEYS["loads"])
    for one, after in pairwise(ordered):
        if (one.transfer_id, one.kind) == (after.transfer_id, after.kind):
            assert one.end <= after.start
            assert one.end < after.start or replace(one, end=after.end) != replace(after, start=one.start)


@LAW
@given(tapes(300))
def test_the_order_of_run_lists_changes_no_load(tape: Tape) -> None:
    memory, lists = read_memory(tape), read_lists(tape)
    one, other = fold(memory, lists), fold(memory, lists[::-1])
    assert {key: load.at for key, load in by_day(one).items()} == {
        key: load.at for key, load in by_day(other).items()
    }
    assert fold(one, [(number, []) for number, _listed in lists]) == replace(
        one, serial=one.serial + len(lists)
    )


@pytest.mark.parametrize(
    ("listed", "kept"),
    [
        ([], [load("1-3", ago(50), by_backfill=True)]),
        ([run(2, created=ago(60))], [load("1-3", ago(50), by_backfill=True)]),  # older than what is known
        ([run(4, created=ago(50))], [load("1-4", ago(50), by_backfill=True)]),
        (
            [run(2, created=ago(40), backfill=False)],
            [load("1-3", ago(50), by_backfill=True), load("2", ago(40))],  # each kind for itself
        ),
        (
            [run(3, "FAILED", created=ago(40))],
            [load("1-2", ago(50), by_backfill=True), load("3", ago(50), by_backfill=True, failed_at=ago(40))],
        ),
        ([run(3, "FAILED", created=ago(51))], [load("1-3", ago(50), by_backfill=True)]),
        ([run(5, "FAILED", created=ago(51))], [load("1-3", ago(50), by_backfill=True)]),
        ([run(3, "OTHER"), run(3, "CANCELLED")], [load("1-3", ago(50), by_backfill=True)]),
    ],
)
def test_what_a_run_list_adds(listed: list[Run], kept: list[Load]) -> None:
    memory = fold(document(load("1-3", ago(50), by_backfill=True)), [(TRANSFER, listed)])
    assert sorted(memory.loads.values(), key=lambda one: one.start) == kept


def test_a_later_load_ends_a_failure() -> None:
    failed = load("1", ago(50), failed_at=ago(40))
    memory = fold(document(failed), [(TRANSFER, [run(1, created=ago(30), backfill=False)])])
    assert list(memory.loads.values()) == [load("1", ago(30))]


def test_days_stay_covered_when_the_vendor_forgets_their_runs() -> None:
    memory, desired = document(), team(transfer("1-3"))
    for listed in ((run(1), run(2), run(3)), (run(3),), ()):
        memory, (ledger,) = surveyed(desired, observed(runs={TRANSFER: listed}), memory)
        assert buckets(ledger) == {"covered": "1-3"}


@HEAVY
@given(worlds())
def test_what_was_read_once_is_not_needed_twice(world: World) -> None:
    """The same reading changes nothing more, and covered days stay covered when all runs are forgotten."""
    first = weigh(world.team, world.document, world.observed, world.now, world.settle)
    again = weigh(world.team, first.document, world.observed, world.now, world.settle)
    assert not again.delta
    empty: dict[int, Any] = {
        source: () if isinstance(answer, tuple) else answer for source, answer in world.observed.runs.items()
    }
    later = weigh(world.team, first.document, replace(world.observed, runs=empty), world.now, world.settle)
    for one, same, forgotten in zip(first.ledgers, again.ledgers, later.ledgers, strict=True):
        assert same.entries == one.entries
        assert not one.days(Bucket.COVERED) - forgotten.days(Bucket.COVERED)


# --- records of backfills that go on -----------------------------------------------------------------

LATER = NOW + HOUR
FAILED = record(
    "1-5", "FAILED", failed=2, names="4-5", evidence=known(loaded="1-3", failed="4-5"), settled=True
)


def look(one: BackfillRecord) -> dict[str, Any]:
    names = ("settled", "moved_at", "ended_at", "has_run", "was_failed")
    return {name: getattr(one, name) for name in names}


def test_one_that_failed_may_run_again() -> None:
    again = updated(FAILED, backfill("1-5", "RUNNING", ran=3), LATER)
    assert look(again) == {
        "settled": False,
        "moved_at": LATER,
        "ended_at": None,
        "has_run": True,
        "was_failed": False,
    }
    assert words(again.evidence) == {"loaded": "1-3"}  # what failed may load yet


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (backfill("1-5"), {"covered": "1-5"}),
        (
            backfill("1-5", "FAILED", failed=1, names="5", end_time=LATER),
            {"covered": "1-4", "due failed": "5"},
        ),
        (backfill("1-5", "FAILED", failed=2, names="4-5"), {"covered": "1-3", "due failed": "4-5"}),
        (backfill("1-5", "CANCELLED", failed=2, names="4-5"), {"covered": "1-3", "due failed": "4-5"}),
    ],
    ids=["all loaded", "one day again", "as before", "cancelled by somebody"],
)
def test_what_ran_again_ends_another_way(seen: Any, expected: dict[str, str]) -> None:
    desired, memory = team(transfer("1-5", retry_after=0 * HOUR)), document(FAILED)
    again = backfill("1-5", "RUNNING", ran=3)
    memory, _ledgers = surveyed(desired, observed(again), memory)
    moment = NOW + 3 * HOUR
    shown_then = observed(fetched={seen.id: seen}, vendor_now=moment)
    _memory, (ledger,) = surveyed(desired, shown_then, memory, moment)
    assert buckets(ledger) == expected


def test_our_cancel_of_an_ended_shell_keeps_evidence_attempt_and_time() -> None:
    cancelled = updated(FAILED, backfill("1-5", "CANCELLED", failed=2, names="4-5"), LATER)
    assert look(cancelled) == {**look(FAILED), "was_failed": True, "moved_at": LATER}
    assert cancelled.evidence == FAILED.evidence
    for one in (FAILED, cancelled):
        assert buckets(ledger_of(transfer("1-5", max_attempts=1), one)) == {
            "covered": "1-3",
            "failed attempts": "4-5",
        }


def test_a_shell_whose_cancel_was_seen_stays_one_however_often_it_is_seen() -> None:
    seen = backfill("1-5", "CANCELLED", failed=2, names="4-5")
    once = updated(FAILED, seen, LATER)
    assert updated(once, seen, LATER + DAY) == once


def test_a_shell_that_moved_before_its_cancel_is_judged_anew() -> None:
    # It had run again, and a third run had ended, when our cancel reached it.
    cancelled = updated(FAILED, backfill("1-5", "CANCELLED", ran=1, failed=2, names="4-5"), LATER)
    assert look(cancelled) == {
        "settled": False,
        "moved_at": LATER,
        "ended_at": LATER,
        "has_run": True,
        "was_failed": False,
    }
    assert shown(cancelled.evidence.loaded) == "1-3"


def test_an_unfinished_shell_that_we_cancelled_is_judged_as_the_failed_one() -> None:
    """Nothing of it had run, so its days did not run, rather than being cancelled: an attempt."""
    failed = record("1-2", "FAILED", ran=0, end_time=ago(99))
    cancelled = updated(failed, backfill("1-2", "CANCELLED", ran=0, end_time=ago(99)), LATER)
    for one in (failed, cancelled):
        ledger = ledger_of(transfer("1-2"), one, seen=observed(runs={TRANSFER: ()}))
        assert buckets(ledger) == {"due not-run": "1-2"}


BOUND = ago(48)
EARLY = {"stale_before": BOUND, "vendor_at": BOUND - 0.1 * HOUR, "at": BOUND + 0.05 * HOUR}
LOST = {"outcome": "abandoned", "unlisted_at": ago(40), **EARLY}


@pytest.mark.parametrize(
    "sent, made, expected",
    [
        # A person writes 09:00; at 09:03 we create, at 08:54 by the vendor's clock; the answer is lost.
        (LOST, BOUND - 0.05 * HOUR, {"covered": "1-3"}),
        ({**LOST, "outcome": "refused"}, BOUND - 0.05 * HOUR, {"covered": "1-3"}),
        (LOST, BOUND - 0.2 * HOUR, {"due stale": "1-3"}),  # made before it was sent
        ({**LOST, "stale_before": BOUND - HOUR}, BOUND - 0.05 * HOUR, {"due stale": "1-3"}),
        ({**LOST, "unlisted_at": None}, BOUND - 0.05 * HOUR, {"due stale": "1-3"}),  # it made nothing
        ({**LOST, "vendor_at": None}, BOUND - 0.05 * HOUR, {"due stale": "1-3"}),
        ({**LOST, "vendor_at": BOUND - 10 * HOUR}, BOUND - 5 * HOUR, {"due stale": "1-3"}),  # an old Date
    ],
)
def test_what_an_unknown_create_made_counts_under_its_bound(sent: Any, made: datetime, expected: Any) -> None:
    wanted = transfer(segment("1-3", stale_before=BOUND))
    assert buckets(ledger_of(wanted, intent("1-3", **sent), load("1-3", made, by_backfill=True))) == expected


@pytest.mark.parametrize("by_schedule", [True, False])
def test_what_others_made_then_does_not_count_under_it(by_schedule: bool) -> None:
    """A schedule's runs, or those of a backfill that was seen: it is not the create's."""
    wanted, made = transfer(segment("1-3", stale_before=BOUND)), BOUND - 0.05 * HOUR
    theirs = record("1-3", created=made, origin=Origin.OBSERVED, end_time=ago(41))
    loaded = load("1-3", made, by_backfill=not by_schedule)
    entries = (loaded,) if by_schedule else (loaded, theirs)
    assert buckets(ledger_of(wanted, intent("1-3", **LOST), *entries)) == {"due stale": "1-3"}


@pytest.mark.parametrize("ran_on, seen_on, expected", [(6, 9, "due stale"), (7, 6, "covered")])
def test_only_loads_of_its_own_transfer_may_be_the_creates(ran_on: int, seen_on: int, expected: str) -> None:
    """What ran on the predecessor is not the create's; a backfill there explains no run on the transfer."""
    wanted = transfer(segment("1-3", stale_before=BOUND), id=7, previous_ids=(6,))
    made = BOUND - 0.05 * HOUR
    ran = load("1-3", made, id=ran_on, by_backfill=True)
    theirs = record("1-3", transfer_id=seen_on, created=made, origin=Origin.OBSERVED, end_time=ago(41))
    lost = intent("1-3", transfer_id=7, sources=(7, 6), **LOST)
    assert buckets(ledger_of(wanted, lost, ran, theirs)) == {expected: "1-3"}


@pytest.mark.parametrize(
    "sent, kept",
    [(LOST, True), ({**LOST, "unlisted_at": None}, False), ({**LOST, "vendor_at": BOUND}, False)],
)
def test_a_create_whose_loads_are_dated_early_is_remembered(sent: Any, kept: bool) -> None:
    memory, _ledgers = surveyed(
        team(transfer("1-3")), observed(), document(intent("1-3", **sent)), now=NOW + 40 * DAY
    )
    assert (len(memory.intents) == 1) is kept
