"""Telling what happens during an apply: a bar on a terminal, lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.cli.options import Common, completed
from reconciler.cli.screen import shown_on
from reconciler.cli.terminal import err, out, out_json_line, paint_for, unwritten_is_fine
from reconciler.cli.writing import save_unsaved
from reconciler.events import Created, Event, Planned, RunEvent, Started, Unsaved, Waiting
from reconciler.formats.messages import event_json, left_out_json, summary_json
from reconciler.planning.plan import ActionKind, Plan, all_findings
from reconciler.render.findings import error_text, findings_text
from reconciler.render.progress import event_line, summary_sentence
from reconciler.render.text import plan_text
from reconciler.render.words import BOLD, GREEN, YELLOW, Paint

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from reconciler.engine.results import Report

QUIET_SECONDS = 60.0  # CI systems end jobs that say nothing


def show_diagnostics(plan: Plan, common: Common) -> None:
    """Print the findings of a plan to stderr."""
    findings = all_findings(plan)
    if findings:
        paint = paint_for(common.color, sys.stderr)
        err(completed(findings_text(findings, paint, lambda place: None), common))
        err("")


@dataclass(slots=True)
class Reporter:
    """Told of events by any thread. As a context it takes the bar away in the end."""

    common: Common
    show_plan: bool = True
    places: Mapping[int, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _bar: Progress | None = None
    _task: TaskID | None = None
    _total: int = 0
    _done: int = 0
    _beat: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end()

    def tell(self, event: RunEvent) -> None:
        """Show one event."""
        match event:
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
            self._done += isinstance(event, Created)
            if self.common.json:
                out_json_line(event_json(event))
            else:
                self._show(event)

    def _show_planned(self, plan: Plan) -> None:
        show_diagnostics(plan, self.common)
        if self.common.json:
            for line in left_out_json(plan):
                out_json_line(line)
        elif self.show_plan:
            out(completed(plan_text(plan, shown_on(sys.stdout, self.common, self.places)), self.common))

    # -- progress ----------------------------------------------------------------------------

    def _begin(self, plan: Plan) -> None:
        """Begin to show progress over the creates of a plan."""
        self._total = sum(action.kind is not ActionKind.CANCEL for action in plan.actions)
        if self.common.json:
            return
        if sys.stderr.isatty():
            self._start_bar()
        else:
            threading.Thread(target=self._heartbeat, daemon=True).start()

    def _start_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("Applying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=Console(stderr=True, no_color=not self._paint().on), transient=True
        )
        self._task = self._bar.add_task("apply", total=self._total)
        self._bar.start()

    def _heartbeat(self) -> None:
        began = time.monotonic()
        while not self._beat.wait(QUIET_SECONDS):
            err(f"still applying: {self._done} of {self._total} done, {time.monotonic() - began:.0f} s")

    def _end(self) -> None:
        self._beat.set()
        if self._bar is not None:
            with unwritten_is_fine(sys.stderr):
                self._bar.stop()
            self._bar = None

    def _show(self, event: Event) -> None:
        colour = GREEN if isinstance(event, Created) else YELLOW if not isinstance(event, Waiting) else ""
        line = self._paint()(completed(event_line(event), self.common), *([colour] if colour else []))
        if self._bar is None or self._task is None:
            err(line)
            return
        from rich.text import Text

        with unwritten_is_fine(sys.stderr):
            self._bar.update(self._task, completed=self._done)
            self._bar.console.print(Text.from_ansi(line), soft_wrap=True)  # a command is one line

    def _paint(self) -> Paint:
        return paint_for(self.common.color, sys.stderr)

    def summarise(self, report: Report) -> None:
        """Print the end of an apply: the last JSON line, or the last line of text."""
        for error in report.errors:
            err(completed(error_text(error, self._paint()), self.common))
        if self.common.json:
            out_json_line(summary_json(report.exit, report.totals))
            return
        paint = paint_for(self.common.color, sys.stdout)
        colour = YELLOW if report.exit else GREEN
        out(paint(summary_sentence(report.exit, report.totals), BOLD, colour))
