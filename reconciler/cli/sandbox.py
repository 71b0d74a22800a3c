"""``sandbox``: the emulated API, over HTTP or in the file that ``--api sandbox`` uses."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.arguments import WORLD, open_sandbox, sandbox_folder
from reconciler.cli.command import Commands
from reconciler.cli.kinds import Duration
from reconciler.cli.options import SANDBOX, Common, shared
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import err, out
from reconciler.errors import Exit, UsageError
from reconciler.formats.commands import on_lines
from reconciler.render.words import plural

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Fault = click.ParamType[str]
else:  # older clicks know no type argument
    _Fault = click.ParamType

_DATA = click.option(
    "--data",
    metavar="FILE",
    type=click.Path(),
    help=f"The world's file (default: {SANDBOX}/{WORLD} in the state folder of the files).",
)


class Fault(_Fault):
    """``NAME[@CALL][=P]``; the sandbox itself reads what stands behind the name."""

    name = "fault"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from reconciler.cli.usage import did_you_mean
        from reconciler.sandbox.faults import FAULTS

        fault = str(value).partition("=")[0].partition("@")[0]
        if fault not in FAULTS:
            self.fail(f"{fault!r} is not the name of a fault. {did_you_mean(fault, FAULTS)}", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from reconciler.sandbox.faults import FAULTS

        return [CompletionItem(name) for name in FAULTS if name.startswith(incomplete)]


@click.group(cls=Commands)
def sandbox() -> None:
    """A stateful emulator of the API: everything runs on it without an account."""


@sandbox.command(
    examples=("reconciler sandbox serve", "reconciler sandbox serve --port 0 --fault status-503-before=0.1"),
    exits={Exit.DONE: "ended by a signal"},
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, help="0 picks a free one (default: 8765)."
)
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(),
    help="Keep the world in this SQLite file; default: in memory.",
)
@click.option("--speed", type=click.FloatRange(min=0), help="World seconds per real second (default: 1).")
@click.option("--world", metavar="FILE", type=click.Path(), help="A world file that sets the scene.")
@click.option(
    "--fault",
    "faults",
    type=Fault(),
    multiple=True,
    metavar="NAME[@CALL][=P]",
    help="Let a call go wrong, with probability P (1); repeatable. Names: docs/sandbox.md.",
)
@click.option("--seed", type=int, default=0, help="Decides which requests a fault with P strikes (0).")
def serve(
    port: int, data: str | None, speed: float | None, world: str | None, faults: tuple[str, ...], seed: int
) -> int:
    """Serve the sandbox on 127.0.0.1. The first line of stdout is its base URL, for --api."""
    from reconciler.sandbox import Sandbox, SceneError
    from reconciler.sandbox.serve import serve as run_server

    signals = Signals()
    try:
        if data is None:
            made = Sandbox.in_memory(world, seed=seed, speed=1.0 if speed is None else speed, faults=faults)
        else:
            made = Sandbox.open(data, world, seed=seed, speed=speed, faults=faults)
    except (SceneError, ValueError, OSError) as wrong:
        raise _no_world(wrong) from None
    with signals.caught():
        try:
            run_server(made.app, port, _announce)
        except OSError as error:
            detail = f"Port {port}: {error.strerror}."
            raise UsageError("The port cannot be used", detail, "Choose another: --port 0") from None
    return Exit.DONE


def _no_world(wrong: Exception) -> UsageError:
    told = f"{wrong}" if f"{wrong}".endswith("?") else f"{wrong}."
    return UsageError("The sandbox world cannot be created", told, "See docs/sandbox.md.")


def _announce(url: str) -> None:
    out(url)
    sys.stdout.flush()
    err(f"The sandbox is up. Use it with: RECONCILER_API_URL={url} SUPERMETRICS_API_KEY=any reconciler plan")


@sandbox.command(
    examples=("reconciler sandbox advance 3d", "reconciler sandbox advance 15m --data worlds/one.db"),
    exits={Exit.DONE: "moved"},
)
@click.argument("duration", type=Duration())
@_DATA
@shared("files")
def advance(common: Common, duration: timedelta, data: str | None) -> None:
    """Move the sandbox's clock on by DURATION, such as 90s, 15m, 6h or 3d."""
    flags = [f" --data {quote(data)}"] if data else [f" -c {quote(path)}" for path in common.config]
    data = data or os.path.join(sandbox_folder(common), WORLD)
    if not os.path.exists(data):
        detail = f"There is no file {data}; nothing was done on a sandbox kept there."
        begin = on_lines(f"sandbox reset{''.join(flags)}")
        hint = f"Name the sandbox's file with --data, or begin one there:{begin}"
        raise UsageError("There is no such sandbox", detail, hint)
    opened = open_sandbox(data)
    opened.advance(duration.total_seconds())
    out(f"The sandbox clock is at {opened.now_text()}.")


@sandbox.command(
    examples=("reconciler sandbox reset", "reconciler sandbox reset --world world.yaml"),
    exits={Exit.DONE: "begun anew"},
)
@click.option("--world", metavar="FILE", type=click.Path(), help="A world file that sets the scene.")
@_DATA
@shared("files")
def reset(common: Common, world: str | None, data: str | None) -> None:
    """Start the sandbox over, with its own state."""
    from reconciler.sandbox import SceneError

    folder = sandbox_folder(common) if data is None else ""
    opened = open_sandbox(data or os.path.join(folder, WORLD))
    try:
        opened.reset(world)
    except (SceneError, OSError) as wrong:
        raise _no_world(wrong) from None
    removed = _forget_state(folder) if folder else 0
    files = f"{plural(removed, 'state file')} in {folder}/ {'was' if removed == 1 else 'were'}"
    told = f"; {files} removed" if removed else ""
    out(f"The sandbox was reset{told}. Its clock is at {opened.now_text()}.")


def _forget_state(folder: str) -> int:
    """Remove what was remembered of the old world: its ids mean nothing in the new one."""
    for lock in Path(folder).glob("team-*.lock"):
        os.truncate(lock, 0)  # it names what was committed, and what is named and gone would be an old copy
    files = [*Path(folder).glob("team-*.db*")]
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)
