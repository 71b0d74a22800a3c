"""The codec: its laws, its files of each version, and what it refuses."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from state_values import LAW, backfills, deltas, documents, intents

from reconciler.dates import DateSet
from reconciler.errors import StateDamaged, StateError, StateNewer
from reconciler.formats.statefile import decode_document, encode_document
from reconciler.formats.staterows import head_text, read_head, read_records, record_rows, rows_of
from reconciler.model.deltas import KEYS, Delta
from reconciler.model.memory import BackfillRecord, DayEvidence, Document, Intent

ROUNDTRIP = sorted(Path(__file__).with_name("roundtrip").glob("v1-*.json"))
FULL = Path(__file__).with_name("roundtrip") / "v1-full.json"
Edit = Callable[[dict[str, Any]], object]


@LAW
@given(documents())
def test_a_document_reads_back_as_it_was(document: Document) -> None:
    text = encode_document(document)
    assert decode_document(text) == document
    assert decode_document(text.encode()) == document
    assert encode_document(decode_document(text)) == text


@LAW
@given(documents())
def test_a_documents_rows_read_back_as_it_was(document: Document) -> None:
    head = read_head(document.lineage, document.serial, head_text(document), "head")
    rows = record_rows(document)
    values = {kind: [value for one, _key, value in rows if one == kind] for kind in KEYS}
    read = {kind: read_records(kind, values[kind], "rows") for kind in KEYS}
    assert replace(head, **read) == document
    assert len({row[:2] for row in rows}) == len(rows)


@LAW
@given(deltas())
def test_the_rows_of_a_delta_are_those_of_what_it_puts(delta: Delta) -> None:
    rows = rows_of(delta)
    assert not any("\n" in value for _kind, _key, value in rows)
    assert [kind for kind, _key, _value in rows] == [kind for kind in KEYS for _one in getattr(delta, kind)]


@LAW
@given(documents(), st.randoms())
def test_equal_documents_give_equal_text(document: Document, random: Any) -> None:
    shuffled_intents, shuffled_backfills = list(document.intents.items()), list(document.backfills.items())
    random.shuffle(shuffled_intents)
    random.shuffle(shuffled_backfills)
    shuffled = replace(document, intents=dict(shuffled_intents), backfills=dict(shuffled_backfills))
    assert encode_document(shuffled) == encode_document(document)


@LAW
@given(documents())
def test_layout_and_order_of_keys_are_free(document: Document) -> None:
    data = json.loads(encode_document(document))
    backwards = {key: data[key] for key in sorted(data, reverse=True)}
    assert decode_document(json.dumps(backwards, indent=7)) == document
    assert decode_document(json.dumps(data, ensure_ascii=False).encode()) == document


@LAW
@given(documents())
def test_keys_are_sorted_and_a_field_has_its_line(document: Document) -> None:
    text = encode_document(document)
    for one in _objects(json.loads(text)):
        assert list(one) == sorted(one)
    lists = [json.loads(text)[kind] for kind in KEYS]
    fields = len(json.loads(text)) + sum(len(one) for items in lists for one in items)
    brackets = 2 + sum(2 * len(items) + bool(items) for items in lists)
    assert text.count("\n") == fields + brackets


def _objects(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, dict):
        return [data, *(inner for value in data.values() for inner in _objects(value))]
    return [inner for value in data for inner in _objects(value)] if isinstance(data, list) else []


@pytest.mark.parametrize("path", ROUNDTRIP, ids=lambda path: path.stem)
def test_files_of_this_version_stay_readable_byte_for_byte(path: Path) -> None:
    text = path.read_text()
    assert encode_document(decode_document(text)) == text


def test_there_are_round_trip_files() -> None:
    assert {path.stem for path in ROUNDTRIP} >= {"v1-empty", "v1-full", "v1-many"}


def test_times_of_any_zone_are_written_in_utc() -> None:
    document = decode_document(FULL.read_bytes())
    intent = next(iter(document.intents.values()))
    moved = replace(intent, intended_at=intent.intended_at.astimezone(timezone(timedelta(hours=5.5))))
    same = replace(document, intents={**document.intents, intent.nonce: moved})
    assert encode_document(same) == FULL.read_text()


def test_evidence_of_one_kind_may_have_several_ranges() -> None:
    ranges = ["2024-01-01", "2024-01-03..2024-01-04"]
    document = decode_document(_edited(_first("backfills", evidence={"loaded": ranges})))
    read = next(iter(document.backfills.values())).evidence
    assert read == DayEvidence(loaded=DateSet.of([(738886, 738887), (738888, 738890)]))


# --- what is refused ---------------------------------------------------------------------


def _edited(edit: Edit) -> str:
    data = json.loads(FULL.read_text())
    edit(data)
    return json.dumps(data)


def _first(name: str, **values: Any) -> Edit:
    return lambda data: data[name][0].update(values)


def _without(name: str, field: str) -> Edit:
    return lambda data: data[name][0].pop(field)


BAD_EDITS: dict[str, tuple[Edit, str]] = {
    "a missing field": (lambda data: data.pop("serial"), "the field 'serial' is missing"),
    "no version": (lambda data: data.pop("version"), "the field 'version' is missing"),
    "version 0": (lambda data: data.update(version=0), "at version: 0 is not a whole number from 1"),
    "version as text": (lambda data: data.update(version="1"), "at version: '1' is not a whole number"),
    "serial 0": (lambda data: data.update(serial=0), "at serial: 0 is not a whole number from 1"),
    "serial true": (lambda data: data.update(serial=True), "at serial: True is not a whole number"),
    "serial 1.0": (lambda data: data.update(serial=1.0), "at serial: 1.0 is not a whole number"),
    "serial beyond int64": (lambda data: data.update(serial=2**63), "at serial: 9223372036854775808"),
    "serial at the end": (lambda data: data.update(serial=2**62), "at serial: 4611686018427387904"),
    "a negative team": (lambda data: data.update(team_id=-1), "at team_id: -1 is not"),
    "an empty lineage": (lambda data: data.update(lineage=""), "at lineage: it is empty"),
    "a lineage null": (lambda data: data.update(lineage=None), "at lineage: None is not a string"),
    "half a character": (lambda data: data.update(written_by="\ud800"), "at written_by: '\\ud800' is not"),
    "intents as an object": (lambda data: data.update(intents={}), "at intents: it is not a list"),
    "a backfill as a list": (lambda data: data.update(backfills=[[]]), "at backfills[0]: it is not an obj"),
    "an intent as text": (lambda data: data.update(intents=["x"]), "at intents[0]: it is not an object"),
    "a twin backfill": (lambda data: data["backfills"].append(data["backfills"][0]), "two entries have"),
    "a twin intent": (lambda data: data["intents"].append(data["intents"][0]), "two entries have the key"),
    "a backfill's missing field": (_without("backfills", "gone"), "at backfills[0]: the field 'gone' is"),
    "an intent's missing field": (_without("intents", "nonce"), "at intents[0]: the field 'nonce' is mis"),
    "an id as text": (_first("backfills", id="7"), "at backfills[0].id: '7' is not a whole number"),
    "an unknown status": (_first("backfills", status="PAUSED"), "at backfills[0].status: 'PAUSED' is none"),
    "a status null": (_first("backfills", status=None), "at backfills[0].status: None is none of"),
    "no such day": (_first("backfills", start="2024-02-30"), "at backfills[0].start: '2024-02-30' is not"),
    "a week date": (_first("backfills", start="2024-W01-1"), "at backfills[0].start: '2024-W01-1' is not"),
    "a day as number": (_first("intents", end=20240101), "at intents[0].end: 20240101 is not a string"),
    "a range backwards": (_first("intents", end="2000-01-01"), "at intents[0].end: the range ends before it"),
    "a backfill backwards": (_first("backfills", end="2000-01-01"), "at backfills[0].end: the range ends be"),
    "a time without zone": (_first("intents", intended_at="2024-01-01T00:00:00"), "intended_at: '2024-01-0"),
    "a time elsewhere": (_first("intents", send_before="2024-01-01T00:00:00+02:00"), "is not a time of"),
    "no such time": (
        _first("backfills", end_time="2024-01-01T25:00:00Z"),
        "at backfills[0].end_time: '2024-01-01T25:00:00Z' is not a time",
    ),
    "a time as number": (_first("backfills", end_time=1), "at backfills[0].end_time: 1 is not a string"),
    "a flag as number": (_first("backfills", settled=1), "at backfills[0].settled: 1 is neither true nor"),
    "days as text": (
        _first("backfills", failed_days="2024-01-01"),
        "at backfills[0].failed_days: it is not a list",
    ),
    "a day set of numbers": (_first("backfills", failed_days=[1]), "at backfills[0].failed_days[0]: 1 is n"),
    "days backwards": (_first("backfills", failed_days=["2024-01-02..2024-01-01"]), "is neither a date nor"),
    "days with one dot": (_first("backfills", failed_days=["2024-01-01.2024-01-02"]), "is neither a date"),
    "evidence as a list": (_first("backfills", evidence=[]), "at backfills[0].evidence: it is not an obj"),
    "evidence of no list": (
        _first("backfills", evidence={"loaded": {}}),
        "evidence.loaded: it is not a list",
    ),
    "a day loaded and failed": (
        _first("backfills", evidence={"failed": ["2024-01-02"], "loaded": ["2024-01-01..2024-01-03"]}),
        "at backfills[0].evidence: a day is in two of its sets",
    ),
    "a bad day of evidence": (
        _first("backfills", evidence={"failed": ["2024-01-02"], "loaded": ["2024-02-30"]}),
        "at backfills[0].evidence.loaded: '2024-02-30' is neither a date",
    ),
    "a bad day alone": (
        _first("backfills", evidence={"loaded": ["2024-02-30"]}),
        "at backfills[0].evidence.loaded: '2024-02-30' is neither a date",
    ),
    "a long value": (_first("backfills", status="x" * 999), "..."),
}


@pytest.mark.parametrize("edit, words", BAD_EDITS.values(), ids=BAD_EDITS.keys())
def test_what_is_not_a_document_is_damaged(edit: Edit, words: str) -> None:
    with pytest.raises(StateDamaged) as caught:
        decode_document(_edited(edit), "state/team-5.json", "Restore it.")
    assert caught.value.detail.startswith("In state/team-5.json")
    assert words in caught.value.detail
    assert len(caught.value.detail) < 200
    assert caught.value.hint == "Restore it."


BAD_TEXTS = {
    "nothing": ("", "line 1, column 1: it is not JSON"),
    "half of it": ('{"version": 1,\n "serial"', "line 2, column 10: it is not JSON"),
    "two documents": ("{} {}", "it is not JSON"),
    "a list": ("[]", "it is not an object"),
    "null": ("null", "it is not an object"),
    "NaN": ('{"version": NaN}', "NaN is not a JSON number"),
    "Infinity": ('{"version": -Infinity}', "-Infinity is not a JSON number"),
    "a key twice": ('{"version": 1, "serial": 1, "version": 1}', "the key 'version' appears twice"),
    "a deep list": ("[" * 200_000, "nested too deeply"),
    "a deep object": ('{"a":' * 200_000, "nested too deeply"),
    "a deep value": ('{"version": ' + "[" * 900 + "]" * 900 + "}", "the field 'team_id' is missing"),
    "a huge number": ('{"version": ' + "1" * 5000 + "}", "it is not JSON of ours"),
    "a byte order mark": ("\ufeff{}", "it is not JSON"),
    "another encoding": ('{"version": "ä"}'.encode("latin-1"), "it is not UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), "it is not UTF-8"),
}


@pytest.mark.parametrize("text, words", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_what_is_no_json_of_ours_is_damaged(text: str | bytes, words: str) -> None:
    with pytest.raises(StateDamaged) as caught:
        decode_document(text)
    assert words in caught.value.detail
    assert ".backup" in caught.value.hint


NEWER_EDITS: dict[str, Edit] = {
    "a later version": lambda data: data.update(version=2),
    "a later version with nothing known": lambda data: (data.clear(), data.update(version=2)),
    "a new field": lambda data: data.update(colour="red"),
    "a new field of a backfill": _first("backfills", colour="red"),
    "a new field of an intent": _first("intents", colour="red"),
    "a new kind of evidence": _first("backfills", evidence={"colour": []}),
    "a new field beside a bad value": _first("backfills", colour="red", gone=1),
}


@pytest.mark.parametrize("edit", NEWER_EDITS.values(), ids=NEWER_EDITS.keys())
def test_what_a_later_release_wrote_is_newer(edit: Edit) -> None:
    with pytest.raises(StateNewer) as caught:
        decode_document(_edited(edit))
    assert "release" in caught.value.hint


ROW = json.loads(rows_of(Delta(backfills=tuple(decode_document(FULL.read_text()).backfills.values())))[0][2])
BAD_ROWS = {
    "no list": ("7", StateDamaged, "at backfills[1]: it is not a list"),
    "no JSON": ("[", StateDamaged, "JSON"),
    "too short": (json.dumps(ROW[:-1]), StateDamaged, "at backfills[1]: the field 'was_failed' is missing"),
    "too long": (json.dumps([*ROW, 1]), StateNewer, "at backfills[1]: it has more fields"),
    "another type": (
        json.dumps([*ROW[:4], 7, *ROW[5:]]),
        StateDamaged,
        "at backfills[1].status: 7 is none of",
    ),
    "twice": (json.dumps(ROW), StateDamaged, "two entries have the key"),
}


@pytest.mark.parametrize("row, error, words", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_is_read_as_strictly_and_says_where(row: str, error: type[StateError], words: str) -> None:
    with pytest.raises(error) as caught:
        read_records("backfills", [json.dumps(ROW), row], "team-5.db", "Cure.")
    assert "In team-5.db" in caught.value.detail
    assert words in caught.value.detail


@pytest.mark.parametrize("text", ["[]", "{}", "not json", None, '{"version": 1}'])
def test_a_head_is_read_strictly_too(text: Any) -> None:
    with pytest.raises(StateDamaged):
        read_head("lineage", 1, text, "team-5.db")
    with pytest.raises(StateNewer):
        read_head("lineage", 1, '{"version": 2}', "team-5.db")


@LAW
@given(backfills())
def test_a_delta_that_would_not_read_back_is_never_written(backfill: BackfillRecord) -> None:
    broken: list[dict[str, Any]] = [
        {"end": backfill.start},
        {"id": -1},
        {"created_time": datetime(2024, 1, 1)},
        {"failed_days": DateSet(((5, 6), (6, 7)))},
    ]
    for change in broken:
        with pytest.raises(ValueError):
            rows_of(Delta(backfills=(replace(backfill, seen=replace(backfill.seen, **change)),)))


@LAW
@given(intents())
def test_an_intent_without_a_range_or_nonce_is_never_written(intent: Intent) -> None:
    for broken in (replace(intent, end=intent.start), replace(intent, nonce="")):
        with pytest.raises(ValueError):
            rows_of(Delta(intents=(broken,)))


@pytest.mark.parametrize("change", [{"lineage": ""}, {"serial": 0}, {"version": 2}])
def test_a_document_that_was_never_committed_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        encode_document(replace(Document(1, "u", "lineage", 1), **change))


@LAW
@given(st.integers(0, 10_000), st.integers(0, 7), st.booleans())
@example(0, 0, True)
def test_a_broken_file_is_refused_or_a_document_never_a_crash(at: int, bit: int, cut: bool) -> None:
    data = bytearray(FULL.read_bytes())
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    with suppress(StateError):
        assert isinstance(decode_document(bytes(data)), Document)


def test_the_collector_is_left_as_it_was() -> None:
    import gc

    for on in (False, True):
        (gc.enable if on else gc.disable)()
        decode_document(FULL.read_bytes())
        assert gc.isenabled() is on


def test_a_time_is_aware_and_in_utc() -> None:
    intent = next(iter(decode_document(FULL.read_bytes()).intents.values()))
    assert intent.intended_at.tzinfo is UTC


def test_the_reason_of_an_answer_is_kept_apart() -> None:
    document = decode_document(FULL.read_bytes())
    intent = next(one for one in document.intents.values() if one.answer is not None)
    answered = replace(intent, answer=replace(intent.answer, description="Why."))
    same = replace(document, intents={**document.intents, intent.nonce: answered})
    assert decode_document(encode_document(same).encode()) == same
