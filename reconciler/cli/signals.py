"""SIGINT and SIGTERM: the first ends a run tidily, a second one ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reconciler.engine.stop import Interrupts
from reconciler.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals(Interrupts):
    """Turns the first signal into ``Interrupted`` in the main thread or, where it is only to be noted, into
    the run's stop signal.
    """

    __slots__ = ()

    @contextmanager
    def caught(self) -> Iterator[None]:
        before = {signum: signal.signal(signum, self._on_signal) for signum in _SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self.signal.signum is not None:
            os._exit(128 + signum)  # the intents are durable; the next run settles them
        self.signal.interrupt(signum)
        if not self._deferring:
            raise Interrupted(signum)
