"""A file's data against the schema. What is wrong with it is worded in ``mistakes.py``."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import ValidationError

from reconciler.config import schema
from reconciler.config.nodes import Block, Node, TextSpan, key_place
from reconciler.config.rules import finding
from reconciler.config.source import Source
from reconciler.config.values import wrong_shape
from reconciler.diagnostics import Finding, Place


@dataclass(frozen=True, slots=True)
class Validated:
    """What of a file can be used. With findings, ``data`` and ``model`` lack the faulty parts, and ``whole``
    has them.

    The faulty parts are left out, not the file, so that checks across files are reported in
    the same run. ``secrets`` are the spans that must not be shown.
    """

    file: str
    model: schema.BackfillsFile | None
    data: Node
    whole: Node
    findings: tuple[Finding, ...]
    secrets: tuple[TextSpan, ...] = ()


def validate(source: Source, root: Node) -> Validated:
    """Check one file's data. Raises nothing for bad content."""
    if not isinstance(root, Block):
        from reconciler.config.mistakes import broken

        wrong = wrong_shape(root, "a mapping with `version`, `team_id` and `transfers`")
        return Validated(source.file, None, root, root, (broken(wrong, root, ()),))
    if foreign := _foreign(root):
        return Validated(source.file, None, root, root, (foreign,))
    try:
        model = schema.read_file(root)
    except ValidationError as error:
        return _faulty(source, root, error)
    empty = () if model.transfers or source.findings else (_no_transfers(root),)
    return Validated(source.file, model, root, root, empty)


def _faulty(source: Source, root: Block, error: ValidationError) -> Validated:
    from reconciler.config.mistakes import report_of, salvaged

    faults = error.errors(include_url=False)
    report = report_of(root, source.text, faults, known={seen.place for seen in source.findings})
    model, data = salvaged(root, faults)
    return Validated(source.file, model, data, root, tuple(report.findings), tuple(report.secrets))


def _no_transfers(root: Block) -> Finding:
    detail = "`transfers` is empty, so the file declares nothing to load."
    return finding("BF057", detail, "Add a transfer, or remove the file.", key_place(root, ("transfers",)))


def _foreign(root: Block) -> Finding | None:
    """Name a file that is not one of ours, and spare its reader every key of it."""
    if any(key in root for key in ("transfers", "team_id", "version")):
        return None
    detail = "The file has no top-level key `transfers`, so it declares nothing to load."
    hint = "Move it out of the folder, or start its name with a dot."
    return finding("BF021", detail, hint, Place(root.place.file, 1, 1, 1, 1))
