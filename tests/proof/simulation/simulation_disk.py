"""The real local store, with a point before and after everything it does to the disk.

At each point a process may be killed, frozen or overtaken. A kill during a write leaves part of
the write behind. After a kill nothing is written: every call raises again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from simulation_stage import Killed

from reconciler.model.memory import Delta, Document
from reconciler.stores import files
from reconciler.stores.base import LockInfo, Revision
from reconciler.stores.local import LocalStore

if TYPE_CHECKING:
    from simulation_process import Process
    from simulation_stage import Stage


class WatchedStore:
    """A ``StateStore`` of one simulated process."""

    def __init__(self, process: Process, inner: LocalStore, committed: Callable[[Delta], None]) -> None:
        self._process = process
        self._inner = inner
        self._committed = committed

    def read(self) -> tuple[Document | None, Revision]:
        self._process.point("read")
        found = self._inner.read()
        self._process.point("was-read")
        return found

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        self._process.point("commit")
        revision = self._inner.commit(delta, expected)
        self._committed(delta)
        self._process.point("committed")
        return revision

    @contextmanager
    def lock(self, info: LockInfo, timeout: float) -> Iterator[None]:
        self._process.point("lock")
        with self._inner.lock(info, timeout):
            self._process.point("locked")
            yield

    def holds_lock(self) -> bool:
        self._process.point("holds-lock")
        return self._inner.holds_lock()

    def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        return self._inner.unlock(lock_id)

    def compact(self) -> None:
        self._process.point("compact")
        self._inner.compact()
        self._process.point("compacted")

    def close(self) -> None:
        self._inner.close()

    def drop_dead(self) -> None:
        """Do what the kernel does when a process dies: its lock is free, its files stay as they are."""
        hold, self._inner._run_lock._hold = self._inner._run_lock._hold, None
        if hold is not None:
            os.close(hold.fd)


_APPEND, _TEMPORARY = files.append, files.write_temporary
_COPY, _REPLACE = files.keep_copy, files.replace


@contextmanager
def points_in_files(stage: Stage, process_of: Callable[[object], Process | None]) -> Iterator[None]:
    """Put points into the steps of a commit and of a fold, and tear what a kill cuts short."""

    def append(path: str, data: bytes, size: int) -> None:
        process = process_of(stage.current)
        _before(process, "append", path, data, os.O_WRONLY | os.O_APPEND)
        _APPEND(path, data, size)
        _after(process, "appended")

    def write_temporary(path: str, data: bytes) -> str:
        process = process_of(stage.current)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        _before(process, "write-temporary", f"{path}.tmp", data, flags)
        name = _TEMPORARY(path, data)
        _after(process, "wrote-temporary")
        return name

    def keep_copy(path: str, copy: str) -> None:
        _COPY(path, copy)
        _after(process_of(stage.current), "copied")

    def replace(path: str, data: bytes) -> None:
        _after(process_of(stage.current), "replace")
        _REPLACE(path, data)
        _after(process_of(stage.current), "replaced")

    with _patched(append=append, write_temporary=write_temporary, keep_copy=keep_copy, replace=replace):
        yield


@contextmanager
def _patched(**functions: Any) -> Iterator[None]:
    before = {name: getattr(files, name) for name in functions}
    try:
        for name, function in functions.items():
            setattr(files, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(files, name, function)


def _before(process: Process | None, kind: str, path: str, data: bytes, flags: int) -> None:
    if process is None:
        return
    try:
        process.point(kind)
    except Killed:
        if process.tear(len(data)):
            _write_part(path, data[: process.tear(len(data))], flags)
        raise


def _after(process: Process | None, kind: str) -> None:
    if process is not None:
        process.point(kind)


def _write_part(path: str, data: bytes, flags: int) -> None:
    fd = os.open(path, flags, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
