"""16 writers at once on every store, whose every answer a compare-and-set register must explain.

Threads with a store each, or processes, of which one is killed. Answers are lost, writers die with a commit
on its way, and on Git the server dies amid pushes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from contract import API, TEAM, adds
from faulty_os import Killed
from git_servers import SERVERS, Remote
from histories import FOREVER, Kind, Operation, commit, faults_of, read

from reconciler.errors import StateDamaged, StateError
from reconciler.stores.base import Revision, StateStore
from reconciler.stores.database import Unanswered
from reconciler.stores.git import GitStore
from reconciler.stores.local import LocalStore

SHM = Path("/dev/shm")
WRITERS = 16
ROUNDS = 2  # at the most
Open = Callable[[int, random.Random], StateStore]
"""Opens the store of a writer, whose answers are lost by chance."""


def lose(chance: random.Random) -> None:
    """Lose an answer now and then, or the one who waits for it."""
    if chance.random() < 0.15:
        raise OSError("the answer is lost") if chance.random() < 0.6 else Killed


class LossyLocalStore(LocalStore):
    """A folder whose answers are lost."""

    chance: random.Random

    def _keep(self, connection: sqlite3.Connection) -> None:
        super()._keep(connection)
        try:
            lose(self.chance)
        except OSError as error:
            raise Unanswered(sqlite3.OperationalError(str(error))) from error


def open_local(folder: Path, _number: int, chance: random.Random) -> StateStore:
    store = LossyLocalStore(str(folder), TEAM, API, "w")
    store.chance = chance
    return store


def open_git(clones: list[Path], number: int, chance: random.Random) -> StateStore:
    def sleep(seconds: float) -> None:
        time.sleep(seconds / 20)

    clone = str(clones[number % len(clones)])
    heard = partial(lose, chance)
    return GitStore("origin", "reconciler-state", clone, TEAM, API, "w", sleep=sleep, heard=heard)


# --- writers -----------------------------------------------------------------------------


@dataclass
class Writer:
    """One of those who write at once. ``told`` hears of each operation, before (as unknown) and after."""

    number: int
    open_it: Open
    chance: random.Random
    told: Callable[[Operation], object]
    store: StateStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = self.open_it(self.number, self.chance)

    def write(self) -> None:
        """Read and commit, or commit upon what was committed before, some times."""
        known: Revision | None = None
        for turn in range(self.chance.choice([1, 1, 1, ROUNDS])):
            if known is None or self.chance.random() < 0.5:
                known = self._read()
            known = self._commit(f"{self.number}-{turn}", known)

    def _read(self) -> Revision:
        while True:
            try:
                done = read(self.store)
            except StateDamaged:
                raise
            except StateError:  # a server that is overrun
                continue
            self.told(done)
            return done.at

    def _commit(self, name: str, known: Revision) -> Revision | None:
        ahead = Operation(Kind.UNKNOWN, time.monotonic(), FOREVER, known, name)
        self.told(ahead)
        try:
            done = commit(self.store, adds(name), known)
        except Killed:
            done = ahead
        if done.kind is Kind.UNKNOWN:
            self.store.close()
            self.store = self.open_it(self.number, self.chance)
        self.told(done)
        return done.made


class History:
    """What was done, by whomever: of a commit the last that was told."""

    def __init__(self) -> None:
        self._reads: list[Operation] = []
        self._commits: dict[str, Operation] = {}

    def __call__(self, one: Operation) -> None:
        if one.kind is Kind.READ:
            self._reads.append(one)
        else:
            self._commits[one.name] = one

    def ended(self, store: StateStore) -> Counter[str]:
        """Read once more, and judge. Returns what was met."""
        operations = [*self._reads, *self._commits.values(), replace(read(store), ended=FOREVER)]
        assert faults_of(operations) == [], operations
        return Counter(one.kind.name for one in operations)


def in_threads(writers: list[Writer], history: History) -> None:
    """Let all write at once, each in a thread."""
    start, errors = threading.Barrier(len(writers)), list[BaseException]()

    def run(writer: Writer) -> None:
        try:
            start.wait()
            writer.write()
        except BaseException as error:  # noqa: BLE001 - it is the test's to raise
            errors.append(error)

    for writer in writers:
        writer.told = history
    threads = [threading.Thread(target=run, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, [getattr(error, "detail", error) for error in errors]


def in_processes(open_it: Open, seed: int, history: History) -> None:
    """Let all write at once, each in a process, and kill one of them."""
    fork = multiprocessing.get_context("fork")
    chance = random.Random(f"processes {seed}")
    pipes = [fork.Pipe(duplex=False) for _ in range(WRITERS)]
    go = fork.Event()

    def run(number: int, telling: Connection) -> None:
        writer = Writer(number, open_it, random.Random(f"{seed} {number}"), telling.send)
        go.wait()
        writer.write()
        writer.store.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest's workers have threads
        processes = [fork.Process(target=run, args=(n, pipe[1])) for n, pipe in enumerate(pipes)]
        for process in processes:
            process.start()
    for _hearing, telling in pipes:
        telling.close()
    go.set()
    victim = chance.randrange(WRITERS)
    for _ in range(chance.randrange(1, 2 * ROUNDS)):
        with contextlib.suppress(EOFError):
            history(pipes[victim][0].recv())
    os.kill(processes[victim].pid or 0, signal.SIGKILL)
    for hearing, _telling in pipes:
        with contextlib.suppress(EOFError):
            while True:
                history(hearing.recv())
    for number, process in enumerate(processes):
        process.join()
        assert process.exitcode == 0 or number == victim, process.exitcode


# --- histories ---------------------------------------------------------------------------


class Calm(random.Random):
    """No chance: nothing is lost."""

    def random(self) -> float:
        return 1.0


def played(
    open_it: Open, seeds: range, befall: Callable[[random.Random], object] = lambda _: None
) -> Counter[str]:
    """Play histories in threads, on the same stores, where nothing lies at the beginning of each."""
    met = Counter[str]()
    calm = open_it(0, Calm())
    writers = [
        Writer(number, open_it, random.Random(f"{seeds} {number}"), print) for number in range(WRITERS)
    ]
    for seed in seeds:
        befall(random.Random(seed))
        history = History()
        in_threads(writers, history)
        met += history.ended(calm)
        calm.remove()
    for store in (calm, *(writer.store for writer in writers)):
        store.close()
    return met


def played_by_processes(open_it: Open, seed: int) -> Counter[str]:
    history = History()
    in_processes(open_it, seed, history)
    calm = open_it(0, Calm())
    met = history.ended(calm)
    calm.close()
    return met


def befall(remote: Remote, chance: random.Random) -> None:
    """Have the server die amid a push, before it landed or after."""
    for ask in (remote.die_before, remote.die_after):
        if chance.random() < 0.3:
            ask("refs/heads/*")
    if remote.http and chance.random() < 0.5:
        remote.http.meet("push", chance.choice(["cut", "lost", "unsaid", 500, 502]))


def git_stores(remote: Remote, folder: Path) -> Open:
    return partial(open_git, [remote.clone(folder) for _ in range(4)])


def test_a_history_of_each_kind_by_path_and_in_a_folder(tmp_path: Path, away_from_home: None) -> None:
    met = played(partial(open_local, tmp_path / "state"), range(1))
    met += played_by_processes(partial(open_local, tmp_path / "other"), 1)
    with SERVERS["path"](tmp_path / "served" / "team.git") as remote:
        stores = git_stores(remote, tmp_path)
        met += played(stores, range(1), partial(befall, remote))
        met += played_by_processes(stores, 1)
    assert met["DONE"]
    assert met["CONFLICT"]


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_200_histories_in_a_folder() -> None:
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as there:  # no disk to wait for
        met = played(partial(open_local, Path(there, "state")), range(1000, 1180))
        for seed in range(20):
            met += played_by_processes(partial(open_local, Path(there, str(seed))), seed)
    print(met)  # noqa: T201 - pytest shows it with -s or -rP
    assert min(met[kind.name] for kind in Kind) > 20, met


# The histories by number: in threads, by processes.
OVER_GIT = {"path": (130, 20), "http": (20, 5), "daemon": (20, 5)}


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("serve", OVER_GIT)
def test_200_histories_over_git(serve: str, tmp_path: Path, away_from_home: None) -> None:
    met = Counter[str]()
    threads, processes = OVER_GIT[serve]
    for seed in range(processes):
        with SERVERS[serve](tmp_path / str(seed) / "team.git") as remote:
            met += played_by_processes(git_stores(remote, tmp_path / str(seed)), seed)
    with SERVERS[serve](tmp_path / "served" / "team.git") as remote:
        met += played(git_stores(remote, tmp_path), range(threads), partial(befall, remote))
    print(met)  # noqa: T201 - pytest shows it with -s or -rP
    assert min(met[kind.name] for kind in Kind) > 3, met
