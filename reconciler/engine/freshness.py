"""What the plan of a transfer was read from: is it fresh enough to write by, and did anything come since?"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.bounds import READ_WITHIN
from reconciler.engine.effects import ProbeResult
from reconciler.model.memory import BackfillRecord
from reconciler.model.observed import Backfill, Observed


@dataclass(slots=True)
class Freshness:
    """How fresh the reading of one transfer and its predecessors is.

    ``sources`` are the ids whose loads count, its own first. ``latest`` is the id of the newest of its
    own that is known, as ``latest`` answers or soon will; then that of our last create. ``at`` is when
    the reading began, by our clock; ``None``: what it said may be outdated. ``_seen``: every id that
    ``latest`` answered.
    """

    sources: tuple[int, ...]
    latest: int | None
    at: datetime | None
    _seen: set[int] = field(default_factory=set)

    @staticmethod
    def of(
        observed: Observed,
        sources: tuple[int, ...],
        at: datetime,
        known: Iterable[BackfillRecord],
        settle: timedelta,
    ) -> Freshness:
        """Return the reading that a plan was made from.

        ``known`` are the transfer's own backfills: ``latest``, which lags by less than ``settle``, may not
        show the newest yet. It does not show an older one any more either, if records are not kept.
        """
        assert sources
        answers = {source: observed.latest.get(source) for source in sources}
        shown = {source: latest for source, latest in answers.items() if isinstance(latest, Backfill)}
        recent = (record for record in known if record.created_time > observed.vendor_now - settle)
        own: list[Backfill | BackfillRecord] = [*recent, *(shown[key] for key in sources[:1] if key in shown)]
        newest = max(own, key=lambda made: (made.created_time, made.id), default=None)
        seen = {latest.id for latest in shown.values()}
        return Freshness(sources, newest.id if newest else None, at, seen)

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether it was made within the last minute; a clock that was set back makes nothing fresh."""
        return self.at is not None and timedelta(0) <= now - self.at <= READ_WITHIN

    def doubt(self) -> None:
        """Let it be read again before the next write."""
        self.at = None

    def made(self, backfill_id: int) -> None:
        """Note our own last one; a read that lags may still answer the one before."""
        self.latest = backfill_id
        self._seen.add(backfill_id)

    def again(self, probe: ProbeResult, now: datetime, known: Set[int]) -> Backfill | None:
        """Take note of a new look, and return a backfill that somebody made since, if it shows one."""
        assert len(probe.predecessors) == len(self.sources) - 1
        self.at = now
        shown = (probe.latest, *probe.predecessors)
        return next((latest for latest in shown if latest and latest.id not in self._seen | known), None)
