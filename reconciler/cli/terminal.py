"""Printing: results to stdout, everything else to stderr; colour by the usual rules.

Every command starts here, ``--help`` too: what not all of them need is imported where it is used.
"""

from __future__ import annotations

import codecs
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

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
    return Paint(is_a_terminal(stream) and os.environ.get("TERM") != "dumb")


WIDTH, LEAST, MOST = 80, 40, 120  # columns; longer lines are hard to follow


def width_of(stream: TextIO | None) -> int:
    """Return how many columns lines may have: those of the terminal, within bounds; elsewhere 80, unless
    ``COLUMNS`` says otherwise.
    """
    told = os.environ.get("COLUMNS", "")
    try:
        there = os.get_terminal_size(stream.fileno()).columns if stream and stream.isatty() else 0
    except (OSError, ValueError):
        there = 0  # as a terminal says that does not know
    return min(max(int(told[:4]) if told.isascii() and told.isdigit() else there or WIDTH, LEAST), MOST)


def is_a_terminal(stream: TextIO | None) -> bool:
    """Tell whether a stream is one; a closed one is not."""
    return stream is not None and not stream.closed and stream.isatty()


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


_LIKENESSES = {"…": "...", "·": "-", "–": "-", "—": "-", "→": "->", "×": "x", "█": "#", "━": "-", "░": "."}
"""What stands for a symbol of ours where the terminal or file cannot show it."""


_results = 0
"""How often stdout was written to by this command line."""


def prepare_streams() -> None:
    """Let no character end a run: one that a stream's encoding lacks is written as its likeness in ASCII, or
    as an escape (``\\xe4``). Half characters, as file names may hold them, are escaped in UTF-8 too.
    """
    global _results
    _results = 0
    codecs.register_error("reconciler", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="reconciler")


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        likeness = _LIKENESSES.get(error.object[error.start])
        if likeness is not None:
            return likeness, error.start + 1
    return codecs.backslashreplace_errors(error)


def out(text: str) -> None:
    """Write a result to stdout; on a terminal in lines that fit it."""
    out_as_it_is(_fitted(sys.stdout, text))


def out_as_it_is(text: str) -> None:
    """Write a result for programs to stdout: no line is broken, wherever it goes."""
    global _results
    _results += 1
    _write(sys.stdout, text)


def has_result() -> bool:
    """Tell whether this command line has written to stdout."""
    return _results > 0


def err(text: str) -> None:
    """Write a diagnostic or progress to stderr; on a terminal in lines that fit it."""
    err_as_it_is(_fitted(sys.stderr, text))


def err_as_it_is(text: str) -> None:
    """Write to stderr what is to be copied from there."""
    _write(sys.stderr, text)


def _fitted(stream: TextIO | None, text: str, room: int = 0) -> str:
    """Return a text in lines for a stream; ``room``: columns to be left free, for an answer."""
    if not is_a_terminal(stream):
        return text
    from reconciler.render.fitting import fitted

    return fitted(text, width_of(stream) - room)


def _write(stream: TextIO | None, text: str) -> None:
    """Write whole lines, at once. Not by ``click.echo``, which takes an ASCII stream for a UTF-8 one."""
    if stream is None:  # closed before we began
        return
    with unwritten_is_fine(stream):
        stream.write(text if text.endswith("\n") else f"{text}\n")
        stream.flush()


def out_json(document: dict[str, Any] | list[dict[str, Any]]) -> None:
    import json

    out_as_it_is(json.dumps(document, sort_keys=True, indent=2, ensure_ascii=not shows_all(sys.stdout)))


def out_json_line(document: dict[str, Any]) -> None:
    """Write one JSON object on a line of its own, at once."""
    import json

    out_as_it_is(json.dumps(document, ensure_ascii=not shows_all(sys.stdout)))


def shows_all(stream: TextIO | None) -> bool:
    """Tell whether a stream has every character. One that has not takes JSON's own escapes."""
    return stream is not None and (stream.encoding or "").lower().replace("-", "").startswith("utf")


def is_terminal() -> bool:
    """Tell whether a person can be asked: stdin and stderr are a terminal."""
    return is_a_terminal(sys.stdin) and is_a_terminal(sys.stderr)


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
        sys.stderr.write(_fitted(sys.stderr, question, room=len(": yes")) + ": ")
        sys.stderr.flush()
        _await_input()
        answer = sys.stdin.readline()
    except Interrupted:
        err("")
        raise
    if not answer.endswith("\n"):
        err("")
    return answer.strip()


def _await_input() -> None:
    """Wait until there is a line, or a signal. One that comes just before a read begins would not end it."""
    if threading.current_thread() is not threading.main_thread() or not _has_descriptor(sys.stdin):
        return  # no signal comes here, or nothing can be waited for
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    before = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    try:
        select.select([sys.stdin, woken], [], [])
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(waking)


def _has_descriptor(stream: TextIO) -> bool:
    try:
        return stream.fileno() >= 0
    except OSError:  # of a program that embeds us
        return False


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
