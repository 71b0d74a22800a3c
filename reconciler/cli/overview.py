"""``state list``, ``show`` and ``verify``: what lies where, of every team, also beside a damaged one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.command import READS_FILES, Command
from reconciler.cli.options import Common, completed, completed_json, shared
from reconciler.cli.places import each_team, shown
from reconciler.cli.terminal import err, out, out_json
from reconciler.errors import Exit, ReconcilerError
from reconciler.formats.reports import encode_time, failure_json
from reconciler.untrusted import one_line

if TYPE_CHECKING:
    from reconciler.engine.parts import Parts
    from reconciler.model.desired import DesiredTeam
    from reconciler.model.memory import Document
    from reconciler.stores.base import LockInfo, StateStore

TEAM = click.argument("team_id", metavar="[TEAM]", type=click.IntRange(1, 2**63 - 1), required=False)
READS_STATE = dict.fromkeys(READS_FILES, "")
_APPLIES = 3  # shown of the last ones


@click.command(
    "list", cls=Command, examples=("reconciler state list", "reconciler state list --json"), exits=READS_STATE
)
@shared("files", "api", "state", "json", "output")
def list_(common: Common) -> int:
    """Show each team's state: where it is, its serial, lineage, and how much it knows.

    One that cannot be used is listed with the reason; the exit status is the worst of all.
    """
    rows: list[dict[str, Any]] = []
    broken: dict[int, ReconcilerError] = {}

    def row(team: DesiredTeam, parts: Parts) -> int:
        store = parts.store(team)
        rows.append({"team_id": team.team_id, "where": store.where, **_summary(None)})
        rows[-1] |= _summary(store.read()[0])
        return Exit.DONE

    def failed(team: DesiredTeam, error: ReconcilerError) -> None:
        if not rows or rows[-1]["team_id"] != team.team_id:  # its place is not known
            rows.append({"team_id": team.team_id, "where": None, **_summary(None)})
        rows[-1] |= completed_json(failure_json(error), common)
        broken[team.team_id] = error

    status = each_team(common, None, row, failed)
    if common.json:
        out_json({"teams": rows})
        return status
    for one in rows:
        error = broken.get(one["team_id"])  # which names the place
        told = f"{error.summary}. {error.detail}" if error else f"{shown(one['where'])}: {_in_short(one)}."
        out(f"Team {one['team_id']}: {told}")
    return status


def _in_short(row: dict[str, Any]) -> str:
    from reconciler.render.words import plural

    if not row["lineage"]:
        return "no state yet"
    known = ", ".join(plural(row[f"{one}s"], one) for one in ("backfill", "intent"))
    copy = "; an old copy" if row["old_copy"] else ""
    return f"serial {row['serial']}, {known}; lineage {one_line(row['lineage'])}{copy}"


def _summary(document: Document | None) -> dict[str, Any]:
    if document is None:
        return {"lineage": None, "serial": 0, "backfills": 0, "intents": 0, "old_copy": False}
    return {
        "lineage": document.lineage,
        "serial": document.serial,
        "backfills": len(document.backfills),
        "intents": len(document.intents),
        "old_copy": document.old_copy,
    }


@click.command(
    cls=Command,
    examples=("reconciler state verify", "reconciler state verify --state /mnt/state"),
    exits={**READS_STATE, Exit.DONE: "all can be used"},
)
@shared("files", "api", "state", "output")
def verify(common: Common) -> int:
    """Read each team's state whole, and say what is wrong with any."""

    def read(team: DesiredTeam, parts: Parts) -> int:
        document, revision = parts.store(team).read()
        out(f"Team {team.team_id}: {f'ok, serial {revision.serial}' if document else 'no state yet'}.")
        return Exit.DONE

    def tell(team: DesiredTeam, error: ReconcilerError) -> None:
        hint = error.hint.replace("\n", "\n  ")
        err(completed(f"Team {team.team_id}: {error.summary}. {error.detail}\n  {hint}", common))

    return each_team(common, None, read, tell)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen of one team's state."""

    store: StateStore
    document: Document | None
    holder: LockInfo | None


@click.command(
    cls=Command,
    examples=("reconciler state show", "reconciler state show 12345 --json"),
    exits=READS_STATE,
)
@TEAM
@shared("files", "api", "state", "json", "output")
def show(common: Common, team_id: int | None) -> int:
    """Show all of a team's state but its records: where it is, which, how much, who holds its lock."""
    told: list[dict[str, Any]] = []

    def look(team: DesiredTeam, parts: Parts) -> int:
        store = parts.store(team)
        seen = _Seen(store, store.read()[0], store.holder())
        if common.json:
            told.append(_json(team, seen))
            return Exit.DONE
        lines = [f"  {name:<10}  {one_line(text)}" for name, text in _facts(seen)]
        out("\n".join([f"Team {team.team_id}", *lines]))
        return Exit.DONE

    def failed(team: DesiredTeam, error: ReconcilerError) -> None:
        told.append({"team_id": team.team_id, **completed_json(failure_json(error), common)})

    status = each_team(common, team_id, look, failed if common.json else None)
    if common.json:
        out_json({"teams": told})
    return status


def _json(team: DesiredTeam, seen: _Seen) -> dict[str, Any]:
    document, committed, holder = seen.document, seen.store.committed(), seen.holder
    applies = _applies(document)
    return {
        "team_id": team.team_id,
        "where": seen.store.where,
        **_summary(document),
        "written_by": document.written_by if document else None,
        "newest_commit": document.commits[-1] if document and document.commits else None,
        "pending": _pending(document),
        "loads": len(document.loads) if document else 0,
        "committed": committed and {"lineage": committed.lineage, "serial": committed.serial},
        "applies": [
            {"digest": one.digest, "serial": one.serial, "when": encode_time(one.when), "who": one.who}
            for one in applies
        ],
        "lock": holder
        and {
            "id": holder.id,
            "who": holder.who,
            "host": holder.host,
            "pid": holder.pid,
            "operation": holder.operation,
            "since": encode_time(holder.when),
            "until": encode_time(holder.until) if holder.until else None,
        },
    }


def _facts(seen: _Seen) -> Iterator[tuple[str, str]]:
    document, committed = seen.document, seen.store.committed()
    yield "where", shown(seen.store.where)
    if document is None:
        yield "state", "none yet; the first apply begins it"
    else:
        yield "lineage", document.lineage
        yield "serial", f"{document.serial}, written by {document.written_by or 'nobody'}"
        yield "commit", document.commits[-1] if document.commits else "none"
        yield "knows", _known(document)
        yield "old copy", "yes, and a person went on with it" if document.old_copy else "no"
    yield "run ended", f"with serial {committed.serial}" if committed else "none is remembered here"
    yield "lock", _lock(seen.holder)
    for one in _applies(document):
        yield "applied", f"{encode_time(one.when)}  {one.digest} by {one.who} (serial {one.serial})"


def _known(document: Document) -> str:
    from reconciler.render.words import plural

    pending = f" ({_pending(document)} pending)" if _pending(document) else ""
    return (
        f"{plural(len(document.backfills), 'backfill')}, {plural(len(document.intents), 'intent')}{pending}, "
        f"{plural(len(document.loads), 'load')} proved by run lists"
    )


def _pending(document: Document | None) -> int:
    return sum(intent.pending for intent in document.intents.values()) if document else 0


def _applies(document: Document | None) -> list[Any]:
    found = sorted(document.applies.values(), key=lambda one: one.when) if document else []
    return found[: -_APPLIES - 1 : -1]


def _lock(holder: LockInfo | None) -> str:
    if holder is None:
        return "free"
    if holder.until is None:
        return f"{holder}; lock id {holder.id}"
    over = holder.until <= datetime.now(UTC)
    told = "lease over" if over else "lease until"
    return f"{holder}; {told} {holder.until:%H:%M:%S} UTC; lock id {holder.id}"
