"""Random worlds and files, from a seed: what is declared, what people do, what the API does.

A world goes through rounds of plan, apply, plan; between them time passes and people create
and cancel backfills by hand. ``World.check_*`` hold the promises against what the sandbox saw.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.api.client import ApiClient
from reconciler.config.loading import read_files
from reconciler.dates import DateSet, parse_iso, union
from reconciler.engine.by_hand import as_not_created
from reconciler.engine.clock import Clock
from reconciler.engine.report import TeamReport
from reconciler.engine.stop import StopSignal
from reconciler.engine.team import RunSettings, Surveyed, TeamRun
from reconciler.http import Pacer, Retry, WsgiTransport
from reconciler.model.deltas import apply_delta
from reconciler.model.desired import DesiredTeam, DesiredTransfer, EvidenceMode
from reconciler.model.memory import Document, Intent
from reconciler.model.observed import RunStatus, Status, Unreadable
from reconciler.planning.intents import unresolved
from reconciler.planning.plan import ActionKind
from reconciler.planning.records import refresh
from reconciler.planning.situation import keep_ledgers
from reconciler.sandbox import Sandbox
from reconciler.stores.urls import open_store

TEAM = 12345
NOW = datetime(2024, 6, 1, 9, tzinfo=UTC)
FIRST = date(2024, 4, 1)
API = "sandbox"


@dataclass
class VirtualTime:
    """The one clock of a world: ours and the vendor's."""

    now: float

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


@dataclass
class World:
    """One seed's world. ``team`` is what its file declares; ``sandbox`` is the API."""

    seed: int
    folder: Path
    rng: random.Random = field(init=False)
    time: VirtualTime = field(init=False)
    sandbox: Sandbox = field(init=False)
    text: str = field(init=False)
    ours: dict[int, DateSet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.time = VirtualTime(NOW.timestamp())
        self.transfers = self.rng.sample(range(100, 110), self.rng.randint(1, 3))
        scene = {"now": "2024-06-01T09:00:00Z", "settings": self._settings(), "teams": {TEAM: self._team()}}
        self.sandbox = Sandbox.in_memory(scene, clock=lambda: self.time.now)
        self.people = self._client("people")
        self.text = self._file()
        (self.folder / "backfills.yaml").write_text(self.text, "utf-8")

    # -- making the world ------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        rng = self.rng
        return {
            "overlap_status": rng.choice([400, 409, 422]),
            "failed_blocks_overlap": rng.random() < 0.7,
            "failed_while_running": rng.random() < 0.3,
            "completed_with_failures": rng.random() < 0.2,
            "error_report": rng.choice(["full", "full", "partial", "empty"]),
            "list_lag_seconds": rng.choice([0, 0, 120]),
            "latest_lag_seconds": rng.choice([0, 0, 120]),
            "get_lag_seconds": rng.choice([0, 0, 120]),
            "runs_filter": rng.choice(["data_date", "created_time"]),
            "runs_ties": ["stable", "by_page"][self.seed % 2],
            "runs_created_time": ["all", "ended", "none"][self.seed % 3],
            "id_shape": rng.choice(["number", "string"]),
            "envelope": rng.random() < 0.8,
            "error_shape": rng.choice(["envelope", "problem"]),
        }

    def _team(self) -> dict[str, Any]:
        return {"transfers": {one: self._transfer(one) for one in self.transfers}}

    def _transfer(self, transfer_id: int) -> dict[str, Any]:
        rng = self.rng
        fails = {
            self._day(): {"error": "timeout", "times": rng.randint(1, 2)} for _ in range(rng.randint(0, 3))
        }
        made: dict[str, Any] = {"name": f"transfer {transfer_id}", "fail_days": fails}
        if rng.random() < 0.3:
            made["recurring_since"] = self._day()
        return made

    def _day(self) -> str:
        return (FIRST + timedelta(days=self.rng.randint(0, 45))).isoformat()

    def _file(self) -> str:
        rng = self.rng
        lines = ["version: 1", f"team_id: {TEAM}", f"order: {rng.choice(['newest_first', 'oldest_first'])}"]
        limits = [f"  {name}: {value}" for name, value in self._limits()]
        lines += ["limits:", *limits] if limits else []
        lines.append("transfers:")
        for transfer_id in sorted(self.transfers):
            lines += self._entry(transfer_id)
        return "\n".join(lines) + "\n"

    def _limits(self) -> Iterator[tuple[str, int]]:
        if self.rng.random() < 0.3:
            yield "max_days_per_backfill", self.rng.randint(1, 12)
        if self.rng.random() < 0.2:
            yield "max_open_per_transfer", self.rng.randint(1, 3)
        if self.rng.random() < 0.2:
            yield "max_open_backfills", self.rng.randint(2, 6)

    def _entry(self, transfer_id: int) -> Iterator[str]:
        rng = self.rng
        yield f"  transfer-{transfer_id}:"
        yield f"    transfer_id: {transfer_id}"
        yield f"    chunk: {rng.choice(['none', 'none', 'week', 'month'])}"
        yield f"    evidence: {rng.choice(['runs', 'runs', 'runs', 'backfills'])}"
        if rng.random() < 0.2:
            yield f"    stale_before: {rng.choice(['2024-05-20', '2024-06-01T08:59:00Z'])}"
        yield "    ranges:"
        for _ in range(rng.randint(1, 4)):
            first, last = sorted((self._day(), self._day()))
            yield f"      - {first}..{last}"
        if rng.random() < 0.3:
            first, last = sorted((self._day(), self._day()))
            yield f"    exclude: [{first}..{last}]"

    # -- the parts of a run ----------------------------------------------------------------

    def _client(self, key: str) -> ApiClient:
        transport = WsgiTransport(self.sandbox.app, key=key)
        retry = Retry(rng=random.Random(self.seed), sleep=self.time.sleep)
        pacer = Pacer(float("inf"), clock=lambda: self.time.now, sleep=self.time.sleep)
        return ApiClient(transport, TEAM, pacer=pacer, retry=retry, now=self.time.wall)

    def team(self) -> DesiredTeam:
        (team,) = read_files([self.folder / "backfills.yaml"], as_of=None, now=self.time.wall()).teams
        return team

    def run(self) -> TeamRun:
        store = open_store(str(self.folder / "state"), TEAM, API, "test")
        clock = Clock(self.time.wall, lambda: self.time.now, self.time.sleep)
        blank = Document(team_id=TEAM, api_url=API)
        return TeamRun(self.team(), self._client("ours"), store, blank, clock, RunSettings(parallelism=1))

    def plan(self) -> Surveyed:
        return self.run().plan()

    def apply(self) -> TeamReport:
        """Apply as the command does, checking each create against what the API knew just before."""
        run = self.run()
        session = run.open()
        surveyed = run.survey(session)
        before = {one["transfer_backfill_id"] for one in self.sandbox.backfills()}
        report = run.carry_out(session, surveyed, StopSignal(), lambda: True)
        run.store.finish()
        run.store.close()
        made = [one for one in self.sandbox.backfills() if one["transfer_backfill_id"] not in before]
        self.check_created(run.team, made)
        self.check_remembered(made)
        return report

    # -- what people do, and time ------------------------------------------------------------

    def people_meddle(self) -> None:
        """Somebody creates or cancels a backfill by hand; a refusal is no news to them."""
        rng = self.rng
        for _ in range(rng.randint(0, 2)):
            first, last = sorted((self._day(), self._day()))
            start, end = parse_iso(first), parse_iso(last) + 1
            self.people.create(rng.choice(self.transfers), start, min(end, start + 10), set())
        if rng.random() < 0.3:
            listed = self.people.list_incomplete().backfills
            if listed:
                self.people.cancel(rng.choice(listed).id)

    def people_tidy(self, *, all_of_them: bool) -> None:
        """People cancel failed backfills, which hold places and may block days: their own, and in
        the end also ours that ran out of attempts (it is theirs to look at those).
        """
        document, _revision = self.run().store.read()
        ours = {one.id for one in document.backfills.values() if one.ours} if document else set()
        for listed in self.people.list_incomplete().backfills:
            if listed.status is Status.FAILED and (all_of_them or listed.id not in ours):
                self.people.cancel(listed.id)

    def people_resolve(self) -> None:
        """Say what became of creates in doubt: a refusal, hidden by lagging reads, is no create."""
        session = self.run().open()
        for intent in unresolved(session.document):
            assert not any(self._is_made(one, intent) for one in self.sandbox.backfills())
            session.record(as_not_created(intent))
        session.store.finish()

    def _is_made(self, backfill: dict[str, Any], intent: Intent) -> bool:
        if int(backfill["transfer_id"]) != intent.transfer_id or _days(backfill) != intent.days:
            return False
        document, _revision = self.run().store.read()
        known = document.backfills if document else {}
        return int(backfill["transfer_backfill_id"]) not in known

    def time_passes(self) -> None:
        self.time.now += self.rng.choice([60, 1800, 7200, 86400, 3 * 86400])

    # -- promises ----------------------------------------------------------------------------

    def loaded(self, transfer_id: int, team: DesiredTeam) -> DateSet:
        """Return the days that completed runs loaded, and whose loads count, by the API's own word.

        Without run lists (``evidence: backfills``) what a person's backfill loaded unseen is not
        known to anybody: there, what our memory holds counts.
        """
        (transfer,) = [one for one in team.transfers if one.address.transfer_id == transfer_id]
        runs = self.people.runs(transfer_id, parse_iso("2024-01-01"), self.time.wall() + timedelta(days=1))
        assert not isinstance(runs, Unreadable)
        stale = {day: one.stale_before for one in transfer.segments for day in range(one.start, one.end)}
        loaded = DateSet.days(
            one.day
            for one in runs
            if one.status is RunStatus.COMPLETED
            and ((since := stale.get(one.day)) is None or one.created_time >= since)
        )
        return (
            loaded & self._remembered(transfer_id) if transfer.evidence is EvidenceMode.BACKFILLS else loaded
        )

    def _remembered(self, transfer_id: int) -> DateSet:
        document, _revision = self.run().store.read()
        records = document.backfills.values() if document else ()
        return union(one.evidence.loaded for one in records if one.transfer_id == transfer_id)

    def check_created(self, team: DesiredTeam, made: list[dict[str, Any]]) -> None:
        """No undeclared day, no loaded day, no day twice in one apply."""
        for transfer in team.transfers:
            own = [one for one in made if int(one["transfer_id"]) == transfer.address.transfer_id]
            days = [_days(one) for one in own]
            together = union(days)
            assert sum(map(len, days)) == len(together), "a day was created twice"
            assert not together - transfer.days, "an undeclared day was created"
            assert not together & DateSet.span(transfer.loadable_until, transfer.loadable_until + 10_000)
            loaded_before = self.loaded(transfer.address.transfer_id, team)
            assert not together & loaded_before, "a loaded day was created again"

    def check_remembered(self, made: list[dict[str, Any]]) -> None:
        document, _revision = self.run().store.read()
        known = document.backfills if document else {}
        assert {int(one["transfer_backfill_id"]) for one in made} <= set(known)

    def check_no_overlap(self) -> None:
        """No two active backfills of a transfer share a day."""
        for transfer_id in self.transfers:
            active = [
                _days(one)
                for one in self.sandbox.backfills()
                if int(one["transfer_id"]) == transfer_id
                and one["status"] in ("CREATED", "SCHEDULED", "RUNNING")
            ]
            assert sum(map(len, active)) == len(union(active))

    def check_buckets(self, surveyed: Surveyed) -> None:
        counts = surveyed.plan.counts.as_dict()
        declared = counts.pop("declared")
        assert declared == sum(counts.values())
        assert declared == sum(len(one.days) for one in self.team().transfers)
        creates = [one for one in surveyed.plan.actions if one.kind is not ActionKind.CANCEL]
        assert surveyed.plan.minimum_creates == len(creates)

    def calls_of_plan(self) -> tuple[Surveyed, list[str]]:
        """Return a plan and the paths of the calls it made."""
        before = len(self.sandbox.requests())
        surveyed = self.plan()
        calls = self.sandbox.requests()[before:]
        assert {one["method"] for one in calls} <= {"GET"}
        return surveyed, [one["path"] for one in calls]

    def check_calls(self, calls: list[str], surveyed: Surveyed) -> None:
        """Promise 4: a list and the transfers; a get for each that vanished; for a transfer with
        something due by that, one ``latest`` and the pages of its run list, to the one without news.
        """
        root = f"/v1/teams/{TEAM}"
        document, _revision = self.run().store.read()
        records = tuple(document.backfills.values()) if document else ()
        listed = {one.id for one in surveyed.situation.observed.listed}
        expected = [f"{root}/backfills", f"{root}/transfers"]
        vanished = [one for one in records if one.id not in listed and not (one.status.final and one.settled)]
        gets = [f"{root}/backfills/{one.id}" for one in vanished]
        for transfer in self.team().transfers:
            if self._open_by_backfills(transfer, surveyed):
                own = f"{root}/transfers/{transfer.address.transfer_id}"
                expected.append(f"{own}/backfills/latest")
                if transfer.evidence is not EvidenceMode.BACKFILLS:
                    expected.append(f"{own}/runs")
        made = sorted(dict.fromkeys(one for one in calls if one not in gets))
        assert made == sorted(expected), (made, expected)
        pages = [one for one in calls if one.endswith("/runs")]
        assert len(pages) <= 2 * len(set(pages)), "a page after the one without news"
        assert len([one for one in calls if one in gets]) <= len(gets)

    def _open_by_backfills(self, transfer: DesiredTransfer, surveyed: Surveyed) -> bool:
        """Tell whether backfills alone leave a day open: neither active, nor loaded, nor used up."""
        situation = surveyed.situation
        shallow = replace(situation.observed, runs={}, latest={})
        now, settle = self.time.wall(), timedelta(minutes=15)
        document, _revision = self.run().store.read()
        document = document or Document(team_id=TEAM, api_url=API)
        document = apply_delta(document, refresh(document, shallow, surveyed.situation.team))
        ledgers = keep_ledgers(situation.team, document, shallow, now, settle)
        return any(bool(one.undecided) for one in ledgers if one.transfer == transfer)


def _days(backfill: dict[str, Any]) -> DateSet:
    return DateSet.span(parse_iso(backfill["range_start_date"]), parse_iso(backfill["range_end_date"]) + 1)
