"""Histories of what many writers did at once, and whether a compare-and-set register explains them.

In general that is hard to decide: every order of overlapping operations may have to be tried. Here one order
alone comes into question. Each commit names the revision that it follows, and adds a name of its own, so no
revision ever comes back, and the document read last says which commits took effect, each at the place that
its serial gives it. What is left is to find a moment for each operation between its call and its answer, in
that order: a read of a revision between the commit that made it and the next. Taking for each the earliest
moment that those before it leave open is the best for all those after it; so if that fails, nothing else
would do. A commit whose answer was lost may take effect at any time after its call, or never.
``test_histories.py`` holds this against trying every order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from reconciler.errors import StateConflict, StateUnwritable
from reconciler.model.deltas import Delta
from reconciler.stores.base import Revision, StateStore

FOREVER = float("inf")


class Kind(Enum):
    READ = auto()
    DONE = auto()
    CONFLICT = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Operation:
    """``at`` is what was read, or what a commit expected; ``names`` what a read held. Times are monotonic."""

    kind: Kind
    began: float
    ended: float
    at: Revision
    name: str = ""
    made: Revision | None = None
    names: frozenset[str] = frozenset()

    @property
    def last(self) -> float:
        """Return the last moment at which it may have taken effect."""
        return FOREVER if self.kind is Kind.UNKNOWN else self.ended


# --- making one ---------------------------------------------------------------------------


def read(store: StateStore) -> Operation:
    """Read, and note it."""
    began = time.monotonic()
    document, revision = store.read()
    names = frozenset(document.intents) if document else frozenset[str]()
    return Operation(Kind.READ, began, time.monotonic(), revision, names=names)


def commit(store: StateStore, delta: Delta, expected: Revision) -> Operation:
    """Commit a delta that adds one intent, and note how it went."""
    (intent,) = delta.intents
    kind, made, began = Kind.DONE, None, time.monotonic()
    try:
        made = store.commit(delta, expected)
    except StateConflict:
        kind = Kind.CONFLICT
    except StateUnwritable:
        kind = Kind.UNKNOWN
    return Operation(kind, began, time.monotonic(), expected, intent.nonce, made)


# --- judging one --------------------------------------------------------------------------


def faults_of(history: Sequence[Operation]) -> list[str]:
    """Return what no register explains, in words. The history ends with a read after all else."""
    final = max((one for one in history if one.kind is Kind.READ), key=lambda one: one.began)
    found = [*_of_revisions(history)]
    chain: list[Operation] = []
    for serial in range(1, final.at.serial + 1):
        makers = [one for one in _effective(history, final.names) if one.at.serial == serial - 1]
        if len(makers) != 1:
            return [*found, f"serial {serial} was made by {[one.name for one in makers]}"]
        chain += makers
    found += _of_names(history, chain)
    return [*found, *_of_time(history, chain)]


def _effective(history: Sequence[Operation], names: frozenset[str]) -> Iterator[Operation]:
    """Yield the commits that took effect."""
    for one in history:
        if one.kind is Kind.DONE or (one.kind is Kind.UNKNOWN and one.name in names):
            yield one


def _of_revisions(history: Sequence[Operation]) -> Iterator[str]:
    """A serial is that of one revision."""
    known: dict[int, Revision] = {}
    for one in history:
        for revision in (one.at, one.made):
            if revision and known.setdefault(revision.serial, revision) != revision:
                yield f"two revisions {revision.serial}: {revision}, {known[revision.serial]}"
        if one.made and one.made.serial != one.at.serial + 1:
            yield f"{one.name} was to follow {one.at.serial} and became {one.made.serial}"


def _of_names(history: Sequence[Operation], chain: Sequence[Operation]) -> Iterator[str]:
    """What succeeded is there, what did not is not, and each read holds what came before it and no more."""
    names = [one.name for one in chain]
    for one in history:
        if one.kind is Kind.READ and (
            one.at.serial > len(chain) or one.names != frozenset(names[: one.at.serial])
        ):
            yield f"serial {one.at.serial} was read with {sorted(one.names)}; made were {names}"
        if one.kind is Kind.DONE and one.name not in names:
            yield f"{one.name} is lost"


def _of_time(history: Sequence[Operation], chain: Sequence[Operation]) -> Iterator[str]:
    """Each has its moment between its call and its answer, in the one order."""
    moments = [-FOREVER]
    now = -FOREVER
    for serial in range(len(chain) + 1):
        if serial:
            now = max(now, chain[serial - 1].began)
            moments.append(now)
            if now > chain[serial - 1].last:
                yield f"{chain[serial - 1].name} was over before what it follows"
        reads = [one for one in history if one.kind is Kind.READ and one.at.serial == serial]
        began = [max(now, one.began) for one in reads]
        for moment, one in zip(began, reads, strict=True):
            if moment > one.ended:
                yield f"serial {serial} was read before it was made"
        now = max([now, *began])
    yield from _of_conflicts(history, [*moments, FOREVER])


def _of_conflicts(history: Sequence[Operation], moments: Sequence[float]) -> Iterator[str]:
    """Who was turned away was late: what it expected was known to it, and so can only have been replaced."""
    replaced = [after for _, after in pairwise(moments)]
    for one in history:
        if one.kind is Kind.CONFLICT and one.ended < replaced[one.at.serial]:
            yield f"{one.name} was turned away though serial {one.at.serial} was still there"
