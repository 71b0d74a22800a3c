"""Which configuration git runs with: that of the checkout, as far as it is about reaching a host."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

_SILENCE = "60"  # seconds without a byte from an HTTP server before git gives up
_OURS = ("http.", "credential.", "url.", "ssh.", "protocol.", "user.", "author.", "committer.")
_OURS_TOO = ("core.sshcommand", "core.askpass", "core.gitproxy")


def settings(listed: bytes) -> list[tuple[str, str]]:
    """Read ``git config --list -z``: the keys and values in their order; a key alone means ``true``."""
    pairs = (
        entry.partition("\n") for entry in listed.decode("utf-8", "surrogateescape").split("\0") if entry
    )
    return [(key, value if newline else "true") for key, newline, value in pairs]


def only_there(
    there: Sequence[tuple[str, str]], known: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield what holds in the checkout and not everywhere, if it is about reaching a host, or who commits."""
    here = Counter(known)
    for setting in there:
        if here[setting]:
            here[setting] -= 1
        elif setting[0].startswith(_OURS) or setting[0] in _OURS_TOO:
            yield setting


def as_environ(settings: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Hand settings over in the environment: credentials are among them, and must not lie on a disk."""
    chosen = [("core.hooksPath", os.devnull), ("gc.auto", "0"), ("maintenance.auto", "false"), *settings]
    environ = {"GIT_CONFIG_COUNT": str(len(chosen))}
    for number, (key, value) in enumerate(chosen):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environ


_PLACES = {  # what would lead git back to the checkout
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_QUARANTINE_PATH",
}
_NOT_FOR_GIT = (
    "SSH_ASKPASS",
    "SUPERMETRICS_API_KEY",
)  # a window for a password, which nobody sees in CI; our key
_SCOPES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")


def quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which git speaks English, asks nobody, and does not see our key."""
    asking_nobody = {
        **{key: value for key, value in environ.items() if key not in _NOT_FOR_GIT},
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
    }
    asking_nobody.setdefault("GIT_HTTP_LOW_SPEED_LIMIT", "1")
    asking_nobody.setdefault("GIT_HTTP_LOW_SPEED_TIME", _SILENCE)
    return asking_nobody


def bare_environ(home: str) -> dict[str, str]:
    """Return the environment of a repository of our own, in the folder ``home``."""
    environ = {
        key: value
        for key, value in os.environ.items()
        if key in _SCOPES or not (key in _PLACES or key.startswith("GIT_CONFIG_"))
    }
    return {**quiet(environ), "GIT_DIR": home}
