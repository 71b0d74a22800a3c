"""What a backfill says of its days: every row of the table in docs/planning.md, and its laws."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from planning_values import (
    DAY,
    EVE,
    FORBIDDEN,
    HOUR,
    NOW,
    TRANSFER,
    ago,
    backfill,
    days,
    document,
    known,
    observed,
    record,
    run,
    runs,
    shown,
    team,
    transfer,
    words,
)
from planning_worlds import Tape, World, read_world, tapes, worlds

from reconciler.dates import DateSet, union
from reconciler.model.deltas import apply_delta
from reconciler.model.memory import BackfillRecord, DayEvidence, Document, Origin
from reconciler.model.observed import Backfill, Run, Status
from reconciler.planning.evidence import is_active, known_days, merge, runs_by_day
from reconciler.planning.records import refresh, updated, wanted_gets
from reconciler.planning.verdict import Case, Verdict, judge

LAW = settings.get_profile("planning-law")
HEAVY = settings.get_profile("planning-heavy")

SECOND = timedelta(seconds=1)
ENDED: dict[str, Any] = {"end_time": NOW - 5 * DAY}
UNREAD = None


def told(verdict: Verdict) -> dict[str, str]:
    """Return a verdict in the words of the tables below."""
    kinds = ("in_flight", "settling", "gone", "unknown_status")
    places = {name: shown(getattr(verdict, name)) for name in kinds}
    return {name: text for name, text in places.items() if text} | words(verdict.evidence)


def judged(one: BackfillRecord, listing: tuple[Run, ...] | None) -> Verdict:
    return judge(one, None if listing is None else runs_by_day(listing), NOW)


# --- the table, row by row ----------------------------------------------------------------


@pytest.mark.parametrize("status", ["CREATED", "SCHEDULED", "RUNNING", "UNKNOWN"])
def test_an_active_backfill_has_all_its_days_in_flight(status: str) -> None:
    assert told(judged(record("1-10", status, ran=3), UNREAD)) == {"in_flight": "1-10"}


ROWS = {
    # FAILED is in flight only while runs are missing and nothing says that it ended
    "failed, runs go on": (record("1-10", "FAILED", ran=3, failed=1), UNREAD, {"in_flight": "1-10"}),
    "failed, all ran": (
        record("1-10", "FAILED", failed=1, names="4"),
        UNREAD,
        {"loaded": "1-3 5-10", "failed": "4"},
    ),
    "failed, ended early": (
        record("1-3", "FAILED", ran=1, failed=1, names="3", **ENDED),
        (run(3, "FAILED"), run(2)),
        {"loaded": "2", "failed": "3", "not_run": "1"},
    ),
    # all loaded, whatever an older report named
    "completed": (record("1-10"), UNREAD, {"loaded": "1-10"}),
    "completed, once reported": (record("1-10", names="4"), UNREAD, {"loaded": "1-10"}),
    "failed, and yet all completed": (record("1-10", "FAILED", **ENDED), UNREAD, {"loaded": "1-10"}),
    "given up, and all that was made completed": (
        record("1-5", "FAILED", ran=3, total=3, **ENDED),
        runs("3-5"),
        {"loaded": "3-5", "not_run": "1-2"},
    ),
    "cancelled, and all that was made completed": (
        record("1-5", "CANCELLED", ran=3, total=3, removed_time=ago(2)),
        runs("3-5"),
        {"loaded": "3-5", "cancelled": "1-2"},
    ),
    "given up, and a run is missing": (
        record("1-5", "FAILED", ran=3, total=3, **ENDED),
        runs("4-5"),
        {"loaded": "4-5", "unlocated": "1-3"},
    ),
    "given up, of a transfer that may load several days a run": (
        record("1-9", "FAILED", ran=2, total=2, **ENDED),
        runs("2 9"),
        {"loaded": "2 9", "unlocated": "1 3-8"},
    ),
    "given up just now": (
        record("1-5", "FAILED", ran=3, total=3, ended_at=NOW, **ENDED),
        runs("3-5"),
        {"settling": "1-5"},
    ),
    "cancelled after its last run": (record("1-10", "CANCELLED"), UNREAD, {"loaded": "1-10"}),
    # the report names exactly those that failed
    "report is whole": (
        record("1-10", failed=2, names="4 9"),
        UNREAD,
        {"loaded": "1-3 5-8 10", "failed": "4 9"},
    ),
    "report names too few": (
        record("1-5", "FAILED", failed=2, names="4"),
        UNREAD,
        {"failed": "4", "unlocated": "1-3 5"},
    ),
    "report is empty, and every day failed": (
        record("1-5", "FAILED", failed=5),
        UNREAD,
        {"failed": "1-5"},
    ),
    "report is empty": (record("1-5", "FAILED", failed=2), UNREAD, {"unlocated": "1-5"}),
    "report names too many": (
        record("1-5", "FAILED", failed=1, names="4 5"),
        UNREAD,
        {"failed": "4-5", "unlocated": "1-3"},
    ),
    "report names a day outside": (
        record("1-5", "FAILED", failed=1, names="9"),
        UNREAD,
        {"unlocated": "1-5"},
    ),
    "fewer runs than days, all completed": (record("1-5", ran=1, total=1), UNREAD, {"loaded": "1-5"}),
    "more runs than days, all completed": (record("1-5", ran=9, total=9), UNREAD, {"loaded": "1-5"}),
    "no run at all": (record("1-5", ran=0, total=0), UNREAD, {"loaded": "1-5"}),
    "fewer runs than days, one failed": (
        record("1-5", "FAILED", ran=1, failed=1, total=2),
        (run(2), run(4, "FAILED")),
        {"loaded": "2", "failed": "4", "unlocated": "1 3 5"},
    ),
    # several runs a day
    "several a day, a failed one is found": (
        record("1-3", "FAILED", ran=5, failed=1, total=6),
        (*runs("1-3"), *runs("1 3", id=20), run(2, "FAILED", id=30)),
        {"loaded": "1 3", "failed": "2"},
    ),
    "several a day, one of two failed ones is found": (
        record("1-3", "FAILED", ran=4, failed=2, total=6),
        (*runs("1-3"), run(1, id=20), run(2, "FAILED", id=30)),
        {"failed": "2", "unlocated": "1 3"},
    ),
    "several a day, one ran again since": (
        record("1-3", "FAILED", ran=5, failed=1, total=6),
        (*runs("1-3"), run(1, id=20), run(2, "FAILED", id=30), run(3, "FAILED", id=31)),
        {"loaded": "1", "unlocated": "2-3"},
    ),
    "several a day, one ran again since, and a run is missing": (
        record("1-3", "FAILED", ran=5, failed=1, total=6),
        (*runs("1-3"), run(2, "FAILED", id=30), run(3, "FAILED", id=31)),
        {"unlocated": "1-3"},
    ),
    "several a day, a failed one was tried twice": (
        record("1-3", "FAILED", ran=4, failed=2, total=6),
        (*runs("1-3"), run(1, id=20), *(run(day, "FAILED", id=30 + day) for day in (2, 3)), run(3, "FAILED")),
        {"loaded": "1", "failed": "2-3"},
    ),
    "several a day, one tried twice stands for none that is missing": (
        record("1-3", "FAILED", ran=4, failed=2, total=6),
        (*runs("1-3"), run(1, id=20), run(3, "FAILED", id=30), run(3, "FAILED", id=31)),
        {"failed": "3", "unlocated": "1-2"},
    ),
    "several a day, one that failed was made good": (
        record("1-2", "FAILED", ran=3, failed=1, total=4),
        (*runs("1-2"), run(1, "FAILED", id=20), run(1, id=21), run(2, "FAILED", id=30)),
        {"loaded": "1", "failed": "2"},
    ),
    "several a day, and of one no run at all": (
        record("1-3", "FAILED", ran=3, failed=1, total=4),
        (run(1), run(1, id=20), run(2), run(2, "FAILED", id=30)),
        {"loaded": "1", "failed": "2", "not_run": "3"},
    ),
    "several a day, just now, and the run list lags": (
        record("1-3", "FAILED", ran=5, failed=1, total=6, ended_at=NOW),
        (*runs("1-3"), *runs("1 3", id=20), run(2, "FAILED", id=30)),
        {"settling": "1-3"},
    ),
    "several a day, ended otherwise after all that it made": (
        record("1-3", "FAILED", total=6, ran=6),
        (*runs("1-2"), *runs("1-2", id=20)),
        {"unlocated": "1-3"},
    ),
    "several a day, the report tells": (
        record("1-3", "FAILED", ran=5, failed=1, total=6, names="3"),
        UNREAD,
        {"loaded": "1-2", "failed": "3"},
    ),
    # nothing ran
    "failed, nothing ran": (record("1-5", "FAILED", ran=0, **ENDED), (), {"not_run": "1-5"}),
    "completed, nothing ran": (record("1-5", ran=0), (), {"not_run": "1-5"}),
    "cancelled, nothing ran": (
        record("1-5", "CANCELLED", ran=0, removed_time=ago(2)),
        UNREAD,
        {"cancelled": "1-5"},
    ),
    "cancelled, and seen running": (
        record("1-5", "CANCELLED", ran=0, has_run=True),
        (run(5, "OTHER"),),
        {"cancelled": "1-5"},
    ),
    "cancelled, had failed before": (
        record("1-5", "CANCELLED", ran=0, failed=1, was_failed=True),
        (run(5, "FAILED"),),
        {"failed": "5", "not_run": "1-4"},
    ),
    # an hour from the first read that saw it ended: counts lag, runs finish
    "completed just now, with counts of before": (
        record("1-5", ran=0, ended_at=NOW - HOUR + SECOND),
        runs("1-2"),
        {"settling": "1-5"},
    ),
    "completed just now, with no run": (record("1-5", ran=0, total=0, ended_at=NOW), (), {"settling": "1-5"}),
    "failed just now, and the run list lags": (
        record("1-5", "FAILED", failed=2, ended_at=NOW),
        runs("1-2"),
        {"settling": "3-5", "loaded": "1-2"},
    ),
    "failed just now, and nothing seems to be missing": (
        record("1-3", "FAILED", failed=1, ended_at=NOW - HOUR + SECOND),
        (run(1), run(2, "FAILED"), run(2, "FAILED", id=7)),
        {"settling": "3", "loaded": "1", "failed": "2"},
    ),
    **{
        f"{status.lower()} just now, with no counts at all": (
            record("1-5", status, ran=0, total=0, has_run=True, ended_at=NOW - HOUR + SECOND),
            runs("1-2"),
            {"settling": "1-5"},
        )
        for status in ("FAILED", "CANCELLED", "COMPLETED")
    },
    "ended with a status nobody knows": (
        record("1-5", "UNKNOWN", ran=2, evidence=known(loaded="1"), **ENDED),
        UNREAD,
        {"unknown_status": "2-5", "loaded": "1"},
    ),
    "cancelled before it had runs": (
        record("1-5", "CANCELLED", ran=0, total=0),
        UNREAD,
        {"cancelled": "1-5"},
    ),
    # anything else: the run list
    "runs tell": (
        record("1-5", "FAILED", failed=2),
        (*runs("1-2"), *runs("3-4", "FAILED"), run(5)),
        {"loaded": "1-2 5", "failed": "3-4"},
    ),
    "cancelled, runs tell": (
        record("1-5", "CANCELLED", ran=2, failed=1, removed_time=ago(2)),
        (run(5), run(4), run(3, "FAILED")),
        {"loaded": "4-5", "failed": "3", "cancelled": "1-2"},
    ),
    "cancelled runs are none": (
        record("1-5", "CANCELLED", ran=2, removed_time=ago(2)),
        (run(5), run(4), *runs("1-3", "CANCELLED")),
        {"loaded": "4-5", "cancelled": "1-3"},
    ),
    "too few runs in the list": (
        record("1-5", ran=3, total=5),
        (run(5), run(4)),
        {"loaded": "4-5", "unlocated": "1-3"},
    ),
    "too few runs, but a report": (
        record("1-5", "FAILED", failed=3, names="1"),
        (run(5),),
        {"loaded": "5", "failed": "1", "unlocated": "2-4"},
    ),
    "an empty run list": (record("1-5", "FAILED", failed=2), (), {"unlocated": "1-5"}),
    "a run still going": (
        record("1-3", "CANCELLED", ran=1, removed_time=ago(2)),
        (run(3), run(2, "OTHER")),
        {"loaded": "3", "cancelled": "1-2"},  # what the run itself says comes before
    ),
    "a run tried twice stands for no other day's": (
        record("1-3", "FAILED", failed=1),
        (run(1), run(2, "FAILED"), run(2, "FAILED", id=7)),
        {"loaded": "1", "failed": "2", "unlocated": "3"},
    ),
    "nothing tells when it ended, and another made a run since": (
        record("1-3", "FAILED", failed=1),
        (run(1), run(2, "FAILED"), run(3, created=NOW - 5 * DAY + SECOND)),
        {"loaded": "1", "failed": "2", "unlocated": "3"},
    ),
    "nothing tells when it ended, and its counts went on since it was seen": (
        record("1-3", "FAILED", failed=1, moved_at=NOW - 4 * DAY),
        (run(1), run(2, "FAILED"), run(3, created=NOW - 5 * DAY + SECOND)),
        {"loaded": "1 3", "failed": "2"},
    ),
    "a run tried twice": (
        record("1-2", "FAILED", failed=1, **ENDED),
        (run(1), run(2, "FAILED", id=7), run(2, id=8, created=NOW - 8 * DAY)),
        {"loaded": "1-2"},
    ),
    "runs of others": (  # recurring ones, and those made before it was, or after it had ended
        record("1-4", "FAILED", ran=1, failed=1, **ENDED),
        (
            run(1, "FAILED"),
            run(2),
            run(3, backfill=False),
            run(4, created=NOW - 11 * DAY),
            run(4, id=9, created=NOW - 4 * DAY),
        ),
        {"loaded": "2", "failed": "1", "not_run": "3-4"},
    ),
    # what was known before
    "what was loaded stays loaded": (
        record("1-5", "FAILED", failed=2, evidence=known(loaded="1", failed="2", unlocated="3-5")),
        (run(2), run(1, "FAILED"), run(3), run(4), run(5, "FAILED")),
        {"loaded": "1-4", "failed": "5"},
    ),
    "what was known is not in flight again": (
        record("1-3", "CANCELLED", ran=2, removed_time=ago(2), evidence=known(loaded="1", unlocated="2-3")),
        (run(1, "OTHER"), run(2), run(3, "OTHER")),
        {"loaded": "1-2", "unlocated": "3"},
    ),
    "settled is settled": (
        record("1-5", "FAILED", ran=1, failed=4, evidence=known(loaded="1", not_run="2-5"), settled=True),
        (*runs("1-5"),),
        {"loaded": "1", "not_run": "2-5"},
    ),
    "a shell that was cancelled": (
        record("1-5", "CANCELLED", failed=2, evidence=known(loaded="1-3", failed="4-5"), settled=True),
        UNREAD,
        {"loaded": "1-3", "failed": "4-5"},
    ),
    "gone": (record("1-5", "RUNNING", gone=True), UNREAD, {"gone": "1-5"}),
    "gone, runs tell": (
        record("1-5", "RUNNING", ran=2, gone=True),
        (*runs("4-5"), run(3, "FAILED")),
        {"loaded": "4-5", "failed": "3", "not_run": "1-2"},
    ),
    "gone just now, and the run list lags": (
        record("1-5", "RUNNING", ran=3, gone=True, ended_at=NOW - HOUR + SECOND),
        (*runs("4-5"), run(3, "FAILED")),
        {"loaded": "4-5", "failed": "3", "settling": "1-2"},
    ),
    "gone, but partly known": (
        record("1-5", "FAILED", gone=True, evidence=known(loaded="1-2", failed="3", unlocated="4")),
        UNREAD,
        {"gone": "4-5", "loaded": "1-2", "failed": "3"},
    ),
}


@pytest.mark.parametrize("one, listing, expected", ROWS.values(), ids=ROWS)
def test_the_verdict_on_each_day(
    one: BackfillRecord, listing: tuple[Run, ...] | None, expected: dict[str, str]
) -> None:
    verdict = judged(one, listing)
    assert told(verdict) == expected
    certain = {"loaded", "failed", "not_run", "cancelled"}
    assert verdict.settled is (set(expected) <= certain)


def test_every_row_is_reached() -> None:
    """Of the table in the docs, by the cases above."""
    from reconciler.planning.verdict import ROWS as TABLE

    cases = [
        Case(one, runs_by_day(listing or ()), NOW - (one.ended_at or NOW))
        for one, listing, _ in ROWS.values()
    ]
    active = [Case(record("1", status, ran=0), None, HOUR) for status in ("RUNNING", "UNKNOWN")]
    reached = [next(row for row in TABLE if row.fits(case)) for case in (*cases, *active)]
    assert set(reached) == set(TABLE)


BLIND = {
    "cancelled": (record("1-5", "CANCELLED", ran=2, ended_at=NOW - 5 * HOUR), {"unlocated": "1-5"}),
    "cancelled, queries go on": (
        record("1-5", "CANCELLED", ran=2, ended_at=NOW - 5 * HOUR + SECOND),
        {"settling": "1-5"},
    ),
    "failed, none completed": (record("1-5", "FAILED", ran=0, **ENDED), {"not_run": "1-5"}),
    "failed, none completed, one named": (
        record("1-5", "FAILED", ran=0, failed=1, names="3", **ENDED),
        {"failed": "3", "not_run": "1-2 4-5"},
    ),
    "completed, too few": (record("1-5", ran=2), {"unlocated": "1-5"}),
    "completed, too few, just now": (record("1-5", ran=2, ended_at=NOW), {"settling": "1-5"}),
    "gone": (record("1-5", "RUNNING", gone=True), {"gone": "1-5"}),
}


@pytest.mark.parametrize("one, expected", BLIND.values(), ids=BLIND)
def test_the_verdict_where_run_lists_are_never_read(one: BackfillRecord, expected: dict[str, str]) -> None:
    verdict = judge(one, None, NOW, blind=True)
    assert told(verdict) == expected
    assert not verdict.settled


def test_a_cancelled_one_settles_for_an_hour_from_the_first_read_that_saw_it() -> None:
    listing = runs_by_day([run(4), run(5)])
    before = record("1-5", "RUNNING", ran=1, evidence=known(loaded="5"), ended_at=None)
    gone_by = backfill("1-5", "CANCELLED", ran=2, removed_time=NOW - 9 * HOUR)
    one = updated(before, gone_by, NOW)
    assert updated(one, gone_by, NOW + HOUR) == one
    assert told(judge(one, listing, NOW + HOUR - SECOND)) == {"settling": "1-4", "loaded": "5"}
    assert told(judge(one, listing, NOW + HOUR)) == {"loaded": "4-5", "cancelled": "1-3"}


def test_the_runs_of_a_cancelled_one_may_come_an_hour_later() -> None:
    one = record("1-3", "CANCELLED", ran=2, removed_time=ago(5))
    made_at = [run(1, created=ago(4)), run(2, created=ago(4) + SECOND), run(3, created=ago(6))]
    assert told(judged(one, tuple(made_at))) == {"loaded": "1 3", "cancelled": "2"}


@pytest.mark.parametrize(
    "status, counts, end_time, active",
    [
        ("FAILED", (5, 4), None, True),
        ("FAILED", (5, 5), None, False),
        ("FAILED", (5, 4), NOW, False),
        ("FAILED", (9, 9), None, False),
        ("RUNNING", (10, 0), NOW, True),
        ("COMPLETED", (0, 0), None, False),
        ("CANCELLED", (0, 0), None, False),
    ],
)
def test_what_is_active(status: str, counts: tuple[int, int], end_time: Any, active: bool) -> None:
    ran, failed = counts
    assert is_active(backfill("1-10", status, ran=ran, failed=failed, end_time=end_time)) is active


# --- reading again ------------------------------------------------------------------------

DECLARED = team(transfer("1-31"))


def read_again(one: BackfillRecord, *listed: Backfill, **more: Any) -> BackfillRecord:
    memory = document(one)
    return apply_delta(memory, refresh(memory, observed(*listed, **more), DECLARED)).backfills[one.id]


@pytest.mark.parametrize(
    "age, gone", [(24 * HOUR - SECOND, False), (24 * HOUR, True), (30 * DAY, True), (SECOND, False)]
)
def test_one_that_answers_404_is_gone_after_a_day(age: timedelta, gone: bool) -> None:
    read = read_again(record("1-5", "RUNNING", ran=0, created=NOW - age), fetched={100: None})
    assert read.gone is gone
    assert told(judged(read, UNREAD)) == {"gone" if gone else "in_flight": "1-5"}


def test_of_one_that_is_gone_the_run_list_settles_first() -> None:
    """It may have ended a minute ago: no record of it, and its newest runs are not shown yet."""
    one = record("1-5", "RUNNING", ran=2, ended_at=None)
    lagging, whole = runs("3-5"), runs("1-5")
    gone = read_again(one, fetched={100: None}, runs={TRANSFER: lagging})
    assert (gone.gone, gone.ended_at) == (True, NOW)
    assert told(judged(gone, lagging)) == {"loaded": "3-5", "settling": "1-2"}
    later = read_again(gone, fetched={100: None}, runs={TRANSFER: whole}, vendor_now=NOW + HOUR)
    assert later.ended_at == NOW
    assert words(later.evidence) == {"loaded": "1-5"}


def test_one_that_could_not_be_read_is_not_gone() -> None:
    remembered = record("1-5", "RUNNING", ran=0, created=NOW - 30 * DAY)
    assert read_again(remembered, fetched={100: FORBIDDEN}) == remembered


def test_one_that_is_gone_may_come_back() -> None:
    gone = record("1-5", "RUNNING", gone=True)
    assert not read_again(gone, backfill("1-5", "RUNNING")).gone
    assert read_again(gone).gone


def test_a_404_does_not_undo_a_final_status() -> None:
    cancelled = record("1-5", "CANCELLED", ran=2, ended_at=ago(0.5))
    assert read_again(cancelled, fetched={100: None}) == cancelled


@pytest.mark.parametrize("final", ["COMPLETED", "CANCELLED"])
@pytest.mark.parametrize("lagging", ["CREATED", "RUNNING", "FAILED", "UNKNOWN"])
def test_a_final_status_in_the_state_beats_the_list(final: str, lagging: str) -> None:
    kept = record("1-5", final)
    assert updated(kept, backfill("1-5", lagging, ran=0), NOW) == kept
    assert read_again(kept, backfill("1-5", lagging, ran=0)).status is Status(final)


def test_of_two_readings_the_one_further_on_holds() -> None:
    running, done = backfill("1-5", "RUNNING", ran=2), backfill("1-5")
    once = record("1-5", "CREATED", ran=0)
    assert read_again(once, running, fetched={100: done}).status is Status.COMPLETED
    assert read_again(once, running, latest={1: done}).status is Status.COMPLETED
    further = replace(running, completed=4)
    assert read_again(once, running, latest={1: further}).seen.completed == 4
    assert read_again(once, further, latest={1: running}).seen.completed == 4


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((3, 2, "1 5"), (3, 2, "1"), {"loaded": "2-4", "failed": "1 5"}),  # a report that forgets
        ((1, 1, "5"), (4, 1, "1"), {"loaded": "2-5", "failed": "1"}),  # it ran again: 5 is loaded by now
        ((1, 2, "5"), (3, 2, "1"), {"failed": "1", "unlocated": "2-5"}),  # perhaps; a report names but some
    ],
)
def test_days_that_a_report_named_stay_named_while_counts_stay(
    before: tuple[int, int, str], after: tuple[int, int, str], expected: dict[str, str]
) -> None:
    def view(status: str, counts: tuple[int, int, str]) -> Any:
        ran, failed, names = counts
        return backfill("1-5", status, ran=ran, failed=failed, names=names)

    once = replace(record("1-5", "RUNNING"), seen=view("RUNNING", before))
    assert words(read_again(once, view("FAILED", after)).evidence) == expected


def test_what_a_record_says_of_itself_is_kept() -> None:
    once = record("1-5", "CREATED", ran=0, stale_before=ago(99), origin=Origin.ADOPTED)
    read = read_again(once, backfill("1-5", "RUNNING", ran=1))
    assert (read.stale_before, read.origin, read.transfer) == (ago(99), Origin.ADOPTED, "transfer-1")


@pytest.mark.parametrize(
    "seen, remembered",
    [
        (backfill("1-5", "RUNNING"), True),
        (backfill("31-40", "RUNNING"), True),
        (backfill("32-40", "RUNNING"), True),  # touches no declared day: it may be one some day
        (backfill("1-5", "RUNNING", transfer_id=2), False),  # a transfer of no file
        (backfill("1-5", "RUNNING", transfer_id=90), True),  # a predecessor
    ],
)
def test_foreign_backfills_on_the_transfers_of_the_files_are_remembered(
    seen: Backfill, remembered: bool
) -> None:
    desired = team(transfer("1-31", previous_ids=(90,)))
    delta = refresh(document(), observed(seen, runs={1: (), 90: ()}), desired)
    assert [(one.id, one.origin) for one in delta.backfills] == [(100, Origin.OBSERVED)] * remembered


def test_transfers_that_share_a_predecessor_both_remember_what_it_loads() -> None:
    desired = team(transfer("1-5", id=1, previous_ids=(90,)), transfer("20-25", id=2, previous_ids=(90,)))
    for text in ("2", "21"):
        delta = refresh(document(), observed(backfill(text, "RUNNING", transfer_id=90)), desired)
        assert [(one.id, one.transfer) for one in delta.backfills] == [(100, "transfer-1")]


def test_nothing_new_changes_nothing() -> None:
    settled = record("1-5", evidence=known(loaded="1-5"), settled=True)
    assert not refresh(document(settled), observed(), DECLARED)


def test_run_lists_that_cannot_be_read_tell_nothing() -> None:
    once = record("1-5", "FAILED", failed=1)
    assert words(read_again(once, runs={1: FORBIDDEN}).evidence) == {"unlocated": "1-5"}
    assert words(read_again(once, runs={1: (*runs("1-4"), run(5, "FAILED"))}).evidence) == {
        "loaded": "1-4",
        "failed": "5",
    }


@pytest.mark.parametrize(
    "one, wanted",
    [
        (record("1-5", "RUNNING"), True),
        (
            record(
                "1-5", "FAILED", failed=1, names="1", evidence=known(loaded="2-5", failed="1"), settled=True
            ),
            True,
        ),
        (record("1-5", "CANCELLED", ran=2), True),  # settling: once more
        (record("1-5", "CANCELLED", evidence=known(cancelled="1-5"), settled=True), False),
        (record("1-5", evidence=known(loaded="1-5"), settled=True), False),
        (record("1-5", failed=1, evidence=known(unlocated="1-5")), False),  # final: a get tells no more
        (record("1-5", "RUNNING", gone=True), True),  # it may come back
        (record("1-5", "RUNNING", gone=True, evidence=known(not_run="1-5"), settled=True), False),
    ],
)
def test_which_backfills_are_got(one: BackfillRecord, wanted: bool) -> None:
    assert wanted_gets(document(one), ()) == (one.id,) * wanted
    assert wanted_gets(document(one), [backfill("1-5", "RUNNING")]) == ()


# --- laws ---------------------------------------------------------------------------------


def evidence_from(tape: Tape, within: DateSet) -> DayEvidence:
    parts, left = [], within
    for _ in range(5):
        part = left & tape.days(within.first(), within.end())
        parts.append(part)
        left = left - part
    return DayEvidence(*parts)


@LAW
@given(tapes(24))
def test_merge_is_monotone_and_loses_nothing(tape: Tape) -> None:
    within = days("1-16")
    old, new = evidence_from(tape, within), evidence_from(tape, within)
    both = merge(old, new, within)
    assert set(both.loaded) == set(old.loaded) | set(new.loaded)
    assert set(known_days(both)) == set(known_days(old)) | set(known_days(new))
    parts = [getattr(both, name) for name in DayEvidence.__slots__]
    assert sum(map(len, parts)) == len(union(parts))
    assert merge(both, old, within) == merge(both, new, within) == both
    assert merge(old, new, within) == merge(new, old, within)
    assert merge(old, new, days("5-9")) == DayEvidence(*(part & days("5-9") for part in parts))


@HEAVY
@given(worlds())
def test_a_verdict_covers_the_range_and_nothing_else(world: World) -> None:
    runs_of = {one: answer for one, answer in world.observed.runs.items() if isinstance(answer, tuple)}
    for one in world.document.backfills.values():
        listing = runs_of.get(one.transfer_id)
        verdict = judged(one, listing)
        parts = [getattr(verdict.evidence, name) for name in DayEvidence.__slots__]
        open_ = [verdict.in_flight, verdict.settling, verdict.gone, verdict.unknown_status]
        assert union([*open_, *parts]) == one.days
        assert sum(map(len, parts)) == len(union(parts))
        assert not verdict.gone & union(parts)
        if verdict.settled:
            assert known_days(verdict.evidence) == one.days


@HEAVY
@given(tapes(900))
def test_evidence_never_shrinks(tape: Tape) -> None:
    """Whatever is read later, in whatever order: a loaded day stays loaded, a known one known."""
    first = read_world(tape)
    memory: Document = first.document
    for _ in range(3):
        later = read_world(tape)
        views = tuple(one for one in later.observed.listed if one.id not in memory.backfills)
        again = tuple(_another_view(tape, one) for one in memory.backfills.values() if tape.chance(2))
        seen = replace(later.observed, listed=(*views, *again), vendor_now=NOW + HOUR * tape.below(30))
        fresh = apply_delta(memory, refresh(memory, seen, first.team))
        for number, before in memory.backfills.items():
            after = fresh.backfills[number]
            assert not before.evidence.loaded - after.evidence.loaded
            if before.seen.counts == after.seen.counts:  # else a day that failed may have run again
                assert not known_days(before.evidence) - known_days(after.evidence)
            assert not before.status.final or after.status.final
            assert after.days == before.days
        assert memory.backfills.keys() <= fresh.backfills.keys()
        memory = fresh


def _another_view(tape: Tape, one: BackfillRecord) -> Backfill:
    total = one.end - one.start
    failed = tape.below(total + 1)
    return replace(
        one.seen,
        status=tape.one(tuple(Status)),
        failed=failed,
        completed=tape.below(total + 1 - failed),
        failed_days=tape.days(one.start, one.end),
        removed_time=tape.one((None, NOW)),
    )


def test_a_first_record_has_no_evidence() -> None:
    first = BackfillRecord(backfill("1-5"), "ads", Origin.OBSERVED)
    assert (first.days, first.evidence, first.settled) == (days("1-5"), DayEvidence(), False)
    assert first.start == EVE + 1
