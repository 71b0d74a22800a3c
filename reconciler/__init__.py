"""Declarative, Terraform-style reconciler for Supermetrics backfills.

As a library: ``load`` the files, ``observe`` the API and the state, ``plan``, ``apply``
(``docs/library.md``). Each is imported when it is first asked for.
"""

from __future__ import annotations

from reconciler.version import __version__ as __version__

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from typing import Any

    from reconciler.config.loading import load as load
    from reconciler.engine.results import plan as plan
    from reconciler.engine.run import apply as apply
    from reconciler.engine.run import observe as observe

_HOMES = {"load": "config.loading", "observe": "engine.run", "plan": "engine.results", "apply": "engine.run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
