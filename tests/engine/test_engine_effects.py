"""Effects: each is answered in its own type, and none can be forgotten: the type checker finds both."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from engine_rig import NOW

from reconciler.engine.effects import Effect, Intend, Pause, Record, SendCancel, SendCreate, Step
from reconciler.model.deltas import Delta
from reconciler.model.memory import Intent, IntentKind, Outcome

ROOT = Path(__file__).resolve().parents[2]
EXECUTOR = ROOT / "reconciler/engine/executor.py"
FORGOTTEN = """\
            case Get(backfill_id=backfill_id):
                return step.answered(_if_shown(self._read(lambda: self.client.get(backfill_id))))
"""
MISTAKEN = "return step.answered(self._intend(intent, also))"
TYPES = """\
from collections.abc import Generator
from typing import Any, assert_type

from reconciler.api.outcome import WriteOutcome
from reconciler.engine.effects import *
from reconciler.model.observed import Backfill, Unreadable


def steps(intend: Intend, create: SendCreate, cancel: SendCancel) -> Generator[Step, Any, None]:
    assert_type((yield from ask(intend)), Committed)
    assert_type((yield from ask(create)), WriteOutcome | Withheld)
    assert_type((yield from ask(cancel)), WriteOutcome | Withheld)
    assert_type((yield from ask(Probe((7,)))), Reading | Unreadable | None)
    assert_type((yield from ask(Get(7))), Backfill | None)
    wrong: int = yield from ask(Get(7))
"""


def checked(folder: Path, *arguments: str | Path) -> list[str]:
    """Return the errors that mypy finds with our settings, sorted, without file and code."""
    settings = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", folder / "cache"]
    command = [sys.executable, "-m", "mypy", *settings, "--no-error-summary", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    errors = (line.partition(": error: ")[2] for line in done.stdout.splitlines())
    return sorted(re.split("; |  ", error)[0] for error in errors if error)


def test_a_forgotten_effect_and_a_wrong_answer_fail_the_type_check(tmp_path: Path) -> None:
    source = EXECUTOR.read_text("utf-8")
    assert source.count(FORGOTTEN) == source.count(MISTAKEN) == 1
    broken, types = tmp_path / "executor.py", tmp_path / "types_of_answers.py"
    broken.write_text(source.replace(FORGOTTEN, "").replace(MISTAKEN, "return step.answered(True)"), "utf-8")
    types.write_text(TYPES, "utf-8")
    assert checked(tmp_path, "--shadow-file", EXECUTOR, broken, EXECUTOR, types) == [
        'Argument 1 to "answered" of "Effect" has incompatible type "bool"',
        'Argument 1 to "assert_never" has incompatible type "Get"',
        'Incompatible types in assignment (expression has type "Backfill | None", variable has type "int")',
    ]


def test_every_effect_is_a_step() -> None:
    assert {kind.__name__ for kind in Effect.__subclasses__()} == {kind.__name__ for kind in get_args(Step)}


# -- what is asserted where effects are asked for ----------------------------------------------------


def intent(kind: IntentKind, backfill_id: int | None = None, outcome: Outcome = Outcome.PENDING) -> Intent:
    send_before = NOW + timedelta(seconds=60)
    return Intent("n", kind, 1, "a", 100, 110, NOW, send_before, outcome=outcome, backfill_id=backfill_id)


CREATE, CANCEL = intent(IntentKind.CREATE), intent(IntentKind.CANCEL, 7)


def test_effects_that_make_sense() -> None:
    assert SendCreate(CREATE, 1.0).intent is CREATE
    assert SendCancel(CANCEL, 1.0).intent is CANCEL
    assert Intend(replace(CANCEL, sources=(1, 2)), Delta()).intent.source_ids == (1, 2)
    assert Intend(CREATE, Delta()).intent.source_ids == (1,)
    done = Delta(intents=(intent(IntentKind.CREATE, 7, Outcome.DONE), intent(IntentKind.CREATE)))
    assert Record(done).delta is done


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SendCreate(CANCEL, 1.0),
        lambda: SendCreate(intent(IntentKind.CREATE, 7), 1.0),
        lambda: SendCancel(CREATE, 1.0),
        lambda: SendCancel(intent(IntentKind.CANCEL), 1.0),
        lambda: Intend(intent(IntentKind.CREATE, outcome=Outcome.DONE), Delta()),
        lambda: Intend(replace(CREATE, sources=(2,)), Delta()),
        lambda: Record(Delta(intents=(intent(IntentKind.CREATE, outcome=Outcome.DONE),))),
        lambda: Pause(0.0, "why"),
    ],
)
def test_effects_that_make_none(wrong: object) -> None:
    with pytest.raises(AssertionError):
        wrong()  # type: ignore[operator]
