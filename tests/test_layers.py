"""Imports run one way, each dependency has one home, and only the command line prints.

cli → ci → engine | render → api | stores | config → http → planning → state → model → dates
    → errors → diagnostics;   cli → sandbox → nothing
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "reconciler"
LAYERS = [
    ["diagnostics"],
    ["errors"],
    ["dates"],
    ["model"],
    ["state"],
    ["planning"],
    ["http"],
    ["api", "stores", "config"],
    ["engine", "render"],
    ["ci"],
    ["cli"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FREE = {"reconciler", "__init__", "__main__"}  # the package itself: its version and public names
HOMES = {
    "httpx": {"http"},
    "yaml": {"config", "sandbox"},
    "click": {"cli"},
    "deepdiff": {"planning"},
    "rich": {"cli"},
    "pydantic": {"config", "planning", "api", "state"},
    "jinja2": {"render"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: Path) -> str:
    """Return the first name below the package: a subpackage, or a module."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[tuple[str, int]]:
    """Yield every imported module with its line: those in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            yield from ((_imported(node.module or "", alias.name), node.lineno) for alias in node.names)


def _imported(module: str, name: str) -> str:
    """Return the submodule where ``from package import submodule`` names one, else the module."""
    path = PACKAGE.parent.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.with_suffix(".py").is_file() or path.is_dir() else module


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(module: Path) -> None:
    own = part_of(module)
    for name, line in imports(module):
        first, _, rest = name.partition(".")
        if first != "reconciler" or not rest:
            continue
        other = rest.partition(".")[0]
        place = f"{module.relative_to(PACKAGE)}:{line} imports {name}"
        if own == other or own in FREE:
            continue
        if other == "sandbox" or own == "sandbox":
            assert own == "cli", f"{place}: the sandbox stands alone"
            continue
        assert RANK[other] < RANK[own], place


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_dependency_has_one_home(module: Path) -> None:
    for name, line in imports(module):
        homes = HOMES.get(name.partition(".")[0])
        assert homes is None or part_of(module) in homes, (
            f"{module.relative_to(PACKAGE)}:{line} imports {name}"
        )


def test_no_module_is_part_of_a_cycle() -> None:
    """Lazy imports count: a cycle hidden in a function is a cycle."""
    names = {_dotted(module): module for module in MODULES}
    graph = {name: {one for one, _line in imports(module) if one in names} for name, module in names.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph[name]):
            visit(other, (*path, name))
        done.add(name)

    for name in graph:
        if name != "reconciler":
            visit(name, ())


def _dotted(module: Path) -> str:
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints(module: Path) -> None:
    calls = (node for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.Call))
    printed = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert not printed or part_of(module) == "cli"
