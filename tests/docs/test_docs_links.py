"""Links between pages lead somewhere, and pages that belong together name each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_fences import MARKDOWN, PAGES, README, ROOT, anchors, without_fences

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for link in _LINK.findall(without_fences(page.read_text("utf-8"))):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


def test_readme_leads_to_every_page() -> None:
    text = README.read_text("utf-8")
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in text, page.name


def test_pages_are_plain() -> None:
    """No path of a machine, no line that scrolls for ever, no blank at an end of a line."""
    for page in MARKDOWN:
        text = page.read_text("utf-8")
        assert "/work/" not in text.replace("/home/you/work/", ""), page.name
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), page.name
