"""Races applies against each other, round by round, and counts.

python tests/proof/races/run.py                  200 rounds (20 of real processes), and all freezes
python tests/proof/races/run.py --round 17       one round again; --real for one of real processes
python tests/proof/races/run.py --git 40         40 rounds of two applies over Git; --git-round 7: one again
python tests/proof/races/run.py --freeze 31      one freeze again; --lock for one that holds the lock
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import races_freezes
import races_git
from races_rounds import Race, Round


def main() -> int:
    options = _options()
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="reconciler-races-"))
    failures, done = 0, Counter[str]()
    for name, replay, act in _tasks(options, work):
        folder = work / f"task-{sum(done.values())}"
        done[name] += 1
        try:
            for status, number in (act(folder) or {}).items():
                done[f"status {status}"] += number
        except Exception as error:  # noqa: BLE001 - the other rounds go on
            failures += 1
            _say(f"{name}: {type(error).__name__}: {error}\n  replay: {replay}\n  folder: {folder}")
            continue
        shutil.rmtree(folder, ignore_errors=True)
    told = ", ".join(f"{number} x {name}" for name, number in sorted(done.items()))
    _say(f"{told}; {failures} failures, {time.monotonic() - began:.0f} s")
    if not failures:
        shutil.rmtree(work)
    return 1 if failures else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=180, help="of forked processes")
    parser.add_argument("--real-rounds", type=int, default=20, help="of real processes")
    parser.add_argument("--freezes", type=int, default=1, help="every N-th point; 0: none")
    parser.add_argument("--git", type=int, default=0, help="rounds of two applies over Git")
    parser.add_argument("--git-round", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--slice", default="0/1", help="I/N: this one of N shares")
    parser.add_argument("--round", type=int)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--freeze", type=int)
    parser.add_argument("--lock", action="store_true")
    return parser.parse_args()


Task = tuple[str, str, Callable[[Path], "dict[int, int] | None"]]


def _tasks(options: argparse.Namespace, work: Path) -> Iterator[Task]:
    if options.round is not None:
        yield _race(options.round, real=options.real)
    elif options.git_round is not None:
        yield _git_race(options.git_round)
    elif options.freeze is not None:
        yield _freeze(options.freeze, locked=options.lock)
    else:
        mine, shares = map(int, options.slice.split("/"))
        yield from list(_all_tasks(options, work))[mine::shares]


def _all_tasks(options: argparse.Namespace, work: Path) -> Iterator[Task]:
    for seed in range(options.first, options.first + options.rounds):
        yield _race(seed, real=False)
    for seed in range(options.first, options.first + options.real_rounds):
        yield _race(seed, real=True)
    for seed in range(options.first, options.first + options.git):
        yield _git_race(seed)
    if options.freezes:
        calls = races_freezes.undisturbed_calls(work)
        for number in races_freezes.freezable(calls)[:: options.freezes]:
            yield _freeze(number, locked=False)
        for number in range(5, 60, 11 * options.freezes):
            yield _freeze(number, locked=True)


def _race(seed: int, *, real: bool) -> Task:
    def act(folder: Path) -> dict[int, int]:
        return Race(Round.of(seed, real=real), folder).run()

    return ("real round" if real else "forked round", Round.of(seed, real=real).replay, act)


def _git_race(seed: int) -> Task:
    def act(folder: Path) -> dict[int, int]:
        return races_git.run(seed, folder)

    return ("round over Git", f"python tests/proof/races/run.py --git-round {seed}", act)


def _freeze(number: int, *, locked: bool) -> Task:
    def act(folder: Path) -> None:
        (races_freezes.frozen_under_lock if locked else races_freezes.freeze)(number, folder)

    replay = f"python tests/proof/races/run.py --freeze {number}{' --lock' if locked else ''}"
    return (f"freeze{' under lock' if locked else ''}", replay, act)


if __name__ == "__main__":
    sys.exit(main())
