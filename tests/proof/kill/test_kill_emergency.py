"""What is saved, and where, when the state cannot be written after a create."""

from __future__ import annotations

import errno
import os
import shlex
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import kill_paths  # noqa: F401
import pytest
from faulty_os import Trouble, troubled

import reconciler
from reconciler.cli.main import run
from reconciler.cli.options import Common
from reconciler.cli.progress import Reporter
from reconciler.engine.team import RunSettings
from reconciler.formats.statefile import decode_document
from reconciler.http import Request, Response, WsgiTransport
from reconciler.model.memory import Document
from reconciler.sandbox import Sandbox
from reconciler.stores.local import LocalStore

TEAM = 12345
NEVER = 10**9
FILE = f"version: 1\nteam_id: {TEAM}\ntransfers:\n" + "".join(
    f"  t{one}:\n    transfer_id: {one}\n    ranges: [2024-01-0{one}]\n" for one in range(1, 8)
)
WORKERS = 3


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.chdir(tmp_path)
    Path("backfills.yaml").write_text(FILE, "utf-8")
    return Sandbox.in_memory(speed=0.0)


def apply(sandbox: Sandbox, settle: int = 900) -> int:
    with Reporter(Common(api="sandbox")) as reporter:
        report = reconciler.apply(
            reconciler.load(["backfills.yaml"]),
            api=sandbox,
            settings=RunSettings(settle=timedelta(seconds=settle), parallelism=WORKERS),
            confirm=lambda plan: True,
            on_event=reporter.tell,
        )
    reporter.summarise(report)
    return report.exit


def full(lasting: bool = True) -> Trouble:
    return Trouble(NEVER, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), lasting)


class Together:
    """Lets the first creates reach the API together, and the disk fill up before any answer is back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, trouble: Trouble) -> None:
        self.sent = 0
        self._trouble = trouble
        self._all_there = threading.Barrier(WORKERS, action=self._fill_up)
        self._send = WsgiTransport.send
        monkeypatch.setattr(WsgiTransport, "send", self._wrapped())

    def _fill_up(self) -> None:
        self._trouble.at = 0

    def _wrapped(self) -> Any:
        def send(transport: WsgiTransport, request: Request, *, read_timeout: float) -> Response:
            answer = self._send(transport, request, read_timeout=read_timeout)
            if request.method == "POST":
                self.sent += 1
                self._all_there.wait(20)
            return answer

        return send


def document_of(text: str) -> Document:
    return decode_document(text.encode(), "errored", "")


def state() -> Document:
    found, _revision = LocalStore("state", TEAM, "sandbox", "test").read()
    assert found is not None
    return found


def ids(sandbox: Sandbox) -> set[int]:
    return {one["transfer_backfill_id"] for one in sandbox.backfills()}


def fail_with(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, calls: tuple[str, ...]) -> Together:
    """Apply; as the first three creates are made, the disk fills up for ``calls``."""
    trouble = full()
    with monkeypatch.context() as patch:
        together = Together(patch, trouble)
        with troubled(trouble, calls):
            assert apply(sandbox) in (1, 4)
    return together


def test_nothing_more_is_sent_once_the_state_cannot_be_written(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = fail_with(sandbox, monkeypatch, ("sql", "fsync", "write"))
    assert together.sent == WORKERS
    assert len(ids(sandbox)) == WORKERS


def test_a_file_has_every_outcome_that_the_state_lacks(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only the state's disk is full."""
    fail_with(sandbox, monkeypatch, ("sql",))
    assert not state().backfills
    saved = document_of(Path(f"errored.{TEAM}.json").read_text("utf-8"))
    assert set(saved.backfills) == ids(sandbox)
    assert (saved.lineage, not [one for one in saved.intents.values() if one.pending]) == (
        state().lineage,
        True,
    )
    assert saved.serial > state().serial
    told = capfd.readouterr().err
    assert "error[state-unwritable]" in told
    for number in ids(sandbox):
        assert str(number) in told
    assert Path(f"errored.{TEAM}.json").stat().st_mode & 0o777 == 0o600


def test_the_command_that_is_told_restores_it(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fail_with(sandbox, monkeypatch, ("sql",))
    (command,) = [line for line in capfd.readouterr().err.splitlines() if " state push " in line]
    program, *arguments = shlex.split(command)
    assert program == "reconciler"
    assert run([*arguments, "--state", "state", "--auto-approve"]) == 0
    assert set(state().backfills) == ids(sandbox)
    assert apply(sandbox) == 0
    assert len(ids(sandbox)) == 7
    assert set(state().backfills) == ids(sandbox)


def test_an_earlier_file_is_not_overwritten(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"errored.{TEAM}.json").write_text("precious", "utf-8")
    fail_with(sandbox, monkeypatch, ("sql",))
    assert Path(f"errored.{TEAM}.json").read_text("utf-8") == "precious"
    assert set(document_of(Path(f"errored.{TEAM}.1.json").read_text("utf-8")).backfills) == ids(sandbox)


def test_where_no_file_can_be_written_it_is_printed_between_markers(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fail_with(sandbox, monkeypatch, ("sql", "write", "open", "fsync"))
    assert not list(Path().glob("errored*"))
    told = capfd.readouterr().err
    begin, end = f"-----BEGIN STATE OF TEAM {TEAM}-----\n", f"-----END STATE OF TEAM {TEAM}-----\n"
    text = told.partition(begin)[2].partition(end)[0]
    assert set(document_of(text).backfills) == ids(sandbox)
    assert f"errored.{TEAM}.json" in told


def test_the_next_run_finds_out_by_itself(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(sandbox, monkeypatch, ("sql", "write", "open", "fsync"))
    assert apply(sandbox) == 0
    assert len(ids(sandbox)) == 7
    assert set(state().backfills) == ids(sandbox)


def test_an_intent_that_cannot_be_written_needs_no_rescue(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    trouble = full()
    trouble.at = 0
    with troubled(trouble, ("sql",)):
        assert apply(sandbox) == 1
    assert not ids(sandbox)
    assert not list(Path().glob("errored*"))
    assert "-----BEGIN" not in capfd.readouterr().err
