"""What is planned, approved and reported over the teams of the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from shlex import quote
from typing import TypeVar

from reconciler.bounds import DEFAULT_EXPIRY, MAX_EXPIRY
from reconciler.dates import iso
from reconciler.diagnostics import Finding, Severity
from reconciler.engine.report import TeamReport
from reconciler.engine.stop import Interrupts
from reconciler.engine.team import team_plan
from reconciler.engine.warnings import told_apart
from reconciler.errors import ApiUnavailable, Interrupted, ReconcilerError, UsageError, worst
from reconciler.events import Conclusion, LeftUndone
from reconciler.formats.commands import on_lines
from reconciler.formats.planfile import digest, dump, encode_plan, is_digest, short
from reconciler.model.desired import DesiredTeam
from reconciler.planning.guards import let_pass, tripped_guards
from reconciler.planning.plan import Item, Options, Plan, TeamPlan
from reconciler.planning.situation import Situation
from reconciler.version import __version__

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Situations:
    """What plans are made from: a situation for each team that could be read at ``at``, and the findings and
    the exit statuses of those that could not.
    """

    api_url: str
    at: datetime
    teams: tuple[Situation, ...]
    findings: tuple[Finding, ...] = ()
    statuses: frozenset[int] = frozenset()
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class TeamsPlan(Plan):
    """The plan of all teams. ``statuses``: of those that could not be planned, and of days that could not."""

    statuses: frozenset[int] = frozenset()

    @property
    def exit(self) -> int:
        return worst(self.statuses)

    def to_json(self) -> str:
        """Return what ``plan --json`` prints."""
        return dump(encode_plan(self, __version__))


def plan(situations: Situations) -> TeamsPlan:
    """Return what an apply would do. Pure."""
    plans = [team_plan(situation) for situation in situations.teams]
    return joined_plan(situations, plans)


def joined_plan(situations: Situations, plans: Sequence[TeamPlan], terms: Terms | None = None) -> TeamsPlan:
    """Return the plan of all teams; where a guard refuses it, with the command that lets this one pass."""
    made = TeamsPlan(
        api_url=situations.api_url,
        created_at=situations.at.replace(microsecond=0),
        teams=told_apart(plans),
        options=situations.options,
        diagnostics=situations.findings,
        errored=bool(situations.findings),
        statuses=situations.statuses.union(*(plan.statuses for plan in plans)),
    )
    guards = tripped_guards(made)
    terms = terms or Terms()
    nameless = terms.approved is not None and not terms.again
    if not guards or made.errored or nameless:  # a part of a plan is not what is approved
        return made
    told = f"Or let this one plan pass, and say why:{on_lines(_passing(made, guards, terms))}"
    return replace(made, teams=tuple(let_pass(team, told) for team in made.teams))


def _passing(made: Plan, guards: Sequence[str], terms: Terms) -> str:
    """Return the command that applies a plan, the saved one if there is one, all the same."""
    parts = ["apply", terms.again] if terms.again else ["apply"]
    if terms.approved is None:
        dates = {iso(team.as_of) for team in made.teams}
        parts += [f"--as-of {dates.pop()}"] if len(dates) == 1 else []
        parts += [f"--expect {short(digest(made))}"]
    reason = terms.overriding.reason if terms.overriding else "why"
    return " ".join([*parts, *(f"--override {guard}" for guard in guards), f"--reason {_quoted(reason)}"])


def _quoted(reason: str) -> str:
    return quote(reason) if quote(reason) != reason else f"'{reason}'"  # a place to write in


@dataclass(slots=True)
class Gathered:
    """What became of the teams, one after the other: one that fails is a finding, and the others go on."""

    interrupts: Interrupts
    findings: list[Finding] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def each(self, teams: Sequence[DesiredTeam], do: Callable[[DesiredTeam], T]) -> list[T]:
        done = []
        for team in teams:
            try:
                done.append(do(team))
            except (Interrupted, UsageError):
                raise
            except ReconcilerError as error:
                self.interrupts.check()  # a read gave up because of a signal
                self.statuses.add(error.exit_status)
                detail = f"Team {team.team_id} could not be planned. {error.detail}".rstrip()
                self.findings.append(Finding(error.code, Severity.ERROR, error.summary, detail, error.hint))
                prefix = f"Team {team.team_id}: " if len(teams) > 1 else ""
                self.findings += (replace(one, detail=prefix + one.detail) for one in error.besides)
        return done


# --- apply --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overriding:
    """Guards that are not to hold this once, why, and the address of the CI run, "" where there is none."""

    guards: tuple[str, ...]
    reason: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an apply may do: all that its plan shows, if ``confirm`` says so; or what was approved before.

    ``approved``: a saved plan, which is a filter; ``strict``: the fresh plan must be the same. ``expect``:
    the digest that the fresh plan must have, or 12 or more of its first digits. A saved plan is refused once
    it is older than ``expiry``, which is at most 30 days. ``overriding`` takes a plan that is approved or
    expected, and a reason. ``again``: the words of a command after ``apply`` that name the saved plan and
    the flags of this run, for what is told. Raises ``UsageError`` for other values.
    """

    approved: Plan | None = None
    strict: bool = False
    expect: str | None = None
    expiry: timedelta = DEFAULT_EXPIRY
    overriding: Overriding | None = None
    again: str = ""

    def __post_init__(self) -> None:
        self._check_overriding()
        if self.expect is not None and not is_digest(self.expect):
            detail = f"{self.expect!r} is not 12 or more hex digits, with or without sha256: before them."
            raise UsageError("Not a digest", detail, "Take the whole command that `reconciler plan` prints.")
        if self.expiry > MAX_EXPIRY:
            detail = f"What was done under a plan is remembered for {MAX_EXPIRY.days} days."
            raise UsageError("A plan may not be that old", detail, f"Give at most {MAX_EXPIRY.days}d.")

    def _check_overriding(self) -> None:
        if self.overriding is None:
            return
        if self.approved is None and self.expect is None:
            raise UsageError(
                "An override is for one plan",
                "Guards are overridden only for the plan that somebody looked at.",
                "Give its PLANFILE, or its digest with --expect: `reconciler plan` prints it.",
            )
        if not self.overriding.reason.strip():
            raise UsageError(
                "An override needs a reason",
                "It is kept in the state, and shown in the next plan.",
                "Say why: --reason 'Agreed with finance, ticket 4711'",
            )

    @property
    def compares(self) -> bool:
        return self.strict or self.expect is not None


@dataclass(frozen=True, slots=True)
class Report:
    """What an apply did. ``declined``: the answer was no, and nothing was done. ``unplanned``: a team could
    not be planned. ``holes`` are the days that stay failed or blocked.
    """

    teams: tuple[TeamReport, ...]
    statuses: frozenset[int]
    declined: bool = False
    unplanned: bool = False
    holes: tuple[Item, ...] = ()
    undone: tuple[LeftUndone, ...] = ()

    @property
    def exit(self) -> int:
        return worst(self.statuses)

    @property
    def created(self) -> int:
        return self.totals["created"]

    @property
    def errors(self) -> tuple[ReconcilerError, ...]:
        return tuple(error for team in self.teams for error in team.errors)

    @property
    def conclusion(self) -> Conclusion:
        """Return what is to be told at the end."""
        return Conclusion(
            self.exit,
            self.totals,
            tuple(outcome for team in self.teams for outcome in team.outcomes),
            tuple(doubt for team in self.teams for doubt in team.doubts),
            tuple(action for team in self.teams for action in team.not_sent),
            self.holes,
            self.undone,
            self.unplanned,
            frozenset(error.code for error in self.errors),
            tuple(one for team in self.teams for one in team.turned_away),
            max(
                (one.wait for one in self.errors if isinstance(one, ApiUnavailable) and one.wait),
                default=None,
            ),
        )

    @property
    def totals(self) -> dict[str, int]:
        """Return the counts of all teams: of backfills, of outcomes, and of the days made."""
        names = ("created", "retried", "cancelled", "adopted", "refused", "withdrawn", "unknown", "days")
        return {name: sum(getattr(team, name) for team in self.teams) for name in names}
