"""``demo``: the whole story on the sandbox, told step by step. The real pipeline, nothing staged."""

from __future__ import annotations

import sys
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import reconciler
from reconciler.cli.command import Command
from reconciler.cli.options import Common
from reconciler.cli.plan import apply_command, show
from reconciler.cli.progress import Reporter
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import out, paint_for
from reconciler.errors import Exit
from reconciler.render.view import view_of
from reconciler.render.words import BOLD, DIM

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.sandbox import Sandbox

# The three backfills are those of the vendor's own example of the list of incomplete backfills, but made in
# the last two days: the older ones would be called stuck.
WORLD: dict[str, Any] = {
    "now": "2024-03-01T15:00:00Z",
    "teams": {
        12345: {
            "transfers": {
                456788: {"name": "TikTok Ads"},
                456789: {
                    "name": "Google Ads daily",
                    "fail_days": {"2024-02-10": {"error": "Connection timeout to data source", "times": 1}},
                },
                456790: {"name": "Meta Ads EU"},
            },
            "backfills": [
                {
                    "transfer_backfill_id": number,
                    "transfer_id": transfer_id,
                    "range_start_date": start,
                    "range_end_date": end,
                    "created_time": created,
                    "created_user_id": user,
                    **({"start_time": started} if started else {}),
                    "status": "RUNNING" if started else "SCHEDULED",
                    "transfer_runs_total": runs,
                    "transfer_runs_created": runs,
                    "transfer_runs_completed": completed,
                    "transfer_runs_failed": 0,
                }
                for number, transfer_id, start, end, created, user, started, runs, completed in (
                    (12347, 456790, "2024-02-01", "2024-02-28", "2024-03-01T14:00:00Z", 789,
                     "2024-03-01T14:30:00Z", 28, 15),
                    (12346, 456789, "2024-01-15", "2024-01-31", "2024-02-29T09:30:00Z", 790,
                     "2024-02-29T10:00:00Z", 17, 10),
                    (12345, 456788, "2024-01-01", "2024-01-14", "2024-02-29T08:00:00Z", 789, None, 14, 0),
                )
            ],
        }
    },
}  # fmt: skip

FILE = """\
version: 1
team_id: 12345
transfers:
  tiktok-ads:
    transfer_id: 456788
    ranges: [2024-01]
  google-ads-daily:
    transfer_id: 456789
    ranges:
      - start: 2024-01-01
        end: 2024-02-29
        reason: History for the new warehouse
  meta-ads-eu:
    transfer_id: 456790
    ranges: [2024-02]
"""


@click.command(
    cls=Command,
    examples=("reconciler demo", "reconciler demo --color never"),
    exits={Exit.DONE: "told"},
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="When to use colour (auto).",
)
def demo(color: str) -> int:
    """See the whole story on the sandbox: plan, apply, a failed day, and no changes in the end."""
    from reconciler.sandbox import Sandbox

    with tempfile.TemporaryDirectory(prefix="reconciler-demo-") as folder, chdir(folder):
        Path("backfills.yaml").write_text(FILE, "utf-8")
        signals = Signals()
        with signals.caught(), Sandbox.in_memory(WORLD, speed=0.0) as sandbox:
            common = Common(api="sandbox", color=color)
            return Demo(common, signals, sandbox).tell()


@dataclass(slots=True)
class Demo:
    """The steps, each of them what the command does."""

    common: Common
    signals: Signals
    api: Sandbox

    def tell(self) -> int:
        self._say("A file declares which days must be loaded. Three backfills already run at the API:")
        out(_listing())
        self._say("The file asks for more, and overlaps all three. The plan goes around them:")
        out(FILE)
        self._plan()
        self._say("Apply creates those, and nothing else.")
        self._apply()
        self._say("Three days pass at the API. One day, 2024-02-10, failed there. Only it is due again:")
        self.api.advance(3 * 86400)
        self._plan()
        self._apply()
        self._say("Another day passes.")
        self.api.advance(86400)
        return self._plan()

    def _say(self, text: str) -> None:
        out("\n" + paint_for(self.common.color, sys.stdout)(text, BOLD) + "\n")

    def _command(self, name: str) -> None:
        out(paint_for(self.common.color, sys.stdout)(f"$ reconciler {name} --api sandbox", DIM))

    def _load(self) -> Desired:
        return reconciler.load(["backfills.yaml"], now=datetime.fromtimestamp(self.api.now(), UTC))

    def _plan(self) -> int:
        self._command("plan")
        made = reconciler.plan(reconciler.observe(self._load(), api=self.api, interrupts=self.signals))
        show(view_of(made, apply_by=apply_command(made, self.common)), self.common)
        return made.exit

    def _apply(self) -> None:
        self._command("apply")
        with Reporter(self.common, show_plan=False) as reporter:
            report = reconciler.apply(
                self._load(),
                api=self.api,
                interrupts=self.signals,
                confirm=lambda plan: True,
                on_event=reporter.tell,
            )
        reporter.summarise(report)
        assert report.exit == Exit.DONE, report


def _listing() -> str:
    shown = WORLD["teams"][12345]["backfills"]
    return "\n".join(
        f"  {one['transfer_backfill_id']}  transfer {one['transfer_id']}  "
        f"{one['range_start_date']}..{one['range_end_date']}  {one['status']}"
        for one in shown
    )
