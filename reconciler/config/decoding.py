"""Bytes to text: UTF-8, without the characters that make a file read otherwise than it looks."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from reconciler.config.rules import finding
from reconciler.diagnostics import Finding, Place

# Controls; line breaks that only YAML sees (what a reviewer takes for a comment would be
# content); overrides of the writing direction; halves of surrogate pairs; non-characters.
FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
    "|\r(?!\n)"
)
_CONFLICT: Final = re.compile(r"^<{7}(?: .*)?$", re.MULTILINE)
_MOST_CONFLICTS: Final = 10
_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")


def decode(data: bytes, file: str) -> tuple[str, list[Finding]]:
    """Return the text, without a byte order mark, and what is wrong with it.

    With findings the text is only good for showing the lines they speak of.
    """
    bom = len(_BOM) if data.startswith(_BOM) else 0
    data = data[bom:]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.decode("utf-8", "replace"), [_not_utf8(data, error.start, bom, file)]
    return text, [*_forbidden(text, file), *_conflicts(text, file)]


def place_at(text: str, index: int, file: str, length: int = 1) -> Place:
    """Return the place of the character at ``index``."""
    line = text.count("\n", 0, index) + 1
    column = index - text.rfind("\n", 0, index)
    return Place(file, line, column, line, column + length)


def _not_utf8(data: bytes, index: int, bom: int, file: str) -> Finding:
    before = data[:index].decode("utf-8")
    detail = (
        f"Byte {index + bom} of the file is 0x{data[index]:02X}, which is not UTF-8 here. "
        "What the file means would depend on who reads it."
    )
    hint = "Save the file as UTF-8."
    if data.startswith(_UTF16_BOMS):
        hint = "The file is UTF-16, as Windows PowerShell writes it. Save it as UTF-8."
    return finding("BF005", detail, hint, place_at(before + "?", len(before), file))


def _forbidden(text: str, file: str) -> list[Finding]:
    found = FORBIDDEN.search(text)
    if not found:
        return []
    code = ord(found[0])
    name = {0: "a NUL byte", 13: "a carriage return without a line feed"}.get(code, "invisible")
    detail = (
        f"The character U+{code:04X} is {name}. With it, the file can mean something else than what it shows."
    )
    hint = "Remove the character. In a reason, write it as words."
    return [finding("BF006", detail, hint, place_at(text, found.start(), file))]


def _conflicts(text: str, file: str) -> list[Finding]:
    hint = "Resolve the conflict, remove the marker lines, and commit again."
    return [
        finding(
            "BF007",
            f"Git left the marker {found[0][:7]} here. Both sides of the conflict still stand in the file.",
            hint,
            place_at(text, found.start(), file, length=7),
        )
        for found in islice(_CONFLICT.finditer(text), _MOST_CONFLICTS)
    ]
