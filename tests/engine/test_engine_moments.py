"""Between the intent and the request, the answer and its record: clocks, locks, kills, full disks."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    DAY,
    MINUTE,
    ONE,
    TWO,
    Killed,
    Rig,
    Witness,
    actions_text,
    killed,
    late,
    lost,
    not_sent,
    open_store,
    settle_and_finish,
)

from reconciler.api.client import ApiClient
from reconciler.engine.effects import Committed, Intend, SendCreate, Withheld
from reconciler.engine.executor import Executor
from reconciler.engine.freshness import Freshness
from reconciler.engine.rules import Rules
from reconciler.engine.stop import StopSignal
from reconciler.engine.transfer import TransferApply
from reconciler.errors import Interrupted, StateError, StateUnwritable
from reconciler.events import Withdrawn
from reconciler.http import Pacer, Request, Response, Transport
from reconciler.model.deltas import Delta
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import Outcome
from reconciler.stores.base import NEVER_WRITTEN, Revision
from reconciler.stores.local import LocalStore

FAILS = {1: {"name": "one", "fail_days": {"2024-05-04": {"error": "timeout", "times": 1}}}}


@dataclass
class Watched:
    """A real store; told of each delta and its number, before and after it is durable."""

    inner: LocalStore
    before: Callable[[int, Delta], None] = lambda number, delta: None
    after: Callable[[int, Delta], None] = lambda number, delta: None
    commits: list[Delta] = field(default_factory=list)

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        self.commits.append(delta)
        number = len(self.commits)
        self.before(number, delta)
        revision = self.inner.commit(delta, expected)
        self.after(number, delta)
        return revision

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def is_intent(delta: Delta) -> bool:
    return any(one.pending for one in delta.intents)


# -- the last check --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "jump", [{"skew": 60.0}, {"lapse": 60.0}, {"skew": -1.0}], ids=["wall", "suspended", "back"]
)
def test_a_clock_that_jumps_after_the_intent_stops_the_request(
    jump: dict[str, float], tmp_path: Path
) -> None:
    """By wall clock and by the one that counts sleep; then another intent takes its place."""
    rig = Rig(tmp_path)
    jumps = [jump]

    def leap(_number: int, delta: Delta) -> None:
        if is_intent(delta) and jumps:
            for name, seconds in jumps.pop().items():
                setattr(rig.time, name, getattr(rig.time, name) + seconds)

    store = Watched(open_store(tmp_path), after=leap)
    applied = rig.apply(store=store)
    assert (applied.exit, len(applied.sent), applied.of(Withdrawn)) == (0, 1, [])
    outcomes = sorted(one.outcome for one in rig.document().intents.values())
    assert outcomes == [Outcome.DONE, Outcome.WITHDRAWN]
    rig.once(1, "2024-05-01..2024-05-10")


def test_a_clock_that_always_jumps_ends_in_nothing_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    def leap(_number: int, delta: Delta) -> None:
        rig.time.lapse += 60.0 * is_intent(delta)

    applied = rig.apply(store=Watched(open_store(tmp_path), after=leap))
    assert (applied.exit, applied.sent) == (3, [])
    assert [one.why for one in applied.of(Withdrawn)] == ["its time to be sent was over"]
    assert {one.outcome for one in rig.document().intents.values()} == {Outcome.WITHDRAWN}
    assert rig.apply().exit == 0  # nothing of it holds anything up
    rig.once(1, "2024-05-01..2024-05-10")


@pytest.mark.parametrize("seconds", [59.0, 60.0])
def test_sixty_seconds_are_the_bound(seconds: float, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    first = [seconds]

    def held_up(_number: int, delta: Delta) -> None:
        if is_intent(delta) and first:
            rig.later(first.pop())

    assert len(rig.apply(store=Watched(open_store(tmp_path), after=held_up)).sent) == 1
    withdrawn = [one for one in rig.document().intents.values() if one.outcome is Outcome.WITHDRAWN]
    assert len(withdrawn) == (seconds >= 60)


@pytest.mark.parametrize("asked", range(4))
def test_nothing_is_sent_once_the_lock_is_lost(asked: int, tmp_path: Path) -> None:
    """``asked`` requests left before it was lost."""
    rig = Rig(tmp_path, ONE.replace("    transfer_id: 1\n", "    transfer_id: 1\n    chunk: week\n"))
    answers: Iterator[bool] = iter([True] * asked)
    applied = rig.apply(holds=lambda: next(answers, False))
    assert len(applied.sent) == min(asked, 2)
    assert applied.exit == (0 if asked >= 2 else 3)
    assert rig.pending() == []
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_nothing_is_sent_once_the_run_is_interrupted(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    signal = StopSignal()
    store = Watched(
        open_store(tmp_path), after=lambda _n, delta: signal.interrupt(15) if is_intent(delta) else None
    )
    applied = rig.apply(store=store, signal=signal)
    assert (applied.exit, applied.sent) == (143, [])
    assert rig.pending() == []


def test_an_interruption_while_waiting_for_its_turn_leaves_nothing_open(tmp_path: Path) -> None:
    """It was never sent, and that is known: the next run need not wait for settle time."""
    rig = Rig(tmp_path, TWO)
    signal = StopSignal()
    run = rig.run(Witness(rig.wire(), tmp_path))

    class Turns(Pacer):
        def take(self, max_hold: float = float("inf"), **_more: object) -> None:
            if max_hold == 0.0:  # a write
                signal.interrupt(2)
                raise Interrupted(2)

    run.client = ApiClient(Witness(rig.wire(), tmp_path), 12345, pacer=Turns(), now=rig.time.wall)
    session = run.open()
    report = run.carry_out(session, run.survey(session), signal, lambda: True)
    assert report.statuses >= {130}
    assert report.errors == []
    assert rig.pending() == []
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


# -- kills -----------------------------------------------------------------------------------------


def _steps_until_killed(rig: Rig, survive: int) -> bool:
    """Drive the first transfer step by step; stop dead after ``survive`` steps. True if it ended before."""
    witness = Witness(rig.wire(), rig.folder)
    run = rig.run(witness)
    session = run.open()
    surveyed = run.survey(session)
    executor = Executor(run.client, session, rig.clock(), StopSignal(), lambda event: None, lambda: True)
    rules = Rules(rig.flags.settle, OnUnknown.SETTLE, 300.0)
    known = tuple(surveyed.situation.document.backfills.values())
    freshness = Freshness.of(surveyed.situation.observed, (1,), surveyed.read_at, known, rig.flags.settle)
    steps = TransferApply(
        surveyed.plan.actions, freshness, lambda: session.document, rig.clock(), rules
    ).steps()
    answer: Any = None
    for _step in range(survive):
        try:
            answer = executor.do(steps.send(answer))
        except StopIteration:
            return True
    return False


@pytest.mark.parametrize("commit", ["now", "lost-answer", "twice", "late:120"])
@pytest.mark.parametrize("retry", [False, True], ids=["create", "retry"])
def test_killed_at_any_step_each_day_is_created_once(retry: bool, commit: str, tmp_path: Path) -> None:
    """And what is left dangling is shown by a plan that writes nothing."""
    survive, ended = 1, False
    while not ended:
        folder = tmp_path / str(survive)
        folder.mkdir()
        rig = Rig(folder, transfers=FAILS if retry else {})
        if retry:
            assert rig.apply().exit == 0
            rig.later(DAY)
        rig.sandbox.settings(commit=commit)
        before = len(rig.sandbox.backfills())
        ended = _steps_until_killed(rig, survive)
        rig.sandbox.settings(commit="now")
        _check_plan_writes_nothing(rig)
        settle_and_finish(rig)
        rig.later(DAY)
        assert rig.buckets() == {"declared": 10, "covered": 10}
        assert len(rig.sandbox.backfills()) == before + 1, survive
        survive += 1
    assert survive > 5


def _check_plan_writes_nothing(rig: Rig) -> None:
    state, asked = rig.state_bytes(), len(rig.sandbox.requests())
    rig.plan()
    assert rig.state_bytes() == state
    assert {one["method"] for one in rig.sandbox.requests()[asked:]} == {"GET"}


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let every system call that would write below ``folder`` fail as a read-only file system does."""
    flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    real_open = os.open

    def opened(path: Any, mode: int, *rest: Any, **named: Any) -> int:
        if mode & flags and str(path).startswith(str(folder)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real_open(path, mode, *rest, **named)

    def refused(path: Any, *rest: Any, **named: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", opened)
        for name in (
            "mkdir",
            "unlink",
            "rename",
            "replace",
            "link",
            "ftruncate",
            "truncate",
            "chmod",
            "utime",
        ):
            patch.setattr(os, name, refused)
        yield


@pytest.mark.parametrize("after", [False, True])
def test_a_dangling_intent_is_shown_from_a_read_only_state(after: bool, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    with pytest.raises(Killed):
        rig.apply(killed(after=after))
    with read_only(tmp_path / "state"):
        surveyed = rig.plan()
        assert len(surveyed.situation.resolution.adopted) == after
        assert rig.buckets() == (
            {"declared": 15, "in_flight": 10, "planned": 5}
            if after
            else {"declared": 15, "blocked": 10, "planned": 5}
        )
        rig.later(15 * MINUTE)
        assert rig.buckets().get("planned") == (5 if after else 15)
    settle_and_finish(rig)
    rig.once(1, "2024-05-01..2024-05-10")


# -- a state that cannot be written, vanishes, or is another one -----------------------------------


@pytest.mark.parametrize("fatal", range(2, 9))
def test_nothing_is_sent_after_a_commit_failed(fatal: int, tmp_path: Path) -> None:
    """``fatal`` is the number of the commit that fails, of three transfers' intents and outcomes."""
    text = TWO + "  c:\n    transfer_id: 3\n    ranges: [2024-03-01]\n"
    rig = Rig(tmp_path, text)
    assert rig.apply(not_sent, *[not_sent] * 9).exit == 69  # the state is there now
    asked: list[int] = []

    def fail(number: int, _delta: Delta) -> None:
        if number == fatal - 1:
            asked.append(_writes(rig))
            raise StateUnwritable("The disk is full")

    applied = rig.apply(store=Watched(open_store(tmp_path), before=fail))
    if not asked:
        assert applied.exit == 0
        return
    assert applied.exit in (1, 4)
    assert 1 in applied.report.statuses
    assert [_writes(rig)] == asked
    assert len(applied.report.errors) == 1, "it is said once"
    settle_and_finish(rig)
    for transfer, days in ((1, "2024-05-01..2024-05-10"), (2, "2024-04-01..2024-04-05"), (3, "2024-03-01")):
        rig.once(transfer, days)


def _writes(rig: Rig) -> int:
    return sum(one["method"] != "GET" for one in rig.sandbox.requests())


@pytest.mark.parametrize("fatal", range(1, 9))
def test_nothing_is_sent_after_an_fsync_failed(
    fatal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, TWO)
    rig.apply(*[not_sent] * 9)
    real, calls, asked = os.fsync, [0], list[int]()

    def fsync(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] >= fatal:
            asked.append(_writes(rig))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        try:
            applied = rig.apply()
        except StateError:
            assert asked  # the survey's own commit failed: nothing had begun
        else:
            assert bool(asked) == (1 in applied.report.statuses)
    assert not asked or _writes(rig) == asked[0]
    settle_and_finish(rig)
    rig.once(1, "2024-05-01..2024-05-10")
    rig.once(2, "2024-04-01..2024-04-05")


def test_a_failed_commit_of_one_worker_holds_back_the_others(tmp_path: Path) -> None:
    """Even in the moment before the others are stopped."""
    rig = Rig(tmp_path, TWO)

    def fail(number: int, _delta: Delta) -> None:
        if number == 2:
            raise StateUnwritable("The disk is full")

    run = rig.run(store=Watched(open_store(tmp_path), before=fail))
    session = run.open()
    surveyed = run.survey(session)
    executor = Executor(run.client, session, rig.clock(), StopSignal(), lambda event: None, lambda: True)
    rules = Rules(rig.flags.settle, OnUnknown.SETTLE, 300.0)
    first, second = (
        TransferApply(
            [one],
            Freshness((one.address.transfer_id,), None, *[surveyed.read_at] * 2, surveyed.situation.now),
            lambda: session.document,
            rig.clock(),
            rules,
        ).steps()
        for one in surveyed.plan.actions
    )
    step = next(first)
    assert isinstance(step, Intend)
    assert executor.do(step) is Committed.YES
    with pytest.raises(StateUnwritable):
        executor.do(next(second))
    send = first.send(Committed.YES)
    assert isinstance(send, SendCreate)
    assert executor.do(send) is Withheld.STOPPED
    assert rig.sandbox.backfills() == []


@pytest.mark.parametrize("how", ["vanished", "replaced", "emptied"])
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_state_that_vanishes_or_is_replaced_stops_the_run(how: str, when: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    rig.apply(*[not_sent] * 9)

    def spoil() -> None:
        for file in (tmp_path / "state").glob("team-*.db*"):
            file.unlink()
        if how == "replaced":
            open_store(tmp_path / "other").commit(Delta(), NEVER_WRITTEN)
            name = f"team-{rig.team().team_id}.db"
            shutil.copy(tmp_path / "other" / "state" / name, tmp_path / "state" / name)
        if how == "emptied":
            (tmp_path / "state" / f"team-{rig.team().team_id}.db").write_bytes(b"")

    def meanwhile(inner: Any, request: Any, timeout: float) -> Any:
        response = inner.send(request, read_timeout=timeout)
        spoil()
        return response

    applied = rig.apply(between=spoil) if when == "before" else rig.apply(meanwhile)
    assert {1, 6} & applied.report.statuses
    assert len(applied.sent) == (0 if when == "before" else 1)
    assert [type(one).__mro__[1] for one in applied.report.errors] == [StateError]


# -- shared fates ----------------------------------------------------------------------------------


def test_plan_and_apply_agree_on_the_first_plan(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    shown = actions_text(rig.plan())
    assert actions_text(rig.apply().surveyed) == shown


def test_a_lost_answer_in_one_run_and_a_kill_in_the_next(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    assert rig.apply(lost(after=False)).exit == 4
    rig.later(16 * MINUTE)
    with pytest.raises(Killed):
        rig.apply(killed(after=True))
    settle_and_finish(rig)
    rig.once(1, "2024-05-01..2024-05-10")
    rig.once(2, "2024-04-01..2024-04-05")


@pytest.mark.parametrize("ahead", ["ours", "the vendor's"])
def test_one_clock_that_is_ahead_does_not_end_settle_time(ahead: str, tmp_path: Path) -> None:
    rig, arrivals = Rig(tmp_path), list[Callable[[], object]]()
    assert rig.apply(late(arrivals)).exit == 4
    rig.later(MINUTE)
    if ahead == "ours":
        rig.time.skew = 20 * MINUTE
    else:
        rig.sandbox.settings(clock_skew_seconds=20 * MINUTE)
    assert rig.apply().exit == 4
    arrivals.pop()()
    rig.later(15 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_settle_time_is_counted_from_the_intent(tmp_path: Path) -> None:
    """The vendor's clock being hours ahead changes nothing."""
    rig = Rig(tmp_path, settings={"clock_skew_seconds": 7200})
    assert rig.apply(lost(after=False)).exit == 4
    rig.later(14 * MINUTE)
    assert rig.apply().exit == 4
    rig.later(2 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, "2024-05-01..2024-05-10")


def test_another_settle_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.flags = replace(rig.flags, settle=rig.flags.settle * 4)
    assert rig.apply(lost(after=False)).exit == 4
    rig.later(59 * MINUTE)
    assert rig.apply().exit == 4
    rig.later(1 * MINUTE)
    assert rig.apply().exit == 0


# --- between two reads of one look ------------------------------------------------------------------


def test_a_day_that_opens_after_the_list_was_read_is_looked_for_in_the_run_list(tmp_path: Path) -> None:
    """By the list days 1 to 5 were in flight, so the run list was read from the 6th on; by `latest` that
    backfill was cancelled. The schedule had loaded them all.
    """
    rig = Rig(tmp_path, ONE, transfers={1: {"recurring_since": "2024-04-20"}})
    theirs = rig.foreign(1, "2024-05-01", "2024-05-05")

    def cancelled(inner: Transport, request: Request, timeout: float) -> Response:
        rig.people.cancel(theirs)
        return inner.send(request, read_timeout=timeout)

    applied = rig.apply(cancelled, wanted=lambda request: request.path.endswith("/latest"))
    assert (applied.exit, rig.buckets(applied.surveyed)) == (0, {"declared": 10, "covered": 10})
