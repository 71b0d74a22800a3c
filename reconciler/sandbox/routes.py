"""The seven calls of the API: their routes, and what each does to the world."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox import requests, times
from reconciler.sandbox.backfill import FAILED, Run
from reconciler.sandbox.requests import RunQuery
from reconciler.sandbox.responses import (
    AnswerLost,
    Refusal,
    show_backfill,
    show_new_backfill,
    show_run,
    show_transfer,
)
from reconciler.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one route: the ids of its path as text, its query and its body."""

    world: World
    now: int
    ids: dict[str, str]
    query: str
    body: bytes

    def id(self, name: str) -> int:
        """An id of the path. Raises a 400 Refusal."""
        return requests.read_id(self.ids[name], name)

    @property
    def team(self) -> int:
        """The team of the path. Raises a Refusal: 400, or 403 where there is no such team."""
        team = self.id("team_id")
        self.world.check_team(team)
        return team


@dataclass(frozen=True, slots=True)
class Route:
    """A path under /v1 and what answers it. `bare`: statuses documented without rate headers."""

    name: str
    method: str
    path: re.Pattern[str]
    act: Callable[[Call], Any]
    bare: tuple[int, ...] = (500,)


def list_backfills(call: Call) -> Any:
    """What is not COMPLETED or CANCELLED, newest first."""
    found = call.world.incomplete(call.team, call.now)
    return [show_backfill(record, call.now, call.world.settings) for record in found]


def get_backfill(call: Call) -> Any:
    """One backfill of any status."""
    record = call.world.get(call.team, call.id("backfill_id"), call.now)
    return show_backfill(record, call.now, call.world.settings)


def latest_backfill(call: Call) -> Any:
    """The newest backfill of a transfer."""
    record = call.world.latest(call.team, call.id("transfer_id"), call.now)
    return show_backfill(record, call.now, call.world.settings)


def cancel_backfill(call: Call) -> Any:
    """Cancel; ids are read before the body, as paths come before bodies."""
    team, number = call.team, call.id("backfill_id")
    requests.read_cancel(call.body)
    record = call.world.cancel(team, number, call.now)
    return show_backfill(record, call.now, call.world.settings)


def create_backfill(call: Call) -> Any:
    """Create, with the commit the settings ask for. Raises AnswerLost where nobody hears the outcome."""
    world, settings = call.world, call.world.settings
    team, transfer = call.team, call.id("transfer_id")
    start, end = requests.read_range(call.body)
    late = settings.late_seconds
    if late is not None:
        world.create_later(team, transfer, start, end, call.now + times.millis(late))
        raise AnswerLost("the create takes effect later")
    try:
        record = world.create(team, transfer, start, end, call.now)
        if settings.commit == "twice":
            record = world.create(team, transfer, start, end, call.now)
    except Refusal as refusal:
        if settings.commit == "lost-answer":
            raise AnswerLost("the refusal is lost") from refusal
        raise
    if settings.commit == "lost-answer":
        raise AnswerLost("the create took effect, its answer is lost")
    return show_new_backfill(record, call.now, settings)


def list_transfers(call: Call) -> Any:
    """The transfers the world names or has met."""
    found = call.world.transfers_of(call.team)
    return [show_transfer(transfer, call.now, call.world.settings) for transfer in found]


def list_runs(call: Call) -> Any:
    """The runs of a transfer, filtered, sorted and cut to a page."""
    team, transfer = call.team, call.id("transfer_id")
    query = requests.read_run_query(call.query)
    found = _filtered(call, team, transfer, query)
    found.sort(key=_SORT_KEYS[query.sort_field], reverse=query.descending)
    page = found[query.offset : query.offset + query.limit]
    return [show_run(run, call.world.settings) for run in page]


def _filtered(call: Call, team: int, transfer: int, query: RunQuery) -> list[Run]:
    """Both filters include their ends; by data date the days of the two moments (UTC) count."""
    world, first, last = call.world, 1, times.day_of(times.LATEST)
    by_day = world.settings.runs_filter == "data_date"
    if by_day:
        first, last = times.day_of(query.since), times.day_of(query.until)
    skew = world.vendor_time(0)
    return [
        run
        for run in world.runs(team, transfer, first, last, call.now)
        if (by_day or query.since <= (run.created + skew) // 1000 * 1000 <= query.until)
        and (not query.issues_only or run.status == FAILED)
    ]


# Equal times are told apart by day, then by id; what has not ended counts as latest.
_SORT_KEYS: dict[str, Callable[[Run], tuple[int, int, int]]] = {
    "created_time": lambda run: (run.created, run.day, run.id),
    "ended_time": lambda run: (run.ended if run.ended is not None else times.LATEST, run.day, run.id),
    "data_date": lambda run: (run.day, run.created, run.id),
}


def _path(template: str) -> re.Pattern[str]:
    """What matches the path of a team."""
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", "/v1/teams/{team_id}/" + template))


ROUTES = (
    Route("create", "POST", _path("transfers/{transfer_id}/backfills"), create_backfill, bare=(404, 500)),
    Route("list", "GET", _path("backfills"), list_backfills),
    Route("get", "GET", _path("backfills/{backfill_id}"), get_backfill),
    Route("cancel", "PATCH", _path("backfills/{backfill_id}"), cancel_backfill),
    Route(
        "latest", "GET", _path("transfers/{transfer_id}/backfills/latest"), latest_backfill, bare=(404, 500)
    ),
    Route("transfers", "GET", _path("transfers"), list_transfers, bare=()),
    Route("runs", "GET", _path("transfers/{transfer_id}/runs"), list_runs, bare=()),
)


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and the ids of its path. Raises a Refusal: 404, or 405 with what is allowed."""
    allowed = []
    for route in ROUTES:
        if match := route.path.fullmatch(path):
            if route.method == method:
                return route, match.groupdict()
            allowed.append(route.method)
    if allowed:
        raise Refusal(405, f"{method} is not offered here", allow=", ".join(allowed))
    raise Refusal(404, "There is nothing at this path")
