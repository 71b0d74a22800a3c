"""Days at the edges of the rules: when a load counts, when the next attempt is made, what people may say.

The day in question is 10 January; dates around it are days of January, as ``planning_values`` writes them.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from planning_values import (
    DAY,
    EVE,
    FORBIDDEN,
    HOUR,
    NOT_FOUND,
    NOW,
    OLD,
    TRANSFER,
    UNREAD,
    Remembered,
    ago,
    amnesty,
    buckets,
    days,
    intent,
    known,
    ledger_of,
    load,
    named,
    observed,
    record,
    run,
    runs,
    segment,
    transfer,
)

from reconciler.diagnostics import Place
from reconciler.model.desired import EvidenceMode, LoadedDays
from reconciler.model.memory import Acceptance, Load, Origin
from reconciler.model.observed import UNTOLD, Run

RUNS, BLIND = EvidenceMode.RUNS, EvidenceMode.BACKFILLS
D = 10


def at(day: int, hour: int = 9, minute: int = 0) -> datetime:
    """Return a time in January 2024, in UTC; at nine it is the same day in all zones of the tests."""
    return datetime.combine(date.fromordinal(EVE + day), time(hour, minute), UTC)


# --- when a load counts --------------------------------------------------------------------------

Made = Callable[[int], Remembered | Run]
BACKFILLS: dict[str, Made] = {
    "ours, by the date it was made under": lambda day: record("10", created=at(day + 1), as_of=EVE + day),
    "ours, without that date": lambda day: record("10", created=at(day)),
    "somebody's": lambda day: record("10", created=at(day), origin=Origin.OBSERVED),
    "a run of somebody's": lambda day: run(D, created=at(day)),
    "a run that is remembered": lambda day: load("10", at(day), by_backfill=True),
}
SCHEDULED: dict[str, Made] = {
    "the schedule's": lambda day: run(D, created=at(day), backfill=False),
    "the schedule's, remembered": lambda day: load("10", at(day)),
}


def bucket_of(made: Remembered | Run, as_of: int, final_after: int | None, zone: str = "") -> str:
    desired = transfer(segment("10", final_after=final_after))
    memory = () if isinstance(made, Run) else (made,)
    seen = observed(runs={TRANSFER: (made,) if isinstance(made, Run) else ()})
    ledger = ledger_of(desired, *memory, seen=seen, as_of=EVE + as_of, timezone=zone)
    (bucket,) = buckets(ledger)
    return bucket


EDGES = [  # final_after, begun on, the last date it counts through (None: for good), and what it is then
    (0, D - 1, D, "due early"),
    (0, D, D, "due early"),
    (0, D + 1, None, ""),
    (1, D, D + 1, "due early"),
    (1, D + 1, None, ""),
    (2, D + 1, D + 2, "due restated"),
    (2, D + 2, None, ""),
    (7, D, D + 7, "due early"),
    (7, D + 1, D + 7, "due restated"),
    (7, D + 6, D + 7, "due restated"),
    (7, D + 7, None, ""),
    (7, D + 8, None, ""),
]
ALONE = [(None, D - 1, D + 1, "due early"), (None, D, D + 1, "due early"), (None, D + 1, None, "")]


@pytest.mark.parametrize("zone", ["", "Europe/Helsinki"])
@pytest.mark.parametrize("who", [*BACKFILLS, *SCHEDULED])
@pytest.mark.parametrize(("final_after", "begun", "through", "then"), [*EDGES, *ALONE])
def test_through_which_date_a_load_counts(
    who: str, zone: str, final_after: int | None, begun: int, through: int | None, then: str
) -> None:
    made = (BACKFILLS | SCHEDULED)[who](begun)
    if through is None or (final_after is None and who in SCHEDULED):
        assert bucket_of(made, D + 400, final_after, zone) == "covered"
    else:
        assert bucket_of(made, through, final_after, zone) == "covered"
        assert bucket_of(made, through + 1, final_after, zone) == then


@pytest.mark.parametrize(("begun", "bucket"), [(D, "due early"), (D + 6, "due restated"), (D + 7, "covered")])
def test_what_loads_after_one_of_ours_that_is_gone_is_dated_by_itself(begun: int, bucket: str) -> None:
    """Nobody saw how ours ended: a person may have loaded the day since."""
    ours = record("10", "RUNNING", ran=0, created=at(D), as_of=EVE + D, gone=True)
    seen = observed(runs={TRANSFER: (run(D, created=at(begun)),)})
    ledger = ledger_of(transfer(segment("10", final_after=7)), ours, seen=seen, as_of=EVE + D + 8)
    assert buckets(ledger) == {bucket: "10"}


@pytest.mark.parametrize(
    ("zone", "moment", "as_of_its_own_day"),
    [
        ("", at(D, 9, 59), True),  # where a day is over first, midnight is at ten
        ("", at(D, 10), False),
        ("Europe/Helsinki", at(D, 21, 59), True),
        ("Europe/Helsinki", at(D, 22), False),
        ("UTC", at(D, 23, 59), True),
        ("UTC", at(D + 1, 0), False),
    ],
)
@pytest.mark.parametrize("final_after", [None, 0, 1])
def test_a_load_is_dated_in_the_teams_zone(
    zone: str, moment: datetime, as_of_its_own_day: bool, final_after: int | None
) -> None:
    made = run(D, created=moment)
    assert bucket_of(made, D + 3, final_after, zone) == ("due early" if as_of_its_own_day else "covered")


@pytest.mark.parametrize(
    ("failed_on", "as_of", "bucket"),
    [(D - 1, D + 9, "covered"), (D + 1, D + 1, "covered"), (D + 1, D + 2, "due early")],
)
@pytest.mark.parametrize("remembered", [False, True])
def test_a_scheduled_run_on_its_own_day_counts_unless_a_later_one_failed(
    failed_on: int, as_of: int, bucket: str, remembered: bool
) -> None:
    failed_at = at(failed_on) if failed_on > D else None
    listed = (run(D, id=1, created=at(D), backfill=False), run(D, "FAILED", id=2, created=at(failed_on)))
    memory: tuple[Load, ...] = (load("10", at(D), failed_at=failed_at),) if remembered else ()
    seen = observed(runs={TRANSFER: () if remembered else listed})
    ledger = ledger_of(transfer("10"), *memory, seen=seen, as_of=EVE + as_of)
    assert buckets(ledger) == {bucket: "10"}


# --- runs that tell no time ---------------------------------------------------------------------


@pytest.mark.parametrize("backfill", [False, True])
@pytest.mark.parametrize("final_after", [None, 0, 1, 7])
@pytest.mark.parametrize("also", [None, at(D)], ids=["alone", "beside an early one"])
def test_what_a_run_that_tells_no_time_loaded_is_final(
    backfill: bool, final_after: int | None, also: datetime | None
) -> None:
    untold = run(D, created=UNTOLD, backfill=backfill)
    dated = (run(D, id=2, created=also, backfill=backfill),) if also else ()
    failed = run(D, "FAILED", id=3, created=at(D + 1))
    desired = transfer(segment("10", final_after=final_after))
    ledger = ledger_of(desired, seen=observed(runs={TRANSFER: (untold, *dated, failed)}), as_of=EVE + 40)
    assert buckets(ledger) == {"covered": "10"}


def test_what_a_run_that_tells_no_time_loaded_is_before_a_day_that_a_person_asks_for() -> None:
    stale = transfer(segment("10", stale_before=at(1)))
    ledger = ledger_of(stale, seen=observed(runs={TRANSFER: (run(D, created=UNTOLD),)}))
    assert buckets(ledger) == {"due stale": "10"}


@pytest.mark.parametrize(
    ("now", "bucket"),
    [(at(D + 6, 9), "in_flight"), (at(D + 6, 10), "blocked stuck"), (at(D + 99), "blocked stuck")],
)
@pytest.mark.parametrize(
    "beside", [(), (run(D, "FAILED", id=2, created=at(D, 12)),)], ids=["alone", "failed"]
)
def test_a_run_under_way_that_tells_no_time_is_as_young_as_its_day_allows(
    now: datetime, bucket: str, beside: Any
) -> None:
    """In UTC+14 the day began at ten the day before; it may be the newest run."""
    listed = (*beside, run(D, "OTHER", created=UNTOLD, backfill=False))
    ledger = ledger_of(transfer("10"), seen=observed(vendor_now=now, runs={TRANSFER: listed}))
    assert buckets(ledger) == {bucket: "10"}


# --- days loaded by other means ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told_at", "stale_before", "expected"),
    [
        (None, None, {"covered": "1-4", "due never-loaded": "5"}),
        (None, ago(24 * 4000), {"due stale": "1-4", "due never-loaded": "5"}),
        (ago(24), ago(24), {"covered": "1-4", "due never-loaded": "5"}),
        (ago(25), ago(24), {"due stale": "1-4", "due never-loaded": "5"}),
    ],
)
@pytest.mark.parametrize("evidence", EvidenceMode)
@pytest.mark.parametrize("final_after", [None, 400])
def test_days_loaded_by_other_means(
    told_at: Any, stale_before: Any, expected: Any, evidence: EvidenceMode, final_after: int | None
) -> None:
    told = LoadedDays(days("1-4"), told_at, "From the old warehouse", Place("backfills.yaml", 9, 9))
    declared = segment("1-5", stale_before=stale_before, final_after=final_after)
    assert buckets(ledger_of(transfer(declared, loaded=(told,), evidence=evidence))) == expected


# --- the next attempt ----------------------------------------------------------------------------


def attempts(*ended: float, **more: Any) -> dict[str, str]:
    """Return the buckets of a day that was tried in vain; ``ended``: how many hours ago, newest last."""
    tried = [
        record("1", "FAILED", failed=1, id=number, created=ago(hours + 1), end_time=ago(hours), **more)
        for number, hours in enumerate(ended, 1)
    ]
    return buckets(ledger_of(transfer("1", max_attempts=4), *tried))


@pytest.mark.parametrize(
    ("ended", "bucket"),
    [
        ([0.99], "waiting backoff"),
        ([1], "due failed"),
        ([99, 5.99], "waiting backoff"),
        ([99, 6], "due failed"),
        ([5, 6.01], "waiting backoff"),  # the newest is the one that was made last
        ([999, 99, 35.99], "waiting backoff"),
        ([999, 99, 36], "due failed"),
        ([999, 998, 997, 0], "failed attempts"),  # there is no next one to wait for
    ],
)
def test_each_further_attempt_waits_six_times_as_long(ended: list[float], bucket: str) -> None:
    assert attempts(*ended) == {bucket: "1"}


@pytest.mark.parametrize(
    ("retry_after", "hours", "bucket"),
    [(0 * HOUR, 0, "due failed"), (2 * HOUR, 1.99, "waiting backoff"), (2 * HOUR, 2, "due failed")],
)
def test_without_an_end_time_it_waits_from_the_read_that_saw_it_ended(
    retry_after: Any, hours: float, bucket: str
) -> None:
    tried = record("1", "FAILED", failed=1, ended_at=ago(hours))
    assert buckets(ledger_of(transfer("1", retry_after=retry_after), tried)) == {bucket: "1"}


def test_nothing_waits_for_what_others_tried() -> None:
    assert attempts(0.5, origin=Origin.OBSERVED) == {"due failed": "1"}


# --- retry, and accept ----------------------------------------------------------------------------

TRIED = record("1-2", "FAILED", failed=2, serial=3)
LOST = record("1-2", "RUNNING", ran=1, gone=True, ended_at=None, serial=3)
UNKNOWN = record("1-2", "UNKNOWN", end_time=ago(9), serial=3)
UNLOCATED = record("1-2", "FAILED", ran=1, failed=1, end_time=ago(9), serial=3)
REFUSED = intent("1-2", outcome="refused", at=ago(2), serial=3)


@pytest.mark.parametrize(
    ("what", "held", "then"),
    [
        (TRIED, "failed attempts", "due failed"),
        (LOST, "blocked gone", "due not-run"),
        (UNKNOWN, "blocked unknown-status", "due not-run"),
        (UNLOCATED, "failed unlocated", "due failed"),
        (REFUSED, "blocked refused", "due never-loaded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_retry_forgets_what_keeps_its_days_from_being_due(what: Remembered, held: str, then: str) -> None:
    desired = transfer("1-2", max_attempts=1, evidence=BLIND)
    assert buckets(ledger_of(desired, what)) == {held: "1-2"}
    assert buckets(ledger_of(desired, what, amnesty("1", serial=3))) == {held: "2", then: "1"}
    assert buckets(ledger_of(desired, what, amnesty("1", serial=2))) == {held: "1-2"}  # it came later


@pytest.mark.parametrize(("ended", "held"), [(None, "blocked stuck"), (ago(190), "blocked unknown-status")])
def test_retry_forgets_runs_made_before_it(ended: Any, held: str) -> None:
    made = ago(200)
    seen = observed(runs={TRANSFER: (run(1, "OTHER", created=made, ended=ended),)})
    before, after = amnesty("1", at=made), amnesty("1", at=made + HOUR)
    assert buckets(ledger_of(transfer("1"), before, seen=seen)) == {held: "1"}
    assert buckets(ledger_of(transfer("1"), after, seen=seen)) == {"due never-loaded": "1"}


@pytest.mark.parametrize(
    ("accepted", "evidence", "expected"),
    [
        (None, BLIND, {"covered": "1", "blocked unknown-history": "3-4", "future": "5"}),
        (99, BLIND, {"covered": "1", "blocked unknown-history": "3-4", "future": "5"}),
        (100, BLIND, {"covered": "1", "due never-loaded": "3-4", "future": "5"}),
        (None, RUNS, {"covered": "1", "due never-loaded": "3-4", "future": "5"}),
    ],
)
def test_what_the_state_cannot_explain_blocks_what_is_due(
    accepted: int | None, evidence: EvidenceMode, expected: dict[str, str]
) -> None:
    unexplained = record("1", origin=Origin.UNEXPLAINED, id=100)
    said = () if accepted is None else (Acceptance(TRANSFER, accepted, 2),)
    desired = transfer("1", "3-5", evidence=evidence, loadable_until=EVE + 5)
    assert buckets(ledger_of(desired, unexplained, *said)) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((Acceptance(TRANSFER, 100, 2),), {"blocked unknown-history": "3"}),
        ((Acceptance(OLD, 99, 2),), {"blocked unknown-history": "3"}),
        ((Acceptance(OLD, 99, 2), Acceptance(TRANSFER, 100, 2)), {"due never-loaded": "3"}),
        ((Acceptance(OLD, 98, 2), Acceptance(TRANSFER, 100, 2)), {"blocked unknown-history": "3"}),
    ],
)
def test_each_id_of_a_transfer_is_accepted_for_itself(said: Any, expected: Any) -> None:
    own = record("1", origin=Origin.UNEXPLAINED, id=100)
    old = record("2", origin=Origin.UNEXPLAINED, id=99, transfer_id=OLD)
    desired = transfer("3", previous_ids=(OLD,), evidence=BLIND)
    assert buckets(ledger_of(desired, own, old, *said)) == expected


def test_days_told_to_be_loaded_need_no_acceptance() -> None:
    told = LoadedDays(days("3"), None, "By hand", Place("backfills.yaml", 9, 9))
    desired = transfer("3-4", evidence=BLIND, loaded=(told,))
    ledger = ledger_of(desired, record("1", origin=Origin.UNEXPLAINED))
    assert buckets(ledger) == {"covered": "3", "blocked unknown-history": "4"}


# --- a predecessor whose runs are not there any more --------------------------------------------------

BY_PREDECESSOR = record("2-3", ran=2, transfer_id=OLD, evidence=known(loaded="2", failed="3"), settled=True)


@pytest.mark.parametrize(
    ("entries", "own_runs", "expected"),
    [
        ([], (), {"blocked no-evidence": "1-9"}),
        (
            [],
            runs("4", created=at(5)),
            {"blocked no-evidence": "1-3", "covered": "4", "due never-loaded": "5-9"},
        ),
        (
            [record("4", created=at(5))],
            (),
            {"blocked no-evidence": "1-3", "covered": "4", "due never-loaded": "5-9"},
        ),
        (
            [BY_PREDECESSOR],
            runs("4", created=at(5)),
            {"blocked no-evidence": "1", "covered": "2 4", "due failed": "3", "due never-loaded": "5-9"},
        ),
        (
            [record("1-3", "FAILED", ran=1, failed=2, names="1 2", created=at(5))],
            (),
            {"blocked no-evidence": "1-2 4", "covered": "3", "due never-loaded": "5-9"},
        ),
        (
            [],
            (*runs("5", created=at(6)), *runs("4", created=UNTOLD)),
            {"blocked no-evidence": "1-3", "covered": "4-5", "due never-loaded": "6-9"},
        ),
    ],
    ids=[
        *("no sign of the new one", "its first run", "its first backfill", "memory knows some days"),
        *("the new one failed", "a run that tells no time"),
    ],
)
def test_days_that_a_predecessor_may_have_loaded(entries: Any, own_runs: Any, expected: Any) -> None:
    seen = observed(runs={TRANSFER: own_runs, OLD: NOT_FOUND})
    ledger = ledger_of(transfer("1-9", previous_ids=(OLD,)), *entries, seen=seen)
    assert buckets(ledger) == expected


GONE_THEN = {"blocked no-evidence": "1-3", "covered": "4", "due never-loaded": "5-9"}
THERE_THEN = {"covered": "4", "due never-loaded": "1-3 5-9"}
LOADED_BY_IT = load("2", at(2), id=OLD)


@pytest.mark.parametrize(
    ("listed", "entries", "expected"),
    [
        (named(TRANSFER), (), GONE_THEN),
        (named(TRANSFER), (LOADED_BY_IT,), {**GONE_THEN, "blocked no-evidence": "1 3", "covered": "2 4"}),
        (named(TRANSFER, OLD), (), THERE_THEN),
        (UNREAD, (), GONE_THEN),
        (UNREAD, (LOADED_BY_IT,), {"covered": "2 4", "due never-loaded": "1 3 5-9"}),
        (UNREAD, (record("2", transfer_id=OLD),), {"covered": "2 4", "due never-loaded": "1 3 5-9"}),
    ],
    ids=[
        *("the team has it no more", "and memory knows a day", "the team has it"),
        *(
            "nobody can tell",
            "nobody can tell, and a load is known",
            "nobody can tell, and a backfill is known",
        ),
    ],
)
def test_an_empty_run_list_of_a_predecessor_that_may_be_gone(
    listed: Any, entries: Any, expected: Any
) -> None:
    seen = observed(runs={TRANSFER: runs("4", created=at(5)), OLD: ()}, transfers=listed)
    ledger = ledger_of(transfer("1-9", previous_ids=(OLD,)), *entries, seen=seen)
    assert buckets(ledger) == expected


def test_a_sandbox_that_has_any_transfer_has_a_predecessor_that_it_does_not_list() -> None:
    lists = {TRANSFER: runs("4", created=at(5)), OLD: ()}
    seen = observed(runs=lists, transfers=named(TRANSFER), any_transfer=True)
    ledger = ledger_of(transfer("1-9", previous_ids=(OLD,)), seen=seen)
    assert buckets(ledger) == THERE_THEN


def test_another_failure_of_a_predecessor_hides_all_days() -> None:
    seen = observed(runs={TRANSFER: runs("4", created=at(5)), OLD: FORBIDDEN})
    ledger = ledger_of(transfer("1-9", previous_ids=(OLD,)), seen=seen)
    assert buckets(ledger) == {"blocked no-evidence": "1-3 5-9", "covered": "4"}


# --- the vendor's clock ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "vendor_now", "allow_today", "future"),
    [
        ("", NOW, False, ""),
        ("", NOW - 9 * HOUR - HOUR / 60, False, "0"),  # yesterday is not over there
        ("Europe/Helsinki", NOW - 11 * HOUR, False, ""),
        ("Europe/Helsinki", NOW - 11 * HOUR - HOUR / 60, False, "0"),
        ("", NOW - DAY, True, ""),
        ("", NOW - 2 * DAY, True, "0"),
    ],
)
def test_a_day_is_loadable_once_it_is_over_for_the_vendor(
    zone: str, vendor_now: datetime, allow_today: bool, future: str
) -> None:
    yesterday = (NOW - DAY).date().toordinal() - EVE
    desired = transfer(f"{yesterday}", allow_today=allow_today)
    ledger = ledger_of(desired, seen=observed(vendor_now=vendor_now), timezone=zone)
    assert list(buckets(ledger)) == ["future" if future else "due never-loaded"]
