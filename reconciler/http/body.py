"""The bytes of a body: read up to a cap, and unpacked within the same cap where a gateway compressed them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from reconciler.http.message import AnswerLost, TooLarge

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # the header tells which


class _Unpacker(Protocol):
    """As ``zlib.decompressobj``: gives at most so many bytes of a chunk."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def unpacked(chunks: Iterable[bytes], encoding: str, most: int, *, cut: bool) -> bytes:
    """Return a body of at most ``most`` bytes, be it packed or not; ``cut``: or the beginning of it.

    ``encoding`` is the header's. Raises ``TooLarge`` for one that is larger, ``AnswerLost`` for one that
    cannot be unpacked.
    """
    unpacker = _unpacker(encoding.strip().lower())
    body = bytearray()  # a list of chunks would take fifty times what a body of tiny ones has
    sent = 0
    for chunk in chunks:
        sent += len(chunk)
        body += chunk if unpacker is None else _part(unpacker, chunk, most + 1 - len(body))
        if max(sent, len(body)) > most:
            break
    if max(sent, len(body)) > most and not cut:
        raise TooLarge(f"the answer is larger than {most} bytes")
    if unpacker is not None and not unpacker.eof and not cut:
        raise AnswerLost("the answer is compressed, and not whole")
    return bytes(body[:most])


def _unpacker(encoding: str) -> _Unpacker | None:
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(_GZIP_OR_ZLIB)
    raise AnswerLost("the answer is compressed in a way that was not asked for")


def _part(unpacker: _Unpacker, chunk: bytes, most: int) -> bytes:
    with suppress(zlib.error):
        return unpacker.decompress(chunk, most)
    raise AnswerLost("the answer is compressed, and cannot be unpacked")
