"""From flags and environment to parts: teams from files, a client and a store for each."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli.options import Common
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import err
from reconciler.diagnostics import has_errors
from reconciler.errors import Exit, KeyProblem, UsageError
from reconciler.model.desired import DesiredTeam

if TYPE_CHECKING:
    from reconciler.api.client import ApiClient
    from reconciler.engine.clock import Clock
    from reconciler.engine.team import Settings, TeamRun
    from reconciler.events import Event
    from reconciler.http import Pacer, Transport
    from reconciler.sandbox import Sandbox
    from reconciler.stores.base import StateStore

SANDBOX = "sandbox"
SANDBOX_STATE = "state/sandbox"
SANDBOX_FILE = "state/sandbox/world.db"
DEFAULT_STATE = "state"
MOST_OF_KEY_FILE = 16 * 1024  # bytes


def load_teams(common: Common) -> tuple[DesiredTeam, ...]:
    """Return the selected teams of good files; findings are shown, errors end the command (exit 1).

    Raises ``UsageError`` for a pattern that matches no transfer.
    """
    from reconciler.cli.loading import load_files, show_findings
    from reconciler.config.desired import select, unmatched

    loaded = load_files(common)
    show_findings(loaded, common)
    if has_errors(loaded.findings):
        raise click.exceptions.Exit(Exit.ERROR)
    teams = loaded.teams
    lost = unmatched(teams, (*common.target, *common.exclude))
    if lost:
        raise UsageError(
            "A pattern matches no transfer",
            f"No transfer of the files is named {', '.join(lost)}.",
            "Check --target and --exclude against the names in the files.",
        )
    return tuple(select(team, common.target, common.exclude) for team in teams)


@dataclass(slots=True)
class Wiring:
    """Makes the parts of a run. ``signals`` interrupts every wait in them."""

    common: Common
    signals: Signals = field(default_factory=Signals)
    sandbox_state: str = SANDBOX_STATE
    _sandbox: Sandbox | None = None
    _pacers: dict[str, Pacer] = field(default_factory=dict)

    @property
    def is_sandbox(self) -> bool:
        return self.common.api == SANDBOX or self.common.api.startswith(SANDBOX + ":")

    @property
    def api_url(self) -> str:
        """What a plan and a state say of the API they are for."""
        return self.common.api.rstrip("/")

    def clock(self) -> Clock:
        from reconciler.engine.clock import system_clock

        return system_clock(self.signals.sleep)

    def team_run(
        self, team: DesiredTeam, settings: Settings, on_event: Callable[[Event], None] = lambda event: None
    ) -> TeamRun:
        """Return the parts of one team's run. Raises ``KeyProblem``, ``UsageError``."""
        from reconciler.engine.team import TeamRun
        from reconciler.model.memory import Document

        return TeamRun(
            team=team,
            client=self._client(team, settings),
            store=self.store(team),
            blank=Document(team_id=team.team_id, api_url=self.api_url),
            clock=self.clock(),
            settings=settings,
            on_event=on_event,
            saving=self.signals.deferred,
        )

    def store(self, team: DesiredTeam) -> StateStore:
        from reconciler.stores.urls import open_store

        written_by = f"reconciler {__version__}"
        where = self.state_url(team)
        return open_store(where, team.team_id, self.api_url, written_by, sleep=self.signals.sleep)

    def state_url(self, team: DesiredTeam) -> str:
        """Return where a team's state is: flag, environment, file, default; the sandbox's apart."""
        if self.is_sandbox:
            return self.common.state if _given_by_flag("state") and self.common.state else self.sandbox_state
        return self.common.state or team.state or DEFAULT_STATE

    def sandbox(self) -> Sandbox:
        """Return the embedded sandbox, opened once."""
        if self._sandbox is None:
            self._sandbox = open_sandbox(self.common.api.partition(":")[2] or SANDBOX_FILE)
        return self._sandbox

    def client(self, team_id: int, key_env: str, rate: float = 20.0, max_wait: float = 300.0) -> ApiClient:
        """Return a client for one team. Raises ``KeyProblem`` if no key is set."""
        from reconciler.api.client import ApiClient
        from reconciler.http import Pacer, Retry

        transport, pace = self._transport(key_env)
        rate = rate if pace else float("inf")
        pacer = self._pacers.setdefault(key_env, Pacer(rate, sleep=self.signals.sleep))
        pacer.slow_down(rate)  # teams that share a key share its pace: that of the slowest
        retry = Retry(max_wait=max_wait, rng=random.Random(), sleep=self.signals.sleep)
        verbose = _tell_request if self.common.verbose else None
        return ApiClient(transport, team_id, pacer=pacer, retry=retry, verbose=verbose)

    def _client(self, team: DesiredTeam, settings: Settings) -> ApiClient:
        return self.client(team.team_id, team.key_env, team.limits.requests_per_second, settings.max_wait)

    def _transport(self, key_env: str) -> tuple[Transport, bool]:
        from reconciler.http import HttpTransport, WsgiTransport

        if self.is_sandbox:
            return WsgiTransport(self.sandbox().app), False
        return HttpTransport(self.common.api, read_key(key_env)), True


def open_sandbox(path: str) -> Sandbox:
    """Open the sandbox in an SQLite file. Raises ``UsageError`` for a file that is none."""
    import sqlite3

    from reconciler.sandbox import Sandbox

    try:
        return Sandbox.open(path)
    except (sqlite3.DatabaseError, OSError) as error:
        detail = f"{path} cannot be used as a sandbox: {error}."
        raise UsageError(
            "The sandbox's file cannot be used", detail, "Name another: --api sandbox:FILE"
        ) from None


def read_key(key_env: str) -> str:
    """Return the key from the environment variable, or from the file that ``<it>_FILE`` names.

    Raises ``KeyProblem`` if there is none.
    """
    key = os.environ.get(key_env, "").strip()
    file = os.environ.get(f"{key_env}_FILE", "")
    if not key and file:
        key = _key_in(file, f"{key_env}_FILE")
    if not key:
        hint = f"Set {key_env} to an API key, or try it without one: --api sandbox"
        raise KeyProblem("There is no API key", _why_no_key(key_env), hint)
    return key


def _why_no_key(key_env: str) -> str:
    empty = [name for name in (key_env, f"{key_env}_FILE") if name in os.environ]
    if empty:
        return f"{' and '.join(empty)} {'are' if len(empty) > 1 else 'is'} set, but empty."
    return f"Neither {key_env} nor {key_env}_FILE is set."


def _key_in(file: str, variable: str) -> str:
    """Return the key in a file; a byte order mark, which editors leave, is no part of it."""
    from reconciler.cli.reading import read_bounded

    try:
        data = read_bounded(file, MOST_OF_KEY_FILE + 1)
        fault = f"has more than {MOST_OF_KEY_FILE} bytes" if len(data) > MOST_OF_KEY_FILE else ""
        key = "" if fault else data.decode("utf-8-sig").strip()
        fault = fault or ("" if key else "is empty")
    except UnicodeDecodeError:
        fault = "is not text in UTF-8"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    if fault:
        detail = f"The file that {variable} names {fault}."
        raise KeyProblem("The key's file cannot be read", detail, "Check its path and permissions.")
    return key


def _given_by_flag(name: str) -> bool:
    from click.core import ParameterSource

    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _tell_request(method: str, path: str, status: int | None, seconds: float) -> None:
    err(f"{method} {path} -> {status or 'no answer'} ({seconds * 1000:.0f} ms)")


def warn_of_ci(wiring: Wiring, teams: Iterable[DesiredTeam]) -> None:
    """Warn where a CI job keeps its state on the runner's disk, which is thrown away."""
    if not os.environ.get("CI") or wiring.is_sandbox:
        return
    urls = (wiring.state_url(team) for team in teams)
    if any("://" not in url or url.startswith("file://") for url in urls):
        err(
            "warning[CI001]: The state is on this runner's disk\n"
            "  CI usually throws that away. Keep it elsewhere (--state URL), or store the folder with it."
        )


def with_selection(common: Common, target: tuple[str, ...], exclude: tuple[str, ...]) -> Common:
    return replace(common, target=target, exclude=exclude)
