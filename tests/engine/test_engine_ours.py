"""What is ours, and what is somebody else's: only what our own request can have made is ever adopted."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_rig import BLIND, DAY, HOUR, MINUTE, ONE, OURS, TEAM, Rig, answered, lost, on_transfer

from reconciler.events import Cancelled, Created, UnknownOutcome
from reconciler.model.memory import Origin, Outcome

QUICK = {"seconds_until_scheduled": 1, "seconds_until_running": 1, "seconds_per_run": 1}
MAY = ("2024-05-01", "2024-05-10")
MAY_TEXT = "2024-05-01..2024-05-10"
FAILS = {1: {"fail_days": {"2024-05-03": {"error": "x", "times": 1}}}}
PRUNE = ONE.replace("transfers:", "prune: true\ntransfers:")


def made_by(rig: Rig, user: int) -> int:
    made = rig.sandbox.create_backfill(TEAM, 1, *MAY, user)
    return int(made["transfer_backfill_id"])


@pytest.mark.parametrize("user", [OURS, OURS + 3], ids=["our user", "another"])
@pytest.mark.parametrize("text", [ONE, BLIND], ids=["runs", "backfills"])
def test_what_a_person_makes_after_a_refusal_stays_theirs(text: str, user: int, tmp_path: Path) -> None:
    """It was paused; once settle time is over they make exactly our range, and a day of it fails."""
    rig = Rig(tmp_path, text, settings=QUICK, transfers=FAILS)
    rig.know_us()
    assert rig.apply(answered(422)).exit == 3
    rig.later(16 * MINUTE)
    theirs = made_by(rig, user)
    for _night in range(3):
        rig.later(DAY)
        applied = rig.apply()
        assert (applied.of(Cancelled), applied.adopted) == ([], [])
    record = rig.document().backfills[theirs]
    assert not record.ours
    assert record.status.value == "FAILED"


@pytest.mark.parametrize("minutes, user, ours", [(14, OURS, True), (16, OURS, False), (14, OURS + 3, False)])
def test_a_pending_create_adopts_what_was_made_about_then_by_our_user(
    minutes: int, user: int, ours: bool, tmp_path: Path
) -> None:
    """However late it is found; and prunes nothing else."""
    rig = Rig(tmp_path, PRUNE.replace("version: 1\n", "version: 1\non_unknown: block\n"))
    rig.know_us()
    assert rig.apply(lost(after=False)).exit == 4
    rig.later(minutes * MINUTE - 30)  # half a minute of looking has passed
    rig.sandbox.settings(seconds_per_run=10 * DAY)
    number = made_by(rig, user)
    rig.later(6 * DAY)
    applied = rig.apply()
    assert (applied.report.adopted, applied.exit) == ((1, 0) if ours else (0, 4))
    assert rig.document().backfills[number].ours is ours
    rig.declare(PRUNE.replace(MAY_TEXT, "2024-04-01..2024-04-02"))
    assert len(rig.apply().of(Cancelled)) == ours


def test_a_range_like_ours_made_before_our_intent_is_not_ours(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=QUICK)
    early = made_by(rig, OURS)
    rig.people.cancel(early)
    rig.later(16 * MINUTE)
    assert rig.apply(lost(after=False)).exit == 4
    assert rig.document().backfills[early].origin is Origin.OBSERVED


def test_one_that_a_gateway_made_in_spite_of_a_refusal_is_adopted_and_counted_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"commit": "twice"})
    applied = rig.apply()
    (told,) = applied.of(Created)
    assert (applied.exit, told.adopted, told.refused) == (0, True, True)
    assert (applied.report.adopted, applied.report.created, applied.report.refused) == (1, 0, 0)
    rig.once(1, MAY_TEXT)


@pytest.mark.parametrize("text", [ONE, BLIND], ids=["runs", "backfills"])
def test_a_gateway_that_sends_a_retry_twice_while_reads_lag_makes_a_day_once(
    text: str, tmp_path: Path
) -> None:
    """The second copy is refused, and neither list nor `latest` shows the first for half a minute."""
    rig = Rig(tmp_path, text, settings=QUICK | {"failed_blocks_overlap": False}, transfers=FAILS)
    rig.know_us()
    assert rig.apply().exit == 0
    rig.later(DAY)
    lags = {f"{name}_lag_seconds": 30 for name in ("list", "latest", "get")}
    rig.sandbox.settings(commit="twice", **lags)
    assert rig.apply().exit == 3
    rig.sandbox.settings(commit="now")
    assert rig.blocked() == ["a 2024-05-03..2024-05-03 refused"]
    assert rig.apply().sent == []
    rig.later(MINUTE)
    assert (rig.apply().sent, rig.plan().plan.actions) == ([], ())
    rig.later(DAY)
    assert rig.apply().sent == []
    assert rig.made(1) == [MAY_TEXT, "2024-05-03..2024-05-03"]
    assert [one.origin for one in rig.document().backfills.values()] == [Origin.CREATED, Origin.ADOPTED]


def test_two_blind_creates_of_a_transfer_are_a_second_apart(tmp_path: Path) -> None:
    """`latest` counts whole seconds: else it might show the first for good, and the second, whose answer is
    lost, be made again.
    """
    weeks = BLIND.replace("    transfer_id: 1\n", "    transfer_id: 1\n    chunk: week\n")
    rig = Rig(tmp_path, weeks, settings=QUICK | {"latest_orders_by": "created_time"})
    acts = [lambda inner, request, timeout: inner.send(request, read_timeout=timeout), lost(after=True)]
    applied = rig.apply(*acts)
    assert (applied.exit, applied.waits[0], len(applied.adopted)) == (0, 1.0, 1)
    rig.later(DAY)
    assert rig.apply().sent == []
    rig.once(1, MAY_TEXT)
    first, second = rig.sandbox.backfills()
    assert first["created_time"] != second["created_time"]


def test_where_run_lists_are_read_they_need_not_be(tmp_path: Path) -> None:
    weeks = ONE.replace("    transfer_id: 1\n", "    transfer_id: 1\n    chunk: week\n")
    assert Rig(tmp_path, weeks).apply().waits == []


# -- what stands in no file any more ----------------------------------------------------------------

OTHER = "version: 1\nteam_id: 12345\ntransfers:\n  b: {transfer_id: 2, ranges: [2024-04-01..2024-04-05]}\n"


def test_an_unresolved_create_that_left_the_files_keeps_no_run_from_ending_well(tmp_path: Path) -> None:
    """Within settle time it may yet take effect: 4. After it, its days are nobody's; it is named."""
    rig = Rig(tmp_path, BLIND)
    rig.know_us()
    assert rig.apply(lost(after=False)).exit == 4
    rig.foreign(1, "2024-01-01", "2024-01-02")
    rig.declare(OTHER)
    assert rig.apply().exit == 4
    rig.later(16 * MINUTE)
    applied = rig.apply()
    assert (applied.exit, len(rig.pending())) == (0, 1)
    assert applied.of(UnknownOutcome) == []
    named = [one.rule for one in rig.plan().plan.diagnostics if MAY_TEXT in str(one)]
    assert len(named) == 1
    rig.declare(BLIND)
    assert rig.apply().exit == 4  # back in the files, its days hang on it again


def test_one_that_left_the_files_and_was_made_is_found(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"commit": "late:600", "seconds_per_run": DAY})
    assert rig.apply().exit == 4
    rig.declare(OTHER)
    rig.sandbox.settings(commit="now")
    rig.later(11 * MINUTE)
    assert rig.apply().exit == 0
    assert rig.pending() == []
    rig.declare(ONE)
    assert (rig.apply().exit, rig.buckets()) == (0, {"declared": 10, "in_flight": 10})
    rig.once(1, MAY_TEXT)


def test_a_shared_refusal_takes_back_what_the_first_left(tmp_path: Path) -> None:
    """The second transfer so answered makes it the key's: neither keeps days from being made."""
    rig = Rig(tmp_path, ONE + "  b: {transfer_id: 2, ranges: [2024-04-01..2024-04-05]}\n")
    denied = answered(403, "ACCESS_DENIED")
    assert rig.apply(denied, denied).exit == 65
    assert {one.outcome for one in rig.document().intents.values()} == {Outcome.WITHDRAWN}
    assert rig.blocked() == []
    assert rig.apply().exit == 0
    rig.once(1, MAY_TEXT)


@pytest.mark.parametrize(
    "code, expected", [("LICENSE_ROW_LIMIT_EXCEEDED", 7), (None, 65)], ids=["licence", "no code"]
)
def test_a_shared_refusal_that_is_no_key_s_keeps_its_doubt(
    code: str | None, expected: int, tmp_path: Path
) -> None:
    """A gateway sends each create twice. The first copy uses up what the licence allows, and the second is
    refused for it; reads lag.
    """
    lags = {f"{one}_lag_seconds": 600 for one in ("list", "latest", "get", "runs")}
    two = ONE + "  b: {transfer_id: 2, ranges: [2024-04-01..2024-04-05]}\n"
    rig = Rig(tmp_path, two, settings=QUICK | lags)
    rig.know_us()
    refused = answered(403, code, after=True)
    assert rig.apply(refused, refused).exit == expected
    rig.later(2 * MINUTE)
    assert rig.apply().sent == []
    rig.later(HOUR)
    assert rig.buckets() == {"declared": 15, "covered": 15}
    rig.once(1, MAY_TEXT)
    rig.once(2, "2024-04-01..2024-04-05")


def test_a_refusal_of_one_transfer_is_in_doubt_then_refused_then_due(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.apply(answered(422), wanted=on_transfer(1)).exit == 3
    (intent,) = rig.document().intents.values()
    assert intent.answer is not None
    assert (intent.outcome, intent.answer.status) == (Outcome.REFUSED, 422)
    rig.later(20 * HOUR - 1)
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 refused"]
    assert rig.apply().sent == []
    rig.later(1)
    assert rig.blocked() == []


def test_a_refusal_holds_for_the_range_as_it_was_sent(tmp_path: Path) -> None:
    """A limit in the file cuts the days otherwise: once settle time is over they are free."""
    rig = Rig(tmp_path)
    assert rig.apply(answered(422)).exit == 3
    rig.declare(ONE.replace("version: 1\n", "version: 1\nlimits: {max_days_per_backfill: 5}\n"))
    assert rig.blocked() == ["a 2024-05-01..2024-05-10 refused"]
    rig.later(15 * MINUTE)
    assert rig.apply().exit == 0
    rig.once(1, MAY_TEXT)
