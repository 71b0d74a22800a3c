"""System calls that fail, or after which the process is dead, at the N-th one."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

WRITES = ("open", "write", "pwrite", "fsync", "replace", "link", "unlink", "ftruncate", "mkdir")
READS = ("open", "pread", "fstat", "stat")


class Killed(BaseException):
    """The process is gone: nothing after this call happens, cleaning up neither."""


@dataclass
class Trouble:
    """What befalls the call numbered ``at`` (from 0), and whether everything after it fails too."""

    at: int
    error: Callable[[], BaseException]
    lasting: bool = False
    after: bool = False
    calls: list[str] = field(default_factory=list)
    happened: bool = False

    def due(self) -> bool:
        number = len(self.calls) - 1
        due = number >= self.at if self.lasting else number == self.at
        self.happened = self.happened or due
        return due


@contextmanager
def troubled(trouble: Trouble, names: tuple[str, ...] = WRITES) -> Iterator[Trouble]:
    """Let ``trouble`` befall the calls of ``names`` inside the ``with``.

    A failing write has written half of its bytes. ``after``: the call takes effect first.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, _wrapped(name, getattr(os, name), trouble))
        yield trouble


def _wrapped(name: str, original: Callable[..., Any], trouble: Trouble) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        first = not trouble.happened
        trouble.calls.append(name)
        if not trouble.due():
            return original(*arguments, **named)
        if first and trouble.after:
            original(*arguments, **named)
        elif first and name == "write":
            original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        raise trouble.error()

    return call
