"""Virtual time, and the order in which everything happens: one thing at a time, drawn from a seed.

Actors are threads, but only one ever runs: whoever pauses hands the stage to what comes next by
virtual time. Between two pauses nothing else happens, so a seed always plays out the same.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

Act = Callable[[], None]


class Killed(BaseException):
    """The process is gone: nothing that runs after this may have an effect."""


class Stopped(BaseException):
    """The schedule is over because a promise is broken."""


class Violation(AssertionError):
    """A promise is broken."""


class Actor:
    """One thread of the play, run only while it holds the stage."""

    def __init__(self, stage: Stage, name: str, body: Act) -> None:
        self.name = name
        self.over = False
        self.doomed = False
        self._stage = stage
        self._body = body
        self._turn = threading.Lock()
        self._turn.acquire()
        self._thread: threading.Thread | None = None

    def resume(self) -> None:
        """Let it run until it pauses or ends. Called by the stage only."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name=self.name, daemon=True)
            self._thread.start()
        else:
            self._turn.release()

    def wait_for_turn(self) -> None:
        self._turn.acquire()
        if self.doomed:
            raise Killed

    def _main(self) -> None:
        try:
            if not self.doomed:
                self._body()
        except (Killed, Stopped):
            pass
        except BaseException as error:  # noqa: BLE001 - a bug ends the schedule, whatever it is
            self._stage.break_off(error)
        finally:
            self.over = True
            self._stage.give_back()


class Stage:
    """``now`` is seconds since the epoch. Things due at the same moment happen in the order announced."""

    def __init__(self, seed: int, start: float, *, tracing: bool = False) -> None:
        self.seed = seed
        self.now = start
        self.rng = random.Random(seed)
        self.current: Actor | None = None
        self.failure: BaseException | None = None
        self.counts: Counter[str] = Counter()
        self.tracing = tracing
        self.trace: list[str] = []
        self.inside: dict[str, object] = {}  # who is inside a transaction, by the path of the database
        self._start = start
        self._due: list[tuple[float, int, Act | Actor]] = []
        self._order = itertools.count()
        self._actors: list[Actor] = []
        self._given_back = threading.Lock()
        self._given_back.acquire()

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def at(self, when: float, what: Act | Actor) -> None:
        """Announce an event or an actor's next turn."""
        heapq.heappush(self._due, (when, next(self._order), what))
        if isinstance(what, Actor) and what not in self._actors:
            self._actors.append(what)

    def play(self) -> None:
        """Let everything happen that was announced. Raises what broke it off."""
        try:
            while self._due and self.failure is None:
                self._happen(heapq.heappop(self._due))
        except Stopped:
            pass
        self._dismiss()
        if self.failure is not None:
            raise self.failure

    def _happen(self, item: tuple[float, int, Act | Actor]) -> None:
        when, _order, what = item
        self.now = max(self.now, when)
        before = self.current
        if isinstance(what, Actor):
            self.current = what
            what.resume()
            self._given_back.acquire()
        else:
            self.current = None
            what()
        self.current = before

    def give_back(self) -> None:
        self._given_back.release()

    def pause(self, actor: Actor, seconds: float) -> None:
        """Let ``seconds`` pass for an actor; whatever is due before happens first."""
        wake = self.now + seconds
        while self._due and self._due[0][0] <= wake:
            if isinstance(self._due[0][2], Actor):
                self.at(wake, actor)
                self.give_back()
                actor.wait_for_turn()
                return
            self._happen(heapq.heappop(self._due))
        self.now = wake

    def _dismiss(self) -> None:
        for actor in self._actors:
            if not actor.over:
                actor.doomed = True
                actor.resume()
                self._given_back.acquire()

    # -- what went wrong, and what happened ------------------------------------------------

    def break_off(self, error: BaseException) -> None:
        self.failure = self.failure or error

    def violate(self, what: str) -> None:
        """A promise is broken: the play ends here."""
        self.log("!!", what)
        self.break_off(Violation(what))
        raise Stopped

    def log(self, who: str, what: str) -> None:
        if self.tracing:
            passed = self.now - self._start
            days, rest = divmod(passed, 86400)
            clock = f"{int(days)}d {int(rest // 3600):02}:{int(rest % 3600 // 60):02}:{rest % 60:06.3f}"
            self.trace.append(f"{clock}  {who:<9} {what}")
