"""Every bad input has a case: input beside expected findings, or content made here."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from reconciler.config.loading import default_paths, read_files
from reconciler.config.rules import MOST_FINDINGS, RULES, WARNINGS
from reconciler.diagnostics import Severity, has_errors
from reconciler.errors import ConfigError

from .cases import CASES, GENERATED, INPUTS, NAMES, NOW, PLACES, check_golden, read_case, written


@pytest.fixture(autouse=True)
def _among_the_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES)


@pytest.mark.parametrize("path", INPUTS, ids=NAMES)
def test_case(path: Path) -> None:
    loaded = read_case(path)
    check_golden(path.with_suffix(".findings"), written(loaded))
    if path.name.startswith("valid-"):
        assert loaded.findings == ()
    assert bool(loaded.teams) is not has_errors(loaded.findings)


@pytest.mark.parametrize("name", GENERATED)
def test_generated(name: str, tmp_path: Path) -> None:
    content, rule, position = GENERATED[name]
    file = tmp_path / "backfills.yaml"
    file.write_bytes(content)
    started = time.process_time()
    loaded = read_files([file], as_of=None, now=NOW)
    assert time.process_time() - started < 1
    first = next(finding for finding in loaded.findings if finding.rule == rule)
    assert first.place is not None
    assert (first.place.file, first.place.line, first.place.column) == (str(file), *position)
    assert {finding.rule for finding in loaded.findings} <= {rule, "BF020", "BF021"}
    assert len(loaded.findings) <= MOST_FINDINGS + 1
    assert loaded.teams == ()


@pytest.mark.parametrize("name", PLACES)
def test_places(name: str, tmp_path: Path) -> None:
    paths, rule = PLACES[name]
    loaded = read_files(paths(tmp_path), as_of=None, now=NOW)
    (found,) = loaded.findings
    assert (found.rule, found.place) == (rule, None)  # there is no place in what is not there
    assert str(tmp_path) in found.detail


def test_nothing_at_the_default_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        default_paths(tmp_path)
    (finding,) = caught.value.findings
    assert finding.rule == "BF001"
    assert "reconciler init" in finding.hint


def _rules_of(loaded_case: Path) -> set[str]:
    return {finding.rule for finding in read_case(loaded_case).findings}


def test_every_rule_has_a_case() -> None:
    produced = set().union(*map(_rules_of, INPUTS))
    produced |= {rule for _, rule, _ in GENERATED.values()} | {rule for _, rule in PLACES.values()}
    produced |= {"BF001", "BF020", "BF058", "BF060"}  # their own tests are here and in test_loading
    assert produced == set(RULES)


def test_every_finding_has_title_severity_and_way_out() -> None:
    for finding in (finding for path in INPUTS for finding in read_case(path).findings):
        assert finding.summary == RULES[finding.rule]
        assert (finding.severity is Severity.WARNING) is (finding.rule in WARNINGS)
        assert finding.detail.endswith(".")
        assert finding.hint
        assert finding.place is not None
        assert finding.place.line >= 1 <= finding.place.column


def test_places_lie_inside_the_text() -> None:
    for path in INPUTS:
        loaded = read_case(path)
        for finding in loaded.findings:
            for place in filter(None, (finding.place, *finding.also)):
                line = loaded.line(place)
                assert line is not None
                assert place.column <= len(line) + 1
