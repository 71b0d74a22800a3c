"""Every small change of a Python file that its tests should notice, one at a time, as text edits.

Text is edited at the places that ``ast`` names, so a mutant differs from its original in
nothing else and its line numbers hold. Words for people (strings) are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
ENUMS = (
    "Ending",
    "Outcome",
    "Verdict",
    "Bucket",
    "Reason",
    "Origin",
    "ActionKind",
    "IntentKind",
    "Committed",
)
WITHOUT_A_KEYWORD = ("replace", "Delta")  # calls whose keywords all have a default


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One change: ``text`` at ``line`` (from 1) and ``column`` (from 0, in bytes) becomes ``instead``."""

    file: str
    line: int
    column: int
    text: str
    instead: str

    def __str__(self) -> str:
        before, after = (" ".join(one.split()) for one in (self.text, self.instead))
        return f"{self.file}:{self.line}: {before}  =>  {after}"

    def apply(self, source: str) -> str:
        """Return the source with the change made."""
        lines = source.encode().splitlines(keepends=True)
        at = sum(map(len, lines[: self.line - 1])) + self.column
        raw = b"".join(lines)
        old = self.text.encode()
        assert raw[at : at + len(old)] == old, self
        return (raw[:at] + self.instead.encode() + raw[at + len(old) :]).decode()


def mutants_of(source: str, file: str) -> list[Mutant]:
    """Return all mutants of a file that still compile, in the order of their places."""
    found = set(_Finder(source, file).walk(ast.parse(source)))
    return [one for one in sorted(found) if one.text != one.instead and _compiles(one.apply(source))]


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


class _Finder:
    """Walks a tree, leaving out annotations, decorators, docstrings and the insides of strings."""

    def __init__(self, source: str, file: str) -> None:
        self.source = source
        self.file = file
        self.members = _members(ast.parse(source))

    def walk(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        yield from self._of(node)
        skipped = {
            "annotation",
            "returns",
            "decorator_list",
            "args" if isinstance(node, ast.FunctionDef) else "",
        }
        for name, value in ast.iter_fields(node):
            if name in skipped:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self.walk(child)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        for kinds, change in _CHANGES:
            if isinstance(node, kinds):
                for changed in change(copy.deepcopy(node), self.members):
                    yield self._edit(node, changed)
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield self._edit(node.test, ast.UnaryOp(ast.Not(), node.test))

    def _edit(self, node: ast.AST, changed: ast.AST) -> Mutant:
        assert isinstance(node, ast.expr | ast.stmt)
        text = ast.get_source_segment(self.source, node)
        assert text is not None
        instead = ast.unparse(changed)
        if isinstance(node, ast.expr):
            instead = f"({instead})"
        return Mutant(self.file, node.lineno, node.col_offset, text, instead)


def _members(tree: ast.Module) -> dict[str, list[str]]:
    """Return the members of the known enums that a file speaks of: each can be mistaken for another."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ENUMS:
            found.setdefault(node.value.id, set()).add(node.attr)
    return {name: sorted(one for one in members if one.isupper()) for name, members in found.items()}


Members = dict[str, list[str]]
Changed = Iterator[ast.AST]


def _compare(node: ast.Compare, _: Members) -> Changed:
    for place, op in enumerate(node.ops):
        made = copy.deepcopy(node)
        made.ops[place] = COMPARED[type(op)]()
        yield made


def _boolean(node: ast.BoolOp, _: Members) -> Changed:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield ast.BoolOp(other, node.values)
    for left_out in range(len(node.values)):
        kept = [one for place, one in enumerate(node.values) if place != left_out]
        yield kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)


def _without_not(node: ast.UnaryOp, _: Members) -> Changed:
    if isinstance(node.op, ast.Not | ast.USub):
        yield node.operand


def _binary(node: ast.BinOp, _: Members) -> Changed:
    if type(node.op) in COMPUTED:
        yield ast.BinOp(node.left, COMPUTED[type(node.op)](), node.right)


def _constant(node: ast.Constant, _: Members) -> Changed:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)


def _either(node: ast.IfExp, _: Members) -> Changed:
    yield node.body
    yield node.orelse


def _comprehension(node: ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp, _: Members) -> Changed:
    for place, generator in enumerate(node.generators):
        for left_out in range(len(generator.ifs)):
            made = copy.deepcopy(node)
            del made.generators[place].ifs[left_out]
            yield made


def _call(node: ast.Call, _: Members) -> Changed:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in CALLED:
        yield ast.Call(ast.Name(CALLED[name]), node.args, node.keywords)
    if name in WITHOUT_A_KEYWORD:
        for left_out in range(len(node.keywords)):
            kept = [one for place, one in enumerate(node.keywords) if place != left_out]
            yield ast.Call(node.func, node.args, kept)


def _member(node: ast.Attribute, members: Members) -> Changed:
    """Another member of an enum: the next one that the file speaks of."""
    if isinstance(node.value, ast.Name) and node.attr in members.get(node.value.id, ()):
        known = members[node.value.id]
        if len(known) > 1:
            yield ast.Attribute(node.value, known[(known.index(node.attr) + 1) % len(known)])


def _gone(node: ast.stmt, _: Members) -> Changed:
    """A statement that is left out. Docstrings and the like are none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    yield ast.Pass()


def _loop(node: ast.Continue | ast.Break, _: Members) -> Changed:
    yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()


_CHANGES: tuple[tuple[type | tuple[type, ...], Callable[..., Changed]], ...] = (
    (ast.Compare, _compare),
    (ast.BoolOp, _boolean),
    (ast.UnaryOp, _without_not),
    (ast.BinOp, _binary),
    (ast.Constant, _constant),
    (ast.IfExp, _either),
    ((ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp), _comprehension),
    (ast.Call, _call),
    (ast.Attribute, _member),
    ((ast.Expr, ast.AugAssign, ast.Raise), _gone),
    ((ast.Continue, ast.Break), _loop),
)
