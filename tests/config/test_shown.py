"""Findings as a person sees them: goldens, and what holds of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.rules import finding
from reconciler.diagnostics import Place
from reconciler.render.findings import FEW, WIDTH, findings_text
from reconciler.render.words import Paint

from .cases import CASES, INPUTS, NAMES, check_golden, read_case

SHOWN = ["shapes.yaml", "mistyped.yaml", "lookalikes.yaml", "overlaps.yaml", "all-at-once.yaml", "names.yaml"]


def text_of(path: Path) -> str:
    loaded = read_case(path)
    return findings_text(loaded.findings, Paint(), loaded.line)


@pytest.mark.parametrize("name", SHOWN)
def test_screens(name: str) -> None:
    path = CASES / name
    check_golden(path.with_suffix(".shown"), text_of(path) + "\n")


@pytest.mark.parametrize("path", INPUTS, ids=NAMES)
def test_lines_fit_but_for_source_lines_and_long_words(path: Path) -> None:
    for line in text_of(path).split("\n"):
        assert len(line) <= WIDTH or line[5:6] == "|" or not line.startswith("  ") or " " not in line.strip()


def some(number: int, *, brief: str = "Alike") -> str:
    found = [
        finding("BF040", "x.", "Write it.", Place("f", line, 1), brief=brief) for line in range(1, number + 1)
    ]
    return findings_text(found, Paint(), lambda place: "- a line")


def test_many_alike_are_counted_with_their_lines() -> None:
    assert some(FEW + 1).count("Alike") == FEW + 1
    assert some(44).count("Alike") == FEW
    assert some(44).endswith("\n\n  41 more like this, on lines 4-44.")
    assert "more like this" not in some(44, brief="")


def test_a_place_that_leaves_no_room_keeps_its_words_together() -> None:
    place = Place("a/very/long/folder/and/a/long/name/of/a/file/too.yaml", 120, 9)
    found = [finding("BF040", "x.", "Write it.", place, brief="Two dates, but not as a range")]
    head, brief, *_rest = findings_text(found, Paint(), lambda place: "- a line").split("\n")
    assert head == f"error[BF040] {place}"
    assert brief == "  Two dates, but not as a range"
