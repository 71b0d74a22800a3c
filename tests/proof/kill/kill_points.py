"""Killing an apply at each call that matters, and failing each of its system calls.

A point is a call's number, over all threads, and whether it takes effect first; a write that does
not has written half of its bytes. Every failure names its point and the line that repeats it.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kill_paths  # noqa: F401
from faulty_os import WRITES, Trouble
from kill_children import DISK, DISK_CALLS, STEPS, Ended, Signalled, calls_of, kill_self, ran
from kill_worlds import (
    CLEAN,
    TEAM,
    Measure,
    all_backfills,
    check_after_trouble,
    check_converged,
    is_known,
    recover,
    state_of,
    store_of,
)

from reconciler.errors import Refused
from reconciler.formats.statefile import decode_document
from reconciler.model.memory import Document

DOCUMENTED = {0, 1, 3, 4, 5, 6, 7, 64, 65, 69}
ERRNOS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EINTR, errno.EDQUOT, errno.EMFILE)


@dataclass(frozen=True)
class Point:
    """``kind``: ``before`` and ``after`` kill; ``INT`` and so on send that; else an errno's name, and
    with ``+`` all later calls fail too.
    """

    situation: str
    number: int
    kind: str
    served: bool = False

    @property
    def replay(self) -> str:
        where = " --served" if self.served else ""
        return f"python tests/proof/kill/run.py --point {self.situation}:{self.number}:{self.kind}{where}"

    @property
    def kills(self) -> bool:
        return self.kind in ("before", "after")

    def trouble(self) -> Trouble:
        if self.kind in SIGNALS:
            return Signalled(self.number, kill_self, signals=SIGNALS[self.kind])
        if self.kills:
            return Trouble(self.number, kill_self, after=self.kind == "after")
        code = getattr(errno, self.kind.rstrip("+"))
        return Trouble(self.number, lambda: OSError(code, os.strerror(code)), lasting="+" in self.kind)


@dataclass
class Tally:
    """What was done. ``missed``: the run had ended before the point came."""

    points: int = 0
    struck: int = 0
    converged: int = 0
    missed: int = 0
    rescued: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in ("points", "struck", "converged", "missed", "rescued"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failures += other.failures

    def __str__(self) -> str:
        told = f"{self.points} points: {self.struck} struck, {self.converged} converged"
        more = f", {self.missed} not reached" if self.missed else ""
        more += f", {self.rescued} with an emergency file or text" if self.rescued else ""
        return f"{told}{more}, {len(self.failures)} failures"


def calls_for(steps: bool) -> dict[str, Any]:
    """Return which calls are counted: those that change something, or all of the store's."""
    return {"names": WRITES, "also": STEPS} if steps else {"names": DISK_CALLS, "also": DISK}


KILLS = ("before", "after")
SIGNALS = {
    "INT": (signal.SIGINT,),
    "TERM": (signal.SIGTERM,),
    "BOTH": (signal.SIGINT, signal.SIGTERM),
}
SAVES = ("fresh", "journal", "shell", "prune", "parallel", "saved")
AT_MOST = 10.0  # seconds: five for requests in flight, and a busy machine
FAILURES = tuple(f"{errno.errorcode[code]}{ending}" for ending in ("", "+") for code in ERRNOS)


def points_of(measure: Measure, kinds: Sequence[str], *, in_turn: bool = False) -> Iterator[Point]:
    """Yield the points of each call: all kinds, or one each ``in_turn``."""
    for number in range(len(measure.calls)):
        for kind in (kinds[number % len(kinds)],) if in_turn else kinds:
            yield Point(measure.name, number, kind, measure.served)


def strike(measure: Measure, point: Point, work: Path, tally: Tally) -> None:
    """Do one point in a copy of its situation; a failure is noted, with what is needed to look into it."""
    folder = measure.copy(work / f"{point.situation}-{point.number}-{point.kind}")
    tally.points += 1
    try:
        _strike(measure, point, folder, tally)
    except Exception as error:  # noqa: BLE001 - whatever it was, the other points go on
        tally.failures.append(f"{point}: {type(error).__name__}: {error}\n  replay: {point.replay}")
        return
    shutil.rmtree(folder)


def _strike(measure: Measure, point: Point, folder: Path, tally: Tally) -> None:
    before = state_of(folder)
    steps = point.kills or point.kind in SIGNALS
    ended = ran(folder, measure.situation.arguments, "run", trouble=point.trouble(), **calls_for(steps))
    if point.kills:
        assert ended.killed or ended.status == 0, ended
        struck = ended.killed
    elif point.kind in SIGNALS:
        struck = ended.status != 0
        check_interrupted(measure, point, ended, before, state_of(folder))
    else:
        check_manners(ended)
        struck = len(calls_of(folder, "run")) > point.number
        known = {one["transfer_backfill_id"] for one in all_backfills(measure.template)}
        tally.rescued += _check_rescue(folder, ended, known, restoring=point.number % 2 == 0)
    after = check_after_trouble(before, folder, all_backfills(folder))
    tally.struck += struck
    tally.missed += not struck
    recover(measure, folder)
    check_converged(measure, folder, after)
    tally.converged += struck


def check_interrupted(
    measure: Measure, point: Point, ended: Ended, before: Document | None, after: Document | None
) -> None:
    """It ends as interrupted, in time; after one signal, what was under way was waited for and saved."""
    codes = {128 + one for one in SIGNALS[point.kind]}
    assert ended.status in codes | {0}, ended
    assert "Traceback" not in ended.err, ended
    assert ended.seconds < AT_MOST, f"it took {ended.seconds:.1f} s\n{ended}"
    if len(codes) == 1 and measure.name in SAVES:
        assert _pending(after) <= _pending(before), f"an outcome was not saved\n{ended}"


def _pending(document: Document | None) -> set[str]:
    return {one.nonce for one in document.intents.values() if one.pending} if document else set()


def check_manners(ended: Ended) -> None:
    """A failing disk ends in a documented status and words for a person."""
    assert ended.status in DOCUMENTED, ended
    for word in ("Traceback", "error[bug]"):
        assert word not in ended.err + ended.out, ended
    assert ended.status == 0 or ended.err, "it failed without a word"


def _check_rescue(folder: Path, ended: Ended, known: set[int], *, restoring: bool) -> bool:
    """Every create is in the state, or in what was saved instead; restore that, in half of the cases.

    ``known`` are backfills of earlier runs.
    """
    saved = sorted(folder.glob("errored.*.json"))
    text = saved[-1].read_text("utf-8") if saved else _between_marks(ended.err)
    recorded = state_of(folder)
    known = known | set(recorded.backfills if recorded else ())
    if text is not None:
        known |= set(decode_document(text.encode(), "errored", "").backfills)
    lost = [one for one in all_backfills(folder) if one["transfer_backfill_id"] not in known]
    unknown = [one for one in lost if recorded is None or not is_known(recorded, one)]
    assert not unknown, f"neither in the state nor saved: {unknown}\n{ended}"
    if text is None or not restoring:
        return text is not None
    assert "state push errored" in ended.err, ended
    with suppress(Refused):  # the commit that failed is there all the same
        store_of(folder).push(decode_document(text.encode(), "errored", ""))
    return True


def _between_marks(text: str) -> str | None:
    begin, end = (f"-----{word} STATE OF TEAM {TEAM}-----" for word in ("BEGIN", "END"))
    if begin not in text:
        return None
    return text.partition(begin)[2].partition(end)[0]


def again(measure: Measure, point: Point, second: Point, work: Path, tally: Tally) -> None:
    """Kill a run, then the run that cleans up after it, then clean up."""
    name = f"{point.situation}-{point.number}-{point.kind}-{second.number}-{second.kind}"
    folder = measure.copy(work / name)
    tally.points += 1
    try:
        before = state_of(folder)
        first = ran(folder, measure.situation.arguments, "run", trouble=point.trouble())
        middle = check_after_trouble(before, folder, all_backfills(folder))
        ended = ran(folder, CLEAN, "second", trouble=second.trouble())
        assert ended.killed or ended.status == 0, ended
        after = check_after_trouble(middle, folder, all_backfills(folder))
        recover(measure, folder)
        check_converged(measure, folder, after)
        tally.struck += first.killed
        tally.missed += not first.killed
        tally.converged += first.killed
    except Exception as error:  # noqa: BLE001 - the other points go on
        replay = f"{point.replay} --then {second.number}:{second.kind}"
        tally.failures.append(f"{point} then {second}: {type(error).__name__}: {error}\n  replay: {replay}")
        return
    shutil.rmtree(folder)
