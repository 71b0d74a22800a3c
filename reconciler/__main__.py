"""``python -m reconciler`` and the command ``reconciler``."""

import os
import sys


def main() -> None:
    from reconciler.cli.main import run

    status = run(sys.argv[1:])
    if status in (130, 143):
        # A read that hangs must not keep an interrupted run alive: no thread is waited for.
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
