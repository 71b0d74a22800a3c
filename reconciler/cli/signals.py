"""SIGINT, SIGTERM and SIGHUP: the first ends a run tidily, a second one ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from reconciler.engine.stop import Interrupts
from reconciler.errors import Interrupted

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]  # Windows has no SIGHUP


class Signals(Interrupts):
    """Turns the first signal into ``Interrupted`` in the main thread or, where it is only to be noted, into
    the run's stop signal.
    """

    __slots__ = ()

    @contextmanager
    def caught(self) -> Iterator[None]:
        before = {signum: signal.signal(signum, self._on_signal) for signum in _taken()}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        writes = _writes(len(self.signal.under_way))
        if self.signal.signum is not None:
            _tell(f"Left at once: {writes} under way. What was begun is recorded; the next apply settles it.")
            os._exit(128 + signum)  # the intents are durable; the next run settles them
        self.signal.interrupt(signum)
        if not self._deferring:
            raise Interrupted(signum)
        _tell(f"Interrupted: no further write begins; {writes} under way, and waited for 5 s at most.")


def _writes(number: int) -> str:
    return {0: "no write is", 1: "1 write is"}.get(number, f"{number} writes are")


def _tell(line: str) -> None:
    """Write a line to stderr, past Python's buffers: a handler may have interrupted their use. On a terminal
    it takes the place of the bar, and shows the cursor, which the bar hides.
    """
    with suppress(OSError):
        start, end = ("\r\033[2K", "\033[?25h") if os.isatty(2) else ("", "")
        os.write(2, f"{start}{line}\n{end}".encode())


def _taken() -> list[signal.Signals]:
    """Return the signals to handle: not a hang-up that is ignored, as ``nohup`` has it."""
    return [one for one in _SIGNALS if one.name != "SIGHUP" or signal.getsignal(one) is not signal.SIG_IGN]
