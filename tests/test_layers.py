"""What each package may import, which one is the home of each dependency, and who prints.

An allow-list, one line a package: a package that is not named fails, and so does a line that names a
package, or permits an import, that is not there any more. An order of layers would permit what must never
be (``stores`` importing ``planning``, say).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "reconciler"
MAY_IMPORT = {
    "diagnostics": "",
    "bounds": "",
    "version": "",
    "collector": "",
    "untrusted": "",
    "uptime": "",
    "ci": "untrusted",
    "dates": "",
    "durations": "",
    "sandbox": "",
    "errors": "diagnostics",
    "model": "bounds dates diagnostics",
    "planning": "bounds dates diagnostics durations model",
    "events": "dates model planning",
    "formats": "collector dates diagnostics errors events model planning untrusted",
    "http": "bounds errors untrusted version",
    "api": "bounds dates durations errors http model untrusted",
    "config": "collector dates diagnostics durations errors model",
    "stores": "ci errors formats model untrusted uptime",
    "engine": "api bounds dates diagnostics durations errors events formats http model planning stores "
    "uptime version",
    "forge": "dates errors formats http model untrusted",
    "render": "dates diagnostics durations errors events forge formats model planning untrusted",
    "cli": "*",
    "__init__": "*",  # the library's verbs, lazily
    "__main__": "cli",
}
HOMES = {
    "httpx": {"http"},
    "yaml": {"config", "sandbox"},
    "click": {"cli"},
    "deepdiff": {"planning"},
    "rich": {"cli"},
    "pydantic": {"formats"},
    "pydantic_core": {"config", "forge", "formats"},
    "sqlite3": {"cli", "sandbox", "stores"},
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


def test_every_package_is_named() -> None:
    assert set(MAY_IMPORT) == {part_of(module) for module in MODULES}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_what_they_may_and_no_more_is_allowed(package: str) -> None:
    seen: dict[str, str] = {}
    for module in (module for module in MODULES if part_of(module) == package):
        for name, line in imports(module):
            first, _, rest = name.partition(".")
            if first == "reconciler" and rest and rest.partition(".")[0] != package:
                seen[rest.partition(".")[0]] = f"{module.relative_to(PACKAGE)}:{line} imports {name}"
    allowed = set(MAY_IMPORT) if MAY_IMPORT[package] == "*" else set(MAY_IMPORT[package].split())
    assert not [place for other, place in seen.items() if other not in allowed]
    if MAY_IMPORT[package] != "*":
        assert not allowed - set(seen), "allowed, and not needed any more"


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
