"""The last resort: what became of our writes, when the state cannot be told.

The intents are durable, so a later run looks for what was created. It may not be able to tell
(a newer foreign backfill hides it, say); the document of ``Unsaved`` can.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.engine.session import StateSession
from reconciler.errors import StateDamaged, StateError, StateForeign, StateNewer, StateOldCopy
from reconciler.events import Unsaved
from reconciler.model.deltas import Delta, apply_deltas
from reconciler.model.memory import Document


def unsaved_of(session: StateSession) -> Unsaved | None:
    """Return what must be saved elsewhere; ``None`` if no backfill's outcome is missing in the state.

    It is made from the newest state that can be read, so that pushing it undoes no commit: the store refuses
    one that does not know the last commit there. What that state has is not missing: a commit may have landed
    though its answer was lost.
    """
    if not session.unsaved:
        return None
    newest = _newest(session)
    deltas = tuple(delta for delta in session.unsaved if not _has(newest, delta))
    lost = {record.id: record for delta in deltas for record in delta.backfills}
    if not lost:
        return None
    gone = isinstance(session.broken, StateForeign | StateDamaged | StateNewer | StateOldCopy)
    document = apply_deltas(newest, deltas)
    return Unsaved(document, tuple(lost.values()), not gone)


def _has(document: Document, delta: Delta) -> bool:
    """Tell whether a state knows an outcome: by this very commit, or since another run has found it."""
    intents = ((document.intents.get(one.nonce), one) for one in delta.intents)
    records = ((document.backfills.get(one.id), one) for one in delta.backfills)
    is_told = all(there is not None and there.outcome is one.outcome for there, one in intents)
    return is_told and all(there is not None and there.ours >= one.ours for there, one in records)


def _newest(session: StateSession) -> Document:
    known = session.document
    try:
        found, _revision = session.store.read()
    except StateError:
        return known
    if found is None or found.lineage != known.lineage:
        return known
    return replace(found, serial=max(found.serial, known.serial))
