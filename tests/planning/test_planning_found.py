"""Where the ledger once broke the rules of docs/planning.md: the smallest example of each."""

from datetime import datetime
from typing import Any

import pytest
from planning_values import (
    DAY,
    HOUR,
    NOT_FOUND,
    NOW,
    OLD,
    UNREAD,
    ago,
    amnesty,
    backfill,
    buckets,
    document,
    known,
    ledger_of,
    load,
    observed,
    record,
    run,
    runs,
    segment,
    surveyed,
    team,
    transfer,
)

from reconciler.model.desired import EvidenceMode
from reconciler.model.memory import BackfillRecord


def test_a_stale_day_is_not_due_while_its_backfill_runs_again() -> None:
    # It FAILED with days 4 and 5; somebody ran it again.
    failed = record("1-5", "FAILED", failed=2, evidence=known(loaded="1-3", failed="4-5"), settled=True)
    again = backfill("1-5", "RUNNING", ran=3)
    desired = team(transfer(segment("1-5", stale_before=ago(24))))
    _memory, (ledger,) = surveyed(desired, observed(again), document(failed))
    assert buckets(ledger) == {"waiting stale": "1-5"}


def gone(one: BackfillRecord, later: datetime, **more: Any) -> dict[str, str]:
    """Return the buckets some time after a get first answered 404; the run list is empty."""
    desired, memory = team(transfer("1-5", **more)), document(one)
    for now in (NOW, later):
        seen = observed(fetched={one.id: None}, runs={1: ()}, vendor_now=now)
        memory, (ledger,) = surveyed(desired, seen, memory, now)
    return buckets(ledger)


def test_days_of_one_that_is_gone_do_not_settle_for_ever() -> None:
    running = record("1-5", "RUNNING", ran=2, ended_at=None)
    assert "waiting settling" not in gone(running, NOW + 30 * DAY)


def test_days_of_one_that_is_gone_do_not_back_off_for_ever() -> None:
    queued = record("1-5", "SCHEDULED", ran=0, ended_at=None)
    assert gone(queued, NOW + 30 * DAY) == {"due not-run": "1-5"}


def test_one_cancelled_while_active_is_no_attempt_even_for_days_that_failed() -> None:
    cancelled = record("1-3", "CANCELLED", ran=1, failed=1)
    listed = (run(1), run(2, "FAILED"))
    ledger = ledger_of(transfer("1-3", max_attempts=1), cancelled, seen=observed(runs={1: listed}))
    assert buckets(ledger) == {"covered": "1", "due cancelled": "3", "due failed": "2"}


@pytest.mark.parametrize("ended", [None, ago(200)], ids=["stuck", "unknown-status"])
def test_a_later_stale_before_frees_a_day_from_an_old_run(ended: datetime | None) -> None:
    old = run(1, "OTHER", created=ago(216), ended=ended)
    desired = transfer(segment("1", stale_before=ago(1)))
    assert buckets(ledger_of(desired, seen=observed(runs={1: (old,)}))) == {"due never-loaded": "1"}


def test_retry_does_not_forget_a_run_in_flight() -> None:
    going = run(1, "OTHER", created=ago(1))
    ledger = ledger_of(transfer("1"), amnesty("1", at=NOW), seen=observed(runs={1: (going,)}))
    assert buckets(ledger) == {"in_flight": "1"}


@pytest.mark.parametrize("evidence", EvidenceMode)
def test_latest_of_a_predecessor_is_missed(evidence: EvidenceMode) -> None:
    desired = transfer("1", previous_ids=(OLD,), evidence=evidence)
    seen = observed(latest={1: None, OLD: UNREAD})
    assert buckets(ledger_of(desired, seen=seen)) == {"blocked no-evidence": "1"}


def test_a_run_in_flight_is_not_hidden_by_a_predecessors_run() -> None:
    desired = transfer("1", previous_ids=(OLD,))
    old = run(1, "OTHER", created=ago(300), ended=ago(299))
    seen = observed(runs={1: (run(1, "OTHER", created=ago(1)),), OLD: (old,)})
    assert buckets(ledger_of(desired, seen=seen)) == {"in_flight": "1"}


def test_a_day_the_schedule_loaded_stays_loaded_when_a_backfill_fails_it() -> None:
    # Two runs a day: of day 1 one completed and one failed, so the backfill did not load it.
    failed = record("1-2", "FAILED", ran=3, failed=1, total=4)
    listed = (
        run(1, id=1, backfill=False, created=ago(20 * 24)),
        run(1, id=2),
        run(1, "FAILED", id=3, created=NOW - 9 * DAY + HOUR),
        run(2, id=4),
        run(2, id=5),
    )
    ledger = ledger_of(transfer("1-2"), failed, seen=observed(runs={1: listed}))
    assert buckets(ledger) == {"covered": "1-2"}


def test_a_run_of_an_ended_backfill_gets_stuck() -> None:
    ended = record("1-2", "COMPLETED", ran=1)
    listed = (run(1), run(2, "OTHER", created=NOW - 9 * DAY))
    ledger = ledger_of(transfer("1-2"), ended, seen=observed(runs={1: listed}))
    assert buckets(ledger) == {"covered": "1", "blocked stuck": "2"}


def test_a_remembered_load_that_is_stale_is_due_though_the_predecessor_is_gone() -> None:
    desired = transfer(segment("1-2", stale_before=ago(24)), previous_ids=(OLD,))
    seen = observed(runs={1: runs("20", created=ago(48)), OLD: NOT_FOUND})
    ledger = ledger_of(desired, load("1", ago(200), id=OLD), seen=seen)
    assert buckets(ledger) == {"due stale": "1", "blocked no-evidence": "2"}
