"""Lines that fit: nothing is lost, no word is broken, and only words and commands are longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.fitting import columns_of, fitted

WORDS = st.lists(
    st.sampled_from(["a", "2024-01-01..2024-02-29", "\x1b[32m+\x1b[0m", "ärger", "广告", "x" * 63])
)


@given(WORDS, st.integers(20, 90), st.integers(0, 6))
def test_words_stay_whole(words: list[str], width: int, indent: int) -> None:
    text = " " * indent + "  ".join(words)
    lines = fitted(text, width).split("\n")
    assert " ".join(lines).split() == words
    assert all(columns_of(line) <= width or len(line.split()) <= 2 for line in lines)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("    reconciler retry ads 2024-01-01..2024-02-29", 1),
        ("Apply exactly this: reconciler apply --expect 44db48b85094", 1),
        ("take `a or b` or else `c`, or say what is meant", 3),
        ("    + ads  2024-08-01..2024-08-10   10 days  10001", 3),
    ],
)
def test_commands_quotes_and_counts_stay_whole(text: str, lines: int) -> None:
    told = fitted(text, 31).split("\n")
    assert len(told) <= lines
    assert " ".join(told).split() == text.split()
    assert not any(line.count("`") % 2 for line in told)
    assert not any(line.strip().startswith("days") for line in told)


def test_what_goes_on_is_no_command() -> None:
    assert (
        fitted("what follows is the name reconciler in prose", 24).split("\n")[1] == "… reconciler in prose"
    )
