"""The document and its deltas as JSON text.

Writing is canonical: equal documents give equal text, keys sorted, a field a line, so that
two states diff well. Dates are inclusive ``YYYY-MM-DD``, sets of days are lists of
``"2024-01-01..2024-01-05"`` or ``"2024-01-01"``, times are RFC 3339 in UTC with ``Z``
(microseconds only where there are some), ids are numbers.

Reading is strict, since a state that is half understood buys days twice: every field must
be there and of its type, and nothing else. Layout and order are free, as people edit the
file by hand. A field we do not know was added by a newer release, so it is refused as newer
rather than dropped. The checks are written by hand: 100,000 records must load in seconds,
and pydantic would neither see duplicate keys nor build our dataclasses.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from reconciler.dates import union
from reconciler.errors import StateDamaged, StateNewer
from reconciler.formats.checks import (
    Bad,
    check_keys,
    choice,
    day_range,
    days,
    filled,
    first_twice,
    flag,
    maybe_time,
    maybe_whole,
    parsed,
    positive,
    text,
    time,
    whole,
)
from reconciler.formats.statetext import EVIDENCE_NAMES, delta_text, document_text
from reconciler.model.memory import (
    NOTHING_KNOWN,
    VERSION,
    BackfillRecord,
    DayEvidence,
    Delta,
    Document,
    Intent,
    IntentKind,
    Origin,
    Outcome,
)
from reconciler.model.observed import Backfill, Status

K = TypeVar("K")
V = TypeVar("V")

RESTORE = (
    "Restore the last good copy (a local state keeps one beside it, with .backup appended). "
    "Nothing was changed."
)
UPGRADE = "Use the release of reconciler that wrote it, or a later one. Nothing was changed."

_EVIDENCE_KEYS = frozenset(EVIDENCE_NAMES)
_INTENT_KEYS = frozenset(one.name for one in fields(Intent))
_BACKFILL_KEYS = frozenset(one.name for kind in (Backfill, BackfillRecord) for one in fields(kind)) - {"seen"}
_DOCUMENT_KEYS = frozenset(one.name for one in fields(Document))
_DELTA_KEYS = frozenset(one.name for one in fields(Delta))


def encode_document(document: Document) -> str:
    """Return the canonical text of ``document``, ending in a newline.

    Raises ``ValueError`` for what could not be read back: an empty range, a time without
    a zone, a document that was never written. That is a bug of the caller.
    """
    if not document.lineage or document.serial < 1 or document.version != VERSION:
        raise ValueError("only a document with a lineage, a serial and this version can be written")
    return document_text(document)


def encode_delta(delta: Delta) -> str:
    """Return ``delta`` as one line of JSON, without the newline.

    Raises ``ValueError`` unless it reads back as the same delta: what could not be read
    again must never reach a journal.
    """
    encoded = delta_text(delta)
    try:
        same = decode_delta(encoded) == delta
    except (StateDamaged, StateNewer) as error:
        raise ValueError(f"a delta that could not be read back: {error.detail}") from error
    if not same:
        raise ValueError("a delta that would read back as another one")
    return encoded


def decode_document(encoded: str | bytes, source: str = "the state", hint: str = RESTORE) -> Document:
    """Return the document of ``encoded``; ``source`` and ``hint`` are words for the errors.

    Raises ``StateNewer`` for a later version or an unknown field, and ``StateDamaged``
    for anything else that is not exactly a document.
    """
    with _worded(source, hint), _collector_paused():
        return _document(parsed(encoded))


def decode_delta(encoded: str | bytes, source: str = "the delta", hint: str = RESTORE) -> Delta:
    """Return the delta of ``encoded``. Raises as ``decode_document`` does."""
    with _worded(source, hint):
        return _delta(parsed(encoded))


@contextmanager
def _worded(source: str, hint: str) -> Iterator[None]:
    """Turn what a check found into an error that says where."""
    try:
        yield
    except Bad as bad:
        where = f" at {bad.where}" if bad.where else ""
        if bad.newer:
            detail = f"In {source}{where}: {bad.what}."
            raise StateNewer("The state was written by a newer release", detail, UPGRADE) from None
        raise StateDamaged("The state is damaged", f"In {source}{where}: {bad.what}.", hint) from None


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking a growing heap again and again (2 to 4 times slower)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _document(data: Any) -> Document:
    if type(data) is not dict:
        raise Bad("it is not a JSON object")
    _check_version(data)
    check_keys(data, _DOCUMENT_KEYS)
    return Document(
        team_id=whole(data, "team_id"),
        api_url=text(data, "api_url"),
        lineage=filled(data, "lineage"),
        serial=positive(data, "serial"),
        written_by=text(data, "written_by"),
        intents=_keyed(data, "intents", _intent, lambda one: one.nonce),
        backfills=_keyed(data, "backfills", _backfill, lambda one: one.id),
    )


def _check_version(data: dict[str, Any]) -> None:
    """Refuse a later version before anything else is looked at."""
    version = positive(data, "version") if "version" in data else None
    if version is None:
        raise Bad("the field 'version' is missing")
    if version > VERSION:
        raise Bad(f"its version is {version}, and this release reads {VERSION}", "version", newer=True)


def _delta(data: Any) -> Delta:
    if type(data) is not dict:
        raise Bad("it is not a JSON object")
    check_keys(data, _DELTA_KEYS)
    return Delta(
        intents=tuple(_each(data, "intents", _intent)),
        backfills=tuple(_each(data, "backfills", _backfill)),
        drop_intents=tuple(_each(data, "drop_intents", _dropped_nonce)),
        drop_backfills=tuple(_each(data, "drop_backfills", _dropped_id)),
    )


def _dropped_nonce(item: Any) -> str:
    return filled({"nonce": item}, "nonce")


def _dropped_id(item: Any) -> int:
    return whole({"id": item}, "id")


def _keyed(data: dict[str, Any], name: str, read: Callable[[Any], V], key: Callable[[V], K]) -> Mapping[K, V]:
    ones = _each(data, name, read)
    keyed = {key(one): one for one in ones}
    if len(keyed) != len(ones):
        raise Bad(f"two entries have the key {first_twice(map(key, ones))!r}", name)
    return keyed


def _each(data: dict[str, Any], name: str, read: Callable[[Any], V]) -> list[V]:
    items = data[name]
    if type(items) is not list:
        raise Bad("it is not a list", name)
    ones: list[V] = []
    try:
        for item in items:
            ones.append(read(item))
    except Bad as bad:
        raise bad.inside(f"{name}[{len(ones)}]") from None
    return ones


def _backfill(data: Any) -> BackfillRecord:
    if type(data) is not dict:
        raise Bad("it is not an object")
    check_keys(data, _BACKFILL_KEYS)
    start, end = day_range(data)
    seen = Backfill(
        id=whole(data, "id"),
        transfer_id=whole(data, "transfer_id"),
        start=start,
        end=end,
        status=choice(data, "status", Status),
        created_time=time(data, "created_time"),
        total=whole(data, "total"),
        completed=whole(data, "completed"),
        failed=whole(data, "failed"),
        failed_days=days(data, "failed_days"),
        start_time=maybe_time(data, "start_time"),
        end_time=maybe_time(data, "end_time"),
        removed_time=maybe_time(data, "removed_time"),
    )
    return BackfillRecord(
        seen=seen,
        transfer=text(data, "transfer"),
        origin=choice(data, "origin", Origin),
        stale_before=maybe_time(data, "stale_before"),
        evidence=_evidence(data["evidence"]),
        settled=flag(data, "settled"),
        gone=flag(data, "gone"),
    )


def _intent(data: Any) -> Intent:
    if type(data) is not dict:
        raise Bad("it is not an object")
    check_keys(data, _INTENT_KEYS)
    start, end = day_range(data)
    return Intent(
        nonce=filled(data, "nonce"),
        kind=choice(data, "kind", IntentKind),
        transfer_id=whole(data, "transfer_id"),
        transfer=text(data, "transfer"),
        start=start,
        end=end,
        intended_at=time(data, "intended_at"),
        send_before=time(data, "send_before"),
        latest_before=maybe_whole(data, "latest_before"),
        stale_before=maybe_time(data, "stale_before"),
        outcome=choice(data, "outcome", Outcome),
        backfill_id=maybe_whole(data, "backfill_id"),
        blocker=maybe_whole(data, "blocker"),
    )


def _evidence(data: Any) -> DayEvidence:
    if type(data) is not dict:
        raise Bad("it is not an object", "evidence")
    if not data:
        return NOTHING_KNOWN
    try:
        check_keys(dict.fromkeys(EVIDENCE_NAMES) | data, _EVIDENCE_KEYS)
        sets = {name: days(data, name) for name in data}
        if len(sets) > 1 and len(union(sets.values())) != sum(map(len, sets.values())):
            raise Bad("a day stands in two of its sets")
    except Bad as bad:
        raise bad.inside("evidence") from None
    return DayEvidence(**sets)
