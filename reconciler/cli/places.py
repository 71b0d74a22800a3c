"""Where the states of the teams lie: their stores, their locks, and one team's error beside the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.cli.arguments import parts_of
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, completed
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import err, paint_for
from reconciler.errors import Interrupted, ReconcilerError, UsageError, worst
from reconciler.stores.base import LockInfo, StateStore, this_process

if TYPE_CHECKING:
    from reconciler.engine.parts import Parts
    from reconciler.model.desired import DesiredTeam


def stores_of(common: Common) -> list[tuple[DesiredTeam, StateStore]]:
    """Return the teams of the files, each with its store."""
    parts = parts_of(common, Signals())
    return [(team, parts.store(team)) for team in load_selected(common).teams]


def store_of(common: Common, team_id: int | None, asked: str = "You asked for") -> tuple[int, StateStore]:
    """Return the one team that is meant, with its store. Raises ``UsageError``."""
    parts, teams = _chosen(common, team_id, asked)
    if len(teams) == 1:
        return teams[0].team_id, parts.store(teams[0])
    has = f"The files have the teams {', '.join(str(team.team_id) for team in teams) or 'none'}."
    raise UsageError("Which team is meant", has, "Give one of them.")


def each_team(
    common: Common,
    team_id: int | None,
    act: Callable[[DesiredTeam, Parts], int],
    on_error: Callable[[DesiredTeam, ReconcilerError], None] | None = None,
) -> int:
    """Act on every team of the files, or on one, also after an error of another; return the worst status.

    An error is told on stderr, unless ``on_error`` takes it.
    """
    parts, teams = _chosen(common, team_id)
    statuses = []
    for team in teams:
        try:
            statuses.append(act(team, parts))
        except Interrupted:
            raise
        except ReconcilerError as error:
            statuses.append(error.exit_status)
            (on_error or _told(common, len(teams) > 1))(team, error)
    return worst(statuses)


def _chosen(
    common: Common, team_id: int | None, asked: str = "You asked for"
) -> tuple[Parts, list[DesiredTeam]]:
    parts = parts_of(common, Signals())
    teams = load_selected(common).teams
    chosen = [team for team in teams if team_id in (None, team.team_id)]
    if team_id is not None and not chosen:
        has = f"The files have the teams {', '.join(str(team.team_id) for team in teams) or 'none'}."
        detail = f"{asked} team {team_id}. {has}"
        raise UsageError("The team is not in the files", detail, "Give the files of that team with -c.")
    return parts, chosen


def _told(common: Common, named: bool) -> Callable[[DesiredTeam, ReconcilerError], None]:
    from reconciler.render.findings import error_text

    def tell(team: DesiredTeam, error: ReconcilerError) -> None:
        text = error_text(error, paint_for(common.color, sys.stderr))
        err(completed(f"Team {team.team_id}: {text}" if named else text, common))

    return tell


def shown(where: str) -> str:
    """Return a place as it is called from here, if that is no path through the folders above."""
    near = os.path.relpath(where) if os.path.isabs(where) else where
    return where if near.startswith("..") else near


@contextmanager
def held(common: Common, store: StateStore, operation: str) -> Iterator[None]:
    """Hold the lock of a state, or none if so told."""
    info = this_process(operation, datetime.now(UTC))
    patience = common.lock_timeout.total_seconds()
    lock = store.lock(info, patience, _tell_waiting) if common.lock else nullcontext()
    with lock:
        yield


def _tell_waiting(holder: LockInfo | None) -> None:
    err(f"waiting for the lock: {holder or 'another run has it'}")
