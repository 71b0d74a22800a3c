"""The few things that values know of themselves."""

from datetime import UTC, date, datetime

import pytest

from reconciler.dates import DateSet
from reconciler.diagnostics import Place
from reconciler.model.desired import Address, Desired, DesiredTransfer, Limits, Segment
from reconciler.model.observed import Backfill, Observed, Status
from reconciler.model.written import Term, WrittenDays, WrittenRange

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize("status", Status)
def test_completed_and_cancelled_are_final(status: Status) -> None:
    assert status.final is (status.value in ("COMPLETED", "CANCELLED"))


def test_counts_are_total_completed_and_failed() -> None:
    assert Backfill(1, 2, 10, 12, Status.FAILED, NOW, total=3, completed=2, failed=1).counts == (3, 2, 1)


def test_days_are_half_open() -> None:
    place = Place("f", 1, 1)
    assert list(Backfill(1, 2, 10, 12, Status.RUNNING, NOW).days) == [10, 11]
    assert list(Segment(10, 12, place).days) == [10, 11]
    assert Segment(10, 12, place).dates == "0001-01-10..0001-01-11"


def test_a_transfer_s_days_and_sources() -> None:
    place = Place("f", 1, 1)
    segments = (Segment(10, 12, place), Segment(12, 13, place, "other"), Segment(20, 21, place))
    transfer = DesiredTransfer(Address(5, 1), "ads", place, segments, 99, previous_ids=(7, 8))
    assert transfer.days == DateSet(((10, 13), (20, 21)))
    assert transfer.source_ids == (1, 7, 8)
    assert Address(5, 9) < Address(6, 1)


def test_whose_days_are_whose() -> None:
    place = Place("f", 1, 1)
    segments = (Segment(10, 12, place), Segment(12, 15, place, owners=("web", "ads")))
    transfer = DesiredTransfer(Address(5, 1), "x", place, segments, 99, owners=("ads", "crm"))
    assert transfer.everyone == ("ads", "crm", "web")
    assert [len(transfer.owned_by(one)) for one in (*transfer.everyone, "nobody")] == [5, 2, 3, 0]


def test_a_line_of_a_file_is_shown_if_it_is_there() -> None:
    desired = Desired((), texts={"f": "one\r\ntwo"})
    shown = [desired.line(Place(file, line, 1)) for file, line in (("f", 1), ("f", 2), ("f", 3), ("f", 0))]
    assert shown == ["one", "two", None, None]
    assert desired.line(Place("another", 2, 1)) is None


def test_what_is_absent_does_not_limit() -> None:
    limits = Limits()
    assert limits.max_open_backfills == 100
    assert (limits.max_open_per_transfer, limits.max_creates_per_apply, limits.max_days_per_backfill) == (
        None,
    ) * 3
    nothing = Observed(NOW)
    assert (nothing.listed, nothing.fetched, nothing.runs, nothing.transfers) == ((), {}, {}, None)


@pytest.mark.parametrize(
    "term, as_of, expected",
    [
        (Term(months_ago=13), "2024-03-31", "2023-02-28"),
        (Term(months_ago=1), "2024-03-31", "2024-02-29"),
        (Term(months_ago=12), "2024-12-15", "2023-12-15"),
        (Term(months_ago=2), "2024-01-31", "2023-11-30"),
        (Term(days_ago=90), "2024-03-31", "2024-01-01"),
        (Term(months_ago=600), "0001-03-31", "0001-01-01"),
        (Term(days_ago=90), "0001-01-03", "0001-01-01"),
    ],
)
def test_a_relative_day(term: Term, as_of: str, expected: str) -> None:
    assert term.resolve(date.fromisoformat(as_of).toordinal()) == date.fromisoformat(expected).toordinal()


def test_written_days_are_read_as_of_a_day() -> None:
    """Days 10 to yesterday, without what was three days ago; and nothing of a range that has not begun."""
    until_yesterday = WrittenRange(
        Term(10), Term(days_ago=1), (WrittenRange(Term(days_ago=3), Term(days_ago=3)),)
    )
    written = WrittenDays((until_yesterday,), (WrittenRange(Term(12), Term(12)),))
    assert list(written.days(20)) == [10, 11, 13, 14, 15, 16, 18, 19]
    assert list(written.days(10)) == []
    assert written.relative
    assert not WrittenDays((WrittenRange(Term(1), Term(2)),)).relative
