"""Events are values: equal by what they say, and unchangeable, since threads hand them on."""

from dataclasses import FrozenInstanceError
from typing import Any, get_args

import pytest
from planning_values import NOW, intent, observed, planned, team, transfer

from reconciler import events
from reconciler.model.memory import Applied
from reconciler.model.observed import ApiError

(ACTION,) = planned(team(transfer("1-3")), observed()).actions

SAMPLES: dict[type, tuple[Any, ...]] = {
    events.Created: (ACTION, 100),
    events.Cancelled: (ACTION, 100, 1, 2),
    events.WriteRefused: (ACTION, ApiError(409), 100),
    events.UnknownOutcome: (intent("1-3"), NOW),
    events.Withdrawn: (ACTION, "another run was first"),
    events.Settled: (intent("1-3"),),
    events.Waiting: (3.0, "the API rate limit was reached"),
    events.LeftUndone: (ACTION.address, "ads", 1, 2, (7,)),
    events.AppliedBefore: (Applied("sha256:1", 3, NOW, "me"),),
}


@pytest.mark.parametrize("kind", get_args(events.Event), ids=lambda kind: kind.__name__)
def test_an_event_is_a_value(kind: Any) -> None:
    event = kind(*SAMPLES[kind])
    assert event == kind(*SAMPLES[kind])
    assert event != kind(*SAMPLES[kind][:-1], None)
    with pytest.raises(FrozenInstanceError):
        setattr(event, kind.__slots__[0], None)
