"""A stateful emulator of the vendor's backfill API: a second, independent reading of its pages.

It runs in process (`Sandbox.in_memory().app` is a WSGI callable), on an SQLite file shared by processes
(`Sandbox.open`), or over HTTP (`reconciler.sandbox.serve`). It imports nothing else of this project.

Names are resolved on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.sandbox.responses import AnswerLost as AnswerLost
    from reconciler.sandbox.sandbox import Sandbox as Sandbox
    from reconciler.sandbox.scene import Scene as Scene
    from reconciler.sandbox.settings import SceneError as SceneError
    from reconciler.sandbox.settings import Settings as Settings

_HOMES = {
    "AnswerLost": "responses",
    "Sandbox": "sandbox",
    "Scene": "scene",
    "SceneError": "settings",
    "Settings": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
