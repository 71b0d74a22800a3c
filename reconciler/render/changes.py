"""How two plans differ, as text: a transfer each, with the days it has more and fewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.dates import DateSet
from reconciler.planning.difference import Change, Changed, unplanned
from reconciler.planning.plan import Plan
from reconciler.render.layout import WIDTH, Line, apart, wrapped
from reconciler.render.words import BOLD, DIM, GREEN, RED, Paint, days, plural, teams

_WORDS = {
    Change.ADDED: "added",
    Change.LEFT_OUT: "left out",
    Change.GREW: "grew",
    Change.SHRANK: "shrank",
    Change.MOVED: "other days",
    Change.TOLD: "told otherwise",
}


def changes_text(changes: Sequence[Changed], paint: Paint, width: int = WIDTH, unknown: str = "") -> str:
    """Return what is otherwise in the later plan, of what that is not known (``unknown_of``), and the sum."""
    lines = [line for one in changes for line in _transfer(one, paint, width)]
    told = [f"{unknown[0].upper()}{unknown[1:]}."] if unknown else []
    told += [] if unknown and not changes else [changes_summary(changes)]
    return "\n".join([*lines, *(paint(line, BOLD) for one in told for line in wrapped(one, width))]) + "\n"


def unknown_of(before: Plan, after: Plan, earlier: str, later: str) -> str:
    """Return a clause that says of which teams nobody knows what differs, "" if of none. ``earlier`` and
    ``later``: what the plans are called.
    """
    pairs = ((before, after, earlier), (after, before, later))
    missing = {name: unplanned(one, other) for one, other, name in pairs if one.errored}
    whose = {teams(ids): [name] for name, ids in missing.items() if ids}
    if missing and not whose:
        whose = {"a team": list(missing)}
    clauses = (f"{of} ({' and '.join(names)} could not be planned there)" for of, names in whose.items())
    told = " and ".join(clauses)
    return f"not known of {told}" if told else ""


def changes_summary(changes: Sequence[Changed]) -> str:
    """Return the sum in a line: ``31 days more, 5 days fewer.``, or that nothing differs."""
    more, fewer = (sum(len(getattr(one, name)) for one in changes) for name in ("more", "fewer"))
    told = [f"{days(more)} more"] if more else []
    told += [f"{days(fewer)} fewer"] if fewer else []
    for name, word in (("new_cancels", "more"), ("kept", "fewer")):
        cancels = sum(len(getattr(one, name)) for one in changes)
        told += [f"{plural(cancels, 'cancel')} {word}"] if cancels else []
    if told:
        return f"{', '.join(told)}."
    return "The same is done; only told otherwise." if changes else "No difference."


def _transfer(one: Changed, paint: Paint, width: int) -> Iterator[str]:
    rest = f"  {one.address.transfer_id}"
    shown = f"  {paint(one.transfer, BOLD)}{rest}"
    yield from apart(f"  {one.transfer}{rest}", _WORDS[one.change], width, shown).splitlines()
    for line in (*_days("+", GREEN, one.more, one.sooner), *_days("-", RED, one.fewer, one.later)):
        yield from line.laid_out(width, paint)
    for word, ids in (("cancels", one.new_cancels), ("no longer cancels", one.kept)):
        if ids:
            yield f"      {word} backfill {', '.join(map(str, ids))}"
    if one.fields:
        yield paint(f"      differ: {', '.join(one.fields)}", DIM)
    yield ""


def _days(sign: str, colour: str, found: DateSet, deferred: DateSet) -> Iterator[Line]:
    """Yield the newest days first; those that were, or are, deferred say so."""
    said = "was deferred before" if sign == "+" else "deferred now"
    cut = [(part, "") for part in (found - deferred).intervals]
    cut += [(part, said) for part in deferred.intervals]
    for (start, end), words in sorted(cut, reverse=True):
        yield Line(sign, colour, start, end, end - start, words)
