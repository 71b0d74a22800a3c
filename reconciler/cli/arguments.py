"""From flags and environment to the values that a run takes: the API, the key, the state."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.cli.options import SANDBOX
from reconciler.cli.terminal import err
from reconciler.errors import ConfigError, KeyProblem, UsageError

if TYPE_CHECKING:
    from reconciler.api.client import Verbose
    from reconciler.cli.options import Common
    from reconciler.cli.signals import Signals
    from reconciler.engine.parts import EmbeddedApi, Parts, States
    from reconciler.model.desired import DesiredTeam
    from reconciler.sandbox import Sandbox

WORLD = "world.db"
MOST_OF_KEY_FILE = 16 * 1024  # bytes


def api_of(common: Common) -> str | EmbeddedApi:
    """Return the API's URL, or the sandbox. Raises ``UsageError`` for what is neither, before a key is asked
    for.
    """
    if not is_sandbox(common):
        from reconciler.http import checked_base_url

        return checked_base_url(common.api)
    sandbox = opened_sandbox(common)
    sandbox.url = common.api
    return sandbox


def address_of(common: Common) -> str:
    """Return what plans and states call the API. Raises ``UsageError`` for what is none."""
    if is_sandbox(common):
        return common.api
    from reconciler.http import checked_base_url

    return checked_base_url(common.api).rstrip("/")


def opened_sandbox(common: Common) -> Sandbox:
    """Return the embedded sandbox that ``--api`` names. Raises ``UsageError`` for a file that holds none."""
    return open_sandbox(common.api.partition(":")[2] or os.path.join(sandbox_folder(common), WORLD))


def sandbox_folder(common: Common) -> str:
    """Return where the embedded sandbox lies: in the state folder of the files; without files, of this one.

    Raises ``UsageError`` where the files have several.
    """
    from reconciler.config.loading import default_paths, state_folders

    try:
        folders = state_folders(common.config or default_paths())
    except ConfigError:
        folders = ()
    if len(folders) > 1:
        detail = f"The states of the files lie in {', '.join(folders)}."
        raise UsageError("Which sandbox is meant remains open", detail, "Name its file: --api sandbox:FILE")
    return os.path.join(*(folders or ("state",)), SANDBOX)


def is_sandbox(common: Common) -> bool:
    return common.api == SANDBOX or common.api.startswith(SANDBOX + ":")


def state_of(common: Common) -> States:
    """Return where the flags or the environment say that the state is; the sandbox's lies apart, in a folder
    of that of the files.
    """
    return common.state or _of_sandbox if is_sandbox(common) else common.state


def _of_sandbox(team: DesiredTeam) -> str:
    from reconciler.engine.parts import state_url

    return os.path.join(state_url(None, team), SANDBOX)


def verbose_of(common: Common) -> Verbose | None:
    return _tell_request if common.verbose else None


def parts_of(common: Common, signals: Signals) -> Parts:
    """Return what makes clients and stores, for commands that look after one of them."""
    from reconciler.engine.parts import Parts

    return Parts(api_of(common), read_key, state_of(common), signals, verbose_of(common))


def open_sandbox(path: str) -> Sandbox:
    """Open the sandbox in an SQLite file. Raises ``UsageError`` for a file that is none."""
    import sqlite3

    from reconciler.sandbox import Sandbox

    try:
        return Sandbox.open(path)
    except (sqlite3.DatabaseError, OSError) as error:
        detail = f"{path} cannot be used as a sandbox: {error}."
        raise UsageError(
            "The sandbox file cannot be used", detail, "Use another file: --api sandbox:FILE"
        ) from None


def read_key(key_env: str) -> str:
    """Return the key from the environment variable, or from the file that ``<it>_FILE`` names.

    Raises ``KeyProblem`` if there is none.
    """
    key = os.environ.get(key_env, "").strip()
    file = os.environ.get(f"{key_env}_FILE", "")
    if not key and file:
        key = _key_in(file, f"{key_env}_FILE")
    if not key:
        hint = f"Set {key_env} to an API key, or try it without one: --api sandbox"
        raise KeyProblem("There is no API key", _why_no_key(key_env), hint)
    return key


def _why_no_key(key_env: str) -> str:
    empty = [name for name in (key_env, f"{key_env}_FILE") if name in os.environ]
    if empty:
        return f"{' and '.join(empty)} {'are' if len(empty) > 1 else 'is'} set, but empty."
    return f"Neither {key_env} nor {key_env}_FILE is set."


def _key_in(file: str, variable: str) -> str:
    """Return the key in a file; a byte order mark, which editors leave, is no part of it."""
    from reconciler.cli.reading import read_bounded

    try:
        data = read_bounded(file, MOST_OF_KEY_FILE + 1)
        fault = f"has more than {MOST_OF_KEY_FILE} bytes" if len(data) > MOST_OF_KEY_FILE else ""
        key = "" if fault else data.decode("utf-8-sig").strip()
        fault = fault or ("" if key else "is empty")
    except UnicodeDecodeError:
        fault = "is not text in UTF-8"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    if fault:
        detail = f"The file that {variable} names {fault}."
        raise KeyProblem("The key file cannot be read", detail, "Check its path and permissions.")
    return key


def _tell_request(method: str, path: str, status: int | None, seconds: float) -> None:
    err(f"{method} {path} -> {status or 'no answer'} ({seconds * 1000:.0f} ms)")


def warn_of_ci(common: Common, teams: Iterable[DesiredTeam]) -> None:
    """Warn where a CI job keeps its state on the runner's disk, which is thrown away."""
    if not os.environ.get("CI") or is_sandbox(common):
        return
    from reconciler.engine.parts import state_url
    from reconciler.stores.urls import is_on_disk

    if any(is_on_disk(state_url(state_of(common), team)) for team in teams):
        err(
            "warning[CI001]: The state is on this runner's disk\n"
            "  CI usually throws that away. Keep it elsewhere (--state git:origin), or store the folder, too."
        )
