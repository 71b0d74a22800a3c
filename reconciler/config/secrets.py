"""Keys that name a secret, and the hiding of what stands behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from reconciler.config.nodes import Block, Listing, Text

_SECRET: Final = re.compile(
    r".*(apikey|accesskey|secret|token|passw(or)?d|credential|bearer|privatekey|authorization).*|(.*_)?(key|pwd|pass|auth)"
)
_HIDDEN: Final = "***"

Span = tuple[int, int, int, int]
"""First line and column, last line and the column it ends before; all count from 1."""


def names_secret(key: str) -> bool:
    """True for a key like ``api_key`` or ``token``, which the schema does not know anyway."""
    word = key[:64].lower().replace("-", "_").replace(" ", "_")
    return bool(_SECRET.fullmatch(word) or _SECRET.fullmatch(word.replace("_", "")))


def span(node: Text | Block | Listing) -> Span:
    place = node.place
    if isinstance(node, Text):
        return (place.line, place.column, place.end_line, place.end_column)
    return (place.line, place.column, *node.end)


def hidden(text: str, spans: Iterable[Span]) -> str:
    """Return the text with the spans blanked out, line numbers unchanged: it is for showing."""
    lines = text.split("\n")
    for first, column, last, end in spans:
        for number in range(first, min(last, len(lines)) + 1):
            line = lines[number - 1]
            left = line[: column - 1] if number == first else ""
            right = line[end - 1 :] if number == last else ""
            lines[number - 1] = left + _HIDDEN + right
    return "\n".join(lines)
