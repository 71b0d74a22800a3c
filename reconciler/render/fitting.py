"""Lines that fit a screen: broken at blanks only, never inside a word, a range or a command."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from reconciler.untrusted import harmless

_CODES = re.compile(r"\x1b\[[\d;]*m")
APPLY_BY = "Apply exactly this: "  # what a command stands behind at the end of a plan
_COMMAND = re.compile(rf"\s*(?:{APPLY_BY})?(?:reconciler |\$ )")
# What is quoted is one word, and so is a count of days.
_WORD = re.compile(r"\s*(?:`[^`]{1,30}`|\d[\d,]* days?\b|\S)+")
_SIGNED = re.compile(r" {2,5}(?:-/\+|[-+~!?.=>]) ")
_DEEPER = 6  # columns before what goes on of a line with a sign


def is_command(line: str) -> bool:
    """Tell whether a line is a command to paste, which stays whole."""
    return _COMMAND.match(line) is not None


def fitted(text: str, width: int) -> str:
    """Return a text in lines of at most ``width`` columns, but for words and commands that have more."""
    return "\n".join(part for line in text.split("\n") for part in folded(line, width))


def folded(line: str, width: int, hanging: int | None = None) -> Iterator[str]:
    """Yield one line as such lines; ``hanging``: blanks before all but the first, else as many as it has
    itself, or more if it begins with a sign.
    """
    if is_command(line) or columns_of(line) <= width:
        yield line
        return
    part, *words = _WORD.findall(line)
    if words and _SIGNED.match(_CODES.sub("", line)):
        part += words.pop(0)
    indent = " " * (_hanging(_CODES.sub("", line)) if hanging is None else hanging)
    for word in words:
        if columns_of(part + word) <= width:
            part += word
        else:
            yield part
            part = indent + _safe(word.lstrip())
    yield part


def _hanging(line: str) -> int:
    return _DEEPER if _SIGNED.match(line) else len(line) - len(line.lstrip())


def _safe(words: str) -> str:
    """Return the beginning of a line that goes on so that it is no command, to a reader or to a CI job."""
    return harmless(f"… {words}" if is_command(f"{words} ") else words)


def columns_of(text: str) -> int:
    """Return how many columns a text takes: colour and marks above letters none, wide characters two."""
    if text.isascii():
        return len(_CODES.sub("", text)) if "\x1b" in text else len(text)
    return sum(_columns(char) for char in _CODES.sub("", text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
