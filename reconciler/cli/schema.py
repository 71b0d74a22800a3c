"""``schema``: the JSON Schema of the file, for editors."""

from __future__ import annotations

import click

from reconciler.cli.terminal import out_json


@click.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors with yaml-language-server."""
    from reconciler.config.schema import json_schema

    out_json(json_schema())
