"""One schedule from its seed: play it, then let it come to rest, holding the promises throughout."""

from __future__ import annotations

import random
import shutil
import tempfile
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from simulation_disk import PersonsStore, told_at_once
from simulation_network import CALM
from simulation_process import API, Flags, Process
from simulation_script import FIRST, LENGTH, NOW, Script
from simulation_stage import Stage, Violation
from simulation_truth import Truth, unresolved

from reconciler.api import client as api_client
from reconciler.dates import DateSet, union
from reconciler.engine import executor
from reconciler.engine.by_hand import accept, as_created, as_not_created
from reconciler.engine.session import StateSession
from reconciler.errors import Refused, StateConflict
from reconciler.http import WsgiTransport
from reconciler.model.deltas import Delta
from reconciler.model.memory import Document, Intent
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.plan import Options, Plan
from reconciler.planning.situation import Situation
from reconciler.sandbox import Sandbox, times
from reconciler.sandbox.progress import PERSON
from reconciler.sandbox.responses import Refusal
from reconciler.stores.local import LocalStore

SHM = Path("/dev/shm")
RESTING = 45  # runs until everything must be at rest


def folder_for_states() -> str:
    """Return a new folder, in memory if possible: syncing a disk 100 times a second is slow."""
    return tempfile.mkdtemp(prefix="simulation-", dir=SHM if SHM.is_dir() else None)


@dataclass
class Played:
    """What a schedule did, and its trace if asked for."""

    seed: int
    counts: Counter[str]
    failure: str | None = None
    trace: list[str] = field(default_factory=list)


def play(seed: int, *, tracing: bool = False) -> Played:
    """Play one schedule. A broken promise, or any bug, is ``failure``."""
    from simulation_trust_schedule import FIRST_TRUST, TrustSchedule
    from simulation_wide_schedule import FIRST_WIDE, WideSchedule

    folder = folder_for_states()
    kind = Schedule if seed < FIRST_WIDE else WideSchedule if seed < FIRST_TRUST else TrustSchedule
    show = kind(seed, folder, tracing)
    failure = None
    try:
        with show.in_costume():
            show.play()
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be told
        failure = f"{type(error).__name__}: {error}"
        if tracing and not isinstance(error, Violation):
            failure += f"\n{traceback.format_exc()}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Played(seed, show.stage.counts, failure, show.stage.trace)


class _Inline:
    """A thread that does its work at once: a simulated process is one thread."""

    def __init__(self, target: Callable[[], None], **_kind: object) -> None:
        self.start = target

    def is_alive(self) -> bool:
        return False


class Schedule:
    """The play of one seed."""

    def __init__(self, seed: int, folder: str, tracing: bool) -> None:
        self.script = Script(seed)
        self.rng = self.script.rng
        self.folder = f"{folder}/state"
        self.stage = Stage(seed, NOW.timestamp(), tracing=tracing)
        clock = self.stage
        self.sandbox = Sandbox.in_memory(self.script.scene(), clock=lambda: clock.now)
        if self.script.blind:
            self.sandbox.faults("status-403-before@runs")
        lax = bool(self.script.spread) or not self.script.bounded
        self.truth = Truth(self.stage, self.sandbox, self.folder, self.script.lag, lax, self.script.blind)
        self.processes: list[Process] = []
        self.saved: Plan | None = None
        self._uuids = random.Random(seed)
        self._hands = random.Random(f"hands {seed}")  # by itself: the rest of a seed stays as it is

    @contextmanager
    def in_costume(self) -> Iterator[None]:
        """Make everything outside that is drawn by chance depend on the seed, and the list as short."""
        before, cap, threads = uuid.uuid4, api_client.LIST_CAP, executor.threading
        executor.threading = SimpleNamespace(Thread=_Inline)
        uuid.uuid4 = lambda: uuid.UUID(int=self._uuids.getrandbits(128), version=4)
        api_client.LIST_CAP = self.script.list_cap
        try:
            with told_at_once():
                yield
        finally:
            uuid.uuid4, api_client.LIST_CAP, executor.threading = before, cap, threads

    def play(self) -> None:
        self.stage.log("the file", str({one: str(told) for one, told in self.script.file.items()}))
        self.stage.log("the world", str(self.truth.world.transfers))
        self.stage.log("the world", str(self.truth.world.settings))
        self._announce()
        self.stage.play()
        self._come_to_rest()

    # -- the play --------------------------------------------------------------------------

    def _announce(self) -> None:
        """Put processes, people and edits on the stage, some of them close together."""
        when = self.stage.now + 1
        for _round in range(self.script.rounds()):
            self._announce_round(when)
            if self.script.anew == _round:
                self.stage.at(when + self.script.moves.choice([-0.6, 0.5, 5.0, 100.0]), self._create_anew)
            when += self.script.gap()

    def _announce_round(self, when: float) -> None:
        rng = self.rng
        lock = self.script.lock()
        apart = rng.choice([0.0, 0.01, 0.5, 5.0, 60.0])
        for number in range(self.script.runs_at_once()):
            self.stage.at(when + number * apart * rng.random(), lambda: self._start(lock=lock))
        for _ in range(rng.choice([0, 0, 1, 2])):
            self.stage.at(when + rng.choice([-0.5, 0.1, 1.0, 10.0, 100.0]) * rng.random(), self._people)
        if rng.random() < 0.3:
            self.stage.at(when + rng.choice([-0.4, 1.0, 100.0]) * rng.random(), self._edit)
        if self._hands.random() < 0.15:
            self.stage.at(
                when + self._hands.choice([1.0, 100.0, 4000.0]) * self._hands.random(), self._resolve
            )

    def _start(self, *, lock: bool) -> None:
        flags = self.script.flags(lock=lock)
        if self.rng.random() < 0.15:
            flags = replace(flags, saved=self._saved_plan())
        self._spawn(flags)

    def _spawn(self, flags: Flags) -> Process:
        process = self._new_process(f"p{len(self.processes) + 1}", flags)
        self.processes.append(process)
        self.stage.at(self.stage.now, process.actor)
        return process

    def _new_process(self, name: str, flags: Flags) -> Process:
        team = self.script.team(self.stage.now)
        return Process(name, self.stage, self.truth, team, self.folder, flags)

    def _saved_plan(self) -> Plan | None:
        """Return an earlier plan, or make one now for later runs."""
        if self.saved is None:
            calm = self._new_process("planner", _CALM)
            calm.flags = replace(_CALM, settle=self.script.settle)
            run = calm._team_run()
            run.store = LocalStore(self.folder, self.truth.team_id, API, "planner")
            run.client._transport = WsgiTransport(self.sandbox.app)
            made = run.plan().plan
            self.saved = Plan(API, self.stage.wall().replace(microsecond=0), (made,), Options((), ()))
        return self.saved

    def _edit(self) -> None:
        self.stage.log("a person", f"edits the file: {self.script.edit(self.stage.now)}")

    def _create_anew(self) -> None:
        self.stage.log("a person", f"edits the file: {self.script.create_anew()}")

    # -- people ----------------------------------------------------------------------------

    def _people(self) -> None:
        rng = self.rng
        if rng.random() < 0.6:
            self._person_creates()
        else:
            self._person_cancels()

    def _person_creates(self) -> None:
        transfer_id, first, end = self._range_of_a_person()
        now = times.millis(self.stage.now)
        try:
            made = self.truth.world.create(self.truth.team_id, transfer_id, first, end - 1, now, PERSON)
        except Refusal as refusal:
            self.stage.log("a person", f"is refused {transfer_id} {DateSet.span(first, end)!r}: {refusal}")
        else:
            self.stage.log("a person", f"creates {made.id}: {transfer_id} {DateSet.span(first, end)!r}")

    def _range_of_a_person(self) -> tuple[int, int, int]:
        rng = self.rng
        first, last = sorted((rng.randrange(LENGTH), rng.randrange(LENGTH)))
        return self.script.created_by_people(), FIRST + first, FIRST + min(last, first + 5) + 1

    def _person_cancels(self) -> None:
        now = times.millis(self.stage.now)
        listed = self.truth.world.incomplete(self.truth.team_id, now)
        if listed:
            chosen = self.rng.choice(listed)
            self.stage.log("a person", f"cancels {chosen.id}")
            with suppress(Refusal):
                self.truth.world.cancel(self.truth.team_id, chosen.id, now)

    def _people_tidy(self, *, ours: bool) -> None:
        """Cancel failed shells, which may block days and hold places: their own, and at last also ours
        whose days are out of attempts or cannot be told (those are for people to look at).
        """
        world, now = self.truth.world, times.millis(self.stage.now)
        for one in list(world.backfills.values()):
            mine = self.truth.is_recorded_as_ours(one.id)
            if one.status(now, world.settings) == "FAILED" and (ours or not mine):
                self.stage.log("a person", f"tidies up {one.id}")
                with suppress(Refusal):  # forgotten
                    world.cancel(one.team, one.id, now)

    # -- coming to rest --------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """Without faults, and with time passed, all that is left is done, and nothing twice."""
        self._wait(max(4 * self.script.settle, 7200.0))
        self._people_tidy(ours=False)
        self._two_runs()
        for day in range(40):
            self._wait(86400.0 * 1.1)
            self._people_tidy(ours=day >= 4)
            calm = self._run_calmly()
            idle = calm.first_plan_is_empty() and not self._is_waiting(calm)
            spoke = self._settle_by_hand() + self._accept(calm) + self._drop_predecessors(calm)
            if not spoke and idle and not self._busy():
                break
        self._check_rest()

    def _is_waiting(self, process: Process) -> bool:
        assert process.first_plan is not None
        return any(one.of(Bucket.WAITING) for one in process.first_plan.situation.ledgers)

    def _accept(self, process: Process) -> int:
        """Let a person say that histories are known to them which the state does not know."""
        assert process.first_plan is not None
        unknown = [one for one in process.first_plan.situation.ledgers if _has(one, Reason.UNKNOWN_HISTORY)]
        for ledger in unknown:
            self._say(ledger.transfer.address.transfer_id, accepted)
        return len(unknown)

    def _drop_predecessors(self, process: Process) -> int:
        """Let a person take out of the file the predecessors of which nothing tells what they loaded."""
        assert process.first_plan is not None
        ledgers = process.first_plan.situation.ledgers
        untold = [one for one in ledgers if _has(one, Reason.NO_EVIDENCE) and one.transfer.previous_ids]
        for ledger in untold:
            self.stage.log("a person", f"takes the predecessors of {ledger.transfer.name} out of the file")
            del self.script.previous[ledger.transfer.address.transfer_id]
        return len(untold)

    def _say(self, transfer_id: int, said: Callable[[TransferLedger, Situation], Delta]) -> bool:
        """Put what a person says of a transfer into the state, as the commands do; tell if they could."""
        run = self._new_process("a person", _CALM)._team_run()
        run.client._transport = WsgiTransport(self.sandbox.app)
        run.store = PersonsStore(self.stage, self.folder, self.truth.team_id, API)
        session = run.open()
        situation = run.weighed(session)
        for ledger in situation.ledgers:
            if ledger.transfer.address.transfer_id == transfer_id and (delta := said(ledger, situation)):
                session.record(situation.delta + delta)
                for one in delta.acceptances:
                    self.stage.log("a person", f"accepts the history of {transfer_id} to {one.backfill_id}")
                    self.truth.memory.accepted[transfer_id] = max(self.truth.world.backfills, default=0)
                return True
        return False

    def _wait(self, seconds: float) -> None:
        self.stage.at(self.stage.now + seconds, lambda: None)
        self.stage.play()

    def _run_calmly(self) -> Process:
        process = self._spawn(replace(_CALM, settle=self.script.settle * 2))
        self.stage.play()
        return process

    def _two_runs(self) -> None:
        """Two runs end in status 0, after people settled what only they can settle."""
        first = self._run_calmly()
        left = self._settle_by_hand()
        self._wait(60.0 + self.script.lag)
        if first.statuses or left:
            second = self._run_calmly()
            for _more in range(5):  # what was settled may have hidden another one that only people can
                if second.statuses != {4} or not self._settle_by_hand():
                    break
                self._wait(60.0 + self.script.lag)
                second = self._run_calmly()
            if second.statuses:
                self._fail(
                    f"two calm runs end with {sorted(first.statuses or ())}, {sorted(second.statuses)}"
                )

    def _resolve(self) -> None:
        """Let a person settle what they can in the middle of it, not knowing what is under way."""
        with suppress(StateConflict, Refused):
            self._settle_by_hand(patience=self.script.settle)

    def _settle_by_hand(self, patience: float = 0.0) -> int:
        """Do what ``resolve`` does, by a person who can see what really happened. Within ``patience``
        they say of nothing that it was not created, and never of what is still on its way.
        """
        store = PersonsStore(self.stage, self.folder, self.truth.team_id, API)
        document, revision = store.read()
        pending = list(unresolved(document)) if document else []
        for intent in (one for one in pending if self._is_clear(one, patience)):
            assert document is not None
            session = StateSession(store, document, revision)
            session.record(self._by_hand(intent, document))
            document, revision = session.document, session.revision
            self.stage.counts["by hand"] += 1
        return len(pending)

    def _is_clear(self, intent: Intent, patience: float) -> bool:
        made = any(sent.nonce == intent.nonce for sent in self.truth.made.values())
        waited = self.stage.now >= intent.intended_at.timestamp() + patience
        frozen = not self.script.bounded and any(not one.actor.over for one in self.processes)
        return made or (waited and not frozen and intent.nonce not in self.truth.late)

    def _by_hand(self, intent: Intent, document: Document) -> Delta:
        made = [number for number, sent in self.truth.made.items() if sent.nonce == intent.nonce]
        self.stage.log(
            "a person", f"resolves {intent.transfer_id} {intent.days!r} as {made or 'not created'}"
        )
        if not made:
            return as_not_created(intent)
        process = self.processes[-1]
        run = process._team_run()
        run.client._transport = WsgiTransport(self.sandbox.app)
        try:
            settle = timedelta(seconds=self.script.settle)
            return as_created(intent, made[0], document, run.client, settle, run.team.on_unknown)
        except Refused:  # reads lag, or the API has forgotten it
            lags = self.stage.now < intent.intended_at.timestamp() + self.script.settle
            return Delta() if lags else as_not_created(intent)

    def _busy(self) -> bool:
        return any(map(self.truth.is_running, self.truth.world.backfills.values()))

    def _check_rest(self) -> None:
        """What the ledger calls covered is loaded, and all else has failed for good."""
        last = self.processes[-1]
        assert last.first_plan is not None
        for ledger in last.first_plan.situation.ledgers:
            loaded = self.truth.loaded_days(ledger.transfer, last.team.as_of, last.team.timezone)
            covered = ledger.days(Bucket.COVERED)
            if covered - loaded:
                self._fail(f"{ledger.transfer.name}: {covered - loaded!r} called covered, and not loaded")
            stuck = ledger.transfer.days - covered - ledger.days(Bucket.FAILED) - ledger.days(Bucket.FUTURE)
            if self.truth.blind or ledger.evidence.blind:
                # what was refused may have been made all the same: until a person says ``retry``
                stuck = stuck - union(one.days for one in ledger.entries if one.reason is Reason.REFUSED)
            if stuck:
                words = {(one.bucket.value, one.reason.value): repr(one.days) for one in ledger.entries}
                self._fail(f"{ledger.transfer.name}: {stuck!r} never loaded: {words}")
            if [one for one in ledger.of(Bucket.FAILED) if one.reason is Reason.UNLOCATED]:
                self.stage.counts["rest:unlocated"] += 1
        self.truth.check_known(self.truth.document())

    def _fail(self, what: str) -> None:
        self.stage.log("!!", what)
        raise Violation(what)


def _has(ledger: TransferLedger, reason: Reason) -> bool:
    return any(one.reason is reason for one in ledger.of(Bucket.BLOCKED))


_CALM = Flags(lock=True, settle=900.0, weather=CALM)


def accepted(ledger: TransferLedger, situation: Situation) -> Delta:
    """Return what a person says who knows the history of a transfer."""
    return accept(ledger, situation.document.serial)
