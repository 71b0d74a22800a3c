"""Somebody's desk: the program, a vendor behind a gateway, two clocks, and a person who can be asked.

``vendor`` is the stranger's API or the sandbox; ``gateway`` stands before it. The program's clock is the
vendor's, plus ``ahead``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stranger_api import KEY, TEAM
from stranger_gateway import AnswerLost, Gateway, gate
from stranger_rig import NOON, Done, Program, checked, turn
from stranger_vendors import KEYS, Made, SandboxVendor, StrangersVendor, vendor_named
from stranger_world import days

from reconciler.cli.main import run as run_command
from reconciler.cli.signals import Signals
from reconciler.model.memory import Document
from reconciler.stores.urls import open_store

HOUR, DAY = 3600.0, 86400.0
Answer = str | Callable[[], str]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Person(_Terminal):
    """Whoever sits at the terminal: gives the answers, one after the other, then nothing any more."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__()
        self.answers = answers

    def readline(self, _size: int | None = -1) -> str:
        if not self.answers:
            return ""
        answer = self.answers.pop(0)
        return (answer() if callable(answer) else answer) + "\n"


@dataclass
class Desk(Program):
    vendor: StrangersVendor | SandboxVendor
    gateway: Gateway
    url: str = ""
    ahead: timedelta = timedelta(0)
    agenda: list[tuple[datetime, Callable[[], Any]]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    noted: threading.Event = field(default_factory=threading.Event)  # a signal was

    # -- time ----------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """What the program takes for the time."""
        return self.vendor.now + self.ahead

    @property
    def today(self) -> date:
        return self.vendor.now.date()

    def advance(self, seconds: float) -> None:
        """Let time pass; what is on the agenda happens in its turn."""
        with self.lock:
            until = self.vendor.now + timedelta(seconds=max(0.0, seconds))
            while due := [entry for entry in self.agenda if entry[0] <= until]:
                entry = min(due, key=lambda entry: entry[0])
                self.agenda.remove(entry)
                self.vendor.advance(max(0.0, (entry[0] - self.vendor.now).total_seconds()))
                entry[1]()
            self.vendor.advance((until - self.vendor.now).total_seconds())

    @contextmanager
    def clock_ahead(self, minutes: float) -> Iterator[None]:
        """Let the program's clock go so much ahead of the vendor's; less than nothing: behind."""
        before, self.ahead = self.ahead, timedelta(minutes=minutes)
        try:
            yield
        finally:
            self.ahead = before

    def at(self, seconds: float, deed: Callable[[], Any]) -> None:
        """Let something happen when so many seconds have passed."""
        self.agenda.append((self.vendor.now + timedelta(seconds=seconds), deed))

    def late(self, call: str, seconds: float, nth: int = 1) -> None:
        """Hold such a call up somewhere on its way: its sender gets no answer, and it arrives later."""

        def hold() -> None:
            request = self.gateway.request
            self.at(seconds, lambda: self.vendor.reply(*request))
            raise AnswerLost

        self.gateway.before(call, hold, nth)

    # -- the program ---------------------------------------------------------------------------

    def load(self, *arguments: str, seconds: float = DAY / 2, code: int | None = 0) -> Done:
        """Apply, and let the backfills run."""
        done = self.apply(*arguments, code=code)
        self.advance(seconds)
        return done

    def asked(self, *arguments: str, answers: list[Answer], code: int | None = None) -> Done:
        """Run a command at a terminal, with a person who answers."""
        out, err, before = _Terminal(), _Terminal(), (sys.stdin, Path.cwd())
        os.chdir(self.folder)
        sys.stdin = _Person(answers)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                ended = run_command(list(arguments))
        finally:
            sys.stdin = before[0]
            os.chdir(before[1])
        return checked(Done(ended, out.getvalue(), err.getvalue()), code)

    def slowly(self, seconds: float, *deeds: Callable[[], Any]) -> Callable[[], str]:
        """Return a yes that takes so long; meanwhile the deeds happen."""

        def answer() -> str:
            for deed in deeds:
                deed()
            self.advance(seconds)
            return "yes"

        return answer

    def saved(self, *arguments: str, name: str = "plan.json") -> dict[str, Any]:
        """Save a plan, and return it."""
        self.run("plan", "--out", name, *arguments)
        told: dict[str, Any] = json.loads((self.folder / name).read_text("utf-8"))
        return told

    def interrupt(self) -> None:
        """Press Ctrl-C, and go on once the program has taken note of it."""
        self.noted.clear()
        os.kill(os.getpid(), signal.SIGINT)
        assert self.noted.wait(10)

    # -- the state -----------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def document(self) -> Document:
        store = open_store(str(self.state), TEAM, self.url, "a test")
        try:
            found, _revision = store.read()
        finally:
            store.close()
        assert found is not None
        return found

    @property
    def ours(self) -> set[int]:
        """Return the ids of the backfills that the state takes for ours."""
        return {record.id for record in self.document.backfills.values() if record.ours}

    def keep(self, name: str) -> None:
        """Copy the state's folder, whole."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.state, self.folder / name)

    def put_back(self, name: str) -> None:
        shutil.rmtree(self.state)
        shutil.copytree(self.folder / name, self.state)

    # -- the truth -----------------------------------------------------------------------------

    @property
    def created(self) -> list[str]:
        """Return what the keys made: ``transfer start..end``, in order."""
        return [
            f"{made.transfer_id} {made.days}" for made in self.vendor.made() if made.user in KEYS.values()
        ]

    def status(self, backfill_id: int) -> str:
        return self.backfill(backfill_id).status

    def backfill(self, backfill_id: int) -> Made:
        (found,) = [made for made in self.vendor.made() if made.id == backfill_id]
        return found

    @property
    def last(self) -> int:
        """Return the id of the newest backfill."""
        return max(made.id for made in self.vendor.made())

    def cancels(self) -> list[str]:
        return [sent for sent in self.gateway.sent if sent.startswith("cancel")]

    def loads(self, *transfers: int) -> Counter[date]:
        """Return how often each day was loaded, by one of the transfers or by several together."""
        return sum((self.vendor.loads(one) for one in transfers or (1,)), Counter())

    def twice(self, *transfers: int) -> list[str]:
        return sorted(str(which) for which, count in self.loads(*transfers).items() if count > 1)

    def once(self, first: str, last: str, *transfers: int) -> None:
        """Assert that these days were loaded, and every day once at most."""
        missing = set(days(first, last)) - set(self.loads(*transfers))
        assert (sorted(map(str, missing)), self.twice(*transfers)) == ([], [])


@contextmanager
def desk_at_work(
    vendor: str, folder: Path, monkeypatch: pytest.MonkeyPatch, now: datetime = NOON
) -> Iterator[Desk]:
    """Serve a vendor, and make the commands of this process talk to it."""
    behind = vendor_named(vendor, now)
    gateway = Gateway(behind)
    desk = Desk(folder, behind, gateway)
    turn(monkeypatch, lambda: desk.now, desk.advance)
    handle = Signals._on_signal

    def noted(signals: Signals, signum: int, frame: Any) -> None:
        try:
            handle(signals, signum, frame)
        finally:
            desk.noted.set()

    monkeypatch.setattr(Signals, "_on_signal", noted)
    with gate(gateway) as url:
        monkeypatch.setenv("SUPERMETRICS_API_KEY", KEY)
        monkeypatch.setenv("RECONCILER_API_URL", url)
        desk.url = url
        yield desk
