"""From paths to text: which files are read, their bytes, and the text those are in UTF-8.

Folders are searched; sizes are checked before reading; characters that make a file read otherwise
than it looks are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from reconciler.config.rules import finding
from reconciler.diagnostics import Finding, Place
from reconciler.errors import ConfigError

LARGEST: Final = 16 * 1024 * 1024
DEFAULT_FILE: Final = "backfills.yaml"
DEFAULT_FOLDER: Final = "backfills"
_SUFFIXES: Final = (".yaml", ".yml")

# Controls; line breaks that only YAML sees (what a reviewer takes for a comment would be
# content); overrides of the writing direction; halves of surrogate pairs; non-characters.
FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
    "|\r(?!\n)"
)
_CONFLICT: Final = re.compile(r"^<{7}(?: .*)?$", re.MULTILINE)
_MOST_CONFLICTS: Final = 10
_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read, and its path as findings show it: as the user gave it, printable."""

    path: Path
    shown: str


def default_paths(folder: Path | str = ".") -> tuple[Path, ...]:
    """Return ``backfills.yaml``, else ``backfills/``. Raises ``ConfigError`` if neither is there."""
    for name in (DEFAULT_FILE, DEFAULT_FOLDER):
        path = Path(folder, name)
        if path.is_file() or (name == DEFAULT_FOLDER and path.is_dir()):
            return (path,)
    detail = f"There is neither a file `{DEFAULT_FILE}` nor a folder `{DEFAULT_FOLDER}/` here."
    hint = "Run `reconciler init` for a commented starter file, or give a file or folder with `-c`."
    if Path(folder, "backfills.yml").is_file():
        hint = "Give the file with `-c backfills.yml`, or rename it to `backfills.yaml`."
    raise ConfigError((finding("BF001", detail, hint),))


def find(paths: Sequence[Path | str]) -> tuple[list[Found], list[Finding]]:
    """Return the files that the paths name, each once, folders searched in sorted order."""
    found: dict[str, Found] = {}
    findings: list[Finding] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.setdefault(_identity(path), Found(path, _printable(path)))
            continue
        inside = list(_walk(path, findings))
        if not inside:
            findings.append(_no_yaml(path))
        for file in inside:
            found.setdefault(_identity(file), Found(file, _printable(file)))
    return list(found.values()), findings


def _identity(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL in the path: reading it reports it
        return str(path)


def read(file: Found, *, largest: int = LARGEST) -> bytes | Finding:
    """Return the bytes of one file, never more than ``largest`` of them, or why not."""
    place = Place(file.shown, 1, 1, 1, 1)
    try:
        with file.path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            data = b"" if size > largest else stream.read(largest + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return _unreadable(error, place)
    if size > largest or len(data) > largest:
        detail = f"The file has {max(size, len(data)):,} bytes; at most {largest:,} are read."
        return finding("BF004", detail, "Split it: several files may share a team.", place)
    return data


def _unreadable(error: Exception, place: Place) -> Finding:
    if isinstance(error, FileNotFoundError):
        hint = "Check the path, or run `reconciler init` for a commented starter file."
        return finding("BF002", "There is no such file or folder.", hint, place)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return finding("BF002", f"It cannot be opened: {reason}.", "Check the path and its permissions.", place)


def _no_yaml(folder: Path) -> Finding:
    detail = (
        "There is no `*.yaml` or `*.yml` in the folder or below it. Names that start with a dot are skipped."
    )
    hint = "Check the path, or run `reconciler init` for a commented starter file."
    return finding("BF003", detail, hint, Place(_printable(folder), 1, 1, 1, 1))


def _walk(folder: Path, findings: list[Finding]) -> Iterator[Path]:
    """Yield the YAML files in and below a folder. Links are followed, but no folder is visited twice."""

    def unreadable(error: OSError) -> None:
        findings.append(_unreadable(error, Place(_printable(Path(error.filename)), 1, 1, 1, 1)))

    visited: set[str] = set()
    paths: list[Path] = []
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(parent)
        folders[:] = [] if real in visited else sorted(name for name in folders if not name.startswith("."))
        if real not in visited:
            names = (name for name in files if name.endswith(_SUFFIXES) and not name.startswith("."))
            paths.extend(Path(parent, name) for name in names)
        visited.add(real)
    yield from (path for path in sorted(paths) if path.is_file() or not path.exists())


def _printable(path: Path) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in str(path))


# --- bytes to text ------------------------------------------------------------------------


def decode(data: bytes, file: str) -> tuple[str, list[Finding]]:
    """Return the text, without a byte order mark, and what is wrong with it.

    With findings the text is only good for showing the lines they speak of.
    """
    bom = len(_BOM) if data.startswith(_BOM) else 0
    data = data[bom:]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.decode("utf-8", "replace"), [_not_utf8(data, error.start, bom, file)]
    return text, [*_forbidden(text, file), *_conflicts(text, file)]


def place_at(text: str, index: int, file: str, length: int = 1) -> Place:
    """Return the place of the character at ``index``."""
    line = text.count("\n", 0, index) + 1
    column = index - text.rfind("\n", 0, index)
    return Place(file, line, column, line, column + length)


def _not_utf8(data: bytes, index: int, bom: int, file: str) -> Finding:
    before = data[:index].decode("utf-8")
    detail = (
        f"Byte {index + bom} of the file is 0x{data[index]:02X}, which is not valid UTF-8 here. "
        "The meaning would depend on the program that reads it."
    )
    hint = "Save the file as UTF-8."
    if data.startswith(_UTF16_BOMS):
        hint = "The file is UTF-16, as Windows PowerShell writes it. Save it as UTF-8."
    return finding("BF005", detail, hint, place_at(before + "?", len(before), file))


def _forbidden(text: str, file: str) -> list[Finding]:
    found = FORBIDDEN.search(text)
    if not found:
        return []
    code = ord(found[0])
    name = {0: "a NUL byte", 13: "a carriage return without a line feed"}.get(code, "invisible")
    detail = (
        f"The character U+{code:04X} is {name}. With it, the file can mean something other than it shows."
    )
    hint = "Remove the character. In a reason, use words instead."
    return [finding("BF006", detail, hint, place_at(text, found.start(), file))]


def _conflicts(text: str, file: str) -> list[Finding]:
    hint = "Resolve the conflict, remove the marker lines, and commit again."
    return [
        finding(
            "BF007",
            f"Git left the marker {found[0][:7]} here. Both sides of the conflict are still in the file.",
            hint,
            place_at(text, found.start(), file, length=7),
        )
        for found in islice(_CONFLICT.finditer(text), _MOST_CONFLICTS)
    ]
