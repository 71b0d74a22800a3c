"""The state during an apply: one document, many workers, commits merged into one (group commit).

Safety is the compare-and-set. After a conflict the document is read again: outcomes are
committed again as they are, an intent only if nobody else intends or made a day of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.errors import Interrupted, StateConflict, StateForeign
from reconciler.model.deltas import Delta, apply_delta
from reconciler.model.memory import NONCES_KEPT, BackfillRecord, Document, Intent, Load, LoadKey, Outcome
from reconciler.planning.evidence import merge, what_stays
from reconciler.planning.intents import is_taken
from reconciler.stores.base import Revision, StateStore
from reconciler.stores.ownership import knows
from reconciler.uptime import uptime

MAX_CONFLICTS = 100
# A commit that takes longer is slow (a push is, a transaction is not): the next one waits a quarter of that,
# at most so long, for what follows from the last group: ten creates at once take two pushes then, not five.
SLOW = 0.1  # seconds
LONGEST_GATHERING = 0.3  # seconds


@dataclass(slots=True)
class _Change:
    """A worker's change on its way into the state."""

    delta: Delta
    intent: Intent | None = None
    done: bool = False
    withdrawn: bool = False
    error: Exception | None = None


@dataclass(slots=True)
class StateSession:
    """The committed document, shared by the workers of one team.

    ``known`` are the keys (nonces, backfill ids) that the plan was made with, and our own;
    anything else in the document came from another run since. ``broken`` is why a commit
    failed for good: nothing may be sent after it. ``unsaved`` are the outcomes that could not
    be committed: ``emergency.py`` saves them elsewhere.
    """

    store: StateStore
    document: Document
    revision: Revision
    _known: set[str | int] = field(default_factory=set)
    _known_loads: Mapping[LoadKey, Load] = field(default_factory=dict)
    _others_changes: tuple[Intent | BackfillRecord | Load, ...] = ()
    _queue: list[_Change] = field(default_factory=list)
    _arriving: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _begun: int = 0  # the number of the newest look or commit, and of the newest that succeeded
    _proved: int = 0
    _took: float = 0.0
    _together: int = 1
    broken: Exception | None = None
    unsaved: list[Delta] = field(default_factory=list)

    @staticmethod
    def open(store: StateStore, blank: Document) -> StateSession:
        """Read the state; ``blank`` stands in where there is none yet."""
        document, revision = store.read()
        session = StateSession(store, document or blank, revision)
        session.plan_from_here()
        return session

    @property
    def is_new(self) -> bool:
        return self.document.serial == 0

    def plan_from_here(self) -> None:
        """Take what the document holds now as known: a plan is about to be made from it."""
        self._known = {*self.document.intents, *self.document.backfills}
        self._known_loads = self.document.loads
        self._others_changes = ()

    def is_anothers(self, intent: Intent) -> bool:
        """Tell whether another run committed an intent since the plan was made: that run tells of it."""
        return intent.nonce not in self._known

    def reread(self) -> None:
        """Read what another run committed; what is new in it is remembered as another's."""
        self._begun = number = self._begun + 1
        document, revision = self.store.read()
        self._check_lineage(document)
        self._proved = number
        if document is None:
            return
        self.document, self.revision = document, revision
        everything: tuple[Intent | BackfillRecord, ...] = (
            *document.intents.values(),
            *document.backfills.values(),
        )
        loads = (load for key, load in document.loads.items() if self._known_loads.get(key) != load)
        self._others_changes = (*(one for one in everything if _key(one) not in self._known), *loads)

    def catch_up(self) -> None:
        """Know what other runs have committed by now, between two commits of our own workers.

        Whoever waits is served by a read that began after it asked, or by a commit of ours that did, and
        landed: so nobody committed in between. Ten workers take one look at a slow store, not ten.
        """
        asked = self._begun
        with self._writing:
            if self._proved <= asked:
                self.reread()

    def still_intends(self, intent: Intent) -> bool:
        """Read whether an intent is pending yet: a person, or another run, may have settled it."""
        self.catch_up()
        known = self.document.intents.get(intent.nonce)
        return known is not None and known.pending

    def _check_lineage(self, document: Document | None) -> None:
        """Refuse to go on with a state that vanished or was replaced during the run.

        The serial alone does not tell: an older copy that was put back may have grown again since.
        """
        if self.is_new:
            return
        if document is not None and document.serial < self.document.serial:
            raise StateForeign(
                "The state was replaced",
                f"It is an older copy: serial {document.serial}, and this run had {self.document.serial}.",
                "Put the newer one back, then run again.",
            )
        if document is None or document.lineage != self.document.lineage:
            detail = "The state that this run started with is gone."
            raise StateForeign(
                "The state was replaced", detail, "Restore it from its backup, then run again."
            )
        if document.serial - self.document.serial < NONCES_KEPT and not knows(document, self.document):
            raise StateForeign(
                "The state was replaced",
                f"Serial {document.serial} lacks what was committed as serial {self.document.serial}: "
                "an older copy was put back, and other runs went on with it.",
                "Put the newer one back, then run again.",
            )

    def commit_alone(self, delta: Delta) -> bool:
        """Commit a reading of the API; False if somebody else was first (read again, decide again)."""
        if not delta:
            return True
        try:
            self._write(delta)
        except StateConflict:
            self.reread()
            return False
        return True

    def record(self, delta: Delta) -> None:
        """Commit an outcome. Raises ``StateUnwritable`` if it cannot be made durable."""
        try:
            self._submit(_Change(delta))
        except Exception:
            self.unsaved.append(delta)
            raise

    def intend(self, intent: Intent, also: Delta) -> bool:
        """Commit an intent; False if it was withdrawn because another run has some of its days. It is stamped
        with the serial of the state that it is committed on.
        """
        change = _Change(also, intent)
        self._submit(change)
        return not change.withdrawn

    def _submit(self, change: _Change) -> None:
        with self._arriving:
            self._queue.append(change)
        with self._writing:
            if not change.done:
                self._gather()
                with self._arriving:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if change.error is not None:
            raise change.error

    def _gather(self) -> None:
        """Let others join, if commits are slow and the last one was of several."""
        if self._took > SLOW and self._together > 1:
            time.sleep(min(self._took / 4, LONGEST_GATHERING))

    def _commit(self, batch: list[_Change]) -> None:
        """Commit a batch, merged into one delta; those that wait for a part of it are told."""
        began, self._together = uptime(), len(batch)
        try:
            self._commit_merged(batch)
            self._took = uptime() - began
        except Exception as error:  # noqa: BLE001 - every waiting worker must learn of it, whatever it is
            if not isinstance(error, Interrupted):  # that one says nothing about the state
                self.broken = error
            for change in batch:
                change.error = error
        finally:
            for change in batch:
                change.done = True

    def _commit_merged(self, batch: list[_Change]) -> None:
        if self.broken is not None:
            raise self.broken
        for _attempt in range(MAX_CONFLICTS):
            for change in batch:
                change.withdrawn = change.intent is not None and is_taken(change.intent, self._others_changes)
            left = [change for change in batch if not change.withdrawn]
            merged = self._rebased(_merged(self._stamped(change) for change in left))
            if not merged:
                return
            try:
                self._write(merged)
            except StateConflict:
                self.reread()
                continue
            return
        raise StateConflict("The state keeps changing", "Other runs keep committing.", "Run again later.")

    def _stamped(self, change: _Change) -> Delta:
        if change.intent is None:
            return change.delta
        return change.delta + Delta(intents=(replace(change.intent, serial=self.document.serial),))

    def _rebased(self, delta: Delta) -> Delta:
        """Join what we say with what the document says, which another run may have learned: what it settled
        stays settled, and what it knows of a backfill stays known.
        """
        records = (_joined(self.document.backfills.get(one.id), one) for one in delta.backfills)
        known = ((self.document.intents.get(one.nonce, one), one) for one in delta.intents)
        intents = (there if _further(there) > _further(ours) else ours for there, ours in known)
        return replace(delta, backfills=tuple(records), intents=tuple(intents))

    def _write(self, delta: Delta) -> None:
        self._begun = number = self._begun + 1
        revision = self.store.commit(delta, self.revision)
        self._proved = number
        committed = apply_delta(self.document, delta, revision.token)
        self.document = replace(committed, lineage=revision.lineage, serial=revision.serial)
        self.revision = revision
        self._known.update(one.nonce for one in delta.intents)
        self._known.update(one.id for one in delta.backfills)


def _joined(known: BackfillRecord | None, ours: BackfillRecord) -> BackfillRecord:
    """Return our word on a backfill, without forgetting its end or its evidence if those are known."""
    if known is None:
        return ours
    if (known.transfer_id, known.days) != (ours.transfer_id, ours.days):
        return known  # an answer showed a wrong id: one that another run has got to know
    further, other = (known, ours) if known.status.final and not ours.status.final else (ours, known)
    same_counts = known.seen.counts == ours.seen.counts  # else a day that failed may have run again
    told = other.evidence if same_counts else what_stays(other.evidence)
    maker = known if known.ours else ours
    alike = (known.status, known.seen.counts) == (ours.status, ours.seen.counts)
    return replace(
        further,
        origin=maker.origin,
        stale_before=maker.stale_before,
        as_of=maker.as_of,
        serial=known.serial,
        evidence=merge(further.evidence, told, ours.days),
        settled=further.settled or (alike and known.settled),
        has_run=known.has_run or ours.has_run,
    )


def _further(intent: Intent) -> int:
    """Rank what is known of an intent: that it was made stays, whatever else was concluded from less."""
    known = (Outcome.PENDING, Outcome.REFUSED, Outcome.ABANDONED, Outcome.WITHDRAWN, Outcome.DONE)
    return known.index(intent.outcome)


def _key(one: Intent | BackfillRecord) -> str | int:
    return one.nonce if isinstance(one, Intent) else one.id


def _merged(deltas: Iterable[Delta]) -> Delta:
    total = Delta()
    for delta in deltas:
        total = total + delta
    return total
