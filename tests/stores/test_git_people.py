"""Random lives of a state's branch: runs and people by turns. What only runs do never goes back."""

import random
from pathlib import Path

import pytest
from contract import adds, holder, opened
from git_rig import BRANCH, LAST, place_in
from git_servers import SERVERS, Remote, git

from reconciler.errors import StateConflict, StateError, StateOldCopy
from reconciler.stores.base import Revision, StateStore

REF = f"refs/heads/{BRANCH}"


class Life:
    """A branch, three stores that look at it, and what was acknowledged since a person last meddled."""

    def __init__(self, remote: Remote, place: str, chance: random.Random) -> None:
        self.remote, self.place, self.chance = remote, place, chance
        self.stores: list[tuple[StateStore, Revision | None]] = [(self.opened(), None) for _ in range(3)]
        self.names = 0
        self.acknowledged = 0
        self.heads: list[str] = []
        self.kept: set[str] = set()

    def opened(self) -> StateStore:
        return opened(self.place, sleep=lambda _seconds: None)

    def step(self) -> None:
        before = self.remote.refs()
        act = self.chance.choice(
            [self.commit] * 6 + [self.whole_run] * 2 + [self.go_back, self.delete, self.put]
        )
        act()
        if act in (self.go_back, self.delete, self.put):
            self.kept = set()  # a person may take away what was acknowledged
            return
        after = self.remote.refs()
        assert REF in after or REF not in before
        if REF in before:
            git(self.remote.bare, "merge-base", "--is-ancestor", before[REF], after[REF])
        self.heads.append(after.get(REF, ""))

    def commit(self) -> None:
        """Commit upon what one of the stores has seen last, or sees now."""
        number = self.chance.randrange(3)
        store, known = self.stores[number]
        name = self.name()
        try:
            if known is None or self.chance.random() < 0.5:
                known = store.read()[1]
            known = store.commit(adds(name), known)
            self.acknowledge(name)
        except StateError as error:
            known = None
            if not isinstance(error, StateConflict):
                store = self.opened()
        self.stores[number] = (store, known)
        self.check_kept()

    def whole_run(self) -> None:
        store = self.opened()
        with store.lock(holder(), 0):
            try:
                revision = store.read()[1]
            except StateOldCopy:
                revision = store.accept_old_copy()
            name = self.name()
            store.commit(adds(name), revision)
            self.acknowledge(name)
            store.finish()
        refs = self.remote.refs()
        assert refs[REF] == refs[LAST]
        self.check_kept()

    def acknowledge(self, name: str) -> None:
        self.kept.add(name)
        self.acknowledged += 1

    def check_kept(self) -> None:
        try:
            document = self.opened().read()[0]
        except StateOldCopy:
            return
        assert document is None or self.kept <= document.intents.keys()

    def name(self) -> str:
        self.names += 1
        return str(self.names)

    # --- people ---------------------------------------------------------------------------

    def go_back(self) -> None:
        if REF in self.remote.refs() and int(git(self.remote.bare, "rev-list", "--count", REF)) > 1:
            self.remote.go_back(BRANCH)

    def delete(self) -> None:
        if REF in self.remote.refs():
            self.remote.delete(BRANCH)

    def put(self) -> None:
        if heads := [one for one in self.heads if one]:
            self.remote.put(BRANCH, self.chance.choice(heads[-3:]))


def lived(folder: Path, seed: int, steps: int) -> None:
    with SERVERS["path"](folder / "served" / "team.git") as remote:
        life = Life(remote, place_in(remote, folder), random.Random(seed))
        for _ in range(steps):
            life.step()
        assert life.acknowledged > steps / 3


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_lives_with_people(tmp_path: Path, away_from_home: None) -> None:
    for seed in range(100, 110):
        lived(tmp_path / str(seed), seed, 25)
