"""The parts of a run: a client and a store for each team. Reads no flags and no environment."""

from __future__ import annotations

import hmac
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import get_ident
from typing import Protocol

from reconciler.api.client import ApiClient, Verbose
from reconciler.bounds import MAX_WAIT
from reconciler.engine.clock import Clock, system_clock
from reconciler.engine.stop import Interrupts
from reconciler.engine.team import RunSettings, TeamRun
from reconciler.errors import KeyProblem, UsageError
from reconciler.events import Doing, Retrying, RunEvent
from reconciler.http import HttpTransport, Pacer, Retry, Transport, WsgiTransport
from reconciler.http.wsgi import WsgiApp
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import Document
from reconciler.stores.base import StateStore
from reconciler.stores.elsewhere import check_new
from reconciler.stores.urls import open_store
from reconciler.version import __version__


class EmbeddedApi(Protocol):
    """An API in this process (the sandbox). ``url`` is what a plan and a state say of it."""

    @property
    def app(self) -> WsgiApp: ...

    @property
    def url(self) -> str: ...


Keys = str | Callable[[str], str] | None
"""The API key, or a function from a team's ``key_env`` to its key; ``None``: the API asks for none."""

States = str | Callable[[DesiredTeam], str] | None
"""A state URL, or a function from a team to its own; ``None``: what the files say, else
``state/`` in the folder that holds them (``docs/state.md``)."""


def state_url(given: States, team: DesiredTeam) -> str:
    """Return where a team's state is. Raises ``UsageError`` if nothing says so."""
    where = _given(given, team) or team.default_state
    if where is None:
        detail = f"The files of team {team.team_id} were given from different places, and none sets `state`."
        raise UsageError("Where the state is remains open", detail, "Set `state` in a file, or give --state.")
    return where


def _given(given: States, team: DesiredTeam) -> str | None:
    return (given(team) if callable(given) else given) or team.state


@dataclass(slots=True)
class Parts:
    """Makes the clients and stores of a run. ``interrupts`` ends every wait in them."""

    api: str | EmbeddedApi
    key: Keys = None
    state: States = None
    interrupts: Interrupts = field(default_factory=Interrupts)
    verbose: Verbose | None = None
    _pacers: dict[str, Pacer] = field(default_factory=dict)
    _read: dict[str, str | None] = field(default_factory=dict, repr=False)

    @property
    def api_url(self) -> str:
        """What a plan and a state say of the API they are for."""
        return (self.api if isinstance(self.api, str) else self.api.url).rstrip("/")

    def clock(self) -> Clock:
        return system_clock(self.interrupts.sleep)

    def team_run(
        self,
        team: DesiredTeam,
        settings: RunSettings,
        on_event: Callable[[RunEvent], None] = lambda event: None,
    ) -> TeamRun:
        """Return the parts of one team's run. Raises ``KeyProblem``, ``UsageError``."""
        rate, max_wait = team.limits.requests_per_second, settings.max_wait
        return TeamRun(
            team=team,
            client=self.client(team.team_id, team.key_env, rate, max_wait, on_event),
            store=self.store(team),
            blank=Document(team_id=team.team_id, api_url=self.api_url),
            clock=self.clock(),
            settings=settings,
            on_event=on_event,
            saving=self.interrupts.deferred,
            key_hash=self.key_hash(team),
        )

    def store(self, team: DesiredTeam) -> StateStore:
        """Return the store of a team's state.

        Raises ``UsageError``, and ``Refused`` where it would be new at its default place, and another one of
        this team and API lies in a folder above the files. That of a sandbox may always be new.
        """
        written_by, sleep = f"reconciler {__version__}", self.interrupts.sleep
        where = state_url(self.state, team)
        if isinstance(self.api, str) and _given(self.state, team) is None and team.files:
            check_new(where, os.path.dirname(team.files[0]), team.team_id, self.api_url)
        return open_store(where, team.team_id, self.api_url, written_by, sleep=sleep)

    def client(
        self,
        team_id: int,
        key_env: str,
        rate: float = 20.0,
        max_wait: float = MAX_WAIT.total_seconds(),
        on_event: Callable[[RunEvent], None] = lambda event: None,
    ) -> ApiClient:
        """Return a client for one team, of at most ``rate`` requests a second. Raises ``KeyProblem``."""
        transport, sleep = self._transport(key_env), self.interrupts.sleep
        rate = rate if isinstance(self.api, str) else float("inf")
        pacer = self._pacers.setdefault(key_env, Pacer(rate, sleep=sleep))
        pacer.slow_down(rate)  # teams that share a key share its pace: that of the slowest
        retry = Retry(max_wait=max_wait, rng=random.Random(), sleep=sleep)

        def retried(said: str, attempt: int, of: int) -> None:
            on_event(Doing(f"retry {get_ident()}", Retrying(said, attempt, of) if said else None))

        return ApiClient(transport, team_id, pacer=pacer, retry=retry, verbose=self.verbose, retried=retried)

    def _transport(self, key_env: str) -> Transport:
        if not isinstance(self.api, str):
            return WsgiTransport(self.api.app)
        return HttpTransport(self.api, self._key(key_env))

    def _key(self, key_env: str) -> str:
        if key_env not in self._read:
            self._read[key_env] = self.key(key_env) if callable(self.key) else self.key
        key = self._read[key_env]
        if not key:
            raise KeyProblem("There is no API key", "None was given.", "Give a key, or use the sandbox.")
        return key

    def key_hash(self, team: DesiredTeam) -> str:
        """Return the short hash by which a team's state knows a key again; nobody finds the key by it."""
        key = self._key(team.key_env) if isinstance(self.api, str) else "sandbox"
        purpose = f"reconciler {self.api_url} {team.team_id}"
        return hmac.new(purpose.encode(), key.encode(), "sha256").hexdigest()[:12]
