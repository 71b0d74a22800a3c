"""Commands to paste, in hints and in lines about what happens.

Each stands on a line of its own, so that nothing of the sentence sticks to it; the command line adds the
flags of its run to such lines (``cli/options.py``).
"""

from __future__ import annotations

import re
from shlex import quote

_COMMAND = re.compile(r"\n +((?:reconciler|git|cp|mv) .+)")


def lines(*commands: str) -> str:
    """Return what follows a sentence: a line for each command."""
    return "".join(f"\n  {command}" for command in commands)


def on_lines(*commands: str) -> str:
    """Return the same of commands of ours, given without the name of the program."""
    return lines(*(f"reconciler {command}" for command in commands))


def parted(text: str) -> tuple[str, list[str]]:
    """Return a text without the commands that have a line of their own, and these."""
    return _COMMAND.sub("", text), _COMMAND.findall(text)


def resolving(transfer: str, dates: str) -> str:
    """Return the commands that settle a create by hand, one for each way it may have gone."""
    settle = f"resolve {quote(transfer)} {dates} --as"
    return on_lines(f"{settle} not-created", f"{settle} created:ID")
