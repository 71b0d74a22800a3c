"""The document and its deltas as JSON text.

Writing is canonical: equal documents give equal text, keys sorted, a field a line, so that
two states diff well. Dates are inclusive ``YYYY-MM-DD``, sets of days are lists of
``"2024-01-01..2024-01-05"`` or ``"2024-01-01"``, times are RFC 3339 in UTC with ``Z``
(microseconds only where there are some), ids are numbers.

Reading is strict, since a state that is half understood buys days twice: every field must
be there and of its type, and nothing else. Layout and order are free, as people edit the
file by hand. A field we do not know was added by a newer release, so it is refused as newer
rather than dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from pydantic_core import SchemaValidator, ValidationError

from reconciler.collector import collector_paused
from reconciler.dates import EMPTY, Span
from reconciler.errors import StateDamaged, StateNewer
from reconciler.formats import checks
from reconciler.formats.checks import MAX_ID, Bad, bad_of, days, end_day, evidence, first_day, time
from reconciler.formats.statetext import delta_text, document_text
from reconciler.model.memory import (
    VERSION,
    BackfillRecord,
    Delta,
    Document,
    Intent,
    IntentKind,
    Origin,
    Outcome,
)
from reconciler.model.observed import Backfill, Status

K = TypeVar("K", int, str)
S = TypeVar("S", bound=Span)

RESTORE = (
    "Restore the last good copy (a local state keeps one beside it, with .backup appended). "
    "Nothing was changed."
)
UPGRADE = "Use the release of reconciler that wrote it, or a later one. Nothing was changed."


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


def decode_document(
    encoded: str | bytes, source: str = "the state", hint: str = RESTORE, *, ours: bool = False
) -> Document:
    """Return the document of ``encoded``; ``source`` and ``hint`` are words for the errors.

    ``ours``: a digest tells that we wrote it, so no key can stand twice in it, and it reads faster.
    Raises ``StateNewer`` for a later version or an unknown field, and ``StateDamaged``
    for anything else that is not exactly a document.
    """
    with _worded(source, hint), collector_paused():
        return _document(encoded, ours)


def decode_delta(encoded: str | bytes, source: str = "the delta", hint: str = RESTORE) -> Delta:
    """Return the delta of ``encoded``. Raises as ``decode_document`` does."""
    with _worded(source, hint):
        return _delta(checks.parsed(encoded))


def read_delta(data: Any, source: str, hint: str) -> Delta:
    """Return the delta that parsed JSON holds. Raises as ``decode_document`` does."""
    with _worded(source, hint):
        return _delta(data)


def _document(encoded: str | bytes, ours: bool) -> Document:
    data = _shaped_as_ours(encoded) if ours else None
    if data is None:
        data = checks.parsed(encoded)
        _check_version(data)
        data = _validator("document").validate_python(data)
    intents = _each(data, "intents", _intent)
    backfills = _each(data, "backfills", _backfill)
    keyed_intents = _keyed("intents", intents, [intent.nonce for intent in intents])
    keyed_backfills = _keyed("backfills", backfills, [record.seen.id for record in backfills])
    return Document(**{**data, "intents": keyed_intents, "backfills": keyed_backfills})


def _shaped_as_ours(encoded: str | bytes) -> dict[str, Any] | None:
    """Parse and check in one stroke what cannot hold a key twice; ``None``: look again, and say why."""
    try:
        data: dict[str, Any] = _validator("document").validate_json(encoded)
    except ValidationError:
        return None
    return data if data["version"] == VERSION else None


def _delta(data: Any) -> Delta:
    data = _validator("delta").validate_python(data)
    return Delta(
        intents=tuple(_each(data, "intents", _intent)),
        backfills=tuple(_each(data, "backfills", _backfill)),
        drop_intents=tuple(data["drop_intents"]),
        drop_backfills=tuple(data["drop_backfills"]),
    )


@contextmanager
def _worded(source: str, hint: str) -> Iterator[None]:
    """Turn what a check found into an error that says where."""
    try:
        yield
    except (Bad, ValidationError) as error:
        bad = error if isinstance(error, Bad) else bad_of(error)
        where = f" at {bad.where}" if bad.where else ""
        if bad.newer:
            detail = f"In {source}{where}: {bad.what}."
            raise StateNewer("The state was written by a newer release", detail, UPGRADE) from None
        raise StateDamaged("The state is damaged", f"In {source}{where}: {bad.what}.", hint) from None


# --- the objects, field by field ------------------------------------------------------------

_INTENT = {
    "nonce": checks.FILLED,
    "kind": checks.choice(IntentKind),
    "transfer_id": checks.WHOLE,
    "transfer": checks.TEXT,
    "start": checks.TEXT,
    "end": checks.TEXT,
    "intended_at": checks.TIME,
    "send_before": checks.TIME,
    "latest_before": checks.MAYBE_WHOLE,
    "stale_before": checks.MAYBE_TIME,
    "outcome": checks.choice(Outcome),
    "backfill_id": checks.MAYBE_WHOLE,
    "blocker": checks.MAYBE_WHOLE,
}
_BACKFILL = {
    "id": checks.WHOLE,
    "transfer_id": checks.WHOLE,
    "transfer": checks.TEXT,
    "start": checks.TEXT,
    "end": checks.TEXT,
    "status": checks.choice(Status),
    "created_time": checks.TIME,
    "origin": checks.choice(Origin),
    "total": checks.WHOLE,
    "completed": checks.WHOLE,
    "failed": checks.WHOLE,
    "failed_days": checks.DAYS,
    "start_time": checks.MAYBE_TIME,
    "end_time": checks.MAYBE_TIME,
    "removed_time": checks.MAYBE_TIME,
    "stale_before": checks.MAYBE_TIME,
    "evidence": checks.EVIDENCE,
    "settled": checks.FLAG,
    "gone": checks.FLAG,
}
_INTENTS = checks.several(checks.an_object(_INTENT))
_BACKFILLS = checks.several(checks.an_object(_BACKFILL))
_SHAPES = {
    "document": {
        "team_id": checks.WHOLE,
        "api_url": checks.TEXT,
        "lineage": checks.FILLED,
        "serial": checks.POSITIVE,
        "written_by": checks.TEXT,
        "intents": _INTENTS,
        "backfills": _BACKFILLS,
        "version": checks.POSITIVE,
    },
    "delta": {
        "intents": _INTENTS,
        "backfills": _BACKFILLS,
        "drop_intents": checks.several(checks.FILLED),
        "drop_backfills": checks.several(checks.WHOLE),
    },
}


@cache
def _validator(shape: str) -> SchemaValidator:
    """Return that of a document or of a delta, made when one is first read."""
    # Keys recur; of other texts there are too many to keep.
    return SchemaValidator(checks.an_object(_SHAPES[shape]), {"cache_strings": "keys"})


# Both are called for each of tens of thousands of items: so no helper a field.


def _intent(data: dict[str, Any]) -> Intent:
    start, end, stale_before = first_day(data["start"]), end_day(data["end"]), data["stale_before"]
    if start >= end:
        raise Bad("the range ends before it starts", "end")
    return Intent(
        data["nonce"],
        data["kind"],
        data["transfer_id"],
        data["transfer"],
        start,
        end,
        time(data["intended_at"]),
        time(data["send_before"]),
        data["latest_before"],
        None if stale_before is None else time(stale_before),
        data["outcome"],
        data["backfill_id"],
        data["blocker"],
    )


def _backfill(data: dict[str, Any]) -> BackfillRecord:
    """Return a record of an object in which what was seen and what is ours stand side by side."""
    start, end = first_day(data["start"]), end_day(data["end"])
    if start >= end:
        raise Bad("the range ends before it starts", "end")
    started, ended, removed = data["start_time"], data["end_time"], data["removed_time"]
    failed, stale_before = data["failed_days"], data["stale_before"]
    seen = Backfill(
        data["id"],
        data["transfer_id"],
        start,
        end,
        data["status"],
        time(data["created_time"]),
        None if started is None else time(started),
        None if ended is None else time(ended),
        None if removed is None else time(removed),
        data["total"],
        data["completed"],
        data["failed"],
        days(failed) if failed else EMPTY,
    )
    return BackfillRecord(
        seen,
        data["transfer"],
        data["origin"],
        None if stale_before is None else time(stale_before),
        evidence(data["evidence"]),
        data["settled"],
        data["gone"],
    )


def _each(data: dict[str, Any], name: str, made: Callable[[dict[str, Any]], S]) -> list[S]:
    """Return what is made of each item of a list. What is wrong is said with its place."""
    items: list[S] = []
    try:
        for item in data[name]:
            items.append(made(item))
    except ValueError as error:
        number = len(items)
        raise checks.blamed(data[name][number], error).inside(f"{name}[{number}]") from None
    return items


def _keyed(name: str, items: list[S], keys: list[K]) -> dict[K, S]:
    keyed = dict(zip(keys, items, strict=True))
    if len(keyed) != len(items):
        raise Bad(f"two entries have the key {checks.first_twice(keys)!r}", name)
    return keyed


def _check_version(data: Any) -> None:
    """Refuse a later version before anything else is looked at."""
    version = data.get("version") if type(data) is dict else None
    if type(version) is int and VERSION < version <= MAX_ID:
        raise Bad(f"its version is {version}, and this release reads {VERSION}", "version", newer=True)
