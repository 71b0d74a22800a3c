"""The journal of a local state: the commits since the JSON was last written. Pure: bytes to values.

A line is one JSON object that ends in ``"digest"``: SHA-256 over the digest before it and
its own bytes. So the lines are a chain, and no bit of them changes unnoticed. The first
line, the header, ties the chain to a document: its lineage, its serial, the digest of its
bytes, and the token it had, which the chain carries on.

Which bad end is a torn one? A commit is acted upon once its fsync returned, so dropping a
line that was complete could buy days twice. A line is torn, and dropped, if it has no
newline, or holds a stretch of zeros that the disk never wrote. A complete line with a wrong
digest is damage even at the very end: a crash cuts lines off, it does not rewrite them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from reconciler.errors import StateDamaged, StateNewer
from reconciler.formats.statefile import UPGRADE, encode_delta, read_delta
from reconciler.model.memory import Delta

VERSION = 1
_UNWRITTEN = b"\0" * 16
_SEAL_END = b'"}'
_SEAL_LENGTH = len(b',"digest":""}') + 64
RESTORE = (
    "What follows the bad line was committed, and is lost if the journal is removed. Restore the "
    "whole folder from a copy, or move the journal away."
)


@dataclass(frozen=True, slots=True)
class Header:
    """What the lines continue: a document by lineage, serial and digest, and the token it had."""

    lineage: str
    serial: int
    token: str
    document_digest: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One commit: the delta that made the document of ``serial``, and the release that wrote it."""

    serial: int
    written_by: str
    delta: Delta


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal as read. ``size`` counts the bytes of good lines, of which ``last_line`` is the last."""

    header: Header
    entries: tuple[JournalEntry, ...]
    digest: str
    size: int
    last_line: bytes
    torn: bool

    @property
    def end_serial(self) -> int:
        return self.header.serial + len(self.entries)

    @property
    def token(self) -> str:
        """Return the token of the document after the last entry."""
        return self.digest if self.entries else self.header.token


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def header_line(header: Header) -> tuple[bytes, str]:
    """Return the first line of a journal, and its digest."""
    data = {
        "journal": VERSION,
        "lineage": header.lineage,
        "serial": header.serial,
        "token": header.token,
        "document": header.document_digest,
    }
    return _sealed(_compact(data), "")


def entry_line(entry: JournalEntry, previous: str) -> tuple[bytes, str]:
    """Return the line of ``entry`` after the one with digest ``previous``, and its digest.

    Raises ``ValueError`` for a delta that could not be read back.
    """
    start = _compact({"serial": entry.serial, "written_by": entry.written_by})
    return _sealed(f'{start[:-1]},"delta":{encode_delta(entry.delta)}}}', previous)


def _compact(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


def _sealed(body: str, previous: str) -> tuple[bytes, str]:
    """Return an object's text with its digest as the last field, and the digest."""
    digest = digest_of(f"{previous}\n{body}".encode())
    return f'{body[:-1]},"digest":"{digest}"}}\n'.encode(), digest


def _opened(line: bytes, previous: str) -> tuple[dict[str, Any], str] | None:
    """Return a line's object and digest; ``None`` unless it is byte for byte what was sealed."""
    body = line[:-_SEAL_LENGTH] + b"}"
    digest = digest_of(previous.encode() + b"\n" + body)
    if line != body[:-1] + b',"digest":"' + digest.encode() + b'"}':
        return None
    opened: dict[str, Any] = json.loads(body)
    return opened, digest


def parse(data: bytes, source: str) -> Journal:
    """Return the journal that ``data`` holds. ``source`` names it in errors.

    Raises ``StateDamaged`` for any bad line but a torn last one, and ``StateNewer`` for the
    journal of a later release.
    """
    ended = data.rfind(b"\n") + 1
    lines = data[:ended].split(b"\n")[:-1]
    tail = len(data) - ended  # never copied: it may be long
    if not lines or (first := _opened(lines[0], "")) is None:
        raise _damaged(source, 1, "it is not the header of a journal")
    header, digest = _header(first[0], source), first[1]
    entries: list[JournalEntry] = []
    size = len(lines[0]) + 1
    last_line = lines[0]
    torn = bool(tail)
    for number, line in enumerate(lines[1:], start=2):
        opened = _opened(line, digest)
        if opened is None:
            if number < len(lines) or tail or _UNWRITTEN not in line:
                raise _damaged(source, number, "its digest does not match")
            torn = True
            break
        entries.append(_entry(opened[0], header.serial + len(entries) + 1, source, number))
        digest, last_line, size = opened[1], line, size + len(line) + 1
    if tail > 2 and data.endswith(_SEAL_END, ended, -1) and _opened(data[ended:-1], digest) is not None:
        raise _damaged(source, len(lines) + 1, "its end of line was changed")
    return Journal(header, tuple(entries), digest, size, last_line + b"\n", torn)


def _header(data: dict[str, Any], source: str) -> Header:
    if data["journal"] > VERSION:
        detail = f"The journal {source} has version {data['journal']}, and this release reads {VERSION}."
        raise StateNewer("The state was written by a newer release", detail, UPGRADE)
    return Header(data["lineage"], data["serial"], data["token"], data["document"])


def _entry(data: dict[str, Any], serial: int, source: str, number: int) -> JournalEntry:
    if data["serial"] != serial:
        raise _damaged(source, number, f"its serial is {data['serial']} where {serial} is expected")
    place = f"{source}, line {number}"
    return JournalEntry(serial, data["written_by"], read_delta(data["delta"], place, RESTORE))


def _damaged(source: str, line: int, what: str) -> StateDamaged:
    return StateDamaged("The state's journal is damaged", f"In {source}, line {line}: {what}.", RESTORE)
