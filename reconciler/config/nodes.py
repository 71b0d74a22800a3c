"""Plain data that knows its places: what YAML becomes before the schema sees it. Pure."""

from __future__ import annotations

from typing import Any, Final

from reconciler.diagnostics import Place

Path = tuple[str | int, ...]
"""Keys and positions (from 0) that lead from the root to a node."""

TextSpan = tuple[int, int, int, int]
"""First line and column, last line and the column it ends before; all count from 1."""

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


class Text(str):
    """A scalar as written. ``plain`` is false for one in quotes or a block."""

    __slots__ = ("place", "plain")
    place: Place
    plain: bool

    @property
    def null(self) -> bool:
        """True where YAML has no value: nothing at all, ``~`` or ``null``."""
        return self.plain and self in _NULLS


class Block(dict[str, Any]):
    """A mapping; ``place`` is where it begins, ``end`` is the line and column it ends before."""

    __slots__ = ("end", "key_places", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.end = (place.line, place.column)
        self.key_places: dict[str, Place] = {}


class Items(list[Any]):
    """A sequence; ``place`` and ``end`` as of a ``Block``."""

    __slots__ = ("end", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.end = (place.line, place.column)


Node = Text | Block | Items


def at(root: Node, path: Path) -> Node:
    """Return the node at a path, or the deepest one on the way to it."""
    node = root
    for step in path:
        try:
            child = node[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return node
        if not isinstance(child, Text | Block | Items):
            return node  # a character of a text
        node = child
    return node


def key_place(root: Node, path: Path) -> Place:
    """Return the place of the key, or the list item, that a path ends in; or the nearest above it."""
    for length in range(len(path), 0, -1):
        parent, step = at(root, path[: length - 1]), path[length - 1]
        if isinstance(parent, Block) and step in parent.key_places:
            return parent.key_places[str(step)]
        if isinstance(parent, Items) and isinstance(step, int) and step < len(parent):
            return parent[step].place  # type: ignore[no-any-return]
    return Place(root.place.file, 1, 1, 1, 1)


def place_of(root: Node, path: Path) -> Place:
    """Return the place of the text at a path; where none stands, that of its key or list item."""
    node = at(root, path)
    if isinstance(node, Text) and not (node.null and not node):
        return node.place
    return key_place(root, path) if path else Place(root.place.file, 1, 1, 1, 1)
