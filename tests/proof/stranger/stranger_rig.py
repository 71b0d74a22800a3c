"""The real command line against a stranger's API, in a folder of its own, on one clock that a test moves.

The commands run in this process: flags, files, state, HTTP are real. Time is not: the program's clock is the
world's, and its pauses move it.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from stranger_api import KEY, TEAM, Api, Manners
from stranger_server import serving
from stranger_world import World

from reconciler.cli import loading as cli_loading
from reconciler.cli.main import run as run_command
from reconciler.config import loading as config_loading
from reconciler.engine import parts
from reconciler.engine.clock import Clock
from reconciler.engine.stop import Interrupts
from reconciler.http import Pacer

_trust = cache(httpx.create_ssl_context)  # 60 ms, and nothing here is encrypted
NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Shown:
    """What ``plan --json`` said."""

    code: int
    json: dict[str, Any]
    err: str

    @property
    def days(self) -> dict[str, int]:
        """Return the days of each bucket that is not empty, without ``declared``."""
        told = self.json["summary"]["days"]
        return {name: count for name, count in told.items() if count and name != "declared"}

    def why(self, bucket: str) -> dict[str, int]:
        """Return the days by reason of one of ``blocked``, ``waiting``, ``failed``, ``deferred``."""
        told: dict[str, int] = {}
        for item in self.json[bucket]:
            told[item["reason"]] = told.get(item["reason"], 0) + item["days"]
        return told

    @property
    def actions(self) -> list[tuple[str, str, str, str]]:
        """Return kind, name, first and last day of each action."""
        return [(one["action"], one["transfer"], one["start"], one["end"]) for one in self.json["actions"]]

    @property
    def reasons(self) -> dict[str, int]:
        """Return the days of all actions by their reason."""
        told: dict[str, int] = {}
        for action in self.json["actions"]:
            for reason, count in action["reasons"].items():
                told[reason] = told.get(reason, 0) + count
        return told


def checked(done: Done, code: int | None = None) -> Done:
    """No traceback, no bug report, and the key nowhere; with ``code``, it ended with that."""
    assert "Traceback" not in done.text, done.text
    assert "error[bug]" not in done.text, done.text
    assert KEY not in done.text
    assert code is None or done.code == code, (done.code, done.text)
    return done


@dataclass
class Program:
    """A folder with files and a state, and the commands that run in it."""

    folder: Path

    @property
    def today(self) -> date:
        raise NotImplementedError

    def declare(self, transfers: dict[str, Any], name: str = "backfills.yaml", **team: Any) -> None:
        """Write a file (JSON is YAML); ``team`` are its other top-level keys."""
        self.write(json.dumps({"version": 1, "team_id": TEAM, **team, "transfers": transfers}), name)

    def write(self, text: str, name: str = "backfills.yaml") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def run(self, *arguments: str, code: int | None = None, where: Path | None = None) -> Done:
        """Run a command in the folder, or elsewhere; with ``code``, it must end with that."""
        out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
        os.chdir(where or self.folder)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                ended = run_command(list(arguments))
        finally:
            os.chdir(before)
        return checked(Done(ended, out.getvalue(), err.getvalue()), code)

    def plan(self, *arguments: str, code: int | None = None, where: Path | None = None) -> Shown:
        done = self.run("plan", "--json", "--as-of", str(self.today), *arguments, code=code, where=where)
        return Shown(done.code, json.loads(done.out), done.err)

    def apply(self, *arguments: str, code: int | None = None, where: Path | None = None) -> Done:
        return self.run("apply", "--auto-approve", *arguments, code=code, where=where)


@dataclass
class Stranger(Program):
    """A program, and the API that its files are about."""

    api: Api
    url: str

    @property
    def world(self) -> World:
        return self.api.world

    @property
    def today(self) -> date:
        return self.world.today

    @property
    def manners(self) -> Manners:
        return self.api.manners

    @property
    def created(self) -> list[str]:
        """Return the ranges made by the key, as ``transfer start..end``, in order."""
        users = self.manners.users.values()
        made = (one for one in self.world.backfills.values() if one.user in users)
        return [f"{one.transfer_id} {one.start}..{one.end}" for one in made]

    def load(self, *arguments: str, hours: float = 12, code: int | None = 0) -> None:
        """Apply, and let the backfills run."""
        self.apply(*arguments, code=code)
        self.world.advance(hours=hours)


def turn(
    monkeypatch: pytest.MonkeyPatch, now: Callable[[], datetime], pause: Callable[[float], None]
) -> None:
    """Let the commands of this process live by another clock, and find nothing in their environment."""
    clock = Clock(now, lambda: now().timestamp(), pause)

    class Turned(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return now().astimezone(tz)

    for module in (cli_loading, config_loading):  # where today is asked for
        monkeypatch.setattr(module, "datetime", Turned)
    monkeypatch.setattr(parts.Parts, "clock", lambda _parts: clock)
    monkeypatch.setattr(parts, "Pacer", lambda rate, **_: Pacer(rate, clock.elapsed, pause))
    monkeypatch.setattr(Interrupts, "sleep", lambda _interrupts, seconds: pause(seconds))
    for name in ("CI", "RECONCILER_STATE", "SUPERMETRICS_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # power cuts are not what is tested here
    monkeypatch.setattr(httpx, "create_ssl_context", _trust)


@contextmanager
def at_work(folder: Path, monkeypatch: pytest.MonkeyPatch, now: datetime = NOON) -> Iterator[Stranger]:
    """Serve a world, and make the commands of this process talk to it, with its clock."""
    world = World(now)
    api = Api(world)

    def pause(seconds: float) -> None:
        with api.lock:
            world.advance(seconds=max(0.0, seconds))

    turn(monkeypatch, lambda: world.now, pause)
    with serving(api) as url:
        monkeypatch.setenv("SUPERMETRICS_API_KEY", KEY)
        monkeypatch.setenv("RECONCILER_API_URL", url)
        yield Stranger(folder, api, url)
