"""What the checkout must not see of a state in its own repository, and which of its settings must hold."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from contract import NOW, adds, holder, opened
from git_rig import BRANCH, FILE, LAST, STATE
from git_servers import SERVERS, Remote, git

from reconciler.errors import StateError
from reconciler.stores.holders import this_process

Prepare = Callable[[Remote, Path], Path | None]
"""Changes a clone before the run; returns where one stands if it is not its top."""

BASIC = "Basic dXNlcjpzM2NyM3Q="  # user:s3cr3t
SECRETS = ("s3cr3t", "dXNlcjpzM2NyM3Q=")
HOOKS = "applypatch-msg commit-msg post-checkout post-commit post-merge post-rewrite pre-auto-gc pre-commit"
HOOKS += " pre-push pre-rebase prepare-commit-msg push-to-checkout reference-transaction fsmonitor-watchman"
ODD = {
    "push.default": "nothing",
    "push.followTags": "true",
    "push.gpgSign": "true",
    "push.recurseSubmodules": "on-demand",
    "push.pushOption": "ci.skip",
    "push.useForceIfIncludes": "true",
    "remote.pushDefault": "elsewhere",
    "remote.origin.push": "refs/heads/*:refs/heads/*",
    "remote.origin.mirror": "true",
    "remote.origin.prune": "true",
    "remote.origin.tagOpt": "--tags",
    "fetch.prune": "true",
    "fetch.pruneTags": "true",
    "fetch.fsckObjects": "true",
    "fetch.writeCommitGraph": "true",
    "fetch.recurseSubmodules": "true",
    "fetch.output": "compact",
    "submodule.recurse": "true",
    "commit.gpgSign": "true",
    "tag.gpgSign": "true",
    "gpg.program": "/bin/false",
    "core.pager": "/bin/false",
    "core.fsmonitor": "/bin/false",
    "core.editor": "/bin/false",
    "gc.auto": "1",
    "gc.autoDetach": "false",
    "color.ui": "always",
    "i18n.commitEncoding": "ISO-8859-1",
    "advice.pushUpdateRejected": "false",
    "alias.push": "!false",
}


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return each file below a folder, hidden ones and Git's own too."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes()) for path in found}


def run_in(folder: Path) -> None:
    """Do all that a store does, as one run, and as a look at it."""
    os.chdir(folder)
    store = opened(STATE)
    with store.lock(holder(), 0):
        revision = store.read()[1]
        for name in "ab":
            revision = store.commit(adds(f"{revision.serial}-{name}"), revision)
        store.finish()
    assert opened(STATE).holder() is None
    document, there = opened(STATE).read()
    assert there == revision
    assert document is not None
    assert store.push(document).serial == revision.serial + 1


def set_all(folder: Path, told: Mapping[str, str]) -> None:
    for name, value in told.items():
        git(folder, "config", "--add", name, value)


def failing_hooks(folder: Path) -> None:
    """Make hooks that fail, and that leave a trace where they were run."""
    folder.mkdir(exist_ok=True)
    for name in HOOKS.split():
        (folder / name).write_text(f"#!/bin/sh\ntouch '{folder}/was-run'\nexit 1\n", "utf-8")
        (folder / name).chmod(0o755)


# --- checkouts ---------------------------------------------------------------------------


def plain(_remote: Remote, clone: Path) -> None:
    """Change nothing."""


def below(_remote: Remote, clone: Path) -> Path:
    (clone / "eu" / "ads").mkdir(parents=True)
    return clone / "eu" / "ads"


def detached(_remote: Remote, clone: Path) -> None:
    git(clone, "checkout", "--quiet", "--detach", "HEAD~1")


def unclean(_remote: Remote, clone: Path) -> None:
    (clone / "backfills.yaml").write_text("changed\n", "utf-8")
    (clone / "staged").write_text("new\n", "utf-8")
    git(clone, "add", "staged")
    (clone / FILE).write_text("a person's\n", "utf-8")


def worktree(_remote: Remote, clone: Path) -> Path:
    git(clone, "worktree", "add", "--quiet", "--detach", str(clone / "beside"))
    return clone / "beside"


def hooks(_remote: Remote, clone: Path) -> None:
    failing_hooks(clone / ".git" / "hooks")


def hooks_elsewhere(_remote: Remote, clone: Path) -> None:
    failing_hooks(clone / ".githooks")
    git(clone, "config", "core.hooksPath", ".githooks")


def odd(_remote: Remote, clone: Path) -> None:
    git(clone, "remote", "add", "elsewhere", "/nowhere")
    set_all(clone, ODD)


def instead_of(remote: Remote, clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "team:gitops")
    git(clone, "config", f"url.{remote.url}.insteadOf", "team:gitops")


def push_instead_of(remote: Remote, clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", f"file://{remote.bare}")
    git(clone, "config", f"url.{remote.bare}.pushInsteadOf", f"file://{remote.bare}")


def another_url_to_push(remote: Remote, clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", f"file://{remote.bare}")
    git(clone, "remote", "set-url", "--push", "origin", str(remote.bare))


def relative(remote: Remote, clone: Path) -> Path:
    git(clone, "remote", "set-url", "origin", os.path.relpath(remote.bare, clone))
    return below(remote, clone)


def with_the_branch(_remote: Remote, clone: Path) -> None:
    """The checkout has fetched the state's branch itself, and works on it."""
    run_in(clone)
    git(clone, "fetch", "--quiet", "origin")
    git(clone, "checkout", "--quiet", BRANCH)


def bare(_remote: Remote, clone: Path) -> Path:
    git(clone, "config", "core.bare", "true")
    return clone / ".git"


CHECKOUTS: dict[str, Prepare] = {
    one.__name__.replace("_", " "): one
    for one in (
        plain, below, detached, unclean, worktree, hooks, hooks_elsewhere, odd, instead_of,
        push_instead_of, another_url_to_push, relative, with_the_branch, bare,
    )
}  # fmt: skip


@pytest.fixture
def by_path(tmp_path: Path, away_from_home: None) -> Iterator[Remote]:
    with SERVERS["path"](tmp_path / "served" / "team.git") as remote:
        yield remote


def few_of(all_of_them: dict[str, Any], *few: str) -> list[ParameterSet]:
    """Return those few for every run, and the others for the proof."""
    assert all_of_them.keys() >= {*few}
    return [
        pytest.param(one, id=name, marks=() if name in few else pytest.mark.proof)
        for name, one in all_of_them.items()
    ]


@pytest.mark.parametrize(
    "prepare", few_of(CHECKOUTS, "unclean", "worktree", "hooks elsewhere", "odd", "instead of")
)
def test_a_run_touches_nothing_of_the_checkout(by_path: Remote, tmp_path: Path, prepare: Prepare) -> None:
    clone = by_path.clone(tmp_path)
    place = prepare(by_path, clone) or clone
    before = everything_in(clone)
    run_in(place)
    assert everything_in(clone) == before
    check_remote(by_path)
    git(clone, "-c", "core.hooksPath=/dev/null", "gc", "--quiet")
    git(clone, "fsck", "--strict")


CLONED = {
    "shallow": ("--depth=1",),
    "of one branch": ("--depth=1", "--no-tags", "--single-branch"),
    "partial": ("--filter=blob:none",),
    "bare": ("--bare",),
}


@pytest.mark.parametrize("options", few_of(CLONED, "shallow"))
def test_a_run_touches_nothing_of_a_clone_that_lacks_much(
    by_path: Remote, tmp_path: Path, options: tuple[str, ...]
) -> None:
    git(by_path.bare, "config", "uploadpack.allowFilter", "true")
    by_path.url = f"file://{by_path.bare}"  # by a mere path Git ignores the depth
    clone = by_path.clone(tmp_path, *options)
    before = everything_in(clone)
    run_in(clone)
    assert everything_in(clone) == before
    check_remote(by_path)


def test_a_repository_with_longer_hashes_and_a_host_behind_ssh(
    tmp_path: Path, away_from_home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ssh`` is a program that runs what it is asked to here: with what the checkout says of it."""
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    with SERVERS["path"](tmp_path / "served" / "team.git") as remote:
        clone = remote.clone(tmp_path)
        monkeypatch.delenv("GIT_DEFAULT_HASH")
        program = tmp_path / "ssh"
        program.write_text('#!/bin/sh\nfor last in "$@"; do :; done\nexec sh -c "$last"\n', "utf-8")
        program.chmod(0o755)
        git(clone, "config", "core.sshCommand", str(program))
        git(clone, "remote", "set-url", "origin", f"git@host.example:{remote.bare}")
        before = everything_in(clone)
        run_in(clone)
        assert everything_in(clone) == before
        check_remote(remote)
        assert len(remote.refs()[LAST]) == 64


def check_remote(remote: Remote) -> None:
    """Nothing was pushed but the state's own refs, and no lock is left."""
    assert set(remote.refs()) == {"refs/heads/main", f"refs/heads/{BRANCH}", LAST}
    assert list(remote.files(BRANCH)) == [FILE]


def test_nothing_is_left_where_temporary_files_are(by_path: Remote, tmp_path: Path) -> None:
    clone = by_path.clone(tmp_path)
    os.chdir(clone)
    store = opened(STATE)
    assert store.read()[0] is None
    assert list(tmp_path.glob("reconciler-*"))
    store.close()
    assert not list(tmp_path.glob("reconciler-*"))


# --- credentials -------------------------------------------------------------------------


def in_the_clone(clone: Path, _url: str) -> None:
    git(clone, "config", "http.extraHeader", f"Authorization: {BASIC}")


def for_its_url(clone: Path, url: str) -> None:
    """As the checkout action of GitHub did for years."""
    git(clone, "config", f"http.{url.rpartition('/')[0]}/.extraheader", f"AUTHORIZATION: {BASIC}")


def included(clone: Path, _url: str) -> None:
    """As it does today: a file beside, included for this folder."""
    key = clone.parent / "credentials.config"
    git(clone, "config", "--file", str(key), "http.extraHeader", f"Authorization: {BASIC}")
    git(clone, "config", f"includeIf.gitdir:{clone}/.git.path", str(key))


def by_a_helper(clone: Path, _url: str) -> None:
    git(clone, "config", "credential.helper", "!f() { echo username=user; echo password=s3cr3t; }; f")


def by_a_stored_file(clone: Path, url: str) -> None:
    key = clone.parent / "stored"
    key.write_text(url.replace("://", "://user:s3cr3t@") + "\n", "utf-8")
    git(clone, "config", "credential.helper", f"store --file={key}")


def in_the_url(clone: Path, url: str) -> None:
    git(clone, "remote", "set-url", "origin", url.replace("://", "://user:s3cr3t@"))


def by_the_environment(_clone: Path, _url: str) -> None:
    os.environ.update(
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="http.extraHeader",
        GIT_CONFIG_VALUE_0=f"Authorization: {BASIC}",
    )


def by_asking_a_program(clone: Path, _url: str) -> None:
    asked = clone.parent / "askpass"
    asked.write_text('#!/bin/sh\ncase "$1" in User*) echo user;; *) echo s3cr3t;; esac\n', "utf-8")
    asked.chmod(0o755)
    os.environ["GIT_ASKPASS"] = str(asked)


KEYS = {
    one.__name__.replace("_", " "): one
    for one in (
        in_the_clone, for_its_url, included, by_a_helper, by_a_stored_file, in_the_url,
        by_the_environment, by_asking_a_program,
    )
}  # fmt: skip


@pytest.mark.parametrize("give", few_of(KEYS, "for its url", "included", "by a helper"))
def test_the_checkout_s_credentials_hold_and_lie_nowhere_else(
    give: Callable[[Path, str], None], tmp_path: Path, away_from_home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_ASKPASS"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    with SERVERS["http"](tmp_path / "served" / "team.git") as remote:
        assert remote.http is not None
        clone = remote.clone(tmp_path)
        remote.http.wants = BASIC
        os.chdir(clone)
        with pytest.raises(StateError) as caught:
            opened(STATE).read()
        assert "Authentication" in caught.value.detail or "could not read" in caught.value.detail
        give(clone, remote.url)
        before = everything_in(clone)
        store = opened(STATE)
        with store.lock(this_process("apply", NOW), 0):
            store.commit(adds("a"), store.read()[1])
            kept = [
                path for place in tmp_path.glob("reconciler-*") for path in place.rglob("*") if path.is_file()
            ]
            assert kept
            assert not [one for one in kept for secret in SECRETS if secret.encode() in one.read_bytes()]
            store.finish()
        assert everything_in(clone) == before
        assert all(secret not in remote.files(BRANCH)[FILE] for secret in SECRETS)
