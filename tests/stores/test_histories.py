"""The judge of histories, against hand-written ones and against trying every order."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from histories import FOREVER, Kind, Operation, faults_of

from reconciler.stores.base import NEVER_WRITTEN, Revision


def revision(*names: str) -> Revision:
    return Revision("l", len(names), names[-1]) if names else NEVER_WRITTEN


def reads(began: float, ended: float, *names: str) -> Operation:
    return Operation(Kind.READ, began, ended, revision(*names), names=frozenset(names))


def commits(began: float, ended: float, name: str, *before: str, kind: Kind = Kind.DONE) -> Operation:
    made = revision(*before, name) if kind is Kind.DONE else None
    return Operation(kind, began, ended, revision(*before), name, made)


END = 99
EXPLAINED = {
    "one after another": [commits(1, 2, "a"), reads(3, 4, "a"), reads(END, END, "a")],
    "a read amid a commit, of what was before": [commits(1, 9, "a"), reads(2, 3), reads(END, END, "a")],
    "two reads amid a commit": [commits(1, 9, "a"), reads(2, 3), reads(4, 5, "a"), reads(END, END, "a")],
    "of two one wins": [commits(1, 5, "a"), commits(1, 5, "b", kind=Kind.CONFLICT), reads(END, END, "a")],
    "unknown and not done": [commits(1, 2, "a", kind=Kind.UNKNOWN), reads(END, END)],
    "unknown and done late": [
        commits(1, 2, "a", kind=Kind.UNKNOWN),
        reads(3, 4),
        reads(5, 6, "a"),
        reads(END, END, "a"),
    ],
}
NOT_EXPLAINED = {
    "a stale read": [commits(1, 2, "a"), reads(3, 4), reads(END, END, "a")],
    "reads that go back": [commits(1, 9, "a"), reads(2, 3, "a"), reads(4, 5), reads(END, END, "a")],
    "a lost update": [commits(1, 2, "a"), reads(END, END)],
    "both of two": [commits(1, 5, "a"), commits(1, 5, "b"), reads(END, END, "a")],
    "a conflict that is there": [commits(1, 2, "a", kind=Kind.CONFLICT), reads(END, END, "a")],
    "a conflict with nothing": [commits(1, 2, "a", kind=Kind.CONFLICT), reads(END, END)],
    "a conflict before its cause": [
        commits(1, 2, "a", kind=Kind.CONFLICT),
        commits(3, 4, "b"),
        reads(END, END, "b"),
    ],
    "a read of the future": [reads(1, 2, "a"), commits(3, 4, "a"), reads(END, END, "a")],
    "a serial with another content": [
        commits(1, 2, "a"),
        replace(reads(3, 4, "a"), names=frozenset("b")),
        reads(END, END, "a"),
    ],
    "unknown and done before its call": [
        reads(1, 2, "a"),
        commits(3, 4, "a", kind=Kind.UNKNOWN),
        reads(END, END, "a"),
    ],
}


@pytest.mark.parametrize("history", EXPLAINED.values(), ids=EXPLAINED)
def test_what_a_register_explains(history: list[Operation]) -> None:
    assert faults_of(history) == []
    assert explained(history)


@pytest.mark.parametrize("history", NOT_EXPLAINED.values(), ids=NOT_EXPLAINED)
def test_what_no_register_explains(history: list[Operation]) -> None:
    assert faults_of(history) != []
    assert not explained(history)


def test_the_judge_is_right_wherever_every_order_can_be_tried() -> None:
    verdicts = []
    for seed in range(1500):
        history = made_up(random.Random(seed))
        verdicts.append(explained(history))
        assert (faults_of(history) == []) == verdicts[-1], f"seed {seed}: {history}"
    assert 300 < sum(verdicts) < 1200


def explained(history: Sequence[Operation]) -> bool:
    """Try every order that respects the time."""
    return _explained(tuple(history), ())


def _explained(left: tuple[Operation, ...], value: tuple[str, ...]) -> bool:
    if all(one.kind is Kind.UNKNOWN for one in left):
        return True
    first_end = min(one.last for one in left)
    for one in left:
        if one.began <= first_end:
            rest = tuple(other for other in left if other is not one)
            if any(_explained(rest, after) for after in _values_after(one, value)):
                return True
    return False


def _values_after(one: Operation, value: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield what the register may hold after an operation, if that can be its answer."""
    expected = one.at == revision(*value)
    match one.kind:
        case Kind.READ if expected and one.names == frozenset(value):
            yield value
        case Kind.DONE if expected and one.made == revision(*value, one.name):
            yield (*value, one.name)
        case Kind.CONFLICT if not expected:
            yield value
        case Kind.UNKNOWN:
            yield value
            if expected:
                yield (*value, one.name)


def made_up(chance: random.Random) -> list[Operation]:
    """Make a history of three clients on a register that is right, but for a moment now and then."""
    times, history, value = [0.0] * 3, list[Operation](), list[str]()
    known = [tuple[str, ...]()] * 3
    moment = 0.0
    for number in range(chance.randint(3, 7)):
        client = chance.randrange(3)
        moment = max(moment, times[client]) + chance.random()
        began = chance.uniform(times[client], moment)
        ended = moment + chance.random()
        if chance.random() < 0.4:  # the answer comes before what it tells of, or from an older value
            began, ended = ended, ended + chance.choice([0.1, 2.0])
        times[client] = ended
        if chance.random() < 0.5:
            seen = tuple(value if chance.random() < 0.6 else value[:-1])
            known[client] = seen
            history.append(reads(began, ended, *seen))
            continue
        name, expected = f"{number}", known[client]
        fits = list(expected) == value
        kind = Kind.DONE if fits else Kind.CONFLICT
        if chance.random() < 0.2:
            kind, fits = Kind.UNKNOWN, fits and chance.random() < 0.5
        history.append(commits(began, ended, name, *expected, kind=kind))
        if fits:
            value.append(name)
        if kind is Kind.DONE:
            known[client] = (*expected, name)
    end = max(one.ended for one in history) + 1
    return [*history, reads(end, FOREVER, *value)]
