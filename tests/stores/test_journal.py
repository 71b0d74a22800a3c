"""The journal's lines: torn ends, flipped bits, and whatever else can befall a file."""

import json
from pathlib import Path

import pytest
from contract import adds, nonces_at, opened, written

from reconciler.errors import StateDamaged, StateError, StateNewer
from reconciler.stores import journal as journals
from reconciler.stores.journal import Header, JournalEntry

JSON = "team-5.json"
HEADER = Header("lineage", 7, "token", "digest")


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "state")


@pytest.fixture
def path(place: str) -> Path:
    return Path(place) / f"{JSON}.journal"


def three_lines(place: str, path: Path) -> bytes:
    written(place, "a", "b", "c")
    return path.read_bytes()


def lines_of(count: int, first_serial: int = 8) -> bytes:
    data, digest = journals.header_line(HEADER)
    for number in range(count):
        line, digest = journals.entry_line(
            JournalEntry(first_serial + number, "w", adds(str(number))), digest
        )
        data += line
    return data


def test_lines_read_back_as_they_were() -> None:
    read = journals.parse(lines_of(3), "here")
    assert read.header == HEADER
    assert [entry.serial for entry in read.entries] == [8, 9, 10]
    assert [entry.delta for entry in read.entries] == [adds("0"), adds("1"), adds("2")]
    assert (read.end_serial, read.torn, read.size) == (10, False, len(lines_of(3)))
    assert lines_of(3).endswith(read.last_line)


def test_the_token_goes_on_from_the_header() -> None:
    assert journals.parse(lines_of(0), "here").token == "token"
    tokens = {journals.parse(lines_of(count), "here").token for count in range(4)}
    assert len(tokens) == 4


def test_a_journal_cut_at_any_byte_reads_as_its_whole_lines(place: str, path: Path) -> None:
    whole = three_lines(place, path)
    header_end = whole.index(b"\n") + 1
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        if cut < header_end:
            with pytest.raises(StateDamaged):
                opened(place).read()
        else:
            assert nonces_at(place) == set("abc"[: whole[:cut].count(b"\n")])


def test_a_torn_line_is_cut_by_the_next_writer(place: str, path: Path) -> None:
    whole = three_lines(place, path)
    last = whole.rindex(b"\n", 0, -1) + 1
    json_text = (Path(place) / JSON).read_bytes()
    for cut in [*range(last + 1, len(whole), 41), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        (Path(place) / JSON).write_bytes(json_text)
        revision = opened(place).read()[1]
        assert path.read_bytes() == whole[:cut]
        opened(place).commit(adds("d"), revision)
        assert nonces_at(place) == {*"abd"}
        assert path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_zeros_that_the_disk_never_wrote_are_torn(place: str, path: Path, ending: bytes) -> None:
    whole = three_lines(place, path)
    last = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[: last + 20] + b"\0" * 200 + ending)
    assert nonces_at(place) == {*"ab"}
    written(place, "d")
    assert nonces_at(place) == {*"abd"}


def test_zeros_before_a_good_line_are_damage(place: str, path: Path) -> None:
    header, first, second, _ = three_lines(place, path).split(b"\n")
    path.write_bytes(b"\n".join([header, b"\0" * 200, first, second, b""]))
    with pytest.raises(StateDamaged):
        opened(place).read()


def test_a_flipped_bit_in_the_journal_is_damage_wherever_it_is(place: str, path: Path) -> None:
    """A line that was complete may have been acted upon: it is never dropped in silence."""
    whole = three_lines(place, path)
    for at in range(len(whole)):
        bits = range(8) if whole[at : at + 1] in b'\n "@' else (at % 8,)
        for bit in bits:
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            with pytest.raises(StateDamaged):
                journals.parse(bytes(flipped), "here")


def test_a_flipped_bit_in_the_json_hides_no_commit_of_the_journal(place: str, path: Path) -> None:
    three_lines(place, path)
    target = Path(place) / JSON
    whole = target.read_bytes()
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 7)
        target.write_bytes(flipped)
        try:
            document = opened(place).read()[0]
        except StateError:
            continue
        assert document is not None
        assert {"b", "c"} <= set(document.intents)


@pytest.mark.parametrize("change", ["swap", "drop", "repeat", "empty line", "garbage"])
def test_lines_out_of_order_are_damage(place: str, path: Path, change: str) -> None:
    header, first, second, _ = three_lines(place, path).split(b"\n")
    lines = {
        "swap": [header, second, first],
        "drop": [header, second],
        "repeat": [header, first, first, second],
        "empty line": [header, b"", first, second],
        "garbage": [header, b"what", first, second],
    }[change]
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(StateDamaged) as caught:
        opened(place).read()
    assert f"{JSON}.journal, line" in caught.value.detail
    assert "from a copy" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"\0" * 100, b"[]\n", b"\xff\n", b"no newline"])
def test_what_has_no_header_is_damage(place: str, path: Path, data: bytes) -> None:
    three_lines(place, path)
    path.write_bytes(data)
    with pytest.raises(StateDamaged) as caught:
        opened(place).read()
    assert "line 1" in caught.value.detail


def _resealed(data: dict[str, object], previous: str = "") -> tuple[bytes, str]:
    return journals._sealed(json.dumps(data, separators=(",", ":")), previous)


def test_a_later_releases_journal_is_newer() -> None:
    line, _ = _resealed({"journal": 2, "new": True})
    with pytest.raises(StateNewer) as caught:
        journals.parse(line, "here")
    assert "version 2" in caught.value.detail


def test_a_sealed_line_is_still_read_strictly() -> None:
    """A digest proves who wrote a line, not that its writer was right."""
    head, digest = journals.header_line(HEADER)
    wrong_serial, _ = _resealed({"serial": 9, "written_by": "w", "delta": {}}, digest)
    with pytest.raises(StateDamaged, match="journal is damaged") as caught:
        journals.parse(head + wrong_serial, "here")
    assert "where 8 is expected" in caught.value.detail
    no_delta, _ = _resealed({"serial": 8, "written_by": "w", "delta": {}}, digest)
    with pytest.raises(StateDamaged) as caught:
        journals.parse(head + no_delta, "here")
    assert "line 2" in caught.value.detail


@pytest.mark.parametrize("ending", [b"\0", b"x"])
def test_an_endless_end_is_torn_and_never_read(
    ending: bytes, place: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long torn end nothing is kept; the next writer cuts it."""
    written(place, "a", "b")
    whole = path.read_bytes()
    monkeypatch.setattr("reconciler.stores.snapshot.LARGE", 3000)
    path.write_bytes(whole + ending * 2_500_000)
    store = opened(place)
    document, revision = store.read()
    assert document is not None
    assert store._snapshot is not None  # type: ignore[attr-defined]
    assert store._snapshot.size < len(whole) + 100  # type: ignore[attr-defined]
    assert store.read()[1] == revision
    store.commit(adds("c"), revision)
    assert nonces_at(place) == {"a", "b", "c"}
    assert len(path.read_bytes()) < 3000


def test_a_long_end_that_lines_follow_is_damage(
    place: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = three_lines(place, path)
    monkeypatch.setattr("reconciler.stores.snapshot.LARGE", 3000)
    path.write_bytes(whole + b"\0" * 9000 + b"\n" + whole.splitlines()[-1] + b"\n")
    with pytest.raises(StateDamaged):
        opened(place).read()


def test_a_large_file_that_does_not_begin_as_a_state(
    place: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place, "a")
    path.unlink()
    monkeypatch.setattr("reconciler.stores.snapshot.LARGE", 3000)
    for content in (b"\0" * 9000, b" " * 9000 + b"{}", b"[" * 9000):
        (Path(place) / JSON).write_bytes(content)
        with pytest.raises(StateDamaged):
            opened(place).read()


def test_a_long_line_whose_end_was_changed_is_damage(
    place: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = three_lines(place, path)
    monkeypatch.setattr("reconciler.stores.snapshot.LARGE", 100)
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(StateDamaged):
        opened(place).read()
