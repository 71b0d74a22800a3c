"""``python -m reconciler`` and the command ``reconciler``."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    signal.signal(signal.SIGINT, _leave)
    from reconciler.cli.main import run

    status = run(sys.argv[1:])
    if status in (130, 143):
        # A read that hangs must not keep an interrupted run alive: no thread is waited for.
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def _leave(_signum: int, _frame: FrameType | None) -> None:
    """End at once, until a command that has something to lose takes signals over (``cli/signals.py``).

    Python's own way, an exception anywhere, is shown as a traceback or lost while modules are imported.
    """
    os.write(2, b"Interrupted.\n")
    os._exit(130)


if __name__ == "__main__":
    main()
