"""The endpoints under /_sandbox/: the hand on the world's clock, and a look behind the scenes. No key needed.

POST /_sandbox/advance   {"seconds": 259200}   the clock jumps; answers {"data": {"now": …}}
POST /_sandbox/settings  {"list_lag_seconds": 5}   answers every setting
POST /_sandbox/transfers/{id}   {"state": "paused"}   any field of a transfer, and its team_id; answers it
POST /_sandbox/backfills   {"team_id", "transfer_id", "range_start", "range_end"}   and user_id: by hand
POST /_sandbox/backfills/{id}   {"run_again": true}, or {"status": "CANCELLED"} with a user_id
POST /_sandbox/reset     a new world: the scene in the body (as in a world file), or an empty one
GET  /_sandbox/backfills  every backfill of every status, oldest first
GET  /_sandbox/requests   every request under /v1, in order
GET  /_sandbox/settings   every setting
"""

import re
from collections.abc import Callable
from typing import Any, Protocol

from reconciler.sandbox.requests import read_object
from reconciler.sandbox.responses import Refusal
from reconciler.sandbox.scene_transfers import TRANSFER_FIELDS
from reconciler.sandbox.settings import SceneError, read_id, refuse_unknown


class Controlled(Protocol):
    """What the control endpoints need of a sandbox (`sandbox.Sandbox` is one)."""

    def now(self) -> float: ...
    def now_text(self) -> str: ...
    def advance(self, seconds: float) -> None: ...
    def reset(self, scene: Any = None) -> None: ...
    def settings(self, **changes: Any) -> dict[str, Any]: ...
    def backfills(self) -> list[dict[str, Any]]: ...
    def requests(self) -> list[dict[str, Any]]: ...
    def create_backfill(self, team: int, transfer: int, start: Any, end: Any, user: int = ...) -> Any: ...
    def cancel_backfill(self, number: int, user: int = ...) -> Any: ...
    def run_again(self, number: int) -> Any: ...
    def change_transfer(self, number: int, team: int | None = None, **fields: Any) -> Any: ...


Act = Callable[[Controlled, int, bytes], Any]  # the number is the id of the path, or 0


def answer_control(sandbox: Controlled, method: str, path: str, body: bytes) -> Any:
    """The data a control request is answered with. Raises a Refusal."""
    matched = re.fullmatch(r"(/_sandbox/\w+)(?:/(\d{1,19}))?", path)
    name = path if matched is None else matched[1] + ("/{id}" if matched[2] else "")
    known = {route_method: act for (route_method, route), act in _ROUTES.items() if route == name}
    if matched is None or not known:
        raise Refusal(404, "There is no such control endpoint")
    if method not in known:
        raise Refusal(405, f"{method} is not offered here", allow=", ".join(sorted(known)))
    try:
        return known[method](sandbox, int(matched[2] or 0), body)
    except (SceneError, OverflowError) as error:
        raise Refusal(400, str(error)) from None


def _advance(sandbox: Controlled, _: int, body: bytes) -> Any:
    seconds = read_object(body).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Refusal(400, "seconds must be a number")
    sandbox.advance(seconds)
    return {"now": sandbox.now_text()}


def _settings(sandbox: Controlled, _: int, body: bytes) -> Any:
    return sandbox.settings(**(read_object(body) if body.strip() else {}))


def _reset(sandbox: Controlled, _: int, body: bytes) -> Any:
    sandbox.reset(read_object(body) if body.strip() else None)
    return {"now": sandbox.now_text()}


def _transfer(sandbox: Controlled, number: int, body: bytes) -> Any:
    fields = dict(read_object(body))
    team = fields.pop("team_id", None)
    refuse_unknown(fields, TRANSFER_FIELDS, "transfer")
    return sandbox.change_transfer(number, None if team is None else read_id(team, "team_id"), **fields)


def _create(sandbox: Controlled, _: int, body: bytes) -> Any:
    given = dict(read_object(body))
    refuse_unknown(given, (*_WANTED, "user_id"), "backfill")
    if missing := [name for name in _WANTED if name not in given]:
        raise Refusal(400, f"{missing[0]} is missing")
    user = _user(given)
    team, transfer = read_id(given["team_id"], "team_id"), read_id(given["transfer_id"], "transfer_id")
    return sandbox.create_backfill(team, transfer, given["range_start"], given["range_end"], **user)


def _change(sandbox: Controlled, number: int, body: bytes) -> Any:
    given = dict(read_object(body))
    user = _user(given)
    if given == {"run_again": True}:
        return sandbox.run_again(number)
    if given == {"status": "CANCELLED"}:
        return sandbox.cancel_backfill(number, **user)
    raise Refusal(400, 'Send {"run_again": true} or {"status": "CANCELLED"}')


def _user(given: dict[str, Any]) -> dict[str, int]:
    """The user of a body, taken out of it, as what a method is told."""
    return {"user": read_id(given.pop("user_id"), "user_id")} if "user_id" in given else {}


_WANTED = ("team_id", "transfer_id", "range_start", "range_end")
_ROUTES: dict[tuple[str, str], Act] = {
    ("POST", "/_sandbox/advance"): _advance,
    ("POST", "/_sandbox/settings"): _settings,
    ("GET", "/_sandbox/settings"): lambda sandbox, *_: sandbox.settings(),
    ("POST", "/_sandbox/reset"): _reset,
    ("POST", "/_sandbox/transfers/{id}"): _transfer,
    ("POST", "/_sandbox/backfills"): _create,
    ("POST", "/_sandbox/backfills/{id}"): _change,
    ("GET", "/_sandbox/backfills"): lambda sandbox, *_: sandbox.backfills(),
    ("GET", "/_sandbox/requests"): lambda sandbox, *_: sandbox.requests(),
}
