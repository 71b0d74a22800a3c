"""One thing that ``doctor`` looked at, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors import Exit, ReconcilerError


@dataclass(frozen=True, slots=True)
class Check:
    """``ok`` is ``None`` where it could not be found out; if it is false, ``cure`` says what to do, and
    ``exit`` is the status that a run would end with. ``team_id`` is ``None`` for what concerns all teams.
    """

    about: str
    told: str
    ok: bool | None = True
    cure: str = ""
    exit: int = int(Exit.DONE)
    team_id: int | None = None


def failing(about: str, error: ReconcilerError, team_id: int | None = None) -> Check:
    """Return the check that an error ended, in its words."""
    told = f"{error.summary}. {error.detail}".strip()
    return Check(about, told, False, error.hint or "Mend that first.", error.exit_status, team_id)


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
