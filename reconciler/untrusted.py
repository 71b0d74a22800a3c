"""Text from outside, made fit to be kept and shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

LONGEST = 300  # characters kept of any text the API sends
_CONSIDERED = 4 * LONGEST  # of more, only the beginning is looked at: patterns must not run over megabytes
_PIECE = 8  # at that end a secret may be cut so short that it is not found; a few characters more go

# Terminal sequences (ECMA-48): whole OSC, DCS, SOS, PM and APC strings; CSI; two-character escapes.
_SEQUENCES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_UNWANTED = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
)  # controls, bidi and invisible, lone surrogates
# Commands that CI systems look for in every line of a log (GitHub's old form, Azure): broken apart.
_COMMANDS = re.compile(r"#(?=#(?:\[|vso\[))")


def as_it_is(text: str) -> str:
    return text


def clean(text: object, hide: Callable[[str], str] = as_it_is) -> str:
    """Return text on one line, at most 300 characters, without anything that steers a terminal or reader.

    Escape sequences, control and bidi characters, lone surrogates and invisible characters go;
    any run of white space becomes one blank; ``##[`` and ``##vso[``, which CI systems obey, lose
    their meaning. What is not text becomes "".

    ``hide`` takes out what must not be shown (``Response.hide``): after the invisible, which could
    hide it from ``hide``, and before the cut, which could leave half of it.
    """
    if not isinstance(text, str):
        return ""
    cut = len(text) > _CONSIDERED
    text = text[:_CONSIDERED]
    if not (text.isascii() and text.isprintable()):
        text = _SEQUENCES.sub("", text)
        text = "".join(" " if char.isspace() else char for char in text if _wanted(char))
    text = hide(" ".join(text.split()))
    text = _COMMANDS.sub("# ", text[:-_PIECE] if cut else text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


# Anywhere in a line, or at its start.
_ANY_COMMANDS = re.compile(r"^:(?=:)|#(?=#(?:\[|vso\[))")


def one_line(text: str) -> str:
    """Return all of a text on one line, without what steers a terminal or a CI job."""
    shown = "".join(char for char in text if char.isprintable() or char.isspace())
    return _ANY_COMMANDS.sub(r"\g<0> ", " ".join(shown.split()))


def printable(text: str, instead: str = "\ufffd") -> str:
    """Return a text of which no character moves, and none steers a terminal: ``instead`` stands for those."""
    return "".join(char if char.isprintable() else instead for char in text)


# user:password of a URL, to the last @ before its path; what was not encoded may hold @ and blanks.
_LOGIN = re.compile(r"(?<=://)(?:[^/\s@]*:[^/\n]*|[^/\s]+)@")


def without_password(text: str) -> str:
    """Return a text whose URLs name no user and no password."""
    return _LOGIN.sub("***@", text)


_AT_START = re.compile(r"^(\s*:):")
_INSIDE = re.compile(r"##(?=\[|vso\[)")


def harmless(line: str) -> str:
    """Return a line as long as before in which no CI job finds a command."""
    return _INSIDE.sub("# ", _AT_START.sub(r"\1 ", line))


def _wanted(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) not in _UNWANTED


_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


def clean_code(value: object, hide: Callable[[str], str] = as_it_is) -> str | None:
    """Return an error code or request id if it looks like one and there is nothing to hide, else ``None``."""
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        return None
    return value if hide(value) == value else None
