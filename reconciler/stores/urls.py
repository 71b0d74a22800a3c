"""From what ``--state`` says to a store."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from reconciler.errors import UsageError
from reconciler.stores.base import StateStore
from reconciler.untrusted import printable

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LATER = ("s3", "gs", "az", "postgresql", "https")
_KNOWN = "a folder, file://, git:REMOTE#PREFIX, s3://, gs://, az://, postgresql:// and https://"
_GIT = "git:"
_PREFIX = "reconciler-state"  # of branches, unless the URL names one
# What git does not take in the name of a ref (git-check-ref-format).
_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|[./]$|^/|^@?$|^-")


def open_store(
    where: str,
    team_id: int,
    api_url: str,
    written_by: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> StateStore:
    """Return the store that ``where`` names, a folder or a URL, for one team at one API.

    Nothing is read or made yet. Raises ``UsageError`` for what names no store of ours; the
    text never repeats the URL, which may hold a password.
    """
    if where.startswith(_GIT) and not where.startswith("git://"):
        return _git(where, team_id, api_url, written_by, sleep)
    found = _SCHEME.match(where)
    scheme = found[1].lower() if found else _bare_scheme(where)
    if scheme in _LATER:
        raise UsageError(
            "This version does not have that store",
            f"A state at {scheme}:// is planned. This version keeps the state in a folder, or in Git.",
            "Give --state a folder, such as `state`, or git:REMOTE#PREFIX.",
        )
    if scheme not in ("", "file"):
        raise UsageError(
            "Unknown kind of state URL",
            f"{scheme}:// is not one of {_KNOWN}.",
            "Use one of those with --state.",
        )
    folder = _folder_of(where) if scheme else where
    return _local(folder, team_id, api_url, written_by, sleep)


def is_on_disk(where: str) -> bool:
    """Tell whether a store lies in a folder of this machine."""
    return where.startswith("file:") or not (where.startswith(_GIT) or "://" in where)


def _bare_scheme(where: str) -> str:
    """Return the scheme of a URL that lacks its slashes, so that it makes no folder of that name."""
    start = where.partition(":")[0].lower() if ":" in where else ""
    return start if start in (*_LATER, "file") else ""


def _folder_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _bad_folder(f"It is not a URL: {error}.") from None
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise _bad_folder("A file URL needs an absolute path: file:///path/to/folder.")
    if parts.query or parts.fragment:
        raise _bad_folder("A file URL has neither a query nor a fragment.")
    return unquote(parts.path)


def _local(
    folder: str, team_id: int, api_url: str, written_by: str, sleep: Callable[[float], None]
) -> StateStore:
    if not folder or "\0" in folder:
        raise _bad_folder("It is empty, or not a path.")
    from reconciler.stores.local import LocalStore  # needs fcntl, which Windows lacks

    return LocalStore(folder, team_id, api_url, written_by, sleep=sleep)


def _git(
    where: str, team_id: int, api_url: str, written_by: str, sleep: Callable[[float], None]
) -> StateStore:
    remote, _hash, prefix = where.removeprefix(_GIT).partition("#")
    remote, prefix = remote or "origin", prefix or _PREFIX
    if _NO_REF.search(prefix):
        detail = f"`{printable(prefix, '?')}` cannot be the beginning of a branch's name."
        hint = f"Give --state git:REMOTE#PREFIX, such as git:origin#{_PREFIX}."
        raise UsageError("The state location cannot be used", detail, hint)
    if remote.startswith("-"):
        detail = f"`{printable(remote, '?')}` cannot be a remote."
        raise UsageError("The state location cannot be used", detail, "Give one, such as git:origin.")
    from reconciler.stores.git import GitStore

    return GitStore(remote, prefix, os.getcwd(), team_id, api_url, written_by, sleep=sleep)


def _bad_folder(detail: str) -> UsageError:
    return UsageError("The state location cannot be used", detail, "Give --state a folder, such as `state`.")
