"""SIGINT, SIGTERM and SIGHUP: the first ends a run tidily, a second one ends it at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from reconciler.cli.terminal import width_of
from reconciler.engine.stop import INTERRUPT_GRACE, Interrupts
from reconciler.errors import Interrupted
from reconciler.render.fitting import fitted

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]  # Windows has no SIGHUP


@dataclass(slots=True)
class Signals(Interrupts):
    """Turns the first signal into ``Interrupted`` in the main thread or, where it is only to be noted, into
    the run's stop signal.

    ``again`` is the command that makes the run again: whoever ends it at once is told. ``shown`` takes over
    what the first one is answered, if it can; ``left`` ends what is shown, and returns how many lines it
    takes.
    """

    again: str = "reconciler apply"
    shown: Callable[[str], bool] = lambda text: False
    left: Callable[[], int] = lambda: 0

    @contextmanager
    def caught(self) -> Iterator[None]:
        before = {signum: signal.signal(signum, self._on_signal) for signum in _taken()}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        writes = list(self.signal.under_way.values())
        if self.signal.signum is not None:
            _tell(f"Ended at once: {_told(writes)}.{self._open(writes)}", self.left())
            os._exit(128 + signum)  # the intents are durable; the next run settles them
        self.signal.interrupt(signum)
        if not self._deferring:
            raise Interrupted(signum)
        text = f"Stopping: {_told(writes)}{_waiting(writes)}"
        if not self.shown(text):
            _tell(text)

    def _open(self, writes: list[str]) -> str:
        if not writes:
            return ""
        them, are = ("it", "It is") if len(writes) == 1 else ("them", "They are")
        return f" {are} recorded; the next run finds out what became of {them}:\n    {self.again}"


def _told(writes: list[str]) -> str:
    what = writes[0] if len(set(writes)) == 1 else "write"
    if len(writes) == 1:
        return f"1 {what} is under way"
    return f"{len(writes)} {what}s are under way" if writes else "nothing is under way"


def _waiting(writes: list[str]) -> str:
    if not writes:
        return "."
    answer = "its answer" if len(writes) == 1 else "the answers"
    second = "(Ctrl-C again ends now. What was sent is recorded; the next run finds it.)"
    return f"; waiting up to {INTERRUPT_GRACE:.0f} s for {answer}.\n  {second}"


def _tell(text: str, rows: int = 0) -> None:
    """Write lines to stderr, past Python's buffers: a handler may have interrupted their use. On a terminal
    they take the place of the ``rows`` that come and go, and show the cursor, which those hide.
    """
    start = end = ""
    with suppress(OSError):
        if os.isatty(2):
            start, end = "\r\033[2K" + "\033[1A\033[2K" * (rows - 1), "\033[?25h"
            text = fitted(text, width_of(sys.stderr))
        os.write(2, f"{start}{text}\n{end}".encode())


def _taken() -> list[signal.Signals]:
    """Return the signals to handle: not a hang-up that is ignored, as ``nohup`` has it."""
    return [one for one in _SIGNALS if one.name != "SIGHUP" or signal.getsignal(one) is not signal.SIG_IGN]
