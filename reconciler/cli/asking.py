"""Asking a person before something is written."""

from __future__ import annotations

import click

from reconciler.cli.output import is_terminal
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
    """Ask on the terminal; only ``yes`` is a yes."""
    answer: str = click.prompt(f"{question} Only `yes` is accepted", default="", show_default=False, err=True)
    return answer.strip() == "yes"
