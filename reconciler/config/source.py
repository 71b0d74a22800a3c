"""YAML to plain data that knows its places; this is the only importer of yaml here.

The data is folded from parse *events*, which arrive one by one, so that depth and size are
checked before anything can recurse or multiply. Scalars stay text: what ``NO``, ``0123`` or
``2024-02-30`` mean is the schema's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from reconciler.config.nodes import Block, Items, Node, Text
from reconciler.config.reading import decode
from reconciler.config.rules import MOST_FINDINGS, RULES, finding, shown
from reconciler.diagnostics import Finding, Place

DEEPEST: Final = 64
MOST_WRITTEN: Final = 2_000_000
"""So many values has a file of the largest size that lists ranges; one with more is built to fill memory."""
MOST_COPIED: Final = 100_000
"""Values that aliases may add to those."""

LIBYAML: Final[Any] = getattr(yaml, "CBaseLoader", None)
LOADER: Final[Any] = LIBYAML or yaml.BaseLoader


@dataclass(frozen=True, slots=True)
class Source:
    """One file as read: its text (for showing lines), its data, and what is wrong so far.

    ``root`` is ``None`` when the findings leave nothing to go on with.
    """

    file: str
    text: str
    root: Node | None
    findings: tuple[Finding, ...]
    empty: bool = False


def parse(data: bytes, file: str, loader: Any = LOADER) -> Source:
    """Read one file's bytes. Raises nothing for bad content."""
    text, findings = decode(data, file)
    if findings:
        return Source(file, text, None, tuple(findings))
    tree = _Tree(file)
    try:
        for event in yaml.parse(text, Loader=loader):
            tree.add(event)
    except _Stop as stop:
        return Source(file, text, None, (*tree.findings, stop.finding))
    # ValueError: the pure parser's own, from numbers in escapes and directives
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        from reconciler.config.syntax import syntax_finding  # only files with mistakes need it

        return Source(file, text, None, (*tree.findings, syntax_finding(error, text, file)))
    return _finished(tree, text)


def _finished(tree: _Tree, text: str) -> Source:
    root = tree.root
    if root is None or (isinstance(root, Text) and root.null):
        detail = "The file has no data, only whitespace or comments."
        hint = "Remove this one, or write a commented starter file:\n  reconciler init"
        empty = finding("BF008", detail, hint, Place(tree.file, 1, 1, 1, 1))
        return Source(tree.file, text, None, (*tree.findings, empty), empty=True)
    return Source(tree.file, text, root, tuple(tree.findings))


class _Stop(Exception):
    """Reading on would be unsafe, or pointless."""

    def __init__(self, last: Finding) -> None:
        self.finding = last


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet. ``values`` counts what it expands to."""

    node: Block | Items
    anchor: str | None
    values: int = 1
    key: Text | None = None
    skip: bool = False


@dataclass(slots=True)
class _Tree:
    """Folds events into data. Nesting lives on ``open``, never on Python's stack."""

    file: str
    root: Node | None = None
    findings: list[Finding] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int]] = field(default_factory=dict)
    values: int = 0
    copied: int = 0
    documents: int = 0

    def add(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._start(event, Block(self._place(event)))
        elif kind is yaml.SequenceStartEvent:
            self._start(event, Items(self._place(event)))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._end(event)
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._document(event)

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        return Place(self.file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _refuse(self, rule: str, detail: str, hint: str, place: Place, *also: Place, brief: str = "") -> None:
        self.findings.append(finding(rule, detail, hint, place, also, brief=brief or RULES[rule]))
        if len(self.findings) >= MOST_FINDINGS - 1:
            detail = f"Reading stopped after {len(self.findings)} findings."
            raise _Stop(finding("BF020", detail, "Fix these first, then run again.", place))

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            detail = "A second document starts here, after a `---` line."
            raise _Stop(finding("BF015", detail, "Move it to a file of its own.", self._place(event)))

    def _scalar(self, event: Any) -> None:
        node = Text(event.value)
        node.place = self._place(event)
        node.plain = event.style is None or event.style == ""
        self._tag(event, node.place)
        self._remember(event, node, 1)
        self._put(node, 1)

    def _start(self, event: Any, node: Block | Items) -> None:
        self._tag(event, node.place)
        if len(self.open) >= DEEPEST:
            detail = f"The nesting is deeper than {DEEPEST} levels; a valid file needs 6."
            raise _Stop(finding("BF012", detail, "Flatten the file.", node.place))
        self.open.append(_Open(node, event.anchor))

    def _end(self, event: Any) -> None:
        done = self.open.pop()
        mark = event.end_mark
        done.node.end = (mark.line + 1, mark.column + 1)
        if done.anchor:
            self.anchors[done.anchor] = (done.node, done.values)
        self._put(done.node, done.values, counted=done.values - 1)

    def _alias(self, event: Any) -> None:
        place = self._place(event)
        inside = any(level.anchor == event.anchor for level in self.open)
        known = None if inside else self.anchors.get(event.anchor)
        if known:
            self._copy(*known, place)
            return
        problem = (
            "is inside the value it refers to, so it would never end"
            if inside
            else "refers to no anchor above it"
        )
        self._refuse(
            "BF017",
            f"The alias {shown('*' + event.anchor)} {problem}.",
            "Write the value out instead.",
            place,
            brief=f"The alias {problem}",
        )
        node = Text("")
        node.place, node.plain = place, True
        self._put(node, 1)

    def _copy(self, node: Node, values: int, place: Place) -> None:
        self.copied += values
        if self.copied > MOST_COPIED:
            detail = f"Expanded, its aliases come to more than {MOST_COPIED:,} values."
            raise _Stop(finding("BF018", detail, "Use fewer aliases; `defaults` may do instead.", place))
        self._put(node, values, counted=values)

    def _remember(self, event: Any, node: Node, values: int) -> None:
        if event.anchor:
            self.anchors[event.anchor] = (node, values)

    def _tag(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            detail = f"The tag {shown(event.tag)} would change what the value means, or run code elsewhere."
            self._refuse("BF014", detail, "Remove the tag; the schema knows the type.", place)

    def _put(self, node: Node, values: int, counted: int = 0) -> None:
        """Hand a finished node to the collection it stands in."""
        self.values += values - counted
        if self.values > MOST_WRITTEN:
            detail = f"The file has more than {MOST_WRITTEN:,} values."
            raise _Stop(finding("BF018", detail, "Split the file.", node.place))
        if not self.open:
            self.root = node
            return
        level = self.open[-1]
        level.values += values
        if isinstance(level.node, Items):
            level.node.append(node)
        elif level.key is None:
            self._key(level, level.node, node)
        else:
            if not level.skip:
                level.node[str(level.key)] = node
            level.key = None

    def _key(self, level: _Open, block: Block, node: Node) -> None:
        """Take a mapping's next key. The value of a refused one is read, and left out."""
        level.skip = True
        if not isinstance(node, Text):
            self._refuse("BF019", "A list or mapping is used as a key here.", "Use a string.", node.place)
            node_key = Text("")
            node_key.place, node_key.plain = node.place, True
            level.key = node_key
            return
        level.key = node
        if not block.key_places and block.place.column == block.place.end_column:
            block.place = node.place  # a mapping without braces has no width: show its first key
        first = block.key_places.get(node)
        if node == "<<" and node.plain:
            detail = "`<<` would copy keys from elsewhere, and which of them win is not visible here."
            self._refuse("BF016", detail, "Write the keys out, or use `defaults`.", node.place)
        elif first:
            detail = (
                f"The key {shown(node)} is already set on line {first.line}. Only one of the two can apply."
            )
            self._refuse("BF013", detail, "Remove one of them, or rename it.", node.place, first)
        else:
            level.skip = False
            block.key_places[str(node)] = node.place
