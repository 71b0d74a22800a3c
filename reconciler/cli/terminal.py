"""Printing: results to stdout, everything else to stderr; colour by the usual rules.

Every command starts here, ``--help`` too: what not all of them need is imported where it is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from reconciler.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from reconciler.render.words import Paint


def paint_for(color: str, stream: TextIO | None) -> Paint:
    """Return colour or none: the flag first, then NO_COLOR, FORCE_COLOR, then whether it is a terminal."""
    from reconciler.render.words import Paint

    if color != "auto":
        return Paint(color == "always")
    if os.environ.get("NO_COLOR"):
        return Paint(False)
    forced = os.environ.get("FORCE_COLOR", "")
    if forced and forced != "0":
        return Paint(True)
    return Paint(stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb")


def width_of(stream: TextIO | None) -> int:
    """Return how many columns lines may have: those of the terminal, at most 100; elsewhere 80."""
    try:
        return min(os.get_terminal_size(stream.fileno()).columns, 100) if stream and stream.isatty() else 80
    except (OSError, ValueError):
        return 80


_lost: set[int] = set()
"""The descriptors that could not be written to, other than because their reader went away."""


def is_output_lost() -> bool:
    """Tell whether a result could not be written: a disk is full, say. Who needs it must not see a 0."""
    return 1 in _lost


@contextmanager
def unwritten_is_fine(stream: TextIO | None) -> Iterator[None]:
    """Go on where the reader went away (``| head``) or the disk is full: what is under way is done.
    Nothing more is written to that stream.
    """
    try:
        yield
    except OSError as error:
        if stream is None:
            return
        if not isinstance(error, BrokenPipeError):
            _lost.add(stream.fileno())
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def out(text: str) -> None:
    """Write a result to stdout."""
    with unwritten_is_fine(sys.stdout):
        click.echo(text, nl=not text.endswith("\n"), color=True)


def err(text: str) -> None:
    """Write a diagnostic or progress to stderr."""
    with unwritten_is_fine(sys.stderr):
        click.echo(text, nl=not text.endswith("\n"), err=True, color=True)


def out_json(document: dict[str, Any]) -> None:
    import json

    out(json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False))


def out_json_line(document: dict[str, Any]) -> None:
    """Write one JSON object on a line of its own, at once."""
    import json

    with unwritten_is_fine(sys.stdout):
        click.echo(json.dumps(document, ensure_ascii=False))


def is_terminal() -> bool:
    """Tell whether a person can be asked: stdin and stderr are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def refuse_without_terminal(command: str) -> None:
    """Raise ``UsageError`` where nobody can be asked: the flag must say it then."""
    if not is_terminal():
        raise UsageError(
            "Cannot ask for confirmation",
            f"`{command}` asks before it writes, and there is no terminal.",
            "Add --auto-approve to go on without asking.",
        )


def is_confirmed(question: str) -> bool:
    """Ask on the terminal; only ``yes`` is a yes: a ``y`` is asked once more. The end of input is a no."""
    answer = _answer(f"{question} Only `yes` is accepted")
    if answer in ("y", "Y"):
        answer = _answer("A `y` is typed easily: it takes all of `yes`")
    return answer == "yes"


def _answer(question: str) -> str:
    try:
        answer: str = click.prompt(question, default="", show_default=False, err=True)
    except Interrupted:
        err("")
        raise
    except click.Abort as aborted:
        if not isinstance(aborted.__context__, EOFError):
            raise
        err("")
        return ""
    return answer.strip()


def agreed(question: str, auto_approve: bool, command: str) -> bool:
    """Tell whether a change may be made: approved by the flag, or asked for and answered with yes.

    Raises ``UsageError`` where nobody can be asked.
    """
    if auto_approve:
        return True
    refuse_without_terminal(command)
    try:
        if is_confirmed(question):
            return True
    except Interrupted:
        err("Nothing was changed.")
        raise
    err("Nothing was changed.")
    return False
