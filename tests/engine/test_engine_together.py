"""Several at once: workers that share one commit, and two runs with the lock off on one state."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_rig import BLIND, DAY, MINUTE, NOW, ONE, TWO, Applied, Rig, Witness, lost, open_store

from reconciler.engine.effects import Step
from reconciler.engine.executor import Executor
from reconciler.engine.freshness import Freshness
from reconciler.engine.rules import Rules
from reconciler.engine.session import StateSession, _Change
from reconciler.engine.stop import StopSignal
from reconciler.engine.team import Surveyed, TeamRun
from reconciler.engine.transfer import Ending, TransferApply
from reconciler.events import Event, Withdrawn
from reconciler.model.deltas import Delta
from reconciler.model.memory import Document, Intent, IntentKind
from reconciler.stores.base import Revision
from reconciler.stores.local import LocalStore

MANY = "version: 1\nteam_id: 12345\ntransfers:\n" + "".join(
    f"  t{one}:\n    transfer_id: {one}\n    chunk: week\n    ranges: [2024-05-01..2024-05-31]\n"
    for one in range(1, 9)
)

RACE = MANY[: MANY.index("  t4:")]


# -- group commit ----------------------------------------------------------------------------------


@dataclass
class Gated:
    """A real store whose first commit waits until ``crowd()`` is true; counts the commits."""

    inner: LocalStore
    crowd: Callable[[], bool]
    commits: list[Delta] = field(default_factory=list)

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        self.commits.append(delta)
        until(lambda: len(self.commits) > 1 or self.crowd())
        return self.inner.commit(delta, expected)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _intent(number: int) -> Intent:
    return Intent(
        f"n{number}", IntentKind.CREATE, number, f"t{number}", 10, 20, NOW, NOW + timedelta(seconds=60)
    )


def test_what_arrives_during_a_commit_goes_into_one_next_commit(tmp_path: Path) -> None:
    store = Gated(open_store(tmp_path), lambda: len(session._queue) == 9)
    session = StateSession.open(store, Document(team_id=12345, api_url="sandbox"))
    answers: dict[int, bool] = {}
    threads = [
        threading.Thread(
            target=lambda number=one: answers.update({number: session.intend(_intent(number), Delta())})
        )
        for one in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == dict.fromkeys(range(10), True)
    assert sorted(len(one.intents) for one in store.commits) == [1, 9]
    document, _revision = open_store(tmp_path).read()
    assert document is not None
    assert (document.serial, len(document.intents)) == (2, 10)


def test_each_of_a_group_learns_of_a_failed_commit(tmp_path: Path) -> None:
    class Failing(Gated):
        def commit(self, delta: Delta, expected: Revision) -> Revision:
            super().commit(delta, expected)
            raise OSError("no")

    store = Failing(open_store(tmp_path), lambda: len(session._queue) == 4)
    session = StateSession.open(store, Document(team_id=12345, api_url="sandbox"))
    failures: list[BaseException] = []

    def intend(number: int) -> None:
        try:
            session.intend(_intent(number), Delta())
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=intend, args=(one,)) for one in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(failures) == 5
    assert len(store.commits) == 1, "nothing is committed after a commit failed"


@pytest.mark.parametrize("workers", [1, 3, 10])
def test_parallel_workers_create_every_day_once(workers: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path, MANY)
    rig.flag(parallelism=workers)
    applied = rig.apply()
    assert applied.exit == 0
    assert applied.report.created == 8 * 5
    for transfer in range(1, 9):
        rig.once(transfer, "2024-05-01..2024-05-31")
    changes = 1 + 2 * 8 * 5  # what the survey learned; an intent and an outcome for each create
    assert rig.document().serial <= changes


# -- two runs, no lock -----------------------------------------------------------------------------


@dataclass
class Engine:
    """One of two runs. Its parts, and what it is doing."""

    name: str
    rig: Rig
    events: list[Event] = field(default_factory=list)
    endings: dict[int, Ending] = field(default_factory=dict)
    rounds: int = 0
    work: dict[int, Any] = field(default_factory=dict)
    asked: dict[int, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run: TeamRun = self.rig.run(
            Witness(self.rig.wire(self.name), self.rig.folder), open_store(self.rig.folder)
        )
        self.session = self.run.open()

    def survey(self) -> None:
        """Plan, as a run does at first, and the next run for what this one withdrew."""
        surveyed = self.run.survey(self.session)
        self.rounds += 1
        self.executor = Executor(
            self.run.client, self.session, self.rig.clock(), StopSignal(), self.events.append, lambda: True
        )
        self.endings = {}
        self.work = {key: transfer.steps() for key, transfer in self._transfers(surveyed).items()}
        self.asked = {}
        for key in list(self.work):
            self._advance(key, None)

    def _transfers(self, surveyed: Surveyed) -> dict[int, TransferApply]:
        rules = Rules(self.rig.flags.settle, self.run.team.on_unknown, 300.0)
        situation = surveyed.situation
        found: dict[int, TransferApply] = {}
        for key in {one.address.transfer_id for one in surveyed.plan.actions}:
            actions = [one for one in surveyed.plan.actions if one.address.transfer_id == key]
            known = tuple(situation.document.backfills.values())
            freshness = Freshness.of(
                situation.observed, (key,), surveyed.read_at, known, self.rig.flags.settle
            )
            found[key] = TransferApply(
                actions, freshness, lambda: self.session.document, self.rig.clock(), rules
            )
        return found

    def _advance(self, key: int, answer: Any) -> None:
        try:
            self.asked[key] = self.work[key].send(answer)
        except StopIteration as stop:
            self.endings[key] = stop.value
            del self.work[key]
            self.asked.pop(key, None)

    @property
    def busy(self) -> bool:
        return bool(self.work) or (self.rounds == 1 and Ending.WITHDRAWN in self.endings.values())

    def step(self, rng: random.Random) -> None:
        """Do one step of one transfer; survey again where that is due."""
        if not self.work:
            self.survey()
            return
        key = rng.choice(sorted(self.work))
        self._advance(key, self.executor.do(self.asked[key]))


@pytest.mark.parametrize("seed", range(50))
def test_two_runs_without_the_lock_create_no_day_twice(seed: int, tmp_path: Path) -> None:
    """The API does not help: a backfill is over at once, so that it would take the same days again."""
    rng = random.Random(seed)
    instant = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}
    commit = rng.choice(["now", "now", "lost-answer", "late:20"])
    rig = Rig(tmp_path, RACE, settings=instant | {"commit": commit})
    if rng.random() < 0.5:  # else both make the first state
        first = Rig(tmp_path, TWO, settings=instant)
        assert first.apply().exit == 0
        rig.declare(RACE)
        rig.sandbox = first.sandbox
        rig.sandbox.settings(commit=commit)
        rig.time = first.time
    engines = [Engine("left", rig), Engine("right", rig)]
    for engine in engines:
        if rng.random() < 0.7:
            engine.survey()
    while any(one.rounds == 0 or one.busy for one in engines):
        engine = rng.choice([one for one in engines if one.rounds == 0 or one.busy])
        frozen = rng.random() < 0.02
        if frozen:  # a suspended machine: what was intended before must not leave any more
            rig.later(61)
        engine.step(rng)
    rig.sandbox.settings(commit="now")
    _finish(rig)
    for transfer in range(1, 4):
        days = rig.active_days(transfer)
        doubled = [day for day in set(days) if days.count(day) > 1]
        assert not doubled, f"seed {seed}: {rig.made(transfer)}"
        assert len(set(days)) >= 31


def _finish(rig: Rig) -> None:
    for _round in range(6):
        rig.later(16 * MINUTE)
        rig.apply()
        if not rig.plan().plan.actions and not rig.pending():
            return
    raise AssertionError(rig.blocked())


def test_the_loser_of_a_race_withdraws_and_its_next_run_finds_nothing_to_do(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    left, right = Engine("left", rig), Engine("right", rig)
    left.survey()
    right.survey()
    rng = random.Random(0)
    while left.busy:
        left.step(rng)
    while right.work:
        right.step(rng)
    assert set(right.endings.values()) == {Ending.WITHDRAWN}
    assert [type(one) for one in right.events] == [Withdrawn, Withdrawn]
    right.survey()
    assert not right.work
    rig.once(1, "2024-05-01..2024-05-10")
    rig.once(2, "2024-04-01..2024-04-05")


def test_what_another_run_has_in_doubt_is_that_runs_to_tell(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    other: list[Applied] = []
    applied = rig.apply(between=lambda: other.append(rig.apply(lost(after=False))))
    assert (other[0].exit, other[0].report.unknown) == (4, 1)
    assert (applied.exit, applied.report.withdrawn, applied.report.unknown) == (3, 1, 0)
    assert rig.apply().exit == 4


def test_what_another_run_learned_to_be_loaded_is_not_made(tmp_path: Path) -> None:
    """By this run's file run lists are not read; by the other's they are, and a schedule loads the days."""
    rig = Rig(tmp_path, BLIND, transfers={1: {"recurring_since": "2024-04-01"}})
    rig.know_us()

    def meanwhile() -> None:
        rig.declare(ONE)
        assert rig.apply().exit == 0

    applied = rig.apply(between=meanwhile)
    assert (applied.exit, applied.report.withdrawn, applied.sent) == (3, 1, [])
    rig.declare(BLIND)
    assert (rig.apply().exit, rig.made(1)) == (0, [])


def test_the_loser_of_the_first_write_takes_the_winners_lineage(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TWO)
    winner: list[Applied] = []
    loser = rig.apply(between=lambda: winner.append(rig.apply()))
    assert (winner[0].exit, loser.exit) == (0, 3)
    assert (winner[0].report.created, loser.report.created, loser.report.withdrawn) == (2, 0, 2)
    assert loser.sent == []
    assert rig.apply().exit == 0
    rig.later(DAY)
    assert rig.buckets() == {"declared": 15, "covered": 15}


def test_anothers_unknown_create_is_not_declared_undone(tmp_path: Path) -> None:
    """Its intent is fresh: it blocks our plan, and is adopted when it shows."""
    rig = Rig(tmp_path, TWO, settings={"commit": "late:300"})
    assert rig.apply().exit == 4
    rig.sandbox.settings(commit="now")
    assert rig.apply().sent == []
    rig.later(6 * MINUTE)
    other = rig.apply()
    assert (other.exit, other.sent) == (0, [])
    rig.once(1, "2024-05-01..2024-05-10")
    rig.once(2, "2024-04-01..2024-04-05")


@dataclass
class Watched:
    """A real store that counts the looks at it."""

    inner: LocalStore
    reads: int = 0

    def read(self) -> tuple[Document | None, Revision]:
        self.reads += 1
        return self.inner.read()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Queue:
    """A lock that tells how many have asked for it."""

    def __init__(self) -> None:
        self.asked = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.asked += 1
        self._lock.acquire()

    def __exit__(self, *_any: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("commits", [False, True], ids=["a look", "a commit"])
def test_those_who_wait_to_catch_up_share_one_look(tmp_path: Path, commits: bool) -> None:
    """What began after they asked, and saw that nobody else was there, serves them all."""
    store = Watched(open_store(tmp_path))
    session = StateSession.open(store, Document(team_id=12345, api_url="sandbox"))
    session.intend(_intent(1), Delta())
    session._writing = queue = Queue()  # type: ignore[assignment]
    store.reads = 0
    with queue:
        threads = [threading.Thread(target=session.catch_up) for _ in range(10)]
        for thread in threads:
            thread.start()
        until(lambda: queue.asked == 11)
        if commits:
            session._commit([_Change(Delta(), _intent(2))])
    for thread in threads:
        thread.join(30)
    assert store.reads == (0 if commits else 1)
    session.catch_up()  # nobody waits any more: a look of its own
    assert store.reads == (1 if commits else 2)
