"""A plan as GitLab's merge-request widget takes it (``artifacts:reports:terraform``): three numbers."""

from __future__ import annotations

from reconciler.planning.plan import ActionKind, Plan

_CALLED = {"create": ActionKind.CREATE, "update": ActionKind.RETRY, "delete": ActionKind.CANCEL}


def widget_json(plan: Plan) -> dict[str, int]:
    """Return how many backfills are created, retried (which replaces one), and cancelled.

    Of a plan in which a team could not be planned nothing is told: the widget says then that the report
    failed, and does not show less than there is.
    """
    if plan.errored:
        return {}
    return {name: plan.number_of(kind) for name, kind in _CALLED.items()}
