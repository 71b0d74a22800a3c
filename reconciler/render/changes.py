"""How two plans differ, as text: a transfer each, with the days it has more and fewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.dates import DateSet
from reconciler.planning.difference import Change, Changed
from reconciler.render.layout import WIDTH, Line, apart
from reconciler.render.words import BOLD, DIM, GREEN, RED, Paint, days, plural

_WORDS = {
    Change.ADDED: "added",
    Change.LEFT_OUT: "left out",
    Change.GREW: "grew",
    Change.SHRANK: "shrank",
    Change.MOVED: "other days",
    Change.TOLD: "told otherwise",
}


def changes_text(changes: Sequence[Changed], paint: Paint, width: int = WIDTH) -> str:
    """Return what is otherwise in the later plan, and the sum, which is the last line."""
    lines = [line for one in changes for line in _transfer(one, paint, width)]
    return "\n".join([*lines, paint(changes_summary(changes), BOLD)]) + "\n"


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
