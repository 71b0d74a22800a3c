"""Commands whose help ends with examples and exit statuses; groups of them, with a sense for typos.

``--help`` of the whole program imports this: what it does not need is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from reconciler.cli.terminal import err
from reconciler.errors import Exit, UsageError

MEANINGS = {
    Exit.DONE: "done, or nothing to do",
    Exit.ERROR: "the files have errors, or the state cannot be used",
    Exit.CHANGES: "with --detailed-exitcode: days are planned or deferred, or a cancel is",
    Exit.PARTLY: "in part: something was refused or withdrawn, or days stay failed or blocked",
    Exit.UNKNOWN: "the outcome of a create is unknown",
    Exit.LOCKED: "another run holds the state's lock",
    Exit.REFUSED: "refused: a guard, a plan that does not fit, an old or missing state",
    Exit.QUOTA: "a quota or licence is used up: running again cannot help",
    Exit.USAGE: "wrong usage",
    Exit.KEY: "the key is missing or wrong, or may not do this",
    Exit.UNAVAILABLE: "the API is away or limits us, or something could not be read",
    Exit.INTERRUPTED: "interrupted (129: hung up; 143: terminated)",
}
"""What an exit status means where a command does not say it better itself."""

ALWAYS = (Exit.USAGE, Exit.INTERRUPTED)
READS_FILES = (Exit.DONE, Exit.ERROR, Exit.REFUSED)
CALLS_API = (*READS_FILES, Exit.QUOTA, Exit.KEY, Exit.UNAVAILABLE)
ASKS = {Exit.ERROR: f"{MEANINGS[Exit.ERROR]}; or a no at the prompt", Exit.LOCKED: ""}
"""Of commands that ask, and hold the lock."""

Exits = Sequence[Exit] | Mapping[Exit, str]
"""The exit statuses of a command, or what they mean; "" for what ``MEANINGS`` says."""


@contextmanager
def _placed(ctx: click.Context) -> Iterator[None]:
    """Have a mistake say whose it is: Click leaves that out of some."""
    try:
        yield
    except click.UsageError as wrong:
        wrong.ctx = wrong.ctx or ctx
        raise


def _check_folder() -> None:
    """Raise ``UsageError`` where the folder we stand in was deleted: and every file with it."""
    try:
        os.getcwd()
    except OSError:
        raise UsageError(
            "The working folder is gone",
            "The folder that this was started in was deleted, or moved away by a mount.",
            "Change to one that is there, then run again.",
        ) from None


class Command(click.Command):
    """A command with ``examples``, whole command lines, and ``exits``. What is too much is told in words."""

    allow_extra_args = True  # and turned down below, since Click's own words are not ours

    def __init__(
        self, *arguments: Any, examples: Sequence[str] = (), exits: Exits = (), **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self.examples = tuple(examples)
        own = exits if isinstance(exits, Mapping) else dict.fromkeys(exits, "")
        told = {**dict.fromkeys(ALWAYS, ""), **own} if own else {}
        self.exits = {exit_: told[exit_] or MEANINGS[exit_] for exit_ in sorted(told)}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _placed(ctx):
            left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            from reconciler.cli.usage import too_many

            raise too_many(ctx, left)
        return left

    def invoke(self, ctx: click.Context) -> Any:
        _check_folder()
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{' ' * formatter.current_indent}{example}\n")
        if self.exits:
            with formatter.section("Exit statuses"):
                formatter.write_dl([(str(int(exit_)), meaning) for exit_, meaning in self.exits.items()])


class Commands(click.Group):
    """A group of commands: alone it shows its help, and a typo gets the nearest name."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the first sentence of each command's help, whole."""
        told = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(command)) for name, command in told.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n  Help on one of them, with examples: {ctx.command_path} COMMAND --help\n")
        super().format_epilog(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            err(ctx.get_help())
            ctx.exit(Exit.USAGE)
        with _placed(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-") and not ctx.resilient_parsing:
            from reconciler.cli.usage import no_command

            raise no_command(ctx, name)
        return super().resolve_command(ctx, args)


def _first_sentence(command: click.Command | None) -> str:
    text = " ".join((command.help or "").split()) if command else ""
    return text.partition(". ")[0].removesuffix(".") + "." if text else ""
