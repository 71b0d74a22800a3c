"""What ``doctor`` finds out about a team: whether plan and apply could do their work, and what helps if not.

Reads the API and the state; writes nothing and takes no lock. What could not be looked at is unknown, and so
is what only a write would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from reconciler.api.client import ApiClient, Listing
from reconciler.api.wording import READ_SCOPE, WRITE_SCOPE, cure
from reconciler.bounds import DEFAULT_SETTLE
from reconciler.engine.check import Check, counted, failing
from reconciler.engine.checkup_transfers import check_transfers, newest_runs
from reconciler.engine.parts import Parts, state_url
from reconciler.errors import (
    ApiUnavailable,
    Exit,
    KeyProblem,
    QuotaUsedUp,
    ReconcilerError,
    Refused,
    StateError,
    UsageError,
)
from reconciler.formats.commands import on_lines
from reconciler.formats.reports import encode_time
from reconciler.model.desired import DesiredTeam
from reconciler.model.memory import Document
from reconciler.model.observed import Cause, TransferInfo, Unreadable
from reconciler.stores.base import StateStore
from reconciler.stores.holders import LockInfo, is_alive
from reconciler.stores.urls import is_on_disk

PATIENCE = 5.0  # seconds that reads are tried again for, and rate limits waited for
TO_THE_SECOND = timedelta(seconds=2)  # the API's Date has whole seconds, and its answer takes a while


def check_team(parts: Parts, team: DesiredTeam) -> Iterator[Check]:
    """Look at the API and the state for one team, and tell each thing as it is found out."""
    document, *told = _state(parts, team)
    yield from _api(parts, team, document)
    yield from told


# --- the API ----------------------------------------------------------------------------------


def _api(parts: Parts, team: DesiredTeam, document: Document | None) -> Iterator[Check]:
    try:
        client = parts.client(team.team_id, team.key_env, team.limits.requests_per_second, PATIENCE)
    except (KeyProblem, UsageError) as error:
        if isinstance(error, KeyProblem):  # else it is the network's, which is looked at for all teams
            yield failing("key", error, team.team_id)
        yield _unasked(team)
        return
    listed: tuple[TransferInfo, ...] | Unreadable | None = None
    try:
        listed = client.transfers()
        listing = client.list_incomplete()
    except (KeyProblem, QuotaUsedUp, ApiUnavailable) as error:
        yield failing(_about(error, listed), error, team.team_id)
        yield _unasked(team)
        return
    yield from _key(parts, team, document)
    yield _team(team, listing, listed)
    yield from check_transfers(team, listed, listing, client)
    yield _runs(team, listed, listing, client)
    yield _clock(team, listing)


def _about(error: ReconcilerError, listed: Sequence[TransferInfo] | Unreadable | None) -> str:
    if isinstance(error, QuotaUsedUp):
        return "quota"
    if isinstance(error, ApiUnavailable):
        return "API"
    return "team" if isinstance(listed, Unreadable) and listed.cause is Cause.NOT_FOUND else "key"


def _unasked(team: DesiredTeam) -> Check:
    told = "not looked at: team, transfers, run lists, clock; the API has to answer first"
    return Check("the rest", told, None, team_id=team.team_id)


def _key(parts: Parts, team: DesiredTeam, document: Document | None) -> Iterator[Check]:
    if not isinstance(parts.api, str):
        yield Check("key", "none is needed: the API is the sandbox in this process", team_id=team.team_id)
        return
    yield Check("key", f"{team.key_env} is accepted, and may read ({READ_SCOPE})", team_id=team.team_id)
    user = document.users.get(parts.key_hash(team)) if document else None
    if user is None:
        told = f"not known: only a write shows whether it has {WRITE_SCOPE}; `plan` and `status` need none"
        yield Check("may write", told, None, team_id=team.team_id)
        yield Check("user", "not known before the first create by this key", None, team_id=team.team_id)
        return
    yield Check("may write", f"it did: backfills were made with it ({WRITE_SCOPE})", team_id=team.team_id)
    yield Check("user", f"the key is that of user {user.user_id}", team_id=team.team_id)


def _team(team: DesiredTeam, listing: Listing, listed: tuple[TransferInfo, ...] | Unreadable) -> Check:
    number = len(listing.backfills)
    told = f"{team.team_id} has {counted(number, 'incomplete backfill')}"
    if listing.full:
        told += ", and maybe more: the list holds no more"
    if isinstance(listed, tuple):
        told += f", {counted(len(listed), 'transfer')}"
    return Check("team", told, team_id=team.team_id)


def _runs(
    team: DesiredTeam, listed: Sequence[TransferInfo] | Unreadable, listing: Listing, client: ApiClient
) -> Check:
    """Look at one run list: the right to read them may be another one."""
    if not team.transfers:
        return Check("run lists", "not looked at: the files declare no transfer", None, team_id=team.team_id)
    known = {one.id for one in listed} if not isinstance(listed, Unreadable) else set()
    transfer = min(team.transfers, key=lambda one: one.address.transfer_id not in known)
    seen = newest_runs(team, transfer, listing, client)
    if isinstance(seen, tuple):
        return Check("run lists", f"that of {transfer.name} can be read", team_id=team.team_id)
    if seen.cause is Cause.NOT_FOUND:
        told = f"not known: there is none of {transfer.name}"
        return Check("run lists", told, None, team_id=team.team_id)
    status = Exit.KEY if seen.cause is Cause.FORBIDDEN else Exit.UNAVAILABLE
    return Check("run lists", f"{seen.said}", False, cure(seen), int(status), team.team_id)


def _clock(team: DesiredTeam, listing: Listing) -> Check:
    apart = listing.received - listing.vendor_now
    if listing.emulated:
        told = f"a sandbox has its own, which shows {encode_time(listing.vendor_now)}"
        return Check("clock", told, team_id=team.team_id)
    if listing.undated:
        return Check("clock", "the API's answer has no Date", None, team_id=team.team_id)
    if abs(apart) <= TO_THE_SECOND:
        return Check("clock", "ours and the API's agree", team_id=team.team_id)
    side = "ahead of" if apart > timedelta(0) else "behind"
    told = f"ours is {abs(apart).total_seconds():.0f} seconds {side} the API's"
    if abs(apart) <= DEFAULT_SETTLE:
        return Check("clock", told, team_id=team.team_id)
    return Check("clock", told, False, "Set this machine's clock.", int(Exit.ERROR), team.team_id)


# --- the state --------------------------------------------------------------------------------


def _state(parts: Parts, team: DesiredTeam) -> tuple[Document | None, *tuple[Check, ...]]:
    try:
        where = state_url(parts.state, team)
        store = parts.store(team)
        where = where if is_on_disk(where) else store.where
        document, _revision = store.read()
    except (UsageError, Refused, StateError) as error:
        return None, failing("state", error, team.team_id)
    now = parts.clock().now()
    return (
        document,
        Check("state", _of_document(where, document, now), team_id=team.team_id),
        _lock(team, store, now),
    )


def _of_document(where: str, document: Document | None, now: datetime) -> str:
    if document is None:
        return f"{where}: none yet; the first apply begins it"
    moments = [intent.intended_at for intent in document.intents.values()]
    age = f", last create or cancel {_ago(now - max(moments))}" if moments else ""
    copy = "; it is an older copy that was accepted" if document.old_copy else ""
    return f"{where}: serial {document.serial}{age}{copy}"


def _lock(team: DesiredTeam, store: StateStore, now: datetime) -> Check:
    try:
        holder = store.holder()
    except StateError as error:
        return failing("lock", error, team.team_id)
    if holder is None:
        return Check("lock", "free", team_id=team.team_id)
    if holder.until is not None:
        return _lease(team, holder, holder.until, now)
    if is_alive(holder) is False:
        told = f"free; {holder.who} ended without taking its name out (process {holder.pid})"
        return Check("lock", told, team_id=team.team_id)
    if is_alive(holder) is None:
        told = f"{holder.who} on {holder.host} has its name in it; whether that run lives only a run can see"
        return Check("lock", told, None, team_id=team.team_id)
    return Check("lock", _held(holder), False, _WAIT, int(Exit.LOCKED), team.team_id)


_WAIT = "Wait for that run, or let ours wait: --lock-timeout 10m"


def _held(holder: LockInfo) -> str:
    by = f"{holder.who} on {holder.host}, process {holder.pid}, `{holder.operation}`"
    return f"held by {by} since {encode_time(holder.when)}"


def _lease(team: DesiredTeam, holder: LockInfo, until: datetime, now: datetime) -> Check:
    """A lease tells what the process, on whatever host, does not: until when the lock is held at least."""
    if until < now:
        told = f"free: the lease of {holder.who} on {holder.host} was over at {encode_time(until)}"
        return Check("lock", told, team_id=team.team_id)
    told = f"{_held(holder)}, until {encode_time(until)} unless it goes on"
    cure = f"{_WAIT}. If it is dead:{on_lines(f'state unlock {holder.id}')}"
    return Check("lock", told, False, cure, int(Exit.LOCKED), team.team_id)


def _ago(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{counted(seconds // size, unit)} ago"
    return "just now"
