"""One schedule of trust from its seed: plans that are shown, kept and applied while the world moves."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from simulation_memory import Memory
from simulation_network import CALM as FAIR
from simulation_process import API, Flags
from simulation_script import NOW
from simulation_stage import Stage
from simulation_trust import KEYS, OTHER_KEY, Kept, Trial, TrustFlags, TrustScript
from simulation_trust_process import TrustProcess, shown_by
from simulation_trust_truth import TrustTruth
from simulation_truth import TEAM
from simulation_wide import CALM
from simulation_wide_schedule import WideSchedule

from reconciler.dates import DateSet, union
from reconciler.errors import Refused, StateError, StateForeign
from reconciler.formats.planfile import digest
from reconciler.model.desired import DesiredTeam, EvidenceMode, Limits, OnUnknown
from reconciler.model.memory import Intent, IntentKind, Outcome
from reconciler.planning.ledger import Bucket
from reconciler.sandbox import Sandbox, times
from reconciler.sandbox.responses import Refusal
from reconciler.stores.local import LocalStore

FIRST_TRUST = 2_000_000  # seeds from here on are of trust
PASSING = ("refused", "recent-request", "unresolved", "behind-unresolved")  # what blocks a day for a time
EXPIRY = 6 * 86400.0  # a plan is applied again while it is younger
RESTING = 45


class TrustSchedule(WideSchedule):
    """The play of one team, with its file, its state, and the plans that were kept of it."""

    def __init__(self, seed: int, folder: str, tracing: bool) -> None:
        self.trust = TrustScript(seed)
        self.scripts, self.rng = [self.trust], self.trust.draw
        self.stage = Stage(seed, NOW.timestamp(), tracing=tracing)
        scene = {
            "now": "2024-06-01T09:00:00Z",
            "settings": self.trust.settings(),
            "keys": KEYS,
            "teams": {TEAM: {"transfers": self.trust.scene()}},
        }
        clock = self.stage
        self.sandbox = Sandbox.in_memory(scene, clock=lambda: clock.now)
        self.folders = [f"{folder}/state"]
        lax = bool(self.trust.spread)
        self.held = TrustTruth(self.stage, self.sandbox, self.folders[0], self.trust.lag, lax, False)
        self.truths, self.copies = [self.held], [None]
        self.processes, self.saved = [], None
        self.kept: list[Kept] = []
        self.key = next(iter(KEYS))
        self.older: DesiredTeam | None = None
        self.waiting = Memory()
        self._uuids = random.Random(seed)
        self._turn_to(0)

    # -- the play --------------------------------------------------------------------------

    def _announce(self) -> None:
        rng, steps = self.rng, weights_of(self.trust.trial)
        when = self.stage.now + 1
        for _round in range(rng.choice([2, 3, 4, 4])):
            for _ in range(rng.choice([1, 1, 2, 3])):
                self.stage.at(when + rng.choice([0.0, 0.5, 5.0, 60.0]) * rng.random(), self._apply)
            if self.trust.trial is Trial.PROMPTS and rng.random() < 0.7:
                self.stage.at(when - 0.5, self._creates)
            for _ in range(rng.choice([1, 2, 3, 5])):
                (what,) = rng.choices(list(steps), weights=list(steps.values()))
                after = rng.choice([-0.5, 1.0, 30.0, 70.0, 400.0, 1500.0, 4000.0])
                self.stage.at(when + after * rng.random(), getattr(self, f"_{what}"))
            when += self._gap(when)

    def _gap(self, when: float) -> float:
        """Return the seconds to the next round; where schedules load at nine, it begins just before."""
        if self.trust.trial is Trial.WAITS and self.rng.random() < 0.7:
            days = (when - NOW.timestamp()) // 86400 + 1
            return NOW.timestamp() + days * 86400 + self.rng.choice([5.0, 40.0]) - when
        return self.trust.gap()

    def _new_process(self, name: str, flags: Flags) -> TrustProcess:
        team, given = self.trust.team(self.stage.now), replace(flags, key=self.key)
        return TrustProcess(name, self.stage, self.truth, team, self.folder, given, meanwhile=self._meanwhile)

    def _meanwhile(self, seconds: float) -> None:
        """Let the world move while a person thinks, or a run waits."""
        moves = MOVES.get(self.trust.trial, ("runs_again", "creates", "cancels", "copies_ours"))
        for what in self.rng.sample(moves, self.rng.choice([0, 1, 1, 2])):
            self.stage.at(self.stage.now + seconds * self.rng.random(), getattr(self, f"_{what}"))

    def _apply(self) -> None:
        flags = self.trust.flags(lock=self.rng.random() < 0.4)
        often = 0.7 if self.trust.trial is Trial.PLANS else 0.2
        if self.kept and self.rng.random() < often:
            self._start_kept(self.rng.randrange(len(self.kept)), flags, by_digest=self.rng.random() < 0.4)
        else:
            self._begin(flags)

    def _start_kept(self, number: int, flags: TrustFlags, *, by_digest: bool) -> TrustProcess:
        kept = self.kept[number]
        told = digest(kept.plan) if by_digest else None
        self.stage.log("a person", f"has plan {number} applied{' by its digest' if by_digest else ''}")
        return self._begin(replace(flags, answer=None, plan=number, digest=told), kept)

    def _begin(self, flags: TrustFlags, kept: Kept | None = None) -> TrustProcess:
        process = self._new_process(f"p{len(self.processes) + 1}", flags)
        process.kept = kept
        if self.older is not None and self.rng.random() < 0.5:
            process.team, self.older = self.older, None
        self.processes.append(process)
        self.stage.at(self.stage.now, process.actor)
        return process

    # -- what happens besides ------------------------------------------------------------------

    def _keeps(self) -> None:
        """Make a plan for later, as a pipeline does, on a machine with its own clock."""
        planner = self._new_process("planner", TrustFlags(False, self.trust.settle, FAIR))
        planner.flags = replace(planner.flags, dial=self.trust.dial(), slowness=0.0)
        plan = self._calmly(planner.keep)
        if plan is not None:
            self.stage.log("a person", f"keeps plan {len(self.kept)}: {sorted(shown_by(plan).creates)}")
            self.kept.append(Kept(plan, self.stage.now))

    def _calmly(self, act: Callable[[], object]) -> object:
        with suppress(Exception):
            return act()
        return None

    def _copies_ours(self) -> None:
        """Let a person make exactly a range of ours, whatever became of it; unpause what is paused first."""
        document = self.truth.document()
        intents = (
            [one for one in document.intents.values() if one.kind is IntentKind.CREATE] if document else []
        )
        if not intents:
            return
        intents.sort(key=lambda one: (one.intended_at, one.nonce))
        chosen: Intent = self.rng.choice([intents[-1], self.rng.choice(intents)])
        self._unpause(chosen.transfer_id)
        user, now = self.trust.hand(), times.millis(self.stage.now)
        with suppress(Refusal):
            made = self.truth.world.create(TEAM, chosen.transfer_id, chosen.start, chosen.end - 1, now, user)
            days = DateSet.span(chosen.start, chosen.end)
            self._log(f"creates {made.id} as we would: {chosen.transfer_id} {days!r} as {user}")

    def _unpause(self, transfer_id: int) -> None:
        if self.truth.world.transfers[TEAM, transfer_id].paused:
            self._change(transfer_id, state="active")

    def _rotates(self) -> None:
        self.key = OTHER_KEY if self.key != OTHER_KEY else next(iter(KEYS))
        self._log(f"rotates the key: {self.key}")

    def _restores(self) -> None:
        """Put the whole folder back, with the file that names what was committed last: nothing tells then
        that the copy is old but run lists, or, where they are never read, a backfill of one of our users.

        So it is excused, and no more, that what such a copy forgot is made again where no read shows it, and
        where it knows other users of ours, but not the one that made it: a stranger to it. While a request
        is on its way nothing is put back: only the state that was lost knew of it.
        """
        if not self.held.barred:
            super()._restores()

    def _loses(self) -> None:
        if not self.held.barred:
            super()._loses()

    def _anew(self) -> None:
        self.older = self.trust.team(self.stage.now)
        super()._anew()

    def _joins(self) -> None:
        self.older = self.trust.team(self.stage.now)
        super()._joins()

    def _copies(self) -> None:
        """Copy the state as it lies there, whoever writes it."""
        if Path(self.folder).is_dir() and not self.held.barred:
            self._copy()

    # -- states that come and go -----------------------------------------------------------------

    def _puts_back(self) -> None:
        """Put the database alone back, from an older copy: the folder still says what was committed since."""
        copy, name = self.copies[self.turn], f"team-{TEAM}.db"
        there = copy is not None and Path(copy[0], name).exists() and Path(self.folder).is_dir()
        if copy is None or not there or not self._is_quiet():
            return
        self._log("puts an older database back")
        self.held.memory.shown = self.truth.document()
        place = Path(self.folder, name)
        newer = place.read_bytes() if place.exists() else None
        shutil.copyfile(Path(copy[0], name), place)
        try:
            self._store().read()
        except StateForeign:  # of a state that was lost since: nothing goes on with it
            self.stage.counts["another lineage refused"] += 1
            place.unlink() if newer is None else place.write_bytes(newer)
        except StateError:
            self.held.barred, self.waiting = True, copy[1]
            self.stage.counts["old copy refused"] += 1
        else:
            self.held.forget(copy[1].copied())

    def _accepts_copy(self) -> None:
        """Go on with the older copy; it accepts no history."""
        if self.held.barred and self._is_quiet():
            self._log("accepts the older copy")
            revision = self._store().accept_old_copy()
            self.held.barred = False
            self.held.forget(self.waiting.copied())
            self.held.memory.old_copy, self.held.memory.serial = True, revision.serial

    def _pushes(self) -> None:
        """Push what a copy held. An older one is refused, for it would undo what is remembered."""
        copy = self.copies[self.turn]
        if copy is None or self.held.barred or not self._is_quiet():
            return
        document, _revision = LocalStore(copy[0], TEAM, API, "a person").read()
        if document is not None and document.lineage == self.held.memory.lineage:
            try:
                self._store().push(document)
            except Refused:
                self.stage.counts["push refused"] += 1
            else:
                self._log(f"pushes a copy of serial {document.serial}")
                self.stage.counts["pushed"] += 1

    def _store(self) -> LocalStore:
        return LocalStore(self.folder, TEAM, API, "a person")

    # -- coming to rest ------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        self._set(dict(CALM))
        self.older = None
        self._wait(2 * self.trust.settle)
        self._accepts_copy()
        self.before = self.trust.as_of(self.stage.now)
        self.trust.freeze(self.before)
        self.trust.limits = Limits(100, None, None, self.trust.limits.max_days_per_backfill)
        for _team, transfer_id in list(self.truth.world.transfers):
            self._unpause(transfer_id)
        self._wait(max(7200.0, 2 * self.trust.settle))
        self._check_doubts()
        self._finish_plans()
        self._rest()
        for _ in range(3):  # what is settled may show what else only people can
            if not self._speak():
                break
            self._rest()
        self._check(self.processes[-1], spoken=True)
        self.truth.check_known(self.truth.document())

    def _rest(self) -> None:
        for day in range(RESTING):
            self._wait(86400.0 * (1 if day < 25 else 3))
            self._people_tidy(ours=False)
            calm = self._run_calmly()
            if not self._settle_by_hand() and not any(
                one.moving or _passes(one) for one in self._rests(calm)
            ):
                break
        self.stage.counts["runs to rest"] += day + 1
        self._check(calm, spoken=False)

    def _people_tidy(self, *, ours: bool) -> None:
        """People cancel what failed and is not ours, as far as our state says."""
        world, now = self.truth.world, times.millis(self.stage.now)
        document = self.truth.document()
        known = document.backfills if document else {}
        for one in list(world.backfills.values()):
            mine = one.id in known and known[one.id].ours
            if one.status(now, world.settings) == "FAILED" and (ours or not mine):
                self._log(f"tidies up {one.id}")
                with suppress(Refusal):
                    world.cancel(one.team, one.id, now)

    def _check_doubts(self) -> None:
        """Settle time is over, and reads tell all: what is left in doubt, nothing could tell."""
        calm = self._run_calmly()
        document = self.truth.document()
        left = [one for one in document.intents.values() if one.pending] if document else []
        standing = {source for one in calm.team.of_the_files for source in one.source_ids}
        for intent in left:
            if (
                intent.kind is IntentKind.CREATE
                and not self._is_dark(intent)
                and intent.transfer_id in standing
            ):
                self._fail(f"{intent.transfer} {intent.dates} stays unresolved, though reads tell")
        creates = {one.transfer_id for one in left if one.kind is IntentKind.CREATE}
        named = standing | {*self.trust.previous.values()}
        if calm.statuses and 4 in calm.statuses and not creates & named:
            self._fail("status 4 for transfers that are in no file")

    def _is_dark(self, intent: Intent) -> bool:
        """Tell whether neither ``latest`` nor run lists can tell what became of a create."""
        blind = self.trust.file[intent.transfer_id].evidence is EvidenceMode.BACKFILLS
        records = self.truth.records(intent.transfer_id)
        running = any(self.truth.is_running(one) for one in records)
        return blind or running or self.trust.on_unknown is OnUnknown.BLOCK

    def _finish_plans(self) -> None:
        """A plan that was kept is finished by applying it again: nothing of it is left that nobody made."""
        for number, kept in enumerate(self.kept):
            if self.stage.now - kept.made > EXPIRY:
                continue
            for _again in range(3):
                process = self._start_kept(number, self._fair(), by_digest=False)
                self.stage.play()
                left = self._left_of(kept, process)
                if not left:
                    break
            if left:
                self._fail(f"plan {number}, applied again, leaves {left}")

    def _fair(self) -> TrustFlags:
        return TrustFlags(True, self.trust.settle, FAIR)

    def _left_of(self, kept: Kept, process: TrustProcess) -> str:
        if process.first_plan is None or not process.statuses or process.statuses - {3}:
            return ""
        fresh = self._calmly(self._new_process("planner", self._fair()).keep)
        due, approved = (shown_by(one) if one else None for one in (fresh, kept.plan))  # type: ignore[arg-type]
        if due is None or approved is None:
            return ""
        for transfer_id in {one for one, _start, _end in due.creates}:
            made = self._made_since(kept, transfer_id)
            left = due.days(transfer_id) & approved.days(transfer_id)
            if left - made:
                return f"{left - made!r} of {transfer_id} undone"
        return ""

    def _made_since(self, kept: Kept, transfer_id: int) -> DateSet:
        """Return the days that were made since a plan, or may have been as far as the state knows: what was
        refused, and what no list showed any more, may have been made, and be over; a person's exact copy may
        have been taken for ours (which ``_check_taken`` judges). Under that plan they are not made again.
        """
        world, intended = self.truth.world.backfills, self.truth.intended
        made = [number for number, sent in self.truth.made.items() if intended[sent.nonce] > kept.made]
        records = [world[number] for number in made if world[number].transfer == transfer_id]
        document = self.truth.document()
        since = (
            [one for one in document.intents.values() if intended[one.nonce] > kept.made] if document else []
        )
        taken = (Outcome.REFUSED, Outcome.DONE)
        told = (one for one in since if one.unlisted_at is not None or one.outcome in taken)
        perhaps = union(one.days for one in told if one.transfer_id == transfer_id)
        return perhaps | DateSet.days(day for one in records for day in range(one.start, one.end + 1))


def _passes(rest: object) -> bool:
    entries = rest.ledger.of(Bucket.BLOCKED)  # type: ignore[attr-defined]
    return any(entry.reason.value in PASSING for entry in entries)


STEPS = {
    "keeps": 3,
    "copies_ours": 3,
    "creates": 2,
    "cancels": 2,
    "edits": 2,
    "pauses": 2,
    "runs_again": 2,
    "rotates": 1,
    "copies": 1,
    "restores": 2,
    "puts_back": 1,
    "accepts_copy": 2,
    "pushes": 1,
    "loses": 1,
    "accepts": 1,
    "retries": 1,
}
MORE: dict[Trial, dict[str, int]] = {
    Trial.COPIES: {"copies_ours": 15, "pauses": 8, "rotates": 2},
    Trial.PROMPTS: {"cancels": 8, "creates": 8, "runs_again": 4},
    Trial.PLANS: {"keeps": 15, "runs_again": 3},
    Trial.WAITS: {"runs_again": 10, "creates": 6},
    Trial.GATEWAYS: {"retries": 15},
    Trial.STATES: {"copies": 10, "restores": 5, "puts_back": 8, "accepts_copy": 6, "pushes": 6, "loses": 2},
    Trial.FILES: {"anew": 8, "joins": 8},
}

MOVES = {
    Trial.PROMPTS: ("cancels", "cancels", "runs_again", "creates"),
    Trial.WAITS: ("runs_again", "runs_again", "creates", "cancels"),
}


def weights_of(trial: Trial) -> dict[str, int]:
    """Return how often each thing happens: what a trial is about, most of all."""
    return {**STEPS, **MORE.get(trial, {})}
