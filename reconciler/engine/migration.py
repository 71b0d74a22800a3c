"""The move of a team's state from one place to another.

At every moment at most one of the two places takes a commit, and at least one has the whole document:

    1  the old place refuses every commit, and remembers where the document goes     (``retire``)
    2  the document is put in the new place, with the next serial                    (``push``)
    3  it is read back there, and compared
    4  it is removed from the old place, which keeps a backup                        (``remove``)

A move that was broken off after any of them goes on where it ended. The old place takes commits again only if
the new one took nothing and never will: no attempt is in doubt, of this move or of an earlier one, and the
new place says so too.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from reconciler.errors import ReconcilerError, Refused, StateError, StateMoved, StateUnwritable, UsageError
from reconciler.model.memory import NONCES_KEPT, Document
from reconciler.stores.base import Revision, StateStore, revision_of
from reconciler.stores.holders import Committed
from reconciler.stores.ownership import knows


@dataclass(frozen=True, slots=True)
class _Leaving:
    """What is at the old place; ``began``: an earlier move retired it, and may have been broken off."""

    document: Document | None
    began: bool


@dataclass(frozen=True, slots=True)
class _There:
    """What is at the new place. ``away``: the error with which it says that this went on elsewhere."""

    document: Document | None
    away: StateMoved | None = None


def check_move(source: StateStore, target: StateStore, to: str) -> Document | None:
    """Return the document that is to move, or goes on moving; ``None``: it did, and is at the target.

    Changes nothing. Raises ``Refused`` for what may not be moved there, and what reading raises.
    """
    return _checked(source, target, to).document


def _checked(source: StateStore, target: StateStore, to: str) -> _Leaving:
    if source.where == target.where:
        raise _same_place(source)
    leaving, there = _leaving(source, to), _there(target)
    if leaving.document is None:
        arrived = _took_over(source, there)
        if not arrived:
            raise there.away or _missing(source, target)
    else:
        arrived = _has_arrived(leaving.document, there.document)
        if there.document is not None and not arrived:
            _check_replaceable(leaving.document, leaving.began, there.document, target)
    if arrived and there.away is not None:
        raise there.away  # it has arrived, and went on
    return leaving


def _leaving(source: StateStore, to: str) -> _Leaving:
    """Return the document of the old place, none if it has left for ``to`` already."""
    try:
        document, _revision = source.read()
    except StateMoved as moved:
        if moved.to != to:
            raise
        return _Leaving(source.read(retired=True)[0], True)
    if document is None:
        detail = f"{source.where} holds no state of this team."
        raise Refused("There is no state to move", detail, "Check FROM, and the files and --api given.")
    return _Leaving(document, False)


def _there(target: StateStore) -> _There:
    try:
        return _There(target.read()[0])
    except StateMoved as moved:
        return _There(target.read(retired=True)[0], moved)


def _took_over(source: StateStore, there: _There) -> bool:
    """Tell whether the new place has what left the old one."""
    left, document = source.committed(), there.document
    return bool(left and document and document.lineage == left.lineage and document.serial >= left.serial)


def _has_arrived(document: Document, there: Document | None) -> bool:
    return there is not None and _is_above(there, document) and knows(there, document)


def _is_above(one: Document | Committed, document: Document) -> bool:
    return one.lineage == document.lineage and one.serial > document.serial


def _check_replaceable(document: Document, began: bool, there: Document, target: StateStore) -> None:
    if there.lineage == document.lineage and there.serial <= document.serial and knows(document, there):
        return
    ahead = there.serial - document.serial if there.lineage == document.lineage else None
    which = "another one" if ahead is None else "one that knows more"
    hint = "Nothing was changed. Give another place, or first look what that is, and remove it there."
    if ahead is not None and abs(ahead) >= NONCES_KEPT:
        which = "too many commits away to tell whether one knows the other"
        if began and ahead > 0:
            hint = (
                "If an earlier move brought it there, all is well: go on there. The old place takes no run."
            )
    detail = f"{target.where} holds a state already, {which}: lineage {there.lineage}, serial {there.serial}."
    raise Refused("The place is taken", detail, hint)


def move(source: StateStore, target: StateStore, to: str) -> Revision:
    """Move the document; return its revision at the target. The locks are the caller's.

    Raises what ``check_move`` does, and ``StateUnwritable`` and others where it breaks off: running it again
    goes on.
    """
    leaving = _checked(source, target, to)
    document = leaving.document
    if document is None:
        return target.read()[1]
    source.retire(revision_of(document), to)
    try:
        _arrive(document, source, target, to, leaving.began)
        revision = _found(document, source, target)
        source.remove(retired=True)
    except ReconcilerError as error:
        if _is_retired(source):
            told = f"No run goes on at {source.where} before the move is done: run it again."
            error.detail = f"{error.detail} {told}".strip()
        raise
    return revision


def _is_retired(source: StateStore) -> bool:
    try:
        left = source.committed()
    except ReconcilerError:
        return True
    return left is not None and left.moved != ""


def _arrive(document: Document, source: StateStore, target: StateStore, to: str, began: bool) -> None:
    """Put the document in the new place, unless it is there.

    It stays at the old place if nothing was sent, or surely not taken; not if an earlier move ``began``: what
    that sent may still land.
    """
    try:
        there = _room(source, target, to)
    except ReconcilerError:
        _stay(document, source, began)
        raise
    if _has_arrived(document, there.document):
        return
    try:
        revision = target.push(document, returns=True)
    except ReconcilerError as error:
        if error.wrote_nothing and _took_nothing(document, target):
            _stay(document, source, began)
        raise
    _compare(document, revision, target)


def _room(source: StateStore, target: StateStore, to: str) -> _There:
    """Look at the new place again: under two names it may be the old one, and has its memory."""
    there = _there(target)
    if there.away is not None and there.away.to == to:
        raise _same_place(source)
    return there


def _stay(document: Document, source: StateStore, began: bool) -> None:
    with suppress(StateError):
        if not began:
            source.retire(revision_of(document), "")


def _took_nothing(document: Document, target: StateStore) -> bool:
    """Tell whether the new place says that nothing of ours came, nor went on from there."""
    try:
        seen = (_there(target).document, target.committed())
    except ReconcilerError:
        return False
    return not any(one is not None and _is_above(one, document) for one in seen)


def _compare(document: Document, revision: Revision, target: StateStore) -> None:
    """Compare what is read back with what was put there, unless somebody went on with it already."""
    there, at = target.read()
    if at != revision or there is None:
        return
    if replace(there, serial=document.serial, commits=document.commits) != document:
        detail = f"What was read back from {target.where} is not what was put there."
        hint = "Nothing is lost: the old place has it. If running it again helps nothing, give another place."
        raise StateUnwritable("The state did not arrive", detail, hint)


def _found(document: Document, source: StateStore, target: StateStore) -> Revision:
    """Return the revision at the new place, which had the document. Others may have gone on with it."""
    there, revision = target.read()
    if there is None or not _is_above(there, document):
        raise _missing(source, target)
    return revision


def _same_place(source: StateStore) -> UsageError:
    return UsageError("FROM and TO are the same place", f"Both are {source.where}.", "Give two places.")


def _missing(source: StateStore, target: StateStore) -> StateError:
    return StateError(
        "The state is at neither place",
        f"{source.where} says that it was moved, but {target.where} does not have it.",
        f"Put it back at the new place. The old one kept it {source.kept}.",
    )
