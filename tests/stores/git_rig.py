"""A place in Git, as tests of stores need one: a remote behind a server, and clones of it."""

import os
from collections.abc import Callable
from pathlib import Path

from contract import TEAM, Place
from git_servers import Remote

STATE = "git:origin#reconciler-state"
BRANCH = f"reconciler-state/team-{TEAM}"
FILE = f"team-{TEAM}.json"
LOCK = f"refs/reconciler/{BRANCH}/lock"
LAST = f"refs/reconciler/{BRANCH}/last"


def place_in(remote: Remote, parent: Path, *options: str, each: bool = False) -> Place:
    """Stand in a fresh clone; ``each``: in another one for every opening, as jobs of CI are."""
    place = Place(STATE)
    enter: Callable[[], object] = lambda: os.chdir(remote.clone(parent, *options))  # noqa: E731
    place.enter = enter if each else lambda: None
    enter()
    return place
