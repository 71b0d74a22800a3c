"""From flags to what the files say, and the showing of what is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from reconciler.cli.options import Common
from reconciler.cli.terminal import err, paint_for
from reconciler.config.desired import Loaded, default_paths, load
from reconciler.config.rules import finding
from reconciler.errors import ConfigError


def load_files(common: Common) -> Loaded:
    """Read the files that the flags name. Raises ``UsageError`` for an ``--as-of`` in the future, and
    ``ConfigError`` for a path that cannot even be looked at.
    """
    try:
        paths: Sequence[Path | str] = common.config or default_paths()
        return load(paths, as_of=common.as_of, now=datetime.now(UTC))
    except OSError as error:
        detail = f"{error.filename or 'A file'}: {error.strerror or error}."
        hint = "Check the path and its permissions."
        raise ConfigError((finding("BF002", detail, hint),)) from None


def show_findings(loaded: Loaded, common: Common) -> None:
    """Print all findings, errors and warnings, to stderr."""
    if loaded.findings:
        from reconciler.render.findings import findings_text

        err(findings_text(loaded.findings, paint_for(common.color, sys.stderr), loaded.line))
        err("")
