"""The stop for all workers of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_ident

from reconciler.errors import Interrupted, ReconcilerError

INTERRUPT_GRACE = 5.0
"""Seconds that an interrupted run waits for the answers to its writes."""

_POLL = 0.1
"""Seconds between two looks of whoever waits."""


@dataclass(slots=True)
class StopSignal:
    """The stop for all workers: set by a signal, by a quota, or by an error of one of them.

    ``parent`` is that of the whole run; a team's own stops that team alone. A signal handler sets it,
    and may interrupt any line of the main thread, so there is no lock in it: a
    ``threading.Event`` has one, and setting it inside its own ``wait`` hangs for good.

    ``under_way``, that of the whole run: what the threads have sent that is not answered yet, ``create`` or
    ``cancel``.
    """

    parent: StopSignal | None = None
    signum: int | None = None
    errors: list[ReconcilerError] = field(default_factory=list)
    under_way: dict[int, str] = field(default_factory=dict)
    _off: bool = False

    @property
    def off(self) -> bool:
        return self._off or (self.parent is not None and self.parent.off)

    def interrupt(self, signum: int) -> None:
        """Stop because of a signal."""
        self.signum = signum
        self._off = True

    @property
    def interrupted(self) -> bool:
        return self.signum is not None or (self.parent is not None and self.parent.interrupted)

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Count a write of this thread as under way."""
        under_way = (self if self.parent is None else self.parent).under_way
        under_way[get_ident()] = what
        try:
            yield
        finally:
            under_way.pop(get_ident(), None)

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until it is set."""
        root = self if self.parent is None else self.parent
        end = time.monotonic() + seconds
        while not root._off and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _POLL))

    def stop(self, error: ReconcilerError | None = None) -> None:
        """Stop, and remember why."""
        if error is not None:
            self.note(error)
        self._off = True

    def note(self, error: ReconcilerError) -> None:
        """Remember an error that stops nobody else: once, however many workers met with the same."""
        if error.summary not in {known.summary for known in self.errors}:
            self.errors.append(error)

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Let an error stop the workers and be reported, instead of ending the run at once.

        An interruption is known already: whoever set this, or its parent, noted the signal.
        """
        try:
            yield
        except Interrupted:
            self.stop()
        except ReconcilerError as error:
            self.stop(error)


@dataclass(slots=True)
class Interrupts:
    """How a signal, if somebody handles them (``cli/signals.py``), ends the waits and the work of a run.

    Outside ``deferred`` and ``only_noted`` it may raise ``Interrupted`` at any line of the main thread;
    inside, it only sets ``signal``: while writes are under way the state must be saved first.
    """

    signal: StopSignal = field(default_factory=StopSignal)
    _deferring: int = 0

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal only be noted; raise ``Interrupted`` at the end if one came."""
        with self.only_noted():
            yield
        if not self._deferring:
            self.check()

    @contextmanager
    def only_noted(self) -> Iterator[None]:
        """Let a signal only be noted: whoever does the work looks at it."""
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1

    def sleep(self, seconds: float) -> None:
        """Sleep; a signal ends it. Raises ``Interrupted`` then, in whatever thread."""
        self.signal.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal came."""
        if self.signal.signum is not None:
            raise Interrupted(self.signal.signum)
