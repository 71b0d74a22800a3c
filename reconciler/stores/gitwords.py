"""What ``git`` says when it fails, in words: a table of its messages, in the C locale."""

from __future__ import annotations

import re
from enum import Enum

from reconciler.errors import StateError, StateRefused, StateUnwritable
from reconciler.untrusted import one_line, without_password

LONGEST = 600  # characters shown of what git says
_NOISE = re.compile(r"^(?:hint:|To |Done$|error: failed to push some refs|Pushing to )")


class Kind(Enum):
    """Why a command of git failed; ``AWAY`` may pass by itself."""

    NOT_ALLOWED = "not allowed"
    NO_REPOSITORY = "no repository"
    FULL = "full"
    TOO_OLD = "too old"
    OTHER_FORMAT = "another object format"
    SILENT = "silent"
    AWAY = "away"


_SAID = (  # the first that is found holds
    (Kind.SILENT, r"^git \S+ did not end within"),
    (Kind.TOO_OLD, r"unknown option|usage: git"),
    (Kind.OTHER_FORMAT, r"mismatched algorithms|hash algorithm|unexpected capabilities\^\{\}"),
    (Kind.FULL, r"No space left|Disk quota"),
    (
        Kind.NOT_ALLOWED,
        r"returned error: 40[13]|Authentication failed|could not read (Username|Password)"
        r"|Permission denied|Permission to .* denied|[Ww]rite access|access denied|not permitted"
        r"|service not enabled|HTTP Basic: Access denied|not allowed to push|insufficient permission"
        r"|unable to create temporary|Host key verification failed|read-only",
    ),
    (
        Kind.NO_REPOSITORY,
        r"returned error: 404|[Rr]epository .*(not found|does not exist)"
        r"|does not appear to be a git repository"
        r"|not exported|is not a valid repository",
    ),
)
_CURES = {
    Kind.NOT_ALLOWED: "Give this job's credentials the right to {do} there (GitHub: `permissions: contents: "
    "{level}`; GitLab: a token with {scope}; with SSH a deploy key{key}).",
    Kind.NO_REPOSITORY: "Check the remote: `git remote -v`. Some hosts say so, too, where the credentials "
    "may not read it.",
    Kind.FULL: "Free some space, then run again.",
    Kind.TOO_OLD: "Git 2.29 or newer is needed.",
    Kind.OTHER_FORMAT: "That repository names its commits otherwise (sha1, sha256) than this checkout: "
    "run it in a clone of that one.",
    Kind.SILENT: "The host answers nothing. Check that it works, then run again.",
    Kind.AWAY: "Check that the host can be reached from here, then run again.",
}


class GitFailed(Exception):
    """A command of git ended with an error; ``said`` is what it printed."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said

    @property
    def kind(self) -> Kind:
        return next((kind for kind, pattern in _SAID if re.search(pattern, self.said)), Kind.AWAY)


def shown(said: str) -> str:
    """Return what git printed on one line, without passwords, hints and what is told anyway."""
    lines = [line.strip() for line in said.splitlines()]
    told = "; ".join(line.rstrip(".") for line in lines if line and not _NOISE.match(line))
    text = one_line(without_password(told)) or "it says nothing"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def unreadable(source: str, failed: GitFailed) -> StateError:
    """Return the error for a read that failed."""
    return StateError(
        "The state cannot be read",
        f"{source}: git says: {shown(failed.said)}.",
        _cure(failed.kind, writing=False),
    )


def unwritable(source: str, failed: GitFailed, may_land: bool = False) -> StateUnwritable:
    """Return the error for a write that failed; no plain refusal if an earlier attempt ``may_land`` yet."""
    kind = failed.kind
    if kind is Kind.NOT_ALLOWED and not may_land:
        return refused(source, failed.said)
    detail = f"{source}: git says: {shown(failed.said)}. Nothing is sent that cannot be recorded."
    return StateUnwritable("The state could not be written", detail, _cure(kind, writing=True))


def refused(source: str, said: str) -> StateRefused:
    """Return the error for a write that the host turned away: a permission, a hook, a protected branch."""
    detail = f"{source}: git says: {shown(said)}. Nothing was sent that is not recorded."
    hint = _cure(Kind.NOT_ALLOWED, writing=True) + " A rule or a hook of the host must allow its branch."
    if "exists; cannot create" in said:
        hint = "A branch of that name is in the way. Give another prefix: --state git:REMOTE#PREFIX."
    return StateRefused("The state may not be written", detail, hint)


def _cure(kind: Kind, writing: bool) -> str:
    do, level, scope, key = (
        ("push", "write", "write_repository", " that may write")
        if writing
        else ("fetch", "read", "read_repository", "")
    )
    return _CURES[kind].format(do=do, level=level, scope=scope, key=key)
