"""What goes on, told on stderr: a transient line or a few on a terminal; elsewhere a line after 10 seconds of
silence, then one each minute, for CI systems end jobs that say nothing.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.cli.options import Common
from reconciler.cli.terminal import err, err_as_it_is, is_a_terminal, paint_for, unwritten_is_fine, width_of
from reconciler.events import Activity, Doing, RunEvent, Waiting
from reconciler.render.doing import Lasting, Tally, doing_lines
from reconciler.render.fitting import fitted

if TYPE_CHECKING:
    from types import TracebackType

    from rich.live import Live

QUIET_FIRST = 10.0  # seconds of silence before the first line
QUIET_THEN = 60.0
UNSEEN = 0.5  # seconds that something may take on a terminal without a word
TICK = 0.1
STOPS, ENDS = "Ctrl-C stops cleanly", "Ctrl-C again ends now"
_ECHOED = len("^C^C")  # columns left free: what is typed must not begin a line of its own


@dataclass(slots=True)
class Display:
    """Told by any thread what goes on. As a context it leaves nothing on the screen in the end.

    ``tally`` returns how far the creates are; ``None`` while nothing is made. ``width`` is that of names.
    """

    common: Common
    tally: Callable[[], Tally | None] = lambda: None
    width: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _doing: dict[str, tuple[Activity | Waiting, float, float]] = field(default_factory=dict)
    _said: deque[str] = field(default_factory=deque)
    _began: float = 0.0
    _next: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _live: Live | None = None
    _stopping: bool = False
    _shown: list[str] = field(default_factory=list)

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_terminal(self) -> bool:
        """Tell whether lines may come and go: not where other output would run into them."""
        if not is_a_terminal(sys.stderr) or self.common.verbose:
            return False
        return not (self.common.json and is_a_terminal(sys.stdout)) and os.environ.get("TERM") != "dumb"

    # -- what goes on --------------------------------------------------------------------------

    def tell(self, event: RunEvent) -> None:
        """Note what goes on; of other events than that nothing is shown here."""
        now = time.monotonic()
        with self._lock:
            match event:
                case Doing(key=key, what=None):
                    self._doing.pop(key, None)
                    if not self._active(now):
                        self._clear()
                case Doing(key=key, what=what) if what is not None:
                    _what, since, _until = self._doing.get(key, (what, now, 0.0))
                    self._begin(now)
                    self._doing[key] = (what, since, 0.0)
                case Waiting(seconds=seconds, why=why, transfer=transfer):
                    self._begin(now)
                    self._doing[f"wait {why} {transfer}"] = (event, now, now + seconds)

    def _active(self, now: float) -> bool:
        return self.tally() is not None or any(
            not until or until > now for _, _, until in self._doing.values()
        )

    def _begin(self, now: float) -> None:
        if not self._active(now):
            self._began, self._next = now, now + QUIET_FIRST
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def begin(self) -> None:
        """Begin to tell how far the creates are."""
        with self._lock:
            self._began, self._next = (now := time.monotonic()), now + QUIET_FIRST
            self._begin(now)

    def say(self, text: str) -> bool:
        """Take over what a signal handler has to say, if lines are shown that it would run into. No lock is
        taken: it may have interrupted whoever has it.
        """
        self._stopping = True
        if self._live is None:
            return False
        self._said.append(text)
        return True

    def leave(self) -> int:
        """Show nothing new from here on, for the process ends now; return how many lines are to be erased.
        Whoever has the lock gets a moment to finish.
        """
        self._lock.acquire(timeout=0.2)
        return len(self._shown) if self._live is not None else 0

    def line(self, text: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._next = time.monotonic() + QUIET_FIRST
            self._print(text)

    def close(self) -> None:
        """Show nothing any more."""
        self._over.set()
        with self._lock:
            self._doing.clear()
            self._clear()

    # -- showing it ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.wait(TICK):
            with self._lock:
                if not self._over.is_set():
                    self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        self._utter()
        if not self._active(now):
            self._clear()
        elif not self.is_terminal:
            if now >= self._next:
                self._next = now + QUIET_THEN
                for text in self._lines(now):
                    err(text)
        elif now - self._began >= UNSEEN:
            self._show(self._lines(now))

    def _utter(self) -> None:
        while self._said:
            self._print(self._said.popleft())

    def _lines(self, now: float) -> list[str]:
        lasting = [
            Lasting(what, now - since, datetime.now(UTC) + timedelta(seconds=until - now) if until else None)
            for what, since, until in self._doing.values()
            if not until or until > now
        ]
        lines = list(doing_lines(lasting, self.width))
        if (tally := self.tally()) is not None:
            told = tally.told(
                "·" if str(getattr(sys.stderr, "encoding", "")).lower().startswith("utf") else "-"
            )
            lines.append(f"  {told}")
        return lines

    def _show(self, lines: list[str]) -> None:
        from rich.text import Text

        columns = width_of(sys.stderr) - _ECHOED - 1
        lines = fitted("\n".join(lines), columns).split("\n")
        keys = ENDS if self._stopping else STOPS
        if self.tally() is not None and len(lines[-1]) + 2 + len(keys) <= columns:
            lines[-1] = lines[-1].ljust(columns - len(keys)) + keys
        if self._live is not None and lines == self._shown:
            return
        self._shown = lines
        with unwritten_is_fine(sys.stderr):
            if self._live is None:
                self._live = self._started()
            self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)

    def _started(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, no_color=not paint_for(self.common.color, sys.stderr).on)
        live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        live.start()
        return live

    def _clear(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with unwritten_is_fine(sys.stderr):
                live.stop()
        self._utter()

    def _print(self, text: str) -> None:
        text = fitted(text, width_of(sys.stderr))  # elsewhere than on a terminal, too: as a plan is
        if self._live is None:
            err_as_it_is(text)
            return
        from rich.text import Text

        with unwritten_is_fine(sys.stderr):
            self._live.console.print(Text.from_ansi(text), soft_wrap=True)
