"""What ``doctor`` found, as text: a line each, and the cure below what is not well."""

from __future__ import annotations

from reconciler.render.fitting import folded
from reconciler.render.words import BOLD, GREEN, RED, YELLOW, Paint
from reconciler.untrusted import harmless

_MARKS = {True: ("ok", GREEN), None: ("? ", YELLOW), False: ("! ", RED)}
_NAME = 9  # characters of the longest name of what is looked at
_LEAST = 20  # columns of words, however narrow the screen


def check_text(about: str, told: str, ok: bool | None, cure: str, paint: Paint, width: int) -> str:
    """Return the lines of one check, of at most ``width`` characters; commands are left whole."""
    mark, colour = _MARKS[ok]
    indent = " " * (len(mark) + _NAME + 4)
    room = max(width - len(indent), _LEAST)
    told_lines = list(folded(told, room))
    lines = [f"{paint(mark, colour)}  {paint(about.ljust(_NAME), BOLD)}  {told_lines[0]}"]
    lines += [indent + line for line in told_lines[1:]]
    sentence, *commands = cure.split("\n") if cure else [""]
    lines += [indent + line for line in folded(sentence, room) if line]
    lines += [indent + command for command in commands]
    return "\n".join(map(harmless, lines))
