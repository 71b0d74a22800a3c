"""Reading YAML: what is refused, that both parsers agree, and that nothing raises or hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.config.loading import read_files
from reconciler.config.nodes import Block, Items, Text, at, key_place, place_of
from reconciler.config.source import DEEPEST, LIBYAML, parse
from reconciler.diagnostics import Finding, Place

from .cases import CASES, GENERATED, INPUTS, NOW

PARSERS = [yaml.BaseLoader, *([LIBYAML] if LIBYAML else [])]
# The pure parser refuses a tab between a key and its value; libyaml reads it, as YAML says.
YAML_CASES = [path for path in INPUTS if path.is_file() and path.stem != "valid-tab-between"]


def plain(text: str, parser: Any = yaml.BaseLoader) -> Any:
    source = parse(text.encode(), "f.yaml", parser)
    assert source.findings == ()
    return source.root


def rules(findings: tuple[Finding, ...]) -> list[tuple[str, int]]:
    return [(finding.rule, finding.place.line if finding.place else 0) for finding in findings]


@pytest.mark.parametrize("parser", PARSERS)
def test_scalars_stay_text(parser: Any) -> None:
    words = ["NO", "0123", "12:30", "1_000", "2024-02-30", "1e3", "0x10", "true", "null", ".inf", "0o7"]
    assert plain("[" + ", ".join(words) + "]", parser) == words


@pytest.mark.parametrize("parser", PARSERS)
def test_plain_and_quoted_are_told_apart(parser: Any) -> None:
    root = plain("[a, 'a', \"a\", ~, '~', '']\n", parser)
    assert [item.plain for item in root] == [True, False, False, True, False, False]
    assert [item.null for item in root] == [False, False, False, True, False, False]
    block = plain("a: |\n  b\n", parser)
    assert not block["a"].plain


@pytest.mark.parametrize("parser", PARSERS)
def test_places_count_characters_from_one_and_end_exclusive(parser: Any) -> None:
    root = plain("ключ: 'ä€😀' # x\nlist:\n  - {b: c}\n", parser)
    assert root["ключ"].place == Place("f.yaml", 1, 7, 1, 12)
    assert root.key_places["ключ"] == Place("f.yaml", 1, 1, 1, 5)
    assert at(root, ("list", 0, "b")).place == Place("f.yaml", 3, 9, 3, 10)
    assert root["list"][0].place == Place("f.yaml", 3, 5, 3, 6)
    assert root.place == Place("f.yaml", 1, 1, 1, 5)


def test_places_of_paths() -> None:
    root = plain("a:\n  b:\n  c: [1]\n")
    assert place_of(root, ("a", "b")) == key_place(root, ("a", "b")) == Place("f.yaml", 2, 3, 2, 4)
    assert place_of(root, ("a", "absent")) == Place("f.yaml", 1, 1, 1, 2)
    assert place_of(root, ("a", "c", 0, "deeper")) == root["a"]["c"][0].place
    assert key_place(root, ("a", "absent")) == Place("f.yaml", 1, 1, 1, 2)
    assert place_of(root, ()) == Place("f.yaml", 1, 1, 1, 1)
    assert key_place(root, ()) == Place("f.yaml", 1, 1, 1, 1)


@pytest.mark.parametrize(
    "text", ["\ufeffa: b\n", "a: b\r\n", "---\na: b\n...\n", "a: b", "%YAML 1.1\n---\na: b\n"]
)
@pytest.mark.parametrize("parser", PARSERS)
def test_harmless_habits(text: str, parser: Any) -> None:
    assert plain(text, parser) == {"a": "b"}


@pytest.mark.parametrize("parser", PARSERS)
def test_an_anchor_may_be_used_again_and_set_anew(parser: Any) -> None:
    root = plain("[&a [x], *a, &a y, *a]", parser)
    assert root == [["x"], ["x"], "y", "y"]


@pytest.mark.parametrize("parser", PARSERS)
def test_nesting_just_deep_enough(parser: Any) -> None:
    assert plain("[" * DEEPEST + "]" * DEEPEST, parser) is not None
    too_deep = parse(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "f.yaml", parser)
    assert rules(too_deep.findings) == [("BF012", 1)]


@pytest.mark.skipif(LIBYAML is None, reason="needs libyaml")
def test_what_is_built_to_fill_memory_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.config.source.MOST_WRITTEN", 1000)
    assert parse(b"- a\n" * 999, "f").findings == ()
    (found,) = parse(b"- a\n" * 2000, "f").findings
    assert (found.rule, found.place) == ("BF018", Place("f", 1001, 3, 1001, 4))


@pytest.mark.parametrize("path", YAML_CASES, ids=[path.stem for path in YAML_CASES])
def test_both_parsers_agree(path: Path) -> None:
    data = path.read_bytes()
    fast, slow = parse(data, path.name, LIBYAML), parse(data, path.name, yaml.BaseLoader)
    assert fast.root == slow.root
    assert rules(fast.findings) == rules(slow.findings)
    assert [finding.detail for finding in fast.findings if finding.rule != "BF010"] == [
        finding.detail for finding in slow.findings if finding.rule != "BF010"
    ]


@pytest.mark.parametrize("name", ["brackets", "braces", "dashes", "question-marks", "indents", "bomb"])
def test_the_process_survives(name: str, tmp_path: Path) -> None:
    """A segmentation fault would take pytest with it, so this runs in a process of its own."""
    file = tmp_path / "backfills.yaml"
    file.write_bytes(GENERATED[name][0])
    code = (
        "import sys, datetime; from reconciler.config.loading import read_files;"
        "now = datetime.datetime.now(datetime.UTC);"
        "print([finding.rule for finding in read_files([sys.argv[1]], as_of=None, now=now).findings])"
    )
    run = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, f"['{GENERATED[name][1]}']", "")


FRAGMENTS = [
    *(
        "- ",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "!!int ",
        "!x ",
        "? ",
        "| ",
        "> ",
    ),
    *(
        '"',
        "'",
        "#",
        "\n---\n",
        "\n...\n",
        "\t",
        "\\",
        "%YAML 1.1",
        "<<",
        "~",
        "@",
        "`",
        "\r\n",
        "\x85",
        "\ufeff",
    ),
    *(
        "version: 1\n",
        "team_id: 1\n",
        "transfers:\n  a: ",
        "transfer_id",
        "ranges",
        "2024",
        "2024-02-30",
        "today",
    ),
    *(
        '"\\uD800"',
        '"\\UFFFFFFFF"',
        '"\\x00"',
        "stale_before",
        "guards",
        "owners",
        "api_key: x",
        "é",
        "\u2028",
    ),
]
ODD_TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@settings(max_examples=300, deadline=1000)
@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"%YAML 99999999999999999999999999.1\n---\na")
def test_random_bytes_never_raise(data: bytes) -> None:
    for parser in PARSERS:
        parse(data, "f.yaml", parser)


@settings(max_examples=500, deadline=1000)
@given(ODD_TEXTS)
def test_random_yaml_never_raises(text: str) -> None:
    for parser in PARSERS:
        source = parse(text.encode(), "f.yaml", parser)
        assert source.root is not None or source.findings
        assert source.root is None or isinstance(source.root, Text | Block | Items)


@settings(max_examples=300, deadline=1000)
@given(
    st.one_of(
        st.binary(max_size=200),
        ODD_TEXTS.map(str.encode),
        ODD_TEXTS.map(lambda text: b"transfers:\n" + text.encode()),
    )
)
def test_loading_anything_never_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "random.yaml"
    file.write_bytes(data)
    loaded = read_files([file], as_of=None, now=NOW)
    assert loaded.findings or loaded.teams
    for finding in loaded.findings:
        assert finding.place is not None
        assert loaded.line(finding.place) is not None


@settings(max_examples=300, deadline=1000)
@given(st.data())
def test_mutated_cases_never_raise(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Real files with a piece cut out or put in reach further than random text does."""
    text = (CASES / data.draw(st.sampled_from(["valid-full.yaml", "valid-forms.yaml"]))).read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 30, len(text))))
    file = tmp_path_factory.getbasetemp() / "mutated.yaml"
    file.write_text(text[:start] + data.draw(st.sampled_from(["", *FRAGMENTS])) + text[end:])
    loaded = read_files([file], as_of=None, now=NOW)
    assert loaded.findings or loaded.teams
