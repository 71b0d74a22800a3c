"""Text of strangers in Markdown: it is read as it is written, whatever it holds.

GitHub and GitLab find more in text than Markdown does: mentions, references, addresses and commands. A joiner
of no width within them ends that, where a backslash does not; no line breaks there.
"""

from __future__ import annotations

import re

from reconciler.untrusted import one_line

_APART = "&#8288;"
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = re.compile(r"[\\`*_\[\]|~$]")
# What is a mention, a reference, a label or an emoji before a word, and an address within one. Digits of a
# commit, and keys of other trackers, stay: request ids look like them, and are copied.
_LIVE = re.compile(
    r"(?<=[@#!%^~+])(?=[\w\"'-])|(?<=&)(?=\d)|(?<=:)(?=//|[a-z_+-]|\d\w*:)|(?<=\bwww)(?=\.)"
    r"|(?<=\bgh)(?=-\d)",
    re.I,
)
_TICKS = re.compile(r"`+")


def escaped(text: str, most: int = 300) -> str:
    """Return text fit for a line or a cell of a table, at most ``most`` characters of it."""
    apart = _LIVE.sub("\0", short(text, most))
    marked = _MARKS.sub(lambda mark: "\\" + mark[0], apart.translate(_ENTITIES))
    return marked.replace("\0", _APART)


def code(text: str, most: int = 300) -> str:
    """Return text as code, also in a cell of a table."""
    line = short(text, most)
    if not line:
        return ""
    fence = "`" * (1 + max(map(len, _TICKS.findall(line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def short(text: str, most: int) -> str:
    """Return a text on one line, cut where it is longer than ``most`` characters."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
