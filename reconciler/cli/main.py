"""The group of commands, loaded one at a time, and the one place where exceptions end."""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.command import Commands
from reconciler.cli.terminal import err, is_output_lost, prepare_streams, unwritten_is_fine
from reconciler.errors import Exit, Interrupted
from reconciler.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from reconciler.cli.options import Common

# heading: {name: (short help, module:attribute)}. The short help stands here so that --help imports nothing.
SECTIONS = {
    "Everyday": {
        "init": ("Write a commented starter file.", "init:init"),
        "validate": ("Check the files; no network, no key.", "validate:validate"),
        "plan": ("Show which backfills are missing, and why.", "plan:plan"),
        "apply": ("Create the missing backfills, and only those.", "apply:apply"),
        "show": ("Show a saved plan.", "show:show"),
        "diff": ("Show how two saved plans differ.", "diff:diff"),
        "status": ("Show the declared days by transfer and bucket.", "status:status"),
    },
    "When something is wrong": {
        "doctor": ("Check the key, the API, the state and this machine; writes nothing.", "doctor:doctor"),
        "resolve": ("Settle a create whose outcome is unknown.", "resolve:resolve"),
        "retry": ("Forget what keeps days from being due.", "retry:retry"),
        "accept": ("Say that a history unknown to the state is known to you.", "accept:accept"),
    },
    "State": {
        "state": (
            "Manage the state: list, show, verify, pull, push, rm, migrate, check, unlock.",
            "state:state",
        ),
    },
    "In CI": {
        "ci": ("Keep a comment on a pull request that shows its plan.", "ci:ci"),
    },
    "To learn, and for editors": {
        "demo": ("See the whole story on the sandbox.", "demo:demo"),
        "sandbox": ("Serve, advance or reset the sandbox API.", "sandbox:sandbox"),
        "schema": ("Print the JSON Schema of the file.", "schema:schema"),
    },
}
COMMANDS = {name: told for section in SECTIONS.values() for name, told in section.items()}


class Lazy(Commands):
    """Imports a command's module when it is called, so that a cold start stays cheap."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][1].split(":")
        command: click.Command = getattr(importlib.import_module(f"reconciler.cli.{module}"), attribute)
        gc.enable()  # ``__main__`` disabled it for the start
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for heading, section in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, (text, _home) in section.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing each of them; flags as ever."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        fits = [name for name in COMMANDS if name.startswith(incomplete)]
        return [CompletionItem(name, help=COMMANDS[name][0]) for name in fits]


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it without an account: reconciler demo",
)
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
def group() -> None:
    """Declare in YAML which days must be loaded; plan and apply the missing Supermetrics backfills."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line. Returns its exit status; nothing escapes as a traceback."""
    noted: dict[str, Common] = {}
    prepare_streams()
    error: Exception
    try:
        status = group.main(list(arguments), prog_name="reconciler", standalone_mode=False, obj=noted)
        _flush()
        return _ended(status if isinstance(status, int) else int(Exit.DONE))
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as wrong:
        from reconciler.cli.usage import worded

        error = worded(wrong)
    except (KeyboardInterrupt, click.Abort):
        error = Interrupted(signal.SIGINT)
    except Exception as other:  # noqa: BLE001 - the outermost handler: a bug is reported, not dumped
        error = other
    from reconciler.cli.failure import failed

    return failed(error, arguments, noted.get("common"))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with unwritten_is_fine(stream):
            if stream is not None:
                stream.flush()


def _ended(status: int) -> int:
    """Return the exit status; a 0 says that the result was written, too."""
    if status or not is_output_lost():
        return status
    err("error: The output could not be written.")
    return int(Exit.ERROR)
