"""The flags that commands share, gathered in one value."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from reconciler import bounds
from reconciler.cli import completion
from reconciler.cli.kinds import Date, Duration
from reconciler.durations import worded

if TYPE_CHECKING:
    from reconciler.planning.plan import Options


F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_API = "https://dts-api.supermetrics.com/v1"
SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Common:
    """The shared flags. Precedence: flag, environment, file, default."""

    config: tuple[str, ...] = ()
    state: str | None = None
    api: str = DEFAULT_API
    as_of: date | None = None
    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    settle: timedelta = bounds.DEFAULT_SETTLE
    lock: bool = True
    lock_timeout: timedelta = timedelta(0)
    json: bool = False
    color: str = "auto"
    verbose: int = 0

    def following(self, options: Options) -> Common:
        """Return these flags with the files, unless some are given, and the selection of a plan."""
        config = self.config or options.config
        return replace(self, config=config, target=options.target, exclude=options.exclude)


settle_option = click.option(
    "--settle",
    type=Duration(least=lambda: bounds.MIN_SETTLE),
    default=bounds.DEFAULT_SETTLE,
    metavar="DURATION",
    help="Time in which a create takes effect or never will "
    f"({worded(bounds.DEFAULT_SETTLE)}); {worded(bounds.MIN_SETTLE)} at least.",
)

_FILES = [
    click.option(
        "-c",
        "--config",
        multiple=True,
        metavar="PATH",
        shell_complete=completion.files,
        help="A file or folder; repeatable. Default: backfills.yaml or backfills/.",
    ),
]
_JSON = [click.option("--json", is_flag=True, help="Write JSON to stdout.")]
_COLOR = [
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="When to use colour (auto); auto obeys NO_COLOR and FORCE_COLOR.",
    ),
]
_VERBOSE = [click.option("-v", "--verbose", count=True, help="Print each request to stderr.")]
_AS_OF = [
    click.option(
        "--as-of",
        type=Date(),
        metavar="DATE",
        help="Resolve relative days against this date (today); never a later one.",
    ),
]
_STATE = [
    click.option(
        "--state",
        envvar="RECONCILER_STATE",
        metavar="URL",
        shell_complete=completion.folders,
        help="Where the state is: a folder, or git:REMOTE. [env: RECONCILER_STATE]",
    ),
]
_API = [
    click.option(
        "--api",
        envvar="RECONCILER_API_URL",
        default=DEFAULT_API,
        metavar="URL",
        help="The API's base URL, or sandbox[:FILE]. [env: RECONCILER_API_URL]",
    ),
]
_SELECT = [
    click.option(
        "--target",
        multiple=True,
        metavar="NAME",
        shell_complete=completion.transfers,
        help="Only transfers of this name; repeatable, a glob such as 'meta-*'.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="NAME",
        shell_complete=completion.transfers,
        help="No transfers of this name; repeatable, a glob.",
    ),
]
_LOCK = [
    click.option("--lock/--no-lock", default=True, help="Hold the state's lock during the run (default)."),
    click.option(
        "--lock-timeout",
        type=Duration(),
        default="0s",
        metavar="DURATION",
        help="How long to wait for the lock (0s).",
    ),
]


def _path(path: str) -> str:
    """Return a path as a shell takes it: by its bytes, where this locale cannot read them."""
    if path.isprintable():
        return quote(path)
    plain = set(range(0x20, 0x7F)) - set(b"\\'")
    return "$'" + "".join(chr(one) if one in plain else f"\\x{one:02x}" for one in os.fsencode(path)) + "'"


def command_of(common: Common, command: str) -> str:
    """Return a command with the flags that name this run's files, API and state."""
    parts = [f"reconciler {command}", *(f"-c {_path(path)}" for path in common.config)]
    parts += [f"--api {quote(common.api)}"] if common.api != DEFAULT_API else []
    if common.state:
        from reconciler.untrusted import without_password

        parts.append(f"--state {quote(without_password(common.state))}")
    return " ".join(parts)


def completed(text: str, common: Common) -> str:
    """Add this run's flags to each command that stands on a line of its own."""
    return re.sub(r"(?m)^( *)reconciler (.+)$", lambda found: found[1] + _flagged(found[2], common), text)


def completed_json(document: dict[str, Any], common: Common) -> dict[str, Any]:
    """Add the same to the commands of a document's diagnostics."""
    told = [
        {**one, "commands": [completed(command, common) for command in one["commands"]]}
        if "commands" in one
        else one
        for one in document.get("diagnostics", ())
    ]
    return {**document, "diagnostics": told} if told else document


def kept(*names: str) -> str:
    """Return those of a command's own flags that were given, each with a blank before it."""
    context = click.get_current_context()
    told = []
    for param in context.command.params:
        if param.name in names and context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            value, flag = context.params[param.name], param.opts[-1]
            for one in value if isinstance(value, tuple) else (value,):
                words = worded(one) if isinstance(one, timedelta) else quote(str(one))
                off = f"--no-{param.name}"
                told.append((flag if one else off) if isinstance(one, bool) else f"{flag} {words}")
    return "".join(f" {one}" for one in told)


_WITHOUT = (
    "ci",
    "demo",
    "diff",
    "init",
    "sandbox",
    "schema",
    "show",
)  # have no files, API or state to be told


def _flagged(command: str, common: Common) -> str:
    name, *more = command.split()
    if name in _WITHOUT:
        return f"reconciler {command}"
    if name == "validate":
        common = Common(config=common.config)
    parts = [command_of(common, command)]
    if name in ("plan", "apply", "status"):
        parts += [f"--as-of {common.as_of}"] if common.as_of and "--as-of" not in more else []
        if name != "apply" or not more or more[0].startswith("-"):  # a saved plan has its own
            parts += [f"--target {quote(pattern)}" for pattern in common.target]
            parts += [f"--exclude {quote(pattern)}" for pattern in common.exclude]
    if name in ("plan", "apply", "retry", "accept", "resolve"):
        parts += [f"--settle {worded(common.settle)}"] if common.settle != bounds.DEFAULT_SETTLE else []
    return " ".join(parts)


def note(common: Common) -> Common:
    """Let ``main`` print of an error what fits this command's flags: its colour, and commands to paste."""
    noted = click.get_current_context().obj
    if noted is not None:
        noted["common"] = common
    return common


def _without_others_state(common: Common) -> Common:
    """Leave out a state that the environment names where the sandbox is used: it is not the sandbox's."""
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source("state") if context is not None else None
    of_sandbox = common.api == SANDBOX or common.api.startswith(f"{SANDBOX}:")
    return replace(common, state=None) if of_sandbox and source is ParameterSource.ENVIRONMENT else common


def shared(*groups: str) -> Callable[[F], F]:
    """Add the flags of the groups, and hand them to the command as one ``Common`` named ``common``."""
    known = {
        "files": _FILES,
        "json": _JSON,
        "output": [*_COLOR, *_VERBOSE],
        "api": _API,
        "as_of": _AS_OF,
        "state": _STATE,
        "select": _SELECT,
        "lock": _LOCK,
    }
    chosen = [option for group in groups for option in known[group]]

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def gathered(**values: Any) -> Any:
            names = {field.name for field in fields(Common)}
            given = {name: values.pop(name) for name in list(values) if name in names - {"settle"}}
            common = Common(**given, settle=values.get("settle", bounds.DEFAULT_SETTLE))
            return command(common=note(_without_others_state(common)), **values)

        wrapped: Any = gathered
        for option in reversed(chosen):
            wrapped = option(wrapped)
        result: F = wrapped
        return result

    return decorate
