"""What really happened, by the sandbox's own records, and the promises held against it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulation_judge import Judge
from simulation_loads import NO_ENDING, Fate, counts, fate, loads, told_by_the_file
from simulation_memory import Amnesty, Conditions, Memory, Reading
from simulation_network import Sent, asked_for
from simulation_stage import Stage

from reconciler.bounds import INTENTS_KEPT
from reconciler.dates import DateSet, iso, last_iso, union
from reconciler.errors import StateError
from reconciler.http import Request, Response
from reconciler.model.deltas import Delta
from reconciler.model.desired import DesiredTransfer, EvidenceMode
from reconciler.model.memory import Document, Intent, IntentKind, Outcome
from reconciler.model.observed import Backfill as Seen
from reconciler.model.observed import Observed
from reconciler.planning.plan import Action, ActionKind
from reconciler.sandbox import Sandbox, times
from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.runs import COMPLETED, FAILED, Run
from reconciler.sandbox.world import World
from reconciler.stores.local import LocalStore

if TYPE_CHECKING:
    from simulation_process import Process

TEAM = 12345
API = "sandbox"


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
    committed: dict[str, float] = field(default_factory=dict)  # when its last commit as pending began
    senders: dict[str, str] = field(default_factory=dict)  # the key of who intended
    commits: int = 0
    team_id: int = TEAM
    memory: Memory = field(default_factory=Memory)
    shaken: float = 0.0  # when what reads show last changed
    lost: float = 0.0  # when a state was last lost, or put back from an older copy
    retried: dict[int, tuple[float, DateSet]] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)  # by a request of ours
    keys: set[str] = field(default_factory=set)  # that were used so far
    _read: tuple[object, Document | None] | None = None

    # -- the world -------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """The sandbox's world, advanced to now."""
        with self.sandbox._store.session() as session:
            session.world.advance(session.timeline.now(self.stage.now))
            return session.world

    def vendor(self, moment: float) -> float:
        """Return what the vendor's clock shows at a moment, in whole seconds."""
        return self.world.vendor_time(times.millis(moment)) // 1000

    def records(self, *transfer_ids: int) -> list[Backfill]:
        return [
            one
            for one in self.world.backfills.values()
            if one.transfer in transfer_ids and one.team == self.team_id
        ]

    def recurring(
        self, transfer_ids: Iterable[int], until: float, first: int = 1, last: int = 10**6
    ) -> list[tuple[int, Run]]:
        """Return the runs of the schedules, for data of ``first`` to ``last``, both inclusive."""
        transfers = self.world.transfers
        schedules = [(one, transfers[self.team_id, one]) for one in transfer_ids]
        return [
            (one, run)
            for one, transfer in schedules
            for run in transfer.recurring_runs(times.millis(until), first, last)
        ]

    def words(self, transfer_ids: Iterable[int], first: int, last: int) -> Iterator[tuple[int, float]]:
        """Yield the days whose newest run that did not complete neither failed nor was cancelled, and when
        that run was created. Days are ``first`` to ``last``, both inclusive.
        """
        now = times.millis(self.stage.now)
        for source in transfer_ids:
            newest: dict[int, Run] = {}
            for run in self.world.runs(self.team_id, source, first, last, now):
                known = newest.get(run.day)
                if run.status != COMPLETED and (
                    known is None or (run.created, run.id) > (known.created, known.id)
                ):
                    newest[run.day] = run
            for day, run in newest.items():
                if run.status not in (FAILED, *NO_ENDING) and not self.is_undated(source, day):
                    yield day, run.created / 1000

    def is_undated(self, transfer_id: int, day: int) -> bool:
        """Tell whether run lists show runs of a day without it."""
        return day in self.world.transfers[self.team_id, transfer_id].undated_days

    def is_echo(self, number: int) -> bool:
        """Tell whether a gateway made it of a create that had made one before, unknown to the state."""
        sent = self.made.get(number)
        if sent is None or all(one >= number for one, made in self.made.items() if made.nonce == sent.nonce):
            return False
        return not self.is_recorded_as_ours(number)

    def is_taken_for_ours(self, number: int) -> bool:
        """Tell whether a create of ours made it, or the state says so."""
        return number in self.made or self.is_recorded_as_ours(number)

    def is_recorded_as_ours(self, number: int) -> bool:
        document = self.document()
        record = document.backfills.get(number) if document else None
        return record is not None and record.ours

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
        """Read the state from the disk, as a stranger would; again only if its files changed."""
        files = (
            sorted(os.scandir(self.folder), key=lambda one: one.name) if os.path.isdir(self.folder) else []
        )
        stats = [(one.name, one.stat()) for one in files]
        seen = tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
        if self._read is None or self._read[0] != seen:
            self._read = seen, LocalStore(self.folder, self.team_id, API, "witness").read()[0]
        return self._read[1]

    def check_state(self, who: str) -> Document | None:
        """The state parses; its serial only grows; its lineage stays; evidence never shrinks."""
        try:
            document = self.document()
        except StateError as error:
            self.stage.violate(f"after {who}: the state does not parse: {error.summary}: {error.detail}")
        if document is None:
            if self.memory.serial:
                self.stage.violate(f"after {who}: the state is gone")
            return None
        if document.serial < self.memory.serial:
            self.stage.violate(f"after {who}: serial {document.serial} after {self.memory.serial}")
        if self.memory.lineage and document.lineage != self.memory.lineage:
            self.stage.violate(f"after {who}: the lineage changed")
        self.memory.serial, self.memory.lineage = document.serial, document.lineage
        self._check_evidence(who, document)
        self._check_outcomes(who, document)
        return document

    def _check_outcomes(self, who: str, document: Document) -> None:
        """What was done is never called undone again."""
        for nonce in self.memory.done:
            intent = document.intents.get(nonce)
            if intent is not None and intent.outcome is not Outcome.DONE:
                self.stage.violate(f"after {who}: intent {nonce} was done, and is {intent.outcome.value}")
        self.memory.done.update(one.nonce for one in document.intents.values() if one.outcome is Outcome.DONE)

    def _check_evidence(self, who: str, document: Document) -> None:
        loaded = {one.id: one.evidence.loaded for one in document.backfills.values()}
        for key, days in self.memory.loaded.items():
            if days - loaded.get(key, DateSet()):
                self.stage.violate(f"after {who}: the state forgot that backfill {key} loaded days")
        self.memory.loaded = loaded
        for number in document.backfills:
            self.memory.recorded.setdefault(number, self.stage.now)
        self.memory.made.update(
            one.id for one in document.backfills.values() if one.ours and one.id in self.made
        )
        for key, known in document.users.items():
            self.memory.users.setdefault(known.user_id, self.stage.now)
            self.memory.keys.setdefault(key, self.stage.now)

    def note_intended(self, delta: Delta, key: str) -> None:
        """Note when intents are about to be committed, and by whose key: who is killed meanwhile may have
        done so.
        """
        for intent in delta.intents:
            self.intended.setdefault(intent.nonce, self.stage.now)
            self.senders.setdefault(intent.nonce, key)
            if intent.pending:
                self.committed[intent.nonce] = self.stage.now

    def check_commit(self, process: Process, delta: Delta) -> None:
        """Look at some of the commits; those before a request are looked at anyway."""
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
        intent = max(fitting, key=lambda one: (one.pending, one.intended_at))  # clocks are apart
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
            process.team.as_of,
            process.conditions,
            process.surveyed,
        )

    def _is_mistaken(self, intent: Intent) -> bool:
        """Tell whether another run took a person's backfill of exactly its days for this create's.

        Nobody can tell them apart: the API knows no idempotency key.
        """
        return intent.outcome is Outcome.DONE and intent.backfill_id not in self.made

    def was_mistaken(self, sent: Sent) -> bool:
        document = self.document()
        intent = document.intents.get(sent.nonce) if document else None
        return intent is not None and self._is_mistaken(intent)

    def check_cancel_intended(self, process: Process, request: Request) -> None:
        number = int(request.path.rpartition("/")[2])
        self._note_retry(self.world.backfills[number])
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

    def _note_retry(self, record: Backfill) -> None:
        """An attempt that failed stays one, also once we have cancelled it."""
        now = self.stage.now
        ended = record.ended(times.millis(now))
        if record.removed is None and ended is not None:
            days = DateSet.days(
                day for day in range(record.start, record.end + 1) if fate(record, day, now) is Fate.FAILED
            )
            self.retried[record.id] = (ended / 1000, days)

    def deliver(self, sent: Sent, send: Callable[[], Response]) -> Response:
        """Let the API have a create, and judge what came of it."""
        before = set(self.world.backfills)
        answer = send()
        self.late.pop(sent.nonce, None)
        for number in sorted(set(self.world.backfills) - before):
            again = any(one.nonce == sent.nonce for one in self.made.values())
            self.made[number] = sent
            self.memory.made.add(number)
            self.stage.log(
                "the API", f"backfill {number} exists: {sent.transfer_id} {_range(sent.start, sent.end)}"
            )
            if not again:  # else a gateway's own doing
                Judge(self, sent, transfer_of(sent), self.world.backfills[number]).judge()
        return answer

    def deliver_cancel(self, request: Request, send: Callable[[], Response]) -> Response:
        """Let the API have a cancel, and note whether it was this one that cancelled."""
        number = int(request.path.rpartition("/")[2])
        before = self.world.backfills[number].removed
        answer = send()
        if before is None and self.world.backfills[number].removed is not None:
            self.cancelled.add(number)
        return answer

    # -- when a process ended --------------------------------------------------------------

    def check_ended(self, process: Process) -> None:
        document = self.check_state(process.name)
        self.check_known(document)
        if process.statuses is None or process.statuses:
            return
        for action in process.first_plan.plan.actions if process.first_plan else ():
            self._check_done(process, action)

    def check_known(self, document: Document | None) -> None:
        """Every create of ours that the vendor holds is in the state, or in an intent; of one whose intent is
        too old to be kept, what it loaded is.
        """
        for number, sent in self.made.items():
            if number not in self.memory.made or (document is not None and number in document.backfills):
                continue
            intents = document.intents.values() if document else ()
            kept = any(_is_of(one, sent.transfer_id, sent.start, sent.end) for one in intents)
            if not kept and (document is None or not self._is_remembered(number, sent, document)):
                self.stage.violate(f"backfill {number} is ours, and the state knows nothing of it")

    def _is_remembered(self, number: int, sent: Sent, document: Document) -> bool:
        """Tell whether a create's intent is too old to be kept, and the state knows each day it loaded or the
        vendor holds it no longer.
        """
        now, record = self.stage.now, self.world.backfills[number]
        held = record.shows(0, times.millis(now), self.world.settings)
        days = range(record.start, record.end + 1)
        loaded = DateSet.days(day for day in days if fate(record, day, now) is Fate.LOADED)
        known = union(
            DateSet.span(load.start, load.end)
            for load in document.loads.values()
            if load.transfer_id == record.transfer
        )
        old = now - self.intended[sent.nonce] > INTENTS_KEPT.total_seconds()
        return old and not (held and loaded - known)

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
        yield DateSet.days(run.day for _source, run in self.recurring(transfer_ids, self.stage.now))

    def loaded_days(self, transfer: DesiredTransfer, as_of: int, zone: str) -> DateSet:
        """Return the days that are loaded, and whose load counts for this file."""
        if not transfer.days:
            return DateSet()
        first, last = transfer.days.first(), transfer.segments[-1].end - 1
        found = [
            load.day
            for load in loads(self, transfer, first, last, at_most=True)
            if counts(self, load, transfer, as_of, zone, kind=True)
        ]
        return DateSet.days([*found, *(day for day in transfer.days if told_by_the_file(transfer, day))])

    def mistaken_under(self, record: Backfill | None) -> float | None:
        """Return the ``stale_before`` that a backfill mistaken for ours was made under."""
        document = self.document() if record is not None else None
        known = document.backfills.get(record.id) if document and record else None
        mistaken = known is not None and known.ours and known.stale_before is not None
        return known.stale_before.timestamp() if known and mistaken and known.stale_before else None

    # -- what a state was shown ----------------------------------------------------------------

    def conditions(self) -> Conditions:
        """Return how run lists are to be read now."""
        settings = self.world.settings
        keep = settings.runs_retention_days
        return Conditions(
            settings.runs_readable and not self.blind,
            float(settings.runs_lag_seconds),
            None if keep is None else keep * 86400.0,
        )

    def remember(self, process: Process, observed: Observed) -> None:
        """A survey is committed: what it was shown is known from now on."""
        answers = (*observed.listed, *observed.latest.values(), *observed.fetched.values())
        seen = [one for one in answers if isinstance(one, Seen)]
        self.memory.seen.update((one.id, process.surveyed) for one in seen)
        modes = ((one.evidence, one.source_ids) for one in process.team.transfers)
        told = {source for mode, sources in modes if mode is EvidenceMode.RUNS for source in sources}
        self.memory.explained.update(one.id for one in seen if one.transfer_id in told)
        if self.shaken >= process.surveyed:
            return
        for source, answer in observed.runs.items():
            if isinstance(answer, tuple) and source in process.asked:
                first = process.asked[source]
                self.memory.readings.append(Reading(source, process.surveyed, first, process.conditions))

    def forgive(self, transfer_id: int, days: DateSet) -> None:
        self.memory.amnesties.append(Amnesty(transfer_id, days, self.stage.now))


def transfer_of(sent: Sent) -> DesiredTransfer:
    (found,) = [one for one in sent.process.team.transfers if one.address.transfer_id == sent.transfer_id]
    return found


def unresolved(document: Document) -> Iterable[Intent]:
    return [one for one in document.intents.values() if one.pending and one.kind is IntentKind.CREATE]


def _is_of(intent: Intent, transfer_id: int, start: int, end: int) -> bool:
    return (intent.transfer_id, intent.start, intent.end) == (transfer_id, start, end)


def _range(start: int, end: int) -> str:
    return f"{iso(start)}..{last_iso(end)}"
