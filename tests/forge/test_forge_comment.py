"""``ci comment`` against a server that answers as GitHub and GitLab do: what is posted, changed, said."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from forge_stub import BOT, LOST, TOKEN, Fault, ForgeStub
from planning_values import NOW, observed, planned, team, transfer, whole

from reconciler.cli.main import run
from reconciler.diagnostics import Finding, Severity
from reconciler.formats.marker import read_marker
from reconciler.formats.planfile import dump, encode_plan
from reconciler.planning.plan import Options, Plan
from reconciler.render.markdown import markdown
from reconciler.render.view import view_of

LIMITED = {"message": "You have exceeded a secondary rate limit."}


def plan_of(days: str = "1-31", **more: str) -> Plan:
    return whole(planned(team(transfer(days, id=1, name=more.get("name", "google-ads"))), observed()))


def comment_of(plan: Plan) -> str:
    return markdown(view_of(plan))


def unread(plan: Plan) -> Plan:
    found = Finding("key", Severity.ERROR, "The key is refused", "Team 6 could not be planned.")
    return replace(plan, teams=(), diagnostics=(found,), errored=True)


@dataclass
class Done:
    code: int
    out: str
    err: str


@dataclass
class Job:
    """A job of a CI system, in a folder of its own. ``waited``: how long it slept, in seconds."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    waited: list[float]

    def event(self, event: object) -> None:
        (self.folder / "event.json").write_text(json.dumps(event))

    def comment(self, plan: Plan, *arguments: str) -> Done:
        (self.folder / "plan.json").write_text(dump(encode_plan(plan, "0")))
        code = run(["ci", "comment", "plan.json", *arguments])
        told = Done(code, *self.capture.readouterr())
        assert TOKEN not in told.out + told.err
        assert TOKEN[:12] not in told.out + told.err
        assert "error[bug]" not in told.err, told.err
        return told


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    waited: list[float] = []
    monkeypatch.setattr("reconciler.cli.ci.sleep", waited.append)
    for name in ("GITHUB_REPOSITORY", "CI_API_V4_URL", "GITLAB_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Job(tmp_path, capsys, waited)


@pytest.fixture
def github(job: Job, forge: ForgeStub, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job of GitHub Actions for pull request 7."""
    job.event({"number": 7, "pull_request": {"number": 7, **sides("o/r")}})
    told = {"GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": "o/r", "GITHUB_API_URL": forge.url}
    for name, value in {**told, "GITHUB_EVENT_PATH": "event.json"}.items():
        monkeypatch.setenv(name, value)
    return job


@pytest.fixture
def gitlab(job: Job, forge: ForgeStub, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job of GitLab CI for merge request 7."""
    forge.login = forge.writer = "project_5_bot_1"
    told = {"CI_API_V4_URL": forge.url, "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7"}
    for name, value in {**told, "GITLAB_TOKEN": TOKEN, "CI_JOB_TOKEN": "other"}.items():
        monkeypatch.setenv(name, value)
    return job


def sides(head: str) -> dict[str, object]:
    return {"head": {"repo": {"full_name": head}}, "base": {"repo": {"full_name": "o/r"}}}


# --- one comment, in place --------------------------------------------------------------------


def test_it_is_posted_then_left_then_changed_in_place(github: Job, forge: ForgeStub) -> None:
    first = github.comment(plan_of())
    assert (first.code, first.out) == (0, "Posted: https://github.test/c/101\n")
    assert forge.bodies() == [comment_of(plan_of())]
    again = github.comment(plan_of())
    assert (again.code, again.out) == (0, "Unchanged: https://github.test/c/101\n")
    changed = github.comment(plan_of("1-40"))
    assert (changed.code, changed.out) == (0, "Changed: https://github.test/c/101\n")
    assert forge.bodies() == [comment_of(plan_of("1-40"))]
    assert forge.wrote() == ["POST /repos/o/r/issues/7/comments", "PATCH /repos/o/r/issues/comments/101"]


def test_the_same_on_gitlab(gitlab: Job, forge: ForgeStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_MERGE_REQUEST_PROJECT_URL", "https://gitlab.test/o/r")
    forge.page = 2
    for number in range(5):
        forge.add(7, "somebody", f"note {number}", gitlab=True)
    forge.add(7, forge.login, comment_of(plan_of()), gitlab=True)
    forge.add(8, forge.login, comment_of(plan_of("20-40")), gitlab=True)
    forge.titles = {7: "Ours", 9: "x", 10: "x", 8: "Theirs"}
    done = gitlab.comment(plan_of("1-40"))
    assert done.code == 0
    assert done.out == "Changed: https://gitlab.test/o/r/-/merge_requests/7#note_106\n"
    assert "planned in !8 “Theirs”: 21 days of google-ads" in done.err
    assert forge.wrote() == ["PUT /projects/5/merge_requests/7/notes/106"]


def test_how_the_forge_keeps_lines_is_no_change(github: Job, forge: ForgeStub) -> None:
    forge.add(7, BOT, comment_of(plan_of()).replace("\n", "\r\n").rstrip())
    assert github.comment(plan_of()).out.startswith("Unchanged")


def test_it_is_found_on_a_later_page_and_the_host_of_a_link_is_ignored(github: Job, forge: ForgeStub) -> None:
    forge.page, forge.elsewhere = 3, "https://evil.test"
    for number in range(7):
        forge.add(7, "somebody", f"comment {number}")
    forge.add(7, BOT, comment_of(plan_of()))
    assert github.comment(plan_of("1-40")).out == "Changed: https://github.test/c/108\n"
    assert len([one for one in forge.seen if one.startswith("GET /repos/o/r/issues/7/")]) == 3


@pytest.mark.parametrize("author", ["somebody", "other[bot]", ""])
def test_a_marker_of_somebody_else_is_not_ours(author: str, github: Job, forge: ForgeStub) -> None:
    forge.add(7, author, comment_of(plan_of()))
    assert github.comment(plan_of("1-40")).out.startswith("Posted")
    assert forge.bodies()[0] == comment_of(plan_of())


def test_a_person_who_quotes_our_comment_is_left_alone(github: Job, forge: ForgeStub) -> None:
    forge.login = forge.writer = "ann"
    forge.add(7, "ann", f"> {comment_of(plan_of())}\nLooks good to me")
    assert github.comment(plan_of()).out.startswith("Posted")
    assert len(forge.bodies()) == 2


def test_two_targets_have_a_comment_each(github: Job, forge: ForgeStub) -> None:
    other = replace(plan_of(), options=Options(target=("web-*",)))
    github.comment(plan_of())
    github.comment(other)
    github.comment(plan_of())
    assert forge.bodies() == [comment_of(plan_of()), comment_of(other)]


def test_an_incomplete_plan_takes_the_place_of_the_last_one_and_gives_it_back(
    github: Job, forge: ForgeStub
) -> None:
    github.comment(plan_of())
    assert github.comment(unread(plan_of())).out.startswith("Changed")
    assert "Incomplete" in forge.bodies()[0]
    assert github.comment(plan_of()).out.startswith("Changed")
    assert forge.bodies() == [comment_of(plan_of())]


def test_one_that_is_deleted_meanwhile_is_posted_anew(github: Job, forge: ForgeStub) -> None:
    forge.add(7, BOT, comment_of(plan_of()))
    forge.faults = [Fault("PATCH", (404, {}, {"message": "Not Found"}))]
    assert github.comment(plan_of("1-40")).out == "Posted: https://github.test/c/102\n"


def test_a_server_that_is_not_there_is_told(
    github: Job, forge: ForgeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1")
    done = github.comment(plan_of())
    assert done.code == 69
    assert "http://127.0.0.1:1: no connection could be made" in done.err


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"message": 5}'])
def test_an_error_that_says_nothing_is_told_by_its_status(body: bytes, github: Job, forge: ForgeStub) -> None:
    forge.faults = [Fault("POST", (418, {}, body))]
    done = github.comment(plan_of())
    assert done.code == 6
    assert "pull request 7 of o/r was answered with 418." in done.err


def test_old_copies_are_named(github: Job, forge: ForgeStub) -> None:
    for _ in range(2):
        forge.add(7, BOT, comment_of(plan_of()))
    done = github.comment(plan_of("1-40"))
    assert done.out == "Changed: https://github.test/c/101\n"
    assert "delete it: https://github.test/c/102" in done.err


def test_a_plan_that_is_older_than_the_one_shown_changes_nothing(github: Job, forge: ForgeStub) -> None:
    """The job of an earlier push that is slower, or run again with its old plan."""
    newer = replace(plan_of("1-40"), created_at=NOW + timedelta(seconds=2))
    github.comment(newer)
    for older in (plan_of(), unread(plan_of())):
        done = github.comment(older)
        assert (done.code, done.out, done.err) == (
            *(0, "A newer plan is shown there: https://github.test/c/101\n", ""),
        )
    assert forge.bodies() == [comment_of(newer)]
    latest = replace(plan_of(), created_at=NOW + timedelta(seconds=3))
    assert github.comment(latest).out.startswith("Changed")
    assert forge.bodies() == [comment_of(latest)]


def test_of_two_comments_the_one_with_the_newest_plan_is_kept(github: Job, forge: ForgeStub) -> None:
    forge.add(7, BOT, comment_of(plan_of()))
    forge.add(7, BOT, comment_of(replace(plan_of("1-40"), created_at=NOW + timedelta(hours=1))))
    done = github.comment(replace(plan_of("1-50"), created_at=NOW + timedelta(hours=2)))
    assert done.out == "Changed: https://github.test/c/102\n"
    assert "delete it: https://github.test/c/101" in done.err


def test_a_newer_plan_that_came_while_an_answer_was_lost_is_left(
    github: Job, forge: ForgeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = comment_of(replace(plan_of("1-40"), created_at=NOW + timedelta(hours=1)))
    forge.faults = [Fault("POST", LOST)]
    monkeypatch.setattr("reconciler.cli.ci.sleep", lambda _seconds: forge.add(7, BOT, newer))
    assert github.comment(plan_of()).out.startswith("A newer plan is shown there: ")
    assert forge.bodies() == [newer]


def test_whose_the_token_is_decides(github: Job, forge: ForgeStub) -> None:
    forge.login = forge.writer = "ann"
    forge.add(7, BOT, comment_of(plan_of()))
    assert github.comment(plan_of()).out.startswith("Posted")
    assert github.comment(plan_of()).out.startswith("Unchanged")


def test_an_app_is_named_once_it_shows(github: Job, forge: ForgeStub) -> None:
    forge.writer = "plans[bot]"
    done = github.comment(plan_of())
    assert "Give --author 'plans[bot]'" in done.err
    assert github.comment(plan_of(), "--author", "plans[bot]").out.startswith("Unchanged")


# --- other pull requests ----------------------------------------------------------------------


def test_who_else_plans_the_same_days_is_said(github: Job, forge: ForgeStub) -> None:
    forge.titles = {7: "Ours", 8: "More | <b>history</b> @all", 9: "Other days", 10: "No plan"}
    forge.add(8, BOT, comment_of(plan_of("20-40")))
    forge.add(9, BOT, comment_of(plan_of("50-60")))
    forge.add(10, "somebody", comment_of(plan_of()))
    done = github.comment(plan_of())
    (body,) = forge.bodies()
    assert body.index("**Digest**") < body.index("> - #8") < body.index("| Action")
    assert "&lt;b&gt;" in body
    assert "@all" not in body
    assert "12 days of google-ads" in body
    assert "#9" not in body
    assert "#10" not in body
    assert "planned in #8 “More | <b>history</b> @all”: 12 days of google-ads" in done.err
    assert github.comment(plan_of()).out.startswith("Unchanged")


def test_what_the_base_plans_too_is_not_asked_for(github: Job, forge: ForgeStub) -> None:
    forge.titles = {7: "Ours", 8: "Theirs"}
    forge.add(8, BOT, comment_of(plan_of("1-10")))
    (github.folder / "base.json").write_text(dump(encode_plan(plan_of("1-10"), "0")))
    assert github.comment(plan_of(), "--base", "base.json").err == ""


def test_of_what_the_base_could_not_plan_it_is_not_known(github: Job, forge: ForgeStub) -> None:
    forge.titles = {7: "Ours", 8: "Theirs"}
    forge.add(8, BOT, comment_of(plan_of()))
    (github.folder / "base.json").write_text(dump(encode_plan(unread(plan_of()), "0")))
    told = "Whether another pull request plans the same days is not known of team 5: "
    assert github.comment(plan_of(), "--base", "base.json").err.startswith(told)
    (body,) = forge.bodies()
    assert f"> {told}the base could not be planned there.\n" in body
    assert "**not known of team 5 (the base could not be planned there)**\n" in body


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text[: text.rindex("{") + 20],
        lambda text: text.replace('"days":{', '"days":{"5":{"6":"20240101:99999999"},'),
        lambda text: text + "\nand more",
    ],
)
def test_a_marker_that_is_cut_or_lies_is_none(broken: object, github: Job, forge: ForgeStub) -> None:
    forge.titles = {7: "Ours", 8: "Theirs"}
    assert callable(broken)
    forge.add(8, BOT, broken(comment_of(plan_of())))
    done = github.comment(plan_of())
    assert (done.code, done.err) == (0, "")


def test_too_many_days_to_tell_are_told_so(github: Job, forge: ForgeStub) -> None:
    forge.titles = {7: "Ours", 8: "Theirs"}
    marker = comment_of(plan_of()).splitlines()[-1]
    forge.add(8, BOT, marker[: marker.index('"days"')] + '"days":null} -->')
    assert read_marker(forge.bodies(8)[0]) is not None
    assert "#8 “Theirs”: perhaps; it plans too many" in github.comment(plan_of()).err


def test_a_plan_without_days_asks_for_no_other(github: Job, forge: ForgeStub) -> None:
    assert github.comment(whole(planned(team(), observed()))).code == 0
    assert not [one for one in forge.seen if "/pulls" in one]


def test_what_cannot_be_read_of_others_is_said_and_the_comment_posted(github: Job, forge: ForgeStub) -> None:
    forge.faults = [Fault("GET /repos/o/r/pulls", (403, {}, {"message": "Resource not accessible"}))]
    done = github.comment(plan_of())
    assert done.code == 0
    assert "could not be read:\n  The token may not read this. Reading" in done.err
    assert "Whether another pull request plans the same days could not be read" in forge.bodies()[0]


def test_only_the_newest_of_many_are_looked_at(github: Job, forge: ForgeStub) -> None:
    forge.titles = {7: "Ours", **dict.fromkeys(range(100, 160), "x")}
    assert "Not looked at: 10 pull requests" in github.comment(plan_of()).err


# --- limits, failures, lost answers -----------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        ((403, {"Retry-After": "17"}, LIMITED), 17),
        ((429, {"Retry-After": "3"}, {}), 3),
        ((403, {}, LIMITED), 60),
        ((429, {"Retry-After": "0"}, {}), 60),
        ((429, {"RateLimit-Reset": "1764337225", "Date": "Fri, 28 Nov 2025 13:40:00 GMT"}, {}), 25),
        (
            (
                403,
                {
                    "x-ratelimit-remaining": "0",
                    "x-ratelimit-reset": "1764337240",
                    "Date": "Fri, 28 Nov 2025 13:40:00 GMT",
                },
                {},
            ),
            40,
        ),
    ],
)
@pytest.mark.parametrize("request_", ["GET /repos/o/r/issues", "POST"])
def test_limits_are_waited_out(
    request_: str, answer: tuple[int, dict[str, str], object], waits: int, github: Job, forge: ForgeStub
) -> None:
    forge.faults = [Fault(request_, answer)]
    done = github.comment(plan_of())
    assert done.out.startswith("Posted")
    assert github.waited == [waits]
    assert (f"waiting {waits} s" in done.err) == (waits > 10)
    assert len(forge.bodies()) == 1


def test_a_long_limit_ends_it(github: Job, forge: ForgeStub) -> None:
    forge.faults = [Fault("POST", (403, {"Retry-After": "3000"}, LIMITED), times=9)]
    done = github.comment(plan_of())
    assert done.code == 69
    assert "GitHub limits our requests" in done.err
    assert "wait 3000 s" in done.err
    assert github.waited == []


def test_reads_and_changes_are_tried_again(github: Job, forge: ForgeStub) -> None:
    forge.add(7, BOT, comment_of(plan_of()))
    forge.faults = [Fault("GET .*issues/7", (502, {}, b"<html>"), 2), Fault("PATCH", LOST, 2)]
    assert github.comment(plan_of("1-40")).out.startswith("Changed")
    forge.faults = [Fault("GET .*issues/7", LOST, 99)]
    done = github.comment(plan_of())
    assert done.code == 69
    assert "5 attempts" in done.err


@pytest.mark.parametrize("answer", [LOST, (502, {}, b""), (201, {}, b"{")])
@pytest.mark.parametrize("there", [True, False])
def test_a_lost_answer_makes_no_second_comment(
    there: bool, answer: tuple[int, dict[str, str], object], github: Job, forge: ForgeStub
) -> None:
    forge.faults = [Fault("POST", answer, after=there)]
    assert github.comment(plan_of()).out.startswith("Posted")
    assert forge.bodies() == [comment_of(plan_of())]
    assert len(forge.wrote()) == (1 if there else 2)


def test_a_comment_that_never_comes_is_told(github: Job, forge: ForgeStub) -> None:
    forge.faults = [Fault("POST", (500, {}, b""), times=99)]
    done = github.comment(plan_of())
    assert done.code == 69
    assert "posted 3 times" in done.err


@pytest.mark.parametrize(
    ("fits", "status", "said", "code", "words"),
    [
        ("GET /user", 401, "Bad credentials", 65, ["does not know the token", "GITHUB_TOKEN"]),
        ("POST", 403, "Resource not accessible by integration", 65, ["pull-requests: write"]),
        ("POST", 403, "Unable to create comment because issue is locked.", 6, ["Unlock its conversation"]),
        ("issues/7", 404, "Not Found", 65, ["There is no such pull request", "Not Found"]),
        ("POST", 422, "Body is too long (maximum is 65536 characters)", 6, ["too long", "--max-chars"]),
        ("POST", 410, "Gone \x1b[31m\n::error::", 6, ["turned the request away", "410: Gone ::error::"]),
        ("issues/7", 301, "Moved Permanently", 6, ["sends us elsewhere"]),
    ],
)
def test_refusals_are_worded(
    fits: str, status: int, said: str, code: int, words: list[str], github: Job, forge: ForgeStub
) -> None:
    there = {"Location": "http://127.0.0.1:1/"} if status == 301 else {}
    forge.faults = [Fault(fits, (status, there, {"message": said}), times=9)]
    done = github.comment(plan_of())
    assert done.code == code
    for word in words:
        assert word in done.err
    assert len(forge.seen) <= 4


def test_a_forks_token_is_named(github: Job, forge: ForgeStub) -> None:
    github.event({"number": 7, "pull_request": {"number": 7, **sides("ann/r")}})
    forge.faults = [Fault("POST", (403, {}, {"message": "Resource not accessible by integration"}))]
    done = github.comment(plan_of())
    assert done.code == 65
    assert "It comes from a fork" in done.err


def test_what_gitlab_says_is_passed_on(gitlab: Job, forge: ForgeStub) -> None:
    long = {"message": {"note": ["is too long (maximum is 1000000 characters)"]}}
    forge.faults = [Fault("POST", (400, {}, long))]
    done = gitlab.comment(plan_of())
    assert done.code == 6
    assert "note is too long (maximum is 1000000 characters)" in " ".join(done.err.split())
    forge.faults = [
        Fault("GET /user", (403, {}, {"error": "insufficient_scope"})),
        Fault("POST", (403, {}, {})),
    ]
    done = gitlab.comment(plan_of())
    assert done.code == 65
    assert "scope api" in done.err


def test_an_answer_that_says_the_token_back_is_not_shown(github: Job, forge: ForgeStub) -> None:
    forge.faults = [Fault("POST", (403, {}, {"message": f"no {TOKEN} {TOKEN[::-1]}"}))]
    assert "no ***" in github.comment(plan_of()).err


def test_a_comment_that_is_no_comment_is_told(github: Job, forge: ForgeStub) -> None:
    forge.faults = [Fault("GET .*issues/7", (200, {}, [{"id": "x"}]))]
    done = github.comment(plan_of())
    assert done.code == 69
    assert "cannot be read (0.id" in done.err


def test_a_list_without_end_is_told(github: Job, forge: ForgeStub) -> None:
    forge.faults = [Fault("GET .*issues/7", (200, {"Link": '<x?page=2>; rel="next"'}, []), times=99)]
    done = github.comment(plan_of())
    assert done.code == 69
    assert "without end" in done.err


# --- where it runs ----------------------------------------------------------------------------


def test_nowhere_is_wrong_usage(job: Job) -> None:
    done = job.comment(plan_of())
    assert done.code == 64
    assert "no CI run of a pull request" in done.err


@pytest.mark.parametrize(
    "event",
    [
        {"ref": "refs/heads/main"},
        {"issue": {"number": 7}, "comment": {}},
        [],
        {"pull_request": {"number": "7"}},
    ],
)
def test_without_a_pull_request_its_number_is_asked_for(event: object, github: Job, forge: ForgeStub) -> None:
    github.event(event)
    done = github.comment(plan_of())
    assert done.code == 64
    assert "--pull N" in done.err
    assert forge.seen == []
    assert github.comment(plan_of(), "--pull", "7").out.startswith("Posted")


def test_a_comment_on_a_pull_request_names_it(github: Job, forge: ForgeStub) -> None:
    github.event({"issue": {"number": 7, "pull_request": {"url": "x"}}, "comment": {"id": 1}})
    assert github.comment(plan_of()).out.startswith("Posted")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"GITHUB_TOKEN": ""}, 65, "GITHUB_TOKEN: ${{ github.token }}"),
        ({"GITHUB_TOKEN": "two words"}, 65, "space"),
        ({"GITHUB_REPOSITORY": "o/r/../x"}, 64, "does not name one"),
        ({"GITHUB_API_URL": "http://github.test"}, 64, "GITHUB_API_URL: With http:// the token"),
    ],
)
def test_a_wrong_environment_is_told(
    change: dict[str, str], code: int, words: str, github: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    done = github.comment(plan_of())
    assert (done.code, words in done.err) == (code, True), done.err


def test_a_jobs_own_token_cannot_comment(gitlab: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITLAB_TOKEN")
    done = gitlab.comment(plan_of())
    assert done.code == 65
    assert "CI_JOB_TOKEN cannot comment" in done.err
    assert "project access token" in done.err


def test_a_merge_request_of_a_fork_is_the_targets(
    gitlab: Job, forge: ForgeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_PROJECT_ID", "77")
    monkeypatch.setenv("CI_MERGE_REQUEST_PROJECT_ID", "5")
    assert gitlab.comment(plan_of()).out.startswith("Posted")


def test_the_token_is_in_one_header_alone(github: Job, forge: ForgeStub) -> None:
    github.comment(plan_of(), "-v")
    assert all(TOKEN not in one for one in forge.seen)
    for headers in forge.headers:
        assert [name for name, value in headers.items() if TOKEN in value] == ["authorization"]
