"""One test per row of the table of outcomes, and the law behind it: in doubt, unknown."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.outcome import (
    Denied,
    Done,
    DoneInPart,
    Matter,
    Meaning,
    NotSentOutcome,
    OutOfQuota,
    RateLimited,
    Rejected,
    Unknown,
    WriteOutcome,
    classify_cancel,
    classify_create,
    meaning_of,
    turns_away_if_shared,
)
from reconciler.http import AnswerLost, Headers, NotSent, Response, TlsFailed
from reconciler.model.observed import ApiError, Status

START, END = date(2024, 1, 1).toordinal(), date(2024, 2, 1).toordinal()
KNOWN = frozenset({11, 12})


def shown(**changes: Any) -> bytes:
    item = {
        "transfer_backfill_id": 13,
        "transfer_id": 456789,
        "range_start_date": "2024-01-01",
        "range_end_date": "2024-01-31",
        "created_time": "2024-02-01T09:00:00Z",
        "status": "CREATED",
        "transfer_runs_total": 31,
        "transfer_runs_completed": 0,
        "transfer_runs_failed": 0,
    }
    return json.dumps({"meta": {"request_id": "R-1"}, "data": item | changes}).encode()


def error(code: str | None = None, message: str = "No.") -> bytes:
    if code is None:
        return b'{"type": "about:blank", "title": "No", "status": 0, "detail": "No."}'
    return json.dumps({"meta": {"request_id": "R-1"}, "error": {"code": code, "message": message}}).encode()


def said(status: int, code: str | None) -> ApiError:
    """Return what ``error`` says."""
    return ApiError(status, code, "No.", "R-1") if code else ApiError(status, None, "No", description="No.")


def create(result: Response | BaseException) -> WriteOutcome:
    return classify_create(result, 456789, START, END, KNOWN)


def is_unknown(outcome: WriteOutcome) -> bool:
    return isinstance(outcome, Unknown) and bool(outcome.why)


# --- 2xx with our range, and an id we did not know: done


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
def test_success_is_done(status: int) -> None:
    outcome = create(Response(status, body=shown()))
    assert isinstance(outcome, Done)
    assert (outcome.backfill.id, outcome.backfill.days.intervals) == (13, ((START, END),))


def test_success_without_envelope_and_with_ids_as_text() -> None:
    bare = json.loads(shown(transfer_backfill_id="13", transfer_id="456789"))["data"]
    assert isinstance(create(Response(200, body=json.dumps(bare).encode())), Done)


# --- connection never made: not sent


def test_never_connected_is_not_sent() -> None:
    assert create(NotSent("no connection")) == NotSentOutcome("no connection")
    assert create(TlsFailed("no trust")) == NotSentOutcome("no trust", passing=False)
    assert classify_cancel(NotSent("no connection"), 13) == NotSentOutcome("no connection")


# --- 429: a rate limit waits, a quota stops


@pytest.mark.parametrize("code", ["TOO_MANY_REQUESTS", "SOMETHING_NEW", None])
@pytest.mark.parametrize(
    "headers, seconds", [({"Retry-After": "60"}, 60.0), ({}, None), ({"Retry-After": "0"}, None)]
)
def test_rate_limit(code: str | None, headers: dict[str, str], seconds: float | None) -> None:
    answer = create(Response(429, Headers(headers), error(code)))
    assert isinstance(answer, RateLimited)
    assert (answer.retry_after, answer.error and answer.error.code) == (seconds, code)


@pytest.mark.parametrize("status", [429, 403, 402])
@pytest.mark.parametrize("code", ["API_ROW_QUOTA_EXCEEDED", "LICENSE_DAILY_QUERY_LIMIT_EXCEEDED"])
def test_quota(status: int, code: str) -> None:
    answered = create(Response(status, Headers({"Retry-After": "60"}), error(code)))
    assert answered == OutOfQuota(ApiError(status, code, "No.", "R-1"))


@pytest.mark.parametrize("status", [401, 408, 500])
def test_a_quotas_code_under_another_status_is_none(status: int) -> None:
    assert meaning_of(status, "API_ROW_QUOTA_EXCEEDED") is not Meaning.QUOTA


# --- 401, 403: denied


@pytest.mark.parametrize(
    "status, code",
    [
        *(
            (401, code)
            for code in ("UNAUTHORIZED", "TOO_MANY_REQUESTS", "FORBIDDEN", "LICENSE_EXPIRED", None)
        ),
        *((403, code) for code in ("ACCESS_DENIED_IP", "ACCESS_DENIED_PERMISSIONS", "API_KEY_DISABLED")),
    ],
)
def test_denied(status: int, code: str | None) -> None:
    assert create(Response(status, body=error(code))) == Denied(said(status, code))


@pytest.mark.parametrize("code", ["FORBIDDEN", "ACCESS_DENIED", None])
def test_a_403_that_gives_no_reason_may_be_about_the_key(code: str | None) -> None:
    assert create(Response(403, body=error(code))) == Rejected(said(403, code), Matter.KEY)


# --- a licence's code: rejected, and perhaps about more than this transfer


LICENCES = [
    "LICENSE_EXPIRED",
    "LICENSE_QUERIES_SUSPENDED",
    "LICENSE_NOT_FOUND",
    "LICENSE_ACCOUNT_LIMIT_EXCEEDED",
    "LICENSE_ROW_LIMIT_EXCEEDED",
    "LICENSE_ACCESS_DATA_SOURCE",
]


@pytest.mark.parametrize(
    "answer, turned_away",
    [
        (said(403, "FORBIDDEN"), True),
        (said(403, "ACCESS_DENIED"), True),
        (said(403, None), False),
        (said(403, "LICENSE_ROW_LIMIT_EXCEEDED"), False),
        (said(422, "FORBIDDEN"), False),
        (None, False),
    ],
)
def test_only_a_code_of_the_key_turns_away_what_several_get(
    answer: ApiError | None, turned_away: bool
) -> None:
    assert turns_away_if_shared(answer) is turned_away


@pytest.mark.parametrize("status", [400, 402, 403, 409, 422, 429])
@pytest.mark.parametrize("code", LICENCES)
def test_a_licence(status: int, code: str) -> None:
    assert create(Response(status, body=error(code))) == Rejected(said(status, code), Matter.LICENCE)


@pytest.mark.parametrize("code", LICENCES)
def test_a_licence_in_an_error_of_the_server_is_unknown_and_named(code: str) -> None:
    outcome = create(Response(500, body=error(code)))
    assert outcome == Unknown(f"the API answered 500 {code}: No (request R-1)", said(500, code))


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_historical_range_is_of_this_request(status: int) -> None:
    code = "LICENSE_HISTORICAL_RANGE_EXCEEDED"
    assert create(Response(status, body=error(code))) == Rejected(said(status, code))


# --- 404, other 4xx: rejected


@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 409, 410, 413, 422, 451, 499])
@pytest.mark.parametrize("code", ["UNPROCESSABLE_ENTITY", "INTERNAL_SERVER_ERROR"])
def test_rejected(status: int, code: str) -> None:
    assert create(Response(status, body=error(code))) == Rejected(said(status, code))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": null}', b"\xff", b"[" * 100_000])
def test_rejected_needs_no_readable_body(body: bytes) -> None:
    assert create(Response(422, body=body)) == Rejected(ApiError(422))
    assert create(Response(403, body=body)) == Rejected(ApiError(403), Matter.KEY)


# --- unknown


@pytest.mark.parametrize(
    "status", [408, 425, 300, 301, 302, 304, 307, 308, 500, 501, 502, 503, 504, 520, 599, 101, 600]
)
@pytest.mark.parametrize("code", ["TOO_MANY_REQUESTS", "API_ROW_QUOTA_EXCEEDED", "NOT_FOUND", None])
def test_unknown_by_status(status: int, code: str | None) -> None:
    outcome = create(Response(status, body=error(code)))
    assert isinstance(outcome, Unknown)
    assert str(status) in outcome.why


@pytest.mark.parametrize(
    "lost", [AnswerLost("the read timed out"), KeyboardInterrupt(), SystemExit(), ValueError("x")]
)
def test_unknown_by_exception(lost: BaseException) -> None:
    assert is_unknown(create(lost))
    assert is_unknown(classify_cancel(lost, 13))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"<html>", b"\xff", shown()[:-3], b'{"data": null}', error("X")]
)
def test_unknown_by_unreadable_body(body: bytes) -> None:
    assert is_unknown(create(Response(200, body=body)))


@pytest.mark.parametrize(
    "changes",
    [
        {"transfer_id": 456790},
        {"range_start_date": "2023-12-31"},
        {"range_end_date": "2024-02-01"},
        {"range_start_date": "2024-01-02", "range_end_date": "2024-02-01"},
        {"range_start_date": "2024-02-01", "range_end_date": "2024-02-02"},
        {"range_start_date": "2024-01-02", "transfer_id": 456790},
        {"range_start_date": "2024-01-02", "transfer_backfill_id": 11},
        {"transfer_backfill_id": 11},
        {"transfer_backfill_id": "12"},
        {"transfer_backfill_id": True},
    ],
)
def test_unknown_by_mismatch(changes: dict[str, Any]) -> None:
    assert is_unknown(create(Response(200, body=shown(**changes))))


@pytest.mark.parametrize(
    "first, last", [("01", "30"), ("02", "31"), ("02", "30"), ("31", "31"), ("01", "01")]
)
def test_a_part_of_the_range_is_done_in_part(first: str, last: str) -> None:
    body = shown(range_start_date=f"2024-01-{first}", range_end_date=f"2024-01-{last}")
    outcome = create(Response(200, body=body))
    assert isinstance(outcome, DoneInPart)
    assert outcome.backfill.dates == f"2024-01-{first}..2024-01-{last}"


# --- cancels


def test_cancel_done() -> None:
    outcome = classify_cancel(Response(200, body=shown(status="CANCELLED", transfer_backfill_id=11)), 11)
    assert isinstance(outcome, Done)
    assert outcome.backfill.status is Status.CANCELLED


@pytest.mark.parametrize(
    "changes",
    [{"status": "RUNNING"}, {"status": "COMPLETED"}, {"status": "CANCELLED", "transfer_backfill_id": 14}],
)
def test_cancel_unknown_by_mismatch(changes: dict[str, Any]) -> None:
    assert is_unknown(classify_cancel(Response(200, body=shown(**changes)), 13))


def test_cancel_of_a_final_one() -> None:
    body = error("UNPROCESSABLE_ENTITY", "Already\n\x1b[31mfinal")
    refused = ApiError(422, "UNPROCESSABLE_ENTITY", "Already final", "R-1")
    assert classify_cancel(Response(422, body=body), 13) == Rejected(refused)


# --- the law


@given(
    st.integers(-10, 2000),
    st.one_of(
        st.none(), st.text(), st.sampled_from(["API_ROW_QUOTA_EXCEEDED", "NOT_FOUND", "TOO_MANY_REQUESTS"])
    ),
)
def test_every_status_and_code_has_a_meaning(status: int, code: str | None) -> None:
    meaning = meaning_of(status, code)
    if meaning not in (Meaning.SUCCESS, Meaning.UNKNOWN):
        assert 400 <= status < 500  # nothing else proves that it was not done
        assert status not in (408, 425)


@given(st.integers(0, 999), st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text()), st.binary())
def test_any_answer_has_an_outcome(status: int, headers: dict[str, str], body: bytes) -> None:
    outcome = create(Response(status, Headers(headers), body))
    assert not isinstance(outcome, Done)
    assert isinstance(outcome, RateLimited | OutOfQuota | Denied | Rejected) <= (400 <= status < 500)
