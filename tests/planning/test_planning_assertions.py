"""What docstrings promise is asserted where values are handed on: each assertion fires when it is broken.

Only what is computed here is asserted; what a state or the API says is judged, and refused where it is odd.
"""

from collections.abc import Callable
from typing import Any

import pytest
from planning_values import (
    EVE,
    NOW,
    TEAM,
    backfill,
    days,
    document,
    intent,
    observed,
    planned,
    record,
    runs,
    team,
    transfer,
)

from reconciler.dates import DateSet, DaysByTransfer
from reconciler.model.desired import Address
from reconciler.model.memory import DayEvidence
from reconciler.planning import planner, verdict
from reconciler.planning.approval import Approval
from reconciler.planning.evidence import merge, runs_by_day
from reconciler.planning.intents import cancelled, found
from reconciler.planning.verdict import judge

NOTHING = Approval(DaysByTransfer(), frozenset())


@pytest.mark.parametrize(
    "ended",
    [record("1-10", "FAILED", failed=2), record("1-10", "FAILED", ran=3, failed=2, names="4", end_time=NOW)],
)
def test_a_verdict_tells_of_every_day(ended: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = runs_by_day(runs("1-5"))
    assert judge(ended, listing, NOW)
    monkeypatch.setattr(verdict, "_none_ran", lambda *_: DayEvidence(loaded=days("1-3")))
    monkeypatch.setattr(verdict, "replace", lambda *_, **__: DayEvidence(loaded=days("1-3")))
    with pytest.raises(AssertionError):
        judge(ended, listing, NOW)


def test_no_day_of_what_is_known_is_in_two_sets() -> None:
    """Sets that the operators made are normalised, so only one put together by hand can break this."""
    twice = DateSet(((EVE + 1, EVE + 6), (EVE + 4, EVE + 9)))
    with pytest.raises(AssertionError):
        merge(DayEvidence(loaded=twice), DayEvidence(failed=days("9-10")), days("1-10"))


@pytest.mark.parametrize("outcome", ["pending", "refused"])
def test_what_is_done_has_an_id(outcome: str) -> None:
    nothing: Any = None
    assert found(intent("1-5", outcome=outcome), 7).backfill_id == 7
    with pytest.raises(AssertionError):
        found(intent("1-5", outcome=outcome), nothing)
    with pytest.raises(AssertionError):
        cancelled(intent("1-5", kind="cancel"))


def _days_that_were_not_approved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "_withheld_days", lambda *_: DaysByTransfer())


def _a_cancel_that_was_not_approved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "_approved", lambda cancels, _approval: cancels)


@pytest.mark.parametrize("break_it", [_days_that_were_not_approved, _a_cancel_that_was_not_approved])
def test_what_is_done_was_approved(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    desired = team(transfer("1-5"), prune=True)
    listed, memory = observed(backfill("20-25", "RUNNING")), document(record("20-25", "RUNNING"))
    assert [one.kind for one in planned(desired, listed, memory).actions] == ["cancel", "create"]
    assert planned(desired, listed, memory, NOTHING).actions == ()
    break_it(monkeypatch)
    with pytest.raises(AssertionError):
        planned(desired, listed, memory, NOTHING)


def test_an_approval_allows_what_it_shows_and_less() -> None:
    desired = team(transfer("1-5"), prune=True)
    listed, memory = observed(backfill("20-25", "RUNNING")), document(record("20-25", "RUNNING"))
    actions = planned(desired, listed, memory).actions
    shown = Approval(DaysByTransfer([(Address(TEAM, 1), days("1-5"))]), frozenset({(TEAM, 100)}))
    assert shown.allows(actions)
    assert shown.allows(())
    assert not NOTHING.allows(actions[:1])
    assert not NOTHING.allows(actions[1:])
