"""How a plan or a status fits the screen: its width, colour, and what the API and the states are called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from reconciler.cli.arguments import is_sandbox, state_of
from reconciler.cli.options import Common
from reconciler.cli.terminal import paint_for, width_of
from reconciler.errors import UsageError
from reconciler.render.text import Shown

if TYPE_CHECKING:
    from reconciler.model.desired import Desired


def shown_on(stream: TextIO | None, common: Common, *, whole: bool = False) -> Shown:
    """Return how to show a plan on a stream."""
    return Shown(paint_for(common.color, stream), width_of(stream), whole)


def places_of(common: Common, desired: Desired) -> dict[int, str]:
    """Return what the API and the state of each team are called, by team id."""
    from reconciler.engine.parts import state_url

    api = common.api if is_sandbox(common) else urlsplit(common.api).netloc
    places = {}
    for team in desired.teams:
        try:
            places[team.team_id] = f"{api} · state {_near(state_url(state_of(common), team))}"
        except UsageError:  # the run itself says what is wrong with it
            places[team.team_id] = api
    return places


def _near(place: str) -> str:
    """Return a folder as it is called from here, if that is shorter; a URL names no user."""
    from reconciler.untrusted import without_password

    near = os.path.relpath(place) if os.path.isabs(place) and "://" not in place else place
    return near if len(near) < len(place) else without_password(place)
