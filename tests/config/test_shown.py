"""Findings as a person sees them: goldens, and what holds of all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.config.loading import read_files
from reconciler.config.rules import finding
from reconciler.diagnostics import Place
from reconciler.errors import ReconcilerError
from reconciler.render.checkup import check_text
from reconciler.render.findings import FEW, WIDTH, error_text, findings_text, verdict_text
from reconciler.render.words import Paint

from .cases import CASES, HEAD, INPUTS, NAMES, NOW, check_golden, read_case

SHOWN = ["shapes.yaml", "mistyped.yaml", "lookalikes.yaml", "overlaps.yaml", "all-at-once.yaml", "names.yaml"]


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"a": f"{HEAD}transfers: {{}}\nx: 1\n"}, ["1 error: a.yaml 1"]),
        (
            {"a": f"{HEAD}x: 1\ntransfers: {{b: {{transfer_id: 1, ranges: [2024, 2024]}}}}\n"},
            ["1 error: a.yaml 1; 1 warning"],
        ),
        ({"a": ""}, ["1 error: a.yaml 1"]),
        (
            {"a": f"{HEAD}x: 1\ny: 1\n", "shop": "a: b: c\n", "tabs": "\ta: 1\n"},
            [
                "5 errors: a.yaml 3, shop.yaml 1, tabs.yaml 1",
                "shop.yaml and tabs.yaml are not YAML yet; more may show when they are.",
            ],
        ),
        ({"a": "[\n"}, ["1 error: a.yaml 1", "a.yaml is not YAML yet; more may show when it is."]),
    ],
)
def test_the_end_counts_errors_by_file(
    files: dict[str, str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        Path(f"{name}.yaml").write_text(text)
    loaded = read_files([f"{name}.yaml" for name in files], as_of=None, now=NOW)
    assert verdict_text(loaded.findings, loaded.unparsed).split("\n") == expected


def text_of(path: Path, width: int = WIDTH) -> str:
    loaded = read_case(path)
    return findings_text(loaded.findings, Paint(), loaded.line, width)


@pytest.mark.parametrize("name", SHOWN)
def test_screens(name: str) -> None:
    path = CASES / name
    check_golden(path.with_suffix(".shown"), text_of(path) + "\n")


@pytest.mark.parametrize("width", [40, 200])
@pytest.mark.parametrize("name", ["shapes.yaml", "all-at-once.yaml"])
def test_screens_of_other_widths(name: str, width: int) -> None:
    path = CASES / name
    check_golden(path.with_suffix(f".{width}.shown"), text_of(path, width) + "\n")


@pytest.mark.parametrize("width", [40, WIDTH, 200])
@pytest.mark.parametrize("path", INPUTS, ids=NAMES)
def test_lines_fit_but_for_places_and_what_stays_whole(path: Path, width: int) -> None:
    """Only places, indented examples, and single words may be longer."""
    for line in text_of(path, width).split("\n"):
        is_whole = line.startswith(("error[", "warning[", "  and ", "   ")) or " " not in line.strip()
        assert len(line) <= width or (is_whole and " | " not in line), line


def test_of_a_long_line_the_part_that_is_wrong_is_shown() -> None:
    place = Place("f", 1234, 301, 1234, 306)
    found = [finding("BF040", "x.", "Write it.", place, brief="Wrong")]
    text = findings_text(found, Paint(), lambda place: "a" * 300 + "WRONG" + "b" * 300)
    _head, source, marks = text.split("\n")
    assert len(source) == WIDTH
    assert source[marks.index("^") : marks.rindex("^") + 1] == "WRONG"
    assert (source[8], source[-1]) == ("…", "…")


@pytest.mark.parametrize(
    "text", ["x" * 74 + " ::error::y", "a ##[group]b", "::error::c", "  ::error::d", "##vso[e]"]
)
def test_no_line_is_a_command_of_a_ci_job(text: str) -> None:
    found = [
        replace(finding("BF040", text, text, place, brief=brief), also=(Place(text, 2, 1),))
        for place in (None, Place("f", 1, 1, 1, 9), Place(text, 1, 1, 1, 9))
        for brief in (text, "")
    ]
    error = ReconcilerError(text, f"{text}\n{text}", text)
    shown = [findings_text(found, Paint(), lambda place: text), verdict_text(found, [text])]
    shown += [error_text(error, Paint()), check_text("files", text, None, f"{text}\n{text}", Paint(), WIDTH)]
    for line in "\n".join(shown).split("\n"):
        assert not line.strip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line


def some(number: int, *, brief: str = "Alike") -> str:
    found = [
        finding("BF040", "x.", "Write it.", Place("f", line, 1), brief=brief) for line in range(1, number + 1)
    ]
    return findings_text(found, Paint(), lambda place: "- a line")


def test_many_alike_are_counted_with_their_lines() -> None:
    assert some(FEW + 1).count("Alike") == FEW + 1
    assert some(44).count("Alike") == FEW
    counted = "\n\n  41 more like this, on lines 4-44.\n\n"
    assert some(44).endswith(f"{counted}  To see each, with its own cure:\n    reconciler validate --json")
    assert "--json" not in some(FEW + 1)
    assert "more like this" not in some(44, brief="")


def test_a_place_that_leaves_no_room_keeps_its_words_together() -> None:
    place = Place("a/very/long/folder/and/a/long/name/of/a/file/too.yaml", 120, 9)
    found = [finding("BF040", "x.", "Write it.", place, brief="Two dates, but not as a range")]
    head, brief, *_rest = findings_text(found, Paint(), lambda place: "- a line").split("\n")
    assert head == f"error[BF040] {place}"
    assert brief == "  Two dates, but not as a range"
