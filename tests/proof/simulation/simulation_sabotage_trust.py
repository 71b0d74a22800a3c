"""Deliberate faults in what lies between what is shown and what is done: noticed by schedules of trust."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from simulation_sabotage import Sabotage, _put

from reconciler.dates import EMPTY
from reconciler.engine import agreement, run, transfer
from reconciler.engine.freshness import Freshness
from reconciler.engine.transfer import TransferApply
from reconciler.model.memory import BackfillRecord, Document, Intent
from reconciler.model.observed import Backfill
from reconciler.planning import facts, intents, matching, records, resolution, situation
from reconciler.planning.approval import approval_of
from reconciler.planning.guards import refuses
from reconciler.planning.plan import TeamPlan
from reconciler.stores import local


def doubt_ends_with_a_refusal() -> Any:
    """A refusal is believed at once: no rule of doubt."""
    return _put((facts, "in_doubt", lambda *_any: EMPTY))


def anybody_is_our_user() -> Any:
    """What fits is adopted, whoever made it."""
    real = matching.find_match

    def find_match(intent: Intent, seen: Iterable[Backfill], document: Document, *rest: Any) -> Any:
        return real(intent, seen, replace(document, users={}), *rest)

    return _put((matching, "find_match", find_match), (resolution, "find_match", find_match))


def adopted_however_late() -> Any:
    """What fits is adopted, whenever it was made."""
    return _put((matching, "made_about_then", lambda *_any: True))


def settled_by_our_clock_alone() -> Any:
    def is_settled(intent: Intent, now: datetime, _vendor_now: datetime, settle: timedelta) -> bool:
        return now >= intent.intended_at + settle

    return _put(*((room, "is_settled", is_settled) for room in (intents, resolution, situation, facts)))


def sources_not_kept() -> Any:
    return _put((Intent, "source_ids", property(lambda self: (self.transfer_id,))))


def approved_by_days_alone() -> Any:
    """After a slow yes, whatever lies on other days than those shown is done too."""
    return _put((run, "acts_alike", lambda shown, fresh: True))


def guards_asked_once() -> Any:
    """Guards are asked of the first plan, and of none that is made after it."""
    real = run.Apply._plan
    asked: list[run.Apply] = []

    def make(self: run.Apply, **more: Any) -> Any:
        made = real(self, **more)
        if any(one is self for one in asked):
            return replace(made, teams=tuple(map(_unguarded, made.teams)))
        asked.append(self)
        return made

    return _put((run.Apply, "_plan", make))


def _unguarded(team: TeamPlan) -> TeamPlan:
    kept = tuple(one for one in team.diagnostics if not refuses(one))
    return replace(team, guarded=False, diagnostics=kept)


def serials_ignored() -> Any:
    return _put((agreement, "still_approved", lambda saved, document: approval_of(saved)))


def digest_without_creates() -> Any:
    """The digest of a plan recurs after its creates failed."""
    from reconciler.engine import team

    real = team.team_plan

    def team_plan(*given: Any) -> Any:
        return replace(real(*given), newest_create=None)

    from reconciler.engine import results

    return _put((team, "team_plan", team_plan), (results, "team_plan", team_plan))


def runs_not_read_again() -> Any:
    """After a wait the list and ``latest`` are read again, and the run list is not."""
    real = Freshness.probe
    return _put((Freshness, "probe", lambda self, actions: replace(real(self, actions), runs_of=())))


def news_ignored() -> Any:
    return _put((Freshness, "news", lambda self, action, document: ""))


def departures_ignored() -> Any:
    """What the plan knew as FAILED, and the list does not show any more."""
    return _put((Freshness, "_left_the_list", lambda self, action, document: iter(())))


def part_of_a_create_explained() -> Any:
    """Whatever is made of a part of a create's days is explained by it, though that made another one."""
    real = records._explains

    def explains(intent: Intent, backfill: Backfill, document: Document) -> bool:
        return real(intent, backfill, replace(document, backfills={}))

    return _put((records, "_explains", explains))


def named_once_is_named_for_good() -> Any:
    """What an error report named is joined with what it names now, though its backfill ran again."""
    real = records.updated

    def updated(record: BackfillRecord, seen: Backfill, *rest: Any) -> BackfillRecord:
        fresh, known = real(record, seen, *rest), record.seen
        named = fresh.seen.failed_days | (known.failed_days if seen.failed >= known.failed else EMPTY)
        return replace(fresh, seen=replace(fresh.seen, failed_days=named))

    return _put((records, "updated", updated))


def counts_of_a_cancel_ignored() -> Any:
    """What a cancel's answer shows besides that it is cancelled."""
    real = transfer.updated

    def updated(*given: Any) -> Any:
        return replace(real(*given), was_failed=True)

    return _put((transfer, "updated", updated))


def cut_recorded_whole() -> Any:
    """Of a range that the API cut all is recorded as made."""
    real = TransferApply._made

    def made(self: TransferApply, action: Any, done: Intent, record: Any) -> Any:
        seen = replace(record.seen, start=done.start, end=done.end)
        return real(self, action, done, replace(record, seen=seen))

    return _put((TransferApply, "_made", made))


def older_pushed() -> Any:
    """A copy that does not know what was committed since takes the place of the state."""
    return _put((local, "check_push", lambda *_any: None))


TRUST: tuple[Sabotage, ...] = (
    doubt_ends_with_a_refusal,
    anybody_is_our_user,
    adopted_however_late,
    settled_by_our_clock_alone,
    sources_not_kept,
    approved_by_days_alone,
    guards_asked_once,
    serials_ignored,
    runs_not_read_again,
    news_ignored,
    part_of_a_create_explained,
    named_once_is_named_for_good,
    cut_recorded_whole,
    older_pushed,
)
# No seed of some hundreds or thousands meets these since plans are ordered otherwise; tests/engine do.
RARE_OF_TRUST: tuple[Sabotage, ...] = (
    counts_of_a_cancel_ignored,
    departures_ignored,
    digest_without_creates,
)
