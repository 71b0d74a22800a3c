"""A vendor that makes a backfill of a part of the days asked for: what it left out is named, or made."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_rig import BLIND, DAY, MINUTE, ONE, Rig, lost

from reconciler.engine.by_hand import as_created, forget
from reconciler.engine.session import StateSession
from reconciler.events import Created, WriteRefused
from reconciler.planning.intents import unresolved

MAY = "2024-05-01..2024-05-10"
CUT = {"max_range_days": 4}


@pytest.fixture(params=[ONE, BLIND], ids=["runs", "backfills"])
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cut(tmp_path: Path, text: str, excess: str) -> Rig:
    rig = Rig(tmp_path, text, settings=CUT | {"range_excess": excess})
    rig.know_us()
    return rig


def test_what_is_cut_off_at_the_end_is_asked_for_again(text: str, tmp_path: Path) -> None:
    """Settle time over, by the next run, each time as much as the API makes: of these days alone it said
    nothing.
    """
    rig = cut(tmp_path, text, "cut_end")
    applied = rig.apply()
    assert applied.exit == 3
    assert [one.action.dates for one in applied.of(Created)] == ["2024-05-01..2024-05-04"]
    assert [one.action.dates for one in applied.of(WriteRefused)] == ["2024-05-05..2024-05-10"]
    assert applied.report.days == 4
    assert rig.blocked() == ["a 2024-05-05..2024-05-10 refused"]
    rig.later(15 * MINUTE - 1)
    assert rig.apply().sent == []
    rig.later(1)
    assert rig.apply().exit == 3
    rig.later(15 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, MAY)
    rig.later(DAY)
    assert rig.buckets() == {"declared": 10, "covered": 10}


def test_what_is_cut_off_at_the_start_is_blocked_until_a_person_says_so(text: str, tmp_path: Path) -> None:
    """It does not reach back so far: asking again, night after night, would get the same."""
    rig = cut(tmp_path, text, "cut_start")
    assert rig.apply().exit == 3
    for _night in range(40):  # longer than intents are kept
        assert rig.blocked() == ["a 2024-05-01..2024-05-06 cut-by-api"]
        assert rig.apply().sent == []
        rig.later(DAY)
    session = StateSession.open(rig.run().store, rig.run().blank)
    situation = rig.plan().situation
    (ledger,) = situation.ledgers
    session.record(forget(1, ledger.evidence.transfer.days, situation))
    assert rig.apply().exit == 3
    assert rig.made(1) == ["2024-05-07..2024-05-10", "2024-05-03..2024-05-06"]


def test_a_cut_create_whose_answer_is_lost_is_named_by_a_person(text: str, tmp_path: Path) -> None:
    """It is not exactly ours, so nothing adopts it; what it leaves out is due again."""
    rig = cut(tmp_path, text, "cut_end")
    assert rig.apply(lost(after=True)).exit == 4
    (intent,) = unresolved(rig.document())
    (number,) = [int(one["transfer_backfill_id"]) for one in rig.sandbox.backfills()]
    said = as_created(intent, number, rig.document(), rig.people, rig.flags.settle)
    StateSession.open(rig.run().store, rig.run().blank).record(said)
    assert rig.document().backfills[number].ours
    for _try in range(3):
        rig.apply()
        rig.later(15 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, MAY)
