"""What became of writes whose answer nobody saw: every rule of planning/intents.py."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from planning_values import (
    DAY,
    FORBIDDEN,
    NOW,
    ago,
    backfill,
    buckets,
    days,
    document,
    intent,
    observed,
    record,
    team,
    transfer,
)
from planning_worlds import World, worlds

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.model.desired import OnUnknown
from reconciler.model.memory import BackfillRecord, Intent, IntentKind, Origin, Outcome
from reconciler.model.observed import Backfill
from reconciler.planning import intents, resolution
from reconciler.planning.intents import (
    TRANSITIONS,
    Change,
    State,
    after_refusal,
    find_match,
    is_match,
    is_taken,
    state_of,
    wants_latest,
)
from reconciler.planning.resolution import Resolution, resolve, settles_at
from reconciler.planning.situation import weigh, weigh_doubts

HEAVY = settings.get_profile("planning-heavy")
SECOND = timedelta(seconds=1)


def settle(
    *entries: BackfillRecord | Intent,
    listed: tuple[Backfill, ...] = (),
    latest: Any = "unread",
    now: datetime = NOW,
    on_unknown: OnUnknown = OnUnknown.SETTLE,
    **more: Any,
) -> Resolution:
    read = {} if latest == "unread" else {1: latest}
    seen = observed(*listed, latest=read, **more)
    return resolve(document(*entries), seen, now, DEFAULT_SETTLE, on_unknown)


def outcome(found: Resolution) -> str:
    (kind,) = (name for name in ("adopted", "abandoned", "late", "unresolved") if getattr(found, name))
    return kind


MATCH = backfill("1-10", "RUNNING", ran=0, id=200)


# --- created ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["listed", "latest"])
@pytest.mark.parametrize("on_unknown", OnUnknown)
def test_an_exact_match_of_an_unknown_id_is_adopted(where: str, on_unknown: OnUnknown) -> None:
    pending = intent("1-10", stale_before=ago(99), latest_before=150)
    reads: Any = {"listed": (MATCH,)} if where == "listed" else {"latest": MATCH}
    found = settle(pending, on_unknown=on_unknown, **reads)
    (done,), (adopted,) = found.adopted, found.delta.backfills
    assert (done.outcome, done.backfill_id, done.nonce) == (Outcome.DONE, 200, "n")
    assert found.delta.intents == (done,)
    assert (adopted.id, adopted.origin, adopted.transfer) == (200, Origin.ADOPTED, "transfer-1")
    assert (adopted.stale_before, adopted.start, adopted.end) == (ago(99), pending.start, pending.end)


@pytest.mark.parametrize(
    "other",
    [
        backfill("1-9", "RUNNING", id=200),
        backfill("2-10", "RUNNING", id=200),
        backfill("1-11", "RUNNING", id=200),
        backfill("1-10", "RUNNING", id=200, transfer_id=2),
        backfill("1-10", "RUNNING", id=150),  # what latest answered before
        backfill("1-10", "RUNNING", id=100),  # known already
    ],
)
def test_anything_but_an_exact_match_is_not_adopted(other: Backfill) -> None:
    memory = [intent("1-10", latest_before=150), record("1-10", "RUNNING", id=100)]
    assert outcome(settle(*memory, listed=(other,))) == "unresolved"


def test_of_two_matches_the_newest_is_taken() -> None:
    twins = [backfill("1-10", "RUNNING", id=number) for number in (201, 203, 202)]
    match = find_match(intent("1-10"), twins, known=[203])
    assert match is not None
    assert match.id == 202
    assert not is_match(intent("1-10"), backfill("1-10", transfer_id=2))


# --- not created --------------------------------------------------------------------------

AT_SETTLE_TIME = NOW - DEFAULT_SETTLE
OTHER = backfill("40-50", id=300)


@pytest.mark.parametrize(
    "latest_before, latest, at, on_unknown, expected",
    [
        (None, None, AT_SETTLE_TIME, "settle", "abandoned"),  # still answers 404
        (300, OTHER, AT_SETTLE_TIME, "settle", "abandoned"),  # still the same
        (300, OTHER, AT_SETTLE_TIME + SECOND, "settle", "unresolved"),  # within settle time
        (None, None, AT_SETTLE_TIME + SECOND, "settle", "unresolved"),
        (None, OTHER, ago(99), "settle", "unresolved"),  # a newer one hides ours
        (299, OTHER, ago(99), "settle", "unresolved"),
        (300, None, ago(99), "settle", "unresolved"),  # even a 404 now is another answer
        (300, "unread", ago(99), "settle", "unresolved"),  # latest was not read: nothing is concluded
        (None, "unread", ago(99), "settle", "unresolved"),
        (300, OTHER, ago(99), "block", "unresolved"),  # a person must say it
        (None, None, ago(99), "block", "unresolved"),
    ],
)
def test_when_a_create_did_not_happen(
    latest_before: int | None, latest: Any, at: datetime, on_unknown: str, expected: str
) -> None:
    pending = intent("1-10", at=at, latest_before=latest_before)
    found = settle(pending, latest=latest, on_unknown=OnUnknown(on_unknown))
    assert outcome(found) == expected
    settled = [one.outcome for one in found.delta.intents]
    assert settled == ([Outcome.ABANDONED] if expected == "abandoned" else [])
    assert not found.delta.backfills


# --- late matches -------------------------------------------------------------------------


@pytest.mark.parametrize("settled_as", ["abandoned", "refused"])
@pytest.mark.parametrize(
    "at, found_late", [(ago(1), True), (NOW - 7 * DAY, True), (NOW - 7 * DAY - SECOND, False)]
)
def test_a_create_once_settled_as_not_done_is_adopted_when_it_turns_up(
    settled_as: str, at: datetime, found_late: bool
) -> None:
    found = settle(intent("1-10", outcome=settled_as, at=at), listed=(MATCH,))
    assert [one.outcome for one in found.late] == [Outcome.DONE] * found_late
    assert [one.id for one in found.delta.backfills] == [200] * found_late


def test_a_settled_create_that_does_not_turn_up_stays_settled() -> None:
    found = settle(intent("1-10", outcome="abandoned"), latest=None)
    assert found == Resolution()


def test_a_done_create_is_not_looked_at_again() -> None:
    assert settle(intent("1-10", outcome="done", backfill_id=100), listed=(MATCH,)) == Resolution()


def test_of_several_creates_of_a_range_each_backfill_is_one_s() -> None:
    """The pending one first: a request takes effect within settle time, or never."""
    given_up = intent("1-10", nonce="a", outcome="abandoned", at=ago(20))
    pending = intent("1-10", nonce="b", at=ago(1))
    found = settle(given_up, pending, listed=(MATCH,), latest=MATCH)
    assert [one.nonce for one in found.adopted] == ["b"]
    assert found.late == found.unresolved == ()
    both = settle(given_up, pending, listed=(MATCH, backfill("1-10", "RUNNING", id=201)))
    assert [(one.nonce, one.backfill_id) for one in (*both.adopted, *both.late)] == [("b", 201), ("a", 200)]


def test_of_two_pending_creates_of_a_range_one_stays_unresolved() -> None:
    found = settle(intent("1-10", nonce="a", at=ago(3)), intent("1-10", nonce="b", at=ago(2)), latest=MATCH)
    assert [one.nonce for one in found.adopted] == ["a"]
    assert [one.nonce for one in found.unresolved] == ["b"]


# --- refused, and yet perhaps made --------------------------------------------------------


def reopened_creates(
    *entries: BackfillRecord | Intent, due: str = "1-31", sources: tuple[int, ...] = (1,), **seen: Any
) -> list[str]:
    reads = observed(**{"latest": {1: OTHER}, **seen})
    found = resolution.reopened_creates(document(*entries), reads, [(sources, days(due))], ago(0.25))
    assert all(one.outcome is Outcome.PENDING for one in found)
    return [one.nonce for one in found]


@pytest.mark.parametrize(
    "more, reads, is_doubted",
    [
        ({"at": ago(24)}, {}, True),  # a newer backfill hides what may have been made
        ({"at": ago(1), "blocker": 8}, {}, True),
        ({"at": ago(99)}, {"sources": (5, 1)}, True),  # the successor's days
        ({"at": ago(99)}, {"sources": (5,)}, False),  # somebody else's
        ({"at": ago(99), "latest_before": 300}, {}, False),  # latest tells
        ({"at": ago(0.1), "latest_before": 300}, {}, True),  # it may lag yet
        ({"at": ago(0.25), "latest_before": 300}, {}, False),
        ({"at": ago(99)}, {"latest": {1: None}}, False),  # still a 404, as before
        ({"at": ago(99)}, {"runs": {1: ()}}, False),  # run lists tell
        ({"at": ago(99)}, {"runs": {1: FORBIDDEN}}, True),
        ({"at": ago(99)}, {"due": "11-31"}, False),  # nothing would be created there
        ({"at": ago(99), "outcome": "abandoned"}, {}, False),
        ({"at": ago(99), "outcome": "abandoned", "blocker": 8}, {}, True),  # withdrawn
    ],
)
def test_a_refused_create_that_nothing_tells_of_is_doubted(more: Any, reads: Any, is_doubted: bool) -> None:
    assert reopened_creates(intent("1-10", **{"outcome": "refused", **more}), **reads) == ["n"] * is_doubted


@pytest.mark.parametrize(
    "later, is_doubted",
    [
        ({"at": ago(50)}, False),
        ({"at": ago(50), "kind": "cancel"}, True),
        ({"at": ago(50), "transfer_id": 2}, True),
        ({"at": ago(50), "transfer_id": 5}, False),  # on the successor
        ({"at": ago(200)}, True),
    ],
)
def test_a_refused_create_whose_days_were_taken_up_since_is_not_doubted(later: Any, is_doubted: bool) -> None:
    after = intent("5-7", nonce="later", outcome="done", backfill_id=300, **later)
    refused = intent("1-10", outcome="refused", at=ago(99))
    assert reopened_creates(refused, after, sources=(5, 1)) == ["n"] * is_doubted


# --- cancels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "memory, fetched, expected",
    [
        (record("1-10", "CANCELLED"), {}, "adopted"),
        (record("1-10", "COMPLETED"), {}, "adopted"),
        (record("1-10", "FAILED", failed=1), {100: backfill("1-10", "CANCELLED")}, "adopted"),
        (record("1-10", "FAILED", failed=1), {}, "abandoned"),
        (record("1-10", "FAILED", failed=1), {100: None}, "abandoned"),
        (record("1-10", "FAILED", failed=1), {100: FORBIDDEN}, "abandoned"),
        (record("1-10", "FAILED", failed=1), {100: backfill("1-10", "FAILED", failed=1)}, "abandoned"),
        (record("1-10", id=7), {}, "abandoned"),  # nothing is known of it
    ],
)
def test_a_cancel_is_done_once_the_backfill_is_final(
    memory: BackfillRecord, fetched: dict[int, Any], expected: str
) -> None:
    found = settle(memory, intent("1-10", kind="cancel", backfill_id=100), fetched=fetched)
    assert outcome(found) == expected
    (settled,) = found.delta.intents
    assert settled.outcome.value == {"adopted": "done", "abandoned": "abandoned"}[expected]


def test_a_cancel_that_may_still_be_sent_is_not_given_up() -> None:
    memory, cancel = (
        record("1-10", "FAILED", failed=1),
        intent("1-10", kind="cancel", backfill_id=100, at=NOW),
    )
    assert settle(memory, cancel, now=NOW + 59 * SECOND) == Resolution()
    assert outcome(settle(memory, cancel, now=NOW + 60 * SECOND)) == "abandoned"


@pytest.mark.parametrize("more", [{"outcome": "done", "backfill_id": 100}, {"backfill_id": None}])
def test_a_cancel_that_is_settled_or_names_nothing_is_left(more: dict[str, Any]) -> None:
    assert settle(intent("1-10", kind="cancel", **more)) == Resolution()


def test_latest_is_wanted_for_pending_creates() -> None:
    memory = document(
        intent("1", nonce="a"),
        intent("1", nonce="b", outcome="abandoned", transfer_id=2),
        intent("1", nonce="c", kind="cancel", transfer_id=3),
    )
    assert wants_latest(memory) == {1}


# --- laws ---------------------------------------------------------------------------------


@HEAVY
@given(worlds())
def test_resolving_decides_each_intent_once(world: World) -> None:
    memory = world.document
    found = resolve(memory, world.observed, world.now, world.settle, world.team.on_unknown)
    groups = (found.adopted, found.abandoned, found.late, found.unresolved)
    nonces = [one.nonce for group in groups for one in group]
    assert len(nonces) == len(set(nonces))
    pending = {nonce for nonce, one in memory.intents.items() if one.pending}
    nameless = {nonce for nonce in pending if memory.intents[nonce].kind == "cancel" and nonce not in nonces}
    assert pending - nameless <= set(nonces)
    for nonce in nameless:
        assert memory.intents[nonce].backfill_id is None or world.now < memory.intents[nonce].send_before
    ids = [one.id for one in found.delta.backfills]
    assert len(ids) == len(set(ids))
    assert not set(ids) & memory.backfills.keys()
    if world.team.on_unknown is OnUnknown.BLOCK:
        assert all(one.kind == "cancel" for one in found.abandoned)
    for one in found.abandoned:
        if one.kind == "create":
            assert one.transfer_id in world.observed.latest
            assert world.now >= one.intended_at + world.settle


@pytest.mark.parametrize("refused, later", [("1-10", "11-12"), ("5-10", "1-4")])
def test_days_beside_a_refused_create_say_nothing_of_it(refused: str, later: str) -> None:
    after = intent(later, nonce="later", outcome="done", backfill_id=300, at=ago(50))
    assert reopened_creates(intent(refused, outcome="refused", at=ago(99)), after) == ["n"]


def test_a_doubt_makes_due_days_unresolved() -> None:
    """A refused create of two days ago; somebody's newer backfill is ``latest``, and no run tells."""
    refused = intent("1-10", outcome="refused", at=ago(48), latest_before=5)
    newer = backfill("20", id=9)
    seen = observed(latest={1: newer})
    first = weigh(team(transfer("1-10")), document(refused), seen, NOW, DEFAULT_SETTLE)
    assert [one.outcome for one in first.document.intents.values()] == [Outcome.REFUSED]
    again = weigh_doubts(first, document(refused))
    assert [one.outcome for one in again.document.intents.values()] == [Outcome.PENDING]
    assert buckets(again.ledgers[0]) == {"blocked unresolved": "1-10"}
    told = replace(seen, latest={1: backfill("20", id=5)})
    certain = weigh(team(transfer("1-10")), document(refused), told, NOW, DEFAULT_SETTLE)
    assert weigh_doubts(certain, document(refused)) is certain


@pytest.mark.parametrize("on_unknown, settles", [(OnUnknown.SETTLE, True), (OnUnknown.BLOCK, False)])
def test_from_when_a_run_settles_a_create(on_unknown: OnUnknown, settles: bool) -> None:
    asked = intent("1-10", at=NOW)
    assert settles_at(asked, DEFAULT_SETTLE, on_unknown) == (NOW + DEFAULT_SETTLE if settles else None)


@pytest.mark.parametrize(
    "other, taken",
    [
        (intent("10-12", nonce="m"), True),
        (intent("10-12", nonce="m", transfer_id=5), True),  # a predecessor's
        (intent("10-12", nonce="m", transfer_id=6), False),
        (intent("11-12", nonce="m"), False),
        (record("3", "RUNNING", ran=0), True),
    ],
)
def test_when_another_run_has_taken_days(other: Intent | BackfillRecord, taken: bool) -> None:
    assert is_taken(intent("1-10"), (1, 5), [other]) is taken
    assert not is_taken(intent("1-10", kind="cancel", backfill_id=7), (1, 5), [other])


# --- what a refusal means -----------------------------------------------------------------------

ASKED = intent("10-19")
ACTIVE = backfill("15", "RUNNING", id=7, ran=0)
FAILED = backfill("15", "FAILED", id=5, ran=0, failed=1)


@pytest.mark.parametrize(
    "listed, blocker",
    [
        ((FAILED, ACTIVE), 7),  # an active one before a failed one
        ((replace(ACTIVE, id=9), ACTIVE), 7),
        ((FAILED,), 5),
        ((replace(ACTIVE, transfer_id=2),), None),
        ((backfill("20", "RUNNING", id=7, ran=0),), None),
        ((backfill("9", "RUNNING", id=7, ran=0),), None),
        ((backfill("15", id=7),), None),
    ],
)
def test_what_a_refusal_is_attributed_to(listed: tuple[Backfill, ...], blocker: int | None) -> None:
    for seen in (listed, listed[::-1]):
        told = after_refusal(ASKED, seen, document())
        assert isinstance(told, Intent)
        assert told.blocker == blocker
        assert state_of(told) is (State.WITHDRAWN if blocker == 7 else State.REFUSED)


def test_a_failed_one_of_ours_is_no_refusal_and_what_fits_was_made() -> None:
    told = after_refusal(ASKED, (FAILED,), document(record("15", "FAILED", id=5, ran=0, failed=1)))
    assert isinstance(told, Intent)
    assert state_of(told) is State.WITHDRAWN
    fits = backfill("10-19", "RUNNING", id=8, ran=0)
    assert after_refusal(ASKED, (fits, ACTIVE), document()) == fits


# --- the table ----------------------------------------------------------------------------------

CHANGES = {
    Change.ANSWERED: lambda one: intents.made(one, 8),
    Change.FOUND: lambda one: intents.found(one, 8),
    Change.FOUND_LATE: lambda one: intents.found(one, 8),
    Change.REFUSED: lambda one: intents.refused(one, None),
    Change.OVERLAPPED: lambda one: intents.withdrawn(one, ACTIVE),
    Change.NOT_CREATED: intents.not_created,
    Change.REOPENED: intents.reopened,
    Change.SEEN_FINAL: intents.cancelled,
    Change.NOT_CANCELLED: intents.not_cancelled,
}


def in_state(kind: IntentKind, state: State) -> Intent:
    of_cancel = {"backfill_id": 7} if kind is IntentKind.CANCEL else {}
    found = intent("10-19", kind=kind.value, **of_cancel)
    match state:
        case State.PENDING:
            return found
        case State.WITHDRAWN:
            return replace(found, outcome=Outcome.ABANDONED, blocker=7)
        case State.DONE:
            return replace(found, outcome=Outcome.DONE, backfill_id=7)
        case _:
            return replace(found, outcome=Outcome(state.value))


@pytest.mark.parametrize("kind", IntentKind)
@pytest.mark.parametrize("change", Change)
@pytest.mark.parametrize("state", State)
def test_an_intent_changes_as_the_table_says_and_no_other_way(
    kind: IntentKind, state: State, change: Change
) -> None:
    if (kind, state) == (IntentKind.CANCEL, State.WITHDRAWN):
        return  # a cancel is never withdrawn
    before = in_state(kind, state)
    rows = [row for row in TRANSITIONS if (row.kind, row.before, row.change) == (kind, state, change)]
    told_apart = {Change.FOUND: state is State.PENDING, Change.FOUND_LATE: state is not State.PENDING}
    if not told_apart.get(change, True):
        assert not rows
    elif rows:
        assert state_of(CHANGES[change](before)) is rows[0].after
    else:
        with pytest.raises(AssertionError):
            CHANGES[change](before)


def test_no_row_stands_twice() -> None:
    assert len({(row.kind, row.before, row.change) for row in TRANSITIONS}) == len(TRANSITIONS)
