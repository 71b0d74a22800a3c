"""The contract of ``stores/base.py`` as tests, for every store.

A store's test module has a class that inherits ``StoreContract`` and a fixture ``place``:
what ``--state`` would say for a fresh, empty place. What a commit costs says how many there are.
"""

import json
import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import Refused, StateConflict, StateForeign, StateLocked
from reconciler.formats.statefile import encode_document
from reconciler.model.deltas import Delta, apply_delta, apply_deltas
from reconciler.model.memory import NONCES_KEPT, BackfillRecord, Document, Intent, IntentKind, Origin, Outcome
from reconciler.model.observed import Backfill, Status
from reconciler.stores import gitlock
from reconciler.stores.base import NEVER_WRITTEN, LockInfo, Revision, StateStore, this_process
from reconciler.stores.urls import open_store

ROOT = Path(__file__).parents[2]
TEAM = 5
API = "https://api.example/v1"
WRITER = "reconciler 9.9.9"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def no_sleep(seconds: float) -> None:
    raise AssertionError(f"nothing here waits, and this would have for {seconds} s")


OPENED: list[StateStore] = []
"""What a test opened, to be closed at its end (``conftest.py``)."""


class Place(str):
    """What ``--state`` would say, where it matters in which folder it is said."""

    enter: Callable[[], object]


def opened(place: str, sleep: Callable[[float], None] = no_sleep, **changed: Any) -> StateStore:
    """Open the place as one process would; ``changed`` sets another team, API or writer."""
    if isinstance(place, Place):
        place.enter()
    store = open_store(
        place, **{"team_id": TEAM, "api_url": API, "written_by": WRITER} | changed, sleep=sleep
    )
    OPENED.append(store)
    return store


def intent(nonce: str, outcome: Outcome = Outcome.PENDING) -> Intent:
    sent_before = NOW + timedelta(seconds=60)
    return Intent(
        nonce,
        IntentKind.CREATE,
        456789,
        "google-ads-daily",
        738000,
        738031,
        NOW,
        sent_before,
        outcome=outcome,
    )


def backfill(number: int, status: Status = Status.RUNNING) -> BackfillRecord:
    seen = Backfill(number, 456789, 738000, 738031, status, NOW, total=31)
    return BackfillRecord(seen, "google-ads-daily", Origin.CREATED)


def adds(*nonces: str) -> Delta:
    return Delta(intents=tuple(map(intent, nonces)))


def holder(operation: str = "apply") -> LockInfo:
    return replace(this_process(operation, NOW), who="ann", host="runner-7", pid=4711)


def written(place: str, *nonces: str) -> Revision:
    """Commit one intent a commit; return the last revision."""
    store = opened(place)
    revision = store.read()[1]
    for nonce in nonces:
        revision = store.commit(adds(nonce), revision)
    return revision


def nonces_at(place: str) -> set[str]:
    document = opened(place).read()[0]
    return set(document.intents) if document else set()


class StoreContract:
    steps = 25  # commits of a random life
    attempts = 200  # commits that each of two processes tries
    timeout = 7.5  # seconds that a lock is waited for in vain
    least = 7.4  # seconds of it that pass by sleeping
    lease = 0.0  # seconds for which the lock of a holder that was killed stays taken

    def passes(self, seconds: float) -> None:
        """Let time pass while a lock is waited for, as far as the store looks at a clock for that."""

    # --- documents -----------------------------------------------------------------------

    def test_nothing_was_ever_written(self, place: str) -> None:
        assert opened(place).read() == (None, NEVER_WRITTEN)

    def test_the_first_commit_makes_the_document(self, place: str) -> None:
        revision = opened(place).commit(adds("a"), NEVER_WRITTEN)
        document, there = opened(place).read()
        assert there == revision
        made = Document(TEAM, API, revision.lineage, 1, WRITER, {"a": intent("a")}, commits=(revision.token,))
        assert document == made
        assert uuid.UUID(revision.lineage).version == 4

    def test_each_document_has_its_own_lineage(self, place: str) -> None:
        ours = opened(place).commit(Delta(), NEVER_WRITTEN)
        theirs = opened(place, team_id=6).commit(Delta(), NEVER_WRITTEN)
        assert ours.lineage != theirs.lineage
        assert ours.token != theirs.token

    def test_teams_share_a_place_and_nothing_else(self, place: str) -> None:
        written(place, "a", "b")
        assert opened(place, team_id=6).read() == (None, NEVER_WRITTEN)
        opened(place, team_id=6).commit(adds("c"), NEVER_WRITTEN)
        assert nonces_at(place) == {"a", "b"}

    @pytest.mark.parametrize("seed", range(3))
    def test_commits_do_what_apply_delta_does(self, place: str, seed: int) -> None:
        """A random life, finished and reopened now and then, against the pure function."""
        chance = random.Random(seed)
        store, model, revision = opened(place), None, NEVER_WRITTEN
        for step in range(self.steps):
            delta = _random_delta(chance)
            revision = store.commit(delta, revision)
            model = model or Document(TEAM, API, revision.lineage, written_by=WRITER)
            model = apply_delta(model, delta, revision.token)
            if chance.random() < 0.2:
                store.finish()
            if chance.random() < 0.3:
                store = opened(place)
            assert opened(place).read() == (model, revision), f"seed {seed}, step {step}"
            assert store.read() == (model, revision), f"seed {seed}, step {step}"
            assert revision.serial == step + 1

    def test_an_empty_delta_is_a_commit(self, place: str) -> None:
        first = opened(place).commit(Delta(), NEVER_WRITTEN)
        second = opened(place).commit(Delta(), first)
        assert (first.serial, second.serial) == (1, 2)
        assert first.token != second.token

    def test_the_last_writer_is_named(self, place: str) -> None:
        revision = written(place, "a")
        opened(place, written_by="reconciler 10").commit(adds("b"), revision)
        for _ in range(2):
            document = opened(place).read()[0]
            assert document is not None
            assert document.written_by == "reconciler 10"
            opened(place).finish()

    def test_the_document_read_does_not_change_under_its_reader(self, place: str) -> None:
        store = opened(place)
        revision = store.commit(adds("a"), NEVER_WRITTEN)
        document, _ = store.read()
        store.commit(adds("b"), revision)
        assert document is not None
        assert set(document.intents) == {"a"}

    def test_what_could_not_be_read_back_is_refused_before_it_is_written(self, place: str) -> None:
        broken = Delta(intents=(replace(intent("a"), end=738000),))
        store = opened(place)
        with pytest.raises(ValueError):
            store.commit(broken, NEVER_WRITTEN)
        assert store.read() == (None, NEVER_WRITTEN)
        revision = store.commit(adds("a"), NEVER_WRITTEN)
        with pytest.raises(ValueError):
            store.commit(broken, revision)
        assert store.read()[1] == revision
        store.commit(adds("b"), revision)
        assert nonces_at(place) == {"a", "b"}

    @pytest.mark.proof
    def test_a_document_of_20_megabytes(self, place: str) -> None:
        many = Delta(backfills=tuple(map(backfill, range(1, 35_000))))
        store = opened(place)
        first = store.commit(many, NEVER_WRITTEN)
        store.commit(adds("a"), first)
        document, revision = opened(place).read()
        assert document is not None
        assert len(encode_document(document)) > 20_000_000
        assert (len(document.backfills), set(document.intents)) == (34_999, {"a"})
        assert opened(place).push(document).serial == revision.serial + 1

    # --- compare-and-set -----------------------------------------------------------------

    def test_a_stale_revision_conflicts_and_leaves_no_trace(self, place: str) -> None:
        first = written(place, "a")
        slow, fast = opened(place), opened(place)
        assert slow.read()[1] == fast.read()[1] == first
        second = fast.commit(adds("fast"), first)
        with pytest.raises(StateConflict) as caught:
            slow.commit(adds("slow"), first)
        assert "serial 2" in caught.value.detail
        document, there = slow.read()
        assert there == second
        assert document is not None
        assert set(document.intents) == {"a", "fast"}
        slow.commit(adds("slow"), there)
        assert nonces_at(place) == {"a", "fast", "slow"}

    def test_one_of_two_first_commits_wins(self, place: str) -> None:
        winner, loser = opened(place), opened(place)
        assert winner.read() == loser.read() == (None, NEVER_WRITTEN)
        first = winner.commit(adds("winner"), NEVER_WRITTEN)
        with pytest.raises(StateConflict):
            loser.commit(adds("loser"), NEVER_WRITTEN)
        assert loser.read()[1] == first
        assert loser.commit(adds("loser"), first).lineage == first.lineage

    def test_a_revision_from_the_future_or_of_another_content_conflicts(self, place: str) -> None:
        revision = written(place, "a", "b")
        for wrong in (
            replace(revision, serial=revision.serial + 1),
            replace(revision, token="x"),
            replace(revision, token=""),
        ):
            with pytest.raises(StateConflict):
                opened(place).commit(adds("c"), wrong)
        assert opened(place).read()[1] == revision

    def test_two_serials_alike_are_two_revisions(self, place: str) -> None:
        """The token, not the serial alone, tells what the document holds."""
        one = opened(place).commit(adds("a"), NEVER_WRITTEN)
        other = opened(place, team_id=6).commit(adds("b"), NEVER_WRITTEN)
        assert one.serial == other.serial
        assert one != other

    def test_another_lineage_is_foreign(self, place: str) -> None:
        revision = written(place, "a")
        with pytest.raises(StateForeign):
            opened(place).commit(adds("b"), replace(revision, lineage=str(uuid.uuid4())))
        assert opened(place).read()[1] == revision

    def test_another_api_is_foreign(self, place: str) -> None:
        revision = written(place, "a")
        stranger = opened(place, api_url="https://other.example/v1")
        with pytest.raises(StateForeign) as caught:
            stranger.read()
        assert "https://other.example/v1" in caught.value.detail
        with pytest.raises(StateForeign):
            stranger.commit(adds("b"), revision)
        with pytest.raises(StateForeign):
            stranger.commit(adds("b"), NEVER_WRITTEN)
        assert opened(place).read()[1] == revision

    def test_two_processes_race_and_what_succeeded_is_there(self, place: str) -> None:
        reports = _raced(place, ["one", "two"], attempts=self.attempts)
        document, revision = opened(place).read()
        assert document is not None
        done = [nonce for report in reports for nonce in report["done"]]
        assert set(document.intents) == set(done)
        assert len(done) == len(set(done)) == revision.serial == document.serial
        assert {report["lineage"] for report in reports} == {document.lineage}
        for report in reports:
            assert report["serials"] == sorted(set(report["serials"]))
        both = [serial for report in reports for serial in report["serials"]]
        assert sorted(both) == list(range(1, revision.serial + 1))

    # --- the end of a run ----------------------------------------------------------------

    def test_finishing_changes_neither_document_nor_revision(self, place: str) -> None:
        store = opened(place)
        revision = store.read()[1]
        for nonce in "abc":
            revision = store.commit(adds(nonce), revision)
        before = store.read()
        for _ in range(2):
            store.finish()
            assert store.read() == opened(place).read() == before
        bystander = opened(place)
        assert bystander.read()[1] == revision
        opened(place).finish()
        bystander.commit(adds("d"), revision)
        assert nonces_at(place) == {*"abcd"}

    def test_finishing_nothing_makes_nothing(self, place: str) -> None:
        opened(place).finish()
        assert opened(place).read() == (None, NEVER_WRITTEN)

    def test_the_nonces_of_the_newest_commits_are_kept(self, place: str) -> None:
        store, revision, tokens = opened(place), NEVER_WRITTEN, []
        for _ in range(NONCES_KEPT + 3):
            revision = store.commit(Delta(), revision)
            tokens.append(revision.token)
        document, _ = opened(place).read()
        assert document is not None
        assert document.commits == tuple(tokens[-NONCES_KEPT:])
        assert len(set(tokens)) == len(tokens)

    # --- whole documents -----------------------------------------------------------------

    def test_a_document_is_pushed_with_the_next_serial(self, place: str) -> None:
        revision = written(place, "a", "b")
        document, _ = opened(place).read()
        assert document is not None
        edited = replace(document, intents={"c": intent("c")})
        store = opened(place)
        pushed = store.push(edited)
        assert (pushed.serial, pushed.lineage) == (revision.serial + 1, revision.lineage)
        assert store.read() == opened(place).read()
        assert nonces_at(place) == {"c"}
        assert store.commit(adds("d"), pushed).serial == pushed.serial + 1

    def test_what_another_run_committed_is_not_undone_by_a_push(self, place: str) -> None:
        """The serial of what was saved when a run failed may be higher than that of another run's commit."""
        revision = written(place, "a")
        saved, _ = opened(place).read()
        assert saved is not None
        saved = apply_deltas(saved, [adds("lost"), adds("too")])
        pushed = opened(place).push(saved)  # nobody else wrote: it goes in
        assert nonces_at(place) == {"a", "lost", "too"}
        opened(place).commit(adds("other"), pushed)
        for late in (saved, replace(saved, serial=pushed.serial + 5), replace(saved, serial=revision.serial)):
            with pytest.raises(Refused, match="older"):
                opened(place).push(late)
        assert nonces_at(place) == {"a", "lost", "too", "other"}

    def test_another_lineage_is_pushed_only_if_told(self, place: str) -> None:
        written(place, "a")
        document, _ = opened(place).read()
        assert document is not None
        other = replace(document, lineage="other", intents={})
        with pytest.raises(Refused, match="another state"):
            opened(place).push(other)
        assert opened(place).push(other, another_lineage=True).lineage == "other"
        assert nonces_at(place) == set()

    def test_what_is_of_another_team_or_api_is_not_pushed(self, place: str) -> None:
        written(place, "a")
        document, revision = opened(place).read()
        assert document is not None
        for other in (replace(document, team_id=6), replace(document, api_url="elsewhere")):
            with pytest.raises(StateForeign):
                opened(place).push(other, another_lineage=True)
        assert opened(place).read()[1] == revision

    def test_a_document_is_pushed_where_there_is_none(self, place: str) -> None:
        written(place, "a")
        document, _ = opened(place).read()
        assert document is not None
        assert opened(place).remove()
        assert opened(place).read() == (None, NEVER_WRITTEN)
        opened(place).push(document)
        assert nonces_at(place) == {"a"}

    def test_a_removed_document_is_gone_and_another_may_begin(self, place: str) -> None:
        assert not opened(place).remove()
        store = opened(place)
        first = store.commit(adds("a"), NEVER_WRITTEN)
        store.finish()
        assert opened(place).remove()
        assert opened(place).read() == (None, NEVER_WRITTEN)
        assert opened(place).commit(adds("b"), NEVER_WRITTEN).lineage != first.lineage
        assert nonces_at(place) == {"b"}

    def test_what_is_no_old_copy_is_not_gone_on_with(self, place: str) -> None:
        for _ in range(2):
            with pytest.raises(Refused, match="no old copy"):
                opened(place).accept_old_copy()
            written(place, "a")

    def test_closing_may_be_repeated(self, place: str) -> None:
        store = opened(place)
        store.commit(adds("a"), NEVER_WRITTEN)
        store.close()
        store.close()
        assert nonces_at(place) == {"a"}

    # --- the lock ------------------------------------------------------------------------

    def test_the_lock_is_held_by_one_and_says_by_whom(self, place: str) -> None:
        first, second = opened(place), opened(place)
        info = holder("apply plan.json")
        assert not first.holds_lock()
        with first.lock(info, 0):
            assert first.holds_lock()
            assert not second.holds_lock()
            with pytest.raises(StateLocked) as caught, second.lock(holder(), 0):
                pass
            for word in ("ann", "runner-7", "4711", "apply plan.json", "2026-11-22 09:00:00 UTC", info.id):
                assert word in caught.value.detail
            assert "--lock-timeout" in caught.value.hint
            assert first.holds_lock()
        assert not first.holds_lock()
        with second.lock(holder(), 0):
            assert second.holds_lock()

    def test_whoever_looks_sees_whom_the_lock_names_and_takes_nothing(self, place: str) -> None:
        assert opened(place).holder() is None
        info = holder("apply plan.json")
        with opened(place).lock(info, 0):
            assert opened(place).holder() == info
        assert opened(place).holder() is None

    def test_an_error_inside_frees_the_lock(self, place: str) -> None:
        store = opened(place)
        with pytest.raises(OSError, match="inside"), store.lock(holder(), 0):
            raise OSError("inside")
        with opened(place).lock(holder(), 0):
            pass

    def test_waiting_ends_when_the_holder_leaves(self, place: str) -> None:
        first = opened(place)
        hold = first.lock(holder(), 0)
        hold.__enter__()
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                hold.__exit__(None, None, None)

        second = opened(place, sleep=sleep)
        with second.lock(holder(), 60):
            assert second.holds_lock()
        assert len(pauses) == 3

    def test_waiting_ends_after_the_timeout(self, place: str) -> None:
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            self.passes(seconds)

        with opened(place).lock(holder(), 0):
            waiting = opened(place, sleep=sleep)
            with pytest.raises(StateLocked), waiting.lock(holder(), self.timeout):
                pass
        assert self.least <= sum(pauses) < self.timeout * 1.01
        assert all(0 < pause <= self.timeout for pause in pauses)

    def test_an_interrupt_ends_the_waiting_and_holds_nothing(self, place: str) -> None:
        def sleep(_seconds: float) -> None:
            raise KeyboardInterrupt

        with opened(place).lock(holder(), 0):
            waiting = opened(place, sleep=sleep)
            with pytest.raises(KeyboardInterrupt), waiting.lock(holder(), 60):
                pass
            assert not waiting.holds_lock()
        with opened(place).lock(holder(), 0):
            pass

    def test_the_lock_of_a_killed_holder_is_another_s_within_the_lease(
        self, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gitlock, "LEASE", self.lease)
        other = holding(place, self.lease)
        store = opened(place)
        with pytest.raises(StateLocked, match="locked"), store.lock(holder(), 0):
            pass
        assert not store.holds_lock()
        other.kill()
        other.communicate()
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            self.passes(seconds)

        store = opened(place, sleep=sleep)
        with store.lock(holder(), 60):
            assert store.holds_lock()
        assert sum(pauses) <= 3 * self.lease
        assert opened(place).holder() is None

    def test_committing_needs_no_lock(self, place: str) -> None:
        with opened(place).lock(holder(), 0):
            written(place, "a", "b")
        assert nonces_at(place) == {"a", "b"}

    def test_reading_goes_on_under_a_lock(self, place: str) -> None:
        revision = written(place, "a")
        with opened(place).lock(holder(), 0):
            assert opened(place).read()[1] == revision

    def test_there_is_no_lock_to_free(self, place: str) -> None:
        assert opened(place).unlock() is None
        with opened(place).lock(holder(), 0):
            pass
        assert opened(place).unlock("some-id") is None


def _random_delta(chance: random.Random) -> Delta:
    def some(most: int) -> list[int]:
        return [chance.randrange(8) for _ in range(chance.randrange(most))]

    return Delta(
        intents=tuple(intent(f"n{number}", chance.choice(list(Outcome))) for number in some(3)),
        backfills=tuple(backfill(number, chance.choice(list(Status))) for number in some(3)),
        drop_intents=tuple(f"n{number}" for number in some(2)),
        drop_backfills=tuple(some(2)),
    )


WORKER = """
import json, sys, time
from contract import adds, opened
from reconciler.errors import StateConflict

place, name, attempts = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = opened(place, sleep=time.sleep)
report = {"done": [], "serials": [], "lineage": ""}
print("ready", flush=True)
sys.stdin.readline()
for attempt in range(attempts):
    document, revision = store.read()
    try:
        revision = store.commit(adds(f"{name}-{attempt}"), revision)
    except StateConflict:
        continue
    assert report["lineage"] in ("", revision.lineage)
    report["lineage"] = revision.lineage
    report["done"].append(f"{name}-{attempt}")
    report["serials"].append(revision.serial)
    if attempt % 50 == 49:
        store.finish()
print(json.dumps(report))
"""


HOLDER = """
import sys
from contract import holder, opened
from reconciler.stores import gitlock

gitlock.LEASE = float(sys.argv[2])
with opened(sys.argv[1]).lock(holder("apply"), 0):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holding(place: str, lease: float = 60.0) -> subprocess.Popen[str]:
    """Start a process that holds the lock until it is killed, or told a line."""
    other = worker(HOLDER, place, str(lease))
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def worker(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that can import what tests of stores use."""
    paths = [str(ROOT), str(Path(__file__).parent)]
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{script}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _raced(place: str, names: list[str], attempts: int) -> list[dict[str, Any]]:
    """Let one process a name commit against the others; return their reports."""
    racers = [worker(WORKER, place, name, str(attempts)) for name in names]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    reports = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert all(racer.returncode == 0 for racer in racers)
    return reports
