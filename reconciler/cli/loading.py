"""From flags to what the files declare, and the showing of what is wrong with them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.cli.options import Common
from reconciler.cli.terminal import err, paint_for
from reconciler.config.loading import default_paths, load, read_files, select

if TYPE_CHECKING:
    from reconciler.model.desired import Desired


def read_all(common: Common) -> Desired:
    """Read the files that the flags name, good or bad. Raises ``ConfigError`` for a path that cannot be
    looked at, and ``UsageError`` for an ``--as-of`` in the future.
    """
    return read_files(common.config or default_paths(), as_of=common.as_of, now=datetime.now(UTC))


def load_selected(common: Common) -> Desired:
    """Load the files that the flags name, and select the transfers. Warnings are shown.

    Raises ``ConfigError`` with all findings if one is an error, and ``UsageError`` for a pattern that
    matches no transfer.
    """
    desired = load(common.config or default_paths(), common.as_of)
    show_findings(desired, common)
    return select(desired, common.target, common.exclude)


def show_findings(desired: Desired, common: Common) -> None:
    """Print all findings, errors and warnings, to stderr."""
    if desired.findings:
        from reconciler.render.findings import findings_text

        err(findings_text(desired.findings, paint_for(common.color, sys.stderr), desired.line))
        err("")
