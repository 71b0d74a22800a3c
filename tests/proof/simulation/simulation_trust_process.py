"""A process that does as the command does, asking included: the whole use case of ``engine/run.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from simulation_process import API, Flags, Process
from simulation_trust import Kept, TrustFlags

from reconciler.dates import DateSet
from reconciler.engine.results import Situations, Terms, plan
from reconciler.engine.run import Apply
from reconciler.engine.team import Surveyed
from reconciler.events import Planned, Started, Waiting
from reconciler.planning.plan import ActionKind, Options, Plan

Piece = tuple[int, int, int]  # transfer, first day, and the day after the last


@dataclass(frozen=True)
class Shown:
    """What a person saw and said yes to, or approved before."""

    creates: frozenset[Piece] = frozenset()
    cancels: frozenset[int] = frozenset()

    def days(self, transfer_id: int) -> DateSet:
        return DateSet.days(
            day for one, start, end in self.creates if one == transfer_id for day in range(start, end)
        )


def shown_by(plan: Plan) -> Shown:
    creates = (one for one in plan.actions if one.kind is not ActionKind.CANCEL)
    return Shown(
        frozenset((one.address.transfer_id, one.start, one.end) for one in creates),
        frozenset(number for one in plan.actions for number in one.cancels),
    )


@dataclass(eq=False)
class TrustProcess(Process):
    """``shown`` is what may be done: the last plan shown, once it was said yes to. ``sent`` are the days
    of the backfills it made, each with its number.
    """

    meanwhile: Callable[[float], None] = lambda seconds: None
    kept: Kept | None = None
    shown: Shown | None = None
    told: Plan | None = None
    limited: float = 0.0  # when the API last said that a write came too soon
    disturbed: float = 0.0  # when it was last held up, or a read failed

    @property
    def asking(self) -> TrustFlags:
        flags: Flags = self.flags
        return flags if isinstance(flags, TrustFlags) else TrustFlags(flags.lock, flags.settle, flags.weather)

    def _apply(self) -> set[int]:
        run, flags = self._team_run(), self.asking
        settings = replace(run.settings, lock=flags.lock)
        approved = self.kept.plan if self.kept and flags.digest is None else None
        terms = Terms(approved, expect=flags.digest)
        apply = Apply([run], terms, settings, run.clock, self.signals, self._confirm, self._hear)
        run.on_event = self._hear
        report = apply.run()
        self.report = report.teams[0] if report.teams else None
        return set(report.statuses)

    def _confirm(self, plan: Plan) -> bool:
        """Show a plan, and wait for a person. Before the yes only reads may leave."""
        self.shown, flags = None, self.asking
        self.log(f"asks about {[(one.kind.value, one.transfer, one.dates) for one in plan.actions]}")
        if flags.answer is not None:
            self.point("prompt")
            self.meanwhile(flags.answer)
            self.sleep(flags.answer)
            if not flags.says:
                return False
        self.shown = shown_by(plan)
        self.log("is told yes")
        return True

    def _hear(self, event: object) -> None:
        """What is shown where nobody is asked: an approved plan, of which that is all that may be done."""
        if isinstance(event, Planned):
            self.told = event.plan
        if isinstance(event, Planned | Started) and self.kept is not None:
            self.shown = shown_by(self.kept.plan)
        if isinstance(event, Waiting):
            self.meanwhile(event.seconds)
        if not isinstance(event, Planned | Started):
            self._tell(event)

    def note(self, what: str) -> None:
        if what.startswith(("freeze:", "fault:GET")):
            self.disturbed = self.stage.now
        if what == "fault:POST:slow_down" or what.startswith("fault:POST:limited"):
            self.limited = self.stage.now
        super().note(what)

    def keep(self) -> Plan | None:
        """Make a plan, writing nothing, as ``plan --out`` does; ``None`` if there is nothing to approve."""
        run = self._team_run()
        made = plan(Situations(API, self.wall(), (run.look(),), (), frozenset(), Options((), ())))
        return made if made.applyable else None

    def has_planned(self, surveyed: Surveyed) -> None:
        self._log_plan(surveyed)
        self.first_plan = surveyed
