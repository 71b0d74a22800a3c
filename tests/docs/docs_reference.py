"""The parts of the docs that are made from the code: commands, flags, the file's keys, the life of an
intent, the tables of evidence and of the ledger.

A page holds them between ``<!-- generated: NAME -->`` and ``<!-- end -->``; ``UPDATE_DOCS=1`` rewrites them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from reconciler.cli.command import Command
from reconciler.cli.main import group
from reconciler.config.schema import json_schema
from reconciler.planning.intents import TRANSITIONS
from reconciler.planning.ledger import DONE, DUE_WITHOUT, HELD_UP, WAITING
from reconciler.planning.verdict import ROWS

_PART = re.compile(r"(?<=<!-- generated: (\w{4}) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """Return a page's text with its generated parts made anew."""
    makers = {
        "cmds": commands_part,
        "keys": keys_part,
        "life": life_part,
        "rows": rows_part,
        "rule": rule_part,
    }
    return _PART.sub(lambda found: f"\n{makers[found[1]]()}\n", text)


def life_part() -> str:
    """Return the life of an intent: the table that every change of one walks."""
    rows = (
        f"| {row.kind} | {row.before} | {row.change} | {row.after} | {row.who} | {row.evidence} |"
        for row in TRANSITIONS
    )
    head = ["| intent to | is | event | becomes | who says so | evidence |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def rows_part() -> str:
    """Return what a backfill says of its days: the table that every judgement walks."""
    rows = (f"| {row.when} | {row.days} |" for row in ROWS)
    return "\n".join(["| the backfill | its days |", "|---|---|", *rows, ""])


def rule_part() -> str:
    """Return the rules of the ledger in their order; of why days are due those that need no backfill."""
    rules = (*DONE, *WAITING, *HELD_UP, *DUE_WITHOUT)
    lines = (f"{place}. `{rule.bucket}` {rule.reason}".rstrip() for place, rule in enumerate(rules, 1))
    return "\n".join([*lines, ""])


# --- commands -----------------------------------------------------------------------------


def commands(parent: click.Group = group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name; a group before its own commands."""
    context = click.Context(parent)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        assert command is not None
        yield f"{prefix}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")


def flags_of(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option) and not param.hidden]


def commands_part() -> str:
    return "\n".join(_command(name, command) for name, command in commands())


def _command(name: str, command: click.Command) -> str:
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    usage = " ".join(["reconciler", name, *map(_argument, arguments)])
    rows = [f"| `{_spelling(flag)}` | {_told(flag)} |" for flag in flags_of(command)]
    table = ["| flag | |", "|---|---|", *rows, ""] if rows else []
    paragraphs = re.split(r"\n\s*\n", (command.help or "").strip())
    told = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    return "\n".join([f"### {name}", "", f"`{usage}`", "", told, "", *table, *_ending(command)])


def _ending(command: click.Command) -> list[str]:
    """Return what the help ends with: examples, and the exit statuses, whose meanings are told once above."""
    if not isinstance(command, Command):
        return []
    exits = ", ".join(str(int(exit_)) for exit_ in command.exits)
    return ["```sh no-run", *command.examples, "```", "", f"Exits: {exits}.", ""]


def _argument(param: click.Argument) -> str:
    shown = (param.metavar or param.name or "").upper().strip("[]")
    return shown if param.required else f"[{shown}]"


def _spelling(flag: click.Option) -> str:
    names = ", ".join(flag.opts) + "".join(f"/{name}" for name in flag.secondary_opts)
    if flag.is_flag or flag.count:
        return names
    return f"{names} {flag.metavar or _kind(flag.type)}".replace("|", "\\|")


def _kind(kind: click.ParamType) -> str:
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    return kind.name.split()[0].upper() if not kind.name.startswith("[") else kind.name.upper()


def _told(flag: click.Option) -> str:
    return (flag.help or "").replace("|", "\\|")


# --- the keys of the file -----------------------------------------------------------------

_SECTIONS = (
    ("The file", ()),
    ("limits", ("limits",)),
    ("guards", ("guards",)),
    ("guards.owners", ("guards", "owners", "*")),
    ("defaults", ("defaults",)),
    ("transfers", ("transfers", "*")),
    ("ranges", ("transfers", "*", "ranges", "[]")),
    ("exclude", ("transfers", "*", "exclude", "[]")),
)


def sections() -> list[tuple[str, Mapping[str, Any]]]:
    """Return each section of the file with its part of the JSON Schema."""
    schema = json_schema()
    return [(title, _at(schema, path)) for title, path in _SECTIONS]


def _at(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    node = schema
    for step in path:
        node = _resolved(schema, node)
        if step == "*":
            node = next(iter(node["patternProperties"].values()))
        elif step == "[]":
            node = next(one for one in node["items"]["anyOf"] if one.get("type") not in ("string", "integer"))
        else:
            node = node["properties"][step]
    return _resolved(schema, node)


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    found = node.get("$ref") or next((one["$ref"] for one in node.get("allOf", ()) if "$ref" in one), None)
    return schema["$defs"][found.rsplit("/", 1)[1]] if found else node


def keys_part() -> str:
    return "\n".join(_section(title, section) for title, section in sections())


def _section(title: str, section: Mapping[str, Any]) -> str:
    required = section.get("required", ())
    rows = [
        f"| `{key}` | {_form(value)} | {'required. ' if key in required else ''}{_meaning(key, value)} |"
        for key, value in section["properties"].items()
    ]
    heading = title if title == "The file" else f"`{title}`"
    lines = [
        f"### {heading}",
        "",
        str(section.get("description", "")),
        "",
        "| key | value | |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *rows, ""])


def _meaning(key: str, value: Mapping[str, Any]) -> str:
    told = str(value.get("description", "")).replace("|", "\\|")
    nested = key in ("limits", "guards", "defaults", "transfers", "ranges", "exclude", "owners")
    return " ".join(part for part in (told, "See below." if nested else "") if part)


def _form(value: Mapping[str, Any]) -> str:
    """Say in a few words which values are allowed."""
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    match value.get("type"):
        case "integer" | "number":
            return _bounds(value)
        case "boolean":
            return "`true` or `false`"
        case "array":
            return "a list"
        case "string":
            return "string"
    return "a mapping"


def _bounds(value: Mapping[str, Any]) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    if high == 2**63 - 1:
        return "a number"
    return f"{low} to {high}"
