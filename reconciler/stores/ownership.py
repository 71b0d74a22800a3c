"""What every store checks before it hands out or changes a document."""

from __future__ import annotations

import uuid

from reconciler.errors import StateConflict, StateDamaged, StateForeign
from reconciler.model.memory import Delta, Document, apply_delta
from reconciler.stores.base import NEVER_WRITTEN, Revision
from reconciler.stores.holders import LONGEST
from reconciler.untrusted import printable

_OTHER_STATE = "Use the right --state, or the right team and API. Nothing was changed."


def check_owner(document: Document, team_id: int, api_url: str, source: str) -> None:
    """Raise ``StateForeign`` unless ``document`` is that of this team at this API."""
    if document.team_id != team_id:
        raise StateForeign(
            "The state belongs to another team",
            f"{source} belongs to team {document.team_id}, but this run is for team {team_id}.",
            _OTHER_STATE,
        )
    if document.api_url != api_url:
        theirs = printable(document.api_url[:LONGEST], "?")
        raise StateForeign(
            "The state belongs to another API",
            f"{source} belongs to {theirs}, but this run talks to {api_url}. "
            "Backfill ids of one mean nothing to the other.",
            _OTHER_STATE,
        )


def check_expected(there: Revision, expected: Revision, source: str) -> None:
    """Compare, for the compare-and-set.

    Raises ``StateConflict`` when somebody else committed, ``StateForeign`` when the document
    was replaced by one of another lineage, and ``StateDamaged`` when it is gone: starting
    anew in its place would forget what it knew.
    """
    if there == expected:
        return
    if there == NEVER_WRITTEN:
        raise StateDamaged(
            "The state is gone",
            f"{source} was there when this run read it, but is gone now.",
            "Restore it, then run again. Nothing was written in its place.",
        )
    if expected.lineage not in ("", there.lineage):
        raise StateForeign(
            "The state was replaced",
            f"{source} has lineage {there.lineage}, but this run started with {expected.lineage}.",
            "Find out who replaced it, then run again. Nothing was changed.",
        )
    raise StateConflict(
        "Another run changed the state",
        f"{source} is at serial {there.serial}, but this run expected serial {expected.serial}.",
        "Run again. Nothing was changed.",
    )


def first_document(team_id: int, api_url: str, written_by: str, delta: Delta) -> Document:
    """Return the document that the first commit makes: serial 1 and a random lineage."""
    empty = Document(team_id, api_url, lineage=str(uuid.uuid4()), written_by=written_by)
    return apply_delta(empty, delta)
