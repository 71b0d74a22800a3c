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
from reconciler.stores.base import Revision, StateStore, revision_of
from reconciler.stores.ownership import knows


def check_move(source: StateStore, target: StateStore, to: str) -> Document | None:
    """Return the document that is to move, or goes on moving; ``None``: it did, and is at the target.

    Changes nothing. Raises ``Refused`` for what may not be moved there, and what reading raises.
    """
    if source.where == target.where:
        raise _same_place(source)
    document = _leaving(source, to)
    there, away = _document_at(target)
    if document is None:
        left = source.committed()
        if not (left and there and there.lineage == left.lineage and there.serial >= left.serial):
            raise _missing(source, target)
    elif there is not None and not _has_arrived(document, there):
        _check_replaceable(document, there, target)
    elif away is not None and there is not None:
        raise away  # it has arrived, and went on
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


def _document_at(target: StateStore) -> tuple[Document | None, StateMoved | None]:
    """Return what lies at the new place, also if it was there before and moved away, as the error says."""
    try:
        return target.read()[0], None
    except StateMoved as moved:
        return target.read(retired=True)[0], moved


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
    source.retire(revision_of(document), to)
    try:
        _arrive(document, source, target, to)
    except ReconcilerError as error:
        if not isinstance(error, StateUnwritable) or isinstance(error, StateRefused):  # nothing landed
            with suppress(StateError):
                source.retire(revision_of(document), "")
        raise
    there, revision = target.read()
    if there is None or not _has_arrived(document, there):
        raise _missing(source, target)
    source.remove(retired=True)
    return revision


def _arrive(document: Document, source: StateStore, target: StateStore, to: str) -> None:
    """Put the document in the new place, unless it is there."""
    _make_room(source, target, to)
    there = target.read()[0]
    if there is not None and _has_arrived(document, there):
        return
    _compare(document, target.push(document), target)


def _make_room(source: StateStore, target: StateStore, to: str) -> None:
    """Let a place to which the document comes back forget where it went."""
    try:
        target.read()
    except StateMoved as moved:
        if moved.to == to:  # the new place has the old one's memory: under two names it is one
            raise _same_place(source) from None
        target.remove()


def _compare(document: Document, revision: Revision, target: StateStore) -> None:
    """Compare what is read back with what was put there, unless somebody went on with it already."""
    there, at = target.read()
    if at != revision or there is None:
        return
    if replace(there, serial=document.serial, commits=document.commits) != document:
        detail = f"What was read back from {target.where} is not what was put there."
        hint = (
            "Nothing is lost: the old place has it. Run it again; if that helps nothing, give another place."
        )
        raise StateUnwritable("The state did not arrive", detail, hint)


def _same_place(source: StateStore) -> UsageError:
    return UsageError("FROM and TO are the same place", f"Both are {source.where}.", "Give two places.")


def _missing(source: StateStore, target: StateStore) -> StateError:
    return StateError(
        "The state is at neither place",
        f"{source.where} says that it was moved, but {target.where} does not have it.",
        f"Put it back at the new place. The old one kept it {source.kept}.",
    )
