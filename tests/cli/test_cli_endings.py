"""How an apply ends, one shape for whatever ended it: what was done, what was not, and what comes next."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from cli_rig import FILE, TEAM, Api, Done, Shop, serving
from test_cli_paste import ONE_LOOK

from reconciler.errors import Interrupted

FILES = FILE + "  shop:\n    transfer_id: 3\n    chunk: month\n    ranges: [2024-02-28..2024-03-02]\n"
"""Four backfills, of 10, 5, 2 and 2 days."""

QUOTA = """
  done       none
  answered   1 backfill, 10 days: 429 API_ROW_QUOTA_EXCEEDED; not done, still
             due
  not sent   3 backfills, 9 days: still due, nothing is lost
  unknown    none

  Next: once the quota or licence is raised, or its next period has begun, run the same again:
      reconciler apply --auto-approve
"""
KEY = """
  done       none
  answered   1 backfill, 10 days: 401 UNAUTHORIZED; not done, still due
  not sent   3 backfills, 9 days: still due, nothing is lost
  unknown    none

  Next: once the key is in order, run the same again:
      reconciler apply --auto-approve
"""
MAY_NOT = """
  done       none
  answered   2 backfills, 15 days: 403 FORBIDDEN; not done, still due
  not sent   2 backfills, 4 days: still due, nothing is lost
  unknown    none

  Next: once the key is in order, run the same again:
      reconciler apply --auto-approve
"""
RATE_LIMIT = """
  done       none
  answered   1 backfill, 10 days: 429 TOO_MANY_REQUESTS; not done, still due
  not sent   3 backfills, 9 days: still due, nothing is lost
  unknown    none

  Next: run the same again in 1d:
      reconciler apply --auto-approve
"""
UNREAD = """
  done       none
  unread     a team could not be planned, as told above: what is due there is
             left
  not sent   none
  unknown    none

  Next: once it can be read, run the same again:
      reconciler apply --auto-approve
"""
REFUSED = """
  done       none
  not sent   none
  refused    3 backfills, 17 days: 422 UNPROCESSABLE_ENTITY: This request is
             well formed but cannot be carried out: A fault of the sandbox;
             again from TIME, or once mended, by a retry
  withdrawn  1 backfill, 2 days: the next apply plans what is due of it
  unknown    none

  Next: run the same again for what is left:
      reconciler apply --auto-approve
  Or: once the cause is fixed, have them tried again at once:
      reconciler retry ads 2024-05-01..2024-05-10
      reconciler retry web 2024-04-01..2024-04-05
      reconciler retry shop 2024-03-01..2024-03-02
"""
UNKNOWN = """
  done       none
  not sent   none
  withdrawn  1 backfill, 2 days: the next apply plans what is due of it
  unknown    3 creates, 17 days: each answered 500 INTERNAL_SERVER_ERROR:
             Something broke on this side: A fault of the sandbox; not sent
             again until it is known whether they were created: an apply after
             TIME settles that

  Next: an apply after TIME settles what is unknown:
      reconciler apply --auto-approve
  Or: look at the vendor's pages, and settle what is unknown by one of:
      reconciler resolve ads 2024-05-01..2024-05-10 --as not-created
      reconciler resolve ads 2024-05-01..2024-05-10 --as created:ID
      reconciler resolve web 2024-04-01..2024-04-05 --as not-created
      reconciler resolve web 2024-04-01..2024-04-05 --as created:ID
      reconciler resolve shop 2024-03-01..2024-03-02 --as not-created
      reconciler resolve shop 2024-03-01..2024-03-02 --as created:ID
"""
ENDINGS = {
    "quota-rows@create": (7, "0 created, 0 retried, 0 cancelled (0 days).", QUOTA),
    "status-401-before@create": (65, "0 created, 0 retried, 0 cancelled (0 days).", KEY),
    "status-403-before@create": (65, "0 created, 0 retried, 0 cancelled (0 days).", MAY_NOT),
    "rate-limit-day@create": (69, "0 created, 0 retried, 0 cancelled (0 days).", RATE_LIMIT),
    "status-400-before@list": (69, "0 created, 0 retried, 0 cancelled (0 days).", UNREAD),
    "status-422-before@create": (
        3,
        "0 created, 0 retried, 0 cancelled (0 days), 3 refused, 1 withdrawn.",
        REFUSED,
    ),
    "status-500-before@create": (
        4,
        "0 created, 0 retried, 0 cancelled (0 days), 1 withdrawn, 3 outcomes unknown.",
        UNKNOWN,
    ),
}
"""By the fault: the exit status, the sentence, and the ending after it."""


def ending(done: Done, api: Api) -> str:
    """Return what follows the last error, without the address of the API and with a word for times."""
    told = done.err.replace(f" --api {api.url}", "").replace(" --parallelism 1", "")
    return re.sub(r"\d{4}-\d\d-\d\d\s+[\d:]+\s+UTC", "TIME", told[told.index("\n  done ") :])


@pytest.mark.parametrize("fault", ENDINGS)
def test_an_ending(fault: str, online: Shop, api: Api) -> None:
    code, sentence, wanted = ENDINGS[fault]
    online.write(FILES)
    api.sandbox.faults(fault)
    done = online.run("apply", "--auto-approve", "--parallelism", "1", code=code, command=ONE_LOOK)
    assert done.summary == f"Apply incomplete (exit {code}): {sentence}"
    assert ending(done, api) == wanted


def test_all_is_well(online: Shop) -> None:
    done = online.run("apply", "--auto-approve", code=0)
    assert (done.err.count("\n"), "Next" in done.err) == (2, False)


def test_the_same_again_has_the_digest_as_long_as_nothing_was_done(online: Shop, api: Api) -> None:
    """Pasted where nobody can be asked it does what was approved, and without the approval nothing."""
    expected = online.run("plan").command.removeprefix("reconciler ")
    api.sandbox.faults("quota-rows@create")
    done = online.run(*expected.split(), code=7)
    told = done.err.splitlines()[-1].strip()
    assert set(expected.split()) < set(told.split())
    api.sandbox.faults()
    assert online.shell(told).code == 0
    assert len(api.made()) == 2


def test_what_the_api_refuses_is_told_in_its_words_and_until_when(online: Shop, api: Api) -> None:
    api.sandbox.faults("status-422-before@create")
    done = online.run("apply", "--auto-approve", "--target", "ads", code=3)
    told = done.told.partition(" done none")[0]
    assert told.startswith(
        "! ads 2024-05-01..2024-05-10 10 days refused: 422 UNPROCESSABLE_ENTITY: This request "
        "is well formed but cannot be carried out: "
    )
    assert re.search(r"\(request [\w-]+\)$", told)
    assert "again from TIME, or once mended, by a retry" in " ".join(ending(done, api).split())


@pytest.mark.parametrize(
    "fault", ["quota-rows@create", "status-401-before@create", "status-403-before@create"]
)
def test_what_stopped_the_last_apply_is_told_until_one_goes_on(fault: str, online: Shop, api: Api) -> None:
    code, _, _ = ENDINGS[fault]
    api.sandbox.faults(fault)
    online.run("apply", "--auto-approve", "--parallelism", "1", code=code)
    api.sandbox.faults()
    for command in ("plan", "status"):
        told = " ".join(online.run(command, code=0).err.split())
        assert "warning[OB016]: The last apply was stopped POST …/transfers/" in told
        assert {7: "429 API_ROW_QUOTA", 65: f"{fault[7:10]} "}[code] in told
    online.run("apply", "--auto-approve", "--target", "ads", code=0)
    assert "OB016" not in online.run("plan", code=0).err


def test_a_key_that_may_not_write_refuses_no_transfer(online: Shop, api: Api) -> None:
    """The first refusal might be its transfer's; with the second it is not, and nothing keeps their days."""
    api.sandbox.faults("status-403-before@create")
    done = online.run("apply", "--auto-approve", "--parallelism", "1", code=65)
    (told,) = re.findall(r"refused: 403 FORBIDDEN: [^;]*; (if .*?) error", done.told)
    assert told == "if others are refused alike, it is not this transfer's, and stays due"
    *lines, last = online.run("apply", "--auto-approve", "--json", "--parallelism", "1", code=65).lines
    assert {one["type"] for one in lines} == {"turned-away"}, "each is told once, and no refusal is"
    assert (len(lines), last["refused"]) == (2, 0)
    api.sandbox.faults()
    online.run("apply", "--auto-approve", code=0)


def attempts_used_up(shop: Shop, api: Api) -> None:
    shop.write(FILE.replace("transfers:", "defaults: {max_attempts: 1}\ntransfers:"))
    shop.run("apply", "--auto-approve", code=0)
    api.sandbox.advance(86400)


def refused_before(shop: Shop, api: Api) -> None:
    api.sandbox.faults("status-422-before@create")
    shop.run("apply", "--auto-approve", "--target", "ads", code=3)
    api.sandbox.faults()
    shop.run("apply", "--auto-approve", "--target", "web", code=0)


def paused(shop: Shop, api: Api) -> None:
    shop.run("apply", "--auto-approve", "--target", "web", code=0)
    api.sandbox.change_transfer(1, state="paused")


HOLES: dict[Callable[[Shop, Api], None], tuple[str, str]] = {
    attempts_used_up: (
        "failed     1 day of ads: their attempts are used up: fix the source, then\n             retry",
        "reconciler retry ads 2024-05-04",
    ),
    refused_before: (
        "blocked    10 days of ads: refused before, as the plan shows",
        "reconciler retry ads 2024-05-01..2024-05-10",
    ),
    paused: (
        "blocked    10 days of ads: paused at the vendor, not by the file: resume it\n"
        "             there, or set `paused: true`",
        "reconciler apply --auto-approve",
    ),
}


@pytest.mark.parametrize("before", HOLES, ids=lambda before: before.__name__)
def test_a_hole_is_told_with_its_cure(before: Callable[[Shop, Api], None], shop: Shop) -> None:
    """What sets 3 although nothing was refused in this run."""
    scene = {"teams": {TEAM: {"transfers": {1: {"fail_days": {"2024-05-04": {"times": 9}}}, 2: {}}}}}
    wanted, command = HOLES[before]
    with serving(scene) as api:
        shop.env |= api.env
        before(shop, api)
        done = shop.run("apply", "--auto-approve", code=3)
        told = ending(done, api)
        assert wanted in told
        assert f"      {command}\n" in told


def test_what_was_made_and_is_not_in_the_answer_is_told_truly(online: Shop, api: Api) -> None:
    """No answer was lost where one came that told nothing; and what is adopted is counted."""
    api.sandbox.faults("html-200@create")
    done = online.run("apply", "--auto-approve", "--target", "ads", code=0)
    assert "10001 found at the API (the answer cannot be read: " in done.told
    api.sandbox.faults("status-422-after@create")
    done = online.run("apply", "--auto-approve", "--target", "web", code=0)
    assert done.summary == "Apply complete: 0 created, 0 retried, 0 cancelled, 1 adopted (5 days)."


def test_a_cancel_is_told_by_the_days_of_its_backfill(shop: Shop) -> None:
    scene = {"teams": {TEAM: {"transfers": {1: {"fail_days": {"2024-05-04": {"times": 1}}}, 2: {}}}}}
    with serving(scene) as api:
        shop.env |= api.env
        shop.run("apply", "--auto-approve", "--target", "ads", code=0)
        api.sandbox.advance(86400)
        done = shop.run("apply", "--auto-approve", "--target", "ads", code=0)
        assert [[*line.split()[:3], line.split()[-1]] for line in done.err.splitlines()] == [
            ["-", "ads", "2024-05-01..2024-05-10", "cancelled"],
            ["-/+", "ads", "2024-05-04..2024-05-04", "10002"],
        ]


def test_two_teams_are_told_apart_and_a_damaged_state_stops_its_own_alone(online: Shop, api: Api) -> None:
    (online.folder / "backfills.yaml").unlink()
    online.write(FILE, "backfills/eu.yaml")
    online.write(FILE.replace("12345", "54321"), "backfills/us.yaml")
    done = online.run("apply", "--auto-approve", "--target", "ads", code=0)
    assert {"".join(line.split()[1:3]) for line in done.err.splitlines()} == {
        "team12345",
        "team54321",
    }
    (online.state / "team-12345.db").write_bytes(b"damaged")
    done = online.run("apply", "--auto-approve", code=1)
    assert "Team 12345 could not be planned." in done.told
    assert "team 54321 web 2024-04-01..2024-04-05" in done.told
    assert "  unread     a team could not be planned" in done.err


@pytest.mark.parametrize(
    ("command", "fault", "code", "words"),
    [
        (
            "plan --detailed-exitcode",
            "status-401-before@list",
            65,
            "once the key is in order, run the same again:",
        ),
        ("status --check", "status-400-before@latest", 69, "once it can be read, run the same again:"),
        ("status", "", 0, ""),
    ],
)
def test_a_plan_or_status_that_could_not_read_all_says_what_is_next(
    command: str, fault: str, code: int, words: str, online: Shop, api: Api
) -> None:
    online.write(FILE.replace("transfers:", "defaults: {evidence: backfills}\ntransfers:"))
    api.sandbox.faults(*filter(None, [fault]))
    done = online.run(*command.split(), "--target", "ads", code=code)
    if not words:
        assert "Next" not in done.err
        return
    again = "reconciler plan --detailed-exitcode" if code == 65 else "reconciler status --check healthy"
    assert done.err.endswith(f"\nNext: {words}\n  {again} --api {api.url} --target ads\n")
    json = online.run(*command.split(), "--json", code=code)
    assert "Next" not in json.err


def test_commands_in_json_are_those_of_this_run(online: Shop, api: Api) -> None:
    """The text has them on lines of their own; so a program gets them as a list, to be shown or run."""
    done = online.run("apply", "none.json", "--json", code=64)
    (told,) = done.lines[-1]["diagnostics"]
    assert told["commands"] == [f"reconciler plan --out none.json --api {api.url}"]
    assert told["detail"].endswith("Make one:")


def test_a_signal_is_called_by_its_name() -> None:
    assert [Interrupted(number).summary for number in (1, 2, 15)] == ["Hung up", "Interrupted", "Terminated"]
    assert Interrupted(15).detail == "SIGTERM ended the run."
