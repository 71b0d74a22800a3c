"""Real Git servers on the loopback interface, each over one bare repository, and what a person does to it.

A server is a path, ``git http-backend`` behind ``git_http.py``, or ``git daemon``. What a host decides about
a push is hooks of the bare repository, so every server can refuse, die amid a push, or die with it done.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from git_http import HttpGit, serve_http

HOST = "127.0.0.1"
SPARE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_COMMON_DIR")
"""What a hook that runs the tests would have them inherit."""
OURS = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
PERSON = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")

# Whatever is asked for goes by the refs of the push; a file that is taken away is asked for once. The parent
# of a hook is ``git receive-pack``: with it dies the server's side of this push, before or after it landed.
_BEFORE = """#!/bin/sh
cd "${GIT_DIR:-.}/asked" || exit 0
while read -r old new ref; do
  grep -qs . slow && sleep "$(cat slow)"
  case "$ref" in $(cat refuse 2>/dev/null)) echo "$(cat words)" >&2; exit 1;; esac
  case "$ref" in $(cat die-before 2>/dev/null)) rm die-before 2>/dev/null && kill -9 $PPID;; esac
done
exit 0
"""
_AFTER = """#!/bin/sh
[ "$1" = committed ] || exit 0
cd "${GIT_DIR:-.}/asked" || exit 0
while read -r old new ref; do
  case "$ref" in $(cat die-after 2>/dev/null)) rm die-after 2>/dev/null && kill -9 $PPID;; esac
done
exit 0
"""


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which only a repository's own configuration counts."""
    base = os.environ if base is None else base
    return {name: value for name, value in base.items() if name not in SPARE} | OURS


def why_not() -> str:
    """Return why there are no servers of Git here; empty if there are."""
    if not shutil.which("git"):
        return "git is not installed"
    missing = [name for name in ("git-http-backend", "git-daemon") if not (exec_path() / name).exists()]
    return f"{', '.join(missing)} is not installed" if missing else ""


def exec_path() -> Path:
    """Return the folder of Git's own programs."""
    return Path(git(Path("/"), "--exec-path"))


def git(folder: Path, *arguments: str, fed: str | None = None) -> str:
    """Run ``git`` in a folder; return what it printed. Raises ``CalledProcessError`` with its words."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=environment(),
        input=fed,
        stdin=subprocess.DEVNULL if fed is None else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)} in {folder}: {done.stderr}"
    return done.stdout.strip()


@dataclass
class Remote:
    """One bare repository and the URL of the server before it. ``http`` is that of http-backend alone."""

    url: str
    bare: Path
    http: HttpGit | None = None
    stop: Callable[[], None] = lambda: None
    _clones: int = field(default=0, repr=False)

    # --- what the host does ---------------------------------------------------------------

    def refuse(self, refs: str = "*", words: str = "denied by a rule of this host") -> None:
        """Have a hook refuse pushes to refs that match a pattern of the shell; ``""``: none."""
        self.ask("words", words)
        self.ask("refuse", refs)

    def die_before(self, refs: str = "*") -> None:
        """Kill the server's side of the next push to such a ref: nothing of it lands."""
        self.ask("die-before", refs)

    def die_after(self, refs: str = "*") -> None:
        """Kill the server's side of the next push to such a ref when it has landed: no answer comes."""
        self.ask("die-after", refs)

    def slow(self, seconds: float) -> None:
        """Have a hook take its time over each ref of a push."""
        self.ask("slow", str(seconds) if seconds else "")

    def ask(self, name: str, value: str) -> None:
        """Tell the hooks; what was asked for and was not met yet is forgotten if it is empty."""
        asked = self.bare / "asked"
        if not asked.is_dir():
            asked.mkdir()
            for hook, script in (("pre-receive", _BEFORE), ("reference-transaction", _AFTER)):
                path = self.bare / "hooks" / hook
                path.parent.mkdir(exist_ok=True)
                path.write_text(script, "utf-8")
                path.chmod(0o755)
        if value:
            (asked / name).write_text(f"{value}\n", "utf-8")
        else:
            (asked / name).unlink(missing_ok=True)

    def is_asked(self, name: str) -> bool:
        """Tell whether something that happens once is still to come."""
        return (self.bare / "asked" / name).exists()

    # --- what a person does ---------------------------------------------------------------

    def refs(self) -> dict[str, str]:
        """Return every ref of the repository with what it points to."""
        lines = git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split() for line in lines)

    def go_back(self, branch: str, commits: int = 1) -> str:
        """Force a branch to an older commit, as a person's ``push --force`` does; return the newer one."""
        newer = git(self.bare, "rev-parse", f"refs/heads/{branch}")
        git(self.bare, "update-ref", f"refs/heads/{branch}", f"{newer}~{commits}")
        return newer

    def put(self, branch: str, commit: str) -> None:
        """Force a branch to a commit."""
        git(self.bare, "update-ref", f"refs/heads/{branch}", commit)

    def delete(self, branch: str) -> None:
        """Delete a branch, as a person's ``push --delete`` does."""
        git(self.bare, "update-ref", "-d", f"refs/heads/{branch}")

    def files(self, ref: str) -> dict[str, str]:
        """Return the files of a branch by name."""
        names = git(self.bare, "ls-tree", "-r", "--name-only", ref).splitlines()
        return {name: git(self.bare, "cat-file", "blob", f"{ref}:{name}") for name in names}

    def commit(self, branch: str, files: Mapping[str, str]) -> str:
        """Commit a tree of these files on a branch, on top of what is there; return the commit."""
        entries = [
            f"100644 blob {git(self.bare, 'hash-object', '-w', '--stdin', fed=text)}\t{name}"
            for name, text in files.items()
        ]
        tree = git(self.bare, "mktree", fed="\n".join(entries) + "\n")
        before = self.refs().get(f"refs/heads/{branch}")
        parents = ("-p", before) if before else ()
        made = git(self.bare, *PERSON, "commit-tree", tree, *parents, "-m", "by hand")
        self.put(branch, made)
        return made

    def clone(self, parent: Path, *options: str) -> Path:
        """Clone over the server into a new folder below ``parent``."""
        self._clones += 1
        folder = parent / f"clone-{self._clones}"
        header = self.http.wants if self.http else ""
        with_key = ("-c", f"http.extraHeader=Authorization: {header}") if header else ()
        git(parent, *with_key, "clone", "--quiet", *options, self.url, str(folder))
        return folder


# --- servers ------------------------------------------------------------------------------


@contextmanager
def by_path(folder: Path) -> Iterator[Remote]:
    """Serve a repository of that name as a folder of this machine."""
    bare = bare_repository(folder)
    yield Remote(str(bare), bare)


@contextmanager
def by_http(folder: Path) -> Iterator[Remote]:
    """Serve by ``git http-backend``; the switches are those of ``Remote.http``."""
    bare = bare_repository(folder)
    git(bare, "config", "http.receivepack", "true")
    with serve_http(bare, exec_path() / "git-http-backend", environment()) as server:
        yield Remote(server.url, bare, http=server, stop=server.stop)


@contextmanager
def by_daemon(folder: Path) -> Iterator[Remote]:
    """Serve by ``git daemon``, which anybody may push to."""
    bare = bare_repository(folder)
    port, daemon = _started(bare.parent)

    def stop() -> None:
        daemon.terminate()
        daemon.wait()

    try:
        yield Remote(f"git://{HOST}:{port}/{bare.name}", bare, stop=stop)
    finally:
        stop()


def _started(base: Path) -> tuple[int, subprocess.Popen[bytes]]:
    """Start the daemon on a port that is free, and stays so: another process may take it first."""
    for _attempt in range(20):
        with socket.socket() as found:
            found.bind((HOST, 0))
            port = int(found.getsockname()[1])
        daemon = _daemon(base, port)
        while daemon.poll() is None:
            with suppress(OSError):
                socket.create_connection((HOST, port), timeout=5).close()
                return port, daemon
            time.sleep(0.002)
    raise AssertionError("git daemon does not start")


def _daemon(base: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            str(exec_path() / "git-daemon"),
            f"--listen={HOST}",
            f"--port={port}",
            "--reuseaddr",
            "--export-all",
            "--enable=receive-pack",
            f"--base-path={base}",
        ],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def bare_repository(folder: Path) -> Path:
    """Make a bare repository with one commit on ``main``, as a team's GitOps repository has."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(folder.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(folder))
    remote = Remote(str(folder), folder)
    remote.commit("main", {"backfills.yaml": "version: 1\n"})
    remote.commit("main", {"backfills.yaml": "version: 1\nteam_id: 5\n"})
    return folder


Server = Callable[[Path], AbstractContextManager[Remote]]
SERVERS: dict[str, Server] = {"path": by_path, "http": by_http, "daemon": by_daemon}
