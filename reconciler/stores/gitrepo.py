"""Git, as a store needs it: look, fetch, make a commit, push with a lease.

The system's ``git`` runs, with the configuration that holds in the checkout (CI keeps its credentials there),
but in a repository of our own in a temporary folder: objects, refs and hooks of the checkout are neither
used nor touched. Nothing is asked of a person.

    checkout/.git/config, what it includes ──> values in the environment ──┐
    checkout/.git/config remote.origin.url ──> the URL                     ├──> git, in /tmp/reconciler-…
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from threading import Lock, get_ident

from reconciler.errors import StateError, UsageError
from reconciler.stores.gitconfig import as_environ, bare_environ, only_there, quiet, settings
from reconciler.stores.gitwords import GitFailed, shown

TIMEOUT = 180.0  # seconds for one command; what a killed push did is looked up
_IDENTITY = "reconciler <reconciler@localhost>"


class Answer(Enum):
    """What a push did to one ref. ``UNCLEAR``: looking tells."""

    LANDED = "landed"
    STALE = "stale"
    REFUSED = "refused"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Update:
    """A ref of the remote that is to go from ``old`` to ``new``; "" where there is none."""

    ref: str
    new: str
    old: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of an update; ``said`` by the host or by git."""

    answer: Answer
    said: str = ""


@dataclass(slots=True)
class GitRepo:
    """A remote repository, as seen from the checkout in ``folder``.

    Every method may raise ``GitFailed``, and the first one used ``UsageError`` and ``StateError`` where there
    is no checkout, no such remote or no git.
    """

    remote: str
    folder: str
    _home: tempfile.TemporaryDirectory[str] | None = None
    _url: str = ""
    _push_url: str = ""
    _environ: dict[str, str] = field(default_factory=dict)
    _author: str = ""
    _fetching: Lock = field(default_factory=Lock)

    def look(self, *refs: str) -> dict[str, str]:
        """Return the commits that the remote's refs name; one that does not exist is left out."""
        lines = self._git("ls-remote", self._place()._url, *refs).decode().splitlines()
        return {ref: sha for sha, _tab, ref in (line.partition("\t") for line in lines) if ref in refs}

    def fetch(self, *commits: str) -> None:
        """Fetch these commits, each without its history, unless they are here."""
        with self._fetching:  # two at once would get in each other's way
            missing = [one for one in commits if not self._has(one)]
            if missing:
                flags = ("--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
                self._git("fetch", "--quiet", *flags, self._place()._url, *missing)

    def files(self, commit: str) -> list[str]:
        """Return the names at the top of a commit that is here; of what is no plain file it ends in ``/``."""
        listed = self._git("ls-tree", "-z", commit).decode("utf-8", "replace").split("\0")[:-1]
        entries = (entry.partition("\t") for entry in listed)
        return [name if how.startswith("100") else f"{name}/" for how, _tab, name in entries]

    def content(self, commit: str, name: str) -> bytes:
        """Return a file of a commit that is here."""
        return self._git("cat-file", "blob", f"{commit}:{name}")

    def make(self, files: Mapping[str, bytes], message: str, parent: str = "") -> str:
        """Make a commit that holds just these files; return its id. Nothing of it is anywhere else yet."""
        when = datetime.now(UTC)
        who = f"{self._place()._author} {int(when.timestamp())} +0000"
        stream = b"".join(_stream(files, message, who, parent))
        told = self._git("fast-import", "--quiet", "--force", told=stream)
        return told.decode().strip()

    def push(self, *updates: Update) -> dict[str, Pushed]:
        """Push, each update only if its ref is what is expected; return what became of each.

        An update that the remote had already is unclear: nothing says that this push did it. From the first
        one on, what is read comes from where it went: a mirror to fetch from may lag behind.
        """
        leases = [f"--force-with-lease={one.ref}:{one.old}" for one in updates]
        wanted = [f"{one.new}:{one.ref}" for one in updates]
        flags = ("--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no")
        self._url = self._place()._push_url
        ended = self._run("push", *flags, *leases, self._push_url, *wanted)
        said = ended.stderr.decode("utf-8", "replace")
        heard = dict(_answers(ended.stdout.decode("utf-8", "replace"), said))
        if not heard and ended.returncode not in (0, 1):
            raise GitFailed(said or f"git push ended with {ended.returncode}")
        return {one.ref: heard.get(one.ref, Pushed(Answer.UNCLEAR, said)) for one in updates}

    def close(self) -> None:
        """Remove what was kept here."""
        if self._home is not None:
            self._home.cleanup()
            self._home = None

    def _has(self, commit: str) -> bool:
        return self._run("cat-file", "-e", f"{commit}^{{tree}}").returncode == 0

    def _place(self) -> GitRepo:
        """Make our repository, with the configuration that holds in the checkout."""
        if self._home is None:
            if not os.path.isdir(self.folder):
                raise UsageError(
                    "The folder is gone", f"{self.folder} is not there any more.", "Run it in the checkout."
                )
            there = settings(self._outside("config", "--list", "-z"))
            self._url, self._push_url = self._urls(there)
            home = _temporary_folder()
            bare = bare_environ(home.name)
            hashes = self._outside("rev-parse", "--show-object-format").decode().strip() or "sha1"
            self._run("init", "--quiet", "--bare", "--template=", f"--object-format={hashes}", environ=bare)
            known = settings(self._run("config", "--list", "-z", environ=bare).stdout)
            self._environ = {**bare, **as_environ(only_there(there, known))}
            if not {"GIT_SSH", "GIT_SSH_COMMAND"} & set(bare) and "core.sshcommand" not in dict(there):
                self._environ["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"
            self._author = self._identity()
            self._home = home
        return self

    def _urls(self, there: list[tuple[str, str]]) -> tuple[str, str]:
        """Return the URLs to fetch from and to push to. Raises ``UsageError``."""
        named = {key: value for key, value in reversed(there) if key.startswith("remote.")}  # the first holds
        url = named.get(f"remote.{self.remote}.url")
        if url is None and _is_url(self.remote):
            return self.remote, self.remote
        inside = self._outside("rev-parse", "--git-dir")
        if not inside:
            hint = "Run it in the checkout, or give the remote's URL: --state git:URL#PREFIX."
            detail = f"{self.folder} is not in a Git repository."
            raise UsageError("There is no Git repository here", detail, hint)
        if url is None:
            names = sorted({key.split(".", 1)[1].rpartition(".")[0] for key in named if key.endswith(".url")})
            detail = (
                f"This repository has no remote `{self.remote}`; its remotes: {', '.join(names) or 'none'}."
            )
            hint = "Give one that it has: --state git:REMOTE#PREFIX."
            raise UsageError("The Git remote does not exist", detail, hint)
        return self._absolute(url), self._absolute(named.get(f"remote.{self.remote}.pushurl", url))

    def _absolute(self, url: str) -> str:
        """Git takes a relative path from the top of the checkout."""
        if _is_url(url) or os.path.isabs(url):
            return url
        top = self._outside("rev-parse", "--show-toplevel")
        top = top or self._outside("rev-parse", "--absolute-git-dir")
        return os.path.normpath(os.path.join(top.decode().strip(), url))

    def _identity(self) -> str:
        """Return ``Name <address>``, of the checkout if it has one."""
        told = self._run("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        return told.stdout.decode("utf-8", "replace").rsplit(" ", 2)[0] if not told.returncode else _IDENTITY

    def _git(self, *arguments: str, told: bytes = b"") -> bytes:
        self._place()
        ended = self._run(*arguments, told=told)
        if ended.returncode:
            said = ended.stderr.decode("utf-8", "replace")
            raise GitFailed(said or f"git {arguments[0]} ended with {ended.returncode}")
        return ended.stdout

    def _outside(self, *arguments: str) -> bytes:
        """Return what git says in the checkout, nothing where it fails.

        Raises ``StateError`` for a checkout of somebody else's, which git does not look into.
        """
        ended = self._run(*arguments, environ=quiet(os.environ), folder=self.folder)
        said = ended.stderr.decode("utf-8", "replace")
        if "dubious ownership" in said or "bad config" in said:
            raise StateError(
                "The checkout cannot be read", f"git says: {shown(said)}.", "Mend that, then run again."
            )
        return b"" if ended.returncode else ended.stdout

    def _run(
        self,
        *arguments: str,
        told: bytes = b"",
        environ: Mapping[str, str] | None = None,
        folder: str | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git to its end; it has no terminal, and no signal of a terminal reaches it."""
        try:
            return subprocess.run(
                ["git", *arguments],
                input=told,
                capture_output=True,
                env=dict(environ or self._environ),
                cwd=folder,
                timeout=TIMEOUT,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitFailed(f"git {arguments[0]} did not end within {TIMEOUT:.0f} s") from None
        except FileNotFoundError:
            raise StateError(
                "There is no git",
                "A state at git: needs the program `git`, 2.29 or newer.",
                "Install it, or keep the state elsewhere.",
            ) from None


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="reconciler-", ignore_cleanup_errors=True)
    except OSError as error:
        detail = f"No temporary folder can be made: {error.strerror or error}."
        raise StateError("The state cannot be read", detail, "Free some space, or set TMPDIR.") from None


def _is_url(text: str) -> bool:
    """Tell whether git would take it for an address: a URL, ``host:path``, or a path from the root."""
    return "://" in text or os.path.isabs(text) or ":" in text.partition("/")[0]


def _stream(files: Mapping[str, bytes], message: str, who: str, parent: str) -> Iterator[bytes]:
    """Yield what ``git fast-import`` makes a commit of, and tells its id."""
    said = message.encode("utf-8", "replace")
    yield f"feature get-mark\nfeature done\ncommit refs/made/{get_ident()}\nmark :1\n".encode()
    yield (
        f"author {who}\ncommitter {who}\ndata {len(said)}\n".encode("utf-8", "surrogateescape") + said + b"\n"
    )
    yield f"from {parent}\ndeleteall\n".encode() if parent else b""
    for name, content in files.items():
        yield f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n"
    yield b"get-mark :1\ndone\n"


def _answers(printed: str, said: str) -> Iterator[tuple[str, Pushed]]:
    """Read ``git push --porcelain``: a flag, from:to, and in brackets what became of it."""
    for line in printed.splitlines():
        flag, _tab, rest = line.partition("\t")
        names, tab, told = rest.partition("\t")
        if tab and len(flag) == 1:
            yield (
                names.rpartition(":")[2],
                Pushed(_answer(flag, told), f"{told}; {said}" if flag == "!" else ""),
            )


def _answer(flag: str, told: str) -> Answer:
    if flag in " +-*":
        return Answer.LANDED
    if flag == "=":
        return Answer.UNCLEAR
    if told.startswith("[rejected]"):
        return Answer.STALE
    return Answer.REFUSED if told.startswith("[remote rejected]") else Answer.UNCLEAR
