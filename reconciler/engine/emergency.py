"""The last resort of design section 6: what became of our writes, when the state cannot be told.

The intents are durable, so a later run looks for what was created. It may not be able to tell
(a newer foreign backfill hides it, say); this document can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.engine.session import StateSession
from reconciler.errors import StateError
from reconciler.formats.statefile import encode_document
from reconciler.model.memory import BackfillRecord, Document, apply_deltas


@dataclass(frozen=True, slots=True)
class Emergency:
    """A whole state document, with the outcomes that could not be committed: ``lost`` are their backfills."""

    document: Document
    lost: tuple[BackfillRecord, ...]

    @property
    def file_name(self) -> str:
        return f"errored.{self.document.team_id}.json"

    @property
    def text(self) -> str:
        return encode_document(self.document)

    @property
    def marked_text(self) -> str:
        """Return the document between two lines that set it apart in a log."""
        name = f"STATE OF TEAM {self.document.team_id}"
        return f"-----BEGIN {name}-----\n{self.text}-----END {name}-----"


def emergency_of(session: StateSession) -> Emergency | None:
    """Return what must be saved elsewhere; ``None`` if no backfill's outcome is missing in the state.

    It is made from the newest state that can be read, so that restoring it undoes no commit.
    """
    unsaved = tuple(session.unsaved)
    lost = {one.id: one for delta in unsaved for one in delta.backfills}
    if not lost:
        return None
    return Emergency(apply_deltas(_newest(session), unsaved), tuple(lost.values()))


def _newest(session: StateSession) -> Document:
    known = session.document
    try:
        found, _revision = session.store.read()
    except StateError:
        return known
    if found is None or found.lineage != known.lineage:
        return known
    return replace(found, serial=max(found.serial, known.serial))
