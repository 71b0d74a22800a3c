"""What is not built yet, by name: each test of these must fail, and its line falls when it passes.

``pytest --runxfail`` shows how each of them fails.
"""

from __future__ import annotations

PENDING: dict[str, tuple[str, ...]] = {}
