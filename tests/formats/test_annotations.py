"""Findings for CI systems."""

from __future__ import annotations

from dataclasses import replace

from reconciler.diagnostics import Finding, Place, Severity
from reconciler.formats.annotations import github_lines, gitlab_report

ERROR = Finding(
    "BF040", Severity.ERROR, "Not a range: at all", "is 50%", "Write\n  it, so.", Place("a,b:c.yaml", 7, 9)
)
WARNING = replace(ERROR, severity=Severity.WARNING)


def test_an_annotation_is_escaped() -> None:
    assert list(github_lines([ERROR])) == [
        "::error file=a%2Cb%3Ac.yaml,line=7,col=9,title=BF040 Not a range%3A at all::is 50%25 Write it, so."
    ]
    assert list(github_lines([replace(WARNING, place=None)])) == [
        "::warning title=BF040 Not a range%3A at all::is 50%25 Write it, so."
    ]


def test_ten_of_a_kind_are_annotated_and_the_rest_summed_up() -> None:
    assert len(list(github_lines([ERROR] * 10))) == 10
    lines = list(github_lines([*[WARNING] * 12, *[ERROR] * 30]))
    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 10 + ["::warning"] * 10
    assert lines[9] == "::error title=21 more errors::a,b:c.yaml 21"
    assert lines[19] == "::warning title=3 more warnings::a,b:c.yaml 3"


def fingerprints(text: str, *findings: Finding) -> list[str]:
    report = gitlab_report(findings, lambda place: text.split("\n")[place.line - 1])
    return [one["fingerprint"] for one in report]


def test_a_fingerprint_is_stable_while_its_line_moves() -> None:
    first, moved = replace(ERROR, place=Place("a", 1, 3)), replace(ERROR, place=Place("a", 3, 5))
    assert fingerprints("- x", first) == fingerprints("#\n#\n  - x", moved)
    assert fingerprints("- x", first) != fingerprints("- y", first)
    assert len(set(fingerprints("- x\n- x\n- x", first, moved))) == 2


def test_a_report_has_what_gitlab_reads() -> None:
    (one,) = gitlab_report([replace(WARNING, place=None)], lambda place: None)
    assert (one["check_name"], one["severity"]) == ("BF040", "minor")
    assert one["location"] == {"path": ".", "lines": {"begin": 1}}
    assert one["description"] == "Not a range: at all: is 50% Write it, so."
