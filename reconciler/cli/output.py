"""Printing: results to stdout, everything else to stderr; colour by the usual rules."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from reconciler.render.words import Paint


def paint_for(color: str, stream: TextIO) -> Paint:
    """Return colour or none: the flag first, then NO_COLOR, FORCE_COLOR, then whether it is a terminal."""
    if color != "auto":
        return Paint(color == "always")
    if os.environ.get("NO_COLOR"):
        return Paint(False)
    forced = os.environ.get("FORCE_COLOR", "")
    if forced and forced != "0":
        return Paint(True)
    return Paint(stream.isatty() and os.environ.get("TERM") != "dumb")


@contextmanager
def _unread_is_fine(stream: TextIO) -> Iterator[None]:
    """Go on where the reader went away (``| head``): what is under way is done, and its exit
    status is the true one. Nothing more is written to that stream.
    """
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def out(text: str) -> None:
    """Write a result to stdout."""
    with _unread_is_fine(sys.stdout):
        click.echo(text, nl=not text.endswith("\n"), color=True)


def err(text: str) -> None:
    """Write a diagnostic or progress to stderr."""
    with _unread_is_fine(sys.stderr):
        click.echo(text, nl=not text.endswith("\n"), err=True, color=True)


def out_json(document: dict[str, Any]) -> None:
    out(json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False))


def out_json_line(document: dict[str, Any]) -> None:
    """Write one JSON object on a line of its own, at once."""
    with _unread_is_fine(sys.stdout):
        click.echo(json.dumps(document, ensure_ascii=False))


def is_terminal() -> bool:
    """Tell whether a person can be asked: stdin and stderr are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
