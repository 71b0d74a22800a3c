"""What ``doctor`` found, as text: a line each, and the cure below what is not well."""

from __future__ import annotations

import re
from textwrap import wrap

from reconciler.render.words import BOLD, GREEN, RED, YELLOW, Paint

_MARKS = {True: ("ok", GREEN), None: ("? ", YELLOW), False: ("! ", RED)}
_NAME = 9  # characters of the longest name of what is looked at


def check_text(about: str, told: str, ok: bool | None, cure: str, paint: Paint, width: int) -> str:
    """Return the lines of one check, of at most ``width`` characters; commands are left whole."""
    mark, colour = _MARKS[ok]
    indent = " " * (len(mark) + _NAME + 4)
    told_lines = _wrapped(told, width - len(indent))
    lines = [f"{paint(mark, colour)}  {paint(about.ljust(_NAME), BOLD)}  {told_lines[0]}"]
    lines += [indent + line for line in told_lines[1:]]
    sentence, *commands = cure.split("\n") if cure else [""]
    lines += [indent + line for line in _wrapped(sentence, width - len(indent)) if line]
    lines += [indent + command for command in commands]
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Return lines that break between words, and not within what stands in backticks."""
    whole = re.sub(r"`[^`]*`", lambda quoted: quoted[0].replace(" ", "\0"), text)
    lines = wrap(whole, max(width, 20), break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines] or [""]
