"""Fuzzing of what lies on the disk: state documents, their journals, and saved plans."""

from __future__ import annotations

import contextlib
import io
import json
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
from reconciler.formats.statefile import decode_delta, decode_document, encode_delta, encode_document
from reconciler.http import Pacer, Retry, WsgiTransport
from reconciler.model.memory import Delta, Document
from reconciler.planning.plan import Plan
from reconciler.sandbox import Sandbox
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
    """A state and a plan as this release writes them: a document, a journal, and plans."""

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
        self.document = json.loads((folder / "state" / f"team-{TEAM}.json").read_text("utf-8"))
        self.now = LATER
        later = self.run(folder / "state").plan()
        store = self.store(folder / "state")
        document, revision = store.read()
        assert document is not None
        for record in list(document.backfills.values())[:2]:
            revision = store.commit(
                Delta(backfills=(record,), intents=tuple(document.intents.values())), revision
            )
        self.journal = (folder / "state" / f"team-{TEAM}.json.journal").read_bytes()
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


# --- the document and the journal ------------------------------------------------------------------

EDITS_AND_CUTS = st.tuples(EDITS, CUTS)
LINES = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["drop", "twice", "swap", "edit"]), EDITS), max_size=3
)


def reads_or_refuses(made: Made, folder: Path, document: bytes, journal: bytes) -> None:
    """A store reads it and can go on from there, plan with it, or refuses it and leaves it alone."""
    folder.mkdir(exist_ok=True)
    path = folder / f"team-{TEAM}.json"
    path.write_bytes(document)
    Path(f"{path}.journal").write_bytes(journal)
    store = made.store(folder)
    told = ""
    try:
        with in_bounds():
            read, revision = store.read()
    except StateError as error:
        read, told = None, error.detail
    if read is None:
        assert told.isprintable(), told
        assert path.read_bytes() == document
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


def state_of(made: Made, change: Any, lines: Any, cuts: Any) -> tuple[bytes, bytes]:
    edits, document_cuts = change
    document = cut(json.dumps(edited(made.document, edits)).encode(), document_cuts)
    journal = made.journal.split(b"\n")
    for number, action, line_edits in lines:
        place = number % len(journal)
        if action == "drop":
            del journal[place]
        elif action == "twice":
            journal.insert(place, journal[place])
        elif action == "swap":
            journal[place], journal[0] = journal[0], journal[place]
        elif journal[place]:
            with contextlib.suppress(ValueError):
                journal[place] = json.dumps(edited(json.loads(journal[place]), line_edits)).encode()
        if not journal:
            break
    return document, cut(b"\n".join(journal), cuts)


@SOME
@given(change=EDITS_AND_CUTS, lines=LINES, cuts=CUTS)
def test_changed_states(made: Made, tmp_path: Path, change: Any, lines: Any, cuts: Any) -> None:
    reads_or_refuses(made, tmp_path / "state", *state_of(made, change, lines, cuts))


@pytest.mark.proof
@MANY
@given(change=EDITS_AND_CUTS, lines=LINES, cuts=CUTS)
def test_many_changed_states(made: Made, tmp_path: Path, change: Any, lines: Any, cuts: Any) -> None:
    reads_or_refuses(made, tmp_path / "state", *state_of(made, change, lines, cuts))


ROUNDTRIP = Path(__file__).resolve().parents[2] / "formats" / "roundtrip"
FULL = [json.loads(one.read_text("utf-8")) for one in sorted(ROUNDTRIP.glob("v1-[ef]*.json"))]
DELTAS = [
    {"intents": one["intents"], "backfills": one["backfills"], "drop_intents": ["x"], "drop_backfills": [1]}
    for one in FULL
]


def decodes_or_refuses(data: bytes) -> None:
    with in_bounds():
        with contextlib.suppress(StateError):
            read = decode_document(data)
            assert decode_document(encode_document(read)) == read
        with contextlib.suppress(StateError):
            delta = decode_delta(data)
            assert decode_delta(encode_delta(delta)) == delta


@FEW
@given(documents([*FULL, *DELTAS]))
def test_changed_documents(data: bytes) -> None:
    decodes_or_refuses(data)


@pytest.mark.proof
@MANY
@given(documents([*FULL, *DELTAS]))
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
