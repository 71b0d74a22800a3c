"""``resolve``: what it shows, what it looks at before it takes a word, and what ``retry`` says of waiting."""

from __future__ import annotations

import re

import pytest
from cli_rig import FILE, TEAM, Api, Shop, kill_at_its_create
from test_cli_paste import ONE_LOOK

RANGE = "2024-05-01..2024-05-10"


@pytest.fixture
def in_doubt(online: Shop, api: Api) -> Shop:
    """A folder with a create whose outcome is unknown; it was made, which no read has shown yet."""
    run = ("apply", "--auto-approve", "--target", "ads", "--max-wait", "0s")
    api.sandbox.faults("status-500-after@create")
    api.sandbox.settings(list_lag_seconds=60, latest_lag_seconds=60)
    online.run(*run, code=4, command=ONE_LOOK)
    api.sandbox.faults()
    return online


def test_what_is_unresolved_is_shown_ready_to_paste(in_doubt: Shop, api: Api) -> None:
    done = in_doubt.run("resolve", "ads", RANGE, code=0)
    wanted = (
        f"Was ads {RANGE} created (answered 500 INTERNAL_SERVER_ERROR: Something broke on this side: "
        "A fault of the sandbox (request ID))? "
        "Look at the vendor's page of transfer 1. Then either of:\n"
        f"  reconciler resolve ads {RANGE} --as not-created --api {api.url}\n"
        f"  reconciler resolve ads {RANGE} --as created:ID --api {api.url}\n"
        "(ID: the backfill's number), or wait: an apply after TIME (in 15 min) settles it, "
        "if the API tells.\n"
        "\n"
        "1 unresolved.\n"
    )
    told = re.sub(r"\d{4}-\d\d-\d\d [\d:]+ UTC", "TIME", done.out)
    assert re.sub(r"request [\w-]+", "request ID", told) == wanted
    assert in_doubt.run("resolve", "web", code=0).out == "Nothing is unresolved.\n"


def test_not_created_is_not_believed_of_what_is_there(in_doubt: Shop, api: Api) -> None:
    """It looks first, and says what to say instead."""
    api.sandbox.settings(list_lag_seconds=0, latest_lag_seconds=0)
    done = in_doubt.run("resolve", "ads", RANGE, "--as", "not-created", "--auto-approve", code=6)
    assert "Backfill 10001 is just what was asked for, and was made at " in done.told
    (command,) = re.findall(r"^ +(reconciler .*)$", done.err, re.MULTILINE)
    assert in_doubt.shell(f"{command} --auto-approve").code == 0
    assert in_doubt.run("plan", "--target", "ads", code=0).summary.startswith("No changes.")
    assert api.made(1) == [RANGE]


def test_where_it_cannot_look_it_says_so(in_doubt: Shop, api: Api) -> None:
    api.sandbox.faults("status-400-before@list")
    done = in_doubt.run("resolve", "ads", RANGE, "--as", "not-created", "--auto-approve", code=0)
    assert "warning: Whether it is there could not be looked at: " in done.told


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--as", "not-created"], 64),
        (["ads", "--as", "not-created"], 64),
        (["ads", RANGE, "--as", "made:1"], 64),
        (["wbe", RANGE, "--as", "not-created"], 64),
        (["ads", "2024-05-01", "--as", "not-created"], 6),
    ],
)
def test_what_makes_no_sense(arguments: list[str], code: int, in_doubt: Shop) -> None:
    in_doubt.run("resolve", *arguments, "--auto-approve", code=code)


def test_a_pasted_placeholder_is_said_to_be_one(in_doubt: Shop) -> None:
    told = in_doubt.run("resolve", "ads", RANGE, "--as", "created:ID", "--auto-approve", code=64).err
    assert "ID stands for the number of the backfill" in " ".join(told.split())


def test_retry_says_until_when_days_wait(online: Shop, api: Api) -> None:
    """A request that was refused may take effect yet: what is forgotten of it is not due before that."""
    online.write(FILE)
    api.sandbox.faults("status-422-before@create")
    online.run("apply", "--auto-approve", "--target", "ads", code=3)
    api.sandbox.faults()
    done = online.run("retry", "ads", "--auto-approve", code=0)
    waits = r"10 days wait until [\d-]+T[\d:]+Z: a request of ours may take effect there until then\."
    assert re.search(waits, done.out)
    assert re.search(waits, online.run("retry", "ads", "--auto-approve", code=0).out)


def test_what_the_list_shows_of_an_unknown_create_is_named(online: Shop, api: Api) -> None:
    kill_at_its_create(online, api)
    api.sandbox.create_backfill(TEAM, 1, "2024-05-01", "2024-05-10")
    done = online.run("resolve", code=0)
    assert (
        "ads 2024-05-01..2024-05-10 was created, it seems: backfill 10001 is just what was asked" in done.out
    )
    assert "--as created:10001" in done.out
    api.sandbox.faults("status-400-before@list")
    done = online.run("resolve", code=0)
    assert "warning: Whether the API shows them could not be seen: " in done.told
    assert "--as created:ID" in done.out
