"""A state that is begun at its default place, while another one of the same team lies close by."""

from __future__ import annotations

import os
from collections.abc import Iterator

from reconciler.errors import Refused, StateError, StateForeign
from reconciler.stores.urls import open_store


def check_new(folder: str, files: str, team_id: int, api_url: str) -> None:
    """Refuse to begin a state in ``folder`` where a ``state/`` in or above ``files`` has one already.

    ``files`` is the folder of the team's files. Raises ``Refused``. Costs one look where there is a state.
    """
    if _is_in(folder, team_id):
        return
    for above in _states_above(files):
        if os.path.realpath(above) != os.path.realpath(folder) and _has_one(above, team_id, api_url):
            detail = (
                f"{os.path.join(above, '')} has a state of team {team_id}, and one would be begun in "
                f"{os.path.join(folder, '')}: what the older one knows would be loaded again."
            )
            hint = f"Set `state` in a file, or give --state {above}; or move that folder there."
            raise Refused("Another state lies above the files", detail, hint)


def _is_in(folder: str, team_id: int) -> bool:
    return os.path.lexists(os.path.join(folder, f"team-{team_id}.db"))


def _states_above(folder: str) -> Iterator[str]:
    here = os.path.realpath(folder)
    while True:
        yield os.path.join(here, "state")
        if here == os.path.dirname(here):
            return
        here = os.path.dirname(here)


def _has_one(folder: str, team_id: int, api_url: str) -> bool:
    """Tell whether a state lies there that is not of another API; a damaged one may be of this."""
    if not _is_in(folder, team_id):
        return False
    try:
        document, _revision = open_store(folder, team_id, api_url, "reconciler").read()
    except StateForeign:
        return False
    except StateError:
        return True
    return document is not None
