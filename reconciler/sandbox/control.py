"""The endpoints under /_sandbox/: the hand on the world's clock, and a look behind the scenes. No key needed.

POST /_sandbox/advance   {"seconds": 259200}   the clock jumps; answers {"data": {"now": …}}
POST /_sandbox/settings  {"list_lag_seconds": 5}   answers every setting
POST /_sandbox/reset     a new world: the scene in the body (as in a world file), or an empty one
GET  /_sandbox/backfills  every backfill of every status, oldest first
GET  /_sandbox/requests   every request under /v1, in order
GET  /_sandbox/settings   every setting
"""

from collections.abc import Callable
from typing import Any, Protocol

from reconciler.sandbox.requests import read_object
from reconciler.sandbox.responses import Refusal
from reconciler.sandbox.settings import SceneError


class Controlled(Protocol):
    """What the control endpoints need of a sandbox (`sandbox.Sandbox` is one)."""

    def now(self) -> float: ...
    def now_text(self) -> str: ...
    def advance(self, seconds: float) -> None: ...
    def reset(self, scene: Any = None) -> None: ...
    def settings(self, **changes: Any) -> dict[str, Any]: ...
    def backfills(self) -> list[dict[str, Any]]: ...
    def requests(self) -> list[dict[str, Any]]: ...


def answer_control(sandbox: Controlled, method: str, path: str, body: bytes) -> Any:
    """The data a control request is answered with. Raises a Refusal."""
    known = {route_method: act for (route_method, route_path), act in _ROUTES.items() if route_path == path}
    if not known:
        raise Refusal(404, "There is no such control endpoint")
    if method not in known:
        raise Refusal(405, f"{method} is not offered here", allow=", ".join(sorted(known)))
    try:
        return known[method](sandbox, body)
    except (SceneError, OverflowError) as error:
        raise Refusal(400, str(error)) from None


def _advance(sandbox: Controlled, body: bytes) -> Any:
    seconds = read_object(body).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Refusal(400, "seconds must be a number")
    sandbox.advance(seconds)
    return {"now": sandbox.now_text()}


def _settings(sandbox: Controlled, body: bytes) -> Any:
    return sandbox.settings(**(read_object(body) if body.strip() else {}))


def _reset(sandbox: Controlled, body: bytes) -> Any:
    sandbox.reset(read_object(body) if body.strip() else None)
    return {"now": sandbox.now_text()}


_ROUTES: dict[tuple[str, str], Callable[[Controlled, bytes], Any]] = {
    ("POST", "/_sandbox/advance"): _advance,
    ("POST", "/_sandbox/settings"): _settings,
    ("GET", "/_sandbox/settings"): lambda sandbox, _: sandbox.settings(),
    ("POST", "/_sandbox/reset"): _reset,
    ("GET", "/_sandbox/backfills"): lambda sandbox, _: sandbox.backfills(),
    ("GET", "/_sandbox/requests"): lambda sandbox, _: sandbox.requests(),
}
