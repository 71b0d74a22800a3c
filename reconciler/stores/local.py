"""The state in a folder: ``team-<id>.json`` and its companions.

    team-5.json           the document, as of the last fold
    team-5.json.journal   the commits since, a line each
    team-5.json.backup    the JSON before the last fold
    team-5.json.lock      held for a run; says who
    team-5.json.cas       held for the moment of a commit

A commit appends one line and syncs it, so it costs the same with ten records or a hundred
thousand. ``compact`` folds the journal into the JSON. In the order of its steps, and what a
crash after each leaves behind:

1. the new JSON is written to ``.tmp`` and synced: a stray ``.tmp``, removed by the next fold
2. ``.backup`` becomes a link to the present JSON: the backup equals the JSON
3. ``.tmp`` is renamed to the JSON, the folder synced: the journal's lines are all at or
   below the JSON's serial, and are skipped
4. a journal of only a header is written, synced and renamed over the old one

If the JSON is a symbolic link, everything lies beside its target, under the target's name;
so all links to one state share its locks. A folder on NFS works if all hosts see each
other's locks (``locks.py``) and ``fsync`` is honoured; a remote store is the better choice.
"""

from __future__ import annotations

import errno
import os
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from reconciler.errors import StateDamaged, StateUnwritable
from reconciler.formats.statefile import encode_delta, encode_document
from reconciler.model.memory import Delta, Document
from reconciler.stores import files, journal
from reconciler.stores.base import LockInfo, Revision
from reconciler.stores.journal import Header, JournalEntry
from reconciler.stores.locks import RunLock, Sleep, commit_lock
from reconciler.stores.ownership import check_expected, first_document
from reconciler.stores.snapshot import Snapshot, load

_READ_TRIES = 5


class LocalStore:
    """A ``StateStore`` in ``folder``, which is made with the first write."""

    def __init__(
        self, folder: str, team_id: int, api_url: str, written_by: str, *, sleep: Sleep = time.sleep
    ) -> None:
        self._path = os.path.realpath(os.path.join(folder, f"team-{int(team_id)}.json"))
        self._team_id = team_id
        self._api_url = api_url
        self._written_by = written_by
        self._sleep = sleep
        self._run_lock = RunLock(f"{self._path}.lock", sleep)
        self._mutex = threading.RLock()
        self._snapshot: Snapshot | None = None
        self._failed = False

    @property
    def path(self) -> str:
        """Return the JSON's path, links resolved."""
        return self._path

    # --- reading -------------------------------------------------------------------------

    def read(self) -> tuple[Document | None, Revision]:
        """See ``StateStore.read``. Writes nothing: a folder that is read-only will do."""
        with self._mutex:
            snapshot = self._current()
            return snapshot.current(), snapshot.revision

    def _current(self) -> Snapshot:
        """Return what the files say now, from memory if they are unchanged."""
        try:
            known = self._snapshot
            if known is None or not known.still_true(self._path):
                known = self._read_afresh()
            self._snapshot = known
            return known
        except OSError as error:
            raise files.unreadable(self._path, error) from error

    def _read_afresh(self) -> Snapshot:
        """Read the files; again if they changed meanwhile.

        Without ``.cas`` a fold may come between the two files. Then what was read is right,
        but its token one that nobody will ever expect, or it looks damaged.
        """
        for _ in range(_READ_TRIES):
            before = self._marks()
            with suppress(StateDamaged):
                found = load(self._path, self._team_id, self._api_url)
                if found.appendable or before == self._marks():
                    return found
            if before == self._marks():
                break
        return load(self._path, self._team_id, self._api_url)

    def _marks(self) -> tuple[files.Identity | None, files.Identity | None]:
        return files.identity(self._path), files.identity(f"{self._path}.journal")

    # --- writing -------------------------------------------------------------------------

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        """See ``StateStore.commit``."""
        with self._mutex, self._writing():
            files.make_folder(os.path.dirname(self._path))
            with commit_lock(f"{self._path}.cas", self._sleep):
                snapshot = self._current()
                check_expected(snapshot.revision, expected, self._path)
                if snapshot.document is None:
                    return self._create(delta)
                if not snapshot.appendable:
                    snapshot = self._fold(snapshot)
                return self._append(snapshot, delta)

    def restore_command(self, file: str) -> str:
        state, journal = shlex.quote(self._path), shlex.quote(f"{self._path}.journal")
        return f"cp {shlex.quote(file)} {state} && rm -f {journal}"

    def compact(self) -> None:
        """See ``StateStore.compact``: fold the journal into the JSON."""
        with self._mutex, self._writing():
            if files.identity(self._path) is None:
                return
            with commit_lock(f"{self._path}.cas", self._sleep):
                snapshot = self._current()
                if snapshot.unfolded or not snapshot.appendable:
                    self._fold(snapshot)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Word a failed write, and refuse every later one: what is durable is unknown by then."""
        if self._failed:
            raise StateUnwritable(
                "The state could not be written",
                f"An earlier write to {self._path} failed, so it is unknown how much of it is on the disk.",
                "Run again: that reads the state from the disk again.",
            )
        try:
            yield
        except OSError as error:
            self._failed = True
            self._snapshot = None
            raise _unwritable(self._path, error) from error

    def _create(self, delta: Delta) -> Revision:
        encode_delta(delta)  # refuses what could not be read back
        document = first_document(self._team_id, self._api_url, self._written_by, delta)
        revision = Revision(document.lineage, document.serial, "")
        return self._fold(Snapshot(document=document, revision=revision, unfolded=1)).revision

    def _append(self, snapshot: Snapshot, delta: Delta) -> Revision:
        """Add one line, durably. What is known is forgotten meanwhile: an interrupt may come between."""
        before = snapshot.revision
        entry = JournalEntry(before.serial + 1, self._written_by, delta)
        line, digest = journal.entry_line(entry, snapshot.line_digest)
        self._snapshot = None
        files.append(f"{self._path}.journal", line, snapshot.size)
        snapshot.tail_start, snapshot.tail, snapshot.line_digest = snapshot.size, line, digest
        snapshot.pending.append(entry)
        snapshot.unfolded += 1
        snapshot.revision = Revision(before.lineage, entry.serial, digest)
        self._snapshot = snapshot
        return snapshot.revision

    def _fold(self, snapshot: Snapshot) -> Snapshot:
        """Write the JSON if it lacks commits, then a journal of only a header; return what is there now."""
        document, revision = snapshot.current(), snapshot.revision
        assert document is not None
        self._snapshot = None
        digest = self._write_json(document) if snapshot.unfolded else snapshot.document_digest
        token = revision.token or digest
        line, line_digest = journal.header_line(Header(document.lineage, document.serial, token, digest))
        files.replace(f"{self._path}.journal", line)
        self._snapshot = Snapshot(
            document=document,
            revision=Revision(document.lineage, document.serial, token),
            identity=files.identity(self._path),
            document_digest=digest,
            tail=line,
            line_digest=line_digest,
            appendable=True,
        )
        return self._snapshot

    def _write_json(self, document: Document) -> str:
        """Replace the JSON, keeping the one before as the backup; return the digest of its bytes."""
        data = encode_document(document).encode()
        temporary = files.write_temporary(self._path, data)
        files.keep_copy(self._path, f"{self._path}.backup")
        os.replace(temporary, self._path)
        files.sync_folder(os.path.dirname(self._path))
        return journal.digest_of(data)

    # --- locking -------------------------------------------------------------------------

    @contextmanager
    def lock(self, info: LockInfo, timeout: float) -> Iterator[None]:
        """See ``StateStore.lock``. Raises ``StateUnwritable`` when the lock file cannot be written."""
        try:
            files.make_folder(os.path.dirname(self._path))
            self._run_lock.take(info, timeout)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        try:
            yield
        finally:
            self._run_lock.release()

    def holds_lock(self) -> bool:
        """See ``StateStore.holds_lock``."""
        return self._run_lock.held()

    def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        """See ``StateStore.unlock``. A living holder's lock is the kernel's to free."""
        try:
            return self._run_lock.free(lock_id)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """See ``StateStore.close``. There is nothing but memory to release."""
        with self._mutex:
            self._snapshot = None


_HINTS = {
    errno.ENOSPC: "Free some space, then run again.",
    errno.EDQUOT: "Free some space, then run again.",
    errno.EROFS: "Use a --state folder that can be written to.",
    errno.EACCES: "Give this user write permission there, or use another --state.",
    errno.EPERM: "Give this user write permission there, or use another --state.",
    errno.ENOTDIR: "Point --state at a folder.",
}


def _unwritable(path: str, error: OSError) -> StateUnwritable:
    where = error.filename if isinstance(error.filename, str) else path
    return StateUnwritable(
        "The state could not be written",
        f"{where}: {error.strerror or error}. Nothing is sent that cannot be recorded.",
        _HINTS.get(error.errno or 0, "Check the disk, then run again."),
    )
