"""The state in a Git repository: a branch a team, whose commits are the states of its document.

    refs/heads/PREFIX/team-5             team-5.json; a commit per group of changes, which says what happened
    refs/reconciler/PREFIX/team-5/lock   while a run holds the lock (``gitlock.py``)
    refs/reconciler/PREFIX/team-5/last   the commit at which the last run ended: an older branch is a copy

A commit is one push with the exact old commit as its lease: compare-and-set, done by the host. What a push
did whose answer was lost, the nonce in the document tells: two runs' commits are never the same. ``last``
keeps the document reachable if somebody deletes the branch or moves it back.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from reconciler.ci import ci_run
from reconciler.errors import StateError, StateUnwritable
from reconciler.formats.auditlines import message, message_of
from reconciler.formats.statefile import encode_document
from reconciler.model.deltas import Delta, apply_delta, with_nonces
from reconciler.model.memory import Document
from reconciler.stores.base import LockInfo, Revision, revision_of
from reconciler.stores.gitbranch import MOVED_FILE, Known, StateBranch
from reconciler.stores.gitlock import LeaseLock
from reconciler.stores.gitrepo import Answer, GitRepo, Update
from reconciler.stores.gitwords import GitFailed, unreadable, unwritable
from reconciler.stores.holders import Committed, Waits, lock_text, untold
from reconciler.stores.ownership import (
    check_expected,
    check_owner,
    check_push,
    check_scratch,
    first_document,
    moving,
    next_of_old_copy,
    not_retired,
)


class GitStore:
    """A ``StateStore`` on a branch of ``remote``, as seen from the checkout in ``folder``.

    ``heard`` is called when a push was answered, before that is believed; its ``OSError`` is a lost answer.
    """

    def __init__(
        self,
        remote: str,
        prefix: str,
        folder: str,
        team_id: int,
        api_url: str,
        written_by: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._blank = Document(int(team_id), api_url, written_by=written_by)
        self._repo = GitRepo(remote, folder)
        self._branch = StateBranch(self._repo, prefix, self._blank, sleep, heard)
        lock = f"refs/reconciler/{prefix}/team-{int(team_id)}/lock"
        self._lock = LeaseLock(self._repo, lock, self._branch.source, sleep)
        self._mutex = threading.RLock()
        self._is_sound = False  # what is known is as new as what the last run left
        self._ended = False
        self._failed = False

    @property
    def where(self) -> str:
        """See ``StateStore.where``."""
        return self._branch.source

    @property
    def kept(self) -> str:
        """See ``StateStore.kept``."""
        return f"in the history of {self._branch.source}"

    def read(self, retired: bool = False) -> tuple[Document | None, Revision]:
        """See ``StateStore.read``. Fetches, and never pushes."""
        with self._mutex, self._worded(unreadable):
            known = self._checked(retired)
            return known.document, known.revision

    def _checked(self, retired: bool = False) -> Known:
        """Look, and refuse what is older than what the last run left."""
        self._is_sound = False
        known = self._branch.look_again()
        if not (retired and known.moved):
            self._branch.check_not_older(known)
            self._is_sound = True
        return known

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        """See ``StateStore.commit``."""
        nonce = secrets.token_hex(8)
        with self._mutex, self._writing():
            known = self._branch.known
            if not self._is_sound or known is None or known.moved or known.revision != expected:
                known = self._checked()
                check_expected(known.revision, expected, self._branch.source)
            after = apply_delta(known.document or first_document(self._blank), delta, nonce)
            after = replace(after, written_by=self._blank.written_by)
            made = self._made(after, message_of(delta, after, ci_run(os.environ)), known.commit)
            self._put(known, Known(made, after, known.last))
            if known.document is None:  # from its first commit on it is missed, should this run be killed
                self._branch.note_last(made, known.last)
            return revision_of(after)

    def _made(self, document: Document | None, told: str, parent: str, moved: Committed | None = None) -> str:
        files = {} if document is None else {self._branch.file: encode_document(document).encode()}
        files |= {} if moved is None else {MOVED_FILE: lock_text(moved, None).encode()}
        return self._repo.make(files, told, parent)

    def _put(self, known: Known, wanted: Known) -> None:
        self._is_sound = False
        self._branch.put(known, wanted)
        self._is_sound = True

    def push(self, document: Document, another_lineage: bool = False, returns: bool = False) -> Revision:
        """See ``StateStore.push``."""
        check_owner(document, self._blank, "The file")

        def pushed(there: Document | None, committed: Committed | None) -> Document:
            check_push(document, there, committed, another_lineage, returns)
            return replace(document, serial=document.serial + 1)

        return self._rewrite(pushed, "put a state in its place")

    def accept_old_copy(self) -> Revision:
        """See ``StateStore.accept_old_copy``."""
        told = "went on with an old copy"
        return self._rewrite(lambda there, committed: next_of_old_copy(there or self._blank, committed), told)

    def _rewrite(self, made: Callable[[Document | None, Committed | None], Document], told: str) -> Revision:
        with self._mutex, self._writing():
            known = self._branch.look()
            document = made(known.document, known.moved or self._branch.committed(known.last))
            document = replace(document, commits=with_nonces(document.commits, [secrets.token_hex(8)]))
            parent = known.commit or known.last  # of a branch that is gone: its history goes on
            commit = self._made(document, message(document, told, run=ci_run(os.environ)), parent)
            self._put(known, Known(commit, document, known.last))
            self._branch.note_last(commit, known.last)
            return revision_of(document)

    def retire(self, expected: Revision, to: str) -> None:
        """See ``StateStore.retire``: a commit says where to, so that no other one finds what it expects."""
        with self._mutex, self._writing():
            known = self._branch.look()
            check_expected(known.revision, expected, self._branch.source)
            moved = moving(known.revision, known.moved, to, self._branch.source)
            self._replace(known, known.document, moved if to else None, f"moves to {to}" if to else "stays")

    def remove(self, retired: bool = False) -> bool:
        """See ``StateStore.remove``. The branch stays, with an empty commit: its history is the backup."""
        with self._mutex, self._writing():
            known = self._branch.look()
            if retired:
                if known.moved is None:
                    raise not_retired(self._branch.source)
                self._replace(known, None, known.moved, f"was moved to {known.moved.moved}")
                return known.document is not None
            if known.document is not None or known.moved is not None:
                told = message(known.document or self._blank, "removed the state", run=ci_run(os.environ))
                self._put(known, Known(self._made(None, told, known.commit), None, known.last))
            if known.last and not self._branch.note_last(
                "", known.last
            ):  # else it is gone, for whoever looks
                raise unwritable(self._branch.source, GitFailed(f"{self._branch.last_ref} was not removed"))
            return known.document is not None

    def _replace(self, known: Known, document: Document | None, moved: Committed | None, told: str) -> None:
        """Commit a document that is the same or gone, and have ``last`` name that commit."""
        said = message(known.document or self._blank, told, run=ci_run(os.environ))
        commit = self._made(document, said, known.commit, moved)
        self._put(known, Known(commit, document, known.last, moved))
        self._branch.note_last(commit, known.last)

    def erase(self, memory: bool = True) -> None:
        """See ``StateStore.erase``."""
        check_scratch(self._blank)
        with self._mutex, self._worded(unwritable):
            self._branch.erase(*((self._branch.last_ref, self._lock.ref) if memory else ()))

    def committed(self) -> Committed | None:
        """See ``StateStore.committed``."""
        with self._mutex, self._worded(unreadable):
            known = self._branch.look()
            return known.moved or self._branch.committed(known.last)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Word a failed write, and refuse every later one: what landed is unknown by then."""
        if self._failed:
            raise StateUnwritable(
                "The state could not be written",
                f"An earlier write to {self._branch.source} failed, so it is unknown whether it landed.",
                "Run again: that reads the state again.",
            )
        try:
            with self._worded(unwritable):
                yield
        except StateUnwritable:
            self._failed = True
            self._branch.known = None
            raise

    @contextmanager
    def _worded(self, words: Callable[[str, GitFailed], StateError]) -> Iterator[None]:
        try:
            yield
        except GitFailed as failed:
            raise words(self._branch.source, failed) from failed

    def finish(self) -> None:
        """See ``StateStore.finish``: with the lock's release goes a push of where this run ended.

        Without a lock there is none: a host that takes no lock may take no other ref either.
        """
        self._ended = True

    @contextmanager
    def lock(self, info: LockInfo, timeout: float, waits: Waits = untold) -> Iterator[None]:
        """See ``StateStore.lock``. Raises ``StateRefused`` where the host permits no such ref."""
        with self._worded(unwritable):
            self._lock.take(info, timeout, waits)
        try:
            yield
        finally:
            ending = self._ending()
            pushed = self._lock.release(*ending)
            for update in ending:
                if (
                    pushed.get(update.ref, Answer.LANDED) is not Answer.LANDED
                ):  # another run may have ended meanwhile
                    self._branch.move_last_on(update.new)

    def _ending(self) -> list[Update]:
        known = self._branch.known
        if not (self._ended and self._is_sound) or known is None or known.commit == known.last:
            return []
        return [Update(self._branch.last_ref, known.commit, known.last)]

    def holds_lock(self) -> bool:
        """See ``StateStore.holds_lock``."""
        return self._lock.held()

    def holder(self) -> LockInfo | None:
        """See ``StateStore.holder``."""
        with self._worded(unreadable):
            return self._lock.holder()

    def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        """See ``StateStore.unlock``. Its id frees also one whose lease goes on."""
        with self._worded(unwritable):
            return self._lock.free(lock_id)

    def close(self) -> None:
        """See ``StateStore.close``."""
        with self._mutex:
            self._branch.known = None
            self._repo.close()
