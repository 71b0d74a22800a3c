"""Plans in files: read back, and written in each format, all from one view."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import click

from reconciler.cli.kinds import OutFile
from reconciler.cli.reading import read_bounded
from reconciler.cli.writing import write_whole
from reconciler.errors import UsageError
from reconciler.formats.commands import on_lines
from reconciler.formats.planfile import MAX_BYTES, dump, encode_plan, read_plan
from reconciler.formats.widget import widget_json
from reconciler.planning.plan import Plan
from reconciler.render.markdown import LEAST_CHARS, MAX_CHARS, markdown
from reconciler.render.text import Shown, plan_text
from reconciler.render.view import View
from reconciler.render.words import Paint
from reconciler.version import __version__

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Form:
    """What the flags say of how a plan is written. ``outs``: format and path of each file; ``base``: the plan
    of the branch that it is to be merged into; ``max_chars``: of the Markdown.
    """

    outs: tuple[tuple[str, str], ...] = ()
    whole: bool = False
    max_chars: int = MAX_CHARS
    base: Plan | None = None

    @property
    def saved(self) -> str | None:
        """The first file that is a plan to be applied."""
        return next((path for format_, path in self.outs if format_ == "json"), None)

    def write(self, view: View) -> None:
        """Write each file, whole or not at all. Raises ``UsageError`` for one that cannot be written."""
        for format_, path in self.outs:
            write_whole(path, WRITERS[format_](view, self))


WRITERS: Mapping[str, Callable[[View, Form], str]] = {
    "json": lambda view, form: dump(encode_plan(view.plan, __version__)),
    "markdown": lambda view, form: markdown(view, form.max_chars, form.base),
    "text": lambda view, form: plan_text(view, Shown(Paint(), whole=form.whole)),
    "terraform": lambda view, form: dump(widget_json(view.plan)),
}
FORMATS = tuple(WRITERS)

base_option = click.option(
    "--base",
    type=click.Path(path_type=Path),
    metavar="PLANFILE",
    help="The plan of the branch this is merged into: the Markdown says what this one adds to it.",
)
max_chars_option = click.option(
    "--max-chars",
    type=click.IntRange(min=LEAST_CHARS),
    default=MAX_CHARS,
    metavar="N",
    help=f"Let the Markdown have at most this many characters ({MAX_CHARS}): less detail, nothing cut.",
)
_OPTIONS = (
    click.option(
        "--out",
        "outs",
        type=OutFile(FORMATS),
        multiple=True,
        help=f"Save the plan; repeatable. Formats: {', '.join(FORMATS)} (default json).",
    ),
    base_option,
    max_chars_option,
    click.option("--all", "whole", is_flag=True, help="Show each backfill and range, however many."),
)


def form_options(command: F) -> F:
    """Add the flags that say how a plan is written, and hand them to the command as one ``Form``."""

    @functools.wraps(command)
    def gathered(
        *,
        outs: tuple[tuple[str, str], ...],
        base: Path | None,
        max_chars: int,
        whole: bool,
        **values: Any,
    ) -> Any:
        form = Form(outs, whole, max_chars, load_plan(base) if base else None)
        return command(form=form, **values)

    wrapped: Any = gathered
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


def load_plan(path: Path) -> Plan:
    """Read a plan file. Raises ``UsageError`` if it is not there, ``Refused`` if it is unfit."""
    if path.suffix in (".yaml", ".yml"):
        hint = f"Files of transfers are given with -c:{on_lines(f'apply -c {quote(str(path))}')}"
        raise UsageError("This is no plan file", f"{path} looks like a file of transfers.", hint)
    try:
        data = read_bounded(path, MAX_BYTES + 1)
    except OSError as error:
        detail = f"{path}: {error.strerror}."
        make = f"Make one:{on_lines(f'plan --out {quote(str(path))}')}"
        raise UsageError("The plan file cannot be read", detail, make) from None
    return read_plan(data)
