"""How a command ends that failed: in words on stderr and, with ``--json``, in a last document on stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from reconciler.cli.options import Common, completed, completed_json
from reconciler.cli.terminal import err, has_result, out_json, out_json_line, paint_for, width_of
from reconciler.errors import ConfigError, Exit, Interrupted, ReconcilerError, status_of
from reconciler.formats.reports import failure_json
from reconciler.render.findings import error_text, findings_text
from reconciler.version import __version__


def failed(error: Exception, arguments: Sequence[str], common: Common | None) -> int:
    """Tell of the error that ended a command line, and return its exit status. ``common``: its flags, as far
    as they were read.
    """
    if isinstance(error, ReconcilerError):
        status = status_of(error)
        _show(error, common or Common())
    else:
        status = int(Exit.ERROR)
        _report(error)
    if "--json" in arguments and not has_result():
        _tell_programs(error, status, arguments, common or Common())
    return status


def _show(error: ReconcilerError, common: Common) -> None:
    paint = paint_for(common.color, sys.stderr)
    if isinstance(error, Interrupted):
        err(f"{error.summary}.")
    elif isinstance(error, ConfigError):
        err(completed(findings_text(error.findings, paint, error.line_of, width_of(sys.stderr)), common))
    else:
        err(completed(error_text(error, paint, width_of(sys.stderr)), common))


def _tell_programs(error: Exception, status: int, arguments: Sequence[str], common: Common) -> None:
    """Write what a program that reads our stdout needs, where nothing stands there yet: of ``apply``, whose
    output is lines, the summary; else a document that says that it is none of the expected ones.
    """
    told: dict[str, Any] = completed_json(failure_json(error), common)
    if arguments[0] != "apply":
        out_json({"format_version": "1.0", "errored": True, "exit": status, **told})
        return
    from reconciler.engine.results import Report
    from reconciler.formats.messages import summary_json

    out_json_line({**summary_json(status, Report((), frozenset({status})).totals), **told})


def _report(bug: Exception) -> None:
    """Print what a bug report needs: version, platform, the frames; no values, so no secrets."""
    import platform
    import traceback

    frames = traceback.extract_tb(bug.__traceback__)
    err(f"error[bug]: This is a bug in reconciler: {type(bug).__name__}")
    err("  Please report it with these lines:")
    err(f"    reconciler {__version__}, Python {platform.python_version()}, {platform.system()}")
    for frame in frames[-8:]:
        folder, file = os.path.split(frame.filename)
        err(f"    {os.path.basename(folder)}/{file}:{frame.lineno} {frame.name}")
