"""Showing what is wrong with the files, the lines underlined."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.cli.options import Common
from reconciler.cli.output import err, paint_for
from reconciler.render.problems import findings_text

if TYPE_CHECKING:
    from reconciler.config.desired import Loaded


def show_findings(loaded: Loaded, common: Common) -> None:
    """Print all findings, errors and warnings, to stderr."""
    if loaded.findings:
        err(findings_text(loaded.findings, paint_for(common.color, sys.stderr), loaded.line))
        err("")
