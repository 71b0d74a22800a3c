"""What a transfer's plan was read from: is it fresh enough to write by, and does a new look show anything
that bears on an action's days?
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.bounds import BLIND_APART, READ_WITHIN
from reconciler.engine.effects import Probe, Reading
from reconciler.model.memory import BackfillRecord, Document
from reconciler.model.observed import Backfill, Observed, Run, Status
from reconciler.planning.evidence import is_active
from reconciler.planning.plan import Action, ActionKind


class Made(NamedTuple):
    """Which backfill, and when it was created; the later is the greater."""

    at: datetime
    id: int


@dataclass(slots=True)
class Freshness:
    """How fresh the reading of one transfer and its predecessors is.

    ``sources`` are the ids whose loads count, its own first. ``newest`` is the newest of its own that is
    known, as ``latest`` answers or soon will; then our last create. By a clock that only passes, in seconds,
    ``at`` is when the reading began (``None``: what it said may be outdated), and ``answered`` when the
    vendor's clock ``vendor_at`` came. ``runs`` are the run lists that the plan was made from, ``planned`` the
    backfills as it knew them, ``listed`` the ids that the list showed it. ``emulated``: a sandbox
    answers, whose clock is not compared with ours; ``undated``: its answer had no ``Date``.
    """

    sources: tuple[int, ...]
    newest: Made | None
    at: float | None
    answered: float
    vendor_at: datetime
    runs: Mapping[int, tuple[Run, ...]] = field(default_factory=dict)
    planned: Mapping[int, BackfillRecord] = field(default_factory=dict)
    listed: frozenset[int] = frozenset()
    emulated: bool = False
    undated: bool = False
    _seen: set[int] = field(default_factory=set)
    _again: Reading | None = None

    @staticmethod
    def of(
        observed: Observed,
        sources: tuple[int, ...],
        at: float,
        known: Collection[BackfillRecord],
        settle: timedelta,
    ) -> Freshness:
        """Return the reading that a plan was made from, which began ``at``.

        ``known`` are the backfills of all sources. ``latest``, which lags by less than ``settle``, may not
        show the newest yet. It does not show an older one any more either, if records are not kept.
        """
        assert sources
        answers = {source: observed.latest.get(source) for source in sources}
        shown = {source: latest for source, latest in answers.items() if isinstance(latest, Backfill)}
        lately = observed.vendor_now - settle
        recent = (one for one in known if one.transfer_id == sources[0] and one.created_time > lately)
        own = [*map(_made, recent), *(_made(shown[key]) for key in sources[:1] if key in shown)]
        newest = max(own, default=None)
        lists = {source: observed.runs.get(source) for source in sources}
        runs = {source: runs for source, runs in lists.items() if isinstance(runs, tuple)}
        seen, planned = {latest.id for latest in shown.values()}, {record.id: record for record in known}
        clocks = (at, observed.answered, observed.vendor_now)
        listed = frozenset(backfill.id for backfill in observed.listed)
        return Freshness(
            sources, newest, *clocks, runs, planned, listed, observed.emulated, observed.undated, seen
        )

    # -- asking ------------------------------------------------------------------------------

    def is_fresh(self, now: float) -> bool:
        """Tell whether it was made within the last minute, by a clock that only passes."""
        return self.at is not None and now - self.at <= READ_WITHIN.total_seconds()

    def vendor_now(self, now: float) -> datetime:
        """Return the vendor's clock: of its newest answer, carried on by a clock that only passes."""
        return self.vendor_at + timedelta(seconds=now - self.answered)

    def told_now(self, now: float) -> datetime | None:
        """Return the vendor's clock; ``None`` where its newest answer did not tell it."""
        return None if self.undated else self.vendor_now(now)

    def later(self, now: float, ours: datetime) -> datetime:
        """Return the later of the vendor's clock and ours."""
        return self.vendor_now(now) if self.emulated else max(self.vendor_now(now), ours)

    def keep_apart(self, now: float) -> float:
        """Return for how many seconds nothing is to be created yet, blind: ``latest`` alone tells two creates
        apart then, and it may count whole seconds, whoever made them.
        """
        if self.runs or self.newest is None:
            return 0.0
        after = self.newest.at.replace(microsecond=0) + BLIND_APART
        left = min(
            after - self.vendor_now(now), BLIND_APART
        )  # it was created by now, whatever its clock says
        return max(0.0, left.total_seconds())

    def probe(self, actions: Iterable[Action]) -> Probe:
        """Return what to read again for these actions."""
        left = tuple(actions)
        creates = [action.start for action in left if action.kind is not ActionKind.CANCEL]
        shells = tuple(dict.fromkeys(backfill_id for action in left for backfill_id in action.cancels))
        runs_of = tuple(self.runs) if creates else ()
        return Probe(self.sources, runs_of, min(creates, default=0), shells, needed=True)

    def news(self, action: Action, document: Document) -> str:
        """Say what is known now, by a new look or by another run, that an action's plan did not know: on its
        days, or of what it cancels. "" if nothing.
        """
        found = (*self._shells(action, document), *self._on_its_days(action, document))
        return found[0] if found else ""

    def _shells(self, action: Action, document: Document) -> Iterator[str]:
        """What ended may run again: then it has other counts than the plan was made on, or another status. Of
        what was active only its end is news.
        """
        for backfill_id in action.cancels:
            planned = self.planned[backfill_id].seen
            for view in self._views(backfill_id, document):
                went_on = (view.status, view.counts) != (planned.status, planned.counts)
                if view.status.final if is_active(planned) else went_on:
                    yield f"backfill {backfill_id} went on meanwhile"

    def _views(self, backfill_id: int, document: Document) -> Iterator[Backfill]:
        """Yield what is known of a backfill by now, unless we have cancelled it as it was planned."""
        if self._is_cancelled_as_planned(backfill_id, document):
            return
        known = document.backfills.get(backfill_id)
        if known is not None:
            yield known.seen
        yield from (one for one in self._again.backfills if one.id == backfill_id) if self._again else ()

    def _is_cancelled_as_planned(self, backfill_id: int, document: Document) -> bool:
        known, planned = document.backfills.get(backfill_id), self.planned[backfill_id].seen
        return known is not None and known.status is Status.CANCELLED and known.seen.counts == planned.counts

    def _on_its_days(self, action: Action, document: Document) -> Iterator[str]:
        if action.kind is ActionKind.CANCEL or self._again is None:
            return
        for backfill in self._again.backfills:
            on_its_days = backfill.transfer_id in self.sources and backfill.overlaps(action)
            if on_its_days and self._is_news(backfill):
                yield f"backfill {backfill.id} is on some of its days"
        for backfill_id in self._left_the_list(action, document):
            yield f"backfill {backfill_id}, on some of its days, left the list"
        for source, runs in self._again.runs.items():
            known = {(run.id, run.status) for run in self.runs.get(source, ())}
            fresh = (run for run in runs if (run.id, run.status) not in known)
            if any(run.day in action.days for run in fresh if run.day is not None):
                yield f"transfer {source} ran on some of its days"

    def _is_news(self, backfill: Backfill) -> bool:
        planned = self.planned.get(backfill.id)
        if planned is None:
            return backfill.id not in self._seen
        if planned.status.final or is_active(planned.seen):
            return False
        return is_active(backfill) or backfill.counts != planned.seen.counts

    def _left_the_list(self, action: Action, document: Document) -> Iterator[int]:
        """Yield what the plan knew as FAILED, and is not shown any more: a person may have had it run again,
        and what it loaded then nothing else may tell.

            09:00:00  the plan: May 5 is due, for backfill 7, a person's, FAILED on it
            09:00:05  the API's rate limit: wait. The person has 7 run again, and it loads May 5
            09:01:35  the list does not show 7, nor `latest`, since a newer one has come; blind, nothing tells
        """
        shown = {one.id for one in self._again.backfills} if self._again else self.listed
        for backfill_id in sorted(self.listed & self.planned.keys() - shown):
            on_its_days = self.planned[backfill_id].overlaps(action)
            if on_its_days and not self._is_cancelled_as_planned(backfill_id, document):
                yield backfill_id

    # -- noting ------------------------------------------------------------------------------

    def doubt(self) -> None:
        """Let it be read again before the next write."""
        self.at = None

    def made(self, backfill_id: int, at: datetime) -> None:
        """Note our own last one, created ``at``; a read that lags may still answer the one before."""
        self.newest = Made(at, backfill_id)
        self._seen.add(backfill_id)

    def again(self, reading: Reading, now: float) -> None:
        """Take note of a new look, which began at ``now``. What is newer than the newest that we knew of is
        what the next create comes after.
        """
        self.at, self.answered = now, reading.answered
        self.vendor_at, self.undated, self._again = reading.vendor_now, reading.undated, reading
        shown = reading.latest.get(self.sources[0])
        if shown is not None:
            self.newest = max(filter(None, (self.newest, _made(shown))))


def _made(backfill: Backfill | BackfillRecord) -> Made:
    return Made(backfill.created_time, backfill.id)
