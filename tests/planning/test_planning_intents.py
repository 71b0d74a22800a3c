"""What became of writes whose answer nobody saw: every rule of planning/intents.py and resolution.py."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from planning_values import (
    FORBIDDEN,
    NOW,
    ago,
    backfill,
    buckets,
    document,
    intent,
    load,
    observed,
    record,
    run,
    runs,
    team,
    transfer,
)
from planning_worlds import World, worlds

from reconciler.bounds import DEFAULT_SETTLE
from reconciler.model.desired import EvidenceMode, OnUnknown
from reconciler.model.memory import BackfillRecord, Intent, IntentKind, KnownUser, Load, Origin, Outcome
from reconciler.model.observed import ApiError, Backfill
from reconciler.planning import intents
from reconciler.planning.intents import OPEN, TRANSITIONS, Change, is_settled, is_taken, wants_latest
from reconciler.planning.matching import after_refusal, find_match, is_match
from reconciler.planning.resolution import Resolution, Terms, resolve, settles_at
from reconciler.planning.situation import weigh

HEAVY = settings.get_profile("planning-heavy")
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def settle(
    *entries: BackfillRecord | Intent,
    listed: tuple[Backfill, ...] = (),
    latest: Any = "unread",
    now: datetime = NOW,
    on_unknown: OnUnknown = OnUnknown.SETTLE,
    users: tuple[KnownUser, ...] = (),
    covered: Any = None,
    **more: Any,
) -> Resolution:
    read = {} if latest == "unread" else {1: latest}
    seen = observed(*listed, latest=read, **more)
    memory = replace(document(*entries), users={user.key_hash: user for user in users})
    return resolve(memory, seen, Terms(now, DEFAULT_SETTLE, on_unknown, covered or {}))


def outcome(found: Resolution) -> str:
    (kind,) = (name for name in ("adopted", "abandoned", "unresolved") if getattr(found, name))
    return kind


def made(text: str, **more: Any) -> Backfill:
    """A backfill made about when ``intent`` is intended."""
    return backfill(text, "RUNNING", ran=0, **{"id": 200, "created": ago(1), **more})


MATCH = made("1-10")


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
        made("1-9"),
        made("2-10"),
        made("1-11"),
        made("1-10", transfer_id=2),
        made("1-10", id=150),  # what latest answered before
        made("1-10", id=100),  # known already
        made("1-10", created=ago(1) + DEFAULT_SETTLE + SECOND),  # somebody's, later
        made("1-10", created=ago(1) - DEFAULT_SETTLE - SECOND),
        made("1-10", created_user_id=8),  # of another user than ours
    ],
)
def test_anything_but_an_exact_match_is_not_adopted(other: Backfill) -> None:
    memory = [
        intent("1-10", latest_before=150, key_hash="k"),
        record("1-10", "RUNNING", id=100),
    ]
    found = settle(*memory, listed=(other,), users=(KnownUser("k", 7), KnownUser("other", 8)))
    assert outcome(found) == "unresolved"


@pytest.mark.parametrize("user", [7, None])
@pytest.mark.parametrize("key_hash", ["k", "of a key that never made one", ""])
def test_a_match_is_ours_by_the_user_of_the_key_that_sent_it(user: int | None, key_hash: str) -> None:
    pending = intent("1-10", key_hash=key_hash)
    fits = made("1-10", created_user_id=user)
    assert outcome(settle(pending, listed=(fits,), users=(KnownUser("k", 7),))) == "adopted"


@pytest.mark.parametrize("off", [-DEFAULT_SETTLE, DEFAULT_SETTLE])
def test_a_match_is_dated_by_the_vendor_s_clock(off: timedelta) -> None:
    """However late it is found; and by ours, where the vendor tells no time."""
    at, by_vendor = ago(400), ago(390)
    for told, centre in ((by_vendor, by_vendor), (None, at)):
        pending = intent("1-10", at=at, vendor_at=told)
        assert outcome(settle(pending, listed=(made("1-10", created=centre + off),))) == "adopted"


def test_of_two_matches_the_newest_is_taken() -> None:
    twins = [made("1-10", id=number) for number in (201, 203, 202)]
    match = find_match(intent("1-10"), twins, document(), DEFAULT_SETTLE, taken=[203])
    assert match is not None
    assert match.id == 202
    assert not is_match(intent("1-10"), backfill("1-10", transfer_id=2))


@pytest.mark.parametrize("settled_as", Outcome)
def test_a_refused_create_that_turns_up_is_adopted_and_no_settled_one(settled_as: Outcome) -> None:
    found = settle(intent("1-10", outcome=settled_as.value), listed=(MATCH,))
    assert [one.outcome for one in found.adopted] == [Outcome.DONE] * (settled_as in OPEN)
    assert [one.id for one in found.delta.backfills] == [200] * (settled_as in OPEN)


def test_of_several_creates_of_a_range_each_backfill_is_one_s() -> None:
    """The pending one first."""
    refused = intent("1-10", nonce="a", outcome="refused")
    pending = intent("1-10", nonce="b")
    found = settle(refused, pending, listed=(MATCH,), latest=MATCH)
    assert [one.nonce for one in found.adopted] == ["b"]
    both = settle(refused, pending, listed=(MATCH, made("1-10", id=201)))
    assert [(one.nonce, one.backfill_id) for one in both.adopted] == [("b", 201), ("a", 200)]


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
    settled = [one.outcome for one in found.delta.intents if not one.pending]
    assert settled == ([Outcome.ABANDONED] if expected == "abandoned" else [])
    assert not found.delta.backfills


@pytest.mark.parametrize("vendor_at, expected", [(AT_SETTLE_TIME, True), (AT_SETTLE_TIME + SECOND, False)])
def test_settle_time_must_have_passed_by_both_clocks(vendor_at: datetime, expected: bool) -> None:
    """Ours may be ahead: by it, a day has passed."""
    pending = intent("1-10", at=ago(24), vendor_at=vendor_at)
    assert is_settled(pending, NOW, NOW, DEFAULT_SETTLE) is expected
    assert (outcome(settle(pending, latest=None)) == "abandoned") is expected
    late = replace(pending, intended_at=AT_SETTLE_TIME + SECOND, vendor_at=ago(24))
    assert outcome(settle(late, latest=None)) == "unresolved"


HIDDEN: dict[str, Any] = {"latest": OTHER, "runs": {1: ()}}  # a newer backfill hides what became of it


@pytest.mark.parametrize(
    "more, expected",
    [
        ({}, "abandoned"),
        ({"at": AT_SETTLE_TIME + SECOND}, "unresolved"),
        ({"on_unknown": OnUnknown.BLOCK}, "unresolved"),
        ({"list_full": True}, "unresolved"),
        ({"runs": {}}, "unresolved"),
        ({"runs": {1: FORBIDDEN}}, "unresolved"),
        ({"runs": {1: runs("1-9")}}, "abandoned"),
    ],
)
def test_a_hidden_create_is_settled_once_a_whole_list_does_not_show_it(more: Any, expected: str) -> None:
    pending = intent("1-10", at=more.pop("at", ago(9)))
    found = settle(pending, **{**HIDDEN, **more})
    assert outcome(found) == expected
    assert [one.unlisted_at for one in found.abandoned] == [NOW] * (expected == "abandoned")


def test_the_days_of_a_hidden_create_wait_until_run_lists_have_told() -> None:
    given_up = intent("1-10", outcome="abandoned", unlisted_at=NOW - HOUR + SECOND, at=ago(9))
    seen = observed(latest={1: OTHER}, runs={1: (*runs("1-3"), run(4, "OTHER", created=ago(1)))})
    found = weigh(team(transfer("1-10")), document(given_up), seen, NOW, DEFAULT_SETTLE)
    told = {"covered": "1-3", "in_flight": "4", "waiting settling": "5-10"}
    assert buckets(found.ledgers[0]) == told
    over = document(replace(given_up, unlisted_at=NOW - HOUR))
    found = weigh(team(transfer("1-10")), over, seen, NOW, DEFAULT_SETTLE)
    assert buckets(found.ledgers[0]) == {"covered": "1-3", "in_flight": "4", "due never-loaded": "5-10"}


@pytest.mark.parametrize("covered, expected", [("1-10", "abandoned"), ("1-9", "unresolved")])
def test_a_create_whose_days_are_all_covered_is_settled(covered: str, expected: str) -> None:
    """Within settle time it may yet load them once more."""
    for at, becomes in ((ago(1), expected), (AT_SETTLE_TIME + SECOND, "unresolved")):
        pending = intent("1-10", at=at)
        seen, memory = observed(latest={1: OTHER}), document(pending, record(covered))
        found = weigh(team(transfer("1-31")), memory, seen, NOW, DEFAULT_SETTLE)
        assert outcome(found.resolution) == becomes


def test_what_was_settled_long_ago_is_forgotten() -> None:
    old = NOW - timedelta(days=30)
    settled = [intent("1-10", nonce=one, outcome=one, at=old) for one in ("refused", "abandoned", "done")]
    pending, cut = intent("1", at=old), intent("1-10", nonce="cut", outcome="done", backfill_id=100, at=old)
    memory = (*settled, pending, cut, record("5-10"))
    assert settle(*memory).delta.drop_intents == ()
    later = settle(*memory, now=NOW + SECOND)
    assert later.delta.drop_intents == ("abandoned", "done")  # a refused one may have been made all the same
    told = settle(replace(settled[0], unlisted_at=old), now=NOW + SECOND)
    assert told.delta.drop_intents == ("refused",)


def test_of_a_refused_create_it_is_noted_that_nothing_was_made() -> None:
    """Once: what is made later hides it."""
    refused = intent("1-10", outcome="refused", at=AT_SETTLE_TIME, latest_before=300)
    (noted,) = settle(refused, latest=OTHER).delta.intents
    assert noted == replace(refused, unlisted_at=NOW)
    for seen, known in (
        (MATCH, replace(refused, start=refused.start + 1)),
        (OTHER, replace(refused, intended_at=AT_SETTLE_TIME + SECOND)),
        ("unread", refused),
        (OTHER, noted),
    ):
        assert settle(known, latest=seen).delta.intents == ()


@pytest.mark.parametrize("evidence", ["runs", "backfills"])
@pytest.mark.parametrize("noted", [None, NOW])
def test_blind_a_refusal_holds_until_it_is_known_to_have_made_nothing(evidence: str, noted: Any) -> None:
    refused = intent("1-10", outcome="refused", at=ago(99), latest_before=5, unlisted_at=noted)
    desired = transfer("1-31", evidence=EvidenceMode(evidence))
    seen, memory = observed(latest={1: OTHER}, runs={1: ()}), document(refused, record("40-50", id=300))
    found = weigh(team(desired), memory, seen, NOW, DEFAULT_SETTLE)
    holds = evidence == "backfills" and noted is None
    expected = {"blocked refused": "1-10", "due never-loaded": "11-31"} if holds else None
    assert buckets(found.ledgers[0]) == (expected or {"due never-loaded": "1-31"})


@pytest.mark.parametrize("evidence", ["runs", "backfills"])
def test_blind_nothing_is_created_that_would_hide_what_was_refused_lately(evidence: str) -> None:
    refused = intent("1-10", outcome="refused", at=ago(0.1), latest_before=5)
    desired = transfer("1-31", evidence=EvidenceMode(evidence))
    found = weigh(team(desired), document(refused), observed(latest={1: None}), NOW, DEFAULT_SETTLE)
    rest = "blocked recent-request" if evidence == "backfills" else "due never-loaded"
    assert buckets(found.ledgers[0]) == {"blocked refused": "1-10", rest: "11-31"}


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
    found = resolve(memory, world.observed, Terms(world.now, world.settle, world.team.on_unknown))
    groups = (found.adopted, found.abandoned, found.unresolved)
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
    assert not pending & set(found.delta.drop_intents)
    if world.team.on_unknown is OnUnknown.BLOCK:
        assert all(one.kind == "cancel" for one in found.abandoned)
    for one in found.abandoned:
        if one.kind == "create":
            assert is_settled(one, world.now, world.observed.vendor_now, world.settle)


@pytest.mark.parametrize("on_unknown, settles", [(OnUnknown.SETTLE, True), (OnUnknown.BLOCK, False)])
def test_from_when_a_run_settles_a_create(on_unknown: OnUnknown, settles: bool) -> None:
    asked = intent("1-10", at=NOW)
    assert settles_at(asked, DEFAULT_SETTLE, on_unknown) == (NOW + DEFAULT_SETTLE if settles else None)


@pytest.mark.parametrize(
    "other, taken",
    [
        (intent("10-12", nonce="m"), True),
        (intent("10-12", nonce="m", transfer_id=5), True),  # a predecessor's
        (intent("10-12", nonce="m", transfer_id=9, sources=(9, 5)), True),  # another successor's
        (intent("10-12", nonce="m", transfer_id=6), False),
        (intent("11-12", nonce="m"), False),
        (intent("10-12", nonce="m", outcome="refused"), True),
        (intent("10-12", nonce="m", outcome="withdrawn"), False),
        (intent("10-12", nonce="m", outcome="abandoned"), False),
        (record("3", "RUNNING", ran=0), True),
        (load("10-12", NOW, id=5), True),
        (load("10-12", NOW, id=6), False),
        (load("11-12", NOW, id=5), False),
    ],
)
def test_when_another_run_has_taken_days(other: Intent | BackfillRecord | Load, taken: bool) -> None:
    assert is_taken(intent("1-10", sources=(1, 5)), [other]) is taken
    assert not is_taken(intent("1-10", kind="cancel", backfill_id=7, sources=(1, 5)), [other])


# --- what a refusal means -----------------------------------------------------------------------

ASKED = intent("10-19", key_hash="k")
ACTIVE = backfill("15", "RUNNING", id=7, ran=0, created_user_id=8)
FAILED = backfill("15", "FAILED", id=5, ran=0, failed=1)
SAID = ApiError(422, "OVERLAP", "It overlaps", "R-1")
WE_ARE_7 = replace(document(), users={"k": KnownUser("k", 7)})


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
        told = after_refusal(ASKED, seen, WE_ARE_7, DEFAULT_SETTLE, SAID)
        assert isinstance(told, Intent)
        assert told.blocker == blocker
        assert told.outcome is (Outcome.WITHDRAWN if blocker == 7 else Outcome.REFUSED)
        assert told.answer == (None if blocker == 7 else SAID)


def test_what_fits_was_made_and_an_active_one_of_ours_leaves_doubt() -> None:
    fits = replace(made("10-19"), id=8)
    assert after_refusal(ASKED, (fits, ACTIVE), document(), DEFAULT_SETTLE, SAID) == fits
    memory = document(record("15", "RUNNING", id=7, ran=0))
    told = after_refusal(ASKED, (ACTIVE,), memory, DEFAULT_SETTLE, SAID)
    assert isinstance(told, Intent)
    assert (told.outcome, told.blocker) == (Outcome.REFUSED, 7)


@pytest.mark.parametrize(
    "more, outcome",
    [
        ({}, Outcome.WITHDRAWN),
        ({"created": ago(1) + SECOND}, Outcome.REFUSED),  # it came after ours: the first copy may be over
        ({"created": ago(1)}, Outcome.WITHDRAWN),
        ({"created_user_id": 7}, Outcome.REFUSED),  # ours, it may be: cut by the API
    ],
)
def test_what_may_be_ours_leaves_doubt(more: Any, outcome: Outcome) -> None:
    seen = backfill("15", "RUNNING", ran=0, **{"id": 7, "created_user_id": 8, **more})
    told = after_refusal(ASKED, (seen,), WE_ARE_7, DEFAULT_SETTLE, SAID)
    assert isinstance(told, Intent)
    assert (told.outcome, told.blocker) == (outcome, 7)


# --- one rule of doubt ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal, listed, seen",
    [
        ({"at": ago(19)}, (), {"blocked refused": "1-10"}),
        ({"at": ago(21)}, (), {"due never-loaded": "1-10"}),
        ({"at": ago(99), "blocker": 5}, (FAILED,), {"blocked refused": "1-10"}),  # while it is there
        ({"at": ago(1), "blocker": 5}, (), {"due never-loaded": "1-10"}),
        ({"at": ago(0.1), "blocker": 5}, (), {"blocked recent-request": "1-10"}),
        ({"at": ago(0.1), "transfer_id": 3, "sources": (3, 1)}, (), {"blocked recent-request": "1-10"}),
        ({"at": ago(1), "transfer_id": 3, "sources": (3, 1)}, (), {"due never-loaded": "1-10"}),
        ({"at": ago(1), "vendor_at": ago(0.1), "blocker": 5}, (), {"blocked recent-request": "1-10"}),
        # Of another range than would be asked for now it says nothing, once settle time is over.
        ({"at": ago(1), "end": intent("1-9").end}, (), {"due never-loaded": "1-10"}),
        (
            {"at": ago(0.1), "end": intent("1-9").end},
            (),
            {"blocked refused": "1-9", "due never-loaded": "10"},
        ),
    ],
)
def test_how_long_a_refusal_keeps_its_days(refusal: Any, listed: Any, seen: dict[str, str]) -> None:
    ten = {"start": intent("1").start, "end": intent("10").end, "total": 10, "failed": 10}
    listed = tuple(replace(one, **ten) for one in listed)
    memory = document(intent("1-10", **{"outcome": "refused", **refusal}))
    found = weigh(team(transfer("1-10")), memory, observed(*listed), NOW, DEFAULT_SETTLE)
    assert buckets(found.ledgers[0]) == seen


def test_what_the_api_cut_off_is_told_by_which_end() -> None:
    """Asked for 1 to 20, it made 5 to 15: what it does not reach, and what it may take later."""
    cut = intent("1-20", outcome="done", backfill_id=100, at=ago(0.1))
    memory = document(cut, record("5-15"))
    found = weigh(team(transfer("1-20")), memory, observed(), NOW, DEFAULT_SETTLE)
    expected = {"covered": "5-15", "blocked refused": "16-20", "blocked cut-by-api": "1-4"}
    assert buckets(found.ledgers[0]) == expected
    once_settled = document(replace(cut, intended_at=ago(1)), record("5-15"))
    found = weigh(team(transfer("1-20")), once_settled, observed(), NOW, DEFAULT_SETTLE)
    expected = {"covered": "5-15", "due never-loaded": "16-20", "blocked cut-by-api": "1-4"}
    assert buckets(found.ledgers[0]) == expected


@pytest.mark.parametrize(
    "named, evidence, expected",
    [
        ("5-15", "runs", {"blocked recent-request": "1-4 16-20", "due never-loaded": "21-30"}),
        ("15-25", "runs", {"blocked recent-request": "1-14", "due never-loaded": "26-30"}),
        ("5-15", "backfills", {"blocked recent-request": "1-4 16-30"}),  # a newer one would hide it
        ("1-20", "runs", {"due never-loaded": "21-30"}),
    ],
)
def test_what_a_person_named_leaves_the_rest_in_doubt(
    named: str, evidence: str, expected: dict[str, str]
) -> None:
    """The create of 1 to 20 may yet arrive."""
    desired, made = transfer("1-30", evidence=EvidenceMode(evidence)), record(named, origin=Origin.ADOPTED)
    create = intent("1-20", outcome="done", backfill_id=100, at=ago(0.1))
    seen = observed(latest={1: made.seen})
    found = weigh(team(desired), document(create, made), seen, NOW, DEFAULT_SETTLE)
    assert buckets(found.ledgers[0]) == {"covered": named, **expected}
    memory = document(replace(create, intended_at=ago(1)), made)
    found = weigh(team(desired), memory, seen, NOW, DEFAULT_SETTLE)
    assert set(buckets(found.ledgers[0])) == {"covered", "due never-loaded"}


# --- the table ----------------------------------------------------------------------------------

CHANGES = {
    Change.ANSWERED: lambda one: intents.made(one, 8),
    Change.FOUND: lambda one: intents.found(one, 8),
    Change.REFUSED: lambda one: intents.refused(one, None),
    Change.WITHDRAWN: lambda one: intents.withdrawn(one, ACTIVE),
    Change.NOT_CREATED: intents.not_created,
    Change.SEEN_FINAL: intents.cancelled,
    Change.NOT_CANCELLED: intents.not_cancelled,
}


@pytest.mark.parametrize("kind", IntentKind)
@pytest.mark.parametrize("change", Change)
@pytest.mark.parametrize("state", Outcome)
def test_an_intent_changes_as_the_table_says_and_no_other_way(
    kind: IntentKind, state: Outcome, change: Change
) -> None:
    known = {"backfill_id": 7} if kind is IntentKind.CANCEL or state is Outcome.DONE else {}
    before = intent("10-19", kind=kind.value, outcome=state.value, **known)
    rows = [row for row in TRANSITIONS if (row.kind, row.before, row.change) == (kind, state, change)]
    if rows:
        assert CHANGES[change](before).outcome is rows[0].after
    else:
        with pytest.raises(AssertionError):
            CHANGES[change](before)


def test_no_row_stands_twice() -> None:
    assert len({(row.kind, row.before, row.change) for row in TRANSITIONS}) == len(TRANSITIONS)
