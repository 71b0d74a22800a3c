"""Keeping our key out of what a server says back to us, however it is spelled there."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import groupby
from unicodedata import normalize

Glyph = tuple[str, int, int]
"""A character, and the stretch of the text that it was read from."""

_PIECE = 8  # characters of a key that show up in a row are no chance; a cut key must not be shown either
_SHORT = 6  # shorter keys are no real ones, and cannot be told from parts of words
_LAYERS = 4  # of escapes within escapes

_ESCAPE = re.compile(
    r"%[0-9a-f]{2}|\\u[0-9a-f]{4}|\\u\{[0-9a-f]{1,6}\}|\\x[0-9a-f]{2}|\\.|&#?\w{1,8};",
    re.ASCII | re.IGNORECASE,
)


class Secret:
    """Hides a key in text that will be shown or kept. Does not show it in its own ``repr``."""

    __slots__ = ("_pieces", "_short", "_sizes")

    def __init__(self, key: str) -> None:
        self._short = len(key) < _SHORT
        self._pieces = frozenset(piece for spelled in _spellings(key) for piece in _pieces(spelled.lower()))
        self._sizes = sorted({len(piece) for piece in self._pieces})

    def __repr__(self) -> str:
        return "Secret()"

    def hide(self, text: str) -> str:
        """Return the text with ``***`` where the key is, or eight characters of it, in any letter case.

        Found as well: with blanks or other foreign characters in between, escaped for URLs, JSON
        or HTML, in Base64 or hexadecimal, and backwards. A text with a very short key is dropped
        whole: to cut out every "k" would tell the key.
        """
        hidden = bytearray(len(text))
        for glyphs in _views(text):
            self._mark(glyphs, hidden)
        if self._short and any(hidden):
            return ""
        runs = ((flag, list(run)) for flag, run in groupby(range(len(text)), hidden.__getitem__))
        return "".join("***" if flag else text[run[0] : run[-1] + 1] for flag, run in runs)

    def _mark(self, glyphs: list[Glyph], hidden: bytearray) -> None:
        """Set to 1 what was read as a piece of the key; what is not visible ASCII is no part of a key."""
        visible = [glyph for glyph in glyphs if "!" <= glyph[0] <= "~"]
        text = "".join(glyph[0] for glyph in visible).lower()
        for size in self._sizes:
            for at in range(len(text) - size + 1):
                if text[at : at + size] in self._pieces:
                    start, end = visible[at][1], visible[at + size - 1][2]
                    hidden[start:end] = b"\1" * (end - start)


def _spellings(key: str) -> Iterator[str]:
    yield key
    yield key[::-1]
    raw = key.encode()
    encoded = [raw.hex()]
    for before in range(3):  # bytes in front shift Base64: "Bearer KEY" or "user:KEY" is encoded as a whole
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(b"\0" * before + raw).decode()
            whole = text.rstrip("=")[:-1] if text.endswith("=") else text
            encoded.append(whole[before + 1 if before else 0 :])
    yield from (text for text in encoded if len(text) >= 4)  # shorter ones are in every other word


def _pieces(spelled: str) -> Iterator[str]:
    size = min(_PIECE, len(spelled))
    return (spelled[at : at + size] for at in range(len(spelled) - size + 1))


def _views(text: str) -> Iterator[list[Glyph]]:
    """Yield the text as it stands, then with one layer of escapes after the other read."""
    glyphs: list[Glyph] = [(_plain(char), at, at + 1) for at, char in enumerate(text)]
    yield glyphs
    for _ in range(_LAYERS):
        unescaped = _unescaped(glyphs)
        if len(unescaped) == len(glyphs):
            return
        glyphs = unescaped
        yield glyphs


def _plain(char: str) -> str:
    """Return the plain form of a character: of a wide letter, say."""
    if char.isascii():
        return char
    plain = normalize("NFKC", char)
    return plain if len(plain) == 1 else char


def _unescaped(glyphs: list[Glyph]) -> list[Glyph]:
    read: list[Glyph] = []
    done = 0
    for found in _ESCAPE.finditer("".join(glyph[0] for glyph in glyphs)):
        meant = _meant(found[0])
        if len(meant) == 1:
            read += glyphs[done : found.start()]
            read.append((meant, glyphs[found.start()][1], glyphs[found.end() - 1][2]))
            done = found.end()
    return read + glyphs[done:]


def _meant(escape: str) -> str:
    """Return the character that an escape stands for; more than one if it is none."""
    from html import unescape

    if escape[0] == "&":
        return unescape(escape)
    digits = escape.lstrip("%\\uUxX{").rstrip("}")
    if escape[0] == "%" or (escape[1] in "uUxX" and len(escape) > 2):
        code = int(digits, 16)
        return chr(code) if code <= 0x10FFFF else escape
    return escape[1]
