"""Telling what happens during an apply: lines as things are made, what goes on besides; JSON for programs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.cli.display import Display
from reconciler.cli.options import Common, completed, completed_json
from reconciler.cli.screen import shown_on
from reconciler.cli.terminal import (
    err,
    is_a_terminal,
    is_output_lost,
    out,
    out_json_line,
    paint_for,
    width_of,
)
from reconciler.cli.writing import save_unsaved
from reconciler.diagnostics import Finding
from reconciler.errors import Interrupted, ReconcilerError, status_of
from reconciler.events import (
    Created,
    Doing,
    Event,
    Planned,
    RunEvent,
    Started,
    UnknownOutcome,
    Unsaved,
    Waiting,
    Withdrawn,
    WriteRefused,
)
from reconciler.formats.messages import event_json, left_json, left_out_json, summary_json
from reconciler.planning.guards import refuses
from reconciler.planning.plan import ActionKind, Plan, all_findings
from reconciler.render.doing import Tally
from reconciler.render.endings import ending_text, summary_sentence, unread_text
from reconciler.render.findings import error_text, findings_text
from reconciler.render.progress import Columns, event_line, withdrawn_lines
from reconciler.render.text import plan_text
from reconciler.render.view import view_of
from reconciler.render.words import BOLD, Paint

if TYPE_CHECKING:
    from types import TracebackType

    from reconciler.engine.results import Report


def show_diagnostics(plan: Plan, common: Common, *, refused: bool = False) -> None:
    """Print the findings of a plan to stderr; ``refused``: but for those that the error at the end tells."""
    findings = [one for one in all_findings(plan) if not (refused and refuses(one))]
    if findings:
        paint = paint_for(common.color, sys.stderr)
        err(completed(findings_text(findings, paint, lambda place: None, width_of(sys.stderr)), common))
        err("")


def show_next(statuses: Collection[int], again: str, common: Common) -> None:
    """Print to stderr what comes next where a plan or a status could not read all."""
    if told := unread_text(statuses, again):
        err(completed(f"\n{told}", common))


@dataclass(slots=True)
class Reporter:
    """Told of events by any thread. As a context it leaves nothing transient on the screen in the end.

    ``asks``: somebody is asked about the plan that is shown.
    """

    common: Common
    show_plan: bool = True
    places: Mapping[int, str] = field(default_factory=dict)
    asks: bool = False
    display: Display = field(init=False)
    _columns: Columns = field(default_factory=Columns)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _began: float | None = None
    _findings: tuple[Finding, ...] = ()
    _done: list[int] = field(default_factory=list)
    _planned: list[int] = field(default_factory=list)
    _unknown: list[str] = field(default_factory=list)
    _suspect: list[WriteRefused] = field(default_factory=list)  # may turn out to be turned away
    _withdrawn: list[Withdrawn] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.display = Display(self.common, self._tally)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end()

    def tell(self, event: RunEvent) -> None:
        """Show one event."""
        match event:
            case Doing():
                self.display.tell(event)
            case Planned(plan=plan, again=again):
                if again:
                    err("The plan has changed since it was shown. It is now:")
                self._show_planned(plan)
            case Started(plan=plan):
                self._begin(plan)
            case Unsaved():
                self._end()
                save_unsaved(event, self.common)
            case _:
                self._tell(event)

    def _tell(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Created):
                self._done.append(len(event.action.days))
            if isinstance(event, UnknownOutcome):
                self._unknown.append(event.intent.nonce)
            if self.common.json and isinstance(event, WriteRefused) and event.suspect:
                self._suspect.append(event)
            elif self.common.json:
                out_json_line(event_json(event))
            elif isinstance(event, Withdrawn):  # of those alike there may be many
                self._withdrawn.append(event)
                return
            if isinstance(event, Waiting):
                self.display.tell(event)
            elif self._is_for_people:
                self.display.line(event_line(event, self._columns))

    @property
    def _is_for_people(self) -> bool:
        """Tell whether text says what happens: also where a program's output cannot be written any more."""
        return not self.common.json or is_output_lost()

    def _show_planned(self, plan: Plan) -> None:
        self._findings = all_findings(plan)
        show_diagnostics(plan, self.common, refused=True)
        if self.common.json:
            for line in left_out_json(plan):
                out_json_line(line)
        elif self.show_plan:
            view = view_of(plan, self.places or {})
            out(completed(plan_text(view, shown_on(sys.stdout, self.common)), self.common))
            if self.asks and is_a_terminal(sys.stderr) and not is_a_terminal(sys.stdout):  # it must be seen
                err(completed(plan_text(view, shown_on(sys.stderr, self.common)), self.common))

    # -- progress ----------------------------------------------------------------------------

    def _begin(self, plan: Plan) -> None:
        """Begin to show progress over the creates of a plan."""
        made = (action for action in plan.actions if action.kind is not ActionKind.CANCEL)
        self._planned = [len(action.days) for action in made]
        self._columns = Columns.of(plan, self._paint())
        self.display.width = self._columns.width
        self._began = time.monotonic()
        self.display.begin()

    def _tally(self) -> Tally | None:
        if self._began is None:
            return None
        done, planned = self._done, self._planned
        return Tally(len(done), len(planned), sum(done), sum(planned), time.monotonic() - self._began)

    def _end(self) -> None:
        self._began = None
        with self._lock:
            withdrawn, self._withdrawn = self._withdrawn, []
        for line in withdrawn_lines(withdrawn, self._columns):
            self.display.line(line)
        self.display.close()

    def _paint(self) -> Paint:
        return paint_for(self.common.color, sys.stderr)

    def fail(self, error: ReconcilerError) -> None:
        """Print the last JSON line of an apply that ended before it began; the words are others'."""
        from reconciler.engine.results import Report

        self._end()
        if self.common.json:
            status = status_of(error)
            totals = Report((), frozenset({status})).totals
            self._summary(status, totals, [error])

    def _summary(self, status: int, totals: Mapping[str, int], errors: Iterable[ReconcilerError]) -> None:
        out_json_line(completed_json(summary_json(status, totals, self._findings, errors), self.common))

    def summarise(self, report: Report, again: str = "apply") -> None:
        """Print the end of an apply: the last JSON line, or the last line of text, and what comes next.
        ``again`` is the command of this run.
        """
        self._end()
        for error in report.errors:
            err(completed(error_text(error, self._paint(), width_of(sys.stderr)), self.common))
        sentence = summary_sentence(report.exit, report.totals)
        if self.common.json:
            for refused in self._suspect:
                if refused in report.conclusion.outcomes:
                    out_json_line(event_json(refused))
            for line in left_json(report.conclusion, self._unknown):
                out_json_line(line)
            ended = [Interrupted(report.exit - 128)] if report.exit > 128 else []
            self._summary(report.exit, report.totals, [*report.errors, *ended])
        else:
            out(paint_for(self.common.color, sys.stdout)(sentence, BOLD))
        if is_output_lost():
            err(sentence)
        if self._is_for_people and (ending := ending_text(report.conclusion, again, width_of(sys.stderr))):
            err(completed(ending, self.common))
