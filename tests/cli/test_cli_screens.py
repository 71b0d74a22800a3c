"""What a person sees of an apply, at 40, 80 and 200 columns: the lines that stay, and each way it may end.

The pictures lie in ``tests/cases/screens``: with ``UPDATE_CASES=1`` this draws them
anew.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest
from cli_rig import FILE, Api, Shop, serving, too_long, until
from test_cli_signals import Gate, creates

from reconciler.cli import main
from reconciler.engine import transfer
from reconciler.engine.stop import StopSignal

SCREENS = Path(__file__).parent.parent / "cases" / "screens"
LONG = "a-name-that-has-as-many-characters-as-a-name-may-have-63-of-them"[:63]
FILES = FILE + f"  {LONG}:\n    transfer_id: 3\n    chunk: month\n    ranges: [2024-02-28..2024-03-02]\n"

ENDINGS = {
    "done": ("", 0),
    "refused": ("status-422-before@create", 3),
    "quota": ("quota-rows@create", 7),
    "rate-limit": ("rate-limit-day@create", 69),
    "unknown": ("status-500-before@create", 4),
    "unread": ("status-400-before@list", 69),
    "interrupted": ("", 130),
}
"""By what ends it: the fault, and the exit status."""


class Screen(io.StringIO):
    """A terminal that is only written to, on which nothing moves."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def seen(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Both streams, as one screen of this process; nothing is waited for."""
    screen = Screen()
    shop.write(FILES)
    monkeypatch.chdir(shop.folder)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(transfer, "LOOKS", (0.0,))
    return screen


def use(api: Api, screen: Screen, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("CI", raising=False)
    for name, value in api.env.items():
        monkeypatch.setenv(name, value)


def masked(text: str, api: Api) -> str:
    """Return a screen without what differs from run to run; what stands there instead is as long."""
    text = text.replace(f" --api {api.url}", "")
    text = re.sub(r"(?<=127\.0\.0\.1:)\d+", "PPPPP", text)
    text = re.sub(r"(?<=as of )[\d-]{10}|[\d-]{10}(?=[T ]\d\d:)", "YYYY-MM-DD", text)
    text = re.sub(r"(?<!\d)\d\d:\d\d(:\d\d)?", lambda found: "hh:mm:ss"[: len(found[0])], text)
    return re.sub(r"(?<=\(request )[\w-]+", lambda found: "R" * len(found[0]), text)


def interrupted_at_its_create(gate: Gate, noted: threading.Event) -> None:
    """Send what a Ctrl-C sends, while one create is under way; its answer comes once that is noted."""
    until(lambda: gate.waiting, "a create is under way")
    os.kill(os.getpid(), signal.SIGINT)
    noted.wait(30)
    gate.open.set()


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a signal is noted: its handler runs in the main thread, when that comes round to it."""
    event, interrupt = threading.Event(), StopSignal.interrupt

    def interrupted(stop: StopSignal, signum: int) -> None:
        interrupt(stop, signum)
        event.set()

    monkeypatch.setattr(StopSignal, "interrupt", interrupted)
    return event


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_picture_of_an_apply(
    ending: str, columns: int, seen: Screen, noted: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, code = ENDINGS[ending]
    gate = Gate(creates)
    if ending == "interrupted":
        threading.Thread(target=interrupted_at_its_create, args=(gate, noted), daemon=True).start()
    else:
        gate.open.set()
    with serving(wrap=gate.before) as api:
        use(api, seen, columns, monkeypatch)
        api.sandbox.faults(*filter(None, [fault]))
        assert main.run(["apply", "--auto-approve", "--parallelism", "1"]) == code
    check_picture(f"apply-{ending}-{columns}", masked(seen.getvalue(), api))


def check_picture(name: str, text: str) -> None:
    picture = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_CASES"):
        picture.write_text(text, "utf-8")
    assert text == picture.read_text("utf-8")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_picture_of_what_is_unresolved(columns: int, seen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as api:
        use(api, seen, columns, monkeypatch)
        api.sandbox.faults("status-500-before@create")
        assert main.run(["apply", "--auto-approve", "--parallelism", "1"]) == 4
        seen.seek(0)
        seen.truncate()
        assert main.run(["resolve"]) == 0
    check_picture(f"resolve-{columns}", masked(seen.getvalue(), api))


MISTAKEN = """\
version: 1
team_id: 12345
limit: {max_open_per_transfer: 3}
transfers:
  Google Ads:
    transfer_id: 1
    ranges: [2024-01-01 bis 2024-01-31]
  meta-ads:
    transfer_id: 1
    owner: [ads]
    ranges:
      - {start: 31.01.2024, end: yesterday, reson: a very long reason for which there is hardly any room}
"""


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_picture_of_mistakes(
    columns: int, shop: Shop, seen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write(MISTAKEN)
    with serving() as api:
        use(api, seen, columns, monkeypatch)
        assert main.run(["validate"]) == 1
    check_picture(f"validate-{columns}", seen.getvalue())


@pytest.mark.parametrize("picture", sorted(SCREENS.glob("*.txt")), ids=lambda picture: picture.stem)
def test_no_line_of_a_picture_is_broken_by_the_terminal(picture: Path) -> None:
    assert not too_long(picture.read_text("utf-8"), int(picture.stem.rpartition("-")[2]))
