"""Every exception raised on purpose.

    ReconcilerError                 code, summary, detail, hint, exit status
    ├── ConfigError                 1   the files have errors (carries findings)
    │   └── FilesUnread             6   a file of the team was not read
    ├── UsageError                  64  flags that make no sense together
    ├── StateError                  1   the state cannot be used
    │   ├── StateDamaged            1   not what we wrote
    │   ├── StateNewer              1   written by a newer reconciler
    │   ├── StateForeign            1   of another team, API or lineage
    │   ├── StateOldCopy            6   older than what was committed last
    │   │   └── StateMoved          6   it goes on at another place
    │   ├── StateUnwritable         1   a write failed; nothing may be sent after it
    │   │   └── StateRefused        6   the place of the state turned the write away
    │   ├── StateConflict           1   somebody else committed first (handled inside)
    │   └── StateLocked             5   held by another run
    ├── Refused                     6   a guard, an unfit plan, a missing state
    ├── QuotaUsedUp                 7   running again cannot help
    ├── KeyProblem                  65  the key is missing, wrong, or lacks a scope
    ├── ApiUnavailable              69  down or limiting us: run again later
    └── Interrupted                 129, 130, 143

``code`` is stable and has a heading in ``docs/errors.md``. ``summary`` holds no user-chosen
names; ``detail`` says what is wrong and why it matters; ``hint`` says what to do. Anything
else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import timedelta

    from reconciler.diagnostics import Finding, Place


class ReconcilerError(Exception):
    """The base of all: a stable code, words for a person, and an exit status. ``besides``: what holds all the
    same, by what was read before.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    wrote_nothing: ClassVar[bool] = False  # of a store's write: nothing landed, and nothing of it ever will

    def __init__(self, summary: str, detail: str = "", hint: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.detail = detail
        self.hint = hint
        self.besides: tuple[Finding, ...] = ()


class ConfigError(ReconcilerError):
    """The files have errors; ``findings`` holds all of them, warnings too.

    ``line_of`` returns the text of the line that a place lies in, or ``None`` if it cannot be shown.
    """

    code = "config-invalid"

    def __init__(
        self,
        findings: tuple[Finding, ...],
        line_of: Callable[[Place], str | None] = lambda place: None,
    ) -> None:
        super().__init__("The files have errors")
        self.findings = findings
        self.line_of = line_of


class FilesUnread(ConfigError):
    """The files that were read are in order, but one beside them says something for their team too."""

    code = "files-unread"
    exit_status = 6


class UsageError(ReconcilerError):
    code = "usage"
    exit_status = 64


class StateError(ReconcilerError):
    code = "state-error"


class StateDamaged(StateError):
    code = "state-damaged"


class StateNewer(StateError):
    code = "state-newer"


class StateForeign(StateError):
    code = "state-foreign"
    wrote_nothing = True


class StateOldCopy(StateError):
    code = "state-old"
    exit_status = 6


class StateMoved(StateOldCopy):
    """The document was moved ``to`` another place, or is on its way there."""

    code = "state-moved"

    def __init__(self, summary: str, detail: str, hint: str, to: str) -> None:
        super().__init__(summary, detail, hint)
        self.to = to


class StateUnwritable(StateError):
    code = "state-unwritable"


class StateRefused(StateUnwritable):
    """The host of the state does not permit the write: a permission, a hook, a protected branch."""

    code = "state-refused"
    exit_status = 6
    wrote_nothing = True


class StateConflict(StateError):
    """The revision expected is not the revision there; nothing was written."""

    code = "state-conflict"
    wrote_nothing = True


class StateLocked(StateError):
    code = "state-locked"
    exit_status = 5


class Refused(ReconcilerError):
    code = "refused"
    exit_status = 6
    wrote_nothing = True


class QuotaUsedUp(ReconcilerError):
    code = "quota-used-up"
    exit_status = 7


class KeyProblem(ReconcilerError):
    code = "key-problem"
    exit_status = 65


class ApiUnavailable(ReconcilerError):
    """``wait``: how long the API asks us to wait, if it does."""

    code = "api-unavailable"
    exit_status = 69

    def __init__(self, summary: str, detail: str = "", hint: str = "", wait: timedelta | None = None) -> None:
        super().__init__(summary, detail, hint)
        self.wait = wait


_SIGNALS = {1: ("Hung up", "SIGHUP"), 2: ("Interrupted", "SIGINT"), 15: ("Terminated", "SIGTERM")}


class Interrupted(ReconcilerError):
    """A signal ended the run, and the summary says which. The status is 128 + its number, ``signum``."""

    code = "interrupted"
    exit_status = 130

    def __init__(self, signum: int) -> None:
        summary, name = _SIGNALS.get(signum, ("Interrupted", f"signal {signum}"))
        super().__init__(summary, f"{name} ended the run.")
        self.signum = signum


class Exit(IntEnum):
    """What an exit status means; ``docs/cli.md`` has the same table."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    PARTLY = 3
    UNKNOWN = 4
    LOCKED = 5
    REFUSED = 6
    QUOTA = 7
    USAGE = 64
    KEY = 65
    UNAVAILABLE = 69
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


PRECEDENCE = (
    Exit.HUNG_UP,
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.UNKNOWN,
    Exit.KEY,
    Exit.QUOTA,
    Exit.UNAVAILABLE,
    Exit.ERROR,
    Exit.LOCKED,
    Exit.REFUSED,
    Exit.PARTLY,
    Exit.CHANGES,
)


def worst(statuses: Iterable[int]) -> int:
    """Return the status that wins; 0 if none holds."""
    held = set(statuses)
    return next((int(one) for one in PRECEDENCE if one in held), next(iter(held - {0}), 0))


def status_of(error: ReconcilerError) -> int:
    """Return the exit status of a command that an error ended."""
    return 128 + error.signum if isinstance(error, Interrupted) else error.exit_status
