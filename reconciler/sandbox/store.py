"""Where a world lives: the contract, and the store in memory. `file_store` has the one on disk.

Every request runs in one *session*: nobody else reads or writes the world meanwhile, and what changed is
committed before the request is answered. A session that raises leaves the world as it was before.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from reconciler.sandbox.times import Timeline
from reconciler.sandbox.world import World


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One answered request; status 0 where the client got no answer."""

    method: str
    path: str
    status: int


@dataclass(slots=True)
class Session:
    """A world that nobody else touches, until the session ends."""

    world: World
    timeline: Timeline


class Store(Protocol):
    """Keeps one world. `session` is exclusive over threads and processes; `log` belongs inside one."""

    def session(self) -> AbstractContextManager[Session]:
        """Enter the world."""

    def log(self, request: LoggedRequest) -> None:
        """Remember a request, in order."""

    def requests(self) -> list[LoggedRequest]:
        """All requests since the world was made."""

    def replace(self, world: World, timeline: Timeline) -> None:
        """Start over with another world."""

    def close(self) -> None:
        """Let go of files."""


class MemoryStore:
    """A world of this process only. A session that raises is not undone: nothing here raises half-way."""

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._session = Session(world, timeline)
        self._requests: list[LoggedRequest] = []
        self._lock = threading.RLock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self._lock:
            yield self._session
            self._session.world.changed.clear()

    def log(self, request: LoggedRequest) -> None:
        self._requests.append(request)

    def requests(self) -> list[LoggedRequest]:
        with self._lock:
            return list(self._requests)

    def replace(self, world: World, timeline: Timeline) -> None:
        with self._lock:
            self._session = Session(world, timeline)
            self._requests.clear()

    def close(self) -> None:
        """Nothing is held."""
