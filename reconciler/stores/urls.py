"""From what ``--state`` says to a store."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from reconciler.errors import UsageError
from reconciler.stores.base import StateStore
from reconciler.untrusted import printable, without_password

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LATER = ("s3", "gs", "az", "postgresql", "https")
_KNOWN = "a folder, file://, git:REMOTE#PREFIX, s3://, gs://, az://, postgresql:// and https://"
_GIT = "git:"
_PREFIX = "reconciler-state"  # of branches, unless the URL names one
_REMOTE = re.compile(r"[\w.-]+@[\w.-]+:")  # git@github.com:org/repo.git
# What git does not take in the name of a ref (git-check-ref-format).
_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|[./]$|^/|^@?$|^-")


def open_store(
    where: str,
    team_id: int,
    api_url: str,
    written_by: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    heard: Callable[[], None] = lambda: None,
) -> StateStore:
    """Return the store that ``where`` names, a folder or a URL, for one team at one API.

    ``heard`` is called when a commit has landed, before that is believed; its ``OSError`` is a lost answer.

    Nothing is read or made yet. Raises ``UsageError`` for what names no store of ours; the
    text never repeats the URL, which may hold a password.
    """
    if _is_git(where):
        remote, prefix = _git_place(where)
        from reconciler.stores.git import GitStore

        here = os.getcwd()
        return GitStore(remote, prefix, here, team_id, api_url, written_by, sleep=sleep, heard=heard)
    folder = _folder_of(where)
    from reconciler.stores.local import LocalStore  # needs fcntl, which Windows lacks

    return LocalStore(folder, team_id, api_url, written_by, sleep=sleep, heard=heard)


def place_of(where: str) -> str:
    """Return what ``--state`` may say for that place in any folder of the checkout, without a password.

    Raises ``UsageError``.
    """
    if not _is_git(where):
        return os.path.realpath(_folder_of(where))
    remote, prefix = _git_place(where)
    return f"{_GIT}{without_password(remote)}#{prefix}"


def is_on_disk(where: str) -> bool:
    """Tell whether a store lies in a folder of this machine."""
    return where.lower().startswith("file:") or not (_is_git(where) or "://" in where)


def _is_git(where: str) -> bool:
    start = where[:6].lower()
    return start.startswith(_GIT) and start != "git://"


def _folder_of(where: str) -> str:
    """Return the path of a folder, which a plain path or a file URL names. Raises ``UsageError``."""
    found = _SCHEME.match(where)
    scheme = found[1].lower() if found else _bare_scheme(where)
    if scheme in _LATER:
        raise UsageError(
            "This version does not have that store",
            f"A state at {scheme}:// is planned. This version keeps the state in a folder, or in Git.",
            "Give --state a folder, such as `state`, or git:REMOTE#PREFIX.",
        )
    if scheme not in ("", "file") or _REMOTE.match(where):
        raise UsageError(
            "Unknown kind of state URL",
            f"{scheme}:// is not one of {_KNOWN}." if scheme else "That is the address of a Git repository.",
            "Use one of those with --state." if scheme else "Give --state git:REMOTE#PREFIX.",
        )
    folder = _path_of(where) if scheme else where
    if not folder or "\0" in folder:
        raise _bad_folder("It is empty, or not a path.")
    return folder


def _bare_scheme(where: str) -> str:
    """Return the scheme of a URL that lacks its slashes, so that it makes no folder of that name."""
    start = where.partition(":")[0].lower() if ":" in where else ""
    return start if start in (*_LATER, "file") else ""


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _bad_folder(f"It is not a URL: {error}.") from None
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise _bad_folder("A file URL needs an absolute path: file:///path/to/folder.")
    if parts.query or parts.fragment:
        raise _bad_folder("A file URL has neither a query nor a fragment.")
    return unquote(parts.path)


def _git_place(where: str) -> tuple[str, str]:
    """Return the remote and the prefix of branches. Raises ``UsageError``."""
    remote, _hash, prefix = where[len(_GIT) :].partition("#")
    remote, prefix = remote or "origin", prefix or _PREFIX
    if _NO_REF.search(prefix):
        detail = f"`{printable(prefix, '?')}` cannot be the beginning of a branch's name."
        hint = f"Give --state git:REMOTE#PREFIX, such as git:origin#{_PREFIX}."
        raise UsageError("The state location cannot be used", detail, hint)
    if remote.startswith("-"):
        detail = f"`{printable(remote, '?')}` cannot be a remote."
        raise UsageError("The state location cannot be used", detail, "Give one, such as git:origin.")
    return remote, prefix


def _bad_folder(detail: str) -> UsageError:
    return UsageError("The state location cannot be used", detail, "Give --state a folder, such as `state`.")
