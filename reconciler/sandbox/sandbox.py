"""The sandbox as Python code uses it: a world, its clock, and the WSGI callable in front of it."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from reconciler.sandbox import changes, times
from reconciler.sandbox.app import App
from reconciler.sandbox.faults import Faults
from reconciler.sandbox.progress import PERSON
from reconciler.sandbox.records import show_backfill, show_new_backfill, show_transfer
from reconciler.sandbox.scene import Scene, read_scene, scene_of
from reconciler.sandbox.scene_transfers import read_fields
from reconciler.sandbox.settings import SceneError, read_day, read_id
from reconciler.sandbox.store import MemoryStore, Store
from reconciler.sandbox.times import Timeline
from reconciler.sandbox.world import World

Clock = Callable[[], float]
SceneLike = Scene | Mapping[str, Any] | str | Path | None


class Sandbox:
    """One emulated API. Safe to use from several threads.

    World time = the scene's `now` (or the real time at the start) + real time passed * speed + advances.
    `clock` gives the real time in epoch seconds; pass your own for a virtual one. `url` is what plans and
    states say of it: with `app` all that is needed to pass a sandbox where an API is asked for.
    """

    def __init__(self, store: Store, clock: Clock, seed: int = 0, faults: Iterable[str] = ()) -> None:
        """Rather use `in_memory` or `open`. `seed` decides request ids and which faults strike."""
        self._store = store
        self._clock = clock
        self._seed = seed
        self.url = "sandbox"
        self.app = App(self, store, clock, Faults(faults, seed), seed)

    @classmethod
    def in_memory(
        cls,
        scene: SceneLike = None,
        clock: Clock = time.time,
        seed: int = 0,
        speed: float = 1.0,
        faults: Iterable[str] = (),
    ) -> "Sandbox":
        """A sandbox of this process only.

        `scene` is a Scene, a world file's path or its data as a dict; None is an open, empty world.
        Raises SceneError.
        """
        return cls(MemoryStore(*_make(scene, clock, speed)), clock, seed, faults)

    @classmethod
    def open(
        cls,
        path: str | Path,
        scene: SceneLike = None,
        clock: Clock = time.time,
        seed: int = 0,
        speed: float | None = None,
        faults: Iterable[str] = (),
    ) -> "Sandbox":
        """A sandbox in an SQLite file, shared with every process that opens it; its folder is made.

        `scene` holds only for a file that does not exist yet (`reset` starts an old one over). `speed` is
        kept with the file: None leaves it as it is (1 for a new one). Raises SceneError, or
        sqlite3.DatabaseError for a file that is something else.
        """
        # sqlite3 costs 5 ms, and most sandboxes need none
        from reconciler.sandbox.file_store import FileStore

        store = FileStore(path, lambda: _make(scene, clock, 1.0 if speed is None else speed))
        sandbox = cls(store, clock, seed, faults)
        sandbox.url = f"sandbox:{path}"
        if speed is not None:
            sandbox._go_on_at(speed)
        return sandbox

    def close(self) -> None:
        """Let go of the file. A sandbox in memory needs no closing."""
        self._store.close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    # -- the clock -------------------------------------------------------------------------------

    def now(self) -> float:
        """The world's time in epoch seconds."""
        with self._store.session() as session:
            return session.timeline.now(self._clock()) / 1000

    def now_text(self) -> str:
        """The world's time as text, like 2026-11-22T09:00:00Z."""
        return times.moment_text(times.millis(self.now()))

    def advance(self, seconds: float) -> None:
        """Move the clock forward, for every process on the same file. Raises SceneError."""
        _check_number(seconds, "seconds")
        with self._store.session() as session:
            moved = session.timeline.moved(self._clock(), by=times.millis(seconds))
            if moved.base > times.LATEST:
                raise SceneError("seconds", "the clock cannot go beyond the year 9990")
            session.timeline = moved

    def _go_on_at(self, speed: float) -> None:
        _check_number(speed, "speed")
        with self._store.session() as session:
            if session.timeline.speed != speed:
                session.timeline = session.timeline.moved(self._clock(), speed=speed)

    # -- the world -------------------------------------------------------------------------------

    def reset(self, scene: SceneLike = None) -> None:
        """Start over with `scene`; None is an open, empty world. Speed and faults stay. Raises SceneError."""
        with self._store.session() as session:
            speed = session.timeline.speed
        self._store.replace(*_make(scene, self._clock, speed))

    def settings(self, **given: Any) -> dict[str, Any]:
        """Change settings, and return all of them. Raises SceneError; nothing is changed then."""
        with self._entered() as (world, _):
            if given:
                world.settings = world.settings.changed(given)
                world.changed.add(("settings", 0, 0))
            return asdict(world.settings)

    def faults(self, *specs: str) -> None:
        """Replace the faults of this process; none ends them. Raises ValueError for an unknown one."""
        self.app.faults = Faults(specs, self._seed)

    def backfills(self) -> list[dict[str, Any]]:
        """Every backfill of every team and status as the API writes it, oldest first."""
        with self._entered() as (world, now):
            records = sorted(world.backfills.values(), key=lambda record: (record.created, record.id))
            return [show_backfill(record, now, world.settings) for record in records]

    def requests(self) -> list[dict[str, Any]]:
        """Every request under /v1 in order: method, path (without query), status (0: no answer was sent)."""
        return [asdict(request) for request in self._store.requests()]

    # -- a person at work ------------------------------------------------------------------------
    # These need no key, and answer as the API would. They raise a `responses.Refusal` where it would
    # refuse, and SceneError for what cannot be read; nothing is changed then.

    def create_backfill(
        self, team: int, transfer: int, start: str | date, end: str | date, user: int = PERSON
    ) -> dict[str, Any]:
        """Make a backfill of the days start..end (inclusive) by hand, in a user's name."""
        read_id(user, "user_id")
        first, last = read_day(start, "range_start"), read_day(end, "range_end")
        with self._entered() as (world, now):
            world.check_team(team)
            record = world.create(
                read_id(team, "team_id"), read_id(transfer, "transfer_id"), first, last, now, user
            )
            return show_new_backfill(record, now, world.settings)

    def cancel_backfill(self, number: int, user: int = PERSON) -> dict[str, Any]:
        """Cancel a backfill by hand, in a user's name."""
        read_id(user, "user_id")
        with self._entered() as (world, now):
            record = world.cancel(changes.find_backfill(world, number).team, number, now, user)
            return show_backfill(record, now, world.settings)

    def run_again(self, number: int) -> dict[str, Any]:
        """Have a FAILED backfill, of which no run goes on, run its failed runs again: it is RUNNING then."""
        with self._entered() as (world, now):
            return show_backfill(changes.run_again(world, number, now), now, world.settings)

    def change_transfer(self, number: int, team: int | None = None, **fields: Any) -> dict[str, Any]:
        """Set fields of a transfer, named as in a world file; `team` is needed where several have the id.

        What has run stays as it was; backfills that exist keep their number of runs and their rows.
        """
        read = read_fields(fields, f"transfers.{number}")
        with self._entered() as (world, now):
            transfer = changes.find_transfer(world, number, team)
            changes.change_transfer(world, transfer, read, now)
            return show_transfer(transfer, now, world.settings)

    @contextmanager
    def _entered(self) -> Iterator[tuple[World, int]]:
        """The world, advanced to now, and now."""
        with self._store.session() as session:
            now = session.timeline.now(self._clock())
            session.world.advance(now)
            yield session.world, now


def _make(scene: SceneLike, clock: Clock, speed: float) -> tuple[World, Timeline]:
    """A new world and its clock."""
    _check_number(speed, "speed")
    read = _read(scene)
    real = clock()
    base = read.now if read.now is not None else times.millis(real)
    return World.opened(read, base), Timeline(base, real, speed)


def _read(scene: SceneLike) -> Scene:
    if scene is None:
        return Scene()
    if isinstance(scene, Scene):
        return scene
    return scene_of(scene) if isinstance(scene, Mapping) else read_scene(scene)


def _check_number(number: float, where: str) -> None:
    if not math.isfinite(number) or number < 0:
        raise SceneError(where, f"{number!r} is not a number of at least 0")
