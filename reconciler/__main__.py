"""``python -m reconciler`` and the command ``reconciler``."""

import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType


def main() -> None:
    leave_on_signals()
    gc.disable()  # a start makes many objects and no garbage; with the command at hand it is on again
    from reconciler.cli.main import run

    status = run(sys.argv[1:])
    if status in (129, 130, 143):
        # A read that hangs must not keep an interrupted run alive: no thread is waited for.
        with suppress(OSError):  # the terminal may be gone
            sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def leave_on_signals() -> None:
    """End at once on a signal, until a command that has something to lose takes over (``cli/signals.py``).

    Python's own way with SIGINT, an exception anywhere, is shown as a traceback or lost while modules are
    imported; as the first process of a container it would not notice SIGTERM at all.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup
        signal.signal(signal.SIGHUP, _leave)


def _leave(signum: int, _frame: FrameType | None) -> None:
    told = {signal.SIGINT: b"Interrupted.\n", signal.SIGTERM: b"Terminated.\n"}  # as ``errors.py`` has it
    with suppress(OSError):
        os.write(2, told.get(signal.Signals(signum), b"Hung up.\n"))
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
