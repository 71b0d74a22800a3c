"""A world shown as the vendor's pages describe the API; nothing of ours is imported.

``Manners`` are the points that no page decides, and the faults: a test chooses them, and may change them
while it is served (``stranger_server.py``).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from stranger_world import ACTIVE, Backfill, Run, World, days

TEAM = 7
KEY = "key-of-the-nightly-job"
USER = 501
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
ROUTES = [
    ("GET", "list", re.compile(r"/backfills")),
    ("GET", "get", re.compile(r"/backfills/(?P<backfill>\d+)")),
    ("PATCH", "cancel", re.compile(r"/backfills/(?P<backfill>\d+)")),
    ("POST", "create", re.compile(r"/transfers/(?P<transfer>\d+)/backfills")),
    ("GET", "latest", re.compile(r"/transfers/(?P<transfer>\d+)/backfills/latest")),
    ("GET", "transfers", re.compile(r"/transfers")),
    ("GET", "runs", re.compile(r"/transfers/(?P<transfer>\d+)/runs")),
]


class Refused(Exception):
    """An error answer, with the vendor's code."""

    def __init__(self, status: int, code: str, message: str = "", description: str = "") -> None:
        super().__init__(code)
        self.status, self.code = status, code
        self.message, self.description = message or code.replace("_", " ").capitalize(), description


@dataclass
class Manners:
    """How the world is shown. Times in seconds, keeping in days; ``None``: without a bound."""

    users: dict[str, int] = field(default_factory=lambda: {KEY: USER})
    refusals: dict[tuple[str, int | None], Refused] = field(default_factory=dict)  # (call, transfer)
    page_cap: int | None = None
    pages_from: int | None = None  # run lists answer 500 from this offset on
    ties_by_page: bool = False  # equal times stand in another order on each page
    announced: bool = False  # meta.pagination, and data.items
    runs_kept: float | None = None
    runs_lag: float = 0.0
    runs_filter: str = "created_time"  # or data_date
    gone_runs: str = "404"  # of a transfer that is deleted, or empty
    runs_told: str = "all"  # whether runs tell when they were created: all, ended ones, or none
    list_lag: float = 0.0  # of every read but the runs
    lags: dict[str, float] = field(default_factory=dict)  # of one read: list, get or latest
    counters_lag: float = 0.0
    error_report: bool = True
    failed_blocks: bool = True
    latest_by_second: bool = False  # within one second the first one made, not the last
    cut_end: int | None = None  # longer ranges are cut to so many days: the first, or the last ones
    cut_start: int | None = None
    post: str = "once"  # twice: a gateway repeats it; lost: it is done and the answer is lost


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment is not None else None


@dataclass
class Api:
    """Answers requests. ``asked`` are the calls, in order: ``create 1 200``."""

    world: World
    manners: Manners = field(default_factory=Manners)
    asked: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, method: str, target: str, key: str, body: bytes) -> tuple[int, dict[str, Any]]:
        with self.lock:
            parts, call, transfer_id = urlsplit(target), "unknown", None
            try:
                call, ids = self._route(method, parts.path)
                transfer_id = ids.get("transfer")
                self._admit(key, call, transfer_id)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                told: dict[str, Any] = getattr(self, f"_{call}")(ids, query, body, self.manners.users[key])
                status = 200
            except Refused as refused:
                error = {"code": refused.code, "message": refused.message}
                error |= {"description": refused.description} if refused.description else {}
                status, told = refused.status, {"error": error}
            self.asked.append(f"{call} {transfer_id or '-'} {status}")
            meta = {"request_id": f"stranger-{len(self.asked):08}", **told.pop("meta", {})}
            return status, {"meta": meta, **told}

    def _route(self, method: str, path: str) -> tuple[str, dict[str, int]]:
        prefix = f"/v1/teams/{TEAM}"
        for verb, call, pattern in ROUTES:
            found = pattern.fullmatch(path.removeprefix(prefix))
            if path.startswith(prefix) and verb == method and found:
                return call, {name: int(text) for name, text in found.groupdict().items()}
        raise Refused(404, "NOT_FOUND", "Not Found")

    def _admit(self, key: str, call: str, transfer_id: int | None) -> None:
        if key not in self.manners.users:
            raise Refused(401, "API_KEY_INVALID", "Invalid API key", "Provided API key was invalid.")
        for asked in ((call, transfer_id), (call, None)):
            if asked in self.manners.refusals:
                raise self.manners.refusals[asked]
        gone_is_empty = call == "runs" and self.manners.gone_runs == "empty"
        if transfer_id is not None and transfer_id not in self.world.transfers and not gone_is_empty:
            raise Refused(404, "NOT_FOUND", "Not Found", "The requested transfer could not be found.")

    # -- reads -----------------------------------------------------------------------------------

    def _as_of(self, read: str) -> datetime:
        """Return the moment whose world a read shows."""
        return self.world.now - timedelta(seconds=self.manners.lags.get(read, self.manners.list_lag))

    def _seen(self, read: str) -> list[Backfill]:
        return [one for one in self.world.backfills.values() if one.created <= self._as_of(read)]

    def _list(self, *_: Any) -> dict[str, Any]:
        ended = ("COMPLETED", "CANCELLED")
        at = self._as_of("list")
        listed = [one for one in self._seen("list") if one.status(at) not in ended]
        listed.sort(key=lambda one: (one.created, one.id), reverse=True)
        return self._wrapped([self.shown(one, at) for one in listed[:100]])

    def _get(self, ids: dict[str, int], *_: Any) -> dict[str, Any]:
        return {"data": self.shown(self._known(ids["backfill"], "get"), self._as_of("get"))}

    def _known(self, backfill_id: int, call: str) -> Backfill:
        for one in self._seen(call):
            if one.id == backfill_id:
                return one
        raise Refused(404, "NOT_FOUND", "Not Found", "The requested backfill could not be found.")

    def _latest(self, ids: dict[str, int], *_: Any) -> dict[str, Any]:
        sign = -1 if self.manners.latest_by_second else 1
        own = [one for one in self._seen("latest") if one.transfer_id == ids["transfer"]]
        if not own:
            raise Refused(404, "NOT_FOUND", "Not Found", "There is no backfill yet.")
        newest = max(own, key=lambda one: (_text(one.created), sign * one.id))
        return {"data": self.shown(newest, self._as_of("latest"))}

    def _transfers(self, *_: Any) -> dict[str, Any]:
        told = [
            {
                "dwh_transfer_id": one.id,
                "display_name": f"Transfer {one.id}",
                "external_transfer_id": f"ext-{one.id}",
                "status": one.state,
                "state": one.state,
                "schedule": "daily" if one.at else "",
                "run_date": "2025-01-01",
                "data_source": None,
                "destination": None,
                "accounts": [],
                "backfill": None,
            }
            for one in self.world.transfers.values()
        ]
        return self._wrapped(told)

    def _runs(self, ids: dict[str, int], query: dict[str, str], *_: Any) -> dict[str, Any]:
        bounds = [query.get(name, "") for name in ("start_date", "end_date")]
        if not all(MOMENT.fullmatch(text) for text in bounds):
            raise Refused(400, "BAD_REQUEST", "start_date and end_date are required, with a zone")
        first, last = (datetime.fromisoformat(text) for text in bounds)
        limit, offset = int(query.get("limit", "100")), int(query.get("offset", "0"))
        if not 1 <= limit <= 10_000 or offset < 0:
            raise Refused(400, "BAD_REQUEST", "limit or offset")
        if self.manners.pages_from is not None and offset >= self.manners.pages_from:
            raise Refused(500, "INTERNAL_SERVER_ERROR")
        found = [run for run in self._kept_runs(ids["transfer"]) if self._is_within(run, first, last)]
        field_of = {"data_date": lambda run: run.day, "ended_time": lambda run: run.ended or self.world.now}
        by = field_of.get(query.get("sort_field", ""), lambda run: run.created)
        descending = query.get("sort_direction", "DESC") == "DESC"
        tie = offset if self.manners.ties_by_page else 0
        found.sort(key=lambda run: (by(run), hash((tie, run.id)) if tie else run.id), reverse=descending)
        page = found[offset : offset + min(limit, self.manners.page_cap or limit)]
        answer = self._wrapped([self._shown_run(run) for run in page])
        if self.manners.announced:
            more = urlencode(query | {"offset": str(offset + len(page))})
            path = f"/v1/teams/{TEAM}/transfers/{ids['transfer']}/runs?{more}"
            links = {"next": path if offset + len(page) < len(found) else None}
            answer["meta"] = {"pagination": {"total_count": len(found), "links": links}}
        return answer

    def _kept_runs(self, transfer_id: int) -> Iterator[Run]:
        now, kept = self.world.now, self.manners.runs_kept
        oldest = now - timedelta(days=kept) if kept is not None else datetime.min.replace(tzinfo=UTC)
        newest = now - timedelta(seconds=self.manners.runs_lag)
        for run in self.world.runs:
            there = run.transfer_id in self.world.transfers
            if there and run.transfer_id == transfer_id and oldest <= run.created <= newest:
                yield run

    def _is_within(self, run: Run, first: datetime, last: datetime) -> bool:
        if self.manners.runs_filter == "created_time":
            return first <= run.created <= last
        return run.dated and first.date() <= run.day <= last.date()

    # -- writes ----------------------------------------------------------------------------------

    def _create(self, ids: dict[str, int], _query: Any, body: bytes, user: int) -> dict[str, Any]:
        start, end = self._asked_range(body)
        if self.manners.cut_end is not None:
            end = min(end, start + timedelta(days=self.manners.cut_end - 1))
        if self.manners.cut_start is not None:
            start = max(start, end - timedelta(days=self.manners.cut_start - 1))
        made = self._create_once(ids["transfer"], start, end, user)
        if self.manners.post == "twice":
            made = self._create_once(ids["transfer"], start, end, user)
        if self.manners.post == "lost":
            raise ConnectionAbortedError
        return {"data": self.shown(made)}

    def _asked_range(self, body: bytes) -> tuple[date, date]:
        try:
            told = json.loads(body)
            texts = [told[name] for name in ("range_start", "range_end")]
            start, end = (date.fromisoformat(text) for text in texts if DATE.fullmatch(text))
        except (ValueError, KeyError, TypeError):
            raise Refused(400, "BAD_REQUEST", "The request was invalid.") from None
        if set(told) != {"range_start", "range_end"} or not start <= end <= self.world.today:
            raise Refused(422, "UNPROCESSABLE_ENTITY", "Validation failed for the request parameters.")
        return start, end

    def _create_once(self, transfer_id: int, start: date, end: date, user: int) -> Backfill:
        if self.world.transfers[transfer_id].state != "active":
            raise Refused(422, "UNPROCESSABLE_ENTITY", "The transfer is paused")
        blocking = (*ACTIVE, "FAILED") if self.manners.failed_blocks else ACTIVE
        wanted = set(days(start, end))
        for one in self.world.backfills.values():
            active = one.transfer_id == transfer_id and one.status(self.world.now) in blocking
            if active and wanted & set(days(one.start, one.end)):
                raise Refused(422, "UNPROCESSABLE_ENTITY", f"The range overlaps backfill {one.id}")
        return self.world.create(transfer_id, start, end, user)

    def _cancel(self, ids: dict[str, int], _query: Any, body: bytes, user: int) -> dict[str, Any]:
        found = self._known(ids["backfill"], "cancel")
        if json.loads(body) != {"status": "CANCELLED"}:
            raise Refused(400, "BAD_REQUEST", "The request was invalid.")
        if found.status(self.world.now) not in (*ACTIVE, "FAILED"):
            raise Refused(422, "UNPROCESSABLE_ENTITY", "It is in a final state")
        self.world.cancel(found.id, user)
        return {"data": self.shown(found)}

    # -- shapes ----------------------------------------------------------------------------------

    def _wrapped(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        return {"data": {"items": items} if self.manners.announced else items}

    def shown(self, one: Backfill, at: datetime | None = None) -> dict[str, Any]:
        """Return a backfill as it is, or as it was at a moment before."""
        now = at or self.world.now
        counted = now - timedelta(seconds=self.manners.counters_lag)
        begun = [run for run in one.runs.values() if run.created <= now]
        over = [run for run in begun if run.is_over(counted)]
        removed = one.removed if one.removed is not None and one.removed <= now else None
        failed = sorted((run for run in over if run.word != "COMPLETED"), key=lambda run: run.day)
        ends = [run.ended for run in begun if run.ended is not None]
        ended = max(ends, default=None) if one.status(now) in ("COMPLETED", "FAILED") else removed
        report = [{"transfer_run_date": str(run.day), "error": run.message} for run in failed]
        return {
            "transfer_backfill_id": one.id,
            "transfer_id": one.transfer_id,
            "range_start_date": str(one.start),
            "range_end_date": str(one.end),
            "created_time": _text(one.created),
            "created_user_id": one.user,
            "removed_time": _text(removed),
            "removed_user_id": one.removed_by if removed else None,
            "start_time": _text(min((run.created for run in begun), default=None)),
            "end_time": _text(ended),
            "status": one.status(now),
            "transfer_runs_total": one.total,
            "transfer_runs_created": len(begun),
            "transfer_runs_completed": len(over) - len(failed),
            "transfer_runs_failed": len(failed),
            "error_report": report if self.manners.error_report else [],
        } | one.forced

    def _shown_run(self, run: Run) -> dict[str, Any]:
        over = run.is_over(self.world.now)
        told = {"all": True, "ended": over, "none": False}[self.manners.runs_told]
        return {
            "id": run.id,
            "status": run.word if over or run.ended is None else "RUNNING",
            "created_time": _text(run.created) if told else None,
            "ended_time": _text(run.ended) if over else None,
            "type": "Recurring" if run.backfill_id is None else "Backfill",
            "total_duration": 60.0,
            "total_rows": run.rows if over else None,
            "data_date": str(run.day) if run.dated else None,
            "message": run.message,
        }
