"""Threads that drive the generators of ``transfer.py``: transfers in parallel, one write at a time each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, assert_never

from reconciler.api import wording
from reconciler.api.client import ApiClient
from reconciler.api.outcome import Done, DoneInPart, RateLimited, Rejected, Unknown, WriteOutcome
from reconciler.engine.clock import Clock
from reconciler.engine.effects import (
    Committed,
    Emit,
    Ending,
    Get,
    Intend,
    Pause,
    Probe,
    Reading,
    Record,
    SendCancel,
    SendCreate,
    Step,
    Stop,
    Suspect,
    Withheld,
)
from reconciler.engine.observe import answered_at, refuse_wrong_clocks
from reconciler.engine.sending import named
from reconciler.engine.session import StateSession
from reconciler.engine.stop import INTERRUPT_GRACE, StopSignal
from reconciler.engine.suspicion import Suspicion
from reconciler.engine.transfer import TransferApply
from reconciler.errors import Interrupted, KeyProblem, QuotaUsedUp, ReconcilerError
from reconciler.events import Doing, RunEvent, Sending, Waiting
from reconciler.model.deltas import Delta
from reconciler.model.memory import Intent
from reconciler.model.observed import Backfill, Unreadable

T = TypeVar("T")


@dataclass(slots=True)
class Executor:
    """Does the steps. ``holds_lock`` tells whether the lock is still ours, just before a write.

    ``signal`` is the team's own, whose parent is that of the whole run.
    """

    client: ApiClient
    session: StateSession
    clock: Clock
    signal: StopSignal
    on_event: Callable[[RunEvent], None]
    holds_lock: Callable[[], bool]
    suspicion: Suspicion = field(default_factory=Suspicion)
    _claims: set[int] = field(default_factory=set)
    _claiming: threading.Lock = field(default_factory=threading.Lock)

    def do(self, step: Step) -> object:  # noqa: C901 - one arm for each effect
        """Do one step and return its answer. The type check fails if one is forgotten."""
        match step:
            case Intend(intent=intent, also=also):
                return step.answered(self._intend(intent, also))
            case SendCreate(intent=intent, deadline=deadline):
                return step.answered(self._create(intent, deadline))
            case SendCancel(intent=intent, deadline=deadline):
                return step.answered(self._cancel(intent, deadline))
            case Probe(needed=needed) as probe:
                return step.answered(self._read(lambda: self._probe(probe), needed))
            case Get(backfill_id=backfill_id):
                return step.answered(_if_shown(self._read(lambda: self.client.get(backfill_id))))
            case Suspect(intent=intent, refusal=refusal):
                return step.answered(self._suspect(intent, refusal))
            case Record(delta=delta):
                self.session.record(delta)
            case Pause(seconds=seconds, why=why, transfer=transfer):
                self.on_event(Waiting(seconds, why, transfer))
                self.clock.sleep(seconds)
            case Emit(event=event):
                self.on_event(event)
            case Stop(error=error, everywhere=everywhere):
                self._stop(error, everywhere)
            case never:
                assert_never(never)
        return None

    def _intend(self, intent: Intent, also: Delta) -> Committed:
        if self.signal.off:
            return Committed.STOPPED
        return Committed.YES if self.session.intend(intent, also) else Committed.WITHDRAWN

    def _create(self, intent: Intent, deadline: float) -> WriteOutcome | Withheld:
        known = {*self.session.document.backfills}
        if intent.latest_before is not None:
            known.add(intent.latest_before)
        held = self._held_back(intent, deadline)
        if held:
            return held
        with self._writing(intent):
            answer = self.client.create(intent.transfer_id, intent.start, intent.end, known)
        return self._claimed(answer)

    def _claimed(self, answer: WriteOutcome) -> WriteOutcome:
        """Let one create alone have a backfill: two that are under way at once may be shown the same."""
        if isinstance(answer, Done | DoneInPart):
            with self._claiming:
                if answer.backfill.id in self._claims:
                    return Unknown("the answer shows what another create of this run has made")
                self._claims.add(answer.backfill.id)
        return answer

    def _cancel(self, intent: Intent, deadline: float) -> WriteOutcome | Withheld:
        assert intent.backfill_id is not None
        held = self._held_back(intent, deadline)
        if held:
            return held
        with self._writing(intent):
            return self.client.cancel(intent.backfill_id)

    @contextmanager
    def _writing(self, intent: Intent) -> Iterator[None]:
        self.on_event(Doing(intent.nonce, Sending(intent.transfer, intent.start, intent.end)))
        try:
            with self.signal.writing(intent.kind.value):
                yield
        finally:
            self.on_event(Doing(intent.nonce))

    def _held_back(self, intent: Intent, deadline: float) -> RateLimited | Withheld | None:
        """Wait for our turn; return why the request must not leave, or ``None``: it must leave at once.

        An interruption until then means that it was not sent; one that comes later passes through.
        """
        try:
            limited = self.client.wait_for_turn()
            if limited is not None:
                return limited
            return self._barred(intent, deadline)
        except Interrupted:
            return Withheld.STOPPED

    def _barred(self, intent: Intent, deadline: float) -> Withheld | None:
        """Return why a request may not leave now; ``None``: not stopped, the state still writable, the lock
        ours, the intent not settled by anybody, and in time by both clocks. Time is asked last, for the
        others may take a while to tell.
        """
        if self.signal.off or self.session.broken is not None:
            return Withheld.STOPPED
        if not self.holds_lock():
            return Withheld.LOCK_LOST
        if not self.session.still_intends(intent):
            return Withheld.SETTLED
        now = self.clock.now()
        in_time = intent.intended_at <= now < intent.send_before and self.clock.elapsed() < deadline
        return None if in_time else Withheld.LATE

    def _probe(self, probe: Probe) -> Reading | Unreadable:
        listing = refuse_wrong_clocks(self.client.list_incomplete(), self.clock.now())
        answered = answered_at(listing, self.clock.elapsed(), self.clock.now())
        until = max(listing.vendor_now, self.clock.now()).replace(microsecond=0) + timedelta(days=1)
        try:
            reading = Reading(
                listing.vendor_now,
                answered,
                listing.backfills,
                {source: _readable(self.client.latest(source)) for source in probe.sources},
                {one: _readable(self.client.runs(one, probe.runs_from, until)) for one in probe.runs_of},
                {shell: _readable(self.client.get(shell)) for shell in probe.shells},
                listing.undated,
            )
        except _NotReadable as failure:
            if probe.needed:
                self.signal.note(wording.unread(failure.answer))
            return failure.answer
        # The state last, for reading may take long: what another run made since is in it, or intended.
        self.session.catch_up()
        return reading

    def _read(self, read: Callable[[], T], needed: bool = False) -> T | None:
        """Read; ``None`` if that fails. What would meet the others too stops them: a used-up quota, a key."""
        try:
            return read()
        except QuotaUsedUp as error:
            self._stop(error, everywhere=True)
        except KeyProblem as error:
            self._stop(error, everywhere=False)
        except ReconcilerError as error:
            if needed:
                self._stop(error, everywhere=False)
        return None

    def _suspect(self, intent: Intent, refusal: Rejected) -> tuple[str, ...]:
        alike = self.suspicion.confirmed(intent, refusal)
        if alike:
            self._stop(wording.shared(refusal, named(intent), len(alike) > 1), everywhere=False)
        return alike

    def _stop(self, error: ReconcilerError, everywhere: bool) -> None:
        self.signal.stop(error)
        if everywhere and self.signal.parent is not None:
            self.signal.parent.stop()


class _NotReadable(Exception):
    def __init__(self, answer: Unreadable) -> None:
        super().__init__(answer.said)
        self.answer = answer


def _readable(answer: T | Unreadable) -> T:
    if isinstance(answer, Unreadable):
        raise _NotReadable(answer)
    return answer


def _if_shown(answer: Backfill | Unreadable | None) -> Backfill | None:
    return None if isinstance(answer, Unreadable) else answer


def drive(transfer: TransferApply, executor: Executor) -> Ending:
    """Drive one transfer's generator to its end."""
    steps = transfer.steps()
    answer: object = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            ending: Ending = end.value
            return ending
        answer = executor.do(step)


@dataclass(slots=True)
class _Workers:
    """The threads of one team's apply, and what became of their transfers."""

    transfers: dict[int, TransferApply]
    executor: Executor
    waiting: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    endings: dict[int, Ending] = field(default_factory=dict)
    crashes: list[BaseException] = field(default_factory=list)

    def work(self) -> None:
        """Take one transfer after the other, until none is left or a bug ends it all."""
        while not self.crashes:
            try:
                key = self.waiting.get_nowait()
            except queue.Empty:
                return
            self.endings[key] = Ending.STOPPED
            self._work_on(key)

    def _work_on(self, key: int) -> None:
        try:
            with self.executor.signal.stopping():
                self.endings[key] = drive(self.transfers[key], self.executor)
        except BaseException as crash:  # noqa: BLE001 - a bug: raised again in the caller's thread
            self.crashes.append(crash)
            self.executor.signal.stop()


def drive_all(transfers: dict[int, TransferApply], executor: Executor, parallelism: int) -> dict[int, Ending]:
    """Drive the transfers in their order, ``parallelism`` at a time, at least 1. Returns how each ended.

    The threads are daemons: an interrupted run does not wait for a request that hangs; its
    intent is durable.
    """
    assert parallelism >= 1
    executor.suspicion.writers = max(executor.suspicion.writers, len(transfers))
    workers = _Workers(transfers, executor)
    for key in transfers:
        workers.waiting.put(key)
    count = min(parallelism, len(transfers))
    threads = [threading.Thread(target=workers.work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    _join(threads, executor.signal)
    if workers.crashes:
        raise workers.crashes[0]
    return workers.endings


def _join(threads: list[threading.Thread], signal: StopSignal) -> None:
    """Wait for the workers; after an interruption, at most 5 seconds for requests in flight."""
    left = INTERRUPT_GRACE
    for thread in threads:
        while thread.is_alive():
            thread.join(0.05)
            if signal.interrupted:
                left -= 0.05
                if left <= 0:
                    return
