"""The rig itself: what a server is told to do to a push does happen, or what rests on it proves nothing."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from git_http import FETCH_REFS, PUSH, PUSH_REFS
from git_servers import SERVERS, Remote, environment, git

BASIC = "Basic dXNlcjprZXk="
Asks = Callable[[Remote], None]


@pytest.fixture
def clone(remote: Remote, tmp_path: Path) -> Path:
    clone = remote.clone(tmp_path)
    git(clone, "-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "--allow-empty", "-m", "new")
    return clone


def pushed(clone: Path) -> str:
    """Push, as a client does; return what it said if it failed."""
    done = subprocess.run(
        ["git", "push", "origin", "HEAD:refs/heads/new"],
        cwd=clone,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""


def has_landed(remote: Remote) -> bool:
    return "refs/heads/new" in remote.refs()


def test_a_push_goes_through(remote: Remote, clone: Path) -> None:
    assert pushed(clone) == ""
    assert has_landed(remote)


def test_a_hook_refuses_with_its_words(remote: Remote, clone: Path) -> None:
    remote.refuse("refs/heads/other")
    remote.refuse("refs/heads/*", "not you")
    assert "not you" in pushed(clone)
    assert not has_landed(remote)
    remote.refuse("")
    assert pushed(clone) == ""


@pytest.mark.parametrize("landed", [False, True], ids=["before it landed", "after it landed"])
def test_a_server_dies_amid_a_push(remote: Remote, clone: Path, landed: bool) -> None:
    ask: Asks = Remote.die_after if landed else Remote.die_before
    ask(remote)
    assert pushed(clone)
    assert has_landed(remote) == landed
    assert not remote.is_asked("die-after" if landed else "die-before")
    assert pushed(clone) == ""


@pytest.mark.parametrize("serve", ["http", "daemon"])
def test_a_server_that_was_stopped_answers_nobody(serve: str, tmp_path: Path) -> None:
    with SERVERS[serve](tmp_path / "team.git") as remote:
        clone = remote.clone(tmp_path)
        remote.stop()
        assert pushed(clone)


HTTP_FAULTS = {
    "a status before": (PUSH_REFS, 502, False),
    "a status": (PUSH, 500, False),
    "cut off": (PUSH, "cut", False),
    "lost": (PUSH, "lost", True),
    "lost, and repeated by the library": (PUSH, "unsaid", True),
}


@pytest.mark.parametrize("kind, fault, landed", HTTP_FAULTS.values(), ids=HTTP_FAULTS)
def test_a_fault_of_http_happens_once(tmp_path: Path, kind: str, fault: int | str, landed: bool) -> None:
    with SERVERS["http"](tmp_path / "team.git") as remote:
        assert remote.http is not None
        folder = remote.clone(tmp_path)
        remote.http.meet(kind, fault)
        assert pushed(folder)
        assert ("refs/heads/new" in remote.refs()) == landed
        assert remote.http.met == [f"{kind}:{fault}"]
        assert pushed(folder) == ""


def test_who_may_only_read_and_who_may_not_even(tmp_path: Path) -> None:
    with SERVERS["http"](tmp_path / "team.git") as remote:
        assert remote.http is not None
        remote.http.read_only = True
        folder = remote.clone(tmp_path)
        assert "403" in pushed(folder)
        remote.http.read_only, remote.http.wants = False, BASIC
        assert pushed(folder)
        git(folder, "config", "http.extraHeader", f"Authorization: {BASIC}")
        assert pushed(folder) == ""
        assert remote.http.seen[FETCH_REFS] == 1
        assert remote.http.most_pushes_at_once == 1


def test_the_rig_goes_by_no_configuration_of_this_machine() -> None:
    there = environment({"GIT_DIR": "elsewhere", "HOME": os.environ.get("HOME", "")})
    assert "GIT_DIR" not in there
    assert there["GIT_CONFIG_GLOBAL"] == "/dev/null"
