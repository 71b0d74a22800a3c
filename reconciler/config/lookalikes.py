"""Characters that look like others, or like nothing, named where they stand. Only mistakes need this.

They come with what is pasted from web pages, chats and word processors. In a reason they do no harm.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from reconciler.config.nodes import Block, Path, Text, at, key_place
from reconciler.config.ranges import parse_range
from reconciler.config.reading import place_at
from reconciler.config.rules import BrokenRule, finding, shown
from reconciler.diagnostics import Finding, Place

_TYPED: Final = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
}
_BETWEEN_DATES: Final = "\u2013\u2014\u2015\u2026"
_FREE: Final = frozenset({"BF025", "BF033"})
"""Rules that say nothing of a text's characters."""

# In the indentation, as the first of a key, an item or a value, and colons that are none.
_IN_SYNTAX: Final = re.compile(r"^[ -]*(?:[\w.-]+ *: *)?(?P<first>[^\x00-\x7f])|(?P<colon>[\uff1a\ufe55])")


def odd_in(text: str) -> int | None:
    """Return the position of the first character that a keyboard would have given another for."""
    return next((index for index, char in enumerate(text) if _typed(char) != char), None)


def typed(text: str) -> str:
    """Return a text as a keyboard gives it."""
    return "".join(map(_typed, text))


def _typed(char: str) -> str:
    if char.isascii():
        return char
    kind = unicodedata.category(char)
    if kind in ("Zs", "Cf"):
        return " " if kind == "Zs" else ""
    plain = unicodedata.normalize("NFKC", char)
    return _TYPED.get(char) or (plain if plain.isascii() else char)


def odd_value(problem: BrokenRule, root: Block, path: Path, source: str) -> Finding | None:
    """Return the finding for an odd character in a value, or a key, that breaks a rule."""
    on_key = path[-1:] == ("[key]",)
    path = path[:-1] if on_key else path
    text = path[-1] if on_key else at(root, path)
    if problem.rule in _FREE or not isinstance(text, str) or (index := odd_in(text)) is None:
        return None
    if problem.rule == "BF040" and text[index] in _BETWEEN_DATES and not _is_range(typed(text)):
        return None  # two dates with a dash between: that is the mistake
    place = key_place(root, path) if on_key or not isinstance(text, Text) else text.place
    hint = problem.hint if problem.hint.startswith(("Write `", "Did you mean")) else ""
    return _found(text, index, place, source, hint)


def odd_key(key: str, place: Place, source: str) -> Finding | None:
    """Return the finding for an odd character in a key that nobody knows."""
    index = odd_in(key)
    return None if index is None else _found(key, index, place, source)


def odd_syntax(line: str, number: int, file: str) -> Finding | None:
    """Return the finding for an odd character where it changes what a line that is no YAML says."""
    for found in _IN_SYNTAX.finditer(line):
        group = found.lastgroup or 0
        if odd_in(found[group]) is not None:
            place = Place(file, number, found.start(group) + 1, number, found.start(group) + 2)
            return _named(found[group], place, "Type it anew.")
    return None


def _is_range(text: str) -> bool:
    try:
        return parse_range(text) is not None
    except BrokenRule:
        return True


def _found(text: str, index: int, place: Place, source: str, hint: str = "") -> Finding:
    """Find the character in the source; one written as an escape stands where its text does."""
    starts = _line_starts(source)
    start, end = starts[place.line - 1] + place.column - 1, starts[place.end_line - 1] + place.end_column - 1
    position = source.find(text[index], start, end)
    at_it = place if position < 0 else place_at(source, position, place.file)
    return _named(text[index], at_it, hint or f"Type it anew: {shown(typed(text).strip())}.")


@lru_cache(maxsize=1)
def _line_starts(source: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer("\n", source))]


def _named(char: str, place: Place, hint: str) -> Finding:
    name = unicodedata.name(char, "without a name").lower()
    instead = _typed(char)
    looks = {"": "cannot be seen", " ": "is not the blank it looks like"}.get(instead)
    looks = looks or f"is not the {shown(instead)} it looks like"
    detail = f"The character here is U+{ord(char):04X} ({name}), which {looks}."
    return finding("BF039", detail, hint, place, brief=f"U+{ord(char):04X} ({name}) {looks}")
