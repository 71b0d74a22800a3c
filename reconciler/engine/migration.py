"""The move of a team's state from one place to another.

At every moment at most one of the two places takes a commit, and at least one has the whole document:

    1  the old place refuses every commit, and remembers where the document goes     (``retire``)
    2  the document is put in the new place, with the next serial                    (``push``)
    3  it is read back there, and compared
    4  it is removed from the old place, which keeps a backup                        (``remove``)

A move that was broken off after any of them goes on where it ended. If the new place takes nothing, for sure,
the document stays where it was.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from reconciler.errors import (
    ReconcilerError,
    Refused,
    StateError,
    StateMoved,
    StateRefused,
    StateUnwritable,
    UsageError,
)
from reconciler.model.memory import Document
from reconciler.stores.base import Revision, StateStore
from reconciler.stores.ownership import knows


def check_move(source: StateStore, target: StateStore, to: str) -> Document | None:
    """Return the document that is to move, or goes on moving; ``None``: it did, and is at the target.

    Changes nothing. Raises ``Refused`` for what may not be moved there, and what reading raises.
    """
    if source.where == target.where:
        raise _same_place(source)
    document = _leaving(source, to)
    there = _document_at(target)
    if document is None:
        left = source.committed()
        arrived = left and there and there.lineage == left.lineage and there.serial >= left.serial
        if not arrived:
            raise _missing(source, target)
        return None
    if there is not None and not _has_arrived(document, there):
        _check_replaceable(document, there, target)
    return document


def _leaving(source: StateStore, to: str) -> Document | None:
    """Return the document of the old place; ``None`` if it has left for ``to`` already."""
    try:
        document, _revision = source.read()
    except StateMoved as moved:
        if moved.to != to:
            raise
        return source.read(retired=True)[0]
    if document is None:
        detail = f"{source.where} holds no state of this team."
        raise Refused("There is no state to move", detail, "Check FROM, and the files and --api given.")
    return document


def _document_at(target: StateStore) -> Document | None:
    """Return what lies at the new place, also if it was there before and moved away."""
    try:
        return target.read()[0]
    except StateMoved:
        return target.read(retired=True)[0]


def _has_arrived(document: Document, there: Document) -> bool:
    return there.lineage == document.lineage and there.serial > document.serial and knows(there, document)


def _check_replaceable(document: Document, there: Document, target: StateStore) -> None:
    if there.lineage == document.lineage and there.serial <= document.serial and knows(document, there):
        return
    which = "another one" if there.lineage != document.lineage else "one that knows more"
    detail = (
        f"{target.where} holds a state already, and {which}: lineage {there.lineage}, serial {there.serial}."
    )
    hint = "Nothing was changed. Give another place, or first look what that is, and remove it there."
    raise Refused("The place is taken", detail, hint)


def move(source: StateStore, target: StateStore, to: str) -> Revision:
    """Move the document; return its revision at the target. The locks are the caller's.

    Raises what ``check_move`` does, and ``StateUnwritable`` and others where it breaks off: running it again
    goes on.
    """
    document = check_move(source, target, to)
    if document is None:
        return target.read()[1]
    there = _document_at(target)
    if there is None or not _has_arrived(document, there):
        _carry(document, source, target, to)
    revision = target.read()[1]
    source.remove(retired=True)
    return revision


def _carry(document: Document, source: StateStore, target: StateStore, to: str) -> None:
    expected = source.read(retired=True)[1]
    source.retire(expected, to)
    try:
        _make_room(target, to, source)
        revision = target.push(document)
    except ReconcilerError as error:
        if not isinstance(error, StateUnwritable) or isinstance(error, StateRefused):  # nothing landed
            with suppress(StateError):
                source.retire(expected, "")
        raise
    _compare(document, revision, target)


def _make_room(target: StateStore, to: str, source: StateStore) -> None:
    """Let a place to which the document comes back forget where it went."""
    try:
        target.read()
    except StateMoved as moved:
        if moved.to == to:  # the new place has the old one's memory: under two names it is one
            raise _same_place(source) from None
        target.remove()


def _compare(document: Document, revision: Revision, target: StateStore) -> None:
    there, at = target.read()
    wanted = replace(document, serial=revision.serial)
    same = there is not None and wanted == replace(
        there, commits=wanted.commits, written_by=wanted.written_by
    )
    if at != revision and there is not None and _has_arrived(document, there):
        return  # somebody went on with it
    if not same:
        detail = f"What was read back from {target.where} is not what was put there."
        hint = f"{target.where} is not to be trusted. Run it again, or give another place."
        raise StateError("The state did not arrive", detail, hint)


def _same_place(source: StateStore) -> UsageError:
    return UsageError("FROM and TO are the same place", f"Both are {source.where}.", "Give two places.")


def _missing(source: StateStore, target: StateStore) -> StateError:
    return StateError(
        "The state is at neither place",
        f"{source.where} says that it was moved, but {target.where} does not have it.",
        f"Put it back at the new place. The old one kept it {source.kept}.",
    )
