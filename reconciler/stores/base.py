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
3. **Reading changes no document**, needs no lock and no right to write (but to undo what a
   killed run left half done), and gives a document that was the current one at some moment
   during the call.
4. **The serial grows by one with every commit, and the lineage never changes** while the
   document lives. The first commit makes the lineage: a random uuid.
5. **What cannot be known is refused.** A document that is damaged, newer than we are, or of
   another team, API or lineage is refused on reading and on writing, and never overwritten.
6. **A failed commit stops the caller.** ``StateUnwritable`` means that the change may or may
   not be durable. Nothing may be sent after it, and the store instance takes no further
   commit: whoever goes on opens the store again and reads. An error whose class has
   ``wrote_nothing`` says that nothing was written, nor will be: no attempt is in doubt.
7. **A lost answer is no conflict.** Each commit has a nonce, which the document keeps. If the
   answer to a commit is lost or refused, the store reads: the nonce is there: committed; the
   expected revision still is: once more; else ``StateConflict``.
8. **An older copy is refused**, where the place remembers what was committed last when a run
   ended; a person may go on with it, and the document says so from then on.
9. **A document that moves to another place lives in one of them.** The old place refuses every
   commit before the new one gets the document, remembers where it went, and keeps it until it is
   known to be there. So a move that is broken off anywhere leaves nothing lost, and can go on. A place
   to which it comes back, with a higher serial, says that it went away until it has it.

The lock is manners, not safety: it keeps two runs from working against each other, and
everything above holds without it. It belongs to one process; it is lost when that dies.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.deltas import Delta
from reconciler.model.memory import Document
from reconciler.stores.holders import Committed, LockInfo, Waits, this_process, untold

__all__ = ["NEVER_WRITTEN", "LockInfo", "Revision", "StateStore", "this_process"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a document. Equal revisions mean equal documents.

    ``token`` is the nonce of the commit that made it.
    """

    lineage: str
    serial: int
    token: str


NEVER_WRITTEN = Revision("", 0, "")
"""The revision of a document that does not exist yet: what the first commit expects."""


def revision_of(document: Document | None) -> Revision:
    """Return the revision of a document as a store keeps it; ``None``: that of none."""
    if document is None:
        return NEVER_WRITTEN
    return Revision(document.lineage, document.serial, document.commits[-1] if document.commits else "")


class StateStore(Protocol):
    """Where one team's document lives. The module says what must hold of it.

    An instance may be used by several threads. It is not for sharing with a forked child,
    which holds no lock of its parent's.
    """

    @property
    def where(self) -> str:
        """The document's place, for people: a path, or a branch. Holds no password."""
        ...

    @property
    def kept(self) -> str:
        """Where the state before a change is kept, in words: ``in state/team-5.db.backup``."""
        ...

    def read(self, retired: bool = False) -> tuple[Document | None, Revision]:
        """Return the document and its revision; ``(None, NEVER_WRITTEN)`` if there is none.

        Raises ``StateDamaged``, ``StateNewer``, ``StateForeign`` or ``StateOldCopy`` for a document that
        must not be used, and ``StateError`` when it cannot be read. ``retired``: also one that is on its way
        to another place, which else raises ``StateMoved``.
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

    def lock(self, info: LockInfo, timeout: float, waits: Waits = untold) -> AbstractContextManager[None]:
        """Hold the run's lock inside the ``with``. Waits at most ``timeout`` seconds for it, and tells
        ``waits`` so.

        Raises ``StateLocked``, which says who holds it, since when, for what, and how to free
        it. An exception out of the sleep ends the waiting and leaves nothing held.
        """
        ...

    def holds_lock(self) -> bool:
        """Return whether the lock is still ours. Cheap: it is asked before every write sent."""
        ...

    def holder(self) -> LockInfo | None:
        """Return whom the lock names, living or dead, ``None`` if nobody. Only looks, and never waits.

        Raises ``StateError`` when that cannot be read.
        """
        ...

    def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        """Free a lock that a dead run left behind; return who held it, ``None`` if nobody did.

        ``lock_id`` guards against freeing another one than was looked at. Raises
        ``StateLocked`` when it is not that one, or when the holder is known to be alive.
        """
        ...

    def committed(self) -> Committed | None:
        """Return what the place remembers: what was committed last when a run ended, and where it went.

        Raises ``StateError`` when that cannot be read.
        """
        ...

    def finish(self) -> None:
        """End a writer's run: the place remembers what was committed last. The document stays as it is.

        Raises ``StateUnwritable``, and nothing is lost by that.
        """
        ...

    def push(self, document: Document, another_lineage: bool = False, returns: bool = False) -> Revision:
        """Put a whole document in the place of what is there, with the next serial; return its revision.

        ``returns``: it may be one that moved away from here. A backup is kept. The lock is the caller's.
        Raises ``Refused`` for one that is older than what is there, or is not known to have the last commit
        there, or has another lineage, unless that is permitted; ``StateForeign`` for another team's or
        API's; and whatever ``read`` and ``commit`` raise.
        """
        ...

    def accept_old_copy(self) -> Revision:
        """Go on with what ``read`` refused as an old copy, above the serial that was committed last.

        The document is marked. The lock is the caller's. Raises ``Refused`` if it is no old copy.
        """
        ...

    def retire(self, expected: Revision, to: str) -> None:
        """Take no commit any more: the document moves ``to`` another place. "": it stays, after all.

        Durable when it returns; the lock is the caller's. Raises ``StateMoved`` if it moves elsewhere
        already, and what ``commit`` raises.
        """
        ...

    def remove(self, retired: bool = False) -> bool:
        """Remove the document, keeping a backup; return whether there was one. The lock is the caller's.

        ``retired``: where it went remains remembered, and else nothing. Raises ``StateConflict`` then for
        one that moves nowhere.
        """
        ...

    def erase(self, memory: bool = True) -> None:
        """Leave nothing of a self-test's place, no backup either; without ``memory`` it still remembers what
        was committed last. Raises ``ValueError`` for a team's.
        """
        ...

    def close(self) -> None:
        """Release what the instance holds. Writes nothing, raises nothing, may be repeated."""
        ...
