"""A world in an SQLite file, which several processes may use at once."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.sandbox import rows
from reconciler.sandbox.store import LoggedRequest, Session
from reconciler.sandbox.times import Timeline
from reconciler.sandbox.world import World

BUSY_SECONDS = 60.0
FORMAT = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER, epoch INTEGER,
    generation INTEGER, base INTEGER, real REAL, speed REAL);
CREATE TABLE IF NOT EXISTS rows (kind TEXT, first INTEGER, second INTEGER, generation INTEGER, body TEXT,
    PRIMARY KEY (kind, first, second)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_by_generation ON rows (generation);
CREATE TABLE IF NOT EXISTS requests (number INTEGER PRIMARY KEY, method TEXT, path TEXT, status INTEGER);
"""


class FileStore:
    """A world in an SQLite file.

    Each process keeps a copy of the world; a generation number tells which rows others wrote since, and
    only those are read again. A write-ahead log without a sync per commit survives a killed process whole;
    a power cut may cost the last requests, never the file.
    """

    def __init__(self, path: str | Path, make: Callable[[], tuple[World, Timeline]]) -> None:
        """Open the file, or make it (and its folder) with the world and clock that `make` returns."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = _connect(Path(path))
        self._world: World | None = None
        self._seen = (0, 0)  # epoch and generation of our copy
        with self._transaction():
            if self._database.execute("SELECT 1 FROM meta").fetchone() is None:
                self._write_anew(*make(), epoch=1)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._world = None
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Enter the world, as all processes left it."""
        with self._transaction():
            timeline = self._catch_up()
            assert self._world is not None
            session = Session(self._world, timeline)
            yield session
            self._write_changes(session.world)
            if session.timeline is not timeline:
                now = session.timeline
                self._database.execute(
                    "UPDATE meta SET base = ?, real = ?, speed = ?", (now.base, now.real, now.speed)
                )

    def _catch_up(self) -> Timeline:
        epoch, generation, *clock = self._database.execute(
            "SELECT epoch, generation, base, real, speed FROM meta"
        ).fetchone()
        if self._world is None or self._seen[0] != epoch:
            self._world, self._seen = World(), (epoch, 0)
        if self._seen[1] != generation:
            self._read_since(self._world, self._seen[1])
            self._seen = (epoch, generation)
        return Timeline(*clock)

    def _read_since(self, world: World, generation: int) -> None:
        for kind in rows.LOAD_ORDER:
            found = self._database.execute(
                "SELECT kind, first, second, body FROM rows WHERE generation > ? AND kind = ?",
                (generation, kind),
            )
            for name, first, second, body in found:
                rows.load(world, (name, first, second), body)
        world.changed.clear()

    def _write_changes(self, world: World) -> None:
        if not world.changed:
            return
        epoch, generation = self._seen[0], self._seen[1] + 1
        written = [(*key, generation, rows.dump(world, key)) for key in world.changed]
        self._database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", written)
        self._database.execute("UPDATE meta SET generation = ?", (generation,))
        self._seen = (epoch, generation)
        world.changed.clear()

    def _write_anew(self, world: World, timeline: Timeline, epoch: int) -> None:
        for table in ("meta", "rows", "requests"):
            self._database.execute(f"DELETE FROM {table}")
        self._database.execute(
            "INSERT INTO meta VALUES (1, ?, ?, 0, ?, ?, ?)",
            (FORMAT, epoch, timeline.base, timeline.real, timeline.speed),
        )
        self._world, self._seen = world, (epoch, 0)
        self._write_changes(world)

    def log(self, request: LoggedRequest) -> None:
        """Remember a request; committed with the session."""
        self._database.execute(
            "INSERT INTO requests (method, path, status) VALUES (?, ?, ?)",
            (request.method, request.path, request.status),
        )

    def requests(self) -> list[LoggedRequest]:
        """All requests since the world was made, by all processes."""
        with self._lock:
            found = self._database.execute("SELECT method, path, status FROM requests ORDER BY number")
            return [LoggedRequest(*row) for row in found]

    def replace(self, world: World, timeline: Timeline) -> None:
        """Start over; other processes see it with their next request."""
        with self._transaction():
            (epoch,) = self._database.execute("SELECT epoch FROM meta").fetchone()
            self._write_anew(world, timeline, epoch + 1)

    def close(self) -> None:
        with self._lock:
            self._database.close()


def _connect(path: Path) -> sqlite3.Connection:
    """The opened file with its tables. Raises sqlite3.DatabaseError for a file that is something else."""
    database = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _patiently(lambda: database.execute("PRAGMA journal_mode = WAL"))
        database.execute("PRAGMA synchronous = NORMAL")
        _patiently(lambda: database.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;"))
        found = database.execute("SELECT format FROM meta").fetchone()
        if found is not None and found[0] != FORMAT:
            words = f"{path} is a sandbox of another version (format {found[0]}); delete it to start anew"
            raise sqlite3.DatabaseError(words)
    except BaseException:
        database.close()
        raise
    return database


def _patiently(act: Callable[[], object]) -> None:
    """Changing the journal mode does not wait for other processes by itself, so wait here."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            act()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
