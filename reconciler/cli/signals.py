"""SIGINT and SIGTERM: the first ends a run tidily, a second one ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from reconciler.engine.stop import StopSignal
from reconciler.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Signals:
    """Turns the first signal into ``Interrupted`` in the main thread, or, inside ``deferred``,
    only into the switch going off: while writes are under way the state must be saved first.
    """

    switch: StopSignal = field(default_factory=StopSignal)
    _deferring: int = 0

    @contextmanager
    def caught(self) -> Iterator[None]:
        before = {one: signal.signal(one, self._on_signal) for one in _SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal only set the switch; raise ``Interrupted`` at the end if one came."""
        with self.only_noted():
            yield
        if self.switch.signum is not None and not self._deferring:
            raise Interrupted(self.switch.signum)

    @contextmanager
    def only_noted(self) -> Iterator[None]:
        """Let a signal only set the switch: whoever does the work looks at it."""
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1

    def sleep(self, seconds: float) -> None:
        """Sleep; a signal ends it. Raises ``Interrupted`` then, in whatever thread."""
        self.switch.wait(seconds)
        if self.switch.signum is not None:
            raise Interrupted(self.switch.signum)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self.switch.signum is not None:
            os._exit(128 + signum)  # the intents are durable; the next run settles them
        self.switch.interrupt(signum)
        if not self._deferring:
            raise Interrupted(signum)
