"""Where exactly once cannot hold against an API without idempotency keys: ``docs/reliability.md``.

Each schedule there has its number here, and shows what happens: a day is created twice, or is blocked.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_rig import BLIND, HOUR, MINUTE, ONE, Rig, answered, cancels, open_store, passed

from reconciler.dates import parse_iso
from reconciler.engine.by_hand import as_created, as_not_created
from reconciler.engine.session import StateSession
from reconciler.http import AnswerLost, Request, Response, Transport
from reconciler.model.desired import OnUnknown
from reconciler.planning.intents import unresolved

INSTANT = {"seconds_until_scheduled": 0, "seconds_until_running": 0, "seconds_per_run": 0}
DAYS = "2024-05-01..2024-05-10"
BLOCKING = ONE.replace("version: 1\n", "version: 1\non_unknown: block\n")
Arrivals = list[Callable[[], object]]


def on_its_way(arrivals: Arrivals, meanwhile: Callable[[], object] = lambda: None) -> Callable[..., Response]:
    """Lose a create on its way; it arrives when it is called."""

    def act(inner: Transport, request: Request, timeout: float) -> Response:
        arrivals.append(lambda: inner.send(request, read_timeout=timeout))
        meanwhile()
        raise AnswerLost("the connection broke")

    return act


def created(rig: Rig) -> int:
    """Return how often the days were created; all of them as often."""
    (times,) = set(Counter(rig.active_days()).values())
    return times


def test_1_a_create_that_takes_effect_after_settle_time(tmp_path: Path) -> None:
    rig, arrivals = Rig(tmp_path, settings=INSTANT), Arrivals()
    assert rig.apply(on_its_way(arrivals)).exit == 4
    rig.later(16 * MINUTE)
    assert rig.apply().exit == 0
    arrivals.pop()()
    assert created(rig) == 2


def test_1_with_on_unknown_block_it_is_blocked(tmp_path: Path) -> None:
    rig, arrivals = Rig(tmp_path, BLOCKING, settings=INSTANT), Arrivals()
    for _try in range(3):
        assert rig.apply(on_its_way(arrivals)).exit == 4
        rig.later(48 * HOUR)
    arrivals.pop()()
    rig.later(HOUR)  # its days are covered: nothing is left to settle
    assert (rig.apply().exit, created(rig), arrivals, unresolved(rig.document())) == (0, 1, [], ())


def test_1_with_on_unknown_block_a_person_may_name_it(tmp_path: Path) -> None:
    """Made long after its intent, it may be anybody's; and it failed."""
    failing = {1: {"fail_days": {f"2024-05-{day:02d}": {} for day in range(1, 11)}}}
    rig, arrivals = Rig(tmp_path, BLOCKING, settings=INSTANT, transfers=failing), Arrivals()
    assert rig.apply(on_its_way(arrivals)).exit == 4
    rig.later(48 * HOUR)
    arrivals.pop()()
    for _run in range(2):
        assert rig.apply().exit == 4
        rig.later(48 * HOUR)
    (intent,) = unresolved(rig.document())
    (made,) = rig.sandbox.backfills()
    settle = (rig.flags.settle, OnUnknown.BLOCK)
    said = as_created(intent, int(made["transfer_backfill_id"]), rig.document(), rig.people, *settle)
    opened(rig).record(said)
    assert rig.apply().exit in (0, 3)
    assert rig.pending() == []


def opened(rig: Rig) -> StateSession:
    return StateSession.open(open_store(rig.folder), rig.document())


def test_2_a_person_creates_exactly_our_days_while_ours_is_on_its_way(tmp_path: Path) -> None:
    """Theirs is taken for ours; ours arrives when theirs has completed. It had left: nothing can stop it."""
    rig, arrivals = Rig(tmp_path, BLOCKING, settings=INSTANT), Arrivals()
    assert rig.apply(on_its_way(arrivals, lambda: rig.foreign(1, "2024-05-01", "2024-05-10"))).exit == 0
    arrivals.pop()()
    assert created(rig) == 2
    assert rig.apply().sent == []


def test_2_where_our_user_is_known_theirs_stays_theirs(tmp_path: Path) -> None:
    """Ours is made too, if theirs has completed when it arrives; but it is ours that is adopted."""
    rig, arrivals, theirs = Rig(tmp_path, BLOCKING, settings=INSTANT), Arrivals(), list[int]()
    rig.know_us()
    person = on_its_way(arrivals, lambda: theirs.append(rig.foreign(1, "2024-05-01", "2024-05-10")))
    assert rig.apply(person).exit == 4
    arrivals.pop()()
    assert rig.apply().exit == 0
    (record,) = [one for one in rig.document().backfills.values() if one.ours]
    assert record.id > theirs[0]
    assert created(rig) == 2


def test_3_a_gateway_sends_it_again_when_the_first_has_completed(tmp_path: Path) -> None:
    rig, arrivals = Rig(tmp_path, BLOCKING, settings=INSTANT), Arrivals()

    def twice(inner: Transport, request: Request, timeout: float) -> Response:
        arrivals.append(lambda: inner.send(request, read_timeout=timeout))
        return passed(inner, request, timeout)

    assert rig.apply(twice).exit == 0
    arrivals.pop()()
    assert created(rig) == 2
    assert rig.apply().sent == []


def test_4_the_api_says_not_done_of_what_it_did_and_hides_it(tmp_path: Path) -> None:
    """A rate limit that passed the create on, and reads that lag: an unseen one is sent again."""
    rig = Rig(tmp_path, BLIND, settings={**INSTANT, "latest_lag_seconds": 60})
    assert rig.apply(answered(429, None, after=True, retry_after="1")).exit == 0
    assert created(rig) == 2


@pytest.mark.parametrize("status", [401, 403, 429])
def test_4_what_can_be_seen_is_not_sent_again(status: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=INSTANT)
    rig.apply(answered(status, None, after=True, retry_after="1"))
    rig.apply()
    assert created(rig) == 1


def test_5_a_person_says_not_created_too_early(tmp_path: Path) -> None:
    rig, arrivals = Rig(tmp_path, BLOCKING, settings=INSTANT), Arrivals()
    assert rig.apply(on_its_way(arrivals)).exit == 4
    (intent,) = unresolved(rig.document())
    opened(rig).record(as_not_created(intent))
    assert rig.apply().exit == 0
    arrivals.pop()()
    assert created(rig) == 2


def test_6_a_person_loads_our_days_between_our_reading_and_our_create(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings=INSTANT)
    assert rig.apply(between=lambda: rig.foreign(1, "2024-05-01", "2024-05-10")).exit == 0
    assert created(rig) == 2


def test_6_what_reads_still_hide_is_as_good_as_later(tmp_path: Path) -> None:
    """Where run lists cannot be read. `latest` lags, and what has completed is on no list."""
    rig = Rig(tmp_path, BLIND, settings={**INSTANT, "latest_lag_seconds": 5 * MINUTE})
    rig.sandbox.faults("status-403-before@runs")
    rig.foreign(1, "2024-05-01", "2024-05-10")
    rig.later(4 * MINUTE)
    assert rig.apply().exit == 0
    assert created(rig) == 2


def test_6_what_is_still_active_the_api_refuses(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.apply(between=lambda: rig.foreign(1, "2024-05-01", "2024-05-10")).exit == 0
    assert created(rig) == 1
    assert DAYS in rig.made()


def test_7_the_state_that_knew_under_which_stale_before_it_was_made_is_lost(tmp_path: Path) -> None:
    """The API's clock is ten minutes behind ours."""
    stale = ONE.replace("    ranges", "    stale_before: 2024-06-01T08:59:00Z\n    ranges")
    rig = Rig(tmp_path, stale, settings=INSTANT | {"clock_skew_seconds": -10 * MINUTE})
    assert (rig.apply().exit, rig.buckets()) == (0, {"declared": 10, "covered": 10})
    shutil.rmtree(tmp_path / "state")
    rig.later(HOUR)
    assert (rig.apply().exit, created(rig)) == (0, 2)
    assert rig.buckets() == {"declared": 10, "covered": 10}


def test_8_a_backfill_runs_again_just_before_its_cancel_and_its_counters_lag(tmp_path: Path) -> None:
    rig = Rig(tmp_path, transfers={1: {"fail_days": {"2024-05-05": {"error": "x", "times": 1}}}})
    rig.apply()
    rig.later(24 * HOUR)
    (shell,) = rig.document().backfills

    def runs_again(inner: Transport, request: Request, timeout: float) -> Response:
        rig.sandbox.run_again(shell)
        rig.later(30)
        answer = inner.send(request, read_timeout=timeout)
        body = json.loads(answer.body)
        body["data"] |= {"transfer_runs_completed": 9, "transfer_runs_failed": 1}
        return Response(answer.status, answer.headers, json.dumps(body).encode())

    assert rig.apply(runs_again, wanted=cancels).exit == 0
    rig.later(24 * HOUR)
    runs = rig.people.runs(1, parse_iso("2024-05-05"), rig.time.wall())
    loaded = [one for one in runs if one.day == parse_iso("2024-05-05") and one.status.value == "COMPLETED"]
    assert len(loaded) == 2
