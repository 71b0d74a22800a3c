"""The situations in which applies are killed, and what must hold afterwards.

A situation is a folder: a file, a sandbox, and maybe a state. It is made once and copied for
each kill. What a run that nobody disturbs brings about is the measure: after a kill and a clean
run the vendor must hold the same days, no day more often and none less.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import kill_paths  # noqa: F401
from faulty_os import Trouble
from kill_children import calls_of, kill_self, ran, watching
from kill_served import API_FILE, EMBEDDED, api_of

from reconciler.dates import iso, last_iso
from reconciler.model.memory import Document, IntentKind
from reconciler.sandbox import Sandbox
from reconciler.stores.holders import holder_of, this_process
from reconciler.stores.local import LocalStore

TEAM = 12345
COMMON = ("--state", "state")
APPLY = ("apply", *COMMON, "--auto-approve")
# Sound here: a killed process sends nothing any more, and what it sent took effect in its own
# process or, served elsewhere, before the harness goes on.
AT_ONCE = ("--settle", "0s")
CLEAN = (*APPLY, *AT_ONCE)

HEAD = f"version: 1\nteam_id: {TEAM}\nlimits: {{requests_per_second: 100}}\n"
A = "  a:\n    transfer_id: 1\n    chunk: month\n"
B = "  b:\n    transfer_id: 2\n"
C = "  c:\n    transfer_id: 3\n"
FIRST = f"{HEAD}transfers:\n{A}    ranges: [2024-Q1]\n{B}    ranges: [2024-04-01..2024-04-05]\n"
MORE = (
    f"{HEAD}transfers:\n{A}    ranges: [2024-Q1, 2024-05]\n"
    f"{B}    ranges: [2024-04-01..2024-04-05, 2024-06-01]\n{C}    ranges: [2024-01-01..2024-01-09]\n"
)
LESS = (
    f"{HEAD}prune: true\ntransfers:\n{A}    ranges: [2024-01]\n"
    f"{B}    ranges: [2024-04-01..2024-04-05, 2024-06-01]\n"
)
MANY = f"{HEAD}transfers:\n" + "".join(
    f"  many-{one}:\n    transfer_id: {one}\n    ranges: [2024-01-0{one % 9 + 1}]\n" for one in range(1, 13)
)
FAILING = {TEAM: {"transfers": {1: {"name": "A", "fail_days": {"2024-01-10": {"error": "no", "times": 1}}}}}}


@dataclass(frozen=True)
class Situation:
    """``make`` prepares the folder; ``arguments`` is the run that is killed, ``clean`` what follows."""

    make: Callable[[Path, str], object]
    arguments: tuple[str, ...] = APPLY
    clean: tuple[tuple[str, ...], ...] = (CLEAN, CLEAN)


def situated(folder: Path, api: str, text: str, settings: dict[str, Any] | None = None, **scene: Any) -> None:
    """Make the folder with a file and a sandbox whose clock stands still, three days ago."""
    folder.mkdir(parents=True)
    (folder / "backfills.yaml").write_text(text, "utf-8")
    (folder / API_FILE).write_text(api, "utf-8")
    then = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = {"now": then, "settings": settings or {}, **scene}
    Sandbox.open(folder / "world.db", whole, speed=0.0).close()


def fresh(folder: Path, api: str) -> None:
    situated(folder, api, FIRST)


def _apply(folder: Path) -> None:
    ended = ran(folder, APPLY, "prepare")
    assert ended.status == 0, ended


def _with_journal(folder: Path, api: str) -> None:
    """A run that died inside its last transaction, whose journal lies there; more is declared now."""
    situated(folder, api, FIRST)
    _apply_until(folder, lambda calls: _last(calls, "sql"))
    assert (folder / "state" / f"team-{TEAM}.db-journal").exists()
    (folder / "backfills.yaml").write_text(MORE, "utf-8")


def _last(calls: list[str], name: str) -> int:
    return len(calls) - 1 - calls[::-1].index(name)


def _apply_until(folder: Path, at: Callable[[list[str]], int], after: bool = False) -> None:
    """Apply, and die at a call; its number is found in a copy in which nothing happens."""
    trial = folder.with_name(f"{folder.name}-trial")
    shutil.copytree(folder, trial)
    one_by_one = (*APPLY, "--parallelism", "1")
    ended = ran(trial, one_by_one, "trial", trouble=watching())
    assert ended.status in (0, 4), ended
    number = at(calls_of(trial, "trial"))
    shutil.rmtree(trial)
    ended = ran(folder, one_by_one, "prepare", trouble=Trouble(number, kill_self, after=after))
    assert ended.killed, ended


def _with_shell(folder: Path, api: str) -> None:
    """A day failed at the vendor: its backfill is cancelled first, and the day created again."""
    situated(folder, api, FIRST, teams=FAILING)
    _apply(folder)
    (folder / "backfills.yaml").write_text(MORE, "utf-8")
    with Sandbox.open(folder / "world.db") as sandbox:
        sandbox.advance(2 * 86400)


def _to_prune(folder: Path, api: str) -> None:
    situated(folder, api, FIRST)
    _apply(folder)
    (folder / "backfills.yaml").write_text(LESS, "utf-8")


def _saved(folder: Path, api: str) -> None:
    situated(folder, api, FIRST)
    ended = ran(folder, ("plan", *COMMON, "--out", "plan.json"), "prepare")
    assert ended.status == 0, ended


def _dangling(folder: Path, api: str) -> None:
    """Two runs died: one before its first create left, one after its first create took effect."""
    situated(folder, api, FIRST)
    _apply_until(folder, _first_post)
    (folder / "backfills.yaml").write_text(MORE, "utf-8")
    _apply_until(folder, _first_post, after=True)
    document = state_of(folder)
    assert document is not None
    assert sum(one.pending for one in document.intents.values()) == 2
    assert len(all_backfills(folder)) == 1


def _first_post(calls: list[str]) -> int:
    """Return the number of the first create sent."""
    return writes_sent(calls)[0]


def writes_sent(calls: list[str]) -> list[int]:
    """Return the numbers of the writes sent: something was committed since what was sent before."""
    sends = [number for number, name in enumerate(calls) if name == "send"]
    return [this for before, this in pairwise(sends) if "sql" in calls[before:this]]


SITUATIONS: dict[str, Situation] = {
    "fresh": Situation(fresh),
    "journal": Situation(_with_journal),
    "shell": Situation(_with_shell),
    "prune": Situation(_to_prune),
    "parallel": Situation(lambda folder, api: situated(folder, api, MANY)),
    "saved": Situation(
        _saved, ("apply", "plan.json", *COMMON), (("apply", "plan.json", *COMMON, *AT_ONCE), CLEAN)
    ),
    "lost": Situation(lambda folder, api: situated(folder, api, FIRST, {"commit": "lost-answer"})),
    "dangling": Situation(_dangling, CLEAN),
}


# --- what is there ------------------------------------------------------------------------


def all_backfills(folder: Path) -> list[dict[str, Any]]:
    with Sandbox.open(folder / "world.db") as sandbox:
        return sandbox.backfills()


Coverage = Counter[tuple[int, str, bool]]


def coverage(backfills: Sequence[dict[str, Any]]) -> Coverage:
    """Count how often each day of each transfer is held: by cancelled backfills, and by the others."""
    total: Coverage = Counter()
    for one in backfills:
        day, last = (date.fromisoformat(one[name]) for name in ("range_start_date", "range_end_date"))
        while day <= last:
            total[one["transfer_id"], day.isoformat(), one["status"] == "CANCELLED"] += 1
            day += timedelta(days=1)
    return total


def store_of(folder: Path) -> LocalStore:
    return LocalStore(str(folder / "state"), TEAM, api_of(folder), "test")


def state_of(folder: Path) -> Document | None:
    return store_of(folder).read()[0]


# --- what must hold -----------------------------------------------------------------------


@dataclass
class Measure:
    """A situation ready to be copied, and what an undisturbed run brings about in it."""

    name: str
    template: Path
    situation: Situation
    calls: list[str] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Counter)

    @property
    def served(self) -> bool:
        return api_of(self.template) != EMBEDDED

    def copy(self, target: Path) -> Path:
        shutil.copytree(self.template, target)
        return target


def measured(name: str, work: Path, names: tuple[str, ...], also: Any, api: str = EMBEDDED) -> Measure:
    """Make a situation at an API, and run it undisturbed in a copy."""
    situation = SITUATIONS[name]
    measure = Measure(name, work / name / "template", situation)
    (work / name).mkdir(parents=True)
    situation.make(measure.template, api)
    trial = measure.copy(work / name / "undisturbed")
    ended = ran(trial, situation.arguments, "trial", trouble=watching(), names=names, also=also)
    assert ended.status == 0, ended
    check_empty_plan(trial)
    return replace(measure, calls=calls_of(trial, "trial"), coverage=coverage(all_backfills(trial)))


def check_after_trouble(
    before: Document | None, folder: Path, backfills: list[dict[str, Any]]
) -> Document | None:
    """The state reads, has lost nothing, and knows of every create that the vendor holds."""
    now = state_of(folder)
    check_goes_on(before, now)
    for one in backfills:
        assert now is not None, f"no state, and yet there is {one}"
        assert is_known(now, one), f"the state does not know of {one}"
    return now


def check_goes_on(before: Document | None, now: Document | None) -> None:
    """The serial only grows, the lineage stays, and no backfill is forgotten."""
    if before is None:
        return
    assert now is not None, "the state is gone"
    assert now.lineage == before.lineage
    assert now.serial >= before.serial
    assert before.backfills.keys() <= now.backfills.keys()


def is_known(document: Document, one: dict[str, Any]) -> bool:
    """A backfill is recorded, or an intent of ours says exactly this."""
    if one["transfer_backfill_id"] in document.backfills:
        return True
    wanted = (one["transfer_id"], one["range_start_date"], one["range_end_date"])
    return any(
        (intent.transfer_id, iso(intent.start), last_iso(intent.end)) == wanted
        for intent in document.intents.values()
    )


def check_converged(measure: Measure, folder: Path, before: Document | None) -> None:
    """The vendor holds what an undisturbed run makes; the state holds it all, and nobody the lock."""
    backfills = all_backfills(folder)
    held = coverage(backfills)
    assert held == measure.coverage, (
        f"too many: {held - measure.coverage}, missing: {measure.coverage - held}"
    )
    now = state_of(folder)
    assert now is not None, "there is no state"
    check_goes_on(before, now)
    for one in backfills:
        record = now.backfills.get(one["transfer_backfill_id"])
        assert record is not None, f"not recorded: {one}"
        assert record.ours, f"not ours: {one}"
    # A cancel that was not done is given up when its sender cannot send it any more: in a minute.
    creates = [one for one in now.intents.values() if one.kind is IntentKind.CREATE]
    assert not [one for one in creates if one.pending], "a create is still unresolved"
    check_unlocked(folder)
    check_empty_plan(folder)
    assert len(all_backfills(folder)) == len(backfills)


def check_unlocked(folder: Path) -> None:
    lock = folder / "state" / f"team-{TEAM}.lock"
    left = holder_of(lock.read_bytes()) if lock.exists() else None
    assert left is None, "a clean run left its name in the lock"
    store = store_of(folder)
    with store.lock(this_process("test", datetime.now(UTC)), 0.0):
        assert store.holds_lock()
    store.close()


def check_empty_plan(folder: Path) -> None:
    ended = ran(folder, ("plan", *COMMON, "--detailed-exitcode"), "plan")
    assert ended.status == 0, ended
    assert "No changes." in ended.out


def recover(measure: Measure, folder: Path, run: Callable[..., Any] = ran) -> None:
    """Run cleanly: exit 0 within two runs, and both of a saved plan's."""
    statuses = []
    for number, arguments in enumerate(measure.situation.clean):
        ended = run(folder, arguments, f"clean{number}")
        statuses.append(ended.status)
        if ended.status == 0 and arguments is CLEAN:
            return
    assert statuses[-1] == 0, f"statuses {statuses}: {ended}"
