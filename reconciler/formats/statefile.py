"""The document and its deltas as JSON text.

Writing is canonical: equal documents give equal text, keys sorted, a field a line, so that
two states diff well. Dates are inclusive ``YYYY-MM-DD``, sets of days are lists of
``"2024-01-01..2024-01-05"`` or ``"2024-01-01"``, times are RFC 3339 in UTC with ``Z``
(microseconds only where there are some), ids are numbers.

Reading is strict, since a state that is half understood buys days twice: every field must be there and of
its type, and nothing else. Layout and order are free, as people edit the file by hand. A field we do not
know was added by a newer release, so it is refused as newer rather than dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from pydantic_core import ValidationError

from reconciler.collector import collector_paused
from reconciler.errors import StateDamaged, StateNewer
from reconciler.formats.checks import MAX_ID, Bad, bad_of, first_twice, parsed
from reconciler.formats.statefields import DATA_OF, DELTA, DOCUMENT, validator
from reconciler.model.memory import KEYS, VERSION, Delta, Document

RESTORE = (
    "Restore the last good copy (a local state keeps one beside it, with .backup appended). "
    "Nothing was changed."
)
UPGRADE = "Use the release of reconciler that wrote it, or a later one. Nothing was changed."

_compact = json.JSONEncoder(separators=(",", ":")).encode
_spaced = json.JSONEncoder().encode


def encode_document(document: Document) -> str:
    """Return the canonical text of ``document``, ending in a newline.

    Raises ``ValueError`` for what could not be read back: an empty range, a time without
    a zone, a document that was never written. That is a bug of the caller.
    """
    if not document.lineage or document.serial < 1 or document.version != VERSION:
        raise ValueError("only a document with a lineage, a serial and this version can be written")
    lists = {name: _listed(map(DATA_OF[name], _in_order(name, getattr(document, name)))) for name in KEYS}
    top = {name: lists.get(name) or _spaced(getattr(document, name)) for name in sorted(DOCUMENT)}
    return "{\n" + ",\n".join(f'  "{name}": {text}' for name, text in top.items()) + "\n}\n"


def encode_delta(delta: Delta) -> str:
    """Return ``delta`` as one line of JSON, without the newline.

    Raises ``ValueError`` unless it reads back as the same delta: what could not be read
    again must never reach a journal.
    """
    lists = {name: map(DATA_OF[name], getattr(delta, name)) for name in KEYS}
    encoded = _compact({name: list(lists.get(name, getattr(delta, name))) for name in sorted(DELTA)})
    try:
        same = decode_delta(encoded) == delta
    except (StateDamaged, StateNewer) as error:
        raise ValueError(f"a delta that could not be read back: {error.detail}") from error
    if not same:
        raise ValueError("a delta that would read back as another one")
    return encoded


def _in_order(name: str, items: Mapping[Any, Any]) -> list[Any]:
    """Return items by their keys; intents as they were made."""
    if name == "intents":
        return sorted(items.values(), key=lambda intent: (intent.intended_at, intent.nonce))
    return [items[key] for key in sorted(items)]


def _listed(items: Iterable[dict[str, Any]]) -> str:
    text = ",\n".join(map(_block, items))
    return f"[\n{text}\n  ]" if text else "[]"


def _block(data: dict[str, Any]) -> str:
    lines = ",\n".join([f'      "{key}": {_value_text(value)}' for key, value in data.items()])
    return "    {\n" + lines + "\n    }"


def _value_text(value: Any) -> str:
    """Return JSON for one value; the common kinds without the encoder's set-up, five times faster."""
    if value is None:
        return "null"
    if type(value) is str:
        return _quoted(value)
    if type(value) is int:
        return str(value)
    if type(value) is bool:
        return "true" if value else "false"
    return _spaced(value)


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
        data = parsed(encoded)
    return read_delta(data, source, hint)


def read_delta(data: Any, source: str, hint: str) -> Delta:
    """Return the delta that parsed JSON holds. Raises as ``decode_document`` does."""
    with _worded(source, hint):
        read = validator("delta").validate_python(data)
    return Delta(**{name: tuple(values) for name, values in read.items()})


def _document(encoded: str | bytes, ours: bool) -> Document:
    data = _read_as_ours(encoded) if ours else None
    if data is None:
        data = parsed(encoded)
        _check_version(data)
        data = validator("document").validate_python(data)
    return Document(**{**data, **{name: _keyed(name, data[name], key) for name, key in KEYS.items()}})


def _read_as_ours(encoded: str | bytes) -> dict[str, Any] | None:
    """Parse and read in one stroke what cannot hold a key twice; ``None``: look again, and say why."""
    try:
        data: dict[str, Any] = validator("document").validate_json(encoded)
    except ValidationError:
        return None
    return data if data["version"] == VERSION else None


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


def _keyed(name: str, items: list[Any], key: Callable[[Any], Any]) -> dict[Any, Any]:
    keyed = {key(item): item for item in items}
    if len(keyed) != len(items):
        raise Bad(f"two entries have the key {first_twice(map(key, items))!r}", name)
    return keyed


def _check_version(data: Any) -> None:
    """Refuse a later version before anything else is looked at."""
    version = data.get("version") if type(data) is dict else None
    if type(version) is int and VERSION < version <= MAX_ID:
        raise Bad(f"its version is {version}, and this release reads {VERSION}", "version", newer=True)
