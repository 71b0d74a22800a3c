"""The two vendors that a test of the inputs is played against: the stranger's API, and the sandbox.

Both are told the same: what transfers do, what people do, how reads lag. Both tell the truth afterwards.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Protocol

from stranger_api import KEY, TEAM, USER, Api
from stranger_gateway import Reply
from stranger_world import PERSON, World, day

from reconciler.sandbox import Sandbox

SECOND_KEY, SECOND_USER = "key-of-the-year-after", 502
KEYS = {KEY: USER, SECOND_KEY: SECOND_USER}


@dataclass(frozen=True)
class Made:
    """A backfill as it is, whatever a read shows."""

    id: int
    transfer_id: int
    days: str
    user: int
    status: str


class Vendor(Protocol):
    """``lag``: seconds by read (list, latest, get). ``how``: the switches, in the sandbox's words."""

    @property
    def now(self) -> datetime: ...
    def reply(self, method: str, target: str, key: str, body: bytes) -> Reply: ...
    def advance(self, seconds: float) -> None: ...
    def transfer(self, transfer_id: int, failing: dict[str, int] | None = None, at: str = "") -> None: ...
    def pause(self, transfer_id: int, paused: bool = True) -> None: ...
    def by_hand(self, transfer_id: int, start: str, end: str, user: int = PERSON) -> int: ...
    def cancel(self, backfill_id: int, user: int = PERSON) -> None: ...
    def run_again(self, backfill_id: int) -> None: ...
    def lag(self, **seconds: float) -> None: ...
    def how(self, **settings: Any) -> None: ...
    def made(self) -> list[Made]: ...
    def loads(self, transfer_id: int) -> Counter[date]: ...


@dataclass
class StrangersVendor:
    world: World
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        self.api = Api(self.world)
        self.api.manners.users = dict(KEYS)
        self.api.manners.runs_filter = "data_date"

    @property
    def now(self) -> datetime:
        return self.world.now

    def reply(self, method: str, target: str, key: str, body: bytes) -> Reply:
        status, told = self.api.answer(method, target, key, body)
        return status, {"Content-Type": "application/json"}, json.dumps(told).encode()

    def advance(self, seconds: float) -> None:
        with self.api.lock:
            self.world.advance(seconds=seconds)

    def transfer(self, transfer_id: int, failing: dict[str, int] | None = None, at: str = "") -> None:
        fails = {day(text): times for text, times in (failing or {}).items()}
        self.world.transfer(transfer_id, at, str(self.world.today), failing=fails)

    def pause(self, transfer_id: int, paused: bool = True) -> None:
        self.world.transfers[transfer_id].state = "paused" if paused else "active"

    def by_hand(self, transfer_id: int, start: str, end: str, user: int = PERSON) -> int:
        return self.world.create(transfer_id, day(start), day(end), user).id

    def cancel(self, backfill_id: int, user: int = PERSON) -> None:
        self.world.cancel(backfill_id, user)

    def run_again(self, backfill_id: int) -> None:
        self.world.run_again(backfill_id)

    def lag(self, **seconds: float) -> None:
        self.api.manners.lags |= seconds

    def how(self, **settings: Any) -> None:
        manners = self.api.manners
        for name, value in settings.items():
            match name, value:
                case "latest_orders_by", _:
                    manners.latest_by_second = value == "created_time"
                case "failed_blocks_overlap", _:
                    manners.failed_blocks = value
                case "cut_end" | "cut_start", _:
                    setattr(manners, name, value)
                case "runs_lag_seconds", _:
                    manners.runs_lag = value
                case _:
                    raise NotImplementedError(name)

    def made(self) -> list[Made]:
        return [
            Made(one.id, one.transfer_id, f"{one.start}..{one.end}", one.user, one.status(self.now))
            for one in self.world.backfills.values()
        ]

    def loads(self, transfer_id: int) -> Counter[date]:
        return Counter(load.day for load in self.world.loads if load.transfer_id == transfer_id)


@dataclass
class SandboxVendor:
    begins: datetime
    sandbox: Sandbox = field(init=False)

    def __post_init__(self) -> None:
        keys = {key: {"scopes": ["read", "write"], "user_id": user} for key, user in KEYS.items()}
        scene = {"now": self.begins, "keys": keys}
        self.sandbox = Sandbox.in_memory(scene, clock=lambda: 0.0, speed=0.0)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.sandbox.now(), UTC)

    def reply(self, method: str, target: str, key: str, body: bytes) -> Reply:
        return ask(self.sandbox.app, method, target, key, body)

    def advance(self, seconds: float) -> None:
        self.sandbox.advance(seconds)

    def transfer(self, transfer_id: int, failing: dict[str, int] | None = None, at: str = "") -> None:
        fields: dict[str, Any] = {
            "fail_days": {text: {"times": times} for text, times in (failing or {}).items()}
        }
        if at:
            fields |= {"recurring_since": str(self.now.date()), "schedule": {"at": at}}
        self.sandbox.change_transfer(transfer_id, TEAM, **fields)

    def pause(self, transfer_id: int, paused: bool = True) -> None:
        self.sandbox.change_transfer(transfer_id, TEAM, state="paused" if paused else "active")

    def by_hand(self, transfer_id: int, start: str, end: str, user: int = PERSON) -> int:
        return int(self.sandbox.create_backfill(TEAM, transfer_id, start, end, user)["transfer_backfill_id"])

    def cancel(self, backfill_id: int, user: int = PERSON) -> None:
        self.sandbox.cancel_backfill(backfill_id, user)

    def run_again(self, backfill_id: int) -> None:
        self.sandbox.run_again(backfill_id)

    def lag(self, **seconds: float) -> None:
        self.sandbox.settings(**{f"{read}_lag_seconds": lag for read, lag in seconds.items()})

    def how(self, **settings: Any) -> None:
        for side in ("cut_end", "cut_start"):
            if side in settings:
                settings |= {"max_range_days": settings.pop(side), "range_excess": side}
        self.sandbox.settings(**settings)

    def made(self) -> list[Made]:
        return [
            Made(
                one["transfer_backfill_id"],
                one["transfer_id"],
                f"{one['range_start_date']}..{one['range_end_date']}",
                one["created_user_id"],
                one["status"],
            )
            for one in self.sandbox.backfills()
        ]

    def loads(self, transfer_id: int) -> Counter[date]:
        query = "start_date=2000-01-01T00:00:00Z&end_date=2100-01-01T00:00:00Z&limit=10000"
        before = self.sandbox.settings()["runs_lag_seconds"]
        self.sandbox.settings(runs_lag_seconds=0)
        path = f"/v1/teams/{TEAM}/transfers/{transfer_id}/runs?{query}"
        status, _headers, body = self.reply("GET", path, KEY, b"")
        self.sandbox.settings(runs_lag_seconds=before)
        assert status == 200, body
        runs = [run for run in json.loads(body)["data"] if run["status"] == "COMPLETED"]
        return Counter(day(run["data_date"]) for run in runs)


def ask(app: Callable[..., Any], method: str, target: str, key: str, body: bytes) -> Reply:
    """Put a request to a WSGI application."""
    import io

    path, _, query = target.partition("?")
    head: list[Any] = []
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json" if body else "",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
    }
    told = b"".join(app(environ, lambda *given: head.extend(given)))
    status, headers = head
    gone = ("Date", "Content-Length", "Connection")
    return int(status[:3]), {name: value for name, value in headers if name not in gone}, told


def vendor_named(name: str, begins: datetime) -> StrangersVendor | SandboxVendor:
    return StrangersVendor(World(begins)) if name == "stranger" else SandboxVendor(begins)
