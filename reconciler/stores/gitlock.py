"""The lock of a run in a Git repository: a ref with a lease, which a thread renews.

It lies outside of ``refs/heads/``, so that no push of it starts a pipeline. Its commit holds ``lock.json``:
who has it, and until when.

    12:00:00  taken until 12:01:00        the ref is made, if there was none
    12:00:20  renewed until 12:01:20      ... moved, if it still is ours
    12:00:25  kill -9
    12:01:20  the lease is over: whoever has seen the ref unmoved for a whole lease takes it now
    12:02:20  ... and from now on whoever comes, even by a clock a lease ahead of the holder's

It is manners, not safety: who loses it stops, and the compare-and-set holds with and without it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from reconciler.errors import StateError, StateLocked
from reconciler.formats.auditlines import SKIP_CI
from reconciler.formats.commands import on_lines
from reconciler.stores.gitrepo import Answer, GitRepo, Pushed, Update
from reconciler.stores.gitwords import GitFailed, Kind, refused
from reconciler.stores.holders import LockInfo, Waits, holder_of, lock_text, locked, untold
from reconciler.uptime import uptime

LEASE = 60.0  # seconds
_FILE = "lock.json"
_LONGEST_PAUSE = 5.0
_ATTEMPTS = 3  # to take it, where nothing is heard


@dataclass(frozen=True, slots=True)
class _There:
    """What the ref says: its commit ("": there is none), and the holder."""

    commit: str
    holder: LockInfo | None = None

    @property
    def until(self) -> datetime | None:
        return None if self.holder is None else self.holder.until

    def is_of(self, info: LockInfo) -> bool:
        return self.holder is not None and self.holder.id == info.id


@dataclass(slots=True)
class _Hold:
    info: LockInfo
    pid: int
    commit: str
    renewed: float
    lost: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class LeaseLock:
    """The lock at ``ref`` of a repository. One hold at a time per instance."""

    def __init__(self, repo: GitRepo, ref: str, source: str, sleep: Callable[[float], None]) -> None:
        self._repo = repo
        self.ref = ref
        self._source = source
        self._sleep = sleep
        self._hold: _Hold | None = None
        self._moving = threading.Lock()

    def take(self, info: LockInfo, timeout: float, waits: Waits = untold) -> None:
        """Take the lock, waiting at most ``timeout`` seconds; ``waits`` is told if it must be waited for.

        Raises ``StateLocked``, ``StateRefused`` where the host permits no such ref, and ``GitFailed``.
        """
        began, first, pause = uptime(), uptime(), 0.5
        seen = self._there()
        while not (self._may_take(seen, first) and self._take(info, seen)):
            left = timeout - (uptime() - began)
            if left <= 0:
                raise self._locked(seen)
            waits(seen.holder)
            waits = untold
            pause = min(pause * 2, _LONGEST_PAUSE, left)
            self._sleep(pause)
            there = self._there()
            first = first if there.commit == seen.commit else uptime()
            seen = there

    def _may_take(self, there: _There, first: float) -> bool:
        """Tell whether there is none, or its lease is over: by the clock with a lease's leeway, or because it
        was seen unmoved for so long, ``first`` being when it was seen first.
        """
        if not there.commit or uptime() - first > LEASE:
            return True
        return there.until is None or datetime.now(UTC) - timedelta(seconds=LEASE) > there.until

    def _take(self, info: LockInfo, there: _There) -> bool:
        """Push our name in the place of what is there; False if somebody else was first."""
        if self._hold is not None:
            return False
        for _attempt in range(_ATTEMPTS):
            asked, made = uptime(), self._made(info)
            pushed = self._push(made, there.commit)
            now = _There(made, info) if pushed.answer is Answer.LANDED else self._there()
            if now.is_of(info):
                self._begin(_Hold(info, os.getpid(), now.commit, asked))
                return True
            if now.commit != there.commit:
                return False
            if pushed.answer is Answer.REFUSED:
                raise self._not_here(pushed.said)
        raise GitFailed(pushed.said)

    def _begin(self, hold: _Hold) -> None:
        self._hold = hold
        hold.thread = threading.Thread(target=self._renew, args=(hold,), name="lock", daemon=True)
        hold.thread.start()

    def _renew(self, hold: _Hold) -> None:
        """Renew the lease until the hold ends or is lost."""
        pause = LEASE / 3
        while not hold.ended.wait(pause):
            with self._moving, suppress(GitFailed, StateError):
                pause = LEASE / 12  # after a failure: sooner
                self._renew_once(hold)
                pause = LEASE / 3
            if hold.lost:
                return

    def _renew_once(self, hold: _Hold) -> None:
        if hold.ended.is_set():
            return
        asked, made = uptime(), self._made(hold.info)
        landed = self._push(made, hold.commit).answer is Answer.LANDED
        there = _There(made, hold.info) if landed else self._there()
        hold.lost = not there.is_of(hold.info)
        hold.commit = there.commit
        if there.commit == made:
            hold.renewed = asked

    def held(self) -> bool:
        """Return whether the lease of the last renewal that succeeded goes on. Costs no call."""
        hold = self._hold
        return (
            hold is not None and hold.pid == os.getpid() and not hold.lost and uptime() - hold.renewed < LEASE
        )

    def release(self, *also: Update) -> dict[str, Answer]:
        """Give the lock back, with one push that moves other refs ``also``; return what became of these.

        Raises nothing: a lease ends.
        """
        hold, self._hold = self._hold, None
        if hold is None or hold.pid != os.getpid():
            return {}
        hold.ended.set()
        with self._moving, suppress(GitFailed, StateError):
            free = [] if hold.lost else [Update(self.ref, "", hold.commit)]
            pushed = self._repo.push(*also, *free) if free or also else {}
            if free and pushed[self.ref].answer in (Answer.STALE, Answer.REFUSED):
                self.free(hold.info.id)  # a renewal landed unheard, or a hook refused the others, and all
            return {ref: one.answer for ref, one in pushed.items()}
        return {}

    def holder(self) -> LockInfo | None:
        """Return whom the ref names, living or dead. Raises ``GitFailed``."""
        return self._there().holder

    def free(self, lock_id: str | None) -> LockInfo | None:
        """Take the ref away; return whom it named. Without its id only once the lease is over.

        Raises ``StateLocked``, ``StateRefused`` and ``GitFailed``.
        """
        there = self._there()
        if not there.commit:
            return None
        named = there.holder is not None and lock_id == there.holder.id
        if not named and (lock_id is not None or not self._may_take(there, uptime())):
            raise self._locked(there)
        pushed = self._push("", there.commit)
        if pushed.answer is Answer.REFUSED:
            raise refused(self._source, pushed.said)
        if pushed.answer is not Answer.LANDED and (now := self._there()).commit:
            raise self._locked(now)
        return there.holder

    def _push(self, new: str, old: str) -> Pushed:
        """Push; where nothing was heard, it is unclear. Raises ``GitFailed`` where it was not permitted."""
        try:
            return self._repo.push(Update(self.ref, new, old))[self.ref]
        except GitFailed as failed:
            if failed.kind is Kind.NOT_ALLOWED:
                raise
            return Pushed(Answer.UNCLEAR, failed.said)

    def _made(self, info: LockInfo) -> str:
        until = datetime.now(UTC) + timedelta(seconds=LEASE)
        text = lock_text(None, replace(info, until=until))
        return self._repo.make({_FILE: text.encode()}, f"locked: {info} {SKIP_CI}\n")

    def _there(self) -> _There:
        """Look at the ref. One that moves meanwhile is looked at again."""
        while commit := self._repo.look(self.ref).get(self.ref, ""):
            try:
                self._repo.fetch(commit)
            except GitFailed:
                if self._repo.look(self.ref).get(self.ref, "") == commit:
                    raise
                continue
            named = _FILE in self._repo.files(commit)
            return _There(commit, holder_of(self._repo.content(commit, _FILE)) if named else None)
        return _There("")

    def _locked(self, there: _There) -> StateLocked:
        if there.holder is None:
            return locked(None, self._source, "")
        over = there.until or datetime.now(UTC)
        told = f"Its lease ends at {over:%H:%M:%S} UTC, unless it goes on. If it is dead, do not wait:"
        return locked(there.holder, self._source, told + on_lines(f"state unlock {there.holder.id}"))

    def _not_here(self, said: str) -> StateError:
        error = refused(self._source, said)
        detail = f"{self.ref}: {error.detail}"
        hint = (
            "The host takes no refs but branches. Runs are safe without a lock, by compare-and-set: have CI "
            "run one at a time, and give --no-lock."
        )
        return type(error)("The state cannot be locked", detail, hint)
