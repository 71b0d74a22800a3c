"""Play many seeds: ``python tests/proof/simulation/soak.py --seeds N [--start S] [--processes P]``.

Prints each seed that breaks a promise, with the command that plays it again, and at the end what
was met on the way. Ends with status 1 if any seed failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from simulation_schedule import Played, play

BATCH = 100


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Play many seeds of the simulation.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--start", type=int, default=0, help="the first (0)")
    parser.add_argument("--processes", type=int, default=2, help="at a time (2)")
    parser.add_argument("--counts", action="store_true", help="tell what was met on the way")
    told = parser.parse_args(arguments)
    began, failed, played = time.monotonic(), 0, 0
    counts: Counter[str] = Counter()
    for batch in _batches(range(told.start, told.start + told.seeds), told.processes):
        for one in batch:
            played += 1
            counts += one.counts
            if one.failure:
                failed += 1
                _say(failure_text(one))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{played} of {told.seeds}, {failed} failed ")
    if told.counts:
        _say("\n".join(f"{number:9} {name}" for name, number in sorted(counts.items())))
    passed = time.monotonic() - began
    _say(f"{played} schedules in {passed:.0f} s ({passed / played * 1000:.1f} ms each), {failed} failed")
    return 1 if failed else 0


def failure_text(played: Played) -> str:
    command = f"python tests/proof/simulation/replay.py {played.seed}"
    return f"seed {played.seed}: {played.failure}\n    {command}"


def play_batch(seeds: range) -> list[Played]:
    return [play(seed) for seed in seeds]


def _batches(seeds: range, processes: int) -> Iterator[list[Played]]:
    parts = [seeds[at : at + BATCH] for at in range(0, len(seeds), BATCH)]
    if processes == 1:
        yield from map(play_batch, parts)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(play_batch, parts)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
