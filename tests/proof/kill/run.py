"""Kills and fails applies, point by point, and counts. ``make kill`` does all of it.

python tests/proof/kill/run.py                        everything
python tests/proof/kill/run.py forks --every 7        a part of it, every seventh point
python tests/proof/kill/run.py --point fresh:31:after one point again
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import kill_paths  # noqa: F401
import kill_points
import kill_strace
from kill_points import FAILURES, KILLS, Point, Tally, calls_for
from kill_served import EMBEDDED, free_url
from kill_worlds import SITUATIONS, Measure, measured

PARTS = ("forks", "twice", "signals", "errors", "strace")
SERVED_TOO = ("fresh", "shell", "lost", "parallel")
TRACED = ("fresh", "shell")
EVERY_ERRNO = ("fresh",)


def main() -> int:
    options = _options()
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="reconciler-kill-"))
    total = Tally()
    for name, tally in _done(options, work):
        total.add(tally)
        _say(f"{name:<24} {tally}", *tally.failures)
    _say(f"{'total':<24} {total}, {time.monotonic() - began:.0f} s")
    if total.failures:
        _say(f"the folders of the failures are in {work}")
        return 1
    shutil.rmtree(work)
    return 0


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--every", type=int, default=1, help="only every N-th point")
    parser.add_argument("--slice", default="0/1", help="I/N: this one of N shares of the points")
    parser.add_argument("--situations", default=",".join(SITUATIONS))
    parser.add_argument("--served", action="store_true", help="only where another process serves the sandbox")
    parser.add_argument("--embedded", action="store_true", help="only where the sandbox is in the process")
    parser.add_argument("--seed", type=int, default=0, help="of the pairs of `twice`")
    parser.add_argument("--pairs", type=int, default=240, help="how many of them")
    parser.add_argument("--point", help="SITUATION:NUMBER:KIND, one point of forks or errors")
    parser.add_argument("--then", help="NUMBER:KIND, where the run after it is killed")
    parser.add_argument("--call", help="SITUATION:GROUP:CALL:NUMBER, one point of strace")
    return parser.parse_args()


def _done(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, Tally]]:
    if options.point:
        yield "point", _one_point(options, work)
    elif options.call:
        yield "call", _one_call(options, work)
    else:
        for part in options.parts or PARTS:
            yield from _PARTS[part](options, work / part)


def _shared(options: argparse.Namespace, points: list[kill_points.Point]) -> list[kill_points.Point]:
    mine, shares = map(int, options.slice.split("/"))
    return points[mine * options.every :: shares * options.every]


def _chosen(options: argparse.Namespace, among: tuple[str, ...] = tuple(SITUATIONS)) -> list[str]:
    return [name for name in options.situations.split(",") if name in among]


def _worlds(
    options: argparse.Namespace, served: tuple[str, ...], embedded: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield situations, each with its API."""
    if not options.served:
        yield from ((name, EMBEDDED) for name in _chosen(options, embedded))
    if not options.embedded:
        url = free_url()
        yield from ((name, url) for name in _chosen(options, served))


def _label(part: str, measure: Measure) -> str:
    return f"{part} {measure.name}{' (served)' if measure.served else ''}"


def _forks(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, Tally]]:
    """Kill before and after every call."""
    for name, api in _worlds(options, SERVED_TOO, tuple(SITUATIONS)):
        folder = work / ("embedded" if api == EMBEDDED else "served")
        measure, tally = measured(name, folder, **calls_for(True), api=api), Tally()
        for point in _shared(options, list(kill_points.points_of(measure, KILLS))):
            kill_points.strike(measure, point, folder, tally)
        yield _label("forks", measure), tally


def _signals(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, Tally]]:
    """Interrupt before each call: once by either signal, or by both."""
    for name in _chosen(options):
        measure, tally = measured(name, work, **calls_for(True)), Tally()
        kinds = tuple(kill_points.SIGNALS)
        for point in _shared(options, list(kill_points.points_of(measure, kinds, in_turn=options.every > 1))):
            kill_points.strike(measure, point, work, tally)
        yield _label("signals", measure), tally


def _errors(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, Tally]]:
    """Fail every call, once and for good."""
    for name in _chosen(options):
        measure, tally = measured(name, work, **calls_for(False)), Tally()
        in_turn = options.every > 1 or name not in EVERY_ERRNO
        for point in _shared(options, list(kill_points.points_of(measure, FAILURES, in_turn=in_turn))):
            kill_points.strike(measure, point, work, tally)
        yield _label("errors", measure), tally


def _twice(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, Tally]]:
    """Kill a run, and the run after it, at random points."""
    rng = random.Random(options.seed)
    measures: dict[str, Measure] = {}
    tally = Tally()
    pairs = []
    for _pair in range(options.pairs):
        name = rng.choice([one for one in _chosen(options) if one != "saved"])
        if name not in measures:
            measures[name] = measured(name, work, **calls_for(True))
        pairs.append(
            [Point(name, rng.randrange(len(measures[name].calls)), rng.choice(KILLS)) for _ in range(2)]
        )
    for first, second in _shared(options, pairs):
        kill_points.again(measures[first.situation], first, second, work, tally)
    yield f"twice (seed {options.seed})", tally


def _strace(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, Tally]]:
    """Kill a real process before each of its system calls."""
    reason = kill_strace.why_not()
    if reason:
        _say(f"strace: skipped: {reason}")
        return
    for name, api in _worlds(options, TRACED[:1], TRACED):
        folder = work / ("embedded" if api == EMBEDDED else "served")
        measure, tally = measured(name, folder, **calls_for(True), api=api), Tally()
        unused = "network" if api == EMBEDDED else "vendor"
        groups = [one for one in kill_strace.GROUPS if one != unused]
        points = [point for group in groups for point in kill_strace.counted(measure, folder, group)]
        for point in _shared(options, points):
            kill_strace.strike(measure, point, folder, tally)
        yield _label("strace", measure), tally


_PARTS = {"forks": _forks, "twice": _twice, "signals": _signals, "errors": _errors, "strace": _strace}


def _one_point(options: argparse.Namespace, work: Path) -> Tally:
    name, number, kind = options.point.split(":")
    point, tally = Point(name, int(number), kind, options.served), Tally()
    steps = point.kills or point.kind in kill_points.SIGNALS
    measure = measured(name, work, **calls_for(steps), api=free_url() if options.served else EMBEDDED)
    if options.then:
        number, kind = options.then.split(":")
        kill_points.again(measure, point, Point(name, int(number), kind), work, tally)
    else:
        kill_points.strike(measure, point, work, tally)
    return tally


def _one_call(options: argparse.Namespace, work: Path) -> Tally:
    name, group, call, number = options.call.split(":")
    measure = measured(name, work, **calls_for(True), api=free_url() if options.served else EMBEDDED)
    tally = Tally()
    kill_strace.strike(measure, kill_strace.Call(name, group, call, int(number), options.served), work, tally)
    return tally


if __name__ == "__main__":
    sys.exit(main())
