"""Files that somebody names: a key's, a plan's. Reading one always ends, and what is wrong is said."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from cli_rig import KEY

from reconciler.cli import reading
from reconciler.cli.arguments import read_key
from reconciler.cli.planfiles import load_plan
from reconciler.cli.reading import read_bounded
from reconciler.errors import KeyProblem, UsageError


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    monkeypatch.setattr(reading, "UNOPENED", 0.1)
    monkeypatch.delenv("A_KEY", raising=False)


def key_of(file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("A_KEY_FILE", str(file))
    return read_key("A_KEY")


@pytest.mark.parametrize(
    "content",
    [f"{KEY}", f"  {KEY}\r\n", f"\ufeff{KEY}\n"],
)
def test_a_key_file(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(content, "utf-8")
    assert key_of(tmp_path / "key", monkeypatch) == KEY


@pytest.mark.parametrize(
    "content, words",
    [
        (KEY.encode("utf-16"), "is not text in UTF-8"),
        (KEY.encode() + b"\xe9", "is not text in UTF-8"),
        (b"k" * 100_000, "more than 16384 bytes"),
        (b"\xef\xbb\xbf\n", "is empty"),
    ],
)
def test_a_bad_key_file(content: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyProblem) as problem:
        key_of(tmp_path / "key", monkeypatch)
    assert words in problem.value.detail
    assert "A_KEY_FILE" in problem.value.detail


def test_what_is_no_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    places = {
        Path("/dev/zero"): "neither a file nor a pipe",
        tmp_path: "directory",
        tmp_path / "fifo": "nobody wrote",
        tmp_path / "missing": "No such file",
    }
    for place, words in places.items():
        with pytest.raises(KeyProblem) as problem:
            key_of(place, monkeypatch)
        assert words in problem.value.detail, place


@pytest.mark.parametrize("names", [("A_KEY",), ("A_KEY_FILE",), ("A_KEY", "A_KEY_FILE")])
def test_variables_that_are_set_but_empty(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names:
        monkeypatch.setenv(name, "")
    with pytest.raises(KeyProblem) as problem:
        read_key("A_KEY")
    assert (
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} set, but empty" in problem.value.detail
    )


def test_a_pipe_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``<(command)`` gives one: the writer is slow, in parts, or gone already."""
    monkeypatch.setattr(reading, "PATIENCE", 5.0)
    for pause in (0.0, 0.05):
        out, into = os.pipe()

        def write(into: int = into, pause: float = pause) -> None:
            for part in (b"a", b"b" * 50_000, b"c"):
                time.sleep(pause)
                os.write(into, part)
            os.close(into)

        writer = threading.Thread(target=write)
        writer.start()
        if not pause:
            writer.join()
        assert read_bounded(f"/dev/fd/{out}", 100_000) == b"a" + b"b" * 50_000 + b"c"
        writer.join()
        os.close(out)


def test_a_pipe_whose_writer_says_nothing() -> None:
    out, into = os.pipe()
    with pytest.raises(TimeoutError):
        read_bounded(f"/dev/fd/{out}", 10)
    os.write(into, b"endless" * 10)
    assert read_bounded(f"/dev/fd/{out}", 10) == b"endlessend"
    os.close(out)
    os.close(into)


def test_a_plan_file_that_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for place in (tmp_path, tmp_path / "fifo", tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(UsageError) as problem:
            load_plan(place)
        assert str(place) in problem.value.detail
