"""What a shell completes beside commands and flags, which Click knows: files, folders, names of transfers.

Nothing here may fail or print: a person is in the middle of a line.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _paths(incomplete, "file")


def folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _paths(incomplete, "dir")


def transfers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of the transfers in the files that this line gives, or would read."""
    from click.shell_completion import CompletionItem

    names: list[tuple[str, int]] = []
    with suppress(ReconcilerError, OSError):
        names = _declared(ctx.params.get("config") or ())
    given = ctx.params.get(param.name or "") or ()
    return [
        CompletionItem(name, help=f"transfer {transfer_id}")
        for name, transfer_id in names
        if name.startswith(incomplete) and name not in given
    ]


def _declared(config: tuple[str, ...]) -> list[tuple[str, int]]:
    from datetime import UTC, datetime

    from reconciler.config.loading import default_paths, read_files

    desired = read_files(config or default_paths(), as_of=None, now=datetime.now(UTC))
    return [(one.name, one.address.transfer_id) for team in desired.teams for one in team.transfers]


def _paths(incomplete: str, kind: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type=kind)]
