"""Telling what happens during an apply: a bar on a terminal, lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.cli.options import Common
from reconciler.cli.terminal import err, out, out_json_line, paint_for
from reconciler.engine.team import TeamReport
from reconciler.events import Created, Event, Waiting
from reconciler.formats.messages import event_json, where_json
from reconciler.formats.planparts import encode_item
from reconciler.planning.plan import Action, ActionKind, Plan
from reconciler.planning.totals import NOT_APPROVED
from reconciler.render.findings import error_text
from reconciler.render.progress import event_line
from reconciler.render.words import BOLD, GREEN, YELLOW, Paint, days, plural, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.progress import Progress, TaskID

    from reconciler.dates import DateSet
    from reconciler.model.desired import Address

QUIET_SECONDS = 60.0  # CI systems end jobs that say nothing


@dataclass(slots=True)
class Reporter:
    """Told of events by any thread."""

    common: Common
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _bar: Progress | None = None
    _task: TaskID | None = None
    _total: int = 0
    _done: int = 0
    _beat: threading.Event = field(default_factory=threading.Event)

    def begin(self, plan: Plan) -> None:
        """Begin to show progress over the creates of a plan."""
        self._total = sum(one.kind is not ActionKind.CANCEL for one in plan.actions)
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

    def end(self) -> None:
        self._beat.set()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def tell(self, event: Event) -> None:
        """Show one event."""
        with self._lock:
            self._done += isinstance(event, Created)
            if self.common.json:
                out_json_line(event_json(event))
            else:
                self._show(event)

    def tell_left_out(self, plan: Plan) -> None:
        """Name, for programs, the days that a saved plan does not approve."""
        for item in (one for team in plan.teams for one in team.deferred if one.reason == NOT_APPROVED):
            out_json_line({"type": NOT_APPROVED, **encode_item(item)})

    def tell_undone(self, days_of: Mapping[Address, DateSet], prunes: Iterable[Action]) -> None:
        """Name what an approved plan was to create or cancel, and that this run leaves undone."""
        for address, left in sorted(days_of.items()):
            for start, end in left.intervals:
                if self.common.json:
                    out_json_line({"type": "not-done", **where_json(address, start, end)})
                else:
                    where = f"transfer {address.transfer_id}, {span(start, end)}"
                    err(f"{where}: not done under this plan; make a new one")
        for prune in prunes:
            named = ", ".join(map(str, prune.cancels))
            if self.common.json:
                where_of = where_json(prune.address, prune.start, prune.end)
                out_json_line({"type": "not-done", **where_of, "cancels": list(prune.cancels)})
            else:
                err(
                    f"transfer {prune.address.transfer_id}: backfill {named} is not cancelled under this plan"
                )

    def _show(self, event: Event) -> None:
        colour = GREEN if isinstance(event, Created) else YELLOW if not isinstance(event, Waiting) else ""
        line = self._paint()(event_line(event), *([colour] if colour else []))
        if self._bar is None or self._task is None:
            err(line)
            return
        from rich.text import Text

        self._bar.update(self._task, completed=self._done)
        self._bar.console.print(Text.from_ansi(line))

    def _paint(self) -> Paint:
        return paint_for(self.common.color, sys.stderr)

    def summarise(self, reports: list[TeamReport], status: int) -> None:
        """Print the end of an apply: the last JSON line, or the last line of text."""
        total = _added(reports)
        for report in reports:
            for error in report.errors:
                err(error_text(error, self._paint()))
        if self.common.json:
            out_json_line({"type": "summary", "exit": status, **total})
            return
        paint = paint_for(self.common.color, sys.stdout)
        out(paint(_sentence(total, status), BOLD, GREEN if status == 0 else YELLOW))


def _added(reports: list[TeamReport]) -> dict[str, int]:
    names = ("created", "retried", "cancelled", "refused", "unknown", "days")
    return {name: sum(getattr(report, name) for report in reports) for name in names}


def _sentence(total: dict[str, int], status: int) -> str:
    made = f"{total['created']} created, {total['retried']} retried, {total['cancelled']} cancelled"
    told = f"{made} ({days(total['days'])})"
    if total["refused"]:
        told += f", {total['refused']} refused"
    if total["unknown"]:
        told += f", {plural(total['unknown'], 'outcome')} unknown"
    head = "Apply complete" if status == 0 else f"Apply incomplete (exit {status})"
    return f"{head}: {told}."
