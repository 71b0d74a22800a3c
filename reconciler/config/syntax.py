"""What the YAML parser objects to, in words that name the usual cause. Works for both parsers."""

from __future__ import annotations

from typing import Any, Final

from reconciler.config.lookalikes import odd_syntax
from reconciler.config.rules import finding, shown
from reconciler.diagnostics import Finding, Place

# A piece of the parser's own words -> what we say, and the way out. The first that fits holds.
_KNOWN: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "mapping values are not allowed",
        "The colon makes this a key, but a key is not allowed here.",
        "Quote text that contains `: `; check that the key above has its colon and the same indentation.",
    ),
    (
        "could not find expected ':'",
        "This key has no colon after it.",
        "Write `key: value`, with a space after the colon.",
    ),
    (
        "quoted scalar",
        "The quoted text is not closed, or contains an escape that YAML does not know.",
        "Close the quotes; put text with backslashes in single quotes.",
    ),
    ("unexpected end of stream", "The file ends in the middle of something.", "Complete it."),
    (
        "block mapping",
        "The line is not indented like the keys above it.",
        "Give all keys of one mapping the same indentation.",
    ),
    (
        "block collection",
        "The line is not indented like the list items above it.",
        "Start all items of one list with `- ` in the same column.",
    ),
    (
        "block sequence entries are not allowed",
        "A list item cannot start here.",
        "Start the list on its own line, below its key.",
    ),
    ("flow sequence", "The list in brackets is not closed, or a comma is missing.", "Close it with `]`."),
    ("flow mapping", "The mapping in braces is not closed, or a comma is missing.", "Close it with `}`."),
)
_RESERVED: Final = "@`%|>&*!"


def syntax_finding(error: Exception, text: str, file: str) -> Finding:
    """Return the finding for an error of the parser: yaml's own, or a ``ValueError`` inside it."""
    place = _place(error, text, file)
    line = text.split("\n")[place.line - 1]
    char = line[place.column - 1 : place.column]
    if "\t" in line[: len(line) - len(line.lstrip())] or char == "\t":
        detail = "YAML indents with spaces. With tabs, the meaning would depend on how wide a tab is."
        return finding("BF011", detail, "Replace the tab with spaces.", _tab(line, place))
    if odd := odd_syntax(line, place.line, file):
        return odd
    detail, hint = _words(error, char)
    return finding("BF010", detail, hint, place)


def _place(error: Exception, text: str, file: str) -> Place:
    """Return where the parser stopped; for what is never closed or lacks its colon, where that began."""
    opened = any(word in str(getattr(error, "context", "")) for word in ("flow", "quoted", "simple key"))
    marks = [getattr(error, name, None) for name in ("context_mark", "problem_mark")]
    mark: Any = (marks[0] if opened else marks[1]) or marks[1] or marks[0]
    if mark is None:
        return Place(file, 1, 1, 1, 1)
    lines = text.rstrip("\r\n").split("\n")
    if mark.line >= len(lines):
        end = len(lines[-1]) + 1
        return Place(file, len(lines), end, len(lines), end)
    return Place(file, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)


def _tab(line: str, place: Place) -> Place:
    column = line.index("\t") + 1
    return Place(place.file, place.line, column, place.line, column + 1)


def _words(error: Exception, char: str) -> tuple[str, str]:
    context = str(getattr(error, "context", None) or "")
    problem = str(getattr(error, "problem", None) or "")
    if "cannot start any token" in problem and char and char in _RESERVED:
        return f"A value cannot start with {shown(char)}.", "Put the value in quotes."
    for piece, detail, hint in _KNOWN:
        if piece in problem or piece in context:
            return detail, hint
    said = f": {problem}" if problem else ""
    return f"The YAML parser stopped here{said}.", "Look at this line and the one above it."
