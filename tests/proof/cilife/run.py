"""Live many lives: ``python tests/proof/cilife/run.py [--seeds N] [--first S] [--life SEED]``.

Each is a company's: a remote, jobs in fresh clones, kills. A failure prints its seed, and the command that
plays it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cilife_life import Life


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Live many lives in CI.")
    parser.add_argument("--seeds", type=int, default=100, help="how many (100)")
    parser.add_argument("--first", type=int, default=0, help="the first (0)")
    parser.add_argument("--life", type=int, help="only this one")
    told = parser.parse_args(arguments)
    seeds = [told.life] if told.life is not None else range(told.first, told.first + told.seeds)
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="reconciler-life-") as folder:
            try:
                counts += Life(seed, Path(folder).resolve() / "company").live()
            except BaseException:
                sys.stderr.write(
                    f"life {seed} failed; again: python tests/proof/cilife/run.py --life {seed}\n"
                )
                raise
    lines = [f"{number:6} {name}" for name, number in sorted(counts.items())]
    sys.stdout.write("\n".join([*lines, f"{len(seeds)} lives in {time.monotonic() - began:.0f} s", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
