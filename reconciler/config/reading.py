"""From paths to text: which files are read, their bytes, and the text those are in UTF-8.

Folders are searched; sizes are checked before reading; characters that make a file read otherwise
than it looks are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
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
SUFFIXES: Final = (".yaml", ".yml")

# ``ads.yml.bak``, ``ads.yaml.txt``, ``ads.YAML``, ``ads.json``; not what is read.
_ODD: Final = re.compile(r"\.(?:json|ya?ml)(?:[.~_-]|$)", re.IGNORECASE)
_BEGINNING: Final = 64 * 1024
_OURS: Final = (
    re.compile(rb"""^\s*\{?\s*["']?team_id["']?\s*:\s*\d""", re.MULTILINE),
    re.compile(rb"""^\s*["']?transfers["']?\s*:\s*(?:\{|$|#)""", re.MULTILINE),
)

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
    """A file to read, and its path as findings show it: as the user gave it, printable.

    ``home`` is the folder in which the state of its team lies, in ``state/``, unless a file says otherwise.
    """

    path: Path
    shown: str
    home: Path


def default_paths(folder: Path | str = ".") -> tuple[Path, ...]:
    """Return ``backfills.yaml`` or ``backfills/``. Raises ``ConfigError`` if neither is there, or both."""
    file, inside = Path(folder, DEFAULT_FILE), Path(folder, DEFAULT_FOLDER)
    has_file, has_folder = os.path.isfile(file), os.path.isdir(inside)
    if has_file and has_folder:
        detail = f"There are both `{file}` and `{inside}/` here, and only one of them would be read."
        hint = "Move the file into the folder, or give one of the two with `-c`."
        raise ConfigError((finding("BF060", detail, hint),))
    if has_file or has_folder:
        return (file if has_file else inside,)
    detail = f"There is neither a file `{DEFAULT_FILE}` nor a folder `{DEFAULT_FOLDER}/` here."
    hint = "Give a file or folder with `-c`, or begin with a commented starter file:\n  reconciler init"
    if os.path.isfile(Path(folder, "backfills.yml")):
        hint = "Give the file with `-c backfills.yml`, or rename it to `backfills.yaml`."
    raise ConfigError((finding("BF001", detail, hint),))


def find(paths: Sequence[Path | str]) -> tuple[list[Found], list[Finding]]:
    """Return the files that the paths name, each once, folders searched in sorted order."""
    found: dict[str, Found] = {}
    findings: list[Finding] = []
    for path in map(Path, paths):
        home = home_of(path)
        if not path.is_dir():
            found.setdefault(identity(path), Found(path, printable(path), home))
            continue
        inside = list(_walk(path, findings))
        if not inside:
            findings.append(_no_yaml(path))
        for file in inside:
            found.setdefault(identity(file), Found(file, printable(file), home))
    return list(found.values()), findings


def home_of(path: Path) -> Path:
    """Return the folder that holds ``backfills.yaml`` or ``backfills/``: what the path is, or is like.

    backfills.yaml, eu/ads.yaml   . and eu
    backfills/, eu/               . for both: a folder of files lies beside the state
    backfills/ads.yaml            .
    eu/, with eu/backfills.yaml   eu
    """
    if path.is_dir():
        is_home = os.path.isfile(Path(path, DEFAULT_FILE)) or os.path.isdir(Path(path, DEFAULT_FOLDER))
        return path if is_home else _parent(path)
    inside = os.path.basename(os.path.abspath(path.parent)) == DEFAULT_FOLDER
    return _parent(path.parent) if inside and path.name != DEFAULT_FILE else path.parent


def default_state(homes: Iterable[Path]) -> str | None:
    """Return ``state/`` in the one home of files; ``None`` if they have several."""
    found = {os.path.realpath(home): home for home in homes}
    return os.path.normpath(Path(*found.values(), "state")) if len(found) == 1 else None


def _parent(folder: Path) -> Path:
    return Path(folder, "..") if folder.name in ("", "..") else folder.parent


def identity(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL in the path: reading it reports it
        return str(path)


def read(file: Found, *, largest: int = LARGEST) -> bytes | Finding:
    """Return the bytes of one file, never more than ``largest`` of them, or why not."""
    try:
        with file.path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            data = b"" if size > largest else stream.read(largest + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return _unreadable(error, file.shown)
    if size > largest or len(data) > largest:
        detail = f"The file has {max(size, len(data)):,} bytes; at most {largest:,} are read."
        place = Place(file.shown, 1, 1, 1, 1)
        return finding("BF004", detail, "Split it: several files may share a team.", place)
    return data


def _unreadable(error: Exception, path: str) -> Finding:
    """Return the finding for a path that cannot be opened. There is no place in what is not there."""
    if isinstance(error, FileNotFoundError):
        hint = "Check the path, or begin with a commented starter file:\n  reconciler init"
        return finding("BF002", f"There is no file or folder `{path}`.", hint)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return finding("BF002", f"`{path}` cannot be opened: {reason}.", "Check the path and its permissions.")


def _no_yaml(folder: Path) -> Finding:
    detail = (
        f"There is no `*.yaml` or `*.yml` in `{printable(folder)}` or below it. "
        "Names that start with a dot are skipped."
    )
    hint = "Check the path, or begin with a commented starter file:\n  reconciler init"
    return finding("BF003", detail, hint)


def _walk(folder: Path, findings: list[Finding]) -> Iterator[Path]:
    """Yield the YAML files in and below a folder. Links are followed, but no folder is visited twice."""

    def unreadable(error: OSError) -> None:
        findings.append(_unreadable(error, printable(Path(error.filename))))

    visited: set[str] = set()
    paths: list[Path] = []
    odd: list[Path] = []
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(parent)
        folders[:] = [] if real in visited else sorted(name for name in folders if not name.startswith("."))
        if real not in visited:
            for name in (name for name in files if not name.startswith(".")):
                if name.endswith(SUFFIXES):
                    paths.append(Path(parent, name))
                elif _ODD.search(name):
                    odd.append(Path(parent, name))
        visited.add(real)
    findings += (_not_for_its_ending(path) for path in sorted(odd) if _looks_like_ours(path))
    yield from (path for path in sorted(paths) if path.is_file() or not path.exists())


def _looks_like_ours(path: Path) -> bool:
    """Tell by the beginning of a file, or what is readable of it, whether it declares transfers of a team."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            beginning = stream.read(_BEGINNING)
    except OSError:
        return False
    return all(form.search(beginning) for form in _OURS)


def _not_for_its_ending(path: Path) -> Finding:
    detail = "It looks like one of ours, but only `*.yaml` and `*.yml` are read."
    hint = "Rename it to be read; move it away, or put a dot before its name, if it is not to be."
    return finding("BF009", detail, hint, Place(printable(path), 1, 1, 1, 1))


def printable(path: Path) -> str:
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
