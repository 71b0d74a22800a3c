"""What an apply says it did, and left: also where the state could not take it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine_rig import ONE, TWO, Act, Rig, answered, lost, on_transfer, open_store, passed

from reconciler.errors import Interrupted, StateUnwritable
from reconciler.events import UnknownOutcome, Withdrawn, WriteRefused
from reconciler.stores.holders import is_at_work, this_process

CHUNKS = ONE.replace("    ranges", "    chunk: week\n    ranges")
"""Two creates of one transfer, of 5 and 5 days."""


class Filling:
    """A store whose disk is full from some moment on."""

    def __init__(self, folder: Path) -> None:
        self._inner, self.full = open_store(folder), False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, *arguments: Any) -> Any:
        if self.full:
            raise StateUnwritable("The state cannot be written", "The disk is full.", "Free space.")
        return self._inner.commit(*arguments)


def test_what_was_made_and_not_recorded_is_no_doubt(tmp_path: Path) -> None:
    """The answer came, and told all: the disk was full by then. What was never sent is no doubt either."""
    rig, store = Rig(tmp_path, TWO), Filling(tmp_path)

    def fills_the_disk(inner: Any, request: Any, timeout: float) -> Any:
        answer = passed(inner, request, timeout)
        store.full = True
        return answer

    act: Act = fills_the_disk
    applied = rig.apply(act, store=store)  # type: ignore[arg-type]
    report = applied.report
    assert (report.created, report.days, report.unknown, report.doubts) == (1, 10, 0, [])
    assert [(action.transfer, len(action.days)) for action in report.not_sent] == [("b", 5)]
    assert applied.of(UnknownOutcome) == []


def test_what_follows_a_refused_create_is_withdrawn_and_named(tmp_path: Path) -> None:
    applied = Rig(tmp_path, CHUNKS).apply(answered(422, "UNPROCESSABLE_ENTITY"))
    assert (applied.report.refused, applied.report.withdrawn, applied.report.not_sent) == (1, 1, [])
    (told,) = applied.of(Withdrawn)
    assert told.why == "an earlier write of this transfer was refused"
    assert applied.exit == 3


def test_what_follows_an_unknown_create_is_withdrawn_and_named(tmp_path: Path) -> None:
    applied = Rig(tmp_path, CHUNKS).apply(lost(after=False))
    assert (applied.report.unknown, applied.report.withdrawn, applied.report.not_sent) == (1, 1, [])
    (told,) = applied.of(Withdrawn)
    assert told.why == "the outcome of an earlier create of this transfer is unknown"
    (doubt,) = applied.report.doubts
    assert doubt.why == "the connection broke"


def test_what_a_quota_leaves_was_not_sent_but_for_what_was_answered(tmp_path: Path) -> None:
    applied = Rig(tmp_path, CHUNKS).apply(answered(429, "API_ROW_QUOTA_EXCEEDED"))
    assert [len(action.days) for action in applied.report.not_sent] == [5]
    (turned_away,) = applied.report.turned_away
    assert (len(turned_away.action.days), turned_away.error.code) == (5, "API_ROW_QUOTA_EXCEEDED")
    (error,) = applied.report.errors
    assert "POST …/transfers/1/backfills (a 2024-" in error.detail
    assert (applied.report.refused, applied.report.withdrawn, applied.report.unknown) == (0, 0, 0)


def test_a_refusal_that_is_the_keys_is_taken_back(tmp_path: Path) -> None:
    """The first was told as refused; the second shows whose it is, and both stay due."""
    denied = answered(403, "FORBIDDEN")
    applied = Rig(tmp_path, TWO).apply(denied, denied)
    assert len(applied.of(WriteRefused)) == 1
    assert (applied.report.refused, applied.report.outcomes) == (0, [])
    assert applied.report.not_sent == []
    assert sorted(one.action.transfer for one in applied.report.turned_away) == ["a", "b"]
    (error,) = applied.report.errors
    assert "(b 2024-" in error.detail
    assert "like a write on another transfer before it, was answered with 403" in error.detail
    assert applied.exit == 65


def test_a_refusal_that_stays_its_transfers_is_kept(tmp_path: Path) -> None:
    applied = Rig(tmp_path, TWO).apply(answered(403, "FORBIDDEN"), wanted=on_transfer(1))
    assert (applied.report.refused, applied.report.created, applied.report.not_sent) == (1, 1, [])


def test_a_look_up_that_is_interrupted_still_tells_why_it_was_made(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    def ends(_seconds: float) -> None:
        raise Interrupted(15)

    rig.time.sleep = ends  # type: ignore[method-assign]
    applied = rig.apply(lost(after=False))
    (doubt,) = applied.report.doubts
    assert doubt.why == "the connection broke, and the run ended before its outcome was known"
    assert applied.of(UnknownOutcome) == [doubt]


def test_a_plan_beside_a_run_at_work_says_so(tmp_path: Path) -> None:
    """What is unknown may just be looked up: nobody is to settle it by hand meanwhile."""
    rig = Rig(tmp_path)
    rig.apply(lost(after=False))
    (alone,) = rig.plan().plan.diagnostics
    assert "reconciler resolve a 2024-05-01..2024-05-10 --as not-created" in alone.hint
    with open_store(tmp_path).lock(this_process("apply", rig.time.wall()), 0.0):
        (beside,) = rig.plan().plan.diagnostics
    assert "A run is at work: apply by " in beside.detail
    assert "resolve" not in beside.hint
    assert beside.hint.startswith("Wait until that run has ended")


def test_who_is_at_work() -> None:
    now = datetime(2024, 6, 1, tzinfo=UTC)
    ours = this_process("apply", now)
    assert is_at_work(ours, now)
    assert not is_at_work(replace(ours, host="elsewhere"), now)
    lease = replace(ours, host="elsewhere", until=now + timedelta(minutes=1))
    assert is_at_work(lease, now)
    assert not is_at_work(lease, now + timedelta(minutes=1))
