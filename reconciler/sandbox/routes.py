"""The calls of the API: their routes, and what each does to the world."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox import requests, run_list, times
from reconciler.sandbox.backfill import Backfill
from reconciler.sandbox.counters import LateCreate
from reconciler.sandbox.records import (
    show_backfill,
    show_configuration,
    show_new_backfill,
    show_run,
    show_transfer,
)
from reconciler.sandbox.responses import AnswerLost, Bare, Page, Refusal
from reconciler.sandbox.transfer import Transfer
from reconciler.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one route: the ids of its path as text, its address and query, its body, its user."""

    world: World
    now: int
    ids: dict[str, str]
    url: str
    query: str
    body: bytes
    user: int

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
    """What is not COMPLETED or CANCELLED, newest first. The call knows no pages, so none is announced."""
    world, team = call.world, call.team
    found = list(world.all_incomplete(team, call.now))
    shown = [show_backfill(record, call.now, world.settings) for record in found[: world.settings.list_cap]]
    return Page(shown, len(found))


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
    record = call.world.cancel(team, number, call.now, call.user)
    return show_backfill(record, call.now, call.world.settings)


def create_backfill(call: Call) -> Any:
    """Create, with the commit the settings ask for. Raises AnswerLost where nobody hears the outcome."""
    world, settings = call.world, call.world.settings
    team, transfer = call.team, call.id("transfer_id")
    start, end = requests.read_range(call.body)
    late = settings.late_seconds
    if late is not None:
        due = call.now + times.millis(late)
        world.create_later(LateCreate(due, team, transfer, start, end, call.user))
        raise AnswerLost("the create takes effect later")
    try:
        record = world.create(team, transfer, start, end, call.now, call.user)
        if settings.commit == "twice":
            record = world.create(team, transfer, start, end, call.now, call.user)
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
    shown = [show_transfer(transfer, call.now, call.world.settings) for transfer in found]
    return Page(shown, len(shown))


def get_transfer(call: Call) -> Any:
    """The configuration of a transfer, which the vendor's page shows without an envelope."""
    team, number = call.team, call.id("transfer_id")
    call.world.check_transfer(team, number)
    known = call.world.transfers.get((team, number)) or Transfer(team, number, f"Transfer {number}")
    return Bare(show_configuration(known, call.world.settings))


def list_runs(call: Call) -> Any:
    """The runs of a transfer, filtered, sorted and cut to a page."""
    world, team, number = call.world, call.team, call.id("transfer_id")
    query = requests.read_run_query(call.query)
    run_list.check_readable(world)
    transfer = run_list.find_transfer(world, team, number)
    if transfer is None:
        return Page([], 0)
    found = run_list.find_runs(world, transfer, query, call.now)
    end = query.offset + min(query.limit, world.settings.runs_page_cap or query.limit)
    shown = [show_run(run, transfer, world.settings) for run in found[query.offset : end]]
    more = run_list.next_page(call.url, call.query, end) if end < len(found) else None
    return Page(shown, len(found), more)


def get_run(call: Call) -> Any:
    """One run."""
    team, number = call.team, call.id("run_id")
    run_list.check_readable(call.world)
    run, transfer = run_list.find_run(call.world, team, number, call.now)
    return show_run(run, transfer, call.world.settings)


def check_refused(call: Call, name: str) -> None:
    """Raises the Refusal that a transfer of the call asks for. Lists of a team concern all of its."""
    for transfer in _concerned(call):
        told = transfer.refusal(name)
        if told is not None:
            raise Refusal(told.status, told.description, told.code, told.message)


def _concerned(call: Call) -> Iterable[Transfer]:
    world, team = call.world, call.team
    if "transfer_id" in call.ids:
        known = world.transfers.get((team, call.id("transfer_id")))
    elif "backfill_id" in call.ids:
        record: Backfill | None = world.backfills.get(call.id("backfill_id"))
        known = world.transfers.get((team, record.transfer)) if record is not None else None
    else:
        return world.transfers_of(team)
    return () if known is None else (known,)


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
    Route("transfer", "GET", _path("transfers/{transfer_id}"), get_transfer, bare=()),
    Route("runs", "GET", _path("transfers/{transfer_id}/runs"), list_runs, bare=()),
    Route("run", "GET", _path("transfer_runs/{run_id}"), get_run, bare=()),
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
