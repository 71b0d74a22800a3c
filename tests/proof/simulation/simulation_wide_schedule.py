"""One wide schedule from its seed: days and weeks of runs, edits, people, and reads that change meanwhile."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from simulation_memory import Memory
from simulation_process import Process
from simulation_rest import Rest
from simulation_schedule import RESTING, Schedule
from simulation_script import NOW
from simulation_stage import Stage
from simulation_truth import TEAM, Truth
from simulation_wide import CALM, GAPS, WideScript, settings, shaken

from reconciler.dates import DateSet, union
from reconciler.engine.by_hand import accept, forget, held_up
from reconciler.errors import ReconcilerError
from reconciler.model.deltas import Delta
from reconciler.model.desired import EvidenceMode
from reconciler.planning.ledger import Bucket, Reason, TransferLedger
from reconciler.planning.situation import Situation
from reconciler.sandbox import Sandbox, times
from reconciler.sandbox.changes import change_transfer, run_again
from reconciler.sandbox.progress import PERSON, USER
from reconciler.sandbox.responses import Refusal

FIRST_WIDE = 1_000_000  # seeds from here on are wide


class WideSchedule(Schedule):
    """The play of a wide seed: one team or two, each with its file and its state, in one world."""

    def __init__(self, seed: int, folder: str, tracing: bool) -> None:
        self.rng = random.Random(f"wide {seed}")
        self.stage = Stage(seed, NOW.timestamp(), tracing=tracing)
        ids = (TEAM, TEAM + 1) if self.rng.random() < 0.12 else (TEAM,)
        self.scripts = [WideScript(seed, one) for one in ids]
        given = settings(self.rng)
        self.forgets = given["retention_days"] is None
        teams = {one.team_id: {"transfers": one.scene()} for one in self.scripts}
        scene = {"now": "2024-06-01T09:00:00Z", "settings": given, "teams": teams}
        clock = self.stage
        self.sandbox = Sandbox.in_memory(scene, clock=lambda: clock.now)
        self.folders = [f"{folder}/state-{one}" for one in ids]
        self.truths = [
            Truth(self.stage, self.sandbox, where, 250.0, False, False, team_id=one)
            for one, where in zip(ids, self.folders, strict=True)
        ]
        self.copies: list[tuple[str, Memory] | None] = [None for _one in ids]
        self.processes: list[Process] = []
        self.saved = None
        self._uuids = random.Random(seed)
        self._turn_to(0)

    def _turn_to(self, number: int) -> None:
        """Let what follows be about one of the teams."""
        self.turn = number
        self.script: WideScript = self.scripts[number]  # type: ignore[assignment]
        self.truth, self.folder = self.truths[number], self.folders[number]

    # -- the play --------------------------------------------------------------------------

    def _announce(self) -> None:
        when, rng = self.stage.now + 1, self.rng
        for _round in range(rng.choice([2, 3, 4, 5])):
            number = rng.randrange(len(self.scripts))
            for _ in range(rng.choice([1, 1, 1, 1, 2])):
                self.stage.at(when + rng.random(), self._about(number, self._apply))
            for _ in range(rng.choice([0, 1, 2, 3])):
                what = rng.choices(list(STEPS), weights=list(STEPS.values()))[0]
                moment = when + rng.choice([-0.5, 1.0, 100.0, 4000.0, 20000.0]) * rng.random()
                self.stage.at(moment, self._about(number, getattr(self, f"_{what}")))
            when += rng.choice(GAPS) * (0.5 + rng.random())

    def _about(self, number: int, act: Callable[[], None]) -> Callable[[], None]:
        def happen() -> None:
            self._turn_to(number)
            act()

        return happen

    def _apply(self) -> None:
        chosen = {self.rng.choice(self.script.transfers)} if self.rng.random() < 0.15 else None
        self.script.target = chosen
        self._spawn(self.script.flags(lock=self.rng.random() < 0.7))
        self.script.target = None

    def _log(self, what: str) -> None:
        self.stage.log("a person", what)

    # -- what happens between runs -----------------------------------------------------------

    def _edits(self) -> None:
        self._log(f"edits the file of {self.script.team_id}: {self.script.edit(self.stage.now)}")

    def _joins(self) -> None:
        self._log(self.script.join_or_leave())

    def _anew(self) -> None:
        self._log(self.script.create_anew())

    def _shakes(self) -> None:
        given = shaken(self.rng, forgets=self.forgets)
        if self.rng.random() < 0.5:
            given = {key: given[key] for key in self.rng.sample(sorted(given), 3)}
        self._set(given)

    def _set(self, given: dict[str, object]) -> None:
        self.stage.log("the vendor", f"settings {given}")
        self.sandbox.settings(**given)
        for truth in self.truths:
            truth.shaken = self.stage.now

    def _creates(self) -> None:
        rng, now = self.rng, times.millis(self.stage.now)
        first, last = sorted((self.script._day(), self.script._day()))
        transfer_id = self.script.created_by_people()
        user = USER if rng.random() < 0.1 else PERSON
        days = DateSet.span(first, min(last, first + rng.choice([2, 10, 30])) + 1)
        with suppress(Refusal):
            made = self.truth.world.create(
                self.script.team_id, transfer_id, first, days.intervals[0][1] - 1, now, user
            )
            self._log(f"creates {made.id}: {transfer_id} {days!r} as {user}")

    def _cancels(self) -> None:
        self._person_cancels()

    def _runs_again(self) -> None:
        world, now = self.truth.world, times.millis(self.stage.now)
        failed = [one.id for one in world.backfills.values() if one.status(now, world.settings) == "FAILED"]
        if failed:
            with suppress(Refusal):
                again = self.rng.choice(failed)
                run_again(world, again, now)
                self._log(f"has {again} run again")

    def _pauses(self) -> None:
        transfer = self.truth.world.transfers[self.script.team_id, self.rng.choice(self.script.transfers)]
        self._change(transfer.id, state="active" if transfer.paused else "paused")

    def _reschedules(self) -> None:
        window, today = self.rng.choice([1, 2, 7, 8]), self.rng.random() < 0.4
        self._change(self.rng.choice(self.script.transfers), window=window, includes_today=today)

    def _change(self, transfer_id: int, **fields: object) -> None:
        self._log(f"changes {transfer_id}: {fields}")
        world = self.truth.world
        transfer = world.transfers[self.script.team_id, transfer_id]
        change_transfer(world, transfer, fields, times.millis(self.stage.now))

    # -- the state ---------------------------------------------------------------------------

    def _copies(self) -> None:
        if self._is_quiet() and Path(self.folder).is_dir():
            self._copy()

    def _copy(self) -> None:
        where = f"{self.folder}.copy"
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(self.folder, where)
        self.copies[self.turn] = (where, self.truth.memory.copied())
        self._log("copies the state")

    def _restores(self) -> None:
        copy = self.copies[self.turn]
        if copy is not None and self._is_quiet():
            self._log("puts an old copy of the state back")
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.copytree(copy[0], self.folder)
            self.truth.memory, self.truth.lost = copy[1].copied(), self.stage.now

    def _loses(self) -> None:
        if self._is_quiet():
            self._log("loses the state")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.truth.memory, self.truth.lost = Memory(), self.stage.now

    def _is_quiet(self) -> bool:
        """Tell whether nothing of ours is under way: whoever loses a state then loses what only it knew."""
        still = all(one.actor.over for one in self.processes)
        intended = max(self.truth.intended.values(), default=0.0)
        return still and not self.truth.late and self.stage.now > intended + self.script.settle

    def _retries(self) -> None:
        self._forget(self.rng.choice(self.script.transfers))

    def _accepts(self) -> None:
        with suppress(ReconcilerError):
            self._say(self.rng.choice(self.script.transfers), _accepted)

    def _forget(self, transfer_id: int) -> bool:
        """Say ``retry`` of all days of a transfer that it would help."""
        said: list[DateSet] = []

        def forgotten(ledger: TransferLedger, situation: Situation) -> Delta:
            said.append(union(held_up(ledger).values()))
            return forget(transfer_id, said[0], situation) if said[0] else Delta()

        with suppress(ReconcilerError):
            if self._say(transfer_id, forgotten):
                self._log(f"says retry of {transfer_id} {said[0]!r}")
                self.truth.forgive(transfer_id, said[0])
                return True
        return False

    # -- coming to rest ------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        self._set(dict(CALM))
        for number, script in enumerate(self.scripts):
            self._turn_to(number)
            self.before = script.as_of(self.stage.now)
            script.freeze(self.before + self.rng.choice([0, 0, 0, 10]))
            for transfer_id in script.transfers:
                if self.truth.world.transfers[script.team_id, transfer_id].paused:
                    self._change(transfer_id, state="active")
            self._wait(7200.0)
            self._rest()
            for _ in range(3):  # what is settled may show what else only people can
                if not self._speak():
                    break
                self._rest()
            self._check(self.processes[-1], spoken=True)
            self.truth.check_known(self.truth.document())

    def _rest(self) -> None:
        """Run until nothing moves any more; then all that the ledgers say must be true."""
        for day in range(RESTING):
            self._wait(86400.0 * (1 if day < 25 else 3))
            self._people_tidy(ours=False)
            calm = self._run_calmly()
            if not self._settle_by_hand() and not any(one.moving for one in self._rests(calm)):
                break
        self.stage.counts["runs to rest"] += day + 1
        self._check(calm, spoken=False)

    def _check(self, process: Process, *, spoken: bool) -> None:
        for rest in self._rests(process, spoken=spoken):
            for what in rest.untrue():
                self._fail(what)

    def _rests(self, process: Process, *, spoken: bool = False) -> list[Rest]:
        if process.first_plan is None:
            self._fail(f"a calm run ends with {process.error}")
        assert process.first_plan is not None
        situation = process.first_plan.situation
        return [Rest(self.truth, situation, one, self.before, spoken=spoken) for one in situation.ledgers]

    def _speak(self) -> int:
        """Let people do all that only they can: accept, retry, and do as the cures say."""
        last = self.processes[-1]
        assert last.first_plan is not None
        spoken = self._accept(last) + self._drop_predecessors(last)
        for ledger in last.first_plan.situation.ledgers:
            own = ledger.transfer.address.transfer_id
            if any(one.reason is Reason.NO_EVIDENCE for one in ledger.of(Bucket.BLOCKED)):
                self.script.change(own, evidence=EvidenceMode.BACKFILLS)
                spoken += 1
            if held_up(ledger):
                spoken += self._forget(own)
        return spoken


def _accepted(ledger: TransferLedger, situation: Situation) -> Delta:
    return accept(ledger, situation.document.serial) if ledger.evidence.has_unexplained else Delta()


STEPS = {
    "edits": 8,
    "shakes": 6,
    "creates": 5,
    "cancels": 2,
    "runs_again": 2,
    "joins": 1,
    "anew": 1,
    "pauses": 1,
    "reschedules": 1,
    "copies": 2,
    "restores": 3,
    "loses": 2,
    "retries": 1,
    "accepts": 1,
}
