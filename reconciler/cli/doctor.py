"""``doctor``: whether everything that plan and apply need is there, a line each; writes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from reconciler.cli.arguments import is_sandbox, parts_of
from reconciler.cli.command import Command
from reconciler.cli.loading import load_selected
from reconciler.cli.options import Common, completed, shared
from reconciler.cli.signals import Signals
from reconciler.cli.terminal import is_terminal, out, out_json, paint_for, shows_all
from reconciler.engine.check import Check, counted, failing
from reconciler.engine.checkup import check_team
from reconciler.errors import ConfigError, Exit, UsageError
from reconciler.formats.commands import on_lines
from reconciler.http import HttpTransport, proxy_for
from reconciler.render.checkup import check_text
from reconciler.render.words import BOLD

if TYPE_CHECKING:
    from reconciler.model.desired import Desired


@click.command(
    cls=Command,
    examples=("reconciler doctor", "reconciler doctor -c backfills/ --json"),
    exits={
        Exit.DONE: "all is well, as far as can be known without a write",
        Exit.ERROR: "the files, the state or a clock; or a transfer that the team has not",
        Exit.PARTLY: "a transfer is paused, and its days are blocked",
        Exit.LOCKED: "",
        Exit.REFUSED: "",
        Exit.QUOTA: "",
        Exit.KEY: "",
        Exit.UNAVAILABLE: "",
    },
)
@shared("files", "api", "state", "json", "output")
def doctor(common: Common) -> int:
    """Check the files, the key, the API, the transfers, the state and this machine: ok, or what helps.

    Writes nothing. What cannot be known without a write is marked `?`. The exit status is that of the first
    line that is not ok.
    """
    found: list[Check] = []
    signals = Signals()
    with signals.caught():
        for check in _checks(common, signals):
            check = replace(check, cure=completed(check.cure, common))
            if not common.json:
                _show(check, common, found)
            found.append(check)
    status = next((check.exit for check in found if check.ok is False), int(Exit.DONE))
    if not common.json:
        bad, unknown = (sum(check.ok is ok for check in found) for ok in (False, None))
        out(f"{bad} of {counted(len(found), 'check')} not ok, {unknown} not known.")
    else:
        out_json({"format_version": "1.0", "exit": status, "checks": [_json(check) for check in found]})
    return status


def _checks(common: Common, signals: Signals) -> Iterator[Check]:
    desired = _files(common)
    if isinstance(desired, Check):
        yield desired
    else:
        files = ", ".join(desired.texts)
        number = sum(len(team.transfers) for team in desired.teams)
        yield Check("files", f"{files}: {counted(number, 'transfer')} of {_teams(desired)}")
    network = _network(common)
    yield network
    yield _terminal()
    if not isinstance(desired, Check) and network.ok:
        parts = parts_of(common, signals)
        for team in desired.teams:
            yield from check_team(parts, team)


def _files(common: Common) -> Desired | Check:
    """Load the files; what is wrong with them is left to ``validate`` to show."""
    try:
        return load_selected(common)
    except ConfigError as error:
        errors = [finding for finding in error.findings if finding.severity == "error"]
        first = f"{errors[0].place}: {errors[0].summary}" if errors[0].place else errors[0].detail
        more = f" and {counted(len(errors) - 1, 'more error')}" if len(errors) > 1 else ""
        cure = f"Mend the files; all that is wrong with them is shown by:{on_lines('validate')}"
        return Check("files", f"{first}{more}", False, cure, error.exit_status)


def _teams(desired: Desired) -> str:
    ids = [str(team.team_id) for team in desired.teams]
    return f"team {ids[0]}" if len(ids) == 1 else f"teams {', '.join(ids)}"


def _network(common: Common) -> Check:
    """Tell how the API is reached, as far as this machine's settings say."""
    if is_sandbox(common):
        return Check("network", "none is needed: the sandbox is in this process")
    try:
        HttpTransport(common.api, "none").close()  # it takes the settings, and connects to nothing
        proxy = proxy_for(common.api)
    except UsageError as error:
        return failing("network", error)
    through = "directly"
    if proxy:
        parts = urlsplit(proxy)  # its user and password are nobody's business
        through = f"through the proxy {parts.hostname}{f':{parts.port}' if parts.port else ''}"
    return Check("network", f"{common.api} {through}, {_certificates()}")


def _certificates() -> str:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if os.environ.get(name):
            return f"trusting the certificates of {name}={os.environ[name]}"
    return "trusting the usual certificates"


def _terminal() -> Check:
    encoding = (sys.stdout and sys.stdout.encoding) or "unknown"
    told = f"{encoding}; what it lacks is written in ASCII or escaped (LANG=C.UTF-8 has all)"
    told = "UTF-8" if shows_all(sys.stdout) else told
    asked = "" if is_terminal() else "; nobody to ask: apply needs --auto-approve here, or a saved plan"
    return Check("terminal", told + asked)


def _show(check: Check, common: Common, before: list[Check]) -> None:
    paint = paint_for(common.color, sys.stdout)
    teams = {one.team_id for one in before if one.team_id is not None}
    if check.team_id is not None and check.team_id not in teams:
        out(paint(f"Team {check.team_id}", BOLD))
    width = shutil.get_terminal_size().columns
    out(check_text(check.about, check.told, check.ok, check.cure, paint, width))


def _json(check: Check) -> dict[str, object]:
    return {
        "team_id": check.team_id,
        "about": check.about,
        "ok": check.ok,
        "told": check.told,
        "cure": check.cure,
        "exit": check.exit,
    }
