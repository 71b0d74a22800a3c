"""The code fences of a Markdown file: where they stand, what they are, and what is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
MARKDOWN = (*PAGES, *sorted((ROOT / ".github").rglob("*.md")))

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fence:
    """One fence. ``words`` are those behind the backticks: the language, then ours.

    Ours are ``no-run`` (cannot be run here), ``exit-N`` (the last command ends with that status) and
    ``fragment`` (not a whole file).
    """

    page: Path
    line: int
    words: tuple[str, ...]
    body: str
    start: int
    end: int

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def exit_status(self) -> int:
        return next((int(word[5:]) for word in self.words if word.startswith("exit-")), 0)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def fences(page: Path) -> list[Fence]:
    """Return the fences of a page. ``start`` and ``end`` are the offsets of the body in its text."""
    text = page.read_text("utf-8")
    return [
        Fence(
            page,
            text.count("\n", 0, found.start()) + 1,
            tuple(found[1].split()),
            found[2],
            found.start(2),
            found.end(2),
        )
        for found in _FENCE.finditer(text)
    ]


def without_fences(text: str) -> str:
    """Return the prose of a page."""
    return _FENCE.sub("", text)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", without_fences(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
