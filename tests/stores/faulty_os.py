"""System calls that fail, or after which the process is dead, at the N-th one."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

WRITES = ("open", "write", "pwrite", "fsync", "replace", "link", "unlink", "ftruncate", "mkdir")
READS = ("open", "pread", "fstat", "stat")

Place = tuple[Any, str]
"""An object and the name of its function: where else than in ``os`` something may befall a call."""


class Killed(BaseException):
    """The process is gone: nothing after this call happens, cleaning up neither."""


@dataclass
class Trouble:
    """What befalls the call numbered ``at`` (from 0, over all threads), and whether everything after
    it fails too.
    """

    at: int
    error: Callable[[], BaseException]
    lasting: bool = False
    after: bool = False
    calls: list[str] = field(default_factory=list)
    happened: bool = False
    _counting: Any = field(default_factory=threading.Lock, repr=False)

    def meet(self, name: str) -> tuple[bool, bool]:
        """Count a call. Return whether it is due, and whether it is the first one that is."""
        with self._counting:
            number = len(self.calls)
            self.calls.append(name)
            due = number >= self.at if self.lasting else number == self.at
            first = due and not self.happened
            self.happened = self.happened or due
            return due, first


@contextmanager
def troubled(
    trouble: Trouble, names: tuple[str, ...] = WRITES, also: tuple[Place, ...] = ()
) -> Iterator[Trouble]:
    """Let ``trouble`` befall the calls of ``os`` in ``names``, and those of ``also``, inside the ``with``.

    A failing write has written half of its bytes. ``after``: the call takes effect first.
    """
    with pytest.MonkeyPatch.context() as patch:
        for home, name in (*((os, name) for name in names), *also):
            patch.setattr(home, name, _wrapped(name, getattr(home, name), trouble))
        yield trouble


def _wrapped(name: str, original: Callable[..., Any], trouble: Trouble) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        due, first = trouble.meet(name)
        if not due:
            return original(*arguments, **named)
        if first and trouble.after:
            original(*arguments, **named)
        elif first and name == "write":
            original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        raise trouble.error()

    return call
