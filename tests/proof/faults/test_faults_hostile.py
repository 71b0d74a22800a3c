"""What a hostile API, file or plan sends: cleaned, refused, or not repeated at all."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults_hostile import (
    FILE,
    PAYLOAD,
    Bench,
    Evil,
    bench,
    bodies,
    envelope,
    fields_to,
    key_in,
    problem,
    refusing,
    spoiled,
    texts_to,
    with_headers,
)
from faults_rig import KEY, TEAM, begun, served

from reconciler.cli.main import run
from reconciler.errors import ReconcilerError
from reconciler.formats.planfile import read_plan
from reconciler.formats.statefile import encode_document
from reconciler.sandbox.responses import Answer

PLAN_COMMANDS = (("show",), ("show", "--json"), ("apply",), ("apply", "--strict"))
WHOLE_PAYLOAD = PAYLOAD.replace("\ud800", "")  # half a character is refused before anything else
STARTING = "::error::owned"
Act = Callable[[Answer], Answer]
# Statuses that end a read or a write at once: nothing really waits.
STATUSES = (400, 401, 402, 403, 404, 409, 418, 422, 451)
SHAPES: dict[str, Callable[[str], Any]] = {
    "envelope": envelope,
    "problem": problem,
    "text": lambda text: {"error": text},
    "list": lambda text: [text],
}
COMMANDS = (
    ("plan", "-v"),
    ("plan", "--json"),
    ("plan", "--out", "plan.json"),
    ("status",),
    ("status", "--json"),
    ("apply", "--auto-approve", "-v", "--no-lock"),
    ("apply", "--auto-approve", "--json"),
    ("init", "--from-api", "--team-id", str(TEAM), "made.yaml"),
)


@pytest.fixture
def at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, capsys) as made:
        yield made


def all_commands(at: Bench) -> Iterator[tuple[tuple[str, ...], int, str]]:
    for command in COMMANDS:
        (at.folder / "made.yaml").unlink(missing_ok=True)
        yield command, *at.does(*command)


# --- texts that steer -----------------------------------------------------------------------------


def the_rest(values: Iterable[Any], quick: Container[Any]) -> list[Any]:
    """Return values to parametrize with; all but the quick ones are of the long runs."""
    return [one if one in quick else pytest.param(one, marks=pytest.mark.proof) for one in values]


@pytest.mark.parametrize("shape", the_rest(SHAPES, ("envelope", "text")))
@pytest.mark.parametrize("status", the_rest(STATUSES, (401, 422)))
def test_refusals_are_told_cleaned(at: Bench, status: int, shape: str) -> None:
    evil = refusing(status, SHAPES[shape](PAYLOAD), x_request_id="%1b]0;owned")
    with at.evil({"all": evil}):
        for command, _status, text in all_commands(at):
            assert not spoiled(text), command
    with at.evil({"create": evil}, before=True):
        code, text = at.does("apply", "--auto-approve", "-v")
        assert code in (3, 7, 65)
        assert not spoiled(text)
    assert not spoiled(at.texts())


def test_texts_of_good_answers_are_never_shown_as_they_are(at: Bench) -> None:
    names = ("name", "display_name", "status", "state", "error", "type", "request_id", "schedule")
    at.does("apply", "--auto-approve")
    at.sandbox.advance(60 * 20)
    with at.evil({"all": bodies(fields_to(PAYLOAD, *names))}):
        for command, _status, text in all_commands(at):
            assert not spoiled(text), command
    assert not spoiled(at.texts())


def test_every_text_at_once(at: Bench) -> None:
    """Dates and times are texts too: such an answer cannot be read, and says so in our words."""
    with at.evil({"create": bodies(texts_to(PAYLOAD, keys=True))}):
        code, text = at.does("apply", "--auto-approve", "-v")
    assert code == 0, text  # found by looking
    assert not spoiled(text)


@pytest.mark.parametrize("status", the_rest([408, 429, 500, 503], (429,)))
@pytest.mark.parametrize("operation", ["list", "get", "latest", "transfers", "runs", "create", "cancel"])
def test_texts_of_errors_that_pass(operation: str, status: int, tmp_path: Path) -> None:
    """The statuses that are tried again, with the real engine: its pauses cost nothing."""
    with served(tmp_path) as rig:
        begun(rig)
        evil = refusing(
            status, envelope(PAYLOAD), retry_after=PAYLOAD.encode("ascii", "ignore").decode().split()[0]
        )
        rig.sandbox.app.faults = _only(operation, evil)
        outcomes = rig.apply()
        rig.sandbox.faults()
        rig.check(outcomes)
        assert not spoiled("\n".join(outcomes.texts))
        document, _ = rig.store().read()
        assert document is not None
        assert not spoiled(encode_document(document))


def _only(operation: str, act: Act) -> Any:
    return Evil({operation: act}, before=True)


# --- the key --------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", the_rest(range(5), (0,)))
def test_the_key_is_never_repeated(part: int, at: Bench) -> None:
    """Whatever field, header or error says it: not on a stream, not in a file."""
    echoes: list[Act] = [
        *(refusing(status, shape(f"it was {KEY}!")) for status in STATUSES for shape in SHAPES.values()),
        *(
            refusing(status, shape(KEY), **_everywhere(KEY))
            for status in (400, 401, 422)
            for shape in SHAPES.values()
        ),
        refusing(422, {"error": {"code": KEY}}, x_request_id=KEY),
        refusing(422, {}, x_request_id=KEY),
        refusing(401, {"meta": {"request_id": KEY}}),
        bodies(fields_to(KEY, "name", "display_name", "status", "state", "error", "type", "request_id")),
        bodies(fields_to(f"Transfer {KEY} of {KEY.upper()}", "name", "display_name"), **_everywhere(KEY)),
        bodies(texts_to(KEY, keys=True), **_everywhere(KEY)),
    ]
    for place, echo in list(enumerate(echoes))[part::5]:
        with at.evil({"create": echo}, before=place % 2 == 0):
            at.does("apply", "--auto-approve", "-v", "--no-lock")
        if place in (0, 17, len(echoes) - 6, len(echoes) - 3, len(echoes) - 2):
            with at.evil({"all": echo}):
                for command, _status, text in all_commands(at):
                    assert not key_in(text.encode("utf-8", "replace")), command
                    assert not key_in(at.everything()), command
    assert not key_in(at.everything())


SPELLINGS: dict[str, Callable[[str], str]] = {
    "invisible": "\u200b".join,
    "colours": lambda key: key[:4] + "\x1b[0m" + key[4:],
    "url": lambda key: "".join(f"%{ord(char):02x}" for char in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "backwards": lambda key: key[::-1],
}


@pytest.mark.proof
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_key_is_not_repeated_in_another_spelling(at: Bench, spelling: str) -> None:
    said = SPELLINGS[spelling](KEY)
    for status in (401, 422):
        with at.evil({"all": refusing(status, envelope(f"it was {said}!"))}):
            for command, _status, text in all_commands(at):
                assert not key_in(text.encode("utf-8", "replace")), command
        with at.evil({"create": refusing(status, envelope(f"it was {said}!"))}, before=True):
            at.does("apply", "--auto-approve", "-v")
    everything = at.everything().lower()
    for other in (str, *SPELLINGS.values()):
        assert other(KEY).encode().lower() not in everything


def _everywhere(text: str) -> dict[str, str]:
    names = (
        "x_request_id",
        "retry_after",
        "www_authenticate",
        "server",
        "etag",
        "x_ratelimit_remaining",
        "date",
    )
    return dict.fromkeys(names, text)


def test_the_key_is_not_in_a_bug_report(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"with the key {KEY}")

    monkeypatch.setattr("reconciler.planning.planner._ordered", broken)
    assert run(["plan"]) == 1
    told = at.capture.readouterr()
    assert "error[bug]" in told.err
    assert not key_in((told.out + told.err).encode())


def test_a_redirect_is_never_followed(at: Bench) -> None:
    with elsewhere() as (url, visitors):
        for status in (300, 301, 302, 303, 307, 308):
            for operation in ("create", "list", "latest"):
                answer = _redirect(status, f"{url}/v1/teams/{TEAM}/backfills")
                with at.evil({operation: answer}):
                    code, _text = at.does("apply", "--auto-approve")
                assert code in (0, 4, 69), (status, operation)
    assert visitors == []


def _redirect(status: int, where: str) -> Act:
    return lambda _: Answer(status, [("Location", where), ("Content-Length", "0")], b"")


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Serve another host, which remembers its visitors."""
    visitors: list[str] = []

    class Visited(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            visitors.append(str(self.client_address))

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed here."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Visited)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", visitors
    finally:
        server.shutdown()
        server.server_close()


# --- ids, dates, ranges ---------------------------------------------------------------------------


def doubled(value: Any) -> Any:
    return (
        value | {"data": [*value["data"], *value["data"]]} if isinstance(value.get("data"), list) else value
    )


ODD = {
    "every item twice": doubled,
    "ids as text": lambda value: _each_field(value, "id", str),
    "ids of 64 bits": lambda value: _each_field(value, "transfer_backfill_id", lambda _: 2**63),
    "ids below": lambda value: _each_field(value, "transfer_backfill_id", lambda _: -1),
    "ids as decimals": lambda value: _each_field(value, "id", float),
    "an endless number": lambda value: _each_field(value, "transfer_runs_total", lambda _: 10**300),
    "the last day": lambda value: _each_field(value, "range_end_date", lambda _: "9999-12-31"),
    "all days": lambda value: _each_field(
        _each_field(value, "range_end_date", lambda _: "9999-12-31"),
        "range_start_date",
        lambda _: "0001-01-01",
    ),
    "the last moment": lambda value: _each_field(value, "_time", lambda _: "9999-12-31T23:59:59Z"),
    "the first moment": lambda value: _each_field(value, "_time", lambda _: "0001-01-01T00:00:00Z"),
    "before the first moment": lambda value: _each_field(
        value, "_time", lambda _: "0001-01-01T00:00:00+23:59"
    ),
    "an hour that is none": lambda value: _each_field(value, "_time", lambda _: "2024-01-01T25:00:00Z"),
    "a data date far off": lambda value: _each_field(value, "data_date", lambda _: "9999-12-31"),
    "every status final": lambda value: _each_field(value, "status", lambda _: "COMPLETED"),
}


def _each_field(value: Any, ending: str, make: Callable[[Any], Any]) -> Any:
    """Change every field whose name ends so."""
    if isinstance(value, dict):
        return {
            name: make(one) if name.endswith(ending) and one is not None else _each_field(one, ending, make)
            for name, one in value.items()
        }
    return [_each_field(one, ending, make) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "operation", ["list", "get", "latest", "transfers", "runs", "create", "cancel", "all"]
)
@pytest.mark.parametrize("odd", ODD)
def test_odd_values(odd: str, operation: str, tmp_path: Path) -> None:
    """No bug, nothing twice, whatever is answered; a status for each."""
    with served(tmp_path) as rig:
        begun(rig)
        rig.sandbox.app.faults = Evil({operation: bodies(ODD[odd])})  # type: ignore[assignment]
        outcomes = rig.apply()
        rig.later(120)
        again = rig.apply()
        rig.sandbox.faults()
        rig.check(outcomes, lied=True)
        rig.check(again, lied=True)


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "31 Dec 2024 23:59:61 -9999",
        "\x1b[31m",
    ],
)
def test_odd_dates_of_answers(date: str, tmp_path: Path) -> None:
    with served(tmp_path) as rig:
        begun(rig)

        def act(answer: Answer) -> Answer:
            return with_headers(answer, {"date": date})

        rig.sandbox.app.faults = Evil({"all": act})  # type: ignore[assignment]
        outcomes = rig.apply()
        rig.sandbox.faults()
        rig.check(outcomes)
        rig.recover()


# --- files ----------------------------------------------------------------------------------------

NAMES = (
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "..",
    "-rf",
    "ads\\n::error::",
    "\\e[31m",
    "\\u202eads",
    "con:",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_paths_or_worse(at: Bench, name: str) -> None:
    for place in ('  "{}": {{transfer_id: 3}}', '  x: {{transfer_id: 3, owner: "{}"}}'):
        (at.folder / "backfills.yaml").write_text(FILE + place.format(name) + "\n", "utf-8")
        code, text = at.does("validate")
        assert not spoiled(text), text
        if "transfer_id: 3}" in place:
            assert code == 1, text


@pytest.mark.parametrize(
    "name", ["::error::x.yaml", "a\n::error::x.yaml", "\x1b]0;x\x07.yaml", "\u202ex.yaml"]
)
def test_names_of_files(at: Bench, name: str) -> None:
    folder = at.folder / "many"
    folder.mkdir()
    (folder / name).write_text(FILE + "  bad: {}\n", "utf-8")
    for command in (("validate",), ("validate", "--json"), ("plan",)):
        code, text = at.does(*command, "-c", "many")
        assert code == 1
        assert not spoiled(text), text


def saved_plan(at: Bench) -> dict[str, Any]:
    assert at.does("plan", "--out", "plan.json")[0] == 0
    found: dict[str, Any] = json.loads((at.folder / "plan.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("command", the_rest(PLAN_COMMANDS, (("show",),)))
def test_plan_files_with_texts_that_steer(at: Bench, command: tuple[str, ...]) -> None:
    """Every text of a plan in turn: cleaned or refused, and never a bug."""
    plan = saved_plan(at)
    plan["diagnostics"] = [{"code": "PL002", "severity": "warning", "summary": "s", "detail": "d"}]
    where = {"team_id": TEAM, "transfer_id": 1, "start": "2024-01-01", "end": "2024-01-02"}
    plan["unmanaged"] = [{**where, "backfill_id": 5, "status": "FAILED"}]
    plan["blocked"] = [{**where, "transfer": "ads", "reason": "refused", "declared_at": ["a:1:1"]}]
    for changed in _each_text(plan):
        (at.folder / "evil.json").write_text(json.dumps(changed), "utf-8")
        code, text = at.does(command[0], "evil.json", *command[1:])
        assert code in (0, 3, 6, 64)
        assert not spoiled(text), text


def _each_text(value: Any) -> Iterator[Any]:
    """Yield copies of a document in which one text, or one key, is the payload."""
    if isinstance(value, str):
        yield WHOLE_PAYLOAD
        yield STARTING
        yield f"{WHOLE_PAYLOAD}:1:1"
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from ({**value, name: changed} for changed in _each_text(one))
            rest = {key: kept for key, kept in value.items() if key != name}
            yield {**rest, WHOLE_PAYLOAD: one}
    elif isinstance(value, list):
        for place, one in enumerate(value[:2]):
            yield from ([*value[:place], changed, *value[place + 1 :]] for changed in _each_text(one))


def test_errors_are_ours(at: Bench) -> None:
    """What is raised for a hostile plan is one of the documented errors."""

    told = []
    for changed in _each_text(saved_plan(at)):
        try:
            read_plan(json.dumps(changed))
        except ReconcilerError as error:
            told.append(f"{error.summary} {error.detail} {error.hint}")
    assert told
    assert not [one for one in told if spoiled(one)]
