"""The document as JSON text.

Writing is canonical: equal documents give equal text, keys sorted, a field a line, so that
two states diff well. Dates are inclusive ``YYYY-MM-DD``, sets of days are lists of
``"2024-01-01..2024-01-05"`` or ``"2024-01-01"``, times are RFC 3339 in UTC with ``Z``
(microseconds only where there are some), ids are numbers.

Reading is strict, since a state that is half understood buys days twice: every field must be there and of
its type, and nothing else. Layout and order are free, as people may edit the file by hand. A field we do not
know was added by a newer release, so it is refused as newer rather than dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as _quoted
from operator import attrgetter
from typing import Any

from pydantic_core import ValidationError

from reconciler.collector import collector_paused
from reconciler.errors import StateDamaged, StateNewer
from reconciler.formats.checks import MAX_ID, Bad, bad_of, first_twice, parsed
from reconciler.formats.statefields import DATA_OF, DOCUMENT, validator
from reconciler.model.deltas import KEYS
from reconciler.model.memory import VERSION, Document

RESTORE = (
    "Restore the last good copy (a local state keeps one beside it, with .backup appended). "
    "Nothing was changed."
)
UPGRADE = "Use the release of reconciler that wrote it, or a later one. Nothing was changed."

_AS_MADE = attrgetter("serial", "digest")
ORDER = {"intents": attrgetter("intended_at", "nonce"), "applies": _AS_MADE, "overrides": _AS_MADE}
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


def _in_order(name: str, items: Mapping[Any, Any]) -> list[Any]:
    """Return items by their keys; some as they were made."""
    as_made = ORDER.get(name)
    return sorted(items.values(), key=as_made) if as_made else [items[key] for key in sorted(items)]


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


def decode_document(encoded: str | bytes, source: str = "the state", hint: str = RESTORE) -> Document:
    """Return the document of ``encoded``; ``source`` and ``hint`` are words for the errors.

    Raises ``StateNewer`` for a later version or an unknown field, and ``StateDamaged``
    for anything else that is not exactly a document.
    """
    with worded(source, hint), collector_paused():
        data = parsed(encoded)
        check_version(data)
        data = validator("document").validate_python(data)
        return Document(**{**data, **{name: keyed(name, data[name]) for name in KEYS}})


@contextmanager
def worded(source: str, hint: str) -> Iterator[None]:
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


def keyed(name: str, items: list[Any]) -> dict[Any, Any]:
    """Return the items of a kind by their keys. Raises ``Bad`` if one stands twice."""
    key = KEYS[name]
    found = {key(item): item for item in items}
    if len(found) != len(items):
        raise Bad(f"two entries have the key {first_twice(map(key, items))!r}", name)
    return found


def check_version(data: Any) -> None:
    """Refuse a later version before anything else is looked at."""
    version = data.get("version") if type(data) is dict else None
    if type(version) is int and VERSION < version <= MAX_ID:
        raise Bad(f"its version is {version}, and this release reads {VERSION}", "version", newer=True)
