"""Wrong usage, in the words of all other errors: what is wrong, and the nearest thing that is known."""

from __future__ import annotations

import os
from collections.abc import Iterable
from shlex import quote

import click

from reconciler.config.ranges import parse_range
from reconciler.config.rules import BrokenRule
from reconciler.config.values import nearest
from reconciler.errors import UsageError
from reconciler.formats.commands import lines
from reconciler.untrusted import printable


def worded(wrong: click.ClickException) -> UsageError:
    """Return what Click found wrong as an error of ours."""
    match wrong:
        case click.NoSuchOption(ctx=click.Context() as ctx):
            return _no_flag(ctx, wrong.option_name)
        case click.MissingParameter(ctx=click.Context() as ctx, param=click.Parameter() as param):
            named = _named(param)
            return UsageError(
                "An argument is missing", f"`{ctx.command_path}` needs {named}.", _see(ctx.command_path)
            )
        case click.BadParameter(param=click.Parameter() as param):
            return UsageError(f"Invalid value for {_named(param)}", *_of_value(param, wrong.message))
        case click.BadOptionUsage(ctx=click.Context() as ctx):
            return _misused(ctx, wrong.option_name)
    return UsageError("The command cannot be read", printable(wrong.format_message()))


def no_command(ctx: click.Context, name: str) -> UsageError:
    """Return the error for a command, or a command of a group, that is not there."""
    group, path = ctx.command, ctx.command_path
    assert isinstance(group, click.Group)
    known = {one: f"{path} {one}" for one in group.list_commands(ctx)}
    for one in known if ctx.parent is None else ():
        inner = group.get_command(ctx, one)
        if isinstance(inner, click.Group):
            known = {**{deep: f"{path} {one} {deep}" for deep in inner.list_commands(ctx)}, **known}
    near = nearest(name.lower(), list(known))
    there = group.list_commands(ctx)
    told = f"Did you mean `{known[near]}`?" if near else f"The commands are {_listed(there)}."
    return UsageError("There is no such command", f"`{path}` has no command `{printable(name)}`.", told)


def too_many(ctx: click.Context, left: list[str]) -> UsageError:
    """Return the error for arguments beyond those that a command takes."""
    path, told = ctx.command_path, ", ".join(f"`{printable(one)}`" for one in left)
    taken = [_named(param) for param in ctx.command.params if isinstance(param, click.Argument)]
    takes = f"takes {' and '.join(taken)} only" if taken else "takes no argument"
    hint = _see(path)
    if taken and left[0].startswith(".."):
        hint = f"A range is one word: write {_in_one_word(ctx, left)}."
    elif os.path.exists(left[0]) and any("--config" in param.opts for param in ctx.command.params):
        hint = f"Files are given with -c:{lines(f'{path} -c {quote(left[0])}')}"
    return UsageError("An argument too many", f"`{path}` {takes}, and not {told}.", hint)


def _in_one_word(ctx: click.Context, left: list[str]) -> str:
    """Return the range whose first day was taken for the last argument, and the rest is left."""
    last = [param for param in ctx.command.params if isinstance(param, click.Argument)][-1]
    whole = f"{ctx.params.get(last.name or '')}{''.join(left)}"
    try:
        known = parse_range(whole) is not None
    except BrokenRule:
        known = False
    return f"`{whole}`" if known else f"{_named(last)} without blanks, like START..END"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint with the known word that is nearest, or all of them."""
    names = list(known)
    near = nearest(word.lower(), names)
    return f"Did you mean `{near}`?" if near else f"Use one of {_listed(names)}."


_ELSEWHERE = dict.fromkeys(("y", "yes", "assume-yes", "force", "no-input"), "auto-approve")
"""Flags of other programs, and ours that do the same."""


def _no_flag(ctx: click.Context, flag: str) -> UsageError:
    known = [name for param in ctx.command.get_params(ctx) for name in (*param.opts, *param.secondary_opts)]
    flags = [name for name in known if name.startswith("--")]
    typed = flag.lstrip("-").lower()  # dashes make all alike
    word = nearest(_ELSEWHERE.get(typed, typed), [name[2:] for name in flags])
    near = f"--{word}" if word else None
    if near is None and flag[:2] != "--":
        begin_so = [name for name in flags if name.startswith(f"-{flag}")]
        near = begin_so[0] if len(begin_so) == 1 else None
    hint = f"Did you mean `{near}`?" if near else _see(ctx.command_path)
    if ctx.parent is None and (near is None or near[:4] != flag[:4]):
        hint = f"Flags stand behind the command:{lines(f'{ctx.command_path} COMMAND {flag}')}"
    return UsageError("There is no such flag", f"`{ctx.command_path}` has no {printable(flag)}.", hint)


def _misused(ctx: click.Context, flag: str) -> UsageError:
    param = next(
        (one for one in ctx.command.get_params(ctx) if flag in (*one.opts, *one.secondary_opts)), None
    )
    if isinstance(param, click.Option) and (param.is_flag or param.count):
        return UsageError("A value too many", f"{flag} takes no value.", "Leave it out.")
    wanted = f": {param.make_metavar(ctx)}" if param else ""
    return UsageError("A value is missing", f"{flag} needs one{wanted}.", _see(ctx.command_path))


def _of_value(param: click.Parameter, message: str) -> tuple[str, str]:
    """Return what is wrong with a value, and what to give."""
    if isinstance(param.type, click.IntRange | click.FloatRange):
        return f"{printable(message.partition(' is not')[0])} is not a {_bounded(param.type)}.", ""
    if not isinstance(param.type, click.Choice):
        detail, _, hint = message.partition("\n")
        return printable(detail), printable(hint)
    value = message.removeprefix("'").partition("' is not")[0]
    choices = [str(one) for one in param.type.choices]
    return f"It is {printable(value)!r}, which is not one of {_listed(choices)}.", did_you_mean(
        value, choices
    )


def _bounded(kind: click.IntRange | click.FloatRange) -> str:
    number = "whole number" if isinstance(kind, click.IntRange) else "number"
    return (
        f"{number} of at least {kind.min}" if kind.max is None else f"{number} from {kind.min} to {kind.max}"
    )


def _named(param: click.Parameter) -> str:
    if isinstance(param, click.Argument):
        return (param.metavar or param.name or "").strip("[]").upper()
    return max(param.opts, key=len)


def _see(path: str) -> str:
    return f"See what it takes:{lines(f'{path} --help')}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{one}`" for one in names)
