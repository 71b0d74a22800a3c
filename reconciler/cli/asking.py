"""Asking a person before something is written."""

from __future__ import annotations

import click

from reconciler.cli.output import err, is_terminal
from reconciler.errors import UsageError


def refuse_without_terminal(command: str) -> None:
    """Raise ``UsageError`` where nobody can be asked: the flag must say it then."""
    if not is_terminal():
        raise UsageError(
            "Nobody can be asked",
            f"`{command}` asks before it writes, and there is no terminal.",
            "Add --auto-approve to go on without asking.",
        )


def is_confirmed(question: str) -> bool:
    """Ask on the terminal; only ``yes`` is a yes. The end of the input is a no."""
    try:
        answer: str = click.prompt(
            f"{question} Only `yes` is accepted", default="", show_default=False, err=True
        )
    except click.Abort as aborted:
        if not isinstance(aborted.__context__, EOFError):
            raise
        err("")
        return False
    return answer.strip() == "yes"
