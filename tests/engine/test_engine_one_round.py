"""What a run does of its plan and no more: limits, approvals, and the refusal to begin without a state."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from engine_rig import (
    BLIND,
    DAY,
    HOUR,
    ONE,
    OURS,
    TEAM,
    TWO,
    Rig,
    actions_text,
    answered,
)

from reconciler.dates import DateSet, DaysByTransfer, parse_iso
from reconciler.errors import ApiUnavailable
from reconciler.events import Withdrawn
from reconciler.model.desired import Address
from reconciler.planning.approval import Approval
from reconciler.planning.ledger import Bucket

THREE = TWO + "  c:\n    transfer_id: 3\n    ranges: [2024-03-01..2024-03-05]\n"


def limited(text: str, number: int) -> str:
    return text.replace("version: 1\n", f"version: 1\nlimits: {{max_creates_per_apply: {number}}}\n")


@pytest.mark.parametrize("allowed", [1, 2, 3, 4])
def test_max_creates_holds_and_what_is_withdrawn_is_not_made_up_for(allowed: int, tmp_path: Path) -> None:
    """Somebody takes the middle of a's days meanwhile: the next run makes two creates of one."""
    rig = Rig(tmp_path, limited(THREE, allowed))
    rig.later(DAY)  # of odd ordinal: an only place goes to the first in the order
    applied = rig.apply(between=lambda: rig.foreign(1, "2024-05-04", "2024-05-06"))
    assert (applied.exit, applied.report.created) == (3, min(allowed, 3) - 1)
    assert (applied.report.withdrawn, len(applied.of(Withdrawn))) == (1, 1)
    for _run in range(4):
        assert rig.apply().report.created <= allowed
    rig.once(1, "2024-05-01..2024-05-10")
    assert rig.buckets() == {"declared": 20, "in_flight": 20}


def test_days_that_become_due_meanwhile_are_the_next_plan_s(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    rig.foreign(2, "2024-04-01", "2024-04-05")  # runs until later, so nothing of b is planned

    def meddle() -> None:
        (active,) = [one.id for one in rig.people.list_incomplete().backfills if one.transfer_id == 2]
        rig.people.cancel(active)
        rig.later(2 * HOUR)
        rig.foreign(1, "2024-05-04", "2024-05-06")

    applied = rig.apply(between=meddle)
    assert (applied.exit, applied.sent) == (3, [])
    assert rig.buckets()["planned"] == 7 + 5
    assert rig.apply().report.created == 3


def test_an_approval_is_a_filter_on_days_and_cancels(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    part = DateSet.span(parse_iso("2024-05-03"), parse_iso("2024-05-05"))
    applied = rig.apply(approval=Approval(DaysByTransfer([(Address(12345, 1), part)]), frozenset()))
    assert applied.exit == 0
    rig.once(1, "2024-05-03..2024-05-04")
    rig.once(2)
    left = [(one.transfer, one.reason) for one in applied.surveyed.plan.of(Bucket.DEFERRED)]
    assert set(left) == {("a", "not-approved"), ("b", "not-approved")}


def test_a_retry_needs_its_cancel_approved(tmp_path: Path) -> None:
    rig = Rig(tmp_path, transfers={1: {"fail_days": {"2024-05-04": {"times": 1}}}})
    rig.apply()
    rig.later(DAY)
    may = DateSet.span(parse_iso("2024-05-01"), parse_iso("2024-05-11"))
    everything = DaysByTransfer([(Address(12345, 1), may)])
    assert rig.apply(approval=Approval(everything, frozenset())).sent == []
    (shell,) = rig.document().backfills
    assert len(rig.apply(approval=Approval(everything, frozenset({(12345, shell)}))).sent) == 2


# -- a state that may be missing -------------------------------------------------------------------


@pytest.fixture
def forgotten(tmp_path: Path) -> Rig:
    """A rig whose past loads only ``latest`` hints at: no state, and run lists are not read."""
    rig = Rig(tmp_path, BLIND)
    rig.foreign(1, "2024-05-01", "2024-05-05")
    rig.later(DAY)
    return rig


def test_blind_a_history_that_the_state_does_not_know_blocks_until_it_is_accepted(forgotten: Rig) -> None:
    planned = forgotten.plan()
    assert (actions_text(planned), planned.plan.statuses) == ([], {6})
    assert [one.rule for one in planned.plan.diagnostics] == ["OB003"]
    assert forgotten.blocked() == ["a 2024-05-06..2024-05-10 unknown-history"]
    for _run in range(2):  # it is recorded, and does not heal itself
        assert forgotten.apply().sent == []
        forgotten.later(DAY)
    forgotten.accept(1)
    assert actions_text(forgotten.plan()) == ["+ a 2024-05-06..2024-05-10"]
    assert forgotten.apply().exit == 0
    forgotten.later(DAY)
    assert forgotten.apply().exit == 0
    assert forgotten.buckets() == {"declared": 10, "covered": 10}


@pytest.mark.parametrize(
    ("user", "blocks"), [(OURS, True), (792, False)], ids=["one of our users", "somebody else"]
)
def test_blind_what_others_made_is_theirs_once_it_is_known_whose_our_key_is(
    user: int, blocks: bool, forgotten: Rig
) -> None:
    forgotten.know_us()
    forgotten.sandbox.create_backfill(TEAM, 1, "2024-06-10", "2024-06-10", user)
    assert bool(forgotten.blocked()) is blocks


def test_a_history_is_accepted_up_to_its_newest_backfill(forgotten: Rig) -> None:
    forgotten.apply()
    forgotten.accept(1)
    forgotten.sandbox.create_backfill(TEAM, 1, "2024-04-10", "2024-04-10", OURS)
    assert forgotten.blocked() == ["a 2024-05-06..2024-05-10 unknown-history"]


@pytest.mark.parametrize("spared", ["runs are read", "no history"])
def test_where_there_is_evidence_or_no_history_nothing_is_blocked(spared: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, ONE if spared == "runs are read" else BLIND)
    if spared == "runs are read":
        rig.foreign(1, "2024-05-01", "2024-05-05")
        rig.later(DAY)
    assert rig.apply().exit == 0
    assert rig.blocked() == []


# -- reads that fail -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("text", [ONE, BLIND], ids=["runs", "backfills"])
def test_run_lists_that_may_not_be_read(text: str, status: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path, text, transfers={1: {}})
    rig.sandbox.faults(f"status-{status}-before@runs")
    assert rig.apply().exit == 0
    if text == ONE:
        assert rig.blocked() == ["a 2024-05-01..2024-05-10 no-evidence"]
        assert rig.plan().plan.statuses == {65 if status == 403 else 69}
    else:
        rig.once(1, "2024-05-01..2024-05-10")


@pytest.mark.parametrize("fault", ["status-503-before@runs", "invalid-json@runs", "reset-after@runs"])
def test_a_run_list_that_fails_blocks(fault: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.sandbox.faults(fault)
    assert rig.apply().exit == 0
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 no-evidence"]
    rig.sandbox.faults()
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_reads_that_fail_now_and_then_change_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, THREE)
    rig.sandbox.faults("status-502-before=0.2", "status-429-before=0.1", "reset-before=0.1")
    for _run in range(8):
        with suppress(ApiUnavailable):  # an outage that lasted
            rig.apply()
        rig.later(1000)
    rig.sandbox.faults()
    rig.apply()
    rig.once(1, "2024-05-01..2024-05-10")
    rig.once(2, "2024-04-01..2024-04-05")
    rig.once(3, "2024-03-01..2024-03-05")


def test_a_rate_limit_holds_all_workers_and_is_waited_for_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, THREE)
    applied = rig.apply(answered(429, None, retry_after="100"))
    assert applied.exit == 0
    assert sum(applied.waits) == 100
    assert len(applied.sent) == 4
