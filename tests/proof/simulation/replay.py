"""Play one seed again and print everything that happens: ``python tests/proof/simulation/replay.py SEED``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from simulation_schedule import play


def main(seed: int) -> int:
    played = play(seed, tracing=True)
    for line in played.trace:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"\nseed {seed}: {played.failure or 'every promise held'}\n")
    return 1 if played.failure else 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
