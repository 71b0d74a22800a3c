"""What a commit of the state says, which CI run it names, and what git's own words become."""

from dataclasses import replace
from pathlib import Path

import pytest
from contract import API, NOW, adds, backfill, intent

from reconciler.ci import ci_run
from reconciler.errors import StateRefused, UsageError
from reconciler.formats.auditlines import message_of
from reconciler.model.deltas import Delta, apply_delta
from reconciler.model.memory import (
    Acceptance,
    Amnesty,
    Applied,
    Document,
    IntentKind,
    Load,
    Outcome,
    Override,
)
from reconciler.stores.gitwords import GitFailed, Kind, shown, unreadable, unwritable
from reconciler.stores.urls import is_on_disk, open_store
from reconciler.untrusted import without_password

DONE = replace(intent("a", Outcome.DONE), backfill_id=7)
CANCELLED = replace(intent("c", Outcome.DONE), kind=IntentKind.CANCEL)
SUBJECTS = {
    "intends to create 2 backfills, 62 days": adds("a", "b"),
    "created 1 backfill, 31 days": Delta(intents=(DONE,), backfills=(backfill(7),)),
    "created 1 backfill, 31 days; saw 1 backfill, 31 days": Delta(intents=(DONE,), backfills=(backfill(8),)),
    "was refused 1 backfill, 31 days": Delta(intents=(intent("a", Outcome.REFUSED),)),
    "cancelled 1 backfill, 31 days": Delta(intents=(CANCELLED,)),
    "retries 3 days": Delta(amnesties=(Amnesty(1, 100, 103, 5, NOW),)),
    "accepted the history of 1 transfer": Delta(acceptances=(Acceptance(1, 7, 5),)),
    "saw loads of 1 transfer": Delta(loads=(Load(1, 100, 103, NOW), Load(1, 200, 203, NOW))),
    "applied a plan": Delta(applies=(Applied("sha256:abc", 5, NOW, "ann"),)),
    "overrides a guard": Delta(overrides=(Override("sha256:abc", ("days",), "why", 5, NOW, "ann"),)),
    "read the API": Delta(),
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_commit_says_what_happened(subject: str) -> None:
    after = replace(apply_delta(Document(5, API, "L", 6), SUBJECTS[subject]), written_by="reconciler 1.0")
    said = message_of(SUBJECTS[subject], after, "https://ci.example/runs/9").splitlines()
    assert said[0] == f"team 5: {subject} [skip ci]"
    assert said[-1] == "serial 7, lineage L, reconciler 1.0"
    assert "run https://ci.example/runs/9" in said
    assert ("plan sha256:abc, by ann" in said) == bool(SUBJECTS[subject].applies)
    why = "days overridden for plan sha256:abc, by ann: why"
    assert (why in said) == bool(SUBJECTS[subject].overrides)


def test_the_first_commit_says_so() -> None:
    assert message_of(adds("a"), Document(5, API, "L", 1)).splitlines()[0] == (
        "team 5: intends to create 1 backfill, 31 days; began this state [skip ci]"
    )


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({"CI": "true"}, ""),
        (
            {"GITHUB_SERVER_URL": "https://g", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7"},
            "https://g/a/b/actions/runs/7",
        ),
        ({"CI_JOB_URL": "https://gitlab/j/7"}, "https://gitlab/j/7"),
        ({"BUILD_URL": "https://jenkins/7/\x1b[31m"}, "https://jenkins/7/?[31m"),
    ],
)
def test_which_ci_run_this_is(environ: dict[str, str], url: str) -> None:
    assert ci_run(environ) == url


URLS = {
    "https://ann:hunter2@h/x.git": "https://***@h/x.git",
    "https://hunter2@h/x.git": "https://***@h/x.git",
    "https://ann:hun@ter2@h/x.git": "https://***@h/x.git",
    "https://ann:hunter2 hunter2@h/x.git": "https://***@h/x.git",
    "https://ann:hunter2 @hunter2@h": "https://***@h",
    "'https://ann:hunter2@h/': or 'https://b:hunter2@h/a@b'": "'https://***@h/': or 'https://***@h/a@b'",
    "https://h:8080/a@b and git@h:org/x.git": "https://h:8080/a@b and git@h:org/x.git",
    "https://h failed, mail ann@h": "https://h failed, mail ann@h",
}


@pytest.mark.parametrize("url", URLS)
def test_of_a_url_no_part_of_a_password_is_shown(url: str) -> None:
    assert without_password(url) == URLS[url]


KINDS = {
    "fatal: unable to access 'https://u:hunter2@h/': The requested URL returned error: 403": Kind.NOT_ALLOWED,
    "fatal: could not read Username for 'https://h': terminal prompts disabled": Kind.NOT_ALLOWED,
    "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.": Kind.NOT_ALLOWED,
    "remote: Repository not found.\nfatal: repository 'https://h/x/' not found": Kind.NO_REPOSITORY,
    "fatal: '/x' does not appear to be a git repository": Kind.NO_REPOSITORY,
    "error: unknown option `no-write-fetch-head'\nusage: git fetch": Kind.TOO_OLD,
    "fatal: unable to access 'https://h/': Could not resolve host: h": Kind.AWAY,
    "fatal: the remote end hung up unexpectedly": Kind.AWAY,
    "fatal: unable to access 'https://h/': The requested URL returned error: 503": Kind.AWAY,
}


@pytest.mark.parametrize("said", KINDS)
def test_what_git_says_is_told_with_a_cure_and_without_passwords(said: str) -> None:
    failed = GitFailed(said)
    assert failed.kind is KINDS[said]
    for error in (unreadable("git:origin#x", failed), unwritable("git:origin#x", failed)):
        assert "hunter2" not in error.detail
        assert error.hint
        assert "\n" not in error.detail
    assert isinstance(unwritable("x", failed), StateRefused) == (failed.kind is Kind.NOT_ALLOWED)


def test_hints_of_git_and_where_it_pushed_are_left_out() -> None:
    said = "To https://u:p@h/x\nremote: no\nhint: do this\nerror: failed to push some refs to 'x'\n"
    assert shown(said) == "remote: no"
    assert shown("") == "it says nothing"
    assert len(shown("x" * 5000)) <= 600


BAD_PREFIXES = [
    "a..b",
    "/a",
    "a/",
    "a b",
    "a.lock",
    "a//b",
    ".a",
    "a/.b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "@",
    "-a",
    "a\\b",
]


@pytest.mark.parametrize("prefix", BAD_PREFIXES)
def test_a_prefix_that_is_no_name_of_a_branch(prefix: str) -> None:
    with pytest.raises(UsageError, match="location cannot be used") as caught:
        open_store(f"git:origin#{prefix}", 5, API, "w")
    assert "git:origin#reconciler-state" in caught.value.hint


@pytest.mark.parametrize("where", ["git:", "git:origin", "git:#state", "git:up#a/b-c.d", "git:https://h/x#y"])
def test_forms_of_a_git_store_that_is_not_on_this_disk(where: str) -> None:
    open_store(where, 5, API, "w").close()
    assert not is_on_disk(where)


def test_no_repository_and_no_such_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no Git repository here"):
        open_store("git:origin", 5, API, "w").read()
