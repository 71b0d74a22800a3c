"""Rounds of two applies whose state lies in Git: behind each server in turn, with the lock and without."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from git_servers import OURS, SERVERS, SPARE, Remote, git
from kill_served import EMBEDDED, api_of
from kill_worlds import TEAM
from races_rounds import Race, Round

from reconciler.model.memory import Document
from reconciler.stores.git import GitStore

STATE = "reconciler-state"
BRANCH = f"{STATE}/team-{TEAM}"


class GitRace(Race):
    """A round in one checkout of a remote."""

    remote: Remote

    def _prepare(self) -> None:
        super()._prepare()
        git(self.folder, "init", "--quiet")
        git(self.folder, "remote", "add", "origin", self.remote.url)

    def document(self) -> Document | None:
        store = GitStore("origin", STATE, str(self.folder), TEAM, api_of(self.folder), "test")
        try:
            return store.read()[0]
        finally:
            store.close()

    def check_unlocked(self) -> None:
        """No lock is left, and nothing was pushed but the state."""
        state = {f"refs/heads/{BRANCH}", f"refs/reconciler/{BRANCH}/last"}
        assert set(self.remote.refs()) - state == {"refs/heads/main"}, self.remote.refs()


def run(seed: int, folder: Path) -> Counter[int]:
    """Play a round, then check. Returns how often each status was met."""
    os.environ.update(OURS)
    for name in SPARE:
        os.environ.pop(name, None)
    two = replace(
        Round.of(seed), processes=2, lock=seed % 2 == 0, killed=False, api=EMBEDDED, transfers=(1, 2)
    )
    serve = SERVERS[list(SERVERS)[seed // 2 % len(SERVERS)]]
    with serve(folder.with_name(f"{folder.name}-served") / "team.git") as remote:
        race = GitRace(two, folder, common=("--state", f"git:origin#{STATE}"))
        race.remote = remote
        return race.run()
