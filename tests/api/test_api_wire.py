"""What the API may send, and what we make of it."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api import wire
from reconciler.api.documents import decode
from reconciler.api.fields import AnswerUnreadable
from reconciler.dates import DateSet
from reconciler.http import Headers, Response
from reconciler.model.observed import UNTOLD, ApiError, Backfill, RunStatus, Status, TransferInfo
from reconciler.untrusted import clean, clean_code

START = date(2024, 1, 1).toordinal()
ABSENT = object()


def item(**changes: Any) -> dict[str, Any]:
    """The vendor's own example of a running backfill, changed."""
    example = {
        "transfer_backfill_id": 12345,
        "transfer_id": 456789,
        "range_start_date": "2024-01-01",
        "range_end_date": "2024-01-31",
        "created_time": "2024-02-01T09:00:00Z",
        "created_user_id": 789,
        "start_time": "2024-02-01T10:00:00Z",
        "end_time": None,
        "status": "RUNNING",
        "transfer_runs_total": 31,
        "transfer_runs_created": 31,
        "transfer_runs_completed": 25,
        "transfer_runs_failed": 2,
        "error_report": [],
    }
    return {name: value for name, value in (example | changes).items() if value is not ABSENT}


def parse(**changes: Any) -> Backfill:
    return wire.parse_backfill({"meta": {"request_id": "x"}, "data": item(**changes)})


# --- backfills


def test_the_vendors_example() -> None:
    assert parse() == Backfill(
        id=12345,
        transfer_id=456789,
        start=START,
        end=START + 31,
        status=Status.RUNNING,
        created_time=datetime(2024, 2, 1, 9, tzinfo=UTC),
        start_time=datetime(2024, 2, 1, 10, tzinfo=UTC),
        total=31,
        completed=25,
        failed=2,
        created_user_id=789,
    )


def test_bare_and_with_unknown_fields() -> None:
    assert wire.parse_backfill(item(new_field={"x": [1]})) == parse()


@pytest.mark.parametrize("value", [1, "1", 2**63 - 1, str(2**63 - 1), "0007"])
def test_ids(value: Any) -> None:
    assert parse(transfer_backfill_id=value).id == int(value)


@pytest.mark.parametrize(
    "value",
    [
        True,
        1.0,
        1.5,
        0,
        -1,
        2**63,
        str(2**63),
        "9" * 400,
        "1.0",
        "1e3",
        " 1",
        "+1",
        "",
        "\u0661",
        None,
        [],
        {},
        ABSENT,
    ],
)
@pytest.mark.parametrize("name", ["transfer_backfill_id", "transfer_id"])
def test_unfit_ids(name: str, value: Any) -> None:
    with pytest.raises(AnswerUnreadable, match=name):
        parse(**{name: value})


@pytest.mark.parametrize(
    "text, moment",
    [
        ("2024-02-01T09:00:00Z", datetime(2024, 2, 1, 9, tzinfo=UTC)),
        ("2024-02-01T09:00:00", datetime(2024, 2, 1, 9, tzinfo=UTC)),
        ("2024-02-01T09:00:00.5Z", datetime(2024, 2, 1, 9, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-02-01T09:00:00.123456789Z", datetime(2024, 2, 1, 9, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-02-01T11:00:00+02:00", datetime(2024, 2, 1, 9, tzinfo=UTC)),
        ("2024-02-01 09:00:00+00:00", datetime(2024, 2, 1, 9, tzinfo=UTC)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    created = parse(created_time=text).created_time
    assert created == moment
    assert created.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text", ["", "yesterday", 1706778000, True, "0001-01-01T00:00:00+14:00", "2024-02-30T00:00:00Z", []]
)
def test_unfit_times(text: Any) -> None:
    for name in ("created_time", "start_time", "end_time", "removed_time"):
        with pytest.raises(AnswerUnreadable, match=name):
            parse(**{name: text})


@pytest.mark.parametrize("absent", [None, ABSENT])
def test_absent_times(absent: Any) -> None:
    backfill = parse(start_time=absent, end_time=absent, removed_time=absent, error_report=absent)
    began = backfill.created_time if absent is ABSENT else None  # null: never; missing: nobody knows
    assert (backfill.start_time, backfill.end_time, backfill.removed_time) == (began, None, None)
    with pytest.raises(AnswerUnreadable):
        parse(created_time=absent)


@pytest.mark.parametrize(
    "text", ["2024-01-01T00:00:00Z", "2024-01-01 00:00", "2024-01-01T00:00:00.000+00:00", "2024-01-01"]
)
def test_dates(text: str) -> None:
    assert parse(range_start_date=text).start == START


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01T22:00:00Z",
        "2024-01-01T00:00:00+02:00",
        "20240101",
        "2024-W01-1",
        "2024-02-30",
        "",
        None,
        20240101,
        [],
    ],
)
def test_unfit_dates(text: Any) -> None:
    with pytest.raises(AnswerUnreadable, match="range_start_date"):
        parse(range_start_date=text)


def test_ranges() -> None:
    assert len(parse(range_start_date="2024-01-31").days) == 1
    assert parse(range_start_date="0001-01-01", range_end_date="9999-12-31").end == date.max.toordinal() + 1
    with pytest.raises(AnswerUnreadable):
        parse(range_start_date="2024-02-01")


@pytest.mark.parametrize(
    "text, status",
    [
        ("running", Status.RUNNING),
        (" COMPLETED ", Status.COMPLETED),
        ("PAUSED", Status.UNKNOWN),
        ("", Status.UNKNOWN),
        (None, Status.UNKNOWN),
        (ABSENT, Status.UNKNOWN),
        (7, Status.UNKNOWN),
        ([], Status.UNKNOWN),
    ],
)
def test_statuses(text: Any, status: Status) -> None:
    assert parse(status=text).status is status
    assert not Status.UNKNOWN.final


@pytest.mark.parametrize(
    "status, counts, expected",
    [
        ("RUNNING", ("31", "3", 0), (31, 3, 0)),
        ("RUNNING", (None, None, None), (31, 0, 0)),
        ("CREATED", (ABSENT, ABSENT, ABSENT), (31, 0, 0)),
        ("COMPLETED", (None, None, None), (31, 31, 0)),
        ("COMPLETED", (None, None, 2), (31, 29, 2)),
        ("COMPLETED", (None, 30, None), (31, 30, 1)),
        ("COMPLETED", (0, 30, None), (0, 30, 0)),
        ("FAILED", (None, None, None), (32, 1, 30)),
        ("FAILED", (None, 3, None), (32, 3, 28)),
        ("CANCELLED", (None, None, 0), (32, 1, 30)),
        ("CANCELLED", (None, 0, 0), (31, 0, 0)),
    ],
)
def test_counts(status: str, counts: tuple[Any, Any, Any], expected: tuple[int, int, int]) -> None:
    total, completed, failed = counts
    backfill = parse(
        status=status,
        transfer_runs_total=total,
        transfer_runs_completed=completed,
        transfer_runs_failed=failed,
    )
    assert (backfill.total, backfill.completed, backfill.failed) == expected


@pytest.mark.parametrize("value", [-1, 1.0, True, "x", [], 2**63])
def test_unfit_counts(value: Any) -> None:
    with pytest.raises(AnswerUnreadable, match="transfer_runs_failed"):
        parse(transfer_runs_failed=value)


def test_error_report() -> None:
    report = [
        {"transfer_run_date": "2024-01-15", "error": "Connection timeout"},
        {"transfer_run_date": "2024-01-15"},
        {"transfer_run_date": "2024-01-16", "error": None},
        {"transfer_run_date": "2024-02-16"},  # outside the range
        {"transfer_run_date": None},
        {},
        "x",
        None,
    ]
    assert parse(error_report=report).failed_days == DateSet.span(START + 14, START + 16)
    assert parse(error_report=report).error == "Connection timeout"
    for nothing in ({}, "x", None, 7, []):
        assert not parse(error_report=nothing).failed_days
        assert not parse(error_report=nothing).error


# --- lists


def test_list_of_backfills() -> None:
    older, newer = item(transfer_backfill_id=1), item(transfer_backfill_id=2)
    for data in ([newer, older], {"items": [newer, older]}):
        backfills = wire.parse_backfills({"meta": {}, "data": data})
        assert [backfill.id for backfill in backfills] == [2, 1]
    assert wire.parse_backfills([]) == []


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_with_one_id_the_one_further_along_is_kept(turn: int) -> None:
    behind, ahead = item(transfer_runs_completed=25), item(transfer_runs_completed=26)
    for pair in ([behind, ahead], [ahead, item(status="COMPLETED", transfer_runs_completed=1)]):
        found: dict[int, Backfill] = {}
        assert wire.merge_backfills(found, wire.parse_backfills(pair[::turn]))
        assert found == {12345: wire.parse_backfill(pair[1])}
        assert not wire.merge_backfills(found, wire.parse_backfills(pair))


@pytest.mark.parametrize(
    "document", [{}, {"data": {}}, {"data": None}, None, "x", {"error": {"code": "X"}}, 7]
)
def test_not_a_list(document: object) -> None:
    for parser in (wire.parse_backfills, wire.parse_transfers, wire.parse_runs):
        with pytest.raises(AnswerUnreadable):
            parser(document)


def test_a_bad_item_makes_the_whole_list_unreadable() -> None:
    for bad in (item(range_start_date="x"), None, [], 7):
        with pytest.raises(AnswerUnreadable, match="item 2 of 3"):
            wire.parse_backfills({"data": [item(), bad, item()]})
    with pytest.raises(AnswerUnreadable, match="an array without the envelope, and of that item 1 of 1"):
        wire.parse_backfills([{"meta": {}, "data": [item()]}])


def test_transfers() -> None:
    listed = [
        {
            "dwh_transfer_id": 36091,
            "display_name": "AW\u202e \x1b[1menhanced",
            "state": "active",
            "schedule": "daily",
        },
        {"dwh_transfer_id": "36092", "display_name": None, "state": "Paused"},
        {"transfer_id": 36093, "name": "x", "status": "paused"},
        {"dwh_transfer_id": 36091, "display_name": "again", "state": "paused"},
    ]
    found: dict[int, TransferInfo] = {}
    assert wire.merge_transfers(found, wire.parse_transfers({"data": listed}))
    assert tuple(found.values()) == (
        TransferInfo(36091, "AW enhanced", paused=False, scheduled=True),
        TransferInfo(36092, "", paused=True),
        TransferInfo(36093, "x", paused=True),
    )
    with pytest.raises(AnswerUnreadable, match="item 1 of 1: "):
        wire.parse_transfers([{"display_name": "x"}])


# --- runs


def run(**changes: Any) -> dict[str, Any]:
    example = {
        "id": 12345,
        "status": "COMPLETED",
        "created_time": "2024-01-15T09:55:00Z",
        "ended_time": "2024-01-15T10:05:30Z",
        "type": "Recurring",
        "total_duration": 330.5,
        "total_rows": 4500,
        "data_date": "2024-01-15",
        "message": "",
    }
    return {name: value for name, value in (example | changes).items() if value is not ABSENT}


def test_runs() -> None:
    [parsed] = wire.parse_runs({"meta": {}, "data": [run()]})
    assert (parsed.id, parsed.day, parsed.backfill, parsed.rows) == (12345, START + 14, False, 4500)
    assert parsed.created_time == datetime(2024, 1, 15, 9, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, status",
    [
        ("completed", RunStatus.COMPLETED),
        ("Failed", RunStatus.FAILED),
        ("CANCELLED", RunStatus.CANCELLED),
        (" canceled ", RunStatus.CANCELLED),
        ("QUEUED", RunStatus.OTHER),
        ("other", RunStatus.OTHER),
        ("", RunStatus.OTHER),
        (None, RunStatus.OTHER),
        (ABSENT, RunStatus.OTHER),
    ],
)
def test_run_statuses(text: Any, status: RunStatus) -> None:
    [parsed] = wire.parse_runs([run(status=text)])
    assert (parsed.status, parsed.word) == (status, text.strip() if isinstance(text, str) else "")


def test_the_word_of_a_run_is_fit_to_show() -> None:
    [parsed] = wire.parse_runs(
        [run(status="\x1b[31mSKIPPED\n by sk_live")], lambda text: text.replace("sk", "*")
    )
    assert (parsed.status, parsed.word) == (RunStatus.OTHER, "SKIPPED by *_live")


def test_tolerated_in_runs() -> None:
    [parsed] = wire.parse_runs([run(id="7", type="BACKFILL", total_rows="many", created_time=None)])
    assert (parsed.id, parsed.backfill, parsed.rows, parsed.created_time) == (7, True, None, UNTOLD)
    undated = wire.parse_runs([run(data_date=None), run(id=2, data_date=ABSENT)])
    assert [(one.id, one.day) for one in undated] == [(12345, None), (2, None)]


def test_when_a_run_ended() -> None:
    ended = [run(ended_time="2024-01-15T10:00:00Z"), run(ended_time=None), run(ended_time=ABSENT)]
    times = [one.ended_time for one in wire.parse_runs(ended)]
    assert times == [datetime(2024, 1, 15, 10, tzinfo=UTC), None, None]


@pytest.mark.parametrize(
    ("sent", "rows"),
    [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, None), (10**400, None), (-1, None), (1.5, None), (True, None)],
)
def test_rows_that_are_no_count_are_unknown(sent: object, rows: int | None) -> None:
    [parsed] = wire.parse_runs([run(total_rows=sent)])
    assert parsed.rows == rows


@pytest.mark.parametrize("bad", [{"id": None}, {"data_date": "x"}, {"created_time": "x"}, {"id": True}])
def test_unreadable_runs(bad: dict[str, Any]) -> None:
    with pytest.raises(AnswerUnreadable):
        wire.parse_runs([run(), run(**bad)])


def test_merging_pages() -> None:
    found: dict[int, Any] = {}
    assert wire.merge_runs(
        found, wire.parse_runs([run(id=1, status="RUNNING"), run(id=2), run(id=3, data_date=None)])
    )
    assert wire.merge_runs(
        found, wire.parse_runs([run(id=1, status="FAILED"), run(id=2, status="RUNNING"), run(id=4)])
    )
    assert not wire.merge_runs(found, wire.parse_runs([run(id=3, data_date=None)]))
    assert not wire.merge_runs(found, [])
    statuses = [(number, parsed.status) for number, parsed in sorted(found.items())]
    completed = RunStatus.COMPLETED
    assert statuses == [(1, RunStatus.FAILED), (2, completed), (3, completed), (4, completed)]


# --- errors


def error(document: Any, status: int = 422, headers: dict[str, str] | None = None) -> ApiError:
    return wire.parse_error(Response(status, Headers(headers or {}), json.dumps(document).encode()))


def test_errors_in_the_envelope() -> None:
    body = {
        "meta": {"request_id": "R_1-x"},
        "error": {"code": "NOT_FOUND", "message": "Not Found", "description": "There is no\nsuch transfer."},
    }
    assert error(body) == ApiError(422, "NOT_FOUND", "Not Found", "R_1-x", "There is no such transfer.")
    assert str(error(body)) == "422 NOT_FOUND: Not Found: There is no such transfer (request R_1-x)"
    body = {"error": {"code": "X", "description": "Why."}}
    assert error(body, headers={"X-Request-Id": "h-1"}) == ApiError(422, "X", "", "h-1", "Why.")


@pytest.mark.parametrize(
    "message, description, told",
    [
        ("It cannot be carried out.", "Too short.", "It cannot be carried out: Too short."),
        ("No.", None, "No."),
        ("No.", "", "No."),
        ("No.", " No", "No."),
        (None, "Why.", "Why."),
        ("...", "Why.", "..."),
        ("Errors:", "Why?", "Errors: Why?"),
    ],
)
def test_the_reason_stands_behind_the_title(message: str | None, description: str | None, told: str) -> None:
    assert error({"error": {"message": message, "description": description}}).said == told
    assert error({"title": message, "detail": description}).said == told


def test_an_error_in_words() -> None:
    assert str(ApiError(403, "FORBIDDEN", "No.", "R-1")) == "403 FORBIDDEN: No (request R-1)"
    assert str(ApiError(422, None, "Why?")) == "422: Why?"
    assert str(ApiError(422, message="...", request_id="R-1")) == "422 (request R-1)"
    assert str(ApiError(502)) == "502"


def test_problem_details() -> None:
    body = {
        "type": "https://x/unauthorized",
        "title": "Unauthorized",
        "status": 200,
        "detail": "Required\u2028now",
    }
    assert error(body, 401) == ApiError(401, None, "Unauthorized", description="Required now")
    assert error({"title": "Unauthorized"}, 401).message == "Unauthorized"
    assert str(error({}, 502)) == "502"


@pytest.mark.parametrize(
    "body", [[], None, 7, {"error": None}, {"error": []}, {"error": {"code": 7, "message": []}}]
)
def test_other_errors(body: Any) -> None:
    assert error(body) == ApiError(422)


def test_an_error_as_text_and_an_unfit_code() -> None:
    assert error({"error": "invalid_token\n"}).message == "invalid_token"
    assert error({"error": {"code": "X\x1b[2J"}}).code is None
    assert error({"meta": {"request_id": "a b"}}).request_id is None


# --- bytes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe{\x00}\x00",
        b'{"a": NaN}',
        b"[Infinity]",
        b"-Infinity",
        b'{"a": 1',
        b"{}{}",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b"1" * 100_000,
        b'"\xed\xa0\x80"',
        b"<html></html>",
    ],
)
def test_undecodable(body: bytes) -> None:
    with pytest.raises(AnswerUnreadable):
        decode(body)


def test_decodable() -> None:
    assert decode(b'\xef\xbb\xbf {"a": [1e999, "\\ud800"]} ') == {"a": [float("inf"), "\ud800"]}


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
names = st.sampled_from([*item(), *run(), "removed_time", "dwh_transfer_id", "state", "display_name"])
values = json_values | st.sampled_from(["2024-01-01", "2024-01-01T00:00:00Z", "RUNNING", 1, "1", 31])
items = st.dictionaries(names, values).map(lambda drawn: item() | run() | drawn) | json_values
documents = items | st.lists(items) | st.fixed_dictionaries({"data": st.lists(items) | items}) | json_values


@given(documents)
def test_no_document_crashes_a_parser(document: object) -> None:
    for parser in (wire.parse_backfill, wire.parse_backfills, wire.parse_transfers, wire.parse_runs):
        try:
            parsed = parser(document)
        except AnswerUnreadable:
            pass
        else:
            repr(parsed).encode("ascii", "backslashreplace")


@given(documents, st.integers(100, 999))
def test_no_document_crashes_the_error_parser(document: object, status: int) -> None:
    for wrapped in (document, {"error": document, "meta": document}):
        try:
            body = json.dumps(wrapped).encode()
        except ValueError:
            return
        str(wire.parse_error(Response(status, body=body))).encode()


@given(st.binary())
def test_no_bytes_crash(body: bytes) -> None:
    try:
        decode(body)
    except AnswerUnreadable:
        assert wire.parse_error(Response(500, body=body)) == ApiError(500)


# --- text


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("plain", "plain"),
        ("  two\n\r\tlines \x0b", "two lines"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdcs\x1b\\x", "x"),
        ("\x9b31mred", "red"),
        ("\x9d0;t\x9cx", "x"),
        ("\x1b]unterminated", "unterminated"),
        ("\x1bcreset", "reset"),
        ("a\u202eb\u2066c\u200fd\u2028e", "abcd e"),
        ("a\u200bb\ufeffc\u00add", "abcd"),
        ("nul\x00bell\x07", "nulbell"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("Äö – 日本 🎉", "Äö – 日本 🎉"),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 300, "x" * 300),
        (None, ""),
        (7, ""),
        (["x"], ""),
    ],
)
def test_clean(text: Any, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(st.characters() | st.sampled_from("\x1b\x9b\x9d[]\\;\x07"), max_size=2000))
def test_clean_text_is_clean(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= 300
    assert clean(cleaned) == cleaned
    cleaned.encode()
    assert all(char == " " or unicodedata.category(char)[0] not in "CZ" for char in cleaned)


def test_clean_is_quick_on_megabytes() -> None:
    for evil in ("\x1b]", "\x9d", "\x1b[", "\x1b" + " " * 50, "\u202e"):
        assert len(clean(evil * 4_000_000)) <= 300


def test_codes() -> None:
    assert clean_code("API_ROW_QUOTA_EXCEEDED") == "API_ROW_QUOTA_EXCEEDED"
    for unfit in ("", "a b", "x" * 101, "a\n", "é", None, 7):
        assert clean_code(unfit) is None
