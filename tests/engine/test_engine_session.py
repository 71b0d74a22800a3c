"""Joining what a run says with what the document has learned since."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from engine_rig import DAY, ONE, Rig, not_sent, open_store

from reconciler.engine.emergency import unsaved_of
from reconciler.engine.session import StateSession
from reconciler.engine.stop import StopSignal
from reconciler.errors import Interrupted, StateForeign
from reconciler.model.deltas import Delta
from reconciler.model.memory import KnownUser, Outcome
from reconciler.model.observed import Status
from reconciler.stores.base import Revision, StateStore


def opened(rig: Rig) -> StateSession:
    return StateSession.open(open_store(rig.folder), rig.document())


def test_a_record_under_a_wrong_id_does_not_overwrite_another(tmp_path: Path) -> None:
    """An answer showed the id of a backfill that only other runs had got to know."""
    rig = Rig(tmp_path, ONE)
    rig.apply()
    (known,) = rig.document().backfills.values()
    seen = replace(known.seen, start=known.start - 40, end=known.end - 40)
    opened(rig).record(Delta(backfills=(replace(known, seen=seen),)))
    assert rig.document().backfills == {known.id: known}


def test_what_is_known_to_have_ended_stays_ended(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ONE, settings={"seconds_per_run": 0})
    rig.apply()
    (early,) = rig.document().backfills.values()
    rig.later(3600)
    rig.apply()
    (known,) = rig.document().backfills.values()
    assert (early.status, known.status) == (Status.CREATED, Status.COMPLETED)
    opened(rig).record(Delta(backfills=(early,)))
    assert rig.document().backfills[known.id] == known


def test_what_was_done_is_never_called_undone(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ONE)
    rig.apply()
    (done,) = rig.document().intents.values()
    opened(rig).record(Delta(intents=(replace(done, outcome=Outcome.ABANDONED, backfill_id=None),)))
    assert rig.document().intents == {done.nonce: done}


def test_a_state_that_was_put_back_and_has_grown_again_is_not_ours(tmp_path: Path) -> None:
    """Its serial is above that of this run, whose commits it lacks: to go on would forget what was made."""
    rig = Rig(tmp_path, ONE)
    rig.apply()
    database = rig.folder / "state" / "team-12345.db"
    older, session = database.read_bytes(), opened(rig)
    session.record(Delta(users=(KnownUser("ours", 1),)))
    database.write_bytes(older)
    for user_id in range(3):
        opened(rig).record(Delta(users=(KnownUser("theirs", user_id),)))
    assert rig.document().serial > session.document.serial
    with pytest.raises(StateForeign) as caught:
        session.record(Delta(users=(KnownUser("more", 2),)))
    assert "lacks what was committed as serial" in caught.value.detail
    assert set(rig.document().users) >= {"theirs"}
    assert "more" not in rig.document().users


@dataclass
class CutShort:
    """A store whose commit of an outcome is ended by a signal, before or after it landed."""

    inner: StateStore
    landed: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        if not any(one.outcome is Outcome.DONE for one in delta.intents):
            return self.inner.commit(delta, expected)
        if self.landed:
            self.inner.commit(delta, expected)
        raise Interrupted(2)


@pytest.mark.parametrize("landed", [True, False])
def test_nothing_is_unsaved_of_what_the_state_has(landed: bool, tmp_path: Path) -> None:
    """The answer to a push was lost, say, and a signal ended the wait before the next look."""
    rig = Rig(tmp_path)
    run = rig.run(store=cast(StateStore, CutShort(open_store(rig.folder), landed)))
    session = run.open()
    report = run.carry_out(session, run.survey(session), StopSignal(), lambda: True)
    assert report.created == 1
    (made,) = [int(one["transfer_backfill_id"]) for one in rig.sandbox.backfills()]
    unsaved = unsaved_of(session)
    assert [one.id for one in unsaved.lost] == [made] if unsaved else landed
    assert (made in rig.document().backfills) is landed


def test_an_intent_has_the_serial_of_the_state_it_is_committed_on(tmp_path: Path) -> None:
    """Not that of the plan: what another run commits meanwhile moves it on."""
    rig = Rig(tmp_path, ONE)
    others: list[int] = []

    def meanwhile() -> None:
        opened(rig).record(Delta(users=(KnownUser("theirs", 1),)))
        others.append(rig.document().serial)

    applied = rig.apply(between=meanwhile)
    (intent,) = rig.document().intents.values()
    (record,) = rig.document().backfills.values()
    assert intent.serial == record.serial == others[0] > applied.surveyed.plan.serial


def test_what_was_settled_long_ago_is_forgotten(tmp_path: Path) -> None:
    """What it made is not; nor is what is open."""
    rig = Rig(tmp_path, ONE, settings={"seconds_per_run": 0})
    rig.apply(not_sent)
    assert {one.outcome for one in rig.document().intents.values()} == {Outcome.DONE, Outcome.WITHDRAWN}
    rig.later(30 * DAY - 1)
    rig.apply()
    assert len(rig.document().intents) == 2
    rig.later(2)
    rig.apply()
    assert rig.document().intents == {}
    assert rig.buckets() == {"declared": 10, "covered": 10}
