"""A document in the tables of a database, and its statements: SQLite now, PostgreSQL later.

    head     one row: lineage, serial, the document's other fields, and the seal
    record   one row for each record: kind, key and value

Every function runs inside a transaction that its caller holds. The seal is the sum of the checksums of all
rows, so a commit need not read the others. By it a flipped bit is found on reading, and the half of a commit
that a copy made without the journal has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

from reconciler.errors import StateDamaged, StateNewer
from reconciler.formats.statefile import UPGRADE
from reconciler.formats.staterows import Row, head_text, read_head, read_records, record_rows
from reconciler.model.deltas import KEYS, Delta, apply_deltas
from reconciler.model.memory import Document

TABLES = (
    "CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), lineage TEXT NOT NULL,"
    " serial BIGINT NOT NULL, fields TEXT NOT NULL, seal BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS record (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (kind, key))",
)
_SEALS = 2**62  # a seal is a number below that


@dataclass(frozen=True, slots=True)
class Head:
    """The row of ``head`` as it stands there. Equal ones mean equal documents."""

    lineage: str
    serial: int
    fields: str
    seal: int

    @property
    def checksum(self) -> int:
        return crc32(f"{self.lineage}\n{self.serial}\n{self.fields}".encode(errors="replace"))


@dataclass(slots=True)
class Known:
    """What the database held when it was last read or written. ``bare`` is the document without its records.

    ``records`` is one that lacks ``pending``, which are applied when somebody asks: so a commit costs the
    same whatever the document's size.
    """

    head: Head
    bare: Document
    records: Document
    pending: list[Delta] = field(default_factory=list)

    def whole(self) -> Document:
        if self.records.serial != self.bare.serial:
            records = apply_deltas(self.records, self.pending)
            self.records = replace(self.bare, **{kind: getattr(records, kind) for kind in KEYS})
            self.pending = []
        return self.records


def bare(document: Document) -> Document:
    """Return a document without its records."""
    nothing: dict[str, Any] = {kind: {} for kind in KEYS}
    return replace(document, **nothing)


def find_head(connection: sqlite3.Connection) -> Head | None:
    row = connection.execute("SELECT lineage, serial, fields, seal FROM head").fetchone()
    return None if row is None else Head(*row)


def load_head(head: Head, source: str, hint: str) -> Document:
    """Return the document of ``head`` without its records. Raises ``StateDamaged`` and ``StateNewer``."""
    return read_head(head.lineage, head.serial, head.fields, source, hint)


def load_records(connection: sqlite3.Connection, head: Head, source: str, hint: str) -> dict[str, Any]:
    """Return the records of each kind by their keys.

    Raises ``StateDamaged`` for rows that are not those the head was written with, and ``StateNewer``.
    """
    found: dict[str, list[str]] = {kind: [] for kind in KEYS}
    rows = connection.execute("SELECT kind, key, value FROM record ORDER BY kind, key").fetchall()
    if (_sum(rows) + head.checksum) % _SEALS != head.seal:
        what = f"In {source}: its rows are not those that were committed with serial {head.serial}."
        raise StateDamaged("The state is damaged", what, hint)
    for kind, _key, value in rows:
        if kind not in found:
            detail = f"{source} has records of a kind that is not known: {kind[:40]!r}."
            raise StateNewer("The state was written by a newer release", detail, UPGRADE)
        found[kind].append(value)
    return {kind: read_records(kind, values, source, hint) for kind, values in found.items()}


def change(
    connection: sqlite3.Connection,
    before: Head | None,
    after: Document,
    rows: Sequence[Row],
    dropped: Sequence[tuple[str, str]],
) -> Head | None:
    """Put and drop rows, and make ``after`` the head where ``before`` is; ``None`` if that is not there."""
    touched = dict.fromkeys([*dropped, *((kind, key) for kind, key, _value in rows)])
    gone = [(*at, value) for at in touched for value in _values_at(connection, at)]
    if dropped:
        connection.executemany("DELETE FROM record WHERE kind = ? AND key = ?", dropped)
    connection.executemany(
        "INSERT INTO record (kind, key, value) VALUES (?, ?, ?)"
        " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value",
        rows,
    )
    there = {(kind, key): value for kind, key, value in rows}
    records = 0 if before is None else before.seal - before.checksum
    records += _sum((*at, value) for at, value in there.items()) - _sum(gone)
    return _put_head(connection, before, after, records)


def _values_at(connection: sqlite3.Connection, at: tuple[str, str]) -> list[str]:
    found = connection.execute("SELECT value FROM record WHERE kind = ? AND key = ?", at).fetchall()
    return [value for (value,) in found]


def _put_head(
    connection: sqlite3.Connection, before: Head | None, after: Document, records: int
) -> Head | None:
    """Write the head, where ``before`` stands: of two that saw it only one can."""
    unsealed = Head(after.lineage, after.serial, head_text(after), 0)
    head = replace(unsealed, seal=(records + unsealed.checksum) % _SEALS)
    values = (head.lineage, head.serial, head.fields, head.seal)
    if before is None:
        connection.execute(
            "INSERT INTO head (one, lineage, serial, fields, seal) VALUES (1, ?, ?, ?, ?)", values
        )
        return head
    found = connection.execute(
        "UPDATE head SET lineage = ?, serial = ?, fields = ?, seal = ? WHERE serial = ? AND lineage = ?",
        (*values, before.serial, before.lineage),
    )
    return head if found.rowcount == 1 else None


def write_whole(connection: sqlite3.Connection, document: Document) -> None:
    """Make ``document`` what the tables hold, whatever they held."""
    connection.execute("DELETE FROM head")
    connection.execute("DELETE FROM record")
    change(connection, None, document, record_rows(document), ())


def _sum(rows: Iterable[Row]) -> int:
    return sum(crc32(f"{kind}\n{key}\n{value}".encode(errors="replace")) for kind, key, value in rows)
