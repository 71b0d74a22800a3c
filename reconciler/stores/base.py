"""The contract of every store, in prose and as a protocol.

A store keeps one document: that of one team at one API. Any number of processes may use
it at once, on any number of hosts, and any of them may be killed at any instruction. What
must hold all the same:

1. **A commit is all or nothing, and durable when it returns.** After ``commit`` returned, a
   power cut loses nothing of it. While it has not returned, the change may or may not be
   there, but never in part.
2. **A commit is a compare-and-set.** It takes effect only if the revision there is the one
   that the caller's decision was based on. Of two commits that expect the same revision at
   most one takes effect; the other raises ``StateConflict`` and leaves no trace. A store may
   raise ``StateConflict`` although nothing changed (after a crash, say): reading again is
   always right. It never takes a changed revision for the expected one.
3. **Reading changes nothing**, needs no lock and no right to write, and gives a document
   that was the current one at some moment during the call.
4. **The serial grows by one with every commit, and the lineage never changes** while the
   document lives. The first commit makes the lineage: a random uuid.
5. **What cannot be known is refused.** A document that is damaged, newer than we are, or of
   another team, API or lineage is refused on reading and on writing, and never overwritten.
6. **A failed commit stops the caller.** ``StateUnwritable`` means that the change may or may
   not be durable. Nothing may be sent after it, and the store instance takes no further
   commit: whoever goes on opens the store again and reads.

The lock is manners, not safety: it keeps two runs from working against each other, and
everything above holds without it. It belongs to one process; it is lost when that dies.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.memory import Delta, Document
from reconciler.stores.holders import LockInfo, this_process

__all__ = ["NEVER_WRITTEN", "LockInfo", "Revision", "StateStore", "this_process"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a document. Equal revisions of one store mean equal documents.

    ``token`` is the store's own (a digest, an ETag); it means nothing outside it.
    """

    lineage: str
    serial: int
    token: str


NEVER_WRITTEN = Revision("", 0, "")
"""The revision of a document that does not exist yet: what the first commit expects."""


class StateStore(Protocol):
    """Where one team's document lives. The module says what must hold of it.

    An instance may be used by several threads. It is not for sharing with a forked child,
    which holds no lock of its parent's.
    """

    def read(self) -> tuple[Document | None, Revision]:
        """Return the document and its revision; ``(None, NEVER_WRITTEN)`` if there is none.

        Raises ``StateDamaged``, ``StateNewer`` or ``StateForeign`` for a document that must
        not be used, and ``StateError`` when it cannot be read.
        """
        ...

    def commit(self, delta: Delta, expected: Revision) -> Revision:
        """Make ``apply_delta(document, delta)`` the document, durably; return its revision.

        Raises ``StateConflict`` when the revision there is not ``expected`` (read again),
        ``StateForeign`` when its lineage is another, ``StateUnwritable`` when it could not
        be made durable (nothing may be sent), and whatever ``read`` raises. Raises
        ``ValueError`` for a delta that could not be read back, before anything is written.
        """
        ...

    def lock(self, info: LockInfo, timeout: float) -> AbstractContextManager[None]:
        """Hold the run's lock inside the ``with``. Waits at most ``timeout`` seconds for it.

        Raises ``StateLocked``, which says who holds it, since when, for what, and how to free
        it. An exception out of the sleep ends the waiting and leaves nothing held.
        """
        ...

    def holds_lock(self) -> bool:
        """Return whether the lock is still ours. Cheap: it is asked before every write sent."""
        ...

    def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        """Free a lock that a dead run left behind; return who held it, ``None`` if nobody did.

        ``lock_id`` guards against freeing another one than was looked at. Raises
        ``StateLocked`` when it is not that one, or when the holder is known to be alive.
        """
        ...

    def compact(self) -> None:
        """Tidy up at the end of a writer's run; neither document nor revision changes.

        Raises ``StateUnwritable``, and nothing is lost by that: the document stays as it is.
        """
        ...

    def restore_command(self, file: str) -> str:
        """Return the shell command that puts a file with a document in the place of the state, "" if none
        can; no other run may write meanwhile.
        """
        ...

    def close(self) -> None:
        """Release what the instance holds. Writes nothing, raises nothing, may be repeated."""
        ...
