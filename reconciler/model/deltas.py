"""How our memory changes: a small ``Delta``, and the one pure function that makes the next document.

The serial grows by one with every commit; the lineage never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from reconciler.model.memory import (
    NONCES_KEPT,
    Acceptance,
    Amnesty,
    Applied,
    BackfillRecord,
    Document,
    Intent,
    KnownUser,
    Load,
    LoadKey,
    Override,
)


@dataclass(frozen=True, slots=True)
class Delta:
    """Upserts of each kind, and removals of some, by the keys of ``KEYS``."""

    intents: tuple[Intent, ...] = ()
    backfills: tuple[BackfillRecord, ...] = ()
    loads: tuple[Load, ...] = ()
    amnesties: tuple[Amnesty, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    users: tuple[KnownUser, ...] = ()
    applies: tuple[Applied, ...] = ()
    overrides: tuple[Override, ...] = ()
    drop_intents: tuple[str, ...] = ()
    drop_backfills: tuple[int, ...] = ()
    drop_loads: tuple[LoadKey, ...] = ()
    drop_applies: tuple[str, ...] = ()
    drop_overrides: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __add__(self, later: Delta) -> Delta:
        """Return one delta that does this one, then ``later``."""
        both: dict[str, tuple[Any, ...]] = {}
        for kind, key in KEYS.items():
            kept, drops = _joined(changes(self, kind), changes(later, kind), key)
            both[kind] = kept
            if kind in DROPPED:
                both[f"drop_{kind}"] = drops
        return Delta(**both)


KEYS: Mapping[str, Callable[[Any], Any]] = {
    "intents": attrgetter("nonce"),
    "backfills": attrgetter("seen.id"),
    "loads": attrgetter("transfer_id", "kind", "start"),
    "amnesties": attrgetter("transfer_id", "start", "serial"),
    "acceptances": attrgetter("transfer_id"),
    "users": attrgetter("key_hash"),
    "applies": attrgetter("digest"),
    "overrides": attrgetter("digest"),
}
DROPPED = ("intents", "backfills", "loads", "applies", "overrides")
"""The kinds of which something goes; the rest is only ever added to, or replaced."""

_Changes = tuple[tuple[Any, ...], tuple[Any, ...]]  # upserts, and removals by key


def changes(delta: Delta, kind: str) -> _Changes:
    """Return what a delta puts, and the keys of what it drops, of one kind."""
    return getattr(delta, kind), getattr(delta, f"drop_{kind}") if kind in DROPPED else ()


def _joined(first: _Changes, later: _Changes, key: Callable[[Any], Any]) -> _Changes:
    put, dropped = {key(item): item for item in later[0]}, set(later[1])
    kept = {key(item): item for item in first[0] if key(item) not in dropped}
    still_dropped = [name for name in first[1] if name not in put]
    return tuple((kept | put).values()), tuple(dict.fromkeys([*still_dropped, *later[1]]))


def apply_delta(document: Document, delta: Delta, nonce: str = "") -> Document:
    """Return the next document: removals first, then upserts, and the serial one higher.

    ``nonce`` is that of the commit, if it is one.
    """
    return apply_deltas(document, (delta,), (nonce,) if nonce else ())


def apply_deltas(document: Document, deltas: Iterable[Delta], nonces: Iterable[str] = ()) -> Document:
    """Return the document after each of ``deltas`` in turn, copied only once for all of them."""
    kinds: dict[str, Any] = {kind: dict(getattr(document, kind)) for kind in KEYS}
    serial = document.serial
    for delta in deltas:
        for kind, items in kinds.items():
            put, dropped = changes(delta, kind)
            for name in dropped:
                items.pop(name, None)
            items.update((KEYS[kind](item), item) for item in put)
        serial += 1
    return replace(document, serial=serial, commits=with_nonces(document.commits, nonces), **kinds)


def with_nonces(commits: tuple[str, ...], nonces: Iterable[str]) -> tuple[str, ...]:
    """Return the nonces to keep once commits with ``nonces`` were made."""
    return (*commits, *nonces)[-NONCES_KEPT:]
