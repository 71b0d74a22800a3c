"""Strategies for states: every value that a document may hold."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from reconciler.dates import LAST_DAY, DateSet
from reconciler.formats.checks import MAX_SERIAL
from reconciler.model.deltas import KEYS, Delta
from reconciler.model.memory import (
    Acceptance,
    Amnesty,
    Applied,
    BackfillRecord,
    DayEvidence,
    Document,
    Intent,
    IntentKind,
    KnownUser,
    Load,
    Origin,
    Outcome,
    Override,
)
from reconciler.model.observed import Backfill, Status

LAW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

IDS = st.integers(1, 12) | st.sampled_from([0, 2**31, 2**53 + 1, 2**63 - 1])
COUNTS = st.sampled_from([0, 1, 31, 2**63 - 1])
NAMES = st.sampled_from(["", "google-ads-daily", 'a"\\\n\0b', "ääkkönen \U0001f600"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=5
)
NONCES = st.sampled_from("abcdefgh") | NAMES.filter(bool)
LATEST = datetime(8999, 12, 31, 23, 59, 59, 999999)  # later years are refused
TIMES = st.datetimes(max_value=LATEST, timezones=st.just(UTC)) | st.sampled_from(
    [
        datetime.min.replace(tzinfo=UTC),
        LATEST.replace(tzinfo=UTC),
        datetime(2026, 11, 22, 9, tzinfo=UTC),
        datetime(2026, 11, 22, 9, 0, 0, 1, tzinfo=UTC),
    ]
)
MAYBE_TIMES = st.none() | TIMES
DAYS = st.integers(1, LAST_DAY)
NEAR_DAYS = st.integers(738000, 738040)
DAY_SETS = st.frozensets(DAYS | NEAR_DAYS, max_size=4).map(DateSet.days)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int]:
    """Half-open and not empty; up to the last day there is."""
    start, last = sorted((draw(DAYS | NEAR_DAYS), draw(DAYS | NEAR_DAYS)))
    return start, last + 1


@st.composite
def evidence(draw: st.DrawFn) -> DayEvidence:
    """Five disjoint sets."""
    kinds = draw(st.dictionaries(NEAR_DAYS, st.integers(0, 4), max_size=5))
    return DayEvidence(*(DateSet.days(day for day, of in kinds.items() if of == kind) for kind in range(5)))


@st.composite
def backfills(draw: st.DrawFn) -> BackfillRecord:
    start, end = draw(ranges())
    seen = Backfill(
        id=draw(IDS),
        transfer_id=draw(IDS),
        start=start,
        end=end,
        status=draw(st.sampled_from(Status)),
        created_time=draw(TIMES),
        total=draw(COUNTS),
        completed=draw(COUNTS),
        failed=draw(COUNTS),
        failed_days=draw(DAY_SETS),
        start_time=draw(MAYBE_TIMES),
        end_time=draw(MAYBE_TIMES),
        removed_time=draw(MAYBE_TIMES),
        created_user_id=draw(st.none() | IDS),
        word=draw(NAMES),
        error=draw(NAMES),
    )
    return BackfillRecord(
        seen=seen,
        transfer=draw(NAMES),
        origin=draw(st.sampled_from(Origin)),
        stale_before=draw(MAYBE_TIMES),
        evidence=draw(evidence()),
        settled=draw(st.booleans()),
        gone=draw(st.booleans()),
        as_of=draw(st.none() | DAYS),
        serial=draw(IDS),
        moved_at=draw(MAYBE_TIMES),
        ended_at=draw(MAYBE_TIMES),
        has_run=draw(st.booleans()),
        was_failed=draw(st.booleans()),
    )


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    start, end = draw(ranges())
    return Intent(
        nonce=draw(NONCES),
        kind=draw(st.sampled_from(IntentKind)),
        transfer_id=draw(IDS),
        transfer=draw(NAMES),
        start=start,
        end=end,
        intended_at=draw(TIMES),
        send_before=draw(TIMES),
        latest_before=draw(st.none() | IDS),
        stale_before=draw(MAYBE_TIMES),
        outcome=draw(st.sampled_from(Outcome)),
        backfill_id=draw(st.none() | IDS),
        blocker=draw(st.none() | IDS),
        as_of=draw(st.none() | DAYS),
        serial=draw(IDS),
    )


@st.composite
def loads(draw: st.DrawFn) -> Load:
    days = draw(ranges())
    return Load(draw(IDS), *days, draw(TIMES), draw(st.booleans()), draw(MAYBE_TIMES))


@st.composite
def amnesties(draw: st.DrawFn) -> Amnesty:
    return Amnesty(draw(IDS), *draw(ranges()), draw(IDS), draw(TIMES))


ACCEPTANCES = st.builds(Acceptance, IDS, IDS, IDS)
USERS = st.builds(KnownUser, NONCES, IDS)
APPLIES = st.builds(Applied, NONCES, IDS, TIMES, NAMES)
OVERRIDES = st.builds(
    Override, NONCES, st.lists(NAMES, max_size=2).map(tuple), NAMES, IDS, TIMES, NAMES, NAMES
)
OF_KIND: dict[str, st.SearchStrategy[Any]] = {
    "intents": intents(),
    "backfills": backfills(),
    "loads": loads(),
    "amnesties": amnesties(),
    "acceptances": ACCEPTANCES,
    "users": USERS,
    "applies": APPLIES,
    "overrides": OVERRIDES,
}


def deltas() -> st.SearchStrategy[Delta]:
    return st.builds(
        Delta,
        **{kind: st.lists(of, max_size=3).map(tuple) for kind, of in OF_KIND.items()},
        drop_intents=st.lists(NONCES, max_size=3).map(tuple),
        drop_backfills=st.lists(IDS, max_size=3).map(tuple),
        drop_loads=st.lists(st.tuples(IDS, st.booleans(), DAYS), max_size=3).map(tuple),
        drop_applies=st.lists(NONCES, max_size=3).map(tuple),
        drop_overrides=st.lists(NONCES, max_size=3).map(tuple),
    )


def documents() -> st.SearchStrategy[Document]:
    return st.builds(
        Document,
        team_id=IDS,
        api_url=NAMES,
        lineage=NAMES.filter(bool),
        serial=st.integers(1, MAX_SERIAL),
        written_by=NAMES,
        commits=st.lists(NONCES, max_size=3).map(tuple),
        old_copy=st.booleans(),
        **{kind: st.lists(of, max_size=3).map(partial(_keyed, KEYS[kind])) for kind, of in OF_KIND.items()},
    )


def _keyed(key: Callable[[Any], Any], items: list[Any]) -> dict[Any, Any]:
    return {key(item): item for item in items}
