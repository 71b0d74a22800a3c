"""A sandbox on a virtual clock, and a client that calls it in process."""

import io
import json
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox import Sandbox

NOW = "2026-11-22T09:00:00Z"
TEAM, TRANSFER = 12345, 456789


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def data(self) -> Any:
        assert self.status == 200, self.raw
        return self.body["data"]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


@dataclass
class Rig:
    """A sandbox and its client. Real time stands still unless `clock` is moved."""

    sandbox: Sandbox
    clock: list[float]
    key: str = "any-key"

    def call(self, method: str, path: str, body: Any = None, query: str = "", **environ: str) -> Reply:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        seen: list[Any] = []
        base: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(raw)),
            "HTTP_AUTHORIZATION": f"Bearer {self.key}",
            "wsgi.input": io.BytesIO(raw),
        }
        chunks = self.sandbox.app(base | environ, lambda status, headers: seen.extend((status, headers)))
        text = b"".join(chunks)
        return Reply(int(seen[0].split()[0]), dict(seen[1]), text)

    def create(self, start: str, end: str, transfer: int = TRANSFER, team: int = TEAM) -> Reply:
        body = {"range_start": start, "range_end": end}
        return self.call("POST", f"/v1/teams/{team}/transfers/{transfer}/backfills", body)

    def get(self, number: int, team: int = TEAM) -> Reply:
        return self.call("GET", f"/v1/teams/{team}/backfills/{number}")

    def list(self, team: int = TEAM) -> Reply:
        return self.call("GET", f"/v1/teams/{team}/backfills")

    def latest(self, transfer: int = TRANSFER) -> Reply:
        return self.call("GET", f"/v1/teams/{TEAM}/transfers/{transfer}/backfills/latest")

    def cancel(self, number: int) -> Reply:
        return self.call("PATCH", f"/v1/teams/{TEAM}/backfills/{number}", {"status": "CANCELLED"})

    def transfers(self) -> Reply:
        return self.call("GET", f"/v1/teams/{TEAM}/transfers")

    def runs(self, start: str, end: str, more: str = "", transfer: int = TRANSFER) -> Reply:
        query = f"start_date={start}T00:00:00Z&end_date={end}T00:00:00Z{more}"
        return self.call("GET", f"/v1/teams/{TEAM}/transfers/{transfer}/runs", query=query)

    def control(self, method: str, name: str, body: Any = None) -> Reply:
        return self.call(method, f"/_sandbox/{name}", body, HTTP_AUTHORIZATION="")


def make_rig(
    settings: dict[str, Any] | None = None,
    transfers: dict[int, Any] | None = None,
    backfills: list[dict[str, Any]] | None = None,
    **scene: Any,
) -> Rig:
    clock = [1_800_000_000.0]
    team = {"transfers": transfers or {}, "backfills": backfills or []}
    top: dict[str, Any] = {"now": NOW, "settings": settings or {}, "teams": {TEAM: team}} | scene
    return Rig(Sandbox.in_memory(top, clock=lambda: clock[0]), clock)
