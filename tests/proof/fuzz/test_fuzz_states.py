"""Fuzzing of what lies on the disk: states, as JSON and as databases, and saved plans."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fuzz_mutations import CUTS, EDITS, FEW, MANY, SOME, cut, documents, edited, in_bounds
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.client import ApiClient
from reconciler.cli.main import run
from reconciler.config.loading import read_files
from reconciler.engine.clock import Clock
from reconciler.engine.team import RunSettings, TeamRun
from reconciler.errors import ReconcilerError, Refused, StateError
from reconciler.formats import planfile
from reconciler.formats.planfile import digest, encode_plan
from reconciler.formats.statefile import decode_document, encode_document
from reconciler.formats.staterows import head_text, record_rows
from reconciler.http import Pacer, Retry, WsgiTransport
from reconciler.model.deltas import Delta
from reconciler.model.memory import Document
from reconciler.planning.plan import Plan
from reconciler.sandbox import Sandbox
from reconciler.stores import sql
from reconciler.stores.local import LocalStore

TEAM = 12345
API = "sandbox"
NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
LATER = datetime(2024, 6, 3, 9, tzinfo=UTC)
FILE = f"""\
version: 1
team_id: {TEAM}
transfers:
  ads: {{transfer_id: 1, owner: me, ranges: [2024-05-01..2024-05-10]}}
  web: {{transfer_id: 2, chunk: week, ranges: [2024-04-01..2024-04-10, today]}}
  new: {{transfer_id: 3, paused: true, ranges: [2024-04-01..2024-04-10]}}
"""


class Made:
    """A state and plans as this release writes them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "backfills.yaml"
        self.file.write_text(FILE, "utf-8")
        fails = {"2024-05-03": {"error": "timeout", "times": 1}}
        transfers = {1: {"fail_days": fails}, 2: {}, 3: {}}
        scene = {"now": "2024-06-01T09:00:00Z", "teams": {TEAM: {"transfers": transfers}}}
        self.now = NOW
        self.sandbox = Sandbox.in_memory(scene, clock=lambda: self.now.timestamp())
        first = self.run(folder / "state").plan()
        session = self.run(folder / "state").open()
        work = self.run(folder / "state")
        work.carry_out(session, work.survey(session), _switch(), lambda: True)
        self.now = LATER
        later = self.run(folder / "state").plan()
        self.database = (folder / "state" / f"team-{TEAM}.db").read_bytes()
        document, _revision = self.store(folder / "state").read()
        assert document is not None
        self.head = json.loads(head_text(document))
        self.rows = [(kind, key, json.loads(value)) for kind, key, value in record_rows(document)]
        plans = [Plan(API, NOW, (one.plan,)) for one in (first, later)]
        self.plans = [encode_plan(one, "test") for one in plans]

    def store(self, folder: Path) -> LocalStore:
        return LocalStore(str(folder), TEAM, API, "test")

    def run(self, folder: Path) -> TeamRun:
        pacer = Pacer(float("inf"), clock=lambda: 0.0, sleep=lambda seconds: None)
        retry = Retry(attempts=2, sleep=lambda seconds: None)
        transport = WsgiTransport(self.sandbox.app)
        client = ApiClient(transport, TEAM, pacer=pacer, retry=retry, now=lambda: self.now)
        (team,) = read_files([self.file], as_of=None, now=self.now).teams
        clock = Clock(lambda: self.now, lambda: 0.0, lambda seconds: None)
        blank = Document(team_id=TEAM, api_url=API)
        return TeamRun(team, client, self.store(folder), blank, clock, RunSettings(parallelism=1))


def _switch() -> Any:
    from reconciler.engine.stop import StopSignal

    return StopSignal()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


# --- the database ----------------------------------------------------------------------------------

EDITED = st.tuples(st.lists(st.tuples(st.integers(0, 30), EDITS), max_size=3), EDITS)


def reads_or_refuses(made: Made, folder: Path, database: bytes) -> None:
    """A store reads it and can go on from there, plan with it, or refuses it and leaves it alone."""
    folder.mkdir(exist_ok=True)
    path = folder / f"team-{TEAM}.db"
    path.write_bytes(database)
    Path(f"{path}-journal").unlink(missing_ok=True)
    store = made.store(folder)
    told = ""
    try:
        with in_bounds():
            read, revision = store.read()
    except StateError as error:
        read, told = None, error.detail
    if read is None:
        assert told.isprintable(), told
        assert path.read_bytes() == database
        return
    assert decode_document(encode_document(read)) == read
    with in_bounds(2), contextlib.suppress(ReconcilerError):
        plan = made.run(folder).plan().plan
        counts = plan.counts.as_dict()
        assert counts.pop("declared") == sum(counts.values())
    intents = tuple(read.intents.values())[:1]
    with contextlib.suppress(StateError):
        store.commit(Delta(intents=intents, drop_backfills=(99,)), revision)
        assert store.read()[0] is not None


def rewritten(made: Made, folder: Path, change: Any) -> bytes:
    """Return the database with some of its rows and its head changed, and sealed as if that were meant."""
    row_edits, head_edits = change
    rows = list(made.rows)
    for number, edits in row_edits:
        kind, key, value = rows[number % len(rows)]
        rows[number % len(rows)] = (kind, key, edited(value, edits))
    texts = [(kind, key, json.dumps(value)) for kind, key, value in rows]
    path = folder / "made.db"
    path.write_bytes(made.database)
    with closing(sqlite3.connect(path)) as database, database:
        head = sql.find_head(database)
        assert head is not None
        head = replace(head, fields=json.dumps(edited(made.head, head_edits)))
        database.execute("DELETE FROM record")
        database.executemany("INSERT INTO record VALUES (?, ?, ?)", texts)
        seal = (sql._sum(texts) + head.checksum) % sql._SEALS
        database.execute("UPDATE head SET fields = ?, seal = ?", (head.fields, seal))
    return path.read_bytes()


@SOME
@given(change=EDITED)
def test_changed_states(made: Made, tmp_path: Path, change: Any) -> None:
    reads_or_refuses(made, tmp_path / "state", rewritten(made, tmp_path, change))


@pytest.mark.proof
@MANY
@given(change=EDITED)
def test_many_changed_states(made: Made, tmp_path: Path, change: Any) -> None:
    reads_or_refuses(made, tmp_path / "state", rewritten(made, tmp_path, change))


@SOME
@given(cuts=CUTS)
def test_broken_databases(made: Made, tmp_path: Path, cuts: Any) -> None:
    reads_or_refuses(made, tmp_path / "state", cut(made.database, cuts))


@pytest.mark.proof
@MANY
@given(cuts=CUTS)
def test_many_broken_databases(made: Made, tmp_path: Path, cuts: Any) -> None:
    reads_or_refuses(made, tmp_path / "state", cut(made.database, cuts))


# --- the document ----------------------------------------------------------------------------------

ROUNDTRIP = Path(__file__).resolve().parents[2] / "formats" / "roundtrip"
FULL = [json.loads(one.read_text("utf-8")) for one in sorted(ROUNDTRIP.glob("v1-[ef]*.json"))]


def decodes_or_refuses(data: bytes) -> None:
    with in_bounds(), contextlib.suppress(StateError):
        read = decode_document(data)
        assert decode_document(encode_document(read)) == read


@FEW
@given(documents(FULL))
def test_changed_documents(data: bytes) -> None:
    decodes_or_refuses(data)


@pytest.mark.proof
@MANY
@given(documents(FULL))
def test_many_changed_documents(data: bytes) -> None:
    decodes_or_refuses(data)


# --- plans -----------------------------------------------------------------------------------------


def signed(raw: Any) -> Any:
    """Give a changed plan the digest that fits it, so that more than the digest is looked at."""
    computed: list[str] = []

    def noted(plan: Plan) -> str:
        computed.append(digest(plan))
        return computed[-1]

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Refused):
        patch.setattr(planfile, "digest", noted)
        planfile.read_plan(json.dumps(raw))
    return {**raw, "digest": computed[0]} if computed and isinstance(raw, dict) else raw


def shows_or_refuses(raw: Any, cuts: Any, folder: Path) -> None:
    data = cut(json.dumps(signed(raw)).encode(), cuts)
    plan, told = None, ""
    with in_bounds():
        try:
            plan = planfile.read_plan(data)
        except Refused as error:
            told = error.summary + error.detail
    assert told.isprintable(), told
    path = folder / "plan.json"
    path.write_bytes(data)
    for flags in ((), ("--json",)):
        out = io.StringIO()
        with in_bounds(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = run(["show", str(path), *flags])
        text = out.getvalue()
        assert status == (6 if plan is None else 0), text
        assert "error[bug]" not in text
        assert text.replace("\n", "").isprintable(), text
        text.encode()
    if plan is not None:
        again = _again(plan)
        assert _again(again) == again


def _again(plan: Plan) -> Plan:
    """Write a plan and read it back: the hints of findings become part of their details, once."""
    return planfile.read_plan(json.dumps(encode_plan(plan, "test")))


@SOME
@given(which=st.integers(0, 1), edits=EDITS, cuts=CUTS)
def test_changed_plans(made: Made, tmp_path: Path, which: int, edits: Any, cuts: Any) -> None:
    shows_or_refuses(edited(made.plans[which], edits), cuts, tmp_path)


@pytest.mark.proof
@MANY
@given(which=st.integers(0, 1), edits=EDITS, cuts=CUTS)
def test_many_changed_plans(made: Made, tmp_path: Path, which: int, edits: Any, cuts: Any) -> None:
    shows_or_refuses(edited(made.plans[which], edits), cuts, tmp_path)
