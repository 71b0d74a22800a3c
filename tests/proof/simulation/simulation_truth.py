"""What really happened, by the sandbox's own records, and the promises held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from simulation_network import Sent, asked_for
from simulation_stage import Stage

from reconciler.dates import DateSet, iso, last_iso, union
from reconciler.errors import StateError
from reconciler.http import Request, Response
from reconciler.model.desired import DesiredTransfer, EvidenceMode
from reconciler.model.memory import Delta, Document, Intent, IntentKind, Outcome
from reconciler.planning.plan import Action, ActionKind
from reconciler.sandbox import Sandbox, times
from reconciler.sandbox.backfill import COMPLETED, Backfill, Run
from reconciler.sandbox.world import World
from reconciler.stores.local import LocalStore

if TYPE_CHECKING:
    from simulation_process import Process

TEAM = 12345
API = "sandbox"


class Fate(Enum):
    """What became of a day of a backfill, or will if nobody cancels it."""

    AHEAD = auto()
    LOADED = auto()
    FAILED = auto()
    DROPPED = auto()


def fate(record: Backfill, day: int, now: float) -> Fate:
    """Return the fate of a day by the sandbox's own arithmetic. The world must be advanced to ``now``."""
    if not record.keeps(day):
        return Fate.DROPPED
    if record.run_end(day) > times.millis(now):
        return Fate.AHEAD
    return Fate.LOADED if record.verdicts.get(day) is None else Fate.FAILED


@dataclass
class Truth:
    """``made`` maps each backfill that a create of ours made to that create. ``lax``: clocks differ, or
    senders are held up for longer than they may be. ``blind``: run lists cannot be read.
    """

    stage: Stage
    sandbox: Sandbox
    folder: str
    lag: float
    lax: bool
    blind: bool
    judging: bool = True
    made: dict[int, Sent] = field(default_factory=dict)
    late: dict[str, float] = field(default_factory=dict)
    intended: dict[str, float] = field(default_factory=dict)
    serial: int = 0
    lineage: str = ""
    loaded: dict[int, DateSet] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    commits: int = 0

    # -- the world -------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """The sandbox's world, advanced to now."""
        with self.sandbox._store.session() as session:
            session.world.advance(session.timeline.now(self.stage.now))
            return session.world

    def records(self, *transfer_ids: int) -> list[Backfill]:
        return [one for one in self.world.backfills.values() if one.transfer in transfer_ids]

    def recurring(
        self, transfer_ids: Iterable[int], until: float, first: int = 1, last: int = 10**6
    ) -> list[Run]:
        """Return the runs of the schedules, for data of ``first`` to ``last``, both inclusive."""
        schedules = [self.world.transfers[TEAM, one] for one in transfer_ids]
        return [run for one in schedules for run in one.recurring_runs(times.millis(until), first, last)]

    def known_id(self) -> int | None:
        """Return an id that the state knows."""
        document = self.document()
        return min(document.backfills, default=None) if document else None

    def is_running(self, record: Backfill) -> bool:
        """Tell whether runs of it may still begin; a FAILED shell may block others, and have none."""
        days = range(record.start, record.end + 1)
        return record.removed is None and any(fate(record, day, self.stage.now) is Fate.AHEAD for day in days)

    # -- the state -------------------------------------------------------------------------

    def document(self) -> Document | None:
        """Read the state from the disk, as a stranger would."""
        return LocalStore(self.folder, TEAM, API, "witness").read()[0]

    def check_state(self, who: str) -> Document | None:
        """The state parses; its serial only grows; its lineage stays; evidence never shrinks."""
        try:
            document = self.document()
        except StateError as error:
            self.stage.violate(f"after {who}: the state does not parse: {error.summary}: {error.detail}")
        if document is None:
            if self.serial:
                self.stage.violate(f"after {who}: the state is gone")
            return None
        if document.serial < self.serial:
            self.stage.violate(f"after {who}: serial {document.serial} after {self.serial}")
        if self.lineage and document.lineage != self.lineage:
            self.stage.violate(f"after {who}: the lineage changed")
        self.serial, self.lineage = document.serial, document.lineage
        self._check_evidence(who, document)
        self._check_outcomes(who, document)
        return document

    def _check_outcomes(self, who: str, document: Document) -> None:
        """What was done is never called undone again."""
        for nonce in self.done:
            intent = document.intents.get(nonce)
            if intent is not None and intent.outcome is not Outcome.DONE:
                self.stage.violate(f"after {who}: intent {nonce} was done, and is {intent.outcome.value}")
        self.done.update(one.nonce for one in document.intents.values() if one.outcome is Outcome.DONE)

    def _check_evidence(self, who: str, document: Document) -> None:
        loaded = {one.id: one.evidence.loaded for one in document.backfills.values()}
        for key, days in self.loaded.items():
            if days - loaded.get(key, DateSet()):
                self.stage.violate(f"after {who}: the state forgot that backfill {key} loaded days")
        self.loaded = loaded

    def check_commit(self, process: Process, delta: Delta) -> None:
        """Look at some of the commits; those before a request are looked at anyway."""
        for intent in delta.intents:
            self.intended.setdefault(intent.nonce, self.stage.now)
        self.commits += 1
        if self.commits % 4 == 0:
            self.check_state(process.name)

    # -- what leaves -----------------------------------------------------------------------

    def check_create_intended(self, process: Process, request: Request) -> Sent:
        """No create leaves without a durable pending intent that names it."""
        transfer_id, start, end = asked_for(request)
        document = self.check_state(process.name)
        fitting = [
            one
            for one in (document.intents.values() if document else ())
            if one.kind is IntentKind.CREATE and _is_of(one, transfer_id, start, end)
            if one.pending or self._is_mistaken(one)
        ]
        if not fitting:
            self.stage.violate(f"{process.name} sends {request.path} {request.json} without an intent")
        intent = max(fitting, key=lambda one: one.intended_at)
        stale = intent.stale_before.timestamp() if intent.stale_before else None
        at = self.stage.now
        return Sent(
            process,
            transfer_id,
            start,
            end,
            intent.nonce,
            intent.intended_at.timestamp(),
            stale,
            process.surveyed,
            at,
        )

    def _is_mistaken(self, intent: Intent) -> bool:
        """Tell whether another run took a person's backfill of exactly its days for this create's.

        Nobody can tell them apart: the API knows no idempotency key.
        """
        return intent.outcome is Outcome.DONE and intent.backfill_id not in self.made

    def _was_mistaken(self, sent: Sent) -> bool:
        document = self.document()
        intent = document.intents.get(sent.nonce) if document else None
        return intent is not None and self._is_mistaken(intent)

    def check_cancel_intended(self, process: Process, request: Request) -> None:
        number = int(request.path.rpartition("/")[2])
        document = self.check_state("a cancel")
        intents = [
            one for one in (document.intents.values() if document else ()) if one.backfill_id == number
        ]
        # Another run may have seen it final meanwhile: then the cancel was settled as done.
        settled = [Outcome.PENDING, Outcome.DONE]
        if self.lax:  # another run thought its time had passed; to cancel it all the same costs no day
            settled.append(Outcome.ABANDONED)
        if not any(one.kind is IntentKind.CANCEL and one.outcome in settled for one in intents):
            self.stage.violate(f"the cancel of {number} leaves without an intent")
        predecessors = {source for one in process.team.transfers for source in one.previous_ids}
        if (
            not document
            or not document.backfills[number].ours
            or self.world.backfills[number].transfer in predecessors
        ):
            self.stage.violate(f"backfill {number} is not ours, and is cancelled")

    def deliver(self, sent: Sent, send: Callable[[], Response]) -> Response:
        """Let the API have a create, and judge what came of it."""
        before = set(self.world.backfills)
        answer = send()
        self.late.pop(sent.nonce, None)
        for number in sorted(set(self.world.backfills) - before):
            again = any(one.nonce == sent.nonce for one in self.made.values())
            self.made[number] = sent
            self.stage.log(
                "the API", f"backfill {number} exists: {sent.transfer_id} {_range(sent.start, sent.end)}"
            )
            if not again:  # else a gateway's own doing
                self._check_created(sent, self.world.backfills[number])
        return answer

    # -- exactly once ----------------------------------------------------------------------

    def _check_created(self, sent: Sent, record: Backfill) -> None:
        transfer = transfer_of(sent)
        days = DateSet.span(record.start, record.end + 1)
        extra = days - (transfer.days & DateSet.span(0, transfer.loadable_until))
        if extra:
            self.stage.violate(f"backfill {record.id} creates undeclared days")
        if not self.judging:
            return
        for other in self.records(*transfer.source_ids):
            if other.id == record.id:
                continue
            for day in range(max(other.start, record.start), min(other.end, record.end) + 1):
                self._check_again(sent, transfer, record, other, day)
        self._check_recurring(sent, transfer, record)

    def _check_again(
        self, sent: Sent, transfer: DesiredTransfer, record: Backfill, other: Backfill, day: int
    ) -> None:
        """A day may be in two backfills only if the first failed, dropped or no longer counts."""
        became = fate(other, day, self.stage.now)
        if became in (Fate.FAILED, Fate.DROPPED) or not self._counts(sent, transfer, other, day):
            return
        if other.id not in self.made and not self._knowable(sent, transfer, other):
            return
        if other.id in self.made and self.made[other.id].nonce == sent.nonce:
            return
        if other.transfer != sent.transfer_id and self._was_intended_later(other, sent):
            return
        if self._was_mistaken(sent) or (other.id in self.made and self._was_mistaken(self.made[other.id])):
            self.stage.counts["mistaken"] += 1
            return
        words = f"{became.name} in backfill {other.id}, and again in {record.id}"
        self.stage.violate(f"{iso(day)} of {sent.transfer_id}: {words}")

    def _was_intended_later(self, other: Backfill, sent: Sent) -> bool:
        """Tell whether a run with an older file, which does not know of its successor, came after us."""
        made = self.made.get(other.id)
        return made is not None and self.intended[made.nonce] >= self.intended[sent.nonce]

    def _counts(self, sent: Sent, transfer: DesiredTransfer, other: Backfill, day: int) -> bool:
        """Tell whether a load by ``other`` still counts for the file of the one who sent."""
        since = stale_before(transfer, day)
        if since is None:
            return True
        made = self.made.get(other.id)
        if made is not None and made.stale_before is not None and made.stale_before >= since:
            return True
        return self.world.vendor_time(other.created) // 1000 >= since

    def _knowable(self, sent: Sent, transfer: DesiredTransfer, other: Backfill) -> bool:
        """What people made after the survey, or without run lists, could not be known."""
        if self.blind or transfer.evidence is EvidenceMode.BACKFILLS:
            return False
        return other.created / 1000 + self.lag < sent.surveyed

    def _check_recurring(self, sent: Sent, transfer: DesiredTransfer, record: Backfill) -> None:
        if self.blind or transfer.evidence is EvidenceMode.BACKFILLS:
            return
        for run in self.recurring(transfer.source_ids, sent.surveyed, record.start, record.end):
            since = stale_before(transfer, run.day)
            counts = since is None or self.world.vendor_time(run.created) // 1000 >= since
            if run.status == COMPLETED and counts:
                self.stage.violate(f"{iso(run.day)} was loaded by the schedule, and is created again")

    # -- when a process ended --------------------------------------------------------------

    def check_ended(self, process: Process) -> None:
        document = self.check_state(process.name)
        self.check_known(document)
        if process.statuses is None or process.statuses:
            return
        for action in process.first_plan.plan.actions if process.first_plan else ():
            self._check_done(process, action)

    def check_known(self, document: Document | None) -> None:
        """Every create of ours that the vendor holds is in the state, or in an intent."""
        for number, sent in self.made.items():
            if document is not None and number in document.backfills:
                continue
            intents = document.intents.values() if document else ()
            if not any(_is_of(one, sent.transfer_id, sent.start, sent.end) for one in intents):
                self.stage.violate(f"backfill {number} is ours, and the state knows nothing of it")

    def _check_done(self, process: Process, action: Action) -> None:
        """Exit 0: what the plan said was carried out, or found already done."""
        if action.kind is ActionKind.CANCEL:
            for number in action.cancels:
                if number in self.world.backfills and self.is_running(self.world.backfills[number]):
                    self.stage.violate(f"{process.name} exits 0, and backfill {number} is not cancelled")
            return
        done = union(self._attempted(process, process.sources(action.address.transfer_id)))
        left = action.days - done
        if left:
            words = f"{action.transfer} {_range(left.first(), left.first() + 1)}"
            self.stage.violate(f"{process.name} exits 0, and {words} was neither created nor found done")

    def _attempted(self, process: Process, transfer_ids: tuple[int, ...]) -> Iterator[DateSet]:
        """Yield the days that are loaded or active, or were tried since the process began."""
        for one in self.records(*transfer_ids):
            if one.created / 1000 >= process.started - self.lag - 900:
                yield DateSet.span(one.start, one.end + 1)
            wanted = (Fate.AHEAD, Fate.LOADED)
            yield DateSet.days(
                day for day in range(one.start, one.end + 1) if fate(one, day, self.stage.now) in wanted
            )
        yield DateSet.days(run.day for run in self.recurring(transfer_ids, self.stage.now))

    def loaded_days(self, transfer: DesiredTransfer) -> DateSet:
        """Return the days that are loaded, and whose load counts for this file."""
        now, found = self.stage.now, []
        for one in self.records(*transfer.source_ids):
            for day in range(one.start, one.end + 1):
                if fate(one, day, now) is Fate.LOADED and self._load_counts(transfer, one, day):
                    found.append(day)
        for run in self.recurring(transfer.source_ids, now):
            since = stale_before(transfer, run.day)
            if run.status == COMPLETED and (
                since is None or self.world.vendor_time(run.created) // 1000 >= since
            ):
                found.append(run.day)
        return DateSet.days(found)

    def _load_counts(self, transfer: DesiredTransfer, one: Backfill, day: int) -> bool:
        since, under = stale_before(transfer, day), self._made_under(one)
        ours = under is not None and since is not None and under >= since
        loaded_at = max(self.world.vendor_time(one.scheduled), one.scheduled) // 1000
        return since is None or ours or loaded_at >= since

    def _made_under(self, one: Backfill) -> float | None:
        """Return the ``stale_before`` that a backfill of ours, or one mistaken for ours, was made under."""
        if one.id in self.made:
            return self.made[one.id].stale_before
        document = self.document()
        record = document.backfills.get(one.id) if document else None
        mistaken = record is not None and record.ours and record.stale_before is not None
        return record.stale_before.timestamp() if mistaken else None


def transfer_of(sent: Sent) -> DesiredTransfer:
    (found,) = [one for one in sent.process.team.transfers if one.address.transfer_id == sent.transfer_id]
    return found


def stale_before(transfer: DesiredTransfer, day: int) -> float | None:
    for segment in transfer.segments:
        if segment.start <= day < segment.end:
            return segment.stale_before.timestamp() if segment.stale_before else None
    return None


def unresolved(document: Document) -> Iterable[Intent]:
    return [one for one in document.intents.values() if one.pending and one.kind is IntentKind.CREATE]


def _is_of(intent: Intent, transfer_id: int, start: int, end: int) -> bool:
    return (intent.transfer_id, intent.start, intent.end) == (transfer_id, start, end)


def _range(start: int, end: int) -> str:
    return f"{iso(start)}..{last_iso(end)}"
