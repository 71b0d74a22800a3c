"""The laws of documents and deltas."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from state_values import LAW, backfills, deltas, documents, intents

from reconciler.model.deltas import Delta, apply_delta, apply_deltas
from reconciler.model.memory import BackfillRecord, Document, Intent, Origin, Outcome

EMPTY = Document(1, "https://api.example/v1", "lineage", 1)


@LAW
@given(documents(), deltas(), deltas())
def test_a_sum_does_the_first_then_the_later(document: Document, first: Delta, later: Delta) -> None:
    at_once = apply_delta(document, first + later)
    in_turn = apply_delta(apply_delta(document, first), later)
    assert replace(at_once, serial=in_turn.serial) == in_turn


@LAW
@given(documents(), deltas(), deltas(), deltas())
def test_a_sum_may_be_grouped_either_way(document: Document, one: Delta, two: Delta, three: Delta) -> None:
    assert apply_delta(document, (one + two) + three) == apply_delta(document, one + (two + three))


@LAW
@given(documents(), deltas())
def test_an_empty_delta_adds_nothing(document: Document, delta: Delta) -> None:
    expected = apply_delta(document, delta)
    assert apply_delta(document, Delta() + delta) == expected
    assert apply_delta(document, delta + Delta()) == expected
    assert replace(apply_delta(document, Delta()), serial=document.serial) == document


@LAW
@given(documents(), st.lists(deltas(), max_size=4))
def test_many_deltas_are_each_in_turn(document: Document, several: list[Delta]) -> None:
    in_turn = document
    for delta in several:
        in_turn = apply_delta(in_turn, delta)
    assert apply_deltas(document, several) == in_turn
    assert in_turn.serial == document.serial + len(several)
    assert in_turn.lineage == document.lineage


@LAW
@given(documents(), deltas())
def test_applying_leaves_the_document_it_was_given(document: Document, delta: Delta) -> None:
    before = (dict(document.intents), dict(document.backfills), document.serial)
    apply_delta(document, delta)
    assert (document.intents, document.backfills, document.serial) == before


@LAW
@given(backfills(), intents())
def test_an_upsert_beats_a_removal_in_one_delta(backfill: BackfillRecord, intent: Intent) -> None:
    dropped = {"drop_intents": (intent.nonce,), "drop_backfills": (backfill.id,)}
    delta = Delta((intent,), (backfill,), **dropped)
    after = apply_delta(apply_delta(EMPTY, delta), delta)
    assert after.intents == {intent.nonce: intent}
    assert after.backfills == {backfill.id: backfill}


@LAW
@given(backfills(), intents())
def test_a_removal_removes_and_may_find_nothing(backfill: BackfillRecord, intent: Intent) -> None:
    full = apply_delta(EMPTY, Delta((intent,), (backfill,)))
    removal = Delta(drop_intents=(intent.nonce,), drop_backfills=(backfill.id,))
    emptied = apply_delta(apply_delta(full, removal), removal)
    assert not emptied.intents
    assert not emptied.backfills


def test_only_an_empty_delta_is_false() -> None:
    assert not Delta()
    assert Delta(drop_intents=("a",))
    assert Delta(drop_backfills=(1,))


@LAW
@given(backfills(), intents())
def test_what_a_record_says_of_itself(backfill: BackfillRecord, intent: Intent) -> None:
    assert len(backfill.days) == backfill.end - backfill.start
    assert len(intent.days) == intent.end - intent.start
    assert backfill.ours == (backfill.origin in (Origin.CREATED, Origin.ADOPTED))
    assert intent.pending == (intent.outcome is Outcome.PENDING)
    for name in ("id", "transfer_id", "start", "end", "days", "status", "created_time"):
        assert getattr(backfill, name) == getattr(backfill.seen, name)
