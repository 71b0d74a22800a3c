"""``schema``: the JSON Schema of the file, for editors."""

from __future__ import annotations

import click

from reconciler.cli.command import Command
from reconciler.cli.terminal import out_json
from reconciler.errors import Exit


@click.command(
    cls=Command,
    examples=("reconciler schema", "reconciler schema > backfills.schema.json"),
    exits={Exit.DONE: "printed"},
)
def schema() -> None:
    """Print the JSON Schema of the file, for editors with yaml-language-server."""
    from reconciler.config.schema import json_schema

    out_json(json_schema())
