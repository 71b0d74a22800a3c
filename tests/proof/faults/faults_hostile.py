"""Answers made by somebody who means harm, and the output they must not spoil.

``Evil`` takes the place of a sandbox's faults: it changes whatever answer the API gave.
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from faults_rig import KEY, TEAM

from reconciler.cli.main import run
from reconciler.sandbox import Sandbox
from reconciler.sandbox.faults import Fault
from reconciler.sandbox.responses import Answer
from reconciler.sandbox.serve import running
from reconciler.sandbox.world import World

# What steers a terminal, a CI log or a reader: OSC, CSI (7 and 8 bit), DCS, line breaks of all kinds,
# workflow commands of GitHub (old and new) and Azure, bidi and invisible characters, a lone surrogate.
PAYLOAD = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\x1bPq\x1b\\\x08\x7f\x00"
    "\r\n::error::owned\n  ::set-output name=a::b\u2028::stop-commands::x\x85::add-mask::y\n"
    "##[error]owned ##vso[task.setvariable variable=a]b "
    "\u202eevil\u2066\u2069\u200b\ufeff\ud800 end"
)
_COMMAND = re.compile(r"^\s*::|##\[|##vso\[")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def spoiled(text: str) -> list[str]:
    """Return what in an output could steer a terminal, a CI log or a reader."""
    odd = [
        f"U+{ord(one):04X}"
        for one in sorted(set(text))
        if one != "\n" and unicodedata.category(one) in _INVISIBLE
    ]
    return odd + [line for line in text.split("\n") if _COMMAND.search(line)]


def key_in(data: bytes) -> bool:
    """Tell whether the key, or its text in lower or upper case, stands in some bytes."""
    return KEY.lower().encode() in data.lower()


Change = Callable[[Any], Any]
Act = Callable[[Answer], Answer]


def texts_to(payload: str, *, keys: bool = False) -> Change:
    """Replace every text of a document, however deep; with ``keys``, add one to every object."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            changed = {name: change(one) for name, one in value.items()}
            return changed | ({payload: payload} if keys else {})
        if isinstance(value, list):
            return [change(one) for one in value]
        return payload if isinstance(value, str) else value

    return change


def fields_to(payload: str, *names: str) -> Change:
    """Replace the named fields of every object."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: payload if name in names else change(one) for name, one in value.items()}
        return [change(one) for one in value] if isinstance(value, list) else value

    return change


@dataclass
class Evil:
    """Stands in for ``Faults``: each operation's answer is made by ``acts``, where there is one.

    ``before``: the request is not carried out.
    """

    acts: dict[str, Act] = field(default_factory=dict)
    before: bool = False

    def draw(self, operation: str) -> Fault | None:
        act = self.acts.get(operation) or self.acts.get("all")
        if act is None:
            return None

        def changed(answer: Answer, _world: World) -> Answer:
            return act(answer)

        return Fault("evil", self.before, changed)


def bodies(change: Change, **headers: str) -> Act:
    """Change the JSON of whatever answer, and set headers."""

    def act(answer: Answer) -> Answer:
        made = (
            answer.with_body(json.dumps(change(json.loads(answer.body))).encode()) if answer.body else answer
        )
        made.status = answer.status
        return with_headers(made, headers)

    return act


def with_headers(answer: Answer, headers: dict[str, str]) -> Answer:
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    kept = [(name, value) for name, value in answer.headers if name.lower() not in given]
    answer.headers = kept + list(given.items())
    return answer


def refusing(status: int, body: Any, **headers: str) -> Act:
    """Answer with a status and a body of our own."""

    def act(_: Answer) -> Answer:
        raw = json.dumps(body).encode()
        base = [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))]
        return with_headers(Answer(status, base, raw), headers)

    return act


def envelope(text: str) -> dict[str, Any]:
    return {"meta": {"request_id": text}, "error": {"code": text, "message": text, "description": text}}


def problem(text: str) -> dict[str, Any]:
    return {"type": text, "title": text, "detail": text, "instance": text, "status": 400}


@dataclass
class Bench:
    """Commands run in this process, against a served sandbox that ``evil`` answers for.

    ``written`` collects all that was ever printed; ``everything`` adds all that lies in the folder.
    """

    folder: Path
    base_url: str
    sandbox: Sandbox
    capture: pytest.CaptureFixture[str]
    written: list[str] = field(default_factory=list)

    def does(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit status and what it printed on both streams."""
        status = run(list(arguments))
        captured = self.capture.readouterr()
        text = captured.out + captured.err
        self.written.append(text)
        assert "error[bug]" not in text, text
        return status, text

    @contextmanager
    def evil(self, acts: dict[str, Act], *, before: bool = False) -> Iterator[None]:
        """Let the acts answer for the operations they are named for, or for ``all``."""
        self.sandbox.app.faults = Evil(acts, before)  # type: ignore[assignment]
        try:
            yield
        finally:
            self.sandbox.faults()

    def everything(self) -> bytes:
        files = [one.read_bytes() + str(one).encode() for one in self.folder.rglob("*") if one.is_file()]
        return b"\n".join([*files, "\n".join(self.written).encode("utf-8", "surrogatepass")])

    def texts(self) -> str:
        """Return all texts: of a database those of its rows."""
        files = [one for one in self.folder.rglob("*") if one.is_file()]
        found = [one.read_text("utf-8") for one in files if ".db" not in one.name]
        for state in self.folder.rglob("team-*.db"):
            with closing(sqlite3.connect(state)) as database:
                found += [str(row) for row in database.execute("SELECT key, value FROM record")]
        return "\n".join([*found, *self.written])


FILE = f"""\
version: 1
team_id: {TEAM}
transfers:
  ads: {{transfer_id: 1, ranges: [2024-05-01..2024-05-10]}}
  web: {{transfer_id: 2, ranges: [2024-04-01..2024-04-10]}}
"""


@contextmanager
def bench(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], **settings: Any
) -> Iterator[Bench]:
    """Serve a sandbox, and let commands find it and the key in the environment."""
    transfers = {1: {"name": "ads"}, 2: {"name": "web"}}
    scene = {"settings": settings, "teams": {TEAM: {"transfers": transfers}}}
    sandbox = Sandbox.in_memory(scene)
    monkeypatch.chdir(folder)
    for name in ("CI", "RECONCILER_STATE", "SUPERMETRICS_API_KEY_FILE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPERMETRICS_API_KEY", KEY)
    Path("backfills.yaml").write_text(FILE, "utf-8")
    with running(sandbox.app) as base_url:
        monkeypatch.setenv("RECONCILER_API_URL", base_url)
        yield Bench(folder, base_url, sandbox, capture)
